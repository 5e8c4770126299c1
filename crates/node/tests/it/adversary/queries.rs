//! Access codes that are not good for this question, and settlements that are not good for this code.

use histone_contracts::{Contract, Enclaves, LedgerError, Market};
use histone_enclave::query::{QueryAnswer, SETTLING};
use histone_federation::plan::Plan;
use histone_node::user::AccessCode;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;

use crate::cast::{Cast, DEADLINE, Model, PRICE, plan, refused, with};

/// Settles a code with the receipt of an answer, whichever it is.
pub async fn settle(cast: &Cast, query: B256, answer: &QueryAnswer) -> Result<(), LedgerError> {
    let call = Market::settleCall {
        queryId: query,
        jobId: answer.receipt.jobId,
        outputHash: answer.receipt.outputHash,
        answer: answer.receipt.answer.clone(),
        signature: answer.signature.as_slice().to_vec().into(),
    };
    cast.world.ledger.send(&cast.runner.party.key, Contract::Market, call).await.map(|_| ())
}

/// Buys a query of the enclave that serves now, after looking at it.
pub async fn buy(cast: &mut Cast, model: u64) -> AccessCode {
    let world = cast.world.clone();
    let trusted = cast.user.appraise(model, &world).await.unwrap();
    cast.user.buy(model, PRICE, trusted, &world).await.unwrap()
}

/// A trained model with its bytes and hash.
pub async fn trained(cast: &mut Cast, plan: Plan) -> (Model, Vec<u8>, B256) {
    let mut model = cast.recruit(plan).await;
    let finished = cast.train(&mut model).await;
    let hash = B256::from(finished.hash());
    (model, finished.model.to_bytes(), hash)
}

