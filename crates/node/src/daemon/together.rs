//! Daemons in one process, over one clock that only this loop moves.

use super::Daemon;
use crate::error::NodeError;

/// Lets daemons take their turns, in the order in which they are given, until nothing moves and nothing is waited for; `done` may end it
/// before. When nothing moves, `set` moves the clock to the earliest moment at which somebody has something to do. Gives the time.
pub async fn together(
    daemons: &mut [Daemon],
    mut now: u64,
    set: &dyn Fn(u64),
    until: u64,
    done: &dyn Fn(&[Daemon]) -> bool,
) -> Result<u64, NodeError> {
    loop {
        let (mut moved, mut next) = (false, None::<u64>);
        for daemon in daemons.iter_mut() {
            let turn = daemon.turn(now, true).await?;
            moved |= turn.moved();
            next = turn.next.map(|at| next.map_or(at, |next| next.min(at))).or(next);
        }
        if done(daemons) {
            return Ok(now);
        }
        if moved {
            continue;
        }
        match next.filter(|next| *next > now && *next <= until) {
            Some(next) => {
                now = next;
                set(now);
            }
            None => return Ok(now),
        }
    }
}
