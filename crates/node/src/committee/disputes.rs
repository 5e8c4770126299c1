//! A share that a member calls unreadable: the donor's enclave shows it, everybody else looks who is wrong and says so.

use histone_contracts::{Contract, Rounds, reasons};
use histone_federation::dispute::{ShareOpening, Verdict, check_opening};
use histone_federation::header::RoundHeader;
use histone_federation::update::Hpke;
use histone_protocol::{B256, U256};

use super::CommitteeMember;
use crate::error::NodeError;
use crate::world::World;

impl CommitteeMember {
    /// Judges every accusation of a round but the own ones. Gives the donors about whom nothing is decided yet: as long as
    /// there are some, nobody locks.
    pub(super) async fn judge(
        &self,
        header: &RoundHeader,
        survivors: &[(u16, B256)],
        world: &World,
    ) -> Result<Vec<u16>, NodeError> {
        let f = header.fields();
        let (model_id, round) = (U256::from_be_bytes(f.model_id), f.round);
        let about = Some(B256::from(model_id));
        let time = time_to_answer(model_id, round, world).await?;
        let accused = world.ledger.logged::<Rounds::ShareAccused>(Contract::Rounds, about).await?;
        let opened = world.ledger.logged::<Rounds::ShareOpened>(Contract::Rounds, about).await?;
        let mut undecided = Vec::new();
        for accusation in accused.into_iter().filter(|a| a.event.round == round) {
            let (donor, accuser) = (accusation.event.donorIndex, accusation.event.member);
            // Who was struck is in no sum, and who was named for a false accusation has accused nobody.
            let Some((_, blob)) = survivors.iter().find(|(d, _)| *d == donor) else { continue };
            let named = Rounds::isNamedCall { modelId: model_id, member: accuser };
            if world.ledger.read(Contract::Rounds, named).await? {
                continue;
            }
            undecided.push(donor);
            if accuser == self.party.account() {
                continue;
            }
            let answer = opened.iter().map(|o| &o.event);
            let answer = answer
                .filter(|o| (o.round, o.donorIndex, o.member) == (round, donor, accuser))
                .map(|o| o.blobHash)
                .next();
            let verdict = match answer {
                None if world.ledger.time().await? <= accusation.time + time => continue,
                None => Verdict::ShareIsBad,
                Some(hash) => {
                    let seat = f.committee.iter().position(|s| s.address == accuser.into_array());
                    let shown = world.blobs.get(hash).ok();
                    let shown = shown.and_then(|bytes| ShareOpening::decode(&bytes, header).ok());
                    match (shown, seat, world.blobs.read(*blob)) {
                        // Seats are counted from 1.
                        (Some(o), Some(seat), Ok(blob)) if usize::from(o.member()) == seat + 1 => {
                            check_opening(header, &blob, &o, &Hpke)
                        }
                        _ => Verdict::ShareIsBad,
                    }
                }
            };
            match verdict {
                Verdict::ShareIsGood => {
                    let reason = reasons::FALSE_ACCUSATION;
                    self.blame_member(model_id, round, accuser, reason, world).await?;
                }
                Verdict::ShareIsBad => {
                    let reason = reasons::UNREADABLE;
                    self.blame_donor(model_id.saturating_to(), round, donor, reason, world).await?;
                }
            }
        }
        Ok(undecided)
    }
}

/// Seconds in which the enclave of an accused donor answers, from the accusation on: a third of the committee's time. The
/// ledger takes no accusation that leaves less than another third after it.
async fn time_to_answer(model_id: U256, round: u32, world: &World) -> Result<u64, NodeError> {
    let about = Some(B256::from(model_id));
    let opened = world.ledger.logged::<Rounds::RoundOpened>(Contract::Rounds, about).await?;
    let opened = opened.into_iter().map(|o| o.event).find(|o| o.round == round);
    Ok(opened.map_or(0, |o| o.openBy.saturating_sub(o.deadline) / 3))
}
