//! Letters by whom they should not be, or with what they should not say: a study ends as it does without them.

use histone_contracts::book::{Book, Kind};
use histone_node::daemon::{Body, Mailbox, profile};
use histone_node::party::{Entropy, Party};
use histone_protocol::agreement::StateStatement;
use histone_protocol::evidence::Platform;
use histone_protocol::letter::{Letter, MAX_LETTER, Profile, VerifiedHead};
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::report::HostedStatement;
use histone_protocol::{Address, B256, Bytes};

use super::gathered::Gathered;
use super::outcome::LIES;
use super::small;

/// Somebody with keys who writes what it likes.
pub struct Liar {
    party: Party,
    profile: Signed<Profile>,
    number: u64,
}

impl Liar {
    /// Somebody whom nobody knows.
    fn stranger(gathered: &Gathered, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::of(gathered, Party::create(name, dir.path(), Entropy::Seed(99)).unwrap(), 0)
    }

    /// A member whose node goes on beside.
    pub fn member(gathered: &Gathered, name: &str) -> Self {
        let node = &gathered.daemons.iter().find(|d| d.node.party.name == name).unwrap().node;
        Self::of(gathered, node.party.clone(), node.roles)
    }

    fn of(gathered: &Gathered, party: Party, roles: u8) -> Self {
        let profile = profile(&party, roles, gathered.ledger.deployment().id()).unwrap();
        Self { party, profile, number: LIES }
    }

    pub fn writes(&mut self, gathered: &Gathered, place: usize, head: VerifiedHead, content: String) {
        let reader = &gathered.daemons[place].node;
        let ledger = gathered.ledger.deployment().id();
        self.number += 1;
        let letter = Letter { ledger, to: reader.party.account(), number: self.number, head, content };
        let (mailbox, key) = (reader.mailbox.address(), reader.mailbox.seal.public());
        let sealed = letter.seal(&self.party.key, mailbox, key, self.party.root()).unwrap();
        self.posts(gathered, place, &sealed);
    }

    fn posts(&self, gathered: &Gathered, place: usize, bytes: &[u8]) {
        let own = Mailbox::of(&self.party).address();
        gathered.net.link(own).post(gathered.daemons[place].node.mailbox.address(), bytes).unwrap();
    }
}

fn head(gathered: &Gathered) -> VerifiedHead {
    let head = gathered.chain.head().unwrap();
    VerifiedHead { number: head.header.number, hash: head.hash }
}

/// Everything that a letter can say, about what there is, with nothing behind it.
fn lies(liar: &Liar, book: &Book, gathered: &Gathered, place: usize) -> Vec<Body> {
    let junk = B256::repeat_byte(liar.number as u8);
    let nobody = Address::repeat_byte(liar.number as u8);
    let signature = liar.party.key.sign(junk);
    let long = "x".repeat(2_000);
    let own = gathered.daemons[place].node.party.account();
    let of_kind = |kind| book.enclaves.iter().rfind(move |e| e.kind == kind).map_or(nobody, |e| e.signer);
    let (validation, query) = (of_kind(Kind::Validation), of_kind(Kind::Query));
    let program = book.programs.iter().last().map_or(junk, |p| p.measurement);
    let dataset = book.datasets.iter().find(|d| d.owner == own).map_or(junk, |d| d.id);
    let bought = book.queries.iter().last().map_or(junk, |q| q.query);
    let round = book.rounds.iter().last().map_or(1, |r| r.round);
    let ids = gathered.daemons[place].node.store.due_letters(u64::MAX / 4, 100).unwrap();
    let statement = |donor| StateStatement { donor, state: junk, next: junk, wrong: vec![1, 9], signature };
    vec![
        Body::Receipt { letters: ids.into_iter().map(|letter| letter.id).collect() },
        Body::Welcome { certificate: Some("{}".into()) },
        Body::Welcome { certificate: None },
        Body::Audit {
            name: "logistic".into(),
            program: ProgramKind::Training,
            measurement: program,
            wasm: junk,
            source: junk,
        },
        Body::Audit {
            name: long.clone(),
            program: ProgramKind::Query,
            measurement: junk,
            wasm: junk,
            source: junk,
        },
        Body::Validate {
            enclave: validation,
            dataset: junk,
            root: junk,
            replaces: B256::ZERO,
            ciphertext: junk,
            key: vec![1; 80].into(),
        },
        Body::Validated {
            dataset,
            enclave: validation,
            root: junk,
            report: junk,
            rows: 7,
            quality: 3,
            replaces: B256::ZERO,
            signature,
        },
        Body::NotValidated { dataset, why: long.clone() },
        Body::Declined { model: 1, reasons: vec![long.clone()] },
        Body::Declined { model: liar.number, reasons: vec![] },
        Body::Said { model: 1, round, statement: statement(1) },
        Body::Said { model: 1, round: 1_000, statement: statement(2) },
        Body::Said { model: liar.number, round, statement: statement(3) },
        Body::Evaluated { model: 1, evaluation: junk },
        Body::Evaluated { model: liar.number, evaluation: junk },
        Body::WantModel { model: 1, enclave: query },
        Body::WantModel { model: 1, enclave: nobody },
        Body::WantModel { model: liar.number, enclave: nobody },
        Body::ModelKey { model: 1, enclave: query, sealed: vec![liar.number as u8; 80].into() },
        Body::ModelKey { model: liar.number, enclave: nobody, sealed: vec![3; 80].into() },
        Body::Serve { model: 1 },
        Body::Serve { model: liar.number },
        Body::Serving { model: 1, enclave: nobody },
        Body::Serving { model: liar.number, enclave: nobody },
        Body::Question {
            model: 1,
            enclave: query,
            query: bought,
            sealed: vec![5; 200].into(),
            profile: liar.profile.clone(),
        },
        Body::Question {
            model: 1,
            enclave: query,
            query: junk,
            sealed: vec![5; 200].into(),
            profile: liar.profile.clone(),
        },
        Body::Shared { model: 1, sealed: vec![9; 80].into() },
        Body::Shared { model: liar.number, sealed: vec![9; 80].into() },
    ]
    .into_iter()
    .chain(hosted_lies(liar, book, (dataset, junk)))
    .collect()
}

