//! Where the ledger of a run is, and how time passes there.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use histone_chain::{Chain, Clock, Genesis, ManualClock, Sequencer};
use histone_compliance::folder::{Folder, NetworkRecord};
use histone_ledger::{Connection, Ledger};
use histone_network::io_error;
use histone_protocol::B256;
use histone_protocol::keys::SigningKey;

use super::gas::Purse;
use super::{Observer, Options};
use crate::error::NodeError;
use crate::party::Entropy;

/// Chain id of the embedded chain of a run.
const CHAIN_ID: u64 = 4_711;
/// Seconds that a round stays open, and in which a query must be answered, where the clock is SIMULATED.
const SIMULATED_DEADLINE: u32 = 3_600;
/// The same for a query on a network whose time has to be waited for: a few blocks, since the run waits for one refund.
const NETWORK_DEADLINE: u32 = 120;
/// Each donor anchors an update, one after the other: so much longer stays a round on such a network open for each.
const NETWORK_DONOR: u32 = 15;
/// Pause between two looks at a network's clock.
const LOOK: Duration = Duration::from_secs(1);
/// After so many looks without a new block, one is asked for: some networks make blocks for transactions only.
const LOOKS_BEFORE_TICK: u32 = 15;
/// Lies in the private directory and is locked as long as a run on a network goes on.
pub const LOCK: &str = "run.lock";

/// A network on which a run puts its ledger.
#[derive(Clone)]
pub struct Network {
    /// Address of one of its nodes, such as `http://127.0.0.1:8545`. May hold a secret and is never stored.
    pub url: String,
    /// Whose coins pay for gas, where gas is not free.
    pub funder: Option<SigningKey>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network(funder {:?})", self.funder)
    }
}

/// A node that answers, and what it says of its network.
pub(super) struct Node {
    connection: Connection,
    clock_moves: bool,
    purse: Option<Arc<Purse>>,
    head: u64,
}

impl Node {
    /// Who pays for gas, where it is not free.
    pub(super) fn purse(&self) -> Option<Arc<Purse>> {
        self.purse.clone()
    }

    /// Asks a node what network there is. Changes nothing.
    pub(super) async fn find(network: &Network, options: &Options) -> Result<Self, NodeError> {
        let connection = Connection::http(&network.url)?;
        let head = connection.head().await?.block;
        let clock_moves = connection.clock_can_be_moved().await;
        let private = private_dir(&Folder::at(&options.out))?;
        let purse = Purse::open(&connection, network.funder.clone(), private).await?.map(Arc::new);
        if purse.is_some() && !clock_moves {
            secret_keys(options.entropy)?;
        }
        Ok(Self { connection, clock_moves, purse, head })
    }
}

/// Refuses keys that anybody can make, where they would hold coins. A development node's coins are worth nothing.
fn secret_keys(entropy: Entropy) -> Result<(), NodeError> {
    match entropy {
        Entropy::System => Ok(()),
        Entropy::Seed(_) => Err(NodeError::Message(
            "gas costs coins there, and anybody can make the keys of a seeded run and take the coins that are sent to them; leave out --seed".into(),
        )),
    }
}

/// Where the ledger is.
pub(super) enum Place {
    /// In this process and in the run folder.
    Embedded {
        /// The chain.
        chain: Chain,
        /// Its clock, which only the run moves.
        clock: Arc<ManualClock>,
    },
    /// At nodes of somebody else.
    Network {
        /// The way to a node.
        connection: Connection,
        /// Whether the node's clock is SIMULATED.
        clock_moves: bool,
        /// Pays for gas, where it is not free.
        purse: Option<Arc<Purse>>,
        /// The block after the head at the start.
        first_block: u64,
        /// Held to the end.
        _lock: File,
    },
}

/// The chain at the end of a run.
pub(super) struct End {
    pub(super) height: u64,
    pub(super) head: B256,
    /// Blocks from the first that can hold anything of the run.
    pub(super) blocks: u64,
    pub(super) state_digest: Option<B256>,
}

