//! Runs admitted programs: the same input gives the same bytes, and a run uses no more than its limits.
//!
//! What makes runs equal on every machine: NaN results are made canonical, relaxed vector instructions are not
//! accepted, memory starts empty and has a fixed maximum, there is nothing to read but the input, and fuel is counted
//! by instruction and not by time. The one thing that the engine and not the wasm text decides is the depth of the
//! call stack; it is fixed here at 512 KiB.
//!
//! What a module ends with beside private data is of its own choice: a code, a length or a channel that it asks for are 32 bits
//! of a row each. So [`LoadedProgram::call`] says one and the same of every such call that gives nothing
//! ([`RunError::Withheld`]); whoever has the data may ask for more ([`LoadedProgram::call_for_owner`]).
//!
//! Fuel counts instructions, and one that waits for memory takes a hundred times as long as one that does not: 10^12 units are
//! a quarter of an hour or a day. Beside fuel a call therefore has [`MAX_SECONDS`], which is no part of its result: it fails, or it
//! gives the same bytes as everywhere.
//!
//! No type of the wasm engine is in this interface, so that another engine can take its place.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use histone_program_sdk::abi;
use histone_program_sdk::refusal::Refusal;
use wasmtime::{Caller, Config, Extern, InstancePre, Linker, Memory, Module, ResourceLimiter, Store, Trap};

use crate::program::{Limits, Program};

/// Call stack of a program in bytes.
const STACK_BYTES: usize = 512 << 10;

/// Bytes that cross the border for one unit of fuel.
const BYTES_PER_FUEL: u64 = 8;

/// Seconds of the clock that a call may take, whatever its fuel.
pub const MAX_SECONDS: u64 = 30 * 60;

/// Longest explanation of a public half in bytes; what is longer is cut.
pub const MAX_EXPLANATION: usize = 1_000;

/// Why a run gave no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The engine itself failed; not the program's doing.
    #[error("the wasm engine failed: {what}")]
    Engine {
        /// The engine's own words.
        what: String,
    },
    /// The input is larger than the program's limits allow; nothing was run.
    #[error("the input has {bytes} bytes; this program takes at most {limit}")]
    InputTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The fuel of the limits is used up.
    #[error("the program did not end within {fuel} units of fuel")]
    OutOfFuel {
        /// The limit.
        fuel: u64,
    },
    /// The time of the clock is over.
    #[error("the program did not end within {seconds} seconds")]
    OutOfTime {
        /// The limit.
        seconds: u64,
    },
    /// It, and the calls before it, took longer than there is for all of them.
    #[error("the program's calls took more than {seconds} seconds in all")]
    OutOfBudget {
        /// The budget.
        seconds: u64,
    },
    /// A call beside private data gave nothing. Why is not said, because the program may choose it by the data.
    #[error("the program gave no answer; why is said only to whoever has its data")]
    Withheld,
    /// The program asked for more memory than its maximum.
    #[error("the program asked for more than its {limit} bytes of memory")]
    MemoryLimit {
        /// The limit.
        limit: u64,
    },
    /// The program did something impossible.
    #[error("the program was stopped: {0}")]
    Trap(TrapKind),
    /// The program said that it gives no answer.
    #[error("the program gave no answer: {}", aborted(*.0))]
    Aborted(
        /// A code of [`Refusal`], or one of the program's own.
        u32,
    ),
    /// The program asked the host for bytes outside of its memory or input.
    #[error("the program called `{call}` with a range outside of its memory or input")]
    BadRange {
        /// The host call.
        call: &'static str,
    },
    /// The public half of a method said why it gives no answer.
    #[error("{0}")]
    Explained(
        /// Its own words, at most [`MAX_EXPLANATION`] bytes.
        String,
    ),
    /// The program asked for an input channel that this entry does not have.
    #[error("`{entry}` asked for input channel {channel}; it has {channels}")]
    Channel {
        /// The entry.
        entry: &'static str,
        /// Which channel.
        channel: u32,
        /// How many there are.
        channels: u32,
    },
    /// The program explained itself where it stands beside private data.
    #[error("`{entry}` tried to explain itself in words; only entries that see nothing private may")]
    Words {
        /// The entry.
        entry: &'static str,
    },
    /// The program has no such entry.
    #[error("the program has no entry `{entry}`; it is of another kind")]
    NoEntry {
        /// The entry.
        entry: &'static str,
    },
    /// The program ended without an output.
    #[error("the program ended without an output")]
    NoOutput,
    /// The output is larger than the limits allow.
    #[error("the output has {bytes} bytes; at most {limit} are accepted")]
    OutputTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
}

fn aborted(code: u32) -> String {
    match Refusal::from_code(code) {
        Some(refusal) => refusal.to_string(),
        None => format!("its own code {code}"),
    }
}

