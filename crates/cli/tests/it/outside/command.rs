//! The program itself: by addresses, by an invitation, by a member's home.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;

use histone_chain::{Replica, SystemClock};
use histone_compliance::folder::{Folder, RunRecord};
use histone_node::home::{Cost, Home, Passphrase, Protection, Settings};
use histone_node::party::Entropy;
use histone_node::service::{Status, keep_invitation};
use histone_node::store::Store;
use histone_protocol::consent::AppraisalTerms;
use histone_protocol::evidence::Platform;
use histone_protocol::invitation::Invitation;
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::{Profile, VerifiedHead};
use histone_protocol::record::Signed;
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use super::{Served, headers};
use crate::server::Server;
use crate::support::{Ran, files, histone, shared};

/// Something that serves, until it is dropped.
struct Process {
    child: Child,
    said: Value,
}

impl Process {
    fn start(arguments: &[&str], dir: &Path) -> Self {
        let mut command = histone();
        command.args(arguments).args(["--port", "0", "--json", "--dir"]).arg(dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, said: serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")) }
    }

    fn url(&self, name: &str) -> String {
        self.said[name].as_str().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn verify(arguments: &[&str]) -> Ran {
    Ran::of(histone().arg("verify").args(arguments))
}

/// The program itself, with a hub and a server of blocks as processes.
#[test]
fn the_command_checks_a_network_by_addresses() {
    let run = &shared().dir;
    let dir = tempfile::tempdir().unwrap();
    let (hub, copy) = (dir.path().join("hub"), dir.path().join("copy"));
    let chain = Process::start(&["chain", "serve"], run);
    let rpc = chain.url("http");
    let served = Process::start(&["hub", "serve", "--rpc", &rpc], &hub);
    for (name, bytes) in files(&run.join("blobs")) {
        fs::write(hub.join("blobs").join(name), bytes).unwrap();
    }
    let (url, copied) = (served.url("hub"), copy.to_str().unwrap());

    // By the hub alone, and by a server of blocks beside it; the second time nothing has to be fetched.
    let ran = verify(&["--hub", &url, "--model", "1", "--copy", copied]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.ends_with("everything that can be checked holds\n"), "{ran:?}");
    assert!(ran.stdout.contains("holds      rounds "), "{ran:?}");
    let head = format!("{}:{}", chain.said["block"], chain.said["head"].as_str().unwrap());
    let ran = verify(&["--hub", &url, "--rpc", &rpc, "--copy", copied, "--head", &head, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = ran.json();
    assert!(said["holds"] == true && said["failed"] == json!([]), "{said}");
    let ran = verify(&["--hub", &url, "--copy", copied, "--head", &format!("3:{}", B256::ZERO)]);
    assert!(ran.error().contains("`head` does not hold: block 3 is "), "{ran:?}");

    // By an invitation, which names block 0 and the contracts; the hub may be named otherwise.
    let invited = dir.path().join("invitation.json");
    fs::write(&invited, invitation(&Folder::at(run), Served::new().genesis.unwrap())).unwrap();
    let by = invited.to_str().unwrap();
    let ran = verify(&["--invitation", by, "--hub", &url, "--model", "1", "--copy", copied]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains("cannot say genesis"), "{ran:?}");
    assert!(verify(&["--invitation", by]).error().contains("`http://127.0.0.1:1` cannot be used as a hub"));

    // A blob that is gone from hub and copy: the check that rests on it fails, and names it.
    let paper = fs::read_dir(hub.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    let paper = paper.into_iter().find(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.starts_with(b"{") && String::from_utf8_lossy(&bytes).contains("\"white-paper\"")
    });
    let paper = paper.unwrap();
    let name = paper.file_name().unwrap().to_owned();
    fs::remove_file(&paper).unwrap();
    fs::remove_file(copy.join("blobs").join(&name)).unwrap();
    let ran = verify(&["--hub", &url, "--copy", copied]);
    let error = ran.error();
    assert!(
        error.contains("`model` does not hold: model ") && error.contains(": its white paper: blob 0x"),
        "{error}"
    );
    assert!(error.contains(name.to_str().unwrap()), "{error}");
    assert!(ran.stdout.contains("it does not have it"), "{ran:?}");

    // What is no network, and what answers in its place.
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = verify(&["--hub", &format!("http://{away}")]);
    assert!(
        ran.error().contains("cannot be used as a hub") && ran.error().contains("cannot be reached"),
        "{ran:?}"
    );
    let ran = verify(&["--hub", &url, "--rpc", &format!("http://{away}")]);
    assert!(ran.error().contains("the ledger cannot be reached"), "{ran:?}");
    let page = web_page();
    let ran = verify(&["--hub", &page]);
    assert!(ran.error().contains("is not what a hub answers"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--rpc", &page]);
    assert!(ran.error().contains("does not serve the blocks of a Histone ledger"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--genesis", &B256::ZERO.to_string()]);
    assert!(
        ran.error()
            .contains("another network than the one that is meant: the ledger there begins with block 0 0x"),
        "{ran:?}"
    );
    let other = Server::start();
    let ran = verify(&["--hub", &url, "--rpc", &other.url, "--copy", copied]);
    assert!(ran.error().contains("or --copy holds another one"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--rpc", &other.url]);
    assert!(ran.error().contains("there is no Histone ledger on this chain"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--copy", hub.to_str().unwrap()]);
    assert!(ran.error().contains("holds something else than copies of a network"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--directory", &Address::ZERO.to_string()]);
    assert!(ran.error().contains("0x0000000000000000000000000000000000000000"), "{ran:?}");
    let note = dir.path().join("note.txt");
    fs::write(&note, "mine").unwrap();
    let ran = verify(&["--invitation", note.to_str().unwrap()]);
    assert!(ran.error().contains("note.txt` is of no use"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--module", "/nowhere.wasm"]);
    assert!(ran.error().contains("cannot read the module `/nowhere.wasm`"), "{ran:?}");
    for wrong in [
        &["--head", "3:0x00"][..],
        &["--hub", "http://x", "--head", "3"],
        &["--genesis", "0x00"],
        &["--copy", "x"],
        &["--directory", "0x00"],
        &["run", "--hub", "http://x"],
        &["--hub", "http://x", "--blobs", "x", "--model", "1"],
    ] {
        assert_eq!(verify(wrong).code, Some(2), "{wrong:?}");
    }
}

/// The address of something that answers every question with a web page.
fn web_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let page = "<html>sign in to the guest network</html>";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all([head.as_bytes(), page.as_bytes()].concat().as_slice());
        }
    });
    url
}

/// A member's home has all of it: no hub has to be there, and no key is asked for. While its node has the copy, the hub is asked.
#[test]
fn a_member_checks_its_network_by_its_home() {
    let run = Folder::at(&shared().dir);
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("home");
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let protection = Protection::Passphrase { passphrase: Passphrase::new("not asked for".into()), cost };
    let home = Home::init(&at, &Settings::new("north", 1), &protection, Entropy::Seed(7)).unwrap().home;
    let args = ["--home", at.to_str().unwrap(), "--model", "1"];
    assert!(verify(&args).error().contains("has joined no network yet"));

    let served = Served::new();
    let store = Store::open(&home.store_file()).unwrap();
    keep_invitation(&store, &invitation(&run, served.genesis.unwrap())).unwrap();
    fs::copy(run.ledger().join("chain.redb"), home.ledger().join("chain.redb")).unwrap();
    for (hash, bytes) in &served.blobs {
        fs::write(home.blobs().join(format!("{hash:x}")), bytes).unwrap();
    }
    let status = |number: u64, hash| {
        let status = Status { head: Some(VerifiedHead { number, hash }), ..Status::default() };
        store.put("status", &serde_json::to_vec(&status).unwrap()).unwrap();
    };
    let last = served.chain.head().unwrap();
    status(last.header.number, last.hash);
    let ran = verify(&args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.contains("that the copy in the home gives was executed here"), "{ran:?}");
    // The copy is not compared with what the same node says, but with what a person has from elsewhere.
    assert!(!ran.stdout.contains("as you have seen it elsewhere"), "{ran:?}");
    let elsewhere = |hash| {
        let head = format!("{}:{hash}", last.header.number);
        verify(&[&args[..], &["--head", &head]].concat())
    };
    let ran = elsewhere(last.hash);
    assert!(
        ran.stdout
            .contains("as you have seen it elsewhere, and so is all before it; it is the last one here"),
        "{ran:?}"
    );
    assert!(elsewhere(B256::repeat_byte(3)).error().contains("`head` does not hold"));
    // A blob that is neither here nor at a hub.
    let gone = home.blobs().join(format!("{:x}", headers(&served.chain).first().unwrap()));
    fs::remove_file(gone).unwrap();
    let ran = verify(&args);
    assert!(ran.error().contains("`rounds`") || ran.error().contains("does not hold"), "{ran:?}");
    assert!(
        ran.stdout.contains("its header: blob 0x") && ran.stdout.contains("cannot be reached"),
        "{ran:?}"
    );
    let node = Replica::open(&home.ledger(), Arc::new(SystemClock)).unwrap();
    let ran = verify(&args);
    assert!(ran.error().contains("`http://127.0.0.1:1` cannot be used as a hub"), "{ran:?}");
    drop(node);
}

/// An invitation to the network of the shared run, by a founder of its own.
fn invitation(run: &Folder, genesis: B256) -> Vec<u8> {
    let deployment = run.read::<RunRecord>(&run.record()).unwrap().0.deployment;
    let founder = SigningKey::from_bytes(&[7; 32]).unwrap();
    let key = SealKey::from_seed(&[8; 32]).public();
    let (ledger, mailbox) = (deployment.id(), founder.address());
    let profile =
        Profile { ledger, name: "f".into(), roles: 0, mailbox, mail_key: key, seal_key: key, device: None };
    let invitation = Invitation {
        ledger,
        name: "study".into(),
        genesis,
        // Nobody listens there.
        hub: "http://127.0.0.1:1".into(),
        founder: Signed::sign(&profile, &founder).unwrap(),
        appraisal: AppraisalTerms {
            platforms: vec![Platform::SIMULATED],
            max_age_seconds: 60,
            simulated_vendors: vec![],
        },
        issued_at: 10,
        // Whoever only looks may have an old one.
        expires_at: 20,
    };
    Signed::sign(&invitation, &founder).unwrap().to_bytes()
}
