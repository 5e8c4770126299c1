//! Who sits in the committee of a training.

use std::collections::BTreeMap;

use histone_contracts::{Contract, LedgerError, LedgerView, Logged, Market, Members, Rounds, roles};
use histone_federation::header::Seat;
use histone_protocol::committee::MAX_MEMBERS;
use histone_protocol::seal::{SealProof, SealPublicKey};
use histone_protocol::{Address, B256, U256};

/// A place on the chain: block and position among its logs.
type At = (u64, u64);

/// The committee of a model as it was fixed; `None` before the training starts.
pub async fn fixed_committee(
    model_id: U256,
    ledger: &impl LedgerView,
) -> Result<Option<Logged<Rounds::CommitteeFixed>>, LedgerError> {
    let fixed = ledger.logged::<Rounds::CommitteeFixed>(Contract::Rounds, Some(B256::from(model_id))).await?;
    Ok(fixed.into_iter().next())
}

/// The seats in a header's form.
pub fn seats(fixed: &Rounds::CommitteeFixed) -> Vec<Seat> {
    let pairs = fixed.seats.iter().zip(&fixed.sealKeys);
    pairs.map(|(account, key)| Seat { address: account.into_array(), seal_key: key.0 }).collect()
}

/// Who may and who must sit in the committee of a model. Whoever chose the committee could open single updates, so nobody
/// does: it is all committee members of the ledger whose possession of their key was proven when the model was proposed.
/// One that proves a key only afterwards may be among them, and a proof that does not hold is none. Of more than a committee
/// can seat it is those that are ready for longest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RightCommittee {
    may: BTreeMap<Address, B256>,
    /// Those of them that were ready when the model was proposed.
    must: Vec<Address>,
}

/// One committee member of the ledger, folded from what happened to it in order.
#[derive(Debug, Default, Clone, Copy)]
struct Candidate {
    key: B256,
    /// From where on it has had the role without a break.
    seated: Option<At>,
    /// From where on it has claimed, without a break, to have proved this key: what the contract asks for a seat. Whoever
    /// changes its key and changes it back claims nothing any more, although its old proof holds.
    claimed: Option<At>,
}

/// What happened to one account.
enum Turn {
    Added(bool, B256),
    Removed,
    Role(bool),
    Key(B256),
    Proof(B256),
}

impl Candidate {
    fn take(&mut self, turn: &Turn, at: At) {
        match *turn {
            Turn::Added(seated, key) => {
                *self = Self { key, seated: seated.then_some(at), claimed: None };
            }
            Turn::Removed => *self = Self::default(),
            Turn::Role(true) => self.seated = self.seated.or(Some(at)),
            Turn::Role(false) => self.seated = None,
            Turn::Key(key) if key == self.key => {}
            Turn::Key(key) => (self.key, self.claimed) = (key, None),
            Turn::Proof(key) if key == self.key => self.claimed = self.claimed.or(Some(at)),
            Turn::Proof(key) => (self.key, self.claimed) = (key, Some(at)),
        }
    }
}

impl RightCommittee {
    /// As of a place on the chain: when the training of a model started, or now ([`u64::MAX`]).
    pub async fn at(model_id: U256, at: At, ledger: &impl LedgerView) -> Result<Self, LedgerError> {
        let proposed = ledger
            .logged::<Market::ModelProposed>(Contract::Market, Some(B256::from(model_id)))
            .await?
            .first()
            .map_or((0, 0), |e| e.at);
        let committee = |bits: u8| bits & roles::COMMITTEE != 0;
        let members = Contract::Members;
        let mut turns = Vec::new();
        for e in ledger.logged::<Members::MemberAdded>(members, None).await? {
            turns.push((e.at, e.event.account, Turn::Added(committee(e.event.roles), e.event.sealKey)));
        }
        for e in ledger.logged::<Members::RolesChanged>(members, None).await? {
            turns.push((e.at, e.event.account, Turn::Role(committee(e.event.roles))));
        }
        for e in ledger.logged::<Members::MemberRemoved>(members, None).await? {
            turns.push((e.at, e.event.account, Turn::Removed));
        }
        for e in ledger.logged::<Members::MemberUpdated>(members, None).await? {
            turns.push((e.at, e.event.account, Turn::Key(e.event.sealKey)));
        }
        // Where each key was first shown to be held by its account. Possession does not end.
        let mut proven: BTreeMap<(Address, B256), At> = BTreeMap::new();
        for e in ledger.logged::<Members::SealKeyProven>(members, None).await? {
            let Members::SealKeyProven { account, sealKey, r, s } = e.event;
            turns.push((e.at, account, Turn::Proof(sealKey)));
            let proof = SealProof { r, s };
            if SealPublicKey(sealKey).verify(&proof, account, ledger.deployment().id()) {
                let first = proven.entry((account, sealKey)).or_insert(e.at);
                *first = e.at.min(*first);
            }
        }
        turns.retain(|(when, ..)| *when < at);
        turns.sort_by_key(|(when, ..)| *when);
        let mut candidates: BTreeMap<Address, Candidate> = BTreeMap::new();
        for (when, account, turn) in &turns {
            candidates.entry(*account).or_default().take(turn, *when);
        }
        let mut ready: Vec<(At, Address, B256)> = candidates
            .into_iter()
            .filter_map(|(account, c)| {
                let first = proven.get(&(account, c.key)).filter(|first| **first < at)?;
                Some((c.seated?.max(c.claimed?).max(*first), account, c.key))
            })
            .collect();
        ready.sort_unstable();
        ready.truncate(MAX_MEMBERS.into());
        Ok(Self {
            must: ready.iter().filter(|(since, ..)| *since < proposed).map(|(_, who, _)| *who).collect(),
            may: ready.into_iter().map(|(_, account, key)| (account, key)).collect(),
        })
    }

    /// Everybody who may sit, ascending: whom a trainer names when it starts.
    pub fn everybody(&self) -> Vec<(Address, B256)> {
        self.may.iter().map(|(account, key)| (*account, *key)).collect()
    }

    /// Whether these seats are right.
    pub fn check(&self, seats: &[Seat]) -> Result<(), String> {
        for seat in seats {
            let account = Address::from(seat.address);
            if self.may.get(&account) != Some(&B256::from(seat.seal_key)) {
                return Err(format!(
                    "its committee has {account}, who was no committee member of the ledger with a proven key when the training started"
                ));
            }
        }
        match self.must.iter().find(|account| seats.iter().all(|s| s.address != account.into_array())) {
            Some(account) => Err(format!("its committee lacks {account}, whose key was proven in time")),
            None => Ok(()),
        }
    }
}
