//! A trainer who leads rounds dishonestly, and a committee that is asked for more than it may open.

use histone_enclave::training::RoundTranscript;
use histone_federation::header::{Donor, RoundFields, RoundHeader, Seat};
use histone_federation::plan::Step;
use histone_ledger::LedgerError;
use histone_ledger::contracts::{Contract, Members, Rounds, roles};
use histone_node::committee::CommitteeMember;
use histone_node::party::{Entropy, Party};
use histone_node::world::World;
use histone_program_sdk::job::{Preprocessing, TrainTask};
use histone_protocol::{Address, B256, U256};

use crate::backend::on_node;
use crate::cast::{Cast, DEADLINE, Model, plan, refused};

/// Every owner's enclave refuses the header for this reason, and nothing is on the ledger.
async fn nobody_answers(cast: &mut Cast, model: &Model, header: &RoundHeader, part: &str) {
    for owner in &mut cast.owners {
        refused(owner.contribute(header, &cast.world).await, part);
    }
    for donor in 1..=3 {
        let call =
            Rounds::isAnchoredCall { modelId: U256::from(model.id), round: model.round, donorIndex: donor };
        assert!(!cast.world.ledger.read(Contract::Rounds, call).await.unwrap(), "{part}: donor {donor}");
    }
}

/// A Newton step at weights of the coordinator's choice.
fn chosen_weights(f: &mut RoundFields) {
    let pre = Preprocessing { fill: vec![0.0; 2], mean: vec![0.0; 2], sd: vec![1.0; 2] };
    f.spec.task = TrainTask::Newton { pre, weights: vec![9.0, 0.0, 0.0] };
}

#[tokio::test]
async fn a_first_header_that_the_plan_or_the_ledger_does_not_back() {
    let mut cast = Cast::new(1).await;
    type Change = fn(&mut RoundFields);
    let cases: [(Change, &str); 7] = [
        (|f| f.spec.holdout_every = 2, "it asks for another computation"),
        (|f| f.previous = [1; 32], "it follows another state"),
        (|f| f.min_survivors = 2, "its minimum of survivors is not the study's"),
        (|f| f.round = 2, "it is not the next round"),
        (|f| f.model_id[31] ^= 64, "it is for another model"),
        (|f| f.chain_id = 2, "it is for another chain or market"),
        (|f| f.market = [1; 20], "it is for another chain or market"),
    ];
    // Refused before anybody asks the ledger, which keeps a hash only and would take any of them.
    let model = cast.recruit(plan(3)).await;
    for (change, reason) in cases {
        let header = cast.header(&model, change);
        nobody_answers(&mut cast, &model, &header, reason).await;
    }
    let header = cast.header(&model, chosen_weights);
    cast.announce(model.id, B256::from(header.hash()), 3, 3).await;
    nobody_answers(&mut cast, &model, &header, "it asks for another computation").await;

    let cases: [(Change, &str); 3] = [
        (|f| f.cohort.push(Donor { index: 4, enclave: [4; 20] }), "its cohort is not the model's donors"),
        (|f| f.cohort[0].enclave = [4; 20], "its cohort is not the model's donors"),
        // Members of the coordinator's own would open every single update.
        (
            |f| f.committee = [1, 2, 3].map(|i| Seat { address: [i; 20], seal_key: [i; 32] }).to_vec(),
            "its committee is not the ledger's",
        ),
    ];
    for (change, reason) in cases {
        let model = cast.recruit(plan(3)).await;
        let header = cast.header(&model, change);
        cast.announce(model.id, B256::from(header.hash()), 3, 3).await;
        nobody_answers(&mut cast, &model, &header, reason).await;
    }
    // A sum over fewer donors than all, although they are enough for the study.
    let model = cast.recruit(plan(2)).await;
    let header = cast.header(&model, |f| f.cohort.truncate(2));
    cast.announce(model.id, B256::from(header.hash()), 2, 3).await;
    nobody_answers(&mut cast, &model, &header, "its cohort is not the model's donors").await;
    // A good header under terms of the ledger that are weaker than its own.
    for (min_survivors, quorum) in [(2, 3), (3, 2)] {
        let model = cast.recruit(plan(3)).await;
        let header = cast.header(&model, |_| {});
        cast.announce(model.id, B256::from(header.hash()), min_survivors, quorum).await;
        nobody_answers(&mut cast, &model, &header, "the ledger's terms for this round").await;
    }
}

