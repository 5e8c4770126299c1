//! Governance: a proposal from its first word to its effect, and everything that is refused on the way.

use alloy::primitives::{B256, Bytes, U256, keccak256};
use alloy::sol_types::SolCall;
use histone_contracts::Contract::{Governor as G, Market as K, Members as M, Programs as P, Timelock as L};
use histone_contracts::{HistoneGovernor as C, Market, Members, Programs, TimelockController as W, roles};
use histone_protocol::keys::SigningKey;

use crate::reads;
use crate::suite::{SETTINGS, Suite, TRAINING, hash};

/// One call that the members decide on.
struct Motion {
    target: alloy::primitives::Address,
    data: Bytes,
    text: String,
}

impl Motion {
    fn propose(&self) -> C::proposeCall {
        C::proposeCall {
            targets: vec![self.target],
            values: vec![U256::ZERO],
            calldatas: vec![self.data.clone()],
            description: self.text.clone(),
        }
    }

    fn hash(&self) -> B256 {
        keccak256(&self.text)
    }

    fn queue(&self) -> C::queueCall {
        let p = self.propose();
        C::queueCall {
            targets: p.targets,
            values: p.values,
            calldatas: p.calldatas,
            descriptionHash: self.hash(),
        }
    }

    fn execute(&self) -> C::executeCall {
        let p = self.propose();
        C::executeCall {
            targets: p.targets,
            values: p.values,
            calldatas: p.calldatas,
            descriptionHash: self.hash(),
        }
    }

    fn cancel(&self) -> C::cancelCall {
        let p = self.propose();
        C::cancelCall {
            targets: p.targets,
            values: p.values,
            calldatas: p.calldatas,
            descriptionHash: self.hash(),
        }
    }

    /// Its operation in the timelock, which belongs to this governor alone.
    fn operation(&self, governor: alloy::primitives::Address) -> (W::scheduleBatchCall, B256) {
        let p = self.propose();
        let mut salt = B256::ZERO;
        salt[..20].copy_from_slice(governor.as_slice());
        let salt = salt ^ self.hash();
        let call = W::scheduleBatchCall {
            targets: p.targets,
            values: p.values,
            payloads: p.calldatas,
            predecessor: B256::ZERO,
            salt,
            delay: U256::from(SETTINGS.timelock_delay),
        };
        (call, salt)
    }
}

fn cast(proposalId: U256, support: u8) -> C::castVoteCall {
    C::castVoteCall { proposalId, support }
}

/// Proposes as the trainer and waits until the vote has begun.
async fn put(s: &Suite, motion: &Motion) -> U256 {
    let receipt = s.send(&s.k.trainer, G, motion.propose()).await;
    let number = receipt.event::<C::ProposalCreated>().unwrap().proposalId;
    s.pass(SETTINGS.voting_delay + 1).await;
    number
}

/// Lets so many members vote for it, ends the vote, and lets it wait in the timelock.
async fn accept(s: &Suite, number: U256, motion: &Motion) {
    let k = &s.k;
    let voters: [&SigningKey; 4] = [&k.owner, &k.owner2, &k.runner, &k.auditor];
    for voter in voters {
        s.send(voter, G, cast(number, 1)).await;
    }
    s.pass(SETTINGS.voting_period + 1).await;
    s.send(&k.stranger, G, motion.queue()).await;
    s.pass(SETTINGS.timelock_delay + 1).await;
}

