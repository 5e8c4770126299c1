//! A member of the aggregation committee: opens the one sum of a round, never an update.
//!
//! A member looks at everybody first ([`CommitteeMember::review`]), locks what it will open by posting its hash
//! ([`CommitteeMember::lock`]), and publishes it ([`CommitteeMember::publish`]) only when a quorum has locked the same set:
//! until then a liar can still be struck from the sum. Whoever is not believed, or sends what cannot be used, is named on
//! the ledger; the votes of one more member than may collude strike it.

mod disputes;
pub(crate) mod memory;
mod sealing;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use histone_attestation::AppraisalError;
use histone_attestation::cohort::PlaceError;
use histone_contracts::{Contract, Market, Members, Rounds, reasons, round_status, survivors};
use histone_enclave::cohort::{Moment, Watch, ended};
use histone_enclave::training::RoundTranscript;
use histone_federation::committee::{CommitteeError, Member, PartialSum, Prepared, Published};
use histone_federation::header::RoundHeader;
use histone_federation::sealed::SealedPartial;
use histone_federation::update::{Survivor, Survivors, Update};
use histone_protocol::agreement::{Carried, SealedRound};
use histone_protocol::blob::Blob;
use histone_protocol::notice::GenotypeQuality;
use histone_protocol::{Address, B256, U256};

use self::memory::Memory;
use crate::error::NodeError;
use crate::notices::Notices;
use crate::party::Party;
use crate::world::World;

/// How far a member's lock on a round came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// The hash of its partial sum is posted.
    Posted(B256),
    /// Donors that must leave the sum first: it has said so on the ledger, now or before. Ask again.
    Striking(Vec<u16>),
}

/// A committee member's node.
#[derive(Debug)]
pub struct CommitteeMember {
    /// Name, keys, directory.
    pub party: Party,
    watches: BTreeMap<u64, Watch>,
    notices: Notices,
}

impl CommitteeMember {
    /// A member's node.
    pub fn new(party: Party) -> Self {
        Self { party, watches: BTreeMap::new(), notices: Notices::default() }
    }

    /// Shows the ledger that this member holds its seal key; without it, it gets no seat.
    pub async fn prove_key(&self, world: &World) -> Result<(), NodeError> {
        let proof = self.party.seal.prove(self.party.account(), world.ledger.deployment().id());
        let call = Members::proveSealKeyCall { sealKey: self.party.seal.public().0, r: proof.r, s: proof.s };
        world.ledger.send(&self.party.key, Contract::Members, call).await?;
        Ok(())
    }

