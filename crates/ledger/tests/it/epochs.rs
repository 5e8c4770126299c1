//! A pool as a donor: its list is published, checked, waited for and claimed by proof; and how large lists may be.

use alloy::primitives::{Address, U256};
use histone_contracts::Contract::{Market as K, Token as T};
use histone_contracts::book::Amount;
use histone_contracts::{LedgerError, Market, TestToken};
use histone_ledger::epochs::Epoch;
use histone_protocol::receipt::QueryReceipt;

use crate::contracts::market::{INSTANT, Stall, id, terms};
use crate::suite::{hash, key};

const WINDOW: u32 = 3_600;
/// How long the keeper says nothing before an auditor proposes.
const SILENCE: u32 = 7_200;

fn refusal<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> String {
    match result.unwrap_err() {
        LedgerError::Refused { explanation, .. } => explanation,
        other => panic!("not a refusal: {other}"),
    }
}

#[tokio::test]
async fn a_pool_is_paid_like_a_donor_and_pays_by_proof() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let ledger = &s.ledger;
    let keeper = &k.owner;
    let address = ledger.create_pool(keeper, keeper.address(), WINDOW, SILENCE).await.unwrap();
    let pool = ledger.pool(address).await.unwrap();
    let wrong = ledger.pool(ledger.deployment().market).await.unwrap_err();
    assert!(wrong.to_string().contains("no contract of a pool"), "{wrong}");

    // The pool donates: it is the payee.
    let model = stall.propose(terms()).await;
    let modelId = id(model);
    s.send(keeper, K, stall.donation_to(&stall.training, model, stall.data, address)).await;
    s.send(&k.owner2, K, stall.donation2(model, stall.data2, &key(142))).await;
    s.send(&k.trainer, K, stall.start(model)).await;
    stall.sum(model, 1).await;
    stall.finish(model, 1).await;
    let income = ledger.donor_income(model, 1).await.unwrap();
    assert_eq!((income.payee, income.owed), (address, Amount(U256::from(INSTANT))));
    s.send(&k.stranger, K, Market::claimDonorCall { modelId, donorIndex: 1 }).await;

    // The first epoch: three persons with weights 3, 3 and 1 share what arrived; rounding leaves a unit or two.
    let persons = [key(201).address(), key(202).address(), key(203).address()];
    let weights: Vec<_> = persons.iter().copied().zip([3, 3, 1].map(U256::from)).collect();
    let received = pool.state().await.unwrap().received;
    assert_eq!(received, Amount(U256::from(INSTANT)));
    let first = Epoch::share_out(received.0, weights.clone()).unwrap();
    assert_eq!(first.due(persons[0]), Some(U256::from(214)));
    let none = pool.check(&first).await.unwrap();
    assert!(!none.holds(), "nothing is posted yet");
    assert!(refusal(pool.propose(&k.stranger, &first, received.0).await).starts_with("MissingRole"));
    pool.propose(keeper, &first, received.0).await.unwrap();
    assert!(pool.check(&first).await.unwrap().holds());

    // An auditor computes another list, and says so; the keeper proposes the same again.
    let forged = first.next(vec![(persons[2], U256::from(1))]).unwrap();
    let differs = pool.check(&forged).await.unwrap();
    assert_eq!(differs.differences.len(), 2, "{differs:?}");
    pool.veto(&k.auditor, 1, hash(9)).await.unwrap();
    pool.propose(keeper, &first, received.0).await.unwrap();
    let claim =
        |epoch: &Epoch, person: Address| (person, epoch.due(person).unwrap(), epoch.proof(person).unwrap());
    let (person, due, proof) = claim(&first, persons[0]);
    let early = refusal(pool.claim(&k.stranger, person, due, proof.clone()).await);
    assert!(early.starts_with("BadProof { epoch: 0"), "{early}");
    s.pass(u64::from(WINDOW)).await;
    pool.claim(&k.stranger, person, due, proof.clone()).await.unwrap();
    assert_eq!(s.balance(person).await, 214);
    assert_eq!(pool.paid(person).await.unwrap(), Amount(due));
    for (who, due, proof, error) in [
        (person, due, proof.clone(), "NothingOwed"),
        (person, due + U256::from(1), proof.clone(), "BadProof"),
        (persons[1], due, proof.clone(), "BadProof"),
        (key(204).address(), due, proof.clone(), "BadProof"),
        (persons[2], first.due(persons[2]).unwrap(), first.proof(persons[1]).unwrap(), "BadProof"),
    ] {
        let refused = refusal(pool.claim(&k.stranger, who, due, proof).await);
        assert!(refused.starts_with(error), "{refused}");
    }

    // A query later the sums have grown; who missed the first epoch gets both at once.
    s.send(&k.trainer, K, Market::serveCall { modelId, queryEnclave: stall.query.address() }).await;
    let query =
        s.send(&k.user, K, stall.buying(model, 80)).await.event::<Market::QueryBought>().unwrap().queryId;
    let answer = b"answer".into();
    let r = QueryReceipt { queryId: query, modelId, jobId: hash(70), outputHash: hash(71), answer };
    let signature = s.sign(&r, K, &stall.query);
    let QueryReceipt { jobId, outputHash, answer, .. } = r;
    let settle = Market::settleCall { queryId: query, jobId, outputHash, answer, signature };
    s.send(&k.runner, K, settle).await;
    s.send(&k.stranger, K, Market::claimDonorCall { modelId, donorIndex: 1 }).await;
    let income = ledger.donor_income(model, 1).await.unwrap();
    let received = pool.state().await.unwrap().received;
    assert_eq!((income.paid, income.owed), (received, Amount::default()));
    let second = Epoch::share_out(received.0, weights).unwrap();
    second.grows_from(&first).unwrap();
    pool.propose(keeper, &second, received.0).await.unwrap();
    s.pass(u64::from(WINDOW)).await;
    let mut paid = U256::ZERO;
    for person in persons {
        let (person, due, proof) = claim(&second, person);
        pool.claim(&k.stranger, person, due, proof).await.unwrap();
        assert_eq!(U256::from(s.balance(person).await), due);
        paid += due;
    }
    let state = pool.state().await.unwrap();
    assert_eq!((state.epoch, state.epoch_in_use, state.paid_out), (2, 2, Amount(paid)));
    assert!(paid <= received.0 && received.0 - paid < U256::from(3), "only rounding is left");
    let rest = s.read(T, TestToken::balanceOfCall { account: address }).await;
    assert_eq!(rest, received.0 - paid);
}

/// The list of a large pool: time and memory are printed. Run it alone and optimized:
/// `cargo test --release -p histone-ledger --test it -- --ignored --nocapture a_million`.
#[test]
#[ignore = "takes half a minute when it is not optimized"]
fn a_million_accounts_take_seconds() {
    let begin = std::time::Instant::now();
    let weights: Vec<_> = (1..=1_000_000u64)
        .map(|n| {
            (Address::left_padding_from(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()), U256::from(n))
        })
        .collect();
    let epoch = Epoch::share_out(U256::from(10).pow(U256::from(24)), weights).unwrap();
    let (root, made) = (epoch.root(), begin.elapsed());
    let (account, due) = epoch.entries()[777_777];
    let proof = epoch.proof(account).unwrap();
    let hash = epoch.list_hash();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("no peak known");
    eprintln!(
        "root {root} in {made:?}; list {hash}, {due} by {} hashes; {:?} in all; {peak}",
        proof.len(),
        begin.elapsed()
    );
    assert_eq!(proof.len(), 20);
    assert!(made.as_secs() < 60);
    if let Some(kib) = peak.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()) {
        assert!(kib < 500 * 1024, "{kib} KiB");
    }
}
