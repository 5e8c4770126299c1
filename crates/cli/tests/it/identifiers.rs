//! Nothing about a person is on the ledger: after a run over tables full of identifiers, no file that may be given away,
//! and nothing that was printed, holds one of them, neither as it is nor in a form from which it could be guessed back.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use alloy_primitives::{hex, keccak256};
use histone_protocol::hash::blob_hash;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::{Chance, Ran, files, histone};

const SITES: [&str; 4] = ["university-hospital", "cancer-center", "city-hospital", "screening-center"];

/// What is looked for, by its first eight bytes; every needle is at least that long.
#[derive(Default)]
struct Needles {
    by_head: HashMap<[u8; 8], Vec<(Vec<u8>, String)>>,
    count: usize,
}

impl Needles {
    fn add(&mut self, bytes: Vec<u8>, what: String) {
        let head = *bytes.first_chunk().unwrap();
        self.by_head.entry(head).or_default().push((bytes, what));
        self.count += 1;
    }

    /// An identifier as text, and what someone who wants to hide it without a secret makes of it.
    fn add_text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.add(bytes.to_vec(), format!("`{text}`"));
        self.add(text.to_uppercase().into_bytes(), format!("`{text}` in capitals"));
        self.add(text.to_lowercase().into_bytes(), format!("`{text}` in small letters"));
        self.add(hex::encode(bytes).into_bytes(), format!("`{text}` in hexadecimal digits"));
        self.add(bytes.iter().rev().copied().collect(), format!("`{text}` backwards"));
        for (name, hash) in [
            ("Keccak-256", keccak256(bytes)),
            ("SHA-256", <[u8; 32]>::from(Sha256::digest(bytes)).into()),
            ("BLAKE3", blob_hash(bytes)),
        ] {
            self.add(hash.to_vec(), format!("the {name} of `{text}`"));
            self.add(hex::encode(hash).into_bytes(), format!("the {name} of `{text}` in hexadecimal digits"));
        }
    }

    fn add_number(&mut self, number: u64) {
        self.add_text(&number.to_string());
        self.add(number.to_be_bytes().to_vec(), format!("{number} as an integer"));
        self.add(number.to_le_bytes().to_vec(), format!("{number} as an integer, lowest byte first"));
        self.add(
            (number as f64).to_bits().to_be_bytes().to_vec(),
            format!("{number} as a floating-point number"),
        );
        self.add(
            (number as f64).to_bits().to_le_bytes().to_vec(),
            format!("{number} as a little-endian float"),
        );
        // How Ethereum hashes a number.
        let word = alloy_primitives::U256::from(number).to_be_bytes::<32>();
        self.add(keccak256(word).to_vec(), format!("the Keccak-256 of the word {number}"));
    }

    /// What of it is in `hay`.
    fn found_in<'a>(&'a self, hay: &'a [u8]) -> impl Iterator<Item = &'a str> {
        hay.windows(8).enumerate().flat_map(move |(at, head)| {
            let here = head.try_into().ok().and_then(|head: [u8; 8]| self.by_head.get(&head));
            here.into_iter()
                .flatten()
                .filter(move |(n, _)| hay[at..].starts_with(n))
                .map(|(_, what)| what.as_str())
        })
    }
}

/// The bundled study, with identifiers in its tables: name, e-mail address, date of birth with time, record number.
fn study(home: &Path, needles: &mut Needles) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/breast-cancer");
    let text = fs::read_to_string(examples.join("study.toml")).unwrap();
    let table = "features = \"all numeric\"";
    assert!(text.contains(table));
    fs::write(
        home.join("study.toml"),
        text.replace(table, &format!("{table}\nignore = [\"record_number\"]")),
    )
    .unwrap();
    fs::copy(examples.join("queries.csv"), home.join("queries.csv")).unwrap();
    let mut chance = Chance::seeded(20);
    let mut word = |letters: usize| -> String {
        (0..letters).map(|_| char::from(b'a' + chance.below(26) as u8)).collect()
    };
    let mut numbers = Chance::seeded(21);
    for site in SITES {
        let text = fs::read_to_string(examples.join(format!("{site}.csv"))).unwrap();
        let mut table = String::new();
        for (i, line) in text.lines().enumerate() {
            if i == 0 {
                table.push_str(&format!("patient,email,born,record_number,{line}\n"));
                continue;
            }
            let patient = format!("{} {}", word(6), word(8));
            let email = format!("{}@{}.example", word(9), word(5));
            let born = format!(
                "19{:02}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                numbers.below(100),
                1 + numbers.below(12),
                1 + numbers.below(28),
                numbers.below(24),
                numbers.below(60),
                numbers.below(60)
            );
            // 15 digits: short numbers would be found by chance.
            let record = 100_000_000_000_000 + numbers.below(800_000_000_000_000) as u64;
            for identifier in [&patient, &email, &born] {
                needles.add_text(identifier);
            }
            needles.add_number(record);
            // The measurements of a person as they stand in the table: together they identify, too.
            needles.add(line.as_bytes().to_vec(), format!("row {i} of {site}"));
            table.push_str(&format!("{patient},{email},{born},{record},{line}\n"));
        }
        fs::write(home.join(format!("{site}.csv")), table).unwrap();
    }
}

#[test]
fn no_identifier_of_a_table_leaves_its_owner() {
    let home = tempfile::tempdir().unwrap();
    let mut needles = Needles::default();
    study(home.path(), &mut needles);
    assert!(needles.count > 569 * 40, "{}", needles.count);
    // The search finds what is there: each site's table is full of it.
    for site in SITES {
        let bytes = fs::read(home.path().join(format!("{site}.csv"))).unwrap();
        let rows = bytes.iter().filter(|b| **b == b'\n').count() - 1;
        assert!(needles.found_in(&bytes).count() >= 5 * rows, "{site}");
    }
    let hidden = [&[1, 2, 3][..], &keccak256("nobody")[..], &[9]].concat();
    assert_eq!(needles.found_in(&hidden).count(), 0);

    let out = home.path().join("run");
    let ran = Ran::of(
        histone()
            .args(["study", "run"])
            .arg(home.path().join("study.toml"))
            .args(["--seed", "3", "--json", "--out"])
            .arg(&out),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let public = files(&out);

    // The chain's file holds all transactions, logs and the state as they are: what is there, such as the account of each
    // party, is found by the same search.
    let record: Value = serde_json::from_slice(&public["run.json"]).unwrap();
    let record: Value = serde_json::from_str(record["payload"].as_str().unwrap()).unwrap();
    let mut accounts = Needles::default();
    for party in record["parties"].as_array().unwrap() {
        let account = party["account"].as_str().unwrap();
        accounts.add(hex::decode(account).unwrap(), account.into());
    }
    let chain = public.iter().filter(|(name, _)| name.starts_with("ledger/"));
    let on_chain: BTreeSet<_> = chain.flat_map(|(_, bytes)| accounts.found_in(bytes)).collect();
    assert!(on_chain.len() >= SITES.len() && on_chain.len() + 1 >= accounts.count, "{on_chain:?}");

    let printed = [("stdout", ran.stdout.as_bytes()), ("stderr", ran.stderr.as_bytes())];
    let kept = public.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    for (name, bytes) in kept.chain(printed) {
        let found: Vec<_> = needles.found_in(bytes).take(3).collect();
        assert!(found.is_empty(), "{name} holds {found:?}");
    }
}