    /// Looks at every donor of a model in training, and names on the ledger whoever is not believed or has the rows of
    /// another donor; in a round, who was not when it was opened. Ends the use of data that are withdrawn by now. Gives their
    /// numbers.
    pub async fn review(&mut self, model_id: u64, world: &World) -> Result<Vec<u16>, NodeError> {
        let id = U256::from(model_id);
        let round = world.ledger.read(Contract::Rounds, Rounds::lastRoundCall { modelId: id }).await?;
        let now = Moment::now(&world.ledger).await?;
        let watch = self.watch(model_id, world).await?;
        let of_now = watch.cohort(now, &world.evidence(), &world.ledger).await?;
        let withdrawn = of_now.unbelieved.iter().filter(|u| matches!(u.why, PlaceError::Withdrawn));
        let withdrawn: Vec<u16> = withdrawn.map(|u| u.donor).collect();
        let info = world.ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: id, round }).await?;
        let cohort = match Moment::of_round(id, round, &world.ledger).await? {
            Some((opened, _)) if matches!(info.status, round_status::OPEN | round_status::CLOSED) => {
                let mut cohort = watch.cohort(opened, &world.evidence(), &world.ledger).await?;
                if !cohort.unbelieved.is_empty() {
                    // Who ended or came back in the minute of the opening is rightly in a header that names it.
                    let may = watch.may(opened, &world.evidence(), &world.ledger).await?;
                    cohort.unbelieved.retain(|u| !may.contains(&u.donor));
                }
                cohort
            }
            _ => of_now,
        };
        for donor in &withdrawn {
            self.end_use(model_id, *donor, world).await?;
        }
        for unbelieved in &cohort.unbelieved {
            match &unbelieved.why {
                PlaceError::Withdrawn => {}
                // Whoever took part and only let its enclave or its evidence end is not invited, and keeps what it earned.
                why if has_ended(why) && took_part(model_id, unbelieved.donor, world).await? => {}
                _ => {
                    let reason = reasons::NOT_BELIEVED;
                    self.blame_donor(model_id, round, unbelieved.donor, reason, world).await?;
                }
            }
        }
        let mut named: Vec<u16> = cohort.unbelieved.iter().map(|u| u.donor).chain(withdrawn).collect();
        named.sort_unstable();
        named.dedup();
        for (donor, reason) in self.notices.to_blame(&self.party, &cohort.believed, world).await? {
            self.blame_donor(model_id, round, donor, reason, world).await?;
            named.push(donor);
        }
        Ok(named)
    }

    /// What the notices say of genotypes that do not look as they should, by dataset.
    pub fn doubts(&self) -> impl Iterator<Item = (B256, &GenotypeQuality)> {
        self.notices.doubts()
    }

    /// Sums this member's shares over the survivors of a closed round and posts the hash of what it will publish. Survivors
    /// that cannot be in the sum are named or accused instead.
    pub async fn lock(&mut self, header: &RoundHeader, world: &World) -> Result<Lock, NodeError> {
        let f = header.fields();
        let (model_id, round) = (U256::from_be_bytes(f.model_id), f.round);
        let number: u64 = model_id.saturating_to();
        let info =
            world.ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round }).await?;
        if info.status != round_status::CLOSED || info.headerHash.0 != header.hash() {
            return Err(NodeError::Message(format!("round {round} is not closed under this header")));
        }
        crate::plan::check_times(model_id, round, world).await?;
        crate::plan::check_stage(header, world).await?;
        let mut striking = self.review(number, world).await?;
        let watch = self.watch(number, world).await?;
        watch.check_header(header, &world.evidence(), &world.ledger).await?;
        let survivors = survivors(model_id, round, world).await?;
        let mut blobs = Vec::new();
        for (donor, hash) in &survivors {
            let reason = match world.blobs.read(*hash) {
                Err(_) => Some(reasons::MISSING),
                Ok(blob) => {
                    let read = Update::decode(&blob, header).is_ok_and(|u| u.donor() == *donor);
                    blobs.push(blob);
                    (!read).then_some(reasons::UNDECODABLE)
                }
            };
            if let Some(reason) = reason {
                self.blame_donor(number, round, *donor, reason, world).await?;
                striking.push(*donor);
            }
        }
        striking.retain(|donor| survivors.iter().any(|(d, _)| d == donor));
        if !striking.is_empty() {
            return Ok(Lock::Striking(striking));
        }
        // Once a quorum has locked nobody answers any more, and nobody leaves.
        let undecided = match info.opened {
            true => Vec::new(),
            false => self.judge(header, &survivors, world).await?,
        };
        if !undecided.is_empty() {
            return Ok(Lock::Striking(undecided));
        }
        let set = set(header, &survivors)?;
        let member =
            Member::by_address(header, &self.party.account().into_array()).map_err(NodeError::round)?;
        let prepared = match member.sum_shares(header, &set, &blobs, &self.party.seal) {
            Err(CommitteeError::Share { donor, .. }) => {
                self.accuse(model_id, round, donor, world).await?;
                return Ok(Lock::Striking(vec![donor]));
            }
            prepared => prepared.map_err(NodeError::round)?,
        };
        let hash = match f.question.is_sealed() {
            true => {
                let sealed = self.seal(header, prepared, world).await?;
                self.promise(&sealed, info.attempt, header, world).await?
            }
            false => self.promise(&prepared, info.attempt, header, world).await?,
        };
        // Blobs and shares took their time: who has withdrawn since then is not opened with.
        self.watch(number, world).await?.check_withdrawals(header, &world.ledger).await?;
        if self.posted(model_id, round, world).await? != hash {
            // The ledger refuses a post for a set of survivors of which a donor has gone by now.
            let attempt = info.attempt;
            let call = Rounds::postPartialCall { modelId: model_id, round, attempt, partialHash: hash };
            world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        }
        Ok(Lock::Posted(hash))
    }

    /// Keeps a partial sum before its hash is posted: what is promised can be published, whatever happens in between.
    async fn promise<P: Published>(
        &self,
        prepared: &Prepared<P>,
        attempt: u16,
        header: &RoundHeader,
        world: &World,
    ) -> Result<B256, NodeError> {
        let f = header.fields();
        let model = U256::from_be_bytes(f.model_id).saturating_to();
        Memory(&self.party).reserve(prepared, (model, f.round, attempt), world).await?;
        self.party.keep(&kept(model, f.round), prepared.blob())?;
        Ok(prepared.blob().hash())
    }

    /// Publishes the partial sum that was locked, once a quorum has locked the same survivors. Gives its blob.
    pub async fn publish(&mut self, header: &RoundHeader, world: &World) -> Result<B256, NodeError> {
        let f = header.fields();
        let (model_id, round) = (U256::from_be_bytes(f.model_id), f.round);
        let refuse = |what: &str| Err(NodeError::Message(format!("round {round} is not opened: {what}")));
        let info =
            world.ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round }).await?;
        if info.headerHash.0 != header.hash() || !info.opened {
            return refuse("no quorum has locked it under this header");
        }
        let Some(kept) = self.party.recall(&kept(model_id.saturating_to(), round))? else {
            return refuse("this member has kept no partial sum of it");
        };
        let kept = Blob::new(kept);
        if self.posted(model_id, round, world).await? != kept.hash() {
            return refuse("the ledger has another hash of this member's partial sum");
        }
        let set = set(header, &survivors(model_id, round, world).await?)?;
        match f.question.is_sealed() {
            true => self.show::<SealedPartial>(kept, header, &set, world),
            false => self.show::<PartialSum>(kept, header, &set, world),
        }
    }

    fn show<P: Published>(
        &self,
        kept: Blob,
        header: &RoundHeader,
        set: &Survivors,
        world: &World,
    ) -> Result<B256, NodeError> {
        let prepared = Prepared::<P>::from_kept(kept, header, set).map_err(NodeError::round)?;
        let partial = prepared.open(&mut Memory(&self.party)).map_err(NodeError::round)?;
        Ok(world.blobs.put_blob(partial.blob())?)
    }

    /// Says which members' partial sums contradict the others, as anybody can. A donor can bring that about
    /// with a share that it made wrong, so it costs them nothing but the name. Gives their accounts.
    pub async fn name_liars(
        &mut self,
        transcript: &RoundTranscript,
        world: &World,
    ) -> Result<Vec<Address>, NodeError> {
        let wrong = transcript.wrong_partials().map_err(|e| NodeError::Round(e.to_string()))?;
        let f = transcript.header.fields();
        let mut named = Vec::new();
        for seat in wrong {
            let Some(seat) = f.committee.get(usize::from(seat).wrapping_sub(1)) else { continue };
            let member = Address::from(seat.address);
            if member != self.party.account() {
                self.blame_member(
                    U256::from_be_bytes(f.model_id),
                    f.round,
                    member,
                    reasons::WRONG_PARTIAL,
                    world,
                )
                .await?;
            }
            named.push(member);
        }
        Ok(named)
    }

    /// Says which members' partial sums more than half of the donors' enclaves found wrong in a sealed round. Gives their accounts.
    pub async fn name_found_wrong(
        &mut self,
        header: &RoundHeader,
        carried: &Carried,
        world: &World,
    ) -> Result<Vec<Address>, NodeError> {
        let f = header.fields();
        let (model, survivors) =
            (U256::from_be_bytes(f.model_id), carried.signers.len() + carried.others.len());
        let mut named = Vec::new();
        for (seat, _) in carried.wrong.iter().filter(|(_, say)| 2 * **say > survivors) {
            let Some(seat) = f.committee.get(usize::from(*seat).wrapping_sub(1)) else { continue };
            let member = Address::from(seat.address);
            if member != self.party.account() {
                self.blame_member(model, f.round, member, reasons::WRONG_PARTIAL, world).await?;
            }
            named.push(member);
        }
        Ok(named)
    }

    async fn watch(&mut self, model_id: u64, world: &World) -> Result<&mut Watch, NodeError> {
        match self.watches.entry(model_id) {
            Entry::Occupied(watch) => Ok(watch.into_mut()),
            Entry::Vacant(none) => {
                let policy = world.cohort_policy(model_id).await?;
                Ok(none.insert(Watch::new(U256::from(model_id), policy)))
            }
        }
    }

    async fn posted(&self, model_id: U256, round: u32, world: &World) -> Result<B256, NodeError> {
        let call = Rounds::partialOfCall { modelId: model_id, round, member: self.party.account() };
        Ok(world.ledger.read(Contract::Rounds, call).await?)
    }

    async fn end_use(&self, model_id: u64, donor: u16, world: &World) -> Result<(), NodeError> {
        let now = Moment::now(&world.ledger).await?;
        if ended(U256::from(model_id), now, &world.ledger).await?.contains(&donor) {
            return Ok(());
        }
        let call = Market::endUseCall { modelId: U256::from(model_id), donorIndex: donor };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }

    /// Votes to strike a donor, once, and not any more when it is struck.
    pub async fn blame_donor(
        &self,
        model_id: u64,
        round: u32,
        donor: u16,
        reason: u8,
        world: &World,
    ) -> Result<(), NodeError> {
        let model_id = U256::from(model_id);
        if ended(model_id, Moment::now(&world.ledger).await?, &world.ledger).await?.contains(&donor) {
            return Ok(());
        }
        let said = |v: &Rounds::Blamed| v.donorIndex == donor && v.reason == reason;
        if self.voted(model_id, round, said, world).await? {
            return Ok(());
        }
        let call = Rounds::blameDonorCall { modelId: model_id, round, donorIndex: donor, reason };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok(())
    }

    /// Votes that a member did not do what it should, once.
    pub async fn blame_member(
        &self,
        model_id: U256,
        round: u32,
        member: Address,
        reason: u8,
        world: &World,
    ) -> Result<(), NodeError> {
        let named = Rounds::isNamedCall { modelId: model_id, member };
        let said = |v: &Rounds::Blamed| v.member == member && v.reason == reason;
        if world.ledger.read(Contract::Rounds, named).await?
            || self.voted(model_id, round, said, world).await?
        {
            return Ok(());
        }
        let call = Rounds::blameMemberCall { modelId: model_id, round, member, reason };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok(())
    }

    /// Whether this member has cast such a vote in a round already.
    async fn voted(
        &self,
        model_id: U256,
        round: u32,
        such: impl Fn(&Rounds::Blamed) -> bool,
        world: &World,
    ) -> Result<bool, NodeError> {
        let votes =
            world.ledger.logged::<Rounds::Blamed>(Contract::Rounds, Some(B256::from(model_id))).await?;
        let own = self.party.account();
        Ok(votes.iter().any(|v| v.event.by == own && v.event.round == round && such(&v.event)))
    }

    async fn accuse(&self, model_id: U256, round: u32, donor: u16, world: &World) -> Result<(), NodeError> {
        let about = Some(B256::from(model_id));
        let said = world.ledger.logged::<Rounds::ShareAccused>(Contract::Rounds, about).await?;
        let own = self.party.account();
        if said.iter().any(|s| s.event.round == round && s.event.donorIndex == donor && s.event.member == own)
        {
            return Ok(());
        }
        let call = Rounds::accuseCall { modelId: model_id, round, donorIndex: donor };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        Ok(())
    }
}

