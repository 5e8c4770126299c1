//! The local API over real sockets, with a store that the tests fill; no daemon runs.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use histone_chain::ManualClock;
use histone_node::api::{self, Access, Api, ApiError, ApiOptions, Door, MAX_DECISION, NoDoor};
use histone_node::daemon::Stumble;
use histone_node::duties::waiting::Waiting;
use histone_node::home::Home;
use histone_node::party::Entropy;
use histone_node::service::{Bell, Status};
use histone_node::store::{Level, Prepared, Question, Store, StoreFault};
use histone_protocol::letter::VerifiedHead;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;

/// A home with a store and a served API.
struct Served {
    _dir: TempDir,
    home: PathBuf,
    /// The daemon's connection.
    store: Store,
    clock: Arc<ManualClock>,
    bell: Bell,
    api: Option<Api>,
}

/// An answer.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A refusal says what is wrong and what to do.
    #[track_caller]
    fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let says = self.json();
        let members: Vec<_> = says.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["error", "todo"]);
        assert!(says["todo"].as_str().unwrap().len() > 5, "{says}");
        says["error"].as_str().unwrap().to_owned()
    }
}

impl Served {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("h1");
        fs::create_dir(&home).unwrap();
        let store = Store::open(&home.join("store.sqlite")).unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let mut served = Self { _dir: dir, home, store, clock, bell: Bell::new(), api: None };
        served.serve();
        served
    }

    fn serve(&mut self) {
        self.api = None;
        self.api = Some(api::serve(self.options(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap());
    }

    fn options(&self, listen: SocketAddr) -> ApiOptions {
        ApiOptions {
            listen,
            store: self.store.clone(),
            waker: self.bell.waker(),
            home: self.home.clone(),
            clock: self.clock.clone(),
            entropy: Entropy::System,
        }
    }

    fn address(&self) -> SocketAddr {
        self.api.as_ref().unwrap().address()
    }

    fn token(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).unwrap().trim().to_owned()
    }

    /// Sends a request with these lines of its head.
    fn send(&self, first: &str, lines: &[&str], body: &[u8]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut head = format!("{first} HTTP/1.1\r\nconnection: close\r\n");
        lines.iter().for_each(|line| head += &format!("{line}\r\n"));
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // Whoever refuses early may have closed.
        let _ = stream.write_all(body);
        BufReader::new(stream)
    }

    fn raw(&self, first: &str, lines: &[&str], body: &[u8]) -> Got {
        got(&mut self.send(first, lines, body), true)
    }

    /// Asks with a token from a file of the home.
    fn ask(&self, first: &str, token: &str, body: &[u8]) -> Got {
        let (host, token) = (format!("host: {}", self.address()), self.token(token));
        self.raw(first, &[&host, &format!("authorization: Bearer {token}")], body)
    }

    fn get(&self, path: &str) -> Got {
        self.ask(&format!("GET {path}"), "api.token", b"")
    }

    fn post(&self, path: &str, body: &Value) -> Got {
        self.ask(&format!("POST {path}"), "api.token", body.to_string().as_bytes())
    }

    /// Follows events from a position.
    fn follow(&self, token: &str, from: Option<&str>) -> Events {
        let (host, token) = (format!("host: {}", self.address()), self.token(token));
        let token = format!("authorization: Bearer {token}");
        let last = from.map(|id| format!("last-event-id: {id}"));
        let mut lines = vec![host.as_str(), token.as_str()];
        lines.extend(last.as_deref());
        let mut reader = self.send("GET /v1/events", &lines, b"");
        let got = got(&mut reader, false);
        assert_eq!(got.status, 200, "{got:?}");
        let mut events = Events { reader, id: String::new() };
        assert_eq!(events.next(), None, "the position comes first");
        events
    }

    fn question(&self, key: &str, due: Option<u64>) -> u64 {
        let [title, text] = ["take part?", "It predicts\u{1b}[2J."].map(String::from);
        let kind = "donate".to_string();
        let question = Question { key: key.into(), kind, title, text, facts: json!({ "model": 3 }), due };
        self.store.ask(&question, NOW).unwrap()
    }

    fn letter(&self) {
        let prepare = |n: u64| {
            Ok::<_, StoreFault>(Prepared { mailbox: Address::ZERO, bytes: n.to_le_bytes().to_vec() })
        };
        self.store.send(Address::repeat_byte(7), "join", NOW - 60, prepare).unwrap();
    }

    fn say_status(&self) {
        let status = Status {
            at: NOW - 90,
            network: "heart".into(),
            account: Address::repeat_byte(1),
            member: true,
            head: Some(VerifiedHead { number: 41, hash: B256::repeat_byte(2) }),
            unreachable: Some(("no route".into(), NOW - 100)),
            stumbles: vec![(
                "fetch letters".into(),
                Stumble { why: "no route".into(), times: 3, again: NOW + 5, since: NOW - 100 },
            )],
            undelivered: 1,
            ledger: None,
            waiting: vec![Waiting {
                model: 3,
                what: "updates for round 2".into(),
                whom: vec![Address::repeat_byte(9)],
                until: Some(NOW + 600),
            }],
            next: None,
        };
        self.store.put("status", &serde_json::to_vec(&status).unwrap()).unwrap();
    }
}

