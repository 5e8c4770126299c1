//! What any party may do for itself: buy answers, claim what it is owed, and take its data back.

use std::fmt;

use histone_contracts::book::{Book, ModelState, QueryState};
use histone_contracts::{Contract, Market, TestToken};
use histone_enclave::query::bought_before;
use histone_protocol::plan::{ColumnKind, PlanFeature};
use histone_protocol::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::mail::Body;
use super::names::{self, LOOK_UP, LookUp};
use super::withdrawing::{self, WITHDRAW, Withdraw};
use super::{Done, Node, Part};
use crate::error::NodeError;
use crate::plan;
use crate::store::Wish;
use crate::study::Tokens;
use crate::user::User;

/// Levels of a category that are named to whoever asks for another one.
const MOST_LEVELS: usize = 20;
/// Seconds after which an account that has too little is looked at again, if nothing else happens.
pub(super) const BALANCE: u64 = 60;

pub(super) struct UserPart {
    user: User,
}

impl UserPart {
    pub(super) fn new(node: &Node) -> Self {
        Self { user: User { party: node.party.clone() } }
    }
}

/// A question to a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// The model.
    pub model: u64,
    /// What is asked: one number for each feature, in the plan's order; NaN where it is not known, as JSON's null.
    #[serde(with = "row")]
    pub row: Vec<f64>,
    /// No more than so many millionths of a token are paid.
    pub most: u64,
}

/// The sealed question of a query that this node has asked.
pub fn asked(node: &Node, query: B256) -> Result<Option<Vec<u8>>, NodeError> {
    Ok(node.store.get(&format!("asked/{query:x}"))?)
}

/// The code with which a wish was bought for, by its number.
pub(crate) fn code_of(node: &Node, wish: u64) -> Result<Option<u64>, NodeError> {
    let kept = node.store.get(&format!("code/{wish}"))?;
    Ok(kept.and_then(|kept| kept.as_slice().try_into().ok()).map(u64::from_le_bytes))
}

/// Numbers of which some are not known: JSON has no NaN.
mod row {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(row: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        let known: Vec<Option<f64>> = row.iter().map(|x| (!x.is_nan()).then_some(*x)).collect();
        known.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let known = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(known.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
    }
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Buy, ask and read one answer.
    Query(u64, Asking),
    /// Claim what the market owes to this account.
    Claim(u64),
    /// Tell which members have some names.
    LookUp(u64, LookUp),
    /// Take a dataset back.
    Withdraw(u64, B256),
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Query(wish, asking) => write!(f, "query {wish} to model {}", asking.model),
            Duty::Claim(_) => f.write_str("claim what is owed"),
            Duty::LookUp(wish, _) => write!(f, "look up names for wish {wish}"),
            Duty::Withdraw(_, dataset) => write!(f, "withdraw dataset {dataset}"),
        }
    }
}

fn wished(wish: Wish) -> Option<Duty> {
    match wish.kind.as_str() {
        "query" => Some(Duty::Query(wish.number, serde_json::from_value(wish.what).ok()?)),
        "claim" => Some(Duty::Claim(wish.number)),
        LOOK_UP => Some(Duty::LookUp(wish.number, serde_json::from_value(wish.what).ok()?)),
        WITHDRAW => {
            let Withdraw { dataset } = serde_json::from_value(wish.what).ok()?;
            Some(Duty::Withdraw(wish.number, dataset))
        }
        _ => None,
    }
}

impl Part for UserPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what the user has asked for";

    async fn duties(&mut self, _: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        Ok(node.store.wishes(true)?.into_iter().filter_map(wished).collect())
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Query(wish, asking) => self.query(wish, &asking, node, now).await,
            Duty::Claim(wish) => {
                let claimed = claim(node).await?;
                node.store.wish_done(wish, &serde_json::json!({ "claimed": claimed.to_string() }), now)?;
                Ok(Done::Yes)
            }
            Duty::LookUp(wish, asked) => {
                let found = names::look_up(&asked.names, node).await?;
                let found = serde_json::to_value(found).map_err(|e| NodeError::Message(e.to_string()))?;
                node.store.wish_done(wish, &found, now)?;
                Ok(Done::Yes)
            }
            Duty::Withdraw(wish, dataset) => withdrawing::withdraw(wish, dataset, node, now).await,
        }
    }
}

