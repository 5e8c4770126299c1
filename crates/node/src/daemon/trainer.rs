//! A trainer: proposes models, leads their rounds, sells what comes of them.

mod clashing;
mod hosted;
mod publishing;

use std::collections::BTreeMap;
use std::fmt;

use histone_contracts::book::{Book, Model, ModelState, RoundState};
use histone_contracts::{Contract, TestToken};
use histone_program_sdk::wire::Wire;
use histone_protocol::agreement::StateStatement;
use histone_protocol::consent::WhitePaper;
use histone_protocol::hash::blob_hash;
use histone_protocol::plan::PlanDocument;
use histone_protocol::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::mail::{Body, Read};
use super::owner::header;
use super::user::BALANCE;
use super::{Done, Node, Part, evidence, patience};
use crate::committee::posted;
use crate::duties;
use crate::duties::trainer::{Known, Next, TrainerDuty, of_trainer};
use crate::error::NodeError;
use crate::recompute::Course;
use crate::store::{Level, Question, Wish};
use crate::study::Tokens;
use crate::trainer::{Leading, Offer, Trainer};

/// Seconds that a trainer waits for the enclaves that have not said what a sealed round led to, when more than half have.
const PATIENCE: u64 = 60;

/// What a trainer's node is asked to propose.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What owners read.
    pub paper: WhitePaper,
    /// What is computed.
    pub plan: PlanDocument,
    /// Training starts with no fewer donors.
    pub min_donors: u16,
    /// The deposit covers this many.
    pub max_donors: u16,
    /// Seconds in which a query must be answered.
    pub query_timeout: u32,
    /// Who is asked to answer queries.
    pub runner: Option<Address>,
    /// So many rounds that fail in a row are a reason to give the model up.
    #[serde(default = "failed_rounds")]
    pub failed_rounds: u32,
    /// Owners are waited for until then, Unix seconds; for ever where it is not said.
    #[serde(default)]
    pub until: Option<u64>,
    /// The text of the panel, where the plan reads genotypes; it is published with the plan, which names its hash.
    #[serde(default)]
    pub panel: Option<String>,
}

fn failed_rounds() -> u32 {
    patience::FAILED_ROUNDS
}

#[derive(Default)]
pub(super) struct TrainerPart {
    models: BTreeMap<u64, Led>,
}

/// A model that this trainer leads.
struct Led {
    course: Option<Course>,
    followed: usize,
    leading: Option<Leading>,
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Register the programs of a method, the training program as one of closed source or not, and ask the auditors.
    Publish(u64, String, bool),
    /// Propose a model.
    Propose(u64, Box<Proposal>),
    /// Give a model up.
    Abort(u64, u64),
    /// Keep what an owner says.
    Hear(Box<Heard>),
    /// Ask for the one enclave to which all data is brought.
    AskHost(u64, Address),
    /// Ask for an enclave that answers.
    AskRunner(u64, Address),
    /// What is owed for a model.
    Model(u64, TrainerDuty),
}

#[derive(Debug, Clone)]
pub(super) struct Heard {
    letter: B256,
    from: Address,
    body: Body,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Publish(_, method, _) => write!(f, "publish the programs of `{}`", method.escape_debug()),
            Duty::Propose(_, proposal) => write!(f, "propose `{}`", proposal.paper.name.escape_debug()),
            Duty::Abort(_, model) => write!(f, "give up model {model}, as asked"),
            Duty::Hear(heard) => write!(f, "read the letter {}", heard.letter),
            Duty::AskHost(model, runner) => write!(f, "ask {runner} for the one enclave of model {model}"),
            Duty::AskRunner(model, runner) => write!(f, "ask {runner} to answer for model {model}"),
            Duty::Model(model, duty) => match duty {
                TrainerDuty::Start => write!(f, "begin to train model {model}"),
                TrainerDuty::Follow(round) => write!(f, "follow round {round} of model {model}"),
                TrainerDuty::Open => write!(f, "open the next round of model {model}"),
                TrainerDuty::Close(round) => write!(f, "close round {round} of model {model}"),
                TrainerDuty::Finish(round) => write!(f, "finish round {round} of model {model}"),
                TrainerDuty::Void(round) => write!(f, "declare round {round} of model {model} void"),
                TrainerDuty::End => write!(f, "end the training of model {model}"),
                TrainerDuty::GiveUp => write!(f, "give up model {model}, which came to nothing"),
                TrainerDuty::Claim => write!(f, "claim what came back of the deposit of model {model}"),
                TrainerDuty::Serve(enclave) => write!(f, "have {enclave} answer for model {model}"),
                TrainerDuty::SendModule(enclave) => {
                    write!(f, "send the module of model {model} to {enclave}")
                }
                TrainerDuty::NameHost(enclave) => {
                    write!(f, "name {enclave} as the one enclave of model {model}")
                }
            },
        }
    }
}

