//! Calls in words, for those who vote on them.

use alloy::primitives::{Address, U256, hex};
use alloy::sol_types::SolInterface;
use histone_contracts::book::Role;
use histone_contracts::{
    AccessManager, Contract, Datasets, Deployment, Directory, Enclaves, Epochs, HistoneGovernor, Market,
    Members, Programs, Rounds, TestToken, TimelockController, manager_roles,
};

use super::action::known_name;

/// What a call does, in words. A call that has none is shown with its arguments, or as bytes: never as nothing.
pub fn describe(d: &Deployment, target: Address, data: &[u8]) -> String {
    decoded(d, target, data).unwrap_or_else(|| match contract_at(d, target) {
        Some(contract) => format!("call {contract} with 0x{}", hex::encode(data)),
        None => {
            format!("call {target}, which is no contract of this ledger, with 0x{}", hex::encode(data))
        }
    })
}

fn contract_at(d: &Deployment, target: Address) -> Option<Contract> {
    Contract::ALL.into_iter().find(|&contract| d.address(contract) == target)
}

/// The same; nothing of a call that nobody can read.
pub(super) fn decoded(d: &Deployment, target: Address, data: &[u8]) -> Option<String> {
    let Some(contract) = contract_at(d, target) else {
        // Pools are many and in no directory; whether there is one at that address, the words do not claim.
        if let Ok(Epochs::EpochsCalls::setKeeper(c)) = Epochs::EpochsCalls::abi_decode(data) {
            return Some(format!("let {} propose the lists of {target}, if that is a pool", c.keeper_));
        }
        return None;
    };
    match contract {
        Contract::Programs => Programs::ProgramsCalls::abi_decode(data).ok().map(programs),
        Contract::Enclaves => Enclaves::EnclavesCalls::abi_decode(data).ok().map(|call| match call {
            Enclaves::EnclavesCalls::revoke(c) => format!("forbid enclave {} for good", c.signer),
            other => shown(&other),
        }),
        Contract::Datasets => Datasets::DatasetsCalls::abi_decode(data).ok().map(|c| match c {
            Datasets::DatasetsCalls::strike(c) => format!("take dataset {} back for good", c.id),
            other => shown(&other),
        }),
        Contract::Market => Market::MarketCalls::abi_decode(data).ok().map(market),
        Contract::Members => Members::MembersCalls::abi_decode(data).ok().map(members),
        Contract::Directory => Directory::DirectoryCalls::abi_decode(data).ok().map(directory),
        Contract::Governor => HistoneGovernor::HistoneGovernorCalls::abi_decode(data).ok().map(governor),
        Contract::Timelock => {
            TimelockController::TimelockControllerCalls::abi_decode(data).ok().map(|call| match call {
                TimelockController::TimelockControllerCalls::updateDelay(c) => {
                    format!("wait {} between a decision and its execution", seconds(c.newDelay))
                }
                other => shown(&other),
            })
        }
        Contract::Manager => AccessManager::AccessManagerCalls::abi_decode(data).ok().map(|c| manager(d, c)),
        Contract::Token => TestToken::TestTokenCalls::abi_decode(data).ok().map(|call| shown(&call)),
        Contract::Rounds => Rounds::RoundsCalls::abi_decode(data).ok().map(|call| shown(&call)),
    }
}

fn programs(call: Programs::ProgramsCalls) -> String {
    use Programs::ProgramsCalls as C;
    match call {
        C::allow(c) => format!("allow program {}", c.measurement),
        C::disallow(c) => format!("no longer allow program {}", c.measurement),
        C::revoke(c) => format!("forbid program {} for good", c.measurement),
        other => shown(&other),
    }
}

fn market(call: Market::MarketCalls) -> String {
    use Market::MarketCalls as C;
    match call {
        C::setFee(c) => format!(
            "take {}.{:02} % of the price of queries to models proposed from then on; fees go to {}",
            c.bps / 100,
            c.bps % 100,
            c.treasury_
        ),
        C::pause(_) => "stop new work in the market".into(),
        C::unpause(_) => "allow new work in the market again".into(),
        other => shown(&other),
    }
}

