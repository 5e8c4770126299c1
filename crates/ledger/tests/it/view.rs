//! The rows that are folded from events, compared with what the contracts themselves answer.

use alloy::primitives::{Address, U256};
use histone_contracts::Contract::{
    Datasets as D, Enclaves as E, Manager, Market as K, Members as M, Programs as P, Rounds as R, Token as T,
};
use histone_contracts::book::{Amount, DatasetState, EnclaveState, ModelState, QueryState, Role, RoundState};
use histone_contracts::{
    AccessManager, Book, Datasets, Enclaves, Market, Members, Programs, Rounds, TestToken, manager_roles,
    roles,
};
use histone_ledger::view::directories;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::QueryReceipt;

use crate::contracts::committee::{
    DUPLICATE, SILENT, UNDECODABLE, UNREADABLE, WRONG_PARTIAL, blame_donor, three_donors_of, votes,
};
use crate::contracts::market::{INSTANT, PRICE, Stall, TIMEOUT, governed, id, models, terms};
use crate::suite::{LONG, QUERY, Suite, TRAINING, hash, key};

/// Reads the whole book and asks the contracts about every row of it.
async fn agreed(s: &Suite) -> Book {
    let ledger = &s.ledger;
    let book = ledger.book(&Book::CONTRACTS).await.unwrap();
    for m in book.members.iter() {
        let found = s.read(M, Members::memberCall { account: m.account }).await;
        assert_eq!((Role::of(found.roles), m.member), (m.roles.clone(), found.roles != 0), "{m:?}");
        if m.member {
            assert_eq!((m.profile, m.seal_key), (found.profile, found.sealKey));
            assert_eq!(m.key_claimed, found.keyClaimed, "{m:?}");
        }
        let votes = s.read(M, Members::getVotesCall { account: m.account }).await;
        assert_eq!(U256::from(m.votes), votes, "{m:?}");
    }
    for p in book.programs.iter() {
        let found = s.read(P, Programs::programCall { measurement: p.measurement }).await;
        assert_eq!(
            (p.author, p.allowed, p.revoked_by.is_some()),
            (found.author, found.allowed, found.revoked)
        );
        assert_eq!(p.audits.len(), usize::from(found.audits));
        assert_eq!((p.source_hash, p.wasm_hash), (found.sourceHash, found.wasmHash));
        let usable = Programs::requireUsableCall { measurement: p.measurement, kind: found.kind };
        assert_eq!(p.usable, ledger.read(P, usable).await.is_ok(), "{p:?}");
    }
    for e in book.enclaves.iter() {
        let found = s.read(E, Enclaves::enclaveCall { signer: e.signer }).await;
        assert_eq!((e.number, e.operator, e.measurement), (found.number, found.operator, found.measurement));
        assert_eq!((e.evidence_hash, U256::from(e.expires_at)), (found.evidenceHash, found.expiresAt.to()));
        let kind = s.read(P, Programs::programCall { measurement: e.measurement }).await.kind;
        let live = ledger.read(E, Enclaves::requireLiveCall { signer: e.signer, kind }).await;
        assert_eq!(e.state == EnclaveState::Live, live.is_ok(), "{e:?}");
    }
    for d in book.datasets.iter() {
        let found = s.read(D, Datasets::datasetCall { id: d.id }).await;
        assert_eq!(
            (d.owner, d.number, d.rows, d.quality),
            (found.owner, found.number, found.rows, found.quality)
        );
        assert_eq!((d.root, d.report_hash, d.policy_hash), (found.root, found.reportHash, found.policyHash));
        assert_eq!(d.state != DatasetState::Registered, found.withdrawn, "{d:?}");
        assert_eq!(d.version, u32::from(found.version) + 1, "{d:?}");
        let erased = s.read(D, Datasets::erasedAtCall { id: d.id }).await;
        assert_eq!(d.erased_at.unwrap_or_default(), erased);
    }
    assert_eq!(book.models.len(), s.read(K, Market::modelCountCall {}).await as usize);
    for m in book.models.iter() {
        let found = s.read(K, Market::modelCall { modelId: id(m.model) }).await;
        let state = ModelState::ALL[usize::from(found.state) - 1];
        assert_eq!((m.state, m.trainer, m.donors.len()), (state, found.trainer, usize::from(found.donors)));
        assert_eq!(m.total_weight, found.totalWeight.to::<u64>());
        assert_eq!((m.queries.settled, m.terms.fee_bps), (u64::from(found.settled), found.feeBps));
        assert_eq!(m.model_hash.unwrap_or_default(), found.modelHash);
        assert_eq!(m.servings.last().map_or(Address::ZERO, |s| s.enclave), found.queryEnclave);
        assert_eq!(m.rounds, s.read(R, Rounds::lastRoundCall { modelId: id(m.model) }).await);
        assert_eq!((m.white_paper_hash, m.plan_hash), (found.whitePaperHash, found.planHash));
        let excluded = m.donors.iter().filter(|d| d.excluded).count();
        assert_eq!(excluded, usize::from(found.excluded), "{m:?}");
        let committee = s.read(R, Rounds::committeeOfCall { modelId: id(m.model) }).await;
        assert_eq!((&m.committee, m.terms.min_survivors), (&committee.seats, found.terms.minSurvivors));
        assert_eq!(m.terms.colluders, found.terms.colluders);
        let money = m.money();
        let fees = s.read(K, Market::feesOfCall { modelId: id(m.model) }).await;
        assert_eq!(money.fees.0 - money.fees_collected.0, fees);
        for d in &m.donors {
            let (modelId, donorIndex) = (id(m.model), d.donor);
            let found = s.read(K, Market::donorCall { modelId, donorIndex }).await;
            assert_eq!((d.payee, d.weight), (found.payee, found.weight));
            assert_eq!(d.use_ended, found.enclave == Address::ZERO);
            let owed = s.read(K, Market::owedDonorCall { modelId, donorIndex }).await;
            assert_eq!(d.owed.0, owed, "{d:?}");
            let income = ledger.donor_income(m.model, d.donor).await.unwrap();
            assert_eq!((income.payee, income.paid, income.owed), (d.payee, d.paid, d.owed));
        }
    }
    for q in book.queries.iter() {
        let found = s.read(K, Market::queryCall { queryId: q.query }).await;
        assert_eq!((q.buyer, U256::from(q.model)), (found.user, U256::from(found.modelId)));
        let state = match q.state {
            QueryState::Funded | QueryState::Overdue => 1,
            QueryState::Settled => 2,
            QueryState::Refunded => 3,
        };
        assert_eq!((state, U256::from(q.deadline)), (found.state, found.deadline.to()));
        let enclave = Market::servingEnclaveCall { modelId: id(q.model), serving: found.serving };
        assert_eq!(q.enclave, s.read(K, enclave).await);
    }
    for r in book.rounds.iter() {
        let (modelId, round) = (id(r.model), r.round);
        let found = s.read(R, Rounds::roundInfoCall { modelId, round }).await;
        assert_eq!(r.state as u8 + 1, found.status, "{r:?}");
        assert_eq!(
            (r.header_hash, r.quorum, r.min_survivors),
            (found.headerHash, found.quorum, found.minSurvivors)
        );
        assert_eq!((r.deadline, r.open_by), (found.deadline, found.openBy));
        assert_eq!(r.partials.len(), usize::from(found.partials), "{r:?}");
        for p in &r.partials {
            let posted = Rounds::partialOfCall { modelId, round, member: p.member };
            assert_eq!(s.read(R, posted).await, p.hash);
        }
        if let Some(survivors) = &r.survivors {
            assert_eq!(survivors.len(), usize::from(found.survivors));
        }
        for a in &r.anchors {
            assert!(s.read(R, Rounds::isAnchoredCall { modelId, round, donorIndex: a.donor }).await);
        }
        assert_eq!(
            (r.aggregate_hash.unwrap_or_default(), r.model_hash.unwrap_or_default()),
            (found.aggregateHash, found.modelHash)
        );
    }

    // The money, by the book and by the contracts.
    let revenue = book.revenue(ledger.holdings().await.unwrap());
    assert!(revenue.holds, "{revenue:#?}");
    assert!(revenue.holds());
    let donors: Vec<_> = book.models.iter().flat_map(|m| &m.donors).collect();
    for a in &revenue.accounts {
        let claimable = s.read(K, Market::owedCall { account: a.account }).await;
        let as_donor = donors.iter().filter(|d| d.payee == a.account).map(|d| d.owed).sum::<Amount>();
        assert_eq!(a.owed.0, claimable + as_donor.0, "{a:?}");
        assert_eq!(a.earned.0 + a.returned.0, a.paid.0 + a.owed.0, "{a:?}");
    }
    book
}

