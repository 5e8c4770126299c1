//! One registered dataset, two models: a dataset has no outcome of its own.

use histone_compliance::verify::{Outcome as Found, Source, verify_model};
use histone_contracts::{Contract, Rounds};
use histone_enclave::method::{LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_federation::plan::Plan;
use histone_node::programs::{Loaded, Methods};
use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use histone_protocol::U256;
use histone_protocol::consent::WhitePaper;
use histone_protocol::disclosure::{Release, Sums};

use crate::cast::{Cast, LEAST, LINEAR, LINEAR_ANSWER, plan, refused, table};
use crate::strangers::left::settle;

/// What is predicted first is a column of the second model, and the other way round. Their rows are not quite the same (the
/// held-out ones, those without an outcome), so that an owner has to allow a second reading.
#[tokio::test]
async fn one_dataset_serves_two_models() {
    let mut cast = Cast::allowing(1, 3, 2).await;
    let mut first = cast.recruit(plan(2)).await;
    cast.train(&mut first).await;
    cast.publish();

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
        least: LEAST,
        values: manifest.config.iter().map(|s| s.number(s.default).unwrap()).collect(),
    };
    let method = cast.loaded.method.program().program().measurement();
    let agenda = cast.loaded.method.agenda(&config).unwrap();
    let plan =
        Plan { method, config, agenda, sums: Sums::PublicExact, model: Release::Public, min_survivors: 2 };
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
    // A stranger checks each of the two by ledger and public storage alone.
    settle(&cast).await;
    cast.publish();
    let ledger = cast.dir.path().join("ledger");
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(ledger.join(histone_chain::FILE_NAME), copy.path().join(histone_chain::FILE_NAME)).unwrap();
    let source = Source::Chain { dir: copy.path().to_owned(), directory: None };
    let blobs = cast.dir.path().join("blobs");
    for number in [1, id] {
        let report = verify_model(&source, &blobs, number, None, &mut |_| {}).await.unwrap();
        assert!(report.holds(), "model {number}: {:?}", report.first_failure());
        let rounds = report.checks.iter().find(|c| c.name == "rounds").unwrap();
        assert_eq!(rounds.outcome, Found::Holds);
    }
    assert!(
        verify_model(&source, &blobs, id + 1, None, &mut |_| {})
            .await
            .unwrap()
            .first_failure()
            .is_some_and(|check| check.name == "model"
                && check.detail.contains("there is no model 3 on this ledger, which has 2"))
    );
    // One update of the second model is gone: the first one holds as before.
    let anchored = cast.world.ledger.events::<Rounds::UpdateAnchored>(Contract::Rounds).await.unwrap();
    let update = anchored.iter().find(|e| e.modelId == U256::from(id)).unwrap().blobHash;
    std::fs::remove_file(blobs.join(update.to_string().trim_start_matches("0x"))).unwrap();
    let failed = async |number| {
        let report = verify_model(&source, &blobs, number, None, &mut |_| {}).await.unwrap();
        report.first_failure().map(|check| (check.name, check.detail.clone()))
    };
    assert_eq!(failed(1).await, None);
    let (name, detail) = failed(id).await.unwrap();
    assert!(name == "rounds" && detail.contains("round 1: the update of donor"), "{name}: {detail}");

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
