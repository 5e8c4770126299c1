//! A store in a file, looked at and copied without opening it as one's own: its node may run.

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{MIGRATIONS, PATIENCE, Store, StoreFault, check_kind, disk};

impl Store {
    /// Looks a file through for damage and gives the version of the store in it; nothing is changed.
    pub fn examine(path: &Path) -> Result<u32, StoreFault> {
        let connection = open(path)?;
        let version = check_kind(&connection, path, MIGRATIONS.len())?;
        super::look_through(&connection, path)?;
        // There are no more versions than migrations.
        Ok(version as u32)
    }

    /// Copies the store in a file to another one, which is not there yet, as it is at one moment between two changes. Its node goes
    /// on meanwhile. The copy is on the disk when this returns, and only its owner may read it.
    pub fn snapshot(path: &Path, to: &Path) -> Result<(), StoreFault> {
        let connection = open(path)?;
        check_kind(&connection, path, MIGRATIONS.len())?;
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // SQLite fills a file that is there and empty.
        let file = options.write(true).create_new(true).open(to).map_err(|error| disk(to, &error))?;
        let name = to.to_str().ok_or_else(|| StoreFault::Disk {
            path: to.to_owned(),
            why: "its name is no text in UTF-8".to_string(),
        })?;
        connection.execute("VACUUM INTO ?1", [name]).map_err(|error| {
            // Damage and other writers are found where it is read, a full disk where it is written.
            let of_source = error.sqlite_error_code().is_some_and(|code| {
                use rusqlite::ErrorCode as Code;
                let source =
                    [Code::DatabaseCorrupt, Code::NotADatabase, Code::DatabaseBusy, Code::DatabaseLocked];
                source.contains(&code)
            });
            StoreFault::of(if of_source { path } else { to }, error)
        })?;
        file.sync_all().map_err(|error| disk(to, &error))
    }
}

fn open(path: &Path) -> Result<Connection, StoreFault> {
    let fault = |error| StoreFault::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
    connection.busy_timeout(PATIENCE).map_err(fault)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_has_what_was_there_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let [path, copy] = ["store.sqlite", "copy.sqlite"].map(|name| dir.path().join(name));
        let store = Store::open(&path).unwrap();
        store.put("a", b"1").unwrap();
        // With its node and without.
        Store::snapshot(&path, &copy).unwrap();
        store.put("b", b"2").unwrap();
        drop(store);
        let again = dir.path().join("again.sqlite");
        Store::snapshot(&path, &again).unwrap();
        assert_eq!(Store::examine(&copy).unwrap(), Store::VERSION);
        let [copy_store, again] = [&copy, &again].map(|path| Store::open(path).unwrap());
        let facts = |store: &Store| (store.get("a").unwrap().is_some(), store.get("b").unwrap().is_some());
        assert_eq!((facts(&copy_store), facts(&again)), ((true, false), (true, true)));
        let error = Store::snapshot(&path, &copy).unwrap_err();
        assert!(error.to_string().contains("copy.sqlite"), "{error}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn looking_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.sqlite");
        assert!(matches!(Store::examine(&path), Err(StoreFault::Disk { .. })));
        assert!(!path.exists());
        fs::write(&path, b"").unwrap();
        assert_eq!(Store::examine(&path).unwrap(), 0);
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::write(&path, [7; 5_000]).unwrap();
        assert!(matches!(Store::examine(&path), Err(StoreFault::Damaged { .. })));
    }
}