/// Whether an enclave could be believed before and is only not live, or not fresh, any more.
fn has_ended(why: &PlaceError) -> bool {
    matches!(why, PlaceError::NotLive(_) | PlaceError::Evidence { error: AppraisalError::Expired { .. }, .. })
}

/// Whether an update of a donor is in a sum of this model that was opened.
async fn took_part(model_id: u64, donor: u16, world: &World) -> Result<bool, NodeError> {
    let about = Some(B256::from(U256::from(model_id)));
    let opened = world.ledger.logged::<Rounds::RoundFinal>(Contract::Rounds, about).await?;
    let anchored = world.ledger.logged::<Rounds::UpdateAnchored>(Contract::Rounds, about).await?;
    let anchored = anchored.iter().filter(|a| a.event.donorIndex == donor).map(|a| a.event.round);
    Ok(anchored.into_iter().any(|round| opened.iter().any(|o| o.event.round == round)))
}

fn kept(model_id: u64, round: u32) -> String {
    format!("partial-{model_id}-{round}.bin")
}

pub(crate) fn set(header: &RoundHeader, survivors: &[(u16, B256)]) -> Result<Survivors, NodeError> {
    let list = survivors.iter().map(|(donor, blob)| Survivor { donor: *donor, blob: blob.0 });
    Survivors::new(header, list.collect()).map_err(NodeError::round)
}

