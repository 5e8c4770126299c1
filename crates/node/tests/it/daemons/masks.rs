//! A watch over masks: two vectors under one mask publish their difference.

use std::collections::BTreeMap;

use histone_federation::field::Fp;
use histone_federation::header::RoundHeader;
use histone_federation::update::Update;
use histone_protocol::B256;

use super::life::Seen;

/// No number of an update is as large, and a difference of two that are masked apart hardly ever as small.
const LARGE: u128 = 1 << 96;

/// Looks at everything that was ever published: each donor has answered each header in one way, and no two of its updates have a
/// mask in common. Gives how many updates there are.
pub fn are_used_once(seen: &Seen) -> usize {
    let seen = seen.lock().unwrap();
    let headers: Vec<RoundHeader> = seen.values().filter_map(|blob| RoundHeader::decode(blob).ok()).collect();
    let mut updates: BTreeMap<(B256, u16), Vec<Fp>> = BTreeMap::new();
    for blob in seen.values() {
        for header in &headers {
            let Ok(update) = Update::decode(blob, header) else { continue };
            let key = (B256::from(header.hash()), update.donor());
            let before = updates.insert(key, update.ciphertext().collect());
            assert!(before.is_none(), "donor {} has answered round {} twice", key.1, header.fields().round);
        }
    }
    let all: Vec<(&(B256, u16), &Vec<Fp>)> = updates.iter().collect();
    for (place, (key, one)) in all.iter().enumerate() {
        for (other_key, other) in &all[place + 1..] {
            if key.1 == other_key.1 {
                assert!(!share_a_mask(one, other), "donor {}: {} and {}", key.1, key.0, other_key.0);
            }
        }
    }
    updates.len()
}

fn share_a_mask(one: &[Fp], other: &[Fp]) -> bool {
    one.iter().zip(other).any(|(a, b)| (*a - *b).to_signed().unsigned_abs() < LARGE)
}

#[test]
fn the_watch_finds_a_mask_that_is_used_twice() {
    let mask: Vec<Fp> = (1..9).map(|n| Fp::new(n * 0x1234_5678_9abc_def0_1234_5678_9abc_def1)).collect();
    let other: Vec<Fp> = mask.iter().map(|m| *m * *m).collect();
    let add = |mask: &[Fp], n: u128| -> Vec<Fp> { mask.iter().map(|m| *m + Fp::new(n << 60)).collect() };
    assert!(share_a_mask(&add(&mask, 3), &add(&mask, 1_000)));
    assert!(!share_a_mask(&add(&mask, 3), &add(&other, 3)));
}