/// Claims what the market owes to this party: to its account, and to those that are paid for its donations. Gives the sum, in
/// millionths of a token.
async fn claim(node: &Node) -> Result<U256, NodeError> {
    let ledger = &node.world.ledger;
    let (book, own) = (ledger.current_book().await?, node.party.account());
    let key = &node.party.key;
    let mut claimed = ledger.read(Contract::Market, Market::owedCall { account: own }).await?;
    if !claimed.is_zero() {
        ledger.send(key, Contract::Market, Market::claimCall {}).await?;
    }
    for model in book.models.iter() {
        let is_own = |id: &B256| book.datasets.get(id).is_some_and(|dataset| dataset.owner == own);
        for donor in model.donors.iter().filter(|donor| is_own(&donor.dataset)) {
            let (model_id, index) = (U256::from(model.model), donor.donor);
            let owed = Market::owedDonorCall { modelId: model_id, donorIndex: index };
            let owed = ledger.read(Contract::Market, owed).await?;
            if !owed.is_zero() {
                // Anybody may: it goes to the account that the donation names.
                let call = Market::claimDonorCall { modelId: model_id, donorIndex: index };
                ledger.send(key, Contract::Market, call).await?;
                claimed += owed;
            }
        }
    }
    Ok(claimed)
}

/// Why a model cannot answer for a row, if so: of another length, or a category that it does not have.
fn misfit(features: &[PlanFeature], row: &[f64]) -> Option<String> {
    if features.len() != row.len() {
        let names: Vec<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        let (found, wanted, names) = (row.len(), names.len(), names.join(", "));
        return Some(format!("the row has {found} values, and the model wants {wanted}: {names}"));
    }
    features.iter().zip(row).find_map(|(feature, value)| {
        if let ColumnKind::Genotypes { variants, .. } = feature.kind {
            let there = value.trunc() == *value && (1.0..=f64::from(variants)).contains(value);
            return (!there).then(|| {
                format!("`{}` names a variant by its place in the panel, 1 to {variants}", feature.name)
            });
        }
        let ColumnKind::Levels(levels) = &feature.kind else { return None };
        let there = value.is_nan() || (0..levels.len()).any(|level| *value == level as f64);
        let numbered = levels.iter().enumerate().map(|(i, level)| format!("{i} ({level})"));
        let known: Vec<String> = numbered.take(MOST_LEVELS).collect();
        (!there).then(|| format!("`{}` is {value}, and the model knows {}", feature.name, known.join(", ")))
    })
}

