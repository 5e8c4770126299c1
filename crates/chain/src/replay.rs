//! A stranger's check of a stored chain: no key, no trust in what the file says.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use alloy_primitives::{Address, B256, hex};

use crate::chain::check_ahead;
use crate::execution::validate;
use crate::recovery::recover;
use crate::store::{Store, View, guarded};
use crate::{AccountState, Block, BlockRecord, ChainError, Genesis, MemoryState, Transaction};

/// Most blocks that one processor prepares ahead.
const AHEAD: usize = 16;

/// What a chain that passed the check contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// Number of blocks, block 0 included.
    pub blocks: u64,
    /// Number of transactions.
    pub transactions: u64,
    /// Gas used by all transactions.
    pub gas: u64,
    /// Timestamp of the newest block, unix seconds.
    pub time: u64,
    /// Hash of the newest block. Compare it with a hash that was published or anchored: replay proves that the file is
    /// consistent, not that it is the only one its operator made.
    pub head: B256,
    /// The [state digest](crate::Chain::state_digest) of the re-executed state.
    pub state_digest: B256,
    /// What the chain started from; names the sequencer that signed every block.
    pub genesis: Genesis,
}

/// Why a chain did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be opened or read.
    #[error("the chain cannot be read")]
    Store(#[from] ChainError),
    /// A block cannot be decoded or executed.
    #[error("block {block} cannot be executed again")]
    Execution {
        /// The first such block.
        block: u64,
        /// Cause.
        #[source]
        source: ChainError,
    },
    /// A block says something else than re-execution gives.
    #[error("block {block} differs: its {field} is {stored}, re-execution gives {computed}")]
    Block {
        /// The first such block.
        block: u64,
        /// Which part.
        field: &'static str,
        /// What the file says.
        stored: String,
        /// What it should say.
        computed: String,
    },
    /// The stored state is not the one that the blocks lead to.
    #[error("the stored state differs: {key} is {stored}, re-execution gives {computed}")]
    State {
        /// Which account, slot, code or index entry.
        key: String,
        /// What the file says.
        stored: String,
        /// What it should say.
        computed: String,
    },
}

impl ReplayError {
    /// What `error` says about block `number`.
    pub(crate) fn of_block(number: u64, error: ChainError) -> ReplayError {
        match error {
            ChainError::BlockInvalid { block, field, found, computed } => {
                ReplayError::Block { block, field, stored: found, computed }
            }
            source => ReplayError::Execution { block: number, source },
        }
    }
}

/// Executes the chain in `dir` again from its genesis and compares everything that is stored: every header field, block
/// hash, signature, transaction, sender and receipt, the indexes, and at the end every account, slot and code. The file
/// is opened read-only; one that a crash left unclean is copied first.
///
/// What it can say of time: no block is earlier than its parent, and none is further ahead of the clock of whoever keeps
/// the file, as recorded beside each block, than [`MAX_AHEAD`](crate::MAX_AHEAD). Nothing in a file tells when it was
/// really made: only a copy taken while the chain grew ([`Replica`](crate::Replica)) has a clock of its own in it.
///
/// The whole state is held in memory. Blocks are read one at a time on all processors, which recover the signers; they are
/// executed on one, in order.
///
/// # Errors
/// [`ReplayError`] naming the first block, and the field in it, that differs.
pub fn replay(dir: &Path) -> Result<ReplayReport, ReplayError> {
    let store = Store::open_read_only(dir)?;
    // What was not damaged where the store is opened may be damaged further in.
    guarded(store.path(), || replay_store(&store))?
}

