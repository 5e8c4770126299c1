//! A training in one enclave, to which all participants have brought their data.

use std::collections::BTreeMap;

use histone_enclave::release::Released;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire as _;
use histone_protocol::B256;
use histone_protocol::disclosure::Release;
use histone_protocol::record::Signed;
use histone_protocol::report::{HostedStatement, SiteEvaluation};

use super::outcome::{HostedSummary, Withdrawn};
use super::recruiting::Recruited;
use super::setup::Cast;
use super::training::{Evaluated, Trained, give_up, main_trainer, no_model};
use super::{Observer, Options};
use crate::error::NodeError;
use crate::runner::HostTell;
use crate::study::Study;

/// What the one enclave left.
pub(super) struct HostedOutcome {
    /// Blob of what it says.
    pub(super) statement: B256,
    pub(super) summary: HostedSummary,
    evaluations: Vec<B256>,
    /// Whether the method is of closed source: nothing of what it reports goes out.
    closed: bool,
}

/// Trains the main model in the one enclave that has the data.
pub(super) async fn train(
    study: &Study,
    options: &Options,
    cast: &mut Cast,
    recruited: &Recruited,
    observer: &mut dyn Observer,
) -> Result<Trained, NodeError> {
    let world = cast.world.clone();
    let model_id = recruited.model_id;
    main_trainer(cast, study)?.start(model_id, &world).await?;
    let mut withdrawn = Vec::new();
    for left in &options.withdrawals {
        for owner in cast.owners.iter_mut().filter(|o| o.party.name == left.participant) {
            let what = owner.withdraw(&world).await?.to_string();
            observer.note(&format!("before the training {} withdraws: {what}", left.participant));
            withdrawn.push(Withdrawn { participant: left.participant.clone(), round: left.round, what });
        }
    }
    let taking_part = cast.owners.iter().filter(|o| o.donation().is_some());
    let left = taking_part.filter(|o| !withdrawn.iter().any(|w| w.participant == o.party.name)).count();
    if left < study.training.min_survivors {
        let stopped = give_up(study, cast, model_id, 1, left as u16).await?;
        perform(cast).await?;
        return Err(stopped);
    }
    let mut said = None;
    for told in perform(cast).await? {
        if let HostTell::Made(made) = told {
            said = Some(made);
        }
    }
    let said = said.ok_or_else(|| NodeError::Message("the one enclave has not trained".into()))?;
    let model_hash = match main_trainer(cast, study)?.finish_hosted(&said, &world).await {
        Err(NodeError::NoModel) => return Err(no_model(study, cast, model_id).await?),
        finished => finished?,
    };
    let mut released = None;
    for told in perform(cast).await? {
        if let HostTell::Released { document, model, evaluations } = told {
            released = Some((document, model, evaluations));
        }
    }
    let (document, model_blob, evaluations) =
        released.ok_or_else(|| NodeError::Message("the one enclave has released nothing".into()))?;
    let statement = histone_protocol::hash::blob_hash(&said.statement);
    let (says, enclave) = Signed::<HostedStatement>::from_bytes(&said.statement)?.open()?;
    let donors: BTreeMap<u16, String> =
        cast.owners.iter().filter_map(|o| Some((o.donation()?.1, o.party.name.clone()))).collect();
    let participants = says.donors.iter().filter_map(|d| donors.get(&d.donor).cloned()).collect();
    let summary = HostedSummary {
        enclave,
        runner: cast.runner.party.name.clone(),
        participants,
        destroyed: says.destroyed.len(),
    };
    observer.note(&format!(
        "the one enclave made the model from the data of {} and says that it has destroyed {} datasets (SIMULATED)",
        summary.participants.join(", "),
        summary.destroyed
    ));
    let read = Released::from_bytes(&world.blobs.get(document)?);
    let read = read.map_err(|e| NodeError::Message(format!("the release cannot be read: {e}")))?;
    let model = match recruited.plan.model {
        Release::Public => Some(Model::from_bytes(&world.blobs.get(model_blob)?).map_err(NodeError::round)?),
        Release::Participants => share(study, cast, &summary, (model_id, model_hash, model_blob)).await?,
        Release::Sealed => None,
    };
    Ok(Trained {
        model,
        facts: read.facts,
        model_blob,
        model_hash,
        records: Vec::new(),
        summaries: Vec::new(),
        withdrawn,
        struck: Vec::new(),
        hosted: Some(HostedOutcome {
            statement,
            summary,
            evaluations,
            closed: recruited.paper.disclosure.is_closed(),
        }),
    })
}

/// Performs what the runner owes to do for the enclave, until nothing is left.
pub(super) async fn perform(cast: &mut Cast) -> Result<Vec<HostTell>, NodeError> {
    let world = cast.world.clone();
    let none = || NodeError::Message("there is no enclave that has all data".into());
    let host = cast.host.as_mut().ok_or_else(none)?;
    let mut told = Vec::new();
    loop {
        let book = world.ledger.current_book().await?;
        // One at a time: what is owed next depends on what the ledger has by then.
        let Some(duty) = cast.runner.host_duties(host, &book).into_iter().next() else { return Ok(told) };
        told.extend(cast.runner.perform(duty, host, &world).await?);
    }
}

/// Every participant whose data was used gets the model from the enclave, and so does the trainer. Gives it.
async fn share(
    study: &Study,
    cast: &Cast,
    summary: &HostedSummary,
    (model_id, name, blob): (u64, B256, B256),
) -> Result<Option<Model>, NodeError> {
    let world = &cast.world;
    let Some(host) = &cast.host else { return Ok(None) };
    let blob = world.blobs.get(blob)?;
    for owner in cast.owners.iter().filter(|o| summary.participants.contains(&o.party.name)) {
        let key = host.enclave.share_model(owner.account(), &world.ledger).await?;
        crate::model::receive(&owner.party, model_id, name, &key, &blob)?;
    }
    let trainer = &main_trainer(cast, study)?.party;
    let key = host.enclave.share_model(trainer.account(), &world.ledger).await?;
    Ok(Some(crate::model::receive(trainer, model_id, name, &key, &blob)?))
}

impl HostedOutcome {
    /// What the enclave says of the model at the site of each participant.
    pub(super) fn evaluated(&self, cast: &Cast) -> Result<Evaluated, NodeError> {
        let mut sites = Vec::new();
        for &blob in &self.evaluations {
            let said = Signed::<SiteEvaluation>::from_bytes(&cast.world.blobs.get(blob)?)?.open()?.0;
            let of = |o: &&crate::owner::Owner| o.donation().is_some_and(|(_, donor)| donor == said.donor);
            let name = cast.owners.iter().find(of).map(|o| o.party.name.clone()).unwrap_or_default();
            sites.push((name, said));
        }
        let spoke = |name: &&String| !self.closed && !sites.iter().any(|(spoke, _)| spoke == *name);
        let silent = self.summary.participants.iter().filter(spoke).cloned().collect();
        Ok(Evaluated { blobs: self.evaluations.clone(), sites, silent })
    }
}
