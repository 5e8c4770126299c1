//! What a node's machine lacks, as far as it can be seen without others.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use super::{Home, HomeError, KEYSTORE, KeystoreError, LOCK, SETTINGS, STORE, Settings, keystore};
use crate::store::{Store, moment};

/// Free space below which a node should not start: a round's largest blob, the copies that are made of it, and room for the system.
const LEAST_DISK: u64 = 2 << 30;
/// Free memory below which an enclave may not start.
const LEAST_MEMORY: u64 = 512 << 20;
/// How far a clock may be behind the newest block.
const BEHIND: u64 = 60;
/// Until when no block of any network was made: the clock of a machine without a battery starts before.
const NEVER_BEFORE: u64 = 1_767_225_600; // 2026-01-01

/// What was looked at, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub says: String,
    /// What to do, if anything.
    pub todo: Option<String>,
}

impl Finding {
    fn good(what: &'static str, says: impl Into<String>) -> Self {
        Self { what, ok: true, says: says.into(), todo: None }
    }

    fn bad(what: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what, ok: false, says: says.into(), todo: Some(todo.into()) }
    }
}

/// Looks at a home and its machine. Nothing is changed but a file that is made and removed; the node may run. `now` is what the clock
/// says; `newest_block` is the time of the newest block that is known, if one is.
pub fn local(dir: &Path, now: u64, newest_block: Option<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !dir.is_dir() {
        let missing = HomeError::Missing(dir.to_owned()).to_string();
        findings.push(split("home", &missing));
        return findings;
    }
    findings.extend([settings(dir), keys(dir), memory_of_node(dir)]);
    findings.extend(rights(dir));
    findings.extend([writable(dir), running(dir)]);
    findings.extend(disk(dir));
    findings.extend(memory());
    findings.push(clock(now, newest_block));
    findings
}

/// A message of an error: what was found, and after it what to do.
fn split(what: &'static str, message: &str) -> Finding {
    let (says, todo) = ["; ", ". ", ": "]
        .iter()
        .find_map(|end| message.split_once(end))
        .unwrap_or((message, "see what the message names"));
    Finding::bad(what, says, todo)
}

fn settings(dir: &Path) -> Finding {
    let path = dir.join(SETTINGS);
    let settings = match Settings::read(&path) {
        Ok(settings) => settings,
        Err(error) => {
            return Finding::bad("settings", error.to_string(), format!("correct `{}`", path.display()));
        }
    };
    if let Some(file) = &settings.ca_file {
        let file = dir.join(file);
        if let Err(error) = fs::read(&file) {
            return Finding::bad(
                "settings",
                format!("`{}`, which `ca_file` names, cannot be read: {error}", file.display()),
                "put the certificate authorities there, or take the line out",
            );
        }
    }
    let roles = match settings.role_names() {
        names if names.is_empty() => "end user".to_string(),
        names => names.join(", "),
    };
    Finding::good("settings", format!("{} ({roles})", settings.name))
}

fn keys(dir: &Path) -> Finding {
    match keystore::show(&dir.join(KEYSTORE)) {
        Ok(shown) if shown.protected => {
            Finding::good("keys", format!("of {}, under a passphrase", shown.account))
        }
        Ok(shown) => Finding {
            todo: Some("use a passphrase unless the node must start with nobody there".to_string()),
            ..Finding::good("keys", format!("of {}, open in `{KEYSTORE}`", shown.account))
        },
        Err(KeystoreError::Missing(_)) => {
            let home = Home::at(dir);
            split(
                "keys",
                &home.account().map_or_else(|error| error.to_string(), |account| account.to_string()),
            )
        }
        Err(error) => split("keys", &error.to_string()),
    }
}

fn memory_of_node(dir: &Path) -> Finding {
    let path = dir.join(STORE);
    if !fs::metadata(&path).is_ok_and(|file| file.len() > 0) {
        return split("store", &HomeError::StoreLost(path).to_string());
    }
    match Store::examine(&path) {
        Ok(Store::VERSION) => Finding::good("store", format!("whole, of version {}", Store::VERSION)),
        Ok(version) => Finding::good(
            "store",
            format!(
                "whole, of version {version}; the node brings it to version {} when it starts",
                Store::VERSION
            ),
        ),
        Err(fault) => split("store", &fault.to_string()),
    }
}