pub(crate) fn replay_store(store: &Store) -> Result<ReplayReport, ReplayError> {
    let view = store.view()?;
    let genesis = view.genesis()?;
    let head = view.head_number()?;
    let mut state = MemoryState::default();
    let mut report = ReplayReport {
        blocks: 0,
        transactions: 0,
        gas: 0,
        time: 0,
        head: B256::ZERO,
        state_digest: B256::ZERO,
        genesis: genesis.clone(),
    };
    let mut parent = genesis.header();
    let prepare = |number| guarded(store.path(), || Prepared::new(&view, genesis.chain_id, number));
    in_order(head, prepare, |number, prepared| {
        let Prepared { record, signer, transactions } =
            prepared.flatten().map_err(|source| ReplayError::Execution { block: number, source })?;
        if number == 0 {
            same(0, "hash", record.hash, parent.hash_slow())?;
            same(0, "number of transactions", record.transactions.len(), 0)?;
            state.apply(&genesis.diff(), record.hash);
        }
        let signer = signer.map_or("not a signature".into(), |address| address.to_string());
        same(number, "sequencer signature", signer, genesis.sequencer.to_string())?;
        check_time(number, &record)?;
        if number > 0 {
            execute(&genesis, &mut state, &parent, &record, transactions)?;
        }
        check_index(&view, number, &record)?;
        report.blocks += 1;
        report.transactions += record.transactions.len() as u64;
        report.gas = report.gas.saturating_add(record.header.gas_used);
        report.time = record.header.timestamp;
        report.head = record.hash;
        parent = record.header;
        Ok(())
    })?;
    compare_state(&view, &state)?;
    compare_indexes(&view, &report)?;
    report.state_digest = state.digest();
    Ok(report)
}

/// A block with everything that can be told from it alone.
struct Prepared {
    record: BlockRecord,
    /// Who signed the block; `None` when that is no signature.
    signer: Option<Address>,
    /// The transactions from their raw form, with the senders recovered, or why one is not acceptable.
    transactions: Result<Vec<Transaction>, ChainError>,
}

impl Prepared {
    fn new(view: &View, chain_id: u64, number: u64) -> Result<Prepared, ChainError> {
        let record = view.block(number)?;
        let record = record.ok_or_else(|| ChainError::corrupt(format!("block {number}"), "it is missing"))?;
        let transactions = record.raw_transactions.iter().enumerate();
        Ok(Prepared {
            signer: recover(record.hash, &record.signature),
            transactions: transactions.map(|(i, raw)| Transaction::decode(raw, chain_id, i)).collect(),
            record,
        })
    }
}

/// Prepares the blocks 0 to `head` on all processors and hands them to `each` in order, until that fails.
fn in_order<T: Send>(
    head: u64,
    prepare: impl Fn(u64) -> T + Sync,
    mut each: impl FnMut(u64, T) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let prepare = &prepare;
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        // Every worker takes each `workers`-th block, so the next one is always at the front of a known channel.
        let channels: Vec<_> = (0..=head)
            .take(workers)
            .map(|first| {
                let (ready, blocks) = mpsc::sync_channel(AHEAD);
                scope.spawn(move || {
                    for number in (first..=head).step_by(workers) {
                        // Nobody listens any more after a difference.
                        if ready.send(prepare(number)).is_err() {
                            break;
                        }
                    }
                });
                blocks
            })
            .collect();
        for (number, blocks) in (0..=head).zip(channels.iter().cycle()) {
            // Ends early only when a worker panicked, which the scope passes on.
            let Ok(prepared) = blocks.recv() else { break };
            each(number, prepared)?;
        }
        Ok(())
    })
}

/// A block is not further ahead of the clock that was recorded beside it than is allowed. In somebody's own copy that is
/// their own clock; in the sequencer's file it is the sequencer's word, like the timestamp itself.
fn check_time(number: u64, record: &BlockRecord) -> Result<(), ReplayError> {
    check_ahead(number, record.header.timestamp, record.kept_at)
        .map_err(|source| ReplayError::Execution { block: number, source })
}

/// Runs one block on `state` and applies it.
fn execute(
    genesis: &Genesis,
    state: &mut MemoryState,
    parent: &alloy_consensus::Header,
    record: &BlockRecord,
    transactions: Result<Vec<Transaction>, ChainError>,
) -> Result<(), ReplayError> {
    let number = parent.number.saturating_add(1);
    let failed = |error| ReplayError::of_block(number, error);
    let transactions = transactions.map_err(failed)?;
    for (stored, transaction) in record.transactions.iter().zip(&transactions) {
        same(number, "stored sender", stored.signer(), transaction.sender())?;
    }
    let block = Block { header: record.header.clone(), transactions };
    let executed = validate(genesis, state, parent, block).map_err(failed)?;
    for (stored, computed) in record.receipts.iter().zip(executed.receipts()) {
        same(number, "stored receipt", format!("{stored:?}"), format!("{computed:?}"))?;
    }
    state.apply(executed.diff(), executed.hash());
    Ok(())
}

