//! Plans, owners and enclaves: who refuses what of a closed method.

use histone_enclave::described::published;
use histone_enclave::release::Released;
use histone_node::auditor::{Files, audit_closed};
use histone_node::runner::Runner;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::consent::Verdict;

use super::*;
use crate::cast::{LINEAR, refused};

#[tokio::test]
async fn owners_who_do_not_name_the_method_deny_it() {
    for (chain, allowed, reason) in [
        (1, vec![], "nobody can read the method"),
        (2, vec![B256::repeat_byte(9)], "nobody can read the method"),
        (3, vec![bundled()], ""),
    ] {
        let mut cast = closed_cast(chain, allowed).await;
        let (paper, model) = propose(&cast, &closed_plan(&cast)).await;
        let world = cast.world.clone();
        let answer = cast.owners[0].consider(paper, model, &world).await.unwrap();
        assert_eq!(answer.permit.is_some(), reason.is_empty(), "{:?}", answer.decision.reasons);
        if !reason.is_empty() {
            assert_eq!(answer.decision.verdict, Verdict::Deny);
            let told = answer.decision.reasons.join("; ");
            assert!(told.contains(reason) && told.contains(&bundled().to_string()), "{told}");
        }
    }
}

/// The plan is refused where it is read: by owners before they decide, by the runner before it starts anything.
#[tokio::test]
async fn plans_that_cannot_be_are_refused_where_they_are_read() {
    let mut cast = closed_cast(4, vec![bundled()]).await;
    type Change = fn(&mut PlanDocument);
    let cases: [(Change, &str); 5] = [
        (|plan| plan.disclosure.model = Release::Public, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.model = Release::Participants, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.answers = 0, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.place = Place::EachOwner, "runs in one enclave only"),
        // A manifest that nobody has published.
        (|plan| plan.manifest = B256::repeat_byte(5), ""),
    ];
    for (change, why) in cases {
        let mut document = closed_plan(&cast);
        change(&mut document);
        let (paper, model) = propose(&cast, &document).await;
        let world = cast.world.clone();
        refused(cast.owners[0].consider(paper, model, &world).await, why);
        if !why.is_empty() {
            refused(cast.runner.start_waiting_host(model, &world).await, why);
        }
    }
}

/// A plan may say of a closed method what it likes, and owners cannot look: the enclave does, before it takes any data.
#[tokio::test]
async fn an_enclave_does_not_start_with_another_manifest_or_agenda_than_its_modules() {
    let mut cast = closed_cast(5, vec![bundled()]).await;
    let world = cast.world.clone();
    // The same manifest but for one word: it would let more out.
    let honest = published(cast.loaded.method.program().program());
    let text = String::from_utf8(honest).unwrap();
    let other = text.replace("\"decimals\": 4", "\"decimals\": 6");
    assert_ne!(text, other);
    let manifest = world.blobs.put(other.as_bytes()).unwrap();
    let manifest = PlanDocument { manifest, ..closed_plan(&cast) };
    let mut agenda = closed_plan(&cast);
    agenda.agenda[1].rounds += 1;
    for (document, why) in [
        (manifest, "it names another manifest than `logistic` has"),
        (agenda, "its agenda is not the one that `logistic` has"),
    ] {
        let (paper, model) = propose(&cast, &document).await;
        // An owner cannot see it.
        let answer = cast.owners[0].consider(paper, model, &world).await.unwrap();
        assert!(answer.permit.is_some(), "{:?}", answer.decision.reasons);
        let waiting = cast.runner.start_waiting_host(model, &world).await.unwrap();
        let enclave = waiting.identity().keys().receipt;
        let sealed = cast.trainer.seal_module(model, enclave, module(&cast).wasm, &world).await.unwrap();
        refused(cast.runner.load_host(waiting, &sealed, model, &world).await, why);
        // Nor does it start again with what was kept.
        refused(cast.runner.resume_closed_host(model, enclave, &world).await, why);
    }
}

