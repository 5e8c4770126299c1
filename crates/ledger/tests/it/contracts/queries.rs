//! The market: queries and payments; and that with [`super::market`] nothing of it is left out.

use alloy::primitives::{B256, U256};
use histone_contracts::Contract::{Enclaves as E, Market as K};
use histone_contracts::{Enclaves, Market};
use histone_protocol::receipt::QueryReceipt;

use super::attacks::{
    another_enclave_between_look_and_buy, one_enclave_holds_two_places, weight_from_nothing,
};
use super::hosted::trainings_in_one_enclave;
use super::market::{INSTANT, PRICE, Stall, TIMEOUT, governed, id, models, terms};
use crate::reads;
use crate::suite::{Suite, hash, key};

/// The receipt of a query enclave.
fn answer(
    stall: &Stall,
    query: B256,
    model: u64,
    by: &histone_protocol::keys::SigningKey,
) -> Market::settleCall {
    let (jobId, outputHash) = (hash(70), hash(71));
    let r = QueryReceipt { queryId: query, modelId: id(model), jobId, outputHash, answer: b"answer".into() };
    let signature = stall.s.sign(&r, K, by);
    Market::settleCall { queryId: query, jobId, outputHash, answer: r.answer, signature }
}

async fn buy(stall: &Stall, model: u64, code: u8) -> B256 {
    let receipt = stall.s.send(&stall.s.k.user, K, stall.buying(model, code)).await;
    receipt.event::<Market::QueryBought>().unwrap().queryId
}

