//! Everybody who does not follow the protocol, one by one.

use histone_federation::committee::{CommitteeError, Member, PartialSum};
use histone_federation::field::ENCODED_LEN;
use histone_federation::header::{HeaderError, RoundFields, RoundHeader};
use histone_federation::open::{OpenError, name, open, open_and_name};
use histone_federation::share::ShareError;
use histone_federation::update::{Survivors, SurvivorsError, Update, UpdateError, blob_hash, seal_update};

use crate::world::{
    Native, ToySealerForTestsOnly, ToyUnsealerForTestsOnly, Training, World, list, plan, refs, root, tables,
};

const ALL: [u16; 4] = [10, 20, 30, 40];

struct Setting {
    world: World,
    header: RoundHeader,
    survivors: Survivors,
    blobs: Vec<Vec<u8>>,
    partials: Vec<PartialSum>,
}

/// Four donors, seven members of whom one may collude: five open. All is done but the opening.
fn setting() -> Setting {
    let mut world = World::new(tables(20, 4, 2, 0.0), 7);
    let header = header(&world, |_| {});
    let (survivors, blobs) = world.blobs(&header, &ALL);
    let partials = (1..=7).map(|m| world.ask(m, &header, &survivors, &blobs).unwrap()).collect();
    Setting { world, header, survivors, blobs, partials }
}

fn header(world: &World, change: impl Fn(&mut RoundFields)) -> RoundHeader {
    let mut fields = world.fields(&Training::start(Native, plan(2)).unwrap(), &ALL);
    change(&mut fields);
    RoundHeader::new(fields).unwrap()
}

#[test]
fn any_quorum_opens_the_same_sum() {
    let s = setting();
    let expected: Vec<f64> = (0..s.header.dimension())
        .map(|i| ALL.iter().map(|&d| s.world.answer(&s.header, d)[i]).sum())
        .collect();
    let mut hashes = Vec::new();
    for quorum in [[0, 1, 2, 3, 4], [6, 4, 2, 0, 5], [1, 3, 4, 5, 6]] {
        let partials: Vec<PartialSum> = quorum.iter().map(|&i| s.partials[i].clone()).collect();
        let sum = open(&s.header, &s.survivors, &refs(&s.blobs), &partials).unwrap();
        assert!(sum.values().iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9));
        assert_eq!(sum.redundancy(), 0);
        hashes.push(sum.hash());
    }
    let sum = open(&s.header, &s.survivors, &refs(&s.blobs), &s.partials).unwrap();
    assert_eq!(sum.redundancy(), 2);
    assert!(hashes.iter().all(|h| *h == sum.hash()));
}

#[test]
fn the_coordinator_asks_for_a_second_survivor_set() {
    let mut s = setting();
    let fewer = Survivors::new(&s.header, list(&ALL[..3], &s.blobs)).unwrap();
    for member in 1..=7 {
        let error = s.world.ask(member, &s.header, &fewer, &s.blobs[..3]).unwrap_err();
        assert!(matches!(error, CommitteeError::AlreadyOpened), "{error}");
    }
    // The first question again is answered as before.
    assert_eq!(s.world.ask(2, &s.header, &s.survivors, &s.blobs).unwrap(), s.partials[1]);
}

#[test]
fn the_same_donors_with_another_blob_are_a_second_set() {
    let mut s = setting();
    let mut blobs = s.blobs.clone();
    // Other numbers: the same ones would be the same blob.
    let values = vec![1.0; s.header.dimension()];
    blobs[0] = seal_update(&s.header, 10, &values, &ToySealerForTestsOnly, &root(10)).unwrap();
    let other = Survivors::new(&s.header, list(&ALL, &blobs)).unwrap();
    assert!(matches!(s.world.ask(1, &s.header, &other, &blobs), Err(CommitteeError::AlreadyOpened)));
}

