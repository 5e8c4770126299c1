//! The market: models, donations, deposits, fees.

use alloy::primitives::{Address, B256, Bytes, U256};
use histone_ledger::Contract::{Datasets as D, Market as K, Members as M, Rounds as R, Token as T};
use histone_ledger::contracts::{Datasets, Market, Members, Rounds, TestToken, roles};
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{DonationReceipt, UpdateReceipt};

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
            address payee;
            uint32 weight;
            address enclave;
            uint256 deadline;
        }
    }
}

/// A suite with two datasets, enclaves of each kind, and money.
pub struct Stall {
    pub s: Suite,
    pub validation: SigningKey,
    pub training: SigningKey,
    pub query: SigningKey,
    pub data: B256,
    pub data2: B256,
}

pub fn terms() -> Market::Terms {
    Market::Terms {
        instantPayment: INSTANT.try_into().unwrap(),
        queryPrice: PRICE.try_into().unwrap(),
        donorsBps: 7_000,
        trainerBps: 2_000,
        runnerBps: 1_000,
        minDonors: 1,
        maxDonors: 2,
        queryTimeout: TIMEOUT as u32,
    }
}

pub fn id(model: u64) -> U256 {
    U256::from(model)
}

impl Stall {
    pub async fn new() -> Self {
        let s = Suite::with_programs().await;
        let (validation, training, query) = (key(131), key(132), key(133));
        s.enclave(&s.k.runner, &validation, hash(VALIDATION)).await;
        s.enclave(&s.k.owner, &training, hash(TRAINING)).await;
        s.enclave(&s.k.runner, &query, hash(QUERY)).await;
        let none = B256::ZERO;
        let mut stall = Self { s, validation, training, query, data: none, data2: none };
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

    pub async fn dataset(&self, owner: &SigningKey, root: B256) -> B256 {
        let call = Datasets::registerCall {
            root,
            reportHash: hash(5),
            policyHash: hash(6),
            rows: 100,
            quality: 3,
            enclave: self.validation.address(),
            signature: self.s.validated(owner.address(), root, &self.validation),
        };
        self.s.send(owner, D, call).await;
        histone_ledger::dataset_id(owner.address(), root)
    }

    pub async fn propose(&self, t: Market::Terms) -> u64 {
        let call = Market::proposeCall { whitePaperHash: hash(60), t };
        let receipt = self.s.send(&self.s.k.trainer, K, call).await;
        receipt.event::<Market::ModelProposed>().unwrap().modelId.to()
    }

    pub fn donation(&self, model: u64, data: B256, payee: &SigningKey) -> Market::donateCall {
        let payee = payee.address();
        let r = DonationReceipt { modelId: id(model), datasetId: data, payee, weight: 300 };
        let signature = self.s.sign(&r, K, &self.training);
        Market::donateCall {
            modelId: id(model),
            datasetId: data,
            payee,
            weight: 300,
            enclave: self.training.address(),
            signature,
        }
    }

    /// A donation that somebody brings for the owner, with the owner's consent until then.
    pub fn donation_for(
        &self,
        model: u64,
        data: B256,
        payee: &SigningKey,
        deadline: u64,
        owner: &SigningKey,
    ) -> Market::donateForCall {
        let d = self.donation(model, data, payee);
        let consent = consents::DonationConsent {
            modelId: d.modelId,
            datasetId: data,
            payee: d.payee,
            weight: d.weight,
            enclave: d.enclave,
            deadline: U256::from(deadline),
        };
        Market::donateForCall {
            consent: Market::DonationConsent {
                modelId: d.modelId,
                datasetId: data,
                payee: d.payee,
                weight: d.weight,
                enclave: d.enclave,
                deadline: consent.deadline,
            },
            ownerSignature: self.s.sign(&consent, K, owner),
            enclaveSignature: d.signature,
        }
    }

    /// A model in training with one donor, whom `key(141)` is paid for.
    pub async fn training(&self) -> u64 {
        let model = self.propose(terms()).await;
        self.s.send(&self.s.k.owner, K, self.donation(model, self.data, &key(141))).await;
        self.s.send(&self.s.k.trainer, K, Market::startTrainingCall { modelId: id(model) }).await;
        model
    }

    pub async fn open(&self, model: u64, seconds: u64) -> Rounds::openCall {
        Rounds::openCall {
            modelId: id(model),
            headerHash: hash(61),
            deadline: self.s.now().await + seconds,
            minSurvivors: 1,
            quorum: 1,
        }
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

    /// A round up to the open sum.
    pub async fn sum(&self, model: u64, round: u32) {
        let (s, modelId) = (&self.s, id(model));
        s.send(&s.k.trainer, R, self.open(model, 5_000).await).await;
        s.send(&s.k.stranger, R, self.update(model, round, 1, &self.training)).await;
        s.send(&s.k.trainer, R, Rounds::closeCall { modelId, round }).await;
        s.send(&s.k.seats[0], R, Rounds::postPartialCall { modelId, round, partialHash: hash(63) }).await;
    }

    /// A trained model: `hash(64)`.
    pub async fn trained(&self) -> u64 {
        let model = self.training().await;
        self.sum(model, 1).await;
        let s = &self.s;
        let last = Rounds::finalizeCall {
            modelId: id(model),
            round: 1,
            aggregateHash: hash(65),
            modelHash: hash(64),
        };
        s.send(&s.k.trainer, R, last).await;
        s.send(&s.k.trainer, K, Market::finishTrainingCall { modelId: id(model), modelHash: hash(64) }).await;
        model
    }
}

/// Everything about models up to the end of training. The rest of the market is in [`super::queries`], and what both
/// leave out there.
pub async fn models(stall: &Stall) {
    let s = &stall.s;
    let k = &s.k;
    let propose = |t| Market::proposeCall { whitePaperHash: hash(60), t };
    s.refused(&k.owner, K, propose(terms()), "MissingRole").await;
    let nothing = Market::proposeCall { whitePaperHash: B256::ZERO, t: terms() };
    s.refused(&k.trainer, K, nothing, "ZeroHash").await;
    let bad = Market::Terms { donorsBps: 7_001, ..terms() };
    s.refused(&k.trainer, K, propose(bad), "SharesDoNotAddUp").await;
    let bad = Market::Terms { minDonors: 3, ..terms() };
    s.refused(&k.trainer, K, propose(bad), "InvalidDonorLimits").await;
    let bad = Market::Terms { queryTimeout: 0, ..terms() };
    s.refused(&k.trainer, K, propose(bad), "ZeroTimeout").await;
    let bad = Market::Terms { instantPayment: 1_000_000_000u64.try_into().unwrap(), ..terms() };
    // The token says why: too little of it is there.
    s.refused(&k.trainer, K, propose(bad), "ERC20InsufficientBalance").await;

    let model = stall.propose(terms()).await;
    let modelId = id(model);
    assert_eq!(s.balance(k.trainer.address()).await, 100_000 - 2 * INSTANT);
    let (payee, payee2) = (key(141), key(142));
    let good = || stall.donation(model, stall.data, &payee);
    s.refused(&k.owner2, K, good(), "NotDatasetOwner").await;
    s.refused(&k.owner, K, Market::donateCall { payee: Address::ZERO, ..good() }, "ZeroAddress").await;
    let market = s.ledger.deployment().market;
    s.refused(&k.owner, K, Market::donateCall { payee: market, ..good() }, "OwnAddress").await;
    s.refused(&k.owner, K, Market::donateCall { weight: 0, ..good() }, "ZeroWeight").await;
    s.refused(&k.owner, K, Market::donateCall { weight: 301, ..good() }, "BadSignature").await;
    s.refused(&k.owner, K, Market::donateCall { modelId: id(99), ..good() }, "UnknownModel").await;
    let short = Market::donateCall { signature: vec![1; 64].into(), ..good() };
    s.refused(&k.owner, K, short, "ECDSAInvalidSignatureLength").await;
    let zero = Market::donateCall { signature: vec![0; 65].into(), ..good() };
    s.refused(&k.owner, K, zero, "ECDSAInvalidSignature").await;
    let high = Bytes::from([vec![0x11; 32], vec![0xff; 32], vec![27]].concat());
    s.refused(&k.owner, K, Market::donateCall { signature: high, ..good() }, "ECDSAInvalidSignatureS").await;
    let start = || Market::startTrainingCall { modelId };
    s.refused(&k.trainer, K, start(), "TooFewDonors").await;
    s.send(&k.owner, K, good()).await;
    s.refused(&k.owner, K, good(), "AlreadyDonated").await;

    // Somebody else brings the donation and pays for the gas; the owner signs.
    let until = s.now().await + LONG;
    let consent = |deadline, by| stall.donation_for(model, stall.data2, &payee2, deadline, by);
    s.refused(&k.stranger, K, consent(until, &k.owner), "NotConsented").await;
    s.refused(&k.stranger, K, consent(1, &k.owner2), "ConsentExpired").await;
    s.send(&k.stranger, K, consent(until, &k.owner2)).await;
    let third = stall.dataset(&k.owner, hash(52)).await;
    s.refused(&k.owner, K, stall.donation(model, third, &payee), "DonorsFull").await;

    // A dataset that is withdrawn takes no part any more; the donor stays.
    let end = |donorIndex| Market::endUseCall { modelId, donorIndex };
    s.refused(&k.stranger, K, end(2), "DatasetNotWithdrawn").await;
    s.refused(&k.stranger, K, end(3), "UnknownDonor").await;
    s.send(&k.owner2, D, Datasets::withdrawCall { id: stall.data2 }).await;
    s.send(&k.stranger, K, end(2)).await;
    s.refused(&k.stranger, K, end(2), "UseEnded").await;
    assert_eq!(s.read(K, Market::donorEnclaveCall { modelId, donorIndex: 2 }).await, 0);

    s.refused(&k.owner, K, start(), "NotTrainer").await;
    s.send(&k.trainer, K, start()).await;
    s.refused(&k.trainer, K, start(), "WrongState").await;
    let finish = |modelHash| Market::finishTrainingCall { modelId, modelHash };
    s.refused(&k.trainer, K, finish(hash(64)), "NotFinal").await;

    // Given up before any sum was open: the whole deposit comes back. Not everybody may.
    s.refused(&k.stranger, K, Market::abortTrainingCall { modelId }, "NotTrainer").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId }).await;
    let owed = Market::owedCall { account: k.trainer.address() };
    assert_eq!(s.read(K, owed).await, U256::from(2 * INSTANT));
    s.send(&k.trainer, K, Market::claimCall {}).await;
    assert_eq!(s.balance(k.trainer.address()).await, 100_000);
    s.refused(&k.trainer, K, Market::claimCall {}, "NothingOwed").await;

