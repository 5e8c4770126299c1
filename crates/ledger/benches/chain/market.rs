//! A market in which a model is served, and transactions for it that are signed beforehand.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use alloy::sol_types::SolCall;
use anyhow::{Context as _, Result};
use histone_contracts::{
    Contract, Datasets, Deployment, Enclaves, Market, Members, Programs, Rounds, TestToken, dataset_id,
    query_id, roles,
};
use histone_ledger::{Connection, Ledger, Settings};
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{
    DonationReceipt, EnclaveRegistration, QueryReceipt, UpdateReceipt, ValidationReceipt, domain, sign,
};

/// Price of a query in the smallest unit of the token.
const PRICE: u64 = 1_000;
/// The first model.
const MODEL: u64 = 1;

/// A key that follows from a name: the benchmark is about speed, nothing here is secret.
fn key(name: &str) -> Result<SigningKey> {
    Ok(SigningKey::from_bytes(&keccak256(name).0)?)
}

/// Sender `number` of the measured transactions.
pub fn sender(number: usize) -> Result<SigningKey> {
    key(&format!("sender {number}"))
}

/// Deploys the contracts, brings one model to the point where its queries are sold, and gives the first `senders`
/// senders tokens, which they let the market take.
pub async fn prepare(connection: Connection, senders: usize) -> Result<Deployment> {
    let founder = key("founder")?;
    let ledger = Ledger::deploy(connection, &founder, &Settings::default()).await?;
    let (trainer, owner, runner) = (key("trainer")?, key("owner")?, key("runner")?);
    let auditor = key("auditor")?;
    // As few members as withstand one who colludes: all of them open a round.
    let mut committee = (1..=4).map(|n| key(&format!("committee {n}"))).collect::<Result<Vec<_>>>()?;
    committee.sort_by_key(SigningKey::address);
    let hash = |name: &str| keccak256(name);
    for (member, roles) in [
        (&trainer, roles::TRAINER),
        (&owner, roles::OWNER),
        (&runner, roles::RUNNER),
        (&auditor, roles::AUDITOR),
    ]
    .into_iter()
    .chain(committee.iter().map(|member| (member, roles::COMMITTEE)))
    {
        let (profile, seal) = (hash("profile"), hash("seal key"));
        let add = Members::addCall { account: member.address(), roles, profile, sealKey: seal };
        ledger.send(&founder, Contract::Members, add).await?;
    }
    for member in &committee {
        // Nobody here reads the proof.
        let prove = Members::proveSealKeyCall { sealKey: hash("seal key"), r: hash("r"), s: hash("s") };
        ledger.send(member, Contract::Members, prove).await?;
    }

    let d = ledger.deployment().clone();
    let time = ledger.time().await?;
    let ten_years = time + 10 * 365 * 24 * 3600;
    for kind in 1..=3 {
        let measurement = hash(&format!("program {kind}"));
        let register =
            Programs::registerCall { measurement, sourceHash: hash("source"), wasmHash: hash("wasm"), kind };
        ledger.send(&trainer, Contract::Programs, register).await?;
        let audit = Programs::auditCall { measurement, reportHash: hash("report") };
        ledger.send(&auditor, Contract::Programs, audit).await?;
        ledger.send(&founder, Contract::Programs, Programs::allowCall { measurement }).await?;
    }
    let enclaves = [
        key("validation enclave")?,
        key("training enclave 1")?,
        key("training enclave 2")?,
        key("query enclave")?,
    ];
    for (kind, enclave) in [1, 2, 2, 3].into_iter().zip(&enclaves) {
        let measurement = hash(&format!("program {kind}"));
        let registration = EnclaveRegistration {
            operator: runner.address(),
            sealKey: hash("seal key"),
            measurement,
            platform: 0,
            evidenceHash: hash("evidence"),
            expiresAt: ten_years,
        };
        let signature = sign(&registration, &domain(d.chain_id, d.address(Contract::Enclaves)), enclave);
        let call = Enclaves::registerCall {
            e: Enclaves::Enclave {
                signer: enclave.address(),
                sealKey: registration.sealKey,
                measurement,
                platform: 0,
                evidenceHash: registration.evidenceHash,
                expiresAt: ten_years,
            },
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&runner, Contract::Enclaves, call).await?;
    }
    let [validation, training @ .., query] = &enclaves;

    for (number, _) in (1..).zip(training) {
        let receipt = ValidationReceipt {
            owner: owner.address(),
            root: hash(&format!("root {number}")),
            reportHash: hash("report"),
            rows: 100,
            quality: 3,
            replaces: B256::ZERO,
        };
        let signature = sign(&receipt, &domain(d.chain_id, d.address(Contract::Datasets)), validation);
        let call = Datasets::registerCall {
            root: receipt.root,
            reportHash: receipt.reportHash,
            policyHash: hash("policy"),
            rows: receipt.rows,
            quality: receipt.quality,
            enclave: validation.address(),
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&owner, Contract::Datasets, call).await?;
    }

    let terms = Market::Terms {
        instantPayment: U256::ZERO.to(),
        queryPrice: U256::from(PRICE).to(),
        donorsBps: 7_000,
        trainerBps: 2_000,
        runnerBps: 1_000,
        minDonors: 2,
        maxDonors: 10,
        queryTimeout: 365 * 24 * 3600,
        minSurvivors: 2,
        colluders: 1,
    };
    let propose =
        Market::proposeCall { whitePaperHash: hash("white paper"), planHash: hash("plan"), t: terms };
    ledger.send(&trainer, Contract::Market, propose).await?;
    let model = U256::from(MODEL);
    for (number, enclave) in (1..).zip(training) {
        let root = hash(&format!("root {number}"));
        let receipt = DonationReceipt {
            modelId: model,
            datasetId: dataset_id(owner.address(), root),
            root,
            payee: key(&format!("payee {number}"))?.address(),
            decision: hash("decision"),
        };
        let signature = sign(&receipt, &domain(d.chain_id, d.address(Contract::Market)), enclave);
        let donate = Market::donateCall {
            modelId: model,
            datasetId: receipt.datasetId,
            payee: receipt.payee,
            decision: receipt.decision,
            enclave: enclave.address(),
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&owner, Contract::Market, donate).await?;
    }
    let start = Market::startTrainingCall {
        modelId: model,
        seats: committee.iter().map(SigningKey::address).collect(),
        sealKeys: committee.iter().map(|_| hash("seal key")).collect(),
    };
    ledger.send(&trainer, Contract::Market, start).await?;

    let deadline = time + 30 * 24 * 3600;
    let open =
        Rounds::openCall { modelId: model, headerHash: hash("header"), deadline, openBy: deadline + 3600 };
    ledger.send(&trainer, Contract::Rounds, open).await?;
    for (donor, enclave) in (1..).zip(training) {
        let receipt = UpdateReceipt {
            modelId: model,
            round: 1,
            headerHash: hash("header"),
            blobHash: hash("update"),
            donorIndex: donor,
        };
        let signature = sign(&receipt, &domain(d.chain_id, d.address(Contract::Rounds)), enclave);
        let anchor = Rounds::anchorCall {
            modelId: model,
            round: 1,
            blobHash: receipt.blobHash,
            donorIndex: donor,
            enclave: enclave.address(),
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&owner, Contract::Rounds, anchor).await?;
    }
    ledger.send(&trainer, Contract::Rounds, Rounds::closeCall { modelId: model, round: 1 }).await?;
    for member in &committee {
        let partial =
            Rounds::postPartialCall { modelId: model, round: 1, attempt: 0, partialHash: hash("partial") };
        ledger.send(member, Contract::Rounds, partial).await?;
    }
    let model_hash = hash("model");
    let finalize =
        Rounds::finalizeCall { modelId: model, round: 1, aggregateHash: hash("sum"), modelHash: model_hash };
    ledger.send(&trainer, Contract::Rounds, finalize).await?;
    let finish = Market::finishTrainingCall { modelId: model, modelHash: model_hash };
    ledger.send(&trainer, Contract::Market, finish).await?;
    let serve = Market::serveCall { modelId: model, queryEnclave: query.address() };
    ledger.send(&trainer, Contract::Market, serve).await?;

    let plenty = U256::from(u128::MAX);
    for number in 0..senders {
        let sender = sender(number)?;
        let mint = TestToken::mintCall { to: sender.address(), amount: plenty >> 40 };
        ledger.send(&founder, Contract::Token, mint).await?;
        let approve = TestToken::approveCall { spender: d.address(Contract::Market), value: U256::MAX };
        ledger.send(&sender, Contract::Token, approve).await?;
    }
    Ok(d)
}