#[test]
fn a_second_header_for_the_same_round_is_refused() {
    let mut s = setting();
    let second = header(&s.world, |f| f.min_survivors = 3);
    assert_ne!(second.hash(), s.header.hash());
    let (survivors, blobs) = s.world.blobs(&second, &ALL[..3]);
    assert!(matches!(s.world.ask(1, &second, &survivors, &blobs), Err(CommitteeError::AlreadyOpened)));
    // The next round opens for the same donors, and for no others while it asks for the same computation.
    let later = header(&s.world, |f| f.round = 1);
    let (survivors, blobs) = s.world.blobs(&later, &ALL[..3]);
    assert!(matches!(s.world.ask(1, &later, &survivors, &blobs), Err(CommitteeError::AlreadyOpened)));
    let (survivors, blobs) = s.world.blobs(&later, &ALL);
    assert!(s.world.ask(1, &later, &survivors, &blobs).is_ok());
    let another = header(&s.world, |f| {
        f.round = 2;
        f.method = [9; 32];
    });
    let (survivors, blobs) = s.world.blobs(&another, &ALL[..3]);
    assert!(s.world.ask(1, &another, &survivors, &blobs).is_ok());
}

#[test]
fn two_quorums_for_two_sets_cannot_both_be_honest() {
    // Five of seven open; members 1 to 5 answer for one set, 3 to 7 are asked for another one: 3 to 5 refuse, and one of
    // them may be bought.
    let mut world = World::new(tables(21, 4, 2, 0.0), 7);
    let header = header(&world, |_| {});
    let (all, blobs) = world.blobs(&header, &ALL);
    let fewer = Survivors::new(&header, list(&ALL[..3], &blobs)).unwrap();
    for member in 1..=5 {
        world.ask(member, &header, &all, &blobs).unwrap();
    }
    world.memories[2] = histone_federation::committee::ForgetfulRounds::default();
    let second: Vec<PartialSum> =
        (3..=7).filter_map(|m| world.ask(m, &header, &fewer, &blobs[..3]).ok()).collect();
    let error = open(&header, &fewer, &refs(&blobs[..3]), &second).unwrap_err();
    assert!(matches!(error, OpenError::Partials(ShareError::TooFew { got: 3, threshold: 5 })));
    // And a committee for which it could be done makes no header.
    let mut fields = header.fields().clone();
    fields.colluders = 0;
    assert!(matches!(RoundHeader::new(fields), Err(HeaderError::Size(_))));
}

/// Two models over tables that differ by one patient publish that patient: members open one of them.
#[test]
fn a_second_model_without_one_patient() {
    let mut s = setting();
    let change = |world: &mut World, model: u8, version: Option<u8>| {
        world.versions = version.map(|v| (20, [v; 32])).into_iter().collect();
        let h = header(world, |f| {
            f.model_id = [model; 32];
            f.market = [model; 20];
            f.chain_id = u64::from(model);
        });
        let (survivors, blobs) = world.blobs(&h, &ALL);
        (h, survivors, blobs)
    };
    let (h, survivors, blobs) = change(&mut s.world, 2, Some(99));
    assert!(matches!(s.world.ask(1, &h, &survivors, &blobs), Err(CommitteeError::AlreadyOpened)));
    // Without that donor its sum would still be the difference to the first one.
    let (h, ..) = change(&mut s.world, 3, None);
    let (survivors, blobs) = s.world.blobs(&h, &[10, 30, 40]);
    assert!(matches!(s.world.ask(1, &h, &survivors, &blobs), Err(CommitteeError::AlreadyOpened)));
    // The same sum again tells nothing new, whoever asks for it.
    let (h, survivors, blobs) = change(&mut s.world, 4, None);
    assert!(s.world.ask(1, &h, &survivors, &blobs).is_ok());
}

