//! Types of the contracts' calls, events and errors, from the committed build artifacts.

#![allow(missing_docs, clippy::too_many_arguments)] // generated from the ABI; the Solidity sources carry the documentation

use std::fmt;

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
    Timelock,
    Governor,
    Directory,
}

impl Contract {
    /// All of them, in the order in which they are deployed.
    pub const ALL: [Contract; 11] = [
        Contract::Manager,
        Contract::Token,
        Contract::Members,
        Contract::Programs,
        Contract::Enclaves,
        Contract::Datasets,
        Contract::Market,
        Contract::Rounds,
        Contract::Timelock,
        Contract::Governor,
        Contract::Directory,
    ];
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
            Contract::Timelock => "timelock",
            Contract::Governor => "governor",
            Contract::Directory => "directory",
        })
    }
}

mod manager {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        AccessManager,
        "../../contracts/artifacts/AccessManager.json"
    );
}
pub use manager::AccessManager;
mod token {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        TestToken,
        "../../contracts/artifacts/TestToken.json"
    );
}
pub use token::TestToken;
mod members {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Members,
        "../../contracts/artifacts/Members.json"
    );
}
pub use members::Members;
mod programs {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Programs,
        "../../contracts/artifacts/Programs.json"
    );
}
pub use programs::Programs;
mod enclaves {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Enclaves,
        "../../contracts/artifacts/Enclaves.json"
    );
}
pub use enclaves::Enclaves;
mod datasets {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Datasets,
        "../../contracts/artifacts/Datasets.json"
    );
}
pub use datasets::Datasets;
mod market {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Market,
        "../../contracts/artifacts/Market.json"
    );
}
pub use market::Market;
mod rounds {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Rounds,
        "../../contracts/artifacts/Rounds.json"
    );
}
pub use rounds::Rounds;
mod timelock {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        TimelockController,
        "../../contracts/artifacts/TimelockController.json"
    );
}
pub use timelock::TimelockController;
mod governor {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        HistoneGovernor,
        "../../contracts/artifacts/HistoneGovernor.json"
    );
}
pub use governor::HistoneGovernor;
mod directory {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Directory,
        "../../contracts/artifacts/Directory.json"
    );
}
pub use directory::Directory;
// One for each large pool of donors, so that no deployment has a fixed one.
mod epochs {
    alloy_sol_types::sol!(
        #[derive(Debug)]
        Epochs,
        "../../contracts/artifacts/Epochs.json"
    );
}
pub use epochs::Epochs;

/// Why the committee of a training names somebody: `Reasons` of the contracts, and `contracts/README.md`.
pub mod reasons {
    /// Nothing is at the hash that was put on record.
    pub const MISSING: u8 = 1;
    /// What is there cannot be decoded, or is not of this round or donor.
    pub const UNDECODABLE: u8 = 2;
    /// A share does not open and the donor's enclave did not show that it does.
    pub const UNREADABLE: u8 = 3;
    /// A member called a good share unreadable.
    pub const FALSE_ACCUSATION: u8 = 4;
    /// A partial sum contradicts the others. A donor can bring that about, so it costs the member nothing but its name.
    pub const WRONG_PARTIAL: u8 = 5;
    /// Nothing came in time: a name, and nothing more.
    pub const SILENT: u8 = 6;
    /// The donor's rows are, for the most part, those of another donor, who had them first.
    pub const DUPLICATE: u8 = 7;
    /// The evidence of the donor's enclave, or of the one that validated its data, is not believed; or its data are not, as the notice
    /// of their validation says.
    pub const NOT_BELIEVED: u8 = 8;

    /// Whether a name is all that it costs a member: `Reasons.isOnlySaid`.
    pub fn is_only_said(reason: u8) -> bool {
        matches!(reason, SILENT | WRONG_PARTIAL)
    }

    /// The reason in words.
    pub fn words(reason: u8) -> String {
        match reason {
            MISSING => "nothing is at the hash that it put on record",
            UNDECODABLE => "what it put on record cannot be decoded",
            UNREADABLE => "a share that it sent cannot be read",
            FALSE_ACCUSATION => "it accused a donor whose share can be read",
            WRONG_PARTIAL => {
                "its partial opening contradicts the others, or a donor's share for it was wrong"
            }
            SILENT => "nothing came from it in time",
            DUPLICATE => "its data are those of another donor",
            NOT_BELIEVED => "its evidence or its data are not believed",
            other => return format!("reason {other}"),
        }
        .into()
    }
}

/// Roles of a member, bits of one byte.
pub mod roles {
    pub const OWNER: u8 = 1;
    pub const TRAINER: u8 = 2;
    pub const RUNNER: u8 = 4;
    pub const AUDITOR: u8 = 8;
    pub const COMMITTEE: u8 = 16;

    /// Whether a member with these roles may be the auditor of a training: an auditor, and nobody with an interest in the
    /// data or the model.
    pub const fn audits_apart(held: u8) -> bool {
        held & AUDITOR != 0 && held & (OWNER | TRAINER | RUNNER) == 0
    }
}

/// Name of the function that a call with this selector calls.
pub fn function_name(contract: Contract, selector: [u8; 4]) -> Option<&'static str> {
    match contract {
        Contract::Manager => AccessManager::AccessManagerCalls::name_by_selector(selector),
        Contract::Token => TestToken::TestTokenCalls::name_by_selector(selector),
        Contract::Members => Members::MembersCalls::name_by_selector(selector),
        Contract::Programs => Programs::ProgramsCalls::name_by_selector(selector),
        Contract::Enclaves => Enclaves::EnclavesCalls::name_by_selector(selector),
        Contract::Datasets => Datasets::DatasetsCalls::name_by_selector(selector),
        Contract::Market => Market::MarketCalls::name_by_selector(selector),
        Contract::Rounds => Rounds::RoundsCalls::name_by_selector(selector),
        Contract::Timelock => TimelockController::TimelockControllerCalls::name_by_selector(selector),
        Contract::Governor => HistoneGovernor::HistoneGovernorCalls::name_by_selector(selector),
        Contract::Directory => Directory::DirectoryCalls::name_by_selector(selector),
    }
}

/// Roles of the access manager.
pub mod manager_roles {
    /// May do everything that is restricted; the timelock's alone once the founder has handed over.
    pub const ADMIN: u64 = 0;
    /// May stop new work in the market, at once.
    pub const PAUSER: u64 = 1;
}

/// Where a round is.
pub mod round_status {
    /// Updates are anchored.
    pub const OPEN: u8 = 1;
    /// The survivors are fixed; the committee opens their sum.
    pub const CLOSED: u8 = 2;
}

/// Where a query is.
pub mod query_state {
    /// Paid, and neither answered nor refunded.
    pub const FUNDED: u8 = 1;
    /// Answered.
    pub const SETTLED: u8 = 2;
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
