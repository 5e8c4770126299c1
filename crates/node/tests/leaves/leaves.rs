//! Every value in every JSON document of a run folder, changed one at a time by whoever could: the change is found, or
//! the table says that the value is claimed.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use histone_compliance::verify::{Basis, Step, document_of, lookup};
use histone_protocol::keys::SigningKey;
use histone_protocol::record::{LedgerId, Record, Signed};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::support::{At, Copy};

/// JSON that keeps the order of keys, without which a signed document is not canonical.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Leaf(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Leaf(value) => value.serialize(s),
            Tree::List(list) => s.collect_seq(list),
            Tree::Map(map) => s.collect_map(map.iter().map(|(k, v)| (k, v))),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Build;
        impl<'de> Visitor<'de> for Build {
            type Value = Tree;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E: Error>(self, v: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(json!(v)))
            }
            fn visit_i64<E: Error>(self, v: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(json!(v)))
            }
            fn visit_u64<E: Error>(self, v: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf(json!(v)))
            }
            fn visit_f64<E: Error>(self, v: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(json!(v)))
            }
            fn visit_str<E: Error>(self, v: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(json!(v)))
            }
            fn visit_unit<E: Error>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Null))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut a: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = a.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut a: A) -> Result<Tree, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = a.next_entry()? {
                    map.push(entry);
                }
                Ok(Tree::Map(map))
            }
        }
        d.deserialize_any(Build)
    }
}

impl Tree {
    fn get(&self, key: &str) -> Option<&Tree> {
        let Tree::Map(map) = self else { return None };
        map.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Tree::Leaf(value) => value.as_str(),
            _ => None,
        }
    }

    /// Kind and statement, when this is a signed document.
    fn opened(&self) -> Option<(&str, Tree)> {
        self.text("signature")?;
        Some((self.text("kind")?, serde_json::from_str(self.text("payload")?).ok()?))
    }

    /// The value at the end of a way.
    fn at(&mut self, way: &[Way], change: &mut dyn FnMut(&mut Tree)) {
        let Some((first, rest)) = way.split_first() else { return change(self) };
        match (first, &mut *self) {
            (Way::Key(key), Tree::Map(map)) => {
                map.iter_mut().find(|(k, _)| k == key).unwrap().1.at(rest, change);
            }
            (Way::Item(i), Tree::List(list)) => list[*i].at(rest, change),
            (Way::Statement, Tree::Leaf(Value::String(text))) => {
                let mut inner: Tree = serde_json::from_str(text).unwrap();
                inner.at(rest, change);
                *text = serde_json::to_string(&inner).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

/// One step from the root of a file.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    Key(String),
    Item(usize),
    /// Into the JSON in a string.
    Statement,
}

/// A value that somebody changes.
#[derive(Debug, Clone)]
struct Target {
    file: PathBuf,
    document: &'static str,
    path: Vec<Step>,
    way: Vec<Way>,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    /// Another value.
    To(Tree),
    /// The last entry of a list goes.
    Drop,
    /// The last entry of a list comes twice.
    Repeat,
}

/// All leaves of a file.
fn leaves(tree: &Tree, at: &Target, out: &mut Vec<(Target, Tree)>) {
    let to = |step: Step, way: Way| {
        let mut next = at.clone();
        next.path.push(step);
        next.way.push(way);
        next
    };
    if let Some((kind, statement)) = tree.opened() {
        for part in ["kind", "signer", "signature"] {
            let mut here = to(Step::Key(part.into()), Way::Key(part.into()));
            here.document = "every signed document";
            here.path = vec![Step::Key(part.into())];
            out.push((here, tree.get(part).unwrap().clone()));
        }
        let mut inside = at.clone();
        inside.document = document_of(kind).unwrap();
        inside.path.clear();
        inside.way.extend([Way::Key("payload".into()), Way::Statement]);
        return leaves(&statement, &inside, out);
    }
    match tree {
        Tree::Map(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &to(Step::Key(key.clone()), Way::Key(key.clone())), out);
            }
        }
        Tree::List(list) if !list.is_empty() => {
            for (i, value) in list.iter().enumerate() {
                leaves(value, &to(Step::Item(i), Way::Item(i)), out);
            }
            // Whether a list of decisions is complete nobody can tell; the page says so.
            if matches!(at.document, "run.json" | "result.json") && !pattern(&at.path).ends_with("decisions")
            {
                let mut last = at.clone();
                last.path.push(Step::Item(list.len() - 1));
                let mut first = list.last().unwrap();
                while let Tree::Map(map) = first {
                    last.path.push(Step::Key(map[0].0.clone()));
                    first = &map[0].1;
                }
                for change in [Change::Drop, Change::Repeat] {
                    out.push((Target { change, ..last.clone() }, tree.clone()));
                    out.last_mut().unwrap().0.way = at.way.clone();
                }
            }
        }
        Tree::Map(_) | Tree::List(_) => {
            let mut here = at.clone();
            here.path.push(Step::Empty);
            out.push((here, tree.clone()));
        }
        Tree::Leaf(_) => out.push((at.clone(), tree.clone())),
    }
}

