//! The founder of a network: admits members and allows programs, until it hands over to the members.

use std::fmt;

use histone_attestation::simulated::SimulatedVendor;
use histone_contracts::book::{Book, Kind, Role};
use histone_contracts::{Contract, Members, Programs, TestToken};
use histone_protocol::hash::tagged_hash;
use histone_protocol::letter::Profile;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::handing_over::{self, HandOver};
use super::mail::Body;
use super::{Done, Node, Part};
use crate::error::NodeError;
use crate::store::Question;
use crate::study::Tokens;

/// What a founder has beside its account.
#[derive(Debug)]
pub struct Founding {
    /// Certifies the SIMULATED devices of the members.
    pub vendor: SimulatedVendor,
    /// The most TEST tokens that somebody who joins is given, in millionths.
    pub most_tokens: u64,
}

/// Requests that are looked at at once; the others wait their turn.
const MOST_JOINING: usize = 500;

pub(super) struct Founder {
    network: Founding,
}

impl Founder {
    pub(super) fn new(network: Founding) -> Self {
        Self { network }
    }
}

/// Somebody who would like to take part.
#[derive(Debug, Clone)]
pub(super) struct Joining {
    letter: B256,
    account: Address,
    profile: Signed<Profile>,
    tokens: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    /// Ask, and admit.
    Admit(Box<Joining>),
    /// Ask, and allow a program that was audited.
    Allow(B256),
    /// Hand over to the members.
    HandOver(u64, HandOver),
    /// Welcome somebody whom the members have admitted.
    Welcome(Address, Box<Signed<Profile>>),
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Admit(joining) => write!(f, "admit {} (letter {})", joining.account, joining.letter),
            Duty::Allow(measurement) => write!(f, "allow the program {measurement}"),
            Duty::HandOver(..) => f.write_str("hand over to the members"),
            Duty::Welcome(account, _) => write!(f, "welcome {account}"),
        }
    }
}

impl Part for Founder {
    type Duty = Duty;
    const LOOK: &'static str = "see who is to be admitted";

    async fn duties(&mut self, book: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        let mut duties = Vec::new();
        for letter in node.letters(book)? {
            let Body::Join { profile, tokens } = letter.body else { continue };
            if duties.len() == MOST_JOINING {
                break;
            }
            let (letter, account) = (letter.id, letter.from);
            duties.push(Duty::Admit(Box::new(Joining { letter, account, profile, tokens })));
        }
        // Who has handed over decides nothing any more.
        if handing_over::decides(book, node.party.account()) {
            duties.extend(crate::duties::founder::programs(book).into_iter().map(Duty::Allow));
        } else {
            let all = handing_over::voted_in(book, node)?.into_iter();
            duties.extend(all.map(|(account, profile)| Duty::Welcome(account, Box::new(profile))));
        }
        let wishes = node.store.wishes(true)?.into_iter().filter_map(handing_over::wished);
        duties.extend(wishes.map(|(wish, asked)| Duty::HandOver(wish, asked)));
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Admit(joining) => self.admit(&joining, node, now).await,
            Duty::Allow(measurement) => allow(measurement, node, now).await,
            Duty::HandOver(wish, asked) => handing_over::hand_over(wish, asked, node, now).await,
            Duty::Welcome(account, profile) => {
                let certificate = self.certificate(&node.meet(&profile)?)?;
                handing_over::welcome(account, &profile, certificate, node, now).await
            }
        }
    }
}

impl Founder {
    async fn admit(&self, joining: &Joining, node: &Node, now: u64) -> Result<Done, NodeError> {
        let Joining { letter, account, profile, tokens } = joining;
        let read = node.meet(profile)?;
        let book = node.world.ledger.current_book().await?;
        if read.roles != 0 && !handing_over::decides(&book, node.party.account()) {
            if book.members.get(account).is_some_and(|m| m.member) {
                handing_over::welcome(*account, profile, self.certificate(&read)?, node, now).await?;
            } else {
                let because = handing_over::refer(*account, profile, node).await?;
                let purpose = format!("not-admitted/{account:x}/{letter:x}");
                node.write(*account, &purpose, &Body::NotAdmitted { because }, now).await?;
            }
            node.store.read(*letter, now)?;
            return Ok(Done::Here);
        }
        let roles: Vec<&str> = Role::of(read.roles).into_iter().map(Role::word).collect();
        let roles = if roles.is_empty() { "end user".to_owned() } else { roles.join(", ") };
        let gift = match (*tokens).min(self.network.most_tokens) {
            0 => String::new(),
            tokens => format!(" with {} TEST tokens", Tokens::from_micro(tokens)),
        };
        let question = Question {
            // Another request is another question, and so is the same one after it was declined.
            key: format!("admit/{account:x}/{:x}{}", asked_for(profile, *tokens), times(*account, node)?),
            kind: "admit".into(),
            title: format!("admit `{}` as {roles}{gift}?", read.name),
            text: format!(
                "{account} calls itself `{}` and asks to take part as {roles}{gift}. Anybody can take any name: compare the account by telephone before you answer.",
                read.name
            ),
            facts: serde_json::json!({ "name": read.name, "account": account, "roles": read.roles, "tokens": tokens }),
            due: None,
        };
        let Some(answer) = node.ask(&question, now)? else { return Ok(Done::NotYet) };
        if answer.yes {
            self.enter(*account, &read, profile, *tokens, node).await?;
            let certificate = self.certificate(&read)?;
            node.write(*account, &format!("welcome/{account:x}"), &Body::Welcome { certificate }, now)
                .await?;
            node.say(now, "network", &format!("`{}` ({account}) is admitted as {roles}{gift}", read.name))?;
        } else {
            node.say(
                now,
                "network",
                &format!("`{}` ({account}) is not admitted: {}", read.name, answer.because),
            )?;
            let body = Body::NotAdmitted { because: answer.because };
            node.write(*account, &format!("not-admitted/{account:x}/{letter:x}"), &body, now).await?;
        }
        node.store.read(*letter, now)?;
        if !answer.yes {
            node.store.put(&declined(*account), letter.as_slice())?;
        }
        Ok(if answer.yes { Done::Yes } else { Done::Here })
    }

