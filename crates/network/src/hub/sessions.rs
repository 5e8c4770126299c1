//! Who is who: challenges that the key of a mailbox signs, and tokens that stand for it for an hour.
//!
//! Challenges are not kept: they carry their own authentication, so that strangers cost no memory. Tokens are kept by their hashes,
//! in memory only: after a restart everybody signs again.

use std::collections::{BTreeSet, HashMap};

use histone_protocol::{Address, B256};

use super::Standing;
use crate::wire::{Answered, session_digest};

/// How long a challenge can be answered, in seconds.
const ANSWERED_WITHIN: u64 = 120;
/// How long a token is good, in seconds.
pub(super) const GOOD_FOR: u64 = 3600;
/// Tokens of one mailbox; one more takes the place of the oldest.
const EACH: usize = 8;
/// Tokens of all; one more takes the place of the oldest.
const ALL: usize = 100_000;

/// Why no session is opened.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    #[error(
        "the challenge is not one of this hub, is for another mailbox or is older than two minutes; ask for a new one"
    )]
    Challenge,
    #[error("this challenge was answered before; ask for a new one")]
    Twice,
    #[error("the signature is not of the key of this mailbox over this hub's challenge")]
    Signature,
}

/// Whose a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) mailbox: Address,
    pub(super) standing: Standing,
    /// When the standing was asked for.
    pub(super) asked: u64,
}

pub(super) struct Sessions {
    identity: B256,
    /// Authenticates challenges; drawn at the start.
    secret: [u8; 32],
    tokens: HashMap<B256, (u64, Holder)>,
    /// By end.
    ends: BTreeSet<(u64, B256)>,
    of_mailbox: HashMap<Address, Vec<B256>>,
    /// Challenges that were answered, until they are too old in any case.
    answered: BTreeSet<(u64, B256)>,
}

impl Sessions {
    pub(super) fn new(identity: B256, secret: [u8; 32]) -> Self {
        Self {
            identity,
            secret,
            tokens: HashMap::new(),
            ends: BTreeSet::new(),
            of_mailbox: HashMap::new(),
            answered: BTreeSet::new(),
        }
    }

    /// A new challenge; `nonce` is random.
    pub(super) fn challenge(&self, mailbox: Address, nonce: B256, now: u64) -> String {
        let until = now.saturating_add(ANSWERED_WITHIN);
        let mac = self.mac(mailbox, until, nonce);
        format!("{until}.{nonce:x}.{}", mac.to_hex())
    }

    fn mac(&self, mailbox: Address, until: u64, nonce: B256) -> blake3::Hash {
        let parts = [mailbox.as_slice(), &until.to_le_bytes(), nonce.as_slice()].concat();
        blake3::keyed_hash(&self.secret, &parts)
    }

    /// Opens a session with `token`, which is random, for whoever has signed a challenge.
    pub(super) fn open(
        &mut self,
        answer: &Answered,
        standing: Standing,
        token: B256,
        now: u64,
    ) -> Result<(), Unopened> {
        let (until, nonce) = self.own(answer).ok_or(Unopened::Challenge)?;
        // A challenge from the future is from before the clock went back.
        if until < now || until > now.saturating_add(ANSWERED_WITHIN) {
            return Err(Unopened::Challenge);
        }
        let digest = session_digest(self.identity, answer.mailbox, &answer.challenge);
        if answer.signature.recover(digest) != Ok(answer.mailbox) {
            return Err(Unopened::Signature);
        }
        self.answered = self.answered.split_off(&(now, B256::ZERO));
        if !self.answered.insert((until, nonce)) {
            return Err(Unopened::Twice);
        }
        self.forget_ended(now);
        let own = self.of_mailbox.get(&answer.mailbox).map_or(&[][..], Vec::as_slice);
        if let Some(oldest) = own.first().copied().filter(|_| own.len() >= EACH) {
            self.forget(oldest);
        }
        if self.tokens.len() >= ALL
            && let Some((_, oldest)) = self.ends.first().copied()
        {
            self.forget(oldest);
        }
        let (name, end) = (name(token), now.saturating_add(GOOD_FOR));
        let holder = Holder { mailbox: answer.mailbox, standing, asked: now };
        self.tokens.insert(name, (end, holder));
        self.ends.insert((end, name));
        self.of_mailbox.entry(answer.mailbox).or_default().push(name);
        Ok(())
    }