/// The path without the numbers in lists.
fn pattern(path: &[Step]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => format!(".{key}"),
            Step::Item(_) => "[*]".into(),
            Step::Empty => "[]".into(),
        })
        .collect()
}

/// Other values that could stand there.
fn others(tree: &Tree, alike: &[Tree]) -> Vec<Tree> {
    let address = || json!("0x0101010101010101010101010101010101010101");
    let mut others: Vec<Tree> = match tree {
        Tree::Leaf(Value::Null) => {
            vec![json!(0.5), json!("x"), address()].into_iter().map(Tree::Leaf).collect()
        }
        Tree::Leaf(Value::Bool(b)) => vec![Tree::Leaf(json!(!b))],
        Tree::Leaf(Value::Number(n)) => vec![Tree::Leaf(match n.as_u64() {
            Some(n) => json!(n + 1),
            None => json!(n.as_f64().unwrap() / 2.0 + 0.01),
        })],
        Tree::Leaf(Value::String(text)) => {
            let hex = text.len() > 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == 'x');
            vec![Tree::Leaf(match text.char_indices().last() {
                Some((end, last)) if hex => {
                    json!(format!("{}{}", &text[..end], if last == '1' { '2' } else { '1' }))
                }
                _ => json!(format!("{text}x")),
            })]
        }
        Tree::List(_) => {
            vec![Tree::List(vec![Tree::Leaf(json!("x"))]), Tree::List(vec![Tree::Leaf(address())])]
        }
        Tree::Map(_) => vec![Tree::Map(vec![("x".into(), Tree::Leaf(json!(1)))])],
        Tree::Leaf(_) => unreachable!(),
    };
    others.extend(alike.iter().find(|other| *other != tree).cloned());
    others
}

/// Every change that the test makes.
fn targets(copy: &Copy) -> Vec<Target> {
    let mut files = vec![copy.folder.result(), copy.folder.record(), copy.folder.manifest()];
    files.extend(fs::read_dir(copy.folder.blobs()).unwrap().map(|entry| entry.unwrap().path()));
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let Ok(tree) = serde_json::from_slice::<Tree>(&bytes) else { continue };
        let document = match tree.text("format") {
            _ if file == copy.folder.result() => "result.json",
            Some(_) => "plan",
            None => "evidence",
        };
        let root = Target { file, document, path: vec![], way: vec![], change: Change::Drop };
        leaves(&tree, &Target { change: Change::To(tree.clone()), ..root }, &mut found);
    }
    let mut alike: BTreeMap<(&str, String), Vec<Tree>> = BTreeMap::new();
    for (target, tree) in &found {
        let seen = alike.entry((target.document, pattern(&target.path))).or_default();
        if !seen.contains(tree) && seen.len() < 3 {
            seen.push(tree.clone());
        }
    }
    let mut targets = Vec::new();
    for (target, tree) in &found {
        match target.change {
            Change::To(_) => {
                let alike = &alike[&(target.document, pattern(&target.path))];
                let to = others(tree, alike).into_iter().map(Change::To);
                targets.extend(to.map(|change| Target { change, ..target.clone() }));
            }
            _ => targets.push(target.clone()),
        }
    }
    targets
}

/// One change of each place in a document, wherever in lists it is; which of its changes differs from place to place.
fn of_each_kind(targets: Vec<Target>) -> Vec<Target> {
    let mut kinds: BTreeMap<(&str, String), Vec<Target>> = BTreeMap::new();
    for target in targets {
        kinds.entry((target.document, pattern(&target.path))).or_default().push(target);
    }
    let one = |(at, mut of): (usize, Vec<Target>)| of.swap_remove((at * 7) % of.len());
    kinds.into_values().enumerate().map(one).collect()
}

