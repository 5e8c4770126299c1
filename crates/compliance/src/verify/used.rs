//! What the run rests on. Anybody may register an enclave whose evidence exists nowhere, or donate with a plain key: as long
//! as nothing was made with it, that is somebody's lie and no fault of the run.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use histone_contracts::{Contract, Market, Rounds, reasons, survivors};
use histone_federation::header::RoundHeader;
use histone_protocol::report::HostedStatement;
use histone_protocol::{Address, B256};

use super::history::{Moment, Seen};
use super::run::Run;

/// What opened rounds and bought queries name.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Training enclaves in the cohort of an opened header, each with the evidence that the header names and the position of
    /// the opening.
    pub(super) enclaves: BTreeSet<(Address, B256, usize)>,
    /// Datasets in such a cohort, each with its version.
    pub(super) datasets: BTreeSet<(B256, B256)>,
    /// Enclaves that had all data of a model that they have made, with the position at which they said so.
    pub(super) hosts: BTreeSet<(Address, usize)>,
    /// The donations of such versions, by position.
    pub(super) donated: BTreeSet<(B256, usize)>,
    /// Query enclaves of which an answer was bought, with the positions of purchase and settlement: what else was put into
    /// service sold nothing.
    pub(super) serving: BTreeSet<(Address, usize)>,
    /// Donors, by model and number, whose updates are in a sum that the committee locked and so could open, or whose data the one
    /// enclave has used.
    pub(super) donors: BTreeSet<(u64, u16)>,
    /// Models of which a round was opened, or that one enclave has made.
    pub(super) trained: BTreeSet<u64>,
}

impl Used {
    /// Looks at all headers that were opened, and at all queries.
    pub(super) fn by(run: &Run) -> Self {
        let mut used = Self::default();
        let opened = run.events::<Rounds::RoundOpened>(Contract::Rounds);
        let orders: BTreeMap<B256, usize> = opened.iter().map(|s| (s.event.headerHash, s.order)).collect();
        let models = run.record.models.iter();
        let mut cohort = BTreeSet::new();
        for (model, record) in models.flat_map(|m| m.rounds.iter().map(|round| (m.model_id, round))) {
            // A header that cannot be read fails the check of its round.
            let header = run.blob(record.header).ok().and_then(|bytes| RoundHeader::decode(&bytes).ok());
            let Some(header) = header else { continue };
            let Some(order) = orders.get(&B256::from(header.hash())) else { continue };
            for donor in &header.fields().cohort {
                used.enclaves.insert((Address::from(donor.enclave), B256::from(donor.evidence), *order));
                let (id, root) = (B256::from(donor.lineage), B256::from(donor.root));
                used.datasets.insert((id, root));
                cohort.insert((U256::from(model), id, root));
            }
        }
        for hosted in run.events::<Market::HostedModel>(Contract::Market) {
            let model = u64::try_from(hosted.event.modelId).unwrap_or(0);
            if !run.covers(hosted.event.modelId) {
                continue;
            }
            used.hosts.insert((hosted.event.enclave, hosted.order));
            used.trained.insert(model);
            // One that cannot be read fails the check of the model.
            let said = run.signed::<HostedStatement>(hosted.event.statementHash);
            for donor in said.into_iter().flat_map(|(said, _)| said.donors) {
                used.datasets.insert((donor.dataset, donor.root));
                used.donors.insert((model, donor.donor));
                cohort.insert((hosted.event.modelId, donor.dataset, donor.root));
            }
        }
        let donated = run.events::<Market::Donated>(Contract::Market).into_iter();
        // What its owner does with the same version for another model is another matter.
        let donated =
            donated.filter(|s| cohort.contains(&(s.event.modelId, s.event.datasetId, s.event.root)));
        used.donated = donated.map(|s| (s.event.datasetId, s.order)).collect();
        let mut bought = run.events::<Market::QueryBought>(Contract::Market);
        bought.retain(|s| run.covers(s.event.modelId));
        let settled = run.events::<Market::QuerySettled>(Contract::Market);
        for sold in &bought {
            let (enclave, query) = (sold.event.enclave, sold.event.queryId);
            let settled = settled.iter().filter(|s| s.event.queryId == query).map(|s| s.order);
            used.serving.extend(std::iter::once(sold.order).chain(settled).map(|order| (enclave, order)));
        }
        for round in &opened {
            let model = u64::try_from(round.event.modelId).unwrap_or(0);
            used.trained.insert(model);
            if let Some(sum) = Locked::of(run, round).filter(|sum| sum.is_open(round.event.quorum)) {
                used.donors.extend(sum.survivors.into_iter().map(|donor| (model, donor)));
            }
        }
        used
    }
}

/// A closed round: who is in its sum after everybody left who had to, and what the committee posted for it.
#[derive(Debug)]
pub(super) struct Locked {
    /// Donors in the sum, ascending.
    pub(super) survivors: Vec<u16>,
    /// The partial sums for these survivors, in the order in which they were posted.
    posted: Vec<Posted>,
}