#[tokio::test]
async fn the_committee_is_the_ledgers_when_an_update_is_made() {
    let mut cast = Cast::new(1).await;
    let model = cast.recruit(plan(2)).await;
    let header = cast.header(&model, |_| {});
    cast.announce(model.id, B256::from(header.hash()), 2, 3).await;
    let (ledger, key) = (cast.world.ledger.clone(), cast.operator.key.clone());
    let accounts = [0, 1].map(|i: usize| cast.committee[i].party.account());
    let member = cast.committee[0].party.key.clone();
    let (profile, old_key) = (B256::repeat_byte(1), cast.committee[0].party.seal.public().0);
    let reason = "its committee is not the ledger's";

    // The header leaves a member out.
    let (account, seal_key) = (Address::repeat_byte(9), B256::repeat_byte(9));
    let call = Members::addCall { account, roles: roles::COMMITTEE, profile, sealKey: seal_key };
    ledger.send(&key, Contract::Members, call).await.unwrap();
    nobody_answers(&mut cast, &model, &header, reason).await;
    ledger.send(&key, Contract::Members, Members::removeCall { account }).await.unwrap();
    // It names a key that a member has given up.
    let call = Members::updateCall { profile, sealKey: seal_key };
    ledger.send(&member, Contract::Members, call).await.unwrap();
    nobody_answers(&mut cast, &model, &header, reason).await;
    let call = Members::updateCall { profile, sealKey: old_key };
    ledger.send(&member, Contract::Members, call).await.unwrap();
    // It names somebody who is no member of the committee any more.
    for (account, later) in accounts.into_iter().zip([roles::AUDITOR, roles::RUNNER]) {
        let call = Members::setRolesCall { account, roles: later };
        ledger.send(&key, Contract::Members, call).await.unwrap();
        nobody_answers(&mut cast, &model, &header, reason).await;
        let call = Members::setRolesCall { account, roles: roles::COMMITTEE };
        ledger.send(&key, Contract::Members, call).await.unwrap();
    }
    // Nothing else was wrong with it.
    for owner in &mut cast.owners {
        owner.contribute(&header, &cast.world).await.unwrap();
    }
}

