//! The power fails at any step of what a party writes: 1,000 disks as they may be then, each opened again.
//!
//! Recorded is what really reaches the C library, from the party's files and from SQLite. What this shows: with the syncs that are
//! there, in the order in which they are, whatever a call has kept when it returned is there, and of a call that was interrupted all
//! or nothing is. It is shown as well that the same images find the loss when a sync is left out. What it does not show: disks that
//! say "synced" and lie, file systems that keep less than [`image`] says, directories that are lost themselves, a second failure
//! while the first one is mended, and bits that rot.
//!
//! A binary of its own: functions of the C library are replaced in it, which the other tests should not run under.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

mod image;
mod layer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use histone_network::{read_durable, write_whole};
use histone_node::home::{Home, HomeError, Protection, Settings};
use histone_node::party::{Entropy, Party, PartyError};
use histone_node::store::{Answer, Incoming, Level, Prepared, Question, Store, StoreFault};
use histone_protocol::record::LedgerId;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};
use rusqlite::Connection;
use rusqlite::types::Value;

use self::image::Chance;
use self::layer::{Op, record};

/// A directory in memory, where there is one: what is synced is recorded, and no disk need wait for it.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What is in a store, row by row.
type Rows = BTreeMap<String, Vec<Vec<Value>>>;

fn rows(path: &Path) -> Rows {
    let connection = Connection::open(path).unwrap();
    let tables = ["outgoing", "incoming", "questions", "wishes", "notes", "facts"];
    let read = |table: &str| {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows =
            statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    tables.into_iter().map(|table| (table.to_string(), read(table))).collect()
}

fn send(store: &Store, n: usize, length: usize) {
    let new = store.send(Address::repeat_byte(1), &format!("purpose {n}"), n as u64, |number| {
        let bytes = number.to_le_bytes().iter().copied().cycle().take(length).collect();
        Ok::<_, StoreFault>(Prepared { mailbox: Address::repeat_byte(2), bytes })
    });
    assert!(new.unwrap());
}

/// One change each; every 12th one opens the store again, which moves its log into the file.
fn change(store: &mut Store, n: usize, path: &Path) {
    let now = n as u64;
    let id = |n: usize| B256::repeat_byte(n as u8);
    match n % 12 {
        0 => {
            // The last clone goes before the store is opened again.
            *store = Store::in_memory().unwrap();
            *store = Store::open(path).unwrap();
            store.put("opened", &now.to_le_bytes()).unwrap();
        }
        1 => send(store, n, 300),
        // More than a page, and once the longest letter there is, after which SQLite moves its log by itself.
        2 => send(store, n, if n == 50 { 4 << 20 } else { 9_000 }),
        3 => store.posted(store.due_letters(now, 9).unwrap()[0].id, now).unwrap(),
        4 => assert!(store.delivered(store.due_letters(u64::MAX / 4, 9).unwrap()[0].id, now).unwrap()),
        5 => {
            let (from, content) = (Address::repeat_byte(3), "x".repeat(3_000));
            let letter =
                Incoming { id: id(n), from, number: now, content, head_number: now, head_hash: B256::ZERO };
            assert!(store.take(&letter, now).unwrap());
        }
        6 => store.read(id(n - 1), now).unwrap(),
        7 => {
            let [kind, title, text] = ["donate", "Donate?", "About"].map(str::to_string);
            let facts = serde_json::json!({ "model": n });
            store.ask(&Question { key: format!("{n}"), kind, title, text, facts, due: None }, now).unwrap();
        }
        8 => {
            let number = store.questions(true).unwrap()[0].number;
            let answer = Answer { yes: true, because: "agreed".to_string(), by: "a person".to_string() };
            store.answer(number, &answer, now).unwrap();
        }
        9 => drop(store.wish("train", &serde_json::json!({ "model": n }), now).unwrap()),
        10 => {
            store.wish_done(store.wishes(true).unwrap()[0].number, &serde_json::json!("well"), now).unwrap()
        }
        _ => store.note(now, Level::Info, "round", &"posted ".repeat(100)).unwrap(),
    }
}

/// The steps of a store's life, and what was in it after each.
fn life_of_a_store(dir: &Path) -> (Vec<Op>, Vec<Rows>) {
    let path = dir.join("store.sqlite");
    let mut states = Vec::new();
    let ops = record(dir, |returned| {
        let mut store = Store::open(&path).unwrap();
        for n in 0..60 {
            if n > 0 {
                change(&mut store, n, &path);
            }
            // Looking writes nothing.
            states.push(rows(&path));
            returned();
        }
    });
    (ops, states)
}

/// A moment at which the power fails: any step of the test is as likely as another, however much it writes.
fn moment(ops: &[Op], chance: &mut Chance) -> usize {
    let ends: Vec<usize> = (0..ops.len()).filter(|place| matches!(ops[*place], Op::Returned(_))).collect();
    let step = chance.below(ends.len());
    let start = if step == 0 { 0 } else { ends[step - 1] + 1 };
    start + chance.below(ends[step] + 2 - start)
}

/// Makes an image and tells what is wrong with the store in it, if anything.
fn check_store(
    ops: &[Op],
    states: &[Rows],
    from: &Path,
    to: &Path,
    chance: &mut Chance,
) -> Result<(), String> {
    let done = moment(ops, chance);
    let returned = image::write(ops, done, from, to, chance);
    let path = to.join("store.sqlite");
    let store = Store::open(&path).map_err(|fault| format!("after {returned} steps: {fault}"))?;
    let found = rows(&path);
    // Before the first step has returned there is no store, or an empty one.
    let expected = states.iter().skip(returned.saturating_sub(1)).take(2);
    let is_prefix = expected.clone().any(|state| *state == found);
    let place = states.iter().position(|state| *state == found);
    drop(store);
    match is_prefix {
        true => Ok(()),
        false => Err(format!("after {returned} steps there is what was after {place:?}")),
    }
}

#[test]
fn a_store_after_the_power_failed() {
    let temp = memory();
    let [from, to] = ["recorded", "image"].map(|name| temp.path().join(name));
    fs::create_dir(&from).unwrap();
    let (ops, states) = life_of_a_store(&from);
    let mut chance = Chance::of(1);
    for image in 0..600 {
        let checked = check_store(&ops, &states, &from, &to, &mut chance);
        assert_eq!(checked, Ok(()), "image {image}");
    }
    // The same life without its syncs: the images must find what was lost.
    let careless: Vec<Op> = ops.into_iter().filter(|op| !matches!(op, Op::Sync { .. })).collect();
    let lost = (0..20).filter(|_| check_store(&careless, &states, &from, &to, &mut chance).is_err()).count();
    assert!(lost > 0, "images that find nothing show nothing");
}

/// What is in a party's directory and beside it, by name.
type Kept = BTreeMap<String, Vec<u8>>;

/// One of the two ways to a party.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    RootInside,
    RootElsewhere,
}

