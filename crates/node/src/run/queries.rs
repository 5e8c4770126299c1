//! Serving the trained model.

use histone_compliance::folder::QueryRecord;
use histone_enclave::query::{Given, QueryEnclave};
use histone_protocol::Address;
use histone_protocol::disclosure::Release;
use histone_protocol::report::NamedValue;

use super::Observer;
use super::outcome::QueryOutcome;
use super::recruiting::Recruited;
use super::setup::Cast;
use super::training::{Trained, main_trainer};
use crate::error::NodeError;
use crate::study::Study;
use crate::user::AccessCode;

/// What serving left.
pub(super) struct Served {
    pub(super) records: Vec<QueryRecord>,
    pub(super) outcomes: Vec<QueryOutcome>,
    pub(super) enclave: Option<QueryEnclave>,
    /// The last code that was used, and its row.
    pub(super) last: Option<(AccessCode, Vec<f64>)>,
}

/// Every query of the study is bought, asked, answered and settled; one more is bought and never answered.
pub(super) async fn serve(
    study: &Study,
    cast: &mut Cast,
    recruited: &Recruited,
    trained: &Trained,
    observer: &mut dyn Observer,
) -> Result<Served, NodeError> {
    let world = cast.world.clone();
    let model_id = recruited.model_id;
    let blob = world.blobs.get(trained.model_blob)?;
    let program = cast.loaded.query.clone();
    let instance = cast.runner.begin_query(program, model_id, trained.model_hash, &world).await?;
    let key = match recruited.plan.model {
        Release::Public => None,
        _ => Some(hand_over(cast, trained, instance.keys().receipt).await?),
    };
    let given = match &key {
        None => Given::Public(&blob),
        Some(key) => Given::Sealed { blob: &blob, key },
    };
    let enclave = cast.runner.install_model(instance, model_id, given, &world).await?;
    main_trainer(cast, study)?.serve(model_id, enclave.instance().keys().receipt, &world).await?;

    let price = recruited.paper.query_price;
    let mut served = Served { records: Vec::new(), outcomes: Vec::new(), enclave: None, last: None };
    for (index, row) in study.end_user.queries.iter().enumerate() {
        let trusted = cast.user.appraise(model_id, &world).await?;
        let code = cast.user.buy(model_id, price, trusted, &world).await?;
        let question = cast.user.ask(&code, row.clone(), &world).await?;
        let answer = enclave.answer(&question, &world.ledger).await?;
        cast.runner.settle(&answer, &world).await?;
        let values = cast.user.read(&code, &answer.sealed)?;
        let fields = cast.loaded.method.manifest().answer.fields.iter();
        let named = fields.zip(values).map(|(f, value)| NamedValue { name: f.name.clone(), value });
        served.records.push(QueryRecord {
            query_id: code.query_id,
            question: world.blobs.put(&question)?,
            answer: world.blobs.put(&answer.sealed)?,
        });
        served.outcomes.push(QueryOutcome {
            query: index + 1,
            answer: named.collect(),
            truth: study.end_user.truth.as_ref().and_then(|t| t.get(index).copied()).filter(|t| !t.is_nan()),
            settled: true,
        });
        served.last = Some((code, row.clone()));
    }

    // One query whose enclave is stopped before it answers: the whole price comes back after the deadline.
    let trusted = cast.user.appraise(model_id, &world).await?;
    let code = cast.user.buy(model_id, price, trusted, &world).await?;
    match cast.user.refund(&code, &world).await {
        Ok(()) => return Err(NodeError::Message("a query was refunded before its deadline".into())),
        Err(e) => expect(e, "TooEarly")?,
    };
    cast.wait(u64::from(cast.stage.place.query_seconds()) + 1, observer).await?;
    cast.user.refund(&code, &world).await?;
    observer.note("one query was not answered (its enclave was stopped on purpose): refunded in full after the deadline");
    served.outcomes.push(QueryOutcome {
        query: study.end_user.queries.len() + 1,
        answer: Vec::new(),
        truth: None,
        settled: false,
    });
    served.enclave = Some(enclave);
    Ok(served)
}

/// Any training enclave that followed the training hands the key over: the first that is there does.
async fn hand_over(cast: &mut Cast, trained: &Trained, query: Address) -> Result<Vec<u8>, NodeError> {
    let world = cast.world.clone();
    if let Some(host) = &cast.host {
        return cast.runner.hand_model(host, query, &world).await;
    }
    let last = trained.summaries.last();
    let there = |name: &str| {
        last.is_some_and(|last| !last.missing.iter().any(|m| m == name))
            && !trained.withdrawn.iter().any(|w| w.participant == name)
    };
    let owner = cast.owners.iter_mut().find(|o| o.donation().is_some() && there(&o.party.name));
    let owner =
        owner.ok_or_else(|| NodeError::Message("no enclave is there to hand over the model".into()))?;
    owner.hand_model(query, &world).await
}

/// Gives the message of a refusal that was made for the right reason. Any other error, such as a full disk, is no
/// refusal and goes on as an error.
pub(super) fn expect(error: impl Into<NodeError>, reason: &str) -> Result<String, NodeError> {
    let error = error.into();
    let text = histone_protocol::with_causes(&error);
    if text.contains(reason) { Ok(text) } else { Err(error) }
}
