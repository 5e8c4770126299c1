//! A trainer that keeps back what others need, or ends rounds with documents and hashes of its own.

use std::fs;

use histone_compliance::verify::Outcome;
use histone_contracts::{Contract, Rounds};
use histone_enclave::release::Released;
use histone_federation::training::Asked;
use histone_node::committee::transcript;
use histone_node::duties::OwnerDuty;
use histone_node::error::NodeError;
use histone_node::recompute;
use histone_node::world::World;
use histone_protocol::agreement::{Agreement, StateStatement};
use histone_protocol::disclosure::Release;
use histone_protocol::{B256, U256};

use crate::backend::on_node;
use crate::cast::{Cast, PRICE, refused};
use crate::sealed::{Led, detail, sealed_plan};
use crate::strangers::left::settle;

/// Takes a blob out of public storage for a moment, or puts something else in its place.
async fn without<T>(world: &World, hash: B256, other: Option<&[u8]>, then: impl AsyncFnOnce() -> T) -> T {
    let path = world.blobs.path(hash);
    let bytes = fs::read(&path).unwrap();
    match other {
        None => fs::remove_file(&path).unwrap(),
        Some(other) => fs::write(&path, other).unwrap(),
    }
    let said = then().await;
    fs::write(path, bytes).unwrap();
    said
}

/// Everything that somebody who trusts nobody needs of a training is there, and is what enclaves have signed; or a user's node and
/// a stranger say what is not.
#[tokio::test]
async fn a_last_round_that_ends_with_something_else_is_no_model() {
    if on_node() {
        eprintln!("SKIPPED: the history of a node cannot be forked here");
        return;
    }
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let rounds: u32 = led.plan.agenda.iter().map(|s| s.rounds).sum();
    while led.rounds + 1 < rounds {
        cast.sealed_round(&mut led, &[0, 1, 2]).await;
    }
    settle(&cast).await;
    let last = cast.sealed_sum(&mut led, &[0, 1, 2]).await;
    let (header, id) = (last.header.clone(), led.id());
    let statements = cast.said(&last, &[0, 1, 2]).await;
    let (state, next) = (statements[0].state, statements[0].next);
    let (document, blob) = cast.owners[0].release_model(&world).unwrap();
    assert_eq!(document, next);
    let put =
        |statements: Vec<StateStatement>| world.blobs.put(&Agreement::new(statements).to_bytes()).unwrap();
    let edited = |edit: &dyn Fn(&mut StateStatement)| {
        let mut statements = statements.clone();
        statements.iter_mut().for_each(edit);
        put(statements)
    };
    let agreed = put(statements.clone());
    let before = Rounds::roundInfoCall { modelId: U256::from(id), round: header.fields().round - 1 };
    let before = world.ledger.read(Contract::Rounds, before).await.unwrap().aggregateHash;

    let own = B256::repeat_byte(6);
    let not_signed = "the statement of donor 1 is not signed by its enclave for this round".to_string();
    let absent = B256::repeat_byte(8);
    for (aggregate, sold, why) in [
        // That of another round; the right one edited, with what follows from it.
        (before, state, not_signed.clone()),
        (edited(&|s| s.state = own), own, not_signed.clone()),
        (edited(&|s| s.next = absent), state, not_signed.clone()),
        (edited(&|s| s.wrong = vec![1]), state, not_signed),
        (
            put(vec![statements[1].clone()]),
            state,
            format!(
                "1 of the 3 enclaves in the sum say the same of what it led to; more than half have to. They differ: donors [2] say {state}"
            ),
        ),
        (put(vec![]), state, "0 of the 3 enclaves in the sum say the same".into()),
        // The release in place of the agreement, and nothing at all.
        (document, state, "not an agreement of enclaves".into()),
        (absent, state, format!("blob {absent} is not in")),
        // A hash of its own.
        (agreed, own, format!("{state}, the ledger has {own}")),
    ] {
        let (dir, other) = cast.ended_with(&header, aggregate, sold).await;
        let said = recompute::check(id, &other).await;
        refused(said, &format!("model {id} does not follow from its public rounds: round {rounds}: "));
        refused(recompute::check(id, &other).await, &why);
        let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
        assert_eq!(outcome, Outcome::Fails, "{words}");
        assert!(words.contains(&why) && words.contains(&format!("round {rounds}")), "{why}: {words}");
        // Nobody gets the key of what was sold as something else.
        if sold == own {
            let program = cast.loaded.query.clone();
            let taker = cast.runner.begin_query(program, id, sold, &other).await.unwrap();
            let handed = cast.owners[0].hand_model(taker.keys().receipt, &other).await;
            refused(handed, &format!("has trained model {id} to {state}, the market sells {own}"));
        }
        // And the enclaves have what they had.
        assert_eq!(cast.owners[0].release_model(&other).unwrap(), (document, blob));
        for donor in 1..=3 {
            assert!(cast.owed(id, donor).await == 0, "in the true history nothing is finished");
        }
    }

    // The honest end, of which one thing at a time is kept back, or has another in its place.
    let (dir, honest) = cast.ended_with(&header, agreed, state).await;
    recompute::check(id, &honest).await.unwrap();
    let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
    assert_eq!(outcome, Outcome::Holds, "{words}");
    let round = header.fields().round;
    let update = last.survivors[1].1.hash();
    for (hash, node, stranger) in [
        (
            agreed,
            format!("round {round}: what its enclaves have signed is not"),
            "what its enclaves have signed: ",
        ),
        (document, "what its enclaves have released is not".into(), "what was released: "),
        (blob, "the model that its enclaves have released is not".into(), "the released model: "),
        (update, format!("the update of donor 2 in round {round} is not"), "the update of donor 2: "),
        (B256::from(header.hash()), format!("round {round}: its header is not"), "its header: "),
    ] {
        for other in [None, Some(&b"something else"[..])] {
            let (said, report) = without(&honest, hash, other, async || {
                (recompute::check(id, &honest).await, cast.looked_at_in(&dir, id, None).await)
            })
            .await;
            refused(said, &node);
            let (outcome, words) = detail(&report, "rounds");
            assert_eq!(outcome, Outcome::Fails, "{stranger}: {words}");
            assert!(words.contains(stranger), "{stranger}: {words}");
        }
    }
    // One partial sum is a member's to keep back; a second one is not missing by chance.
    let partials: Vec<B256> = last.partials.iter().map(|p| p.hash()).collect();
    without(&honest, partials[0], None, async || {
        recompute::check(id, &honest).await.unwrap();
        without(&honest, partials[1], None, async || {
            let why = format!("round {round}: 5 partial sums of its committee are on the ledger and in public storage; it needs 6");
            refused(recompute::check(id, &honest).await, &why);
            let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
            assert_eq!(outcome, Outcome::Fails, "{words}");
            assert!(words.contains("has 5 of its partial sums, 6 are asked"), "{words}");
        })
        .await;
    })
    .await;
    recompute::check(id, &honest).await.unwrap();
}

