//! Enclaves that say something else of a round, and statements that are not theirs.

use histone_compliance::verify::Outcome;
use histone_node::error::NodeError;
use histone_protocol::B256;
use histone_protocol::agreement::{Agreement, Dropped, Invalid, StateStatement};
use histone_protocol::disclosure::Release;

use crate::cast::{Cast, PRICE, refused};
use crate::sealed::{Led, detail, sealed_plan};
use crate::strangers::left::settle;

const OTHER: (B256, B256) = (B256::repeat_byte(6), B256::repeat_byte(7));

/// A model with these honest owners; the enclaves of the others are broken. Gives the keys of those, with their donor numbers.
async fn with_broken(
    cast: &mut Cast,
    honest: usize,
) -> (Led, Vec<(histone_protocol::keys::SigningKey, u16)>) {
    let plan = sealed_plan(Release::Public);
    let (paper, id) = cast.propose(&plan).await;
    for owner in 0..honest {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut broken = Vec::new();
    for owner in honest..cast.owners.len() {
        broken.push(cast.donate_broken(owner, id, &plan, 40 + owner as u8).await);
    }
    (Led::of(cast.begin(id, plan.clone()).await, plan), broken)
}

/// One of three says another state, in every round, to the end.
#[tokio::test]
async fn the_majority_decides_and_who_disagrees_is_named() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (mut led, broken) = with_broken(&mut cast, 2).await;
    let (key, liar) = &broken[0];
    while led.asked.is_some() {
        let header = cast.open_sealed(&mut led).await;
        for owner in &mut cast.owners[..2] {
            owner.contribute(&header, &world).await.unwrap();
        }
        cast.answer_broken(key, &header, *liar).await;
        cast.close(&header, 3).await;
        let partials = cast.open_sum(&header).await;
        let transcript = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
        let honest = cast.said(&transcript, &[0, 1]).await;
        let lie = cast.lie(key, &header, *liar, OTHER).await;
        if led.rounds == 0 {
            // One of three is no majority, whoever is silent.
            let error = cast.trainer.agree(&header, vec![honest[0].clone(), lie.clone()], &world).await;
            refused(
                error,
                &format!(
                    "1 of the 3 enclaves in the sum say the same of what it led to; more than half have to. They differ: donors \
                     [3] say {}, donors [1] say",
                    OTHER.0
                ),
            );
        }
        let carried = cast.carry(&mut led, &header, [&honest[..], &[lie]].concat()).await;
        assert_eq!((&carried.signers[..], &carried.others[..]), (&[1, 2][..], &[*liar][..]));
        assert_ne!(carried.state, OTHER.0);
    }
    cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
    cast.owners[1].release_model(&world).unwrap();
    // Whoever disagrees loses nothing but its word.
    for donor in 1..=3 {
        assert_eq!(cast.owed(led.id(), donor).await, PRICE);
    }
    settle(&cast).await;
    let (outcome, words) = detail(&cast.looked_at(led.id(), None).await, "rounds");
    assert_eq!(outcome, Outcome::Holds, "{words}");
    assert!(words.contains("signed by 2 of 3 enclaves"), "{words}");
}

/// Two of four are not more than half: nothing is carried, and who said what is told. The donors of the open sum are paid.
#[tokio::test]
async fn two_of_four_carry_nothing() {
    let mut cast = Cast::of(1, 4).await;
    let world = cast.world.clone();
    let (mut led, broken) = with_broken(&mut cast, 2).await;
    let header = cast.open_sealed(&mut led).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    for (key, donor) in &broken {
        cast.answer_broken(key, &header, *donor).await;
    }
    cast.close(&header, 4).await;
    let partials = cast.open_sum(&header).await;
    let transcript = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
    let mut statements = cast.said(&transcript, &[0, 1]).await;
    let state = statements[0].state;
    for (key, donor) in &broken {
        statements.push(cast.lie(key, &header, *donor, OTHER).await);
    }
    let error = cast.trainer.agree(&header, statements, &world).await;
    let error = histone_protocol::with_causes(&error.unwrap_err());
    assert!(error.contains("2 of the 4 enclaves in the sum say the same"), "{error}");
    assert!(error.contains(&format!("donors [1, 2] say {state}")), "{error}");
    assert!(error.contains(&format!("donors [3, 4] say {}", OTHER.0)), "{error}");
    cast.trainer.abort(led.id(), &world).await.unwrap();
    for donor in 1..=4 {
        assert_eq!(cast.owed(led.id(), donor).await, PRICE);
    }
    assert_eq!(cast.owed_trainer().await, 0);
}

