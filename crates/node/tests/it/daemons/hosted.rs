//! Trainings in one enclave to which all owners bring their data, by daemons and their letters.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use histone_contracts::book::ModelState;
use histone_contracts::{Contract, Datasets, roles};
use histone_enclave::described::published;
use histone_enclave::program::Program;
use histone_node::daemon::{Daemon, Proposal};
use histone_node::home::Answers;
use histone_node::party::Entropy;
use histone_node::programs::{METHODS, VALIDATE};
use histone_node::recompute;
use histone_node::run::{Options, run};
use histone_node::store::Answer;
use histone_node::study::Study;
use histone_protocol::B256;
use histone_protocol::disclosure::Release;
use histone_protocol::plan::ColumnKind;

use super::gathered::{Gathered, example};
use super::small;
use crate::support::{Silent, block_on};

/// The bundled study in one enclave, whose model everybody sees.
fn bundled() -> Study {
    let mut study = example("breast-cancer").in_one_enclave();
    study.participants.iter_mut().for_each(|p| p.allow_one_enclave = true);
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
        let study = bundled();
        // The test that asks has a runtime of its own.
        let ran = std::thread::spawn(move || block_on(run(&study, &options, &mut Silent)).unwrap());
        ran.join().unwrap().model.hash
    })
}

/// Demands that a study has come to its end: it has a model that is served, and all questions are answered.
async fn is_served(gathered: &Gathered) {
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    let asked = gathered.study.end_user.queries.len() as u64;
    assert_eq!((model.queries.bought, model.queries.settled), (asked, asked), "{}", gathered.told());
    assert_eq!(model.rounds, 0);
    assert!(model.host.as_ref().is_some_and(|host| host.statement_hash.is_some()));
    gathered.nothing_is_left();
    recompute::check(model.model, &gathered.daemons[0].node.world).await.unwrap();
    // Nobody's data is kept any more.
    let runner =
        gathered.daemons.iter().find(|d| d.node.party.account() == model.host.as_ref().unwrap().runner);
    assert_eq!(runner.unwrap().node.party.storage().names("data-").unwrap(), [""; 0]);
}

async fn whole(study: Study, seed: u64, again: bool) -> Gathered {
    let mut gathered = Gathered::of(study, seed).await;
    gathered.again = again;
    gathered.run().await;
    is_served(&gathered).await;
    gathered
}

/// At whose sites the trainer has an evaluation of the model.
fn evaluated(gathered: &Gathered) -> Vec<String> {
    let trainer =
        gathered.daemons.iter().find(|d| d.node.party.name == gathered.study.model.trainer).unwrap();
    let has = |d: &&Daemon| {
        let key = format!("evaluation/1/{:x}", d.node.party.account());
        trainer.node.store.get(&key).unwrap().is_some()
    };
    gathered.daemons.iter().filter(has).map(|d| d.node.party.name.clone()).collect()
}

/// Who has the model in its directory.
fn holders(gathered: &Gathered) -> Vec<String> {
    let has = |d: &&Daemon| d.node.party.recall("model-1.bin").unwrap().is_some();
    gathered.daemons.iter().filter(has).map(|d| d.node.party.name.clone()).collect()
}

/// The bundled study: its model has the name that a run of it gives it.
#[tokio::test]
async fn the_model_of_a_run() {
    let gathered = whole(bundled(), 3, false).await;
    let book = gathered.book().await;
    assert_eq!(book.models.iter().next().unwrap().model_hash, Some(by_run()));
    assert_eq!(evaluated(&gathered).len(), gathered.study.participants.len());
    assert_eq!(holders(&gathered), [""; 0]);
}

