//! Programs: each module has the measurement on the ledger, its source is published, an auditor signed for it.

use std::collections::BTreeSet;

use histone_contracts::{Contract, Programs};
use histone_enclave::program::Program;
use histone_protocol::B256;
use histone_protocol::hash::sha256;
use histone_protocol::program::AuditReport;

use super::Check;
use super::findings::{Findings, count, told};
use super::history::Seen;
use super::run::{Run, kind_of};
use crate::folder::ProgramRecord;

pub(super) fn check(run: &Run) -> Check {
    let mut findings = Findings::new("programs");
    let registered = run.events::<Programs::ProgramRegistered>(Contract::Programs);
    let mut listed = BTreeSet::new();
    for program in &run.record.programs {
        findings.expect(listed.insert(program.measurement), || {
            format!("program `{}` is in run.json twice", program.name)
        });
        match registered.iter().find(|s| s.event.measurement == program.measurement) {
            Some(entry) => one(run, program, entry, &mut findings),
            None => findings.fail(format!(
                "program `{}` with measurement {} is not on the ledger",
                program.name, program.measurement
            )),
        }
    }
    for entry in registered.iter().filter(|s| run.is_whole() && !listed.contains(&s.event.measurement)) {
        findings.fail(format!(
            "the program {} of block {} is not in run.json",
            entry.event.measurement, entry.block
        ));
    }
    let programs = count(listed.len(), "program", "programs");
    findings.check(format!(
        "{programs} admitted and measured again, each with its source and a signed audit, and allowed"
    ))
}

fn one(
    run: &Run,
    program: &ProgramRecord,
    entry: &Seen<Programs::ProgramRegistered>,
    findings: &mut Findings,
) {
    let (name, on_ledger) = (&program.name, &entry.event);
    let of = |what: &str| format!("{what} of program `{name}`");
    if let Some(wasm) = findings.take(run.blob(program.wasm), || of("the module")) {
        findings.expect(sha256(&wasm) == on_ledger.wasmHash, || {
            format!("{} hashes to {}, the ledger has {}", of("the module"), sha256(&wasm), on_ledger.wasmHash)
        });
        let admitted = Program::published(&wasm).map_err(|e| told(&e));
        if let Some(admitted) = findings.take(admitted, || of("the module")) {
            let measured = B256::from(admitted.measurement());
            findings.expect(measured == on_ledger.measurement, || {
                format!("{} measures {measured}, the ledger has {}", of("the module"), on_ledger.measurement)
            });
            findings.expect(admitted.kind() as u8 == on_ledger.kind, || {
                format!(
                    "{} is a {:?} program, the ledger has kind {}",
                    of("the module"),
                    admitted.kind(),
                    on_ledger.kind
                )
            });
        }
    }
    let allowed = run.events::<Programs::ProgramAllowed>(Contract::Programs);
    // Whether it was allowed at the moment when it mattered is asked for each enclave.
    findings.expect(allowed.iter().any(|s| s.event.measurement == program.measurement), || {
        format!("program `{name}` was never allowed by the members")
    });
    if let Some(source) = findings.take(run.blob(program.source), || of("the source")) {
        findings.expect(sha256(&source) == on_ledger.sourceHash, || {
            format!(
                "{} hashes to {}, the ledger has {}",
                of("the source"),
                sha256(&source),
                on_ledger.sourceHash
            )
        });
    }
    let audit = findings.take(run.signed::<AuditReport>(program.audit), || of("the audit"));
    let Some((audit, auditor)) = audit else { return };
    let audits = run.events::<Programs::ProgramAudited>(Contract::Programs);
    let on_record = audits.iter().any(|s| {
        s.event.measurement == program.measurement
            && s.event.auditor == auditor
            && s.event.reportHash == program.audit
    });
    findings.expect(on_record, || {
        format!("{}, signed by `{}`, is not on the ledger", of("the audit"), run.name(auditor))
    });
    let AuditReport { program: audited, kind, source_hash, wasm_hash, measurement, method: _, time: _ } =
        audit;
    let agrees = audited == *name
        && Some(kind) == kind_of(on_ledger.kind)
        && source_hash == on_ledger.sourceHash
        && wasm_hash == on_ledger.wasmHash
        && measurement == on_ledger.measurement;
    findings.expect(agrees, || format!("{} speaks of another program than the ledger", of("the audit")));
}
