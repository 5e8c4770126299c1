//! What parties' nodes write to each other, and how letters come and go.
//!
//! A letter is kept before it is sent and sent until its receiver has signed for it; a letter that came is kept before it is
//! forgotten by the network, and read once.

mod body;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Book, Contract, Members};
use histone_network::NetworkError;
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::{Letter, Profile, VerifiedHead, letter_id};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};

use super::Node;
use crate::error::NodeError;
use crate::party::Party;
use crate::store::{Incoming, Prepared};

pub use body::Body;
/// Letters of one author that are kept unread, and how many bytes they have together; of all strangers together so many. Whoever
/// writes more sends it again.
const MOST_UNREAD: (u64, u64) = (256, 8 << 20);
const MOST_OF_STRANGERS: (u64, u64) = (1_024, 16 << 20);
/// Letters that one receipt is for, at the most.
const MOST_SIGNED: usize = 64;
/// What is said of letters that are not kept, in one turn, at the most.
const MOST_SAID: usize = 16;

/// A letter is kept whose author has seen so many blocks more than this node, at the most: it waits until they are here.
const MOST_AHEAD: u64 = 256;
/// Letters that are posted in one turn, at the most.
const AT_ONCE: usize = 64;
/// Bytes of the name in a profile.
const MOST_NAME: usize = 256;

/// A letter that was kept.
struct Taken {
    from: Address,
    /// Whether it was not here before.
    is_new: bool,
    /// Whether its author is told that it is here.
    signs: bool,
}

/// The keys of a party's mailbox, apart from its account.
pub struct Mailbox {
    /// Fetches from it.
    pub key: SigningKey,
    /// Opens what lies in it.
    pub seal: SealKey,
    /// Letters that were not dealt with, as they were understood: roles ask for them before each step.
    understood: RefCell<BTreeMap<B256, Understood>>,
}

/// A letter that was not dealt with.
struct Understood {
    from: Address,
    head_number: u64,
    /// None of one that says nothing which is known here.
    body: Option<Body>,
}

impl Mailbox {
    /// The mailbox of a party.
    pub fn of(party: &Party) -> Self {
        Self {
            key: SigningKey::generate(&mut party.root().rng("mailbox", &[])),
            seal: SealKey::from_seed(&party.root().derive("mail key", &[])),
            understood: RefCell::default(),
        }
    }

    /// Its name.
    pub fn address(&self) -> Address {
        self.key.address()
    }
}

/// Who a party says it is, on a ledger.
pub fn profile(party: &Party, roles: u8, ledger: LedgerId) -> Result<Signed<Profile>, NodeError> {
    let mailbox = Mailbox::of(party);
    let profile = Profile {
        ledger,
        name: party.name.clone(),
        roles,
        mailbox: mailbox.address(),
        mail_key: mailbox.seal.public(),
        seal_key: party.seal.public(),
        device: (roles != 0).then(|| device_key(party).address()),
    };
    Ok(Signed::sign(&profile, &party.key)?)
}

/// The key of a party's SIMULATED device.
fn device_key(party: &Party) -> SigningKey {
    SigningKey::generate(&mut party.root().rng("device", &[]))
}

/// How much is unread, by author and of all strangers together: letters, and their bytes.
#[derive(Default)]
struct Room {
    authors: BTreeMap<Address, (u64, u64)>,
    strangers: (u64, u64),
}

impl Room {
    /// Counts letters; false when there is no room for them.
    fn fill(&mut self, author: Address, is_stranger: bool, (letters, bytes): (u64, u64)) -> bool {
        let add = |to: (u64, u64)| (to.0.saturating_add(letters), to.1.saturating_add(bytes));
        let fits = |size: (u64, u64), most: (u64, u64)| size.0 <= most.0 && size.1 <= most.1;
        let of_author = add(self.authors.get(&author).copied().unwrap_or_default());
        let of_strangers = if is_stranger { add(self.strangers) } else { self.strangers };
        let has_room = fits(of_author, MOST_UNREAD) && fits(of_strangers, MOST_OF_STRANGERS);
        if has_room {
            self.authors.insert(author, of_author);
            self.strangers = of_strangers;
        }
        has_room
    }
}