/// The same about the one enclave to which data is brought.
fn hosted_lies(liar: &Liar, book: &Book, (dataset, junk): (B256, B256)) -> Vec<Body> {
    let nobody = Address::repeat_byte(liar.number as u8);
    let signature = liar.party.key.sign(junk);
    let host = book.models.iter().find_map(|m| Some(m.host.as_ref()?.enclave)).unwrap_or(nobody);
    let root = book.datasets.get(&dataset).map_or(junk, |d| d.root);
    let payee = liar.party.account();
    let key: Bytes = vec![6; 80].into();
    let program = book.programs.iter().last().map_or(junk, |p| p.measurement);
    // There is one model and many that are not there.
    let model = if liar.number.is_multiple_of(2) { 1 } else { liar.number };
    let (ciphertext, decision) = (junk, junk);
    vec![
        Body::Host { model },
        Body::Hosting { model, enclave: host, waits: false },
        Body::Hosting { model, enclave: nobody, waits: true },
        Body::NotHosting { model, why: "x".repeat(2_000) },
        Body::Module { model, enclave: host, sealed: junk },
        Body::Bring { model, enclave: host, dataset, root, ciphertext, key, payee, decision },
        Body::Brought { model, dataset, signature },
        Body::NotBrought { model, dataset, why: "no".into() },
        Body::Made { model, statement: vec![123, 125].into(), unused: vec![1, 2, 3], signature: None },
        Body::Made { model, statement: vec![7; 90].into(), unused: vec![], signature: Some(signature) },
        Body::SitesEvaluated { model, evaluations: vec![junk; 5] },
        Body::AuditClosed { name: "logistic".into(), measurement: program, sealed: junk },
    ]
}

/// What is no letter's content.
fn nonsense() -> Vec<String> {
    let ids = vec![B256::repeat_byte(4); 3_000];
    vec![
        String::new(),
        "{}".into(),
        "[".repeat(50_000),
        format!("{{\"kind\":\"{}\"}}", "A".repeat(100_000)),
        format!("{{\"kind\":\"serve\",\"model\":1,\"{}\":0}}", "B".repeat(100_000)),
        "{\"kind\":\"serve\",\"model\":-1}".into(),
        serde_json::to_string(&Body::Receipt { letters: ids }).unwrap(),
    ]
}

