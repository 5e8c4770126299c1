//! Putting the contracts on a chain, and finding them again by one address.

use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolConstructor};
use histone_contracts::{
    AccessManager, Contract, Datasets, Deployment, Directory, Enclaves, HistoneGovernor, LedgerError, Market,
    Members, Programs, Rounds, TestToken, TimelockController, directory_name, manager_roles,
};
use histone_protocol::keys::SigningKey;
use serde::{Deserialize, Serialize};

use crate::{Connection, Ledger};

/// What is decided once, when the contracts are deployed. Times in seconds. The members can change the times and the
/// quorum later, by a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The money, an ERC-20 contract that is there already. `None` deploys a TEST token, which its owner can make at will.
    pub token: Option<Address>,
    /// From a proposal to the beginning of the vote on it.
    pub voting_delay: u64,
    /// How long a vote lasts.
    pub voting_period: u64,
    /// Votes that a decision needs, in hundredths of the members.
    pub quorum_percent: u8,
    /// From a decision to its execution.
    pub timelock_delay: u64,
}

impl Default for Settings {
    /// A TEST token; a day to read, a week to vote, half of the members, two days to leave.
    fn default() -> Self {
        const DAY: u64 = 24 * 3_600;
        Self {
            token: None,
            voting_delay: DAY,
            voting_period: 7 * DAY,
            quorum_percent: 50,
            timelock_delay: 2 * DAY,
        }
    }
}

impl Settings {
    /// Longest delay between a proposal and the vote on it, in seconds: the governor counts it in 48 bits.
    pub const LONGEST_VOTING_DELAY: u64 = (1 << 48) - 1;

    /// Demands what the contracts can hold, and a quorum that somebody has to reach.
    pub fn check(&self) -> Result<(), LedgerError> {
        let refuse = |what, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(LedgerError::Settings(format!("{what} is {found}; it must be between {least} and {most}")))
        };
        refuse("the voting delay in seconds", self.voting_delay, 0, Self::LONGEST_VOTING_DELAY)?;
        refuse("the voting period in seconds", self.voting_period, 1, u32::MAX.into())?;
        refuse("the quorum in percent", self.quorum_percent.into(), 1, 100)
    }
}

/// What the transaction that makes a contract carries: our code and the arguments of its constructor. Only those
/// addresses of `d` are looked at that the contract needs; a setting that the contract cannot hold becomes the largest that
/// it can, see [`Settings::check`]. `None` for the money when it was there before.
pub fn creation_code(
    contract: Contract,
    d: &Deployment,
    founder: Address,
    settings: &Settings,
) -> Option<Vec<u8>> {
    fn code(bytecode: &[u8], constructor: &impl SolConstructor) -> Option<Vec<u8>> {
        Some([bytecode, &constructor.abi_encode()].concat())
    }
    match contract {
        Contract::Manager => {
            code(&AccessManager::BYTECODE, &AccessManager::constructorCall { initialAdmin: founder })
        }
        Contract::Token if settings.token.is_some() => None,
        Contract::Token => code(&TestToken::BYTECODE, &TestToken::constructorCall { owner: founder }),
        Contract::Members => code(&Members::BYTECODE, &Members::constructorCall { manager: d.manager }),
        Contract::Programs => code(&Programs::BYTECODE, &Programs::constructorCall { members_: d.members }),
        Contract::Enclaves => code(
            &Enclaves::BYTECODE,
            &Enclaves::constructorCall { members_: d.members, programs_: d.programs },
        ),
        Contract::Datasets => code(
            &Datasets::BYTECODE,
            &Datasets::constructorCall { members_: d.members, enclaves_: d.enclaves },
        ),
        Contract::Market => code(
            &Market::BYTECODE,
            &Market::constructorCall {
                manager: d.manager,
                token_: d.token,
                members_: d.members,
                datasets_: d.datasets,
                enclaves_: d.enclaves,
            },
        ),
        Contract::Rounds => code(
            &Rounds::BYTECODE,
            &Rounds::constructorCall { members_: d.members, enclaves_: d.enclaves, market_: d.market },
        ),
        Contract::Timelock => code(
            &TimelockController::BYTECODE,
            &TimelockController::constructorCall {
                minDelay: U256::from(settings.timelock_delay),
                // The governor alone schedules and cancels; anybody may execute what has waited long enough; nobody
                // administers the timelock but itself, from its first moment.
                proposers: vec![d.governor],
                executors: vec![Address::ZERO],
                admin: Address::ZERO,
            },
        ),
        Contract::Governor => code(
            &HistoneGovernor::BYTECODE,
            &HistoneGovernor::constructorCall {
                members_: d.members,
                timelock: d.timelock,
                votingDelay_: alloy::primitives::aliases::U48::saturating_from(settings.voting_delay),
                votingPeriod_: u32::try_from(settings.voting_period).unwrap_or(u32::MAX),
                quorumPercent: U256::from(settings.quorum_percent),
            },
        ),
        Contract::Directory => code(&Directory::BYTECODE, &Directory::constructorCall { manager: d.manager }),
    }
}

