//! Owners who end and come back at a moment of their choice, so that a header is wrong for some and right for others.

use histone_contracts::{Contract, Enclaves, Market, Rounds};
use histone_enclave::cohort::MARGIN;
use histone_enclave::method::Step;
use histone_federation::header::RoundHeader;
use histone_federation::update::{Hpke, seal_update};
use histone_node::committee::Lock;
use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, EnclaveRegistration};
use histone_protocol::seal::SealPublicKey;
use histone_protocol::secret::Root;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, Model, PRICE, plan};

/// The same donor never revokes: it lets its registration end in the middle of each round, and shows a later end in the
/// middle of the next. The header that was right when it was made is refused by everybody else a moment later.
#[tokio::test]
async fn to_void_every_round_by_coming_back_in_the_middle_of_it() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let id = {
        let (paper, id) = cast.propose(&plan(2)).await;
        for owner in 0..2 {
            cast.donate(owner, paper, id).await.unwrap();
        }
        id
    };
    // The third owner's enclave is a good one, with an end of its operator's choice.
    let (enclave, donation) = cast.admit(2, id, &plan(2), 7).await;
    let instance = enclave.instance();
    let signer = instance.keys().receipt;
    world.blobs.put(instance.evidence()).unwrap();
    let now = world.ledger.time().await.unwrap();
    let (r, signature) = instance.registration(world.ledger.deployment(), now + 60);
    let call = Enclaves::registerCall {
        e: Enclaves::Enclave {
            signer,
            sealKey: r.sealKey,
            measurement: r.measurement,
            platform: r.platform,
            evidenceHash: r.evidenceHash,
            expiresAt: r.expiresAt,
        },
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, call).await.unwrap();
    cast.bring(2, id, &donation, signer).await.unwrap();
    cast.wait(61).await;
    // Expired before the training starts: it is not in the header.
    cast.trainer.start(id, &world).await.unwrap();
    let leading = cast.trainer.lead(id, 2, DEADLINE, DEADLINE, &world).await.unwrap();
    let training = crate::cast::start(plan(2));
    let mut model = crate::cast::Model { id, training, leading, round: 1 };
    let header = cast.open_round(&mut model).await;
    assert!(!header.has_donor(3));
    let now = world.ledger.time().await.unwrap();
    let (r, signature) = instance.registration(world.ledger.deployment(), now + 3_000);
    let call = Enclaves::refreshCall {
        signer,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, call).await.unwrap();
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.expect("the header was right when it was opened");
    }
}

/// The registration of a key with evidence, and its end.
fn registration(
    cast: &Cast,
    owner: usize,
    key: &SigningKey,
    evidence: B256,
    expires: u64,
) -> (EnclaveRegistration, Vec<u8>) {
    let d = cast.world.ledger.deployment();
    let r = EnclaveRegistration {
        operator: cast.owners[owner].party.account(),
        sealKey: B256::repeat_byte(3),
        measurement: B256::from(cast.loaded.method.program().program().measurement()),
        platform: 0,
        evidenceHash: evidence,
        expiresAt: expires,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), key);
    (r, signature.as_slice().to_vec())
}

