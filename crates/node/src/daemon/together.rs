//! Daemons in one process, over one clock that only this loop moves.

use histone_contracts::Book;

use super::{Daemon, Stumble};
use crate::error::NodeError;

/// So often time passes without anything that moves before it is said that nothing will.
const PATIENCE: usize = 64;

/// So often something is tried that fails, while nothing else moves: for a minute, which is longer than a trainer waits for enclaves
/// that say nothing.
pub(crate) const ATTEMPTS: u32 = 6;

/// What time it is for daemons in one process, and how it passes.
pub trait Time {
    /// Unix seconds.
    fn now(&self) -> impl Future<Output = Result<u64, NodeError>>;

    /// Lets time pass up to a moment.
    fn pass(&mut self, until: u64) -> impl Future<Output = Result<(), NodeError>>;

    /// How often something that fails is tried while nothing else moves.
    fn attempts(&self) -> u32 {
        ATTEMPTS
    }
}

/// What happens around daemons in one process, and when that is over.
pub trait Scene {
    /// Whether a daemon takes no turns now, as if its process did not run.
    fn is_away(&self, _: &Daemon, _: &Book) -> bool {
        false
    }

    /// Is called after each turn of a daemon with the ledger as it is then.
    fn after(
        &mut self,
        daemons: &mut [Daemon],
        book: &Book,
    ) -> impl Future<Output = Result<Stand, NodeError>>;
}

/// Where a scene stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It goes on.
    GoesOn,
    /// It is over as soon as nobody has anything to do at once.
    WhenQuiet,
    /// It is over.
    Over,
}

/// Lets daemons take their turns, in the order in which they are given, until the scene is over. When nothing moves, time passes up to
/// the earliest moment at which somebody has something to do.
pub async fn together(
    daemons: &mut [Daemon],
    time: &mut impl Time,
    scene: &mut impl Scene,
) -> Result<(), NodeError> {
    let (mut idle, began) = (0, time.now().await?);
    loop {
        let (mut moved, mut next, mut stand) = (false, None::<u64>, Stand::GoesOn);
        let now = time.now().await?;
        let mut book = match daemons.first() {
            Some(first) => first.node.world.ledger.current_book().await?,
            None => return Ok(()),
        };
        for place in 0..daemons.len() {
            if daemons.get(place).is_some_and(|daemon| scene.is_away(daemon, &book)) {
                continue;
            }
            let Some(daemon) = daemons.get_mut(place) else { continue };
            let turn = daemon.turn(now, true).await?;
            moved |= turn.moved();
            next = turn.next.into_iter().chain(next).min();
            book = turn.book;
            stand = scene.after(daemons, &book).await?;
            if stand == Stand::Over {
                return Ok(());
            }
        }
        if moved {
            idle = 0;
            continue;
        }
        if stand == Stand::WhenQuiet {
            return Ok(());
        }
        idle += 1;
        // Whatever could help is in this process: what fails again and again will not pass.
        let attempts = time.attempts();
        let fails = |stumble: &Stumble| stumble.times >= attempts && stumble.since >= began;
        let fails = daemons.iter().any(|daemon| daemon.stumbles().values().any(fails));
        match next.filter(|next| *next > now && idle <= PATIENCE && !fails) {
            Some(next) => time.pass(next).await?,
            None => return Err(stuck(daemons)),
        }
    }
}

/// Nobody has anything to do, and what was to happen has not.
fn stuck(daemons: &[Daemon]) -> NodeError {
    let mut text = "nothing goes on any more".to_owned();
    for daemon in daemons {
        let name = &daemon.node.party.name;
        for (duty, stumble) in daemon.stumbles() {
            text += &format!("; {name} cannot {duty}: {}", stumble.why);
        }
        for wish in daemon.node.store.wishes(true).into_iter().flatten() {
            text += &format!("; {name} waits to {}: {}", wish.kind, wish.progress);
        }
    }
    NodeError::Message(text)
}
