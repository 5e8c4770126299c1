//! A consortium from its deployment to what its members decide, over HTTP, with every step by the command line.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Ran, histone};

const SEAL_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// What somebody writes who wants members to read another decision than they take.
const FORGED: &str = "as agreed in spring\n  does        allow program 0x11\x1b[2A";

struct Consortium {
    server: Server,
    directory: String,
}

impl Consortium {
    fn ran(&self, arguments: &[&str], key: Option<&Path>) -> Ran {
        let mut command = histone();
        command.args(arguments).args(["--rpc", &self.server.url, "--directory", &self.directory]);
        if let Some(key) = key {
            command.arg("--key-file").arg(key);
        }
        Ran::of(&mut command)
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], key: Option<&Path>) -> Value {
        let ran = self.ran(&[arguments, &["--json"]].concat(), key);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.json()
    }

    /// Waits until the proposal has this state: the chain's clock is the real one.
    #[track_caller]
    fn wait(&self, proposal: &str, state: &str) -> Value {
        let begin = Instant::now();
        loop {
            let shown = self.json(&["governance", "show", proposal], None);
            if shown["proposal"]["state"] == state {
                return shown["proposal"].clone();
            }
            assert!(begin.elapsed() < Duration::from_secs(300), "never {state}: {shown}");
            let over = ["defeated", "expired"].contains(&shown["proposal"]["state"].as_str().unwrap());
            assert!(!over, "not {state} in time: {shown}");
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// From a proposal to its execution, with votes of two of the three members.
    fn decide(&self, actions: &[&str]) -> Value {
        let (first, second) = (self.server.key(1), self.server.key(2));
        // Who proposes had its vote in an earlier second, and blocks may bear the same one.
        thread::sleep(Duration::from_millis(1100));
        let propose = [&["governance", "propose", "--description", FORGED], actions].concat();
        let proposed = self.json(&propose, Some(&first));
        let number = proposed["proposal"]["number"].as_str().unwrap().to_owned();
        assert_eq!(proposed["proposal"]["description"], FORGED);
        self.wait(&number, "active");
        let early = self.ran(&["governance", "execute", &number], Some(&first));
        assert!(early.error().contains("the vote ends after"), "{early:?}");
        self.json(&["governance", "vote", &number[..12], "for"], Some(&first));
        let voted = self.json(&["governance", "vote", &number, "abstain", "--reason", FORGED], Some(&second));
        assert_eq!(
            (&voted["proposal"]["for_votes"], &voted["proposal"]["abstain_votes"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(voted["proposal"]["ballots"][1]["reason"], FORGED);
        let text = self.ran(&["governance", "show", &number], None).stdout;
        let forged =
            text.lines().filter(|line| line.trim_start().starts_with("does") && line.contains("0x11"));
        assert!(forged.count() == 0 && !text.contains('\x1b'), "{text:?}");
        assert!(text.matches("as agreed in spring   does        allow program").count() == 2, "{text}");
        let twice = self.ran(&["governance", "vote", &number, "for"], Some(&first));
        assert!(twice.error().contains("GovernorAlreadyCastVote"), "{twice:?}");
        self.wait(&number, "succeeded");
        // Anybody carries out what was accepted.
        let stranger = self.server.key(9);
        let queued = self.json(&["governance", "execute", &number], Some(&stranger));
        assert_eq!(queued["result"], "queued");
        let begin = Instant::now();
        loop {
            let ran = self.ran(&["governance", "execute", &number, "--json"], Some(&stranger));
            let found = ran.json();
            match found["result"].as_str() {
                Some("executed") => break assert_eq!(ran.code, Some(0)),
                Some("waits") => {
                    assert_eq!((ran.code, &found["executable_at"]), (Some(1), &queued["executable_at"]))
                }
                _ => panic!("{ran:?}"),
            }
            assert!(begin.elapsed() < Duration::from_secs(300), "{ran:?}");
            thread::sleep(Duration::from_millis(300));
        }
        let again = self.ran(&["governance", "execute", &number], Some(&stranger));
        assert!(again.error().contains("is executed: there is nothing left to do"), "{again:?}");
        self.wait(&number, "executed")
    }
}

#[test]
fn members_decide_by_the_command_line() {
    let server = Server::start();
    let founder = server.key(0);
    // The clock is the real one, and a loaded machine takes long for each command: a vote lasts as long as some of them.
    let begin = Instant::now();
    server.deploy(&founder, &[]);
    let period = begin.elapsed().as_secs() * 4 + 6;
    let lasting = format!("{period}s");
    let seconds =
        ["--voting-delay", "1s", "--voting-period", &lasting, "--timelock-delay", "3s", "--quorum", "60"];
    let directory = server.deploy(&founder, &seconds);
    let c = Consortium { server, directory };

    // A delay that the governor cannot hold costs nothing.
    let ran = c.ran(&["ledger", "show"], None);
    let url = c.server.url.clone();
    let mut endless = histone();
    endless
        .args(["ledger", "deploy", "--voting-delay", "9999999999d", "--rpc", &url, "--key-file"])
        .arg(&founder);
    let refused = Ran::of(&mut endless);
    assert!(refused.error().contains("the voting delay in seconds is"), "{refused:?}");
    assert_eq!(c.ran(&["ledger", "show"], None).stdout, ran.stdout, "something was sent");
    let shown = c.json(&["ledger", "show"], None);
    assert_eq!(
        shown["settings"],
        json!({ "voting_delay": 1, "voting_period": period, "timelock_delay": 3, "quorum_percent": 60 })
    );
    assert_eq!((&shown["handed_over"], &shown["paused"]), (&json!(false), &json!(false)));
    let early = c.ran(&["ledger", "hand-over", "--pauser", &c.server.account(5)], Some(&founder));
    assert!(early.error().contains("no member who could decide"), "{early:?}");
    let admit = |n: usize, roles: &str| {
        let account = c.server.account(n);
        let arguments = [
            "ledger",
            "admit",
            "--account",
            &account,
            "--roles",
            roles,
            "--profile",
            SEAL_KEY,
            "--seal-key",
            SEAL_KEY,
        ];
        c.ran(&arguments, Some(&founder))
    };
    for (n, roles) in [(1, "owner,trainer"), (2, "auditor"), (3, "runner")] {
        let ran = admit(n, roles);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    // The contract's own error, with the names of its arguments.
    let twice = admit(1, "owner");
    let expected = format!("AlreadyMember {{ account: {} }}", c.server.account(1).to_lowercase());
    assert!(twice.error().to_lowercase().contains(&expected.to_lowercase()), "{twice:?}");
    let handed = c.json(&["ledger", "hand-over", "--pauser", &c.server.account(5)], Some(&founder));
    assert_eq!((&handed["handed_over"], &handed["members"]), (&json!(true), &json!(3)));
    assert_eq!(handed["not_only_by_vote"], json!([]));
    let shown = c.ran(&["ledger", "show"], None);
    assert!(shown.stdout.contains("the members, by the timelock\n"), "{shown:?}");
    assert!(admit(4, "owner").error().contains("AccessManagedUnauthorized"));

    // A stranger has no say.
    let stranger = c.server.key(9);
    let ran = c.ran(&["governance", "propose", "--description", "x", "--pause"], Some(&stranger));
    assert!(ran.error().contains("GovernorInsufficientProposerVotes { proposer: 0x"), "{ran:?}");

    // Several actions in one proposal, in words.
    let (fourth, treasury) = (c.server.account(4), c.server.account(6));
    let done = c.decide(&[
        "--add-member",
        &fourth,
        "--roles",
        "committee",
        "--profile",
        SEAL_KEY,
        "--seal-key",
        SEAL_KEY,
        "--set-fee",
        "250",
        "--treasury",
        &treasury,
        "--pause",
        "--set-quorum",
        "40",
        "--set-voting-delay",
        "2s",
    ]);
    let steps = done["steps"].as_array().unwrap();
    let words: Vec<_> = steps.iter().map(|s| s["words"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(words.len(), 7, "{words:?}");
    assert!(words[0].starts_with(&format!("admit {fourth} as committee")), "{words:?}");
    assert!(words[1].contains("take 2.50 %") && words[1].ends_with(&treasury), "{words:?}");
    assert_eq!(words[3], "stop new work in the market");
    let shown = c.json(&["ledger", "show"], None);
    assert_eq!((&shown["members"], &shown["paused"]), (&json!(4), &json!(true)));
    assert_eq!(shown["fee"], json!({ "bps": 250, "treasury": treasury }));
    assert_eq!(
        (&shown["settings"]["quorum_percent"], &shown["settings"]["voting_delay"]),
        (&json!(40), &json!(2))
    );
    // The timelock gave the pauser's role back.
    assert_eq!(shown["pausers"], json!([c.server.account(5)]));
    let member = c.json(&["account", "show", &fourth], None);
    assert_eq!(
        (&member["account"]["roles"], &member["account"]["votes"]),
        (&json!(["committee"]), &json!(1))
    );
    let list = c.ran(&["governance", "show"], None).stdout;
    assert!(list.contains("| executed |") && list.contains("as agreed in spring"), "{list}");

    // A key that was registered for a member is no seat: it proves its own, and another member cannot take that for its own.
    let shown = c.ran(&["account", "show", &fourth], None).stdout;
    assert!(shown.contains(&format!("{SEAL_KEY}, NOT proved")), "{shown}");
    let seal = c.server.dir().with_file_name("seal.key");
    std::fs::write(&seal, "09".repeat(32)).unwrap();
    let prove = ["ledger", "prove-key", "--seal-key-file", seal.to_str().unwrap()];
    let stranger = c.ran(&prove, Some(&c.server.key(9)));
    assert!(stranger.error().contains("is it the account of a member?"), "{stranger:?}");
    let proved = c.json(&prove, Some(&c.server.key(4)));
    let shown = c.json(&["account", "show", &fourth], None);
    assert_eq!(shown["account"]["seal_key"], proved["member"]["seal_key"]);
    assert_eq!(shown["account"]["seal_key_proved"], json!(true));

    // A refused transaction of the market, explained.
    let ran = c.ran(&["revenue", "claim"], Some(&c.server.key(1)));
    assert!(ran.error().contains("the ledger refused `market.claim`: NothingOwed { account: 0x"), "{ran:?}");
    let ran = c.ran(&["revenue", "claim", "--model", "1", "--donor", "1"], Some(&c.server.key(1)));
    assert!(ran.error().contains("UnknownDonor { modelId: 1, donorIndex: 1 }"), "{ran:?}");
}

#[test]
fn proposals_that_mean_nothing_are_refused_before_they_are_sent() {
    let nowhere =
        ["--rpc", "http://127.0.0.1:9", "--directory", "0x00000000000000000000000000000000000000aa"];
    let propose = |arguments: &[&str]| {
        let all =
            [&["governance", "propose", "--description", "x", "--key-file", "x"], &nowhere[..], arguments];
        Ran::of(histone().args(all.concat()))
    };
    for (arguments, code, why) in [
        (&[][..], 1, "propose something to do"),
        (&["--set-quorum", "0"], 1, "a single vote would decide for everybody; give 1 to 100"),
        (&["--set-quorum", "101"], 1, "a quorum of 101 % is more than all members"),
        (&["--set-voting-period", "99999999999"], 1, "longer than the governor can count"),
        (&["--set-fee", "10"], 2, "--treasury"),
        (&["--pause", "--unpause"], 2, "cannot be used with"),
        (&["--set-address", "market"], 2, "write NAME=ADDRESS"),
        (&["--set-keeper", "0x12"], 2, "write POOL=ADDRESS"),
        (&["--allow-measurement", "0x12"], 2, "invalid value"),
        (&["--add-member", "0x00000000000000000000000000000000000000aa"], 2, "--roles"),
        (&["--set-timelock-delay", "soon"], 2, "write 90s, 30m, 12h or 7d"),
    ] {
        let ran = propose(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(why), "{arguments:?}: {ran:?}");
    }
}
