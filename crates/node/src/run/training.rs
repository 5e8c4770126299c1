//! The training: rounds that the parties' daemons make by themselves, and what the study has happen between them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use histone_contracts::book::{Book, DatasetState, Model as OnLedger, ModelState, Round, RoundState};
use histone_federation::header::RoundHeader;
use histone_protocol::Address;
use histone_protocol::disclosure::Place;

use super::cast::{Cast, find};
use super::outcome::Withdrawn;
use super::story::Recruited;
use super::{Observer, Options};
use crate::daemon::Daemon;
use crate::daemon::together::{Scene, Stand};
use crate::error::NodeError;
use crate::store::{Answer, WishState};
use crate::study::{Missing, Study, Tokens};
use crate::world::World;

/// What training left, beside ledger and blobs.
pub(super) struct Trained {
    pub(super) withdrawn: Vec<Withdrawn>,
    /// Wall-clock milliseconds of each round.
    pub(super) milliseconds: BTreeMap<u32, f64>,
}

/// When the daemons of everybody but a few stand still, so that these can do something between two rounds.
#[derive(Debug, Default)]
struct Pauses {
    model: u64,
    /// After so many final rounds of the training.
    after: Option<u32>,
    /// Whose daemons go on.
    not: BTreeSet<Address>,
}

impl Pauses {
    fn holds(&self, account: Address, book: &Book) -> bool {
        let Some(model) = book.models.get(&self.model).filter(|_| !self.not.contains(&account)) else {
            return false;
        };
        model.state == ModelState::Training
            && self.after.is_some_and(|after| finals(book, self.model) == after)
    }
}

fn lock(pauses: &Mutex<Pauses>) -> std::sync::MutexGuard<'_, Pauses> {
    pauses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The observer of a run, for two who tell it something in turn.
struct Telling<'a, 'o>(&'a RefCell<&'o mut dyn Observer>);

impl Observer for Telling<'_, '_> {
    fn step(&mut self, number: usize, total: usize, title: &str) {
        self.0.borrow_mut().step(number, total, title);
    }

    fn note(&mut self, text: &str) {
        self.0.borrow_mut().note(text);
    }

    fn round(&mut self, round: u32, at_most: u32, stage: &str) {
        self.0.borrow_mut().round(round, at_most, stage);
    }
}

/// The stage of a round, as its header says.
fn stage(round: &Round, world: &World) -> Result<String, NodeError> {
    let header = RoundHeader::decode(&world.blobs.get(round.header_hash)?).map_err(NodeError::round)?;
    Ok(header.fields().question.stage().into())
}

fn rounds(book: &Book, model: u64) -> Vec<&Round> {
    book.rounds.iter().filter(|r| r.model == model).collect()
}

fn finals(book: &Book, model: u64) -> u32 {
    rounds(book, model).iter().filter(|r| r.state == RoundState::Final).count() as u32
}

/// The main model on its way.
struct Training<'a, 'o> {
    study: &'a Study,
    options: &'a Options,
    model: u64,
    at_most: u32,
    observer: &'a RefCell<&'o mut dyn Observer>,
    world: World,
    pauses: Arc<Mutex<Pauses>>,
    /// When somebody withdraws next: the round, and who.
    leaving: BTreeMap<u32, BTreeMap<String, Option<u64>>>,
    withdrawn: Vec<Withdrawn>,
    /// Rounds that were told of.
    told: u32,
    began: Instant,
    milliseconds: BTreeMap<u32, f64>,
    now: u64,
}

impl Scene for Training<'_, '_> {
    fn is_away(&self, daemon: &Daemon, book: &Book) -> bool {
        let name = &daemon.node.party.name;
        let next = finals(book, self.model) + 1;
        self.options.drop_outs.iter().any(|d| d.participant == *name && next >= d.round)
    }

    async fn after(&mut self, daemons: &mut [Daemon], book: &Book) -> Result<Stand, NodeError> {
        let Some(model) = book.models.get(&self.model) else { return Ok(Stand::GoesOn) };
        self.tell(book)?;
        match model.state {
            ModelState::Recruiting | ModelState::Training => {
                self.answer(daemons)?;
                self.withdraw(daemons, book)?;
            }
            _ => return Ok(Stand::WhenQuiet),
        }
        Ok(Stand::GoesOn)
    }
}

