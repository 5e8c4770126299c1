//! What a stranger sees of a sealed training follows from plan and cohort, not from what the rows say.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use histone_chain::{Chain, ManualClock};
use histone_contracts::{Contract, Rounds};
use histone_enclave::method::{HostedMethod, Step, Training};
use histone_enclave::reading::rows_of;
use histone_federation::plan::Plan;
use histone_federation::training::no_model;
use histone_genome::table::Table;
use histone_node::committee::shown;
use histone_protocol::disclosure::Release;
use histone_protocol::{B256, U256};
use serde_json::json;

use crate::backend::on_node;
use crate::cast::{Cast, plan, policy, table, with};
use crate::sealed::sealed_plan;

/// Newton rounds that the plan has.
const ROUNDS: f64 = 8.0;

/// The columns of everybody's tables, with another outcome.
fn with_outcome(site: u32, outcome: impl Fn(usize, &[f64]) -> bool) -> Table {
    let table = table(site);
    let mut values = table.values().to_vec();
    for (i, row) in values.chunks_mut(3).enumerate() {
        row[2] = f64::from(u8::from(outcome(i, row)));
    }
    Table::new(table.columns().to_vec(), values).unwrap()
}

/// Nothing to learn: a few steps.
fn easy(site: u32) -> Table {
    with_outcome(site, |i, _| i.is_multiple_of(2))
}

/// Nearly separable: many steps.
fn hard(site: u32) -> Table {
    with_outcome(site, |i, row| (row[0] > 11.0) != (i == 0))
}

/// One column tells the classes apart: no finite weights are best, and the method fails.
fn separable(site: u32) -> Table {
    with_outcome(site, |_, row| row[0] > 11.0)
}

/// How a training over exact sums goes: the stages that it has, and whether it comes to a model.
fn course(method: &HostedMethod, plan: &Plan, table: &dyn Fn(u32) -> Table) -> (Vec<String>, bool) {
    let mut training = Training::start(method.clone(), plan.clone()).unwrap();
    let mut stages = Vec::new();
    loop {
        let ask = training.ask().unwrap().clone();
        stages.push(ask.stage.clone());
        let mut sum = vec![0.0; ask.len()];
        for site in 1..=3 {
            let blocks = rows_of(&table(site), &plan.config).unwrap();
            let values = method.site(&ask, &blocks).unwrap();
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        match training.advance(&[1, 2, 3], &sum) {
            Ok(Step::Next(next)) => training = next,
            Ok(Step::Finished(_)) => return (stages, true),
            Ok(Step::NoModel) | Err(_) => return (stages, false),
        }
    }
}

/// What is seen from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    /// Contract, kind and length of every event, in order.
    events: Vec<(String, String, usize)>,
    /// Of each round: its stage, how many numbers, and the sizes of header, updates, partial sums and agreement.
    rounds: Vec<(String, usize, Vec<usize>)>,
    /// Sizes of all blobs since the beginning of the training, whatever they are.
    blobs: Vec<usize>,
}

fn names_of_blobs(cast: &Cast) -> BTreeSet<String> {
    let files = fs::read_dir(cast.dir.path().join("blobs")).unwrap();
    files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// All events of the chain.
fn events(cast: &Cast) -> Vec<(String, String, usize)> {
    let copy = tempfile::tempdir().unwrap();
    let file = histone_chain::FILE_NAME;
    fs::copy(cast.dir.path().join("ledger").join(file), copy.path().join(file)).unwrap();
    let chain = Chain::open_read_only(copy.path(), Arc::new(ManualClock::new(u64::MAX / 2))).unwrap();
    let head = chain.head().unwrap().header.number;
    let mut events = Vec::new();
    for block in 0..=head {
        let block = format!("{block:#x}");
        let logs = chain.request("eth_getLogs", json!([{ "fromBlock": block, "toBlock": block }])).unwrap();
        for log in logs.as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            events.push((text(&log["address"]), text(&log["topics"][0]), text(&log["data"]).len()));
        }
    }
    events
}

/// A sealed training over these tables, up to the names of its end.
async fn seen(table: &dyn Fn(u32) -> Table, plan: &Plan, release: bool) -> (Seen, B256) {
    let mut cast = Cast::holding(1, 3, policy(), table).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(plan.clone()).await;
    let before = names_of_blobs(&cast);
    while led.asked.is_some() {
        cast.sealed_round(&mut led, &[0, 1, 2]).await;
    }
    if release {
        cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
        for owner in &mut cast.owners {
            owner.release_model(&world).unwrap();
        }
    }
    let size = |hash: B256| world.blobs.get(hash).unwrap().len();
    let mut rounds = Vec::new();
    for number in 1..=led.rounds {
        let id = U256::from(led.id());
        let info = Rounds::roundInfoCall { modelId: id, round: number };
        let info = world.ledger.read(Contract::Rounds, info).await.unwrap();
        let round = shown(id, number, &world).await.unwrap();
        let mut sizes = vec![size(info.headerHash)];
        sizes.extend(round.survivors.iter().map(|(_, blob)| blob.len()));
        sizes.extend(round.partials.iter().map(|blob| blob.len()));
        sizes.push(size(info.aggregateHash));
        let stage = round.header.fields().question.stage().to_string();
        rounds.push((stage, round.header.dimension(), sizes));
    }
    let after = names_of_blobs(&cast);
    let new = after.difference(&before).map(|name| size(name.parse().unwrap()));
    let mut blobs: Vec<usize> = new.collect();
    blobs.sort_unstable();
    (Seen { events: events(&cast), rounds, blobs }, led.names.0)
}

#[tokio::test]
async fn what_shows_is_the_same_whatever_the_rows_say() {
    if on_node() {
        eprintln!("SKIPPED: a node's chain has the events of others");
        return;
    }
    let set = |plan| with(with(plan, "ridge", 0.0), "rounds", ROUNDS);
    let sealed = set(sealed_plan(Release::Sealed));
    let method = Cast::new(2).await.loaded.method;
    // In public, the three differ.
    let open = set(plan(2));
    let newton = |stages: &[String]| stages.iter().filter(|stage| *stage == "newton").count();
    let (of_easy, of_hard, of_none) =
        (course(&method, &open, &easy), course(&method, &open, &hard), course(&method, &open, &separable));
    assert!(of_easy.1 && of_hard.1 && !of_none.1, "{of_easy:?} {of_hard:?} {of_none:?}");
    let steps = (newton(&of_easy.0), newton(&of_hard.0));
    assert!(steps.0 <= 4 && steps.1 >= steps.0 + 3, "{steps:?}");
    assert_ne!(of_none.0.len(), of_hard.0.len());
    // Sealed, they do not, but for whether there is a model.
    let (first, of_first) = seen(&easy, &sealed, true).await;
    let (second, of_second) = seen(&hard, &sealed, true).await;
    let stages: Vec<&str> = first.rounds.iter().map(|(stage, ..)| stage.as_str()).collect();
    let agenda: u32 = sealed.agenda.iter().map(|s| s.rounds).sum();
    assert_eq!(stages.len(), agenda as usize);
    assert_ne!(of_first, of_second, "the models are others");
    assert_eq!(first.rounds, second.rounds);
    assert_eq!(first.events, second.events);
    assert_eq!(first.blobs, second.blobs);
    let (third, none) = seen(&separable, &sealed, false).await;
    assert_eq!(none, B256::from(no_model().state));
    assert_eq!(first.rounds, third.rounds);
    let shared = third.events.len();
    assert_eq!(first.events[..shared], third.events);
    assert_eq!(first.blobs.len(), third.blobs.len() + 2, "release and model");
}