fn wished(wish: Wish) -> Option<Duty> {
    let text = |key: &str| wish.what.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    match wish.kind.as_str() {
        "publish" => {
            let closed = wish.what.get("closed").and_then(serde_json::Value::as_bool).unwrap_or_default();
            Some(Duty::Publish(wish.number, text("method")?, closed))
        }
        "propose" => Some(Duty::Propose(wish.number, Box::new(serde_json::from_value(wish.what).ok()?))),
        "abort" => Some(Duty::Abort(wish.number, wish.what.get("model")?.as_u64()?)),
        _ => None,
    }
}

impl Part for TrainerPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what the trainer owes";

    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<Duty>, NodeError> {
        let own = node.party.account();
        let mut duties: Vec<Duty> = node.store.wishes(true)?.into_iter().filter_map(wished).collect();
        let heard = |Read { id: letter, from, body }: Read| match body {
            Body::Declined { .. } | Body::Said { .. } | Body::Evaluated { .. } | Body::Serving { .. } => {
                Some(Duty::Hear(Box::new(Heard { letter, from, body })))
            }
            Body::Shared { model, .. } if !super::owner::is_shared(model, book, node) => {
                Some(Duty::Hear(Box::new(Heard { letter, from, body })))
            }
            body if hosted::is_about(&body) => Some(Duty::Hear(Box::new(Heard { letter, from, body }))),
            _ => None,
        };
        duties.extend(node.letters(book)?.into_iter().filter_map(heard));
        let mut known = BTreeMap::new();
        for model in book.models.iter().filter(|m| m.trainer == own) {
            if let Some(runner) = hosted::to_ask(model, node)? {
                duties.push(Duty::AskHost(model.model, runner));
            }
            if let Some(runner) = self.runner_to_ask(model, node)? {
                duties.push(Duty::AskRunner(model.model, runner));
            }
            known.insert(model.model, self.known(model, book, node, now).await?);
        }
        let of = of_trainer(book, own, &known, now);
        duties.extend(of.into_iter().map(|(model, duty)| Duty::Model(model, duty)));
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Publish(wish, method, closed) => {
                publishing::publish(wish, &method, closed, node, now).await?;
            }
            Duty::Propose(wish, proposal) => return propose(wish, &proposal, node, now).await,
            Duty::Abort(wish, model) => {
                let book = node.world.ledger.current_book().await?;
                let goes_on = |m: &Model| matches!(m.state, ModelState::Recruiting | ModelState::Training);
                let own = |m: &&Model| m.trainer == node.party.account();
                let Some(state) = book.models.get(&model).filter(own).map(|m| m.state) else {
                    let why = format!("this party has proposed no model {model}");
                    node.store.wish_failed(wish, &why, now)?;
                    return Ok(Done::Yes);
                };
                if !matches!(state, ModelState::Recruiting | ModelState::Training | ModelState::Aborted) {
                    let why = format!(
                        "model {model} is {}: only what recruits or trains is given up",
                        state.word()
                    );
                    node.store.wish_failed(wish, &why, now)?;
                    return Ok(Done::Yes);
                }
                if book.models.get(&model).is_some_and(goes_on) {
                    // The deposit is claimed after it.
                    node.mark(&given_up(model))?;
                    trainer(node).abort(model, &node.world).await?;
                }
                patience::close_questions(model, node, now)?;
                node.store.wish_done(wish, &serde_json::json!({ "model": model }), now)?;
            }
            Duty::Hear(heard) if hosted::is_about(&heard.body) => {
                return hosted::hear(*heard, node, now).await;
            }
            Duty::Hear(heard) => hear(*heard, node, now).await?,
            Duty::AskHost(model, runner) => {
                let purpose = hosted::asked(model);
                node.write(runner, &purpose, &Body::Host { model }, now).await?;
                node.mark(&purpose)?;
            }
            Duty::AskRunner(model, runner) => {
                let purpose = format!("serve/{model}");
                node.write(runner, &purpose, &Body::Serve { model }, now).await?;
                node.mark(&purpose)?;
            }
            Duty::Model(model, duty) => return self.lead(model, duty, node, now).await,
        }
        Ok(Done::Yes)
    }
}