fn members(call: Members::MembersCalls) -> String {
    use Members::MembersCalls as C;
    match call {
        C::add(c) => format!(
            "admit {} as {}, profile {}, messages for it sealed to {}",
            c.account,
            roles(c.roles),
            c.profile,
            c.sealKey
        ),
        C::setRoles(c) => format!("let {} be {}", c.account, roles(c.roles)),
        C::remove(c) => format!("remove member {}", c.account),
        other => shown(&other),
    }
}

fn directory(call: Directory::DirectoryCalls) -> String {
    let Directory::DirectoryCalls::set(c) = call else { return shown(&call) };
    let entry = |e: &Directory::Entry| {
        let name = String::from_utf8_lossy(e.name.as_slice());
        let name: String = name.trim_end_matches('\0').chars().filter(|c| !c.is_control()).collect();
        let what = if known_name(e.name).is_some() { "the" } else { "the new name" };
        format!("let {what} `{name}` be the contract {}", e.target)
    };
    c.list.iter().map(entry).collect::<Vec<_>>().join(" and ")
}

fn governor(call: HistoneGovernor::HistoneGovernorCalls) -> String {
    use HistoneGovernor::HistoneGovernorCalls as C;
    match call {
        C::setVotingDelay(c) => {
            format!("wait {} between a proposal and the vote", seconds(c.newVotingDelay.to::<U256>()))
        }
        C::setVotingPeriod(c) => format!("let a vote last {}", seconds(U256::from(c.newVotingPeriod))),
        C::updateQuorumNumerator(c) => {
            format!("need {} % of the members for a decision", c.newQuorumNumerator)
        }
        other => shown(&other),
    }
}

fn manager(d: &Deployment, call: AccessManager::AccessManagerCalls) -> String {
    use AccessManager::AccessManagerCalls as C;
    let who = |account: Address| {
        if account == d.timelock { "the timelock".into() } else { account.to_string() }
    };
    let role = |id: u64| match id {
        manager_roles::ADMIN => "ADMINISTER EVERYTHING without a vote".into(),
        manager_roles::PAUSER => "stop new work in the market at once".into(),
        other => format!("act in role {other}"),
    };
    match call {
        C::grantRole(c) => format!("let {} {}", who(c.account), role(c.roleId)),
        C::revokeRole(c) => format!("no longer let {} {}", who(c.account), role(c.roleId)),
        other => shown(&other),
    }
}

fn roles(bits: u8) -> String {
    let words: Vec<_> = Role::of(bits).iter().map(|role| role.word()).collect();
    if words.is_empty() { "nothing".into() } else { words.join(", ") }
}

fn seconds(n: U256) -> String {
    format!("{n} s")
}

