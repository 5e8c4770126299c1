//! What a run has left, read off ledger, blobs and what the parties' nodes keep: the record that a stranger verifies, and what people
//! are shown of rounds and model.

use std::collections::BTreeMap;

use histone_compliance::folder::{
    DatasetRecord, FORMAT, ModelRecord, ProgramRecord, QueryRecord, RoundRecord, RunRecord,
};
use histone_contracts::book::{Book, Donor, Model as Proposed, Round, RoundState};
use histone_contracts::{Contract, Enclaves, Market, Rounds, reasons};
use histone_enclave::engine::LoadedProgram;
use histone_enclave::release::Released;
use histone_federation::header::RoundHeader;
use histone_ledger::Settings;
use histone_program_sdk::method::Fact;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::agreement::{Agreement, Carried, RECOMPUTED};
use histone_protocol::disclosure::{Release, Source};
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::report::{HostedStatement, SiteEvaluation};
use histone_protocol::{Address, B256, U256};

use super::Observer;
use super::cast::Cast;
use super::outcome::{HostedSummary, RoundSummary, Struck, Withdrawn};
use super::queries::Served;
use super::story::{Recruited, decision};
use super::training::Trained;
use crate::committee::{enclaves, posted, sealed_round, transcript};
use crate::daemon::asked;
use crate::error::NodeError;
use crate::programs::PublishedProgram;
use crate::recompute;
use crate::study::Study;

/// What came of the training of the main model.
pub(super) struct Collected {
    /// The model, where it is for more than query enclaves.
    pub(super) model: Option<Model>,
    pub(super) facts: Vec<Fact>,
    pub(super) model_blob: B256,
    pub(super) model_hash: B256,
    pub(super) records: Vec<RoundRecord>,
    pub(super) summaries: Vec<RoundSummary>,
    pub(super) withdrawn: Vec<Withdrawn>,
    pub(super) struck: Vec<Struck>,
    /// Blobs of what sites say of the model, and what that is, by participant.
    pub(super) evaluations: Vec<B256>,
    pub(super) sites: Vec<(String, SiteEvaluation)>,
    /// Whose rows are in the model and who has said nothing of it.
    pub(super) silent: Vec<String>,
    /// The blob of what the one enclave says that had all data, and the same for people.
    pub(super) hosted: Option<(B256, HostedSummary)>,
}

/// The donors of a model, by number, with the participants whose data they are.
struct Donors(BTreeMap<u16, String>);

impl Donors {
    fn of(cast: &Cast, book: &Book, model: &Proposed) -> Self {
        let name = |d: &Donor| {
            let owner = book.datasets.get(&d.dataset)?.owner;
            let is = |daemon: &&crate::daemon::Daemon| daemon.node.party.account() == owner;
            Some((d.donor, cast.daemons.iter().find(is)?.node.party.name.clone()))
        };
        Self(model.donors.iter().filter_map(name).collect())
    }

    fn name(&self, donor: u16) -> Option<&str> {
        self.0.get(&donor).map(String::as_str)
    }

    /// Those that are not in a sum.
    fn missing(&self, survivors: &[u16]) -> Vec<String> {
        self.0.iter().filter(|(donor, _)| !survivors.contains(donor)).map(|(_, name)| name.clone()).collect()
    }
}