fn trainer(node: &Node) -> Trainer {
    Trainer { party: node.party.clone() }
}

impl TrainerPart {
    fn led(&mut self, model: u64) -> &mut Led {
        self.models.entry(model).or_insert(Led { course: None, followed: 0, leading: None })
    }

    /// Who is to answer, when the model is there and nobody was asked.
    fn runner_to_ask(&self, model: &Model, node: &Node) -> Result<Option<Address>, NodeError> {
        if model.state != ModelState::Trained || node.marked(&format!("serve/{}", model.model))? {
            return Ok(None);
        }
        Ok(proposal(model, node)?.and_then(|p| p.runner))
    }

    /// What this node knows of a model beside the ledger.
    async fn known(&mut self, model: &Model, book: &Book, node: &Node, now: u64) -> Result<Known, NodeError> {
        let id = model.model;
        let ends = model.state == ModelState::Trained;
        if crate::duties::in_one_enclave(model) && !ends {
            return hosted::known(model, book, node, now);
        }
        let mut known = Known::default();
        match model.state {
            ModelState::Recruiting => known.start = may_start(model, book, node, now)?,
            ModelState::Training => {
                let world = &node.world;
                let led = self.led(id);
                if led.course.is_none() {
                    led.course = Some(Course::start(id, world).await?);
                }
                known.followed = led.followed;
                known.next = led.course.as_ref().map(|course| match course {
                    Course::Open(_) | Course::Sealed { .. } => Next::Round,
                    Course::Model { hash, .. } => Next::Model(*hash),
                    Course::NoModel => Next::NoModel,
                });
                let last = book.rounds.iter().rfind(|r| r.model == id);
                if let Some(round) = last.filter(|r| r.state == RoundState::Closed)
                    && round.partials.len() >= usize::from(round.quorum)
                {
                    known.ready = self.ready(id, round.round, node, now).await?;
                }
                let finals =
                    book.rounds.iter().filter(|r| r.model == id && r.state == RoundState::Final).count();
                if known.next == Some(Next::Round)
                    && known.followed == finals
                    && !last.is_some_and(|r| matches!(r.state, RoundState::Open | RoundState::Closed))
                {
                    known.again = patience::again(model, book, node, now)?;
                }
            }
            ModelState::Trained => {
                let serving = node.store.get(&format!("serving/{id}"))?.unwrap_or_default();
                known.serving = Address::try_from(serving.as_slice()).ok();
            }
            ModelState::Aborted => known.claim = node.marked(&given_up(id))? && !node.marked(&claimed(id))?,
            ModelState::Serving | ModelState::Retired => {}
        }
        Ok(known)
    }

    /// Whether a round with a quorum can be finished: its partial sums are shown and, where they are sealed, more than half of the
    /// enclaves have said what follows; all of them, or some time ago.
    async fn ready(&mut self, model: u64, round: u32, node: &Node, now: u64) -> Result<bool, NodeError> {
        let header = header(model, round, node).await?;
        if posted(&header, &node.world).await?.len() < usize::from(header.committee().quorum()) {
            node.soon.ask();
            return Ok(false);
        }
        if !header.fields().question.is_sealed() {
            return Ok(true);
        }
        let id = histone_protocol::U256::from(model);
        let survivors = crate::committee::survivors(id, round, &node.world).await?;
        let said = statements(model, round, node)?;
        let in_sum = |s: &StateStatement| survivors.iter().any(|(donor, _)| *donor == s.donor);
        let said = said.iter().filter(|s| in_sum(s)).count();
        if said == survivors.len() {
            return Ok(true);
        }
        if 2 * said <= survivors.len() {
            return Ok(false);
        }
        node.soon.ask();
        // Once it is on the ledger nobody who speaks later is heard.
        let key = format!("majority/{model}/{round}");
        let since = match node.store.get(&key)?.and_then(|kept| kept.as_slice().try_into().ok()) {
            Some(kept) => u64::from_le_bytes(kept),
            None => {
                node.store.put(&key, &now.to_le_bytes())?;
                now
            }
        };
        Ok(now >= since + PATIENCE)
    }