/// Broken enclaves are the majority. The honest one stops and says so; it goes on from nothing that it has not computed.
#[tokio::test]
async fn an_enclave_that_disagrees_stops() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (mut led, broken) = with_broken(&mut cast, 1).await;
    let header = cast.open_sealed(&mut led).await;
    cast.owners[0].contribute(&header, &world).await.unwrap();
    for (key, donor) in &broken {
        cast.answer_broken(key, &header, *donor).await;
    }
    cast.close(&header, 3).await;
    let partials = cast.open_sum(&header).await;
    let transcript = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
    let mut statements = cast.said(&transcript, &[0]).await;
    for (key, donor) in &broken {
        statements.push(cast.lie(key, &header, *donor, OTHER).await);
    }
    let carried = cast.carry(&mut led, &header, statements).await;
    assert_eq!((carried.state, &carried.others[..]), (OTHER.0, &[1][..]));
    let next = cast.open_sealed(&mut led).await;
    refused(
        cast.owners[0].contribute(&next, &world).await,
        "the round header does not belong to this state of the training: it follows another state",
    );
}

/// What does not count is left out and named, and the round goes on; the document holds what counts alone.
#[tokio::test]
async fn a_broken_owner_stops_nobody() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (mut led, broken) = with_broken(&mut cast, 2).await;
    let (key, liar) = &broken[0];
    let mut earlier: Option<StateStatement> = None;
    while led.asked.is_some() {
        let header = cast.open_sealed(&mut led).await;
        for owner in &mut cast.owners[..2] {
            owner.contribute(&header, &world).await.unwrap();
        }
        cast.answer_broken(key, &header, *liar).await;
        cast.close(&header, 3).await;
        let partials = cast.open_sum(&header).await;
        let transcript = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
        let honest = cast.said(&transcript, &[0, 1]).await;
        let lie = cast.lie(key, &header, *liar, OTHER).await;
        let by = |why| Dropped { donor: *liar, why };
        let (sent, expected, disagrees) = match led.rounds {
            // Another's word, and one of nobody in the sum.
            0 => {
                let stolen = StateStatement { donor: *liar, ..honest[0].clone() };
                let stranger = cast.lie(key, &header, 9, OTHER).await;
                let dropped = vec![by(Invalid::Signature), Dropped { donor: 9, why: Invalid::Stranger }];
                (vec![stolen, stranger], dropped, false)
            }
            // In another's name, and something else than was signed. Its own word is another state, which counts as that.
            1 => {
                let forged = cast.lie(key, &header, 1, OTHER).await;
                let altered = StateStatement { next: B256::repeat_byte(8), ..lie.clone() };
                let dropped = vec![Dropped { donor: 1, why: Invalid::Signature }, by(Invalid::Signature)];
                (vec![forged, altered, lie.clone()], dropped, true)
            }
            // Of an earlier round, and the same again.
            2 => {
                let sent = vec![earlier.take().unwrap(), lie.clone(), lie.clone()];
                (sent, vec![by(Invalid::Signature), by(Invalid::Again)], true)
            }
            // Two things at once.
            _ => {
                let other = cast.lie(key, &header, *liar, (honest[0].state, honest[0].next)).await;
                (vec![lie.clone(), other], vec![by(Invalid::Contradicts)], false)
            }
        };
        if led.rounds == 0 {
            // With one that counts it is too few, and both are said.
            let too_few = [&sent[..], &honest[..1]].concat();
            let error = cast.trainer.agree(&header, too_few, &world).await.unwrap_err();
            let NodeError::NotCarried { model, round: 1, dropped, .. } = &error else { panic!("{error}") };
            assert_eq!((*model, dropped), (led.id(), &expected));
            let error = histone_protocol::with_causes(&error);
            assert!(
                error.contains(&format!(
                    "round 1 of model {} is not carried; a statement of donor 3 counts for nothing",
                    led.id()
                )) && error.contains("1 of the 3 enclaves in the sum say the same"),
                "{error}"
            );
        }
        let agreed = cast.trainer.agree(&header, [&sent[..], &honest].concat(), &world).await.unwrap();
        assert_eq!(agreed.dropped, expected);
        let others: &[u16] = if disagrees { &[*liar] } else { &[] };
        assert_eq!((&agreed.carried.signers[..], &agreed.carried.others[..]), (&[1, 2][..], others));
        let document = Agreement::from_bytes(&world.blobs.get(agreed.document).unwrap()).unwrap();
        assert_eq!(document.statements.len(), 2 + others.len());
        led.go_on(&agreed.carried);
        earlier = Some(lie);
    }
    assert_eq!(led.rounds, 4);
    cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
    cast.owners[1].release_model(&world).unwrap();
    histone_node::recompute::check(led.id(), &world).await.unwrap();
}
