//! One enclave with everybody's data makes the model of an enclave at each owner, and gives it to whom its plan says.

use histone_contracts::{Contract, Market, model_state};
use histone_enclave::query::Given;
use histone_node::model::receive;
use histone_node::recompute;
use histone_node::runner::Host;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::disclosure::Release;
use histone_protocol::{B256, U256};

use super::{says, signer, used};
use crate::cast::{Cast, PRICE, refused};
use crate::sealed::{detail, sealed_plan};

const ROW: [f64; 2] = [4.0, 17.0];

#[tokio::test]
async fn one_enclave_makes_the_model_of_many() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let (each, _) = cast.train_sealed(sealed_plan(Release::Public)).await;
    let mut sites = Vec::new();
    for owner in &mut cast.owners {
        sites.push(owner.evaluate(&world).unwrap());
    }
    let known = cast.owners[0].release_model(&world).unwrap();
    let model = world.blobs.get(known.1).unwrap();
    let serving = cast.runner.start_query(cast.loaded.query.clone(), each.id(), &model, each.names.0, &world);
    let serving = serving.await.unwrap();
    cast.trainer.serve(each.id(), signer_of(&serving), &world).await.unwrap();
    let answer = cast.buy_answer(each.id(), &serving, &ROW).await;
    assert!(answer.iter().all(Option::is_some), "{answer:?}");

    // To everybody: the same document, facts and all, and the same model.
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    refused(host.enclave.release(&world.ledger).await, "the training is not finished");
    refused(host.enclave.train(&world.evidence(), &world.ledger).await, "has not started, or is over");
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    let statement = says(&said);
    assert_eq!((statement.model_hash, statement.released), (Some(each.names.0), Some(each.names.1)));
    assert_eq!((statement.model_id, statement.plan), (id, cast.hosted_document(&each.plan).hash()));
    assert_eq!(used(&said), [1, 2, 3]);
    let (document, blob, evaluations) = cast.sell(&mut host, &said).await;
    assert_eq!((document, blob), known);
    let (of_each, of_one) = (cast.evaluated(&sites), cast.evaluated(&evaluations));
    assert_eq!(of_each.len(), 3);
    for (each, one) in of_each.iter().zip(&of_one) {
        assert_eq!((each.donor, each.model_hash, &each.fields), (one.donor, one.model_hash, &one.fields));
        assert!(one.fields.iter().any(|f| f.value.is_some()), "{one:?}");
    }
    let own = cast.owners[0].account();
    refused(host.enclave.share_model(own, &world.ledger).await, "the model is public");
    recompute::check(id, &world).await.unwrap();
    for donor in 1..=3 {
        assert_eq!(cast.owed(id, donor).await, PRICE);
    }
    let (outcome, text) = detail(&cast.looked_at(id, None).await, "rounds");
    assert_eq!(outcome, histone_compliance::verify::Outcome::Holds, "{text}");
    assert!(text.contains("made in one enclave") && text.contains("donors [1, 2, 3]"), "{text}");

    // To participants, by the same plan: to every owner and the trainer, and to nobody else.
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Participants)).await;
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    let (_, blob, _) = cast.sell(&mut host, &said).await;
    let blob = world.blobs.get(blob).unwrap();
    assert!(Model::from_bytes(&blob).is_err(), "it is under a key");
    let name = says(&said).model_hash.unwrap();
    let expected = Model::from_bytes(&model).unwrap();
    let parties = || cast.owners.iter().map(|o| &o.party).chain([&cast.trainer.party]);
    for to in parties() {
        let key = host.enclave.share_model(to.account(), &world.ledger).await.unwrap();
        for party in parties().chain([&cast.runner.party]) {
            let received = receive(party, id, name, &key, &blob);
            match party.account() == to.account() {
                true => assert!(received.unwrap() == expected),
                false => refused(received, "does not open"),
            }
        }
    }
    for to in [cast.runner.party.account(), cast.user.party.account()] {
        refused(host.enclave.share_model(to, &world.ledger).await, "it is no participant");
    }
    recompute::check(id, &world).await.unwrap();

    // To query enclaves, which answer with the same bits.
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Sealed)).await;
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    let (_, blob, _) = cast.sell(&mut host, &said).await;
    let sealed = says(&said).model_hash.unwrap();
    refused(host.enclave.share_model(own, &world.ledger).await, "to query enclaves and nobody else");
    let program = cast.loaded.query.clone();
    let instance = cast.runner.begin_query(program, id, sealed, &world).await.unwrap();
    let query = instance.keys().receipt;
    let key = cast.runner.hand_model(&host, query, &world).await.unwrap();
    let blob = world.blobs.get(blob).unwrap();
    let given = Given::Sealed { blob: &blob, key: &key };
    let serving = cast.runner.install_model(instance, id, given, &world).await.unwrap();
    cast.trainer.serve(id, query, &world).await.unwrap();
    assert_eq!(cast.buy_answer(id, &serving, &ROW).await, answer, "the same bits");
    assert!(cast.owed(id, 1).await > PRICE, "donors have their part of the answer");
}

