//! Members, programs, enclaves, datasets.

use alloy::primitives::{Address, B256, Bytes, U256};
use histone_contracts::Contract::{Datasets as D, Enclaves as E, Members as M, Programs as P};
use histone_contracts::{Datasets, Enclaves, Members, Programs, roles};
use histone_protocol::receipt::EnclaveRegistration;

use crate::reads;
use crate::suite::{LONG, QUERY, Suite, TRAINING, VALIDATION, hash, key};

#[tokio::test]
async fn members() {
    let s = Suite::with_members().await;
    let k = &s.k;
    let (account, stranger) = (k.owner.address(), k.stranger.address());
    let add = |account, roles| Members::addCall { account, roles, profile: hash(1), sealKey: hash(2) };
    s.refused(&k.stranger, M, add(stranger, roles::OWNER), "AccessManagedUnauthorized").await;
    s.refused(&k.founder, M, add(account, roles::OWNER), "AlreadyMember").await;
    s.refused(&k.founder, M, add(Address::ZERO, roles::OWNER), "ZeroAccount").await;
    for wrong in [0, 32] {
        s.refused(&k.founder, M, add(stranger, wrong), "InvalidRoles").await;
    }
    s.send(&k.founder, M, add(stranger, roles::OWNER)).await;
    s.send(&k.founder, M, Members::setRolesCall { account: stranger, roles: roles::RUNNER }).await;
    assert_eq!(s.read(M, Members::rolesOfCall { account: stranger }).await, roles::RUNNER);
    let needs = |anyOf| Members::requireRoleCall { account: stranger, anyOf };
    s.read(M, needs(roles::RUNNER | roles::OWNER)).await;
    s.refuses(M, needs(roles::OWNER), "MissingRole").await;
    s.send(&k.stranger, M, Members::updateCall { profile: hash(5), sealKey: hash(6) }).await;
    assert_eq!(s.read(M, Members::memberCall { account: stranger }).await.sealKey, hash(6));

    // A key counts when its member claims to have proved it; another key has to be proved again.
    let claimed = async |account| s.read(M, Members::memberCall { account }).await.keyClaimed;
    let prove = |sealKey| Members::proveSealKeyCall { sealKey, r: hash(1), s: hash(2) };
    s.refused(&k.user, M, prove(hash(3)), "NotMember").await;
    s.refused(&k.stranger, M, prove(B256::ZERO), "ZeroKey").await;
    assert!(!claimed(stranger).await);
    let receipt = s.send(&k.stranger, M, prove(hash(3))).await;
    let proven = receipt.event::<Members::SealKeyProven>().unwrap();
    assert_eq!((proven.account, proven.sealKey, proven.r, proven.s), (stranger, hash(3), hash(1), hash(2)));
    assert!(claimed(stranger).await);
    s.send(&k.stranger, M, Members::updateCall { profile: hash(6), sealKey: hash(3) }).await;
    assert!(claimed(stranger).await, "the key is the same");
    s.send(&k.stranger, M, Members::updateCall { profile: hash(6), sealKey: hash(6) }).await;
    assert!(!claimed(stranger).await);

    // The vote comes with membership, can be lent, and goes with it.
    let votes = |account| Members::getVotesCall { account };
    assert_eq!(s.read(M, votes(stranger)).await, U256::from(1));
    s.send(&k.stranger, M, Members::delegateCall { delegatee: account }).await;
    assert_eq!(s.read(M, votes(account)).await, U256::from(2));
    assert_eq!(s.read(M, Members::delegatesCall { account: stranger }).await, account);
    let before = U256::from(s.now().await);
    s.pass(10).await;
    let past = |timepoint| Members::getPastVotesCall { account, timepoint };
    assert_eq!(s.read(M, past(before)).await, U256::from(2));
    s.refuses(M, past(before + U256::from(LONG)), "ERC5805FutureLookup").await;
    let total = s.read(M, Members::getPastTotalSupplyCall { timepoint: before }).await;
    assert_eq!(total, U256::from(8));
    s.send(&k.founder, M, Members::removeCall { account: stranger }).await;
    assert_eq!(s.read(M, votes(account)).await, U256::from(1));
    s.refuses(M, Members::requireMemberCall { account: stranger }, "NotMember").await;
    s.read(M, Members::requireMemberCall { account }).await;

    let manages = |account| Members::mayManageCall {
        account,
        target: s.ledger.deployment().programs,
        selector: [1, 2, 3, 4].into(),
    };
    assert!(s.read(M, manages(k.founder.address())).await);
    assert!(!s.read(M, manages(account)).await);
    reads!(s, M; Members::authorityCall {}, Members::clockCall {}, Members::CLOCK_MODECall {},
        Members::eip712DomainCall {}, Members::isConsumingScheduledOpCall {}, Members::noncesCall { owner: account });
    let sent = Members::delegateBySigCall {
        delegatee: account,
        nonce: U256::ZERO,
        expiry: U256::ZERO,
        v: 27,
        r: hash(1),
        s: hash(1),
    };
    s.refused(&k.owner, M, sent, "VotesExpiredSignature").await;
    s.covers(
        M,
        &[
            // Called by the access manager alone: `governed::manager` makes it do so for the market.
            "setAuthority",
            "AccessManagedInvalidAuthority",
            // OpenZeppelin's own, and no client uses it: signed delegation, roles with a delay of the caller.
            "delegateBySig",
            "InvalidAccountNonce",
            "ECDSAInvalidSignature",
            "ECDSAInvalidSignatureLength",
            "ECDSAInvalidSignatureS",
            "AccessManagedRequiredDelay",
            // For clocks and names that this contract does not have.
            "ERC6372InconsistentClock",
            "CheckpointUnorderedInsertion",
            "SafeCastOverflowedUintDowncast",
            "InvalidShortString",
            "StringTooLong",
        ],
    );
}

