//! What an enclave shows about itself.
//!
//! Only the simulated platform exists so far. Its "hardware vendor" is a key made for the run, which certifies a
//! device key, which signs a quote over the measurement, the init-data and the enclave's keys. **It proves nothing
//! about hardware**: every quote says `SIMULATED`, and a production policy refuses it (crate `attestation`).

use alloy_primitives::{Address, B256};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::tagged_hash;
use crate::record::{Record, Signed};
use crate::seal::SealPublicKey;

/// Kind of hardware that vouches for an enclave, by the ledger's code.
///
/// Records of a platform that this version does not know can be read, and say which it is; nothing that it vouches for is
/// believed. Which platforms can be appraised, and by what, is one list in crate `attestation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform(u8);

impl Platform {
    /// No hardware: a software stand-in for development and demonstration.
    pub const SIMULATED: Platform = Platform(0);

    /// The platform of a code of the ledger.
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// The ledger's code.
    pub const fn code(self) -> u8 {
        self.0
    }

    fn from_word(word: &str) -> Option<Self> {
        let of_number = || word.strip_prefix("platform ")?.parse().ok().map(Self);
        let platform = if word == "SIMULATED" { Self::SIMULATED } else { of_number()? };
        // One word for each: no `platform 0`, no `platform 01`.
        (platform.to_string() == word).then_some(platform)
    }
}

/// The word in records: `SIMULATED`, so that nobody takes it for hardware, or the code.
impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Platform::SIMULATED => f.write_str("SIMULATED"),
            Platform(code) => write!(f, "platform {code}"),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word)
            .ok_or_else(|| D::Error::custom(format_args!("`{}` is no platform", word.escape_debug())))
    }
}

/// The two public keys that an enclave makes at its start and that its evidence binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveKeys {
    /// Account of the secp256k1 key that signs receipts.
    pub receipt: Address,
    /// X25519 key under which the enclave takes data.
    pub seal: SealPublicKey,
}

impl EnclaveKeys {
    /// What goes into the quote's report data: a hash of the keys and of the operator, so that nobody can present
    /// another operator's enclave as his own.
    pub fn report_data(&self, operator: Address) -> B256 {
        tagged_hash(
            "histone/enclave-keys/v1",
            &[self.receipt.as_slice(), self.seal.0.as_slice(), operator.as_slice()],
        )
    }
}

/// The SIMULATED vendor's statement that a device is one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceCertificate {
    /// Always [`Platform::SIMULATED`] in this kind of record.
    pub platform: Platform,
    /// Account of the device key.
    pub device: Address,
}

impl Record for DeviceCertificate {
    const KIND: &'static str = "simulated-device-certificate";
}

/// What the SIMULATED device states about one enclave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Always [`Platform::SIMULATED`] in this kind of record.
    pub platform: Platform,
    /// Which program runs: wasm, limits and host interface.
    pub measurement: B256,
    /// Hash of the configuration given at start (dataset or model), apart from the program.
    pub init_data: B256,
    /// [`EnclaveKeys::report_data`].
    pub report_data: B256,
    /// Unix seconds.
    pub issued_at: u64,
}

impl Record for Quote {
    const KIND: &'static str = "simulated-quote";
}

/// Certificate and quote together with the keys they vouch for; the blob whose hash is on the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The keys bound by the quote.
    pub keys: EnclaveKeys,
    /// Who runs the enclave.
    pub operator: Address,
    /// The vendor about the device.
    pub certificate: Signed<DeviceCertificate>,
    /// The device about the enclave.
    pub quote: Signed<Quote>,
}

impl Evidence {
    /// Canonical bytes: one line of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: addresses, hashes and strings always serialize.
        #[allow(clippy::unwrap_used)]
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes
    }

    /// Reads evidence; `None` when it is not canonical evidence. Nothing is appraised here.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let evidence: Self = serde_json::from_slice(bytes).ok()?;
        (evidence.to_bytes() == bytes).then_some(evidence)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_platform_has_one_word() {
        for code in 0..=255 {
            let word = serde_json::to_string(&Platform::from_code(code)).unwrap();
            assert_eq!(serde_json::from_str::<Platform>(&word).unwrap().code(), code, "{word}");
        }
        assert_eq!(serde_json::to_string(&Platform::SIMULATED).unwrap(), "\"SIMULATED\"");
        for word in
            ["", "simulated", "platform 0", "platform 01", "platform +1", "platform 256", "platform ", "1"]
        {
            assert!(Platform::from_word(word).is_none(), "{word}");
        }
    }
}
