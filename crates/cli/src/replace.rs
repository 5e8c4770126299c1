//! `--replace`: removes an earlier run, and only a run.
//!
//! The folder is named by a person who may be wrong, and what is removed is gone. So a folder has to show a run's own
//! marks and nothing else at its top: a `manifest.json` alone says little, every browser extension has one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use histone_chain::FILE_NAME;
use histone_compliance::folder::Folder;
use histone_node::run::FUNDED;
use histone_node::run::place::LOCK;

/// One of these is in every folder of a run, finished or not; the last while the mark is being written.
const MARKS: [&str; 3] = ["manifest.json", "UNFINISHED", "UNFINISHED.partial"];
/// Whatever else a run leaves at the top of its folder, also when it is killed while it writes.
const PARTS: [&str; 7] =
    ["ledger", "blobs", "run.json", "run.partial", "result.json", "result.partial", "manifest.partial"];
/// Directory of the party that is made first.
const FIRST_PARTY: &str = "operator";
/// How long a lock may outlive its process.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Removes a run folder and its secrets; nothing that does not look like a run is touched.
pub fn remove_earlier(folder: &Folder) -> Result<()> {
    let root = folder.root();
    let shown = root.display();
    let held = names(root)?;
    if let Some(other) = held.iter().find(|&name| !MARKS.contains(&&**name) && !PARTS.contains(&&**name)) {
        bail!(
            "`{shown}` holds `{other}`, which is no part of a run, so --replace leaves it alone; name another folder with --out"
        );
    }
    if !held.is_empty() && !held.iter().any(|name| MARKS.contains(&&**name)) {
        bail!(
            "`{shown}` holds no run of histone, so --replace leaves it alone; name another folder with --out"
        );
    }
    let private = private(root);
    let secrets = names(&private)?;
    if !secrets.is_empty() && !secrets.iter().any(|name| name == FIRST_PARTY) {
        bail!(
            "`{}` does not hold the secrets of a run, so --replace leaves it alone; name another folder with --out",
            private.display()
        );
    }
    if is_going_on(&folder.ledger().join(FILE_NAME)) || is_going_on(&private.join(LOCK)) {
        bail!("a run is going on in `{shown}`; wait for its end, stop it, or name another folder with --out");
    }
    if private.join(FUNDED).exists() {
        bail!(
            "the keys in `{0}` may hold coins for gas that were not sent back (`{FUNDED}` there says whose and on which chain), so --replace does not remove them; move `{0}` away first, or name another folder with --out",
            private.display()
        );
    }
    // The marks go last: when this is broken off, what is left is still seen to be a run.
    remove(&private)?;
    for part in held.iter().filter(|&name| !MARKS.contains(&&**name)) {
        remove(&root.join(part))?;
    }
    remove(root)
}

/// Whether another process holds a file that a run locks from its first step to its last: the embedded chain, or on a
/// network the lock beside the secrets.
fn is_going_on(locked: &Path) -> bool {
    let Ok(file) = File::open(locked) else { return false };
    // Real time on purpose: a process that was killed can hold its lock for a moment longer than it lives.
    let start = Instant::now();
    while matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        if start.elapsed() > LOCK_PATIENCE {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// The parties' private directories, beside the run folder.
fn private(root: &Path) -> PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_os_string();
    name.push(".private");
    root.with_file_name(name)
}

/// Removes a file or a directory; links are removed, not followed.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove `{}`", path.display()))
}

/// What a directory holds, in order; nothing when there is no such path.
fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot list `{}`", dir.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list `{}`", dir.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_that_may_hold_coins_are_not_removed() {
        let home = tempfile::tempdir().unwrap();
        let (root, private) = (home.path().join("run"), home.path().join("run.private"));
        fs::create_dir_all(root.join("blobs")).unwrap();
        fs::write(root.join("UNFINISHED"), "").unwrap();
        fs::create_dir_all(private.join(FIRST_PARTY)).unwrap();
        for name in [LOCK, FUNDED] {
            fs::write(private.join(name), "").unwrap();
        }
        let folder = Folder::at(&root);
        let refused = remove_earlier(&folder).unwrap_err().to_string();
        assert!(
            refused.contains("may hold coins") && refused.contains("run.private` away first"),
            "{refused}"
        );
        assert!(root.join("blobs").exists() && private.join(FIRST_PARTY).exists());
        // As told: the keys are kept elsewhere.
        fs::rename(&private, home.path().join("kept")).unwrap();
        remove_earlier(&folder).unwrap();
        assert!(!root.exists() && home.path().join("kept").join(FUNDED).exists());

        // A run whose coins are back, or that needed none.
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("manifest.json"), "").unwrap();
        fs::create_dir_all(private.join(FIRST_PARTY)).unwrap();
        fs::write(private.join(LOCK), "").unwrap();
        remove_earlier(&folder).unwrap();
        assert!(!root.exists() && !private.exists());
    }
}
