//! What enclaves say a sealed round led to.
//!
//! Nobody outside sees the sum of a sealed round, so nobody outside recomputes it. Each enclave of the round that opened it signs
//! the names of the state and of the question that follow ([`StateReceipt`]); names are keyed by the sum and show nothing of it.
//! The trainer puts what they signed into one document, which the ledger names when the round is final. A round is carried when
//! more than half of the donors in its sum say the same. Who says something else is in the document, too.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use crate::hash::blob_hash;
use crate::keys::{SignatureBytes, SigningKey};
use crate::receipt::{self, StateReceipt};

/// Version of the document.
pub const FORMAT: &str = "histone-agreement/1";

/// The round that statements are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedRound {
    /// Chain of the ledger.
    pub chain_id: u64,
    /// Its contract of rounds.
    pub rounds: Address,
    /// The model.
    pub model_id: u64,
    /// Number of the round.
    pub round: u32,
    /// Hash of its header.
    pub header: B256,
    /// Hash of the set of survivors, with their blobs.
    pub survivors: B256,
}

/// What one enclave says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateStatement {
    /// The donor whose enclave it is.
    pub donor: u16,
    /// Name of the state after the round; of the model after the last one.
    pub state: B256,
    /// Name of what is asked next; after the last round, the blob of what is released.
    pub next: B256,
    /// Seats of the committee whose partial sums this enclave could not read, or that contradict the others.
    pub wrong: Vec<u8>,
    /// Of the enclave, on [`StateReceipt`].
    pub signature: SignatureBytes,
}

impl StateStatement {
    /// Signs what a round led to.
    pub fn sign(
        of: &SealedRound,
        donor: u16,
        (state, next): (B256, B256),
        wrong: Vec<u8>,
        key: &SigningKey,
    ) -> Self {
        let signature = key.sign(digest(of, donor, (state, next), &wrong));
        Self { donor, state, next, wrong, signature }
    }

    /// Whether this enclave signed it.
    pub fn is_by(&self, of: &SealedRound, enclave: Address) -> bool {
        let digest = digest(of, self.donor, (self.state, self.next), &self.wrong);
        self.signature.recover(digest) == Ok(enclave)
    }
}

fn digest(of: &SealedRound, donor: u16, (state, next): (B256, B256), wrong: &[u8]) -> B256 {
    let receipt = StateReceipt {
        modelId: U256::from(of.model_id),
        round: of.round,
        headerHash: of.header,
        survivorsHash: of.survivors,
        state,
        next,
        wrongSeats: wrong.to_vec().into(),
        donorIndex: donor,
    };
    receipt::digest(&receipt, &receipt::domain(of.chain_id, of.rounds))
}

/// What the enclaves of a round said, ascending by donor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// [`FORMAT`].
    pub format: String,
    /// What each said.
    pub statements: Vec<StateStatement>,
}

/// A round that enough enclaves carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Name of the state.
    pub state: B256,
    /// Name of what is asked next, or the blob of what is released.
    pub next: B256,
    /// Donors whose enclaves say so.
    pub signers: Vec<u16>,
    /// Donors whose enclaves say something else.
    pub others: Vec<u16>,
    /// Seats that a signer could not read or found wrong, with how many say so.
    pub wrong: BTreeMap<u8, usize>,
}

impl Carried {
    /// How it is said of a round, for people and for `result.json`.
    pub fn words(&self, survivors: usize) -> String {
        format!("signed by {} of {survivors} enclaves", self.signers.len())
    }
}

/// A statement that counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// The donor in whose name it is.
    pub donor: u16,
    /// Why it does not count.
    pub why: Invalid,
}

/// Why a statement counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invalid {
    /// Its donor is not in the sum.
    Stranger,
    /// Its enclave did not sign it for this round, header and survivors.
    Signature,
    /// Its enclave has said the same before; that counts.
    Again,
    /// Its enclave has signed two different states of one round; neither counts.
    Contradicts,
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a statement of donor {} counts for nothing: ", self.donor)?;
        f.write_str(match self.why {
            Invalid::Stranger => "the donor is not in the sum",
            Invalid::Signature => "it is not signed by its enclave for this round, header and survivors",
            Invalid::Again => "its enclave has said the same before, which counts",
            Invalid::Contradicts => "its enclave has signed another one of this round; neither counts",
        })
    }
}