    async fn lead(
        &mut self,
        model: u64,
        duty: TrainerDuty,
        node: &Node,
        now: u64,
    ) -> Result<Done, NodeError> {
        let world = &node.world;
        let trainer = trainer(node);
        if matches!(duty, TrainerDuty::Start | TrainerDuty::Open) {
            let book = world.ledger.current_book().await?;
            evidence::fetch(model, &book, node).await?;
        }
        match duty {
            TrainerDuty::SendModule(enclave) => return hosted::send_module(model, enclave, node, now).await,
            TrainerDuty::NameHost(enclave) => trainer.name_host(model, enclave, world).await?,
            TrainerDuty::End if in_one_enclave(model, node).await? => {
                return hosted::finish(model, node).await;
            }
            TrainerDuty::Start => trainer.start(model, world).await?,
            TrainerDuty::Follow(round) => {
                let led = self.led(model);
                let course = match led.course.take() {
                    Some(course) => course,
                    None => Course::start(model, world).await?,
                };
                let kept = course.clone();
                match course.after(model, round, world).await {
                    Ok(next) => {
                        led.course = Some(next);
                        led.followed += 1;
                        return Ok(Done::Here);
                    }
                    Err(error) => {
                        led.course = Some(kept);
                        return Err(error);
                    }
                }
            }
            TrainerDuty::Open => {
                let plan = crate::plan::of_model(model, world).await?;
                let led = self.led(model);
                let asked = led.course.as_ref().and_then(Course::asked);
                let asked =
                    asked.ok_or_else(|| NodeError::Message(format!("model {model} asks for nothing")))?;
                if led.leading.is_none() {
                    let (survivors, round, opening) =
                        (plan.min_survivors, plan.round_seconds, plan.opening_seconds);
                    led.leading = Some(trainer.lead(model, survivors, round, opening, world).await?);
                }
                if let Some(leading) = &mut led.leading {
                    let next = trainer.header(&asked, leading, world).await?;
                    let book = world.ledger.current_book().await?;
                    // Of a training with an open sum something is owed: it goes on.
                    let begun = book.rounds.iter().any(|r| r.model == model && duties::is_open(r));
                    if !begun
                        && !patience::has_clash(model, node)?
                        && let Some(earlier) = clashing::clash(&next, model, &book, node).await?
                    {
                        patience::clashes(model, earlier, node)?;
                        return Ok(Done::NotYet);
                    }
                    trainer.open_round(&asked, leading, world).await?;
                }
            }
            TrainerDuty::Close(round) => {
                let (survivors, enough) = trainer.close_round(model, round, world).await?;
                if !enough {
                    let said = format!("round {round} of model {model} failed with {survivors} updates");
                    node.say(now, "model", &said)?;
                }
            }
            TrainerDuty::Finish(round) => {
                let header = header(model, round, node).await?;
                let led = self.led(model);
                match &led.course {
                    Some(Course::Open(training)) => {
                        let partials = posted(&header, world).await?;
                        let (_, step) = trainer.finish_round(training, &header, &partials, world).await?;
                        // What it has computed it need not compute again.
                        led.course = Some(Course::stepped(step));
                        led.followed += 1;
                    }
                    _ => {
                        let said = statements(model, round, node)?;
                        for dropped in trainer.agree(&header, said, world).await?.dropped {
                            let text = format!(
                                "round {round} of model {model}: {dropped}; the others go on without it"
                            );
                            node.store.note(now, Level::Warning, "model", &text)?;
                        }
                    }
                }
            }
            TrainerDuty::Void(round) => trainer.void_round(model, round, world).await?,
            TrainerDuty::End => {
                let led = self.led(model);
                let Some(Course::Model { hash, model: computed, document }) = &led.course else {
                    return Ok(Done::NotYet);
                };
                if let Some(computed) = computed {
                    world.blobs.put(&computed.to_bytes())?;
                }
                if let Some(document) = document {
                    // Whoever buys answers looks for it: it must be shown before the market sells them.
                    let shown = world.blobs.get(*document).ok();
                    let read = shown.and_then(|d| histone_enclave::release::Released::from_bytes(&d).ok());
                    if read.is_none_or(|read| world.blobs.get(read.model).is_err()) {
                        node.soon.ask();
                        return Ok(Done::NotYet);
                    }
                }
                trainer.finish(model, *hash, world).await?;
            }
            TrainerDuty::GiveUp => {
                node.mark(&given_up(model))?;
                let book = world.ledger.current_book().await?;
                node.say(now, "model", &patience::why(model, &book, node)?)?;
                trainer.abort(model, world).await?;
                patience::close_questions(model, node, now)?;
            }
            TrainerDuty::Claim => {
                trainer.claim(world).await?;
                node.mark(&claimed(model))?;
            }
            TrainerDuty::Serve(enclave) => trainer.serve(model, enclave, world).await?,
        }
        Ok(Done::Yes)
    }
}

