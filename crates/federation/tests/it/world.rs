//! A closed world for tests: sites with tables, a committee, and a toy encryption.

use std::collections::BTreeMap;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_federation::BoxError;
use histone_federation::committee::{ForgetfulRounds, Member, PartialSum};
use histone_federation::header::{Donor, RoundFields, RoundHeader, Seat};
use histone_federation::open::{Aggregate, open};
use histone_federation::plan::Plan;
use histone_federation::training::{Finished, Method, Step, TrainingError};
use histone_federation::update::{Sealer, Survivor, Survivors, Unsealer, blob_hash, seal_update};
use histone_program_logistic::Logistic;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::data::Block;
use histone_program_sdk::method::{Ask, Method as Sdk, Next, Opened, Stage};
use histone_program_sdk::wire::Wire;
use histone_protocol::blob::Blob;
use histone_protocol::disclosure::{Release, Sums};
use histone_protocol::secret::Root;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Encryption for tests only: its key is the public key. It does bind key, info and associated data.
pub struct ToySealerForTestsOnly;
pub struct ToyUnsealerForTestsOnly(pub [u8; 32]);

fn stream(key: &[u8; 32], nonce: &[u8], data: &[u8]) -> Vec<u8> {
    let block = |i: usize| {
        Sha256::new().chain_update(key).chain_update(nonce).chain_update(i.to_le_bytes()).finalize()
    };
    let xor = |(i, chunk): (usize, &[u8])| chunk.iter().zip(block(i)).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    data.chunks(32).enumerate().flat_map(xor).collect()
}

fn tag(key: &[u8; 32], parts: [&[u8]; 4]) -> [u8; 32] {
    let mut h = Sha256::new_with_prefix(key);
    for p in parts {
        h.update(p.len().to_le_bytes());
        h.update(p);
    }
    h.finalize().into()
}

impl Sealer for ToySealerForTestsOnly {
    fn seal(
        &self,
        key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plain: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, BoxError> {
        let mut out = randomness[..16].to_vec();
        let body = stream(key, &out, plain);
        out.extend(tag(key, [info, aad, &out, &body]));
        out.extend(body);
        Ok(out)
    }
}

impl Unsealer for ToyUnsealerForTestsOnly {
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        let (nonce, rest) = sealed.split_at_checked(16).ok_or("short")?;
        let (found, body) = rest.split_at_checked(32).ok_or("short")?;
        if found != tag(&self.0, [info, aad, nonce, body]) {
            return Err("the tag is wrong".into());
        }
        Ok(Zeroizing::new(stream(&self.0, nonce, body)))
    }
}

/// Logistic regression, run natively.
#[derive(Debug, Clone)]
pub struct Native;

/// What names it here.
pub const METHOD: [u8; 32] = [0x11; 32];

type State = <Logistic as Sdk>::State;

impl Method for Native {
    fn measurement(&self) -> [u8; 32] {
        METHOD
    }

    fn most_rounds(&self) -> u32 {
        60
    }

    fn agenda(&self, config: &Config) -> Result<Vec<Stage>, BoxError> {
        Ok(Logistic::agenda(config).map_err(|e| e.to_string())?)
    }

    fn begin(&self, config: &Config) -> Result<Vec<u8>, BoxError> {
        Ok(Logistic::begin(config.clone()).map_err(|e| e.to_string())?.to_bytes())
    }

    fn next(&self, _: &Config, state: &[u8]) -> Result<Next, BoxError> {
        Ok(Logistic::next(&State::from_bytes(state)?).map_err(|e| e.to_string())?)
    }

    fn advance(&self, state: &[u8], _: &Ask, opened: &Opened) -> Result<Vec<u8>, BoxError> {
        let state = Logistic::advance(State::from_bytes(state)?, opened.clone());
        Ok(state.map_err(|e| e.to_string())?.to_bytes())
    }
}

pub type Training = histone_federation::training::Training<Native>;