/// The survivors that the ledger fixed for a closed round, ascending, each with its anchored blob.
pub async fn survivors(model_id: U256, round: u32, world: &World) -> Result<Vec<(u16, B256)>, NodeError> {
    let fixed =
        world.ledger.read(Contract::Rounds, Rounds::survivorsCall { modelId: model_id, round }).await?;
    let about = Some(B256::from(model_id));
    let anchored = world.ledger.logged::<Rounds::UpdateAnchored>(Contract::Rounds, about).await?;
    let anchored = anchored.iter().map(|a| &a.event).filter(|a| a.round == round);
    let mut survivors: Vec<(u16, B256)> = anchored
        .filter(|a| survivors::has(&fixed.bitmap, a.donorIndex))
        .map(|a| (a.donorIndex, a.blobHash))
        .collect();
    survivors.sort_unstable();
    Ok(survivors)
}

/// The round that enclaves sign statements about.
pub fn sealed_round(
    header: &RoundHeader,
    survivors: &[(u16, B256)],
    world: &World,
) -> Result<SealedRound, NodeError> {
    let (f, deployment) = (header.fields(), world.ledger.deployment());
    Ok(SealedRound {
        chain_id: deployment.chain_id,
        rounds: deployment.rounds,
        model_id: U256::from_be_bytes(f.model_id).saturating_to(),
        round: f.round,
        header: B256::from(header.hash()),
        survivors: B256::from(set(header, survivors)?.hash()),
    })
}