async fn in_one_enclave(model: u64, node: &Node) -> Result<bool, NodeError> {
    let book = node.world.ledger.current_book().await?;
    Ok(book.models.get(&model).is_some_and(crate::duties::in_one_enclave))
}

/// Whether training may begin: a person has said so, or every owner has answered and enough have agreed.
fn may_start(model: &Model, book: &Book, node: &Node, now: u64) -> Result<bool, NodeError> {
    let donors = model.donors.iter().filter(|d| !d.use_ended && !d.excluded).count();
    if donors < usize::from(model.terms.min_donors) {
        return Ok(false);
    }
    let id = model.model;
    let waiting = patience::silent(model, book, node, now)?;
    let until = patience::until_when(model, node)?;
    let question = Question {
        key: format!("train/{id}"),
        kind: "train".into(),
        title: format!("begin to train model {id} with {donors} donors?"),
        text: format!(
            "{donors} owners take part, {waiting} have not answered.{until} Whoever answers later is not in this training."
        ),
        facts: serde_json::json!({ "model": id, "donors": donors, "waiting": waiting }),
        due: None,
    };
    // Nobody waits for a person's word when nobody is waited for any more.
    if node.answers == crate::home::Answers::Automatic && waiting > 0 {
        return Ok(false);
    }
    Ok(node.ask(&question, now)?.is_some_and(|answer| answer.yes))
}

/// Where it is kept that this node has given a model up, and has claimed what came back.
fn given_up(model: u64) -> String {
    format!("given-up/{model}")
}

fn claimed(model: u64) -> String {
    format!("claimed/{model}")
}

/// What was proposed.
pub(super) fn proposal(model: &Model, node: &Node) -> Result<Option<Proposal>, NodeError> {
    let kept = node.store.get(&format!("proposal/{:x}", model.white_paper_hash))?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
}

/// What enclaves have said of a sealed round, by their owners' letters.
fn statements(model: u64, round: u32, node: &Node) -> Result<Vec<StateStatement>, NodeError> {
    let kept = node.store.get(&said(model, round))?.unwrap_or_default();
    Ok(serde_json::from_slice(&kept).unwrap_or_default())
}

fn said(model: u64, round: u32) -> String {
    format!("said/{model}/{round}")
}

async fn propose(wish: u64, proposal: &Proposal, node: &Node, now: u64) -> Result<Done, NodeError> {
    let world = &node.world;
    let book = world.ledger.current_book().await?;
    let unusable = |p: &&B256| !book.programs.get(*p).is_some_and(|program| program.usable);
    let waits = proposal.paper.programs.iter().filter(unusable).count();
    if waits > 0 {
        let why = format!("{waits} of its programs are not audited and allowed yet");
        node.store.wish_progress(wish, &why)?;
        return Ok(Done::NotYet);
    }
    if proposal.plan.disclosure.in_one_enclave() && proposal.runner.is_none() {
        let why = "its plan has one enclave for all data, and it names nobody who runs it (`runner`)";
        node.store.wish_failed(wish, why, now)?;
        return Ok(Done::Yes);
    }
    let panel = proposal.panel.as_ref().map(|panel| blob_hash(panel.as_bytes()));
    if !proposal.plan.panels().map(|(name, _)| Some(name)).eq(panel.into_iter().map(Some)) {
        let why =
            "its plan reads genotypes at the variants of another panel than the one that would be published";
        node.store.wish_failed(wish, why, now)?;
        return Ok(Done::Yes);
    }
    if let Some(panel) = &proposal.panel {
        world.blobs.put(panel.as_bytes())?;
    }
    let offer = Offer {
        plan: world.blobs.put(&proposal.plan.to_bytes())?,
        min_survivors: proposal.plan.min_survivors,
        colluders: proposal.plan.colluders,
        min_donors: proposal.min_donors,
        max_donors: proposal.max_donors,
        query_timeout: proposal.query_timeout,
    };
    let paper = histone_protocol::record::Signed::sign(&proposal.paper, &node.party.key)?.to_bytes();
    let blob = world.blobs.put(&paper)?;
    let kept = serde_json::to_vec(proposal).map_err(|e| NodeError::Message(e.to_string()))?;
    node.store.put(&format!("proposal/{blob:x}"), &kept)?;
    let own = node.party.account();
    let before = book.models.iter().find(|m| m.trainer == own && m.white_paper_hash == blob).map(|m| m.model);
    let model = match before {
        // By this node before its process ended.
        Some(model) => model,
        None => {
            let deposit = U256::from(proposal.paper.instant_payment) * U256::from(offer.max_donors);
            let balance =
                world.ledger.read(Contract::Token, TestToken::balanceOfCall { account: own }).await?;
            if balance < deposit {
                let [deposit, balance] =
                    [deposit, balance].map(|sum| Tokens::from_micro(sum.saturating_to()));
                let why = format!(
                    "its deposit is {deposit} tokens, and the account {own} has {balance}; it is proposed when it has them"
                );
                node.store.wish_progress(wish, &why)?;
                node.soon.at(now + BALANCE);
                return Ok(Done::NotYet);
            }
            trainer(node).propose(&proposal.paper, offer, world).await?.1
        }
    };
    node.store.wish_done(wish, &serde_json::json!({ "model": model, "paper": blob }), now)?;
    Ok(Done::Yes)
}