/// An error that a program may have chosen by private data: for the eyes of whoever has that data, and never to be sent on.
/// It does not turn into another error by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ForOwner<E: core::error::Error>(pub E);

/// What a program did that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// Calls nested too deep.
    StackOverflow,
    /// Memory or table access out of bounds.
    OutOfBounds,
    /// An indirect call of nothing or with another signature.
    IndirectCall,
    /// Integer division by zero, or a result that does not fit.
    Arithmetic,
    /// Code that its compiler marked as never reached; a panic ends here.
    Unreachable,
    /// Anything else.
    Other,
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrapKind::StackOverflow => "its calls are nested too deep",
            TrapKind::OutOfBounds => "it accessed memory or a table out of bounds",
            TrapKind::IndirectCall => "it called a function that is not there or has another signature",
            TrapKind::Arithmetic => "it divided by zero or an integer result did not fit",
            TrapKind::Unreachable => "it panicked or reached code marked unreachable",
            TrapKind::Other => "the engine gave no known reason",
        })
    }
}

/// Compiles admitted programs. Costly to make; one serves a whole process.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    seconds: u64,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine with the fixed settings of this module. Error: the machine is not supported.
    pub fn new() -> Result<Self, RunError> {
        Self::with_seconds(MAX_SECONDS)
    }

    /// The same with another limit of the clock for a call.
    pub fn with_seconds(seconds: u64) -> Result<Self, RunError> {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            .cranelift_nan_canonicalization(true)
            .max_wasm_stack(STACK_BYTES)
            // The static check has refused all of these already; a second lock on the same door.
            .wasm_relaxed_simd(false)
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            .wasm_tail_call(false)
            .wasm_custom_page_sizes(false)
            // A backtrace would say where in the data-dependent control flow a program stopped.
            .wasm_backtrace_max_frames(None);
        let engine = wasmtime::Engine::new(&config).map_err(engine_error)?;
        tick(&engine)?;
        Ok(Engine { engine, seconds })
    }

    /// Compiles a program once, for any number of runs.
    pub fn load(&self, program: Program) -> Result<LoadedProgram, RunError> {
        let module = Module::from_binary(&self.engine, program.wasm()).map_err(engine_error)?;
        let instance =
            linker(&self.engine).and_then(|linker| linker.instantiate_pre(&module)).map_err(engine_error)?;
        Ok(LoadedProgram { program, instance, seconds: self.seconds, budget: None })
    }
}

/// What all calls of a program together may take of the clock: for whoever runs what a stranger hands over, a call after the
/// other.
#[derive(Debug, Clone)]
pub struct Budget {
    seconds: u64,
    used: Arc<AtomicU64>,
}

impl Budget {
    /// So many seconds, of which nothing is used.
    pub fn of_seconds(seconds: u64) -> Self {
        Self { seconds, used: Arc::default() }
    }

    /// Whole seconds that are left, rounded up.
    fn left(&self) -> u64 {
        let used = self.used.load(Ordering::Relaxed);
        self.seconds.saturating_mul(1_000).saturating_sub(used).div_ceil(1_000)
    }

    fn use_up(&self, time: Duration) {
        self.used.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

/// Counts the seconds of an engine, as long as there is one.
fn tick(engine: &wasmtime::Engine) -> Result<(), RunError> {
    let weak = engine.weak();
    let ticking = thread::Builder::new().name("wasm clock".into()).spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    });
    ticking.map(drop).map_err(|error| RunError::Engine { what: error.to_string() })
}

fn engine_error(error: wasmtime::Error) -> RunError {
    RunError::Engine { what: format!("{error:#}") }
}

/// A compiled program.
#[derive(Clone)]
pub struct LoadedProgram {
    program: Program,
    instance: InstancePre<State>,
    seconds: u64,
    budget: Option<Budget>,
}

impl fmt::Debug for LoadedProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadedProgram").field(&self.program).finish()
    }
}

/// What a program handed over, not yet past the output gate.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// The raw bytes.
    pub bytes: Vec<u8>,
    /// Fuel that the run used; the same for the same input.
    pub fuel_used: u64,
}

impl fmt::Debug for Output {
    /// Without the bytes: before the gate they may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} bytes, {} fuel)", self.bytes.len(), self.fuel_used)
    }
}

