//! A whole collaboration in one process: the daemons of all parties, connected by the ledger, public blobs and letters over a network in
//! memory, until nothing is left to do.
//!
//! [`run`] takes a study and leaves a run folder that a stranger can verify. It is the operator of each node: it asks for what the study
//! has a party ask for, and answers what the study has answered. The machines are SIMULATED. So is the clock of the embedded chain: it
//! starts at [`Options::start_time`], moves on with every block, and is moved to the next moment at which somebody has something to do
//! when nobody has.
//!
//! With [`Options::network`] the ledger is on a network of somebody else instead, by the same client: new contracts, and
//! time as the network has it. A development node's clock is SIMULATED and moved like the embedded one; elsewhere the
//! run waits, and gives queries and rounds minutes and not an hour.

mod cast;
mod collect;
mod gas;
mod membership;
mod outcome;
pub mod place;
mod pooled;
mod queries;
mod refusals;
mod result;
mod story;
mod training;

use std::path::PathBuf;
use std::time::Instant;

use histone_compliance::folder::{FORMAT, Folder, Manifest};
use histone_network::io_error;
use histone_protocol::disclosure::Place as PlaceOfTraining;

use crate::error::NodeError;
use crate::party::Entropy;
use crate::study::Study;
pub use gas::FUNDED;
pub use outcome::{
    Balance, ChainSummary, Declined, DisclosureSummary, HostedSummary, Membership, QueryOutcome, Refusal,
    RoundSummary, RunResult, SiteReport, Validation,
};
pub use place::Network;
use place::{End, Node, Place};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The run folder; must not exist or be empty.
    pub out: PathBuf,
    /// Where keys and other secrets come from.
    pub entropy: Entropy,
    /// First moment of the SIMULATED clock of the embedded chain, Unix seconds. A network has its own time.
    pub start_time: u64,
    /// The network for the ledger; an embedded chain in the run folder when there is none.
    pub network: Option<Network>,
    /// Participants that do not answer from a round on: SIMULATED failures.
    pub drop_outs: Vec<DropOut>,
    /// Participants who withdraw their data before a round.
    pub withdrawals: Vec<DropOut>,
}

/// A participant that does not answer from a round on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropOut {
    /// Its name.
    pub participant: String,
    /// The first round that it misses.
    pub round: u32,
}

/// Is told how the run goes on.
pub trait Observer {
    /// Step `number` of `total` begins.
    fn step(&mut self, number: usize, total: usize, title: &str);
    /// Something worth a line has happened.
    fn note(&mut self, text: &str);
    /// A round of training has ended; at the most so many follow.
    fn round(&mut self, round: u32, at_most: u32, stage: &str);
}

/// What is behind a run.
struct Stage {
    folder: Folder,
    place: Place,
    started: Instant,
}

impl Stage {
    /// Notes in the folder how far the run has come, for whoever finds it unfinished.
    fn mark(&self, step: &str) -> Result<(), NodeError> {
        let text = format!("This run has not ended. It was at: {step}\n");
        Ok(histone_network::write_whole(&self.folder.unfinished(), text.as_bytes())?)
    }
}

const TRAIN: &str = "train on encrypted updates; only sums are opened";
const TRAIN_INSIDE: &str = "train in the one enclave that has the data, which destroys them";

const STEPS: [&str; 9] = [
    "start the ledger, deploy the contracts, admit the members",
    "publish, audit and register the programs",
    "attest a validation enclave; validate, commit and register each table",
    "propose the models; each owner's node decides",
    TRAIN,
    "evaluate the model at each site",
    "serve the model: access codes, sealed questions and answers",
    "try what must be refused",
    "pay everybody out and close the books",
];

/// Finds what would stop a run at once: a failure that cannot happen, a node that does not answer, gas that nobody pays
/// for. Changes nothing.
pub async fn check(study: &Study, options: &Options) -> Result<(), NodeError> {
    training::check_drop_outs(study, options)?;
    if let Some(why) = study.too_many_questions() {
        return Err(NodeError::Message(why));
    }
    if let Some(network) = &options.network {
        Node::find(network, options).await?;
    }
    Ok(())
}

