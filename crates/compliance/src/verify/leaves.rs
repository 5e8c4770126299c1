//! The leaves of all JSON documents: each has a row in the table, and no blob is there that nothing names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use histone_contracts::{Contract, Datasets, Enclaves, Market, Rounds};
use histone_protocol::agreement::Agreement;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::evidence::Evidence;
use histone_protocol::letter::Profile;
use histone_protocol::plan::PlanDocument;
use histone_protocol::report::{HostedStatement, ValidationReport};
use histone_protocol::{Address, B256};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::files::{bounded, document};
use super::findings::{Findings, count};
use super::parties::all_profiles;
use super::run::Run;
use super::table::{Basis, ENVELOPE, Step, TABLE, document_of, lookup};
use super::{Check, Outcome};
use crate::folder::Folder;

/// A path for people: `rounds[3].updates.2`.
pub(super) struct Shown<'a>(pub(super) &'a [Step]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Empty => f.write_str(" (empty)")?,
            }
        }
        Ok(())
    }
}

/// Calls `visit` with every leaf below `value`: scalars, and empty lists and objects.
pub(super) fn walk(value: &Value, path: &mut Vec<Step>, visit: &mut dyn FnMut(&[Step], &Value)) {
    let mut inner = |step: Step, inner: &Value| {
        path.push(step);
        walk(inner, path, visit);
        path.pop();
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| inner(Step::Key(key.clone()), value));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(i, value)| inner(Step::Item(i), value));
        }
        Value::Object(_) | Value::Array(_) => {
            path.push(Step::Empty);
            visit(path, value);
            path.pop();
        }
        _ => visit(path, value),
    }
}

/// JSON in which no object has a key twice: of two values one reader takes the first and another one the last.
pub(super) fn strict(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice::<Strict>(bytes).map(|strict| strict.0).map_err(|e| e.to_string())
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build).map(Strict)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = access.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = serde_json::Map::new();
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The statement of a signed document with its kind; the statement is JSON in a string.
fn opened(value: &Value) -> Option<(&str, Value)> {
    let map = value.as_object()?;
    let (kind, payload) = (map.get("kind")?.as_str()?, map.get("payload")?.as_str()?);
    if map.len() != 4 || !map.contains_key("signer") || !map.contains_key("signature") {
        return None;
    }
    Some((kind, serde_json::from_str(payload).ok()?))
}

/// Counts leaves by what they rest on.
#[derive(Default)]
struct Counts {
    documents: usize,
    recomputed: usize,
    signed: usize,
    claimed: usize,
}

/// Checks that every leaf has a row and every blob is named. When all other checks were made to their end (`complete`), a
/// blob that none of them opened has to be one that a sum was to be made of.
pub(super) fn check(run: &Run, folder: &Folder, complete: bool) -> Check {
    let mut findings = Findings::new("leaves");
    let mut counts = Counts::default();
    for (file, path) in [
        ("manifest.json", folder.manifest()),
        ("run.json", folder.record()),
        ("result.json", folder.result()),
    ] {
        let read = document(&path).and_then(|bytes| strict(&bytes));
        if let Some(value) = findings.take(read, || file.into()) {
            one(file, file, &value, &mut counts, &mut findings);
        }
    }
    blobs(run, folder, complete, &mut counts, &mut findings);
    let Counts { documents, recomputed, signed, claimed } = counts;
    findings.check(format!(
        "{} leaves of {}, each with a row in the table: {recomputed} recomputed, {signed} signed, {claimed} claimed (docs/verify.md)",
        recomputed + signed + claimed,
        count(documents, "JSON document", "JSON documents"),
    ))
}