/// Daemons that end in turn lead to the same model, for whomever it is.
#[tokio::test]
async fn daemons_that_end_lead_to_the_same_model() {
    for release in [Release::Public, Release::Participants, Release::Sealed] {
        let mut ends = Vec::new();
        for again in [false, true] {
            let gathered = whole(small::hosted_study(release), 3, again).await;
            assert_eq!(evaluated(&gathered), ["north", "west", "south"]);
            let expected: &[&str] = match release {
                Release::Participants => &["north", "west", "south", "institute"],
                _ => &[],
            };
            assert_eq!(holders(&gathered), expected);
            let book = gathered.book().await;
            let model = book.models.iter().next().unwrap();
            let owed: Vec<_> = model.donors.iter().map(|d| (d.dataset, d.owed.0)).collect();
            ends.push((model.model_hash, owed, model.queries, book.enclaves.len()));
        }
        assert_eq!(ends[0], ends[1], "{release:?}");
    }
}

#[tokio::test]
async fn a_closed_method() {
    let gathered = whole(small::closed_study(), 3, true).await;
    // Nothing of what it reports goes out.
    assert_eq!((evaluated(&gathered), holders(&gathered)), (Vec::new(), Vec::new()));
}

/// Whatever leaves a process and whatever is kept in a home: the module is in none of it but sealed.
#[tokio::test]
async fn a_closed_method_is_nowhere_but_sealed() {
    let mut gathered = Gathered::apart(small::closed_study(), 2).await;
    gathered.run().await;
    is_served(&gathered).await;
    let [method, answer] = METHODS[0];
    let published = published(&Program::published(method.wasm).unwrap());
    let public = [answer.wasm, VALIDATE.wasm, &published, answer.source, VALIDATE.source].concat();
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let pieces = |of: &'static [u8]| of.chunks(of.len() / 12).filter_map(|part| part.get(..48));
    let secret: Vec<&[u8]> = pieces(method.wasm).filter(|piece| !holds(&public, piece)).collect();
    assert!(secret.len() >= 6, "{}", secret.len());
    let seen = gathered.seen.lock().unwrap().clone();
    let mut all: Vec<Vec<u8>> = seen.into_values().collect();
    for seat in &gathered.seats {
        files(&seat.home, &mut all);
    }
    let open = all.iter().filter(|bytes| ***bytes == *answer.wasm).count();
    assert!(open > 1, "the control: what is open is found");
    // The source listing of a bundled method is that of what answers for it, which is public.
    assert!(all.iter().all(|bytes| **bytes != *method.wasm));
    for piece in secret {
        assert!(!all.iter().any(|bytes| holds(bytes, piece)), "a piece of the module lies open");
    }
}

fn files(dir: &Path, all: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, all) } else { all.push(fs::read(path).unwrap()) }
    }
}

/// Owners take their data back when it has been brought: before the training begins, or when it has begun.
#[tokio::test]
async fn owners_withdraw_what_they_have_brought() {
    for state in [ModelState::Recruiting, ModelState::Training] {
        for leave in [&["west"][..], &["west", "south"]] {
            let mut gathered = Gathered::of(small::hosted_study(Release::Sealed), 4).await;
            let mut withdrawn = false;
            gathered
                .run_with(async |gathered, _| {
                    let book = gathered.book().await;
                    let now = book.models.iter().any(|m| m.state == state && m.donors.len() == 3);
                    if !now || withdrawn {
                        return;
                    }
                    withdrawn = true;
                    for name in leave {
                        let party = gathered.daemon_of(name).node.party.clone();
                        let data = book.datasets.iter().find(|d| d.owner == party.account()).unwrap();
                        let call = Datasets::withdrawCall { id: data.id };
                        gathered.ledger.send(&party.key, Contract::Datasets, call).await.unwrap();
                    }
                })
                .await;
            assert!(withdrawn);
            let book = gathered.book().await;
            let model = book.models.iter().next().unwrap();
            let when = format!("{state:?} {leave:?}: {}", gathered.told());
            if leave.len() == 1 {
                is_served(&gathered).await;
                assert_eq!(evaluated(&gathered), ["north", "south"], "{when}");
                let paid: Vec<bool> = model.donors.iter().map(|d| !d.owed.0.is_zero()).collect();
                assert_eq!(paid, [true, false, true], "{when}");
                continue;
            }
            let kept = gathered.daemon_of("cloud").node.party.storage().names("data-").unwrap().len();
            match state {
                // Two are needed, and the ledger does not begin with fewer.
                ModelState::Recruiting => {
                    assert_eq!((model.state, kept), (ModelState::Recruiting, 1), "{when}");
                }
                _ => {
                    assert_eq!(kept, 0, "{when}");
                    assert_eq!(model.state, ModelState::Aborted, "{when}");
                    assert_eq!(model.deposit_returned, Some(model.deposit), "{when}");
                }
            }
        }
    }
}

