//! An owner: has data validated, answers white papers, and lets its enclaves take part in what it has agreed to.

mod answering;
mod bringing;

use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt;

use histone_contracts::book::{Book, DatasetState, Donor, Enclave, Kind, Model, ModelState};
use histone_contracts::{Contract, Rounds};
use histone_federation::header::RoundHeader;
use histone_genome::table::Table;
use histone_network::StoreError;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::disclosure::Release;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::receipt::{self, ValidationReceipt};
use histone_protocol::{Address, B256, U256};

use super::mail::{Body, Read};
use super::updating;
use super::withdrawing::{forgone, is_forgone};
use super::{Done, Node, Part};
use crate::committee::{shown, shown_blob};
use crate::duties::{self, OwnerDuty};
use crate::error::NodeError;
use crate::owner::{Owner, Tell};
use crate::plan;
use crate::store::{Level, Store};

use answering::answered;
pub(crate) use answering::donating;
pub use answering::{Recorded, decided};
pub(super) use bringing::is_shared;

#[derive(Default)]
pub(super) struct OwnerPart {
    datasets: BTreeMap<B256, Owner>,
    /// What the store said of added datasets when they were opened.
    opened: Option<Vec<u8>>,
}

/// Where the store has which dataset was added last: a daemon that runs looks for it then.
const ADDED: &str = "data-added";
/// So many characters of why a dataset is refused are kept.
const MOST_WHY: usize = 1_000;

/// Keeps that a dataset was added into the directory of a party whose daemon may be running.
pub fn data_added(store: &Store, dataset: B256, now: u64) -> Result<(), NodeError> {
    store.note(now, Level::Info, "data", &format!("dataset {dataset} is added"))?;
    store.remove(&forgone(dataset))?;
    Ok(store.put(ADDED, dataset.as_slice())?)
}

/// Why a validation enclave has refused a dataset of this node, when one has.
pub fn refused(node: &Node, dataset: B256) -> Result<Option<String>, NodeError> {
    let why = node.store.get(&format!("refused/{dataset:x}"))?;
    Ok(why.map(|why| String::from_utf8_lossy(&why).into_owned()))
}
#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Send a dataset to a validation enclave, and to who runs it.
    Validate { dataset: B256, enclave: Address, runner: Address },
    /// Register what a validation enclave has signed.
    Register { letter: B256, dataset: B256, receipt: Box<(Address, ValidationReceipt, SignatureBytes)> },
    /// Read that a dataset was refused.
    Refused { letter: B256, dataset: B256, why: String },
    /// Answer a white paper, and donate where the answer is yes.
    Consider { dataset: B256, model: u64 },
    /// Start the enclave of a donation again.
    Resume { dataset: B256, model: u64 },
    /// Let the enclave answer a round.
    Contribute { dataset: B256, model: u64, round: u32 },
    /// Let the enclave show shares that members call unreadable.
    Defend { dataset: B256, model: u64, round: u32 },
    /// Let the enclave recompute a public sum.
    Observe { dataset: B256, model: u64, round: u32 },
    /// What is owed in a sealed training.
    Sealed { dataset: B256, duty: OwnerDuty, trainer: Address },
    /// Remember which query enclave asks for a model.
    Asked { letter: B256, model: u64, query: Address, runner: Address },
    /// Let the enclave evaluate the finished model.
    Evaluate { dataset: B256, model: u64, trainer: Address },
    /// Take the model that is for the participants.
    Share { dataset: B256, model: u64, trainer: Address },
    /// What is owed where the data goes to the one enclave of a model.
    Hosted(bringing::Duty),
    /// What is to be done for a new version of a dataset.
    Update(updating::Step),
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Validate { dataset, enclave, .. } => {
                write!(f, "have dataset {dataset} validated by {enclave}")
            }
            Duty::Register { dataset, letter, .. } => {
                write!(f, "register dataset {dataset} (letter {letter})")
            }
            Duty::Refused { dataset, .. } => write!(f, "read why dataset {dataset} is refused"),
            Duty::Consider { model, dataset } => {
                write!(f, "answer the white paper of model {model} for {dataset}")
            }
            Duty::Resume { model, .. } => write!(f, "start the enclave for model {model} again"),
            Duty::Contribute { model, round, .. } => write!(f, "answer round {round} of model {model}"),
            Duty::Defend { model, round, .. } => {
                write!(f, "answer accusations in round {round} of model {model}")
            }
            Duty::Observe { model, round, .. } => write!(f, "follow round {round} of model {model}"),
            Duty::Sealed { duty, .. } => match duty {
                OwnerDuty::OpenSum { model, round } => {
                    write!(f, "open the sum of round {round} of model {model}")
                }
                OwnerDuty::Release { model } => write!(f, "publish what is released of model {model}"),
                OwnerDuty::HandModel { model, query } => {
                    write!(f, "hand model {model} to the enclave {query}")
                }
            },
            Duty::Asked { model, query, .. } => write!(f, "note that {query} asks for model {model}"),
            Duty::Evaluate { model, .. } => write!(f, "evaluate model {model}"),
            Duty::Share { model, .. } => write!(f, "receive model {model}"),
            Duty::Hosted(duty) => duty.fmt(f),
            Duty::Update(step) => step.fmt(f),
        }
    }
}

