//! What a hub refuses, and how it says so.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use histone_network::hub::{Limits, Standing};
use histone_network::{Network as _, NetworkError};
use histone_protocol::Address;
use histone_protocol::hash::blob_hash;
use histone_protocol::letter::letter_id;

use crate::support::{TestHub, bytes, key};

/// Every route, without a session, with a wrong one, and with one.
#[test]
fn who_may_ask_what() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let token = session(&hub, 1);
    let zero = "00".repeat(32);
    let mailbox = "11".repeat(20);
    let empty = format!("{:x}", blob_hash(b""));
    let routes: Vec<(&str, String, u16)> = vec![
        ("GET", "/v1/mail".into(), 200),
        ("POST", "/v1/mail/discard".into(), 400),
        ("POST", format!("/v1/mail/{mailbox}"), 200),
        ("GET", "/v1/wait?head=0&seconds=0".into(), 200),
        ("GET", "/v1/wait?head=-1&seconds=0".into(), 400),
        ("GET", "/v1/wait".into(), 400),
        ("GET", format!("/v1/blobs/{zero}"), 404),
        ("GET", "/v1/blobs/..%2f..%2fmail.sqlite".into(), 400),
        ("GET", format!("/v1/blobs/{zero}/upload"), 200),
        ("PUT", format!("/v1/blobs/{zero}/upload?total=0&at=0"), 422),
        ("PUT", format!("/v1/blobs/{zero}/upload?total=9&at=5"), 409),
        ("PUT", format!("/v1/blobs/{zero}/upload?total=99999999999&at=0"), 413),
        ("PUT", format!("/v1/blobs/{zero}/upload?total=1"), 400),
        ("PUT", format!("/v1/blobs/{empty}/upload?total=0&at=0"), 200),
        ("POST", "/v1/rpc".into(), 404),
        ("POST", "/v1/mail/xyz".into(), 400),
    ];
    for (method, path, status) in routes {
        let ask = |token: &str| {
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n");
            hub.raw(&format!("{head}{token}\r\n"))
        };
        for token in ["", "authorization: Bearer 00\r\n", "authorization: Basic eDp4\r\n"] {
            is(&ask(token), 401, "sign a new challenge");
        }
        is(&ask(&format!("authorization: Bearer {token}\r\n")), status, "");
    }
    for (request, status, why) in [
        ("GET /v1/nothing", 404, "nothing at this path"),
        ("DELETE /v1/mail", 405, "not asked by this method"),
        ("GET /", 404, "nothing at this path"),
    ] {
        is(&hub.raw(&format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")), status, why);
    }
    let odd = hub.raw("GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    is(&odd, 200, "\"hub\":\"histone\"");
}

#[test]
fn what_is_announced_too_long_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let token = session(&hub, 1);
    let zero = "00".repeat(32);
    for path in [
        format!("POST /v1/mail/{}", "11".repeat(20)),
        "POST /v1/mail/discard".into(),
        format!("PUT /v1/blobs/{zero}/upload?total=1000000000&at=0"),
        "POST /v1/session".into(),
        "POST /v1/session/challenge".into(),
    ] {
        let started = Instant::now();
        let answer = hub.raw(&format!(
            "{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 1000000000\r\n\r\n"
        ));
        is(&answer, 413, "at most");
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    // Not announced, and too long all the same.
    let mut stream = TcpStream::connect(hub.address).unwrap();
    write!(stream, "POST /v1/session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let _ = stream.write_all(chunk.as_bytes());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// A token opens one mailbox, a signature one session.
#[test]
fn nobody_reads_or_discards_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let (a, b) = (hub.net(1), hub.net(2));
    a.post(b.mailbox(), b"for b").unwrap();
    a.discard(&[letter_id(b"for b")]).unwrap();
    assert!(a.collect().unwrap().is_empty());
    assert_eq!(b.collect().unwrap().len(), 1);
    // The signature of one for the mailbox of another.
    let (identity, challenge) = challenge(&hub, b.mailbox());
    let forged = signed(1, b.mailbox(), &identity, &challenge);
    is(&post(&hub, "/v1/session", &forged), 403, "not of the key of this mailbox");
    let good = signed(2, b.mailbox(), &identity, &challenge);
    is(&post(&hub, "/v1/session", &good), 200, "token");
    is(&post(&hub, "/v1/session", &good), 401, "answered before");
    // One that was signed for another hub.
    let elsewhere = TestHub::start(&dir.path().join("elsewhere"));
    let (_, challenge) = self::challenge(&elsewhere, b.mailbox());
    let other = signed(2, b.mailbox(), &identity, &challenge);
    is(&post(&elsewhere, "/v1/session", &other), 403, "not of the key");
    let (identity, challenge) = self::challenge(&hub, b.mailbox());
    hub.time.fetch_add(200, Ordering::SeqCst);
    is(
        &post(&hub, "/v1/session", &signed(2, b.mailbox(), &identity, &challenge)),
        401,
        "older than two minutes",
    );
}

#[test]
fn guests_may_do_little() {
    let dir = tempfile::tempdir().unwrap();
    let member = key(9).address();
    let hub = TestHub::with(dir.path(), |options| {
        options.members = Some(Arc::new(move |mailbox| mailbox == member));
        options.others = Standing::Guest;
        options.limits = Limits { guest_each: 2, guest_waiting: 3, guest_hourly: 6.0, ..Limits::default() };
    });
    let (a, b, c, m) = (hub.net(1), hub.net(2), hub.net(3), hub.net(9));
    let to = m.mailbox();
    let busy = |error: NetworkError, why: &str| {
        assert!(matches!(&error, NetworkError::Busy { after: Some(_), .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    };
    a.post(to, b"1").unwrap();
    a.post(to, b"1").unwrap();
    a.post(to, b"2").unwrap();
    busy(a.post(to, b"3").unwrap_err(), "2 letters of this guest wait");
    b.post(to, b"4").unwrap();
    busy(c.post(to, b"5").unwrap_err(), "3 letters of guests wait");
    m.discard(&[letter_id(b"1")]).unwrap();
    c.post(to, b"5").unwrap();
    // Members are not kept out by guests, and write to guests.
    m.post(to, &bytes(1 << 20)).unwrap();
    m.post(a.mailbox(), b"welcome").unwrap();
    assert_eq!(a.collect().unwrap().len(), 1);
    for n in 0..2_u8 {
        a.post(key(20 + n).address(), b"x").unwrap();
    }
    busy(a.post(key(30).address(), b"x").unwrap_err(), "a few letters in an hour");
    // What is padded to 64 KiB, and sealed.
    let most = (64 << 10) + histone_protocol::seal::OVERHEAD;
    let long = b.post(to, &bytes(most + 1)).unwrap_err();
    assert!(long.to_string().contains(&format!("a letter of a guest has at most {most} bytes")), "{long}");
    b.post(key(40).address(), &bytes(most)).unwrap();
    b.offer(&bytes(64 << 10)).unwrap();
    let large = b.offer(&bytes((64 << 10) + 1)).unwrap_err();
    assert!(large.to_string().contains("a blob of a guest has at most"), "{large}");
    for n in 1..16 {
        b.offer(&bytes((64 << 10) - n)).unwrap();
    }
    busy(b.offer(&bytes(1 << 15)).unwrap_err(), "as much as it may in a day");
    m.offer(&bytes(3 << 20)).unwrap();
    assert!(b.fetch(blob_hash(&bytes(3 << 20))).unwrap().is_some());
}

/// Whoever is admitted need not open a new session, and whoever is expelled loses what members may.
#[test]
fn standing_is_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let member = Arc::new(std::sync::Mutex::new(None::<Address>));
    let known = member.clone();
    let hub = TestHub::with(dir.path(), |options| {
        options.members = Some(Arc::new(move |mailbox| *known.lock().unwrap() == Some(mailbox)));
        options.others = Standing::Guest;
    });
    let a = hub.net(1);
    let large = bytes(100 << 10);
    assert!(a.post(a.mailbox(), &large).is_err());
    *member.lock().unwrap() = Some(a.mailbox());
    hub.time.fetch_add(60, Ordering::SeqCst);
    a.post(a.mailbox(), &large).unwrap();
    *member.lock().unwrap() = None;
    hub.time.fetch_add(60, Ordering::SeqCst);
    assert!(a.post(a.mailbox(), &large[1..]).is_err());
}

#[test]
fn members_have_quotas() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::with(dir.path(), |options| {
        options.limits =
            Limits { pair_bytes: 3 << 20, disk: 8 << 20, member_daily: 6 << 20, ..Limits::default() };
    });
    let (a, b) = (hub.net(1), hub.net(2));
    a.post(b.mailbox(), &bytes(2 << 20)).unwrap();
    let full = a.post(b.mailbox(), &bytes((1 << 20) + 1)).unwrap_err();
    assert!(full.is_temporary() && full.to_string().contains("of this sender in the mailbox"), "{full}");
    b.post(a.mailbox(), &bytes(2 << 20)).unwrap();
    a.offer(&bytes(3 << 20)).unwrap();
    let full = a.offer(&bytes((3 << 20) + 1)).unwrap_err();
    assert!(full.is_temporary() && full.to_string().contains("disk space"), "{full}");
    let full = b.post(a.mailbox(), &bytes(1_000_000)).map_err(|error| error.to_string());
    assert_eq!(full, Ok(()));
    let full = b.post(a.mailbox(), &bytes(1_000_001)).unwrap_err();
    assert!(full.to_string().contains("disk space"), "{full}");
}

#[test]
fn floods_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::with(dir.path(), |options| {
        options.limits =
            Limits { sessions: 3.0, connections_each: 5, member_calls: 1.0, ..Limits::default() };
    });
    let a = hub.net(1);
    // The clock stands still: what is used up does not come back.
    for _ in 0..20 {
        a.collect().unwrap();
    }
    let often = a.collect().unwrap_err();
    assert!(
        matches!(&often, NetworkError::Busy { after: Some(after), .. } if after.as_secs() == 1),
        "{often:?}"
    );
    hub.time.fetch_add(1, Ordering::SeqCst);
    a.collect().unwrap();
    for n in 2..4 {
        hub.net(n).collect().unwrap();
    }
    let many = hub.net(4).collect().unwrap_err();
    assert!(many.to_string().contains("too many sessions are opened from this address"), "{many}");
    hub.time.fetch_add(60, Ordering::SeqCst);
    hub.net(4).collect().unwrap();
    // Connections that say nothing; when those of before have ended.
    drop(a);
    std::thread::sleep(Duration::from_millis(200));
    let silent: Vec<_> = (0..5).map(|_| TcpStream::connect(hub.address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(100));
    is(&hub.raw("GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 503, "");
    drop(silent);
    std::thread::sleep(Duration::from_millis(100));
    is(&hub.raw("GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 200, "identity");
}

/// Whatever comes, the hub answers and lives.
#[test]
fn odd_requests_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::with(dir.path(), |options| options.limits.sessions = 10_000.0);
    let token = session(&hub, 1);
    for path in ["/v1/session", "/v1/session/challenge", "/v1/mail/discard"] {
        for body in ["", "x", "[]", "{}", "null", "{\"mailbox\":\"0x\"}", "[\"0x00\"]", &"[".repeat(900)] {
            let answer = hub.raw(&format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
            let fine = path.ends_with("discard") && body == "[]";
            is(&answer, if fine { 200 } else { 400 }, "");
        }
    }
    for raw in [
        "\0\0\0\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(hub.address).unwrap();
        stream.write_all(raw.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let range = |range: &str| {
        let hash = blob_hash(b"hello");
        hub.raw(&format!(
            "GET /v1/blobs/{hash:x} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nrange: {range}\r\nconnection: close\r\n\r\n"
        ))
    };
    hub.net(2).offer(b"hello").unwrap();
    is(&range("bytes=1-2"), 206, "\r\n\r\nel");
    is(&range("bytes=1-"), 206, "ello");
    is(&range("bytes=1-99"), 206, "content-range: bytes 1-4/5");
    is(&range("bytes=5-"), 416, "content-range: bytes */5");
    is(&range("bytes=x"), 200, "hello");
    assert!(hub.net(3).collect().unwrap().is_empty());
}

/// The status of an answer, and words in it. A refusal of a hub has one sentence.
fn is(answer: &str, status: u16, words: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words),
        "{status}: {answer}"
    );
    assert!(answer.contains("histone-hub: 1"), "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    if status >= 400 && status != 503 {
        assert!(body.starts_with("{\"error\":\""), "{answer}");
    }
    if status == 429 || status == 503 {
        assert!(answer.contains("retry-after: "), "{answer}");
    }
}

fn post(hub: &TestHub, path: &str, body: &str) -> String {
    let length = body.len();
    hub.raw(&format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

fn field(answer: &str, name: &str) -> String {
    let at = answer.find(&format!("\"{name}\":\"")).unwrap();
    answer[at..].split('"').nth(3).unwrap().to_owned()
}

fn challenge(hub: &TestHub, mailbox: Address) -> (String, String) {
    let answer = post(hub, "/v1/session/challenge", &format!("{{\"mailbox\":\"{mailbox}\"}}"));
    (field(&answer, "identity"), field(&answer, "challenge"))
}

fn signed(n: u8, mailbox: Address, identity: &str, challenge: &str) -> String {
    let identity: histone_protocol::B256 = identity.parse().unwrap();
    // Written out here: what is signed is a promise to other clients.
    let digest = histone_protocol::hash::tagged_hash(
        "histone/hub-session/v1",
        &[identity.as_slice(), mailbox.as_slice(), challenge.as_bytes()],
    );
    let signature = key(n).sign(digest);
    format!("{{\"mailbox\":\"{mailbox}\",\"challenge\":\"{challenge}\",\"signature\":\"{signature:?}\"}}")
}

fn session(hub: &TestHub, n: u8) -> String {
    let mailbox = key(n).address();
    let (identity, challenge) = challenge(hub, mailbox);
    field(&post(hub, "/v1/session", &signed(n, mailbox, &identity, &challenge)), "token")
}
