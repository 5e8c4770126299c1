//! How an owner's node answers white papers, and donates where the answer is yes.

use histone_access::Permit;
use histone_protocol::B256;
use histone_protocol::consent::Verdict;

use super::super::mail::Body;
use super::super::{Done, Node};
use super::{OwnerPart, program};
use crate::error::NodeError;
use crate::owner::{Decided, Machine};
use crate::plan;
use crate::store::Question;
use crate::study::{StudyDisclosure, Tokens};

/// What this node has decided about a model.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// Blob of the signed decision.
    pub blob: B256,
    /// Whether all that follows from it is done.
    pub done: bool,
}

/// What this node has decided for a dataset about a model, when it has.
pub fn decided(node: &Node, model: u64, dataset: B256) -> Result<Option<Recorded>, NodeError> {
    let kept = node.store.get(&decision(model, dataset))?;
    let blob = kept.and_then(|kept| B256::try_from(kept.as_slice()).ok());
    let done = node.marked(&answered(model, dataset))?;
    Ok(blob.map(|blob| Recorded { blob, done }))
}

/// The question whether a dataset is donated to a model.
pub(crate) fn donating(model: u64, dataset: B256) -> String {
    format!("donate/{model}/{dataset:x}")
}

/// The mark of a white paper that was answered, with all that follows.
pub(super) fn answered(model: u64, dataset: B256) -> String {
    format!("answered/{model}/{dataset:x}")
}

fn decision(model: u64, dataset: B256) -> String {
    format!("decision/{model}/{dataset:x}")
}

impl OwnerPart {
    pub(super) async fn consider(
        &mut self,
        dataset: B256,
        model: u64,
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let world = &node.world;
        let book = world.ledger.current_book().await?;
        let Some(offer) = book.models.get(&model) else { return Ok(Done::NotYet) };
        let (trainer, paper_blob) = (offer.trainer, offer.white_paper_hash);
        let key = donating(model, dataset);
        if node.store.questions(true)?.iter().any(|asked| asked.question.key == key) {
            // A person has the word; nothing is decided, and published, anew as long as it is not said.
            return Ok(Done::NotYet);
        }
        let is_hosted = offer.host.is_some();
        let owner = self.owner(dataset)?;
        let answer = owner.consider(paper_blob, model, world).await?;
        node.store.put(&decision(model, dataset), answer.blob.as_slice())?;
        let (paper, _) = world.read_paper(paper_blob)?;
        let decline = |reasons: Vec<String>| Body::Declined { model, reasons };
        let purpose = answered(model, dataset);
        let Some(permit) = answer.permit else {
            let verb = match answer.decision.verdict {
                Verdict::Review => "a person has to change the policy first",
                _ => "declined by the policy",
            };
            let reasons = answer.decision.reasons;
            node.say(
                now,
                "model",
                &format!("model {model} `{}`: {verb}: {}", paper.name, reasons.join("; ")),
            )?;
            node.write(trainer, &purpose, &decline(reasons), now).await?;
            node.mark(&purpose)?;
            return Ok(Done::Yes);
        };
        let question = Question {
            key,
            kind: "donate".into(),
            title: format!("take part in model {model} `{}` of `{}`?", paper.name, paper.trainer_name),
            text: format!(
                "It predicts {}. Your policy allows it. It pays {} tokens at once and {} % of its income to all donors together. What is seen of the sums and the model: {}",
                paper.predicts,
                Tokens::from_micro(paper.instant_payment),
                f64::from(paper.split.donors) / 100.0,
                StudyDisclosure::of(&paper.disclosure).sentences().join(" ")
            ),
            facts: serde_json::json!({ "model": model, "dataset": dataset, "paper": paper_blob, "trainer": trainer }),
            due: None,
        };
        if let Some(why) = self.owner(dataset)?.is_used_up(model, world).await? {
            node.say(now, "model", &format!("model {model} `{}`: declined: {why}", paper.name))?;
            node.write(trainer, &purpose, &decline(vec![why]), now).await?;
            node.mark(&purpose)?;
            return Ok(Done::Yes);
        }
        match node.ask(&question, now)? {
            None => Ok(Done::NotYet),
            Some(no) if !no.yes => {
                node.write(trainer, &purpose, &decline(vec![no.because]), now).await?;
                node.mark(&purpose)?;
                Ok(Done::Yes)
            }
            Some(_) if is_hosted => {
                let decided = (answer.blob, paper.instant_payment);
                self.bring((dataset, model), permit, decided, node, now).await
            }
            Some(_) => {
                self.donate((dataset, model), permit, (answer.blob, paper.instant_payment), node).await?;
                node.mark(&purpose)?;
                Ok(Done::Yes)
            }
        }
    }

    async fn donate(
        &mut self,
        (dataset, model_id): (B256, u64),
        permit: Permit,
        (decision, instant_payment): (B256, u64),
        node: &Node,
    ) -> Result<u16, NodeError> {
        let decided = Decided { permit, decision, model_id, instant_payment };
        let method = plan::of_model(model_id, &node.world).await?.programs.training;
        let program = program(node, method)?;
        let device = node.device()?.ok_or_else(|| {
            NodeError::Message("the network's vendor has not certified the device of this node yet".into())
        })?;
        let machine = Machine { program, device: &device };
        self.owner(dataset)?.donate(decided, machine, &node.world).await
    }
}
