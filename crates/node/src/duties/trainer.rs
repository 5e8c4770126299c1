//! What a trainer owes.

use std::collections::BTreeMap;

use histone_contracts::book::{Book, Model, ModelState, Round, RoundState};
use histone_protocol::{Address, B256};

use super::in_one_enclave;

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
    /// The one enclave that a runner has started for all data.
    pub hosting: Option<Hosting>,
}

/// The one enclave that a runner has started for all data of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosting {
    /// The enclave.
    pub enclave: Address,
    /// Whether it waits for the module of a closed method, which was not sent yet.
    pub wants_module: bool,
    /// Whether it is ready for data.
    pub ready: bool,
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
    /// Seal the module of a closed method to the one enclave that waits for it.
    SendModule(Address),
    /// Name the one enclave to which all data is to be brought.
    NameHost(Address),
}

/// The duties of a trainer for each of its models, in order.
pub fn of_trainer(
    book: &Book,
    account: Address,
    known: &BTreeMap<u64, Known>,
    now: u64,
) -> Vec<(u64, TrainerDuty)> {
    let own = book.models.iter().filter(|m| m.trainer == account);
    let of = |m: &Model| Some((m.model, of_model(book, m, known.get(&m.model)?, now)?));
    own.filter_map(of).collect()
}

fn of_model(book: &Book, model: &Model, known: &Known, now: u64) -> Option<TrainerDuty> {
    match model.state {
        ModelState::Recruiting if in_one_enclave(model) && model.host.is_none() => {
            let hosting = known.hosting?;
            if hosting.ready {
                return Some(TrainerDuty::NameHost(hosting.enclave));
            }
            hosting.wants_module.then_some(TrainerDuty::SendModule(hosting.enclave))
        }
        ModelState::Recruiting => known.start.then_some(TrainerDuty::Start),
        // There are no rounds: what its one enclave says is the end.
        ModelState::Training if in_one_enclave(model) => match known.next? {
            Next::Model(_) => Some(TrainerDuty::End),
            Next::NoModel => Some(TrainerDuty::GiveUp),
            Next::Round => None,
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use histone_contracts::Market;
    use histone_protocol::U256;

    /// A model whose data is brought to one enclave.
    fn hosted(state: ModelState) -> Book {
        let terms = Market::Terms {
            instantPayment: Default::default(),
            queryPrice: Default::default(),
            donorsBps: 10_000,
            trainerBps: 0,
            runnerBps: 0,
            minDonors: 1,
            maxDonors: 3,
            queryTimeout: 1,
            minSurvivors: 1,
            colluders: 0,
        };
        let proposed = Market::ModelProposed {
            modelId: U256::ONE,
            trainer: Address::ZERO,
            whitePaperHash: B256::ZERO,
            planHash: B256::ZERO,
            terms,
            deposit: U256::from(3),
        };
        let mut model = Model::proposed(1, &proposed);
        model.state = state;
        let mut book = Book::default();
        book.models.insert(1, model);
        book
    }

    /// The enclave is named when it is ready, nothing begins before, and there are no rounds.
    #[test]
    fn a_model_of_one_enclave_goes_from_enclave_to_statement() {
        let enclave = Address::repeat_byte(1);
        let owes = |book: &Book, known: Known| {
            let known = BTreeMap::from([(1, known)]);
            of_trainer(book, Address::ZERO, &known, 10).into_iter().map(|(_, duty)| duty).next()
        };
        let hosting = |wants_module, ready| Known {
            hosting: Some(Hosting { enclave, wants_module, ready }),
            start: true,
            ..Known::default()
        };
        let unnamed = hosted(ModelState::Recruiting);
        assert_eq!(owes(&unnamed, Known { start: true, ..Known::default() }), None);
        assert_eq!(owes(&unnamed, hosting(true, false)), Some(TrainerDuty::SendModule(enclave)));
        assert_eq!(owes(&unnamed, hosting(false, false)), None);
        assert_eq!(owes(&unnamed, hosting(false, true)), Some(TrainerDuty::NameHost(enclave)));

        let training = hosted(ModelState::Training);
        let next = |next| Known { next, ..Known::default() };
        assert_eq!(owes(&training, next(None)), None);
        assert_eq!(owes(&training, next(Some(Next::Round))), None);
        assert_eq!(owes(&training, next(Some(Next::Model(B256::ZERO)))), Some(TrainerDuty::End));
        assert_eq!(owes(&training, next(Some(Next::NoModel))), Some(TrainerDuty::GiveUp));

        let trained = hosted(ModelState::Trained);
        let serving = Known { serving: Some(enclave), ..Known::default() };
        assert_eq!(owes(&trained, serving), Some(TrainerDuty::Serve(enclave)));
        assert_eq!(owes(&hosted(ModelState::Aborted), next(Some(Next::NoModel))), None);
    }
}