/// Two of three enclaves are broken and sign that a document of the honest one, or none at all, belongs to a model of theirs.
#[tokio::test]
async fn a_majority_cannot_sell_another_model_than_it_shows() {
    if on_node() {
        eprintln!("SKIPPED: the history of a node cannot be forked here");
        return;
    }
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    let (paper, id) = cast.propose(&plan).await;
    cast.donate(0, paper, id).await.unwrap();
    let mut broken = Vec::new();
    for owner in 1..3 {
        broken.push(cast.donate_broken(owner, id, &plan, 40 + owner as u8).await);
    }
    let mut led = Led::of(cast.begin(id, plan.clone()).await, plan);
    settle(&cast).await;
    loop {
        let header = cast.open_sealed(&mut led).await;
        cast.owners[0].contribute(&header, &world).await.unwrap();
        for (key, donor) in &broken {
            cast.answer_broken(key, &header, *donor).await;
        }
        cast.close(&header, 3).await;
        let partials = cast.open_sum(&header).await;
        let transcript = transcript(&header, &partials, &world).await.unwrap();
        let honest = cast.said(&transcript, &[0]).await.remove(0);
        let mut names = (honest.state, honest.next);
        let rounds: u32 = led.plan.agenda.iter().map(|s| s.rounds).sum();
        let is_last = led.rounds + 1 == rounds;
        let mut lies = vec![];
        if is_last {
            names.0 = B256::repeat_byte(6);
            let of_nothing = Released { model: B256::repeat_byte(5), facts: vec![] };
            let of_nothing = world.blobs.put(&of_nothing.to_bytes()).unwrap();
            lies = vec![
                (
                    B256::repeat_byte(4),
                    "what its enclaves have released is not in public storage",
                    "what was released: ",
                ),
                (
                    of_nothing,
                    "the model that its enclaves have released is not in public storage",
                    "the released model: ",
                ),
                (
                    honest.next,
                    "the model that its enclaves have released is not 0x0606",
                    "the released model is not 0x0606",
                ),
            ];
            cast.owners[0].release_model(&world).unwrap();
        }
        if !is_last {
            let mut statements = vec![honest];
            for (key, donor) in &broken {
                statements.push(cast.lie(key, &header, *donor, names).await);
            }
            cast.carry(&mut led, &header, statements).await;
            continue;
        }
        for (next, node, stranger) in lies {
            let mut statements = vec![];
            for (key, donor) in &broken {
                statements.push(cast.lie(key, &header, *donor, (names.0, next)).await);
            }
            let agreed = world.blobs.put(&Agreement::new(statements).to_bytes()).unwrap();
            let (dir, other) = cast.ended_with(&header, agreed, names.0).await;
            refused(recompute::check(id, &other).await, node);
            let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
            assert_eq!(outcome, Outcome::Fails, "{words}");
            assert!(words.contains(stranger), "{words}");
        }
        break;
    }
}