#[tokio::test]
async fn an_access_code_buys_one_answer_of_one_enclave() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (first, bytes, hash) = trained(&mut cast, plan(2)).await;
    let (second, other_bytes, other_hash) = trained(&mut cast, with(plan(2), "ridge", 3.0)).await;
    assert_ne!(hash, other_hash);
    let program = cast.loaded.query.clone();
    // A model that the market does not name.
    let runner = &mut cast.runner;
    let wrong = runner.start_query(program.clone(), first.id, &other_bytes, other_hash, &world).await;
    refused(wrong, "the ledger names another model hash");
    let wrong = runner.start_query(program.clone(), first.id, &bytes, other_hash, &world).await;
    refused(wrong, "started for another model");
    let wrong = runner.start_query(program.clone(), second.id, &bytes, hash, &world).await;
    refused(wrong, "the ledger names another model hash");

    let enclave = runner.start_query(program.clone(), first.id, &bytes, hash, &world).await.unwrap();
    let rival =
        runner.start_query(program.clone(), second.id, &other_bytes, other_hash, &world).await.unwrap();
    let signer = enclave.instance().keys().receipt;
    cast.trainer.serve(first.id, signer, &world).await.unwrap();
    cast.trainer.serve(second.id, rival.instance().keys().receipt, &world).await.unwrap();
    let row = vec![3.0, 4.0];

    // Bought for another model, whichever model the question is sealed for.
    let code = buy(&mut cast, second.id).await;
    let question = cast.user.ask(&code, row.clone(), &world).await.unwrap();
    refused(enclave.answer(&question, &world.ledger).await, "a sealed message does not open");
    let trusted = cast.user.appraise(first.id, &world).await.unwrap();
    let code = code.redirected(first.id, trusted);
    let question = cast.user.ask(&code, row.clone(), &world).await.unwrap();
    refused(enclave.answer(&question, &world.ledger).await, "bought for another model");
    refused(rival.answer(&question, &world.ledger).await, "a sealed message does not open");

    // A question that is none does not use up its code.
    let code = buy(&mut cast, first.id).await;
    for wrong in [vec![], vec![3.0], vec![3.0, 4.0, 5.0]] {
        let question = cast.user.ask(&code, wrong, &world).await.unwrap();
        refused(enclave.answer(&question, &world.ledger).await, "another number of values than the model");
    }
    for wrong in [f64::INFINITY, f64::NEG_INFINITY] {
        let question = cast.user.ask(&code, vec![wrong, 4.0], &world).await.unwrap();
        refused(enclave.answer(&question, &world.ledger).await, "it gave no answer");
    }
    let mut altered = cast.user.ask(&code, row.clone(), &world).await.unwrap();
    *altered.last_mut().unwrap() ^= 1;
    refused(enclave.answer(&altered, &world.ledger).await, "a sealed message does not open");

    // One code, one question; the same question again gets the same answer, not a second receipt.
    let question = cast.user.ask(&code, row.clone(), &world).await.unwrap();
    let answer = enclave.answer(&question, &world.ledger).await.unwrap();
    let another = cast.user.ask(&code, vec![9.0, 9.0], &world).await.unwrap();
    refused(enclave.answer(&another, &world.ledger).await, "used for another question");
    let again = enclave.answer(&question, &world.ledger).await.unwrap();
    assert_eq!((&again.sealed, again.receipt.outputHash), (&answer.sealed, answer.receipt.outputHash));

    // A receipt settles its own code once.
    let unanswered = buy(&mut cast, first.id).await;
    refused(settle(&cast, unanswered.query_id, &answer).await, "BadSignature");
    let mut other_output = again;
    other_output.receipt.outputHash = B256::repeat_byte(1);
    refused(settle(&cast, code.query_id, &other_output).await, "BadSignature");
    // Whoever wants to be paid gives the answer away with the receipt.
    let mut kept = enclave.answer(&question, &world.ledger).await.unwrap();
    kept.receipt.answer = Default::default();
    refused(settle(&cast, code.query_id, &kept).await, "BadSignature");
    assert_eq!(cast.user.fetch(&code, &world).await.unwrap(), None);
    settle(&cast, code.query_id, &answer).await.unwrap();
    let read = cast.user.read(&code, &answer.sealed).unwrap();
    assert_eq!(cast.user.fetch(&code, &world).await.unwrap(), Some(read));
    refused(settle(&cast, code.query_id, &answer).await, "QueryDone");
    refused(enclave.answer(&question, &world.ledger).await, "used or refunded");
    refused(cast.user.refund(&code, &world).await, "QueryDone");
    // The answer is the user's: nobody else reads it, nor does it pass for the answer to another code.
    assert!(cast.user.read(&code, &answer.sealed).unwrap()[0].unwrap() > 0.0);
    refused(cast.user.read(&unanswered, &answer.sealed), "a sealed message does not open");

    // Another enclave serves by now; the code was bought from the first.
    let successor = cast.runner.start_query(program, first.id, &bytes, hash, &world).await.unwrap();
    let successor_key = successor.instance().keys().receipt;
    cast.trainer.serve(first.id, successor_key, &world).await.unwrap();
    let trusted = cast.user.appraise(first.id, &world).await.unwrap();
    let question =
        cast.user.ask(&unanswered.redirected(first.id, trusted), row.clone(), &world).await.unwrap();
    refused(successor.answer(&question, &world.ledger).await, "bought from another enclave");

    // In time the first enclave would answer; in the last minute and afterwards nobody does, and the money goes back once.
    let question = cast.user.ask(&unanswered, row.clone(), &world).await.unwrap();
    let deadline = Market::queryCall { queryId: unanswered.query_id };
    let deadline: u64 = world.ledger.read(Contract::Market, deadline).await.unwrap().deadline.to();
    cast.wait_until(deadline - SETTLING - 10).await;
    let answered = enclave.answer(&question, &world.ledger).await.unwrap();
    refused(cast.user.refund(&unanswered, &world).await, "TooEarly");
    cast.wait_until(deadline - SETTLING + 10).await;
    refused(enclave.answer(&question, &world.ledger).await, "an answer needs 60 s to reach the ledger");
    // Whoever settles late would publish the answer for nothing: the transaction is seen, and it is too late.
    cast.wait_until(deadline - 20).await;
    refused(cast.runner.settle(&answered, &world).await, "too little is left");
    cast.wait_until(deadline + 1).await;
    refused(enclave.answer(&question, &world.ledger).await, "the deadline of the access code has passed");
    cast.user.refund(&unanswered, &world).await.unwrap();
    refused(enclave.answer(&question, &world.ledger).await, "used or refunded");
    refused(cast.user.refund(&unanswered, &world).await, "QueryDone");
    // An answer from before the deadline settles nothing after it.
    let late = buy(&mut cast, first.id).await;
    let question = cast.user.ask(&late, vec![1.0, 2.0], &world).await.unwrap();
    let answer = successor.answer(&question, &world.ledger).await.unwrap();
    cast.wait(DEADLINE + 1).await;
    refused(settle(&cast, late.query_id, &answer).await, "TooLate");
}

/// Not the query ends but the registration of its enclave, which everybody can read: what is settled a moment later is refused
/// by the ledger, and public.
#[tokio::test]
async fn an_answer_is_not_given_away_at_the_end_of_its_enclave() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, bytes, hash) = trained(&mut cast, plan(2)).await;
    let program = cast.loaded.query.clone();
    let enclave = cast.runner.start_query(program, model.id, &bytes, hash, &world).await.unwrap();
    let signer = enclave.instance().keys().receipt;
    cast.trainer.serve(model.id, signer, &world).await.unwrap();
    let registered = world.ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await.unwrap();
    let end = registered.expiresAt.to::<u64>();
    cast.wait_until(end - DEADLINE / 2).await;
    let code = buy(&mut cast, model.id).await;
    let question = cast.user.ask(&code, vec![3.0, 4.0], &world).await.unwrap();
    cast.wait_until(end - SETTLING - 10).await;
    let answer = enclave.answer(&question, &world.ledger).await.unwrap();
    cast.wait_until(end - SETTLING + 10).await;
    refused(enclave.answer(&question, &world.ledger).await, "or of this enclave's");
    cast.wait_until(end - 20).await;
    refused(cast.runner.settle(&answer, &world).await, "too little is left");
    // It would come too late.
    cast.wait_until(end).await;
    refused(settle(&cast, code.query_id, &answer).await, "EnclaveExpired");
}