impl Way {
    fn open(self, dir: &Path) -> Result<Party, PartyError> {
        match self {
            Way::RootInside => Party::open("a", dir, Entropy::System),
            Way::RootElsewhere => Party::of_root("a", root(), Entropy::System, &dir.join("a")),
        }
    }
}

fn root() -> Root {
    Root::from_bytes([7; 32])
}

fn kept(party: &Party, dir: &Path) -> Result<Kept, String> {
    let mut kept = Kept::new();
    // What a writer left that was interrupted is nobody's file.
    for name in party.storage().names("").unwrap().into_iter().filter(|name| !name.ends_with(".partial")) {
        let bytes = party.recall(&name).map_err(|error| error.to_string())?;
        kept.extend(bytes.map(|bytes| (name, bytes)));
    }
    kept.extend(read_durable(&dir.join("blob")).unwrap().map(|bytes| ("blob".to_string(), bytes)));
    Ok(kept)
}

fn write(party: &Party, n: usize, dir: &Path) {
    let bytes = vec![n as u8; 1 + n * 271 % 9_000];
    match n % 8 {
        0 => party.keep("state", &bytes).unwrap(),
        1 => assert_eq!(party.keep_first(&format!("said-{n}"), bytes.clone()).unwrap(), bytes),
        2 => drop(party.next("codes").unwrap()),
        3 => party
            .amend("list", |old| {
                let mut list = old.unwrap_or_default();
                list.extend(&bytes);
                Ok::<_, PartyError>(Some(list))
            })
            .unwrap(),
        4 => drop(party.draw::<64>(&format!("{n}.key")).unwrap()),
        5 => party.storage().destroy(&format!("{}.key", n - 1)).unwrap(),
        6 => write_whole(&dir.join("blob"), &bytes).unwrap(),
        _ => drop(party.payee(LedgerId { chain_id: 1, contract: Address::ZERO }, n as u64).unwrap()),
    }
}

fn life_of_a_party(way: Way, dir: &Path) -> (Vec<Op>, Vec<Kept>) {
    let mut states = Vec::new();
    let ops = record(dir, |returned| {
        let party = match way {
            Way::RootInside => Party::create("a", dir, Entropy::System),
            Way::RootElsewhere => way.open(dir),
        };
        let party = party.unwrap();
        for n in 0..50 {
            if n > 0 {
                write(&party, n, dir);
            }
            states.push(kept(&party, dir).unwrap());
            returned();
        }
    });
    (ops, states)
}

