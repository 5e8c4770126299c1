//! Ways to a hub that hospitals have, and what is said when one does not lead there.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use histone_network::client::{HubNet, HubOptions, NodeClient};
use histone_network::hub::{Options, Tls};
use histone_network::{Network as _, NetworkError};
use histone_protocol::B256;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::between::{Connect, Line, always};
use crate::support::{TestHub, key};

/// An authority of a hospital's own, and certificates of it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    fn certify(&self, dir: &Path, name: &str) -> Tls {
        self.certify_for(dir, name, (2020, 2100))
    }

    fn certify_for(&self, dir: &Path, name: &str, (from, to): (i32, i32)) -> Tls {
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let tls = Tls { certificates: dir.join("hub.crt"), key: dir.join("hub.key") };
        fs::write(&tls.certificates, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&tls.key, key.serialize_pem()).unwrap();
        tls
    }
}

fn served(dir: &Path, tls: Tls) -> TestHub {
    TestHub::with(&dir.join("hub"), |options: &mut Options| options.tls = Some(tls))
}

fn to(url: String) -> HubOptions {
    HubOptions { patience: Duration::from_secs(5), ..HubOptions::new(url, key(1)) }
}

fn says(options: HubOptions) -> String {
    let said = match HubNet::new(options) {
        Ok(net) => net.collect().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(!said.contains('\n'), "{said}");
    said
}

fn contains(said: &str, words: &[&str]) {
    assert!(words.iter().all(|words| said.contains(words)), "{said}");
}

#[test]
fn an_authority_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "Hospital CA");
    let hub = served(dir.path(), authority.certify(dir.path(), "localhost"));
    let port = hub.address.port();
    let trusting = |url: String| HubOptions { ca: Some(authority.file.clone()), ..to(url) };
    let net = HubNet::new(trusting(format!("https://localhost:{port}"))).unwrap();
    net.post(net.mailbox(), b"x").unwrap();
    assert_eq!(net.collect().unwrap().len(), 1);
    assert_eq!(net.issuer().unwrap(), "Hospital CA");
    contains(
        &says(to(format!("https://localhost:{port}"))),
        &["`localhost` is issued by `Hospital CA`", "does not trust", "with `ca`"],
    );
    contains(&says(trusting(format!("https://127.0.0.1:{port}"))), &["is for another name than `127.0.0.1`"]);
    contains(&says(to(format!("http://localhost:{port}"))), &["does not speak HTTP", "use https://"]);
    let plain = TestHub::start(&dir.path().join("plain"));
    contains(
        &says(trusting(format!("https://localhost:{}", plain.address.port()))),
        &["does not speak TLS", "is the port right"],
    );
    let missing = HubOptions { ca: Some("/nowhere.pem".into()), ..to("https://localhost".into()) };
    contains(&says(missing), &["/nowhere.pem", "PEM"]);
    let empty = dir.path().join("empty.pem");
    fs::write(&empty, "hello").unwrap();
    let empty = HubOptions { ca: Some(empty), ..to("https://localhost".into()) };
    contains(&says(empty), &["empty.pem` holds no certificate"]);
}

#[test]
fn certificates_are_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let old = Authority::new(dir.path(), "Old CA");
    let new = Authority::new(dir.path(), "New CA");
    let hub = served(dir.path(), old.certify_for(dir.path(), "localhost", (2000, 2001)));
    let url = format!("https://localhost:{}", hub.address.port());
    let with = |authority: &Authority| HubOptions { ca: Some(authority.file.clone()), ..to(url.clone()) };
    contains(&says(with(&old)), &["issued by `Old CA`", "has expired", "is the clock right"]);
    // Half of it: the old one stays.
    let tls = new.certify(dir.path(), "localhost");
    let key = fs::read(&tls.key).unwrap();
    fs::write(&tls.key, "half").unwrap();
    hub.time.fetch_add(10, Ordering::SeqCst);
    contains(&says(with(&old)), &["has expired"]);
    fs::write(&tls.key, key).unwrap();
    hub.time.fetch_add(10, Ordering::SeqCst);
    HubNet::new(with(&new)).unwrap().collect().unwrap();
    new.certify_for(dir.path(), "localhost", (2090, 2100));
    hub.time.fetch_add(10, Ordering::SeqCst);
    contains(&says(with(&new)), &["not valid yet", "is the clock right"]);
}

#[test]
fn through_a_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path(), "Hospital CA");
    let hub = served(dir.path(), authority.certify(dir.path(), "localhost"));
    let url = format!("https://localhost:{}", hub.address.port());
    let through = |proxy: String| HubOptions {
        ca: Some(authority.file.clone()),
        proxy: Some(proxy),
        ..to(url.clone())
    };
    let proxy = Connect::start(None, true);
    let net = HubNet::new(through(format!("http://{}", proxy.address))).unwrap();
    net.post(net.mailbox(), b"x").unwrap();
    assert_eq!(net.collect().unwrap().len(), 1);
    assert_eq!(proxy.asked.lock().unwrap()[0], format!("localhost:{}", hub.address.port()));
    // Base64 of `site:secret`.
    let login = Connect::start(Some("Basic c2l0ZTpzZWNyZXQ="), true);
    HubNet::new(through(format!("http://site:secret@{}", login.address))).unwrap().collect().unwrap();
    let said = says(through(format!("http://site:wrong@{}", login.address)));
    contains(&said, &["wants a login", &login.address.to_string()]);
    assert!(!said.contains("wrong"), "{said}");
    let forbids = Connect::start(None, false);
    contains(&says(through(format!("http://{}", forbids.address))), &["403", "allow `localhost`"]);
    let closed = free_port();
    contains(&says(through(format!("http://127.0.0.1:{closed}"))), &["proxy 127.0.0.1", "does not listen"]);
    contains(&says(through("x y".into())), &["the proxy is not of the form"]);
    // None in any case.
    HubNet::new(through("none".into())).unwrap().collect().unwrap();
}