/// Reads an answer, or its head alone.
fn got(reader: &mut BufReader<TcpStream>, whole: bool) -> Got {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the connection ended: {head}");
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = String::new();
    if whole && !head.contains("text/event-stream") {
        reader.read_to_string(&mut body).unwrap();
    }
    Got { status, head: head.to_ascii_lowercase(), body }
}

/// Events as a client reads them.
struct Events {
    reader: BufReader<TcpStream>,
    id: String,
}

impl Events {
    /// The next event with its data; nothing of a position alone.
    #[track_caller]
    fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), None);
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "the stream ended");
            // Chunks have their lengths between them.
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => name = text.to_owned(),
                Some(("id", text)) => self.id = text.to_owned(),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                Some(_) => {}
                None if line == "\n" && (data.is_some() || !self.id.is_empty()) => {
                    return data.map(|data| (name, data));
                }
                None => {}
            }
        }
    }

    /// The kind of the next event, and two members of it.
    #[track_caller]
    fn named(&mut self, a: &str, b: &str) -> (String, Value, Value) {
        let (name, data) = self.next().unwrap();
        (name, data[a].clone(), data[b].clone())
    }
}

/// What each token allows, for each route that the router has.
const ALLOWED: &str = "
method path                 none reader operator
GET    /v1/status           -    yes    yes
GET    /v1/inbox            -    yes    yes
POST   /v1/inbox/{number}   -    -      yes
GET    /v1/wishes           -    yes    yes
GET    /v1/wishes/{number}  -    yes    yes
POST   /v1/wishes           -    -      yes
GET    /v1/log              -    -      yes
GET    /v1/events           -    yes    yes
GET    /v1/letters          -    -      yes
GET    /v1/metrics          -    yes    yes
GET    /v1/openapi.json     -    yes    yes
";

#[test]
fn each_route_is_open_to_who_may_ask_it() {
    let served = Served::start();
    let mut table = format!("\n{:<6} {:<20} none reader operator\n", "method", "path");
    for route in api::routes() {
        let first = format!("{} {}", route.method, route.path.replace("{number}", "1"));
        let body: &[u8] = if route.method == "POST" { b"{}" } else { b"" };
        let host = format!("host: {}", served.address());
        let none = served.raw(&first, &[&host], body).status;
        assert_eq!(none, 401, "{first}");
        let may = |token: &str| match served.ask(&first, token, body).status {
            401 => panic!("{first} does not know {token}"),
            403 => false,
            status => {
                assert!(status < 500, "{first}: {status}");
                true
            }
        };
        let (reader, operator) = (may("api.reader.token"), may("api.token"));
        assert_eq!((reader, operator), (route.access == Access::Reader, true), "{first}");
        let shown = |may: bool| if may { "yes" } else { "-" };
        let (method, path) = (route.method, route.path);
        table += &format!("{method:<6} {path:<20} {:<4} {:<6} {}\n", "-", shown(reader), shown(operator));
    }
    println!("{table}");
    assert_eq!(table, ALLOWED);
    // What is no route is not told to who has no token, and is nothing to others.
    let host = format!("host: {}", served.address());
    served.raw("GET /", &[&host], b"").refused(401);
    served.get("/").refused(404);
    served.get("/v1/statuses").refused(404);
    served.ask("DELETE /v1/wishes", "api.token", b"").refused(405);
    assert_eq!(served.ask("DELETE /v1/wishes", "api.reader.token", b"").status, 405);
}