#[tokio::test]
async fn governance() {
    let s = Suite::with_programs().await;
    let k = &s.k;
    let d = s.ledger.deployment().clone();
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    let stop = Motion {
        target: d.programs,
        data: Programs::disallowCall { measurement: hash(TRAINING) }.abi_encode().into(),
        text: "the training program leaks".into(),
    };
    s.refused(&k.stranger, G, stop.propose(), "GovernorInsufficientProposerVotes").await;
    let empty = C::proposeCall { targets: vec![], values: vec![], calldatas: vec![], description: "".into() };
    s.refused(&k.trainer, G, empty, "GovernorInvalidProposalLength").await;
    // Whoever writes a name behind a text keeps others from taking the proposal away.
    let marked = Motion { text: format!("stop#proposer={}", k.owner.address()), ..stop_again(&stop) };
    s.refused(&k.trainer, G, marked.propose(), "GovernorRestrictedProposer").await;

    let receipt = s.send(&k.trainer, G, stop.propose()).await;
    let number = receipt.event::<C::ProposalCreated>().unwrap().proposalId;
    s.refused(&k.trainer, G, stop.propose(), "GovernorUnexpectedProposalState").await;
    s.refused(&k.owner, G, cast(number, 1), "GovernorUnexpectedProposalState").await;
    assert_eq!(s.read(G, C::proposalProposerCall { proposalId: number }).await, k.trainer.address());
    s.pass(SETTINGS.voting_delay + 1).await;
    s.refuses(G, C::stateCall { proposalId: U256::from(1) }, "GovernorNonexistentProposal").await;
    s.refused(&k.owner, G, cast(number, 3), "GovernorInvalidVoteType").await;
    s.send(&k.owner, G, cast(number, 1)).await;
    s.refused(&k.owner, G, cast(number, 0), "GovernorAlreadyCastVote").await;
    let reason = "it was audited twice".to_string();
    let with = C::castVoteWithReasonCall { proposalId: number, support: 0, reason: reason.clone() };
    s.send(&k.owner2, G, with).await;
    let with =
        C::castVoteWithReasonAndParamsCall { proposalId: number, support: 2, reason, params: Bytes::new() };
    s.send(&k.runner, G, with).await;
    s.send(&k.auditor, G, cast(number, 1)).await;
    s.send(&k.seats[0], G, cast(number, 1)).await;
    // Strangers vote without weight, which changes nothing.
    s.send(&k.stranger, G, cast(number, 0)).await;
    let votes = s.read(G, C::proposalVotesCall { proposalId: number }).await;
    let [one, three] = [1, 3].map(U256::from);
    assert_eq!((votes.againstVotes, votes.forVotes, votes.abstainVotes), (one, three, one));
    s.refused(&k.stranger, G, stop.queue(), "GovernorUnexpectedProposalState").await;
    s.pass(SETTINGS.voting_period + 1).await;
    s.send(&k.stranger, G, stop.queue()).await;
    // Not before whoever disagrees had time to leave.
    s.refused(&k.stranger, G, stop.execute(), "TimelockUnexpectedOperationState").await;
    assert!(s.read(G, C::proposalEtaCall { proposalId: number }).await > U256::ZERO);
    s.pass(SETTINGS.timelock_delay + 1).await;
    let usable = || Programs::requireUsableCall { measurement: hash(TRAINING), kind: TRAINING };
    s.read(P, usable()).await;
    s.send(&k.stranger, G, stop.execute()).await;
    s.refuses(P, usable(), "NotAllowed").await;
    s.refused(&k.stranger, G, stop.execute(), "GovernorUnexpectedProposalState").await;

    // Fewer than half of seven members are no decision.
    let admit = Motion {
        target: d.members,
        data: Members::addCall {
            account: k.user.address(),
            roles: roles::OWNER,
            profile: hash(1),
            sealKey: hash(2),
        }
        .abi_encode()
        .into(),
        text: "admit the user".into(),
    };
    let number = put(&s, &admit).await;
    s.send(&k.owner, G, cast(number, 1)).await;
    s.pass(SETTINGS.voting_period + 1).await;
    s.refused(&k.stranger, G, admit.queue(), "GovernorUnexpectedProposalState").await;
    // The proposer may take a proposal back before the vote begins; nobody else.
    let again = Motion { text: "admit the user, once more".into(), ..stop_again(&admit) };
    s.send(&k.trainer, G, again.propose()).await;
    s.refused(&k.owner, G, again.cancel(), "GovernorUnableToCancel").await;
    s.send(&k.trainer, G, again.cancel()).await;

    // The fee and the end of a pause are the members' too.
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    for (data, text) in [
        (Market::unpauseCall {}.abi_encode(), "go on"),
        (Market::setFeeCall { bps: 100, treasury_: d.timelock }.abi_encode(), "a fee of one hundredth"),
    ] {
        let motion = Motion { target: d.market, data: data.into(), text: text.into() };
        let number = put(&s, &motion).await;
        accept(&s, number, &motion).await;
        s.send(&k.stranger, G, motion.execute()).await;
    }
    assert_eq!(s.read(K, Market::feeBpsCall {}).await, 100);
    // What fails when it is done, fails with the reason of the contract.
    let motion =
        Motion { target: d.market, data: Market::unpauseCall {}.abi_encode().into(), text: "again".into() };
    let number = put(&s, &motion).await;
    accept(&s, number, &motion).await;
    s.refused(&k.stranger, G, motion.execute(), "ExpectedPause").await;

    // Times and quorum of the votes themselves.
    let settings = [
        C::setVotingDelayCall { newVotingDelay: 60u64.try_into().unwrap() }.abi_encode(),
        C::setVotingPeriodCall { newVotingPeriod: 600 }.abi_encode(),
        C::setProposalThresholdCall { newProposalThreshold: one }.abi_encode(),
        C::updateQuorumNumeratorCall { newQuorumNumerator: U256::from(49) }.abi_encode(),
        C::relayCall { target: d.governor, value: U256::ZERO, data: Bytes::new() }.abi_encode(),
    ];
    for (i, data) in settings.into_iter().enumerate() {
        let motion = Motion { target: d.governor, data: data.into(), text: format!("setting {i}") };
        let number = put(&s, &motion).await;
        accept(&s, number, &motion).await;
        // To send coins or calls as the governor is refused by the governor itself, which takes none.
        match i {
            4 => s.refused(&k.stranger, G, motion.execute(), "GovernorDisabledDeposit").await,
            _ => drop(s.send(&k.stranger, G, motion.execute()).await),
        }
    }
    assert_eq!(s.read(G, C::quorumNumerator_1Call {}).await, U256::from(49));
    let direct = C::setVotingPeriodCall { newVotingPeriod: 1 };
    s.refused(&k.trainer, G, direct, "GovernorOnlyExecutor").await;
    for (data, error) in [
        (C::setVotingPeriodCall { newVotingPeriod: 0 }.abi_encode(), "GovernorInvalidVotingPeriod"),
        (
            C::updateQuorumNumeratorCall { newQuorumNumerator: U256::from(101) }.abi_encode(),
            "GovernorInvalidQuorumFraction",
        ),
    ] {
        let motion = Motion { target: d.governor, data: data.into(), text: error.into() };
        let number = put(&s, &motion).await;
        accept(&s, number, &motion).await;
        s.refused(&k.stranger, G, motion.execute(), error).await;
    }
    more(&s, number, &stop).await;
    timelock(&s).await;
}

