//! A committee member: opens the sums of rounds with the others.

use std::fmt;

use histone_contracts::Contract;
use histone_contracts::Rounds;
use histone_contracts::book::Book;
use histone_protocol::U256;
use histone_protocol::agreement::Agreement;
use histone_protocol::notice::{GenotypeFinding, QualityVerdict};

use super::owner::header;
use super::{Done, Node, Part, evidence};
use crate::committee::{CommitteeMember, Lock, enclaves, sealed_round, shown, shown_blob, survivors};
use crate::duties::committee::{MemberDuty, of_member};
use crate::error::NodeError;

pub(super) struct CommitteePart {
    member: CommitteeMember,
}

impl CommitteePart {
    pub(super) fn new(node: &Node) -> Self {
        Self { member: CommitteeMember::new(node.party.clone()) }
    }
}

impl fmt::Display for MemberDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberDuty::ProveKey => f.write_str("prove that the seal key is held"),
            MemberDuty::Review(model) => write!(f, "look at the donors of model {model}"),
            MemberDuty::Lock(model, round) => write!(f, "lock round {round} of model {model}"),
            MemberDuty::Publish(model, round) => {
                write!(f, "publish the partial sum of round {round} of model {model}")
            }
            MemberDuty::Judge(model, round) => {
                write!(f, "compare the partial sums of round {round} of model {model}")
            }
        }
    }
}

/// Where it is noted that a duty is done that leaves nothing on the ledger.
fn mark(duty: MemberDuty) -> Option<String> {
    match duty {
        MemberDuty::Review(model) => Some(format!("reviewed/{model}")),
        MemberDuty::Publish(model, round) => Some(format!("published/{model}/{round}")),
        MemberDuty::Judge(model, round) => Some(format!("judged/{model}/{round}")),
        MemberDuty::ProveKey | MemberDuty::Lock(..) => None,
    }
}

impl CommitteePart {
    /// Says once what is to be looked at in the genotypes of a dataset.
    fn say_doubts(&self, node: &Node, now: u64) -> Result<(), NodeError> {
        for (dataset, found) in self.member.doubts() {
            let mark = format!("doubted/{dataset:x}");
            if node.marked(&mark)? {
                continue;
            }
            let of = |f: &&GenotypeFinding| f.verdict != QualityVerdict::Pass;
            let measures: Vec<String> =
                found.findings.iter().filter(of).map(|f| format!("{} {}", f.measure, f.value)).collect();
            let what = match found.verdict {
                QualityVerdict::Refuse => "are refused, and its owner is left out",
                _ => "need a person's look",
            };
            let measures = measures.join(", ");
            let text = format!(
                "the genotypes of dataset {dataset} {what}: {measures} (`histone genome qc` says what these are)"
            );
            node.say(now, "data", &text)?;
            node.mark(&mark)?;
        }
        Ok(())
    }
}

impl Part for CommitteePart {
    type Duty = MemberDuty;
    const LOOK: &'static str = "see what the committee member owes";

    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<MemberDuty>, NodeError> {
        let mut owed = Vec::new();
        for duty in of_member(book, node.party.account(), now) {
            let is_done = match mark(duty) {
                Some(mark) => node.marked(&mark)?,
                None => false,
            };
            if !is_done {
                owed.push(duty);
            }
        }
        Ok(owed)
    }

    async fn perform(&mut self, duty: MemberDuty, node: &Node, now: u64) -> Result<Done, NodeError> {
        let world = &node.world;
        if let MemberDuty::Review(model) | MemberDuty::Lock(model, _) = duty {
            let book = world.ledger.current_book().await?;
            evidence::fetch(model, &book, node).await?;
        }
        match duty {
            MemberDuty::ProveKey => self.member.prove_key(world).await?,
            MemberDuty::Review(model) => {
                self.member.review(model, world).await?;
                self.say_doubts(node, now)?;
            }
            MemberDuty::Lock(model, round) => {
                if node.is_forgotten(model, round).await? {
                    // What it has promised since then it does not know: it promises nothing else.
                    return Ok(Done::NotYet);
                }
                let header = header(model, round, node).await?;
                match self.member.lock(&header, world).await? {
                    Lock::Posted(_) => {}
                    // Others have to say the same, or the accused to answer.
                    Lock::Striking(_) => {
                        node.soon.ask();
                        return Ok(Done::NotYet);
                    }
                }
            }
            MemberDuty::Publish(model, round) => {
                let header = header(model, round, node).await?;
                self.member.publish(&header, world).await?;
            }
            MemberDuty::Judge(model, round) => {
                let header = header(model, round, node).await?;
                let id = U256::from(model);
                if header.fields().question.is_sealed() {
                    let info = Rounds::roundInfoCall { modelId: id, round };
                    let info = world.ledger.read(Contract::Rounds, info).await?;
                    let said = shown_blob(info.aggregateHash, world, || "what enclaves have signed".into())?;
                    let agreement = Agreement::from_bytes(&said).map_err(NodeError::round)?;
                    let survivors = survivors(id, round, world).await?;
                    let of = sealed_round(&header, &survivors, world)?;
                    let carried = agreement.carried(&of, &enclaves(&header, &survivors));
                    let carried = carried.map_err(NodeError::round)?;
                    self.member.name_found_wrong(&header, &carried, world).await?;
                } else {
                    let transcript = shown(id, round, world).await?;
                    self.member.name_liars(&transcript, world).await?;
                }
            }
        }
        if let Some(mark) = mark(duty) {
            node.mark(&mark)?;
        }
        Ok(Done::Yes)
    }
}
