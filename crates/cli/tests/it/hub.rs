//! A served hub, as parties meet it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use histone_network::Network as _;
use histone_network::client::{HubNet, HubOptions};
use histone_protocol::keys::SigningKey;
use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Ran, histone};

pub struct Hub {
    child: Child,
    served: Value,
}

impl Hub {
    pub fn start(dir: &Path, further: &[&str]) -> Self {
        Self::with(histone(), dir, further)
    }

    fn with(mut command: Command, dir: &Path, further: &[&str]) -> Self {
        command.args(["hub", "serve", "--json", "--dir"]).arg(dir).args(further);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, served: serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")) }
    }

    pub fn url(&self) -> &str {
        self.served["hub"].as_str().unwrap()
    }

    fn port(&self) -> String {
        self.url().rsplit(':').next().unwrap().to_owned()
    }

    pub fn net(&self, n: u8) -> HubNet {
        HubNet::new(HubOptions::new(self.url(), SigningKey::from_bytes(&[n; 32]).unwrap())).unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asked(net: &HubNet, method: &str) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] });
    let answer: Value = serde_json::from_slice(&net.rpc(request.to_string().as_bytes()).unwrap()).unwrap();
    answer["result"].clone()
}

/// `kill -9` takes nothing from it that it said it has; SIGTERM ends it well.
#[test]
fn a_hub_survives_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("hub");
    let mut hub = Hub::start(&dir, &["--port", "0", "--chain-id", "77"]);
    let (a, b) = (hub.net(1), hub.net(2));
    assert_eq!(asked(&a, "eth_chainId"), "0x4d");
    a.post(b.mailbox(), b"letter").unwrap();
    a.offer(b"blob").unwrap();
    let health = a.health().unwrap();
    assert_eq!((health.letters, health.head), (1, Some(0)));
    hub.child.kill().unwrap();
    hub.child.wait().unwrap();
    let port = hub.port();
    let mut again = Hub::start(&dir, &["--port", &port]);
    assert_eq!(again.served, hub.served);
    assert_eq!(b.collect().unwrap(), [b"letter".to_vec()]);
    assert_eq!(b.fetch(histone_protocol::hash::blob_hash(b"blob")).unwrap().unwrap(), b"blob");
    // The sequencer's key is in a file of its own, and no other secret is there.
    assert!(dir.join("ledger.private/sequencer.key").exists());
    // One hub in a directory.
    let second = Ran::of(histone().args(["hub", "serve", "--port", "0", "--dir"]).arg(&dir));
    second.error();
    let other_id = Ran::of(histone().args(["hub", "serve", "--port", &port, "--dir"]).arg(&dir));
    assert!(other_id.error().contains("another program listens"), "{other_id:?}");
    #[cfg(unix)]
    {
        let ended = std::process::Command::new("kill").arg(again.child.id().to_string()).status().unwrap();
        assert!(ended.success());
        assert_eq!(again.child.wait().unwrap().code(), Some(0));
    }
    let _ = again.child.kill();
    let _ = again.child.wait();
    let other_id =
        Ran::of(histone().args(["hub", "serve", "--port", "0", "--chain-id", "78", "--dir"]).arg(&dir));
    assert!(other_id.error().contains("holds a chain with id 77, not 78"), "{other_id:?}");
    fs::remove_dir_all(dir.join("ledger.private")).unwrap();
    let no_key = Ran::of(histone().args(["hub", "serve", "--port", "0", "--dir"]).arg(&dir));
    assert!(no_key.error().contains("but not its key"), "{no_key:?}");
}

#[test]
fn a_hub_passes_requests_on_to_a_node() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start(&home.path().join("hub"), &["--port", "0", "--rpc", &server.url]);
    assert_eq!(hub.served["rpc"], server.url);
    let net = hub.net(1);
    assert_eq!(asked(&net, "eth_blockNumber"), "0x0");
    let waiting = std::thread::spawn(move || {
        let woken = net.wait(0, Duration::from_secs(50)).unwrap();
        (woken, Instant::now())
    });
    server.deploy(&server.key(0), &[]);
    let (woken, at) = waiting.join().unwrap();
    assert!(woken.blocks && !woken.letters && at.elapsed() < Duration::from_secs(20));
    let net = hub.net(2);
    assert_ne!(asked(&net, "eth_blockNumber"), "0x0");
    drop(server);
    let away = net.rpc(b"{}").unwrap_err();
    assert!(away.is_temporary() && away.to_string().contains("way to the ledger fails"), "{away}");
}

/// The way out of a hospital is in the environment, as for its other programs; names are left to the proxy.
#[test]
fn the_environment_names_a_proxy() {
    let home = tempfile::tempdir().unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let with = |no_proxy: &str| {
        let mut command = histone();
        for name in ["ALL_PROXY", "all_proxy", "https_proxy", "no_proxy"] {
            command.env_remove(name);
        }
        let address = format!("http://{}", proxy.local_addr().unwrap());
        command.env("HTTPS_PROXY", address).env("NO_PROXY", no_proxy);
        Hub::with(command, &home.path().join(no_proxy), &["--port", "0", "--rpc", "https://node.invalid"])
    };
    let hub = with("example.org");
    // It asks for the newest block by itself.
    let mut line = String::new();
    BufReader::new(proxy.accept().unwrap().0).read_line(&mut line).unwrap();
    assert_eq!(line, "CONNECT node.invalid:443 HTTP/1.1\r\n");
    drop(hub);
    let hub = with("node.invalid");
    let error = hub.net(1).rpc(b"{}").unwrap_err().to_string();
    assert!(error.contains("`node.invalid` is not known here"), "{error}");
}

#[test]
fn what_cannot_be_served_is_said() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let at = |dir: &Path, arguments: &[&str]| {
        Ran::of(histone().args(["hub", "serve", "--port", "0", "--dir"]).arg(dir).args(arguments))
    };
    assert!(at(path, &[]).error().contains("holds something else than a hub"));
    assert_eq!(fs::read_dir(path).unwrap().count(), 1, "nothing was made");
    let new = path.join("hub");
    for (arguments, why) in [
        (&["--tls-cert", "/nowhere.crt", "--tls-key", "/nowhere.key"][..], "cannot read `/nowhere.crt`"),
        (&["--rpc", "localhost:8545"], "is not an address"),
        (&["--rpc", "ftp://x"], "is not an address"),
    ] {
        let ran = at(&new, arguments);
        assert!(ran.error().contains(why), "{ran:?}");
    }
    for arguments in [
        &["--tls-cert", "x"][..],
        &["--tls-key", "x"],
        &["--behind-proxy", "--tls-cert", "x", "--tls-key", "y"],
        &["--rpc", "http://x", "--chain-id", "1"],
        &["--disk", "0"],
        &["--host", "example.org"],
    ] {
        assert_eq!(at(&new, arguments).code, Some(2), "{arguments:?}");
    }
}