/// A stranger and a member lie to everybody, all the time, about everything.
#[tokio::test]
async fn liars_by_mail_change_nothing() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let mut liars = [Liar::stranger(&gathered, "stranger"), Liar::member(&gathered, "ethics")];
    let mut turns = 0;
    gathered
        .run_with(async |gathered, place| {
            turns += 1;
            // Everybody hears from each now and then, at ever other moments.
            if turns > 1_000 || turns % 7 != 0 {
                return;
            }
            let book = gathered.book().await;
            let head = head(gathered);
            for liar in &mut liars {
                for lie in lies(liar, &book, gathered, place) {
                    liar.writes(gathered, place, head, serde_json::to_string(&lie).unwrap());
                }
                liar.posts(gathered, place, &[7; 3_000]);
            }
        })
        .await;
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, true, "liars");
}

/// The same where all data is brought to one enclave. Among those who lie are members who take part: an owner, the trainer, and who
/// runs the enclave, each to those who would believe the right letter of the right one.
#[tokio::test]
async fn liars_by_mail_change_nothing_in_one_enclave() {
    in_one_enclave(false).await;
}

#[tokio::test]
async fn liars_by_mail_change_nothing_of_a_closed_method() {
    in_one_enclave(true).await;
}

async fn in_one_enclave(is_closed: bool) {
    let expected = &small::undisturbed_in_one_enclave(is_closed).await.outcome;
    let mut gathered = Gathered::apart(small::one_enclave(is_closed), 1).await;
    let names = ["ethics", "north", "cloud", "institute"];
    let mut members = names.map(|name| Liar::member(&gathered, name));
    let mut turns = 0;
    gathered
        .run_with(async |gathered, place| {
            turns += 1;
            let book = gathered.book().await;
            let head = head(gathered);
            // Everybody hears everything now and then, and whoever is concerned what concerns it.
            if turns % 23 == 0 && turns < 600 {
                for lie in lies(&members[0], &book, gathered, place) {
                    members[0].writes(gathered, place, head, serde_json::to_string(&lie).unwrap());
                }
            }
            if turns % 7 == 0 && turns < 600 {
                for (liar, to, lie) in lies_of_members(&members, &book, gathered) {
                    let (place, lie) = (gathered.place_of(to), serde_json::to_string(&lie).unwrap());
                    members[liar].writes(gathered, place, head, lie);
                }
            }
        })
        .await;
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, true, "liars");
}

/// What an owner, the trainer and the runner say that is not theirs to say, or that nobody has signed.
fn lies_of_members(
    members: &[Liar; 4],
    book: &Book,
    gathered: &Gathered,
) -> Vec<(usize, &'static str, Body)> {
    let [_, north, cloud, _] = members;
    let (owner, runner, trainer) = (1, 2, 3);
    let Some(model) = book.models.iter().next() else { return Vec::new() };
    let Some(host) = model.host.as_ref().map(|host| host.enclave) else {
        // Nobody was asked but the runner, and it has an enclave of this kind to show, or none.
        let enclave = book.enclaves.iter().last().map_or(Address::ZERO, |e| e.signer);
        return vec![
            (owner, "institute", Body::Hosting { model: 1, enclave, waits: false }),
            (owner, "cloud", Body::Host { model: 1 }),
            (owner, "cloud", Body::Module { model: 1, enclave, sealed: B256::repeat_byte(9) }),
        ];
    };
    let west = gathered.daemons[gathered.place_of("west")].node.party.account();
    let Some(data) = book.datasets.iter().find(|d| d.owner == west) else { return Vec::new() };
    let (dataset, junk) = (data.id, B256::repeat_byte(8));
    let statement = HostedStatement {
        ledger: gathered.ledger.deployment().id(),
        platform: Platform::SIMULATED,
        model_id: 1,
        plan: model.plan_hash,
        model_hash: Some(junk),
        released: Some(junk),
        donors: vec![],
        destroyed: vec![],
    };
    let made = |liar: &Liar| {
        let statement = Signed::sign(&statement, &liar.party.key).unwrap().to_bytes().into();
        let signature = Some(liar.party.key.sign(junk));
        Body::Made { model: 1, statement, unused: vec![1], signature }
    };
    let no_model = HostedStatement { model_hash: None, ..statement.clone() };
    let no_model = Signed::sign(&no_model, &cloud.party.key).unwrap().to_bytes().into();
    let bring = Body::Bring {
        model: 1,
        enclave: host,
        dataset,
        root: data.root,
        ciphertext: junk,
        key: vec![1; 80].into(),
        payee: north.party.account(),
        decision: junk,
    };
    let brought = |liar: &Liar| Body::Brought { model: 1, dataset, signature: liar.party.key.sign(junk) };
    let shared = Body::Shared { model: 1, sealed: vec![3; 80].into() };
    vec![
        (owner, "cloud", bring),
        (owner, "cloud", Body::Module { model: 1, enclave: host, sealed: junk }),
        (owner, "institute", made(north)),
        (owner, "institute", Body::SitesEvaluated { model: 1, evaluations: vec![junk] }),
        (owner, "west", brought(north)),
        (owner, "west", Body::NotBrought { model: 1, dataset, why: "it does not fit".into() }),
        (owner, "west", shared.clone()),
        (runner, "institute", made(cloud)),
        (runner, "institute", Body::Made { model: 1, statement: no_model, unused: vec![], signature: None }),
        (runner, "institute", Body::Hosting { model: 1, enclave: Address::repeat_byte(1), waits: false }),
        (runner, "west", brought(cloud)),
        (trainer, "cloud", Body::Module { model: 1, enclave: host, sealed: junk }),
        (trainer, "cloud", Body::Host { model: 1 }),
        (trainer, "west", Body::NotBrought { model: 1, dataset, why: "it does not fit".into() }),
        (trainer, "west", shared),
    ]
}