fn stop_again(motion: &Motion) -> Motion {
    Motion { target: motion.target, data: motion.data.clone(), text: motion.text.clone() }
}

/// The views of the governor, and what is left out of it.
async fn more(s: &Suite, proposalId: U256, motion: &Motion) {
    let account = s.k.owner.address();
    let timepoint = U256::from(s.now().await - 1);
    let p = motion.propose();
    let hash_of = C::hashProposalCall {
        targets: p.targets.clone(),
        values: p.values.clone(),
        calldatas: p.calldatas.clone(),
        descriptionHash: motion.hash(),
    };
    let same = C::getProposalIdCall {
        targets: p.targets,
        values: p.values,
        calldatas: p.calldatas,
        descriptionHash: motion.hash(),
    };
    assert_eq!(s.read(G, hash_of).await, s.read(G, same).await);
    let signed = C::castVoteBySigCall {
        proposalId: put(s, &Motion { text: "for a signature".into(), ..stop_again(motion) }).await,
        support: 1,
        voter: account,
        signature: vec![1; 65].into(),
    };
    s.refused(&s.k.stranger, G, signed, "GovernorInvalidSignature").await;
    reads!(s, G; C::stateCall { proposalId }, C::votingDelayCall {}, C::votingPeriodCall {},
        C::proposalThresholdCall {}, C::quorumCall { timepoint }, C::quorumDenominatorCall {},
        C::nameCall {}, C::versionCall {}, C::clockCall {}, C::CLOCK_MODECall {}, C::COUNTING_MODECall {},
        C::BALLOT_TYPEHASHCall {}, C::EXTENDED_BALLOT_TYPEHASHCall {}, C::eip712DomainCall {},
        C::timelockCall {}, C::tokenCall {}, C::noncesCall { owner: account },
        C::hasVotedCall { proposalId, account }, C::getVotesCall { account, timepoint },
        C::getVotesWithParamsCall { account, timepoint, params: Bytes::new() },
        C::proposalDeadlineCall { proposalId }, C::proposalSnapshotCall { proposalId },
        C::proposalNeedsQueuingCall { proposalId }, C::supportsInterfaceCall { interfaceId: [0; 4].into() });
    s.covers(
        G,
        &[
            // Executed through the timelock above: the functions that only the governor's own decisions call.
            "setVotingDelay",
            "setVotingPeriod",
            "setProposalThreshold",
            "updateQuorumNumerator",
            "relay",
            // It would give the decisions to another timelock, which would have to administrate the manager first.
            "updateTimelock",
            // Signed votes: refused above; with a contract wallet in forge's tests.
            "castVoteBySig",
            "castVoteWithReasonAndParamsBySig",
            "InvalidAccountNonce",
            // The governor holds no tokens.
            "onERC721Received",
            "onERC1155Received",
            "onERC1155BatchReceived",
            // OpenZeppelin's own states, which this combination of its parts does not reach.
            "GovernorAlreadyQueuedProposal",
            "GovernorProposalQueueingFailed",
            "GovernorProposalQueueingNotRequired",
            "GovernorInvalidVoteParams",
            "CheckpointUnorderedInsertion",
            "ERC6372InconsistentClock",
            "FailedCall",
            "SafeCastOverflowedUintDowncast",
            "InvalidShortString",
            "StringTooLong",
        ],
    );
}