impl OwnerPart {
    /// Encrypts a table into the owner's directory and keeps under which terms. Gives the name of the dataset on the ledger.
    pub(super) fn add(
        &mut self,
        table: Table,
        policy: ConsentPolicy,
        node: &Node,
    ) -> Result<B256, NodeError> {
        self.open(node)?;
        let owner = Owner::prepare(node.party.clone(), table, policy)?;
        owner.keep()?;
        let dataset = owner.dataset();
        node.store.remove(&forgone(dataset))?;
        self.datasets.entry(dataset).or_insert(owner);
        Ok(dataset)
    }

    /// The datasets that were added before this process began, or by another one while it runs.
    fn open(&mut self, node: &Node) -> Result<(), NodeError> {
        let last = node.store.get(ADDED)?.unwrap_or_default();
        if self.opened.as_ref() == Some(&last) {
            return Ok(());
        }
        for dataset in Owner::added(&node.party)? {
            if let Entry::Vacant(new) = self.datasets.entry(dataset) {
                new.insert(Owner::reopen(node.party.clone(), dataset)?);
            }
        }
        self.opened = Some(last);
        Ok(())
    }

    fn owner(&mut self, dataset: B256) -> Result<&mut Owner, NodeError> {
        let unknown = || NodeError::Message(format!("there is no dataset {dataset} in this node"));
        self.datasets.get_mut(&dataset).ok_or_else(unknown)
    }

    /// Whether a dataset of this node was sent to an enclave of this runner's.
    fn has_asked(&self, dataset: B256, enclave: Address, runner: Address, book: &Book, node: &Node) -> bool {
        let asked = node.marked(&format!("validate/{dataset:x}/{enclave:x}")).unwrap_or(false);
        let operator = book.enclaves.get(&enclave).map(|e| e.operator);
        self.datasets.contains_key(&dataset) && asked && operator == Some(runner)
    }

