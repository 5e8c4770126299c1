//! What one piece of work may cost, and the meter that stops it.
//!
//! Whoever sends a request decides how long the answer takes: a call can loop, a range of events can be long. So whatever
//! can be long asks its [`Meter`] from time to time, and ends with [`ChainError::Stopped`] when the meter says so: because
//! nobody waits for it any more, because it has used up its time, or because it holds too much memory.
//!
//! Time is that of the processor and not of the wall: on a busy machine an honest transaction must not fail because others
//! had their turn in the middle.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use revm::bytecode::opcode::{CALL, CALLCODE, CREATE, CREATE2, DELEGATECALL, JUMPDEST, STATICCALL};
use revm::context::result::{EVMError, ResultAndState};
use revm::context::{BlockEnv, CfgEnv, Context, ContextError, Journal, TxEnv};
use revm::handler::MainnetEvm;
use revm::interpreter::instructions::{contract, control};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::MemoryTr as _;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};
use revm::{Database, ExecuteEvm as _, MainBuilder as _};

use crate::ChainError;

/// How many loops pass between two looks at the meter.
const LOOPS: u32 = 256;
/// Wall time between two looks at the processor's, which takes longer to read.
const GLANCE: Duration = Duration::from_millis(1);
/// What a call within a call takes besides its memory: the engine keeps a whole stack for each.
const FRAME_BYTES: usize = 34 * 1024;
/// What an entry of the engine's journal takes: one for each change that a revert would take back.
const ENTRY_BYTES: usize = 96;
/// Builds for tests, of which the engine and its arithmetic are optimized a little, take this much longer for the same work.
pub(crate) const SLOWNESS: u32 = if cfg!(debug_assertions) { 3 } else { 1 };

/// Why a piece of work was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// Whoever asked is gone.
    #[error("nobody waits for it any more")]
    Forsaken,
    /// It took too long.
    #[error("it takes more processor time than one request may; ask for less, or in parts")]
    Time,
    /// It holds too much memory.
    #[error("it needs more memory than one request may; ask for less, or in parts")]
    Memory,
}

/// What a piece of work may use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    /// True when nobody waits any more.
    pub(crate) forsaken: Option<Arc<AtomicBool>>,
    /// Processor time.
    pub(crate) time: Option<Duration>,
    /// Bytes that one execution may hold.
    pub(crate) memory: Option<usize>,
}

impl Allowed {
    /// Whether nobody waits any more.
    pub(crate) fn is_forsaken(&self) -> bool {
        self.forsaken.as_ref().is_some_and(|forsaken| forsaken.load(Ordering::Relaxed))
    }
}

/// Runs on the thread that does the work, from when it is made.
pub(crate) struct Meter {
    allowed: Allowed,
    begin: Duration,
    glanced: Cell<Instant>,
}

impl Meter {
    pub(crate) fn new(allowed: Allowed) -> Meter {
        Meter { allowed, begin: processor_time(), glanced: Cell::new(Instant::now()) }
    }

    /// One that stops nothing.
    pub(crate) fn unlimited() -> Meter {
        Meter::new(Allowed::default())
    }

    /// Processor time since the beginning.
    pub(crate) fn spent(&self) -> Duration {
        processor_time().saturating_sub(self.begin)
    }

    /// Fails when the work is to stop.
    pub(crate) fn check(&self) -> Result<(), ChainError> {
        if self.allowed.is_forsaken() {
            return Err(ChainError::Stopped(Stop::Forsaken));
        }
        let Some(time) = self.allowed.time else { return Ok(()) };
        let now = Instant::now();
        if now.saturating_duration_since(self.glanced.get()) < GLANCE {
            return Ok(());
        }
        self.glanced.set(now);
        if self.spent() > time { Err(ChainError::Stopped(Stop::Time)) } else { Ok(()) }
    }

    /// Fails when so many bytes are too many.
    pub(crate) fn check_memory(&self, bytes: usize) -> Result<(), ChainError> {
        match self.allowed.memory {
            Some(most) if bytes > most => Err(ChainError::Stopped(Stop::Memory)),
            _ => Ok(()),
        }
    }
}

/// Processor time of this thread.
#[cfg(unix)]
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Where threads have no clock of their own, the wall has one.
#[cfg(not(unix))]
pub(crate) fn processor_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

/// The engine's context with a meter in it.
type Metered<'a, DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, Pulse<'a>>;

/// Counts until the next look at the meter.
struct Pulse<'a> {
    meter: &'a Meter,
    loops: u32,
}

