//! Daemons of a whole study in one process, over a network in memory.

mod gathered;

use gathered::Gathered;

/// The bundled study runs by its daemons alone: everybody joins by letter, and the ledger ends with a model that is served.
#[tokio::test]
async fn a_study_runs_by_its_daemons() {
    let mut gathered = Gathered::start("breast-cancer", 1).await;
    gathered.run().await;
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    println!("{}", gathered.told());
    println!("{:?}", model.queries);
}
