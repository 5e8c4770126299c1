//! Backups of a home, and homes from backups.
//!
//! A backup is a directory: the settings, the keystore as it is (a passphrase still protects it), the store, the party's files as
//! they are encrypted, and `manifest.json` with the length and SHA-256 of each, which is written last. Blobs and the ledger are not
//! in it: both are public and are fetched again.
//!
//! The node may run while a backup is made. The store is copied as it is at one moment, and after it all of the party's files while
//! nobody writes them, as they are at one later moment. A party keeps what it prepares in a file before it says in the store that it
//! has done so; the backup is thus like a home whose power failed between the two, which a node copes with at any time. The other
//! order would give stores that speak of files that are not there.
//!
//! What was done after the backup is known to others and no longer here. [`Home::restore`] marks the store with its time: the node is
//! to refuse rounds that began before, letters get numbers from far above, and so do enclaves. The home from which the backup was
//! made must not run again.
//!
//! A backup has the keys of datasets. An erasure that is to count is done in the backups, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use histone_network::{StoreError, create_private_dir, file_names, io_error, read_durable, update_private};
use histone_protocol::hash::sha256;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use super::{ACCOUNT, BLOBS, Home, HomeError, KEYSTORE, LEDGER, PRIVATE, SETTINGS, STORE, keystore};
use crate::store::{Store, moment};

const MANIFEST: &str = "manifest.json";
const VERSION: u32 = 1;