async fn buy(stall: &Stall, model: u64, code: u8) -> alloy::primitives::B256 {
    let call = stall.buying(model, code);
    stall.s.send(&stall.s.k.user, K, call).await.event::<Market::QueryBought>().unwrap().queryId
}

async fn settle(stall: &Stall, model: u64, query: alloy::primitives::B256) {
    let (jobId, outputHash) = (hash(70), hash(71));
    let r = QueryReceipt { queryId: query, modelId: id(model), jobId, outputHash, answer: b"answer".into() };
    let signature = stall.s.sign(&r, K, &stall.query);
    let call = Market::settleCall { queryId: query, jobId, outputHash, answer: r.answer, signature };
    stall.s.send(&stall.s.k.runner, K, call).await;
}

#[tokio::test]
async fn the_book_says_what_the_contracts_say() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    agreed(s).await;
    models(&stall).await;
    agreed(s).await;
    governed(&stall).await;
    let before = agreed(s).await;

    // A model with a fee and uneven shares, so that rounding leaves something.
    let treasury = k.pauser.address();
    s.send(&k.founder, K, Market::setFeeCall { bps: 333, treasury_: treasury }).await;
    let odd = Market::Terms {
        queryPrice: U256::from(PRICE + 2).to(),
        donorsBps: 6_999,
        trainerBps: 1_998,
        runnerBps: 1_003,
        ..terms()
    };
    let (data, data2) = (stall.dataset(&k.owner, hash(57)).await, stall.dataset(&k.owner2, hash(46)).await);
    let data3 = stall.dataset(&k.owner, hash(47)).await;
    let third = key(153);
    s.enclave(&k.owner, &third, hash(TRAINING)).await;
    let model = stall.propose(odd).await;
    let modelId = id(model);
    s.send(&k.owner, K, stall.donation(model, data, &key(141))).await;
    s.send(&k.owner2, K, stall.donation2(model, data2, &key(142))).await;
    s.send(&k.owner, K, stall.donation_to(&third, model, data3, key(143).address())).await;
    let book = agreed(s).await;
    assert_eq!(book.models.get(&model).unwrap().state, ModelState::Recruiting);
    assert_eq!(book.models.len(), before.models.len() + 1);
    s.send(&k.trainer, K, stall.start(model)).await;

    // One dataset is withdrawn, so that its donor is in no further round; a round fails, the next one succeeds.
    s.send(&k.owner2, D, Datasets::markErasedCall { id: data2.id }).await;
    s.send(&k.stranger, K, Market::endUseCall { modelId, donorIndex: 2 }).await;
    s.send(&k.trainer, R, stall.open(model, 1_000).await).await;
    s.send(&k.stranger, R, stall.update(model, 1, 1, &stall.training)).await;
    agreed(s).await;
    s.pass(1_001).await;
    s.send(&k.stranger, R, Rounds::closeCall { modelId, round: 1 }).await;
    let book = agreed(s).await;
    assert_eq!(book.rounds.get(&(model, 1)).unwrap().state, RoundState::Failed);
    let dataset = book.datasets.get(&data2.id).unwrap();
    assert_eq!(dataset.state, DatasetState::Erased);
    assert!(dataset.donated_to.contains(&model) && dataset.erased_at.is_some());
    s.send(&k.trainer, R, stall.open(model, 1_000).await).await;
    s.send(&k.stranger, R, stall.update(model, 2, 1, &stall.training)).await;
    s.send(&k.stranger, R, stall.update(model, 2, 3, &third)).await;
    s.pass(1_001).await;
    s.send(&k.trainer, R, Rounds::closeCall { modelId, round: 2 }).await;
    stall.post(model, 2).await;
    let book = agreed(s).await;
    let round = book.rounds.get(&(model, 2)).unwrap();
    assert_eq!((round.state, round.survivors.as_deref()), (RoundState::Closed, Some(&[1, 3][..])));
    stall.finish(model, 2).await;
    agreed(s).await;

    // Two enclaves serve one after the other, each with its own runner.
    let second: SigningKey = key(134);
    s.enclave(&k.owner, &second, hash(QUERY)).await;
    s.send(&k.trainer, K, Market::serveCall { modelId, queryEnclave: second.address() }).await;
    s.send(&k.trainer, K, Market::serveCall { modelId, queryEnclave: stall.query.address() }).await;
    for code in 80..87 {
        let query = buy(&stall, model, code).await;
        settle(&stall, model, query).await;
    }
    let open = buy(&stall, model, 90).await;
    let book = agreed(s).await;
    let money = book.models.get(&model).unwrap().money();
    assert!(money.rounding.0 > U256::ZERO, "this test has nothing to round: {money:?}");
    assert_eq!(money.queries_held, Amount(U256::from(PRICE + 2)));
    assert_eq!(book.open_queries(), 1);
    // Some are paid early, some late, the fees in between.
    s.send(&k.stranger, K, Market::claimDonorCall { modelId, donorIndex: 1 }).await;
    s.send(&k.stranger, K, Market::collectFeesCall { modelId }).await;
    let query = buy(&stall, model, 91).await;
    settle(&stall, model, query).await;
    agreed(s).await;
    s.send(&k.stranger, K, Market::claimDonorsCall { modelId, donorIndices: vec![1, 2, 3] }).await;
    s.send(&k.runner, K, Market::claimCall {}).await;
    s.pass(TIMEOUT + 1).await;
    let book = agreed(s).await;
    assert_eq!(book.queries.get(&open).unwrap().state, QueryState::Overdue);
    s.send(&k.stranger, K, Market::refundCall { queryId: open }).await;
    s.send(&k.trainer, K, Market::retireCall { modelId }).await;
    // Money that nobody asked for is told apart from what is owed.
    let market = s.ledger.deployment().market;
    s.send(&k.user, T, TestToken::transferCall { to: market, value: U256::from(7) }).await;
    let book = agreed(s).await;
    let holdings = s.ledger.holdings().await.unwrap();
    assert_eq!(holdings.balance.0, holdings.obligations.0 + U256::from(7));
    let wrong = histone_contracts::book::Holdings { obligations: Amount(U256::from(1)), ..holdings };
    assert!(!book.revenue(wrong).holds);

    // Registers: what was taken back, and who is who.
    s.send(&k.owner, E, Enclaves::revokeCall { signer: second.address() }).await;
    s.send(&k.founder, P, Programs::disallowCall { measurement: hash(TRAINING) }).await;
    s.send(&k.auditor, P, Programs::revokeCall { measurement: hash(QUERY) }).await;
    s.send(&k.seats[0], M, Members::delegateCall { delegatee: k.owner.address() }).await;
    s.send(&k.founder, M, Members::removeCall { account: k.seats[1].address() }).await;
    let both = roles::OWNER | roles::COMMITTEE;
    s.send(&k.founder, M, Members::setRolesCall { account: k.owner.address(), roles: both }).await;
    let book = agreed(s).await;
    let state = |enclave: &SigningKey| book.enclaves.get(&enclave.address()).unwrap().state;
    assert_eq!(
        (state(&second), state(&stall.training), state(&stall.query), state(&stall.validation)),
        (EnclaveState::Revoked, EnclaveState::Unusable, EnclaveState::Unusable, EnclaveState::Live)
    );
    let member = |key: &SigningKey| book.members.get(&key.address()).unwrap();
    assert_eq!(member(&k.owner).votes, 2);
    assert_eq!(member(&k.seats[0]).vote_lent_to, Some(k.owner.address()));
    assert!(member(&k.seats[1]).former && !member(&k.seats[1]).member);
    assert_eq!(book.holders(manager_roles::ADMIN), [k.founder.address()]);
    let take = AccessManager::revokeRoleCall { roleId: manager_roles::PAUSER, account: k.pauser.address() };
    assert_eq!(book.holders(manager_roles::PAUSER), [k.pauser.address()]);
    s.send(&k.founder, Manager, take).await;
    s.pass(2 * LONG).await;
    let book = agreed(s).await;
    assert!(book.holders(manager_roles::PAUSER).is_empty());
    assert_eq!(book.enclaves.get(&stall.validation.address()).unwrap().state, EnclaveState::Expired);

    // Accounts, several at a time.
    let accounts = [k.runner.address(), market, key(250).address()];
    let facts = s.ledger.accounts(&accounts).await.unwrap();
    assert_eq!(facts[0].balance.0, s.read(T, TestToken::balanceOfCall { account: accounts[0] }).await);
    assert!(facts[0].nonce > 0 && !facts[0].contract && facts[1].contract);
    assert_eq!((facts[2].nonce, facts[2].balance), (0, Amount::default()));
    assert!(directories(s.ledger.connection()).await.unwrap().contains(&s.ledger.deployment().directory));
    assert_eq!(s.ledger.money().await.unwrap().whole(Amount(U256::from(INSTANT))), "0.0005");
}

