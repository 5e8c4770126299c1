//! Events, as they happen and after a break.

use std::io::Read as _;
use std::time::{Duration, Instant};

use histone_node::store::Level;
use serde_json::json;

use super::{NOW, Served};

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