    fn of_letters(
        &self,
        updates: &[(u64, updating::Update)],
        book: &Book,
        node: &Node,
    ) -> Result<Vec<Duty>, NodeError> {
        let validates = |e: &Enclave, from| e.kind == Kind::Validation && e.operator == from;
        let account = node.party.account();
        let read = |Read { id: letter, from, body }: Read| match body {
            Body::WantModel { model, .. } if super::host::is_asked(model, book, node) => None,
            Body::Validated { dataset, enclave, root, report, rows, quality, replaces, signature }
                if self.has_asked(dataset, enclave, from, book, node) =>
            {
                let receipt =
                    ValidationReceipt { owner: account, root, reportHash: report, rows, quality, replaces };
                Some(Duty::Register { letter, dataset, receipt: Box::new((enclave, receipt, signature)) })
            }
            Body::Validated { dataset, .. } => {
                Some(Duty::Refused { letter, dataset, why: format!("{from} was not asked to validate it") })
            }
            Body::NotValidated { dataset, .. } if !book.enclaves.iter().any(|e| validates(e, from)) => {
                let why =
                    format!("{from} says so, who runs no enclave that validates; the data is as it was");
                Some(Duty::Refused { letter, dataset, why })
            }
            Body::NotValidated { dataset, why } => Some(Duty::Refused { letter, dataset, why }),
            Body::WantModel { model, enclave } => {
                Some(Duty::Asked { letter, model, query: enclave, runner: from })
            }
            body => bringing::of_letter(Read { id: letter, from, body }, book, node).map(Duty::Hosted),
        };
        let mut duties = Vec::new();
        for letter in node.letters(book)? {
            if let Some((dataset, false)) = is_signed(&letter.body, node) {
                // Whoever was asked once could say anything: nothing follows from it.
                let why = format!("what {} sent as its validation is not signed by the enclave", letter.from);
                duties.push(Duty::Refused { letter: letter.id, dataset, why });
                continue;
            }
            match updating::of_letter(&letter, updates, book, node)? {
                Some(step) if self.datasets.contains_key(&step.dataset()) => duties.push(Duty::Update(step)),
                _ => duties.extend(read(letter)),
            }
        }
        Ok(duties)
    }

    /// What is owed for a donation.
    async fn of_donation(
        &mut self,
        (dataset, model, donor): (B256, &Model, &Donor),
        book: &Book,
        node: &Node,
        now: u64,
    ) -> Result<Vec<Duty>, NodeError> {
        let (id, trainer) = (model.model, model.trainer);
        let held = book.datasets.get(&dataset).is_some_and(|d| d.state == DatasetState::Registered);
        let owner = self.owner(dataset)?;
        let is_there = owner.takes_part_in() == Some(id);
        if model.host.is_some() {
            // Data that was brought to the enclave of somebody else is that one's matter.
            if !is_there {
                owner.rejoin(id, donor.donor, &node.world)?;
            }
            return Ok(Vec::new());
        }
        if !is_there {
            // What was withdrawn goes into none again.
            return Ok(held.then_some(Duty::Resume { dataset, model: id }).into_iter().collect());
        }
        let mut duties = Vec::new();
        let disclosure = plan::of_model(id, &node.world).await?.disclosure;
        if disclosure.is_sealed() {
            let ended = donor.excluded || donor.use_ended;
            for duty in owner.duties(book, &node.world).await? {
                // Sums without its numbers are not sealed any more to the enclave of somebody who has left.
                let reads = match duty {
                    OwnerDuty::OpenSum { model, round } => {
                        duties::owner::in_sum(book, model, round, donor.donor)
                    }
                    OwnerDuty::Release { .. } | OwnerDuty::HandModel { .. } => false,
                };
                if !ended || reads {
                    duties.push(Duty::Sealed { dataset, duty, trainer });
                }
            }
        } else if !donor.use_ended {
            let observed = owner.observed()?;
            let rounds = duties::owner::to_observe(book, id, observed);
            duties.extend(rounds.into_iter().map(|round| Duty::Observe { dataset, model: id, round }));
        }
        // What is asked next follows from the sums before.
        let follows = duties.is_empty();
        if model.state == ModelState::Training && !donor.use_ended {
            if follows
                && let Some(round) = duties::owner::round_to_answer(book, id, donor.donor, now)
                && is_invited(owner, round.header_hash, node)?
            {
                duties.push(Duty::Contribute { dataset, model: id, round: round.round });
            }
            for round in owner.accused(id, donor.donor, &node.world).await? {
                duties.push(Duty::Defend { dataset, model: id, round });
            }
        }
        if disclosure.is_sealed() {
            // Before the market knows the model there is nothing to compare it with.
            let asked = if model.model_hash.is_some() { self.asked(node, id)? } else { Vec::new() };
            for query in asked {
                let duty = OwnerDuty::HandModel { model: id, query };
                duties.push(Duty::Sealed { dataset, duty, trainer });
            }
        }
        let ended = matches!(model.state, ModelState::Trained | ModelState::Serving);
        if ended && duties::owner::in_last_sum(book, id, donor.donor) && !donor.excluded {
            if held && !donor.use_ended && !node.marked(&evaluated(id))? {
                duties.push(Duty::Evaluate { dataset, model: id, trainer });
            }
            if disclosure.model == Release::Participants && !node.marked(&shared(id))? {
                duties.push(Duty::Share { dataset, model: id, trainer });
            }
        }
        Ok(duties)
    }

