//! What a trainer owes.

use std::collections::BTreeMap;

use histone_contracts::book::{Book, Model, ModelState, Round, RoundState};
use histone_protocol::{Address, B256};

/// Where a training goes next, as its trainer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another round.
    Round,
    /// The market can have the model of this name.
    Model(B256),
    /// It has come to its end without a model.
    NoModel,
}

/// Whether another round is opened after those that came to no sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Again {
    /// It is.
    #[default]
    Yes,
    /// A person has been asked.
    Wait,
    /// It is not: the model is given up.
    GiveUp,
}

/// What a trainer's node knows of one model beside the ledger.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// After so many final rounds, [`Known::next`] is what comes.
    pub followed: usize,
    /// What comes next.
    pub next: Option<Next>,
    /// Training may begin.
    pub start: bool,
    /// The sum of the last round can be put on the ledger: enough partial sums are shown and, where sums are sealed, enclaves have
    /// said enough.
    pub ready: bool,
    /// Whether the next round is opened.
    pub again: Again,
    /// The query enclave that is ready to answer.
    pub serving: Option<Address>,
    /// What came back of the deposit of a model that was given up is to be claimed.
    pub claim: bool,
}

/// Something that a trainer owes to do for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainerDuty {
    /// Begin to train.
    Start,
    /// Follow a final round.
    Follow(u32),
    /// Open the next round.
    Open,
    /// Close a round.
    Close(u32),
    /// Put what a round led to on the ledger.
    Finish(u32),
    /// Declare a round void that nobody opened in time.
    Void(u32),
    /// End the training with the model.
    End,
    /// Give it up: it came to no model.
    GiveUp,
    /// Claim what came back of the deposit.
    Claim,
    /// Name the enclave that answers queries.
    Serve(Address),
}

/// The duties of a trainer for each of its models, in order.
pub fn of_trainer(
    book: &Book,
    account: Address,
    known: &BTreeMap<u64, Known>,
    now: u64,
) -> Vec<(u64, TrainerDuty)> {
    let own = book.models.iter().filter(|m| m.trainer == account && m.host.is_none());
    let of = |m: &Model| Some((m.model, of_model(book, m, known.get(&m.model)?, now)?));
    own.filter_map(of).collect()
}

fn of_model(book: &Book, model: &Model, known: &Known, now: u64) -> Option<TrainerDuty> {
    match model.state {
        ModelState::Recruiting => known.start.then_some(TrainerDuty::Start),
        ModelState::Training => in_training(book, model, known, now),
        ModelState::Trained => known.serving.map(TrainerDuty::Serve),
        ModelState::Aborted => known.claim.then_some(TrainerDuty::Claim),
        ModelState::Serving | ModelState::Retired => None,
    }
}

fn in_training(book: &Book, model: &Model, known: &Known, now: u64) -> Option<TrainerDuty> {
    let rounds: Vec<&Round> = book.rounds.iter().filter(|r| r.model == model.model).collect();
    let finals: Vec<u32> = rounds.iter().filter(|r| r.state == RoundState::Final).map(|r| r.round).collect();
    if let Some(&round) = finals.get(known.followed) {
        return Some(TrainerDuty::Follow(round));
    }
    match rounds.last() {
        Some(round) if round.state == RoundState::Open => {
            let all = all_anchored(model, round);
            (all || now > round.deadline).then_some(TrainerDuty::Close(round.round))
        }
        Some(round) if round.state == RoundState::Closed => {
            if round.partials.len() >= usize::from(round.quorum) {
                return known.ready.then_some(TrainerDuty::Finish(round.round));
            }
            (now > round.open_by).then_some(TrainerDuty::Void(round.round))
        }
        _ => match (known.next?, known.again) {
            (Next::Round, Again::Yes) => Some(TrainerDuty::Open),
            (Next::Round, Again::Wait) => None,
            (Next::Round, Again::GiveUp) | (Next::NoModel, _) => Some(TrainerDuty::GiveUp),
            (Next::Model(_), _) => Some(TrainerDuty::End),
        },
    }
}

/// Whether every donor who still takes part has an update on record.
fn all_anchored(model: &Model, round: &Round) -> bool {
    let there = |donor: u16| round.anchors.iter().any(|anchor| anchor.donor == donor);
    model.donors.iter().filter(|d| !d.use_ended && !d.excluded).all(|d| there(d.donor))
}