/// The documents among the blobs; what is no JSON is compared with its hash and its meaning elsewhere.
fn blobs(run: &Run, folder: &Folder, complete: bool, counts: &mut Counts, findings: &mut Findings) {
    let (used, opaque) = (run.opened(), opaque(run).collect::<BTreeSet<_>>());
    let (named, documents) = (named(run), Documents::of(run));
    let listed = fs::read_dir(folder.blobs()).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let Some(mut entries) = findings.take(listed, || "the blobs".into()) else { return };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let shown = format!("blobs/{name}");
        let hash = name.parse::<B256>().unwrap_or_default();
        let known = findings.expect(named.contains(&hash), || {
            format!("`{shown}` is named neither by run.json nor by the ledger")
        });
        let nobodys = opaque.contains(&hash) && !used.contains(&hash);
        findings.expect(!known || !complete || nobodys || used.contains(&hash), || {
            format!(
                "`{shown}` was opened by no check; the ledger has its hash where none of a document belongs"
            )
        });
        let read = bounded(&entry.path(), histone_network::MAX_BLOB)
            .and_then(|()| fs::read(entry.path()).map_err(|e| e.to_string()));
        let Some(bytes) = findings.take(read, || shown.clone()) else { continue };
        let Some(value) = json(&bytes) else {
            findings.expect(!documents.has(hash), || {
                format!("`{shown}` is named by the ledger as evidence, report, policy or profile, and is no document")
            });
            continue;
        };
        if nobodys {
            findings.fail(format!(
                "`{shown}` looks like a document, and is only what somebody anchored: take it out of the folder"
            ));
            continue;
        }
        if documents.has(hash) && !documents.holds(run, hash, &bytes) {
            findings.fail(format!(
                "`{shown}` is named by the ledger as evidence, report, policy or profile, and is none: take it out of the folder"
            ));
            continue;
        }
        match opened(&value) {
            None if Evidence::from_bytes(&bytes).is_some() => {
                one("evidence", &shown, &value, counts, findings)
            }
            None if PlanDocument::from_bytes(&bytes).is_ok() => one("plan", &shown, &value, counts, findings),
            None if Agreement::from_bytes(&bytes).is_ok() => {
                one("agreement", &shown, &value, counts, findings)
            }
            Some((kind, _)) if document_of(kind).is_some() => one(kind, &shown, &value, counts, findings),
            _ => findings.fail(format!("`{shown}` is JSON of no known kind")),
        }
    }
}

/// JSON in which something is stated, whatever blanks stand before it.
fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(bytes).ok().filter(|value| value.is_object() || value.is_array())
}

/// Every 32 bytes that could name a blob: in the record, and in whatever a contract said.
fn named(run: &Run) -> BTreeSet<B256> {
    let r = &run.record;
    let mut named: BTreeSet<B256> = run.history.words();
    // A report names the sealed notices to the committee.
    let first = run.events::<Datasets::DatasetRegistered>(Contract::Datasets);
    let later = run.events::<Datasets::DatasetUpdated>(Contract::Datasets);
    let reports = first.iter().map(|s| s.event.reportHash).chain(later.iter().map(|s| s.event.reportHash));
    let notices = reports.filter_map(|hash| run.signed::<ValidationReport>(hash).ok());
    named.extend(notices.map(|(report, _)| report.notice));
    // The agreement of the last sealed round names what was released.
    let last = run.events::<Rounds::RoundFinal>(Contract::Rounds);
    let agreements =
        last.iter().filter_map(|s| Agreement::from_bytes(&run.blob(s.event.aggregateHash).ok()?).ok());
    named.extend(agreements.flat_map(|a| a.statements).map(|s| s.next));
    // The statement of an enclave that had all data does so, too.
    let hosted = run.events::<Market::HostedModel>(Contract::Market).into_iter();
    let said = hosted.filter_map(|s| run.signed::<HostedStatement>(s.event.statementHash).ok());
    named.extend(said.filter_map(|(said, _)| said.released));
    named.extend(r.programs.iter().flat_map(|p| p.wasm.into_iter().chain(p.source).chain([p.audit])));
    // Plans of closed methods name their manifests.
    let plans = r.models.iter().filter_map(|m| PlanDocument::from_bytes(&run.blob(m.plan).ok()?).ok());
    for plan in plans {
        named.extend(plan.disclosure.is_closed().then_some(plan.manifest));
        // And all plans the panels of genotypes.
        named.extend(plan.panels().map(|(panel, _)| panel));
    }
    named.extend(&r.evidence);
    named.extend(r.datasets.iter().flat_map(|d| [d.policy, d.report]));
    for model in &r.models {
        named.extend(
            [model.paper, model.plan]
                .iter()
                .chain(&model.decisions)
                .chain(&model.hosted)
                .chain(&model.model)
                .chain(&model.evaluations),
        );
        for round in &model.rounds {
            named.insert(round.header);
            named.extend(round.updates.values().chain(&round.partials));
        }
        named.extend(model.queries.iter().flat_map(|q| [q.question, q.answer]));
    }
    named
}