    /// Query enclaves that have asked for a model and have no answer yet.
    fn asked(&self, node: &Node, model: u64) -> Result<Vec<Address>, NodeError> {
        let asked = node.store.get(&format!("asked/{model}"))?.unwrap_or_default();
        let asked: Vec<Address> = serde_json::from_slice(&asked).unwrap_or_default();
        let mut open = Vec::new();
        for query in asked {
            if !node.marked(&handed(model, query))? {
                open.push(query);
            }
        }
        Ok(open)
    }
}

/// Of a letter that says that a dataset was validated: which one, and whether the enclave that it names has signed that.
fn is_signed(body: &Body, node: &Node) -> Option<(B256, bool)> {
    let &Body::Validated { dataset, enclave, root, report, rows, quality, replaces, signature } = body else {
        return None;
    };
    let owner = node.party.account();
    let receipt = ValidationReceipt { owner, root, reportHash: report, rows, quality, replaces };
    let deployment = node.world.ledger.deployment();
    let domain = receipt::domain(deployment.chain_id, deployment.datasets);
    Some((dataset, signature.recover(receipt::digest(&receipt, &domain)).ok() == Some(enclave)))
}

/// Whether an owner's enclave is in a header. One that nobody shows, or that is none, invites nobody.
fn is_invited(owner: &mut Owner, header: B256, node: &Node) -> Result<bool, NodeError> {
    match owner.is_invited(header, &node.world) {
        Err(NodeError::Withheld { error: StoreError::Missing { .. } | StoreError::TooLarge(_), .. }) => {
            Ok(false)
        }
        Err(NodeError::Round(_)) => Ok(false),
        other => other,
    }
}

fn evaluated(model: u64) -> String {
    format!("evaluated/{model}")
}

fn shared(model: u64) -> String {
    format!("shared/{model}")
}

fn handed(model: u64, query: Address) -> String {
    format!("handed/{model}/{query:x}")
}

/// Where it is kept which blob of an encrypted dataset is shown to a validation enclave.
fn sent(dataset: B256) -> String {
    format!("sent/{dataset:x}")
}

/// Takes back the encrypted table that was shown to a validation enclave: nobody needs it any more.
fn take_back(dataset: B256, node: &Node) -> Result<(), NodeError> {
    if let Some(kept) = node.store.get(&sent(dataset))? {
        if let Ok(blob) = B256::try_from(kept.as_slice()) {
            node.world.blobs.forget(blob)?;
        }
        node.store.remove(&sent(dataset))?;
    }
    Ok(())
}

