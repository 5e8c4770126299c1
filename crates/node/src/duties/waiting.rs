//! For whom a model waits.

use histone_contracts::book::{Book, DatasetState, Model, ModelState, Role, Round, RoundState};
use histone_protocol::Address;
use serde::{Deserialize, Serialize};

/// What a model waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The model.
    pub model: u64,
    /// What has to happen, in words.
    pub what: String,
    /// Who has to do it: accounts of members.
    pub whom: Vec<Address>,
    /// Until when, Unix seconds; none where there is no limit.
    pub until: Option<u64>,
}

/// What every model waits for that is not at its end.
pub fn waiting(book: &Book, now: u64) -> Vec<Waiting> {
    book.models.iter().filter_map(|model| of_model(book, model, now)).collect()
}

fn of_model(book: &Book, model: &Model, now: u64) -> Option<Waiting> {
    let id = model.model;
    let wait =
        |what: &str, whom: Vec<Address>, until| Some(Waiting { model: id, what: what.into(), whom, until });
    match model.state {
        ModelState::Recruiting if super::in_one_enclave(model) && model.host.is_none() => {
            wait("the one enclave for all data to be named", vec![model.trainer], None)
        }
        ModelState::Recruiting => {
            let own = |account: Address| {
                let of = |id| book.datasets.get(id).is_some_and(|d| d.owner == account);
                model.donors.iter().any(|d| of(&d.dataset))
            };
            // Whoever has no data has nothing to answer.
            let has_data = |account: Address| {
                book.datasets.iter().any(|d| d.owner == account && d.state == DatasetState::Registered)
            };
            let owners = book.members.iter().filter(|m| m.member && m.roles.contains(&Role::Owner));
            let asked = owners.map(|m| m.account).filter(|account| has_data(*account));
            let silent = asked.filter(|account| !own(*account) && !model.refused.contains(account));
            match silent.collect::<Vec<_>>() {
                none if none.is_empty() => wait("its trainer to begin", vec![model.trainer], None),
                silent => wait("owners who take part, or decline", silent, None),
            }
        }
        ModelState::Training if super::in_one_enclave(model) => {
            let runner = model.host.as_ref().map(|host| host.runner);
            wait("what its one enclave makes of the data", runner.into_iter().collect(), None)
        }
        ModelState::Training => {
            let last = book.rounds.iter().rfind(|r| r.model == id);
            match last {
                Some(round) if round.state == RoundState::Open => {
                    let round_number = format!("updates for round {}", round.round);
                    let silent = silent_donors(book, model, round);
                    let whom =
                        if silent.is_empty() || now > round.deadline { vec![model.trainer] } else { silent };
                    wait(&round_number, whom, Some(round.deadline))
                }
                Some(round) if round.state == RoundState::Closed => {
                    let posted = |member: &Address| round.partials.iter().any(|p| p.member == *member);
                    let what = format!("the sum of round {}", round.round);
                    if round.partials.len() >= usize::from(round.quorum) {
                        return wait(&format!("{what} to be put on the ledger"), vec![model.trainer], None);
                    }
                    let silent = model.committee.iter().filter(|m| !posted(m)).copied().collect();
                    wait(&what, silent, Some(round.open_by))
                }
                _ => wait("the next round", vec![model.trainer], None),
            }
        }
        ModelState::Trained => wait("an enclave that answers", vec![model.trainer], None),
        ModelState::Serving | ModelState::Retired | ModelState::Aborted => None,
    }
}

/// The owners of the donors who take part and have no update in an open round.
fn silent_donors(book: &Book, model: &Model, round: &Round) -> Vec<Address> {
    let there = |donor: u16| round.anchors.iter().any(|anchor| anchor.donor == donor);
    let left = model.donors.iter().filter(|d| !d.use_ended && !d.excluded && !there(d.donor));
    left.filter_map(|d| Some(book.datasets.get(&d.dataset)?.owner)).collect()
}
