//! The committee of a training: who has a seat, how many open a sum, and what its members say about others.

use alloy::primitives::{B256, U256};
use histone_contracts::Contract::{Market as K, Members as M, Rounds as R};
use histone_contracts::{Market, Members, Rounds, roles};
use histone_protocol::committee::Committee;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::ShareOpening;

use super::market::{INSTANT, Stall, id, terms};
use crate::reads;
use crate::suite::{TRAINING, hash, key, seal_key};

/// Why somebody is named.
pub const MISSING: u8 = 1;
pub const UNDECODABLE: u8 = 2;
pub const UNREADABLE: u8 = 3;
pub const FALSE_ACCUSATION: u8 = 4;
pub const WRONG_PARTIAL: u8 = 5;
pub const SILENT: u8 = 6;
pub const DUPLICATE: u8 = 7;
pub const NOT_BELIEVED: u8 = 8;

pub fn blame_donor(model: u64, round: u32, donorIndex: u16, reason: u8) -> Rounds::blameDonorCall {
    Rounds::blameDonorCall { modelId: id(model), round, donorIndex, reason }
}

pub fn blame_member(model: u64, round: u32, member: &SigningKey, reason: u8) -> Rounds::blameMemberCall {
    Rounds::blameMemberCall { modelId: id(model), round, member: member.address(), reason }
}

pub fn post(model: u64, round: u32) -> Rounds::postPartialCall {
    post_at(model, round, 0)
}

/// The same after so many donors have left the sum.
pub fn post_at(model: u64, round: u32, attempt: u16) -> Rounds::postPartialCall {
    Rounds::postPartialCall { modelId: id(model), round, attempt, partialHash: hash(63) }
}

/// Which committees are refused when training starts.
pub async fn start(stall: &Stall) {
    let s = &stall.s;
    let k = &s.k;
    let model = stall.propose(terms()).await;
    stall.two_donors(model).await;
    let good = || stall.start(model);
    let last = good().seats.len() - 1;
    let mut reversed = good();
    reversed.seats.reverse();
    reversed.sealKeys.reverse();
    let mut twice = good();
    (twice.seats[1], twice.sealKeys[1]) = (twice.seats[0], twice.sealKeys[0]);
    let mut few = good();
    few.seats.truncate(last);
    few.sealKeys.truncate(last);
    let mut keyless = good();
    keyless.sealKeys.truncate(last);
    let mut earlier = good();
    earlier.sealKeys[last] = hash(2);
    // Whoever has no role, and whoever never proved its key.
    let newcomer = Members::addCall {
        account: k.user.address(),
        roles: roles::COMMITTEE,
        profile: hash(1),
        sealKey: hash(3),
    };
    s.send(&k.founder, M, newcomer).await;
    let with = |member: &SigningKey| {
        let call = good();
        let mut all: Vec<_> = call.seats.into_iter().zip(call.sealKeys).collect();
        all.push((member.address(), hash(3)));
        all.sort();
        let (seats, sealKeys) = all.into_iter().unzip();
        Market::startTrainingCall { modelId: id(model), seats, sealKeys }
    };
    for (call, error) in [
        (reversed, "SeatsNotAscending"),
        (twice, "SeatsNotAscending"),
        (few, "InvalidCommittee"),
        (keyless, "KeysDoNotFit"),
        (earlier, "KeyChanged"),
        (with(&k.owner), "NoSeatFor"),
        (with(&k.user), "NoSeatFor"),
    ] {
        s.refused_by(&k.trainer, K, call, (R, error)).await;
    }
    s.send(&k.founder, M, Members::removeCall { account: k.user.address() }).await;
    let receipt = s.send(&k.trainer, K, good()).await;
    let fixed = receipt.event::<Rounds::CommitteeFixed>().unwrap();
    assert_eq!((&fixed.seats, &fixed.sealKeys), (&good().seats, &good().sealKeys));
    let modelId = id(model);
    let committee = s.read(R, Rounds::committeeOfCall { modelId }).await;
    assert_eq!((committee.colluders, committee.threshold, committee.quorum), (1, 3, 4));
    for (account, seat) in fixed.seats.iter().zip(1..) {
        assert_eq!(s.read(R, Rounds::seatOfCall { modelId, account: *account }).await, seat);
    }
    assert_eq!(s.read(R, Rounds::seatOfCall { modelId, account: k.owner.address() }).await, 0);
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId }).await;
}

/// A model with a third donor; its first round is closed with all three.
pub async fn three_donors(stall: &Stall) -> u64 {
    three_donors_of(stall, 138, hash(55)).await
}