impl LoadedProgram {
    /// The program, with its kind and measurement.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The same program, whose calls also use up a budget.
    #[must_use]
    pub fn within(self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Runs a validation program on `input`, which is private, in fresh memory. Nothing of a run is left for the next.
    pub fn run(&self, input: &[u8]) -> Result<Output, RunError> {
        self.call("validate", input, &[])
    }

    /// Calls an entry in fresh memory, with what is public and with what is private, in blocks. Nothing of a call is left for
    /// the next. Of an entry that may see something private the error is always the same.
    pub fn call(
        &self,
        entry: &'static str,
        public: &[u8],
        private: &[Arc<[u8]>],
    ) -> Result<Output, RunError> {
        let called = self.call_for_owner(entry, public, private);
        called.map_err(|ForOwner(error)| match error {
            // Follows from the module alone.
            RunError::NoEntry { .. } => error,
            _ if abi::PUBLIC.contains(&entry) && private.is_empty() => error,
            _ => RunError::Withheld,
        })
    }

    /// The same with the reason, for whoever has what is private.
    pub fn call_for_owner(
        &self,
        entry: &'static str,
        public: &[u8],
        private: &[Arc<[u8]>],
    ) -> Result<Output, ForOwner<RunError>> {
        self.called(entry, public, private).map_err(ForOwner)
    }

    fn called(&self, entry: &'static str, public: &[u8], private: &[Arc<[u8]>]) -> Result<Output, RunError> {
        if !self.program.entries().contains(&entry) {
            return Err(RunError::NoEntry { entry });
        }
        let limits = self.program.limits();
        // What is private may be larger than a program's memory: it is read in blocks.
        for bytes in [public.len(), private.iter().map(|b| b.len()).max().unwrap_or(0)] {
            let bytes = bytes as u64;
            if bytes > limits.input_bytes {
                return Err(RunError::InputTooLarge { bytes, limit: limits.input_bytes });
            }
        }
        let mut channels: Vec<Arc<[u8]>> = vec![public.into()];
        channels.extend(private.iter().cloned());
        let state = State { entry, channels, output: None, explanation: None, limits };
        let mut store = Store::new(self.instance.module().engine(), state);
        store.limiter(|state| state);
        store.set_fuel(limits.fuel).map_err(engine_error)?;
        let left = self.budget.as_ref().map_or(u64::MAX, Budget::left);
        if left == 0 {
            return Err(self.out_of_time(left));
        }
        // The second that has begun counts as none.
        store.set_epoch_deadline(self.seconds.min(left).saturating_add(1));
        let begun = Instant::now();
        let ended = self
            .instance
            .instantiate(&mut store)
            .and_then(|instance| instance.get_typed_func::<(), ()>(&mut store, entry))
            .and_then(|entry| entry.call(&mut store, ()));
        if let Some(budget) = &self.budget {
            budget.use_up(begun.elapsed());
        }
        if let Err(error) = ended {
            let explained = store.into_data().explanation;
            return Err(match (stopped(&error, limits, self.out_of_time(left)), explained) {
                (RunError::Aborted(_), Some(words)) => RunError::Explained(words),
                (error, _) => error,
            });
        }
        let left = store.get_fuel().map_err(engine_error)?;
        let bytes = store.into_data().output.ok_or(RunError::NoOutput)?;
        Ok(Output { bytes, fuel_used: limits.fuel.saturating_sub(left) })
    }

    /// Why the clock ends a call before which so many seconds of the budget were left.
    fn out_of_time(&self, left: u64) -> RunError {
        match &self.budget {
            Some(budget) if left < self.seconds => RunError::OutOfBudget { seconds: budget.seconds },
            _ => RunError::OutOfTime { seconds: self.seconds },
        }
    }
}

/// What the error of a run means.
fn stopped(error: &wasmtime::Error, limits: Limits, out_of_time: RunError) -> RunError {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.0.clone();
    }
    let kind = match error.downcast_ref::<Trap>() {
        None => return RunError::Engine { what: format!("{error:#}") },
        Some(Trap::OutOfFuel) => return RunError::OutOfFuel { fuel: limits.fuel },
        Some(Trap::Interrupt) => return out_of_time,
        Some(Trap::StackOverflow) => TrapKind::StackOverflow,
        Some(Trap::MemoryOutOfBounds | Trap::TableOutOfBounds) => TrapKind::OutOfBounds,
        Some(Trap::IndirectCallToNull | Trap::BadSignature) => TrapKind::IndirectCall,
        Some(Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger) => {
            TrapKind::Arithmetic
        }
        Some(Trap::UnreachableCodeReached) => TrapKind::Unreachable,
        Some(_) => TrapKind::Other,
    };
    RunError::Trap(kind)
}

/// A decision of the host to end a run, carried through the engine.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Stop(RunError);

fn stop<T>(error: RunError) -> wasmtime::Result<T> {
    Err(Stop(error).into())
}

/// What the host holds for one run.
struct State {
    entry: &'static str,
    /// The first is public.
    channels: Vec<Arc<[u8]>>,
    output: Option<Vec<u8>>,
    explanation: Option<String>,
    limits: Limits,
}