impl UserPart {
    async fn query(&mut self, wish: u64, asking: &Asking, node: &Node, now: u64) -> Result<Done, NodeError> {
        let world = &node.world;
        let number = match code_of(node, wish)? {
            Some(number) => number,
            None => {
                let book = world.ledger.current_book().await?;
                let mut number = self.user.next_code()?;
                // One that was bought with before this memory began is the code of another question.
                while book.queries.get(&self.user.query_id(number)).is_some() {
                    number = self.user.next_code()?;
                }
                node.store.put(&format!("code/{wish}"), &number.to_le_bytes())?;
                number
            }
        };
        let id = self.user.query_id(number);
        let book = world.ledger.current_book().await?;
        let Some(query) = book.queries.get(&id) else {
            let model = book.models.get(&asking.model);
            let Some(price) = model.map(|m| m.terms.query_price.0.saturating_to::<u64>()) else {
                node.store.wish_progress(wish, &format!("the ledger has no model {} yet", asking.model))?;
                return Ok(Done::NotYet);
            };
            if model.is_some_and(|m| matches!(m.state, ModelState::Aborted | ModelState::Retired)) {
                let why = format!("model {} was given up, and answers nothing", asking.model);
                node.store.wish_failed(wish, &why, now)?;
                return Ok(Done::Yes);
            }
            if price > asking.most {
                let [price, most] = [price, asking.most].map(Tokens::from_micro);
                let why = format!(
                    "an answer costs {price} tokens, at most {most} were to be paid; nothing was paid"
                );
                node.store.wish_failed(wish, &why, now)?;
                return Ok(Done::Yes);
            }
            if model.is_some_and(|m| m.servings.is_empty()) {
                node.store.wish_progress(wish, "nobody answers for the model yet")?;
                return Ok(Done::NotYet);
            }
            // Whoever has paid for a row that does not fit, or for one answer too many, waits for the refund.
            let plan = plan::of_model(asking.model, world).await?;
            if let Some(why) = misfit(&plan.features, &asking.row) {
                node.store.wish_failed(wish, &format!("{why}; nothing was paid"), now)?;
                return Ok(Done::Yes);
            }
            let account = node.party.account();
            let most = plan.disclosure.answers;
            if most > 0 && bought_before(asking.model, account, None, &world.ledger).await? >= most {
                let why = format!(
                    "one account gets {most} answers of model {}, and {account} has had them",
                    asking.model
                );
                node.store.wish_failed(wish, &format!("{why}; nothing was paid"), now)?;
                return Ok(Done::Yes);
            }
            let balance = world.ledger.read(Contract::Token, TestToken::balanceOfCall { account }).await?;
            if balance < U256::from(price) {
                let [price, balance] = [price, balance.saturating_to()].map(Tokens::from_micro);
                let why = format!("an answer costs {price} tokens, and the account {account} has {balance}");
                node.store.wish_progress(wish, &format!("{why}; it is bought when it has them"))?;
                node.soon.at(now + BALANCE);
                return Ok(Done::NotYet);
            }
            let trusted = self.user.appraise(asking.model, world).await?;
            self.user.buy_with(number, asking.model, price, trusted, world).await?;
            node.store.wish_progress(wish, "bought")?;
            return Ok(Done::Yes);
        };
        match query.state {
            QueryState::Settled => {
                let answer = self.user.answer_to(id, world).await?;
                let outcome = serde_json::json!({ "query": id, "answer": answer });
                node.store.wish_done(wish, &outcome, now)?;
                Ok(Done::Yes)
            }
            QueryState::Refunded => {
                node.store.wish_failed(wish, "nobody has answered in time; the price came back", now)?;
                Ok(Done::Yes)
            }
            _ if now > query.deadline => {
                self.user.refund_query(id, world).await?;
                Ok(Done::Yes)
            }
            _ => self.ask(wish, (number, asking), (id, query.enclave), node, now).await,
        }
    }

    /// Sends the question to who runs the enclave, once.
    async fn ask(
        &mut self,
        wish: u64,
        (number, asking): (u64, &Asking),
        (query, enclave): (B256, Address),
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let purpose = format!("question/{query:x}");
        if node.marked(&purpose)? {
            return Ok(Done::NotYet);
        }
        let code = self.user.bought(number, asking.model, enclave, &node.world).await?;
        // Kept before it is sent: what was asked is what is answered, and can be shown.
        let sealed = match asked(node, query)? {
            Some(kept) => kept,
            None => {
                let sealed = self.user.ask(&code, asking.row.clone(), &node.world).await?;
                node.store.put(&format!("asked/{query:x}"), &sealed)?;
                sealed
            }
        };
        let sealed = sealed.into();
        let book = node.world.ledger.current_book().await?;
        let runner = book.enclaves.get(&enclave).map(|e| e.operator);
        let runner =
            runner.ok_or_else(|| NodeError::Message(format!("nobody is known who runs {enclave}")))?;
        let body = Body::Question { model: asking.model, enclave, query, sealed, profile: node.profile()? };
        node.write(runner, &purpose, &body, now).await?;
        node.mark(&purpose)?;
        node.store.wish_progress(wish, "asked")?;
        Ok(Done::Yes)
    }
}
