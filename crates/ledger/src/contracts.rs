//! Types of the contracts' calls, events and errors, from the committed build artifacts.

#![allow(missing_docs, clippy::too_many_arguments)] // generated from the ABI; the Solidity sources carry the documentation

use std::fmt;

use alloy::primitives::Address;
use alloy::sol_types::SolConstructor;

// Each artifact has a module of its own: the ABI of one contract may name types of another.

/// The deployed contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contract {
    Manager,
    Token,
    Members,
    Programs,
    Enclaves,
    Datasets,
    Market,
    Rounds,
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contract::Manager => "manager",
            Contract::Token => "token",
            Contract::Members => "members",
            Contract::Programs => "programs",
            Contract::Enclaves => "enclaves",
            Contract::Datasets => "datasets",
            Contract::Market => "market",
            Contract::Rounds => "rounds",
        })
    }
}

mod manager {
    alloy::sol!(
        #[derive(Debug)]
        AccessManager,
        "../../contracts/artifacts/AccessManager.json"
    );
}
pub use manager::AccessManager;
mod token {
    alloy::sol!(
        #[derive(Debug)]
        TestToken,
        "../../contracts/artifacts/TestToken.json"
    );
}
pub use token::TestToken;
mod members {
    alloy::sol!(
        #[derive(Debug)]
        Members,
        "../../contracts/artifacts/Members.json"
    );
}
pub use members::Members;
mod programs {
    alloy::sol!(
        #[derive(Debug)]
        Programs,
        "../../contracts/artifacts/Programs.json"
    );
}
pub use programs::Programs;
mod enclaves {
    alloy::sol!(
        #[derive(Debug)]
        Enclaves,
        "../../contracts/artifacts/Enclaves.json"
    );
}
pub use enclaves::Enclaves;
mod datasets {
    alloy::sol!(
        #[derive(Debug)]
        Datasets,
        "../../contracts/artifacts/Datasets.json"
    );
}
pub use datasets::Datasets;
mod market {
    alloy::sol!(
        #[derive(Debug)]
        Market,
        "../../contracts/artifacts/Market.json"
    );
}
pub use market::Market;
mod rounds {
    alloy::sol!(
        #[derive(Debug)]
        Rounds,
        "../../contracts/artifacts/Rounds.json"
    );
}
pub use rounds::Rounds;

/// Roles of a member, bits of one byte.
pub mod roles {
    pub const OWNER: u8 = 1;
    pub const TRAINER: u8 = 2;
    pub const RUNNER: u8 = 4;
    pub const AUDITOR: u8 = 8;
    pub const COMMITTEE: u8 = 16;
}

/// States of a model in the market.
pub mod model_state {
    pub const RECRUITING: u8 = 1;
    pub const TRAINING: u8 = 2;
    pub const TRAINED: u8 = 3;
    pub const SERVING: u8 = 4;
    pub const RETIRED: u8 = 5;
    pub const ABORTED: u8 = 6;
}

fn code(bytecode: &[u8], constructor: &impl SolConstructor) -> Vec<u8> {
    [bytecode, &constructor.abi_encode()].concat()
}

pub(crate) fn manager_code(admin: Address) -> Vec<u8> {
    code(&AccessManager::BYTECODE, &AccessManager::constructorCall { initialAdmin: admin })
}

pub(crate) fn token_code(owner: Address) -> Vec<u8> {
    code(&TestToken::BYTECODE, &TestToken::constructorCall { owner })
}

pub(crate) fn members_code(manager: Address) -> Vec<u8> {
    code(&Members::BYTECODE, &Members::constructorCall { manager })
}

pub(crate) fn programs_code(members: Address) -> Vec<u8> {
    code(&Programs::BYTECODE, &Programs::constructorCall { members_: members })
}

pub(crate) fn enclaves_code(members: Address, programs: Address) -> Vec<u8> {
    code(&Enclaves::BYTECODE, &Enclaves::constructorCall { members_: members, programs_: programs })
}

pub(crate) fn datasets_code(members: Address, enclaves: Address) -> Vec<u8> {
    code(&Datasets::BYTECODE, &Datasets::constructorCall { members_: members, enclaves_: enclaves })
}

pub(crate) fn market_code(
    manager: Address,
    token: Address,
    members: Address,
    datasets: Address,
    enclaves: Address,
) -> Vec<u8> {
    let constructor = Market::constructorCall {
        manager,
        token_: token,
        members_: members,
        datasets_: datasets,
        enclaves_: enclaves,
    };
    code(&Market::BYTECODE, &constructor)
}

pub(crate) fn rounds_code(members: Address, enclaves: Address, market: Address) -> Vec<u8> {
    let constructor = Rounds::constructorCall { members_: members, enclaves_: enclaves, market_: market };
    code(&Rounds::BYTECODE, &constructor)
}