/// Why a backup cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something.
    #[error("`{0}` is there already; name a directory that is not")]
    Taken(PathBuf),
    /// It would be lost with the home.
    #[error(
        "`{0}` is in the home itself and would be lost with it; name a directory elsewhere, best on another disk"
    )]
    Inside(PathBuf),
    /// It is not one.
    #[error("`{0}` is no backup of a home, or one that was not finished: there is no `{MANIFEST}` in it")]
    NoBackup(PathBuf),
    /// A later program made it.
    #[error(
        "`{path}` is a backup of version {found}, made by a newer program; this one knows version {VERSION}. Install the newer program"
    )]
    Newer {
        /// The backup.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// A file is not what it was.
    #[error("`{path}` is not what was put into the backup ({what}); use another backup")]
    Altered {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The clock is wrong.
    #[error("the clock of this machine says {}, and the backup was made on {}: set the clock, then restore", moment(*.now), moment(*.made))]
    Clock {
        /// What the clock says.
        now: u64,
        /// When the backup was made.
        made: u64,
    },
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The party's account.
    pub account: Address,
    /// When it was made.
    pub made_at: u64,
    /// How many files are in it.
    pub files: usize,
    /// How many bytes.
    pub bytes: u64,
    /// Whether its keys are under a passphrase.
    pub protected: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    version: u32,
    account: Address,
    made_at: u64,
    files: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: B256,
}

impl Entry {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

impl Manifest {
    fn backup(&self, protected: bool) -> Backup {
        let Manifest { account, made_at, files, .. } = self;
        let bytes = files.values().map(|file| file.bytes).sum();
        Backup { account: *account, made_at: *made_at, files: files.len(), bytes, protected }
    }
}

impl Home {
    /// Makes a backup in a directory that is not there yet. No passphrase is needed, and the node may run. The directory gets its
    /// name when all is in it and on the disk.
    pub fn backup(&self, to: &Path, now: u64) -> Result<Backup, HomeError> {
        let shown = self.shown()?;
        if to.exists() {
            return Err(BackupError::Taken(to.to_owned()).into());
        }
        let real = |path: &Path| fs::canonicalize(path).map_err(io_error("find", path));
        if let Some(above) = to.ancestors().skip(1).find(|path| path.is_dir())
            && real(above)?.starts_with(real(&self.dir)?)
        {
            return Err(BackupError::Inside(to.to_owned()).into());
        }
        let partial = beside(to);
        start(&partial)?;
        let mut files = BTreeMap::new();
        Store::snapshot(&self.file(STORE), &partial.join(STORE))?;
        files.insert(STORE.to_string(), Entry::of(&read(&partial.join(STORE))?));
        let private = self.private();
        create_private_dir(&partial.join(PRIVATE))?;
        // Under the lock of the directory nobody writes there; nothing is written by this either.
        update_private(&private.join("backup"), |_| {
            copy_all(&private, &partial, PRIVATE, &mut files)?;
            Ok::<_, HomeError>(None::<Vec<u8>>)
        })?;
        for name in [SETTINGS, KEYSTORE] {
            copy(&self.file(name), &partial, name, &mut files)?;
        }
        // Certificate authorities that lie in the home.
        let ca_file = self.settings().ok().and_then(|settings| settings.ca_file);
        if let Some(name) = ca_file.as_deref().and_then(Path::to_str).filter(|name| is_below(name))
            && self.file(name).is_file()
        {
            copy(&self.file(name), &partial, name, &mut files)?;
        }
        let manifest = Manifest { version: VERSION, account: shown.account, made_at: now, files };
        // Unwrap safety: there is nothing in it that JSON does not have.
        #[allow(clippy::expect_used)]
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
        write_private(&partial.join(MANIFEST), &text)?;
        finish(&partial, to)?;
        Ok(manifest.backup(shown.protected))
    }

    /// Makes a home from a backup, in a directory that is not there yet or empty, and marks it as restored now. Each file is compared
    /// with the manifest before anything is written.
    pub fn restore(from: &Path, dir: &Path, now: u64) -> Result<Backup, HomeError> {
        let manifest = manifest(from)?;
        if now < manifest.made_at {
            return Err(BackupError::Clock { now, made: manifest.made_at }.into());
        }
        let home = Self::at(dir);
        if home.file(KEYSTORE).exists() {
            return Err(HomeError::Exists(home.dir));
        }
        if dir.exists() {
            let name = file_names(dir, "")?.into_iter().next();
            if let Some(name) = name {
                return Err(HomeError::Occupied { dir: home.dir, name });
            }
        }
        for (name, entry) in &manifest.files {
            checked(&from.join(name), entry)?;
        }
        let partial = beside(dir);
        start(&partial)?;
        for private in [PRIVATE, BLOBS, LEDGER] {
            create_private_dir(&partial.join(private))?;
        }
        for (name, entry) in &manifest.files {
            write_private(&partial.join(name), &checked(&from.join(name), entry)?)?;
        }
        let shown = keystore::show(&partial.join(KEYSTORE))?;
        let store = Store::open(&partial.join(STORE))?;
        if store.get(ACCOUNT)?.as_deref() != Some(shown.account.to_string().as_bytes()) {
            let what = "its store belongs to other keys than its keystore".to_string();
            return Err(BackupError::Altered { path: from.join(STORE), what }.into());
        }
        store.mark_restored(now)?;
        drop(store);
        finish(&partial, dir)?;
        Ok(manifest.backup(shown.protected))
    }
}

/// Reads the manifest of a backup.
fn manifest(from: &Path) -> Result<Manifest, HomeError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let path = from.join(MANIFEST);
    let bytes = match from.is_dir() {
        true => read_durable(&path)?,
        false => None,
    };
    let bytes = bytes.ok_or_else(|| BackupError::NoBackup(from.to_owned()))?;
    let altered = |what: String| BackupError::Altered { path: path.clone(), what };
    let Versioned { version } = serde_json::from_slice(&bytes).map_err(|error| altered(error.to_string()))?;
    if version > u64::from(VERSION) {
        return Err(BackupError::Newer { path: from.to_owned(), found: version }.into());
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| altered(error.to_string()))?;
    // A manifest from elsewhere must not write elsewhere.
    if let Some(name) = manifest.files.keys().find(|name| !is_below(name) || *name == MANIFEST) {
        return Err(altered(format!("`{}` is no file of a home", name.escape_debug())).into());
    }
    for name in [SETTINGS, KEYSTORE, STORE] {
        if !manifest.files.contains_key(name) {
            return Err(altered(format!("`{name}` is not in it")).into());
        }
    }
    Ok(manifest)
}

/// Whether a name leads below the directory in which it is.
fn is_below(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn checked(path: &Path, entry: &Entry) -> Result<Vec<u8>, HomeError> {
    let altered = |what: &str| BackupError::Altered { path: path.to_owned(), what: what.to_string() };
    let bytes = match path.is_file() {
        true => read(path)?,
        false => return Err(altered("it is not there").into()),
    };
    match Entry::of(&bytes) == *entry {
        true => Ok(bytes),
        false => Err(altered("its length or SHA-256 is another one").into()),
    }
}

/// Copies the files of a directory and of those in it.
fn copy_all(
    from: &Path,
    to: &Path,
    name: &str,
    files: &mut BTreeMap<String, Entry>,
) -> Result<(), HomeError> {
    for file in file_names(from, "")? {
        let (path, name) = (from.join(&file), format!("{name}/{file}"));
        if path.is_dir() {
            copy_all(&path, to, &name, files)?;
        } else if !file.ends_with(".partial") {
            copy(&path, to, &name, files)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, name: &str, files: &mut BTreeMap<String, Entry>) -> Result<(), HomeError> {
    let bytes = read(from)?;
    write_private(&to.join(name), &bytes)?;
    files.insert(name.to_string(), Entry::of(&bytes));
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(io_error("read", path))
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
    }
    update_private(path, |_| Ok(Some(bytes)))
}

/// The name under which a directory is filled.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".histone-partial");
    PathBuf::from(name)
}

/// An empty directory, without what an interrupted run has left there.
fn start(partial: &Path) -> Result<(), HomeError> {
    if partial.is_dir() {
        fs::remove_dir_all(partial).map_err(io_error("remove", partial))?;
    }
    Ok(create_private_dir(partial)?)
}

/// Gives the directory its name, to stay.
fn finish(partial: &Path, dir: &Path) -> Result<(), HomeError> {
    if dir.is_dir() {
        // It is empty; not every system puts a directory in the place of another one.
        fs::remove_dir(dir).map_err(io_error("replace", dir))?;
    }
    fs::rename(partial, dir).map_err(io_error("create", dir))?;
    #[cfg(unix)]
    {
        let above = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let synced = fs::File::open(above).and_then(|above| above.sync_all());
        synced.map_err(io_error("sync", above))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::home::{Cost, Passphrase, Protection, Settings};
    use crate::party::Entropy;
    use crate::store::{Prepared, StoreFault};
    use std::sync::atomic::{AtomicBool, Ordering};

    const NOW: u64 = 1_800_000_000;

    fn send(store: &Store, purpose: &str) -> u64 {
        let mut given = 0;
        let sent = store.send(Address::ZERO, purpose, NOW, |number| {
            given = number;
            let bytes = number.to_le_bytes().to_vec();
            Ok::<_, StoreFault>(Prepared { mailbox: Address::ZERO, bytes })
        });
        assert!(sent.unwrap());
        given
    }

    #[test]
    fn a_home_comes_back_and_knows_that_it_was_away() {
        let temp = tempfile::tempdir().unwrap();
        let [dir, to, back] = ["home", "backup", "back"].map(|name| temp.path().join(name));
        let passphrase = Passphrase::new("correct horse battery".to_string());
        let cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
        let protection = Protection::Passphrase { passphrase: passphrase.clone(), cost };
        let settings = Settings { ca_file: Some("ca.pem".into()), ..Settings::new("hospital", 1) };
        let created = Home::init(&dir, &settings, &protection, Entropy::System).unwrap();
        fs::write(dir.join("ca.pem"), "certificate").unwrap();
        let opened = Home::open(&dir, Some(&passphrase)).unwrap();
        let _running = opened.home.lock().unwrap();
        let drawn = opened.party.draw::<64>("dataset.key").unwrap();
        assert_eq!((send(&opened.store, "a"), opened.party.next("enclaves").unwrap()), (1, 0));

        let made = opened.home.backup(&to, NOW).unwrap();
        assert_eq!((made.account, made.made_at, made.files), (created.account, NOW, 6));
        assert!(made.protected && made.bytes > 4096);
        assert_eq!((send(&opened.store, "b"), opened.party.next("enclaves").unwrap()), (2, 1));
        assert_eq!(Home::restore(&to, &back, NOW + 50).unwrap(), made);

        let restored = Home::open(&back, Some(&passphrase)).unwrap();
        assert_eq!((restored.party.account(), restored.restored), (created.account, Some(NOW + 50)));
        assert_eq!(restored.settings, settings);
        assert_eq!(restored.party.draw::<64>("dataset.key").unwrap(), drawn);
        assert_eq!(fs::read(back.join("ca.pem")).unwrap(), b"certificate");
        let letters = restored.store.due_letters(NOW, 9).unwrap();
        assert_eq!((letters.len(), letters[0].purpose.as_str()), (1, "a"));
        // Numbers that the lost days have used are not used again.
        assert!(send(&restored.store, "c") > NOW << 20);
        let enclave = restored.party.next("enclaves").unwrap();
        assert!(enclave > NOW << 20);
        drop(restored);
        let again = Home::open(&back, Some(&passphrase)).unwrap();
        assert_eq!(again.party.next("enclaves").unwrap(), enclave + 1);
        assert_eq!(opened.restored, None);
    }

    #[test]
    fn what_is_in_the_way_stays() {
        let temp = tempfile::tempdir().unwrap();
        let [dir, to, back] = ["home", "backup", "back"].map(|name| temp.path().join(name));
        let home = Home::at(&dir);
        assert!(matches!(home.backup(&to, NOW), Err(HomeError::Missing(_))));
        Home::init(&dir, &Settings::new("a", 1), &Protection::Open, Entropy::System).unwrap();
        let refused = |to: &Path| match home.backup(to, NOW).unwrap_err() {
            HomeError::Backup(error) => error,
            error => panic!("{error}"),
        };
        assert!(matches!(refused(temp.path()), BackupError::Taken(_)));
        assert!(matches!(refused(&dir.join("backup")), BackupError::Inside(_)));
        assert!(matches!(refused(&dir.join("../home/new/backup")), BackupError::Inside(_)));
        // An interrupted one is made again.
        fs::create_dir(beside(&to)).unwrap();
        fs::write(beside(&to).join("rest"), "").unwrap();
        home.backup(&to, NOW).unwrap();
        assert!(!to.join("rest").exists() && !beside(&to).exists());

        assert!(matches!(Home::restore(&to, &dir, NOW), Err(HomeError::Exists(_))));
        fs::create_dir(&back).unwrap();
        fs::write(back.join("thesis.txt"), "").unwrap();
        assert!(matches!(Home::restore(&to, &back, NOW), Err(HomeError::Occupied { .. })));
        fs::remove_file(back.join("thesis.txt")).unwrap();
        let error = Home::restore(&to, &back, NOW - 60).unwrap_err().to_string();
        assert!(error.starts_with("the clock of this machine says 2027-01-15 07:59 UTC"), "{error}");
        Home::restore(&to, &back, NOW).unwrap();
        Home::open(&back, None).unwrap();
    }

    /// Every file of a backup, changed, cut off and gone.
    #[test]
    fn a_backup_that_was_altered_is_refused_whole() {
        let temp = tempfile::tempdir().unwrap();
        let [dir, to, back] = ["home", "backup", "back"].map(|name| temp.path().join(name));
        Home::init(&dir, &Settings::new("a", 1), &Protection::Open, Entropy::System).unwrap();
        Home::open(&dir, None).unwrap().party.keep("a", b"1").unwrap();
        Home::at(&dir).backup(&to, NOW).unwrap();
        for name in [SETTINGS, KEYSTORE, STORE, "private/a", MANIFEST] {
            let path = to.join(name);
            let good = fs::read(&path).unwrap();
            let mut changed = good.clone();
            changed[good.len() / 2] ^= 4;
            for bytes in [Some(changed.as_slice()), Some(&good[..good.len() - 5]), Some(b""), None] {
                match bytes {
                    Some(bytes) => fs::write(&path, bytes).unwrap(),
                    None => fs::remove_file(&path).unwrap(),
                }
                let error = Home::restore(&to, &back, NOW).unwrap_err();
                assert!(matches!(error, HomeError::Backup(_)), "{name}: {error}");
                assert!(!back.exists());
            }
            fs::write(&path, good).unwrap();
        }
        let text = fs::read_to_string(to.join(MANIFEST)).unwrap();
        for (from, other) in [
            ("private/a", "private/../../a"),
            ("private/a", "/private/a"),
            ("\"version\": 1", "\"version\": 2"),
            (KEYSTORE, "keys.json"),
        ] {
            assert!(text.contains(from));
            fs::write(to.join(MANIFEST), text.replace(from, other)).unwrap();
            let error = Home::restore(&to, &back, NOW).unwrap_err();
            assert!(matches!(error, HomeError::Backup(_)), "{error}");
        }
        assert!(matches!(
            Home::restore(temp.path(), &back, NOW),
            Err(HomeError::Backup(BackupError::NoBackup(_)))
        ));
    }

    /// A node that writes all the time: in each backup, what the store speaks of is there, and the files are of one moment.
    #[test]
    fn a_backup_is_made_while_the_node_writes() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("home");
        Home::init(&dir, &Settings::new("a", 1), &Protection::Open, Entropy::System).unwrap();
        /// Ends the writer also when the test fails.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ends = Ends(&ended);
            scope.spawn(|| {
                let opened = Home::open(&dir, None).unwrap();
                let mut n = 0;
                while !ended.load(Ordering::Relaxed) {
                    // As an enclave is started: a number, then a file under it; then the letter.
                    let number = opened.party.next("enclaves").unwrap();
                    opened.party.keep(&format!("enclave-{number}"), b"evidence").unwrap();
                    send(&opened.store, &number.to_string());
                    n += 1;
                }
                assert!(n > 10, "{n}");
            });
            let mut letters = 0;
            for n in 0..8 {
                let [to, back] = ["backup", "back"].map(|name| temp.path().join(format!("{name}-{n}")));
                Home::at(&dir).backup(&to, NOW).unwrap();
                Home::restore(&to, &back, NOW).unwrap();
                let private = back.join(PRIVATE);
                let enclaves = file_names(&private, "enclave-").unwrap().len() as u64;
                let opened = {
                    // Before `open` has the series go on from far above.
                    let (root, _) = keystore::unlock(&back.join(KEYSTORE), None).unwrap();
                    let party = crate::party::Party::of_root("a", root, Entropy::System, &private).unwrap();
                    let count = party.count("enclaves").unwrap();
                    assert!(count == enclaves || count == enclaves + 1, "{count} {enclaves}");
                    Home::open(&back, None).unwrap()
                };
                let sent = opened.store.undelivered().unwrap();
                for letter in &sent {
                    let file = format!("enclave-{}", letter.purpose);
                    assert!(opened.party.recall(&file).unwrap().is_some(), "{file}");
                }
                letters = sent.len();
            }
            assert!(letters > 0);
        });
    }
}