/// What the ledger names as JSON that anybody may have put there. Where nothing rests on it, nothing else says what it is;
/// what is none does not have to lie in a folder.
struct Documents {
    evidence: BTreeSet<B256>,
    reports: BTreeSet<B256>,
    policies: BTreeSet<B256>,
    /// With the accounts that have named them.
    profiles: BTreeMap<B256, BTreeSet<Address>>,
}

impl Documents {
    fn of(run: &Run) -> Self {
        let (enclaves, datasets) = (Contract::Enclaves, Contract::Datasets);
        let shown = run.events::<Enclaves::EnclaveRegistered>(enclaves).into_iter();
        let refreshed = run.events::<Enclaves::EnclaveRefreshed>(enclaves).into_iter();
        let first = run.events::<Datasets::DatasetRegistered>(datasets);
        let later = run.events::<Datasets::DatasetUpdated>(datasets).into_iter();
        let changed = run.events::<Datasets::PolicyChanged>(datasets).into_iter();
        let shown = shown.map(|s| s.event.evidenceHash);
        let reports = first.iter().map(|s| s.event.reportHash);
        let policies = first.iter().map(|s| s.event.policyHash);
        Self {
            evidence: shown.chain(refreshed.map(|s| s.event.evidenceHash)).collect(),
            reports: reports.chain(later.map(|s| s.event.reportHash)).collect(),
            policies: policies.chain(changed.map(|s| s.event.policyHash)).collect(),
            profiles: all_profiles(&run.record.deployment, &run.history),
        }
    }

    fn has(&self, hash: B256) -> bool {
        [&self.evidence, &self.reports, &self.policies].iter().any(|set| set.contains(&hash))
            || self.profiles.contains_key(&hash)
    }

    /// Whether it is what the ledger names it as, with a signature where there is one.
    fn holds(&self, run: &Run, hash: B256, bytes: &[u8]) -> bool {
        self.evidence.contains(&hash) && Evidence::from_bytes(bytes).is_some()
            || self.reports.contains(&hash) && run.signed::<ValidationReport>(hash).is_ok()
            || self.policies.contains(&hash) && run.signed::<ConsentPolicy>(hash).is_ok()
            || self.profiles.get(&hash).is_some_and(|of| is_profile(run, hash, of))
    }
}

/// Whether a blob is what one of these members says of itself, on this ledger.
fn is_profile(run: &Run, hash: B256, of: &BTreeSet<Address>) -> bool {
    let said = run.signed::<Profile>(hash);
    said.is_ok_and(|(said, signer)| of.contains(&signer) && said.ledger == run.record.deployment.id())
}

/// What may lie in a folder although no check opens it, because the ledger names it where such a thing belongs.
fn opaque(run: &Run) -> impl Iterator<Item = B256> {
    let rounds = Contract::Rounds;
    // Updates that are in no sum: of rounds that failed, or of donors who left. Or whatever somebody anchored.
    let updates = run.events::<Rounds::UpdateAnchored>(rounds).into_iter().map(|s| s.event.blobHash);
    // What donors answered to members who could not read their shares. It opens one share, whose sum nobody sees.
    let shares = run.events::<Rounds::ShareOpened>(rounds).into_iter().map(|s| s.event.blobHash);
    // Partial sums for survivors of whom one left afterwards, or of members who were named. They open nothing.
    let partials = run.events::<Rounds::PartialPosted>(rounds).into_iter().map(|s| s.event.partialHash);
    updates.chain(shares).chain(partials)
}

