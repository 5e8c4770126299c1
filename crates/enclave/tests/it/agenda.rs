//! What a training looks like from outside follows from its configuration, and a method that breaks its agenda does not go on.

use std::sync::Arc;

use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining};
use histone_enclave::plan::{plan_of, with_agenda};
use histone_enclave::program::Limits;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::{Ask, Next, Numbers, Segment, Stage};
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::plan::{
    ColumnKind, FORMAT, MissingCells, PlanDocument, PlanFeature, PlanOutcome, PlanPrograms, PlanStage,
};

use crate::support::{artifact, giving, giving_each, load};

fn config() -> Config {
    let kind = Kind::Number { low: 0.0, high: 10.0 };
    Config {
        features: vec![Feature { name: "a".into(), kind, zero_is_missing: false }],
        outcome: Outcome::YesNo { name: "y".into() },
        missing: Missing::Median {},
        holdout: 0.25,
        least: Least::default(),
        values: vec![],
    }
}

fn ask(stage: &str, len: u32) -> Ask {
    let segments = vec![Segment { len, numbers: Numbers::Count { max: 5 } }];
    Ask { stage: stage.into(), question: vec![], segments }
}

#[test]
fn an_agenda_that_no_training_can_follow_is_refused() {
    let told = |agenda: &[Stage]| {
        let method = giving(&agenda.to_vec().to_bytes());
        method.agenda(&config()).map_err(|error| error.to_string())
    };
    let count = |numbers, rounds| Stage { name: "count".into(), numbers, rounds };
    assert_eq!(told(&[count(1 << 20, 1_100)]), Ok(vec![count(1 << 20, 1_100)]));
    for (agenda, why) in [
        (vec![], "it has no stage"),
        (vec![count(1, 1), count(2, 1)], "the stage `count` twice"),
        (vec![count(0, 1)], "its stage `count` has 0 numbers"),
        (vec![count((1 << 20) + 1, 1)], "1 to 1048576 are possible"),
        (vec![count(1, 0)], "its stage `count` has no round"),
        (vec![count(1, 1_101)], "its stages have 1101 rounds; its manifest says 1100 at the most"),
        // Added up in 32 bits they would be few.
        (vec![count(1, u32::MAX), Stage { name: "b".into(), ..count(1, 2) }], "have 4294967297 rounds"),
        (vec![Stage { name: String::new(), ..count(1, 1) }], "is no word"),
        (vec![Stage { name: "a\nb".into(), ..count(1, 1) }], "is no word"),
    ] {
        let error = told(&agenda).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(giving(b"junk").agenda(&config()).is_err());
}

/// What tells of the data by sizes, order or number of rounds.
#[test]
fn to_ask_for_something_else_than_the_agenda_says() {
    let agenda = vec![Stage::new("count", 2, 2), Stage::new("judge", 1, 1)];
    let rounds = |asked: Ask| {
        let method = giving_each(|entry| match entry {
            "agenda" => agenda.to_bytes(),
            "next" => Next::Ask { ask: asked.clone() }.to_bytes(),
            // Two counts of 0.
            "site" => vec![vec![0; 8]; asked.len()].concat(),
            _ => vec![0; 4],
        });
        let mut training = LocalTraining::new(&method, &config()).unwrap();
        let mut made = 0;
        loop {
            match training.step(&[vec![Arc::from(&b""[..])]]) {
                Ok(LocalStep::Round { .. }) => made += 1,
                Ok(LocalStep::Done(_)) => panic!("it never ends by itself"),
                Err(error) => return (made, error.to_string()),
            }
        }
    };
    for (asked, made, why) in [
        (ask("count", 2), 2, "it asks for round 3 of the count stage, its agenda says 2 at the most"),
        (ask("count", 3), 0, "it asks for 3 numbers in the count stage, its agenda says 2"),
        (ask("more", 2), 0, "it asks for the stage `more`, which its agenda does not have"),
        (ask("judge", 1), 1, "it asks for round 2 of the judge stage"),
    ] {
        let (rounds, error) = rounds(asked);
        assert!(rounds == made && error.contains(why), "{rounds} {error}");
    }
}

#[test]
fn a_plan_has_the_agenda_of_its_method() {
    let method = HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap();
    let manifest = method.manifest();
    let settings = manifest.config.iter().map(|s| (s.name.clone(), s.number(s.default).unwrap()));
    let measurement = B256::from(method.program().program().measurement());
    let bare = PlanDocument {
        format: FORMAT.into(),
        method: format!("{} {}", manifest.name, manifest.version),
        features: vec![PlanFeature {
            name: "a".into(),
            kind: ColumnKind::Range([0.0, 10.0]),
            zero_is_missing: false,
        }],
        outcome: PlanOutcome::YesNo("y".into()),
        missing: MissingCells::Median,
        holdout: 0.25,
        settings: settings.collect(),
        agenda: vec![],
        least: 5,
        min_survivors: 2,
        committee_members: 4,
        colluders: 1,
        round_seconds: 60,
        opening_seconds: 60,
        disclosure: Disclosure::public_exact(),
        manifest: histone_enclave::described::manifest_hash(method.program().program()),
        programs: PlanPrograms { validation: measurement, training: measurement, query: measurement },
    };
    let document = with_agenda(bare.clone(), &method).unwrap();
    let plan = plan_of(&document, &method).unwrap();
    let newton = document.agenda.iter().find(|s| s.stage == "newton").unwrap();
    // Gradient, curvature and loss of two weights, in as many rounds as the setting says.
    assert_eq!((newton.numbers, newton.rounds), (2 + 3 + 1, 50));
    assert_eq!(plan.agenda.len(), document.agenda.len());
    // Whom the minimum binds follows from who sees sums.
    assert_eq!(plan.config.least, Least { site: 5, sum: 5 });
    let sealed = PlanDocument { disclosure: Disclosure::sealed(Release::Public), ..document.clone() };
    assert_eq!(plan_of(&sealed, &method).unwrap().config.least, Least { site: 0, sum: 5 });
    let other = |change: &dyn Fn(&mut Vec<PlanStage>)| {
        let mut other = document.clone();
        change(&mut other.agenda);
        plan_of(&other, &method).unwrap_err()
    };
    let refused = [
        plan_of(&bare, &method).unwrap_err(),
        other(&|agenda| agenda[0].numbers += 1),
        other(&|agenda| agenda[1].rounds -= 1),
        other(&|agenda| agenda.swap(0, 1)),
        other(&|agenda| drop(agenda.pop())),
        other(&|agenda| agenda[0].stage.push('s')),
    ];
    for error in refused {
        assert!(error.contains("its agenda is not the one that `logistic` has"), "{error}");
    }
}
