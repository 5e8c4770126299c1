//! What the others rest on: the access manager, the directory, the token; and the payout of large pools.

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall;
use histone_contracts::Contract::{Directory as N, Manager as A, Market as K, Members as M, Token as T};
use histone_contracts::{
    AccessManager, Contract, Deployment, Directory, Epochs, Market, Members, TestToken, directory_name,
    manager_roles, roles,
};
use histone_ledger::Ledger;
use histone_ledger::epochs::Epoch;

use crate::reads;
use crate::suite::{LONG, Suite, hash};

/// A role for the tests of the manager.
const ROLE: u64 = 42;

#[tokio::test]
async fn manager() {
    use AccessManager as C;
    let s = Suite::new().await;
    let k = &s.k;
    let d = s.ledger.deployment().clone();
    let account = k.stranger.address();
    let grant = |roleId, executionDelay| C::grantRoleCall { roleId, account, executionDelay };
    s.refused(&k.stranger, A, grant(ROLE, 0), "AccessManagerUnauthorizedAccount").await;
    s.refused(&k.founder, A, grant(u64::MAX, 0), "AccessManagerLockedRole").await;
    s.send(&k.founder, A, C::labelRoleCall { roleId: ROLE, label: "admits members".into() }).await;
    s.send(&k.founder, A, C::setRoleAdminCall { roleId: ROLE, admin: manager_roles::ADMIN }).await;
    s.send(&k.founder, A, C::setRoleGuardianCall { roleId: ROLE, guardian: manager_roles::PAUSER }).await;
    let selectors = || vec![Members::addCall::SELECTOR.into()];
    let function = |target| C::setTargetFunctionRoleCall { target, selectors: selectors(), roleId: ROLE };
    s.send(&k.founder, A, function(d.members)).await;

    // A role with a delay announces its calls, and the manager makes them after the delay.
    const DELAY: u32 = 3_600;
    s.send(&k.founder, A, grant(ROLE, DELAY)).await;
    assert!(s.read(A, C::hasRoleCall { roleId: ROLE, account }).await.isMember);
    let add = |account| Members::addCall { account, roles: roles::OWNER, profile: hash(1), sealKey: hash(2) };
    let (first, second) = (k.owner.address(), k.owner2.address());
    let data = |account| alloy::primitives::Bytes::from(add(account).abi_encode());
    s.refused(&k.stranger, M, add(first), "AccessManagerNotScheduled").await;
    let execute = |account| C::executeCall { target: d.members, data: data(account) };
    s.refused(&k.stranger, A, execute(first), "AccessManagerNotScheduled").await;
    s.refused(&k.owner, A, execute(first), "AccessManagerUnauthorizedCall").await;
    let soon = s.now().await.try_into().unwrap();
    let early = C::scheduleCall { target: d.members, data: data(first), when: soon };
    s.refused(&k.stranger, A, early, "AccessManagerUnauthorizedCall").await;
    let when = alloy::primitives::aliases::U48::ZERO;
    let schedule = |account| C::scheduleCall { target: d.members, data: data(account), when };
    s.send(&k.stranger, A, schedule(first)).await;
    s.refused(&k.stranger, A, schedule(first), "AccessManagerAlreadyScheduled").await;
    s.refused(&k.stranger, A, execute(first), "AccessManagerNotReady").await;
    let id = C::hashOperationCall { caller: account, target: d.members, data: data(first) };
    let id = s.read(A, id).await;
    assert!(s.read(A, C::getScheduleCall { id }).await.to::<u64>() > 0);
    assert_eq!(s.read(A, C::getNonceCall { id }).await, 1);
    s.pass(u64::from(DELAY) + 1).await;
    s.send(&k.stranger, A, execute(first)).await;
    assert_eq!(s.ledger.read(M, Members::rolesOfCall { account: first }).await.unwrap(), roles::OWNER);
    // A guardian, or whoever announced it, takes it back; what waits too long ends by itself.
    s.send(&k.stranger, A, schedule(second)).await;
    let cancel = || C::cancelCall { caller: account, target: d.members, data: data(second) };
    s.refused(&k.owner, A, cancel(), "AccessManagerUnauthorizedCancel").await;
    s.send(&k.stranger, A, cancel()).await;
    s.send(&k.stranger, A, schedule(second)).await;
    s.pass(LONG).await;
    s.refused(&k.stranger, A, execute(second), "AccessManagerExpired").await;

    let may =
        C::canCallCall { caller: account, target: d.members, selector: Members::addCall::SELECTOR.into() };
    assert_eq!(s.read(A, may).await.delay, DELAY);
    s.send(&k.founder, A, C::setGrantDelayCall { roleId: ROLE, newDelay: 5 }).await;
    s.send(&k.founder, A, C::setTargetAdminDelayCall { target: d.members, newDelay: 5 }).await;
    s.send(&k.founder, A, C::setTargetClosedCall { target: d.members, closed: true }).await;
    assert!(s.read(A, C::isTargetClosedCall { target: d.members }).await);
    s.send(&k.founder, A, C::setTargetClosedCall { target: d.members, closed: false }).await;
    reads!(s, A; C::ADMIN_ROLECall {}, C::PUBLIC_ROLECall {}, C::expirationCall {}, C::minSetbackCall {},
        C::getAccessCall { roleId: ROLE, account }, C::getRoleAdminCall { roleId: ROLE },
        C::getRoleGuardianCall { roleId: ROLE }, C::getRoleGrantDelayCall { roleId: ROLE },
        C::getTargetAdminDelayCall { target: d.members },
        C::getTargetFunctionRoleCall { target: d.members, selector: [0; 4].into() });
    s.send(&k.founder, A, C::revokeRoleCall { roleId: ROLE, account }).await;
    let label = C::labelRoleCall { roleId: ROLE, label: "nothing".into() };
    s.send(&k.founder, A, C::multicallCall { data: vec![label.abi_encode().into()] }).await;

    // Another manager for the market, which is how a consortium would leave this one; only through this one.
    let set = Market::setAuthorityCall { newAuthority: account };
    s.refused(&k.founder, K, set, "AccessManagedUnauthorized").await;
    let update = |newAuthority| C::updateAuthorityCall { target: d.market, newAuthority };
    s.refused(&k.founder, A, update(account), "AccessManagedInvalidAuthority").await;
    s.send(&k.founder, A, update(d.manager)).await;

    // The end of the founder's power.
    let renounce =
        |callerConfirmation| C::renounceRoleCall { roleId: manager_roles::ADMIN, callerConfirmation };
    s.refused(&k.founder, A, renounce(account), "AccessManagerBadConfirmation").await;
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    s.refused(&k.founder, A, grant(ROLE, 0), "AccessManagerUnauthorizedAccount").await;
    s.refused(&k.founder, M, add(second), "AccessManagedUnauthorized").await;
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    s.refused(&k.pauser, K, Market::unpauseCall {}, "AccessManagedUnauthorized").await;
    s.covers(
        A,
        &[
            // Called by a managed contract in the call of somebody with a delay.
            "consumeScheduledOp",
            "AccessManagerUnauthorizedConsume",
            // Only for calls of the manager itself that are not functions, and for its constructor.
            "AccessManagerLockedFunction",
            "AccessManagerInvalidInitialAdmin",
            // OpenZeppelin's helpers, for calls that carry coins or go to no contract.
            "AddressEmptyCode",
            "FailedCall",
            "InsufficientBalance",
            "SafeCastOverflowedUintDowncast",
        ],
    );
}

