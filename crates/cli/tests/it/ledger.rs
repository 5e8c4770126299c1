//! What people see of the ledger, on the shared run, and what they change, on a chain that is served.

mod pools;
mod vote;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::server::Server;
use crate::support::{Ran, copy, histone, shared};

/// A command that reads the shared run.
#[track_caller]
fn on_run(arguments: &[&str]) -> Ran {
    Ran::of(histone().args(arguments).arg("--dir").arg(&shared().dir))
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let ran = on_run(&[arguments, &["--json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    ran.json()
}

fn file(name: &str) -> Value {
    let value: Value = serde_json::from_slice(&fs::read(shared().dir.join(name)).unwrap()).unwrap();
    // A signed document wraps what it says.
    match value.get("record").or_else(|| value.get("body")).or_else(|| value.get("payload")) {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap(),
        Some(inner) => inner.clone(),
        None => value,
    }
}

#[test]
fn every_list_has_a_table_and_a_document() {
    for (noun, rows, column) in [
        ("account", "accounts", "can claim"),
        ("program", "programs", "measurement"),
        ("enclave", "enclaves", "SIMULATED"),
        ("dataset", "datasets", "donated to"),
        ("model", "models", "white paper"),
        ("query", "queries", "deadline"),
        ("round", "rounds", "survivors"),
    ] {
        let document = json(&[noun, "list"]);
        let found = document[rows].as_array().unwrap();
        assert!(!found.is_empty(), "{noun}");
        for part in ["chain_id", "directory", "block", "hash", "time"] {
            assert!(!document["ledger"][part].is_null(), "{noun}: {part}");
        }
        let table = on_run(&[noun, "list"]);
        assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""), "{noun}");
        assert!(table.stdout.contains(column), "{noun}: {}", table.stdout);
        // Head, line and one line for each row.
        let lines = table.stdout.lines().filter(|line| line.starts_with('|')).count();
        assert_eq!(lines, found.len() + 2, "{noun}: {}", table.stdout);
    }
}

#[test]
fn the_lists_are_what_the_run_says() {
    let result = file("result.json");
    let programs = json(&["program", "list"]);
    let kinds: Vec<_> = programs["programs"].as_array().unwrap().iter().map(|p| &p["kind"]).collect();
    assert_eq!(kinds, ["validation", "training", "query"]);
    assert!(programs["programs"].as_array().unwrap().iter().all(|p| p["usable"] == true), "{programs}");

    let models = json(&["model", "list"]);
    let models = models["models"].as_array().unwrap();
    assert_eq!((&models[0]["state"], &models[1]["state"]), (&"serving".into(), &"aborted".into()));
    let queries = json(&["query", "list", "--model", "1"]);
    let queries = queries["queries"].as_array().unwrap();
    let ran = result["queries"].as_array().unwrap();
    assert_eq!(queries.len(), ran.len());
    let settled = |list: &[Value]| list.iter().filter(|q| q["state"] == "settled").count();
    assert_eq!(settled(queries), ran.iter().filter(|q| q["settled"] == true).count());
    let refunded = json(&["query", "list", "--state", "refunded", "--buyer", "end-user"]);
    assert_eq!(refunded["queries"].as_array().unwrap().len(), ran.len() - settled(queries));
    let rounds = json(&["round", "list", "--model", "1"]);
    assert_eq!(rounds["rounds"].as_array().unwrap().len(), result["rounds"].as_array().unwrap().len());

    // Everybody's tokens, by name.
    let accounts = json(&["account", "list"]);
    let accounts = accounts["accounts"].as_array().unwrap();
    for balance in result["balances"].as_array().unwrap() {
        let (name, expected) = (&balance["name"], balance["tokens_micro"].as_u64().unwrap());
        let as_donor = format!("{}, as donor", name.as_str().unwrap());
        let of_name = accounts.iter().filter(|a| a["name"] == *name || a["name"] == as_donor.as_str());
        let found: u64 = of_name.map(|a| a["balance"].as_str().unwrap().parse::<u64>().unwrap()).sum();
        assert!(found >= expected, "{name}: {found} < {expected}");
    }
    let total: u64 = accounts.iter().map(|a| a["balance"].as_str().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(Some(total), result["paid_in_micro"].as_u64());
    let kinds: BTreeSet<_> = accounts.iter().map(|a| a["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["account", "member", "payee"]));
}

#[test]
fn one_thing_is_shown_by_a_few_digits_of_its_hash() {
    let list = |noun: &str, rows: &str, key: &str| -> Vec<String> {
        let document = json(&[noun, "list"]);
        document[rows].as_array().unwrap().iter().map(|r| r[key].as_str().unwrap().to_owned()).collect()
    };
    for (noun, rows, key) in [
        ("program", "programs", "measurement"),
        ("enclave", "enclaves", "signer"),
        ("dataset", "datasets", "id"),
        ("query", "queries", "query"),
        ("account", "accounts", "account"),
    ] {
        for hash in list(noun, rows, key).iter().take(2) {
            let shown = json(&[noun, "show", &hash[..10]]);
            assert_eq!(shown[noun][key].as_str().unwrap().to_lowercase(), hash.to_lowercase(), "{noun}");
            let text = on_run(&[noun, "show", hash]);
            assert!(text.stdout.to_lowercase().contains(&hash.to_lowercase()), "{}", text.stdout);
        }
    }
    assert_eq!(json(&["model", "show", "1"])["model"]["donors"].as_array().unwrap().len(), 4);
    assert_eq!(json(&["round", "show", "1/2"])["round"]["survivors"], serde_json::json!([1, 2, 3, 4]));
    let model = on_run(&["model", "show", "1"]).stdout;
    assert!(model.contains("7 members, 1 may collude: 5 open, 6 are asked"), "{model}");
    assert_eq!(model.matches("has a seat").count(), 7, "{model}");
    assert!(json(&["round", "show", "1"])["rounds"].as_array().unwrap().len() > 3);
    let named = on_run(&["account", "show", "city-hospital"]).stdout;
    assert!(named.contains("owner") && named.contains("(city-hospital)"), "{named}");
    for (arguments, why) in [
        (&["program", "show", "0x1234"][..], "six or more of its hexadecimal digits"),
        (&["query", "show", "0xffffff0"], "the ledger has no query `0xffffff0`"),
        (&["model", "show", "9"], "the ledger has no model 9"),
        (&["round", "show", "1/99"], "model 1 has no round 99"),
        (&["account", "show", "nobody"], "names no account"),
        (&["governance", "show", "77"], "there is no proposal `77`"),
    ] {
        let ran = on_run(arguments);
        assert!(ran.error().contains(why), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn the_books_are_added_up() {
    let document = json(&["revenue", "list"]);
    let revenue = &document["revenue"];
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(revenue["holds"], true);
    assert_eq!(number(&revenue["paid_in"]), number(&revenue["paid_out"]) + number(&revenue["owed"]));
    assert_eq!(Some(number(&revenue["paid_in"])), {
        let result = file("result.json");
        result["paid_in_micro"].as_u64()
    });
    assert!(on_run(&["revenue", "list"]).stdout.contains("all sums fit"));
    let model = json(&["revenue", "show", "1"])["model"].clone();
    let parts = ["donors_earned", "trainer_earned", "runners_earned", "fees", "rounding"];
    let shared_out: u64 = parts.iter().map(|part| number(&model[part])).sum();
    assert_eq!(shared_out, number(&model["deposit"]) + number(&model["queries_settled"]));
}

#[test]
fn places_without_a_ledger_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().to_str().unwrap();
    let nowhere = dir.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for (arguments, why) in [
        (vec!["model", "list"], "there is no folder `histone-run`; make a run with `histone demo`"),
        (vec!["model", "list", "--dir", nowhere], "there is no folder"),
        (vec!["model", "list", "--dir", here], "holds neither a run nor a chain"),
        (vec!["model", "list", "--rpc", "http://127.0.0.1:9"], "cannot use the node http://127.0.0.1:9"),
        (vec!["model", "list", "--rpc", "127.0.0.1:9"], "is not of the form http://HOST:PORT"),
        (vec!["model", "list", "--rpc", "https://x.example"], "needs TLS"),
        (
            vec!["revenue", "claim", "--key-file", "x"],
            "this changes the ledger and needs a node: give one with --rpc",
        ),
        (vec!["governance", "vote", "1", "for", "--key-file", "x"], "needs a node"),
        (vec!["ledger", "deploy", "--key-file", "x"], "needs a node"),
        (
            vec!["ledger", "deploy", "--key-file", "x", "--rpc", "http://127.0.0.1:9"],
            "cannot read the key `x`",
        ),
    ] {
        let ran = Ran::of(histone().current_dir(dir.path()).args(&arguments));
        assert!(ran.error().contains(why), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_damaged_ledger_is_an_error_and_no_panic() {
    let (_home, dir) = copy();
    let path = dir.join("ledger/chain.redb");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    fs::write(&path, bytes).unwrap();
    let ran = Ran::of(histone().args(["model", "list", "--dir"]).arg(&dir));
    ran.error();
}

#[test]
fn a_chain_without_and_with_several_ledgers() {
    let server = Server::start();
    let key = server.key(0);
    let ledger = |arguments: &[&str]| Ran::of(histone().args(arguments));
    let first = server.deploy(&key, &[]);
    let second = server.deploy(&key, &[]);
    assert_ne!(first, second);
    let url = server.url.clone();
    let ran = ledger(&["model", "list", "--rpc", &url]);
    assert!(ran.error().contains("give the directory of the ledger with --directory"), "{ran:?}");
    let nobody = "0x00000000000000000000000000000000000000aa";
    let ran = ledger(&["model", "list", "--rpc", &url, "--directory", nobody]);
    assert!(ran.error().contains("is not the directory of a deployment"), "{ran:?}");
    // The directory of the one, found by the environment.
    let mut command = histone();
    command.env("HISTONE_RPC", &url).env("HISTONE_DIRECTORY", &first).args(["ledger", "show", "--json"]);
    let shown = Ran::of(&mut command).json();
    assert_eq!(shown["contracts"]["directory"].as_str().unwrap().to_lowercase(), first.to_lowercase());
    let locked = ledger(&["model", "list", "--dir", server.dir().to_str().unwrap()]);
    assert!(locked.error().contains("another process holds"), "{locked:?}");
    let dir = server.stop();
    let chain = dir.path().join("chain");
    let chain = chain.to_str().unwrap();
    let ran = ledger(&["model", "list", "--dir", chain]);
    let error = ran.error().to_lowercase();
    assert!(error.contains("holds 2 ledgers") && error.contains(&second.to_lowercase()), "{error}");
    let ran = ledger(&["model", "list", "--dir", chain, "--directory", &second]);
    assert!(ran.stdout.contains("no such models"), "{ran:?}");
}

/// What `--help` says, as it is stored, of the longest command that the words begin with.
fn help_of(words: &[&str]) -> Option<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help");
    (1..=words.len().min(3))
        .rev()
        .find_map(|n| fs::read_to_string(dir.join(format!("{}.txt", words[..n].join("-")))).ok())
}

#[test]
fn the_document_shows_commands_and_options_that_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ledger.md");
    let text = fs::read_to_string(path).unwrap();
    let flags = |line: &str| -> Vec<String> {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words.filter(|w| w.starts_with("--") && w.len() > 2).map(str::to_owned).collect()
    };
    let mut commands = 0;
    for line in text.lines().map(str::trim).filter(|line| line.starts_with("histone ")) {
        let words: Vec<_> = line.split(' ').collect();
        let help = help_of(&words).unwrap_or_else(|| panic!("no such command: {line}"));
        assert!(!help.contains("\nCommands:\n"), "not a whole command: {line}");
        for flag in flags(line) {
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "{flag}: {line}"
            );
        }
        commands += 1;
    }
    assert!(commands > 25, "{commands}");
    let actions: Vec<_> = text.lines().filter(|line| line.starts_with("| `--")).flat_map(flags).collect();
    let help = help_of(&["histone", "governance", "propose"]).unwrap();
    let listed = help.split("Actions:\n").nth(1).unwrap();
    for line in listed.lines().map(str::trim).filter(|line| line.starts_with("--")) {
        let flag = line.split(' ').next().unwrap();
        let parts = ["--roles", "--profile", "--seal-key"];
        assert!(
            actions.iter().any(|a| a == flag) || parts.contains(&flag),
            "the document does not name {flag}"
        );
    }
}