    // Given up when a sum was open: the donor is paid all the same.
    let model = stall.training().await;
    stall.sum(model, 1).await;
    let abort = || Market::abortTrainingCall { modelId: id(model) };
    s.refused(&k.stranger, K, abort(), "NotTrainer").await;
    let receipt = s.send(&k.trainer, K, abort()).await;
    let aborted = receipt.event::<Market::TrainingAborted>().unwrap();
    assert_eq!(aborted.depositReturned, U256::from(INSTANT));
    s.send(&k.stranger, K, Market::claimDonorCall { modelId: id(model), donorIndex: 1 }).await;
    s.send(&k.trainer, K, Market::claimCall {}).await;
    assert_eq!(s.balance(key(141).address()).await, INSTANT);

    reads!(s, K; Market::membersCall {}, Market::datasetsCall {}, Market::enclavesCall {}, Market::roundsCall {},
        Market::tokenCall {}, Market::authorityCall {}, Market::eip712DomainCall {}, Market::modelCountCall {},
        Market::ABANDONED_AFTERCall {}, Market::MAX_FEE_BPSCall {}, Market::isConsumingScheduledOpCall {},
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
    let role = histone_ledger::contracts::AccessManager::grantRoleCall {
        roleId: histone_ledger::contracts::manager_roles::PAUSER,
        account: k.pauser.address(),
        executionDelay: 0,
    };
    s.send(&k.founder, histone_ledger::Contract::Manager, role).await;
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    assert!(s.read(K, Market::pausedCall {}).await);
    s.refused(&k.pauser, K, Market::pauseCall {}, "EnforcedPause").await;
    let propose = Market::proposeCall { whitePaperHash: hash(60), t: terms() };
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
    let propose = Market::proposeCall { whitePaperHash: hash(60), t: terms() };
    s.refused(&k.trainer, K, propose, "MissingRole").await;
    let call = Members::setRolesCall { account: k.trainer.address(), roles: roles::TRAINER };
    s.send(&k.founder, M, call).await;
    // The fee of a later model is what is in force then; that of an earlier one never changes.
    s.send(&k.founder, K, fee(0, treasury)).await;
    s.refused(&k.founder, K, fee(0, Address::ZERO), "ZeroAddress").await;
    assert_eq!(s.read(K, Market::modelCall { modelId: id(model) }).await.feeBps, 500);
}