/// Reads what came of the training.
pub(super) async fn collect(
    study: &Study,
    cast: &Cast,
    recruited: &Recruited,
    trained: Trained,
    observer: &mut dyn Observer,
) -> Result<Collected, NodeError> {
    let (world, id) = (&cast.world, recruited.model_id);
    let book = world.ledger.current_book().await?;
    let gone = || NodeError::Message(format!("the ledger has no model {id}"));
    let proposed = book.models.get(&id).ok_or_else(gone)?;
    let donors = Donors::of(cast, &book, proposed);
    let (mut records, mut summaries) = (Vec::new(), Vec::new());
    for round in book.rounds.iter().filter(|r| r.model == id && r.state == RoundState::Final) {
        let (record, summary) = of_round(round, &donors, &trained, cast).await?;
        records.push(record);
        summaries.push(summary);
    }
    let struck = struck(&donors, id, cast, observer).await?;
    let hosted = match proposed.host.as_ref().and_then(|host| host.statement_hash) {
        Some(statement) => Some((statement, of_host(study, statement, &donors, cast)?)),
        None => None,
    };
    if let Some((_, one)) = &hosted {
        observer.note(&format!(
            "the one enclave made the model from the data of {} and says that it has destroyed {} datasets (SIMULATED)",
            one.participants.join(", "),
            one.destroyed
        ));
    }
    let (mut evaluations, mut sites, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    let trainer = &cast.daemon(&study.model.trainer)?.node;
    for participant in &study.participants {
        let name = &participant.name;
        let account = cast.daemon(name)?.node.party.account();
        let in_model = match (&hosted, summaries.last()) {
            (Some((_, one)), _) => one.participants.contains(name),
            (None, Some(last)) => {
                let last: &RoundSummary = last;
                donors.0.values().any(|donor| donor == name)
                    && !last.missing.contains(name)
                    && !struck.iter().any(|s| s.participant == *name)
            }
            (None, None) => false,
        };
        let said = trainer.store.get(&format!("evaluation/{id}/{account:x}"))?;
        match said.and_then(|said| B256::try_from(said.as_slice()).ok()) {
            Some(blob) => {
                let said = Signed::<SiteEvaluation>::from_bytes(&world.blobs.get(blob)?)?.open()?.0;
                evaluations.push(blob);
                sites.push((name.clone(), said));
            }
            // Of a closed method nothing of what it reports goes out.
            None if in_model && !recruited.paper.disclosure.is_closed() => silent.push(name.clone()),
            None => {}
        }
    }
    let model_hash =
        proposed.model_hash.ok_or_else(|| NodeError::Message(format!("model {id} has no name")))?;
    let (model, facts, model_blob) = made(study, cast, recruited, &hosted).await?;
    Ok(Collected {
        model,
        facts,
        model_blob,
        model_hash,
        records,
        summaries,
        withdrawn: trained.withdrawn,
        struck,
        evaluations,
        sites,
        silent,
        hosted,
    })
}

/// The model as far as it is shown, what is said of it, and its blob.
async fn made(
    study: &Study,
    cast: &Cast,
    recruited: &Recruited,
    hosted: &Option<(B256, HostedSummary)>,
) -> Result<(Option<Model>, Vec<Fact>, B256), NodeError> {
    let (world, id) = (&cast.world, recruited.model_id);
    if !recruited.paper.disclosure.is_sealed() && hosted.is_none() {
        let finished = recompute::model(id, world).await?;
        let blob = world.blobs.put(&finished.model.to_bytes())?;
        return Ok((Some(finished.model), finished.facts, blob));
    }
    let document = recompute::signed_document(id, world).await?;
    let read = Released::from_bytes(&world.blobs.get(document)?);
    let read = read.map_err(|e| NodeError::Message(format!("the release cannot be read: {e}")))?;
    let bytes = match recruited.plan.model {
        Release::Public => Some(world.blobs.get(read.model)?),
        Release::Participants => {
            cast.daemon(&study.model.trainer)?.node.party.recall(&format!("model-{id}.bin"))?
        }
        Release::Sealed => None,
    };
    let model = bytes.map(|bytes| Model::from_bytes(&bytes).map_err(NodeError::round)).transpose()?;
    Ok((model, read.facts, read.model))
}

/// What the run record says of a round, and what people are shown of it.
async fn of_round(
    round: &Round,
    donors: &Donors,
    trained: &Trained,
    cast: &Cast,
) -> Result<(RoundRecord, RoundSummary), NodeError> {
    let world = &cast.world;
    let header = RoundHeader::decode(&world.blobs.get(round.header_hash)?).map_err(NodeError::round)?;
    let partials = posted(&header, world).await?;
    let transcript = transcript(&header, &partials, world).await?;
    let stage = header.fields().question.stage().to_owned();
    let survivors: Vec<u16> = transcript.survivors.iter().map(|(donor, _)| *donor).collect();
    let carried = match header.fields().question.is_sealed() {
        true => Some(carried(round, &header, cast).await?),
        false => None,
    };
    let others = carried.as_ref().map_or(&[][..], |c| &c.others);
    let summary = RoundSummary {
        round: round.round,
        stage: stage.clone(),
        survivors: survivors.len() as u16,
        missing: donors.missing(&survivors),
        basis: carried.as_ref().map_or(RECOMPUTED.into(), |c| c.words(survivors.len())),
        disagree: others.iter().filter_map(|donor| donors.name(*donor).map(str::to_owned)).collect(),
        numbers: header.dimension() as u64,
        update_bytes: transcript.survivors.iter().map(|(_, blob)| blob.len() as u64).sum(),
        partial_bytes: transcript.partials.iter().map(|p| p.len() as u64).sum(),
        milliseconds: trained.milliseconds.get(&round.round).copied().unwrap_or_default(),
    };
    let updates = transcript.survivors.iter().map(|(donor, blob)| (*donor, blob.hash())).collect();
    let record = RoundRecord { round: round.round, stage, header: round.header_hash, updates, partials };
    Ok((record, summary))
}

/// What the enclaves of a sealed round have signed.
async fn carried(round: &Round, header: &RoundHeader, cast: &Cast) -> Result<Carried, NodeError> {
    let world = &cast.world;
    let said = round.aggregate_hash.unwrap_or_default();
    let said = Agreement::from_bytes(&world.blobs.get(said)?).map_err(NodeError::round)?;
    let survivors = crate::committee::survivors(U256::from(round.model), round.round, world).await?;
    let of = sealed_round(header, &survivors, world)?;
    said.carried(&of, &enclaves(header, &survivors)).map_err(NodeError::round)
}

/// Whom the committee left out of the training, and why.
async fn struck(
    donors: &Donors,
    model: u64,
    cast: &Cast,
    observer: &mut dyn Observer,
) -> Result<Vec<Struck>, NodeError> {
    let about = Some(B256::from(U256::from(model)));
    let ledger = &cast.world.ledger;
    let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
    let named = ledger.logged::<Rounds::DonorNamed>(Contract::Rounds, about).await?;
    let mut struck = Vec::new();
    for named in named.into_iter().map(|n| n.event).filter(|n| n.reason != reasons::SILENT) {
        let is_excluded = excluded.iter().any(|e| e.event.donorIndex == named.donorIndex);
        if let Some(name) = donors.name(named.donorIndex).filter(|_| is_excluded) {
            let why = reasons::words(named.reason);
            observer.note(&format!("the committee left {name} out: {why}; it is paid nothing"));
            struck.push(Struck { participant: name.to_owned(), round: named.round, why });
        }
    }
    Ok(struck)
}

/// What the one enclave says that had all data, for people.
fn of_host(study: &Study, statement: B256, donors: &Donors, cast: &Cast) -> Result<HostedSummary, NodeError> {
    let said = cast.world.blobs.get(statement)?;
    let (said, enclave) = Signed::<HostedStatement>::from_bytes(&said)?.open()?;
    let participants = said.donors.iter().filter_map(|d| donors.name(d.donor)).map(str::to_owned).collect();
    Ok(HostedSummary { enclave, runner: study.runner.clone(), participants, destroyed: said.destroyed.len() })
}

/// The record of the run.
pub(super) async fn record(
    study: &Study,
    cast: &Cast,
    recruited: &Recruited,
    collected: &Collected,
    served: &Served,
) -> Result<RunRecord, NodeError> {
    let world = &cast.world;
    let book = world.ledger.current_book().await?;
    let evidence = world.ledger.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves).await?;
    let mut models = Vec::new();
    for &id in &recruited.models {
        let Some(model) = book.models.get(&id) else { continue };
        let mut decisions = Vec::new();
        for participant in &study.participants {
            decisions.extend(decision(cast, &book, id, &participant.name)?.map(|(blob, _)| blob));
        }
        models.push(ModelRecord::proposed(id, model.white_paper_hash, model.plan_hash, decisions));
    }
    if let Some(main) = models.first_mut() {
        main.rounds.clone_from(&collected.records);
        main.hosted = collected.hosted.as_ref().map(|(statement, _)| *statement);
        main.model = Some(collected.model_blob);
        main.evaluations.clone_from(&collected.evaluations);
        main.queries = queries(study, cast, served).await?;
    }
    let datasets = study.participants.iter().filter_map(|participant| {
        let owner: Address = cast.daemon(&participant.name).ok()?.node.party.account();
        let dataset = book.datasets.iter().find(|d| d.owner == owner)?;
        Some(DatasetRecord { id: dataset.id, policy: dataset.policy_hash, report: dataset.report_hash })
    });
    Ok(RunRecord {
        format: FORMAT.into(),
        study: study.name.clone(),
        platform: Platform::SIMULATED,
        vendor: cast.vendor,
        evidence_max_age: study.appraisal.max_age_seconds,
        network: cast.stage.place.record(),
        deployment: world.ledger.deployment().clone(),
        settings: Settings::default(),
        parties: cast.parties(study, &book)?,
        programs: programs(study, cast, &book)?,
        evidence: evidence.iter().map(|e| e.evidenceHash).collect(),
        datasets: datasets.collect(),
        models,
    })
}

