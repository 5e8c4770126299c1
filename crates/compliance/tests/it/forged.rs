//! What a forger may try.

#![allow(clippy::unwrap_used)]

use histone_compliance::verify::Outcome;

use crate::support::Copy;

#[test]
fn a_run_holds() {
    let report = Copy::new().verify();
    for check in &report.checks {
        println!("{:14} {:14} {}", check.name, check.outcome, check.detail);
    }
    assert!(report.holds(), "{:#?}", report.first_failure());
    let named = |outcome| {
        report.checks.iter().filter(|c| c.outcome == outcome).map(|c| c.name).collect::<Vec<_>>()
    };
    assert_eq!(
        named(Outcome::Holds),
        [
            "folder", "manifest", "chain", "record", "programs", "enclaves", "datasets", "decisions", "rounds",
            "evaluations", "queries", "money", "result"
        ]
    );
    assert_eq!(named(Outcome::NotCheckable), ["hardware", "rows", "builds", "one history", "comparison"]);
}