#[tokio::test]
async fn programs() {
    let s = Suite::with_members().await;
    let k = &s.k;
    let m = hash(40);
    let register = |measurement, kind| Programs::registerCall {
        measurement,
        sourceHash: hash(2),
        wasmHash: hash(3),
        kind,
    };
    let audit = |measurement, report: u8| Programs::auditCall { measurement, reportHash: hash(report) };
    let usable = |kind| Programs::requireUsableCall { measurement: m, kind };
    s.refused(&k.stranger, P, register(m, 1), "NotMember").await;
    s.refused(&k.trainer, P, register(m, 4), "InvalidKind").await;
    s.refused(&k.trainer, P, register(B256::ZERO, 1), "ZeroHash").await;
    s.refused(&k.auditor, P, audit(m, 1), "NotRegistered").await;
    s.send(&k.auditor, P, register(m, VALIDATION)).await;
    s.refused(&k.trainer, P, register(m, VALIDATION), "AlreadyRegistered").await;
    s.refuses(P, usable(TRAINING), "WrongKind").await;
    s.refuses(P, usable(VALIDATION), "NotAudited").await;
    s.refused(&k.trainer, P, audit(m, 1), "MissingRole").await;
    s.refused(&k.auditor, P, audit(m, 1), "OwnProgram").await;
    // A second auditor, since nobody audits a program of its own.
    let account = k.stranger.address();
    let call = Members::addCall { account, roles: roles::AUDITOR, profile: hash(1), sealKey: hash(1) };
    s.send(&k.founder, M, call).await;
    s.refused(&k.stranger, P, audit(m, 0), "ZeroHash").await;
    s.send(&k.stranger, P, audit(m, 1)).await;
    s.refused(&k.stranger, P, audit(m, 2), "AlreadyAudited").await;
    assert_eq!(s.read(P, Programs::reportOfCall { measurement: m, auditor: account }).await, hash(1));

    // The members, not the auditors, say what may run. They may change their minds.
    let allow = || Programs::allowCall { measurement: m };
    s.refuses(P, usable(VALIDATION), "NotAllowed").await;
    s.refused(&k.auditor, P, allow(), "NotManager").await;
    s.refused(&k.founder, P, Programs::allowCall { measurement: hash(41) }, "NotRegistered").await;
    s.send(&k.founder, P, allow()).await;
    s.refused(&k.founder, P, allow(), "AlreadyAllowed").await;
    s.read(P, usable(VALIDATION)).await;
    s.read(P, Programs::requireAllowedCall { measurement: m, kind: VALIDATION }).await;
    assert!(s.read(P, Programs::programCall { measurement: m }).await.allowed);
    let disallow = || Programs::disallowCall { measurement: m };
    s.refused(&k.stranger, P, disallow(), "NotManager").await;
    s.send(&k.founder, P, disallow()).await;
    s.refused(&k.founder, P, disallow(), "NotAllowed").await;
    s.send(&k.founder, P, allow()).await;

    // Revocation is final, and governance may revoke as well as author and auditors.
    let revoke = |measurement| Programs::revokeCall { measurement };
    s.refused(&k.owner, P, revoke(m), "NotAuthorOrAuditor").await;
    s.send(&k.auditor, P, revoke(m)).await;
    s.refused(&k.stranger, P, revoke(m), "Revoked").await;
    s.refused(&k.stranger, P, audit(m, 3), "Revoked").await;
    s.refuses(P, usable(VALIDATION), "Revoked").await;
    // What has begun goes on until the members stop it.
    let begun = || Programs::requireAllowedCall { measurement: m, kind: VALIDATION };
    s.read(P, begun()).await;
    s.send(&k.founder, P, disallow()).await;
    s.refuses(P, begun(), "NotAllowed").await;
    s.refused(&k.founder, P, allow(), "Revoked").await;
    s.program(hash(42), QUERY).await;
    s.send(&k.founder, P, revoke(hash(42))).await;
    reads!(s, P; Programs::membersCall {});
    s.covers(P, &[]);
}