/// Runs a study from beginning to end and leaves a verifiable folder.
pub async fn run(
    study: &Study,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<RunResult, NodeError> {
    let folder = Folder::at(&options.out);
    training::check_drop_outs(study, options)?;
    if let Some(why) = study.too_many_questions() {
        return Err(NodeError::Message(why));
    }
    // A node that does not answer leaves nothing behind.
    let node = match &options.network {
        Some(network) => Some(Node::find(network, options).await?),
        None => None,
    };
    cast::claim_folder(&folder)?;
    let purse = node.as_ref().and_then(|node| node.purse());
    let result = go(study, options, folder, node, observer).await;
    if let Some(purse) = purse {
        purse.give_back(observer).await;
    }
    result
}

async fn go(
    study: &Study,
    options: &Options,
    folder: Folder,
    node: Option<Node>,
    observer: &mut dyn Observer,
) -> Result<RunResult, NodeError> {
    let mut number = 0;
    let mut step = |observer: &mut dyn Observer| {
        number += 1;
        let title = match STEPS.get(number - 1).copied().unwrap_or_default() {
            TRAIN if study.training.disclosure.place == PlaceOfTraining::OneEnclave => TRAIN_INSIDE,
            title => title,
        };
        observer.step(number, STEPS.len(), title);
        title
    };

    let title = step(observer);
    let mut cast = cast::gather(study, options, folder, node, observer).await?;
    cast.stage.mark(title)?;
    cast.stage.mark(step(observer))?;
    story::programs(study, &mut cast, observer).await?;
    cast.stage.mark(step(observer))?;
    let validation = story::datasets(study, &mut cast, observer).await?;
    cast.stage.mark(step(observer))?;
    let recruited = story::recruit(study, &mut cast, observer).await?;
    cast.stage.mark(step(observer))?;
    let book = cast.world.ledger.current_book().await?;
    let mut pooling = pooled::Pooling::start(study, &cast, &book, &recruited)?;
    let trained = training::train(study, options, &mut cast, &recruited, observer).await?;
    cast.stage.mark(step(observer))?;
    let collected = collect::collect(study, &cast, &recruited, trained, observer).await?;
    pooling.measure(&cast, &collected)?;
    cast.stage.mark(step(observer))?;
    let mut served = queries::serve(study, &mut cast, &recruited, observer).await?;
    cast.stage.mark(step(observer))?;
    let refused = refusals::try_all(study, &cast, &recruited, &mut served, observer).await?;
    cast.stage.mark(step(observer))?;
    let balances = result::pay_out(study, &mut cast, observer).await?;
    let record = collect::record(study, &cast, &recruited, &collected, &served).await?;
    let folder = cast.stage.folder.clone();
    folder.write(&folder.record(), &record, &cast.operator().party.key)?;
    let end = cast.stage.place.end().await?;
    let comparison = pooling.compare(collected.model.as_ref())?;
    let result = result::assemble(
        study, options, &cast, &end, &recruited, collected, comparison, validation, served, refused, balances,
    )?;
    let text =
        serde_json::to_vec_pretty(&result.for_strangers()).map_err(|e| NodeError::Message(e.to_string()))?;
    histone_network::write_whole(&folder.result(), &text)?;
    let End { height, head, state_digest, .. } = end;
    let manifest = Manifest { format: FORMAT.into(), head, height, state_digest, files: Default::default() };
    // The chain's file is complete only when it is closed: the last clones go with the cast.
    let operator = cast.operator().party.key.clone();
    drop(cast);
    let manifest = Manifest { files: folder.hash_files()?, ..manifest };
    folder.write(&folder.manifest(), &manifest, &operator)?;
    std::fs::remove_file(folder.unfinished()).map_err(io_error("remove", &folder.unfinished()))?;
    Ok(result)
}
