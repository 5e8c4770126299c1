//! What a party owes to do in a sealed training, in enclaves of each owner's or in one: a pure function of what the ledger says and of what the party has done.
//!
//! A party may be killed at any moment and started again a week later. It then asks for its duties anew and performs them: each can
//! be repeated, gives the same bytes, and the ledger takes it once. Duties come in the order in which they must be performed.

pub mod committee;
pub mod founder;
pub mod owner;
pub mod runner;
pub mod trainer;
pub mod waiting;

use std::collections::BTreeSet;

use histone_contracts::book::{Book, DatasetState, Model, ModelState, QueryState, Round, RoundState};
use histone_protocol::{Address, B256};

/// Something that an owner owes to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerDuty {
    /// Let the enclave open the sum of a round, and tell the trainer what it says.
    OpenSum {
        /// The model.
        model: u64,
        /// The round.
        round: u32,
    },
    /// Publish what the enclave releases of the finished training.
    Release {
        /// The model.
        model: u64,
    },
    /// Hand the key of a sealed model to a query enclave that has asked for it, if it is believed.
    HandModel {
        /// The model.
        model: u64,
        /// The query enclave.
        query: Address,
    },
}

/// What an owner's node has done for one sealed model.
#[derive(Debug, Clone, Default)]
pub struct OwnerDone {
    /// The last round whose sum its enclave has opened.
    pub opened: u32,
    /// Rounds that it cannot open: its enclave was not in their headers.
    pub absent: BTreeSet<u32>,
    /// Whether it has published what is released.
    pub released: bool,
    /// Query enclaves that have asked for the model.
    pub asked: BTreeSet<Address>,
    /// Those that have got an answer.
    pub answered: BTreeSet<Address>,
}

/// The duties of an owner that has donated to a sealed model of so many rounds.
pub fn of_owner(book: &Book, model: u64, rounds: u32, done: &OwnerDone) -> Vec<OwnerDuty> {
    let mut duties = Vec::new();
    let mut finals = 0;
    for round in rounds_of(book, model) {
        let open = is_open(round);
        finals += u32::from(round.state == RoundState::Final);
        // Whoever could not open a sum does not know what follows from it.
        let absent = done.absent.first().is_some_and(|first| *first <= round.round);
        if open && round.round > done.opened && !absent {
            duties.push(OwnerDuty::OpenSum { model, round: round.round });
        }
    }
    if finals == rounds && !done.released && done.absent.is_empty() {
        duties.push(OwnerDuty::Release { model });
    }
    // Before the market knows the model there is nothing to compare it with.
    if book.models.get(&model).is_some_and(|m| m.model_hash.is_some()) {
        let due = done.asked.difference(&done.answered);
        duties.extend(due.map(|&query| OwnerDuty::HandModel { model, query }));
    }
    duties
}

/// Whether all data of a model is brought to one enclave: then nobody opens sums, and there are no colluders among them.
pub fn in_one_enclave(model: &Model) -> bool {
    model.terms.colluders == 0
}

/// Whether enough donors are left whose data the one enclave of a model may use: with fewer it makes none.
pub fn enough_left(model: &Model) -> bool {
    let left = model.donors.iter().filter(|d| !d.use_ended && !d.excluded).count();
    left >= usize::from(model.terms.min_survivors)
}

/// Something that the runner of the one enclave owes to do, which has the data of all owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostDuty {
    /// Have the enclave forget the data of a donor whose dataset is withdrawn.
    Forget {
        /// The model.
        model: u64,
        /// The donor.
        donor: u16,
    },
    /// End the use of a donor whose dataset is withdrawn: the enclave does not train before.
    EndUse {
        /// The model.
        model: u64,
        /// The donor.
        donor: u16,
    },
    /// Have the enclave train, and tell the trainer what it says.
    Train {
        /// The model.
        model: u64,
    },
    /// Have the enclave destroy all data that it was given: the trainer has given the model up.
    Destroy {
        /// The model.
        model: u64,
    },
    /// Publish what the enclave releases, now that the market has the model.
    Release {
        /// The model.
        model: u64,
    },
    /// Hand the key of a sealed model to a query enclave that has asked for it, if it is believed.
    HandModel {
        /// The model.
        model: u64,
        /// The query enclave.
        query: Address,
    },
}

/// What the runner's node has done for one model.
#[derive(Debug, Clone, Default)]
pub struct HostDone {
    /// Donors whose withdrawn data was forgotten.
    pub forgotten: BTreeSet<u16>,
    /// Whether it has told the trainer what the enclave says.
    pub trained: bool,
    /// Whether the data of a model that was given up is destroyed.
    pub destroyed: bool,
    /// Whether it has published what is released.
    pub released: bool,
    /// Query enclaves that have asked for the model.
    pub asked: BTreeSet<Address>,
    /// Those that have got an answer.
    pub answered: BTreeSet<Address>,
}