/// The timelock by itself: only the governor puts something in, anybody takes out what has waited.
async fn timelock(s: &Suite) {
    let k = &s.k;
    let d = s.ledger.deployment().clone();
    let motion = Motion {
        target: d.members,
        data: Members::addCall {
            account: k.user.address(),
            roles: roles::OWNER,
            profile: hash(1),
            sealKey: hash(2),
        }
        .abi_encode()
        .into(),
        text: "admit the user at last".into(),
    };
    let (schedule, salt) = motion.operation(d.governor);
    s.refused(&k.trainer, L, schedule.clone(), "AccessControlUnauthorizedAccount").await;
    let number = put(s, &motion).await;
    accept(s, number, &motion).await;
    let batch = W::hashOperationBatchCall {
        targets: schedule.targets.clone(),
        values: schedule.values.clone(),
        payloads: schedule.payloads.clone(),
        predecessor: B256::ZERO,
        salt,
    };
    let id = s.read(L, batch).await;
    assert!(
        s.read(L, W::isOperationReadyCall { id }).await,
        "the operation of the governor is found by its salt"
    );
    assert!(s.read(L, W::isOperationPendingCall { id }).await);
    s.refused(&k.pauser, L, W::cancelCall { id }, "AccessControlUnauthorizedAccount").await;
    let mut wrong = W::executeBatchCall {
        targets: schedule.targets,
        values: schedule.values,
        payloads: schedule.payloads,
        predecessor: hash(1),
        salt,
    };
    s.refused(&k.stranger, L, wrong.clone(), "TimelockUnexpectedOperationState").await;
    wrong.predecessor = B256::ZERO;
    let mut short = wrong.clone();
    short.values.clear();
    s.refused(&k.stranger, L, short, "TimelockInvalidOperationLength").await;
    // Executed without the governor, which sees it all the same.
    s.send(&k.stranger, L, wrong).await;
    assert!(s.read(L, W::isOperationDoneCall { id }).await);
    assert_eq!(s.read(M, Members::rolesOfCall { account: k.user.address() }).await, roles::OWNER);
    let one = W::executeCall {
        target: d.members,
        value: U256::ZERO,
        payload: Bytes::new(),
        predecessor: B256::ZERO,
        salt: B256::ZERO,
    };
    s.refused(&k.stranger, L, one, "TimelockUnexpectedOperationState").await;
    let direct = W::updateDelayCall { newDelay: U256::ZERO };
    s.refused(&k.trainer, L, direct, "TimelockUnauthorizedCaller").await;
    let role = s.read(L, W::PROPOSER_ROLECall {}).await;
    let account = k.stranger.address();
    s.refused(&k.founder, L, W::grantRoleCall { role, account }, "AccessControlUnauthorizedAccount").await;
    s.refused(&k.founder, L, W::revokeRoleCall { role, account }, "AccessControlUnauthorizedAccount").await;
    let mine = W::renounceRoleCall { role, callerConfirmation: account };
    s.refused(&k.founder, L, mine.clone(), "AccessControlBadConfirmation").await;
    s.send(&k.stranger, L, mine).await;
    let admin = s.read(L, W::DEFAULT_ADMIN_ROLECall {}).await;
    assert!(s.read(L, W::hasRoleCall { role: admin, account: d.timelock }).await);
    assert!(!s.read(L, W::hasRoleCall { role: admin, account: k.founder.address() }).await);
    // The delay itself is the members' too.
    let motion = Motion {
        target: d.timelock,
        data: W::updateDelayCall { newDelay: U256::from(130) }.abi_encode().into(),
        text: "longer".into(),
    };
    let number = put(s, &motion).await;
    accept(s, number, &motion).await;
    s.send(&k.stranger, G, motion.execute()).await;
    assert_eq!(s.read(L, W::getMinDelayCall {}).await, U256::from(130));
    let single = W::hashOperationCall {
        target: d.members,
        value: U256::ZERO,
        data: Bytes::new(),
        predecessor: B256::ZERO,
        salt,
    };
    reads!(s, L; single, W::isOperationCall { id }, W::getOperationStateCall { id }, W::getTimestampCall { id },
        W::getRoleAdminCall { role }, W::EXECUTOR_ROLECall {}, W::CANCELLER_ROLECall {},
        W::supportsInterfaceCall { interfaceId: [0; 4].into() });
    s.covers(
        L,
        &[
            // The governor's alone: queued and canceled by it above.
            "schedule",
            "scheduleBatch",
            "cancel",
            "TimelockInsufficientDelay",
            // The governor uses batches; a single operation would need a proposer of its own.
            "execute",
            "updateDelay",
            // Only the timelock administrates itself; refused above.
            "grantRole",
            "revokeRole",
            // The governor never names a predecessor.
            "TimelockUnexecutedPredecessor",
            "FailedCall",
            // It holds no tokens.
            "onERC721Received",
            "onERC1155Received",
            "onERC1155BatchReceived",
        ],
    );
}