/// The enclaves of the survivors, by donor.
pub fn enclaves(header: &RoundHeader, survivors: &[(u16, B256)]) -> BTreeMap<u16, Address> {
    let enclave = |(donor, _): &(u16, B256)| Some((*donor, Address::from(header.donor(*donor)?.enclave)));
    survivors.iter().filter_map(enclave).collect()
}

/// Collects everything public about a round whose partial sums are posted.
pub async fn transcript(
    header: &RoundHeader,
    partials: &[B256],
    world: &World,
) -> Result<RoundTranscript, NodeError> {
    let f = header.fields();
    let survivors = survivors(U256::from_be_bytes(f.model_id), f.round, world).await?;
    Ok(RoundTranscript {
        header: header.clone(),
        survivors: survivors
            .into_iter()
            .map(|(donor, blob)| {
                let what = || format!("the update of donor {donor} in round {}", f.round);
                Ok((donor, world.blobs.read(blob).map_err(NodeError::withheld(what))?))
            })
            .collect::<Result<_, NodeError>>()?,
        partials: partials
            .iter()
            .map(|p| {
                let what = || format!("a partial sum of round {}", f.round);
                world.blobs.read(*p).map_err(NodeError::withheld(what))
            })
            .collect::<Result<_, _>>()?,
    })
}

/// A blob that somebody has to have published, by what it is.
pub(crate) fn shown_blob(
    hash: B256,
    world: &World,
    what: impl FnOnce() -> String,
) -> Result<Vec<u8>, NodeError> {
    world.blobs.get(hash).map_err(NodeError::withheld(what))
}

/// The partial sums that members posted for the last survivors, each of its own seat. A member that posted the hash of
/// nothing, or of something else, has none.
pub async fn posted(header: &RoundHeader, world: &World) -> Result<Vec<B256>, NodeError> {
    let f = header.fields();
    let set = set(header, &survivors(U256::from_be_bytes(f.model_id), f.round, world).await?)?;
    let mut partials = Vec::new();
    for (number, seat) in (1u8..).zip(&f.committee) {
        let call = Rounds::partialOfCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            member: Address::from(seat.address),
        };
        let hash = world.ledger.read(Contract::Rounds, call).await?;
        if hash.is_zero() {
            continue;
        }
        let Ok(blob) = world.blobs.read(hash) else { continue };
        let own = match f.question.is_sealed() {
            true => is_own::<SealedPartial>(blob, header, number, &set),
            false => is_own::<PartialSum>(blob, header, number, &set),
        };
        if own {
            partials.push(hash);
        }
    }
    Ok(partials)
}

fn is_own<P: Published>(blob: Blob, header: &RoundHeader, seat: u8, set: &Survivors) -> bool {
    P::read(blob, header).is_ok_and(|p| p.member() == seat && p.is_over(set))
}

/// Everything public about a round, as ledger and public storage have it by now.
pub async fn shown(model_id: U256, round: u32, world: &World) -> Result<RoundTranscript, NodeError> {
    let info = Rounds::roundInfoCall { modelId: model_id, round };
    let info = world.ledger.read(Contract::Rounds, info).await?;
    let header = shown_blob(info.headerHash, world, || format!("the header of round {round}"))?;
    let header = RoundHeader::decode(&header).map_err(NodeError::round)?;
    let partials = posted(&header, world).await?;
    transcript(&header, &partials, world).await
}
