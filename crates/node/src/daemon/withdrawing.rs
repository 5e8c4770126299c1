//! How a party takes a dataset back. It needs neither the data nor a membership, so any party may do it for its own.

use histone_protocol::B256;
use serde::{Deserialize, Serialize};

use super::{Done, Node};
use crate::error::NodeError;
use crate::owner;

/// The kind of a wish to take a dataset back for good; its `what` is a [`Withdraw`], what comes of it a [`Withdrawn`].
pub const WITHDRAW: &str = "withdraw";

/// Which dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Its name on the ledger.
    pub dataset: B256,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawn {
    /// The dataset.
    pub dataset: B256,
    /// What remains of it, in words.
    pub said: String,
    /// The models that it was donated to and that were not given up, oldest first.
    pub models: Vec<u64>,
}

/// Whether a dataset is not to be registered any more.
pub(super) fn is_forgone(dataset: B256, node: &Node) -> Result<bool, NodeError> {
    node.marked(&forgone(dataset))
}

/// Where it is kept that a dataset is not to be registered any more.
pub(super) fn forgone(dataset: B256) -> String {
    format!("forgone/{dataset:x}")
}

/// Takes a dataset back, as far as that is not done.
pub(super) async fn withdraw(wish: u64, dataset: B256, node: &Node, now: u64) -> Result<Done, NodeError> {
    let account = node.party.account();
    let book = node.world.ledger.current_book().await?;
    let end = |said: String, models: Vec<u64>| {
        node.say(now, "data", &format!("dataset {dataset}: {said}"))?;
        let outcome = serde_json::to_value(Withdrawn { dataset, said, models });
        let outcome = outcome.map_err(|e| NodeError::Message(e.to_string()))?;
        node.store.wish_done(wish, &outcome, now)?;
        Ok(Done::Yes)
    };
    match book.datasets.get(&dataset) {
        Some(on_ledger) if on_ledger.owner != account => {
            let why = format!(
                "dataset {dataset} is of {}, and only its owner takes it back; `histone log` names yours",
                on_ledger.owner
            );
            node.store.wish_failed(wish, &why, now)?;
            return Ok(Done::Yes);
        }
        None if !owner::Owner::added(&node.party)?.contains(&dataset) => {
            let why = format!(
                "neither the ledger nor this node has a dataset {dataset}; `histone log` names yours"
            );
            node.store.wish_failed(wish, &why, now)?;
            return Ok(Done::Yes);
        }
        None => {
            node.mark(&forgone(dataset))?;
            return end(
                "the dataset was not registered yet, and will not be unless it is added again".into(),
                Vec::new(),
            );
        }
        Some(_) => {}
    }
    let all = owner::withdraw(&node.party, dataset, &node.world).await?;
    for model in book.models.iter() {
        let question = super::owner::donating(model.model, dataset);
        node.store.take_back(&question, "the dataset is withdrawn", now)?;
    }
    let models = all.iter().filter_map(|w| w.model_id).collect();
    let said = match &all[..] {
        [] => "the dataset is withdrawn; it took part in no model".into(),
        all => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(". "),
    };
    end(said, models)
}