pub fn plan(columns: usize) -> Plan {
    let number = Kind::Number { low: 0.0, high: 1_000.0 };
    let feature = |i| Feature { name: format!("c{i}"), kind: number.clone(), zero_is_missing: false };
    let config = Config {
        features: (0..columns).map(feature).collect(),
        outcome: Outcome::YesNo { name: "y".into() },
        missing: Missing::Median {},
        holdout: 0.25,
        least: Least::default(),
        // Ridge, rounds, tolerance, bins, separated, longest step, largest weight.
        values: vec![1.0, 40.0, 1e-9, 100.0, 0.0, 10.0, 50.0],
    };
    let agenda = Native.agenda(&config).unwrap();
    Plan { method: METHOD, config, agenda, sums: Sums::PublicExact, model: Release::Public, min_survivors: 2 }
}

/// The root secret of a donor's enclave.
pub fn root(donor: u16) -> Root {
    Root::from_bytes([donor as u8; 32])
}

pub struct World {
    /// Donor `10 * (i + 1)` holds table `i`.
    pub sites: Vec<Vec<Block>>,
    /// One of them may collude.
    pub members: u8,
    pub memories: Vec<ForgetfulRounds>,
    /// Roots of donors whose table is not the first version.
    pub versions: BTreeMap<u16, [u8; 32]>,
    /// Number of the next round.
    pub next_round: u32,
}

impl World {
    pub fn new(sites: Vec<Vec<Block>>, members: u8) -> World {
        let memories = vec![ForgetfulRounds::default(); members.into()];
        World { sites, members, memories, versions: BTreeMap::new(), next_round: 0 }
    }

    pub fn donors(&self) -> Vec<u16> {
        (1..=self.sites.len() as u16).map(|i| i * 10).collect()
    }

    pub fn fields(&self, training: &Training, cohort: &[u16]) -> RoundFields {
        let donor = |&index: &u16| {
            let site = (index / 10) as u8;
            Donor {
                index,
                enclave: [site; 20],
                lineage: [site; 32],
                root: self.versions.get(&index).copied().unwrap_or([site; 32]),
                evidence: [site; 32],
            }
        };
        RoundFields {
            chain_id: 31337,
            market: [0xaa; 20],
            model_id: [1; 32],
            round: self.next_round,
            method: METHOD,
            question: training.question(),
            previous: training.state_hash(),
            cohort: cohort.iter().map(donor).collect(),
            committee: (1..=self.members)
                .map(|i| Seat { address: [i; 20], seal_key: [i ^ 0x55; 32] })
                .collect(),
            colluders: 1,
            min_survivors: training.plan().min_survivors,
            fractional_bits: 60,
        }
    }

    /// What the program of this donor's enclave answers.
    pub fn answer(&self, header: &RoundHeader, donor: u16) -> Vec<f64> {
        let ask = header.fields().question.ask().unwrap();
        let rows = &self.sites[usize::from(donor / 10) - 1];
        let question = <Logistic as Sdk>::Question::from_bytes(&ask.question).unwrap();
        let mut numbers = Logistic::site(question, rows).unwrap();
        ask.round(&mut numbers);
        numbers
    }

    pub fn blob(&mut self, header: &RoundHeader, donor: u16) -> Vec<u8> {
        let answer = self.answer(header, donor);
        seal_update(header, donor, &answer, &ToySealerForTestsOnly, &root(donor)).unwrap()
    }

    /// One blob for each of these donors, with the survivor set.
    pub fn blobs(&mut self, header: &RoundHeader, donors: &[u16]) -> (Survivors, Vec<Vec<u8>>) {
        let blobs: Vec<Vec<u8>> = donors.iter().map(|&d| self.blob(header, d)).collect();
        (Survivors::new(header, list(donors, &blobs)).unwrap(), blobs)
    }

    pub fn ask(
        &mut self,
        member: u8,
        header: &RoundHeader,
        survivors: &Survivors,
        blobs: &[Vec<u8>],
    ) -> Result<PartialSum, histone_federation::committee::CommitteeError> {
        let seat = Member::by_address(header, &[member; 20])?;
        let unsealer = ToyUnsealerForTestsOnly([member ^ 0x55; 32]);
        let prepared = seat.sum_shares(header, survivors, &refs(blobs), &unsealer)?;
        prepared.open(&mut self.memories[usize::from(member) - 1])
    }

