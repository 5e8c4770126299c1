//! Programs that do not keep to the rules while they run.

use histone_enclave::engine::{Budget, Engine, RunError, TrapKind};
use histone_enclave::program::{Limits, Program};

use crate::support::{SMALL, as_owner, load, module, run};

#[test]
fn a_run_reads_its_input_and_writes_its_output() {
    let echo =
        "(call $input_read (i32.const 0) (i32.const 100) (i32.const 0) (call $input_len (i32.const 0)))
                (call $output_emit (i32.const 100) (call $input_len (i32.const 0)))";
    assert_eq!(run(echo, b"same").unwrap().bytes, b"same");
    assert_eq!(run(echo, b"").unwrap().bytes, b"");
}

#[test]
fn endless_loops_run_out_of_fuel() {
    let out_of_fuel = Err(RunError::OutOfFuel { fuel: SMALL.fuel });
    assert_eq!(run("(loop $l (br $l))", b""), out_of_fuel);
    // Neither bulk instructions nor host calls are a way to work without fuel.
    let fill = "(drop (memory.grow (i32.const 60)))
                (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 3900000)) (br $l))";
    assert_eq!(run(fill, b""), out_of_fuel);
    let read = "(drop (memory.grow (i32.const 60)))
                (loop $l (call $input_read (i32.const 0) (i32.const 0) (i32.const 0) (call $input_len (i32.const 0))) (br $l))";
    assert_eq!(run(read, &[0; 1 << 20]), out_of_fuel);
    assert_eq!(run("(loop $l (drop (call $input_len (i32.const 0))) (br $l))", b""), out_of_fuel);
}

#[test]
fn memory_stops_at_its_maximum() {
    let limit = Err(RunError::MemoryLimit { limit: SMALL.memory_bytes });
    assert_eq!(run("(drop (memory.grow (i32.const 64)))", b""), limit);
    assert_eq!(run("(loop $l (drop (memory.grow (i32.const 1))) (br $l))", b""), limit);
    assert_eq!(run("(drop (memory.grow (i32.const 63)))", b""), Err(RunError::NoOutput));
}

#[test]
fn output_comes_in_pieces_and_is_bounded_in_all() {
    let emit = "(call $output_emit (i32.const 0) (i32.const 8))";
    assert_eq!(run(emit, b"").unwrap().bytes, [0; 8]);
    assert_eq!(run("", b""), Err(RunError::NoOutput));
    assert_eq!(run(&format!("{emit} {emit}"), b"").unwrap().bytes, [0; 16]);
    let limit = SMALL.output_bytes;
    assert_eq!(
        run("(call $output_emit (i32.const 0) (i32.const 1025))", b""),
        Err(RunError::OutputTooLarge { bytes: 1025, limit })
    );
    assert_eq!(run("(call $output_emit (i32.const 0) (i32.const 1024))", b"").unwrap().bytes.len(), 1024);
    let pieces = format!("(loop $l {emit} (br $l))");
    assert_eq!(run(&pieces, b""), Err(RunError::OutputTooLarge { bytes: 1032, limit }));
}

#[test]
fn an_output_before_a_failure_is_lost() {
    let emit = "(call $output_emit (i32.const 0) (i32.const 8))";
    assert_eq!(run(&format!("{emit} unreachable"), b""), Err(RunError::Trap(TrapKind::Unreachable)));
    assert_eq!(run(&format!("{emit} (call $abort (i32.const 9))"), b""), Err(RunError::Aborted(9)));
    assert_eq!(run(&format!("{emit} (loop $l (br $l))"), b""), Err(RunError::OutOfFuel { fuel: SMALL.fuel }));
}

#[test]
fn ranges_are_checked() {
    for (body, call) in [
        ("(call $input_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 5))", "input_read"),
        ("(call $input_read (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0))", "input_read"),
        ("(call $input_read (i32.const 0) (i32.const 65533) (i32.const 0) (i32.const 4))", "input_read"),
        ("(call $input_read (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 4))", "input_read"),
        ("(call $output_emit (i32.const 65533) (i32.const 4))", "output_emit"),
        ("(call $output_emit (i32.const -1) (i32.const 4))", "output_emit"),
    ] {
        assert_eq!(run(body, b"four"), Err(RunError::BadRange { call }), "{body}");
    }
    // A negative length is a huge one, and a huge copy has its price before its range is looked at.
    let huge = "(call $input_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))";
    assert_eq!(run(huge, b"four"), Err(RunError::OutOfFuel { fuel: SMALL.fuel }));
}

