#![allow(clippy::unwrap_used)]
use super::*;
use std::fs;

#[test]
fn moments_for_people() {
    // Compared with `date --utc`.
    for (seconds, text) in [
        (0, "1970-01-01 00:00 UTC"),
        (951_782_399, "2000-02-28 23:59 UTC"),
        (951_782_400, "2000-02-29 00:00 UTC"),
        (951_868_800, "2000-03-01 00:00 UTC"),
        (1_796_000_100, "2026-11-30 00:55 UTC"),
        (4_107_542_400, "2100-03-01 00:00 UTC"),
    ] {
        assert_eq!(moment(seconds), text);
    }
    moment(u64::MAX);
}

#[test]
fn what_was_kept_is_there_when_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let store = Store::open(&path).unwrap();
    store.put("a", b"1").unwrap();
    // Another process looks and writes at the same time.
    let other = Store::open(&path).unwrap();
    other.put("b", b"2").unwrap();
    assert_eq!(store.get("b").unwrap().unwrap(), b"2");
    drop((store, other));
    let again = Store::open(&path).unwrap();
    assert_eq!(again.get("a").unwrap().unwrap(), b"1");
    let text = |sql: &str| {
        again.look(|c| c.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))).unwrap()
    };
    assert_eq!(text("PRAGMA journal_mode"), "wal".to_string().into());
    assert_eq!(text("PRAGMA synchronous"), 2.into());
    assert_eq!(text("PRAGMA secure_delete"), 1.into());
    assert_eq!(text("PRAGMA user_version"), i64::from(Store::VERSION).into());
    #[cfg(unix)]
    for file in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!((file, mode), (file, 0o600));
    }
}

#[test]
fn all_tables_are_strict() {
    let store = Store::in_memory().unwrap();
    let loose = "SELECT count(*) FROM pragma_table_list WHERE NOT strict AND name NOT LIKE 'sqlite_%'";
    assert_eq!(store.look(|c| c.query_row(loose, [], |row| row.get::<_, u32>(0))).unwrap(), 0);
}

/// The second migration of a later program: all of it or nothing.
#[test]
fn migrations_are_done_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    Store::open(&path).unwrap().put("a", b"1").unwrap();
    let open = |migrations: &[&str]| prepare(&mut Connection::open(&path).unwrap(), &path, migrations);
    let broken =
        [MIGRATIONS[0], "CREATE TABLE more (a INTEGER) STRICT; CREATE TABLE facts (b INTEGER) STRICT;"];
    assert!(matches!(open(&broken), Err(StoreFault::Other { .. })));
    let second = [MIGRATIONS[0], "CREATE TABLE more (a INTEGER) STRICT; INSERT INTO more VALUES (1);"];
    open(&second).unwrap();
    open(&second).unwrap();
    let newer = Store::open(&path).unwrap_err();
    assert!(matches!(newer, StoreFault::Newer { found: 2, known: 1, .. }), "{newer}");
    assert!(
        newer.to_string().contains("store.sqlite` is a store of version 2, made by a newer program"),
        "{newer}"
    );
    let connection = Connection::open(&path).unwrap();
    let rows = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!((rows("SELECT count(*) FROM more"), rows("SELECT count(*) FROM facts")), (1, 1));
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    fs::write(&path, "this is a letter to the editor, and long enough to be one".repeat(30)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreFault::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("store.sqlite` is damaged"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);

    let path = dir.path().join("other.sqlite");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE photos (a); PRAGMA user_version = 1").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreFault::Foreign(_))));
    let mode: String = other.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "and left as it was");

    let error = Store::open(&dir.path().join("none/store.sqlite")).unwrap_err();
    assert!(matches!(error, StoreFault::Disk { .. }), "{error}");
    assert!(matches!(Store::open(dir.path()), Err(StoreFault::Disk { .. })));
}

/// A page in the middle of the file is overwritten: said when it is opened, not when somebody looks there.
#[test]
fn damage_is_found_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let store = Store::open(&path).unwrap();
    for n in 0..100 {
        store.put(&format!("fact {n}"), &[n; 500]).unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..last + 100].fill(0xAB);
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreFault::Damaged { .. }), "{error}");
}

/// SQLite's own limit stands for a full disk: it is the same error, at the same place.
#[test]
fn a_full_disk_changes_nothing_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
    store.put("a", b"1").unwrap();
    let limit =
        |pages: i64| store.look(|c| c.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())));
    limit(1).unwrap();
    let error = store.put("a", &[7; 1_000_000]).unwrap_err();
    assert!(matches!(error, StoreFault::Full(_)), "{error}");
    assert!(error.to_string().contains("store.sqlite` is full; nothing was changed"), "{error}");
    assert_eq!(store.get("a").unwrap().unwrap(), b"1");
    limit(1_000_000).unwrap();
    store.put("a", &[7; 1_000_000]).unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store.sqlite")).unwrap();
    store.look(|c| c.pragma_update(None, "query_only", "ON")).unwrap();
    let error = store.put("a", b"1").unwrap_err();
    assert!(matches!(error, StoreFault::ReadOnly(_)), "{error}");
    assert!(error.to_string().contains("store.sqlite` cannot be written; nothing was changed"), "{error}");
    assert_eq!(store.get("a").unwrap(), None);
}

#[test]
fn a_store_that_somebody_holds_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.sqlite");
    let store = Store::open(&path).unwrap();
    store.look(|c| c.busy_timeout(Duration::ZERO)).unwrap();
    let mut other = Connection::open(&path).unwrap();
    let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    assert!(matches!(store.put("a", b"1"), Err(StoreFault::Busy(_))));
    assert_eq!(store.get("a").unwrap(), None, "looking waits for nobody");
    drop(held);
    store.put("a", b"1").unwrap();
}

/// Threads of one process, clones of one store: no two get one number.
#[test]
fn threads_take_turns() {
    let store = Store::in_memory().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..50_u8 {
                    let prepare = |number: u64| {
                        let bytes = number.to_le_bytes().to_vec();
                        Ok::<_, StoreFault>(Prepared { mailbox: Default::default(), bytes })
                    };
                    assert!(store.send(Default::default(), &format!("{thread}/{n}"), 1, prepare).unwrap());
                }
            });
        }
    });
    let mut numbers: Vec<_> = store
        .due_letters(1, 1_000)
        .unwrap()
        .into_iter()
        .map(|letter| u64::from_le_bytes(letter.bytes.try_into().unwrap()))
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=200));
}