/// How it is said of a round that everybody computes again.
pub const RECOMPUTED: &str = "recomputed";

/// Why a document is no agreement.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// Not JSON of the expected shape.
    #[error("not an agreement of enclaves")]
    Malformed(#[source] serde_json::Error),
    /// Parsed, but the canonical bytes of what was parsed are others.
    #[error("the agreement is not in its canonical encoding")]
    NotCanonical,
    /// Another version.
    #[error("the agreement has the format `{}`, this version reads {FORMAT}", .0.escape_debug())]
    Format(String),
    /// Donors out of order.
    #[error("the statements of the agreement are not ascending by donor, or one donor has two")]
    Order,
    /// A statement of nobody in the sum.
    #[error("donor {donor} has a statement in the agreement and is not in the sum")]
    Stranger {
        /// The donor.
        donor: u16,
    },
    /// A statement that its enclave did not sign.
    #[error("the statement of donor {donor} is not signed by its enclave for this round")]
    Signature {
        /// The donor.
        donor: u16,
    },
    /// No majority.
    #[error(
        "{most} of the {survivors} enclaves in the sum say the same of what it led to; more than half have to. They differ: {}",
        told(.said)
    )]
    NoMajority {
        /// Most that say the same.
        most: usize,
        /// Donors in the sum.
        survivors: usize,
        /// Who said what.
        said: Vec<(B256, Vec<u16>)>,
    },
}

