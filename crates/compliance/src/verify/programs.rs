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
    let closed = run.record.programs.iter().filter(|p| p.wasm.is_none()).count();
    let programs = count(listed.len() - closed.min(listed.len()), "program", "programs");
    let mut holds = format!(
        "{programs} admitted and measured again, each with its source and a signed audit, and allowed"
    );
    if closed > 0 {
        holds.push_str(&format!(
            "; {} of CLOSED source with a signed audit, and allowed: that it measures so is the auditor's word, and what it does nobody else can read",
            count(closed, "method", "methods")
        ));
    }
    findings.check(holds)
}

fn one(
    run: &Run,
    program: &ProgramRecord,
    entry: &Seen<Programs::ProgramRegistered>,
    findings: &mut Findings,
) {
    let (name, on_ledger) = (&program.name, &entry.event);
    let of = |what: &str| format!("{what} of program `{name}`");
    // Of a closed method the plan says so, and the auditor's word is all there is.
    let closed = run.is_closed(program.measurement);
    let missing =
        |what: &str| format!("{} is not here, and no plan says that it is of closed source", of(what));
    findings.expect(program.wasm.is_some() || closed, || missing("the module"));
    findings.expect(program.source.is_some() || closed, || missing("the source"));
    let wasm = program.wasm.map(|wasm| run.blob(wasm));
    if let Some(wasm) = wasm.and_then(|wasm| findings.take(wasm, || of("the module"))) {
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
    let source = program.source.map(|source| run.blob(source));
    if let Some(source) = source.and_then(|source| findings.take(source, || of("the source"))) {
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