fn same<T: PartialEq + ToString>(
    block: u64,
    field: &'static str,
    stored: T,
    computed: T,
) -> Result<(), ReplayError> {
    if stored == computed {
        return Ok(());
    }
    Err(ReplayError::Block { block, field, stored: stored.to_string(), computed: computed.to_string() })
}

/// The block and its transactions can be found under their hashes.
fn check_index(view: &View, number: u64, record: &BlockRecord) -> Result<(), ReplayError> {
    let shown = |place: Option<u64>| place.map_or("missing".to_owned(), |number| number.to_string());
    same(number, "block hash index", shown(view.number_of(record.hash)?), number.to_string())?;
    for (index, transaction) in record.transactions.iter().enumerate() {
        let stored = view.find_transaction(*transaction.inner().tx_hash())?;
        same(number, "transaction index", format!("{stored:?}"), format!("{:?}", Some((number, index))))?;
    }
    Ok(())
}

/// Everything in the indexes that should be there was found; this finds what should not.
fn compare_indexes(view: &View, report: &ReplayReport) -> Result<(), ReplayError> {
    let (mut blocks, mut transactions) = (0_u64, 0_u64);
    view.each_block_number(|_, _| {
        blocks += 1;
        Ok(())
    })?;
    view.each_transaction(|_, _, _| {
        transactions += 1;
        Ok(())
    })?;
    let count = |key: &str, stored: u64, computed: u64| {
        if stored == computed {
            return Ok(());
        }
        let key = format!("the number of entries of the {key} index");
        Err(ReplayError::State { key, stored: stored.to_string(), computed: computed.to_string() })
    };
    count("block hash", blocks, report.blocks)?;
    count("transaction", transactions, report.transactions)
}

/// Compares the tables with the re-executed state, entry by entry.
fn compare_state(view: &View, state: &MemoryState) -> Result<(), ReplayError> {
    let mut first = None;
    let account = |account: Option<&AccountState>| match account {
        Some(account) => format!("{account:?}"),
        None => "absent".into(),
    };
    let mut accounts = state.accounts.clone();
    view.each_account(|address, stored| {
        let computed = accounts.remove(&address);
        note(&mut first, computed.as_ref() == Some(&stored), || {
            (format!("account {address}"), account(Some(&stored)), account(computed.as_ref()))
        });
        Ok(())
    })?;
    for (address, computed) in &accounts {
        note(&mut first, false, || (format!("account {address}"), account(None), account(Some(computed))));
    }

    let value = |value: Option<B256>| value.map_or("absent".to_owned(), |value| value.to_string());
    let mut slots = state.slots.clone();
    view.each_slot(|address, key, stored| {
        let computed = slots.remove(&(address, key));
        note(&mut first, computed == Some(stored), || {
            (format!("slot {key} of {address}"), value(Some(stored)), value(computed))
        });
        Ok(())
    })?;
    for ((address, key), computed) in &slots {
        note(&mut first, false, || (format!("slot {key} of {address}"), value(None), value(Some(*computed))));
    }

    let code = |code: Option<&[u8]>| match code {
        Some(code) => format!("{} bytes with hash {}", code.len(), alloy_primitives::keccak256(code)),
        None => "absent".into(),
    };
    let mut codes = state.code.clone();
    view.each_code(|hash, stored| {
        let computed = codes.remove(&hash);
        note(&mut first, computed.as_ref().is_some_and(|code| code.as_ref() == stored), || {
            (
                format!("code {}", hex::encode_prefixed(hash)),
                code(Some(stored)),
                code(computed.as_ref().map(AsRef::as_ref)),
            )
        });
        Ok(())
    })?;
    for (hash, computed) in &codes {
        note(&mut first, false, || (format!("code {hash}"), code(None), code(Some(computed))));
    }
    first.map_or(Ok(()), Err)
}

/// Keeps the first difference.
fn note(first: &mut Option<ReplayError>, equal: bool, describe: impl FnOnce() -> (String, String, String)) {
    if !equal && first.is_none() {
        let (key, stored, computed) = describe();
        *first = Some(ReplayError::State { key, stored, computed });
    }
}
