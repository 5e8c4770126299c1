//! Every value of the two documents of a sealed training, changed one at a time by its trainer.

use histone_compliance::verify::Outcome;
use histone_enclave::release::Released;
use histone_node::recompute;
use histone_program_sdk::method::{Cell, Fact};
use histone_protocol::B256;
use histone_protocol::agreement::Agreement;
use histone_protocol::disclosure::Release;
use serde_json::{Value, json};

use crate::backend::on_node;
use crate::cast::{Cast, refused};
use crate::sealed::{detail, sealed_plan};
use crate::strangers::left::settle;

/// A document with one value changed, for each of its values, with the way to it; lists also lose and gain an entry.
fn changed(at: &Value, way: &str) -> Vec<(String, Value)> {
    let here = |value: Value| vec![(way.to_string(), value)];
    match at {
        Value::Object(map) => {
            let inside = map.iter().flat_map(|(key, value)| {
                changed(value, &format!("{way}.{key}")).into_iter().map(move |(way, other)| {
                    let mut map = map.clone();
                    map.insert(key.clone(), other);
                    (way, Value::Object(map))
                })
            });
            inside.collect()
        }
        Value::Array(list) => {
            let mut all: Vec<(String, Value)> = Vec::new();
            for (i, value) in list.iter().enumerate() {
                all.extend(changed(value, &format!("{way}[{i}]")).into_iter().map(|(way, other)| {
                    let mut list = list.clone();
                    list[i] = other;
                    (way, Value::Array(list))
                }));
            }
            let more = [&list[..], &[list.last().cloned().unwrap_or(json!(1))]].concat();
            all.extend(here(Value::Array(more)));
            all
        }
        Value::Number(n) => here(json!(n.as_u64().unwrap() + 1)),
        Value::String(text) => {
            let (end, last) = text.char_indices().last().unwrap();
            here(json!(format!("{}{}", &text[..end], if last == '1' { '2' } else { '1' })))
        }
        other => panic!("{other}"),
    }
}

/// The same of a release.
fn changed_release(released: &Released) -> Vec<(String, Released)> {
    let mut all = Vec::new();
    let mut model = released.clone();
    model.model.0[31] ^= 1;
    all.push(("model".to_string(), model));
    let facts = &released.facts;
    let mut with = |way: String, change: &dyn Fn(&mut Vec<Fact>)| {
        let mut released = released.clone();
        change(&mut released.facts);
        all.push((way, released));
    };
    with("facts".into(), &|facts| facts.truncate(facts.len() - 1));
    for (i, fact) in facts.iter().enumerate() {
        let way = &fact.name;
        with(format!("{way}.name"), &|facts| facts[i].name.push('x'));
        with(format!("{way}.says"), &|facts| facts[i].says.push('x'));
        for c in 0..fact.columns.len() {
            with(format!("{way}.columns[{c}]"), &|facts| facts[i].columns[c].push('x'));
        }
        for (r, row) in fact.rows.iter().enumerate() {
            for c in 0..row.len() {
                with(format!("{way}.rows[{r}][{c}]"), &|facts| match &mut facts[i].rows[r][c] {
                    Cell::Number { value } => *value = if value.is_nan() { 0.5 } else { *value + 1.0 },
                    Cell::Text { text } => text.push('x'),
                });
            }
        }
    }
    all
}

#[tokio::test]
async fn every_changed_value_of_agreement_and_release_is_found() {
    if on_node() {
        eprintln!("SKIPPED: the history of a node cannot be forked here");
        return;
    }
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Public)).await;
    let rounds: u32 = led.plan.agenda.iter().map(|s| s.rounds).sum();
    while led.rounds + 1 < rounds {
        cast.sealed_round(&mut led, &[0, 1, 2]).await;
    }
    settle(&cast).await;
    let last = cast.sealed_sum(&mut led, &[0, 1, 2]).await;
    let statements = cast.said(&last, &[0, 1, 2]).await;
    let (document, _) = cast.owners[0].release_model(&world).unwrap();
    let (state, id) = (statements[0].state, led.id());
    let agreement = Agreement::new(statements);
    let text: Value = serde_json::from_slice(&agreement.to_bytes()).unwrap();

    // As the trainer puts it on the ledger; with the state that it says now, where that changed.
    let mut found = Vec::new();
    for (way, other) in changed(&text, "") {
        // The order of keys is part of the encoding; what does not fit any more is written as it is.
        let bytes = match serde_json::from_value::<Agreement>(other.clone()) {
            Ok(agreement) => agreement.to_bytes(),
            Err(_) => serde_json::to_vec(&other).unwrap(),
        };
        assert_ne!(bytes, agreement.to_bytes(), "{way}");
        let hash = world.blobs.put(&bytes).unwrap();
        let (dir, history) = cast.ended_with(&last.header, hash, state).await;
        refused(recompute::check(id, &history).await, &format!("model {id} does not follow"));
        let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
        assert_eq!(outcome, Outcome::Fails, "{way}: {words}");
        assert!(words.contains(&format!("round {rounds}")), "{way}: {words}");
        found.push(way);
    }
    // The format, and of each of three: donor, state, next, a seat more, signature; one statement more.
    assert_eq!(found.len(), 1 + 3 * 5 + 1, "{found:?}");

    // The release has the name that the enclaves have signed, so that another one is none; whoever puts it in place of the right one
    // is found by its hash, and whoever changes the name by the signatures.
    let released = Released::from_bytes(&world.blobs.get(document).unwrap()).unwrap();
    let others = changed_release(&released);
    assert!(others.len() > 20, "{}", others.len());
    let agreed = world.blobs.put(&agreement.to_bytes()).unwrap();
    let (dir, honest) = cast.ended_with(&last.header, agreed, state).await;
    recompute::check(id, &honest).await.unwrap();
    let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
    assert_eq!(outcome, Outcome::Holds, "{words}");
    let path = world.blobs.path(document);
    for (number, (way, other)) in others.iter().enumerate() {
        let bytes = other.to_bytes();
        assert_ne!(B256::from(other.hash()), document, "{way}");
        std::fs::write(&path, &bytes).unwrap();
        let why = "what its enclaves have released is not in public storage, or not what the ledger names";
        refused(recompute::check(id, &honest).await, why);
        // A stranger's whole look takes longer: a sample.
        if number % 16 == 0 {
            let (outcome, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
            assert_eq!(outcome, Outcome::Fails, "{way}: {words}");
            assert!(words.contains("what was released: "), "{way}: {words}");
        }
    }
    std::fs::write(&path, released.to_bytes()).unwrap();
    let renamed = world.blobs.put(&others[0].1.to_bytes()).unwrap();
    let mut named = agreement.clone();
    named.statements.iter_mut().for_each(|s| s.next = renamed);
    let hash = world.blobs.put(&named.to_bytes()).unwrap();
    let (dir, history) = cast.ended_with(&last.header, hash, state).await;
    let why = "the statement of donor 1 is not signed by its enclave for this round";
    refused(recompute::check(id, &history).await, why);
    let (_, words) = detail(&cast.looked_at_in(&dir, id, None).await, "rounds");
    assert!(words.contains(why), "{words}");
}
