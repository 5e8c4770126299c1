//! The sketches of all validated datasets, and what a new table is beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use histone_contracts::dataset_id;
use histone_program_sdk::wire::{Reader, WireError, Writer};
use histone_protocol::notice::{Earlier, MOST_EARLIER};
use histone_protocol::{Address, B256};

use super::{Sketch, SketchKey};

const VERSION: u8 = 1;

/// What the ledger says of datasets.
#[derive(Debug, Clone, Default)]
pub struct Register {
    /// By lineage.
    pub datasets: BTreeMap<B256, Registered>,
}

/// One dataset on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registered {
    /// Its owner.
    pub owner: Address,
    /// The commitment in force.
    pub root: B256,
    /// Whether it was taken back.
    pub withdrawn: bool,
    /// Whether its owner declared it erased.
    pub erased: bool,
}

/// A table that asks to be placed among those that are known.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its owner.
    pub owner: Address,
    /// The commitment over its rows.
    pub root: B256,
    /// The dataset of which the owner says that this is a new version.
    pub replaces: Option<B256>,
    /// Its sketch.
    pub sketch: &'a Sketch,
}

/// Where a table belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The dataset of the same owner of which it is a new version; its own id when there is none.
    pub lineage: B256,
    /// Datasets of other owners that held its rows before.
    pub earlier: Vec<Earlier>,
    /// Whether there are more of these.
    pub more: bool,
}

/// Why a table is not placed. Only the owner's own datasets are ever named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Its rows are in other datasets of the same owner.
    #[error(
        "its rows are already in your {}; update that one, or withdraw all of them but the one to update", list(.0)
    )]
    Known(Vec<B256>),
    /// Its rows were withdrawn.
    #[error("its rows are those of your {}, which you withdrew for good", list(.0))]
    Withdrawn(Vec<B256>),
    /// The owner wants to update what it does not have.
    #[error("the dataset {0} that it should replace is not a dataset of yours in force")]
    NotYours(B256),
    /// It was validated before, as something else.
    #[error("the same table was validated before as a version of the dataset {0}")]
    Placed(B256),
    /// Sketches of registered datasets are not there.
    #[error(
        "the sketches of {} registered datasets are missing, the first is that of {first}: an older index was put in the place of the last one, or other validation enclaves have them", others + 1
    )]
    Missing {
        /// One of them.
        first: B256,
        /// How many more.
        others: usize,
    },
}

fn list(lineages: &[B256]) -> String {
    let names: Vec<String> = lineages.iter().map(ToString::to_string).collect();
    format!("dataset{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

/// One validated version of a dataset.
#[derive(Clone, PartialEq, Eq)]
struct Version {
    owner: Address,
    root: B256,
    place: Place,
    sketch: Sketch,
}

impl Version {
    fn id(&self) -> B256 {
        dataset_id(self.owner, self.root)
    }
}

/// The sketch key with all sketches under it, in the order of validation.
#[derive(Clone, PartialEq, Eq)]
pub struct Index {
    key: SketchKey,
    versions: Vec<Version>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} versions)", self.versions.len())
    }
}

impl Index {
    /// An empty index.
    pub fn new(key: SketchKey) -> Self {
        Self { key, versions: Vec::new() }
    }

    /// The key of its sketches.
    pub fn key(&self) -> &SketchKey {
        &self.key
    }

    /// How many versions it holds.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Says where a table belongs, and keeps its sketch there. The index has to be kept before the answer leaves.
    pub fn place(&mut self, candidate: Candidate<'_>, register: &Register) -> Result<Place, Misplaced> {
        let id = dataset_id(candidate.owner, candidate.root);
        // A table that was placed is answered again in the same way: the owner's node may have lost the answer.
        if let Some(version) = self.versions.iter().find(|v| v.id() == id) {
            let place = version.place.clone();
            return match candidate.replaces.is_none_or(|wanted| wanted == place.lineage) {
                true => Ok(place),
                false => Err(Misplaced::Placed(place.lineage)),
            };
        }
        // What the ledger has already may come back in any order, so that a lost index can be made again.
        let on_ledger =
            register.datasets.iter().find(|(_, d)| (d.owner, d.root) == (candidate.owner, candidate.root));
        let lineage = match on_ledger {
            Some((lineage, d)) if d.withdrawn => return Err(Misplaced::Withdrawn(vec![*lineage])),
            Some((lineage, _)) => *lineage,
            None => {
                self.complete(register)?;
                self.lineage(id, &candidate, register)?
            }
        };
        let place = self.beside_others(lineage, &candidate, register);
        let Candidate { owner, root, sketch, .. } = candidate;
        self.versions.push(Version { owner, root, place: place.clone(), sketch: sketch.clone() });
        Ok(place)
    }

    /// Whether the sketch of each dataset in force is there.
    fn complete(&self, register: &Register) -> Result<(), Misplaced> {
        let known: BTreeSet<B256> = self.versions.iter().map(Version::id).collect();
        let mut missing = register
            .datasets
            .iter()
            .filter(|(_, d)| !d.withdrawn && !known.contains(&dataset_id(d.owner, d.root)));
        match missing.next() {
            None => Ok(()),
            Some((first, _)) => Err(Misplaced::Missing { first: *first, others: missing.count() }),
        }
    }