/// The same, with a third donor of whom enclave and content are said.
pub async fn three_donors_of(stall: &Stall, enclave: u8, root: B256) -> u64 {
    let (s, k) = (&stall.s, &stall.s.k);
    let third = key(enclave);
    s.enclave(&k.owner, &third, hash(TRAINING)).await;
    let data = stall.dataset(&k.owner, root).await;
    let model = stall.propose(terms()).await;
    stall.two_donors(model).await;
    s.send(&k.owner, K, stall.donation_to(&third, model, data, key(143).address())).await;
    s.send(&k.trainer, K, stall.start(model)).await;
    s.send(&k.trainer, R, stall.open(model, 5_000).await).await;
    for (donor, enclave) in [(1, &stall.training), (2, &stall.training2), (3, &third)] {
        s.send(&k.stranger, R, stall.update(model, 1, donor, enclave)).await;
    }
    s.send(&k.trainer, R, Rounds::closeCall { modelId: id(model), round: 1 }).await;
    model
}

/// Accusations and votes, and what they change. At the end the model is given up by somebody who could do nothing else.
pub async fn votes(stall: &Stall) {
    let s = &stall.s;
    let k = &s.k;
    let [one, two, three, liar] = &k.seats;
    let model = three_donors(stall).await;
    let modelId = id(model);

    // A member says that it cannot read its share, and the donor's enclave shows that it can.
    let accuse = |donorIndex| Rounds::accuseCall { modelId, round: 1, donorIndex };
    s.refused(&k.owner, R, accuse(1), "NotSeated").await;
    s.refused(one, R, accuse(4), "NotInSum").await;
    let receipt = s.send(liar, R, accuse(1)).await;
    assert_eq!(receipt.event::<Rounds::ShareAccused>().unwrap().member, liar.address());
    s.refused(liar, R, accuse(1), "AlreadyAccused").await;
    let answer = |member: &SigningKey, enclave: &SigningKey, blobHash| {
        let (headerHash, member) = (hash(61), member.address());
        let r = ShareOpening { modelId, round: 1, headerHash, donorIndex: 1, member, blobHash };
        let (signature, enclave) = (s.sign(&r, R, enclave), enclave.address());
        Rounds::answerAccusationCall {
            modelId,
            round: 1,
            donorIndex: 1,
            member,
            blobHash,
            enclave,
            signature,
        }
    };
    let good = || answer(liar, &stall.training, hash(67));
    s.refused(&k.stranger, R, answer(liar, &stall.training, B256::ZERO), "ZeroHash").await;
    s.refused(&k.stranger, R, answer(liar, &stall.training2, hash(67)), "ForeignEnclave").await;
    s.refused(&k.stranger, R, answer(one, &stall.training, hash(67)), "NotAccused").await;
    let other = Rounds::answerAccusationCall { blobHash: hash(68), ..good() };
    s.refused(&k.stranger, R, other, "BadSignature").await;
    let receipt = s.send(&k.stranger, R, good()).await;
    assert_eq!(receipt.event::<Rounds::ShareOpened>().unwrap().blobHash, hash(67));
    s.refused(&k.stranger, R, good(), "NotAccused").await;

    // A donor is named by one more than may collude, who say the same; that begins another attempt.
    s.refused(&k.owner, R, blame_donor(model, 1, 3, UNREADABLE), "NotSeated").await;
    s.refused(one, R, blame_donor(model, 1, 3, FALSE_ACCUSATION), "InvalidReason").await;
    s.refused(one, R, blame_donor(model, 1, 9, UNREADABLE), "UnknownDonor").await;
    s.refused(one, R, blame_donor(model, 2, 3, UNREADABLE), "NotLatestRound").await;
    s.send(one, R, post(model, 1)).await;
    s.send(one, R, blame_donor(model, 1, 3, UNREADABLE)).await;
    s.refused(one, R, blame_donor(model, 1, 3, UNREADABLE), "AlreadyBlamed").await;
    s.send(two, R, blame_donor(model, 1, 3, MISSING)).await;
    let info = async || s.read(R, Rounds::roundInfoCall { modelId, round: 1 }).await;
    assert_eq!(
        (info().await.survivors, info().await.partials),
        (3, 1),
        "two reasons are two votes for nothing"
    );
    let receipt = s.send(two, R, blame_donor(model, 1, 3, UNREADABLE)).await;
    assert_eq!(receipt.event::<Rounds::DonorNamed>().unwrap().reason, UNREADABLE);
    assert_eq!(receipt.event::<Market::DonorExcluded>().unwrap().weight, 300);
    assert_eq!(receipt.event::<Rounds::DonorDropped>().unwrap().attempt, 1);
    let now = info().await;
    assert_eq!((now.survivors, now.partials, now.attempt), (2, 0, 1));
    let mine = Rounds::partialOfCall { modelId, round: 1, member: one.address() };
    assert_eq!(
        s.read(R, mine.clone()).await,
        B256::ZERO,
        "what was promised for three counts for two no more"
    );
    let donor = s.read(K, Market::donorCall { modelId, donorIndex: 3 }).await;
    assert_eq!((donor.weight, donor.enclave.is_zero()), (0, true));
    let shown = s.read(K, Market::modelCall { modelId }).await;
    assert_eq!((shown.excluded, shown.totalWeight.to::<u64>()), (1, 600));

    // Silence costs a name only; a lie costs the seat.
    s.refused(one, R, blame_member(model, 1, one, SILENT), "OwnSeat").await;
    s.refused(one, R, blame_member(model, 1, &k.owner, SILENT), "NotSeated").await;
    s.refused(one, R, blame_member(model, 1, liar, UNREADABLE), "InvalidReason").await;
    for voter in [one, two] {
        s.send(voter, R, blame_member(model, 1, three, SILENT)).await;
    }
    s.refused(three, R, post(model, 1), "OtherAttempt").await;
    for member in [three, liar, one] {
        s.send(member, R, post_at(model, 1, 1)).await;
    }
    assert_eq!(info().await.partials, 3);
    let named = |member: &SigningKey| Rounds::isNamedCall { modelId, member: member.address() };
    // A contradiction is only said: a donor can bring it about.
    for honest in [one, two] {
        s.send(honest, R, blame_member(model, 1, liar, WRONG_PARTIAL)).await;
        s.send(honest, R, blame_member(model, 1, liar, UNDECODABLE)).await;
        assert_eq!(s.read(R, named(liar)).await, honest.address() == two.address());
    }
    assert!(s.read(R, named(liar)).await && !s.read(R, named(three)).await);
    assert_eq!(info().await.partials, 2, "the post of the liar is taken back");
    for result in [s.ledger.send(liar, R, post(model, 1)).await, s.ledger.send(liar, R, accuse(2)).await] {
        assert!(result.is_err());
    }
    s.refused(liar, R, blame_member(model, 1, one, WRONG_PARTIAL), "MemberIsNamed").await;
    s.refused(liar, R, post(model, 1), "MemberIsNamed").await;
    s.send(two, R, post_at(model, 1, 1)).await;

    // Three of four are no quorum: the round becomes void, and the trainer gives the model up. Nothing is owed to anybody.
    let open_by = info().await.openBy;
    s.pass(open_by - s.now().await + 1).await;
    s.send(&k.stranger, R, Rounds::voidRoundCall { modelId, round: 1 }).await;
    s.refused(&k.stranger, K, Market::abortTrainingCall { modelId }, "NotTrainer").await;
    let receipt = s.send(&k.trainer, K, Market::abortTrainingCall { modelId }).await;
    let returned = receipt.event::<Market::TrainingAborted>().unwrap().depositReturned;
    assert_eq!(returned, U256::from(3 * INSTANT));
    reads!(s, R; mine);
}

