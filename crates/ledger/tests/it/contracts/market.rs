//! The market: models, donations, deposits, fees.

use alloy::primitives::{Address, B256, Bytes, U256};
use histone_contracts::Contract::{Datasets as D, Market as K, Members as M, Rounds as R, Token as T};
use histone_contracts::{Datasets, Market, Members, Rounds, TestToken, roles};
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{DonationReceipt, UpdateReceipt};

use super::committee::post_at;
use crate::reads;
use crate::suite::{LONG, QUERY, Suite, TRAINING, VALIDATION, hash, key};

/// Instant payment and price of a query.
pub const INSTANT: u64 = 500;
pub const PRICE: u64 = 1_000;
/// Seconds in which a query must be answered.
pub const TIMEOUT: u64 = 5_000;

mod consents {
    alloy::sol! {
        struct DonationConsent {
            uint256 modelId;
            bytes32 datasetId;
            bytes32 root;
            address payee;
            bytes32 decision;
            address enclave;
            uint256 deadline;
        }
    }
}

/// Seconds that the committee has after the deadline of a round.
pub const OPENING: u64 = 2_000;

/// A version of a dataset.
#[derive(Clone, Copy)]
pub struct Data {
    pub id: B256,
    pub root: B256,
}

/// A suite with two datasets, enclaves of each kind, one training enclave for each owner, and money.
pub struct Stall {
    pub s: Suite,
    pub validation: SigningKey,
    pub training: SigningKey,
    pub training2: SigningKey,
    pub query: SigningKey,
    pub data: Data,
    pub data2: Data,
}

pub fn terms() -> Market::Terms {
    Market::Terms {
        instantPayment: INSTANT.try_into().unwrap(),
        queryPrice: PRICE.try_into().unwrap(),
        donorsBps: 7_000,
        trainerBps: 2_000,
        runnerBps: 1_000,
        minDonors: 2,
        maxDonors: 3,
        queryTimeout: TIMEOUT as u32,
        minSurvivors: 2,
        colluders: 1,
    }
}

pub fn id(model: u64) -> U256 {
    U256::from(model)
}

pub fn proposal(t: Market::Terms) -> Market::proposeCall {
    Market::proposeCall { whitePaperHash: hash(60), planHash: hash(59), t }
}

impl Stall {
    pub async fn new() -> Self {
        let s = Suite::with_programs().await;
        let (validation, training, training2, query) = (key(131), key(132), key(135), key(133));
        s.enclave(&s.k.runner, &validation, hash(VALIDATION)).await;
        s.enclave(&s.k.owner, &training, hash(TRAINING)).await;
        s.enclave(&s.k.owner2, &training2, hash(TRAINING)).await;
        s.enclave(&s.k.runner, &query, hash(QUERY)).await;
        let none = Data { id: B256::ZERO, root: B256::ZERO };
        let mut stall = Self { s, validation, training, training2, query, data: none, data2: none };
        stall.data = stall.dataset(&stall.s.k.owner, hash(50)).await;
        stall.data2 = stall.dataset(&stall.s.k.owner2, hash(51)).await;
        let market = stall.s.ledger.deployment().market;
        for payer in [&stall.s.k.trainer, &stall.s.k.user] {
            stall.s.mint(payer, 100_000).await;
            let approve = TestToken::approveCall { spender: market, value: U256::MAX };
            stall.s.send(payer, T, approve).await;
        }
        stall
    }

    pub async fn dataset(&self, owner: &SigningKey, root: B256) -> Data {
        let call = Datasets::registerCall {
            root,
            reportHash: hash(5),
            policyHash: hash(6),
            rows: 100,
            quality: 3,
            enclave: self.validation.address(),
            signature: self.s.validated(owner.address(), root, B256::ZERO, &self.validation),
        };
        self.s.send(owner, D, call).await;
        Data { id: histone_contracts::dataset_id(owner.address(), root), root }
    }

    pub async fn propose(&self, t: Market::Terms) -> u64 {
        let receipt = self.s.send(&self.s.k.trainer, K, proposal(t)).await;
        receipt.event::<Market::ModelProposed>().unwrap().modelId.to()
    }

