//! A trainer that wants to know how good its sealed model is: it asks as any user does, or it learns nothing.

use histone_contracts::{Contract, Market, Members, TestToken, roles};
use histone_enclave::query::Given;
use histone_node::model::receive;
use histone_node::runner::Runner;
use histone_node::user::User;
use histone_protocol::consent::WhitePaper;
use histone_protocol::disclosure::Release;
use histone_protocol::{B256, U256, keccak256};

use crate::cast::{Cast, DEADLINE, PRICE, refused};
use crate::sealed::{Led, detail, sealed_plan};
use crate::strangers::left::settle;

/// Rows of the trainer's choice.
const ROWS: [[f64; 2]; 3] = [[4.0, 17.0], [11.0, 2.0], [20.0, 9.0]];

/// A sealed model of three owners of which one account may buy two answers.
async fn trained(cast: &mut Cast) -> Led {
    let plan = sealed_plan(Release::Sealed);
    let mut document = cast.document(&plan);
    document.disclosure.answers = 2;
    let disclosure = document.disclosure.clone();
    let paper = WhitePaper { plan: document.hash(), disclosure, ..cast.paper() };
    let (paper, id) = cast.propose_as(&paper, &document, |_| {}).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut led = Led::of(cast.begin(id, plan.clone()).await, plan);
    cast.sealed_end(&mut led, &[0, 1, 2]).await;
    led
}

/// What donors, trainer and runner are owed, in this order.
async fn owed(cast: &Cast, model: u64) -> [u64; 3] {
    let mut donors = 0;
    for donor in 1..=3 {
        donors += cast.owed(model, donor).await;
    }
    let call = Market::owedCall { account: cast.runner.party.account() };
    let runner = cast.world.ledger.read(Contract::Market, call).await.unwrap().saturating_to();
    [donors, cast.owed_trainer().await, runner]
}

#[tokio::test]
async fn a_trainer_asks_its_sealed_model_as_any_user_does() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let led = trained(&mut cast).await;
    let id = led.id();
    let (_, blob) = cast.owners[0].release_model(&world).unwrap();
    let serving = cast.serve_sealed(&led, 1, blob).await;
    let mut judge = User { party: cast.party_again("trainer") };
    assert_eq!(judge.party.account(), cast.trainer.party.account());

    let mut bought = Vec::new();
    for row in &ROWS[..2] {
        let before = owed(&cast, id).await;
        let trusted = judge.appraise(id, &world).await.unwrap();
        let code = judge.buy(id, PRICE, trusted, &world).await.unwrap();
        let question = judge.ask(&code, row.to_vec(), &world).await.unwrap();
        let answer = serving.answer(&question, &world.ledger).await.unwrap();
        cast.runner.settle(&answer, &world).await.unwrap();
        let values = judge.read(&code, &answer.sealed).unwrap();
        assert!(values.iter().all(Option::is_some), "{values:?}");
        // Shared out as every price is: to donors first.
        let after = owed(&cast, id).await;
        let shares = [0, 1, 2].map(|i| after[i] - before[i]);
        assert!(shares[0].abs_diff(PRICE * 7 / 10) < 3 && shares[2] == PRICE / 10, "{shares:?}");
        // What cannot be divided among three donors waits for the next price.
        assert!(PRICE - shares.iter().sum::<u64>() < 3, "{shares:?}");
        bought.push((code, question, answer));
    }
    // Recorded under its account, for everybody.
    let sold = world.ledger.logged::<Market::QueryBought>(Contract::Market, None).await.unwrap();
    let accounts: Vec<_> =
        sold.iter().filter(|s| s.event.modelId == U256::from(id)).map(|s| s.event.user).collect();
    assert_eq!(accounts, [judge.party.account(); 2]);
    assert_eq!(answered(&cast, &bought[0].0.query_id).await, 1);

    // No more than the plan lets one account buy, whoever it is, and whatever it sends to the ledger by itself.
    let trusted = judge.appraise(id, &world).await.unwrap();
    refused(judge.buy(id, PRICE, trusted, &world).await, "lets one account buy 2 answers");
    let trusted = judge.appraise(id, &world).await.unwrap();
    let forced = judge.invent_code(id, trusted);
    let secret = B256::from(*judge.party.root().derive("unpaid code", &[]));
    let market = world.ledger.deployment().market;
    let approve = TestToken::approveCall { spender: market, value: U256::from(PRICE) };
    world.ledger.send(&judge.party.key, Contract::Token, approve).await.unwrap();
    let enclave = serving.instance().keys().receipt;
    let call = Market::buyCall { modelId: U256::from(id), codeHash: keccak256(secret), enclave };
    world.ledger.send(&judge.party.key, Contract::Market, call).await.unwrap();
    let question = judge.ask(&forced, ROWS[2].to_vec(), &world).await.unwrap();
    refused(
        serving.answer(&question, &world.ledger).await,
        "the plan of this model lets one account buy 2 answers",
    );
    cast.wait(DEADLINE + 1).await;
    judge.refund(&forced, &world).await.unwrap();
    // Another account buys as before.
    let other = cast.user.appraise(id, &world).await.unwrap();
    cast.user.buy(id, PRICE, other, &world).await.unwrap();
    cast.wait(DEADLINE + 1).await;
    settle(&cast).await;
    let report = cast.looked_at(id, None).await;
    for check in ["queries", "money"] {
        let (outcome, words) = detail(&report, check);
        assert_eq!(outcome, histone_compliance::verify::Outcome::Holds, "{check}: {words}");
    }
}