/// The duties of the runner of an enclave to which all data of a model is brought.
pub fn of_host(book: &Book, model: u64, done: &HostDone) -> Vec<HostDuty> {
    let mut duties = Vec::new();
    let Some(m) = book.models.get(&model) else { return duties };
    if matches!(m.state, ModelState::Recruiting | ModelState::Training) {
        let withdrawn =
            |dataset| book.datasets.get(dataset).is_some_and(|d| d.state != DatasetState::Registered);
        for d in m.donors.iter().filter(|d| withdrawn(&d.dataset)) {
            if !done.forgotten.contains(&d.donor) {
                duties.push(HostDuty::Forget { model, donor: d.donor });
            }
            if !d.use_ended {
                duties.push(HostDuty::EndUse { model, donor: d.donor });
            }
        }
    }
    if m.state == ModelState::Training && !done.trained && enough_left(m) {
        duties.push(HostDuty::Train { model });
    }
    if m.state == ModelState::Aborted && !done.destroyed {
        duties.push(HostDuty::Destroy { model });
    }
    if m.model_hash.is_some() {
        if !done.released {
            duties.push(HostDuty::Release { model });
        }
        let due = done.asked.difference(&done.answered);
        duties.extend(due.map(|&query| HostDuty::HandModel { model, query }));
    }
    duties
}

/// The next moment after `now` at which a deadline on the ledger passes: of rounds that are open or to be opened, and of queries.
pub fn next_deadline(book: &Book, now: u64) -> Option<u64> {
    let training = |model: u64| book.models.get(&model).is_some_and(|m| m.state == ModelState::Training);
    let rounds = book.rounds.iter().filter(|r| training(r.model)).filter_map(|r| match r.state {
        RoundState::Open => Some(r.deadline),
        RoundState::Closed => Some(r.open_by),
        _ => None,
    });
    let queries = book.queries.iter().filter(|q| q.state == QueryState::Funded).map(|q| q.deadline);
    rounds.chain(queries).map(|deadline| deadline + 1).filter(|at| *at > now).min()
}

/// The rounds of a model whose sums can be opened, with the hashes of their headers.
pub(crate) fn open_rounds(book: &Book, model: u64) -> impl Iterator<Item = (u32, B256)> {
    rounds_of(book, model).filter(|round| is_open(round)).map(|round| (round.round, round.header_hash))
}

fn rounds_of(book: &Book, model: u64) -> impl Iterator<Item = &Round> {
    book.rounds.iter().filter(move |round| round.model == model)
}

