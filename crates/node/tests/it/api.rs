//! The local API over real sockets, with a store that the tests fill; no daemon runs.

mod events;
mod requests;

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use histone_chain::ManualClock;
use histone_node::api::{self, Access, Api, ApiError, ApiOptions, Door, NoDoor};
use histone_node::daemon::Stumble;
use histone_node::duties::waiting::Waiting;
use histone_node::home::Home;
use histone_node::party::Entropy;
use histone_node::service::{Bell, Status};
use histone_node::store::{Prepared, Question, Store, StoreFault};
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
            founder: Some(("registry".into(), Address::repeat_byte(8))),
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
GET    /v1/proposals        -    yes    yes
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