#[tokio::test]
async fn the_sum_of_a_round_and_what_follows() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let (good, step) = cast.round(&model).await;
    let Step::Next(next) = step else { panic!("the first round ends nothing") };

    // A coordinator who chooses the sum chooses the next question.
    type Change = fn(&mut RoundTranscript);
    let cases: [(Change, &str); 12] = [
        (|t| t.survivors.truncate(2), "another header or survivor set"),
        (|t| t.survivors.swap(0, 1), "ascending"),
        (|t| t.survivors[2] = t.survivors[1].clone(), "ascending"),
        (|t| t.survivors[2].0 = 4, "not anchored"),
        (|t| t.survivors[2].1 = t.survivors[1].1.clone(), "not anchored"),
        (|t| flip(&mut t.survivors[0].1), "not anchored"),
        (|t| flip(&mut t.partials[0]), "not on the ledger"),
        // The same number on all shares shifts the sum by it: nothing contradicts it but the ledger.
        (|t| t.partials.iter_mut().for_each(|p| shift(p)), "not on the ledger"),
        // As many as open a sum: the one that is wrong would not show.
        (|t| t.partials.truncate(2), "2 partial sums are too few"),
        (|t| t.partials[2] = t.partials[1].clone(), "do not open the mask"),
        (|t| t.partials.clear(), "0 partial sums are too few"),
        (|t| t.partials[0].truncate(60), "cannot be read"),
    ];
    for (change, reason) in cases {
        let mut transcript = good.clone();
        change(&mut transcript);
        for owner in &mut cast.owners {
            refused(owner.observe(&transcript, &cast.world).await, reason);
        }
    }
    let other = cast.header(&model, |f| f.fractional_bits = 59);
    let transcript = RoundTranscript { header: other, ..good.clone() };
    refused(cast.owners[0].observe(&transcript, &cast.world).await, "another header or survivor set");

    // Before the sum is seen, nobody goes on; afterwards nobody goes back.
    let first = model.training.clone();
    model.round = 2;
    model.training = next;
    let header = cast.header(&model, |_| {});
    nobody_answers(&mut cast, &model, &header, "it is not the next round").await;
    for owner in &mut cast.owners {
        owner.observe(&good, &cast.world).await.unwrap();
        refused(owner.observe(&good, &cast.world).await, "it is not the next round");
    }
    type HeaderChange = fn(&mut RoundFields);
    let cases: [(HeaderChange, &str); 6] = [
        // The same sum once more, now for fewer donors.
        (|f| f.spec.task = TrainTask::Describe, "it asks for another computation"),
        (chosen_weights, "it asks for another computation"),
        (|f| f.round = 1, "it is not the next round"),
        (|f| f.cohort.truncate(2), "every header names the whole cohort"),
        (|f| f.cohort[2].enclave = [4; 20], "every header names the whole cohort"),
        (|f| f.threshold = 3, "another threshold"),
    ];
    for (change, reason) in cases {
        let header = cast.header(&model, change);
        nobody_answers(&mut cast, &model, &header, reason).await;
    }
    let header = cast.header(&model, |f| f.previous = first.state_hash());
    nobody_answers(&mut cast, &model, &header, "it follows another state").await;
    // On the ledger stands that the first computation is asked for again.
    let again = cast.header(&model, |f| {
        f.spec = first.spec();
        f.previous = first.state_hash();
    });
    cast.announce(model.id, B256::from(again.hash()), 2, 3).await;
    nobody_answers(&mut cast, &model, &again, "it follows another state").await;
    // The honest header of the round is not the one on the ledger any more.
    let header = cast.header(&model, |_| {});
    nobody_answers(&mut cast, &model, &header, "the ledger names another header").await;
}

/// Changes the last number of a partial sum or the last share of an update.
fn flip(bytes: &mut [u8]) {
    let at = bytes.len() - 16;
    bytes[at] ^= 1;
}

/// Adds 2^64 to the last number of a partial sum.
fn shift(bytes: &mut [u8]) {
    let (_, number) = bytes.split_last_chunk_mut::<16>().unwrap();
    *number = (u128::from_le_bytes(*number) + (1 << 64)).to_le_bytes();
}

