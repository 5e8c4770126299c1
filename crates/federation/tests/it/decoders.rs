//! Bytes from the network: any bytes give a value or an error, and a value encodes to the same bytes.

use std::sync::LazyLock;

use histone_federation::committee::PartialSum;
use histone_federation::header::RoundHeader;
use histone_federation::plan::{Plan, PlanError};
use histone_federation::update::Update;
use histone_program_sdk::wire::{Wire, WireError};
use proptest::prelude::*;

use crate::world::{Native, Training, World, plan, tables};

static GOOD: LazyLock<(RoundHeader, Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new(tables(30, 2, 1, 0.0), 4);
    let training = Training::start(Native, plan(1)).unwrap();
    let header = RoundHeader::new(world.fields(&training, &world.donors())).unwrap();
    let (survivors, blobs) = world.blobs(&header, &[10, 20]);
    let partial = world.ask(1, &header, &survivors, &blobs).unwrap().encode();
    (header, blobs[0].clone(), partial)
});

proptest! {
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = &GOOD.0;
        prop_assert!(Update::decode(&bytes, header).is_err());
        prop_assert!(PartialSum::decode(&bytes, header).is_err());
        prop_assert!(RoundHeader::decode(&bytes).is_err());
        // With the beginning that passes the first checks.
        let mut tail = GOOD.1[..35].to_vec();
        tail.extend_from_slice(&bytes);
        let _ = Update::decode(&tail, header);
        let mut tail = GOOD.2[..66].to_vec();
        tail.extend_from_slice(&bytes);
        let _ = PartialSum::decode(&tail, header);
    }

    #[test]
    fn damaged_bytes(at: prop::sample::Index, flip in 1u8.., cut: prop::sample::Index) {
        let (header, blob, partial) = &*GOOD;
        let damage = |good: &[u8]| {
            let mut bad = good.to_vec();
            bad[at.index(good.len())] ^= flip;
            bad
        };
        let _ = Update::decode(&damage(blob), header);
        if let Ok(p) = PartialSum::decode(damage(partial), header) {
            prop_assert_eq!(p.encode(), damage(partial));
        }
        prop_assert!(Update::decode(&blob[..cut.index(blob.len())], header).is_err());
        prop_assert!(PartialSum::decode(&partial[..cut.index(partial.len())], header).is_err());
        for good in [blob, partial] {
            let mut long = good.clone();
            long.push(0);
            prop_assert!(Update::decode(&long, header).is_err() && PartialSum::decode(&long, header).is_err());
        }
    }
}

/// A NaN has many forms, and a setting may be one: with another form the plan would have a second name.
#[test]
fn a_plan_with_another_nan_is_refused() {
    let mut plan = plan(1);
    plan.config.values = vec![f64::NAN];
    let mut bytes = plan.encode();
    assert!(Plan::decode(&bytes).is_ok());
    // The setting is the end of the configuration, which stands behind the measurement and its own length; its last byte is the sign.
    let sign = 32 + 4 + plan.config.to_bytes().len() - 1;
    bytes[sign] ^= 0x80;
    assert_eq!(Plan::decode(&bytes), Err(PlanError::Encoding(WireError::Invalid("configuration"))));
}
