//! Who may do what without a vote: a founder who left something behind, one who did not, and settings that cannot be.

use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use histone_contracts::Contract::{self, Manager as A};
use histone_contracts::book::Powers;
use histone_contracts::{AccessManager, Directory, LedgerError, Market, Members, Programs, manager_roles};
use histone_ledger::{Ledger, Settings, creation_code};
use histone_protocol::U256;

use crate::suite::{SETTINGS, Suite, key};

/// A role of which a deployment knows nothing.
const ROLE: u64 = 7;

/// Whether the ledger was handed over, what not the members alone decide, and how many events were no deployment's.
pub async fn powers(ledger: &Ledger) -> (bool, Vec<String>, u64) {
    let book = ledger.book(&Powers::CONTRACTS).await.unwrap();
    let (powers, now) = (book.powers(), book.head.time);
    (powers.handed_over(now), powers.others(now), powers.exceptions())
}

#[tokio::test]
async fn who_left_a_power_behind_did_not_hand_over() {
    use AccessManager as C;
    let s = Suite::with_members().await;
    let (k, d) = (&s.k, s.ledger.deployment().clone());
    let (founder, stranger) = (k.founder.address(), k.stranger.address());
    let give = |target: Address, functions: &[[u8; 4]], roleId| {
        let selectors = functions.iter().map(|&f| f.into()).collect();
        C::setTargetFunctionRoleCall { target, selectors, roleId }
    };
    let grant = |roleId, account, executionDelay| C::grantRoleCall { roleId, account, executionDelay };
    let functions = [Members::addCall::SELECTOR, Members::setRolesCall::SELECTOR];
    s.send(&k.founder, A, give(d.members, &functions, ROLE)).await;
    s.send(&k.founder, A, grant(ROLE, founder, 0)).await;
    s.send(&k.founder, A, give(d.programs, &[Programs::allowCall::SELECTOR], u64::MAX)).await;
    s.send(&k.founder, A, give(d.market, &[Market::setFeeCall::SELECTOR], manager_roles::PAUSER)).await;
    s.send(&k.founder, A, give(d.directory, &[Directory::setCall::SELECTOR], ROLE + 1)).await;
    s.send(&k.founder, A, C::setRoleAdminCall { roleId: manager_roles::PAUSER, admin: ROLE }).await;
    s.send(&k.founder, A, C::setRoleGuardianCall { roleId: ROLE, guardian: ROLE }).await;
    s.send(&k.founder, A, C::setGrantDelayCall { roleId: ROLE, newDelay: 5 }).await;
    s.send(&k.founder, A, C::setTargetAdminDelayCall { target: d.market, newDelay: 6 }).await;
    s.send(&k.founder, A, C::setTargetClosedCall { target: d.directory, closed: true }).await;
    s.send(&k.founder, A, C::updateAuthorityCall { target: d.market, newAuthority: d.rounds }).await;
    // The timelock has it after a year only: that a role is given again does not shorten its delay at once.
    s.send(&k.founder, A, grant(manager_roles::ADMIN, d.timelock, 31_536_000)).await;
    s.send(&k.founder, A, grant(manager_roles::ADMIN, stranger, 0)).await;
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    let (handed_over, others, exceptions) = powers(&s.ledger).await;
    let role = format!("role {ROLE} ({founder})");
    let expected = [
        format!("{stranger} administers the access manager"),
        format!("{role} may call members.add"),
        format!("{role} may call members.setRoles"),
        "everybody may call programs.allow".into(),
        format!("role 1 ({}) may call market.setFee", k.pauser.address()),
        format!("role {}, which nobody holds, may call directory.set", ROLE + 1),
        format!("there is {role}"),
        format!("{role} gives and takes role 1"),
        format!("{role} cancels calls of role {ROLE}"),
        format!("role {ROLE} begins 5 s after it is given"),
        "new rules for market wait 6 s".into(),
        "directory refuses all managed calls".into(),
        format!("market obeys {}, not the access manager {}", d.rounds, d.manager),
    ];
    for line in &expected {
        assert!(others.contains(line), "no `{line}` in {others:#?}");
    }
    assert!(
        others[0].starts_with("the timelock administers the access manager only from second"),
        "{others:#?}"
    );
    assert_eq!((handed_over, others.len(), exceptions), (false, expected.len() + 1, 13));
}

#[tokio::test]
async fn what_was_taken_back_in_time_is_no_power() {
    use AccessManager as C;
    let s = Suite::with_members().await;
    let (k, d) = (&s.k, s.ledger.deployment().clone());
    let before = powers(&s.ledger).await;
    let founder = format!("{} administers the access manager", k.founder.address());
    let timelock = format!("the timelock {} does not administer the access manager", d.timelock);
    assert_eq!(before, (false, vec![timelock, founder], 0));
    let give = |roleId| C::setTargetFunctionRoleCall {
        target: d.members,
        selectors: vec![Members::addCall::SELECTOR.into()],
        roleId,
    };
    s.send(&k.founder, A, give(ROLE)).await;
    s.send(&k.founder, A, give(manager_roles::ADMIN)).await;
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    assert_eq!(powers(&s.ledger).await, (true, vec![], 2));
    // Nothing is claimed of contracts that were not asked.
    let book = s.ledger.book(&[A]).await.unwrap();
    assert!(!book.powers().handed_over(book.head.time));
}

#[tokio::test]
async fn settings_that_cannot_be_cost_nothing() {
    let s = Suite::new().await;
    let deployer = key(120);
    let longest = Settings { voting_delay: Settings::LONGEST_VOTING_DELAY, ..SETTINGS };
    longest.check().unwrap();
    for (settings, what) in [
        (Settings { voting_delay: 1 << 48, ..SETTINGS }, "the voting delay"),
        (Settings { voting_delay: u64::MAX, ..SETTINGS }, "the voting delay"),
        (Settings { voting_period: 0, ..SETTINGS }, "the voting period"),
        (Settings { voting_period: 1 << 32, ..SETTINGS }, "the voting period"),
        (Settings { quorum_percent: 0, ..SETTINGS }, "the quorum"),
        (Settings { quorum_percent: 101, ..SETTINGS }, "the quorum"),
    ] {
        // A record of a stranger may say so; that is no reason to crash.
        assert!(
            creation_code(Contract::Governor, s.ledger.deployment(), deployer.address(), &settings).is_some()
        );
        let refused = Ledger::deploy(s.backend.connection.clone(), &deployer, &settings).await.unwrap_err();
        assert!(matches!(&refused, LedgerError::Settings(why) if why.starts_with(what)), "{refused}");
    }
    let facts = s.ledger.accounts(&[deployer.address()]).await.unwrap();
    assert_eq!((facts[0].nonce, facts[0].balance.0), (0, U256::ZERO));
}