#[test]
fn blobs_of_another_round_model_chain_or_party() {
    let mut s = setting();
    let others: [fn(&mut RoundFields); 5] = [
        |f| f.round = 9,
        |f| f.model_id = [2; 32],
        |f| f.chain_id = 1,
        |f| f.market = [0; 20],
        |f| f.previous = [0; 32],
    ];
    for change in others {
        let other = header(&s.world, change);
        let mut blobs = s.blobs.clone();
        blobs[1] = s.world.blob(&other, 20);
        let survivors = Survivors::new(&s.header, list(&ALL, &blobs)).unwrap();
        let expected = UpdateError::OtherRound { donor: 20 }.to_string();
        let Err(CommitteeError::Blob(e)) = s.world.ask(1, &s.header, &survivors, &blobs) else { panic!() };
        assert_eq!(e.to_string(), expected);
        let Err(OpenError::Blob(e)) = open(&s.header, &survivors, &refs(&blobs), &s.partials_for(&survivors))
        else {
            panic!()
        };
        assert_eq!(e.to_string(), expected);
    }
    // Donor 20 anchors a copy of donor 10's blob.
    let mut blobs = s.blobs.clone();
    blobs[1] = blobs[0].clone();
    let survivors = Survivors::new(&s.header, list(&ALL, &blobs)).unwrap();
    let error = s.world.ask(1, &s.header, &survivors, &blobs).unwrap_err();
    assert!(matches!(error, CommitteeError::Blob(UpdateError::OtherDonor { donor: 20, named: 10 })));
}

impl Setting {
    /// The partial sums as if they had been given for this set: what a lying coordinator shows.
    fn partials_for(&self, survivors: &Survivors) -> Vec<PartialSum> {
        let relabel = |p: &PartialSum| {
            let mut bytes = p.encode();
            bytes[33..65].copy_from_slice(&survivors.hash());
            PartialSum::decode(&bytes, &self.header).unwrap()
        };
        self.partials.iter().map(relabel).collect()
    }
}

#[test]
fn a_stolen_share_does_not_open_under_another_name() {
    // Donor 20 copies donor 10's whole blob and writes its own index into it: the sealed shares are bound to 10.
    let mut s = setting();
    let mut blobs = s.blobs.clone();
    blobs[1] = blobs[0].clone();
    blobs[1][33..35].copy_from_slice(&20u16.to_le_bytes());
    let survivors = Survivors::new(&s.header, list(&ALL, &blobs)).unwrap();
    s.world.memories = World::new(vec![], 7).memories;
    let error = s.world.ask(1, &s.header, &survivors, &blobs).unwrap_err();
    assert!(matches!(error, CommitteeError::Share { donor: 20, member: 1, .. }), "{error}");
    // The round is not used up by it: the honest set still opens.
    assert!(s.world.ask(1, &s.header, &s.survivors, &s.blobs).is_ok());
}

#[test]
fn a_flipped_byte_anywhere_in_a_blob() {
    let mut s = setting();
    for at in (0..s.blobs[2].len()).step_by(7) {
        let mut blobs = s.blobs.clone();
        blobs[2][at] ^= 1;
        // Not what was anchored.
        let error = s.world.ask(1, &s.header, &s.survivors, &blobs).unwrap_err();
        assert!(matches!(error, CommitteeError::Blob(UpdateError::Anchor { donor: 30 })));
        let error = open(&s.header, &s.survivors, &refs(&blobs), &s.partials).unwrap_err();
        assert!(matches!(error, OpenError::Blob(UpdateError::Anchor { donor: 30 })));
        // Anchored like that by the donor: all members that find their share broken say so.
        let survivors = Survivors::new(&s.header, list(&ALL, &blobs)).unwrap();
        s.world.memories = World::new(vec![], 7).memories;
        let answers: Vec<_> = (1..=7).map(|m| s.world.ask(m, &s.header, &survivors, &blobs)).collect();
        assert!(answers.iter().any(Result::is_err), "byte {at} is not covered");
    }
}