/// What is signed again.
struct Raw<const K: usize>(Tree, Option<LedgerId>);

/// Kinds that a party signs. Enclaves, devices and vendors are nobody's to sign for.
const KINDS: [&str; 7] = [
    "run-record",
    "run-manifest",
    "white-paper",
    "consent-policy",
    "consent-decision",
    "audit-report",
    "profile",
];

impl<const K: usize> Serialize for Raw<K> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de, const K: usize> Deserialize<'de> for Raw<K> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(Tree::deserialize(d)?, None))
    }
}

impl<const K: usize> Record for Raw<K> {
    const KIND: &'static str = KINDS[K];

    fn ledger(&self) -> Option<LedgerId> {
        self.1
    }
}

fn signed(kind: &str, statement: Tree, key: &SigningKey) -> Vec<u8> {
    let ledger = statement.get("ledger").or_else(|| statement.get("facts")?.get("paper")?.get("ledger"));
    // A ledger that is none: whatever is signed then does not count.
    let ledger = ledger.and_then(|l| serde_json::from_value(serde_json::to_value(l).unwrap()).ok());
    fn sign<const K: usize>(statement: Tree, ledger: Option<LedgerId>, key: &SigningKey) -> Vec<u8> {
        Signed::sign(&Raw::<K>(statement, ledger), key).unwrap().to_bytes()
    }
    match KINDS.iter().position(|k| *k == kind).unwrap() {
        0 => sign::<0>(statement, ledger, key),
        1 => sign::<1>(statement, ledger, key),
        2 => sign::<2>(statement, ledger, key),
        3 => sign::<3>(statement, ledger, key),
        4 => sign::<4>(statement, ledger, key),
        5 => sign::<5>(statement, ledger, key),
        _ => sign::<6>(statement, ledger, key),
    }
}

/// A folder, who has which key, and what lay in it.
struct Forger {
    copy: Copy,
    keys: BTreeMap<String, SigningKey>,
    /// The three documents beside the blobs, which any change may touch.
    documents: Vec<(PathBuf, Vec<u8>)>,
}

impl Forger {
    fn new(at: At) -> Self {
        let copy = Copy::of(at);
        let parties = copy.record().parties;
        let keys = parties.iter().map(|p| (format!("{:?}", p.account).to_lowercase(), copy.key(&p.name)));
        let keys = keys.collect();
        let documents = [copy.folder.record(), copy.folder.result(), copy.folder.manifest()];
        let documents = documents.map(|path| (path.clone(), fs::read(path).unwrap())).to_vec();
        Self { copy, keys, documents }
    }

    /// The changed bytes of a file, signed again by whoever signed them when the forger can be that.
    fn forged(&self, target: &Target) -> Vec<u8> {
        let before = fs::read(&target.file).unwrap();
        let mut tree: Tree = serde_json::from_slice(&before).unwrap();
        let change = target.change.clone();
        tree.at(&target.way, &mut |tree| match (&change, tree) {
            (Change::To(other), tree) => *tree = other.clone(),
            (Change::Drop, Tree::List(list)) => {
                list.pop();
            }
            (Change::Repeat, Tree::List(list)) => list.push(list.last().unwrap().clone()),
            other => panic!("{other:?}"),
        });
        if target.way.get(1) == Some(&Way::Statement)
            && let Some((kind, statement)) = tree.opened()
            && let Some(key) = self.keys.get(tree.text("signer").unwrap())
        {
            return signed(kind, statement, key);
        }
        let mut bytes = serde_json::to_vec(&tree).unwrap();
        if target.document != "result.json" {
            bytes.push(b'\n');
        }
        bytes
    }

    /// Whether a verification finds the change.
    fn is_found(&self, target: &Target) -> bool {
        let folder = &self.copy.folder;
        let (before, bytes) = (fs::read(&target.file).unwrap(), self.forged(target));
        assert_ne!(before, bytes, "{target:?} changes nothing");
        let mut made = None;
        if target.file == folder.manifest() {
            fs::write(&target.file, bytes).unwrap();
        } else if target.file.parent() == Some(&folder.blobs()) {
            // The forger gives the blob its new name, and the operator helps.
            let old = target.file.file_name().unwrap().to_str().unwrap();
            let new = self.copy.blobs().put(&bytes).unwrap();
            fs::remove_file(&target.file).unwrap();
            let record = fs::read_to_string(folder.record()).unwrap().replace(old, &format!("{new:x}"));
            let record: Tree = serde_json::from_str(&record).unwrap();
            let key = &self.keys[record.text("signer").unwrap()];
            let (kind, statement) = record.opened().unwrap();
            fs::write(folder.record(), signed(kind, statement, key)).unwrap();
            made = Some(self.copy.blobs().path(new));
            self.copy.seal();
        } else {
            fs::write(&target.file, bytes).unwrap();
            self.copy.seal();
        }
        let found = !self.copy.verify().holds();
        made.into_iter().for_each(|path| fs::remove_file(path).unwrap());
        fs::write(&target.file, before).unwrap();
        self.documents.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        found
    }