#[tokio::test]
async fn one_header_a_round_and_one_sum_a_header() {
    let mut cast = Cast::new(1).await;
    let model = cast.recruit(plan(2)).await;
    let (trainer, world) = (&cast.trainer, cast.world.clone());
    let (header, _) = trainer.open_round(&model.training, 1, &model.cohort, &world).await.unwrap();
    let other = cast.header(&model, |f| f.fractional_bits = 59);
    let second = cast.trainer.open_round(&model.training, 1, &model.cohort, &world).await;
    refused(second, "PreviousRoundRunning");
    refused(cast.owners[0].contribute(&other, &world).await, "the ledger names another header");
    cast.owners[0].contribute(&header, &world).await.unwrap();
    refused(cast.owners[0].contribute(&other, &world).await, "another header of the same round");
    refused(cast.owners[0].contribute(&header, &world).await, "AlreadyAnchored");
    cast.owners[1].contribute(&header, &world).await.unwrap();
    refused(cast.committee[0].open(&header, &world).await, "is not closed under this header");

    // Here the coordinator keeps another history, in which the third donor never answers.
    let shadow = (!on_node()).then(|| cast.fork(&cast.dir.path().join("shadow")));
    let (_, third) = cast.owners[2].contribute(&header, &world).await.unwrap();
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    refused(cast.committee[0].open(&other, &world).await, "is not closed under this header");
    // Storage gives another blob than the one that was anchored.
    let path = world.blobs.path(third);
    let blob = std::fs::read(&path).unwrap();
    let mut wrong = blob.clone();
    flip(&mut wrong);
    std::fs::write(&path, wrong).unwrap();
    refused(cast.committee[0].open(&header, &world).await, "altered");
    std::fs::write(&path, blob).unwrap();
    // None of this has used up the round.
    let opened = cast.committee[0].open(&header, &world).await.unwrap();
    refused(cast.committee[0].open(&header, &world).await, "AlreadyPosted");
    // A partial sum is good for its member only, and by itself it opens nothing.
    let stolen = Rounds::postPartialCall { modelId: U256::from(model.id), round: 1, partialHash: opened };
    refused(world.ledger.send(&cast.trainer.party.key, Contract::Rounds, stolen).await, "MissingRole");

    let Some((shadow, clock)) = shadow else {
        eprintln!("SKIPPED in part: the history of a node cannot be forked here");
        return;
    };
    shadow_close(&cast, &shadow, &clock, &model).await;
    refused(cast.committee[0].open(&header, &shadow).await, "already opened for another survivor set");
    // The same member after a restart: its directory remembers.
    let party = Party::create("member 1", &cast.dir.path().join("private"), Entropy::Seed(7)).unwrap();
    assert_eq!(party.account(), cast.committee[0].party.account());
    let mut restarted = CommitteeMember { party };
    refused(restarted.open(&header, &shadow).await, "already opened for another survivor set");
    // A memory that cannot be read is no empty memory.
    restarted.party.keep("opened.json", b"{").unwrap();
    refused(restarted.open(&header, &shadow).await, "could not record what it is about to open");
    // It is the memory that refuses: a member who was not asked before cannot tell the two histories apart.
    cast.committee[1].open(&header, &shadow).await.unwrap();
    refused(cast.committee[1].open(&header, &world).await, "already opened for another survivor set");
}

/// Closes the first round on the other history after its deadline, with two survivors.
async fn shadow_close(cast: &Cast, shadow: &World, clock: &histone_chain::ManualClock, model: &Model) {
    clock.set(shadow.ledger.time().await.unwrap() + DEADLINE + 1);
    assert_eq!(cast.trainer.close_round(model.id, 1, shadow).await.unwrap(), (2, true));
}

/// Anchors an update of one enclave as told.
async fn anchor(
    cast: &Cast,
    (model, round, donor): (u64, u32, u16),
    enclave: Address,
    update: &histone_enclave::training::Update,
) -> Result<(), LedgerError> {
    let call = Rounds::anchorCall {
        modelId: U256::from(model),
        round,
        blobHash: update.receipt.blobHash,
        donorIndex: donor,
        enclave,
        signature: update.signature.as_slice().to_vec().into(),
    };
    cast.world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await.map(|_| ())
}