fn check_party(
    way: Way,
    (ops, states): (&[Op], &[Kept]),
    from: &Path,
    to: &Path,
    chance: &mut Chance,
) -> Result<(), String> {
    let done = moment(ops, chance);
    let returned = image::write(ops, done, from, to, chance);
    let party = match way.open(to) {
        // Interrupted before there was a party: it can be made.
        Err(PartyError::Missing(_)) if returned == 0 => Party::create("a", to, Entropy::System).map(|_| None),
        party => party.map(Some),
    };
    let Some(party) = party.map_err(|error| format!("after {returned} steps: {error}"))? else {
        return Ok(());
    };
    let found = kept(&party, to)?;
    if returned == 0 || states.iter().skip(returned - 1).take(2).any(|state| *state == found) {
        return Ok(());
    }
    Err(format!(
        "after {returned} steps there is what was after {:?}",
        states.iter().position(|s| *s == found)
    ))
}

#[test]
fn a_party_after_the_power_failed() {
    for way in [Way::RootInside, Way::RootElsewhere] {
        let temp = memory();
        let [from, to] = ["recorded", "image"].map(|name| temp.path().join(name));
        fs::create_dir(&from).unwrap();
        let (ops, states) = life_of_a_party(way, &from);
        let mut chance = Chance::of(2);
        for image in 0..150 {
            let checked = check_party(way, (&ops, &states), &from, &to, &mut chance);
            assert_eq!(checked, Ok(()), "{way:?}, image {image}");
        }
        // Without one of the two syncs of a write: the images must find what was lost.
        for careless in
            [|op: &Op| !matches!(op, Op::Sync { .. }), |op: &Op| !matches!(op, Op::SyncDirectory { .. })]
        {
            let ops: Vec<Op> = ops.iter().filter(|op| careless(op)).cloned().collect();
            let is_lost =
                |seed: &u64| check_party(way, (&ops, &states), &from, &to, &mut Chance::of(*seed)).is_err();
            assert!((0..20).filter(is_lost).count() > 0, "images that find nothing show nothing");
        }
    }
}

/// A home is made and lives: an update is kept in the party's files before the letter with it is kept in the store.
fn life_of_a_home(dir: &Path) -> (Vec<Op>, Address) {
    let mut account = Address::ZERO;
    let ops = record(dir, |returned| {
        let settings = Settings::new("a", 1);
        account = Home::init(dir, &settings, &Protection::Open, Entropy::System).unwrap().account;
        returned();
        let opened = Home::open(dir, None).unwrap();
        for n in 1..25 {
            opened.party.keep_first(&format!("update-{n}"), vec![n as u8; 700]).unwrap();
            send(&opened.store, n, 700);
            returned();
        }
    });
    (ops, account)
}

#[test]
fn a_home_after_the_power_failed() {
    let temp = memory();
    let [from, to] = ["recorded", "image"].map(|name| temp.path().join(name));
    fs::create_dir(&from).unwrap();
    let (ops, account) = life_of_a_home(&from);
    let mut chance = Chance::of(4);
    let mut before = 0;
    for image in 0..100 {
        // While it is made, in every third one.
        let made = ops.iter().position(|op| matches!(op, Op::Returned(1))).unwrap();
        let done = if image % 3 == 0 { chance.below(made + 2) } else { moment(&ops, &mut chance) };
        let returned = image::write(&ops, done, &from, &to, &mut chance);
        let opened = match Home::open(&to, None) {
            Err(HomeError::Missing(_)) if returned == 0 => {
                before += 1;
                Home::init(&to, &Settings::new("a", 1), &Protection::Open, Entropy::System).unwrap();
                Home::open(&to, None).unwrap();
                continue;
            }
            opened => opened.unwrap(),
        };
        assert_eq!(opened.party.account(), account);
        let letters = opened.store.due_letters(u64::MAX / 4, 99).unwrap();
        assert!(letters.len() + 1 >= returned && letters.len() <= returned, "image {image}");
        for (letter, n) in letters.iter().zip(1..) {
            assert_eq!(letter.purpose, format!("purpose {n}"));
            // What a letter says was kept before: it is there.
            assert_eq!(opened.party.recall(&format!("update-{n}")).unwrap().unwrap(), vec![n as u8; 700]);
        }
    }
    assert!(before > 5, "{before}");
}
