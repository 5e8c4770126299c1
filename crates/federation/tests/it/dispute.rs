//! A member says that a share does not open: the donor lies, or the member does.

use histone_federation::BoxError;
use histone_federation::dispute::{ShareOpening, Verdict, check_opening, open_share};
use histone_federation::header::RoundHeader;
use histone_federation::update::{Hpke, SEAL_INFO, Sealer, Update, UpdateError, seal_update};
use histone_protocol::seal::SealKey;

use crate::derived::{header, seat_key};
use crate::world::root;

const DONOR: u16 = 10;
const MEMBER: u8 = 3;

fn values(header: &RoundHeader) -> Vec<f64> {
    (0..header.dimension()).map(|i| 0.5 + i as f64).collect()
}

fn opening(header: &RoundHeader, member: u8) -> ShareOpening {
    let opening = open_share(header, DONOR, &values(header), &root(DONOR), member).unwrap();
    ShareOpening::decode(&opening.encode(), header).unwrap()
}

/// A donor's enclave that is not ours: one member gets something else than its share.
struct Garbage<F>(F);

impl<F: Fn(&[u8]) -> Vec<u8>> Sealer for Garbage<F> {
    fn seal(
        &self,
        key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plain: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, BoxError> {
        let sealed = Hpke.seal(key, info, aad, plain, randomness)?;
        if *key != seat_key(MEMBER).public().0.0 {
            return Ok(sealed);
        }
        let other = (self.0)(plain);
        if other == plain {
            // Noise in the place of a sealed message.
            return Ok(sealed.iter().map(|b| b ^ 1).collect());
        }
        Hpke.seal(key, info, aad, &other, randomness)
    }
}

fn blob(header: &RoundHeader, sealer: &dyn Sealer) -> Vec<u8> {
    seal_update(header, DONOR, &values(header), sealer, &root(DONOR)).unwrap()
}

#[test]
fn a_member_calls_a_good_share_unreadable() {
    let header = header(|_| {});
    let blob = blob(&header, &Hpke);
    for member in 1..=header.members() {
        assert_eq!(check_opening(&header, &blob, &opening(&header, member), &Hpke), Verdict::ShareIsGood);
    }
}

#[test]
fn a_donor_seals_garbage_to_one_member() {
    let header = header(|_| {});
    type Lie = fn(&[u8]) -> Vec<u8>;
    let lies: [Lie; 4] = [
        |plain| plain.to_vec(),                        // bytes that do not open at all
        |plain| plain[1..].to_vec(),                   // opens, with the wrong length
        |plain| vec![0xff; plain.len()],               // opens, to numbers outside of the field
        |plain| plain.iter().map(|b| b ^ 2).collect(), // opens to another share than the one derived
    ];
    for (i, lie) in lies.into_iter().enumerate() {
        let blob = blob(&header, &Garbage(lie));
        let accused = check_opening(&header, &blob, &opening(&header, MEMBER), &Hpke);
        assert_eq!(accused, Verdict::ShareIsBad, "lie {i}");
        // The others' shares are what they should be, and the donor can show it.
        let other = check_opening(&header, &blob, &opening(&header, 1), &Hpke);
        assert_eq!(other, Verdict::ShareIsGood, "lie {i}");
    }
}

#[test]
fn a_donor_shows_something_else_than_what_it_sealed() {
    let header = header(|_| {});
    let blob = blob(&header, &Garbage(|plain: &[u8]| plain.to_vec()));
    let good = opening(&header, MEMBER);
    let bad = |bytes: &[u8]| {
        if let Ok(opening) = ShareOpening::decode(bytes, &header) {
            assert_eq!(check_opening(&header, &blob, &opening, &Hpke), Verdict::ShareIsBad);
        }
    };
    let bytes = good.encode();
    for i in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[i] ^= 1;
        bad(&altered);
    }
    // An opening of another donor, another member, another round.
    bad(&open_share(&header, 20, &values(&header), &root(20), MEMBER).unwrap().encode());
    let next = crate::derived::header(|f| f.round += 1);
    let stray = open_share(&next, DONOR, &values(&next), &root(DONOR), MEMBER).unwrap();
    assert!(ShareOpening::decode(&stray.encode(), &header).is_err());
    assert_eq!(check_opening(&header, &blob, &stray, &Hpke), Verdict::ShareIsBad);
    // A blob that cannot be read at all.
    assert_eq!(check_opening(&header, &blob[1..], &good, &Hpke), Verdict::ShareIsBad);
    // No such seat.
    let open = |member| open_share(&header, DONOR, &values(&header), &root(DONOR), member);
    for member in [0, header.members() + 1] {
        assert!(matches!(open(member), Err(UpdateError::Member { .. })));
    }
}

/// An opening for one seat reads the sealed share of that seat and of no other.
#[test]
fn the_public_reads_other_shares_with_an_opening() {
    let header = header(|_| {});
    let blob = blob(&header, &Hpke);
    let bytes = opening(&header, MEMBER).encode();
    let shown: [u8; 32] = bytes[36..68].try_into().unwrap();
    // Where sealed messages lie in the blob, each begins with its ephemeral key.
    let ephemeral = SealKey::from_seed(&shown).public().0;
    let found = blob.windows(32).filter(|w| *w == ephemeral.as_slice()).count();
    assert_eq!(found, 1, "the ephemeral key serves for one seat");
    // Nor is any other seat's ephemeral key the one that derives from what is shown.
    for member in 1..=header.members() {
        let derived = histone_protocol::secret::Root::from_bytes(shown).derive("seal", &[&[member]]);
        let key = SealKey::from_seed(&derived).public().0;
        assert!(!blob.windows(32).any(|w| w == key.as_slice()));
    }
}

/// The accusing member itself reads the share that it called unreadable: the verdict agrees with what it could do.
#[test]
fn what_is_good_opens_at_its_seat() {
    let header = header(|_| {});
    let blob = blob(&header, &Hpke);
    struct Key(SealKey);
    impl histone_federation::update::Unsealer for Key {
        fn unseal(
            &self,
            info: &[u8],
            aad: &[u8],
            sealed: &[u8],
        ) -> Result<zeroize::Zeroizing<Vec<u8>>, BoxError> {
            assert_eq!(info, SEAL_INFO);
            Ok(zeroize::Zeroizing::new(self.0.open(std::str::from_utf8(info)?, aad, sealed)?))
        }
    }
    use histone_federation::committee::Member;
    use histone_federation::update::{Survivor, Survivors, blob_hash};
    use histone_protocol::blob::Blob;
    let second = seal_update(&header, 20, &values(&header), &Hpke, &root(20)).unwrap();
    let list = [(DONOR, &blob), (20, &second)].map(|(donor, b)| Survivor { donor, blob: blob_hash(b) });
    let survivors = Survivors::new(&header, list.to_vec()).unwrap();
    assert_eq!(Update::decode(&blob, &header).unwrap().donor(), DONOR);
    for member in 1..=header.members() {
        let seat = Member::by_address(&header, &[member; 20]).unwrap();
        let blobs = [&blob, &second].map(Blob::from);
        seat.sum_shares(&header, &survivors, &blobs, &Key(seat_key(member))).unwrap();
    }
}