impl Part for OwnerPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what the owner owes";

    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<Duty>, NodeError> {
        self.open(node)?;
        let updates = updating::wishes(node)?;
        let mut duties = self.of_letters(&updates, book, node)?;
        let has = |dataset| self.datasets.contains_key(&dataset);
        duties.extend(updating::steps(&updates, has, book, node)?.into_iter().map(Duty::Update));
        for dataset in self.datasets.keys().copied().collect::<Vec<_>>() {
            if let Some((enclave, runner)) = duties::owner::validation(book, dataset)
                && !is_forgone(dataset, node)?
                && !node.marked(&format!("validate/{dataset:x}/{enclave:x}"))?
            {
                duties.push(Duty::Validate { dataset, enclave, runner });
            }
            for model in duties::owner::recruiting(book, dataset) {
                if !node.marked(&answered(model.model, dataset))? {
                    duties.push(Duty::Consider { dataset, model: model.model });
                }
            }
            let nothing_came = bringing::nothing_came(book, dataset, node)?;
            duties.extend(nothing_came.into_iter().map(Duty::Hosted));
            if let Some((model, donor)) = duties::owner::donation(book, dataset) {
                duties.extend(self.of_donation((dataset, model, donor), book, node, now).await?);
            }
        }
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        let world = &node.world;
        match duty {
            Duty::Validate { dataset, enclave, runner } => {
                let sealed = self.owner(dataset)?.seal_for_validation(enclave, B256::ZERO, world).await?;
                let body = Body::Validate {
                    enclave,
                    dataset,
                    root: sealed.root,
                    replaces: sealed.replaces,
                    ciphertext: world.blobs.put(&sealed.ciphertext)?,
                    key: sealed.key.as_bytes().to_vec().into(),
                };
                let purpose = format!("validate/{dataset:x}/{enclave:x}");
                if let Body::Validate { ciphertext, .. } = &body {
                    node.store.put(&sent(dataset), ciphertext.as_slice())?;
                }
                node.write(runner, &purpose, &body, now).await?;
                node.mark(&purpose)?;
            }
            Duty::Register { letter, dataset, receipt } => {
                let (enclave, receipt, signature) = *receipt;
                let book = world.ledger.current_book().await?;
                if receipt.replaces != B256::ZERO {
                    let why = format!(
                        "its rows are those of your dataset {0}: `histone data update {0}` makes it a new version of that one",
                        receipt.replaces
                    );
                    node.say(now, "data", &format!("dataset {dataset} is not registered: {why}"))?;
                } else if book.datasets.get(&dataset).is_none() && !is_forgone(dataset, node)? {
                    self.owner(dataset)?.register_validated(enclave, &receipt, &signature, world).await?;
                    node.say(
                        now,
                        "data",
                        &format!("dataset {dataset} is registered, quality {}", receipt.quality),
                    )?;
                }
                take_back(dataset, node)?;
                node.store.read(letter, now)?;
            }
            Duty::Refused { letter, dataset, why } => {
                // Of what is not here anybody may say anything.
                if self.datasets.contains_key(&dataset) {
                    let why: String = why.chars().take(MOST_WHY).collect();
                    node.say(now, "data", &format!("dataset {dataset} is refused: {why}"))?;
                    node.store.put(&format!("refused/{dataset:x}"), why.as_bytes())?;
                }
                node.store.read(letter, now)?;
            }
            Duty::Update(updating::Step::Fail { wish, dataset, why }) => {
                return updating::fail(wish, dataset, &why, node, now);
            }
            Duty::Update(step) => {
                return updating::perform(step.clone(), self.owner(step.dataset())?, node, now).await;
            }
            Duty::Consider { dataset, model } => return self.consider(dataset, model, node, now).await,
            Duty::Resume { dataset, model } => {
                let method = plan::of_model(model, world).await?.programs.training;
                let program = program(node, method)?;
                let again = Owner::resume(node.party.clone(), model, program, world).await?;
                self.datasets.insert(dataset, again);
                return Ok(Done::Here);
            }
            Duty::Contribute { dataset, model, round } => {
                if node.is_forgotten(model, round).await? {
                    // Its enclave may have answered other numbers since then.
                    return Ok(Done::NotYet);
                }
                let header = header(model, round, node).await?;
                self.owner(dataset)?.contribute(&header, world).await?;
            }
            Duty::Defend { dataset, model, round } => {
                let header = header(model, round, node).await?;
                self.owner(dataset)?.answer_accusations(&header, world).await?;
            }
            Duty::Observe { dataset, model, round } => {
                let transcript = shown(U256::from(model), round, world).await?;
                self.owner(dataset)?.observe(&transcript, world).await?;
                return Ok(Done::Here);
            }
            Duty::Sealed { dataset, duty, trainer } => {
                return self.sealed(dataset, duty, trainer, node, now).await;
            }
            Duty::Asked { letter, model, query, runner } => {
                let book = world.ledger.current_book().await?;
                let is_its = |e: &Enclave| e.kind == Kind::Query && e.operator == runner;
                let own = node.party.account();
                let is_own = |d: &Donor| book.datasets.get(&d.dataset).is_some_and(|d| d.owner == own);
                let donated = book.models.get(&model).is_some_and(|m| m.donors.iter().any(is_own));
                if !donated || !book.enclaves.get(&query).is_some_and(is_its) {
                    // Of a model without data of this party; nobody else's enclave, and none that the ledger does not have.
                    node.store.read(letter, now)?;
                    return Ok(Done::Yes);
                }
                let key = format!("asked/{model}");
                let asked = node.store.get(&key)?.unwrap_or_default();
                let mut asked: Vec<Address> = serde_json::from_slice(&asked).unwrap_or_default();
                if !asked.contains(&query) {
                    asked.push(query);
                    let bytes = serde_json::to_vec(&asked).map_err(|e| NodeError::Message(e.to_string()))?;
                    node.store.put(&key, &bytes)?;
                }
                node.store.put(&format!("asks-for/{query:x}"), runner.as_slice())?;
                node.store.read(letter, now)?;
            }
            Duty::Hosted(duty) => return self.hosted(duty, node, now).await,
            Duty::Evaluate { dataset, model, trainer } => {
                let evaluation = self.owner(dataset)?.evaluate(world)?;
                let body = Body::Evaluated { model, evaluation };
                node.write(trainer, &evaluated(model), &body, now).await?;
                node.mark(&evaluated(model))?;
            }
            Duty::Share { dataset, model, trainer } => {
                let sold = crate::trainer::sold(model, world).await?;
                let own = node.party.account();
                let owner = self.owner(dataset)?;
                let key = owner.share_model(own, world).await?;
                let blob = released_model(model, node).await?;
                crate::model::receive(&node.party, model, sold, &key, &blob)?;
                let sealed = owner.share_model(trainer, world).await?.into();
                node.write(trainer, &shared(model), &Body::Shared { model, sealed }, now).await?;
                node.mark(&shared(model))?;
            }
        }
        Ok(Done::Yes)
    }
}