impl State {
    fn channel(&self, channel: u32) -> wasmtime::Result<Arc<[u8]>> {
        match self.channels.get(channel as usize) {
            Some(input) => Ok(input.clone()),
            None => {
                let channels = self.channels.len() as u32;
                stop(RunError::Channel { entry: self.entry, channel, channels })
            }
        }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired as u64 > self.limits.memory_bytes {
            return stop(RunError::MemoryLimit { limit: self.limits.memory_bytes });
        }
        Ok(true)
    }

    /// Growth beyond the module's own maximum, or the machine has no memory left: in both cases the answer must not
    /// be left to the program, which could go on and give another result than elsewhere.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        stop(RunError::MemoryLimit { limit: self.limits.memory_bytes })
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // Called once with the declared size, which admission has bounded; no accepted instruction grows a table.
        Ok(desired as u64 <= crate::program::MAX_TABLE_ENTRIES)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

const INPUT_READ: &str = "input_read";
const OUTPUT_EMIT: &str = "output_emit";
const EXPLAIN: &str = "explain";

/// The host's calls.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(abi::MODULE, "input_count", |caller: Caller<'_, State>| {
        caller.data().channels.len() as u32
    })?;
    linker.func_wrap(
        abi::MODULE,
        "input_len",
        |caller: Caller<'_, State>, channel: u32| -> wasmtime::Result<u32> {
            Ok(caller.data().channel(channel)?.len() as u32)
        },
    )?;
    linker.func_wrap(
        abi::MODULE,
        INPUT_READ,
        |mut caller: Caller<'_, State>, channel: u32, to: u32, from: u32, len: u32| -> wasmtime::Result<()> {
            charge(&mut caller, len)?;
            let input = caller.data().channel(channel)?;
            let memory = memory(&mut caller, INPUT_READ)?;
            let target = memory.data_mut(&mut caller);
            match (range(to, len, target.len()), range(from, len, input.len())) {
                (Some(to), Some(from)) => target[to].copy_from_slice(&input[from]),
                _ => return stop(RunError::BadRange { call: INPUT_READ }),
            }
            Ok(())
        },
    )?;
    linker.func_wrap(
        abi::MODULE,
        OUTPUT_EMIT,
        |mut caller: Caller<'_, State>, from: u32, len: u32| -> wasmtime::Result<()> {
            let limit = caller.data().limits.output_bytes;
            let before = caller.data().output.as_ref().map_or(0, Vec::len) as u64;
            let bytes = before + u64::from(len);
            if bytes > limit {
                return stop(RunError::OutputTooLarge { bytes, limit });
            }
            charge(&mut caller, len)?;
            let memory = memory(&mut caller, OUTPUT_EMIT)?;
            let (source, state) = memory.data_and_store_mut(&mut caller);
            let Some(from) = range(from, len, source.len()) else {
                return stop(RunError::BadRange { call: OUTPUT_EMIT });
            };
            state.output.get_or_insert_default().extend_from_slice(&source[from]);
            Ok(())
        },
    )?;
    linker.func_wrap(
        abi::MODULE,
        EXPLAIN,
        |mut caller: Caller<'_, State>, from: u32, len: u32| -> wasmtime::Result<()> {
            let entry = caller.data().entry;
            if !abi::PUBLIC.contains(&entry) {
                return stop(RunError::Words { entry });
            }
            charge(&mut caller, len)?;
            let memory = memory(&mut caller, EXPLAIN)?;
            let (source, state) = memory.data_and_store_mut(&mut caller);
            let Some(from) = range(from, len, source.len()) else {
                return stop(RunError::BadRange { call: EXPLAIN });
            };
            let bytes = &source[from];
            let words = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_EXPLANATION)]);
            // One line of text: nothing in it moves a cursor or begins a line.
            state.explanation = Some(words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect());
            Ok(())
        },
    )?;
    linker.func_wrap(abi::MODULE, "abort", |code: u32| -> wasmtime::Result<()> {
        stop(RunError::Aborted(code))
    })?;
    Ok(linker)
}

/// `start..start + len` when it lies within `size`.
fn range(start: u32, len: u32, size: usize) -> Option<core::ops::Range<usize>> {
    let (start, len) = (start as usize, len as usize);
    let end = start.checked_add(len)?;
    (end <= size).then_some(start..end)
}

/// Copies cost fuel: else a loop over one large copy would be a run without end at no price.
fn charge(caller: &mut Caller<'_, State>, len: u32) -> wasmtime::Result<()> {
    let cost = 1 + u64::from(len) / BYTES_PER_FUEL;
    match caller.get_fuel()?.checked_sub(cost) {
        Some(left) => caller.set_fuel(left),
        None => stop(RunError::OutOfFuel { fuel: caller.data().limits.fuel }),
    }
}

fn memory(caller: &mut Caller<'_, State>, call: &'static str) -> wasmtime::Result<Memory> {
    match caller.get_export(abi::MEMORY) {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => stop(RunError::BadRange { call }),
    }
}
