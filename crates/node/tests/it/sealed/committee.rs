//! Members of the committee that keep enclaves from opening a sum.

use histone_compliance::verify::Outcome;
use histone_contracts::{Contract, Rounds, reasons};
use histone_enclave::cohort;
use histone_federation::BoxError;
use histone_federation::committee::{ForgetfulRounds, Member, PartialSum};
use histone_federation::header::{Question, RoundFields, RoundHeader};
use histone_federation::sealed::{Reader, SealedPartial};
use histone_federation::training::model_hash;
use histone_federation::update::{Hpke, Sealer, Survivor, Survivors};
use histone_node::committee::{Lock, survivors, transcript};
use histone_node::plan::check_stage;
use histone_program_sdk::method::{Ask, Numbers, Segment};
use histone_protocol::blob::Blob;
use histone_protocol::disclosure::Release;
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256, U256};

use crate::cast::{Cast, PRICE, plan, refused, with};
use crate::sealed::{as_released, detail, sealed_plan};
use crate::strangers::left::settle;

/// What a member does with its partial sum.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    /// The enclave of this place in the header gets another key.
    OtherKey(usize),
    /// The enclave of this place gets none.
    LeavesOut(usize),
    /// What is under the key is no partial sum.
    Garbage,
    /// Other numbers.
    Numbers,
    /// The sum of other survivors, it says.
    Survivors,
}

/// Seals something else to one key.
struct Swaps([u8; 32]);

impl Sealer for Swaps {
    fn seal(
        &self,
        public_key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, BoxError> {
        let other = [9; 32];
        let plaintext = if *public_key == self.0 { &other[..] } else { plaintext };
        Hpke.seal(public_key, info, aad, plaintext, randomness)
    }
}

/// All enclaves of a header.
async fn readers(cast: &Cast, header: &RoundHeader) -> Vec<Reader> {
    let mut readers = Vec::new();
    for donor in &header.fields().cohort {
        let signer = Address::from(donor.enclave);
        let facts = cohort::enclave(signer, ProgramKind::Training, &cast.world.ledger).await.unwrap();
        readers.push(Reader { address: donor.enclave, seal_key: facts.keys.seal.0.0 });
    }
    readers
}

/// What a lying member posts instead of its partial sum.
async fn lied(cast: &Cast, header: &RoundHeader, member: usize, lie: Lie) -> Blob {
    let (f, party) = (header.fields(), &cast.committee[member].party);
    let anchored = survivors(U256::from_be_bytes(f.model_id), f.round, &cast.world).await.unwrap();
    let list = anchored.iter().map(|(donor, blob)| Survivor { donor: *donor, blob: blob.0 });
    let set = Survivors::new(header, list.collect()).unwrap();
    let blobs: Vec<Blob> = anchored.iter().map(|(_, blob)| cast.world.blobs.read(*blob).unwrap()).collect();
    let seat = Member::by_address(header, &party.account().into_array()).unwrap();
    let prepared = seat.sum_shares(header, &set, &blobs, &party.seal).unwrap();
    let honest = prepared.open(&mut ForgetfulRounds::default()).unwrap();
    let mut readers = readers(cast, header).await;
    let seal = |partial: &PartialSum, readers: &[Reader], sealer: &dyn Sealer| {
        SealedPartial::seal(header, partial, readers, sealer, party.root()).blob().clone()
    };
    let altered = |at: usize| {
        let mut bytes = honest.encode();
        bytes[at] ^= 1;
        PartialSum::decode(bytes, header).unwrap()
    };
    match lie {
        Lie::OtherKey(place) => seal(&honest, &readers, &Swaps(readers[place].seal_key)),
        Lie::LeavesOut(place) => {
            readers.remove(place);
            seal(&honest, &readers, &Hpke)
        }
        Lie::Garbage => {
            let mut bytes = seal(&honest, &readers, &Hpke).to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            Blob::new(bytes)
        }
        // The low byte of the last number, and a byte of the hash of the survivors behind version and header.
        Lie::Numbers => seal(&altered(honest.encode().len() - 16), &readers, &Hpke),
        Lie::Survivors => seal(&altered(33), &readers, &Hpke),
    }
}

/// A closed round is opened by honest members and these others. Gives what all have posted.
async fn opened_with(cast: &mut Cast, header: &RoundHeader, liars: &[usize], lie: Lie) -> Vec<B256> {
    let world = cast.world.clone();
    let mut lies = Vec::new();
    for &liar in liars {
        let hash = world.blobs.put_blob(&lied(cast, header, liar, lie).await).unwrap();
        let f = header.fields();
        let post = Rounds::postPartialCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            attempt: 0,
            partialHash: hash,
        };
        world.ledger.send(&cast.committee[liar].party.key, Contract::Rounds, post).await.unwrap();
        lies.push(hash);
    }
    let honest = |i: &usize| !liars.contains(i);
    for i in (0..7).filter(honest) {
        let locked = cast.committee[i].lock(header, &world).await.unwrap();
        assert!(matches!(locked, Lock::Posted(_)));
    }
    let mut partials = lies;
    for i in (0..7).filter(honest) {
        partials.push(cast.committee[i].publish(header, &world).await.unwrap());
    }
    partials
}