#[tokio::test]
async fn directory() {
    let s = Suite::new().await;
    let k = &s.k;
    let d = s.ledger.deployment().clone();
    let set = |name, target| Directory::setCall { list: vec![Directory::Entry { name, target }] };
    let name = directory_name(Contract::Market);
    s.refused(&k.stranger, N, set(name, d.rounds), "AccessManagedUnauthorized").await;
    s.refused(&k.founder, N, set(B256::ZERO, d.rounds), "NoName").await;
    s.refused(&k.founder, N, set(name, k.owner.address()), "NoContract").await;
    // One address finds everything.
    let found = Ledger::find(s.backend.connection.clone(), d.directory).await.unwrap();
    assert_eq!(*found.deployment(), d);
    let missing = Ledger::find(s.backend.connection.clone(), d.market).await.unwrap_err();
    assert!(!matches!(missing, histone_contracts::LedgerError::Transport { .. }), "{missing}");
    // A successor of the market, and a name of something new.
    s.send(&k.founder, N, set(name, d.rounds)).await;
    s.send(&k.founder, N, set(hash(9), d.token)).await;
    assert_eq!(s.read(N, Directory::lookupCall { name }).await, d.rounds);
    assert_eq!(s.read(N, Directory::entriesCall {}).await.len(), Contract::ALL.len() + 1);
    let found = Ledger::find(s.backend.connection.clone(), d.directory).await.unwrap();
    assert_eq!(*found.deployment(), Deployment { market: d.rounds, ..d });
    reads!(s, N; Directory::authorityCall {}, Directory::isConsumingScheduledOpCall {});
    // As for the members: the manager alone, and roles with a delay.
    s.covers(N, &["setAuthority", "AccessManagedInvalidAuthority", "AccessManagedRequiredDelay"]);
}