#[test]
fn members_that_lie_are_named() {
    let s = setting();
    let lie = |member: usize| {
        let mut bytes = s.partials[member].encode();
        let last = bytes.len() - ENCODED_LEN;
        bytes[last] ^= 1;
        PartialSum::decode(&bytes, &s.header).unwrap()
    };
    let opened = |partials: &[PartialSum]| open(&s.header, &s.survivors, &refs(&s.blobs), partials);
    for member in 0..7 {
        let mut partials = s.partials.clone();
        partials[member] = lie(member);
        let Err(OpenError::Partials(ShareError::Wrong { members })) = opened(&partials) else { panic!() };
        assert_eq!(members, [member as u8 + 1]);
        partials.remove(member);
        assert!(opened(&partials).is_ok());
    }
    // One more than the threshold shows the lie but not the liar.
    let first = |n: usize| s.partials[..n].to_vec();
    let few = [first(5), vec![lie(5)]].concat();
    assert!(matches!(opened(&few), Err(OpenError::Partials(ShareError::Inconsistent { got: 6 }))));
    // All but the liar's still open, and are still checked.
    let (sum, wrong) =
        open_and_name(&s.header, &s.survivors, &refs(&s.blobs), &[first(6), vec![lie(6)]].concat()).unwrap();
    assert_eq!((sum.redundancy(), wrong), (1, vec![7]));
    // Who only wants the names needs no blob for them, and gets the same.
    let named = |partials: &[PartialSum]| name(&s.header, &s.survivors, partials);
    assert_eq!(named(&[first(6), vec![lie(6)]].concat()).unwrap(), [7]);
    assert!(named(&s.partials).unwrap().is_empty());
    assert!(matches!(named(&few), Err(OpenError::Partials(ShareError::Inconsistent { got: 6 }))));
    // Nothing can be told from the threshold alone, and the result says so.
    let blind = [first(4), vec![lie(4)]].concat();
    assert!(opened(&blind).map_or(true, |sum| sum.redundancy() == 0));
    // A member that speaks twice, or in another's name.
    let twice = [vec![s.partials[0].clone()], first(5)].concat();
    assert!(matches!(opened(&twice), Err(OpenError::Partials(ShareError::Member { member: 1 }))));
}

#[test]
fn too_few_partials_and_partials_of_another_sum() {
    let mut s = setting();
    let opened = |partials: &[PartialSum]| open(&s.header, &s.survivors, &refs(&s.blobs), partials);
    assert!(matches!(
        opened(&s.partials[..4]),
        Err(OpenError::Partials(ShareError::TooFew { got: 4, threshold: 5 }))
    ));
    assert!(matches!(opened(&[]), Err(OpenError::Partials(ShareError::TooFew { got: 0, .. }))));
    let later = header(&s.world, |f| f.round = 1);
    let (survivors, blobs) = s.world.blobs(&later, &ALL);
    let stray = s.world.ask(4, &later, &survivors, &blobs).unwrap();
    let partials = [s.partials[0].clone(), s.partials[1].clone(), stray.clone()];
    let error = open(&s.header, &s.survivors, &refs(&s.blobs), &partials).unwrap_err();
    assert!(matches!(error, OpenError::OtherSum { member: 4 }));
    assert!(matches!(PartialSum::decode(stray.encode(), &s.header), Err(CommitteeError::Encoding(_))));
    let error = open(&s.header, &survivors, &refs(&blobs), &partials).unwrap_err();
    assert!(matches!(error, OpenError::OtherRound));
}