fn told(said: &[(B256, Vec<u16>)]) -> String {
    let one = |(state, donors): &(B256, Vec<u16>)| format!("donors {donors:?} say {state}");
    match said.is_empty() {
        true => "nobody has said anything".into(),
        false => said.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

impl Agreement {
    /// Puts statements in order.
    pub fn new(mut statements: Vec<StateStatement>) -> Self {
        statements.sort_unstable_by_key(|s| s.donor);
        statements.dedup_by_key(|s| s.donor);
        Self { format: FORMAT.into(), statements }
    }

    /// Puts those statements in order that count in a round; gives the others beside it, each kind of a donor once. What somebody
    /// says in a donor's name takes nothing from what its enclave has signed.
    pub fn of_valid(
        statements: Vec<StateStatement>,
        of: &SealedRound,
        enclaves: &BTreeMap<u16, Address>,
    ) -> (Self, Vec<Dropped>) {
        let (mut valid, mut dropped) = (BTreeMap::<u16, StateStatement>::new(), BTreeSet::new());
        for statement in statements {
            let donor = statement.donor;
            let why = match (enclaves.get(&donor), valid.get(&donor)) {
                (None, _) => Invalid::Stranger,
                (Some(enclave), _) if !statement.is_by(of, *enclave) => Invalid::Signature,
                (Some(_), None) => {
                    valid.insert(donor, statement);
                    continue;
                }
                // Seats that it found wrong may be others: partial sums may have come in between.
                (Some(_), Some(s)) if (s.state, s.next) == (statement.state, statement.next) => {
                    Invalid::Again
                }
                (Some(_), Some(_)) => Invalid::Contradicts,
            };
            dropped.insert(Dropped { donor, why });
        }
        valid.retain(|&donor, _| !dropped.contains(&Dropped { donor, why: Invalid::Contradicts }));
        (Self::new(valid.into_values().collect()), dropped.into_iter().collect())
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: numbers, strings and hashes always serialize.
        #[allow(clippy::unwrap_used)]
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes
    }

    /// The name of the document: the hash of its blob.
    pub fn hash(&self) -> B256 {
        blob_hash(&self.to_bytes())
    }

    /// Reads a document. Whether it carries its round is [`Self::carried`]'s to say.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AgreementError> {
        let agreement: Self = serde_json::from_slice(bytes).map_err(AgreementError::Malformed)?;
        if agreement.format != FORMAT {
            return Err(AgreementError::Format(agreement.format));
        }
        if agreement.to_bytes() != bytes {
            return Err(AgreementError::NotCanonical);
        }
        match agreement.statements.is_sorted_by(|a, b| a.donor < b.donor) {
            true => Ok(agreement),
            false => Err(AgreementError::Order),
        }
    }

    /// What more than half of the donors in the sum say. `enclaves` are theirs, by donor.
    pub fn carried(
        &self,
        of: &SealedRound,
        enclaves: &BTreeMap<u16, Address>,
    ) -> Result<Carried, AgreementError> {
        let mut said: BTreeMap<(B256, B256), Vec<u16>> = BTreeMap::new();
        for statement in &self.statements {
            let donor = statement.donor;
            let enclave = *enclaves.get(&donor).ok_or(AgreementError::Stranger { donor })?;
            if !statement.is_by(of, enclave) {
                return Err(AgreementError::Signature { donor });
            }
            said.entry((statement.state, statement.next)).or_default().push(donor);
        }
        let survivors = enclaves.len();
        let most = said.iter().max_by_key(|(_, donors)| donors.len());
        let Some((&(state, next), signers)) = most.filter(|(_, donors)| 2 * donors.len() > survivors) else {
            let most = most.map_or(0, |(_, donors)| donors.len());
            let said = said.into_iter().map(|((state, _), donors)| (state, donors)).collect();
            return Err(AgreementError::NoMajority { most, survivors, said });
        };
        let agree = |s: &&StateStatement| signers.contains(&s.donor);
        let mut wrong = BTreeMap::new();
        // One enclave names a seat once, however often it writes it.
        let seats = |s: &StateStatement| s.wrong.iter().copied().collect::<BTreeSet<u8>>();
        for seat in self.statements.iter().filter(agree).flat_map(seats) {
            *wrong.entry(seat).or_default() += 1;
        }
        let others = self.statements.iter().filter(|s| !agree(s)).map(|s| s.donor).collect();
        Ok(Carried { state, next, signers: signers.clone(), others, wrong })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn round() -> SealedRound {
        SealedRound {
            chain_id: 31_337,
            rounds: Address::repeat_byte(1),
            model_id: 2,
            round: 3,
            header: B256::repeat_byte(4),
            survivors: B256::repeat_byte(5),
        }
    }

    fn key(donor: u16) -> SigningKey {
        SigningKey::from_bytes(&[donor as u8; 32]).unwrap()
    }

    fn said(donor: u16, state: u8) -> StateStatement {
        let names = (B256::repeat_byte(state), B256::repeat_byte(9));
        StateStatement::sign(&round(), donor, names, vec![], &key(donor))
    }

    fn enclaves(donors: u16) -> BTreeMap<u16, Address> {
        (1..=donors).map(|d| (d, key(d).address())).collect()
    }

    #[test]
    fn more_than_half_carry_a_round_and_the_others_are_named() {
        let agreement = Agreement::new(vec![said(3, 7), said(1, 6), said(2, 6)]);
        let read = Agreement::from_bytes(&agreement.to_bytes()).unwrap();
        assert_eq!(read, agreement);
        let carried = read.carried(&round(), &enclaves(3)).unwrap();
        assert_eq!((carried.state, &carried.signers[..]), (B256::repeat_byte(6), &[1, 2][..]));
        assert_eq!(carried.others, [3]);
        // Two of four are not more than half, whoever is silent.
        let error = read.carried(&round(), &enclaves(4)).unwrap_err().to_string();
        assert!(error.starts_with("2 of the 4 enclaves in the sum say the same"), "{error}");
        assert!(error.contains("donors [3] say 0x0707"), "{error}");
    }

    #[test]
    fn a_statement_counts_for_its_round_and_its_enclave_only() {
        let one = Agreement::new(vec![said(1, 6), said(2, 6)]);
        for (other, what) in [
            (SealedRound { chain_id: 1, ..round() }, "chain"),
            (SealedRound { rounds: Address::ZERO, ..round() }, "contract"),
            (SealedRound { model_id: 3, ..round() }, "model"),
            (SealedRound { round: 4, ..round() }, "round"),
            (SealedRound { header: B256::ZERO, ..round() }, "header"),
            (SealedRound { survivors: B256::ZERO, ..round() }, "survivors"),
        ] {
            let error = one.carried(&other, &enclaves(3)).unwrap_err();
            assert!(matches!(error, AgreementError::Signature { donor: 1 }), "{what}: {error}");
        }
        let mut altered = one.clone();
        altered.statements[1].wrong = vec![1];
        let error = altered.carried(&round(), &enclaves(3)).unwrap_err();
        assert!(matches!(error, AgreementError::Signature { donor: 2 }), "{error}");
        let error = one.carried(&round(), &enclaves(1)).unwrap_err();
        assert!(matches!(error, AgreementError::Stranger { donor: 2 }), "{error}");
        let mut twice = one.clone();
        twice.statements.push(said(2, 6));
        assert!(matches!(Agreement::from_bytes(&twice.to_bytes()), Err(AgreementError::Order)));
    }

    #[test]
    fn what_does_not_count_is_dropped_and_named() {
        let of =
            |statements: &[StateStatement]| Agreement::of_valid(statements.to_vec(), &round(), &enclaves(3));
        let all = [said(1, 6), said(2, 6), said(3, 6)];
        let honest = Agreement::new(all.to_vec());
        assert_eq!(of(&all), (honest.clone(), vec![]));
        let signed_for = |other: SealedRound| {
            let names = (B256::repeat_byte(6), B256::repeat_byte(9));
            StateStatement::sign(&other, 3, names, vec![], &key(3))
        };
        let altered = StateStatement { wrong: vec![1], ..said(3, 6) };
        let stolen = StateStatement { donor: 3, ..said(1, 6) };
        for (statement, what) in [
            (signed_for(SealedRound { round: 4, ..round() }), "round"),
            (signed_for(SealedRound { header: B256::ZERO, ..round() }), "header"),
            (signed_for(SealedRound { survivors: B256::ZERO, ..round() }), "survivors"),
            (altered, "altered"),
            (stolen, "of another donor"),
        ] {
            let forged = Dropped { donor: 3, why: Invalid::Signature };
            let (agreement, dropped) = of(&[all[0].clone(), statement.clone(), all[1].clone()]);
            assert_eq!((agreement.statements.len(), &dropped[..]), (2, &[forged][..]), "{what}");
            assert_eq!(agreement.carried(&round(), &enclaves(3)).unwrap().signers, [1, 2], "{what}");
            // Before or behind the right one, however often, it takes nothing from it.
            let lies = [&[statement.clone(), statement.clone()][..], &all, &[statement]].concat();
            assert_eq!(of(&lies), (honest.clone(), vec![forged]), "{what}");
        }
        let stranger = Dropped { donor: 9, why: Invalid::Stranger };
        assert_eq!(of(&[&all[..], &[said(9, 6)]].concat()), (honest.clone(), vec![stranger]));
        let again = Dropped { donor: 2, why: Invalid::Again };
        assert_eq!(of(&[&all[..], &[said(2, 6)]].concat()), (honest, vec![again]));
        // Whoever says two things has said nothing, in whichever order.
        for two in [[said(2, 7), said(2, 6)], [said(2, 6), said(2, 7)]] {
            let (agreement, dropped) = of(&[&two[..], &[said(1, 6), said(3, 6)]].concat());
            assert_eq!(dropped, [Dropped { donor: 2, why: Invalid::Contradicts }]);
            let carried = agreement.carried(&round(), &enclaves(3)).unwrap();
            assert_eq!((&carried.signers[..], carried.others.len()), (&[1, 3][..], 0));
        }
    }

    #[test]
    fn an_enclave_names_a_seat_once() {
        let names = (B256::repeat_byte(6), B256::repeat_byte(9));
        let often = StateStatement::sign(&round(), 1, names, vec![2, 2, 2, 5], &key(1));
        let agreement = Agreement::new(vec![often, said(2, 6), said(3, 6)]);
        let carried = agreement.carried(&round(), &enclaves(3)).unwrap();
        assert_eq!(carried.wrong, BTreeMap::from([(2, 1), (5, 1)]));
    }
}
