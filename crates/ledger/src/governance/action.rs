//! What members can decide, and the calls that do it.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;
use histone_contracts::book::Role;
use histone_contracts::{
    AccessManager, Contract, Datasets, Deployment, Directory, Enclaves, Epochs, HistoneGovernor, Market,
    Members, Programs, TimelockController, directory_name, manager_roles,
};
use serde::{Deserialize, Serialize};

/// One thing to decide. In JSON: `{"allow-measurement": "0x..."}`, or `"pause"` where nothing is to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Allow a program.
    AllowMeasurement(B256),
    /// No longer allow a program.
    DisallowMeasurement(B256),
    /// Forbid a program for good.
    RevokeProgram(B256),
    /// Forbid an enclave for good.
    RevokeEnclave(Address),
    /// Take a dataset back for good which its owner does not.
    StrikeDataset(B256),
    /// Set the fee of models that are proposed from then on, and who gets the fees of all models.
    SetFee {
        /// In 1/10,000 of the price of a query.
        bps: u16,
        /// Who gets it.
        treasury: Address,
    },
    /// Admit a member.
    AddMember {
        /// Its account.
        account: Address,
        /// As what.
        roles: Vec<Role>,
        /// Hash of the document in which it describes itself.
        profile: B256,
        /// X25519 key to which messages for it are sealed; zero until the member sets it.
        seal_key: B256,
    },
    /// Replace the roles of a member.
    SetRoles {
        /// Its account.
        account: Address,
        /// As what.
        roles: Vec<Role>,
    },
    /// Remove a member.
    RemoveMember(Address),
    /// Stop new work in the market.
    Pause,
    /// End a pause.
    Unpause,
    /// Let an account stop new work at once.
    AddPauser(Address),
    /// Take that back.
    RemovePauser(Address),
    /// Let a name of the directory stand for another contract: an upgrade.
    SetAddress {
        /// A name of at most 32 ASCII letters, such as `market`.
        name: B256,
        /// The contract.
        target: Address,
    },
    /// Let somebody else propose the lists of a pool.
    SetKeeper {
        /// The contract of the pool.
        pool: Address,
        /// Who proposes from then on.
        keeper: Address,
    },
    /// Seconds from a proposal to the vote.
    SetVotingDelay(u64),
    /// Seconds that a vote lasts.
    SetVotingPeriod(u64),
    /// Votes that a decision needs, in hundredths of the members.
    SetQuorum(u8),
    /// Seconds from a decision to its execution.
    SetTimelockDelay(u64),
}

/// Why an [`Action`] means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAction {
    /// The name does not fit into the directory.
    #[error("`{0}` is no name of a contract; write 1 to 32 letters, digits or `-`, such as `market`")]
    Name(String),
    /// More seconds than the governor counts.
    #[error("{0} s is longer than the governor can count")]
    TooLong(u64),
    /// No quorum at all.
    #[error("with a quorum of 0 % a single vote would decide for everybody; give 1 to 100")]
    NoQuorum,
    /// More than a hundred hundredths.
    #[error("a quorum of {0} % is more than all members")]
    Quorum(u8),
}

/// The sum of role bits.
pub(crate) fn bits(roles: &[Role]) -> u8 {
    roles.iter().fold(0, |sum, role| sum | role.bit())
}