/// Keeps what a letter says, if its author may say it.
async fn hear(heard: Heard, node: &Node, now: u64) -> Result<(), NodeError> {
    let Heard { letter, from, body } = heard;
    let book = node.world.ledger.current_book().await?;
    let about = match &body {
        Body::Declined { model, .. }
        | Body::Said { model, .. }
        | Body::Evaluated { model, .. }
        | Body::Serving { model, .. }
        | Body::Shared { model, .. } => book.models.get(model),
        _ => None,
    };
    let Some(own) = about.filter(|m| m.trainer == node.party.account()) else {
        // Of a model of somebody else nothing is kept.
        node.store.read(letter, now)?;
        return Ok(());
    };
    let donor_of = |donor: &histone_contracts::book::Donor| {
        book.datasets.get(&donor.dataset).is_some_and(|dataset| dataset.owner == from)
    };
    match body {
        Body::Declined { model, reasons } => {
            node.mark(&patience::declined(model, from))?;
            node.say(now, "model", &format!("{from} declines model {model}: {}", reasons.join("; ")))?;
        }
        Body::Said { model, round, statement } => {
            // Each owner brings the statement of its own enclave: nobody puts another one in its place.
            let is_own = own.donors.iter().any(|d| d.donor == statement.donor && donor_of(d));
            let known = book.rounds.get(&(model, round)).is_some();
            let mut all = statements(model, round, node)?;
            if is_own && known && !all.iter().any(|s| s.donor == statement.donor) {
                all.push(statement);
                all.sort_by_key(|s| s.donor);
                let bytes = serde_json::to_vec(&all).map_err(|e| NodeError::Message(e.to_string()))?;
                node.store.put(&said(model, round), &bytes)?;
            }
        }
        Body::Evaluated { model, evaluation } if own.donors.iter().any(donor_of) => {
            node.store.put(&format!("evaluation/{model}/{from:x}"), evaluation.as_slice())?;
        }
        Body::Serving { model, enclave } => {
            let asked = proposal(own, node)?.and_then(|p| p.runner);
            if asked == Some(from) {
                node.store.put(&format!("serving/{model}"), enclave.as_slice())?;
            }
        }
        Body::Shared { model, sealed }
            if (own.donors.iter().any(donor_of) || own.host.as_ref().is_some_and(|h| h.runner == from))
                && !node.marked(&format!("received/{model}"))? =>
        {
            let sold = crate::trainer::sold(model, &node.world).await?;
            let blob = super::owner::released_model(model, node).await?;
            match crate::model::receive(&node.party, model, sold, &sealed, &blob) {
                Ok(_) => node.mark(&format!("received/{model}"))?,
                // Another owner sends the right key, or the runner had none.
                Err(error @ NodeError::Message(_)) => node.say(now, "model", &format!("{from}: {error}"))?,
                Err(error) => return Err(error),
            }
        }
        _ => {}
    }
    node.store.read(letter, now)?;
    Ok(())
}
