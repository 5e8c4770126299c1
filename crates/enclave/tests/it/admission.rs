//! Which modules are let in, and what the others are told.

use histone_enclave::program::{AdmissionError, Limits, MAX_MODULE_BYTES, Program};
use histone_protocol::program::ProgramKind;

use crate::support::{SMALL, artifact, module};

fn admit(text: &str) -> Result<Program, AdmissionError> {
    Program::admit(&wat::parse_str(text).unwrap(), SMALL)
}

/// The message, with its cause, of a module that must be refused.
#[track_caller]
fn refused(text: &str, want: &str) {
    let error = admit(text).unwrap_err();
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(&error) {
        message = format!("{message}: {cause}");
    }
    assert!(message.contains(want), "{message}");
}

const ENTRY: &str = r#"(func (export "validate"))"#;
const MEMORY: &str = r#"(memory (export "memory") 1 2)"#;

#[test]
fn the_committed_programs_are_admitted() {
    for (name, kind) in [
        ("validate", ProgramKind::Validation),
        ("logistic", ProgramKind::Training),
        ("logistic-answer", ProgramKind::Query),
    ] {
        let program = Program::admit(&artifact(name), Limits::METHOD).unwrap();
        assert_eq!(program.kind(), kind);
    }
}

#[test]
fn the_smallest_program_is_admitted() {
    assert_eq!(admit(&format!("(module {MEMORY} {ENTRY})")).unwrap().kind(), ProgramKind::Validation);
}