    /// A whole round with these survivors; the sum travels through the encodings.
    pub fn round(&mut self, header: &RoundHeader, donors: &[u16]) -> Aggregate {
        let header = RoundHeader::decode(&header.encode()).unwrap();
        let (survivors, blobs) = self.blobs(&header, donors);
        let partials: Vec<PartialSum> = (1..=self.members)
            .map(|m| self.ask(m, &header, &survivors, &blobs).unwrap())
            .map(|p| PartialSum::decode(p.encode(), &header).unwrap())
            .collect();
        open(&header, &survivors, &refs(&blobs), &partials).unwrap()
    }

    /// The header of the next round as an honest coordinator makes it: for all donors.
    pub fn next_header(&mut self, training: &Training) -> RoundHeader {
        let header = RoundHeader::new(self.fields(training, &self.donors())).unwrap();
        self.next_round += 1;
        training.check_header(&header).unwrap();
        header
    }

    /// A whole training with those donors in a round whom `who` names.
    pub fn train(
        &mut self,
        plan: Plan,
        who: impl Fn(&Training) -> Vec<u16>,
    ) -> Result<Trained, TrainingError> {
        let mut training = Training::start(Native, plan)?;
        let mut states = vec![training.state_hash()];
        let mut sums = Vec::new();
        loop {
            let header = self.next_header(&training);
            let donors = who(&training);
            let sum = self.round(&header, &donors);
            sums.push((donors.clone(), sum.values().to_vec()));
            match training.advance(&donors, sum.values())? {
                Step::Next(t) => training = t,
                Step::Finished(finished) => {
                    states.push(finished.hash());
                    return Ok(Trained { finished, states, sums });
                }
                Step::NoModel => panic!("public sums always lead to a model"),
            }
            states.push(training.state_hash());
        }
    }
}

pub struct Trained {
    pub finished: Finished,
    pub states: Vec<[u8; 32]>,
    pub sums: Vec<(Vec<u16>, Vec<f64>)>,
}

pub fn list(donors: &[u16], blobs: &[Vec<u8>]) -> Vec<Survivor> {
    donors.iter().zip(blobs).map(|(&donor, b)| Survivor { donor, blob: blob_hash(b) }).collect()
}

pub fn refs(blobs: &[Vec<u8>]) -> Vec<Blob> {
    blobs.iter().map(Blob::from).collect()
}

/// Uniform in [0, 1).
pub fn uniform(rng: &mut ChaCha20Rng) -> f64 {
    use rand_core::Rng;
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Rows whose outcome depends on their columns, with a part of the values missing.
pub fn table(rng: &mut ChaCha20Rng, rows: usize, columns: usize, missing: f64) -> Block {
    let mut block = Block { columns: columns + 1, ..Block::default() };
    for _ in 0..rows {
        let scale = |c: usize| [100.0, 3.0, 0.7, 12.0, 250.0][c % 5];
        let row: Vec<f64> = (0..columns)
            .map(|c| ((uniform(rng) + uniform(rng)) * scale(c) * 100.0).round() / 100.0)
            .collect();
        let score: f64 = row
            .iter()
            .enumerate()
            .map(|(c, v)| (v / scale(c) - 1.0) * [2.0, -1.5, 0.3, 0.0, 1.0][c % 5])
            .sum();
        let yes = uniform(rng) < 1.0 / (1.0 + (-score - 0.3).exp());
        block.draws.push(uniform(rng));
        block.values.extend(row.into_iter().map(|v| if uniform(rng) < missing { f64::NAN } else { v }));
        block.values.push(f64::from(u8::from(yes)));
    }
    block
}

pub fn tables(seed: u64, sites: usize, columns: usize, missing: f64) -> Vec<Vec<Block>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..sites).map(|i| vec![table(&mut rng, 40 + 25 * i, columns, missing)]).collect()
}