impl OwnerPart {
    async fn sealed(
        &mut self,
        dataset: B256,
        duty: OwnerDuty,
        trainer: Address,
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        match (self.owner(dataset)?.perform(duty, &node.world).await?, duty) {
            (Some(Tell::State(statement)), OwnerDuty::OpenSum { model, round }) => {
                let body = Body::Said { model, round, statement };
                node.write(trainer, &format!("said/{model}/{round}"), &body, now).await?;
            }
            (Some(Tell::ModelKey { query, sealed }), OwnerDuty::HandModel { model, .. }) => {
                let runner = node.store.get(&format!("asks-for/{query:x}"))?.unwrap_or_default();
                let runner = Address::try_from(runner.as_slice()).map_err(|_| {
                    NodeError::Message(format!("nobody is known here who runs the enclave {query}"))
                })?;
                let body = Body::ModelKey { model, enclave: query, sealed: sealed.into() };
                node.write(runner, &handed(model, query), &body, now).await?;
                node.mark(&handed(model, query))?;
            }
            _ => {}
        }
        Ok(Done::Yes)
    }
}

/// A program that this node has at hand.
pub(super) fn program(
    node: &Node,
    measurement: B256,
) -> Result<histone_enclave::engine::LoadedProgram, NodeError> {
    let missing = || NodeError::Message(format!("the program {measurement} does not come with this version"));
    Ok(node.bundled.program(measurement).ok_or_else(missing)??)
}

/// The header of a round, as the ledger names it.
pub(super) async fn header(model: u64, round: u32, node: &Node) -> Result<RoundHeader, NodeError> {
    let info = Rounds::roundInfoCall { modelId: U256::from(model), round };
    let info = node.world.ledger.read(Contract::Rounds, info).await?;
    let header = shown_blob(info.headerHash, &node.world, || format!("the header of round {round}"))?;
    RoundHeader::decode(&header).map_err(NodeError::round)
}

/// The blob of the model that enclaves have released.
pub(super) async fn released_model(model: u64, node: &Node) -> Result<Vec<u8>, NodeError> {
    let last = crate::recompute::signed_document(model, &node.world).await?;
    let document = shown_blob(last, &node.world, || "what its enclaves have released".into())?;
    let document = histone_enclave::release::Released::from_bytes(&document);
    let document = document.map_err(|e| NodeError::Message(format!("the release cannot be read: {e}")))?;
    shown_blob(document.model, &node.world, || "the model that its enclaves have released".into())
}
