//! Ten owners, three of whom follow each attack in turn: the training ends for the seven honest ones, and the money adds
//! up.

use histone_contracts::{Contract, Market, TestToken};
use histone_protocol::keys::SigningKey;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, PRICE, plan};

const HONEST: [usize; 7] = [0, 1, 2, 3, 4, 5, 6];
const LIARS: [usize; 3] = [7, 8, 9];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Attack {
    /// A plain key; evidence that exists nowhere.
    NoEvidence,
    /// Anchors the hash of nothing.
    AnchorsNothing,
    /// Anchors something else than an update.
    AnchorsJunk,
    /// Donates and never answers.
    Silent,
    /// Answers, and withdraws its data before the sum is open.
    Withdraws,
}

#[tokio::test]
async fn three_of_ten_owners_follow_each_attack_in_turn() {
    let mut cast = Cast::of(1, 10).await;
    let world = cast.world.clone();
    let attacks =
        [Attack::NoEvidence, Attack::AnchorsNothing, Attack::AnchorsJunk, Attack::Silent, Attack::Withdraws];
    for (number, attack) in attacks.into_iter().enumerate() {
        let plan = plan(7);
        let (paper, id) = cast.propose(&plan).await;
        for owner in HONEST {
            cast.donate(owner, paper, id).await.unwrap();
        }
        let mut keys = Vec::new();
        for owner in LIARS {
            let seed = (20 * number + owner) as u8;
            let key = SigningKey::from_bytes(&[seed + 1; 32]).unwrap();
            match attack {
                Attack::NoEvidence => {
                    let evidence = B256::repeat_byte(5);
                    cast.donate_with_key(owner, id, &key, 1, evidence).await.unwrap();
                }
                Attack::AnchorsNothing | Attack::AnchorsJunk => {
                    keys.push(cast.donate_broken(owner, id, &plan, seed + 1).await);
                }
                Attack::Silent | Attack::Withdraws => {
                    cast.donate(owner, paper, id).await.unwrap();
                }
            }
        }
        let mut model = cast.begin(id, plan).await;
        let header = cast.open_round(&mut model).await;
        for owner in HONEST {
            cast.owners[owner].contribute(&header, &world).await.unwrap();
        }
        for (at, (key, donor)) in keys.iter().enumerate() {
            let blob = match attack {
                Attack::AnchorsJunk => world.blobs.put(&[at as u8; 99]).unwrap(),
                _ => B256::repeat_byte(at as u8 + 1),
            };
            cast.anchor_as(key, &header, *donor, blob).await.unwrap();
        }
        if attack == Attack::Withdraws {
            for owner in LIARS {
                cast.owners[owner].contribute(&header, &world).await.unwrap();
            }
        }
        cast.wait(crate::cast::DEADLINE + 1).await;
        assert!(cast.trainer.close_round(id, 1, &world).await.unwrap().1, "{attack:?}");
        if attack == Attack::Withdraws {
            for owner in LIARS {
                cast.owners[owner].withdraw(&world).await.unwrap();
            }
        }
        let partials = cast.open_sum(&header).await;
        let first = cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
        assert_eq!(first.0.donors(), [1, 2, 3, 4, 5, 6, 7], "{attack:?}");
        cast.train_on(&mut model, &HONEST, first).await;
        let mut owed = 0;
        for donor in 1..=10 {
            let due = cast.owed(id, donor).await;
            // Whoever was only silent loses nothing: the ledger does not know whether it could help it. Of whoever left
            // before a sum was open nothing was used.
            let innocent = donor <= 7 || attack == Attack::Silent;
            assert_eq!(due, if innocent { PRICE } else { 0 }, "{attack:?}: donor {donor}");
            owed += due;
            if due > 0 {
                let call = Market::claimDonorCall { modelId: U256::from(id), donorIndex: donor };
                world.ledger.send(&cast.trainer.party.key, Contract::Market, call).await.unwrap();
            }
        }
        world.ledger.send(&cast.trainer.party.key, Contract::Market, Market::claimCall {}).await.ok();
        // Everything that was paid in is paid out: nothing is left in the market.
        let market = world.ledger.deployment().market;
        let left = TestToken::balanceOfCall { account: market };
        let left = world.ledger.read(Contract::Token, left).await.unwrap();
        assert_eq!(left, U256::ZERO, "{attack:?}: {owed} were owed");
    }
}