/// A letter that is waiting to be read: who wrote it, and what.
pub(super) struct Read {
    pub(super) id: B256,
    pub(super) from: Address,
    pub(super) body: Body,
}

impl Node {
    /// Who this party says it is.
    pub fn profile(&self) -> Result<Signed<Profile>, NodeError> {
        profile(&self.party, self.roles, self.world.ledger.deployment().id())
    }

    /// The key of this party's SIMULATED device.
    pub(super) fn device_key(&self) -> SigningKey {
        device_key(&self.party)
    }

    /// Keeps how to reach somebody who is no member, or not yet.
    pub fn meet(&self, profile: &Signed<Profile>) -> Result<Profile, NodeError> {
        let (read, account) = profile.open()?;
        if read.ledger != self.world.ledger.deployment().id() {
            return Err(NodeError::Message(format!("the profile of {account} is for another ledger")));
        }
        if read.name.len() > MOST_NAME {
            return Err(NodeError::Message(format!("the name of {account} has more than {MOST_NAME} bytes")));
        }
        self.store.put(&format!("peer/{account:x}"), &profile.to_bytes())?;
        Ok(read)
    }

    /// How to reach an account: a member by the profile that the ledger names, others by what they have said themselves.
    pub(super) async fn peer(&self, account: Address) -> Result<Profile, NodeError> {
        let member = self.world.ledger.read(Contract::Members, Members::memberCall { account }).await?;
        let bytes = match member.roles {
            0 => self.store.get(&format!("peer/{account:x}"))?,
            _ => Some(self.world.blobs.get(member.profile)?),
        };
        let unknown = || NodeError::Message(format!("nobody has said how to reach {account}"));
        let (profile, signer) = Signed::<Profile>::from_bytes(&bytes.ok_or_else(unknown)?)?.open()?;
        match signer == account && profile.ledger == self.world.ledger.deployment().id() {
            true => Ok(profile),
            false => Err(NodeError::Message(format!(
                "the profile of {account} is by {signer}, or for another ledger"
            ))),
        }
    }

    /// Writes a letter, once for each purpose: it is kept, and goes out with the others. Says whether it is new.
    pub(super) async fn write(
        &self,
        to: Address,
        purpose: &str,
        body: &Body,
        now: u64,
    ) -> Result<bool, NodeError> {
        let peer = self.peer(to).await?;
        let head = self.head().await?;
        let content = content(body)?;
        self.store.send(to, purpose, now, |number| {
            let bytes = self.sealed(to, number, head, content.clone(), &peer)?;
            Ok::<_, NodeError>(Prepared { mailbox: peer.mailbox, bytes })
        })
    }

    fn sealed(
        &self,
        to: Address,
        number: u64,
        head: VerifiedHead,
        content: String,
        peer: &Profile,
    ) -> Result<Vec<u8>, NodeError> {
        let ledger = self.world.ledger.deployment().id();
        let letter = Letter { ledger, to, number, head, content };
        let sealed = letter.seal(&self.party.key, peer.mailbox, peer.mail_key, self.party.root());
        sealed.map_err(|e| NodeError::Message(histone_protocol::with_causes(&e)))
    }

    /// The newest block that this node has verified.
    pub(crate) async fn head(&self) -> Result<VerifiedHead, NodeError> {
        let head = self.world.ledger.connection().head().await?;
        Ok(VerifiedHead { number: head.block, hash: head.hash })
    }

    /// Posts what is due. A network that cannot be reached now is asked again later; what it refuses for good is said.
    pub(super) fn post(&self, now: u64) -> Result<usize, NodeError> {
        let mut posted = 0;
        for letter in self.store.due_letters(now, AT_ONCE)? {
            match self.network.post(letter.mailbox, &letter.bytes) {
                Ok(()) => posted += 1,
                // It has not gone out: its time to be sent again does not begin.
                Err(error @ NetworkError::Unreachable { .. }) => {
                    return Err(NodeError::Message(error.to_string()));
                }
                Err(error) => self.say(now, "mail", &format!("the letter `{}`: {error}", letter.purpose))?,
            }
            self.store.posted(letter.id, now)?;
        }
        Ok(posted)
    }