/// What is not understood is said in short, and costs no more than that.
#[tokio::test]
async fn nonsense_by_mail() {
    let gathered = Gathered::of(small::study(), 1).await;
    let mut gathered = gathered;
    gathered.run_without(usize::MAX).await;
    let mut liars = [Liar::stranger(&gathered, "stranger"), Liar::member(&gathered, "ethics")];
    let place = 2;
    for liar in &mut liars {
        for text in nonsense() {
            liar.writes(&gathered, place, head(&gathered), text);
        }
        liar.posts(&gathered, place, &[]);
        liar.posts(&gathered, place, &vec![0; MAX_LETTER]);
    }
    let before = gathered.daemons[place].node.store.last_note().unwrap();
    gathered.turn(place).await.unwrap();
    let store = &gathered.daemons[place].node.store;
    let notes = store.notes(before, 1_000).unwrap();
    let longest = notes.iter().map(|note| note.text.len()).max().unwrap();
    assert!(longest < 2_000, "{longest}");
    assert!(store.unread().unwrap().is_empty());
}

/// Whoever writes without end fills no more than its own room, and nobody waits for it. What would be read only when the ledger has
/// grown for ever is kept like this: for nothing else a letter can be made to wait.
#[tokio::test]
async fn floods_by_mail() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let mut liars = [Liar::stranger(&gathered, "stranger"), Liar::member(&gathered, "ethics")];
    let runner = 2;
    let padding = "x".repeat(20_000);
    let (mut passes, mut most) = (0, 0);
    gathered
        .run_with(async |gathered, place| {
            passes += usize::from(place == 0);
            if place > 0 || !(3..10).contains(&passes) {
                return;
            }
            // Letters that wait for a block which is not there yet, and such for one that never comes.
            let soon = gathered.chain.head().unwrap().header.number + 200;
            for liar in &mut liars {
                for number in 0..50 {
                    let reasons = vec![padding.clone()];
                    let lies = [Body::Serve { model: number }, Body::Declined { model: 1, reasons }];
                    for (place, lie) in [runner, 10].into_iter().zip(&lies) {
                        for number in [soon, u64::MAX] {
                            let later = VerifiedHead { number, hash: B256::ZERO };
                            liar.writes(gathered, place, later, serde_json::to_string(lie).unwrap());
                        }
                    }
                }
            }
            for daemon in &gathered.daemons {
                let unread = daemon.node.store.unread().unwrap();
                most = most.max(unread.iter().filter(|letter| letter.number > LIES).count());
                assert!(unread.iter().all(|letter| letter.head_number < u64::MAX));
            }
        })
        .await;
    assert!((256..=512).contains(&most), "{most}");
    for daemon in &gathered.daemons {
        let store = &daemon.node.store;
        assert!(
            daemon.stumbles().is_empty() && store.undelivered().unwrap().is_empty(),
            "{}",
            gathered.told()
        );
        assert!(store.unread().unwrap().iter().all(|letter| letter.number > LIES));
    }
    gathered.outcome().await.is(expected, true, "floods");
}