/// A partial sum on the ledger.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) member: Address,
    pub(super) hash: B256,
    at: Moment,
    /// When the ledger took it back, because its member was named.
    taken_back: Option<usize>,
}

impl Locked {
    /// `None` when the round was never closed.
    pub(super) fn of(run: &Run, round: &Seen<Rounds::RoundOpened>) -> Option<Self> {
        let here = |model: U256, number: u32| (model, number) == (round.event.modelId, round.event.round);
        let closed = run.events::<Rounds::RoundClosed>(Contract::Rounds);
        let closed = closed.iter().find(|s| here(s.event.modelId, s.event.round))?;
        let last = run.events::<Rounds::RoundFinal>(Contract::Rounds);
        let last = last.iter().find(|s| here(s.event.modelId, s.event.round));
        let dropped = run.events::<Rounds::DonorDropped>(Contract::Rounds);
        let dropped: BTreeMap<u16, u16> = dropped
            .iter()
            .filter(|s| here(s.event.modelId, s.event.round) && s.order > closed.order)
            .map(|s| (s.event.donorIndex, s.event.attempt))
            .collect();
        let mut survivors = survivors::listed(&closed.event.bitmap);
        survivors.retain(|donor| !dropped.contains_key(donor));
        let attempt = dropped.values().copied().max().unwrap_or(0);
        let named = named(run, round);
        // The ledger takes a post back as long as the round is not final; who is named later was in the sum.
        let end = last.map_or(usize::MAX, |last| last.order);
        let posted = run.events::<Rounds::PartialPosted>(Contract::Rounds).into_iter();
        let posted = posted.filter(|s| here(s.event.modelId, s.event.round) && s.event.attempt == attempt);
        let posted = posted.map(|s| Posted {
            member: s.event.member,
            hash: s.event.partialHash,
            at: s.moment(),
            taken_back: named.get(&s.event.member).copied().filter(|named| *named < end),
        });
        Some(Self { survivors, posted: posted.collect() })
    }

    /// The partial sums that the ledger still has.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Posted> {
        self.posted.iter().filter(|p| p.taken_back.is_none())
    }

    fn is_open(&self, quorum: u8) -> bool {
        self.opening(quorum).is_ok()
    }

    /// The posts of the quorum, in their order: from the last of them on the sum could be opened, whatever was taken back
    /// afterwards.
    pub(super) fn opening(&self, quorum: u8) -> Result<Vec<Moment>, String> {
        let there = |last: &Posted| {
            let until = self.posted.iter().filter(|p| p.at.order <= last.at.order);
            let until = until.filter(|p| p.taken_back.is_none_or(|taken| taken > last.at.order));
            until.map(|p| p.at).collect::<Vec<_>>()
        };
        let mut quorums = self.posted.iter().map(there);
        let opening = quorums.find(|posts| posts.len() >= usize::from(quorum));
        opening.ok_or_else(|| format!("its quorum of {quorum} partial sums was not there"))
    }
}

/// Who was named in a round for what costs a member its part, and when first.
pub(super) fn named(run: &Run, round: &Seen<Rounds::RoundOpened>) -> BTreeMap<Address, usize> {
    let mut named = BTreeMap::new();
    for s in run.events::<Rounds::MemberNamed>(Contract::Rounds) {
        let here = (s.event.modelId, s.event.round) == (round.event.modelId, round.event.round);
        if here && !reasons::is_only_said(s.event.reason) {
            named.entry(s.event.member).or_insert(s.order);
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quorum_says_when_a_sum_could_be_opened() {
        let at = |order: usize| Moment { time: 100, order };
        let posted = |posts: [(usize, Option<usize>); 3]| {
            let of = |(order, taken_back)| Posted {
                member: Address::ZERO,
                hash: B256::ZERO,
                at: at(order),
                taken_back,
            };
            Locked { survivors: Vec::new(), posted: posts.map(of).into() }
        };
        let missing = |quorum| Err(format!("its quorum of {quorum} partial sums was not there"));
        let opening = |sum: &Locked, quorum| Ok(sum.opening(quorum)?.iter().map(|m| m.order).collect());
        let sum = posted([(3, None), (9, None), (12, None)]);
        let of = |sum: &Locked| [1, 2, 3, 4].map(|quorum| opening(sum, quorum));
        assert_eq!(of(&sum), [Ok(vec![3]), Ok(vec![3, 9]), Ok(vec![3, 9, 12]), missing(4)]);
        // What is taken back before the quorum is there does not count; what was opened stays open.
        let sum = posted([(3, Some(10)), (9, None), (12, None)]);
        assert_eq!(of(&sum), [Ok(vec![3]), Ok(vec![3, 9]), missing(3), missing(4)]);
        let sum = posted([(3, Some(5)), (9, None), (12, None)]);
        assert_eq!(of(&sum), [Ok(vec![3]), Ok(vec![9, 12]), missing(3), missing(4)]);
        assert_eq!(sum.kept().count(), 2);
    }
}