    /// A donation to the enclave of the first owner.
    pub fn donation(&self, model: u64, data: Data, payee: &SigningKey) -> Market::donateCall {
        self.donation_to(&self.training, model, data, payee.address())
    }

    /// A donation to the enclave of the second owner.
    pub fn donation2(&self, model: u64, data: Data, payee: &SigningKey) -> Market::donateCall {
        self.donation_to(&self.training2, model, data, payee.address())
    }

    pub fn donation_to(
        &self,
        enclave: &SigningKey,
        model: u64,
        data: Data,
        payee: Address,
    ) -> Market::donateCall {
        let (modelId, decision) = (id(model), hash(58));
        let r = DonationReceipt { modelId, datasetId: data.id, root: data.root, payee, decision };
        let signature = self.s.sign(&r, K, enclave);
        let enclave = enclave.address();
        Market::donateCall { modelId, datasetId: data.id, payee, decision, enclave, signature }
    }

    /// A donation to the enclave of the second owner that somebody brings for the owner of the dataset, with the owner's
    /// consent until then.
    pub fn donation_for(
        &self,
        model: u64,
        data: Data,
        payee: &SigningKey,
        deadline: u64,
        owner: &SigningKey,
    ) -> Market::donateForCall {
        let d = self.donation2(model, data, payee);
        let consent = consents::DonationConsent {
            modelId: d.modelId,
            datasetId: d.datasetId,
            root: data.root,
            payee: d.payee,
            decision: d.decision,
            enclave: d.enclave,
            deadline: U256::from(deadline),
        };
        Market::donateForCall {
            ownerSignature: self.s.sign(&consent, K, owner),
            consent: (d.modelId, d.datasetId, data.root, d.payee, d.decision, d.enclave, consent.deadline)
                .into(),
            enclaveSignature: d.signature,
        }
    }

    /// Ends the recruiting of a model, with the whole committee.
    pub fn start(&self, model: u64) -> Market::startTrainingCall {
        let (seats, sealKeys) = self.s.committee();
        Market::startTrainingCall { modelId: id(model), seats, sealKeys }
    }

    /// A model in training with two donors, for whom `key(141)` and `key(142)` are paid.
    pub async fn training(&self) -> u64 {
        let model = self.propose(terms()).await;
        self.two_donors(model).await;
        self.s.send(&self.s.k.trainer, K, self.start(model)).await;
        model
    }

    pub async fn two_donors(&self, model: u64) {
        self.s.send(&self.s.k.owner, K, self.donation(model, self.data, &key(141))).await;
        self.s.send(&self.s.k.owner2, K, self.donation2(model, self.data2, &key(142))).await;
    }

    pub async fn open(&self, model: u64, seconds: u64) -> Rounds::openCall {
        let deadline = self.s.now().await + seconds;
        Rounds::openCall { modelId: id(model), headerHash: hash(61), deadline, openBy: deadline + OPENING }
    }

    pub fn update(&self, model: u64, round: u32, donor: u16, enclave: &SigningKey) -> Rounds::anchorCall {
        let r = UpdateReceipt {
            modelId: id(model),
            round,
            headerHash: hash(61),
            blobHash: hash(62),
            donorIndex: donor,
        };
        Rounds::anchorCall {
            modelId: id(model),
            round,
            blobHash: hash(62),
            donorIndex: donor,
            enclave: enclave.address(),
            signature: self.s.sign(&r, R, enclave),
        }
    }

    /// A round with the updates of both donors, closed.
    pub async fn closed(&self, model: u64, round: u32) {
        let (s, modelId) = (&self.s, id(model));
        s.send(&s.k.trainer, R, self.open(model, 5_000).await).await;
        s.send(&s.k.stranger, R, self.update(model, round, 1, &self.training)).await;
        s.send(&s.k.stranger, R, self.update(model, round, 2, &self.training2)).await;
        s.send(&s.k.trainer, R, Rounds::closeCall { modelId, round }).await;
    }

    /// The whole committee posts its partial openings.
    pub async fn post(&self, model: u64, round: u32) {
        let info = Rounds::roundInfoCall { modelId: id(model), round };
        let attempt = self.s.read(R, info).await.attempt;
        for seat in &self.s.k.seats {
            self.s.send(seat, R, post_at(model, round, attempt)).await;
        }
    }

