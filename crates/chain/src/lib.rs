//! An embeddable, durable Ethereum chain in one process.
//!
//! It is for programs that need contracts, receipts and a tamper-evident log without a network: one *sequencer* (a
//! secp256k1 key) makes a block from each transaction, *clients* speak Ethereum JSON-RPC to it, and any *stranger* who
//! holds the file can execute everything again.
//!
//! 1. [`Chain::create`] writes block 0 from a [`Genesis`]; [`Chain::open`] continues after a restart or a crash.
//! 2. [`Chain::handle`] answers JSON-RPC requests, bytes in and bytes out. `eth_sendRawTransaction` makes a block at
//!    once, of this transaction and of those that other threads send at the same moment; when it returns the block is
//!    on disk. [`Chain::produce`] puts several transactions into one block.
//! 3. [`replay()`] re-executes a stored chain from its genesis without any key, and names the first difference;
//!    [`Replica`] does so block by block while the chain grows elsewhere.
//!
//! ```
//! use std::sync::Arc;
//! use histone_chain::{Chain, Genesis, ManualClock, Sequencer, replay};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let sequencer = Sequencer::from_bytes(&[1; 32])?;
//! let genesis = Genesis {
//!     chain_id: 4711,
//!     timestamp: 1_700_000_000,
//!     sequencer: sequencer.address(),
//!     alloc: Vec::new(),
//!     gas_limit: Genesis::GAS_LIMIT,
//! };
//! let clock = Arc::new(ManualClock::new(1_700_000_100));
//! let chain = Chain::create(dir.path(), genesis, sequencer, clock)?;
//! let answer = chain.handle(br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#);
//! assert_eq!(answer, br#"{"jsonrpc":"2.0","id":1,"result":"0x1267"}"#);
//! let head = chain.head()?.hash;
//! drop(chain);
//! assert_eq!(replay(dir.path())?.head, head);
//! # Ok(())
//! # }
//! ```
//!
//! # What keeps it honest
//!
//! This is **one operator's tamper-evident log, not a decentralized chain**. Each header has a parent hash, a
//! transactions root, a receipts root and a [state commitment](StateDiff::commitment), and is signed by the sequencer.
//! The operator can refuse a transaction, and can rewrite history as long as no one else holds a later block hash:
//! publish or anchor the head. The operator cannot forge a transaction of another key or a result of the contracts.
//!
//! # What is deliberately not there
//!
//! - No sockets and no async, unless the feature `server` is on: whoever owns a socket passes bytes to
//!   [`Chain::handle`]. With it, `server::serve` is that owner: JSON-RPC over HTTP and WebSocket.
//! - No consensus. [`propose`], [`validate`] and [`Chain::commit`] are separate so that an engine can drive them.
//! - No state trie: `state_root` is a running commitment over changes, so there is no `eth_getProof`, and the state
//!   can be read at the head only.
//! - No queue, unless [`Chain::queue_transactions`] asks for one: a transaction is mined at once or refused without a
//!   trace. No blobs, no withdrawals, no base fee.
//! - No randomness for contracts: `PREVRANDAO` is zero.
//! - No idea of what the contracts mean.
//!
//! # Time
//!
//! A block bears the second that the clock shows, or that of its parent when the clock went back; it is never earlier than
//! its parent and never more than [`MAX_AHEAD`] seconds ahead of the clock. So many blocks may bear the same second, which
//! Ethereum forbids: there a header must be later than its parent. Here a block is made of each transaction, and if each
//! took a second of its own, whoever sends many would move the time by which contracts judge every deadline.

mod chain;
mod clock;
mod error;
mod execution;
mod genesis;
mod group;
mod limits;
mod queue;
mod record;
mod recovery;
mod replay;
mod replica;
mod rpc;
mod sequencer;
#[cfg(feature = "server")]
pub mod server;
mod signed;
mod state;
mod store;
mod transaction;
mod work;

pub use chain::{Chain, Watcher};
pub use clock::{Clock, MAX_AHEAD, ManualClock, SystemClock};
pub use error::ChainError;
pub use execution::{
    Block, Executed, MAX_BLOCK_EVENT_BYTES, MAX_BLOCK_EVENTS, TransactionReceipt, propose, validate,
};
pub use genesis::Genesis;
pub use limits::{Allowance, FreeGas, IsMember};
pub use record::{BlockHeader, BlockRecord, ChainSize};
pub use replay::{ReplayError, ReplayReport, replay};
pub use replica::{RawBlock, RawGenesis, Replica};
pub use rpc::{MAX_ANSWER_BYTES, MAX_BATCH, MAX_ELEMENT_BYTES, MAX_LOGS, MAX_REQUEST_BYTES, RpcError};
pub use sequencer::Sequencer;
pub use signed::{Fork, ForkPoint, SignedHeader};
pub use state::{AccountState, MemoryState, StateDiff, StateReader};
pub use store::FILE_NAME;
pub use transaction::{MAX_INPUT_BYTES, MAX_TRANSACTION_BYTES, Transaction};
pub use work::Stop;
