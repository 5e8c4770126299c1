//! The header of a round: everything that the parties must agree on before anybody speaks, under one hash.
//!
//! The header goes on the ledger first. Blobs, partial sums and aggregates carry its hash, so that none of them is of
//! use in another round, for another model or on another chain.

use histone_program_sdk::method::{Ask, Numbers};
use histone_program_sdk::wire::{Reader, Wire, WireError, Writer};
use histone_protocol::committee::{Committee, CommitteeError};
use histone_protocol::hash::blob_hash;

use crate::codec;
use crate::fixed::{self, MAX_FRACTIONAL_BITS};

const VERSION: u8 = 4;

/// The longest vector of a round: a share of it for one member is 16 MiB.
pub const MAX_DIMENSION: usize = 1 << 20;

/// Most segments of a round.
pub const MAX_SEGMENTS: usize = 1_000;

/// One member of the cohort: a donor whose enclave may contribute, and what that rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Donor {
    /// Number of the donor in the model's market.
    pub index: u16,
    /// Address that signs for the donor's enclave.
    pub enclave: [u8; 20],
    /// The dataset through all its versions: its id in the register.
    pub lineage: [u8; 32],
    /// Commitment of the version that was donated.
    pub root: [u8; 32],
    /// Hash of the enclave's evidence, which everybody in the round has appraised.
    pub evidence: [u8; 32],
}

/// One member of the aggregation committee. Its number is its position, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Address that signs for the member.
    pub address: [u8; 20],
    /// X25519 public key to which the member's shares are sealed.
    pub seal_key: [u8; 32],
}

/// What a round asks of every site, as far as its header shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// All of it, to everybody.
    Open(Ask),
    /// Where the round stands in the agenda of its plan. What is asked is known to those who opened the sum before.
    Sealed {
        /// The stage of the agenda.
        stage: String,
        /// Numbers of a site.
        numbers: u32,
        /// [`Training`](crate::training::Training)'s hash of what is asked, keyed by the sum before.
        hash: [u8; 32],
    },
}

impl Question {
    /// The stage, for people.
    pub fn stage(&self) -> &str {
        match self {
            Question::Open(ask) => &ask.stage,
            Question::Sealed { stage, .. } => stage,
        }
    }

    /// What is asked, where the header shows it.
    pub fn ask(&self) -> Option<&Ask> {
        match self {
            Question::Open(ask) => Some(ask),
            Question::Sealed { .. } => None,
        }
    }

    /// Whether what is asked is secret.
    pub fn is_sealed(&self) -> bool {
        matches!(self, Question::Sealed { .. })
    }