    /// A round up to the open sum.
    pub async fn sum(&self, model: u64, round: u32) {
        self.closed(model, round).await;
        self.post(model, round).await;
    }

    /// A trained model: `hash(64)`.
    pub async fn trained(&self) -> u64 {
        let model = self.training().await;
        self.sum(model, 1).await;
        self.finish(model, 1).await;
        model
    }

    /// Ends the training of a model with the open round `round`.
    pub async fn finish(&self, model: u64, round: u32) {
        let (s, modelId) = (&self.s, id(model));
        let last = Rounds::finalizeCall { modelId, round, aggregateHash: hash(65), modelHash: hash(64) };
        s.send(&s.k.trainer, R, last).await;
        s.send(&s.k.trainer, K, Market::finishTrainingCall { modelId, modelHash: hash(64) }).await;
    }

    /// Buys a query from the enclave of this stall.
    pub fn buying(&self, model: u64, code: u8) -> Market::buyCall {
        Market::buyCall { modelId: id(model), codeHash: hash(code), enclave: self.query.address() }
    }
}

/// Everything about models up to the end of training. The rest of the market is in [`super::queries`], and what both
/// leave out there.
pub async fn models(stall: &Stall) {
    let s = &stall.s;
    let k = &s.k;
    s.refused(&k.owner, K, proposal(terms()), "MissingRole").await;
    let nothing = Market::proposeCall { whitePaperHash: B256::ZERO, ..proposal(terms()) };
    s.refused(&k.trainer, K, nothing, "ZeroHash").await;
    let nothing = Market::proposeCall { planHash: B256::ZERO, ..proposal(terms()) };
    s.refused(&k.trainer, K, nothing, "ZeroHash").await;
    for (bad, error) in [
        (Market::Terms { donorsBps: 7_001, ..terms() }, "SharesDoNotAddUp"),
        (Market::Terms { minDonors: 4, ..terms() }, "InvalidDonorLimits"),
        // The sum over one donor is its data.
        (Market::Terms { minSurvivors: 1, ..terms() }, "InvalidMinSurvivors"),
        (Market::Terms { minSurvivors: 3, ..terms() }, "InvalidMinSurvivors"),
        (Market::Terms { queryTimeout: 0, ..terms() }, "ZeroTimeout"),
        (Market::Terms { queryTimeout: LONG as u32 + 1, ..terms() }, "TimeoutTooLong"),
        // The token says why: too little of it is there.
        (
            Market::Terms { instantPayment: 1_000_000_000u64.try_into().unwrap(), ..terms() },
            "ERC20InsufficientBalance",
        ),
    ] {
        s.refused(&k.trainer, K, proposal(bad), error).await;
    }

    let model = stall.propose(terms()).await;
    let modelId = id(model);
    assert_eq!(s.balance(k.trainer.address()).await, 100_000 - 3 * INSTANT);
    let (payee, payee2) = (key(141), key(142));
    let good = || stall.donation(model, stall.data, &payee);
    s.refused(&k.owner2, K, good(), "NotDatasetOwner").await;
    s.refused(&k.owner, K, Market::donateCall { payee: Address::ZERO, ..good() }, "ZeroAddress").await;
    let market = s.ledger.deployment().market;
    s.refused(&k.owner, K, Market::donateCall { payee: market, ..good() }, "OwnAddress").await;
    s.refused(&k.owner, K, Market::donateCall { decision: B256::ZERO, ..good() }, "ZeroHash").await;
    s.refused(&k.owner, K, Market::donateCall { decision: hash(57), ..good() }, "BadSignature").await;
    s.refused(&k.owner, K, Market::donateCall { modelId: id(99), ..good() }, "UnknownModel").await;
    let short = Market::donateCall { signature: vec![1; 64].into(), ..good() };
    s.refused(&k.owner, K, short, "ECDSAInvalidSignatureLength").await;
    let zero = Market::donateCall { signature: vec![0; 65].into(), ..good() };
    s.refused(&k.owner, K, zero, "ECDSAInvalidSignature").await;
    let high = Bytes::from([vec![0x11; 32], vec![0xff; 32], vec![27]].concat());
    s.refused(&k.owner, K, Market::donateCall { signature: high, ..good() }, "ECDSAInvalidSignatureS").await;
    let start = || stall.start(model);
    s.refused(&k.trainer, K, start(), "TooFewDonors").await;
    s.send(&k.owner, K, good()).await;
    s.refused(&k.owner, K, good(), "AlreadyDonated").await;

    // Somebody else brings the donation and pays for the gas; the owner signs.
    let until = s.now().await + LONG;
    let second = stall.dataset(&k.owner2, hash(54)).await;
    let consent = |deadline, by| stall.donation_for(model, second, &payee2, deadline, by);
    s.refused(&k.stranger, K, consent(until, &k.owner), "NotConsented").await;
    s.refused(&k.stranger, K, consent(1, &k.owner2), "ConsentExpired").await;
    let older = Data { id: second.id, root: hash(99) };
    let older = stall.donation_for(model, older, &payee2, until, &k.owner2);
    let older =
        Market::donateForCall { enclaveSignature: consent(until, &k.owner2).enclaveSignature, ..older };
    s.refused(&k.stranger, K, older, "OtherVersion").await;
    s.send(&k.stranger, K, consent(until, &k.owner2)).await;
    let (third, fourth) = (key(136), key(137));
    for (enclave, root) in [(&third, 52), (&fourth, 53)] {
        s.enclave(&k.owner, enclave, hash(TRAINING)).await;
        stall.dataset(&k.owner, hash(root)).await;
    }
    let data =
        |root| Data { id: histone_contracts::dataset_id(k.owner.address(), hash(root)), root: hash(root) };
    let more = |enclave, root| stall.donation_to(enclave, model, data(root), payee.address());
    s.send(&k.owner, K, more(&third, 52)).await;
    s.refused(&k.owner, K, more(&fourth, 53), "DonorsFull").await;
    // The trainer refuses one that it does not believe: its place is free again, for others.
    let other = stall.propose(terms()).await;
    s.send(&k.owner, K, stall.donation_to(&third, other, data(52), payee.address())).await;
    let refuse =
        |root| Market::refuseDonorCall { modelId: id(other), donorIndex: 1, datasetId: data(root).id };
    s.refused(&k.owner, K, refuse(52), "NotTrainer").await;
    s.refused(&k.trainer, K, refuse(53), "OtherDataset").await;
    s.send(&k.trainer, K, refuse(52)).await;
    s.refused(&k.trainer, K, refuse(52), "UseEnded").await;
    let again = stall.donation_to(&fourth, other, data(53), payee.address());
    s.refused(&k.owner, K, again, "OwnerRefused").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(other) }).await;
    s.send(&k.trainer, K, Market::claimCall {}).await;

    // A dataset that is withdrawn takes no part any more; the donor stays.
    let end = |donorIndex| Market::endUseCall { modelId, donorIndex };
    s.refused(&k.stranger, K, end(2), "DatasetNotWithdrawn").await;
    s.refused(&k.stranger, K, end(4), "UnknownDonor").await;
    let in_use = |donorIndex| Market::requireInUseCall { modelId, donorIndex };
    s.read(K, in_use(2)).await;
    s.send(&k.owner2, D, Datasets::withdrawCall { id: second.id }).await;
    s.refuses(K, in_use(2), "UseEnded").await;
    s.send(&k.stranger, K, end(2)).await;
    s.refused(&k.stranger, K, end(2), "UseEnded").await;
    s.refuses(K, in_use(2), "UseEnded").await;

    s.refused(&k.owner, K, start(), "NotTrainer").await;
    s.send(&k.trainer, K, start()).await;
    s.refused(&k.trainer, K, start(), "WrongState").await;
    let finish = |modelHash| Market::finishTrainingCall { modelId, modelHash };
    s.refused(&k.trainer, K, finish(hash(64)), "NotFinal").await;

    // Given up before any sum was open: the whole deposit comes back. Not everybody may.
    s.refused(&k.stranger, K, Market::abortTrainingCall { modelId }, "NotTrainer").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId }).await;
    let owed = Market::owedCall { account: k.trainer.address() };
    assert_eq!(s.read(K, owed).await, U256::from(3 * INSTANT));
    s.send(&k.trainer, K, Market::claimCall {}).await;
    assert_eq!(s.balance(k.trainer.address()).await, 100_000);
    s.refused(&k.trainer, K, Market::claimCall {}, "NothingOwed").await;

    reads!(s, K; Market::membersCall {}, Market::datasetsCall {}, Market::enclavesCall {}, Market::roundsCall {},
        Market::tokenCall {}, Market::authorityCall {}, Market::eip712DomainCall {}, Market::modelCountCall {},
        Market::ABANDONED_AFTERCall {}, Market::LONGEST_QUERYCall {}, Market::resumedAtCall {}, Market::MAX_FEE_BPSCall {}, Market::isConsumingScheduledOpCall {},
        Market::standingCall { modelId });
    s.refuses(K, Market::modelCall { modelId: id(77) }, "UnknownModel").await;
}