#[tokio::test]
async fn the_market() {
    let stall = Stall::new().await;
    models(&stall).await;
    governed(&stall).await;
    trainings_in_one_enclave(&stall).await;
    let s = &stall.s;
    let k = &s.k;

    // A model with a fee of four hundredths.
    let treasury = k.pauser.address();
    s.send(&k.founder, K, Market::setFeeCall { bps: 400, treasury_: treasury }).await;
    let model = stall.trained().await;
    let modelId = id(model);
    let serve = |queryEnclave| Market::serveCall { modelId, queryEnclave };
    let buying = |code| stall.buying(model, code);
    s.refused(&k.user, K, buying(80), "WrongState").await;
    s.refused(&k.owner, K, serve(stall.query.address()), "NotTrainer").await;
    s.refused(&k.trainer, K, serve(stall.training.address()), "WrongKind").await;
    s.refused(&k.trainer, K, serve(key(150).address()), "EnclaveNotRegistered").await;
    s.send(&k.trainer, K, serve(stall.query.address())).await;
    s.refused(&k.user, K, buying(0), "ZeroHash").await;
    s.refused(&k.user, K, stall.buying(99, 80), "UnknownModel").await;
    // Without money or approval; the token says why.
    s.refused(&k.stranger, K, buying(80), "ERC20InsufficientAllowance").await;
    let query = buy(&stall, model, 80).await;
    let by_hand = Market::queryIdOfCall { user: k.user.address(), codeHash: hash(80) };
    assert_eq!(s.read(K, by_hand).await, query);
    assert_eq!(histone_contracts::query_id(k.user.address(), hash(80)), query);
    s.refused(&k.user, K, buying(80), "CodeUsed").await;

    s.refused(&k.runner, K, answer(&stall, query, model, &stall.training), "BadSignature").await;
    let kept = Market::settleCall { answer: b"".into(), ..answer(&stall, query, model, &stall.query) };
    s.refused(&k.runner, K, kept, "BadSignature").await;
    let other = Market::settleCall { jobId: hash(79), ..answer(&stall, query, model, &stall.query) };
    s.refused(&k.runner, K, other, "BadSignature").await;
    s.refused(&k.runner, K, answer(&stall, hash(81), model, &stall.query), "UnknownQuery").await;
    s.refused(&k.user, K, Market::refundCall { queryId: query }, "TooEarly").await;
    let receipt = s.send(&k.stranger, K, answer(&stall, query, model, &stall.query)).await;
    let settled = receipt.event::<Market::QuerySettled>().unwrap();
    // 1,000 less 40; of the rest 70, 20 and 10 hundredths.
    let shares = (settled.donorsShare, settled.trainerShare, settled.runnerShare);
    assert_eq!(shares, (U256::from(672), U256::from(192), U256::from(96)));
    s.refused(&k.stranger, K, answer(&stall, query, model, &stall.query), "QueryDone").await;
    assert_eq!(s.read(K, Market::queryCall { queryId: query }).await.user, k.user.address());
    let enclave = s.read(K, Market::servingEnclaveCall { modelId, serving: 1 }).await;
    assert_eq!(enclave, stall.query.address());

    // What all get adds up to the price.
    assert_eq!(s.read(K, Market::feesOfCall { modelId }).await, U256::from(40));
    s.send(&k.stranger, K, Market::collectFeesCall { modelId }).await;
    s.refused(&k.stranger, K, Market::collectFeesCall { modelId }, "NothingOwed").await;
    let owed = |account| Market::owedCall { account };
    assert_eq!(s.read(K, owed(k.runner.address())).await, U256::from(96));
    s.send(&k.runner, K, Market::claimCall {}).await;
    let of_trainer = s.read(K, owed(k.trainer.address())).await;
    assert_eq!(of_trainer, U256::from(INSTANT + 192), "a deposit for three, two donors");
    s.send(&k.trainer, K, Market::claimCall {}).await;
    let donor = |donorIndex| Market::claimDonorCall { modelId, donorIndex };
    let due = s.read(K, Market::owedDonorCall { modelId, donorIndex: 1 }).await;
    assert_eq!(due, U256::from(INSTANT + 336));
    for (number, payee) in [(1, key(141)), (2, key(142))] {
        let before = s.balance(payee.address()).await;
        s.send(&k.stranger, K, donor(number)).await;
        assert_eq!(s.balance(payee.address()).await, before + INSTANT + 336);
    }
    s.refused(&k.stranger, K, donor(1), "NothingOwed").await;
    s.refused(&k.stranger, K, donor(3), "UnknownDonor").await;
    assert!(s.read(K, Market::donorCall { modelId, donorIndex: 1 }).await.instantPaid);
    assert_eq!(s.balance(treasury).await, 40);
    assert_eq!(s.read(K, Market::obligationsCall {}).await, U256::ZERO);
    assert_eq!(s.balance(s.ledger.deployment().market).await, 0, "nothing is left over");

    // Two donors in one transaction; the one that is owed nothing is passed over.
    let query = buy(&stall, model, 82).await;
    s.send(&k.runner, K, answer(&stall, query, model, &stall.query)).await;
    s.send(&k.stranger, K, Market::claimDonorsCall { modelId, donorIndices: vec![1, 2, 1] }).await;

    // An unanswered query: too late for an answer, the price comes back once.
    let query = buy(&stall, model, 83).await;
    let balance = s.balance(k.user.address()).await;
    s.pass(TIMEOUT + 1).await;
    s.refused(&k.runner, K, answer(&stall, query, model, &stall.query), "TooLate").await;
    s.send(&k.stranger, K, Market::refundCall { queryId: query }).await;
    assert_eq!(s.balance(k.user.address()).await, balance + PRICE);
    s.refused(&k.stranger, K, Market::refundCall { queryId: query }, "QueryDone").await;

    // An enclave that was revoked settles nothing, and a retired model sells nothing.
    let query = buy(&stall, model, 84).await;
    s.send(&k.runner, E, Enclaves::revokeCall { signer: stall.query.address() }).await;
    s.refused(&k.runner, K, answer(&stall, query, model, &stall.query), "EnclaveIsRevoked").await;
    s.refused(&k.owner, K, Market::retireCall { modelId }, "NotTrainer").await;
    s.send(&k.trainer, K, Market::retireCall { modelId }).await;
    s.refused(&k.user, K, buying(85), "WrongState").await;
    s.refused(&k.trainer, K, serve(stall.query.address()), "WrongState").await;
    let shown = s.read(K, Market::modelCall { modelId }).await;
    assert_eq!((shown.state, shown.settled), (histone_contracts::model_state::RETIRED, 2));
    // What this test cannot bring about on its way is done beside it.
    s.refused(&k.stranger, K, Market::excludeDonorCall { modelId, donorIndex: 1 }, "NotRounds").await;
    weight_from_nothing(&stall).await;
    one_enclave_holds_two_places(&stall).await;
    another_enclave_between_look_and_buy(&stall).await;
    reads!(s, K; Market::pausedCall {});
    s.covers(
        K,
        &[
            // The rounds contract's alone: `committee` makes it do so.
            "excludeDonor",
            // Between the deployment of the market and `setRounds`, which the client calls at once; forge's tests have it.
            "RoundsNotSet",
            // Called by the access manager alone: `governed::manager` makes it do so.
            "setAuthority",
            "AccessManagedInvalidAuthority",
            // A role that has a delay calls through the manager: forge's tests have one.
            "AccessManagedRequiredDelay",
            // 2^31 settled queries or datasets, ids of 2^32 models.
            "CounterFull",
            "SafeCastOverflowedUintDowncast",
            // Tokens that misbehave; forge's tests have them.
            "ReentrancyGuardReentrantCall",
            "SafeERC20FailedOperation",
            "ShortTransfer",
            // The name in the signing domain is a constant.
            "InvalidShortString",
            "StringTooLong",
        ],
    );
}

#[tokio::test]
async fn the_terms_bound_the_deposit() {
    // The deposit of a model with as many donors as there can be is still counted exactly.
    let stall = Stall::new().await;
    let t = Market::Terms { instantPayment: 1u64.try_into().unwrap(), maxDonors: u16::MAX, ..terms() };
    let model = stall.propose(t).await;
    let (s, k): (&Suite, _) = (&stall.s, &stall.s.k);
    assert_eq!(s.balance(k.trainer.address()).await, 100_000 - u64::from(u16::MAX));
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(model) }).await;
    s.send(&k.trainer, K, Market::claimCall {}).await;
    assert_eq!(s.balance(k.trainer.address()).await, 100_000);
}