#[test]
fn the_document_is_the_committed_one_and_has_every_route() {
    let found = api::document();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &found).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == found,
        "docs/openapi.json says otherwise; when the change is wanted, run again with UPDATE_SNAPSHOTS=1"
    );
    let document: Value = serde_json::from_str(&found).unwrap();
    let mut written: Vec<_> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        written.extend(methods.as_object().unwrap().keys().map(|m| (m.to_uppercase(), path.clone())));
    }
    let mut real: Vec<_> = api::routes().iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    written.sort();
    real.sort();
    assert_eq!(written, real);
    assert_eq!(Served::start().get("/v1/openapi.json").body, found);
}

#[test]
fn only_this_machine_by_its_own_name() {
    let served = Served::start();
    let (address, port) = (served.address(), served.address().port());
    let token = format!("authorization: Bearer {}", served.token("api.token"));
    let with = |lines: &[&str]| {
        let mut all = vec![token.as_str()];
        all.extend(lines);
        served.raw("GET /v1/status", &all, b"")
    };
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"] {
        let host = format!("host: {host}:{port}");
        let got = with(&[&host]);
        assert_eq!(got.status, 200, "{host}");
        assert!(!got.head.contains("access-control"), "{got:?}");
        assert!(got.head.contains("cache-control: no-store") && got.head.contains("nosniff"), "{got:?}");
        assert_eq!(with(&[&host, &format!("origin: http://127.0.0.1:{port}")]).status, 200);
    }
    // A name that leads here, as a page would make one.
    let evil = format!("host: evil.example:{port}");
    let other = format!("host: 127.0.0.1:{}", port ^ 1);
    let own = format!("host: {address}");
    let (suffix, user) = (format!("host: {address}.evil.example"), format!("host: a@{address}"));
    for lines in [
        vec![evil.as_str()],
        vec!["host: 127.0.0.1"],
        vec!["host: localhost"],
        vec![&other],
        vec![&suffix],
        vec![&user],
        vec!["host: "],
        vec![],
        vec![&own, &own],
        vec![&own, &evil],
    ] {
        let refused = with(&lines);
        assert!([400, 403].contains(&refused.status), "{lines:?}: {refused:?}");
        if refused.status == 403 {
            assert!(refused.refused(403).contains("name that is not its own"), "{refused:?}");
        }
    }
    let absolute = served.raw(&format!("GET http://evil.example:{port}/v1/status"), &[&own, &token], b"");
    absolute.refused(403);
    for origin in [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        &format!("https://127.0.0.1:{port}"),
        &format!("http://127.0.0.1:{}", port ^ 1),
    ] {
        let refused = with(&[&own, &format!("origin: {origin}")]);
        assert!(refused.refused(403).contains("other origins"), "{origin}: {refused:?}");
        assert!(!refused.head.contains("access-control"));
    }
    // A browser asks first; it is given nothing.
    let asked = served.raw("OPTIONS /v1/wishes", &[&own, "origin: http://evil.example"], b"");
    asked.refused(403);
}