#[test]
fn imports_are_the_hosts_own() {
    let with = |import: &str| format!("(module {import} {MEMORY} {ENTRY})");
    refused(
        &with(r#"(import "wasi_snapshot_preview1" "fd_write" (func))"#),
        "`wasi_snapshot_preview1.fd_write`",
    );
    refused(&with(r#"(import "histone" "clock" (func (result i64)))"#), "`histone.clock` is not offered");
    refused(&with(r#"(import "env" "abort" (func (param i32)))"#), "`env.abort` is not offered");
    refused(&with(r#"(import "histone" "abort" (global i32))"#), "`histone.abort` is not offered");
    refused(&with(r#"(import "histone" "abort" (func))"#), "another signature");
    refused(&with(r#"(import "histone" "input_len" (func (result i64)))"#), "another signature");
    let twice = r#"(import "histone" "abort" (func (param i32)))"#;
    refused(&with(&format!("{twice} {twice}")), "declared twice");
    refused(&format!(r#"(module (import "histone" "memory" (memory 1 2)) {ENTRY})"#), "not offered");
}

#[test]
fn exports_are_memory_and_one_entry() {
    refused(&format!("(module {MEMORY})"), "has the entries []");
    refused(
        &format!(r#"(module {MEMORY} {ENTRY} (func (export "answer")))"#),
        "has the entries [answer, validate]",
    );
    refused(&format!(r#"(module {MEMORY} {ENTRY} (func (export "debug")))"#), "`debug` is not expected");
    refused(&format!(r#"(module {MEMORY} (func (export "validate") (param i32)))"#), "take nothing");
    refused(
        &format!(r#"(module {MEMORY} (func (export "validate") (result i32) i32.const 1))"#),
        "take nothing",
    );
    refused(
        &format!(r#"(module {MEMORY} (global (export "validate") i32 (i32.const 1)))"#),
        "`validate` is not expected",
    );
    refused(&format!("(module (memory 1 2) {ENTRY})"), "export it as `memory`");
    let global = |g: &str| format!("(module {MEMORY} {ENTRY} {g})");
    assert!(admit(&global(r#"(global (export "__heap_base") i32 (i32.const 1024))"#)).is_ok());
    refused(
        &global(r#"(global (export "__heap_base") (mut i32) (i32.const 1024))"#),
        "`__heap_base` is not expected",
    );
    refused(&global(r#"(global (export "other") i32 (i32.const 1024))"#), "`other` is not expected");
}

#[test]
fn memory_has_a_maximum_within_the_limits() {
    refused(&format!(r#"(module (memory (export "memory") 1) {ENTRY})"#), "no maximum");
    refused(&format!(r#"(module (memory (export "memory") 1 65) {ENTRY})"#), "may grow to 4259840 bytes");
    assert!(admit(&format!(r#"(module (memory (export "memory") 1 64) {ENTRY})"#)).is_ok());
    refused(&format!("(module {ENTRY})"), "must define one memory");
    refused(&format!(r#"(module (memory (export "memory") 1 2) (memory 1 2) {ENTRY})"#), "not valid");
    refused(&format!(r#"(module (memory (export "memory") i64 1 2) {ENTRY})"#), "not valid");
    refused(&format!(r#"(module (memory (export "memory") 1 2 shared) {ENTRY})"#), "not valid");
}

#[test]
fn nothing_runs_before_the_entry() {
    refused(&format!("(module {MEMORY} {ENTRY} (func $f) (start $f))"), "start section");
}

#[test]
fn features_are_closed() {
    let body = |body: &str| format!(r#"(module {MEMORY} {ENTRY} (func (result f64) {body}))"#);
    assert!(admit(&body("(f64x2.extract_lane 0 (f64x2.splat (f64.const 1)))")).is_ok());
    let relaxed = "(f64x2.extract_lane 0 (f64x2.relaxed_madd (f64x2.splat (f64.const 1)) (f64x2.splat (f64.const 1)) (f64x2.splat (f64.const 1))))";
    refused(&body(relaxed), "relaxed");
    refused(&format!(r#"(module {MEMORY} (func $f (export "validate") return_call $f))"#), "tail calls");
    refused(&format!(r#"(module {MEMORY} {ENTRY} (func (param externref)))"#), "reference types");
    refused(&format!(r#"(module {MEMORY} {ENTRY} (data "passive"))"#), "bulk-memory");
    refused(&format!(r#"(module {MEMORY} {ENTRY} (tag))"#), "not valid");
    refused(&format!("(module {MEMORY} {ENTRY} (table 10001 funcref))"), "table of 10001 entries");
    refused(&format!(r#"(module {MEMORY} {ENTRY} (@custom "notes" "free text"))"#), "custom section `notes`");
}

#[test]
fn bytes_that_are_no_module_are_refused() {
    assert!(matches!(Program::admit(b"", SMALL), Err(AdmissionError::Invalid(_))));
    assert!(matches!(Program::admit(b"\0asm\x0d\0\x01\0", SMALL), Err(AdmissionError::Invalid(_))));
    let large = vec![0; MAX_MODULE_BYTES + 1];
    assert!(matches!(Program::admit(&large, SMALL), Err(AdmissionError::TooLarge { .. })));
    let wasm = artifact("validate");
    for cut in (0..wasm.len()).step_by(97) {
        assert!(Program::admit(&wasm[..cut], Limits::STANDARD).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_measurement_covers_module_limits_and_imports() {
    let of = |wasm: &[u8], limits| Program::admit(wasm, limits).unwrap().measurement();
    let one = module(r#"(func (export "validate") (drop (i32.const 1)))"#);
    let other = module(r#"(func (export "validate") (drop (i32.const 2)))"#);
    assert_eq!(one.iter().zip(&other).filter(|(a, b)| a != b).count(), 1, "the modules differ in one byte");
    let base = of(&one, SMALL);
    assert_eq!(base, of(&one, SMALL));
    assert_ne!(base, of(&other, SMALL));
    for limits in [
        Limits { memory_bytes: SMALL.memory_bytes + 1, ..SMALL },
        Limits { fuel: SMALL.fuel + 1, ..SMALL },
        Limits { input_bytes: SMALL.input_bytes + 1, ..SMALL },
        Limits { output_bytes: SMALL.output_bytes + 1, ..SMALL },
    ] {
        assert_ne!(base, of(&one, limits));
    }
}

#[test]
fn one_changed_byte_of_a_committed_program_is_another_program() {
    let wasm = artifact("validate");
    let base = Program::admit(&wasm, Limits::STANDARD).unwrap();
    let mut still_valid = 0;
    for i in (0..wasm.len()).step_by(53) {
        let mut changed = wasm.clone();
        changed[i] ^= 1;
        if let Ok(program) = Program::admit(&changed, Limits::STANDARD) {
            still_valid += 1;
            assert_ne!(program.measurement(), base.measurement());
            assert_ne!(program.wasm_hash(), base.wasm_hash());
        }
    }
    assert!(still_valid > 10, "only {still_valid} changes gave a valid module: the test shows nothing");
}