/// Signed transactions of one sender, as hexadecimal text with its prefix, in the order of their nonces.
#[derive(Clone, Default)]
pub struct Signed {
    /// Transfers of one token, each to an account that never had any.
    pub transfers: Vec<String>,
    /// Queries: `buy` and `settle` in turn.
    pub queries: Vec<String>,
}

/// Signs `transfers` transfers and then `queries` queries of sender `number`, who has sent one transaction so far.
pub fn signed(d: &Deployment, number: usize, transfers: usize, queries: usize) -> Result<Signed> {
    let from = sender(number)?;
    let query_enclave = key("query enclave")?;
    let (token, market) = (d.address(Contract::Token), d.address(Contract::Market));
    let domain = domain(d.chain_id, market);
    let mut nonce = 1;
    let mut next = |to: Address, input: Vec<u8>| -> Result<String> {
        let transaction = TxEip1559 {
            chain_id: d.chain_id,
            nonce,
            gas_limit: 200_000,
            to: TxKind::Call(to),
            input: input.into(),
            ..TxEip1559::default()
        };
        nonce += 1;
        let signature = from.sign(transaction.signature_hash());
        let signature = Signature::from_raw(signature.as_slice()).context("a signature of our own")?;
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        Ok(alloy::hex::encode_prefixed(raw))
    };
    let mut signed = Signed::default();
    for i in 0..transfers {
        let to = Address::from_word(keccak256(format!("receiver {number} {i}")));
        signed
            .transfers
            .push(next(token, TestToken::transferCall { to, value: U256::from(1) }.abi_encode())?);
    }
    let model = U256::from(MODEL);
    for i in 0..queries {
        let code = keccak256(format!("code {number} {i}"));
        let buy = Market::buyCall { modelId: model, codeHash: code, enclave: query_enclave.address() };
        signed.queries.push(next(market, buy.abi_encode())?);
        let receipt = QueryReceipt {
            queryId: query_id(from.address(), code),
            modelId: model,
            jobId: B256::from(U256::from(i + 1)),
            outputHash: keccak256(code),
            // As long as a sealed probability.
            answer: vec![1; 56].into(),
        };
        let signature = sign(&receipt, &domain, &query_enclave);
        let settle = Market::settleCall {
            queryId: receipt.queryId,
            jobId: receipt.jobId,
            outputHash: receipt.outputHash,
            answer: receipt.answer,
            signature: signature.as_slice().to_vec().into(),
        };
        signed.queries.push(next(market, settle.abi_encode())?);
    }
    Ok(signed)
}