/// Counts the leaves of one document, and of the signed ones inside it.
fn one(kind: &str, place: &str, value: &Value, counts: &mut Counts, findings: &mut Findings) {
    let Some(document) = document_of(kind) else {
        findings.fail(format!("{place}: there is no table for a `{kind}`"));
        return;
    };
    counts.documents += 1;
    let statement = match opened(value) {
        Some((_, statement)) => {
            let parts = ["kind", "signer", "signature"];
            parts
                .iter()
                .for_each(|part| leaf(ENVELOPE, place, &[Step::Key((*part).into())], counts, findings));
            statement
        }
        None => value.clone(),
    };
    let mut inside = Vec::new();
    let outside = without_signed(statement, &mut inside);
    walk(&outside, &mut Vec::new(), &mut |path, _| leaf(document, place, path, counts, findings));
    for value in inside {
        match value.get("kind").and_then(Value::as_str) {
            Some(kind) => one(kind, place, &value, counts, findings),
            None => findings.fail(format!("{place}: a signed document inside has no kind")),
        }
    }
}

/// Takes the signed documents out of a value; they have tables of their own.
fn without_signed(value: Value, inside: &mut Vec<Value>) -> Value {
    match value {
        Value::Object(map) => {
            let mut rest = serde_json::Map::new();
            for (key, value) in map {
                if opened(&value).is_some() {
                    inside.push(value);
                } else {
                    rest.insert(key, without_signed(value, inside));
                }
            }
            Value::Object(rest)
        }
        Value::Array(list) => {
            Value::Array(list.into_iter().map(|value| without_signed(value, inside)).collect())
        }
        other => other,
    }
}

fn leaf(document: &str, place: &str, path: &[Step], counts: &mut Counts, findings: &mut Findings) {
    match lookup(document, path).map(|row| row.basis) {
        Some(Basis::Recomputed) => counts.recomputed += 1,
        Some(Basis::Signed(_)) => counts.signed += 1,
        Some(Basis::Claimed) => counts.claimed += 1,
        None => findings.fail(format!("{place}: nothing says how `{}` is checked", Shown(path))),
    }
}

/// What the table calls claimed, in a folder with a ledger of its own or with one on a network.
pub(super) fn claims(on_network: bool) -> impl Iterator<Item = Check> {
    let claimed = TABLE.iter().filter(move |row| {
        row.basis == Basis::Claimed && (on_network || !row.paths.contains(&"network.first_block"))
    });
    claimed.map(|row| Check {
        name: "claimed",
        outcome: Outcome::NotCheckable,
        detail: format!("{} `{}`: {}", row.document, row.paths.join("`, `"), row.how),
    })
}

/// Compares what a document states with what it should, leaf by leaf, as the table says: what is not expected must be
/// claimed, what is expected must be there.
pub(super) fn compare(name: &str, stated: &Value, expected: &Value, findings: &mut Findings) {
    // Both through the same reader of numbers.
    let Ok(expected) = serde_json::from_str(&expected.to_string()) else { return };
    differ(name, &mut Vec::new(), stated, &expected, findings);
}