thread_local! {
    /// What the precompile for powers may do in the execution that runs on this thread.
    static POWERS: Cell<Powers> = const { Cell::new(Powers::Free) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Powers {
    Free,
    Limited,
    Exceeded,
}

/// Multiplications of bytes in one call of the precompile for powers, the one precompile that can take seconds for a single
/// call: as many as numbers of 4096 bits take.
const MOST_FOR_POWERS: u128 = 512 * 512 * 4096;

/// Whether the precompile for powers may do this, with lengths in bytes. What it may not is no result: the execution ends
/// with [`Stop::Time`].
pub(crate) fn may_raise(base: usize, exponent: usize, modulus: usize) -> bool {
    let longest = base.max(modulus) as u128;
    let work = longest.saturating_mul(longest).saturating_mul(exponent as u128).saturating_mul(8);
    if work > MOST_FOR_POWERS && POWERS.get() != Powers::Free {
        POWERS.set(Powers::Exceeded);
    }
    POWERS.get() != Powers::Exceeded
}

/// Runs `transaction` on `context` until `meter` stops it.
pub(crate) fn transact<DB: Database<Error = ChainError>>(
    context: Context<BlockEnv, TxEnv, CfgEnv, DB>,
    meter: &Meter,
    transaction: TxEnv,
) -> Result<ResultAndState, EVMError<ChainError>> {
    POWERS.set(if meter.allowed.time.is_some() { Powers::Limited } else { Powers::Free });
    let outcome = engine(context, meter).transact(transaction);
    match POWERS.replace(Powers::Free) {
        Powers::Exceeded => Err(EVMError::Database(ChainError::Stopped(Stop::Time))),
        Powers::Free | Powers::Limited => outcome,
    }
}

/// An engine on `context` that looks at `meter` at each call, each creation and every few loops. Nothing else in a contract
/// takes long: code without loops is short, and what it holds was paid for.
fn engine<DB: Database<Error = ChainError>>(
    context: Context<BlockEnv, TxEnv, CfgEnv, DB>,
    meter: &Meter,
) -> MainnetEvm<Metered<'_, DB>> {
    let mut evm = context.with_chain(Pulse { meter, loops: 0 }).build_mainnet();
    let table = &mut evm.instruction;
    let instructions: [(u8, Instruction<EthInterpreter, Metered<'_, DB>>); 7] = [
        (JUMPDEST, Instruction::new(jumpdest)),
        (CALL, Instruction::new(call::<CALL, DB>)),
        (CALLCODE, Instruction::new(call::<CALLCODE, DB>)),
        (DELEGATECALL, Instruction::new(call::<DELEGATECALL, DB>)),
        (STATICCALL, Instruction::new(call::<STATICCALL, DB>)),
        (CREATE, Instruction::new(create::<false, DB>)),
        (CREATE2, Instruction::new(create::<true, DB>)),
    ];
    for (opcode, instruction) in instructions {
        let gas = table.gas_table()[usize::from(opcode)];
        table.insert_instruction(opcode, instruction, gas);
    }
    evm
}

type At<'a, 'm, DB> = InstructionContext<'a, Metered<'m, DB>, EthInterpreter>;

fn jumpdest<DB: Database<Error = ChainError>>(at: At<'_, '_, DB>) -> Result<(), InstructionResult> {
    at.host.chain.loops = at.host.chain.loops.wrapping_add(1);
    if at.host.chain.loops.is_multiple_of(LOOPS) {
        look(at.interpreter, at.host)?;
    }
    control::jumpdest(at)
}

fn call<const KIND: u8, DB: Database<Error = ChainError>>(
    at: At<'_, '_, DB>,
) -> Result<(), InstructionResult> {
    look(at.interpreter, at.host)?;
    contract::call::<KIND, _, _>(at)
}

fn create<const SALTED: bool, DB: Database<Error = ChainError>>(
    at: At<'_, '_, DB>,
) -> Result<(), InstructionResult> {
    look(at.interpreter, at.host)?;
    contract::create::<SALTED, _, _>(at)
}

/// Ends the whole execution, not only this frame, when the meter says so.
fn look<DB: Database<Error = ChainError>>(
    interpreter: &revm::interpreter::Interpreter<EthInterpreter>,
    host: &mut Metered<'_, DB>,
) -> Result<(), InstructionResult> {
    let memory = interpreter.memory.local_memory_offset().saturating_add(interpreter.memory.size());
    let journal = &host.journaled_state.inner;
    let entries = journal.journal.len() + journal.transient_storage.len() + journal.logs.len();
    let bytes = memory + journal.depth * FRAME_BYTES + entries * ENTRY_BYTES;
    let meter = host.chain.meter;
    meter.check().and_then(|()| meter.check_memory(bytes)).map_err(|stop| {
        host.error = Err(ContextError::Db(stop));
        InstructionResult::FatalExternalError
    })
}