async fn answered(cast: &Cast, query: &B256) -> usize {
    let ledger = &cast.world.ledger;
    ledger.logged::<Market::QuerySettled>(Contract::Market, Some(*query)).await.unwrap().len()
}

/// Every other way: unpaid, paid once and asked twice, with an enclave of its own, with the key of another, from training enclaves.
#[tokio::test]
async fn a_trainer_gets_no_answer_in_another_way() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let led = trained(&mut cast).await;
    let (id, name) = (led.id(), led.names.0);
    let (document, blob) = cast.owners[0].release_model(&world).unwrap();
    let serving = cast.serve_sealed(&led, 1, blob).await;
    let mut judge = User { party: cast.party_again("trainer") };
    let row = ROWS[0].to_vec();

    // Without a code that is paid for, and with one that was used.
    let trusted = judge.appraise(id, &world).await.unwrap();
    let unpaid = judge.invent_code(id, trusted);
    let question = judge.ask(&unpaid, row.clone(), &world).await.unwrap();
    refused(serving.answer(&question, &world.ledger).await, "this user has not bought this access code");
    let trusted = judge.appraise(id, &world).await.unwrap();
    let code = judge.buy(id, PRICE, trusted, &world).await.unwrap();
    let question = judge.ask(&code, row.clone(), &world).await.unwrap();
    let answer = serving.answer(&question, &world.ledger).await.unwrap();
    let second = judge.ask(&code, ROWS[1].to_vec(), &world).await.unwrap();
    refused(serving.answer(&second, &world.ledger).await, "the access code was used for another question");
    cast.runner.settle(&answer, &world).await.unwrap();
    refused(serving.answer(&second, &world.ledger).await, "the access code is used or refunded");
    // What another one has bought it does not read.
    let trusted = cast.user.appraise(id, &world).await.unwrap();
    let others = cast.user.buy(id, PRICE, trusted, &world).await.unwrap();
    let question = cast.user.ask(&others, row.clone(), &world).await.unwrap();
    let sealed = serving.answer(&question, &world.ledger).await.unwrap().sealed;
    assert!(cast.user.read(&others, &sealed).is_ok());
    refused(judge.read(&others, &sealed), "sealed message is refused");

    // The model itself goes to query enclaves alone, and their key opens nothing elsewhere.
    let account = judge.party.account();
    for owner in &mut cast.owners {
        refused(
            owner.share_model(account, &world).await,
            "the plan gives the model to query enclaves and nobody else",
        );
        refused(owner.hand_model(account, &world).await, "it is no live query enclave of this ledger");
    }
    let signer = serving.instance().keys().receipt;
    let key = cast.owners[0].hand_model(signer, &world).await.unwrap();
    let bytes = world.blobs.get(blob).unwrap();
    refused(receive(&judge.party, id, name, &key, &bytes), "does not open");

    // Training enclaves take no rows: what they say of the model is of their own, and signed as that; what is released has no more.
    let before = cast.owners[2].evaluate(&world).unwrap();
    assert_eq!(cast.owners[2].evaluate(&world).unwrap(), before);
    assert_eq!(cast.owners[2].release_model(&world).unwrap(), (document, blob));
    // A question that is sealed to one is for nobody.
    refused(
        serving.answer(&world.blobs.get(before).unwrap(), &world.ledger).await,
        "sealed message is refused",
    );

    // Nor does it run a query enclave, unless the members let it; then that one asks the ledger, too, who has paid.
    let mut own = Runner::new(cast.party_again("trainer"), cast.devices.pop().unwrap());
    let program = cast.loaded.query.clone();
    refused(own.begin_query(program.clone(), id, name, &world).await, "MissingRole");
    let both = roles::TRAINER | roles::RUNNER;
    let call = Members::setRolesCall { account, roles: both };
    world.ledger.send(&cast.operator.key, Contract::Members, call).await.unwrap();
    let instance = own.begin_query(program, id, name, &world).await.unwrap();
    let signer = instance.keys().receipt;
    let key = cast.owners[0].hand_model(signer, &world).await.unwrap();
    refused(receive(&judge.party, id, name, &key, &bytes), "does not open");
    let given = Given::Sealed { blob: &bytes, key: &key };
    let at_home = own.install_model(instance, id, given, &world).await.unwrap();
    // The one that serves, and then its own.
    let trusted = judge.appraise(id, &world).await.unwrap();
    let paid = judge.buy(id, PRICE, trusted, &world).await.unwrap();
    cast.trainer.serve(id, signer, &world).await.unwrap();
    let trusted = judge.appraise(id, &world).await.unwrap();
    let unpaid = judge.invent_code(id, trusted);
    let question = judge.ask(&unpaid, row.clone(), &world).await.unwrap();
    refused(at_home.answer(&question, &world.ledger).await, "this user has not bought this access code");
    let trusted = judge.appraise(id, &world).await.unwrap();
    let question = judge.ask(&paid.redirected(id, trusted), row.clone(), &world).await.unwrap();
    refused(
        at_home.answer(&question, &world.ledger).await,
        "the access code was bought from another enclave",
    );
    // It has bought two: its own enclave sells it no third.
    let trusted = judge.appraise(id, &world).await.unwrap();
    refused(judge.buy(id, PRICE, trusted, &world).await, "lets one account buy 2 answers");
}