impl Action {
    /// A name for [`Action::SetAddress`].
    pub fn name(text: &str) -> Result<B256, InvalidAction> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !fits {
            return Err(InvalidAction::Name(text.into()));
        }
        let mut name = B256::ZERO;
        for (to, from) in name.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(name)
    }

    /// Refuses what no contract could do, and a quorum of nobody, before anybody votes on it.
    pub fn check(&self) -> Result<(), InvalidAction> {
        match *self {
            Action::SetVotingDelay(seconds) if seconds >> 48 != 0 => Err(InvalidAction::TooLong(seconds)),
            Action::SetVotingPeriod(seconds) if seconds >> 32 != 0 => Err(InvalidAction::TooLong(seconds)),
            Action::SetQuorum(0) => Err(InvalidAction::NoQuorum),
            Action::SetQuorum(percent) if percent > 100 => Err(InvalidAction::Quorum(percent)),
            _ => Ok(()),
        }
    }

    /// The calls that do it, in their order.
    pub(crate) fn calls(&self, d: &Deployment) -> Vec<(Address, Bytes)> {
        fn call(target: Address, call: &impl SolCall) -> (Address, Bytes) {
            (target, call.abi_encode().into())
        }
        let of = |contract| d.address(contract);
        let grant = |account| AccessManager::grantRoleCall {
            roleId: manager_roles::PAUSER,
            account,
            executionDelay: 0,
        };
        let take = |account| AccessManager::revokeRoleCall { roleId: manager_roles::PAUSER, account };
        vec![match self {
            Action::AllowMeasurement(measurement) => {
                call(of(Contract::Programs), &Programs::allowCall { measurement: *measurement })
            }
            Action::DisallowMeasurement(measurement) => {
                call(of(Contract::Programs), &Programs::disallowCall { measurement: *measurement })
            }
            Action::RevokeProgram(measurement) => {
                call(of(Contract::Programs), &Programs::revokeCall { measurement: *measurement })
            }
            Action::RevokeEnclave(signer) => {
                call(of(Contract::Enclaves), &Enclaves::revokeCall { signer: *signer })
            }
            Action::StrikeDataset(id) => call(of(Contract::Datasets), &Datasets::strikeCall { id: *id }),
            Action::SetFee { bps, treasury } => {
                call(of(Contract::Market), &Market::setFeeCall { bps: *bps, treasury_: *treasury })
            }
            Action::AddMember { account, roles, profile, seal_key } => {
                let add = Members::addCall {
                    account: *account,
                    roles: bits(roles),
                    profile: *profile,
                    sealKey: *seal_key,
                };
                call(of(Contract::Members), &add)
            }
            Action::SetRoles { account, roles } => {
                let set = Members::setRolesCall { account: *account, roles: bits(roles) };
                call(of(Contract::Members), &set)
            }
            Action::RemoveMember(account) => {
                call(of(Contract::Members), &Members::removeCall { account: *account })
            }
            // Only who holds the pauser's role may pause, and the timelock should not hold it all the time.
            Action::Pause => {
                return vec![
                    call(of(Contract::Manager), &grant(d.timelock)),
                    call(of(Contract::Market), &Market::pauseCall {}),
                    call(of(Contract::Manager), &take(d.timelock)),
                ];
            }
            Action::Unpause => call(of(Contract::Market), &Market::unpauseCall {}),
            Action::AddPauser(account) => call(of(Contract::Manager), &grant(*account)),
            Action::RemovePauser(account) => call(of(Contract::Manager), &take(*account)),
            Action::SetAddress { name, target } => {
                let list = vec![Directory::Entry { name: *name, target: *target }];
                call(of(Contract::Directory), &Directory::setCall { list })
            }
            Action::SetKeeper { pool, keeper } => call(*pool, &Epochs::setKeeperCall { keeper_: *keeper }),
            Action::SetVotingDelay(seconds) => {
                let seconds = alloy::primitives::aliases::U48::saturating_from(*seconds);
                call(of(Contract::Governor), &HistoneGovernor::setVotingDelayCall { newVotingDelay: seconds })
            }
            Action::SetVotingPeriod(seconds) => {
                let seconds = u32::try_from(*seconds).unwrap_or(u32::MAX);
                call(
                    of(Contract::Governor),
                    &HistoneGovernor::setVotingPeriodCall { newVotingPeriod: seconds },
                )
            }
            Action::SetQuorum(percent) => {
                let numerator = U256::from(*percent);
                let set = HistoneGovernor::updateQuorumNumeratorCall { newQuorumNumerator: numerator };
                call(of(Contract::Governor), &set)
            }
            Action::SetTimelockDelay(seconds) => {
                let set = TimelockController::updateDelayCall { newDelay: U256::from(*seconds) };
                call(of(Contract::Timelock), &set)
            }
        }]
    }
}

/// The name of one of the deployed contracts.
pub(super) fn known_name(name: B256) -> Option<Contract> {
    Contract::ALL.into_iter().find(|&contract| directory_name(contract) == name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_no_contract_could_do_is_refused() {
        assert_eq!(known_name(Action::name("market").unwrap()), Some(Contract::Market));
        for bad in ["", "a market", "markt\u{e4}", &"m".repeat(33)] {
            assert!(Action::name(bad).is_err(), "{bad}");
        }
        for (action, good) in [
            (Action::SetQuorum(0), false),
            (Action::SetQuorum(1), true),
            (Action::SetQuorum(100), true),
            (Action::SetQuorum(101), false),
            (Action::SetVotingDelay((1 << 48) - 1), true),
            (Action::SetVotingDelay(1 << 48), false),
            (Action::SetVotingPeriod(1 << 32), false),
        ] {
            assert_eq!(action.check().is_ok(), good, "{action:?}");
        }
    }
}
