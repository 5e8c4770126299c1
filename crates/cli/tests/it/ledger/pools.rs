//! Lists, roots and proofs, and a pool on a chain that is served. Its window is at least an hour, so that claims by its
//! root are tested where a test moves the clock: in `crates/ledger`.

use std::fs;
use std::path::Path;

use alloy_primitives::{B256, U256};
use histone_contracts::{Contract, TestToken};
use histone_ledger::{Connection, Ledger};
use histone_protocol::keys::SigningKey;

use crate::server::Server;
use crate::support::{Ran, histone};

fn ran(arguments: &[&str], paths: &[&Path]) -> Ran {
    Ran::of(histone().args(arguments).args(paths))
}

#[test]
fn lists_have_roots_and_proofs() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.csv");
    // The example of `@openzeppelin/merkle-tree`, with its root.
    fs::write(
        &list,
        "account,due\n0x1111111111111111111111111111111111111111,5000000000000000000\n0x2222222222222222222222222222222222222222,2500000000000000000\n",
    )
    .unwrap();
    let root = ran(&["revenue", "root", "--json"], &[&list]).json();
    assert_eq!(root["root"], "0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77");
    assert_eq!((&root["accounts"], &root["total"]), (&2.into(), &"7500000000000000000".into()));
    let text = ran(&["revenue", "root"], &[&list]).stdout;
    assert!(text.contains("7500000000000000000 units for 2 accounts"), "{text}");
    let account = Path::new("0x1111111111111111111111111111111111111111");
    let proof = ran(&["revenue", "proof", "--json"], &[&list, account]).json();
    assert_eq!(
        proof["proof"],
        serde_json::json!(["0xb92c48e9d7abe27fd8dfd6b5dfdbfb1c9a463f80c712b66f3a5180a090cccafc"])
    );
    let other = Path::new("0x3333333333333333333333333333333333333333");
    assert!(ran(&["revenue", "proof"], &[&list, other]).error().contains("is not in the list"));

    let made = ran(&["revenue", "share-out", "--total", "100"], &[&list]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("0x1111111111111111111111111111111111111111,66\n"), "{made:?}");
    assert!(made.stderr.contains("99 of 100 units shared out to 2 accounts; rounding leaves 1"), "{made:?}");
    for (text, why) in [
        ("", "the list is empty"),
        ("0x1111111111111111111111111111111111111111,x\n", "line 1: `x` is no whole number"),
        ("a\n0x11,1\n", "line 1: `a` has no comma"),
        ("account,due\n0x11,1\n", "line 2: `0x11` is no account"),
    ] {
        fs::write(&list, text).unwrap();
        let refused = ran(&["revenue", "root"], &[&list]);
        assert!(refused.error().contains(why) && refused.error().contains("list.csv"), "{refused:?}");
    }
    assert!(ran(&["revenue", "root"], &[&dir.path().join("none.csv")]).error().contains("cannot open"));
    assert_eq!(ran(&["revenue", "share-out"], &[&list]).code, Some(2));
}

/// Sends tokens of a ledger whose founder makes as many as it likes.
fn mint(server: &Server, directory: &str, founder: &Path, to: &str, amount: u64) {
    let key = fs::read_to_string(founder).unwrap();
    let key: B256 = key.trim().parse().unwrap();
    let key = SigningKey::from_bytes(&key.0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::http(&server.url).unwrap();
        let ledger = Ledger::find(connection, directory.parse().unwrap()).await.unwrap();
        let call = TestToken::mintCall { to: to.parse().unwrap(), amount: U256::from(amount) };
        ledger.send(&key, Contract::Token, call).await.unwrap();
    });
}

