//! Where the contracts are.

use alloy_primitives::{Address, B256};
use histone_protocol::record::LedgerId;
use serde::{Deserialize, Serialize};

use crate::Contract;

/// Addresses of the deployed contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Chain id.
    pub chain_id: u64,
    /// Names all others: this address alone finds a deployment.
    pub directory: Address,
    /// The access manager.
    pub manager: Address,
    /// The money; a TEST token on the embedded chain.
    pub token: Address,
    /// Member organizations and their roles.
    pub members: Address,
    /// Programs and audits.
    pub programs: Address,
    /// Enclave instances.
    pub enclaves: Address,
    /// Datasets.
    pub datasets: Address,
    /// Models, queries, money.
    pub market: Address,
    /// Training rounds.
    pub rounds: Address,
    /// What the members decided waits there, and is done from there.
    pub timelock: Address,
    /// Where the members propose and vote.
    pub governor: Address,
}

impl Deployment {
    /// A deployment of which no address is known yet.
    pub fn empty(chain_id: u64) -> Self {
        let none = Address::ZERO;
        Self {
            chain_id,
            directory: none,
            manager: none,
            token: none,
            members: none,
            programs: none,
            enclaves: none,
            datasets: none,
            market: none,
            rounds: none,
            timelock: none,
            governor: none,
        }
    }

    /// What a signed statement about this deployment names.
    pub fn id(&self) -> LedgerId {
        LedgerId { chain_id: self.chain_id, contract: self.directory }
    }

    /// Address of a contract.
    pub fn address(&self, contract: Contract) -> Address {
        match contract {
            Contract::Directory => self.directory,
            Contract::Manager => self.manager,
            Contract::Token => self.token,
            Contract::Members => self.members,
            Contract::Programs => self.programs,
            Contract::Enclaves => self.enclaves,
            Contract::Datasets => self.datasets,
            Contract::Market => self.market,
            Contract::Rounds => self.rounds,
            Contract::Timelock => self.timelock,
            Contract::Governor => self.governor,
        }
    }

    /// The place of a contract's address.
    pub fn place(&mut self, contract: Contract) -> &mut Address {
        match contract {
            Contract::Directory => &mut self.directory,
            Contract::Manager => &mut self.manager,
            Contract::Token => &mut self.token,
            Contract::Members => &mut self.members,
            Contract::Programs => &mut self.programs,
            Contract::Enclaves => &mut self.enclaves,
            Contract::Datasets => &mut self.datasets,
            Contract::Market => &mut self.market,
            Contract::Rounds => &mut self.rounds,
            Contract::Timelock => &mut self.timelock,
            Contract::Governor => &mut self.governor,
        }
    }
}

/// What the directory calls a contract: its name in ASCII, filled up with zero bytes.
pub fn directory_name(contract: Contract) -> B256 {
    let mut name = B256::ZERO;
    for (to, from) in name.iter_mut().zip(contract.to_string().bytes()) {
        *to = from;
    }
    name
}
