//! How an owner takes a dataset back for good.

use histone_contracts::book::{Book, DatasetState, ModelState};
use histone_contracts::{Contract, Datasets, Market};
use histone_protocol::{B256, U256};

use super::Owner;
use crate::duties;
use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::world::World;

/// What an owner is told when it takes its data back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawal {
    /// The model in which it took part.
    pub model_id: Option<u64>,
    /// Opened sums that hold its data and stay in the model; none where it was brought to one enclave, which opens none.
    pub rounds: Option<u32>,
    /// Whether enclaves alone see these sums.
    pub sealed: bool,
}

impl std::fmt::Display for Withdrawal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(model) = self.model_id else {
            return f.write_str("the dataset is withdrawn; it took part in no model");
        };
        let Some(rounds) = self.rounds else {
            return write!(
                f,
                "the dataset is withdrawn; the one enclave of model {model} forgets it, unless the model is made already, in which it stays"
            );
        };
        write!(f, "the dataset is withdrawn and takes part in no further round of model {model}; ")?;
        match (rounds, self.sealed) {
            (0, _) => f.write_str("no sum with it was opened"),
            (rounds, true) => {
                write!(
                    f,
                    "{rounds} opened sum(s) with it stay in the model. Sums are seen by enclaves alone, and by the auditors whom the white paper names"
                )
            }
            (rounds, false) => write!(
                f,
                "{rounds} opened sum(s) with it stay in the model. Opened sums are public: whoever compares a sum with it \
                 to a later one without it learns totals of this dataset (its numbers of rows and of positives, sums and \
                 squares of each column, near the end its gradient and curvature), and of a person what nobody else in it \
                 has, where all others share a value"
            ),
        }
    }
}

impl Owner {
    /// Takes the dataset back for good and ends its use in every training that it was donated to. Says what remains of it in the newest
    /// model. What is done already is not done again.
    pub async fn withdraw(&mut self, world: &World) -> Result<Withdrawal, NodeError> {
        let mut all = withdraw(&self.party, self.dataset, world).await?;
        Ok(all.pop().unwrap_or(Withdrawal { model_id: None, rounds: None, sealed: false }))
    }
}

/// Takes a dataset of a party back for good and ends its use in every training that it was donated to, as far as that is not done.
/// Needs nothing but the owner's key: neither the data nor an enclave. Says what remains of it in each model, the newest last.
pub async fn withdraw(party: &Party, dataset: B256, world: &World) -> Result<Vec<Withdrawal>, NodeError> {
    let ledger = &world.ledger;
    let registered = |book: &Book| {
        let state = book.datasets.get(&dataset).map(|d| d.state);
        state.map(|state| state == DatasetState::Registered)
    };
    let book = ledger.current_book().await?;
    match registered(&book) {
        None => {
            return Err(NodeError::Message(format!("the ledger has no dataset {dataset}")));
        }
        Some(true) => {
            ledger.send(&party.key, Contract::Datasets, Datasets::withdrawCall { id: dataset }).await?;
        }
        Some(false) => {}
    }
    // Anybody may end the use of withdrawn data, and may have done so before.
    let book = ledger.current_book().await?;
    for used in duties::owner::used_in(&book, dataset).iter().filter(|u| u.goes_on) {
        let call = Market::endUseCall { modelId: U256::from(used.model), donorIndex: used.donor };
        ledger.send(&party.key, Contract::Market, call).await?;
    }
    let book = ledger.current_book().await?;
    let mut all = Vec::new();
    for used in duties::owner::used_in(&book, dataset) {
        let model = book.models.get(&used.model);
        if model.is_none_or(|m| m.state == ModelState::Aborted) {
            continue;
        }
        // Whoever does not show the plan is in nobody's way.
        let sealed = plan::of_model(used.model, world).await.is_ok_and(|plan| plan.disclosure.is_sealed());
        let hosted = model.is_some_and(|m| m.host.is_some());
        let rounds = (!hosted).then_some(used.sums);
        all.push(Withdrawal { model_id: Some(used.model), rounds, sealed });
    }
    Ok(all)
}