/// Who may read the home, and whose it is.
#[cfg(unix)]
fn rights(dir: &Path) -> Vec<Finding> {
    use super::PRIVATE;
    use std::os::unix::fs::MetadataExt;
    let Ok(owner) = fs::metadata(dir).map(|home| home.uid()) else { return Vec::new() };
    let mut paths = vec![dir.to_owned(), dir.join(PRIVATE)];
    for within in [dir.to_owned(), dir.join(PRIVATE)] {
        let entries = fs::read_dir(within).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    let (mut open, mut foreign) = (Vec::new(), Vec::new());
    for path in paths {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        // Certificate authorities and the like are no secrets; within a closed directory nobody reads them anyway.
        let name = path.file_name().unwrap_or_default();
        let is_secret = path == dir
            || path.starts_with(dir.join(PRIVATE))
            || name == SETTINGS
            || name == KEYSTORE
            || name.to_string_lossy().starts_with(STORE);
        if is_secret && found.mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if found.uid() != owner {
            foreign.push(path);
        }
    }
    let named = |paths: &[std::path::PathBuf]| match paths {
        [path] => format!("`{}`", path.display()),
        [path, rest @ ..] => format!("`{}` and {} more", path.display(), rest.len()),
        [] => String::new(),
    };
    let mut findings = Vec::new();
    if !open.is_empty() {
        findings.push(Finding::bad(
            "rights",
            format!("others may read {}", named(&open)),
            format!("run `chmod -R go= '{}'`", dir.display()),
        ));
    }
    if !foreign.is_empty() {
        findings.push(Finding::bad(
            "rights",
            format!(
                "{} belongs to another user than the home: a command was run as somebody else",
                named(&foreign)
            ),
            format!("run `chown -R --reference='{0}' '{0}'` as root", dir.display()),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::good("rights", "only its owner may read the home"));
    }
    findings
}

#[cfg(not(unix))]
fn rights(_: &Path) -> Vec<Finding> {
    Vec::new()
}

fn writable(dir: &Path) -> Finding {
    let path = dir.join("doctor.partial");
    let written = fs::write(&path, b"0").and_then(|()| File::open(&path)?.sync_all());
    let removed = fs::remove_file(&path);
    match written.and(removed) {
        Ok(()) => Finding::good("writing", "files can be made in the home"),
        Err(error) => {
            let todo = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space on this disk",
                ErrorKind::ReadOnlyFilesystem => {
                    "mount the disk for writing, or move the home to one that can be written to"
                }
                ErrorKind::PermissionDenied => "run as the user to whom the home belongs",
                _ => "look at the disk; its system's log may say more",
            };
            Finding::bad("writing", format!("no file can be made in `{}`: {error}", dir.display()), todo)
        }
    }
}

fn running(dir: &Path) -> Finding {
    // The lock is taken for a moment at most, and not at all when a node has it; no file is made for it.
    let Ok(file) = OpenOptions::new().read(true).open(dir.join(LOCK)) else {
        return Finding::good("node", "none has run on this home");
    };
    match file.try_lock_shared() {
        Ok(()) => Finding::good("node", "none runs on this home"),
        Err(TryLockError::WouldBlock) => Finding::good("node", "one runs on this home"),
        Err(TryLockError::Error(error)) => Finding::bad(
            "node",
            format!("files of this disk cannot be locked: {error}"),
            "move the home to a disk of this machine; two nodes on one home would contradict each other",
        ),
    }
}

#[cfg(unix)]
fn disk(dir: &Path) -> Option<Finding> {
    let free = rustix::fs::statvfs(dir).ok()?;
    Some(room_on_disk(free.f_bavail.saturating_mul(free.f_frsize), dir))
}

#[cfg(not(unix))]
fn disk(_: &Path) -> Option<Finding> {
    None
}

#[cfg_attr(not(unix), allow(dead_code))]
fn room_on_disk(free: u64, dir: &Path) -> Finding {
    let says = format!("{} free", size(free));
    match free < LEAST_DISK {
        false => Finding::good("disk", says),
        true => {
            let todo =
                format!("free some on the disk of `{}`: {} are needed", dir.display(), size(LEAST_DISK));
            Finding::bad("disk", says, todo)
        }
    }
}

/// What Linux says can be had; other systems are not asked.
fn memory() -> Option<Finding> {
    let available = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    // A container may be given less than the machine has.
    let limit =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(room_in_memory(limit.map_or(available, |limit: u64| limit.min(available))))
}

fn room_in_memory(free: u64) -> Finding {
    let says = format!("{} free", size(free));
    match free < LEAST_MEMORY {
        false => Finding::good("memory", says),
        true => {
            let todo =
                format!("close other programs, or give the machine more: {} are needed", size(LEAST_MEMORY));
            Finding::bad("memory", says, todo)
        }
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn clock(now: u64, newest_block: Option<u64>) -> Finding {
    let says = format!("it is {}", moment(now));
    let set = "set the clock of this machine; let the system keep it (NTP)";
    if now < NEVER_BEFORE {
        return Finding::bad("clock", format!("{says}, which was before this program was"), set);
    }
    match newest_block {
        Some(block) if block > now.saturating_add(BEHIND) => Finding::bad(
            "clock",
            format!("{says}, {} before the newest block was made", span(block - now)),
            set,
        ),
        Some(block) => {
            // A ledger on which nothing happens looks the same as a clock that is ahead.
            Finding::good(
                "clock",
                format!("{says}, {} after the newest block", span(now.saturating_sub(block))),
            )
        }
        None => Finding::good("clock", format!("{says}; no block is known to compare it with")),
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mib if mib < 1024 => format!("{mib} MiB"),
        mib => format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::home::{PRIVATE, Protection};
    use crate::party::Entropy;

    const NOW: u64 = 1_800_000_000;

    fn home() -> (tempfile::TempDir, std::path::PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("home");
        Home::init(&dir, &Settings::new("hospital", 1), &Protection::Open, Entropy::System).unwrap();
        Home::open(&dir, None).unwrap().party.keep("a", b"1").unwrap();
        (temp, dir)
    }

    fn bad(dir: &Path) -> Vec<(&'static str, String, String)> {
        let machine = ["disk", "memory"];
        let findings = local(dir, NOW, None).into_iter().filter(|f| !f.ok && !machine.contains(&f.what));
        findings.map(|finding| (finding.what, finding.says, finding.todo.unwrap())).collect()
    }

    #[test]
    fn a_home_that_is_well() {
        let (_temp, dir) = home();
        assert_eq!(bad(&dir), []);
        let findings = local(&dir, NOW, Some(NOW - 10));
        let says = |what| findings.iter().find(|finding| finding.what == what).unwrap().says.as_str();
        assert_eq!(says("settings"), "hospital (owner)");
        assert!(says("keys").ends_with(", open in `keystore.json`"));
        assert_eq!(says("store"), "whole, of version 1");
        assert_eq!(says("node"), "none runs on this home");
        assert_eq!(says("clock"), "it is 2027-01-15 08:00 UTC, 10 s after the newest block");
        let lock = Home::at(&dir).lock().unwrap();
        let running = local(&dir, NOW, None);
        assert!(running.contains(&Finding::good("node", "one runs on this home")));
        drop(lock);
        let before = fs::read_dir(&dir).unwrap().count();
        local(&dir, NOW, None);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), before);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let (_temp, dir) = home();
        let none = dir.join("none");
        let found = bad(&none);
        assert!(
            found[0].1.ends_with("is not the home of a node") && found[0].2.starts_with("make one"),
            "{found:?}"
        );
        assert!(!none.exists());

        let broken = |name: &str, bytes: Option<&[u8]>, what: &str, says: &str, todo: &str| {
            let path = dir.join(name);
            let good = fs::read(&path).unwrap();
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let found = bad(&dir);
            assert!(
                found.len() == 1
                    && found[0].0 == what
                    && found[0].1.contains(says)
                    && found[0].2.contains(todo),
                "{found:?}"
            );
            histone_network::update_private(&path, |_| Ok::<_, histone_network::StoreError>(Some(&good)))
                .unwrap();
        };
        broken(SETTINGS, Some(b"nam = 1"), "settings", "node.toml:1:1: unknown field `nam`", "correct `");
        broken(
            SETTINGS,
            Some(b"name = \"a\"\nca_file = \"ca.pem\""),
            "settings",
            "ca.pem`, which `ca_file`",
            "put the",
        );
        broken(KEYSTORE, Some(b"{"), "keys", "keystore.json` is damaged", "Put the file back from a backup");
        broken(KEYSTORE, None, "keys", "its keys were lost", "Restore the home from a backup");
        broken(
            STORE,
            Some(&[7; 9_000]),
            "store",
            "store.sqlite` is damaged",
            "restore the home from a backup",
        );
        broken(STORE, Some(b""), "store", "is not there or empty", "Restore the home");
    }

    #[cfg(unix)]
    #[test]
    fn rights_are_looked_at() {
        use std::os::unix::fs::PermissionsExt;
        let (_temp, dir) = home();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (path, is, should) in [
            (dir.clone(), 0o755, 0o700),
            (dir.join(KEYSTORE), 0o640, 0o600),
            (dir.join(PRIVATE).join("a"), 0o604, 0o600),
        ] {
            set(&path, is);
            let found = bad(&dir);
            assert_eq!((found.len(), found[0].0), (1, "rights"), "{found:?}");
            assert_eq!(found[0].1, format!("others may read `{}`", path.display()));
            set(&path, should);
        }
        assert_eq!(bad(&dir), []);
    }

    #[test]
    fn room_and_clock() {
        let dir = Path::new("home");
        assert!(room_on_disk(LEAST_DISK, dir).ok);
        let found = room_on_disk(LEAST_DISK - 1, dir);
        assert_eq!((found.ok, found.says.as_str()), (false, "1.9 GiB free"));
        assert!(room_in_memory(LEAST_MEMORY).ok && !room_in_memory(LEAST_MEMORY - 1).ok);
        assert_eq!(available("MemTotal:  5 kB\nMemAvailable:   24007068 kB\n"), Some(24_007_068 << 10));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        #[cfg(target_os = "linux")]
        assert!(memory().is_some() && super::disk(Path::new("/")).is_some());

        let says = |now, block| clock(now, block);
        assert!(says(NOW, Some(NOW + BEHIND)).ok && says(NOW, None).ok && says(NOW, Some(0)).ok);
        let behind = says(NOW, Some(NOW + 3_600));
        assert!(!behind.ok && behind.says.ends_with("60 min before the newest block was made"), "{behind:?}");
        assert!(!says(1_000, None).ok);
    }
}