#[tokio::test]
async fn the_contract_derives_the_same_committees_as_the_protocol() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let members: Vec<_> = (0..29).map(|n| key(160 + n)).collect();
    s.backend.fund(members.iter().map(SigningKey::address)).await;
    for member in &members {
        let (account, sealKey) = (member.address(), seal_key(member).public().0);
        let call = Members::addCall { account, roles: roles::COMMITTEE, profile: hash(1), sealKey };
        s.send(&k.founder, M, call).await;
        s.prove(member).await;
    }
    let mut all: Vec<_> =
        members.iter().chain(&k.seats).map(|m| (m.address(), seal_key(m).public().0)).collect();
    all.sort();
    assert_eq!(all.len(), 33);
    let mut made = 0;
    for colluders in [1, 2, 3, 29, 30] {
        for size in [1, 3, 4, 5, 6, 7, 8, 10, 31, 32, 33] {
            let model = stall.propose(Market::Terms { colluders, ..terms() }).await;
            stall.two_donors(model).await;
            let (seats, sealKeys) = all.iter().take(size).copied().unzip();
            let call = Market::startTrainingCall { modelId: id(model), seats, sealKeys };
            match Committee::derive(size, colluders) {
                Ok(committee) => {
                    s.send(&k.trainer, K, call).await;
                    let found = s.read(R, Rounds::committeeOfCall { modelId: id(model) }).await;
                    assert_eq!(
                        (found.seats.len(), found.colluders, found.threshold, found.quorum),
                        (size, colluders, committee.threshold(), committee.quorum())
                    );
                    made += 1;
                }
                Err(why) => {
                    let refused = s.ledger.send(&k.trainer, K, call).await.unwrap_err().to_string();
                    assert!(
                        refused.contains("InvalidCommittee"),
                        "{size} of whom {colluders}: {why}: {refused}"
                    );
                }
            }
            s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(model) }).await;
            s.send(&k.trainer, K, Market::claimCall {}).await;
        }
    }
    assert_eq!(made, 22);
}