/// The author seals its module to no enclave that is not the one of the plan, and the enclave takes no other module.
#[tokio::test]
async fn the_module_goes_to_the_enclave_of_its_plan_only() {
    let mut cast = closed_cast(6, vec![bundled()]).await;
    let world = cast.world.clone();
    let (_, model) = propose(&cast, &closed_plan(&cast)).await;
    let (_, second) = propose(&cast, &closed_plan(&cast)).await;
    let one = cast.runner.start_waiting_host(model, &world).await.unwrap();
    let two = cast.runner.start_waiting_host(second, &world).await.unwrap();
    let (first, other) = (one.identity().keys().receipt, two.identity().keys().receipt);
    let wasm = module(&cast).wasm;
    // An enclave that was started for another model, or runs another program.
    refused(cast.trainer.seal_module(model, other, wasm, &world).await, "init-data");
    let validation = cast.validation.instance().keys().receipt;
    refused(cast.trainer.seal_module(model, validation, wasm, &world).await, "");
    // What was sealed to one opens in no other, and another module in none.
    let sealed = cast.trainer.seal_module(second, other, wasm, &world).await.unwrap();
    let again = |cast: &Cast| cast.runner.party.resume_waiting(bundled(), first, one_init(cast, model));
    refused(
        cast.runner.load_host(again(&cast).unwrap(), &sealed, model, &world).await,
        "a sealed message does not open",
    );
    let linear = cast.trainer.seal_module(model, first, LINEAR.wasm, &world).await.unwrap();
    refused(
        cast.runner.load_host(again(&cast).unwrap(), &linear, model, &world).await,
        "measures differently",
    );
    // Nothing of what was refused is kept in the place of a module.
    refused(cast.runner.resume_closed_host(model, first, &world).await, "was not kept");
    let sealed = cast.trainer.seal_module(model, first, wasm, &world).await.unwrap();
    cast.runner.load_host(one, &sealed, model, &world).await.unwrap();
    cast.runner.resume_closed_host(model, first, &world).await.unwrap();
}

fn one_init(cast: &Cast, model: u64) -> B256 {
    histone_enclave::training::init_data(cast.world.ledger.deployment(), model, closed_plan(cast).hash())
}

/// Query modules are open: whoever answers from a model that nobody can read has to be read.
#[tokio::test]
async fn a_closed_query_module_has_no_auditor() {
    let cast = closed_cast(7, vec![bundled()]).await;
    let [_, _, (query, loaded)] = cast.loaded.all();
    let measurement = B256::from(loaded.program().measurement());
    let files = || Files { wasm: query.wasm, source: query.source };
    let about = (query.name, ProgramKind::Query, measurement);
    refused(audit_closed(&cast.auditor, about, files(), &cast.world).await, "only a method");
    // Nor as what it is not.
    let about = (query.name, ProgramKind::Training, measurement);
    refused(audit_closed(&cast.auditor, about, files(), &cast.world).await, "of another kind");
    refused(cast.trainer.register_closed(query, loaded.program(), &cast.world).await, "only a method");
    let method = module(&cast);
    let about = (method.name, ProgramKind::Training, super::method(&cast));
    let files = |wasm| Files { wasm, source: method.source };
    refused(audit_closed(&cast.auditor, about, files(LINEAR.wasm), &cast.world).await, "the registered one");
    // The right one comes as far as the ledger, which has this auditor's word for it.
    let audited = audit_closed(&cast.auditor, about, files(method.wasm), &cast.world).await;
    refused(audited, "AlreadyAudited");
}