/// Whether a quorum has posted for its survivors, so that its sum can be opened.
pub(crate) fn is_open(round: &Round) -> bool {
    match round.state {
        RoundState::Final => true,
        RoundState::Closed => round.partials.len() >= usize::from(round.quorum),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use histone_contracts::Market;
    use histone_contracts::book::{Amount, Dataset, Donor, Partial};
    use histone_protocol::U256;

    fn round(number: u32, state: RoundState, partials: usize) -> Round {
        let partial = Partial { member: Address::ZERO, hash: B256::ZERO };
        Round {
            model: 1,
            round: number,
            state,
            header_hash: B256::ZERO,
            deadline: 0,
            open_by: 0,
            min_survivors: 2,
            quorum: 2,
            anchors: vec![],
            survivors: Some(vec![1, 2, 3]),
            partials: vec![partial; partials],
            named: vec![],
            aggregate_hash: None,
            model_hash: None,
        }
    }

    fn book(rounds: Vec<Round>) -> Book {
        let mut book = Book::default();
        for round in rounds {
            book.rounds.insert((round.model, round.round), round);
        }
        book
    }

    /// Whoever comes back after a week has the same duties in order, and none that it has done.
    #[test]
    fn what_was_missed_is_owed_in_order() {
        let all = book(vec![
            round(1, RoundState::Final, 2),
            round(2, RoundState::Failed, 0),
            round(3, RoundState::Final, 2),
            round(4, RoundState::Closed, 1),
        ]);
        let open = |round| OwnerDuty::OpenSum { model: 1, round };
        let mut done = OwnerDone::default();
        assert_eq!(of_owner(&all, 1, 3, &done), [open(1), open(3)]);
        done.opened = 1;
        assert_eq!(of_owner(&all, 1, 3, &done), [open(3)]);
        // In whose header it was not, it cannot open, nor what follows from it.
        let absent = OwnerDone { opened: 1, absent: BTreeSet::from([3]), ..OwnerDone::default() };
        assert_eq!(of_owner(&all, 1, 2, &absent), []);
        assert_eq!(of_owner(&all, 1, 2, &OwnerDone { opened: 0, ..absent }), [open(1)]);
        done.opened = 3;
        assert_eq!(of_owner(&all, 1, 3, &done), []);
        // A quorum has posted for the fourth round; it is the last one of the agenda.
        let all = book(vec![
            round(1, RoundState::Final, 2),
            round(3, RoundState::Final, 2),
            round(4, RoundState::Closed, 2),
        ]);
        assert_eq!(of_owner(&all, 1, 3, &done), [open(4)]);
        let all = book((1..4).map(|n| round(n, RoundState::Final, 2)).collect());
        assert_eq!(of_owner(&all, 1, 3, &done), [OwnerDuty::Release { model: 1 }]);
        done.released = true;
        assert_eq!(of_owner(&all, 1, 3, &done), []);
        // Of another model nothing is owed.
        assert_eq!(of_owner(&all, 2, 3, &OwnerDone::default()), []);
    }

    const MODEL: u64 = 1;

    fn dataset(n: u8, state: DatasetState) -> Dataset {
        let hash = B256::repeat_byte(n);
        Dataset {
            id: hash,
            number: n.into(),
            state,
            owner: Address::ZERO,
            rows: 1,
            quality: 1,
            root: hash,
            report_hash: hash,
            policy_hash: hash,
            enclave: Address::ZERO,
            version: 1,
            erased_at: None,
            donated_to: vec![MODEL],
        }
    }

    fn donor(donor: u16) -> Donor {
        Donor {
            donor,
            payee: Address::ZERO,
            dataset: B256::repeat_byte(donor as u8),
            weight: 1,
            enclave: Address::ZERO,
            root: B256::ZERO,
            decision: B256::ZERO,
            use_ended: false,
            excluded: false,
            earned: Amount::default(),
            paid: Amount::default(),
            owed: Amount::default(),
        }
    }

    /// A model of three donors in one enclave; the second has withdrawn, the third has erased its data.
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
            modelId: U256::from(MODEL),
            trainer: Address::ZERO,
            whitePaperHash: B256::ZERO,
            planHash: B256::ZERO,
            terms,
            deposit: U256::from(3),
        };
        let mut model = Model::proposed(MODEL, &proposed);
        model.state = state;
        model.donors = vec![donor(1), donor(2), donor(3)];
        model.model_hash = (state == ModelState::Trained).then_some(B256::ZERO);
        let mut book = Book::default();
        book.models.insert(MODEL, model);
        let states = [DatasetState::Registered, DatasetState::Withdrawn, DatasetState::Erased];
        for (n, state) in (1..).zip(states) {
            book.datasets.insert(B256::repeat_byte(n), dataset(n, state));
        }
        book
    }

    /// What is owed in each state, in order, and nothing twice.
    #[test]
    fn whoever_runs_the_one_enclave_owes_each_step_once() {
        let model = MODEL;
        let [forget, end] = [
            |donor| HostDuty::Forget { model: MODEL, donor },
            |donor| HostDuty::EndUse { model: MODEL, donor },
        ];
        let none = HostDone::default();
        let left = [forget(2), end(2), forget(3), end(3)];
        assert_eq!(of_host(&hosted(ModelState::Recruiting), model, &none), left);
        let training = hosted(ModelState::Training);
        let train = HostDuty::Train { model };
        assert_eq!(of_host(&training, model, &none), [&left[..], &[train]].concat());
        // Its data is forgotten whether somebody has ended its use or not, and its use is ended whether it is forgotten or not.
        let ended = |donors: &[usize]| {
            let mut book = hosted(ModelState::Training);
            let mut m = book.models.get(&model).unwrap().clone();
            donors.iter().for_each(|&i| m.donors[i].use_ended = true);
            book.models.insert(model, m);
            book
        };
        let training = ended(&[2]);
        let forgotten = HostDone { forgotten: [2].into(), ..none.clone() };
        assert_eq!(of_host(&training, model, &forgotten), [end(2), forget(3), train]);
        let training = ended(&[1, 2]);
        let done = HostDone { forgotten: [2, 3].into(), trained: true, ..none.clone() };
        assert_eq!(of_host(&training, model, &done), []);
        // Nothing is made of the data of nobody.
        let nobody = ended(&[0, 1, 2]);
        let forgotten = HostDone { forgotten: [2, 3].into(), ..none.clone() };
        assert_eq!(of_host(&nobody, model, &forgotten), []);

        // Given up: nothing is made of the data any more.
        let aborted = hosted(ModelState::Aborted);
        assert_eq!(of_host(&aborted, model, &none), [HostDuty::Destroy { model }]);
        assert_eq!(of_host(&aborted, model, &HostDone { destroyed: true, ..none.clone() }), []);

        // Whoever withdraws now stays in the model. Who asks for it gets it once, also when all else was done long ago.
        let trained = hosted(ModelState::Trained);
        let release = HostDuty::Release { model };
        assert_eq!(of_host(&trained, model, &none), [release]);
        let [first, second] = [1, 2].map(Address::repeat_byte);
        let hand = |query| HostDuty::HandModel { model, query };
        let asked = HostDone { asked: [first, second].into(), ..none.clone() };
        assert_eq!(of_host(&trained, model, &asked), [release, hand(first), hand(second)]);
        assert_eq!(of_host(&training, model, &asked).iter().filter(|d| **d == hand(first)).count(), 0);
        let done = HostDone { released: true, answered: [first].into(), ..asked };
        assert_eq!(of_host(&trained, model, &done), [hand(second)]);
        // Of a model that the ledger does not know nothing is owed.
        assert_eq!(of_host(&trained, 2, &none), []);
    }
}
