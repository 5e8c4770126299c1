//! What crosses parties in a round: its header, what donors and members answer, and the plan that all follow.

use std::sync::LazyLock;

use histone_federation::BoxError;
use histone_federation::committee::{ForgetfulRounds, Member, PartialSum};
use histone_federation::dispute::{ShareOpening, open_share};
use histone_federation::header::{Donor, Question, RoundFields, RoundHeader, Seat};
use histone_federation::plan::Plan;
use histone_federation::update::{Hpke, Survivor, Survivors, Unsealer, Update, blob_hash, seal_update};
use histone_program_sdk::method::{Ask, Numbers, Segment, Stage};
use histone_protocol::blob::Blob;
use histone_protocol::disclosure::{Release, Sums};
use histone_protocol::seal::SealKey;
use histone_protocol::secret::Root;
use zeroize::Zeroizing;

use crate::methods::a_config;

/// Headers and plans: whoever reads one names it by the hash of its bytes, so each has one encoding.
pub fn header(bytes: &[u8]) -> bool {
    let header = RoundHeader::decode(bytes).ok();
    if let Some(header) = &header {
        assert!(header.encode() == bytes, "a header has two encodings");
        let _ = (header.hash(), header.dimension(), header.threshold(), header.committee());
    }
    let plan = Plan::decode(bytes).ok();
    if let Some(plan) = &plan {
        assert!(plan.encode() == bytes, "a plan has two encodings");
    }
    header.is_some() || plan.is_some()
}

/// Updates, partial sums and opened shares of one round.
pub fn update(bytes: &[u8]) -> bool {
    let header = &WORLD.header;
    let update = Update::decode(bytes, header).ok();
    if let Some(update) = &update {
        // Behind version, hash, donor and length stand the numbers.
        let numbers: Vec<u8> = update.ciphertext().flat_map(|x| x.to_bytes()).collect();
        assert!(header.has_donor(update.donor()) && update.ciphertext().len() == header.dimension());
        assert!(bytes[39..].starts_with(&numbers), "a masked number has two encodings");
    }
    let partial = PartialSum::decode(bytes, header).ok();
    if let Some(partial) = &partial {
        assert!(partial.encode() == bytes, "a partial sum has two encodings");
    }
    let opening = ShareOpening::decode(bytes, header).ok();
    if let Some(opening) = &opening {
        assert!(opening.encode() == bytes, "an opened share has two encodings");
    }
    update.is_some() || partial.is_some() || opening.is_some()
}

struct World {
    header: RoundHeader,
    /// By what they are.
    said: Vec<(String, Vec<u8>)>,
}

/// Opens what was sealed to one member.
struct Opener(SealKey);

impl Unsealer for Opener {
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        Ok(self.0.open(std::str::from_utf8(info)?, aad, sealed)?.into())
    }
}

fn seal_key(member: u8) -> SealKey {
    SealKey::from_seed(&[member; 32])
}

fn fields() -> RoundFields {
    let donor = |i: u8| Donor {
        index: i.into(),
        enclave: [i; 20],
        lineage: [i; 32],
        root: [i ^ 0x80; 32],
        evidence: [i ^ 0x40; 32],
    };
    RoundFields {
        chain_id: 31_337,
        market: [1; 20],
        model_id: [2; 32],
        round: 3,
        method: [3; 32],
        question: Question::Open(Ask {
            stage: "describe".into(),
            question: vec![1, 2, 3],
            segments: vec![
                Segment { len: 1, numbers: Numbers::Count { max: 1 << 31 } },
                Segment { len: 2, numbers: Numbers::Real { max_abs: 1e9, fraction_bits: 40 } },
            ],
        }),
        previous: [4; 32],
        cohort: (1..=3).map(donor).collect(),
        committee: (1..=4)
            .map(|i| Seat { address: [i; 20], seal_key: seal_key(i).public().0.into() })
            .collect(),
        colluders: 1,
        min_survivors: 2,
        fractional_bits: 60,
    }
}

/// One round with everything that is said in it. It is fixed, so nothing in it can fail.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = || -> Result<World, BoxError> {
        let header = RoundHeader::new(fields())?;
        let root = |donor: u16| Root::from_bytes([donor as u8; 32]);
        let numbers = [5.0, -0.5, 1e6];
        let blobs = [1, 2].map(|donor| seal_update(&header, donor, &numbers, &Hpke, &root(donor)));
        let [one, two] = blobs;
        let blobs = [one?, two?];
        let survivors =
            [1, 2].into_iter().zip(&blobs).map(|(donor, blob)| Survivor { donor, blob: blob_hash(blob) });
        let survivors = Survivors::new(&header, survivors.collect())?;
        let member = Member::by_address(&header, &[1; 20])?;
        let read: Vec<Blob> = blobs.iter().map(Blob::from).collect();
        let prepared = member.sum_shares(&header, &survivors, &read, &Opener(seal_key(1)))?;
        let partial = prepared.open(&mut ForgetfulRounds::default())?;
        let opening = open_share(&header, 1, &numbers, &root(1), 2)?;
        let said = vec![
            ("update".into(), blobs[0].clone()),
            ("partial-sum".into(), partial.encode()),
            ("opened-share".into(), opening.encode()),
        ];
        Ok(World { header, said })
    };
    world().unwrap_or_else(|error| panic!("the round of the seeds: {error}"))
});

/// A header, and a plan.
pub fn headers() -> Vec<(String, Vec<u8>)> {
    let agenda = vec![Stage::new("describe", 3, 1)];
    let plan = Plan {
        method: [3; 32],
        config: a_config(),
        agenda,
        sums: Sums::PublicExact,
        model: Release::Public,
        min_survivors: 2,
    };
    vec![("header".into(), WORLD.header.encode()), ("plan".into(), plan.encode())]
}

/// What is said in the round.
pub fn updates() -> Vec<(String, Vec<u8>)> {
    WORLD.said.clone()
}
