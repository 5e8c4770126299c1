//! Trainings in one enclave to which all owners bring their data, by daemons and their letters.

use std::sync::OnceLock;

use histone_node::party::Entropy;
use histone_node::run::{Options, run};
use histone_node::study::Study;
use histone_protocol::B256;
use histone_protocol::disclosure::{Release, Source};

use super::gathered::{Gathered, example};
use super::small;
use crate::support::{Silent, block_on};

/// A study whose owners allow one enclave for all data, and whose model goes to these.
fn in_one_enclave(study: Study, release: Release) -> Study {
    let mut study = study.in_one_enclave();
    study.training.disclosure.model = release;
    study.participants.iter_mut().for_each(|p| p.allow_one_enclave = true);
    study
}

/// The same by a method of closed source, which its owners allow.
fn closed(study: Study) -> Study {
    let mut study = in_one_enclave(study, Release::Sealed);
    (study.training.disclosure.source, study.training.disclosure.answers) = (Source::Closed, 10);
    let method = histone_node::programs::measurement(&study.training.method).unwrap();
    study.participants.iter_mut().for_each(|p| p.allow_closed = vec![method]);
    study
}

/// The name of the public model that a run of the bundled study has made.
fn by_run() -> B256 {
    static RUN: OnceLock<B256> = OnceLock::new();
    *RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            out: dir.path().join("run"),
            entropy: Entropy::Seed(3),
            start_time: 1_800_000_000,
            network: None,
            withdrawals: vec![],
            drop_outs: vec![],
        };
        let study = in_one_enclave(example("breast-cancer"), Release::Public);
        // The test that asks has a runtime of its own.
        let ran = std::thread::spawn(move || block_on(run(&study, &options, &mut Silent)).unwrap());
        ran.join().unwrap().model.hash
    })
}

/// Runs a study to its end: it has a model that is served, everybody who takes part is paid, and all questions are answered.
async fn whole(study: Study, seed: u64, again: bool) -> Gathered {
    let mut gathered = Gathered::of(study, seed).await;
    gathered.again = again;
    gathered.run().await;
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    let asked = gathered.study.end_user.queries.len() as u64;
    assert_eq!((model.queries.bought, model.queries.settled), (asked, asked), "{}", gathered.told());
    assert_eq!(model.rounds, 0);
    assert!(model.host.as_ref().is_some_and(|host| host.statement_hash.is_some()));
    gathered.nothing_is_left();
    gathered
}

/// The bundled study in one enclave, whose model everybody sees: the one of a run.
#[tokio::test]
async fn one_enclave_by_daemons() {
    let study = in_one_enclave(example("breast-cancer"), Release::Public);
    let gathered = whole(study, 3, false).await;
    let book = gathered.book().await;
    assert_eq!(book.models.iter().next().unwrap().model_hash, Some(by_run()));
}

#[tokio::test]
async fn one_enclave_with_a_sealed_model() {
    for again in [false, true] {
        whole(in_one_enclave(small::study(), Release::Sealed), 3, again).await;
    }
}

#[tokio::test]
async fn a_closed_method_by_daemons() {
    for again in [false, true] {
        whole(closed(small::study()), 3, again).await;
    }
}