fn programs(study: &Study, cast: &Cast, book: &Book) -> Result<Vec<ProgramRecord>, NodeError> {
    let closed = study.training.disclosure.source == Source::Closed;
    let record = |(published, loaded): (&PublishedProgram, &LoadedProgram)| {
        let measurement = B256::from(loaded.program().measurement());
        let audit = book.programs.get(&measurement).and_then(|p| p.audits.first());
        let audit =
            audit.ok_or_else(|| NodeError::Message(format!("nobody has audited `{}`", published.name)))?;
        // Query modules are always open.
        let open = !(closed && published.kind == ProgramKind::Training);
        Ok(ProgramRecord {
            name: published.name.into(),
            measurement,
            wasm: open.then(|| blob_hash(published.wasm)),
            source: open.then(|| blob_hash(published.source)),
            audit: audit.report_hash,
        })
    };
    cast.loaded.all().into_iter().map(record).collect()
}

/// The queries that were answered: what was asked, which the user's node has, and what was answered, which the ledger has.
async fn queries(study: &Study, cast: &Cast, served: &Served) -> Result<Vec<QueryRecord>, NodeError> {
    let (world, user) = (&cast.world, &cast.daemon(&study.end_user.name)?.node);
    let mut records = Vec::new();
    for &query_id in &served.queries {
        let settled = world.ledger.logged::<Market::QuerySettled>(Contract::Market, Some(query_id)).await?;
        let (Some(question), Some(settled)) = (asked(user, query_id)?, settled.first()) else { continue };
        records.push(QueryRecord {
            query_id,
            question: world.blobs.put(&question)?,
            answer: world.blobs.put(&settled.event.answer)?,
        });
    }
    Ok(records)
}