    /// Which of the owner's datasets this is.
    fn lineage(&self, id: B256, candidate: &Candidate<'_>, register: &Register) -> Result<B256, Misplaced> {
        let withdrawn = |lineage: &B256| register.datasets.get(lineage).is_some_and(|d| d.withdrawn);
        let own = self.versions.iter().filter(|v| v.owner == candidate.owner);
        let same: BTreeSet<B256> =
            own.filter(|v| v.sketch.overlap(candidate.sketch).same).map(|v| v.place.lineage).collect();
        let (gone, in_force): (Vec<B256>, Vec<B256>) = same.into_iter().partition(withdrawn);
        match (candidate.replaces, &in_force[..]) {
            (Some(wanted), others) => {
                let yours = register
                    .datasets
                    .get(&wanted)
                    .is_some_and(|d| d.owner == candidate.owner && !d.withdrawn);
                match others.iter().any(|o| *o != wanted) {
                    _ if !yours => Err(Misplaced::NotYours(wanted)),
                    true => Err(Misplaced::Known(in_force)),
                    false => Ok(wanted),
                }
            }
            (None, [one]) => Ok(*one),
            (None, [_, ..]) => Err(Misplaced::Known(in_force)),
            (None, []) if gone.is_empty() => Ok(id),
            (None, []) => Err(Misplaced::Withdrawn(gone)),
        }
    }

    /// Who else held these rows before the lineage did.
    fn beside_others(&self, lineage: B256, candidate: &Candidate<'_>, register: &Register) -> Place {
        let mut earlier: Vec<Earlier> = Vec::new();
        for (number, other) in self.versions.iter().enumerate() {
            let overlap = other.sketch.overlap(candidate.sketch);
            if other.owner == candidate.owner || !overlap.same {
                continue;
            }
            // A thief registered what an earlier version of this dataset had: the thief's notice says so.
            let was_first = self.versions[..number]
                .iter()
                .any(|own| own.place.lineage == lineage && own.sketch.overlap(&other.sketch).same);
            if was_first {
                continue;
            }
            let percent = overlap.percent().max(90);
            match earlier.iter_mut().find(|e| e.lineage == other.place.lineage) {
                Some(known) => known.percent = known.percent.max(percent),
                None => earlier.push(Earlier { lineage: other.place.lineage, percent }),
            }
        }
        // Those in force first, because they can be in one cohort with this one.
        earlier.sort_by_key(|e| register.datasets.get(&e.lineage).is_none_or(|d| d.withdrawn));
        let more = earlier.len() > MOST_EARLIER;
        earlier.truncate(MOST_EARLIER);
        Place { lineage, earlier, more }
    }

    /// Removes the sketches of datasets that their owners declared erased. Gives how many versions went.
    pub fn forget_erased(&mut self, register: &Register) -> usize {
        let before = self.versions.len();
        self.versions.retain(|v| register.datasets.get(&v.place.lineage).is_none_or(|d| !d.erased));
        before - self.versions.len()
    }

    /// Takes in what another index under the same key holds beyond this one; an empty index takes the other's key. Gives
    /// how many versions are new; none when the keys differ.
    pub fn merge(&mut self, other: Index) -> Option<usize> {
        if self.key != other.key && !self.is_empty() {
            return None;
        }
        self.key = other.key;
        let known: BTreeSet<B256> = self.versions.iter().map(Version::id).collect();
        let before = self.versions.len();
        self.versions.extend(other.versions.into_iter().filter(|v| !known.contains(&v.id())));
        Some(self.versions.len() - before)
    }

    /// The bytes to seal.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        w.0.extend_from_slice(self.key.as_bytes());
        w.u32(self.versions.len() as u32);
        for v in &self.versions {
            w.0.extend_from_slice(v.owner.as_slice());
            w.0.extend_from_slice(v.root.as_slice());
            w.0.extend_from_slice(v.place.lineage.as_slice());
            w.u8(v.place.earlier.len() as u8);
            for e in &v.place.earlier {
                w.0.extend_from_slice(e.lineage.as_slice());
                w.u8(e.percent);
            }
            w.u8(u8::from(v.place.more));
            v.sketch.write(&mut w);
        }
        w.0
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        match r.u8()? {
            VERSION => {}
            other => return Err(WireError::Version(other)),
        }
        let key = r.take(32)?.try_into().map_err(|_| WireError::Truncated)?;
        let mut index = Self::new(SketchKey::from_bytes(key));
        for _ in 0..r.u32()? {
            let owner = Address::from_slice(r.take(20)?);
            let (root, lineage) = (word(&mut r)?, word(&mut r)?);
            let mut earlier = Vec::new();
            for _ in 0..r.u8()? {
                earlier.push(Earlier { lineage: word(&mut r)?, percent: r.u8()? });
            }
            let more = match r.u8()? {
                0 => false,
                1 => true,
                _ => return Err(WireError::Invalid("yes or no")),
            };
            let place = Place { lineage, earlier, more };
            index.versions.push(Version { owner, root, place, sketch: Sketch::read(&mut r)? });
        }
        r.end()?;
        Ok(index)
    }
}

fn word(r: &mut Reader<'_>) -> Result<B256, WireError> {
    Ok(B256::from_slice(r.take(32)?))
}

#[cfg(test)]
mod tests;