    /// The changes that nobody finds although the table promises it.
    fn missed(&self, targets: &[&Target]) -> Vec<String> {
        let claimed = |t: &Target| {
            lookup(t.document, &t.path).unwrap_or_else(|| panic!("no row: {t:?}")).basis == Basis::Claimed
        };
        let missed = targets.iter().filter(|t| !self.is_found(t) && !claimed(t));
        missed.map(|t| format!("{} {} {:?}", t.document, pattern(&t.path), t.change)).collect()
    }
}

#[test]
fn a_sample_of_changed_leaves_is_found() {
    a_sample_is_found(At::EachOwner, 1_500);
}

/// The same where one enclave had all data: there are no rounds, and a statement.
#[test]
fn a_sample_of_changed_leaves_of_one_enclave_is_found() {
    a_sample_is_found(At::OneEnclave, 1_000);
}

/// Every value of what the one enclave has signed, which nobody can sign for it.
#[test]
fn every_changed_leaf_of_the_statement_of_one_enclave_is_found() {
    let forger = Forger::new(At::OneEnclave);
    let targets = targets(&forger.copy);
    let said: Vec<&Target> = targets.iter().filter(|t| t.document == "hosted-training").collect();
    assert!(said.len() > 15, "{said:?}");
    assert!(said.iter().all(|target| forger.is_found(target)));
    assert!(forger.copy.verify().holds(), "all is put back");
}

fn a_sample_is_found(at: At, least: usize) {
    let forger = Forger::new(at);
    let targets = targets(&forger.copy);
    assert!(targets.len() > least, "{}", targets.len());
    // One of each document, another one each time that something is added.
    let documents: BTreeSet<&str> = targets.iter().map(|t| t.document).collect();
    let sample: Vec<&Target> = documents
        .iter()
        .map(|document| {
            let of: Vec<&Target> = targets.iter().filter(|t| t.document == *document).collect();
            of[targets.len() % of.len()]
        })
        .collect();
    assert_eq!(forger.missed(&sample), [""; 0]);
    assert!(forger.copy.verify().holds(), "all is put back");
}

/// Some thousand verifications: minutes in a release build.
#[test]
#[ignore = "minutes; cargo test --release -p histone-node --test leaves -- --ignored"]
fn every_changed_leaf_is_found_or_claimed() {
    for at in [At::EachOwner, At::OneEnclave] {
        leaves_are_found_or_claimed(at, false);
    }
}

/// The same with one change of every kind of value: what a landing waits for. A row of a list, a party and a round are checked by the
/// code that checks the others.
#[test]
#[ignore = "minutes; cargo test --release -p histone-node --test leaves -- --ignored one_of"]
fn one_of_every_kind_of_leaf_is_found_or_claimed() {
    for at in [At::EachOwner, At::OneEnclave] {
        leaves_are_found_or_claimed(at, true);
    }
}

/// Changes every value, or `one_of` each kind: all changes are found or claimed.
fn leaves_are_found_or_claimed(at: At, one_of: bool) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (all, missed): (Vec<usize>, Vec<Vec<String>>) = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads)
            .map(|n| {
                // Targets name files of their own copy, the same ones in the same order in each.
                scope.spawn(move || {
                    let forger = Forger::new(at);
                    let all = targets(&forger.copy);
                    let all = if one_of { of_each_kind(all) } else { all };
                    let part: Vec<&Target> = all.iter().skip(n).step_by(threads).collect();
                    (all.len(), forger.missed(&part))
                })
            })
            .collect();
        parts.into_iter().map(|part| part.join().unwrap()).unzip()
    });
    let missed = missed.concat();
    println!("{:?} changes", all.first());
    assert!(
        missed.is_empty(),
        "{} of {:?} changes are not found:\n{}",
        missed.len(),
        all.first(),
        missed.join("\n")
    );
}