#[tokio::test]
async fn enclaves() {
    let s = Suite::with_programs().await;
    let k = &s.k;
    let (enclave, other) = (key(121), key(122));
    let signer = enclave.address();
    let until = s.now().await + LONG;
    let good = || s.registration(&k.runner, &enclave, hash(VALIDATION), until);
    s.refused(&k.stranger, E, good(), "MissingRole").await;
    s.refused(&k.owner, E, good(), "BadSignature").await;
    let mut call = good();
    call.e.sealKey = B256::ZERO;
    s.refused(&k.runner, E, call, "ZeroValue").await;
    let mut call = good();
    call.signature = Bytes::from(vec![1; 64]);
    s.refused(&k.runner, E, call, "ECDSAInvalidSignatureLength").await;
    let mut call = good();
    call.signature = Bytes::from(vec![0; 65]);
    s.refused(&k.runner, E, call, "ECDSAInvalidSignature").await;
    let mut call = good();
    call.signature = Bytes::from([vec![0x11; 32], vec![0xff; 32], vec![27]].concat());
    s.refused(&k.runner, E, call, "ECDSAInvalidSignatureS").await;
    let late = s.registration(&k.runner, &enclave, hash(VALIDATION), 1);
    s.refused(&k.runner, E, late, "ExpiryTooEarly").await;
    let unknown = s.registration(&k.runner, &enclave, hash(99), until);
    s.refused(&k.runner, E, unknown, "NotRegistered").await;
    let live = |kind| Enclaves::requireLiveCall { signer, kind };
    s.refuses(E, live(VALIDATION), "EnclaveNotRegistered").await;
    s.send(&k.runner, E, good()).await;
    s.refused(&k.runner, E, good(), "EnclaveAlreadyRegistered").await;
    assert_eq!(s.read(E, live(VALIDATION)).await.operator, k.runner.address());
    s.refuses(E, live(TRAINING), "WrongKind").await;
    assert_eq!(s.read(E, Enclaves::signerOfCall { number: 1 }).await, signer);
    assert_eq!(s.read(E, Enclaves::countCall {}).await, 1);

    let refresh = |expires_at, by: &histone_protocol::keys::SigningKey| {
        let r = EnclaveRegistration {
            operator: k.runner.address(),
            sealKey: hash(3),
            measurement: hash(VALIDATION),
            platform: 0,
            evidenceHash: hash(6),
            expiresAt: expires_at,
        };
        let signature = s.sign(&r, E, by);
        Enclaves::refreshCall { signer, evidenceHash: hash(6), expiresAt: expires_at, signature }
    };
    s.refused(&k.owner, E, refresh(until + 9, &enclave), "NotOperator").await;
    s.refused(&k.runner, E, refresh(until, &enclave), "ExpiryTooEarly").await;
    s.refused(&k.runner, E, refresh(until + 9, &other), "BadSignature").await;
    s.send(&k.runner, E, refresh(until + 9, &enclave)).await;
    assert_eq!(s.read(E, Enclaves::enclaveCall { signer }).await.evidenceHash, hash(6));
    // What the members no longer allow is not live, until they allow it again.
    let measurement = hash(VALIDATION);
    s.send(&k.founder, P, Programs::disallowCall { measurement }).await;
    s.refuses(E, live(VALIDATION), "NotAllowed").await;
    s.refused(&k.runner, E, refresh(until + 10, &enclave), "NotAllowed").await;
    s.send(&k.founder, P, Programs::allowCall { measurement }).await;
    s.read(E, live(VALIDATION)).await;

    let revoke = |signer| Enclaves::revokeCall { signer };
    s.refused(&k.owner, E, revoke(signer), "NotOperatorOrManager").await;
    s.refused(&k.auditor, E, revoke(signer), "NotOperatorOrManager").await;
    s.refused(&k.auditor, E, revoke(other.address()), "EnclaveNotRegistered").await;
    let running = Enclaves::requireRunningCall { signer, kind: VALIDATION };
    assert!(s.read(E, running).await > 0);
    let allowed = Programs::requireAllowedCall { measurement, kind: TRAINING };
    s.refuses(P, allowed, "WrongKind").await;
    s.send(&k.runner, E, revoke(signer)).await;
    s.refused(&k.runner, E, revoke(signer), "EnclaveIsRevoked").await;
    s.refuses(E, live(VALIDATION), "EnclaveIsRevoked").await;
    let soon = s.registration(&k.owner, &other, hash(TRAINING), s.now().await + 500);
    s.send(&k.owner, E, soon).await;
    s.pass(600).await;
    let expired = Enclaves::requireLiveCall { signer: other.address(), kind: TRAINING };
    s.refuses(E, expired, "EnclaveExpired").await;
    let far = s.registration(&k.owner, &key(123), hash(TRAINING), u64::MAX);
    s.refused(&k.owner, E, far, "SafeCastOverflowedUintDowncast").await;
    reads!(s, E; Enclaves::membersCall {}, Enclaves::programsCall {}, Enclaves::eip712DomainCall {});
    // The name in the signing domain is a constant.
    s.covers(E, &["InvalidShortString", "StringTooLong"]);
}