#[test]
fn channels_are_those_of_the_entry_and_words_are_for_what_is_public() {
    let other = "(drop (call $input_len (i32.const 1)))";
    assert_eq!(run(other, b""), Err(RunError::Channel { entry: "validate", channel: 1, channels: 1 }));
    let words = "(call $explain (i32.const 0) (i32.const 8)) (call $abort (i32.const 3))";
    assert_eq!(run(words, b""), Err(RunError::Words { entry: "validate" }));
    let program = load(&module(r#"(func (export "validate"))"#), SMALL);
    assert_eq!(program.call("site", b"", &[]), Err(RunError::NoEntry { entry: "site" }));
}

/// A module tells 32 bits of a row by how its call fails: whoever is not the owner sees one error, whatever it does.
#[test]
fn to_tell_of_a_row_by_the_way_a_call_fails() {
    let told = |body: &str| {
        let program = load(&module(&format!(r#"(func (export "validate") {body})"#)), SMALL);
        program.run(b"a row of somebody").unwrap_err()
    };
    for body in [
        "(call $abort (i32.const 1))",
        "(call $abort (i32.const 123456789))",
        "(drop (call $input_len (i32.const 123456789)))",
        "(call $output_emit (i32.const 0) (i32.const 1234567))",
        "(call $input_read (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 4))",
        "(call $explain (i32.const 0) (i32.const 8))",
        "(drop (memory.grow (i32.const 64)))",
        "(loop $l (br $l))",
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
        "unreachable",
        "",
    ] {
        assert_eq!(told(body), RunError::Withheld, "{body}");
    }
    let large = load(&module(r#"(func (export "validate"))"#), SMALL);
    assert_eq!(large.run(&vec![0; 1 + (1 << 20)]), Err(RunError::Withheld));
}

/// Fuel for hours, and nothing to do with it: the clock ends the call.
#[test]
fn to_keep_a_host_busy_within_its_fuel() {
    let endless = module(r#"(func (export "validate") (loop $l (br $l)))"#);
    let limits = Limits { fuel: u64::MAX >> 1, ..SMALL };
    let engine = Engine::with_seconds(1).unwrap();
    let program = engine.load(Program::admit(&endless, limits).unwrap()).unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(as_owner(&program, b""), Err(RunError::OutOfTime { seconds: 1 }));
    assert!(begun.elapsed().as_secs() < 60);
}

/// Each call ends in time, and there is one more.
#[test]
fn to_keep_a_reader_busy_with_many_calls() {
    let endless = module(r#"(func (export "validate") (loop $l (br $l)))"#);
    let limits = Limits { fuel: u64::MAX >> 1, ..SMALL };
    let engine = Engine::with_seconds(3).unwrap();
    let program = engine.load(Program::admit(&endless, limits).unwrap()).unwrap();
    let program = program.within(Budget::of_seconds(1));
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(as_owner(&program, b""), Err(RunError::OutOfBudget { seconds: 1 }));
    }
    assert!(begun.elapsed().as_secs() < 60);
}

#[test]
fn traps_have_names() {
    let trap = |kind| Err(RunError::Trap(kind));
    assert_eq!(run("unreachable", b""), trap(TrapKind::Unreachable));
    assert_eq!(run("(drop (i32.div_u (i32.const 1) (i32.const 0)))", b""), trap(TrapKind::Arithmetic));
    assert_eq!(run("(drop (i32.load (i32.const 65536)))", b""), trap(TrapKind::OutOfBounds));
    let nested = module(r#"(func $f (export "validate") (call $f))"#);
    assert_eq!(as_owner(&load(&nested, SMALL), b""), trap(TrapKind::StackOverflow));
    let indirect = module(
        r#"(type $t (func)) (table 1 funcref)
           (func (export "validate") (call_indirect (type $t) (i32.const 0)))"#,
    );
    assert_eq!(as_owner(&load(&indirect, SMALL), b""), trap(TrapKind::IndirectCall));
}

#[test]
fn a_large_input_is_refused_before_the_run() {
    let limit = SMALL.input_bytes;
    let input = vec![0; limit as usize + 1];
    assert_eq!(run("unreachable", &input), Err(RunError::InputTooLarge { bytes: limit + 1, limit }));
}

#[test]
fn nothing_of_a_run_is_left_for_the_next() {
    // Counts in memory and in a global, and answers both.
    let counting = module(
        r#"(global $g (mut i32) (i32.const 0))
           (func (export "validate")
             (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
             (global.set $g (i32.add (global.get $g) (i32.const 1)))
             (i32.store (i32.const 4) (global.get $g))
             (call $output_emit (i32.const 0) (i32.const 8)))"#,
    );
    let program = load(&counting, SMALL);
    for _ in 0..3 {
        assert_eq!(program.run(b"").unwrap().bytes, [1, 0, 0, 0, 1, 0, 0, 0]);
    }
}

#[test]
fn nan_bits_are_canonical() {
    // 0/0 has its sign set on some processors; the program reads its bits.
    let body = "(f64.store (i32.const 0) (f64.div (f64.const 0) (f64.const 0)))
                (f64.store (i32.const 8) (f64.mul (f64.const nan:0x123) (f64.const 1)))
                (call $output_emit (i32.const 0) (i32.const 16))";
    let canonical = 0x7ff8_0000_0000_0000_u64.to_le_bytes();
    assert_eq!(run(body, b"").unwrap().bytes, [canonical, canonical].concat());
}

#[test]
fn raw_output_does_not_print() {
    let output = run("(call $output_emit (i32.const 0) (i32.const 8))", b"").unwrap();
    assert!(format!("{output:?}").starts_with("Output(8 bytes, "));
}
