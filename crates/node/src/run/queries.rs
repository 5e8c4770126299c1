//! The end user's questions to the trained model.

use histone_contracts::book::{Book, ModelState};
use histone_protocol::B256;
use histone_protocol::report::NamedValue;

use super::Observer;
use super::cast::{Cast, Until, find};
use super::outcome::QueryOutcome;
use super::story::{Recruited, wishes_done};
use crate::daemon::Daemon;
use crate::daemon::together::{Scene, Stand};
use crate::error::NodeError;
use crate::store::WishState;
use crate::study::Study;

/// What serving left.
pub(super) struct Served {
    /// The answered queries, by the ledger's key.
    pub(super) queries: Vec<B256>,
    pub(super) outcomes: Vec<QueryOutcome>,
    /// The wish of the last one that was answered, and what it asked.
    pub(super) last: Option<(u64, Vec<f64>)>,
}

/// The runner is away, and whoever has asked waits for its money.
struct Unanswered<'a> {
    runner: &'a str,
    user: &'a str,
    wish: u64,
}

impl Scene for Unanswered<'_> {
    fn is_away(&self, daemon: &Daemon, _: &Book) -> bool {
        daemon.node.party.name == self.runner
    }

    async fn after(&mut self, daemons: &mut [Daemon], _: &Book) -> Result<Stand, NodeError> {
        let wish = find(daemons, self.user)?.node.store.get_wish(self.wish)?;
        let open = wish.is_none_or(|wish| wish.state == WishState::Open);
        Ok(if open { Stand::GoesOn } else { Stand::Over })
    }
}

/// Every query of the study is bought, asked, answered and settled; one more is bought and never answered.
pub(super) async fn serve(
    study: &Study,
    cast: &mut Cast,
    recruited: &Recruited,
    observer: &mut dyn Observer,
) -> Result<Served, NodeError> {
    let model = recruited.model_id;
    let mut serves = Until(|_: &[Daemon], book: &Book| {
        Ok(book.models.get(&model).is_some_and(|m| m.state == ModelState::Serving))
    });
    cast.play(&mut serves, observer).await?;
    let (user, accounts) = (&study.end_user.name, cast.accounts());
    let questions = cast.on_ledger(study, &accounts).questions(model);
    let mut wishes = Vec::new();
    for question in &questions {
        wishes.push(cast.wish(user, "query", question).await?);
    }
    wishes_done(cast, observer).await?;
    let fields: Vec<String> =
        cast.loaded.method.manifest().answer.fields.iter().map(|f| f.name.clone()).collect();
    let mut served = Served { queries: Vec::new(), outcomes: Vec::new(), last: None };
    let truth = study.end_user.truth.as_ref();
    for (index, wish) in wishes.into_iter().enumerate() {
        let (query, values) = answered(cast, user, wish)?;
        let named = fields.iter().zip(values).map(|(name, value)| NamedValue { name: name.clone(), value });
        served.queries.push(query);
        served.last = questions.get(index).map(|question| (wish, question.row.clone()));
        served.outcomes.push(QueryOutcome {
            query: index + 1,
            answer: named.collect(),
            truth: truth.and_then(|t| t.get(index).copied()).filter(|t| !t.is_nan()),
            settled: true,
        });
    }
    // One whose enclave is not there: the whole price comes back after the deadline.
    if let Some(question) = questions.first() {
        let wish = cast.wish(user, "query", question).await?;
        let mut unanswered = Unanswered { runner: &study.runner, user, wish };
        cast.play(&mut unanswered, observer).await?;
        if answered(cast, user, wish).is_ok() {
            return Err(NodeError::Message("a query was answered by nobody".into()));
        }
        observer.note(
            "one query was not answered (its enclave was stopped on purpose): refunded in full after the deadline",
        );
        let query = study.end_user.queries.len() + 1;
        served.outcomes.push(QueryOutcome { query, answer: Vec::new(), truth: None, settled: false });
    }
    Ok(served)
}

/// What was answered to a wish of the user: the query and the numbers.
fn answered(cast: &Cast, user: &str, wish: u64) -> Result<(B256, Vec<Option<f64>>), NodeError> {
    let kept = cast.daemon(user)?.node.store.get_wish(wish)?;
    match kept.map(|kept| kept.state) {
        Some(WishState::Done(outcome)) => {
            let read = |key: &str| outcome.get(key).cloned().unwrap_or_default();
            let unreadable = |e: serde_json::Error| NodeError::Message(e.to_string());
            let query = serde_json::from_value(read("query")).map_err(unreadable)?;
            Ok((query, serde_json::from_value(read("answer")).map_err(unreadable)?))
        }
        Some(WishState::Failed(why)) => Err(NodeError::Message(format!("a query of `{user}`: {why}"))),
        _ => Err(NodeError::Message(format!("a query of `{user}` was not answered"))),
    }
}

/// Gives the message of a refusal that was made for the right reason. Any other error, such as a full disk, is no
/// refusal and goes on as an error.
pub(super) fn expect(error: impl Into<NodeError>, reason: &str) -> Result<String, NodeError> {
    let error = error.into();
    let text = histone_protocol::with_causes(&error);
    if text.contains(reason) { Ok(text) } else { Err(error) }
}