impl Training<'_, '_> {
    /// Says yes to whatever the trainer asks: whether to begin, and whether to give the model up when a round has failed.
    fn answer(&self, daemons: &[Daemon]) -> Result<(), NodeError> {
        let store = &find(daemons, &self.study.model.trainer)?.node.store;
        let about = [format!("train/{}", self.model), format!("give-up/{}/", self.model)];
        for asked in store.questions(true)? {
            if about.iter().any(|about| asked.question.key.starts_with(about)) {
                let answer =
                    Answer { yes: true, because: "the study says so".into(), by: "the study".into() };
                let said = store.answer(asked.number, &answer, self.now);
                said.map_err(|error| NodeError::Message(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Tells of rounds that have ended.
    fn tell(&mut self, book: &Book) -> Result<(), NodeError> {
        let ended: Vec<&Round> =
            rounds(book, self.model).into_iter().filter(|r| r.state == RoundState::Final).collect();
        for (number, round) in (1u32..).zip(&ended).skip(self.told as usize) {
            let missing = self.options.drop_outs.iter().filter(|d| d.round <= number);
            let missing: Vec<&str> = missing.map(|d| d.participant.as_str()).collect();
            let stage = stage(round, &self.world)?;
            if !missing.is_empty() {
                let who = missing.join(", ");
                self.observer
                    .borrow_mut()
                    .note(&format!("round {number}: {who} did not answer (SIMULATED failure)"));
            }
            self.observer.borrow_mut().round(number, self.at_most, &stage);
            self.milliseconds.insert(round.round, self.began.elapsed().as_secs_f64() * 1e3);
            (self.began, self.told) = (Instant::now(), number);
        }
        Ok(())
    }

    /// Whoever is to leave before the next round does, while all others stand still.
    fn withdraw(&mut self, daemons: &[Daemon], book: &Book) -> Result<(), NodeError> {
        let next = finals(book, self.model) + 1;
        let Some((&round, _)) = self.leaving.first_key_value() else { return Ok(()) };
        if next != round {
            return Ok(());
        }
        let mut gone = true;
        for (name, wish) in self.leaving.get_mut(&round).into_iter().flatten() {
            let node = &find(daemons, name)?.node;
            let own = node.party.account();
            let dataset = book.datasets.iter().find(|d| d.owner == own);
            let Some(dataset) = dataset else { continue };
            let number = match *wish {
                Some(number) => number,
                None => {
                    lock(&self.pauses).not.insert(own);
                    let what = serde_json::json!({ "dataset": dataset.id });
                    *wish.insert(node.store.wish("withdraw", &what, self.now)?)
                }
            };
            let state = node.store.get_wish(number)?.map(|wish| wish.state);
            gone &= match (state, dataset.state) {
                (Some(WishState::Failed(why)), _) => {
                    return Err(NodeError::Message(format!("`{name}`: {why}")));
                }
                (Some(WishState::Done(_)), state) => state != DatasetState::Registered,
                _ => false,
            };
        }
        if !gone {
            return Ok(());
        }
        let before = match self.study.training.disclosure.place {
            Place::OneEnclave => "the training".to_owned(),
            Place::EachOwner => format!("round {round}"),
        };
        for (name, wish) in self.leaving.remove(&round).unwrap_or_default() {
            let wish = match wish {
                Some(number) => find(daemons, &name)?.node.store.get_wish(number)?,
                None => None,
            };
            let what = match wish.map(|wish| wish.state) {
                Some(WishState::Done(said)) => {
                    said.get("said").and_then(|said| said.as_str()).unwrap_or_default().to_owned()
                }
                _ => "it has no data to withdraw".into(),
            };
            self.observer.borrow_mut().note(&format!("before {before} {name} withdraws: {what}"));
            self.withdrawn.push(Withdrawn { participant: name, round, what });
        }
        lock(&self.pauses).after = self.leaving.keys().next().map(|round| round - 1);
        Ok(())
    }
}

/// Has the main model trained.
pub(super) async fn train(
    study: &Study,
    options: &Options,
    cast: &mut Cast,
    recruited: &Recruited,
    observer: &mut dyn Observer,
) -> Result<Trained, NodeError> {
    let model = recruited.model_id;
    let mut leaving: BTreeMap<u32, BTreeMap<String, Option<u64>>> = BTreeMap::new();
    for left in &options.withdrawals {
        leaving.entry(left.round).or_default().insert(left.participant.clone(), None);
    }
    let after = leaving.keys().next().map(|round| round - 1);
    let pauses = Arc::new(Mutex::new(Pauses { model, after, not: BTreeSet::new() }));
    for daemon in &mut cast.daemons {
        let (pauses, account) = (pauses.clone(), daemon.node.party.account());
        daemon.hold(Arc::new(move |book: &Book| lock(&pauses).holds(account, book)));
    }
    let shared = RefCell::new(observer);
    let mut scene = Training {
        study,
        options,
        model,
        at_most: rounds_at_most(study),
        observer: &shared,
        world: cast.world.clone(),
        pauses,
        leaving,
        withdrawn: Vec::new(),
        told: 0,
        began: Instant::now(),
        milliseconds: BTreeMap::new(),
        now: cast.now().await?,
    };
    cast.play(&mut scene, &mut Telling(&shared)).await?;
    let Training { withdrawn, milliseconds, told, .. } = scene;
    let observer = shared.into_inner();
    let book = cast.world.ledger.current_book().await?;
    if let Some(model) = book.models.get(&model).filter(|m| m.state == ModelState::Aborted) {
        return Err(no_model(study, model, &book));
    }
    for (what, list) in [("drop out", &options.drop_outs), ("withdraw", &options.withdrawals)] {
        for d in list.iter().filter(|d| d.round > told.max(1)) {
            observer.note(&format!(
                "{} was to {what} in round {}, but the training ended after round {told}",
                d.participant, d.round
            ));
        }
    }
    Ok(Trained { withdrawn, milliseconds })
}

/// Why the main model was given up.
fn no_model(study: &Study, model: &OnLedger, book: &Book) -> NodeError {
    let opened = finals(book, model.model);
    let failed = rounds(book, model.model).last().copied().filter(|last| last.state == RoundState::Failed);
    let left = model.donors.iter().filter(|d| !d.use_ended && !d.excluded).count();
    let (round, survivors) = match failed {
        Some(last) => (last.round, last.anchors.len()),
        None if left < study.training.min_survivors => (opened + 1, left),
        None => return NodeError::NoModel,
    };
    NodeError::TooFewSurvivors {
        round,
        // A model has at most 65,535 donors.
        survivors: survivors as u16,
        donors: model.donors.len() as u16,
        needed: study.training.min_survivors as u16,
        deposit: Tokens::from_micro(model.deposit_returned.unwrap_or_default().0.saturating_to()).to_string(),
        trainer: study.model.trainer.clone(),
        donors_are_paid: match opened {
            0 => "",
            _ => ", the rest is the donors', who are paid for the sums that are open",
        },
    }
}

/// A failure that cannot happen is a slip of the pen, and is said before anything starts.
pub(super) fn check_drop_outs(study: &Study, options: &Options) -> Result<(), NodeError> {
    let at_most = rounds_at_most(study);
    if study.training.disclosure.place == Place::OneEnclave && !options.drop_outs.is_empty() {
        return Err(NodeError::Message(
            "nobody drops out of a training in one enclave: it has no rounds that anybody answers".into(),
        ));
    }
    let verbs = [("drop out", &options.drop_outs), ("withdraw", &options.withdrawals)];
    for (verb, list) in verbs {
        if let Some(d) = list.iter().find(|d| d.round > at_most) {
            return Err(NodeError::Message(format!(
                "`{}` cannot {verb} in round {}: the training has at most {at_most} rounds",
                d.participant, d.round
            )));
        }
    }
    for (i, w) in options.withdrawals.iter().enumerate() {
        if options.withdrawals[..i].iter().any(|other| other.participant == w.participant) {
            return Err(NodeError::Message(format!(
                "`{}` can withdraw once only; name one round",
                w.participant
            )));
        }
    }
    Ok(())
}

/// Most rounds that the training of a study can take.
pub(super) fn rounds_at_most(study: &Study) -> u32 {
    // One enclave trains at once: before that is the only moment there is.
    if study.training.disclosure.place == Place::OneEnclave {
        return 1;
    }
    let ranks = if study.table.missing == Missing::Median { 9 } else { 0 };
    let manifest = &study.training.manifest;
    let setting = manifest.config.iter().find(|s| s.name == "rounds").map(|s| study.training.setting(s));
    // Columns are described, filled, fitted and judged, the last in two rounds.
    setting.map_or(manifest.limits.rounds, |rounds| 1 + ranks + rounds as u32 + 2)
}
