#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::seal::SealKey;

use super::*;
use crate::{Expected, appraise, appraise_among};

const NOW: u64 = 1_800_000_000;
const MAX_AGE: u64 = 3_600;

/// A platform of this test alone, with evidence of a form of its own: a word, the quote, and a byte that vouches.
#[derive(Debug)]
struct Brass;

const WORD: &[u8] = b"brass";
const VOUCHED: u8 = 1;

impl Brass {
    fn evidence(claims: &Claims, vouched: u8) -> Vec<u8> {
        let time = claims.issued_at.to_le_bytes();
        let (receipt, seal) = (claims.keys.receipt, claims.keys.seal.0);
        let hashes = [claims.measurement, claims.init_data, claims.report_data].concat();
        let parts = [receipt.as_slice(), seal.as_slice(), claims.operator.as_slice(), &hashes, &time];
        [WORD, &parts.concat(), &[vouched]].concat()
    }
}

impl Verifier for Brass {
    fn platform(&self) -> Platform {
        Platform::from_code(9)
    }

    fn name(&self) -> &'static str {
        "brass"
    }

    fn simulated(&self) -> bool {
        false
    }

    fn read(&self, evidence: &[u8]) -> Option<Result<Claims, AppraisalError>> {
        let mut rest = evidence.strip_prefix(WORD)?;
        let mut take = |len| {
            let (part, after) = rest.split_at_checked(len)?;
            rest = after;
            Some(part)
        };
        let keys = EnclaveKeys {
            receipt: Address::from_slice(take(20)?),
            seal: histone_protocol::seal::SealPublicKey(B256::from_slice(take(32)?)),
        };
        let operator = Address::from_slice(take(20)?);
        let [measurement, init_data, report_data] = [take(32)?, take(32)?, take(32)?].map(B256::from_slice);
        let issued_at = u64::from_le_bytes(take(8)?.try_into().ok()?);
        (take(1)?.len() == 1 && rest.is_empty()).then_some(Ok(Claims {
            keys,
            operator,
            measurement,
            init_data,
            report_data,
            issued_at,
        }))
    }

    fn vouch(&self, evidence: &[u8], _: &AppraisalPolicy) -> Result<(), AppraisalError> {
        match evidence.last() {
            Some(&VOUCHED) => Ok(()),
            _ => Err(AppraisalError::Vendor(Address::ZERO)),
        }
    }
}

fn claims() -> Claims {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let keys = EnclaveKeys {
        receipt: SigningKey::generate(&mut rng).address(),
        seal: SealKey::generate(&mut rng).public(),
    };
    let operator = Address::repeat_byte(4);
    Claims {
        keys,
        operator,
        measurement: B256::repeat_byte(5),
        init_data: B256::repeat_byte(6),
        report_data: keys.report_data(operator),
        issued_at: NOW,
    }
}

fn expected(evidence: &[u8]) -> Expected {
    let Claims { keys, operator, measurement, init_data, .. } = claims();
    Expected { operator, keys, platform: 9, evidence_hash: blob_hash(evidence), measurement, init_data }
}

fn policy(platform: Platform) -> AppraisalPolicy {
    AppraisalPolicy { platforms: vec![platform], simulated_vendors: Vec::new(), max_age: MAX_AGE }
}

#[test]
fn a_second_platform_goes_through_the_same_appraisal() {
    let list: [&dyn Verifier; 2] = [&Simulated, &Brass];
    let believed = policy(Brass.platform());
    let check =
        |evidence: &[u8], change: &dyn Fn(&mut Expected), policy: &AppraisalPolicy, now, found: &str| {
            let mut expected = expected(evidence);
            change(&mut expected);
            let appraised = appraise_among(&list, evidence, &expected, policy, now);
            let said = appraised.map_or_else(|e| e.to_string(), |a| format!("believed, {}", a.platform()));
            assert!(said.starts_with(found), "expected `{found}`, found `{said}`");
        };
    let good = Brass::evidence(&claims(), VOUCHED);
    let other = B256::repeat_byte(7);
    check(&good, &|_| {}, &believed, NOW + MAX_AGE, "believed, platform 9");
    check(&good, &|_| {}, &policy(Platform::SIMULATED), NOW, "the evidence is of brass, which the policy");
    check(&Brass::evidence(&claims(), 0), &|_| {}, &believed, NOW, "the device is certified by");
    check(&good, &|e| e.measurement = other, &believed, NOW, "the enclave runs measurement");
    check(&good, &|e| e.init_data = other, &believed, NOW, "the enclave was started with");
    check(&good, &|e| e.operator = Address::ZERO, &believed, NOW, "the quote does not bind");
    check(&good, &|e| e.keys.receipt = Address::ZERO, &believed, NOW, "the evidence is of enclave");
    check(&good, &|e| e.platform = 0, &believed, NOW, "the evidence is platform 9, registered is platform 0");
    check(&good, &|_| {}, &believed, NOW + MAX_AGE + 1, "the evidence is 3601 s old");
    check(&good, &|_| {}, &believed, NOW - 3_600, "the evidence was issued 3600 s in the future");
    check(&good[1..], &|_| {}, &believed, NOW, "the bytes are not attestation evidence");
}

#[test]
fn an_unknown_platform_is_refused_by_name() {
    let evidence = Brass::evidence(&claims(), VOUCHED);
    let policy = policy(Platform::from_code(9));
    let refused = appraise(&evidence, &expected(&evidence), &policy, NOW).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the enclave is registered on platform 9, which this version cannot appraise: it knows \"simulated\", which stands for no hardware"
    );
}

#[test]
fn codes_and_names_are_disjoint_and_names_find_their_platform() {
    let codes: BTreeSet<_> = PLATFORMS.iter().map(|verifier| verifier.platform()).collect();
    assert_eq!(codes.len(), PLATFORMS.len());
    for verifier in PLATFORMS {
        assert_eq!(by_name(verifier.name()), Some(verifier.platform()));
        assert_eq!(is_hardware(verifier.platform()), !verifier.simulated());
    }
    assert_eq!((by_name("sgx"), is_hardware(Platform::from_code(9))), (None, false));
}