#[test]
fn without_a_token_nothing_is_said() {
    let served = Served::start();
    let host = format!("host: {}", served.address());
    let token = served.token("api.token");
    let ask = |lines: &[&str]| {
        let mut all = vec![host.as_str()];
        all.extend(lines);
        served.raw("GET /v1/status", &all, b"")
    };
    let upper = token.to_uppercase();
    for line in [
        "x: y".to_owned(),
        "authorization: Bearer".into(),
        "authorization: Bearer ".into(),
        format!("authorization: Basic {token}"),
        format!("authorization: {token}"),
        format!("authorization: Bearer {}", &token[1..]),
        format!("authorization: Bearer {token}0"),
        format!("authorization: Bearer {}", "0".repeat(64)),
        format!("authorization: Bearer {upper}"),
        "authorization: Bearer \u{e4}".into(),
    ] {
        let got = ask(&[&line]);
        assert!(got.refused(401).contains("one of its tokens"), "{line}: {got:?}");
        assert!(got.head.contains("www-authenticate: bearer"), "{got:?}");
    }
    let good = format!("authorization: Bearer {token}");
    ask(&[&good, &good]).refused(401);
    assert_eq!(ask(&[&format!("authorization: bearer {token}")]).status, 200);
}

#[test]
fn programs_find_it_in_the_home_while_a_node_runs() {
    let mut served = Served::start();
    let home = served.home.clone();
    #[cfg(unix)]
    for name in ["api.json", "api.token", "api.reader.token"] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(home.join(name)).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let place: Value = serde_json::from_str(&served.token("api.json")).unwrap();
    assert_eq!(place, json!({ "version": 1, "address": served.address(), "process": std::process::id() }));
    let refused = |home: &Path| Door::find(home).err().unwrap().to_string();
    // What is there may be left by a node that was killed.
    let start = format!("no node runs on `{0}`; start it with `histone node run --home {0}`", home.display());
    assert_eq!(refused(&home), start);
    assert!(matches!(Door::find(&home.join("x")), Err(NoDoor::NoHome(_))));
    assert_eq!(served.get("/v1/status").json()["running"], false);
    let lock = Home::at(&home).lock().unwrap();
    assert_eq!(served.get("/v1/status").json()["running"], true);
    let door = Door::find(&home).unwrap();
    assert_eq!((door.address, door.token.as_str()), (served.address(), served.token("api.token").as_str()));
    let before = [served.token("api.token"), served.token("api.reader.token")];
    assert!(before.iter().all(|t| t.len() == 64) && before[0] != before[1]);
    served.serve();
    let after = [served.token("api.token"), served.token("api.reader.token")];
    assert!(before.iter().all(|old| !after.contains(old)), "tokens are new for each start");
    let old = format!("authorization: Bearer {}", before[0]);
    served.raw("GET /v1/status", &[&format!("host: {}", served.address()), &old], b"").refused(401);
    for (name, text) in [
        ("api.json", "{"),
        ("api.token", "x\n"),
        ("api.json", r#"{"version":1,"address":"10.0.0.1:80","process":1}"#),
    ] {
        let path = home.join(name);
        let good = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        assert!(refused(&home).contains(&format!("`{}` is damaged", path.display())), "{name}");
        fs::write(&path, good).unwrap();
    }
    let begin = Instant::now();
    served.api = None;
    assert!(begin.elapsed() < Duration::from_secs(2), "nobody is waited for");
    assert!(refused(&home).contains("just starting"));
    assert_eq!(
        fs::read_dir(&home)
            .unwrap()
            .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("api"))
            .count(),
        0
    );
    drop(lock);
    // Elsewhere it does not listen.
    let open = api::serve(served.options(SocketAddr::from(([0, 0, 0, 0], 0)))).err().unwrap();
    assert!(matches!(open, ApiError::NotLocal(_)) && open.to_string().contains("`node.toml`"), "{open}");
    served.serve();
    let taken = api::serve(served.options(served.address())).err().unwrap();
    assert!(taken.to_string().contains("another port"), "{taken}");
    assert_eq!(served.get("/v1/status").status, 200, "a second one takes nothing from the first");
}

