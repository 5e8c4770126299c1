//! The runner's process ends between any two steps, and is started again.

use histone_node::duties::HostDuty;
use histone_node::model::receive;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::disclosure::Release;

use super::{bytes, says, used};
use crate::cast::{Cast, PRICE};
use crate::sealed::sealed_plan;

#[tokio::test]
async fn a_process_ends_after_each_step() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Participants);
    // One that nothing happens to, to compare with.
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    let (_, quiet, _) = cast.sell(&mut host, &said).await;
    let quiet = Model::from_bytes(&world.blobs.get(quiet).unwrap()).unwrap();

    let (paper, id) = cast.propose_hosted(&plan).await;
    let host = cast.host(id).await;
    let mut host = cast.again_host(id, host).await;
    let datasets = |n: usize| format!(" model {id}, {n} datasets");
    for owner in 0..3 {
        let donor = cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
        assert_eq!(usize::from(donor), owner + 1);
        host = cast.again_host(id, host).await;
        assert!(format!("{host:?}").contains(&datasets(owner + 1)), "{host:?}");
    }
    cast.trainer.start(id, &world).await.unwrap();
    let mut host = cast.again_host(id, host).await;
    let said = cast.make(&mut host).await;
    assert_eq!(used(&said), [1, 2, 3]);

    // What it has told may be lost with the process: it owes to tell it again, in the same bytes.
    let mut host = cast.again_host(id, host).await;
    assert!(format!("{host:?}").contains(&datasets(0)), "{host:?}");
    assert_eq!(cast.owes(&host).await, [HostDuty::Train { model: id }]);
    let again = cast.make(&mut host).await;
    assert_eq!(bytes(&again), bytes(&said));
    cast.trainer.finish_hosted(&again, &world).await.unwrap();

    let mut host = cast.again_host(id, host).await;
    assert_eq!(cast.owes(&host).await, [HostDuty::Release { model: id }]);
    let out = cast.released(&mut host).await;
    assert_eq!(out.2.len(), 3);
    let to = cast.owners[0].account();
    let key = host.enclave.share_model(to, &world.ledger).await.unwrap();
    let (name, blob) = (says(&said).model_hash.unwrap(), world.blobs.get(out.1).unwrap());
    assert!(receive(&cast.owners[0].party, id, name, &key, &blob).unwrap() == quiet);
    let mut host = cast.again_host(id, host).await;
    assert_eq!(cast.released(&mut host).await, out);
    assert_eq!(host.enclave.share_model(to, &world.ledger).await.unwrap(), key);
    let again = host.enclave.train(&world.evidence(), &world.ledger).await.unwrap();
    assert_eq!(bytes(&again), bytes(&said));
    assert_eq!(cast.owes(&host).await, []);
    for donor in 1..=3 {
        assert_eq!(cast.owed(id, donor).await, PRICE);
    }
}

/// The process ends when the enclave has the data and before the ledger knows of it: the owner comes again.
#[tokio::test]
async fn a_process_ends_between_data_and_donation() {
    let mut cast = Cast::hosting(1, 2).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose_hosted(&sealed_plan(Release::Public)).await;
    let mut host = cast.host(id).await;
    let sealed = cast.sealed(0, host.enclave.instance());
    let consent = cast.consent(0, id).await;
    let terms = histone_enclave::training::DonationTerms { payee: cast.owners[0].account(), consent };
    host.enclave.admit(&sealed, terms, &world.ledger).await.unwrap();
    let mut host = cast.again_host(id, host).await;
    for owner in 0..2 {
        cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
    }
    assert_eq!(cast.kept_data().len(), 2);
    cast.trainer.start(id, &world).await.unwrap();
    assert_eq!(used(&cast.make(&mut host).await), [1, 2]);
}