/// A call with its arguments: `name { argument: value }`.
fn shown(call: &dyn std::fmt::Debug) -> String {
    // `Debug` of the generated enum is `name(nameCall { arguments })`.
    let text = format!("{call:?}");
    match text.split_once('(') {
        Some((_, inner)) => inner.strip_suffix(')').unwrap_or(inner).replacen("Call", "", 1),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::super::Action;
    use super::*;

    fn deployment() -> Deployment {
        let at = Address::repeat_byte;
        Deployment {
            chain_id: 1,
            directory: at(1),
            manager: at(2),
            token: at(3),
            members: at(4),
            programs: at(5),
            enclaves: at(6),
            datasets: at(7),
            market: at(8),
            rounds: at(9),
            timelock: at(10),
            governor: at(11),
        }
    }

    #[track_caller]
    fn check(action: Action, expected: &[&str]) {
        let d = deployment();
        let words: Vec<_> = action.calls(&d).iter().map(|(to, data)| describe(&d, *to, data)).collect();
        assert_eq!(words, expected, "{action:?}");
    }

    #[test]
    fn every_action_reads_as_what_it_does() {
        let (hash, who) = (B256::repeat_byte(0xab), Address::repeat_byte(0x77));
        let ab = "0xabababababababababababababababababababababababababababababababab";
        let seven = "0x7777777777777777777777777777777777777777";
        check(Action::AllowMeasurement(hash), &[&format!("allow program {ab}")]);
        check(Action::DisallowMeasurement(hash), &[&format!("no longer allow program {ab}")]);
        check(Action::RevokeProgram(hash), &[&format!("forbid program {ab} for good")]);
        check(Action::RevokeEnclave(who), &[&format!("forbid enclave {seven} for good")]);
        let id = B256::repeat_byte(9);
        check(Action::StrikeDataset(id), &[&format!("take dataset {id} back for good")]);
        check(
            Action::SetFee { bps: 105, treasury: who },
            &[&format!(
                "take 1.05 % of the price of queries to models proposed from then on; fees go to {seven}"
            )],
        );
        let roles = vec![Role::Owner, Role::Auditor];
        check(
            Action::AddMember { account: who, roles: roles.clone(), profile: hash, seal_key: hash },
            &[&format!("admit {seven} as owner, auditor, profile {ab}, messages for it sealed to {ab}")],
        );
        check(Action::SetRoles { account: who, roles }, &[&format!("let {seven} be owner, auditor")]);
        check(Action::RemoveMember(who), &[&format!("remove member {seven}")]);
        let may = "stop new work in the market at once";
        check(
            Action::Pause,
            &[
                &format!("let the timelock {may}"),
                "stop new work in the market",
                &format!("no longer let the timelock {may}"),
            ],
        );
        check(Action::Unpause, &["allow new work in the market again"]);
        check(Action::AddPauser(who), &[&format!("let {seven} {may}")]);
        check(Action::RemovePauser(who), &[&format!("no longer let {seven} {may}")]);
        let named = |name: &str| {
            let mut bytes = B256::ZERO;
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            Action::SetAddress { name: bytes, target: who }
        };
        check(named("market"), &[&format!("let the `market` be the contract {seven}")]);
        check(named("markt"), &[&format!("let the new name `markt` be the contract {seven}")]);
        check(
            Action::SetKeeper { pool: Address::repeat_byte(0x99), keeper: who },
            &["let 0x7777777777777777777777777777777777777777 propose the lists of \
               0x9999999999999999999999999999999999999999, if that is a pool"],
        );
        check(Action::SetVotingDelay(60), &["wait 60 s between a proposal and the vote"]);
        check(Action::SetVotingPeriod(61), &["let a vote last 61 s"]);
        check(Action::SetQuorum(40), &["need 40 % of the members for a decision"]);
        check(Action::SetTimelockDelay(62), &["wait 62 s between a decision and its execution"]);
    }

    #[test]
    fn what_has_no_words_is_not_hidden() {
        use alloy::sol_types::SolCall;
        let d = deployment();
        let admin = AccessManager::grantRoleCall { roleId: 0, account: Address::ZERO, executionDelay: 0 };
        assert!(describe(&d, d.manager, &admin.abi_encode()).contains("ADMINISTER EVERYTHING"));
        let mint = TestToken::mintCall { to: Address::ZERO, amount: U256::from(7) };
        let shown = describe(&d, d.token, &mint.abi_encode());
        assert!(shown.starts_with("mint { to: 0x0000") && shown.contains("amount: 7"), "{shown}");
        let unknown = describe(&d, d.market, &[1, 2, 3, 4]);
        assert_eq!(unknown, "call market with 0x01020304");
        let foreign = describe(&d, Address::repeat_byte(0x99), &[5]);
        assert!(foreign.contains("no contract of this ledger") && foreign.ends_with("0x05"), "{foreign}");
    }
}