async fn register(cast: &Cast, owner: usize, key: &SigningKey, evidence: B256, expires: u64) {
    let (r, signature) = registration(cast, owner, key, evidence, expires);
    let e = Enclaves::Enclave {
        signer: key.address(),
        sealKey: r.sealKey,
        measurement: r.measurement,
        platform: r.platform,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    let call = Enclaves::registerCall { e, signature: signature.into() };
    cast.world.ledger.send(&cast.owners[owner].party.key, Contract::Enclaves, call).await.unwrap();
}

async fn refresh(cast: &Cast, owner: usize, key: &SigningKey, evidence: B256, expires: u64) {
    let (r, signature) = registration(cast, owner, key, evidence, expires);
    let call = Enclaves::refreshCall {
        signer: key.address(),
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
        signature: signature.into(),
    };
    cast.world.ledger.send(&cast.owners[owner].party.key, Contract::Enclaves, call).await.unwrap();
}

/// The third owner, with a broken machine that signs what its owner likes.
struct Guest {
    key: SigningKey,
    evidence: B256,
    /// Its number.
    donor: u16,
    /// When its registration ends.
    expires: u64,
    model: Model,
}

impl Guest {
    /// Two honest owners and this one train a model; it takes part in the first round.
    async fn once_in(cast: &mut Cast) -> Self {
        let world = cast.world.clone();
        let (paper, id) = cast.propose(&plan(2)).await;
        for owner in 0..2 {
            cast.donate(owner, paper, id).await.unwrap();
        }
        let (key, evidence) = cast.broken_evidence(2, id, &plan(2), 9).await;
        let expires = world.ledger.time().await.unwrap() + 2 * DEADLINE;
        register(cast, 2, &key, evidence, expires).await;
        let donation = cast.donation_by(2, id, &key);
        let donor = cast.bring(2, id, &donation, key.address()).await.unwrap();
        let model = cast.begin(id, plan(2)).await;
        let mut guest = Self { key, evidence, donor, expires, model };
        let header = cast.open_round(&mut guest.model).await;
        for owner in &mut cast.owners[..2] {
            owner.contribute(&header, &world).await.unwrap();
        }
        guest.anchor(cast, &header).await;
        guest.finish(cast, &header, 3).await;
        guest
    }

    /// Anchors a good update of zeros.
    async fn anchor(&self, cast: &Cast, header: &RoundHeader) {
        let values = vec![0.0; header.dimension()];
        let root = Root::from_bytes([9; 32]);
        let blob = seal_update(header, self.donor, &values, &Hpke, &root).unwrap();
        let blob = cast.world.blobs.put(&blob).unwrap();
        cast.anchor_as(&self.key, header, self.donor, blob).await.unwrap();
    }

    /// The round is closed with so many updates and leads to the next one.
    async fn finish(&mut self, cast: &mut Cast, header: &RoundHeader, updates: u16) {
        let (world, round) = (cast.world.clone(), header.fields().round);
        let closed = cast.trainer.close_round(self.model.id, round, &world).await.unwrap();
        assert_eq!(closed, (updates, true));
        let partials = cast.open_sum(header).await;
        let (transcript, step) =
            cast.trainer.finish_round(&self.model.training, header, &partials, &world).await.unwrap();
        for owner in &mut cast.owners[..2] {
            owner.observe(&transcript, &world).await.unwrap();
        }
        let Step::Next(next) = step else { panic!() };
        self.model.training = next;
    }

    /// Its last end is over. It shows its evidence again with an end a second later, the trainer looks, and two seconds later
    /// the round is opened.
    async fn opened_in_between(&mut self, cast: &mut Cast) -> RoundHeader {
        let ledger = cast.world.ledger.clone();
        let now = ledger.time().await.unwrap();
        cast.wait((self.expires + 1).saturating_sub(now)).await;
        self.expires = ledger.time().await.unwrap() + 1;
        refresh(cast, 2, &self.key, self.evidence, self.expires).await;
        let header = cast.header(&mut self.model, |_| {}).await;
        cast.world.blobs.put(&header.encode()).unwrap();
        cast.wait(2).await;
        cast.announce(self.model.id, B256::from(header.hash())).await;
        header
    }
}

/// An owner in one opened sum lets its enclave end, misses a round that the others complete without it, and comes back for
/// good: the next header names it again, and everybody takes part.
#[tokio::test]
async fn to_end_a_training_by_missing_one_round_and_coming_back() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut guest = Guest::once_in(&mut cast).await;
    // It is away for one round.
    cast.wait(2 * DEADLINE).await;
    let header = cast.open_round(&mut guest.model).await;
    assert!(!header.has_donor(guest.donor));
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    guest.finish(&mut cast, &header, 2).await;
    refresh(&cast, 2, &guest.key, guest.evidence, guest.expires + 20 * DEADLINE).await;
    let header = cast.open_round(&mut guest.model).await;
    assert!(header.has_donor(guest.donor));
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
}

/// An owner in one opened sum shows its enclave's evidence again before each round with an end a second later. The trainer,
/// whose clock is the latest block, believes it; a moment later, when the round is opened, nobody else does. It cannot be
/// struck (it took part), nor refused (training has begun), and nobody else can do anything in any later round. After
/// sixty days it has itself paid.
#[tokio::test]
async fn to_stop_a_training_for_ever_with_an_end_between_look_and_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut guest = Guest::once_in(&mut cast).await;
    let id = guest.model.id;
    let mut answered = 0;
    for round in 2..5 {
        let header = guest.opened_in_between(&mut cast).await;
        for owner in &mut cast.owners[..2] {
            answered += usize::from(owner.contribute(&header, &world).await.is_ok());
        }
        if answered > 0 {
            break;
        }
        cast.wait(DEADLINE + 1).await;
        cast.trainer.close_round(id, round, &world).await.unwrap();
        for member in &mut cast.committee {
            let _ = member.review(id, &world).await;
        }
    }
    cast.wait(60 * 24 * 3_600).await;
    let call = Market::abortTrainingCall { modelId: U256::from(id) };
    let ended = world.ledger.send(&cast.owners[2].party.key, Contract::Market, call).await.is_ok();
    let owed = cast.owed(id, guest.donor).await;
    assert!(
        answered > 0,
        "no honest donor answered in three rounds; the attacker ends the training ({ended}) and is owed {owed} of {PRICE}"
    );
}

/// The same, and then it shows a later end and anchors its update: it is rightly in the header, and not believed as of the
/// opening. Members that named it and did not lock would leave the round to nobody.
#[tokio::test]
async fn to_void_a_round_with_an_update_from_between_look_and_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut guest = Guest::once_in(&mut cast).await;
    let header = guest.opened_in_between(&mut cast).await;
    refresh(&cast, 2, &guest.key, guest.evidence, guest.expires + 20 * DEADLINE).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    guest.anchor(&cast, &header).await;
    cast.trainer.close_round(guest.model.id, 2, &world).await.unwrap();
    for member in &mut cast.committee {
        let locked = member.lock(&header, &world).await.unwrap();
        assert!(matches!(locked, Lock::Posted(_)), "a member waits for somebody to be struck: {locked:?}");
    }
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    assert_eq!(named.len(), 0, "nobody broke a rule");
}