/// Whatever a closed method says of the training, of each site, or to whoever asks: nothing but the sealed model comes out.
#[tokio::test]
async fn nothing_but_the_sealed_model_comes_out() {
    let mut cast = closed_cast(8, vec![bundled()]).await;
    let world = cast.world.clone();
    let model @ (_, id) = propose(&cast, &closed_plan(&cast)).await;
    let mut host = hosted(&mut cast, id).await;
    let early = "has not started";
    for owner in 0..3 {
        bring(&mut cast, owner, model, &mut host).await.unwrap();
    }
    refused(host.enclave.train(&world.evidence(), &world.ledger).await, early);
    refused(host.enclave.release(&world.ledger).await, "the training is not finished");
    cast.trainer.start(id, &world).await.unwrap();
    let said = made(&cast, &mut host).await;
    // Before the market has it nothing goes out at all.
    assert!(host.enclave.release(&world.ledger).await.is_err());
    assert!(host.enclave.evaluations(&world.ledger).await.is_err());
    cast.trainer.finish_hosted(&said, &world).await.unwrap();
    let Some(Some(HostTell::Released { document, model: blob, evaluations })) =
        next_duty(&cast, &mut host).await
    else {
        panic!("nothing was released")
    };
    assert_eq!(evaluations, [] as [B256; 0]);
    assert_eq!(host.enclave.evaluations(&world.ledger).await.unwrap(), Vec::<Vec<u8>>::new());
    let released = Released::from_bytes(&world.blobs.get(document).unwrap()).unwrap();
    assert_eq!((released.facts.len(), released.model), (0, blob));
    assert!(Model::from_bytes(&world.blobs.get(blob).unwrap()).is_err(), "the model is under its key");
    // Neither the author nor an owner gets the key.
    for account in [cast.trainer.party.account(), cast.owners[0].account(), cast.runner.party.account()] {
        assert!(host.enclave.share_model(account, &world.ledger).await.is_err());
    }
}

/// The process of the runner ends at every step: the enclave has its keys, its module, the data or what it made of them again.
#[tokio::test]
async fn a_runner_whose_process_ends_goes_on() {
    let mut cast = closed_cast(9, vec![bundled()]).await;
    let world = cast.world.clone();
    let model @ (_, id) = propose(&cast, &closed_plan(&cast)).await;
    // Before the module came: the enclave waits again, with the same keys.
    let waiting = cast.runner.start_waiting_host(id, &world).await.unwrap();
    let enclave = waiting.identity().keys().receipt;
    drop(waiting);
    refused(cast.runner.resume_closed_host(id, enclave, &world).await, "was not kept");
    let waiting = cast.runner.resume_waiting_host(id, enclave, &world).await.unwrap();
    assert_eq!(waiting.identity().keys().receipt, enclave);
    let sealed = cast.trainer.seal_module(id, enclave, module(&cast).wasm, &world).await.unwrap();
    let mut host = cast.runner.load_host(waiting, &sealed, id, &world).await.unwrap();
    cast.trainer.name_host(id, enclave, &world).await.unwrap();
    bring(&mut cast, 0, model, &mut host).await.unwrap();

    // A new process over what the old one kept.
    let restart = async |cast: &mut Cast, host: Host| {
        drop(host);
        if let Some(device) = cast.devices.pop() {
            cast.runner = Runner::new(cast.party_again("runner"), device);
        }
        cast.runner.resume_closed_host(id, enclave, &world).await.unwrap()
    };
    let mut host = restart(&mut cast, host).await;
    for owner in 1..3 {
        bring(&mut cast, owner, model, &mut host).await.unwrap();
    }
    let host = restart(&mut cast, host).await;
    cast.trainer.start(id, &world).await.unwrap();
    let mut host = restart(&mut cast, host).await;
    let said = made(&cast, &mut host).await;
    let mut host = restart(&mut cast, host).await;
    // The same again, from what it kept: the data are destroyed.
    let repeated = made(&cast, &mut host).await;
    assert_eq!(repeated.statement, said.statement);
    cast.trainer.finish_hosted(&repeated, &world).await.unwrap();
    let mut host = restart(&mut cast, host).await;
    // It says once more what it made, and releases it.
    loop {
        match next_duty(&cast, &mut host).await {
            Some(Some(HostTell::Released { evaluations, .. })) => {
                assert_eq!(evaluations, [] as [B256; 0]);
                break;
            }
            Some(_) => {}
            None => panic!("nothing was released"),
        }
    }
}
