//! What the tests share.

use std::path::Path;
use std::sync::OnceLock;

use histone_enclave::engine::{Engine, LoadedProgram, Output, RunError};
use histone_enclave::method::HostedMethod;
use histone_enclave::program::{Limits, Program};

/// Small limits, so that a run against them ends soon.
pub const SMALL: Limits =
    Limits { memory_bytes: 4 << 20, fuel: 10_000_000, input_bytes: 1 << 20, output_bytes: 1 << 10 };

/// The committed module of a program.
pub fn artifact(name: &str) -> Vec<u8> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs/artifacts").join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The committed validation program, compiled once for all tests.
pub fn committed() -> &'static LoadedProgram {
    static LOADED: OnceLock<LoadedProgram> = OnceLock::new();
    LOADED.get_or_init(|| load(&artifact("validate"), Limits::STANDARD))
}

/// Admits and compiles.
pub fn load(wasm: &[u8], limits: Limits) -> LoadedProgram {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new().unwrap());
    engine.load(Program::admit(wasm, limits).unwrap()).unwrap()
}

/// A validation program around a body, with the imports and 64 pages at the most.
pub fn module(body: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
            (import "histone" "input_len" (func $input_len (param i32) (result i32)))
            (import "histone" "input_read" (func $input_read (param i32 i32 i32 i32)))
            (import "histone" "output_emit" (func $output_emit (param i32 i32)))
            (import "histone" "explain" (func $explain (param i32 i32)))
            (import "histone" "abort" (func $abort (param i32)))
            (memory (export "memory") 1 64)
            {body})"#
    ))
    .unwrap()
}

/// Runs the body of an entry `validate` on an input, with the small limits, as its owner sees it.
pub fn run(body: &str, input: &[u8]) -> Result<Output, RunError> {
    as_owner(&load(&module(&format!(r#"(func (export "validate") {body})"#)), SMALL), input)
}

/// Runs a program of one entry as the owner of its input sees it.
pub fn as_owner(program: &LoadedProgram, input: &[u8]) -> Result<Output, RunError> {
    program.call_for_owner(program.program().entries()[0], input, &[]).map_err(|error| error.0)
}

/// A method written as text: its halves, and its manifest.
pub fn text(entries: &str, manifest: Option<&str>) -> Vec<u8> {
    let quoted = manifest.map(|m| m.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "));
    let section = quoted.map_or_else(String::new, |m| format!(r#"(@custom "histone.manifest" "{m}")"#));
    wat::parse_str(format!(
        r#"(module
            (import "histone" "input_len" (func $input_len (param i32) (result i32)))
            (import "histone" "output_emit" (func $output_emit (param i32 i32)))
            (memory (export "memory") 1 64)
            (data (i32.const 0) "\01\00\00\00\00\00")
            {entries} {section})"#
    ))
    .unwrap()
}

/// The entries of a method.
const HALVES: [&str; 6] = ["agenda", "begin", "next", "advance", "site", "report"];

/// All entries, each with its body.
pub fn all(body: impl Fn(&str) -> String) -> String {
    HALVES.map(|name| format!(r#"(func (export "{name}") {})"#, body(name))).concat()
}

/// A method of which every entry gives these bytes.
pub fn giving(bytes: &[u8]) -> HostedMethod {
    giving_each(|_| bytes.into())
}

/// A method of which each entry gives its own bytes.
pub fn giving_each(bytes: impl Fn(&str) -> Vec<u8>) -> HostedMethod {
    let place = |entry: &str| 64 + 8192 * HALVES.iter().position(|name| *name == entry).unwrap();
    let data = |entry: &str| {
        let bytes: String = bytes(entry).iter().map(|b| format!("\\{b:02x}")).collect();
        format!("(data (i32.const {}) \"{bytes}\")", place(entry))
    };
    let body = |entry: &str| {
        format!("(call $output_emit (i32.const {}) (i32.const {}))", place(entry), bytes(entry).len())
    };
    let module = text(&(HALVES.map(data).concat() + &all(body)), Some(histone_program_logistic::MANIFEST));
    HostedMethod::new(load(&module, Limits::METHOD)).unwrap()
}