    /// Fetches what lies in the mailbox, keeps it and signs for it. Gives how many letters were new.
    pub(super) async fn fetch(&self, now: u64) -> Result<usize, NodeError> {
        let letters = self.network.collect().map_err(|e| NodeError::Message(e.to_string()))?;
        let (mut new, mut done, mut receipts) = (0, Vec::new(), Vec::new());
        let mut refused = BTreeMap::<String, usize>::new();
        let mut room = if letters.is_empty() { Room::default() } else { self.room().await? };
        for sealed in letters {
            let id = letter_id(&sealed);
            match self.take(id, &sealed, &mut room, now).await {
                Ok(Some(Taken { from, is_new, signs })) => {
                    new += usize::from(is_new);
                    receipts.extend(signs.then_some((from, id)));
                }
                Ok(None) => {}
                // What cannot be read now may be readable when the store works again.
                Err(error @ NodeError::Own(_)) => return Err(error),
                Err(error) => *refused.entry(error.to_string()).or_default() += 1,
            }
            done.push(id);
        }
        for (why, letters) in refused.iter().take(MOST_SAID) {
            let which = if *letters == 1 { "a letter is".into() } else { format!("{letters} letters are") };
            self.say(now, "mail", &format!("{which} not read: {why}"))?;
        }
        // Kept here before the network forgets it.
        for (from, id) in receipts {
            self.sign_for(from, id).await;
        }
        if !done.is_empty() {
            self.network.discard(&done).map_err(|e| NodeError::Message(e.to_string()))?;
        }
        self.has_one_history(now).await?;
        Ok(new)
    }

    /// How much of whose letters is unread.
    async fn room(&self) -> Result<Room, NodeError> {
        let book = self.world.ledger.current_book().await?;
        let mut room = Room::default();
        for (author, letters, bytes) in self.store.unread_by_author()? {
            room.fill(author, book.members.get(&author).is_none(), (letters, bytes));
        }
        Ok(room)
    }