    /// The certificate of somebody's SIMULATED device, if it has one.
    fn certificate(&self, read: &Profile) -> Result<Option<String>, NodeError> {
        let Some(device) = read.device else { return Ok(None) };
        let bytes = self.network.vendor.certify(device)?.to_bytes();
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    async fn enter(
        &self,
        account: Address,
        read: &Profile,
        profile: &Signed<Profile>,
        tokens: u64,
        node: &Node,
    ) -> Result<(), NodeError> {
        let ledger = &node.world.ledger;
        let known = ledger.read(Contract::Members, Members::rolesOfCall { account }).await?;
        if read.roles != 0 && known == 0 {
            let profile = node.world.blobs.put(&profile.to_bytes())?;
            let seal_key = read.seal_key.0;
            let call = Members::addCall { account, roles: read.roles, profile, sealKey: seal_key };
            ledger.send(&node.party.key, Contract::Members, call).await?;
        }
        give(account, tokens.min(self.network.most_tokens), node).await
    }
}

/// Where the gift is kept that may or may not be on the ledger.
const GIVING: &str = "giving";

/// A gift of TEST tokens, as it is kept before it is sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gift {
    to: Address,
    amount: u64,
    /// How many tokens there were before. Nobody else makes any, and one gift follows the other: when there are more, it is there.
    supply: U256,
}

/// Gives somebody TEST tokens, once: also when the process ended before it was noted, and whoever got them has spent them by now.
async fn give(to: Address, amount: u64, node: &Node) -> Result<(), NodeError> {
    let ledger = &node.world.ledger;
    if let Some(kept) = node.store.get(GIVING)? {
        let gift = serde_json::from_slice(&kept).map_err(|e| NodeError::Message(e.to_string()))?;
        send(&gift, node).await?;
    }
    if amount == 0 || node.marked(&minted(to))? {
        return Ok(());
    }
    // Whoever holds some was given them before it was noted how, or by somebody else.
    if !ledger.read(Contract::Token, TestToken::balanceOfCall { account: to }).await?.is_zero() {
        return node.mark(&minted(to));
    }
    let supply = ledger.read(Contract::Token, TestToken::totalSupplyCall {}).await?;
    let gift = Gift { to, amount, supply };
    node.store.put(GIVING, &serde_json::to_vec(&gift).map_err(|e| NodeError::Message(e.to_string()))?)?;
    send(&gift, node).await
}

/// Sends a gift, unless it is on the ledger.
async fn send(gift: &Gift, node: &Node) -> Result<(), NodeError> {
    let ledger = &node.world.ledger;
    // With a copy of the ledger that does not have it yet it is sent once more: the account's count makes that void.
    if ledger.read(Contract::Token, TestToken::totalSupplyCall {}).await? == gift.supply {
        let call = TestToken::mintCall { to: gift.to, amount: U256::from(gift.amount) };
        ledger.send(&node.party.key, Contract::Token, call).await?;
    }
    node.mark(&minted(gift.to))?;
    Ok(node.store.remove(GIVING)?)
}

/// Where it is kept which letter of somebody was declined last.
fn declined(account: Address) -> String {
    format!("declined/{account:x}")
}

/// What tells the question about a request apart from the one about a letter that was declined before.
fn times(account: Address, node: &Node) -> Result<String, NodeError> {
    let last = node.store.get(&declined(account))?;
    Ok(last.map(|letter| format!("/{:x}", B256::from_slice(&letter))).unwrap_or_default())
}

fn minted(account: Address) -> String {
    format!("minted/{account:x}")
}

/// Names what somebody asks for: who it says it is, as what, and how many tokens.
fn asked_for(profile: &Signed<Profile>, tokens: u64) -> B256 {
    let parts: [&[u8]; 2] = [&profile.to_bytes(), &tokens.to_le_bytes()];
    B256::from(tagged_hash("histone/join-request/v1", &parts).0)
}

async fn allow(measurement: B256, node: &Node, now: u64) -> Result<Done, NodeError> {
    let call = Programs::programCall { measurement };
    let program = node.world.ledger.read(Contract::Programs, call).await?;
    let kind = Kind::ALL.get(usize::from(program.kind).wrapping_sub(1)).map_or("unknown", |kind| kind.word());
    let question = Question {
        key: format!("allow/{measurement:x}"),
        kind: "allow".into(),
        title: format!("allow the {kind} program {measurement}?"),
        text: format!(
            "The program {measurement} was published by {} and audited. Whoever takes part may run it on data once it is allowed.",
            program.author
        ),
        facts: serde_json::json!({ "measurement": measurement, "author": program.author }),
        due: None,
    };
    match node.ask(&question, now)? {
        None => Ok(Done::NotYet),
        Some(answer) if !answer.yes => Ok(Done::NotYet),
        Some(_) => {
            let call = Programs::allowCall { measurement };
            node.world.ledger.send(&node.party.key, Contract::Programs, call).await?;
            node.say(now, "network", &format!("the {kind} program {measurement} is allowed"))?;
            Ok(Done::Yes)
        }
    }
}
