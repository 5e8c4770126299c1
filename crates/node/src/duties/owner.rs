//! What an owner owes, beside what its enclave has to do in a sealed training ([`super::of_owner`]).

use histone_contracts::book::{
    Book, DatasetState, Donor, EnclaveState, Kind, Model, ModelState, Round, RoundState,
};
use histone_protocol::{Address, B256};

/// The enclave that is to validate a dataset which is not registered yet: the newest one that is live.
pub fn validation(book: &Book, dataset: B256) -> Option<(Address, Address)> {
    if book.datasets.get(&dataset).is_some() {
        return None;
    }
    validates(book)
}

/// The newest validation enclave that is live, with who runs it.
pub fn validates(book: &Book) -> Option<(Address, Address)> {
    let live =
        |e: &&histone_contracts::book::Enclave| e.kind == Kind::Validation && e.state == EnclaveState::Live;
    book.enclaves.iter().rfind(live).map(|e| (e.signer, e.operator))
}

/// The models that recruit and have no answer of this dataset's owner on the ledger. Where all data is brought to one enclave, it has
/// to be named before anybody can look at it.
pub fn recruiting(book: &Book, dataset: B256) -> Vec<&Model> {
    let Some(own) = book.datasets.get(&dataset) else { return Vec::new() };
    if own.state != DatasetState::Registered {
        return Vec::new();
    }
    let open = |m: &&Model| {
        m.state == ModelState::Recruiting
            && !m.refused.contains(&own.owner)
            && (m.host.is_some() || !super::in_one_enclave(m))
            && !m.donors.iter().any(|d| d.dataset == dataset)
            && m.donors.len() < usize::from(m.terms.max_donors)
    };
    book.models.iter().filter(open).collect()
}

/// The newest model that goes on, or has ended with a model, to which a dataset was donated, with the donation.
pub fn donation(book: &Book, dataset: B256) -> Option<(&Model, &Donor)> {
    let alive = |m: &&Model| !matches!(m.state, ModelState::Aborted | ModelState::Retired);
    let mut models: Vec<&Model> = book.models.iter().filter(alive).collect();
    models.reverse();
    models.into_iter().find_map(|m| Some((m, m.donors.iter().find(|d| d.dataset == dataset)?)))
}

/// How a dataset is used in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The model.
    pub model: u64,
    /// Its number there.
    pub donor: u16,
    /// Whether its use can be ended, and is not.
    pub goes_on: bool,
    /// Sums with its numbers that are open.
    pub sums: u32,
}

/// The models that a dataset was ever donated to, oldest first.
pub fn used_in(book: &Book, dataset: B256) -> Vec<Used> {
    let of = |m: &Model| {
        let donor = m.donors.iter().find(|d| d.dataset == dataset)?;
        let open = |r: &&Round| {
            let survivors = r.survivors.as_ref();
            r.model == m.model && super::is_open(r) && survivors.is_some_and(|all| all.contains(&donor.donor))
        };
        let trains = matches!(m.state, ModelState::Recruiting | ModelState::Training);
        Some(Used {
            model: m.model,
            donor: donor.donor,
            goes_on: trains && !donor.use_ended,
            sums: book.rounds.iter().filter(open).count() as u32,
        })
    };
    book.models.iter().filter_map(of).collect()
}

/// The round that waits for this donor's update.
pub fn round_to_answer(book: &Book, model: u64, donor: u16, now: u64) -> Option<&Round> {
    let last = book.rounds.iter().rfind(|r| r.model == model)?;
    let waits = last.state == RoundState::Open
        && now <= last.deadline
        && last.anchors.iter().all(|anchor| anchor.donor != donor);
    waits.then_some(last)
}

/// Rounds whose sums are public and open, after the last one that this owner's enclave has seen.
pub fn to_observe(book: &Book, model: u64, observed: u32) -> Vec<u32> {
    let seen = |r: &&Round| r.model == model && r.state == RoundState::Final && r.round > observed;
    book.rounds.iter().filter(seen).map(|r| r.round).collect()
}

/// Whether a donor's update is in the last sum of a model that was trained.
pub fn in_last_sum(book: &Book, model: u64, donor: u16) -> bool {
    let last = book.rounds.iter().rfind(|r| r.model == model && r.state == RoundState::Final);
    last.and_then(|r| r.survivors.as_ref()).is_some_and(|survivors| survivors.contains(&donor))
}

/// Whether a donor's update is in the sum of a round.
pub fn in_sum(book: &Book, model: u64, round: u32, donor: u16) -> bool {
    let round = book.rounds.iter().find(|r| (r.model, r.round) == (model, round));
    round.and_then(|r| r.survivors.as_ref()).is_some_and(|survivors| survivors.contains(&donor))
}