/// Its enclave has ended, and an honest one may end so, too; the trainer does not invite it. Before the round is opened it
/// shows the same evidence again: whoever looks at the minute before, at the opening and at the minute after believes it, and
/// the header lacks a donor for everybody but the trainer.
#[tokio::test]
async fn to_void_every_round_by_showing_ones_evidence_between_look_and_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut guest = Guest::once_in(&mut cast).await;
    for round in 2..4 {
        cast.wait_until(guest.expires + 1).await;
        let header = cast.header(&mut guest.model, |_| {}).await;
        assert!(!header.has_donor(guest.donor));
        world.blobs.put(&header.encode()).unwrap();
        guest.expires = world.ledger.time().await.unwrap() + 2 * DEADLINE;
        refresh(&cast, 2, &guest.key, guest.evidence, guest.expires).await;
        cast.announce(guest.model.id, B256::from(header.hash())).await;
        for owner in &mut cast.owners[..2] {
            owner
                .contribute(&header, &world)
                .await
                .expect("nobody could have seen what was shown afterwards");
        }
        cast.wait(DEADLINE + 1).await;
        assert_eq!(cast.trainer.close_round(guest.model.id, round, &world).await.unwrap(), (2, true));
        let partials = cast.open_sum(&header).await;
        let (transcript, step) =
            cast.trainer.finish_round(&guest.model.training, &header, &partials, &world).await.unwrap();
        for owner in &mut cast.owners[..2] {
            owner.observe(&transcript, &world).await.unwrap();
        }
        if let Step::Next(next) = step {
            guest.model.training = next;
        }
    }
}

/// A broken machine shows evidence that is in nobody's storage; it comes there when the round is opened. Storage has no
/// time: whoever looks afterwards finds it at every moment.
#[tokio::test]
async fn to_void_every_round_with_evidence_that_is_published_after_the_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut guest = Guest::once_in(&mut cast).await;
    cast.wait(1).await;
    let hidden = cast.device_evidence(2, &guest.key, guest.model.id, &plan(2)).await;
    refresh(&cast, 2, &guest.key, blob_hash(&hidden), guest.expires + 20 * DEADLINE).await;
    cast.wait(2 * MARGIN).await;
    let header = cast.open_round(&mut guest.model).await;
    assert!(!header.has_donor(guest.donor));
    world.blobs.put(&hidden).unwrap();
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.expect("nobody could have read what was not there");
    }
}

/// An owner with a broken machine shows evidence that is dated a few minutes ahead just before a round is opened. Nobody
/// believes it as of the opening: not the trainer, not the enclaves. A member looks at it as of now first, when it has become
/// good, keeps the appraisal, and finds it good as of the opening, too: the header lacks a donor. No member locks.
#[tokio::test]
async fn to_void_a_round_with_evidence_that_is_dated_ahead() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let (key, evidence) = cast.broken_evidence(2, id, &plan(2), 9).await;
    let expires = world.ledger.time().await.unwrap() + 20 * DEADLINE;
    register(&cast, 2, &key, evidence, expires).await;
    let donation = cast.donation_by(2, id, &key);
    let donor = cast.bring(2, id, &donation, key.address()).await.unwrap();
    let mut model = cast.begin(id, plan(2)).await;
    let mut locked = 0;
    let mut refusal = String::new();
    for round in 1..3 {
        let now = world.ledger.time().await.unwrap();
        let keys = EnclaveKeys { receipt: key.address(), seal: SealPublicKey(B256::repeat_byte(3)) };
        let init = histone_enclave::training::init_data(
            world.ledger.deployment(),
            id,
            cast.document(&plan(2)).hash(),
        );
        let measurement = B256::from(cast.loaded.method.program().program().measurement());
        let operator = cast.owners[2].account();
        let ahead =
            cast.devices[2].evidence(keys, operator, measurement, init, now + 60 + 300).unwrap().to_bytes();
        let ahead = world.blobs.put(&ahead).unwrap();
        refresh(&cast, 2, &key, ahead, expires + u64::from(round)).await;
        let header = cast.open_round(&mut model).await;
        assert!(!header.has_donor(donor));
        for owner in &mut cast.owners[..2] {
            owner.contribute(&header, &world).await.unwrap();
        }
        cast.wait(DEADLINE + 1).await;
        assert_eq!(cast.trainer.close_round(id, round, &world).await.unwrap(), (2, true));
        for member in &mut cast.committee {
            match member.lock(&header, &world).await {
                Ok(Lock::Posted(_)) => locked += 1,
                other => refusal = format!("{:?}", other.map_err(|e| histone_protocol::with_causes(&e))),
            }
        }
        if locked > 0 {
            break;
        }
        cast.wait(DEADLINE + 1).await;
        cast.trainer.void_round(id, round, &world).await.unwrap();
    }
    let struck = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap().len();
    assert!(locked > 0, "two rounds are void, nobody is struck ({struck}): {refusal}");
}