#[tokio::test]
async fn the_book_knows_whom_the_committee_named() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    votes(&stall).await;
    let book = agreed(s).await;
    let round = book.rounds.iter().next().unwrap();
    assert_eq!(round.state, RoundState::Void);
    let named: Vec<_> = round.named.iter().map(|n| (n.donor, n.member, n.reason)).collect();
    let [_, _, silent, liar] = &k.seats;
    let expected = [
        (Some(3), None, UNREADABLE),
        (None, Some(silent.address()), SILENT),
        (None, Some(liar.address()), WRONG_PARTIAL),
        (None, Some(liar.address()), UNDECODABLE),
    ];
    assert_eq!(named, expected);
    assert_eq!(round.survivors.as_deref(), Some(&[1, 2][..]));
    let model = book.models.get(&round.model).unwrap();
    assert!(model.donors[2].excluded && !model.donors[1].excluded);

    // One who is paid nothing, among others who are: the money is where the book says.
    let model = three_donors_of(&stall, 139, hash(45)).await;
    for seat in &k.seats[..2] {
        s.send(seat, R, blame_donor(model, 1, 3, DUPLICATE)).await;
    }
    agreed(s).await;
    stall.post(model, 1).await;
    stall.finish(model, 1).await;
    agreed(s).await;
    s.send(&k.trainer, K, Market::serveCall { modelId: id(model), queryEnclave: stall.query.address() })
        .await;
    let query = buy(&stall, model, 92).await;
    settle(&stall, model, query).await;
    let book = agreed(s).await;
    let donors = &book.models.get(&model).unwrap().donors;
    assert_eq!((donors[2].owed, donors[0].owed), (Amount::default(), Amount(U256::from(INSTANT + 350))));
    let end = Market::claimDonorsCall { modelId: id(model), donorIndices: vec![1, 2, 3] };
    s.send(&k.stranger, K, end).await;
    agreed(s).await;
}