fn differ(name: &str, path: &mut Vec<Step>, stated: &Value, expected: &Value, findings: &mut Findings) {
    match (stated, expected) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, stated) in a {
                path.push(Step::Key(key.clone()));
                match b.get(key) {
                    Some(expected) => differ(name, path, stated, expected, findings),
                    None => walk(stated, path, &mut |path, value| {
                        let claimed = lookup(name, path).is_some_and(|row| row.basis == Basis::Claimed);
                        findings.expect(claimed, || {
                            format!("{name} has {value} as {}, which nothing gives", Shown(path))
                        });
                    }),
                }
                path.pop();
            }
            for (key, expected) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                path.push(Step::Key(key.clone()));
                findings.fail(format!("{name} has no {}, it should be {}", Shown(path), short(expected)));
                path.pop();
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            findings.expect(a.len() == b.len(), || {
                format!("{name} has {} entries in {}, there should be {}", a.len(), Shown(path), b.len())
            });
            for (i, (stated, expected)) in a.iter().zip(b).enumerate() {
                path.push(Step::Item(i));
                differ(name, path, stated, expected, findings);
                path.pop();
            }
        }
        (stated, expected) => {
            findings.expect(stated == expected, || {
                format!("{name} has {} as {}, it should be {}", short(stated), Shown(path), short(expected))
            });
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leaf_without_a_row_is_found_wherever_it_hides() {
        let mut findings = Findings::new("leaves");
        let mut counts = Counts::default();
        one("result.json", "result.json", &json!({"seconds": 1, "declined": []}), &mut counts, &mut findings);
        assert!(findings.clean());
        let inner =
            json!({"kind": "simulated-quote", "payload": "{\"x\":[{\"y\":1}]}", "signer": 1, "signature": 2});
        one("evidence", "blobs/1", &json!({"operator": 1, "quote": inner}), &mut counts, &mut findings);
        one(
            "result.json",
            "result.json",
            &json!({"new": {}, "auc": {"sites": [{"new": null}]}}),
            &mut counts,
            &mut findings,
        );
        let detail = findings.check(String::new()).detail;
        for problem in [
            "blobs/1: nothing says how `x[0].y` is checked",
            "nothing says how `new (empty)` is checked",
            "nothing says how `auc.sites[0].new` is checked",
        ] {
            assert!(detail.contains(problem), "{detail}");
        }
        assert_eq!((counts.documents, counts.recomputed, counts.claimed), (4, 5, 1));
    }

    #[test]
    fn blanks_hide_no_statement() {
        for text in ["{}", " {\"a\": 1}", "\n\t\r [1]", "[]\n"] {
            assert!(json(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["1", "\"a\"", "", "{", "{} x"] {
            assert!(json(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_second_value_of_one_key_does_not_hide_a_lie() {
        assert_eq!(strict(br#"{"a": [1, -1, 0.5, null, true, "x", {}]}"#).unwrap()["a"][2], json!(0.5));
        let twice = strict(br#"{"auc": {"federated": 1.0, "federated": 0.9}}"#).unwrap_err();
        assert!(twice.starts_with("`federated` is there twice"), "{twice}");
        assert!(strict(&[b'['; 100_000]).is_err());
    }

    #[test]
    fn documents_are_compared_leaf_by_leaf() {
        let expected = json!({"paid_in_micro": 5, "rounds": [{"round": 1}], "model": {"version": "1"}});
        let found = |stated: Value| {
            let mut findings = Findings::new("result");
            compare("result.json", &stated, &expected, &mut findings);
            findings.check(String::new()).detail
        };
        let good = json!({"paid_in_micro": 5, "rounds": [{"round": 1, "milliseconds": 3}], "model": {"version": "1", "largest_difference_to_pooled": null}});
        assert_eq!(found(good.clone()), "");
        for (pointer, value, problem) in [
            ("/paid_in_micro", json!(6), "result.json has 6 as paid_in_micro, it should be 5"),
            ("/rounds", json!([]), "result.json has 0 entries in rounds, there should be 1"),
            (
                "/rounds/0",
                json!({"round": 1, "survivors": 4}),
                "result.json has 4 as rounds[0].survivors, which nothing gives",
            ),
            ("/model", json!({}), "result.json has no model.version, it should be \"1\""),
            ("/model", json!(null), "result.json has null as model"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(found(bad.clone()).contains(problem), "{}", found(bad));
        }
    }
}