#[tokio::test]
async fn token() {
    let s = Suite::new().await;
    let k = &s.k;
    let (owner, user) = (k.owner.address(), k.user.address());
    let mint = |to, amount: u64| TestToken::mintCall { to, amount: U256::from(amount) };
    s.refused(&k.user, T, mint(user, 5), "OwnableUnauthorizedAccount").await;
    s.refused(&k.founder, T, mint(Address::ZERO, 5), "ERC20InvalidReceiver").await;
    s.send(&k.founder, T, mint(user, 5)).await;
    let transfer = |value: u64| TestToken::transferCall { to: owner, value: U256::from(value) };
    s.refused(&k.user, T, transfer(6), "ERC20InsufficientBalance").await;
    s.send(&k.user, T, transfer(2)).await;
    let take = || TestToken::transferFromCall { from: user, to: owner, value: U256::from(1) };
    s.refused(&k.owner, T, take(), "ERC20InsufficientAllowance").await;
    let approve = |spender| TestToken::approveCall { spender, value: U256::from(1) };
    s.refused(&k.user, T, approve(Address::ZERO), "ERC20InvalidSpender").await;
    s.send(&k.user, T, approve(owner)).await;
    s.send(&k.owner, T, take()).await;
    assert_eq!((s.balance(user).await, s.balance(owner).await), (2, 3));
    reads!(s, T; TestToken::allowanceCall { owner: user, spender: owner }, TestToken::decimalsCall {},
        TestToken::nameCall {}, TestToken::symbolCall {}, TestToken::totalSupplyCall {}, TestToken::ownerCall {},
        TestToken::noncesCall { owner: user }, TestToken::DOMAIN_SEPARATORCall {}, TestToken::eip712DomainCall {});
    let permit = |deadline: u64| TestToken::permitCall {
        owner: user,
        spender: owner,
        value: U256::from(1),
        deadline: U256::from(deadline),
        v: 27,
        r: hash(1),
        s: hash(1),
    };
    s.refused(&k.owner, T, permit(1), "ERC2612ExpiredSignature").await;
    s.refused(&k.owner, T, permit(s.now().await + LONG), "ERC2612InvalidSigner").await;
    let to = |newOwner| TestToken::transferOwnershipCall { newOwner };
    s.refused(&k.founder, T, to(Address::ZERO), "OwnableInvalidOwner").await;
    s.send(&k.founder, T, to(owner)).await;
    s.send(&k.owner, T, TestToken::renounceOwnershipCall {}).await;
    s.refused(&k.owner, T, mint(user, 1), "OwnableUnauthorizedAccount").await;
    s.covers(
        T,
        &[
            // No client signs permits; the market is approved by a transaction.
            "permit",
            "InvalidAccountNonce",
            "ECDSAInvalidSignature",
            "ECDSAInvalidSignatureLength",
            "ECDSAInvalidSignatureS",
            // Transfers and approvals of the zero account, which signs nothing.
            "ERC20InvalidSender",
            "ERC20InvalidApprover",
            "InvalidShortString",
            "StringTooLong",
        ],
    );
}