/// The query enclave of another runner's gets the key by letter from who runs the one enclave; and an owner may be that runner.
#[tokio::test]
async fn another_runner_answers() {
    for (hosts, further) in [("cloud", "ethics"), ("north", "institute")] {
        let mut study = small::hosted_study(Release::Sealed);
        study.runner = hosts.into();
        let mut gathered = Gathered::with_roles(study, 5, &[(further, roles::RUNNER)]).await;
        let serves = gathered.daemon_of(further).node.party.account();
        gathered
            .run_with(async |gathered, _| {
                let book = gathered.book().await;
                let training = book.models.iter().find(|m| m.state == ModelState::Training);
                let Some(model) = training else { return };
                // The trainer would have another one answer than the one that it has proposed.
                let store = &gathered.daemon_of("institute").node.store;
                let key = format!("proposal/{:x}", model.white_paper_hash);
                let kept = store.get(&key).unwrap().unwrap();
                let mut proposal: Proposal = serde_json::from_slice(&kept).unwrap();
                proposal.runner = Some(serves);
                store.put(&key, &serde_json::to_vec(&proposal).unwrap()).unwrap();
            })
            .await;
        is_served(&gathered).await;
        let book = gathered.book().await;
        let model = book.models.iter().next().unwrap();
        let serving = book.enclaves.get(&model.servings[0].enclave).unwrap().operator;
        assert_eq!(serving, serves);
        assert_ne!(model.host.as_ref().unwrap().runner, serves);
    }
}

/// Whoever is asked to run the enclave and does not says so, and the trainer's people read it.
#[tokio::test]
async fn a_runner_declines() {
    let mut gathered = Gathered::of(small::hosted_study(Release::Sealed), 6).await;
    let place = gathered.place_of("cloud");
    gathered.daemons[place].node.answers = Answers::Ask;
    gathered.run().await;
    // It is asked about everything else before; nothing of that is said no to.
    let store = gathered.daemons[place].node.store.clone();
    let question = store.questions(true).unwrap().into_iter().find(|q| q.question.kind == "host").unwrap();
    let no = Answer { yes: false, because: "no room".into(), by: "a person".into() };
    store.answer(question.number, &no, gathered.now).unwrap();
    gathered.run().await;
    let told = gathered.told();
    assert!(told.contains("does not run the one enclave for model 1: no room"), "{told}");
    let book = gathered.book().await;
    assert_eq!(book.models.iter().next().unwrap().state, ModelState::Recruiting);
    assert_eq!(book.models.iter().next().unwrap().host, None);
}

/// A plan that does not fit the values: the one enclave takes nobody's data, and each owner counts it, wherever it was found.
#[tokio::test]
async fn data_that_does_not_fit_is_not_taken_and_is_counted() {
    let mut study = small::hosted_study(Release::Sealed);
    study.table.kinds[0] = ColumnKind::Range([0.0, 1.0]);
    let mut gathered = Gathered::of(study, 7).await;
    gathered.again = true;
    gathered.run().await;
    let told = gathered.told();
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!((model.state, model.donors.len()), (ModelState::Recruiting, 0), "{told}");
    for name in ["north", "west", "south"] {
        let node = &gathered.daemon_of(name).node;
        assert_eq!(node.party.count("misfits").unwrap(), 1, "{told}");
        let account = node.party.account();
        let declined = format!("declined/1/{account:x}");
        assert!(gathered.daemon_of("institute").node.store.get(&declined).unwrap().is_some(), "{told}");
    }
    let runner = gathered.daemon_of("cloud");
    assert_eq!(runner.node.party.storage().names("data-").unwrap(), [""; 0]);
    assert!(gathered.daemons.iter().all(|d| d.stumbles().is_empty()), "{told}");
}
