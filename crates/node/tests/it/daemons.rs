//! Daemons of a whole study in one process, over a network in memory.

mod clocks;
mod ends;
mod faults;
mod gathered;
mod gave_up;
mod handed_over;
mod histories;
mod hosted;
mod hundred;
mod liars;
#[allow(dead_code)] // another test binary uses all of it
mod life;
mod outcome;
mod renewed;
mod small;
mod updated;
mod withdrawn;

use gathered::{Gathered, sealed};

/// The bundled study runs by its daemons alone: everybody joins by letter, and the ledger ends with a model that is served.
#[tokio::test]
async fn a_study_runs_by_its_daemons() {
    let mut gathered = Gathered::start("breast-cancer", 1).await;
    gathered.run().await;
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    let asked = gathered.study.end_user.queries.len() as u64;
    assert_eq!((model.queries.bought, model.queries.settled), (asked, asked), "{}", gathered.told());
    gathered.nothing_is_left();
}

/// The same with sealed sums and a model that stays sealed: owners' enclaves open sums and hand the key to the runner's.
#[tokio::test]
async fn a_sealed_study_runs_by_its_daemons() {
    let mut study = gathered::example("breast-cancer");
    study.training.disclosure = sealed();
    let mut gathered = Gathered::of(study, 2).await;
    gathered.run().await;
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    let asked = gathered.study.end_user.queries.len() as u64;
    assert_eq!((model.queries.bought, model.queries.settled), (asked, asked), "{}", gathered.told());
    gathered.nothing_is_left();
}

/// A party whose process ends is the same party in the next one: the ledger has each act once, and the model is the same.
#[tokio::test]
async fn processes_that_end_lead_to_the_same_model() {
    let mut ends = Vec::new();
    for again in [false, true] {
        let mut gathered = Gathered::start("breast-cancer", 3).await;
        gathered.again = again;
        gathered.run().await;
        let book = gathered.book().await;
        let model = book.models.iter().next().unwrap();
        assert_eq!(model.state.word(), "serving", "again {again}: {}", gathered.told());
        gathered.nothing_is_left();
        ends.push((model.model_hash, model.rounds, model.donors.len(), book.enclaves.len(), model.queries));
    }
    assert_eq!(ends[0], ends[1]);
}