#[tokio::test]
async fn epochs() {
    use Epochs as C;
    const E: Contract = Contract::Directory;
    const WINDOW: u32 = 3_600;
    const SILENCE: u32 = 7_200;
    let mut s = Suite::with_members().await;
    let keeper = s.k.owner.address();
    let create = async |window, silence| s.ledger.create_pool(&s.k.stranger, keeper, window, silence).await;
    for (window, silence, error) in [(60, SILENCE, "WindowTooShort"), (WINDOW, 60, "SilenceTooShort")] {
        let refused = histone_protocol::with_causes(&create(window, silence).await.unwrap_err());
        assert!(refused.contains(error), "{refused}");
    }
    let pool = create(WINDOW, SILENCE).await.unwrap();
    let (a, b) = (s.k.user.address(), s.k.stranger.address());
    let call = TestToken::mintCall { to: pool, amount: U256::from(1_000) };
    s.send(&s.k.founder, T, call).await;
    // From here on the pool is where the directory was.
    let d = Deployment { directory: pool, ..s.ledger.deployment().clone() };
    s.ledger = Ledger::at(s.backend.connection.clone(), d);
    s.source = Some("Epochs");
    let k = &s.k;

    let list = Epoch::new(vec![(a, U256::from(100)), (b, U256::from(200))]).unwrap();
    let propose =
        |root, total: u64| C::proposeCall { root, listHash: list.list_hash(), total: U256::from(total) };
    s.refused(&k.trainer, E, propose(list.root(), 300), "MissingRole").await;
    s.refused(&k.owner, E, propose(B256::ZERO, 300), "ZeroValue").await;
    s.refused(&k.owner, E, propose(list.root(), 1_001), "MoreThanReceived").await;
    s.send(&k.owner, E, propose(list.root(), 300)).await;
    s.refused(&k.owner, E, propose(list.root(), 300), "EpochPending").await;
    let veto = |number: u8| C::vetoCall {
        epoch: alloy::primitives::aliases::U24::from(number),
        reportHash: hash(1),
    };
    s.refused(&k.stranger, E, veto(1), "MissingRole").await;
    s.refused(&k.auditor, E, veto(2), "NotPending").await;
    s.send(&k.auditor, E, veto(1)).await;
    // An auditor who vetoes everything and shares out the money itself: not while the keeper says something.
    s.refused(&k.auditor, E, propose(list.root(), 300), "KeeperNotSilent").await;
    s.pass(u64::from(SILENCE) + 1).await;
    s.send(&k.auditor, E, propose(list.root(), 300)).await;
    // The keeper is not gone and takes back what the auditor proposed; its silence begins anew.
    let receipt = s.send(&k.owner, E, veto(1)).await;
    assert_eq!(receipt.event::<C::EpochVetoed>().unwrap().by, keeper);
    s.refused(&k.auditor, E, propose(list.root(), 300), "KeeperNotSilent").await;
    // A list that announces less than its leaves claim: what is paid ends at what was announced.
    s.send(&k.owner, E, propose(list.root(), 250)).await;
    let claim = |account, due: u64| C::claimCall {
        account,
        due: U256::from(due),
        proof: list.proof(account).unwrap(),
    };
    s.refused(&k.stranger, E, claim(a, 100), "BadProof").await;
    s.pass(u64::from(WINDOW) + 1).await;
    s.refused(&k.stranger, E, claim(a, 101), "BadProof").await;
    s.send(&k.stranger, E, claim(a, 100)).await;
    s.refused(&k.stranger, E, claim(a, 100), "NothingOwed").await;
    s.refused(&k.stranger, E, claim(b, 200), "MoreThanTotal").await;
    s.refused(&k.owner, E, propose(list.root(), 249), "LessThanBefore").await;
    assert_eq!(s.balance(a).await, 100);
    assert_eq!(s.read(E, C::paidCall { account: a }).await, U256::from(100));
    let used = s.read(E, C::inUseCall {}).await;
    assert_eq!((used.root, used.total), (list.root(), U256::from(250)));
    let totals = s.read(E, C::totalsCall {}).await;
    assert_eq!((totals.paidOut, totals.received), (U256::from(100), U256::from(1_000)));

    // A keeper who keeps proposing what has to be vetoed: the members name another one.
    let set = |keeper_| C::setKeeperCall { keeper_ };
    s.refused(&k.owner, E, set(b), "NotManager").await;
    s.refused(&k.founder, E, set(Address::ZERO), "ZeroValue").await;
    let receipt = s.send(&k.founder, E, set(b)).await;
    let named = receipt.event::<C::KeeperSet>().unwrap();
    assert_eq!((named.keeper, named.previous), (b, keeper));
    assert_eq!(s.read(E, C::keeperCall {}).await, b);
    s.refused(&k.owner, E, propose(list.root(), 300), "MissingRole").await;
    s.send(&k.stranger, E, propose(list.root(), 300)).await;
    reads!(s, E; C::latestCall {}, C::silenceCall {}, C::membersCall {}, C::tokenCall {}, C::windowCall {});
    s.covers(
        E,
        &[
            // In the constructor, tried above.
            "WindowTooShort",
            "SilenceTooShort",
            // Tokens that misbehave; forge's tests have them.
            "ReentrancyGuardReentrantCall",
            "SafeERC20FailedOperation",
            "SafeCastOverflowedUintDowncast",
        ],
    );
}