/// A sum is open, and then two donors stay away: what was opened is paid, to them too.
#[tokio::test]
async fn the_book_knows_who_is_paid_when_a_later_round_fails() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let model = three_donors_of(&stall, 139, hash(45)).await;
    let modelId = id(model);
    stall.post(model, 1).await;
    let outcome = Rounds::finalizeCall { modelId, round: 1, aggregateHash: hash(65), modelHash: hash(64) };
    s.send(&k.trainer, R, outcome).await;
    s.send(&k.trainer, R, stall.open(model, 5_000).await).await;
    s.send(&k.stranger, R, stall.update(model, 2, 1, &stall.training)).await;
    s.pass(5_001).await;
    s.send(&k.trainer, R, Rounds::closeCall { modelId, round: 2 }).await;
    agreed(s).await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId }).await;
    let book = agreed(s).await;
    let donors = &book.models.get(&model).unwrap().donors;
    let told: Vec<_> = donors.iter().map(|d| d.owed.0.to::<u64>()).collect();
    assert_eq!(told, [INSTANT; 3]);
    s.send(&k.stranger, K, Market::claimDonorsCall { modelId, donorIndices: vec![1, 2, 3] }).await;
    agreed(s).await;
}

#[tokio::test]
async fn a_part_of_the_book_needs_only_a_part_of_the_events() {
    let stall = Stall::new().await;
    let book = stall.s.ledger.book(&[P, E]).await.unwrap();
    assert_eq!((book.programs.len(), book.enclaves.len(), book.members.len()), (3, 4, 0));
    assert!(book.enclaves.iter().all(|e| e.state == EnclaveState::Live && e.simulated));
    let head = stall.s.ledger.connection().head().await.unwrap();
    assert_eq!((book.head.block, book.head.hash, book.head.time), (head.block, head.hash, head.time));
}