mod consents {
    alloy::sol! {
        struct WithdrawalConsent {
            bytes32 datasetId;
            uint256 deadline;
        }
    }
}

#[tokio::test]
async fn datasets() {
    let s = Suite::with_programs().await;
    let k = &s.k;
    let enclave = key(124);
    s.enclave(&k.runner, &enclave, hash(VALIDATION)).await;
    let owner = k.owner.address();
    let register = |root: B256| Datasets::registerCall {
        root,
        reportHash: hash(5),
        policyHash: hash(6),
        rows: 100,
        quality: 3,
        enclave: enclave.address(),
        signature: s.validated(owner, root, B256::ZERO, &enclave),
    };
    let (root, id) = (hash(50), histone_contracts::dataset_id(owner, hash(50)));
    s.refused(&k.trainer, D, register(root), "MissingRole").await;
    s.refused(&k.owner2, D, register(root), "BadSignature").await;
    s.refused(&k.owner, D, Datasets::registerCall { rows: 0, ..register(root) }, "NoRows").await;
    let nothing = Datasets::registerCall { policyHash: B256::ZERO, ..register(root) };
    s.refused(&k.owner, D, nothing, "ZeroHash").await;
    let short = Datasets::registerCall { signature: vec![1; 64].into(), ..register(root) };
    s.refused(&k.owner, D, short, "ECDSAInvalidSignatureLength").await;
    let zero = Datasets::registerCall { signature: vec![0; 65].into(), ..register(root) };
    s.refused(&k.owner, D, zero, "ECDSAInvalidSignature").await;
    let high = Bytes::from([vec![0x11; 32], vec![0xff; 32], vec![27]].concat());
    let high = Datasets::registerCall { signature: high, ..register(root) };
    s.refused(&k.owner, D, high, "ECDSAInvalidSignatureS").await;
    s.refuses(D, Datasets::requireUsableCall { id }, "DatasetNotRegistered").await;
    s.send(&k.owner, D, register(root)).await;
    s.refused(&k.owner, D, register(root), "DatasetAlreadyRegistered").await;
    assert_eq!(s.read(D, Datasets::idOfCall { owner, root }).await, id);
    assert_eq!(s.read(D, Datasets::requireUsableCall { id }).await.number, 1);
    assert_eq!(s.read(D, Datasets::countCall {}).await, 1);

    let update = |root: B256| {
        let r = register(root);
        Datasets::updateCall {
            id,
            root,
            reportHash: r.reportHash,
            rows: r.rows,
            quality: r.quality,
            enclave: r.enclave,
            signature: s.validated(owner, root, id, &enclave),
        }
    };
    s.refused(&k.owner2, D, update(hash(51)), "NotDatasetOwner").await;
    // What the validation found to be new is no version of this dataset, and what it found to continue it is no other one.
    let new = Datasets::updateCall { signature: register(hash(51)).signature, ..update(hash(51)) };
    s.refused(&k.owner, D, new, "BadSignature").await;
    let again = Datasets::registerCall { signature: update(hash(51)).signature, ..register(hash(51)) };
    s.refused(&k.owner, D, again, "BadSignature").await;
    s.refused(&k.owner, D, update(root), "DatasetAlreadyRegistered").await;
    s.send(&k.owner, D, update(hash(51))).await;
    let updated = s.read(D, Datasets::datasetCall { id }).await;
    assert_eq!((updated.root, updated.version), (hash(51), 1));
    let usable = s.read(D, Datasets::requireUsableCall { id }).await;
    assert_eq!((usable.owner, usable.weight, usable.root), (owner, 300, hash(51)));
    let policy = |policyHash| Datasets::setPolicyCall { id, policyHash };
    s.refused(&k.owner, D, policy(B256::ZERO), "ZeroHash").await;
    s.send(&k.owner, D, policy(hash(7))).await;

    // The owner itself, or somebody with the owner's signature.
    assert!(!s.read(D, Datasets::isWithdrawnCall { number: 1 }).await);
    let deadline = U256::from(s.now().await + LONG);
    let consent = |datasetId, deadline, by: &histone_protocol::keys::SigningKey| {
        let signature = s.sign(&consents::WithdrawalConsent { datasetId, deadline }, D, by);
        Datasets::withdrawForCall { id: datasetId, deadline, signature }
    };
    s.refused(&k.stranger, D, consent(id, deadline, &k.owner2), "NotConsented").await;
    s.refused(&k.stranger, D, consent(id, U256::from(1), &k.owner), "ConsentExpired").await;
    s.refused(&k.stranger, D, consent(hash(9), deadline, &k.owner), "DatasetNotRegistered").await;
    s.send(&k.stranger, D, consent(id, deadline, &k.owner)).await;
    s.refused(&k.stranger, D, consent(id, deadline, &k.owner), "DatasetIsWithdrawn").await;
    assert!(s.read(D, Datasets::isWithdrawnCall { number: 1 }).await);
    s.refuses(D, Datasets::requireUsableCall { id }, "DatasetIsWithdrawn").await;
    s.refused(&k.owner, D, policy(hash(8)), "DatasetIsWithdrawn").await;
    s.send(&k.owner, D, register(hash(52))).await;
    let second = histone_contracts::dataset_id(owner, hash(52));
    s.send(&k.owner, D, Datasets::withdrawCall { id: second }).await;
    // One that its owner does not take back is struck by the members.
    s.send(&k.owner, D, register(hash(53))).await;
    let strike = |root| Datasets::strikeCall { id: histone_contracts::dataset_id(owner, hash(root)) };
    s.refused(&k.owner, D, strike(53), "NotManager").await;
    s.send(&k.founder, D, strike(53)).await;
    s.refused(&k.founder, D, strike(53), "DatasetIsWithdrawn").await;
    s.send(&k.owner, D, Datasets::markErasedCall { id }).await;
    s.refused(&k.owner, D, Datasets::markErasedCall { id }, "DatasetIsErased").await;
    assert!(s.read(D, Datasets::erasedAtCall { id }).await > 0);
    reads!(s, D; Datasets::membersCall {}, Datasets::enclavesCall {}, Datasets::eip712DomainCall {});
    s.covers(D, &["InvalidShortString", "StringTooLong"]);
}