    /// The parts of a challenge that this hub has made for this mailbox.
    fn own(&self, answer: &Answered) -> Option<(u64, B256)> {
        let mut parts = answer.challenge.split('.');
        let (until, nonce, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let (until, nonce) = (until.parse().ok()?, nonce.parse().ok()?);
        let mac = blake3::Hash::from_hex(mac).ok()?;
        // Compared in constant time, and the text as a whole: there is one form of each challenge.
        let own = mac == self.mac(answer.mailbox, until, nonce);
        let one_form = answer.challenge == format!("{until}.{nonce:x}.{}", mac.to_hex());
        (own && one_form).then_some((until, nonce))
    }

    /// Whose a token is, if it is good.
    pub(super) fn holder(&self, token: &str, now: u64) -> Option<Holder> {
        // Looked up by its hash: how far two of them agree tells nothing about the token.
        let (end, holder) = self.tokens.get(&name(token.parse().ok()?))?;
        (*end > now).then_some(*holder)
    }

    /// Keeps what was found out about a holder.
    pub(super) fn update(&mut self, token: &str, standing: Standing, now: u64) {
        let Ok(token) = token.parse() else { return };
        if let Some((_, holder)) = self.tokens.get_mut(&name(token)) {
            (holder.standing, holder.asked) = (standing, now);
        }
    }

    fn forget_ended(&mut self, now: u64) {
        while let Some((end, name)) = self.ends.first().copied()
            && end <= now
        {
            self.forget(name);
        }
    }

    fn forget(&mut self, name: B256) {
        let Some((end, holder)) = self.tokens.remove(&name) else { return };
        self.ends.remove(&(end, name));
        if let Some(own) = self.of_mailbox.get_mut(&holder.mailbox) {
            own.retain(|other| *other != name);
            if own.is_empty() {
                self.of_mailbox.remove(&holder.mailbox);
            }
        }
    }
}

fn name(token: B256) -> B256 {
    B256::from(*blake3::hash(token.as_slice()).as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_protocol::keys::SigningKey;

    use super::*;

    const HUB: B256 = B256::repeat_byte(7);

    fn key(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32]).unwrap()
    }

    fn answer(key: &SigningKey, identity: B256, challenge: String) -> Answered {
        let mailbox = key.address();
        let signature = key.sign(session_digest(identity, mailbox, &challenge));
        Answered { mailbox, challenge, signature }
    }

    #[test]
    fn a_session_is_for_whoever_has_the_key() {
        let mut sessions = Sessions::new(HUB, [1; 32]);
        let other = Sessions::new(HUB, [2; 32]);
        let (a, b) = (key(1), key(2));
        let open = |sessions: &mut Sessions, answer: &Answered, now| {
            sessions.open(answer, Standing::Guest, B256::repeat_byte(9), now)
        };
        let challenge = || sessions.challenge(a.address(), B256::repeat_byte(3), 1_000);
        let good = answer(&a, HUB, challenge());
        let stolen = Answered { mailbox: b.address(), ..answer(&a, HUB, challenge()) };
        let by_another = Answered { mailbox: a.address(), ..answer(&b, HUB, challenge()) };
        let at_another = answer(&a, B256::repeat_byte(8), challenge());
        let of_another = answer(&a, HUB, other.challenge(a.address(), B256::ZERO, 1_000));
        let upper = answer(&a, HUB, challenge().to_uppercase());
        for (wrong, why) in [
            (&stolen, Unopened::Challenge),
            (&by_another, Unopened::Signature),
            (&at_another, Unopened::Signature),
            (&of_another, Unopened::Challenge),
            (&upper, Unopened::Challenge),
        ] {
            assert_eq!(open(&mut sessions, wrong, 1_000), Err(why));
        }
        assert_eq!(open(&mut sessions, &good, 1_121), Err(Unopened::Challenge), "too late");
        assert_eq!(open(&mut sessions, &good, 999), Err(Unopened::Challenge), "too early");
        for text in ["", ".", "..", "1.2.3", "99999999999999999999.x.y", "1000.00.00"] {
            let odd = answer(&a, HUB, text.into());
            assert_eq!(open(&mut sessions, &odd, 1_000), Err(Unopened::Challenge));
        }
        assert_eq!(open(&mut sessions, &good, 1_000), Ok(()));
        assert_eq!(open(&mut sessions, &good, 1_000), Err(Unopened::Twice));
        let token = format!("{:x}", B256::repeat_byte(9));
        let holder = Holder { mailbox: a.address(), standing: Standing::Guest, asked: 1_000 };
        assert_eq!(sessions.holder(&token, 4_599), Some(holder));
        assert_eq!(sessions.holder(&token, 4_600), None);
        for wrong in ["", "x", &format!("{:x}", B256::repeat_byte(8))] {
            assert_eq!(sessions.holder(wrong, 1_000), None);
        }
        sessions.update(&token, Standing::Member, 1_060);
        let now = sessions.holder(&token, 1_060).unwrap();
        assert_eq!((now.standing, now.asked), (Standing::Member, 1_060));
    }

    #[test]
    fn few_for_each_mailbox() {
        let mut sessions = Sessions::new(HUB, [1; 32]);
        let a = key(1);
        for n in 0..20 {
            let challenge = sessions.challenge(a.address(), B256::repeat_byte(n), 1_000 + u64::from(n));
            let answer = answer(&a, HUB, challenge);
            let token = B256::repeat_byte(n);
            sessions.open(&answer, Standing::Guest, token, 1_000 + u64::from(n)).unwrap();
        }
        let good =
            (0..20).filter(|n| sessions.holder(&format!("{:x}", B256::repeat_byte(*n)), 1_100).is_some());
        assert_eq!(good.collect::<Vec<_>>(), (12..20).collect::<Vec<_>>());
        assert_eq!((sessions.tokens.len(), sessions.ends.len()), (EACH, EACH));
        sessions.forget_ended(10_000);
        assert!(sessions.tokens.is_empty() && sessions.ends.is_empty() && sessions.of_mailbox.is_empty());
    }
}
