//! One registered dataset, two models: a dataset has no outcome of its own.

use histone_enclave::method::{LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_federation::plan::Plan;
use histone_node::programs::{Loaded, Methods};
use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use histone_protocol::consent::WhitePaper;

use crate::cast::{Cast, LINEAR, LINEAR_ANSWER, plan, refused, table};

/// What is predicted first is a column of the second model, and the other way round. Their rows are not quite the same (the
/// held-out ones, those without an outcome), so that an owner has to allow a second reading.
#[tokio::test]
async fn one_dataset_serves_two_models() {
    let mut cast = Cast::allowing(1, 3, 2).await;
    let mut first = cast.recruit(plan(2)).await;
    cast.train(&mut first).await;

    let linear = Loaded::bundled("linear").unwrap();
    cast.allow(&LINEAR, linear.method.program()).await;
    cast.allow(&LINEAR_ANSWER, &linear.query).await;
    cast.world.methods = Methods::of([cast.loaded.method.clone(), linear.method.clone()]);
    cast.loaded = linear;
    let manifest = cast.loaded.method.manifest();
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let config = Config {
        features: vec![
            feature("y", Kind::Category { levels: vec!["no".into(), "yes".into()] }),
            feature("a", Kind::Number { low: 0.0, high: 23.0 }),
        ],
        outcome: Outcome::Number { name: "b".into(), low: 0.0, high: 23.0 },
        missing: Missing::Mean {},
        holdout: 0.0,
        values: manifest.config.iter().map(|s| s.number(s.default).unwrap()).collect(),
    };
    let method = cast.loaded.method.program().program().measurement();
    let plan = Plan { method, config, min_survivors: 2 };
    let paper = |document: &histone_protocol::plan::PlanDocument, cast: &Cast| WhitePaper {
        plan: document.hash(),
        features: document.features.iter().map(|f| f.name.clone()).collect(),
        label: document.outcome.name().into(),
        ..cast.paper()
    };
    let document = cast.document(&plan);
    let (blob, id) = cast.propose_as(&paper(&document, &cast), &document, |_| {}).await;
    for owner in 0..3 {
        cast.donate(owner, blob, id).await.unwrap();
    }
    let mut second = cast.begin(id, plan.clone()).await;
    let finished = cast.train(&mut second).await;

    let sites: Vec<_> = (1..=3).map(|site| rows_of(&table(site), &plan.config).unwrap()).collect();
    let mut pooled = LocalTraining::new(&cast.loaded.method, &plan.config).unwrap();
    let done = loop {
        if let LocalStep::Done(done) = pooled.step(&sites).unwrap() {
            break done;
        }
    };
    assert_eq!(finished.model.arrays.len(), done.model.arrays.len());
    for (federated, pooled) in finished.model.arrays.iter().zip(&done.model.arrays) {
        for (f, p) in federated.values.iter().zip(&pooled.values) {
            assert!((f - p).abs() <= 1e-9 * p.abs().max(1.0), "{}: {f} {p}", federated.name);
        }
    }
    // A third reading was not allowed.
    let mut third = plan;
    third.config.holdout = 0.25;
    let document = cast.document(&third);
    let (blob, id) = cast.propose_as(&paper(&document, &cast), &document, |_| {}).await;
    refused(cast.donate(0, blob, id).await, "Your policy allows 2");
}

/// A plan that asks for what the dataset has not is declined by each owner, with a decision; nothing is released.
#[tokio::test]
async fn a_plan_for_other_columns_is_declined() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let kinds: [(&str, Kind); 3] = [
        ("weight", Kind::Number { low: 0.0, high: 200.0 }),
        ("y", Kind::Number { low: 0.0, high: 1.0 }),
        ("a", Kind::Category { levels: vec!["low".into(), "high".into()] }),
    ];
    for (name, kind) in kinds {
        let mut other = plan(2);
        other.config.features[0] = Feature { name: name.into(), kind, zero_is_missing: false };
        let document = cast.document(&other);
        let paper =
            WhitePaper { plan: document.hash(), features: vec![name.into(), "b".into()], ..cast.paper() };
        let (blob, id) = cast.propose_as(&paper, &document, |_| {}).await;
        match cast.owners[0].consider(blob, id, &world).await {
            Ok(answer) => assert!(answer.permit.is_none() && answer.decision.reasons.len() == 1, "{name}"),
            // Numbers only.
            Err(e) => panic!("{name}: {e}"),
        }
    }
}