    /// How many numbers a site gives, if a sum over so many sites can hold them.
    fn check(&self, sites: usize) -> Result<usize, HeaderError> {
        match self {
            Question::Open(ask) => check_ask(ask, sites),
            Question::Sealed { stage, numbers, .. } => check_size(stage, u64::from(*numbers)),
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Question::Open(ask) => {
                w.u8(0).bytes(&ask.to_bytes());
            }
            Question::Sealed { stage, numbers, hash } => {
                w.u8(1).bytes(stage.as_bytes()).u32(*numbers);
                w.0.extend_from_slice(hash);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let invalid = WireError::Invalid("question of a round");
        match r.u8()? {
            0 => {
                let bytes = r.bytes()?;
                let ask = Ask::from_bytes(bytes)?;
                if ask.to_bytes() == bytes { Ok(Question::Open(ask)) } else { Err(invalid) }
            }
            1 => {
                let stage = String::from_utf8(r.bytes()?.to_vec()).map_err(|_| invalid)?;
                Ok(Question::Sealed { stage, numbers: r.u32()?, hash: codec::array(r)? })
            }
            _ => Err(invalid),
        }
    }
}

/// The fields of a header, not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundFields {
    /// Chain on which the market contract lives.
    pub chain_id: u64,
    /// Address of the market contract.
    pub market: [u8; 20],
    /// The model, a big-endian 256-bit number as in the contract.
    pub model_id: [u8; 32],
    /// Number of the round within the training of this model.
    pub round: u32,
    /// Measurement of the method, which computes.
    pub method: [u8; 32],
    /// What every site is asked.
    pub question: Question,
    /// [`Training::state_hash`](crate::training::Training::state_hash) of the state that asks for this round.
    pub previous: [u8; 32],
    /// The donors who may contribute, ascending by index, at least two.
    pub cohort: Vec<Donor>,
    /// The committee, ascending by address.
    pub committee: Vec<Seat>,
    /// Members that may work together without learning more than the one sum. How many open it follows from it.
    pub colluders: u8,
    /// Fewer survivors than this are never opened; at least two.
    pub min_survivors: u16,
    /// Resolution of the numbers, at most [`MAX_FRACTIONAL_BITS`].
    pub fractional_bits: u8,
}

/// Why a header is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes are not the encoding of a header.
    #[error("the round header cannot be read; take it again from the ledger")]
    Encoding(#[source] WireError),
    /// What is asked is too long, or a sum over the cohort could not hold it.
    #[error("what it asks cannot be a round: {0}")]
    Ask(String),
    /// The cohort is too small, not ascending, or two donors share an enclave or a dataset.
    #[error("the cohort is refused: {0}")]
    Cohort(&'static str),
    /// The committee is too small or too large, or two seats share a key or an address.
    #[error("the committee is refused: {0}")]
    Committee(&'static str),
    /// A committee too small for its colluders, or too large.
    #[error(transparent)]
    Size(#[from] CommitteeError),
    /// A minimum number of survivors below 2 or above the cohort.
    #[error(
        "a minimum of {minimum} survivors is refused for a cohort of {cohort}; it must be between 2 and the size of the cohort"
    )]
    MinSurvivors {
        /// The minimum.
        minimum: u16,
        /// Donors in the cohort.
        cohort: usize,
    },
    /// Too many fractional bits.
    #[error("{0} fractional bits are refused; at most 60 leave room for the sum")]
    FractionalBits(u8),
}

/// A header that was checked; the only way to get one is [`RoundHeader::new`] or [`RoundHeader::decode`].
#[derive(Debug, Clone, PartialEq)]
pub struct RoundHeader {
    fields: RoundFields,
    committee: Committee,
    dimension: usize,
    hash: [u8; 32],
}

impl RoundHeader {
    /// Checks the fields.
    pub fn new(fields: RoundFields) -> Result<Self, HeaderError> {
        let (dimension, committee) = check(&fields)?;
        let mut header = RoundHeader { fields, committee, dimension, hash: [0; 32] };
        header.hash = blob_hash(&header.encode()).0;
        Ok(header)
    }

    /// The fields.
    pub fn fields(&self) -> &RoundFields {
        &self.fields
    }

    /// How many numbers every site contributes.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Seats in the committee.
    pub fn members(&self) -> u8 {
        self.committee.members()
    }

    /// How many open a sum, and how many are asked: [`Committee::derive`].
    pub fn committee(&self) -> Committee {
        self.committee
    }

    /// Partial sums that open the round.
    pub fn threshold(&self) -> u8 {
        self.committee.threshold()
    }

    /// Whether this donor is in the cohort.
    pub fn has_donor(&self, donor: u16) -> bool {
        self.donor(donor).is_some()
    }

    /// BLAKE3 of the encoding, which is the header's address in public storage: whoever has the ledger finds it.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Names the round whatever its header says: chain, market, model and number. A member opens a round id once.
    pub fn round_id(&self) -> [u8; 32] {
        let f = &self.fields;
        let (chain, round) = (f.chain_id.to_le_bytes(), f.round.to_le_bytes());
        codec::hash("histone/round-id/v1", &[&chain, &f.market, &f.model_id, &round])
    }

    /// [`computation_id`], or a name for it where the header shows no more.
    pub fn computation_id(&self) -> [u8; 32] {
        let method = &self.fields.method;
        match &self.fields.question {
            Question::Open(ask) => computation_id(method, ask),
            Question::Sealed { hash, .. } => codec::hash("histone/sealed-computation/v1", &[method, hash]),
        }
    }

    /// The donor of this number.
    pub fn donor(&self, index: u16) -> Option<&Donor> {
        let at = self.fields.cohort.binary_search_by_key(&index, |d| d.index).ok()?;
        self.fields.cohort.get(at)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let f = &self.fields;
        let mut w = Writer::default();
        w.u8(VERSION);
        codec::put_u64(&mut w, f.chain_id);
        w.0.extend_from_slice(&f.market);
        w.0.extend_from_slice(&f.model_id);
        w.u32(f.round);
        w.0.extend_from_slice(&f.method);
        f.question.write(&mut w);
        w.0.extend_from_slice(&f.previous);
        w.u32(f.cohort.len() as u32);
        for d in &f.cohort {
            codec::put_u16(&mut w, d.index);
            w.0.extend_from_slice(&d.enclave);
            for hash in [d.lineage, d.root, d.evidence] {
                w.0.extend_from_slice(&hash);
            }
        }
        w.u8(self.members());
        for m in &f.committee {
            w.0.extend_from_slice(&m.address);
            w.0.extend_from_slice(&m.seal_key);
        }
        w.u8(f.colluders);
        codec::put_u16(&mut w, f.min_survivors);
        w.u8(f.fractional_bits);
        w.0
    }

    /// Reads and checks a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        RoundHeader::new(read(bytes).map_err(HeaderError::Encoding)?)
    }
}

fn read(bytes: &[u8]) -> Result<RoundFields, WireError> {
    let mut r = Reader::new(bytes);
    match r.u8()? {
        VERSION => {}
        v => return Err(WireError::Version(v)),
    }
    let chain_id = codec::u64(&mut r)?;
    let market = codec::array(&mut r)?;
    let model_id = codec::array(&mut r)?;
    let round = r.u32()?;
    let method = codec::array(&mut r)?;
    let question = Question::read(&mut r)?;
    let previous = codec::array(&mut r)?;
    let mut cohort = Vec::new();
    for _ in 0..r.u32()? {
        cohort.push(Donor {
            index: codec::u16(&mut r)?,
            enclave: codec::array(&mut r)?,
            lineage: codec::array(&mut r)?,
            root: codec::array(&mut r)?,
            evidence: codec::array(&mut r)?,
        });
    }
    let mut committee = Vec::new();
    for _ in 0..r.u8()? {
        committee.push(Seat { address: codec::array(&mut r)?, seal_key: codec::array(&mut r)? });
    }
    let (colluders, min_survivors, fractional_bits) = (r.u8()?, codec::u16(&mut r)?, r.u8()?);
    r.end()?;
    Ok(RoundFields {
        chain_id,
        market,
        model_id,
        round,
        method,
        question,
        previous,
        cohort,
        committee,
        colluders,
        min_survivors,
        fractional_bits,
    })
}

/// Gives the number of numbers of the round, and the committee's sizes.
fn check(f: &RoundFields) -> Result<(usize, Committee), HeaderError> {
    let dimension = f.question.check(f.cohort.len())?;
    if f.cohort.len() < 2 {
        return Err(HeaderError::Cohort("a sum over fewer than two donors hides nobody"));
    }
    if !f.cohort.is_sorted_by(|a, b| a.index < b.index) {
        return Err(HeaderError::Cohort("the donors must be ascending and each named once"));
    }
    if repeats(f.cohort.iter().map(|d| d.enclave).collect()) {
        return Err(HeaderError::Cohort("two donors have the same enclave, which would be counted twice"));
    }
    if repeats(f.cohort.iter().map(|d| d.lineage).collect()) {
        return Err(HeaderError::Cohort("two donors have the same dataset, which would be counted twice"));
    }
    let committee = Committee::derive(f.committee.len(), f.colluders)?;
    if repeats(f.committee.iter().map(|m| m.address).collect())
        || repeats(f.committee.iter().map(|m| m.seal_key).collect())
    {
        return Err(HeaderError::Committee(
            "two seats have the same address or key, which would give one party two shares",
        ));
    }
    if f.min_survivors < 2 || usize::from(f.min_survivors) > f.cohort.len() {
        return Err(HeaderError::MinSurvivors { minimum: f.min_survivors, cohort: f.cohort.len() });
    }
    if f.fractional_bits > MAX_FRACTIONAL_BITS {
        return Err(HeaderError::FractionalBits(f.fractional_bits));
    }
    Ok((dimension, committee))
}

/// Names the computation: what is summed by which method, for whichever model, market or chain. Two exact sums of one computation
/// over donors or versions that differ a little would differ by what one of them, or one person, adds.
pub fn computation_id(method: &[u8; 32], ask: &Ask) -> [u8; 32] {
    let ask = Ask { stage: String::new(), ..ask.clone() };
    codec::hash("histone/computation/v3", &[method, &ask.to_bytes()])
}

/// A stage that can be shown, and as many numbers as a round can have; gives them.
fn check_size(stage: &str, numbers: u64) -> Result<usize, HeaderError> {
    let refuse = |what: &str| Err(HeaderError::Ask(what.into()));
    if !is_stage(stage) {
        return refuse("the name of its stage is no word");
    }
    match usize::try_from(numbers) {
        Ok(numbers) if (1..=MAX_DIMENSION).contains(&numbers) => Ok(numbers),
        _ => refuse("it must have between 1 and 1,048,576 numbers, in 1,000 segments at the most"),
    }
}

/// Whether a sum over so many sites can hold what is asked; gives the number of numbers.
pub fn check_ask(ask: &Ask, sites: usize) -> Result<usize, HeaderError> {
    let refuse = |what: String| Err(HeaderError::Ask(what));
    let stage = &ask.stage;
    // Added up in 64 bits: a segment has up to 2^32 numbers.
    let numbers = ask.segments.iter().fold(0u64, |sum, s| sum.saturating_add(s.len.into()));
    let numbers = check_size(stage, if ask.segments.len() > MAX_SEGMENTS { 0 } else { numbers })?;
    for (i, segment) in ask.segments.iter().enumerate() {
        let (most, limit) = match segment.numbers {
            // Above it not every whole number is a double.
            Numbers::Count { max } => (max as f64, ((1u64 << 53) as f64 / sites.max(1) as f64).next_up()),
            Numbers::Real { max_abs, .. } => (max_abs, fixed::limit(sites)),
        };
        if let Numbers::Real { fraction_bits, .. } = segment.numbers
            && fraction_bits > MAX_FRACTIONAL_BITS
        {
            return refuse(format!(
                "segment {i} of `{stage}` has {fraction_bits} binary digits behind the point; {MAX_FRACTIONAL_BITS} are the most"
            ));
        }
        // Written so that NaN is refused.
        if !(0.0..limit.min(fixed::limit(sites))).contains(&most) {
            return refuse(format!(
                "the bound of segment {i} of `{stage}` is {most:e}; that of a sum over {sites} sites must be from 0 to below {:e} for each",
                limit.min(fixed::limit(sites))
            ));
        }
    }
    Ok(numbers)
}

/// Whether a text can name a stage.
pub(crate) fn is_stage(text: &str) -> bool {
    !text.is_empty() && text.len() <= 40 && !text.chars().any(char::is_control)
}

fn repeats<T: Ord>(mut items: Vec<T>) -> bool {
    items.sort_unstable();
    items.windows(2).any(|w| w.first() == w.last())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use histone_program_sdk::method::Segment;
    use proptest::prelude::*;

    fn donor(i: u8) -> Donor {
        Donor {
            index: u16::from(i) * 10,
            enclave: [i; 20],
            lineage: [i; 32],
            root: [i ^ 0x80; 32],
            evidence: [i ^ 0x40; 32],
        }
    }

    fn fields() -> RoundFields {
        let real = Numbers::Real { max_abs: 1e9, fraction_bits: 40 };
        RoundFields {
            chain_id: 31337,
            market: [1; 20],
            model_id: [2; 32],
            round: 3,
            method: [3; 32],
            question: Question::Open(Ask {
                stage: "describe".into(),
                question: vec![1, 2, 3],
                segments: vec![
                    Segment { len: 2, numbers: Numbers::Count { max: 1 << 31 } },
                    Segment { len: 6, numbers: real },
                ],
            }),
            previous: [4; 32],
            cohort: (1..=3u8).map(donor).collect(),
            committee: (1..=5u8).map(|i| Seat { address: [i; 20], seal_key: [i; 32] }).collect(),
            colluders: 1,
            min_survivors: 2,
            fractional_bits: 60,
        }
    }

    fn asked(fields: &mut RoundFields) -> &mut Ask {
        let Question::Open(ask) = &mut fields.question else { panic!("it is sealed") };
        ask
    }

    fn sealed(stage: &str, numbers: u32, hash: u8) -> Question {
        Question::Sealed { stage: stage.into(), numbers, hash: [hash; 32] }
    }

    #[test]
    fn a_sealed_question_shows_stage_and_size_only() {
        let header = RoundHeader::new(RoundFields { question: sealed("newton", 8, 1), ..fields() }).unwrap();
        assert_eq!(RoundHeader::decode(&header.encode()).unwrap(), header);
        assert_eq!(header.dimension(), 8);
        let other = RoundHeader::new(RoundFields { question: sealed("newton", 8, 2), ..fields() }).unwrap();
        assert_ne!(header.computation_id(), other.computation_id());
        for (stage, numbers) in [("", 8), ("a\nb", 8), ("newton", 0), ("newton", 1 << 21)] {
            let fields = RoundFields { question: sealed(stage, numbers, 1), ..fields() };
            assert!(matches!(RoundHeader::new(fields), Err(HeaderError::Ask(_))), "{stage:?} {numbers}");
        }
    }

    #[test]
    fn round_trip_and_every_field_is_hashed() {
        let header = RoundHeader::new(fields()).unwrap();
        assert_eq!(RoundHeader::decode(&header.encode()).unwrap(), header);
        assert_eq!(header.dimension(), 8);
        assert_eq!((header.threshold(), header.committee().quorum()), (4, 5));
        let changes: [fn(&mut RoundFields); 20] = [
            |f| f.chain_id = 1,
            |f| f.market[19] = 0,
            |f| f.model_id[0] = 0,
            |f| f.round = 4,
            |f| f.method[7] = 0,
            |f| asked(f).question[1] = 9,
            |f| asked(f).stage = "other".into(),
            |f| asked(f).segments[0].len = 3,
            |f| f.previous[5] = 0,
            |f| f.cohort[0].enclave[3] = 0,
            |f| f.committee[1].seal_key[31] = 0,
            |f| f.cohort[0].lineage[3] = 0,
            |f| f.cohort[0].root[3] = 0,
            |f| f.cohort[0].evidence[3] = 0,
            |f| f.colluders = 2,
            |f| f.min_survivors = 3,
            |f| f.fractional_bits = 40,
            |f| f.question = sealed("describe", 8, 1),
            |f| f.question = sealed("describe", 8, 2),
            |f| f.question = sealed("newton", 8, 1),
        ];
        let mut hashes = vec![header.hash()];
        for change in changes {
            let mut f = fields();
            change(&mut f);
            hashes.push(RoundHeader::new(f).unwrap().hash());
        }
        assert!(!repeats(hashes));
    }

    #[test]
    fn unsafe_headers_are_refused() {
        let refused = |change: fn(&mut RoundFields)| {
            let mut f = fields();
            change(&mut f);
            RoundHeader::new(f).unwrap_err().to_string()
        };
        let check = |message: String, part: &str| assert!(message.contains(part), "{message}");
        check(refused(|f| f.cohort.truncate(1)), "fewer than two donors");
        check(refused(|f| f.cohort.swap(0, 1)), "ascending");
        check(refused(|f| f.cohort[1].index = 10), "ascending");
        check(refused(|f| f.cohort[1].enclave = [1; 20]), "same enclave");
        check(refused(|f| f.cohort[1].lineage = [1; 32]), "same dataset");
        check(refused(|f| f.committee.truncate(3)), "cannot withstand");
        check(refused(|f| f.committee[1].seal_key = [1; 32]), "same address or key");
        check(refused(|f| f.colluders = 0), "at least 1 member");
        check(refused(|f| f.colluders = 3), "cannot withstand");
        check(refused(|f| f.min_survivors = 1), "between 2");
        check(refused(|f| f.min_survivors = 4), "between 2");
        check(refused(|f| f.fractional_bits = 61), "fractional bits");
        check(refused(|f| asked(f).segments[1].len = u32::MAX), "between 1 and");
        check(refused(|f| asked(f).segments.clear()), "between 1 and");
        check(refused(|f| asked(f).stage = "a\nb".into()), "no word");
        let bound = |max_abs, fraction_bits| Numbers::Real { max_abs, fraction_bits };
        for numbers in [
            bound(f64::NAN, 40),
            bound(-1.0, 40),
            bound(2e18, 40),
            bound(1.0, 61),
            Numbers::Count { max: 1 << 52 },
        ] {
            let mut f = fields();
            asked(&mut f).segments[1].numbers = numbers;
            check(RoundHeader::new(f).unwrap_err().to_string(), "segment 1 of `describe`");
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, flip: u8) {
            let _ = RoundHeader::decode(&bytes);
            let mut good = RoundHeader::new(fields()).unwrap().encode();
            let at = at % good.len();
            good[at] ^= flip;
            if let Ok(h) = RoundHeader::decode(&good) { prop_assert_eq!(h.encode(), good); }
            let good = RoundHeader::new(fields()).unwrap().encode();
            prop_assert!(RoundHeader::decode(&good[..at]).is_err());
        }
    }
}
