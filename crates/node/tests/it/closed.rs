//! Trainings by methods of closed source, and everybody who would read the method, the rows, or more than a sealed model.

mod folder;
mod plans;

use histone_enclave::described::{manifest_hash, published};
use histone_enclave::training::Hosted;
use histone_node::duties::HostDuty;
use histone_node::error::NodeError;
use histone_node::programs::{Methods, PublishedProgram};
use histone_node::runner::{Host, HostTell};
use histone_protocol::B256;
use histone_protocol::consent::{ConsentPolicy, WhitePaper};
use histone_protocol::disclosure::{Disclosure, Place, Release, Source};
use histone_protocol::plan::PlanDocument;
use histone_protocol::program::ProgramKind;

use crate::cast::{self, Cast};
use crate::sealed::sealed_plan;

/// Measurement of the method, which its author shows to an auditor only.
fn method(cast: &Cast) -> B256 {
    cast.loaded.method.program().program().measurement().into()
}

/// The module, as its author has it.
fn module(cast: &Cast) -> PublishedProgram {
    *cast.loaded.all()[1].0
}

/// Owners who allow the bundled method as a closed one. Nobody but its author has it at hand, and public storage has its manifest.
async fn closed_cast(chain_id: u64, allow_closed: Vec<B256>) -> Cast {
    let policy = ConsentPolicy { allow_one_enclave: true, allow_closed, ..cast::policy() };
    let mut cast = Cast::holding(chain_id, 3, policy, &cast::table).await;
    cast.world.methods = Methods::default();
    cast.world.blobs.put(&published(cast.loaded.method.program().program())).unwrap();
    cast
}

/// What measures as the bundled method does.
fn bundled() -> B256 {
    histone_node::programs::measurement("logistic").unwrap()
}

/// A plan that has the method closed.
fn closed_plan(cast: &Cast) -> PlanDocument {
    PlanDocument {
        committee_members: 0,
        colluders: 0,
        round_seconds: 0,
        opening_seconds: 0,
        disclosure: Disclosure {
            place: Place::OneEnclave,
            source: Source::Closed,
            answers: 5,
            ..Disclosure::sealed(Release::Sealed)
        },
        manifest: manifest_hash(cast.loaded.method.program().program()),
        ..cast.document(&sealed_plan(Release::Sealed))
    }
}

/// Proposes a model by this plan. Gives its paper and number.
async fn propose(cast: &Cast, document: &PlanDocument) -> (B256, u64) {
    let disclosure = document.disclosure.clone();
    let paper = WhitePaper { plan: document.hash(), disclosure, ..cast.paper() };
    cast.propose_as(&paper, document, |_| {}).await
}

/// The enclave of a model with its module, named by the trainer.
async fn hosted(cast: &mut Cast, model: u64) -> Host {
    let world = cast.world.clone();
    let waiting = cast.runner.start_waiting_host(model, &world).await.unwrap();
    let enclave = waiting.identity().keys().receipt;
    let sealed = cast.trainer.seal_module(model, enclave, module(cast).wasm, &world).await.unwrap();
    let host = cast.runner.load_host(waiting, &sealed, model, &world).await.unwrap();
    cast.trainer.name_host(model, enclave, &world).await.unwrap();
    host
}

/// One owner's decision, and its data for the enclave.
async fn bring(
    cast: &mut Cast,
    owner: usize,
    (paper, model): (B256, u64),
    host: &mut Host,
) -> Result<u16, NodeError> {
    let world = cast.world.clone();
    let answer = cast.owners[owner].consider(paper, model, &world).await?;
    let permit = answer.permit.ok_or_else(|| NodeError::Message(answer.decision.reasons.join("; ")))?;
    cast.owners[owner].bring(cast::at_price(permit, answer.blob, model), &mut host.enclave, &world).await
}

/// The next thing that the runner owes to do for the enclave, done.
async fn next_duty(cast: &Cast, host: &mut Host) -> Option<Option<HostTell>> {
    let book = cast.world.ledger.current_book().await.unwrap();
    let duty: HostDuty = cast.runner.host_duties(host, &book).into_iter().next()?;
    Some(cast.runner.perform(duty, host, &cast.world).await.unwrap())
}

/// What the enclave says that it has made.
async fn made(cast: &Cast, host: &mut Host) -> Hosted {
    match next_duty(cast, host).await {
        Some(Some(HostTell::Made(made))) => made,
        other => panic!("{other:?}"),
    }
}