#[tokio::test]
async fn receipts_are_good_for_one_place_only() {
    let (mut cast, mut elsewhere) = (Cast::new(1).await, Cast::new(2).await);
    let same = cast.world.ledger.deployment().rounds == elsewhere.world.ledger.deployment().rounds;
    assert!(same || on_node(), "two chains can have the same addresses");
    let plan = plan(2);
    // The same model on two chains, with the same keys everywhere.
    let (_, id) = cast.propose().await;
    assert_eq!(elsewhere.propose().await.1, id);
    let mut enclaves = Vec::new();
    for owner in 0..2 {
        let (enclave, donation) = cast.admit(owner, id, &plan, owner as u8).await;
        let signer = enclave.instance().keys().receipt;
        cast.register(owner, enclave.instance()).await;
        let (twin, good) = elsewhere.admit(owner, id, &plan, owner as u8).await;
        assert_eq!(twin.instance().keys().receipt, signer);
        elsewhere.register(owner, twin.instance()).await;
        assert_eq!(good.receipt, donation.receipt);
        refused(elsewhere.bring(owner, id, &donation, signer).await, "BadSignature");
        assert_eq!(cast.bring(owner, id, &donation, signer).await.unwrap(), owner as u16 + 1);
        elsewhere.bring(owner, id, &good, signer).await.unwrap();
        enclaves.push(enclave);
    }
    // A second model on the first chain.
    let (_, second) = cast.propose().await;
    let (enclave, donation) = cast.admit(2, id, &plan, 2).await;
    let signer = enclave.instance().keys().receipt;
    cast.register(2, enclave.instance()).await;
    refused(cast.bring(2, second, &donation, signer).await, "BadSignature");
    refused(cast.bring(0, id, &donation, signer).await, "NotDatasetOwner");
    let mut raised = donation;
    raised.receipt.weight += 1;
    refused(cast.bring(2, id, &raised, signer).await, "BadSignature");

    let mut model = cast.begin(id, plan.clone()).await;
    elsewhere.begin(id, plan.clone()).await;
    let (header, _) = cast.trainer.open_round(&model.training, 1, &model.cohort, &cast.world).await.unwrap();
    // The other chain names the very same hash.
    elsewhere.announce(id, B256::from(header.hash()), 2, 3).await;
    let keys: Vec<Address> = enclaves.iter().map(|e| e.instance().keys().receipt).collect();
    refused(enclaves[0].contribute(&header, 2, &cast.world.ledger).await, "under this donor number");
    let update = enclaves[0].contribute(&header, 1, &cast.world.ledger).await.unwrap();
    refused(anchor(&cast, (id, 1, 2), keys[0], &update).await, "ForeignEnclave");
    refused(anchor(&cast, (id, 1, 2), keys[1], &update).await, "BadSignature");
    refused(anchor(&cast, (id, 1, 1), keys[1], &update).await, "ForeignEnclave");
    refused(anchor(&cast, (id, 1, 3), keys[0], &update).await, "UnknownDonor");
    refused(anchor(&elsewhere, (id, 1, 1), keys[0], &update).await, "BadSignature");
    let mut other = update;
    let blob = std::mem::replace(&mut other.receipt.blobHash, B256::repeat_byte(1));
    refused(anchor(&cast, (id, 1, 1), keys[0], &other).await, "BadSignature");
    other.receipt.blobHash = blob;

    // Nobody else answers, the round fails, and the next one names the same hash: the receipt is still of round 1.
    cast.wait(DEADLINE + 1).await;
    refused(anchor(&cast, (id, 1, 1), keys[0], &other).await, "DeadlinePassed");
    assert_eq!(cast.trainer.close_round(id, 1, &cast.world).await.unwrap(), (0, false));
    cast.announce(id, B256::from(header.hash()), 2, 3).await;
    refused(anchor(&cast, (id, 2, 1), keys[0], &other).await, "BadSignature");
    // Nor does an enclave make a second update for the sum that failed.
    model.round = 2;
    let header = cast.header(&model, |_| {});
    refused(enclaves[0].contribute(&header, 1, &cast.world.ledger).await, "it is not the next round");

    // An enclave with the same key is the first donor of the second model too: the receipt names the first model.
    let (twin, own) = cast.admit(0, second, &plan, 0).await;
    assert_eq!(twin.instance().keys().receipt, keys[0]);
    cast.bring(0, second, &own, keys[0]).await.unwrap();
    cast.trainer.start(second, &cast.world).await.unwrap();
    cast.announce(second, other.receipt.headerHash, 1, 3).await;
    refused(anchor(&cast, (second, 1, 1), keys[0], &other).await, "BadSignature");
}
