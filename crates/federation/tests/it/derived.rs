//! What an enclave that crashed, was cloned or rolled back gives away: nothing, because every mask derives from the
//! numbers that it masks.

use histone_federation::field::Fp;
use histone_federation::fixed;
use histone_federation::header::{RoundFields, RoundHeader};
use histone_federation::update::{Hpke, Update, seal_update};
use histone_protocol::seal::SealKey;
use proptest::prelude::*;

use crate::world::{Native, Training, World, plan, root, tables};

/// A header over four donors whose seats have real keys.
pub fn header(change: impl Fn(&mut RoundFields)) -> RoundHeader {
    let world = World::new(tables(20, 4, 2, 0.0), 5);
    let mut fields = world.fields(&Training::start(Native, plan(2)).unwrap(), &[10, 20, 30, 40]);
    for (i, seat) in (1u8..).zip(&mut fields.committee) {
        seat.seal_key = seat_key(i).public().0.0;
    }
    change(&mut fields);
    RoundHeader::new(fields).unwrap()
}

/// The seal key of a member.
pub fn seat_key(member: u8) -> SealKey {
    SealKey::from_seed(&[member ^ 0x55; 32])
}

fn sealed(header: &RoundHeader, donor: u16, values: &[f64], secret: u16) -> Vec<u8> {
    seal_update(header, donor, values, &Hpke, &root(secret)).unwrap()
}

/// The mask of a blob whose numbers are known.
fn mask(header: &RoundHeader, blob: &[u8], values: &[f64]) -> Vec<Fp> {
    let f = header.fields();
    let numbers = fixed::encode(values, f.fractional_bits, f.cohort.len()).unwrap();
    let update = Update::decode(blob, header).unwrap();
    update.ciphertext().zip(numbers).map(|(c, x)| c - x).collect()
}

/// Every single word of two masks differs; equal words by chance have a probability of 2^-127 each.
fn unrelated(a: &[Fp], b: &[Fp]) -> bool {
    a.len() == b.len() && a.iter().all(|x| !b.contains(x))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_numbers_are_the_same_bytes(values in proptest::collection::vec(-1e6..1e6, 40)) {
        let header = header(|_| {});
        let values = &values[..header.dimension()];
        prop_assert_eq!(sealed(&header, 10, values, 1), sealed(&header, 10, values, 1));
    }

    #[test]
    fn one_other_number_is_another_mask_everywhere(
        values in proptest::collection::vec(-1e6..1e6, 40), at in 0usize..40, by in prop_oneof![Just(1e-9), -9.0..9.0]
    ) {
        let header = header(|_| {});
        let values = &values[..header.dimension()];
        let mut other = values.to_vec();
        let at = at % other.len();
        other[at] += by;
        prop_assume!(other != values);
        let (a, b) = (sealed(&header, 10, values, 1), sealed(&header, 10, &other, 1));
        prop_assert!(unrelated(&mask(&header, &a, values), &mask(&header, &b, &other)));
    }
}

#[test]
fn header_donor_and_enclave_are_in_the_mask() {
    let (first, next) = (header(|_| {}), header(|f| f.round += 1));
    let fewer = header(|f| f.min_survivors += 1);
    let values = vec![1.0; first.dimension()];
    let of =
        |header: &RoundHeader, donor, secret| mask(header, &sealed(header, donor, &values, secret), &values);
    let masks =
        [of(&first, 10, 1), of(&next, 10, 1), of(&fewer, 10, 1), of(&first, 20, 1), of(&first, 10, 2)];
    for (i, a) in masks.iter().enumerate() {
        assert!(masks[..i].iter().all(|b| unrelated(a, b)), "mask {i} was seen before");
    }
}

/// The owner runs a clone of its enclave with a table that differs by one person, under the same header, and subtracts
/// the two blobs. With one mask for both, the difference would be that person.
#[test]
fn an_owner_subtracts_the_blobs_of_a_cloned_enclave() {
    let header = header(|_| {});
    let values: Vec<f64> = (0..header.dimension()).map(|i| 10.0 + i as f64).collect();
    let without: Vec<f64> = values.iter().map(|v| v - 1.0).collect();
    let (a, b) = (sealed(&header, 10, &values, 1), sealed(&header, 10, &without, 1));
    let word = |blob: &[u8]| Update::decode(blob, &header).unwrap().ciphertext().collect::<Vec<_>>();
    let one = fixed::encode(&[1.0], header.fields().fractional_bits, 4).unwrap()[0];
    for (x, y) in word(&a).into_iter().zip(word(&b)) {
        assert_ne!(x - y, one, "the person is read off");
    }
    // The sealed shares have nothing in common either: not the ephemeral keys, not the ciphertexts.
    let windows = |blob: &[u8]| -> std::collections::BTreeSet<[u8; 16]> {
        blob.windows(16).map(|w| w.try_into().unwrap()).collect()
    };
    // After the head that both share: version, header hash, donor, count, and one count of the members.
    let head = 1 + 32 + 2 + 4;
    let (a, b) = (windows(&a[head..]), windows(&b[head..]));
    assert_eq!(a.intersection(&b).count(), 0);
}

/// The coins of shares are not those of masks, and no seat's randomness is another's.
#[test]
fn coins_are_used_once() {
    let header = header(|_| {});
    let values = vec![1.0; header.dimension()];
    let blob = sealed(&header, 10, &values, 1);
    let mask = mask(&header, &blob, &values);
    let mut seen = std::collections::BTreeSet::new();
    for member in 1..=header.members() {
        let opening =
            histone_federation::dispute::open_share(&header, 10, &values, &root(1), member).unwrap();
        let bytes = opening.encode();
        let randomness: [u8; 32] = bytes[36..68].try_into().unwrap();
        assert!(seen.insert(randomness), "member {member}");
        // What an accused enclave shows of one seat is no share of another seat and no mask.
        for word in bytes[72..].chunks_exact(16) {
            let word = Fp::from_bytes(word.try_into().unwrap()).unwrap();
            assert!(!mask.contains(&word));
        }
    }
}
