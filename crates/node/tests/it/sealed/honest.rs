//! A sealed training gives the model of the public one, to whom its plan says.

use histone_federation::training::model_hash;
use histone_node::model::receive;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::disclosure::Release;

use crate::cast::{Cast, PRICE, plan, refused, with};
use crate::sealed::{as_released, sealed_plan};

const ROW: [f64; 2] = [4.0, 17.0];

/// Four trainings over the same tables.
#[tokio::test]
async fn sealed_trainings_give_the_model_of_the_public_one() {
    // With sums that enclaves see a site leaves out no small group: the same rows, read in another way.
    let mut cast = Cast::allowing(1, 3, 2).await;
    let world = cast.world.clone();
    let mut open = cast.recruit(plan(2)).await;
    let known = cast.train(&mut open).await;
    let (program, hash) = (cast.loaded.query.clone(), B256::from(known.hash()));
    let bytes = known.model.to_bytes();
    let serving = cast.runner.start_query(program, open.id, &bytes, hash, &world).await.unwrap();
    cast.trainer.serve(open.id, serving.instance().keys().receipt, &world).await.unwrap();
    let answer = cast.buy_answer(open.id, &serving, &ROW).await;
    assert!(answer.iter().all(Option::is_some), "{answer:?}");

    // To everybody, with what is said of it: the same model, with the digits that are released.
    let (public, _) = cast.train_sealed(sealed_plan(Release::Public)).await;
    let known = as_released(&known.model);
    let bytes = known.to_bytes();
    assert_eq!(public.names.0, B256::from(model_hash(&known)));
    let mut out = Vec::new();
    for owner in &mut cast.owners {
        out.push(owner.release_model(&world).unwrap());
    }
    assert!(out.iter().all(|r| *r == out[0]), "{out:?}");
    assert_eq!((out[0].0, world.blobs.get(out[0].1).unwrap()), (public.names.1, bytes));
    let own = cast.owners[0].account();
    refused(cast.owners[0].share_model(own, &world).await, "the model is public");

    // To the participants: who missed the last round is none.
    // By another penalty, so that its last sums are other computations than those over all three.
    let mut shared = cast.recruit_sealed(with(sealed_plan(Release::Participants), "ridge", 2.0)).await;
    let mut all = Vec::new();
    while shared.rounds + 1 < shared.plan.agenda.iter().map(|s| s.rounds).sum() {
        cast.sealed_round(&mut shared, &[0, 1, 2]).await;
    }
    cast.sealed_end(&mut shared, &[0, 1]).await;
    let (_, blob) = cast.owners[0].release_model(&world).unwrap();
    let blob = world.blobs.get(blob).unwrap();
    assert!(Model::from_bytes(&blob).is_err(), "it is under a key");
    for to in [cast.owners[0].account(), cast.owners[1].account(), cast.trainer.party.account()] {
        let key = cast.owners[1].share_model(to, &world).await.unwrap();
        for party in cast.owners.iter().map(|o| &o.party).chain([&cast.trainer.party, &cast.runner.party]) {
            let received = receive(party, shared.id(), shared.names.0, &key, &blob);
            match party.account() == to {
                true => all.push(received.unwrap()),
                false => refused(received, "does not open"),
            }
        }
    }
    assert!(all.len() == 3 && all.iter().all(|m| *m == all[0]) && all[0] != known);
    for to in [cast.owners[2].account(), cast.runner.party.account(), cast.user.party.account()] {
        refused(cast.owners[0].share_model(to, &world).await, "it is no participant");
    }

    // To query enclaves, and nobody else.
    let (hidden, _) = cast.train_sealed(sealed_plan(Release::Sealed)).await;
    assert_ne!(hidden.names.0, hash);
    let (document, blob) = cast.owners[0].release_model(&world).unwrap();
    assert_eq!(document, hidden.names.1);
    refused(
        cast.owners[0].share_model(own, &world).await,
        "the plan gives the model to query enclaves and nobody else",
    );
    let serving = cast.serve_sealed(&hidden, 1, blob).await;
    assert_eq!(cast.buy_answer(hidden.id(), &serving, &ROW).await, answer, "the same bits");
    for donor in 1..=3 {
        assert!(cast.owed(hidden.id(), donor).await >= PRICE);
    }
}