#[test]
fn a_list_by_weights_holds_although_rounding_leaves_something() {
    let server = Server::start();
    let (founder, keeper) = (server.key(0), server.key(1));
    let directory = server.deploy(&founder, &[]);
    let place = ["--rpc", &server.url, "--directory", &directory];
    let key = ["--key-file", keeper.to_str().unwrap()];
    let pool = || {
        let arguments = ["revenue", "pool", "--json", "--keeper", &server.account(1), "--window", "1h"];
        let made = ran(&[&arguments[..], &key, &place].concat(), &[]);
        made.json()["pool"].as_str().unwrap().to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let (weights, list) = (dir.path().join("weights.csv"), dir.path().join("list.csv"));
    let lines =
        (2..).zip([7, 11, 13, 17, 19, 23]).map(|(n, weight)| format!("{},{weight}\n", server.account(n)));
    fs::write(&weights, lines.collect::<String>()).unwrap();
    let weights_file = weights.to_str().unwrap();
    let share_out = |pool: &str| {
        let made = ran(&[&["revenue", "share-out", "--pool", pool][..], &place].concat(), &[&weights]);
        fs::write(&list, &made.stdout).unwrap();
        made.stderr
    };
    let publish = |pool: &str, total: &[&str]| {
        ran(&[&["revenue", "publish", "--pool", pool][..], total, &key, &place].concat(), &[&list])
    };
    let check = |pool: &str| {
        let arguments = ["revenue", "check", "--pool", pool, "--weights", weights_file];
        ran(&[&arguments[..], &place].concat(), &[&list])
    };

    let first = pool();
    mint(&server, &directory, &founder, &first, 1_000_000);
    let said = share_out(&first);
    assert!(said.contains("999997 of 1000000 units") && said.contains("--total 1000000\n"), "{said}");
    let published = publish(&first, &[]);
    assert!(published.stdout.contains("shares out 999997 of 1000000 units"), "{published:?}");
    let checked = check(&first);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains("1000000 units, with what rounding leaves"), "{checked:?}");

    // More arrives after the list was made: only its keeper knows what it shares out.
    let second = pool();
    mint(&server, &directory, &founder, &second, 1_000_000);
    share_out(&second);
    mint(&server, &directory, &founder, &second, 500);
    let refused = publish(&second, &[]);
    assert!(refused.error().contains("rounding alone does not leave 503"), "{refused:?}");
    assert_eq!(publish(&second, &["--total", "1000000"]).code, Some(0));
    let checked = check(&second);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[test]
fn an_auditor_sees_whether_the_root_of_a_pool_is_that_of_its_list() {
    let server = Server::start();
    let (founder, keeper) = (server.key(0), server.key(1));
    let directory = server.deploy(&founder, &[]);
    let on = |arguments: &[&str], paths: &[&Path]| {
        let place = ["--rpc", &server.url, "--directory", &directory];
        ran(&[arguments, &place].concat(), paths)
    };
    let file = |path: &Path| path.to_str().unwrap().to_owned();
    let keeper_file = file(&keeper);
    let keeper_key = ["--key-file", keeper_file.as_str()];
    let short = on(
        &[&["revenue", "pool", "--keeper", &server.account(1), "--window", "59m"][..], &keeper_key].concat(),
        &[],
    );
    assert!(short.error().contains("WindowTooShort { window: 3540 }"), "{short:?}");
    let made = on(
        &[&["revenue", "pool", "--json", "--keeper", &server.account(1), "--window", "1h"][..], &keeper_key]
            .concat(),
        &[],
    );
    let pool = made.json()["pool"].as_str().unwrap().to_owned();

    let dir = tempfile::tempdir().unwrap();
    let (list, other) = (dir.path().join("list.csv"), dir.path().join("other.csv"));
    fs::write(&list, format!("{},0\n{},0\n", server.account(2), server.account(3))).unwrap();
    fs::write(&other, format!("{},0\n", server.account(2))).unwrap();
    let none = on(&["revenue", "check", "--pool", &pool], &[&list]);
    assert!(none.error().contains("the pool has no root yet"), "{none:?}");
    let much = dir.path().join("much.csv");
    fs::write(&much, format!("{},5\n", server.account(2))).unwrap();
    let refused = on(&[&["revenue", "publish", "--pool", &pool][..], &keeper_key].concat(), &[&much]);
    assert!(refused.error().contains("MoreThanReceived { total: 5, received: 0 }"), "{refused:?}");
    let published = on(&[&["revenue", "publish", "--pool", &pool][..], &keeper_key].concat(), &[&list]);
    assert_eq!(published.code, Some(0), "{published:?}");
    assert!(published.stdout.contains("epoch 1 proposed"), "{published:?}");

    let same = on(&["revenue", "check", "--json", "--pool", &pool], &[&list]);
    assert_eq!((same.code, &same.json()["holds"]), (Some(0), &true.into()), "{same:?}");
    let weights = file(&list);
    fs::write(dir.path().join("weights.csv"), format!("{},1\n{},2\n", server.account(2), server.account(3)))
        .unwrap();
    let weighted = file(&dir.path().join("weights.csv"));
    let same =
        on(&["revenue", "check", "--pool", &pool, "--weights", &weighted, "--previous", &weights], &[&list]);
    assert_eq!(same.code, Some(0), "{same:?}");
    let differs = on(&["revenue", "check", "--pool", &pool], &[&other]);
    assert!(differs.error().contains("the posted root is"), "{differs:?}");
    let shrinks = on(&["revenue", "check", "--pool", &pool, "--previous", &weighted], &[&list]);
    assert!(shrinks.error().contains("sums in a list only grow"), "{shrinks:?}");
    let no_pool = on(&["revenue", "check", "--pool", &directory], &[&list]);
    assert!(no_pool.error().contains("there is no contract of a pool at this address"), "{no_pool:?}");
    // The window is not over: no root pays yet.
    let account = server.account(2);
    let list_file = file(&list);
    let early = on(
        &[
            &["revenue", "claim", "--pool", &pool, "--list", &list_file, "--account", &account][..],
            &keeper_key,
        ]
        .concat(),
        &[],
    );
    assert!(early.error().contains("BadProof { epoch: 0, account: 0x"), "{early:?}");
}