#[test]
fn status_letters_and_figures() {
    let served = Served::start();
    let fresh = served.get("/v1/status").json();
    let expected =
        json!({ "now": NOW, "running": false, "questions": 0, "wishes": 0, "letters": 0, "said": null });
    assert_eq!(fresh, expected);
    served.say_status();
    served.letter();
    served.question("donate/3", None);
    served.question("donate/4", Some(NOW - 1));
    let status = served.get("/v1/status").json();
    assert_eq!(
        (&status["questions"], &status["letters"]),
        (&json!(1), &json!(1)),
        "one is too late to answer"
    );
    let said = &status["said"];
    assert_eq!(said["network"], "heart");
    assert_eq!(said["head"], json!({ "number": 41, "hash": B256::repeat_byte(2) }));
    assert_eq!(said["unreachable"], json!({ "why": "no route", "since": NOW - 100 }));
    assert_eq!(said["failing"][0]["duty"], "fetch letters");
    assert_eq!(said["waiting"][0]["whom"], json!([Address::repeat_byte(9)]));
    let letters = served.get("/v1/letters").json();
    let letter = json!({ "to": Address::repeat_byte(7), "purpose": "join", "since": NOW - 60, "tries": 0 });
    assert_eq!(letters, json!({ "letters": [letter] }));
    let figures = served.ask("GET /v1/metrics", "api.reader.token", b"");
    assert!(figures.head.contains("text/plain; version=0.0.4"), "{figures:?}");
    let lines: Vec<_> = figures.body.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "histone_up 0",
            "histone_letters_waiting 1",
            "histone_questions_open 1",
            "histone_wishes_open 0",
            "histone_member 1",
            "histone_duties_failing 1",
            "histone_head_block 41",
            "histone_status_age_seconds 90",
            "histone_network_unreachable 1",
            "histone_network_unreachable_since_seconds 1799999900",
        ]
    );
    assert_eq!(figures.body.lines().filter(|line| line.starts_with("# TYPE")).count(), lines.len());
}

#[test]
fn a_question_is_answered_once_and_in_time() {
    let served = Served::start();
    let [first, late, gone, fourth] = [None, Some(NOW + 10), None, None]
        .into_iter()
        .enumerate()
        .map(|(n, due)| served.question(&format!("donate/{n}"), due))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    served.store.take_back("donate/2", "the model was given up", NOW).unwrap();
    let open = served.get("/v1/inbox").json();
    let numbers: Vec<_> = open["questions"].as_array().unwrap().iter().map(|q| q["number"].clone()).collect();
    assert_eq!(numbers, [json!(first), json!(late), json!(fourth)]);
    assert_eq!(open["questions"][0]["state"], "open");
    let path = |number: u64| format!("/v1/inbox/{number}");
    let done = served.post(&path(first), &json!({ "yes": true })).json();
    let answer = json!({ "yes": true, "because": "", "by": "the operator", "at": NOW });
    assert_eq!(
        (&done["state"], &done["answer"], &done["asked_at"]),
        (&json!("approved"), &answer, &json!(NOW))
    );
    let twice = served.post(&path(first), &json!({ "yes": false, "because": "no" })).refused(409);
    assert!(twice.contains("question 1 was approved by the operator on 2027-01-15"), "{twice}");
    served.clock.set(NOW + 11);
    assert!(served.post(&path(late), &json!({ "yes": true })).refused(410).contains("too late"));
    assert!(
        served.post(&path(gone), &json!({ "yes": true })).refused(410).contains("the model was given up")
    );
    for unknown in ["/v1/inbox/99", "/v1/inbox/x", "/v1/inbox/-1", "/v1/inbox/18446744073709551616"] {
        assert!(served.post(unknown, &json!({ "yes": true })).refused(404).contains("there is no question"));
    }
    let without = served.post(&path(fourth), &json!({ "yes": false, "because": " \n" })).refused(400);
    assert!(without.contains("declined with a reason"), "{without}");
    let long = served.post(&path(fourth), &json!({ "yes": true, "because": "é".repeat(2_001) })).refused(400);
    assert!(long.contains("2001 characters"), "{long}");
    for wrong in [json!({}), json!([]), json!({ "yes": 1 }), json!({ "yes": true, "by": "me" }), json!(null)]
    {
        assert!(served.post(&path(fourth), &wrong).refused(400).contains("not an answer"), "{wrong}");
    }
    for wrong in [&b"{"[..], b"\xff", b"", &[b'['; 10_000]] {
        served.ask(&format!("POST {}", path(fourth)), "api.token", wrong).refused(400);
    }
    assert!(served.store.answered("donate/3").unwrap().is_none(), "nothing of that counts");
    let declined = served.post(&path(fourth), &json!({ "yes": false, "because": "é".repeat(2_000) }));
    assert_eq!(declined.json()["state"], "declined");
    let all = served.get("/v1/inbox?all=true").json();
    let states: Vec<_> = all["questions"].as_array().unwrap().iter().map(|q| q["state"].clone()).collect();
    assert_eq!(states, ["approved", "late", "withdrawn", "declined"]);
    for wrong in ["?all=maybe", "?all", "?al=true"] {
        served.get(&format!("/v1/inbox{wrong}")).refused(400);
    }
}

