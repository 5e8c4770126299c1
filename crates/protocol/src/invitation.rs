//! What somebody is given who is to join a network: where it is, and whom to ask.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::consent::AppraisalTerms;
use crate::hash::tagged_hash;
use crate::letter::Profile;
use crate::moment::moment;
use crate::record::{LedgerId, Record, RecordError, Signed};

/// A network's invitation, signed by its founder. It holds no secret: whoever has it may ask, and is then admitted or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// The network's ledger.
    pub ledger: LedgerId,
    /// Name of the network.
    pub name: String,
    /// Hash of block 0 of its chain: nodes execute every block after it themselves.
    pub genesis: B256,
    /// Address of its hub.
    pub hub: String,
    /// Who founded it, and how to reach it.
    pub founder: Signed<Profile>,
    /// Which enclaves its members believe.
    pub appraisal: AppraisalTerms,
    /// When it was written, Unix seconds.
    pub issued_at: u64,
    /// From then on nobody is admitted by it, Unix seconds.
    pub expires_at: u64,
}

impl Record for Invitation {
    const KIND: &'static str = "invitation";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// Why an invitation is of no use.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// It cannot be read, or is not signed as one.
    #[error("the invitation cannot be read or was altered; ask for it again")]
    Record(#[from] RecordError),
    /// It was signed by somebody else than the founder it names.
    #[error(
        "the invitation is not signed by the founder that it names; ask for it again, and compare its fingerprint by telephone"
    )]
    Forged,
    /// Its time is over.
    #[error("the invitation has expired on {}; ask its founder for a new one", moment(*.at))]
    Expired {
        /// When.
        at: u64,
    },
}

impl Invitation {
    /// Reads an invitation and checks its signature and its time. Whether it is the right network's, a person finds out by comparing
    /// [fingerprints](Invitation::fingerprint) with the founder.
    pub fn open(bytes: &[u8], now: u64) -> Result<Self, InvitationError> {
        let read = Self::read(bytes)?;
        match now < read.expires_at {
            true => Ok(read),
            false => Err(InvitationError::Expired { at: read.expires_at }),
        }
    }

    /// The same for whoever has joined by it: its time does not matter any more.
    pub fn read(bytes: &[u8]) -> Result<Self, InvitationError> {
        let (read, signer) = Signed::<Self>::from_bytes(bytes)?.open()?;
        let (founder, account) = read.founder.open()?;
        match signer == account && founder.ledger == read.ledger {
            true => Ok(read),
            false => Err(InvitationError::Forged),
        }
    }

    /// What two people read to each other: 80 bits of a hash over chain, contracts and founder, in five groups.
    pub fn fingerprint(&self) -> String {
        let founder = self.founder.to_bytes();
        let parts: [&[u8]; 4] = [
            &self.ledger.chain_id.to_le_bytes(),
            self.ledger.contract.as_slice(),
            self.genesis.as_slice(),
            &founder,
        ];
        let hash = tagged_hash("histone/invitation-fingerprint/v1", &parts);
        let group = |two: &[u8]| two.iter().map(|b| format!("{b:02x}")).collect::<String>();
        hash[..10].chunks(2).map(group).collect::<Vec<_>>().join("-")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::evidence::Platform;
    use crate::keys::SigningKey;
    use crate::seal::SealKey;
    use alloy_primitives::Address;

    fn invitation(founder: &SigningKey) -> Invitation {
        let ledger = LedgerId { chain_id: 1, contract: Address::repeat_byte(1) };
        let key = SealKey::from_seed(&[8; 32]).public();
        let mailbox = Address::repeat_byte(9);
        let profile = Profile {
            ledger,
            name: "f".into(),
            roles: 0,
            mailbox,
            mail_key: key,
            seal_key: key,
            device: None,
        };
        Invitation {
            ledger,
            name: "study".into(),
            genesis: B256::repeat_byte(3),
            hub: "https://hub.example".into(),
            founder: Signed::sign(&profile, founder).unwrap(),
            appraisal: AppraisalTerms {
                platforms: vec![Platform::SIMULATED],
                max_age_seconds: 60,
                simulated_vendors: vec![],
            },
            issued_at: 10,
            expires_at: 20,
        }
    }

    #[test]
    fn who_is_invited_knows_by_whom_and_until_when() {
        let [founder, other] = [[7; 32], [6; 32]].map(|key| SigningKey::from_bytes(&key).unwrap());
        let mine = invitation(&founder);
        let sent = Signed::sign(&mine, &founder).unwrap().to_bytes();
        let read = Invitation::open(&sent, 15).unwrap();
        assert_eq!(read.fingerprint(), mine.fingerprint());
        assert_eq!(mine.fingerprint().len(), 24);
        assert!(matches!(Invitation::open(&sent, 20), Err(InvitationError::Expired { at: 20 })));
        assert!(Invitation::read(&sent).is_ok());
        let forged = Signed::sign(&mine, &other).unwrap().to_bytes();
        assert!(matches!(Invitation::open(&forged, 15), Err(InvitationError::Forged)));
        assert!(matches!(Invitation::open(b"{}", 15), Err(InvitationError::Record(_))));
        let mut altered = sent.clone();
        let at = altered.iter().position(|b| *b == b'4').unwrap_or(50);
        altered[at] = b'5';
        assert!(Invitation::open(&altered, 15).is_err());
        // Another chain, other contracts or another founder have another fingerprint.
        let others = [
            Invitation { genesis: B256::ZERO, ..mine.clone() },
            Invitation { ledger: LedgerId { chain_id: 2, ..mine.ledger }, ..mine.clone() },
            invitation(&other),
        ];
        others.iter().for_each(|o| assert_ne!(o.fingerprint(), mine.fingerprint()));
    }
}