#[test]
fn what_is_no_hub() {
    let page = |answer| says(to(format!("http://{}", always(answer))));
    contains(
        &page(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 22\r\n\r\n<html>Welcome</html>\r\n",
        ),
        &["is not what a hub answers", "text/html", "<html>Welcome"],
    );
    contains(
        &page("HTTP/1.1 302 Found\r\nlocation: https://login.example.org/?x\r\ncontent-length: 0\r\n\r\n"),
        &["https://login.example.org/?x", "login page of your network"],
    );
    contains(&page("HTTP/1.1 511 Network\r\ncontent-length: 0\r\n\r\n"), &["login first", "browser"]);
    let away = page("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 5\r\n\r\nnginx");
    contains(&away, &["cannot be reached", "status 502", "is the hub running?"]);
    contains(&page("SSH-2.0-OpenSSH_9.9\r\n"), &["does not speak HTTP"]);
    contains(&page(""), &["broke off"]);
    contains(
        &page("HTTP/1.1 200 OK\r\nhistone-hub: 1\r\ncontent-length: 2\r\n\r\n{}"),
        &["no JSON as a hub writes it"],
    );
    contains(
        &page("HTTP/1.1 200 OK\r\nhistone-hub: 1\r\ncontent-length: 999999999\r\n\r\n{}"),
        &["http://127.0.0.1"],
    );
    contains(
        &page("HTTP/1.1 418 X\r\nhistone-hub: 1\r\ncontent-length: 22\r\n\r\n{\"error\":\"a\\n\\u001bb\"}"),
        &["refuses: a b"],
    );
}

#[test]
fn addresses_that_lead_nowhere() {
    for (url, words) in [
        ("hub.example.org", &["is not an address", "https://HOST"][..]),
        ("ftp://hub.example.org", &["is not an address"]),
        ("", &["is not an address"]),
        ("https://user:secret@hub.example.org", &["user's name"]),
        ("https://hub.example.org/?a=b", &["a question"]),
        ("http://hub.example.org", &["no encryption", "use https://hub.example.org"]),
    ] {
        let said = says(to(url.into()));
        contains(&said, words);
        assert!(!said.contains("secret"), "{said}");
    }
    // That name is promised to be nobody's.
    let unknown = HubOptions { proxy: Some("none".into()), ..to("https://hub.invalid".into()) };
    contains(&says(unknown), &["`hub.invalid` is not known here"]);
    let closed = free_port();
    contains(&says(to(format!("http://127.0.0.1:{closed}"))), &["nothing listens", "is the hub running"]);
    // One that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let hasty = HubOptions { patience: Duration::from_millis(300), ..to(format!("http://{address}")) };
    contains(&says(hasty), &["no answer in time"]);
    let other = HubOptions { insecure_http: true, ..to(format!("http://127.0.0.1:{closed}/prefix/")) };
    contains(&says(other), &["nothing listens"]);
}

#[test]
fn a_hub_with_another_identity() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let identity = hub.net(1).health().unwrap().identity;
    let with = |identity| HubOptions { identity: Some(identity), ..to(hub.url()) };
    HubNet::new(with(identity)).unwrap().collect().unwrap();
    contains(&says(with(B256::ZERO)), &["identity", "ask its operator"]);
}

/// A proxy that cuts what is silent: the wait is over, and the next one is shorter.
#[test]
fn silence_that_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let line = Line::silent(hub.address, Duration::from_millis(2_500));
    let net = HubNet::new(to(format!("http://{}", line.address))).unwrap();
    net.collect().unwrap();
    for _ in 0..2 {
        assert_eq!(net.wait(0, Duration::from_secs(50)).unwrap(), Default::default());
    }
    assert_eq!(line.made.load(Ordering::SeqCst), 2, "the second wait was not cut");
}

#[test]
fn a_node_of_a_ledger() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntrue";
    let node = |address: String| {
        NodeClient::new(&address, None, None, Duration::from_secs(5)).and_then(|node| node.call(b"{}"))
    };
    assert_eq!(node(format!("http://{}/key", always(answer))).unwrap(), b"true");
    let closed = node(format!("http://127.0.0.1:{}/secret", free_port())).unwrap_err();
    assert!(closed.is_temporary() && !closed.to_string().contains("secret"), "{closed}");
    let refused =
        node(format!("http://{}", always("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"))).unwrap_err();
    assert!(matches!(refused, NetworkError::Refused { .. }));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