#[test]
fn wishes_are_kept_when_a_node_can_take_them_up() {
    let served = Served::start();
    let wish = |kind: &str, what: Value| served.post("/v1/wishes", &json!({ "kind": kind, "what": what }));
    for (kind, what) in [
        ("query", json!({ "model": 1, "row": [0.5, 2], "most": 1_000_000 })),
        ("claim", json!(null)),
        ("claim", json!({})),
        ("abort", json!({ "model": 1 })),
        ("train", json!({ "model": 1 })),
        ("publish", json!({ "method": "logistic" })),
        ("add-data", json!({ "table": "a.csv" })),
    ] {
        let made = wish(kind, what.clone());
        assert_eq!(made.status, 201, "{made:?}");
        let number = made.json()["number"].as_u64().unwrap();
        let kept = served.store.get_wish(number).unwrap().unwrap();
        assert_eq!((kept.kind.as_str(), kept.what, kept.made_at), (kind, what, NOW));
    }
    let kept = served.store.wishes(false).unwrap().len();
    for (kind, what) in [
        ("query", json!({ "model": 1, "row": ["x"], "most": 1 })),
        ("query", json!({ "model": 1, "row": [1], "most": -1 })),
        ("query", json!({ "model": 1, "row": [1] })),
        ("query", json!({ "model": 1, "row": [1], "most": 1, "more": 1 })),
        ("claim", json!({ "model": 1 })),
        ("abort", json!({})),
        ("train", json!({ "model": "1" })),
        ("publish", json!({ "method": 1 })),
        ("propose", json!({ "paper": {} })),
        ("add-data", json!(null)),
    ] {
        let refused = wish(kind, what.clone()).refused(400);
        assert!(refused.contains(&format!("not what the wish `{kind}` wants")), "{what}: {refused}");
    }
    let unknown = wish("marry", json!({}));
    assert!(unknown.refused(400).contains("no wish `marry`"));
    assert!(unknown.json()["todo"].as_str().unwrap().contains("`add-data`, `propose`, `publish`"));
    assert_eq!(served.store.wishes(false).unwrap().len(), kept, "nothing of that is kept");
    served.store.wish_done(1, &json!({ "answer": [1.5] }), NOW).unwrap();
    served.store.wish_failed(2, "no", NOW).unwrap();
    let one = served.get("/v1/wishes/1").json();
    assert_eq!((&one["state"], &one["outcome"]), (&json!("done"), &json!({ "answer": [1.5] })));
    served.get("/v1/wishes/99").refused(404);
    served.get("/v1/wishes/x").refused(404);
    let numbers = |path: &str| -> Vec<u64> {
        let found = served.get(path).json();
        found["wishes"].as_array().unwrap().iter().map(|w| w["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("/v1/wishes"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers("/v1/wishes?open=true"), [3, 4, 5, 6, 7]);
    assert_eq!(numbers("/v1/wishes?kind=claim"), [2, 3]);
    assert_eq!(numbers("/v1/wishes?most=2"), [6, 7]);
}

#[test]
fn what_is_too_large_is_refused_and_not_kept() {
    let served = Served::start();
    let number = served.question("donate/1", None);
    let path = format!("POST /v1/inbox/{number}");
    let large = json!({ "yes": true, "because": "x".repeat(MAX_DECISION) }).to_string();
    let refused = served.ask(&path, "api.token", large.as_bytes()).refused(413);
    assert!(refused.contains("at most 16384 bytes"), "{refused}");
    let wish = json!({ "kind": "add-data", "what": { "x": "y".repeat(1 << 20) } }).to_string();
    served.ask("POST /v1/wishes", "api.token", wish.as_bytes()).refused(413);
    // Announced, and never sent.
    let (host, token) = (format!("host: {}", served.address()), served.token("api.token"));
    let token = format!("authorization: Bearer {token}");
    let lines = [host.as_str(), &token, "content-length: 1000000000000"];
    served.raw("POST /v1/wishes", &lines, b"").refused(413);
    // A head without an end.
    let endless = format!("x: {}", "y".repeat(1_000_000));
    let got = served.raw("GET /v1/status", &[&host, &token, &endless], b"");
    assert_eq!(got.status, 431, "{got:?}");
    assert!(served.store.wishes(false).unwrap().is_empty());
    assert!(served.store.answered("donate/1").unwrap().is_none());
}

#[test]
fn the_log_from_its_end_or_from_a_line_on() {
    let served = Served::start();
    assert_eq!(served.get("/v1/log").json(), json!({ "notes": [], "last": 0 }));
    for n in 1..=5 {
        served.store.note(NOW + n, Level::Warning, "round/1", &format!("line {n}")).unwrap();
    }
    let numbers = |path: &str| -> Vec<u64> {
        let log = served.get(path).json();
        assert_eq!(log["last"], 5);
        log["notes"].as_array().unwrap().iter().map(|n| n["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("/v1/log"), [1, 2, 3, 4, 5]);
    assert_eq!(numbers("/v1/log?most=2"), [4, 5]);
    assert_eq!(numbers("/v1/log?after=1&most=2"), [2, 3]);
    assert_eq!(numbers("/v1/log?after=18446744073709551615"), [0; 0]);
    served.get("/v1/log?after=-1").refused(400);
    let note = &served.get("/v1/log?most=1").json()["notes"][0];
    let line =
        json!({ "number": 5, "time": NOW + 5, "level": "warning", "about": "round/1", "text": "line 5" });
    assert_eq!(*note, line);
}

#[test]
fn events_come_as_they_happen_and_go_on_after_a_break() {
    let mut served = Served::start();
    served.store.note(NOW, Level::Info, "a", "before").unwrap();
    let old = served.question("donate/1", None);
    let mut events = served.follow("api.token", None);
    // What the daemon writes.
    served.store.note(NOW, Level::Info, "a", "after").unwrap();
    assert_eq!(events.named("text", "level"), ("log".into(), json!("after"), json!("info")));
    let new = served.question("donate/2", None);
    assert_eq!(events.named("number", "state"), ("inbox".into(), json!(new), json!("open")));
    // What a person writes.
    served.post(&format!("/v1/inbox/{new}"), &json!({ "yes": true }));
    assert_eq!(events.named("number", "state"), ("inbox".into(), json!(new), json!("approved")));
    let wish = served.post("/v1/wishes", &json!({ "kind": "claim" })).json()["number"].as_u64().unwrap();
    assert_eq!(events.named("number", "state"), ("wish".into(), json!(wish), json!("open")));
    served.store.wish_progress(wish, "half").unwrap();
    assert_eq!(events.named("number", "progress"), ("wish".into(), json!(wish), json!("half")));
    let id = events.id.clone();
    assert_eq!(id, format!("2-{old}-{wish}"), "the oldest question is still open");
    drop(events);
    // Meanwhile, and over a new start: one that was open, one that came and went, lines, the wish.
    served.store.note(NOW, Level::Error, "a", "missed 1").unwrap();
    served.store.note(NOW, Level::Error, "a", "missed 2").unwrap();
    served.store.take_back("donate/1", "given up", NOW).unwrap();
    let quick = served.question("donate/3", None);
    served.store.take_back("donate/3", "given up", NOW).unwrap();
    served.store.wish_done(wish, &json!({ "claimed": "5" }), NOW).unwrap();
    served.serve();
    let mut events = served.follow("api.token", Some(&id));
    for text in ["missed 1", "missed 2"] {
        assert_eq!(events.named("text", "level"), ("log".into(), json!(text), json!("error")));
    }
    assert_eq!(events.named("number", "state"), ("inbox".into(), json!(old), json!("withdrawn")));
    // It comes again: who reads takes the newest.
    assert_eq!(events.named("number", "state"), ("inbox".into(), json!(new), json!("approved")));
    assert_eq!(events.named("number", "state"), ("inbox".into(), json!(quick), json!("withdrawn")));
    assert_eq!(events.named("number", "outcome"), ("wish".into(), json!(wish), json!({ "claimed": "5" })));
    assert_eq!(events.id, "4-4-2");
    // From there on nothing comes again.
    let mut events = served.follow("api.token", Some("4-4-2"));
    served.store.note(NOW, Level::Info, "a", "next").unwrap();
    assert_eq!(events.named("text", "number"), ("log".into(), json!("next"), json!(5)));
    // A position from a store that knew more, such as before a restore.
    let mut events = served.follow("api.token", Some("999-999-999"));
    served.store.note(NOW, Level::Info, "a", "last").unwrap();
    served.question("donate/4", None);
    assert_eq!(events.named("text", "number"), ("log".into(), json!("last"), json!(6)));
    assert_eq!(events.named("key", "state"), ("inbox".into(), json!("donate/4"), json!("open")));
    let (host, token) = (format!("host: {}", served.address()), served.token("api.token"));
    let token = format!("authorization: Bearer {token}");
    for id in ["x", "1-2", "1-2-3-4", "-1-2-3", "1-2-18446744073709551616", ""] {
        let lines = [host.as_str(), &token, &format!("last-event-id: {id}")];
        served.raw("GET /v1/events", &lines, b"").refused(400);
    }
}

#[test]
fn a_reader_hears_no_lines_of_the_log() {
    let served = Served::start();
    let mut events = served.follow("api.reader.token", Some("0-1-1"));
    served.store.note(NOW, Level::Info, "a", "not for readers").unwrap();
    served.question("donate/1", None);
    assert_eq!(events.named("key", "state"), ("inbox".into(), json!("donate/1"), json!("open")));
    // Nor later, by the position that it has.
    let mut events = served.follow("api.reader.token", Some("0-1-1"));
    assert_eq!(events.named("key", "state"), ("inbox".into(), json!("donate/1"), json!("open")));
}

#[test]
fn as_many_follow_as_can_and_the_end_ends_them() {
    let mut served = Served::start();
    let mut all: Vec<_> = (0..16).map(|_| served.follow("api.token", None)).collect();
    let full = served.get("/v1/events");
    assert!(full.refused(503).contains("as many programs"), "{full:?}");
    // One that goes makes room, at the latest when something is sent to it.
    drop(all.pop());
    served.store.note(NOW, Level::Info, "a", "b").unwrap();
    let begin = Instant::now();
    while served.get("/v1/events").status == 503 {
        assert!(begin.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(50));
    }
    let begin = Instant::now();
    served.api = None;
    assert!(begin.elapsed() < Duration::from_secs(5));
    for mut events in all {
        let mut rest = String::new();
        events.reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("0\r\n\r\n"), "ended as it should: {rest:?}");
    }
}
