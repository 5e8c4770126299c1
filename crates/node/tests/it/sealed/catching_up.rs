//! Enclaves that were silent for some rounds, and one that was in no header.

use histone_enclave::instance::EnclaveError;
use histone_node::duties::OwnerDuty;
use histone_node::error::NodeError;
use histone_node::owner::Tell;
use histone_node::recompute;
use histone_protocol::disclosure::Release;

use crate::cast::{Cast, PRICE, refused};
use crate::sealed::{Led, sealed_plan};

/// What an owner owes by now.
async fn duties(cast: &mut Cast, owner: usize) -> Vec<OwnerDuty> {
    let world = cast.world.clone();
    let book = world.ledger.current_book().await.unwrap();
    cast.owners[owner].duties(&book, &world).await.unwrap()
}

/// Days later it reads ledger and blobs, has the names of all others, and signs again.
#[tokio::test]
async fn an_enclave_that_was_silent_follows_and_signs_again() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let open = |round| OwnerDuty::OpenSum { model: led.model.id, round };
    let missed = [open(1), open(2)];
    for _ in 0..2 {
        cast.sealed_round(&mut led, &[0, 1]).await;
    }
    let header = cast.open_sealed(&mut led).await;
    assert!(header.has_donor(3), "whoever is silent is invited");
    refused(cast.owners[2].contribute(&header, &world).await, "it follows another state");
    // The second before the first is none of its steps, and spoils nothing.
    refused(cast.owners[2].perform(missed[1], &world).await, "it follows another state");
    assert_eq!(duties(&mut cast, 2).await, missed);
    for duty in missed {
        let said = cast.owners[2].perform(duty, &world).await.unwrap();
        assert!(said.is_none(), "it is in no such sum, and signs nothing");
    }
    assert_eq!(duties(&mut cast, 2).await, []);
    // It answers. Another one does, too, and then is not there when the sum is opened.
    cast.answer(&header, &[0, 1, 2]).await;
    let partials = cast.open_sum(&header).await;
    let third = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
    let statements = cast.said(&third, &[0, 2]).await;
    assert_eq!(
        (statements[0].state, statements[0].next, statements[1].donor),
        (statements[1].state, statements[1].next, 3)
    );
    let carried = cast.carry(&mut led, &header, statements).await;
    assert_eq!(carried.signers, [1, 3]);
    // What it says of that round when it comes back is nothing that the next one rests on.
    let round = cast.open_sealed(&mut led).await;
    refused(cast.owners[1].contribute(&round, &world).await, "it follows another state");
    let owed = duties(&mut cast, 1).await;
    let said = cast.owners[1].perform(owed[0], &world).await.unwrap();
    let Some(Tell::State(late)) = said else { panic!("{said:?}") };
    assert_eq!((late.donor, late.state, late.next), (2, carried.state, carried.next));
    cast.answer(&round, &[0, 1, 2]).await;
    let partials = cast.open_sum(&round).await;
    let last = histone_node::committee::transcript(&round, &partials, &world).await.unwrap();
    let mut statements = cast.said(&last, &[0, 2]).await;
    // It counts for nothing there, and with one alone beside it nothing is carried.
    refused(
        cast.trainer.agree(&round, vec![late, statements[0].clone()], &world).await,
        "a statement of donor 2 counts for nothing: it is not signed by its enclave for this round",
    );
    statements.extend(cast.said(&last, &[1]).await);
    assert_eq!(cast.carry(&mut led, &round, statements).await.signers, [1, 2, 3]);
    cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
    // All of them owe the release, and it is the same.
    let mut released = Vec::new();
    for owner in 0..3 {
        assert_eq!(duties(&mut cast, owner).await, [OwnerDuty::Release { model: led.id() }]);
        released.push(cast.owners[owner].release_model(&world).unwrap());
        assert_eq!(duties(&mut cast, owner).await, []);
    }
    assert!(released.iter().all(|r| *r == released[0]));
    recompute::check(led.id(), &world).await.unwrap();
}

const DAY: u64 = 24 * 3_600;

/// Its evidence ends between two rounds, so that the second header is without it and no member seals to it.
#[tokio::test]
async fn an_enclave_that_was_in_no_header_says_so_and_stops_nobody() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Sealed);
    let (paper, id) = cast.propose(&plan).await;
    let third = cast.donate(2, paper, id).await.unwrap();
    cast.wait(5 * DAY).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut led = Led::of(cast.begin(id, plan.clone()).await, plan);
    let first = cast.sealed_round(&mut led, &[0, 1, 2]).await;
    assert!(first.header.has_donor(third));
    cast.wait(3 * DAY).await;
    let second = cast.sealed_round(&mut led, &[0, 1]).await;
    assert!(!second.header.has_donor(third));
    let enclave = first.header.donor(third).unwrap().enclave;
    // It owes nothing that it cannot do; asked for it all the same, it says why.
    assert_eq!(duties(&mut cast, 2).await, []);
    for _ in 0..2 {
        let said = cast.owners[2].perform(OwnerDuty::OpenSum { model: id, round: 2 }, &world).await;
        assert!(
            matches!(&said, Err(NodeError::Enclave(EnclaveError::Absent { enclave: e, round: 2, model })) if *e == enclave && *model == id),
            "{said:?}"
        );
        refused(said, &format!("is not in the header of round 2 of model {id}"));
    }
    let third_round = cast.sealed_round(&mut led, &[0, 1]).await;
    assert_eq!(duties(&mut cast, 2).await, []);
    assert_eq!(third_round.donors().len(), 2);
    cast.sealed_end(&mut led, &[0, 1]).await;
    assert_eq!(duties(&mut cast, 2).await, [], "nor a release");
    refused(cast.owners[2].release_model(&world), "the training is not finished");
    assert_eq!(cast.owners[0].release_model(&world).unwrap(), cast.owners[1].release_model(&world).unwrap());
    recompute::check(id, &world).await.unwrap();
    for donor in 1..=3 {
        assert_eq!(cast.owed(id, donor).await, PRICE);
    }
}