impl Ledger {
    /// Deploys all contracts. `founder` becomes administrator of the access manager and, where `settings` name no other
    /// money, owner of the TEST token. It admits the first members and programs, and then should
    /// [hand over](Ledger::hand_over). Settings that [cannot be](Settings::check) are refused before anything is sent.
    pub async fn deploy(
        connection: Connection,
        founder: &SigningKey,
        settings: &Settings,
    ) -> Result<Self, LedgerError> {
        settings.check()?;
        let chain_id = connection.chain_id().await?;
        let mut ledger = Self::at(connection, Deployment::empty(chain_id));
        let account = founder.address();
        for contract in Contract::ALL {
            if contract == Contract::Timelock {
                // The timelock names the governor and the governor the timelock, so one address has to be foreseen.
                let next = ledger.connection.nonce(account).await?;
                ledger.deployment.governor = account.create(next.saturating_add(1));
            }
            let address = match creation_code(contract, &ledger.deployment, account, settings) {
                Some(code) => ledger.create(founder, contract, code).await?,
                None => settings.token.unwrap_or_default(),
            };
            let place = ledger.deployment.place(contract);
            if contract == Contract::Governor && *place != address {
                return Err(LedgerError::Decode {
                    name: "governor.deploy".into(),
                    detail: format!(
                        "the account {account} sent another transaction meanwhile; deploy again from an account that nobody else uses"
                    ),
                });
            }
            *place = address;
        }
        let d = ledger.deployment.clone();
        ledger.send(founder, Contract::Market, Market::setRoundsCall { rounds_: d.rounds }).await?;
        let pausing = AccessManager::setTargetFunctionRoleCall {
            target: d.market,
            selectors: vec![Market::pauseCall::SELECTOR.into()],
            roleId: manager_roles::PAUSER,
        };
        ledger.send(founder, Contract::Manager, pausing).await?;
        let entries = Contract::ALL
            .iter()
            .map(|c| Directory::Entry { name: directory_name(*c), target: d.address(*c) })
            .collect();
        ledger.send(founder, Contract::Directory, Directory::setCall { list: entries }).await?;
        Ok(ledger)
    }

    /// The client of the deployment whose directory is at this address.
    pub async fn find(connection: Connection, directory: Address) -> Result<Self, LedgerError> {
        let chain_id = connection.chain_id().await?;
        let mut ledger = Self::at(connection, Deployment { directory, ..Deployment::empty(chain_id) });
        let missing = |detail| LedgerError::NoDeployment { directory, detail };
        let entries =
            ledger.read(Contract::Directory, Directory::entriesCall {}).await.map_err(|e| match e {
                LedgerError::Decode { detail, .. } => missing(detail),
                other => other,
            })?;
        for contract in Contract::ALL {
            let name = directory_name(contract);
            let entry = entries.iter().find(|e| e.name == name);
            *ledger.deployment.place(contract) =
                entry.ok_or_else(|| missing(format!("it does not name `{contract}`")))?.target;
        }
        Ok(ledger)
    }

    /// Ends the founder's power: from now on only what the members decided is done, by the timelock. `pauser` may stop new
    /// work at once, and nothing else.
    pub async fn hand_over(&self, founder: &SigningKey, pauser: Address) -> Result<(), LedgerError> {
        let grant = |role, account| AccessManager::grantRoleCall { roleId: role, account, executionDelay: 0 };
        self.send(founder, Contract::Manager, grant(manager_roles::PAUSER, pauser)).await?;
        self.send(founder, Contract::Manager, grant(manager_roles::ADMIN, self.deployment.timelock)).await?;
        let renounce = AccessManager::renounceRoleCall {
            roleId: manager_roles::ADMIN,
            callerConfirmation: founder.address(),
        };
        self.send(founder, Contract::Manager, renounce).await?;
        Ok(())
    }
}