    /// Opens a letter and keeps it; nothing for a receipt.
    async fn take(
        &self,
        id: B256,
        sealed: &[u8],
        room: &mut Room,
        now: u64,
    ) -> Result<Option<Taken>, NodeError> {
        let ledger = self.world.ledger.deployment().id();
        let own = (ledger, self.party.account());
        let opened = Letter::open(sealed, self.mailbox.address(), &self.mailbox.seal, own);
        let (letter, from) = opened.map_err(|e| NodeError::Message(histone_protocol::with_causes(&e)))?;
        let body = serde_json::from_str::<Body>(&letter.content);
        let body =
            body.map_err(|e| NodeError::Message(format!("what {from} writes is not understood: {e}")))?;
        if body.readers().is_some_and(|readers| readers & self.roles == 0) {
            return Err(NodeError::Message(format!(
                "{from} writes what is for another role than this party has"
            )));
        }
        let own = self.world.ledger.read(Contract::Members, Members::rolesOfCall { account: from }).await?;
        match &body {
            // A user who has asked something is known.
            Body::Block { .. } | Body::Histories { .. } if own == 0 && self.peer(from).await.is_err() => {
                return Err(NodeError::Message(format!(
                    "{from} writes of the ledger's blocks, and is not known here"
                )));
            }
            // Whoever proves nothing is answered as a member only.
            Body::Block { .. } if own == 0 => {
                return Err(NodeError::Message(format!(
                    "{from} shows a block of the ledger and is no member"
                )));
            }
            Body::Block { same, differs, block } => {
                self.look_at_block(from, (*same, *differs), block, now).await?;
                return Ok(Some(Taken { from, is_new: false, signs: true }));
            }
            Body::Histories { fork } => {
                let taken = Taken { from, is_new: false, signs: true };
                return Ok(self.look_at_fork(from, fork, now).await?.then_some(taken));
            }
            _ => {}
        }
        let head = self.head().await?.number;
        if letter.head.number > head.saturating_add(MOST_AHEAD) {
            return Err(NodeError::Message(format!(
                "{from} names a block of the ledger that is far ahead of what is known here; it sends its letter again"
            )));
        }
        // What a stranger says of the chain counts for nothing.
        if own != 0 && !self.compare_histories(from, letter.head, now).await? {
            return Ok(None);
        }
        let refuse = |what: &str| Err(NodeError::Message(format!("{from} {what}")));
        match &body {
            Body::Receipt { letters } if letters.len() > MOST_SIGNED => {
                return refuse("signs for more letters at once than a node does");
            }
            Body::Receipt { letters } => {
                for id in letters {
                    self.store.signed_for(*id, from, now)?;
                }
                return Ok(None);
            }
            Body::Join { .. } if !self.is_founder => {
                return refuse("asks this party to be admitted, which is not the founder");
            }
            Body::Join { profile, .. } | Body::Question { profile, .. } => {
                if !profile.open().is_ok_and(|(_, signer)| signer == from) {
                    return refuse("brings a profile of somebody else");
                }
            }
            // The founder need not be a member.
            Body::Welcome { .. } | Body::NotAdmitted { .. } => {
                self.peer(from).await?;
            }
            _ if own == 0 => return refuse("is no member, and writes what members write"),
            _ => {
                self.peer(from).await?;
            }
        }
        if !room.fill(from, own == 0, (1, letter.content.len() as u64)) {
            return refuse("has written more letters than are read; it sends them again");
        }
        if let Body::Join { profile, .. } | Body::Question { profile, .. } = &body {
            // After the bound: what strangers say of themselves is kept.
            self.meet(profile)?;
        }
        let signs = match &body {
            // A stranger has an answer by what it has paid for: receipts for more would fill this party's place at the hub. What is not
            // known yet is signed for when it comes again.
            Body::Question { query, .. } if own == 0 => {
                let book = self.world.ledger.current_book().await?;
                book.queries.get(query).is_some_and(|q| q.buyer == from)
            }
            _ => true,
        };
        let is_join = matches!(body, Body::Join { .. });
        let kept = Incoming {
            id,
            from,
            number: letter.number,
            content: letter.content,
            // Who asks to be admitted need not have seen any block, and nobody waits for the one that it names.
            head_number: if is_join { 0 } else { letter.head.number },
            head_hash: letter.head.hash,
        };
        Ok(Some(Taken { from, is_new: self.store.take(&kept, now)?, signs }))
    }

    /// Tells the author that its letter is here. It asks again by sending again, so that nothing is kept of this.
    async fn sign_for(&self, author: Address, id: B256) {
        let receipt = async {
            let peer = self.peer(author).await?;
            let content = content(&Body::Receipt { letters: vec![id] })?;
            let sealed = self.sealed(author, 0, self.head().await?, content, &peer)?;
            self.network.post(peer.mailbox, &sealed).map_err(|e| NodeError::Message(e.to_string()))
        };
        // It is sent again with the next copy of the letter.
        let _ = receipt.await;
    }

    /// Letters that nobody has read yet. One by somebody who knows more of the ledger than this node does waits until it knows as much.
    pub(super) fn letters(&self, book: &Book) -> Result<Vec<Read>, NodeError> {
        let unread = self.store.unread_ids()?;
        let mut understood = self.mailbox.understood.borrow_mut();
        let there: BTreeSet<&B256> = unread.iter().collect();
        understood.retain(|id, _| there.contains(id));
        if unread.iter().any(|id| !understood.contains_key(id)) {
            for Incoming { id, from, content, head_number, .. } in self.store.unread()? {
                understood.entry(id).or_insert_with(|| {
                    let body = serde_json::from_str(&content).ok();
                    Understood { from, head_number, body }
                });
            }
        }
        let read = |id: &B256| {
            let letter = understood.get(id).filter(|letter| letter.head_number <= book.head.block)?;
            Some(Read { id: *id, from: letter.from, body: letter.body.clone()? })
        };
        Ok(unread.iter().filter_map(read).collect())
    }
}

fn content(body: &Body) -> Result<String, NodeError> {
    serde_json::to_string(body).map_err(|e| NodeError::Message(format!("a letter cannot be written: {e}")))
}
