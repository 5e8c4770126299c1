//! What is asked, and what comes back.

use histone_node::api::MAX_DECISION;
use histone_node::store::Level;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use super::{NOW, Served};

#[test]
fn status_letters_and_figures() {
    let served = Served::start();
    let fresh = served.get("/v1/status").json();
    let expected = json!({ "now": NOW, "running": false, "questions": 0, "wishes": 0, "letters": 0, "proposals": 0, "said": null });
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
        ("withdraw", json!({ "dataset": B256::ZERO })),
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
        ("withdraw", json!({ "dataset": "0x1" })),
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
    // Whoever only looks does not get to know what is asked of models, and what these answer.
    let look = |path: &str| served.ask(&format!("GET {path}"), "api.reader.token", b"").json();
    let seen = look("/v1/wishes/1");
    assert_eq!(
        [&seen["state"], &seen["what"], &seen["outcome"]],
        [&json!("done"), &json!(null), &json!(null)]
    );
    let all = look("/v1/wishes");
    assert!(all["wishes"].as_array().unwrap().iter().all(|w| w["what"].is_null() && w["outcome"].is_null()));
    let mut events = served.follow("api.reader.token", Some("0-1-1"));
    assert_eq!(events.named("what", "outcome"), ("wish".into(), json!(null), json!(null)));
    served.get("/v1/wishes/99").refused(404);
    served.get("/v1/wishes/x").refused(404);
    let numbers = |path: &str| -> Vec<u64> {
        let found = served.get(path).json();
        found["wishes"].as_array().unwrap().iter().map(|w| w["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("/v1/wishes"), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(numbers("/v1/wishes?open=true"), [3, 4, 5, 6, 7, 8]);
    assert_eq!(numbers("/v1/wishes?kind=claim"), [2, 3]);
    assert_eq!(numbers("/v1/wishes?most=2"), [7, 8]);
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
