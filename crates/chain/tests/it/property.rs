//! Random chains replay to what they are, and random bytes never panic.

use alloy_primitives::Bytes;
use histone_chain::{Transaction, replay};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    Transfer { from: u8, to: u8, wei: u64 },
    Deploy { from: u8 },
    Call { from: u8, fails: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..5u8, 1..12u8, 0..FUNDS * 2).prop_map(|(from, to, wei)| Step::Transfer { from, to, wei }),
        (1..5u8).prop_map(|from| Step::Deploy { from }),
        (1..5u8, any::<bool>()).prop_map(|(from, fails)| Step::Call { from, fails }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_chains_replay(blocks in prop::collection::vec(prop::collection::vec(step(), 0..4), 1..8)) {
        let (chain, dir) = fresh();
        let mut nonces = [0_u64; 16];
        let mut contract = user(1).address.create(0);
        let (mut made, mut mined) = (0, 0);
        for steps in blocks {
            let mut next = nonces;
            let mut raw: Vec<Bytes> = Vec::new();
            for step in &steps {
                let from = match step {
                    Step::Transfer { from, .. } | Step::Deploy { from } | Step::Call { from, .. } => *from,
                };
                let nonce = next[usize::from(from)];
                next[usize::from(from)] += 1;
                let sender = user(from);
                raw.push(match step {
                    Step::Transfer { to, wei, .. } => sender.send(nonce, user(*to).address, *wei),
                    Step::Deploy { .. } => {
                        contract = sender.address.create(nonce);
                        sender.deploy_counter(nonce)
                    }
                    Step::Call { fails, .. } => sender.call(nonce, contract, vec![0; usize::from(*fails)]),
                });
            }
            // A block that spends more than there is gets refused as a whole; the others go on.
            if chain.produce(&raw).is_ok() {
                nonces = next;
                made += 1;
                mined += raw.len() as u64;
            }
        }
        let expected = (chain.head().unwrap().hash, chain.state_digest().unwrap());
        drop(chain);
        let report = replay(dir.path()).unwrap();
        prop_assert_eq!((report.head, report.state_digest), expected);
        prop_assert_eq!((report.blocks, report.transactions), (made + 1, mined));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Transaction::decode(&bytes, CHAIN_ID, 0);
        let mut typed = user(1).send(0, user(2).address, 1).to_vec();
        for (place, byte) in bytes.iter().enumerate().take(20) {
            let length = typed.len();
            typed[(place * 31 + usize::from(*byte)) % length] ^= byte;
        }
        let _ = Transaction::decode(&typed, CHAIN_ID, 0);
    }
}