fn signer_of(serving: &histone_enclave::query::QueryEnclave) -> histone_protocol::Address {
    serving.instance().keys().receipt
}

/// Nothing leaves before the market has the model: not the model, its document, what is said of it, nor its key.
#[tokio::test]
async fn nothing_leaves_before_the_market_has_the_model() {
    for release in [Release::Sealed, Release::Participants] {
        let mut cast = Cast::hosting(1, 2).await;
        let world = cast.world.clone();
        let (id, mut host) = cast.recruit_hosted(&sealed_plan(release)).await;
        cast.trainer.start(id, &world).await.unwrap();
        let said = cast.make(&mut host).await;
        let name = says(&said).model_hash.unwrap();
        let program = cast.loaded.query.clone();
        let instance = cast.runner.begin_query(program, id, name, &world).await.unwrap();
        let query = instance.keys().receipt;
        let none_yet = "the market sells nothing yet";
        let to = cast.owners[0].account();
        let refuses = async |host: &Host, why: &str| {
            refused(host.enclave.release(&world.ledger).await, why);
            refused(host.enclave.evaluations(&world.ledger).await, why);
            refused(cast.runner.hand_model(host, query, &world).await, why);
            refused(host.enclave.share_model(to, &world.ledger).await, why);
        };
        refuses(&host, none_yet).await;
        assert_eq!(cast.owes(&host).await, []);
        // Neither by the way of a model with rounds, which has none.
        refused(cast.trainer.finish(id, name, &world).await, "NotFinal");
        // What the process keeps of its duties does not matter: after a restart it says the same.
        let host = cast.again_host(id, host).await;
        refuses(&host, none_yet).await;
        // Given up, it never leaves, and the whole deposit is the trainer's again.
        cast.trainer.abort(id, &world).await.unwrap();
        refuses(&host, none_yet).await;
        assert_eq!(cast.owed_trainer().await, 2 * PRICE);
        refused(cast.trainer.finish_hosted(&said, &world).await, "WrongState");
        let mut host = cast.again_host(id, host).await;
        assert!(cast.perform(&mut host).await.is_empty());
        refuses(&host, none_yet).await;
        let call = Market::standingCall { modelId: U256::from(id) };
        assert_eq!(world.ledger.read(Contract::Market, call).await.unwrap().state, model_state::ABORTED);
        for donor in 1..=2 {
            assert_eq!(cast.owed(id, donor).await, 0);
        }
        // What the enclave says is no secret; the document that it names is.
        let document = says(&said).released.unwrap();
        assert!(world.blobs.get(document).is_err());
        assert_ne!(document, B256::ZERO);
        assert_eq!(Some(signer(&host)), histone_node::owner::host_of(id, &world).await.unwrap());
    }
}
