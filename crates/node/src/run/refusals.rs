//! The attempts of a run that must fail, and who refuses them.

use histone_attestation::{AppraisalPolicy, Expected, appraise};
use histone_contracts::{Contract, Market, Members, roles};
use histone_enclave::engine::Engine;
use histone_enclave::instance::Instance;
use histone_enclave::program::{Limits, Program};
use histone_enclave::validation;
use histone_protocol::hash::blob_hash;

use super::Observer;
use super::cast::Cast;
use super::outcome::Refusal;
use super::queries::{Served, expect};
use super::story::Recruited;
use crate::daemon::code_of;
use crate::error::NodeError;
use crate::party::Party;
use crate::programs::VALIDATE;
use crate::service::vendor;
use crate::study::Study;
use crate::user::User;

/// Tries what must be refused and records by whom and why. An attempt that succeeds, or fails for another reason, stops
/// the run.
pub(super) async fn try_all(
    study: &Study,
    cast: &Cast,
    recruited: &Recruited,
    served: &mut Served,
    observer: &mut dyn Observer,
) -> Result<Vec<Refusal>, NodeError> {
    let mut refusals = Vec::new();
    let mut refused = |what: &str, by: &str, reason: String| {
        observer.note(&format!("refused by {by}: {what}: {reason}"));
        refusals.push(Refusal { attempt: what.into(), refused_by: by.into(), reason });
    };
    let succeeded = |what: &str| NodeError::Message(format!("this must be refused and was not: {what}"));
    let world = cast.world.clone();

    // 1. A program with one byte changed measures differently, which no auditor has seen.
    let what = "an enclave with a tampered program";
    let runner = cast.daemon(&study.runner)?.node.party.clone();
    let instance = tampered_enclave(cast, &runner, world.ledger.time().await?)?;
    match world.announce_enclave(&instance, &runner.key).await {
        Ok(()) => return Err(succeeded(what)),
        Err(e) => refused(what, "the ledger", expect(e, "NotRegistered")?),
    }
    // 2. The same, presented to an owner as if it ran the audited program.
    let what = "a tampered program presented to an owner";
    let audited = cast.loaded.validation.program().measurement().into();
    let expected = Expected {
        operator: runner.account(),
        keys: instance.keys(),
        platform: instance.platform().code(),
        evidence_hash: blob_hash(instance.evidence()),
        measurement: audited,
        init_data: validation::init_data(),
    };
    let now = world.ledger.time().await?;
    match appraise(instance.evidence(), &expected, &world.appraisal, now) {
        Ok(_) => return Err(succeeded(what)),
        Err(e) => refused(what, "the owner's node", expect(e, "the enclave runs measurement")?),
    }
    // 3. Good evidence that has become too old, and 4. the same evidence where only real hardware counts.
    let good = Expected { measurement: instance.measurement(), ..expected };
    let max_age = world.appraisal.max_age();
    let later = now + max_age + 1;
    match appraise(instance.evidence(), &good, &world.appraisal, later) {
        Ok(_) => return Err(succeeded("expired evidence")),
        Err(e) => refused("expired evidence", "the owner's node", expect(e, "s old, the policy accepts")?),
    }
    match appraise(instance.evidence(), &good, &AppraisalPolicy::production(max_age), now) {
        Ok(_) => return Err(succeeded("SIMULATED evidence in production")),
        Err(e) => {
            let reason = expect(e, "real hardware only")?;
            refused("SIMULATED evidence under a production policy", "the owner's node", reason);
        }
    }

    let Some((wish, row)) = served.last.take() else { return Ok(refusals) };
    let model = recruited.model_id;
    let user_node = &cast.daemon(&study.end_user.name)?.node;
    let mut user = User { party: user_node.party.clone() };
    let enclave = cast.daemon(&study.runner)?.query_enclave(model);
    let enclave = enclave.ok_or_else(|| NodeError::Message("no enclave answers for the model".into()))?;
    let number = code_of(user_node, wish)?;
    let number = number.ok_or_else(|| NodeError::Message("the code of a query is gone".into()))?;
    let used = user.bought(number, model, enclave.instance().keys().receipt, &world).await?;
    let mut stranger = User { party: cast.stranger.party.clone() };
    // 5. A code that was used before.
    let question = user.ask(&used, row.clone(), &world).await?;
    match enclave.answer(&question, &world.ledger).await {
        Ok(_) => return Err(succeeded("a used access code")),
        Err(e) => refused("a used access code", "the query enclave", expect(e, "is used or refunded")?),
    }
    // 6. A code that nobody has paid for.
    let trusted = user.appraise(model, &world).await?;
    let invented = user.invent_code(model, trusted);
    let question = user.ask(&invented, row.clone(), &world).await?;
    match enclave.answer(&question, &world.ledger).await {
        Ok(_) => return Err(succeeded("an unpaid access code")),
        Err(e) => refused("an unpaid access code", "the query enclave", expect(e, "has not bought")?),
    }
    // 7. Another person's code.
    let question = stranger.ask(&used, row, &world).await?;
    match enclave.answer(&question, &world.ledger).await {
        Ok(_) => return Err(succeeded("another user's access code")),
        Err(e) => refused("another user's access code", "the query enclave", expect(e, "has not bought")?),
    }
    // 8. A second settlement of a query that is settled; the receipt does not even matter any more.
    let call = Market::settleCall {
        queryId: used.query_id,
        jobId: blob_hash(b"job"),
        outputHash: blob_hash(b"output"),
        answer: b"output".into(),
        signature: vec![0; 65].into(),
    };
    match world.ledger.send(&runner.key, Contract::Market, call).await {
        Ok(_) => return Err(succeeded("a second settlement")),
        Err(e) => refused("settling a query twice", "the market contract", expect(e, "QueryDone")?),
    }
    // 9. The founder, who gave up all power over members when the first ones were in.
    let what = "the founder admitting a member after the hand-over";
    let call = Members::addCall {
        account: cast.stranger.party.account(),
        roles: roles::OWNER,
        profile: blob_hash(b"stranger"),
        sealKey: cast.stranger.party.seal.public().0,
    };
    match world.ledger.send(&cast.operator().party.key, Contract::Members, call).await {
        Ok(_) => return Err(succeeded(what)),
        Err(e) => refused(what, "the members contract", expect(e, "AccessManagedUnauthorized")?),
    }
    Ok(refusals)
}

/// A validation enclave whose module differs from the audited one in a custom section: the same code, another file.
fn tampered_enclave(cast: &Cast, runner: &Party, now: u64) -> Result<Instance, NodeError> {
    let mut wasm = VALIDATE.wasm.to_vec();
    // Section id 0, length 5, name length 4, `name`: an empty custom section, harmless and still another measurement.
    wasm.extend_from_slice(&[0, 5, 4, b'n', b'a', b'm', b'e']);
    let program = Program::admit(&wasm, Limits::STANDARD).map_err(crate::programs::ProgramError::from)?;
    let loaded =
        Engine::new().and_then(|engine| engine.load(program)).map_err(crate::programs::ProgramError::from)?;
    let operator = &cast.operator().party;
    let device = vendor(operator).make_device(&mut operator.root().rng("device", &[b"tampered"]))?;
    runner.start_enclave(loaded, &device, validation::init_data(), now)
}