impl Place {
    /// Makes an embedded chain in the run folder whose blocks `operator` signs.
    pub(super) fn embedded(
        folder: &Folder,
        options: &Options,
        operator: &SigningKey,
    ) -> Result<Self, NodeError> {
        let clock = Arc::new(ManualClock::new(options.start_time));
        let sequencer = Sequencer::from_bytes(&operator.to_bytes())?;
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            timestamp: options.start_time,
            sequencer: sequencer.address(),
            alloc: Vec::new(),
            gas_limit: Genesis::GAS_LIMIT,
        };
        let dir = folder.ledger();
        fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        let chain = Chain::create(&dir, genesis, sequencer, clock.clone())?;
        Ok(Place::Embedded { chain, clock })
    }

    /// The network of a node that was found. `private` is the directory of the parties.
    pub(super) fn network(node: Node, private: &Path) -> Result<Self, NodeError> {
        let Node { connection, clock_moves, purse, head } = node;
        let lock = lock(&private.join(LOCK))?;
        Ok(Place::Network { connection, clock_moves, purse, first_block: head + 1, _lock: lock })
    }

    /// A way to the chain.
    pub(super) fn connection(&self) -> Connection {
        match self {
            Place::Embedded { chain, .. } => Connection::embedded(chain.clone()),
            Place::Network { connection, .. } => connection.clone(),
        }
    }

    /// Who pays for gas, where it is not free.
    pub(super) fn purse(&self) -> Option<&Purse> {
        match self {
            Place::Embedded { .. } => None,
            Place::Network { purse, .. } => purse.as_deref(),
        }
    }

    /// What the run record says of it.
    pub(super) fn record(&self) -> Option<NetworkRecord> {
        match self {
            Place::Embedded { .. } => None,
            Place::Network { first_block, .. } => Some(NetworkRecord { first_block: *first_block }),
        }
    }

    /// Whether time passes only when the run says so.
    pub(super) fn clock_is_simulated(&self) -> bool {
        !matches!(self, Place::Network { clock_moves: false, .. })
    }

    /// Seconds in which a query must be answered.
    pub(super) fn query_seconds(&self) -> u32 {
        if self.clock_is_simulated() { SIMULATED_DEADLINE } else { NETWORK_DEADLINE }
    }

    /// Seconds that a round with so many donors stays open.
    pub(super) fn round_seconds(&self, donors: usize) -> u64 {
        // A study has at most 256 participants.
        let more = NETWORK_DONOR.saturating_mul(donors as u32);
        u64::from(if self.clock_is_simulated() { SIMULATED_DEADLINE } else { NETWORK_DEADLINE + more })
    }

    /// The time there, Unix seconds.
    pub(super) async fn now(&self, ledger: &Ledger) -> Result<u64, NodeError> {
        let block = ledger.time().await?;
        Ok(match self {
            // Each block is a second or more after the one before, and the clock may have been moved since the last.
            Place::Embedded { clock, .. } => clock.now().max(block),
            Place::Network { .. } => block,
        })
    }

    /// Lets `seconds` pass from the last block: a SIMULATED clock is moved, any other is waited for.
    pub(super) async fn wait(
        &self,
        seconds: u64,
        ledger: &Ledger,
        operator: &SigningKey,
        observer: &mut dyn Observer,
    ) -> Result<(), NodeError> {
        let begin = ledger.time().await?;
        match self {
            Place::Embedded { clock, .. } => {
                clock.set(begin + seconds);
                Ok(())
            }
            Place::Network { connection, clock_moves: true, .. } => {
                connection.move_clock(seconds).await?;
                observer.note(&format!("moved the node's SIMULATED clock by {seconds} s, past a deadline"));
                Ok(())
            }
            Place::Network { .. } => {
                observer
                    .note(&format!("waiting until the network's clock is past a deadline, {seconds} s away"));
                let mut looks = 0u32;
                let started = Instant::now();
                loop {
                    let now = ledger.time().await?;
                    if now >= begin + seconds {
                        return Ok(());
                    }
                    looks += 1;
                    if looks.is_multiple_of(LOOKS_BEFORE_TICK) {
                        observer.note(&format!("waiting: {} of {seconds} s", started.elapsed().as_secs()));
                        ledger.tick(operator).await?;
                    }
                    // Real time on purpose: nobody here can move this clock.
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// The chain as it is now.
    pub(super) async fn end(&self) -> Result<End, NodeError> {
        Ok(match self {
            Place::Embedded { chain, .. } => {
                let head = chain.head()?;
                let height = head.header.number;
                End { height, head: head.hash, blocks: height + 1, state_digest: Some(chain.state_digest()?) }
            }
            Place::Network { connection, first_block, .. } => {
                let head = connection.head().await?;
                let blocks = (head.block + 1).saturating_sub(*first_block);
                End { height: head.block, head: head.hash, blocks, state_digest: None }
            }
        })
    }
}

/// Where the parties' private directories are: beside the run folder, so that the folder can be given away.
pub(super) fn private_dir(folder: &Folder) -> Result<PathBuf, NodeError> {
    let root = folder.root();
    // `.` and `..` have no name to put `.private` behind: the secrets would lie inside of the folder.
    let Some(name) = root.file_name() else {
        let shown = root.display();
        return Err(NodeError::Message(format!(
            "`{shown}` cannot be a run folder; name a folder of its own with --out"
        )));
    };
    let mut name = name.to_os_string();
    name.push(".private");
    Ok(root.with_file_name(name))
}

/// Takes the lock of a run on a network, so that `--replace` does not pull the folder from under it.
fn lock(path: &Path) -> Result<File, NodeError> {
    let file = File::create(path).map_err(io_error("create", path))?;
    match file.try_lock() {
        // A file system without locks has no run that could be seen either.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(NodeError::Occupied(format!("another run holds `{}`", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn coins_are_not_sent_to_keys_that_anybody_can_make() {
        secret_keys(Entropy::System).unwrap();
        let refused = secret_keys(Entropy::Seed(1)).unwrap_err().to_string();
        assert!(refused.contains("leave out --seed"), "{refused}");
    }
}