/// One member of seven lies in each round, another one each time. Every enclave opens every sum, and the model is the honest one.
#[tokio::test]
async fn a_member_that_lies_stops_nobody_and_is_named() {
    let mut cast = Cast::allowing(1, 3, 2).await;
    let world = cast.world.clone();
    let mut known = cast.recruit(with(plan(2), "rounds", 2.0)).await;
    let known = cast.train(&mut known).await;
    let plan = with(sealed_plan(Release::Public), "rounds", 2.0);
    let mut led = cast.recruit_sealed(plan).await;
    let lies = [
        (6, Lie::OtherKey(0), 1),
        (6, Lie::LeavesOut(0), 1),
        (5, Lie::Garbage, 3),
        (4, Lie::Numbers, 3),
        (3, Lie::Survivors, 3),
    ];
    let mut named = Vec::new();
    for (liar, lie, finders) in lies {
        let header = cast.open_sealed(&mut led).await;
        cast.answer(&header, &[0, 1, 2]).await;
        let partials = opened_with(&mut cast, &header, &[liar], lie).await;
        let transcript = transcript(&header, &partials, &world).await.unwrap();
        let account = cast.committee[liar].party.account();
        let seat = header.fields().committee.iter().position(|s| s.address == account.into_array()).unwrap();
        let seat = seat as u8 + 1;
        let statements = cast.said(&transcript, &[0, 1, 2]).await;
        let finding = statements.iter().filter(|s| s.wrong == [seat]).count();
        let silent = statements.iter().filter(|s| s.wrong.is_empty()).count();
        assert_eq!((finding, finding + silent), (finders, 3), "{lie:?}");
        let carried = cast.carry(&mut led, &header, statements).await;
        assert_eq!((carried.signers.len(), carried.wrong[&seat]), (3, finders), "{lie:?}");
        // One of three may be wrong itself, or lie; more than half name.
        let says: Vec<Address> = if finders == 3 { vec![account] } else { vec![] };
        for member in &mut cast.committee[..3] {
            assert_eq!(member.name_found_wrong(&header, &carried, &world).await.unwrap(), says, "{lie:?}");
        }
        named.extend(says);
    }
    assert_eq!(led.asked, None, "a lie for every round");
    assert_eq!(led.names.0, B256::from(model_hash(&as_released(&known.model))));
    let told = world.ledger.events::<Rounds::MemberNamed>(Contract::Rounds).await.unwrap();
    let told: Vec<_> = told.iter().map(|e| (e.member, e.reason)).collect();
    assert_eq!(told, named.iter().map(|m| (*m, reasons::WRONG_PARTIAL)).collect::<Vec<_>>());
    cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
    cast.owners[2].release_model(&world).unwrap();
    for donor in 1..=3 {
        assert_eq!(cast.owed(led.id(), donor).await, PRICE);
    }
    settle(&cast).await;
    let (outcome, words) = detail(&cast.looked_at(led.id(), None).await, "rounds");
    assert_eq!(outcome, Outcome::Holds, "{words}");
    assert_eq!(words.matches("has left out the enclave of donor 1").count(), 1, "{words}");
}

/// Two members, more than the plan lets collude, leave out the same enclave. It says so and is paid; the others go on.
#[tokio::test]
async fn an_enclave_that_is_left_out_by_too_many_says_so() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Public)).await;
    let header = cast.open_sealed(&mut led).await;
    cast.answer(&header, &[0, 1, 2]).await;
    let partials = opened_with(&mut cast, &header, &[5, 6], Lie::LeavesOut(0)).await;
    let round = transcript(&header, &partials, &world).await.unwrap();
    let left_out = cast.owners[0].open_sum(&round, &world).await;
    refused(left_out, "5 of the 7 partial sums open to this reader; one more than 5 has to");
    let statements = cast.said(&round, &[1, 2]).await;
    cast.carry(&mut led, &header, statements).await;
    // It does not know what comes next, and answers nothing.
    let next = cast.open_sealed(&mut led).await;
    refused(cast.owners[0].contribute(&next, &world).await, "it follows another state");
    cast.answer(&next, &[1, 2]).await;
    let partials = cast.open_sum(&next).await;
    let round = transcript(&next, &partials, &world).await.unwrap();
    let statements = cast.said(&round, &[1, 2]).await;
    cast.carry(&mut led, &next, statements).await;
    cast.sealed_end(&mut led, &[1, 2]).await;
    assert_eq!(cast.owed(led.id(), 1).await, PRICE);
}

/// What is asked is a secret, but not where a round stands in the plan, by which method, and that it is sealed at all.
#[tokio::test]
async fn members_look_at_stage_size_and_method() {
    let mut cast = Cast::new(1).await;
    let mut led = cast.recruit_sealed(sealed_plan(Release::Public)).await;
    let header = cast.open_sealed(&mut led).await;
    check_stage(&header, &cast.world).await.unwrap();
    let sealed = |stage: &str, numbers: u32| Question::Sealed { stage: stage.into(), numbers, hash: [0; 32] };
    let numbers = header.dimension() as u32;
    let open = Ask { stage: "describe".into(), question: vec![], segments: vec![] };
    let segment = Segment { len: numbers, numbers: Numbers::Count { max: 1 } };
    type Change<'a> = &'a dyn Fn(&mut RoundFields);
    let changes: [(Change<'_>, &str); 4] = [
        (&|f| f.question = sealed("newton", numbers), "has the stage `describe`"),
        (&|f| f.question = sealed("describe", numbers + 1), "has the stage `describe`"),
        (
            &|f| f.question = Question::Open(Ask { segments: vec![segment], ..open.clone() }),
            "the plan seals sums and its header does not",
        ),
        (&|f| f.method[0] ^= 1, "its method is not the plan's"),
    ];
    for (change, why) in changes {
        let mut fields = header.fields().clone();
        change(&mut fields);
        refused(check_stage(&RoundHeader::new(fields).unwrap(), &cast.world).await, why);
    }
}