/// A false end of a round in the middle: enclaves follow their own state, donors are paid, users buy nothing.
#[tokio::test]
async fn a_false_end_of_a_round_harms_no_enclave() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Public)).await;
    let id = led.id();
    let first = cast.sealed_sum(&mut led, &[0, 1, 2]).await;
    let statements = cast.said(&first, &[0, 1, 2]).await;
    let agreed = world.blobs.put(&Agreement::new(statements.clone()).to_bytes()).unwrap();
    let own = B256::repeat_byte(6);
    let f = first.header.fields();
    let call = Rounds::finalizeCall {
        modelId: U256::from_be_bytes(f.model_id),
        round: f.round,
        aggregateHash: agreed,
        modelHash: own,
    };
    world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await.unwrap();
    // By its own hash it gets no answer.
    let names =
        |state: B256| histone_federation::training::Names { state: state.0, next: statements[0].next.0 };
    led.rounds = 1;
    led.asked = Asked::sealed(&led.plan, 1, names(own));
    let header = cast.open_sealed(&mut led).await;
    for owner in &mut cast.owners {
        refused(owner.contribute(&header, &world).await, "it follows another state");
    }
    cast.wait(crate::cast::DEADLINE + 1).await;
    assert_eq!(cast.trainer.close_round(id, 2, &world).await.unwrap(), (0, false));
    // By what they have signed, it does.
    led.asked = Asked::sealed(&led.plan, 1, names(statements[0].state));
    cast.sealed_end(&mut led, &[0, 1, 2]).await;
    let released: Vec<_> = cast.owners.iter_mut().map(|o| o.release_model(&world).unwrap()).collect();
    assert!(released.iter().all(|r| *r == released[0]));
    refused(
        recompute::check(id, &world).await,
        &format!("round 1: its enclaves have signed {}, the ledger has {own}", statements[0].state),
    );
    for donor in 1..=3 {
        assert_eq!(cast.owed(id, donor).await, PRICE);
    }
}

/// What a trainer shows late or never: an enclave says what it lacks, goes on as soon as it has it, and its owner is paid either way.
#[tokio::test]
async fn an_owner_says_what_it_is_not_shown() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let id = led.id();
    let first = cast.sealed_sum(&mut led, &[0, 1, 2]).await;
    let duty = OwnerDuty::OpenSum { model: id, round: 1 };
    let partials: Vec<B256> = first.partials.iter().map(|p| p.hash()).collect();
    let header = B256::from(first.header.hash());
    for (hash, what) in [
        (header, "the header of round 1 is not in public storage"),
        (first.survivors[1].1.hash(), "the update of donor 2 in round 1 is not in public storage"),
    ] {
        let said = without(&world, hash, None, async || {
            let book = world.ledger.current_book().await.unwrap();
            assert_eq!(cast.owners[0].duties(&book, &world).await.unwrap(), [duty]);
            cast.owners[0].perform(duty, &world).await
        })
        .await;
        assert!(matches!(said, Err(NodeError::Withheld { .. })), "{said:?}");
        refused(said, what);
    }
    let mut statements = without(&world, partials[3], None, async || {
        let said =
            without(&world, partials[5], None, async || cast.owners[0].perform(duty, &world).await).await;
        refused(said, "5 partial sums are too few; this round needs 6");
        // Six of seven are enough.
        cast.said(&first, &[1]).await
    })
    .await;
    statements.extend(cast.said(&first, &[0, 2]).await);
    assert!(statements.iter().all(|s| (s.state, s.next) == (statements[0].state, statements[0].next)));
    // What was agreed is not shown: the trainer gives up, and the donors of the opened sum take what is theirs.
    cast.trainer.abort(id, &world).await.unwrap();
    for owner in 0..3 {
        let (payee, donor) = cast.owners[owner].donation().unwrap();
        assert_eq!(cast.owed(id, donor).await, PRICE);
        cast.fund([payee]).await;
        cast.owners[owner].claim(&world).await.unwrap();
        assert_eq!(cast.owed(id, donor).await, 0);
    }
    assert_eq!(cast.owed_trainer().await, 0);
}