/// What only governance may do.
pub async fn governed(stall: &Stall) {
    let s = &stall.s;
    let k = &s.k;
    let set = |rounds_| Market::setRoundsCall { rounds_ };
    s.refused(&k.stranger, K, set(Address::ZERO), "AccessManagedUnauthorized").await;
    s.refused(&k.founder, K, set(Address::ZERO), "ZeroAddress").await;
    s.refused(&k.founder, K, set(k.founder.address()), "RoundsAlreadySet").await;
    let fee = |bps, treasury_| Market::setFeeCall { bps, treasury_ };
    let (treasury, market) = (k.pauser.address(), s.ledger.deployment().market);
    s.refused(&k.trainer, K, fee(1, treasury), "AccessManagedUnauthorized").await;
    s.refused(&k.founder, K, fee(1_001, treasury), "FeeTooHigh").await;
    s.refused(&k.founder, K, fee(1, Address::ZERO), "ZeroAddress").await;
    s.refused(&k.founder, K, fee(1, market), "OwnAddress").await;
    s.send(&k.founder, K, fee(500, treasury)).await;
    assert_eq!(s.read(K, Market::feeBpsCall {}).await, 500);
    assert_eq!(s.read(K, Market::treasuryCall {}).await, treasury);

    // A pause stops new work and nothing else.
    let model = stall.propose(terms()).await;
    // Nobody can pause before the pauser's role was given.
    s.refused(&k.pauser, K, Market::pauseCall {}, "AccessManagedUnauthorized").await;
    let role = histone_contracts::AccessManager::grantRoleCall {
        roleId: histone_contracts::manager_roles::PAUSER,
        account: k.pauser.address(),
        executionDelay: 0,
    };
    s.send(&k.founder, histone_contracts::Contract::Manager, role).await;
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    assert!(s.read(K, Market::pausedCall {}).await);
    s.refused(&k.pauser, K, Market::pauseCall {}, "EnforcedPause").await;
    let propose = proposal(terms());
    s.refused(&k.trainer, K, propose, "EnforcedPause").await;
    s.refused(&k.owner, K, stall.donation(model, stall.data, &key(141)), "EnforcedPause").await;
    s.refused(&k.pauser, K, Market::unpauseCall {}, "AccessManagedUnauthorized").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(model) }).await;
    s.send(&k.founder, K, Market::unpauseCall {}).await;
    s.refused(&k.founder, K, Market::unpauseCall {}, "ExpectedPause").await;
    s.send(&k.trainer, K, Market::claimCall {}).await;
    // Whoever is no trainer any more proposes nothing.
    let call = Members::setRolesCall { account: k.trainer.address(), roles: roles::RUNNER };
    s.send(&k.founder, M, call).await;
    let propose = proposal(terms());
    s.refused(&k.trainer, K, propose, "MissingRole").await;
    let call = Members::setRolesCall { account: k.trainer.address(), roles: roles::TRAINER };
    s.send(&k.founder, M, call).await;
    // The fee of a later model is what is in force then; that of an earlier one never changes.
    s.send(&k.founder, K, fee(0, treasury)).await;
    s.refused(&k.founder, K, fee(0, Address::ZERO), "ZeroAddress").await;
    assert_eq!(s.read(K, Market::modelCall { modelId: id(model) }).await.feeBps, 500);
}