#[test]
fn survivor_sets_that_are_refused() {
    let s = setting();
    let set = |donors: &[u16]| Survivors::new(&s.header, list(donors, &s.blobs)).unwrap_err();
    assert_eq!(set(&[10]), SurvivorsError::TooFew { got: 1, minimum: 2 });
    assert_eq!(set(&[]), SurvivorsError::TooFew { got: 0, minimum: 2 });
    assert_eq!(set(&[10, 10]), SurvivorsError::Order { donor: 10 });
    assert_eq!(set(&[20, 10]), SurvivorsError::Order { donor: 10 });
    assert_eq!(set(&[10, 25]), SurvivorsError::Forged { donor: 25 });
    let demanding = header(&s.world, |f| f.min_survivors = 4);
    let error = Survivors::new(&demanding, list(&ALL[..3], &s.blobs)).unwrap_err();
    assert_eq!(error, SurvivorsError::TooFew { got: 3, minimum: 4 });
    // A cohort of one makes no header.
    let mut fields = s.header.fields().clone();
    fields.cohort.truncate(1);
    assert!(matches!(RoundHeader::new(fields), Err(HeaderError::Cohort(_))));
}

#[test]
fn donors_and_members_without_a_place() {
    let s = setting();
    let values = vec![1.0; s.header.dimension()];
    let seal = |donor, values: &[f64]| {
        seal_update(&s.header, donor, values, &ToySealerForTestsOnly, &root(10)).unwrap_err()
    };
    assert!(matches!(seal(15, &values), UpdateError::Donor { donor: 15 }));
    assert!(matches!(seal(10, &values[1..]), UpdateError::Dimension { .. }));
    assert!(matches!(seal(10, &vec![f64::NAN; values.len()]), UpdateError::Number(_)));
    assert!(matches!(seal(10, &vec![1e19; values.len()]), UpdateError::Number(_)));
    assert!(matches!(Member::by_address(&s.header, &[9; 20]), Err(CommitteeError::NoSeat)));
    // The wrong key reads nothing.
    let seat = Member::by_address(&s.header, &[1; 20]).unwrap();
    let wrong = ToyUnsealerForTestsOnly([7; 32]);
    let error = seat.sum_shares(&s.header, &s.survivors, &refs(&s.blobs), &wrong).unwrap_err();
    assert!(matches!(error, CommitteeError::Share { donor: 10, .. }));
}

#[test]
fn a_member_that_cannot_write_opens_nothing() {
    struct Broken;
    impl histone_federation::committee::OpenedRounds for Broken {
        fn forbids(
            &self,
            _: &[histone_federation::committee::Opening],
        ) -> Result<bool, histone_federation::BoxError> {
            Ok(false)
        }

        fn record(
            &mut self,
            _: &[histone_federation::committee::Opening],
        ) -> Result<bool, histone_federation::BoxError> {
            Err("disk full".into())
        }
    }
    let s = setting();
    let seat = Member::by_address(&s.header, &[1; 20]).unwrap();
    let unsealer = ToyUnsealerForTestsOnly([1 ^ 0x55; 32]);
    let prepared = seat.sum_shares(&s.header, &s.survivors, &refs(&s.blobs), &unsealer).unwrap();
    let error = prepared.open(&mut Broken).unwrap_err();
    assert!(matches!(error, CommitteeError::Memory(_)));
}

/// Equal numbers of two donors, in two rounds and from two enclaves, give unrelated ciphertexts.
#[test]
fn masks_are_never_repeated() {
    let s = setting();
    let values = vec![1.0; s.header.dimension()];
    let next = header(&s.world, |f| f.round += 1);
    let mut seen = std::collections::BTreeSet::new();
    for (header, donor, secret) in [
        (&s.header, 10, root(10)),
        (&s.header, 20, root(20)),
        (&s.header, 20, root(10)),
        (&s.header, 10, root(20)),
        (&next, 10, root(10)),
    ] {
        let blob = seal_update(header, donor, &values, &ToySealerForTestsOnly, &secret).unwrap();
        assert!(seen.insert(blob_hash(&blob)));
        for x in Update::decode(&blob, header).unwrap().ciphertext() {
            assert!(seen.insert(blob_hash(&x.to_bytes())));
        }
    }
}
