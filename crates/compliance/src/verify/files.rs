//! The files: what lies in the folder is what the manifest lists, byte for byte.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use histone_network::MAX_BLOB;
use histone_protocol::Address;

use super::Check;
use super::findings::{Findings, told};
use crate::folder::{FORMAT, Folder, Manifest};

/// More files than any run leaves.
const MOST_FILES: usize = 1_000_000;
/// Directories below directories.
const DEEPEST: usize = 8;
/// Largest file of the chain.
const LARGEST_LEDGER: u64 = 4 << 30;
/// Largest of the documents beside blobs and chain.
const LARGEST_DOCUMENT: u64 = 64 << 20;

/// Checks the manifest against the folder; gives it with its signer when it can be read.
pub(super) fn check(folder: &Folder) -> (Check, Option<(Manifest, Address)>) {
    let mut findings = Findings::new("manifest");
    let surveyed = survey(folder, &mut findings);
    let manifest = findings.take(read(folder), || "manifest.json".into());
    let Some((manifest, signer)) = manifest else { return (findings.check(String::new()), None) };
    findings.expect(manifest.format == FORMAT, || {
        format!("manifest.json has format `{}`, this program reads `{FORMAT}`", manifest.format)
    });
    let mut bytes = 0u64;
    let mut strange = BTreeSet::new();
    // Only what the survey found to be of a sane kind and size is read.
    if surveyed
        && let Some(found) = findings.take(folder.hash_files().map_err(|e| told(&e)), || "the files".into())
    {
        for (name, listed) in &manifest.files {
            match found.get(name) {
                None => findings.fail(format!("`{name}` is missing: the manifest lists it")),
                Some(file) if file.bytes != listed.bytes => findings.fail(format!(
                    "`{name}` was altered: it has {} bytes, the manifest says {}",
                    file.bytes, listed.bytes
                )),
                Some(file) if file.blake3 != listed.blake3 => findings.fail(format!(
                    "`{name}` was altered: its BLAKE3 hash is {}, the manifest says {}",
                    file.blake3, listed.blake3
                )),
                Some(file) => bytes = bytes.saturating_add(file.bytes),
            }
            if let Some(blob) = name.strip_prefix("blobs/") {
                findings.expect(blob == format!("{:x}", listed.blake3), || {
                    format!("`{name}` does not have the hash that names it")
                });
            }
        }
        for name in found.keys().filter(|name| !manifest.files.contains_key(*name)) {
            findings.fail(format!("`{name}` is not in the manifest"));
        }
        for name in found.keys().chain(manifest.files.keys()).filter(|name| !has_place(name)) {
            strange.insert(name.clone());
        }
    }
    for name in strange {
        findings.fail(format!("`{name}` has no place in the folder of a run"));
    }
    let holds =
        format!("{} files with {bytes} bytes, each with its hash, and no other", manifest.files.len());
    (findings.check(holds), Some((manifest, signer)))
}

/// Whether a run leaves a file of this name beside the manifest. Whatever else the operator signs for is nothing that any
/// check looks at, and would pass with the others.
fn has_place(name: &str) -> bool {
    match name.split_once('/') {
        None => ["run.json", "result.json"].contains(&name),
        Some(("ledger", file)) => file == histone_chain::FILE_NAME,
        Some(("blobs", blob)) => {
            blob.len() == 64 && blob.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        Some(_) => false,
    }
}

fn read(folder: &Folder) -> Result<(Manifest, Address), String> {
    let path = folder.manifest();
    bounded(&path, LARGEST_DOCUMENT)?;
    folder.read(&path).map_err(|e| told(&e))
}

/// Reads a document of the folder whose size is sane.
pub(super) fn document(path: &Path) -> Result<Vec<u8>, String> {
    bounded(path, LARGEST_DOCUMENT)?;
    fs::read(path).map_err(|e| format!("cannot be read: {e}"))
}

/// Refuses what is no plain file, or too large to be read into memory.
pub(super) fn bounded(path: &Path, limit: u64) -> Result<(), String> {
    let metadata = fs::symlink_metadata(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => "it is missing".to_string(),
        _ => format!("cannot be read: {e}"),
    })?;
    if !metadata.is_file() {
        return Err("it is not a plain file".into());
    }
    if metadata.len() > limit {
        return Err(format!("it has {} bytes, the limit is {limit}", metadata.len()));
    }
    Ok(())
}

/// Refuses links, devices, absurd sizes and numbers before anything is read: a link could point to an endless file.
fn survey(folder: &Folder, findings: &mut Findings) -> bool {
    let mut files = 0;
    let mut directories = vec![(folder.root().to_owned(), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let listed = fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let Some(entries) = findings.take(listed, || format!("`{}`", directory.display())) else {
            return false;
        };
        for path in entries.into_iter().map(|entry| entry.path()) {
            files += 1;
            if files > MOST_FILES {
                findings.fail(format!("there are more than {MOST_FILES} files"));
                return false;
            }
            let shown = path.strip_prefix(folder.root()).unwrap_or(&path).display().to_string();
            if path.file_name().and_then(|name| name.to_str()).is_none() {
                findings.fail(format!("`{shown}` has a name that is not UTF-8"));
                return false;
            }
            let limit = match path.parent() {
                Some(parent) if parent == folder.ledger() => LARGEST_LEDGER,
                Some(parent) if parent == folder.blobs() => MAX_BLOB,
                _ => LARGEST_DOCUMENT,
            };
            if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
                // An empty one is in no list of files.
                let known = path == folder.blobs() || path == folder.ledger();
                findings.expect(known, || format!("`{shown}` has no place in the folder of a run"));
                if depth == DEEPEST {
                    findings.fail(format!("`{shown}` lies too deep"));
                    return false;
                }
                directories.push((path, depth + 1));
            } else if let Err(reason) = bounded(&path, limit) {
                findings.fail(format!("`{shown}`: {reason}"));
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_network::BlobStore;
    use histone_protocol::B256;
    use histone_protocol::keys::SigningKey;

    use super::*;
    use crate::verify::Outcome;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path().join("run"));
        let blobs = BlobStore::open(folder.blobs()).unwrap();
        blobs.put(b"one").unwrap();
        blobs.put(b"two").unwrap();
        fs::create_dir(folder.ledger()).unwrap();
        fs::write(folder.ledger().join("chain.redb"), b"chain").unwrap();
        fs::write(folder.result(), b"{}").unwrap();
        let manifest = Manifest {
            format: FORMAT.into(),
            head: B256::ZERO,
            height: 0,
            state_digest: None,
            files: folder.hash_files().unwrap(),
        };
        folder.write(&folder.manifest(), &manifest, &SigningKey::from_bytes(&[1; 32]).unwrap()).unwrap();
        (dir, folder)
    }

    fn fails(folder: &Folder, part: &str) {
        let (check, _) = check(folder);
        assert_eq!(check.outcome, Outcome::Fails, "{check:?}");
        assert!(check.detail.contains(part), "expected `{part}` in `{}`", check.detail);
    }

    #[test]
    fn a_whole_folder_holds() {
        let (_dir, folder) = folder();
        let (check, read) = check(&folder);
        assert_eq!(check.outcome, Outcome::Holds, "{check:?}");
        assert_eq!(check.detail, "4 files with 13 bytes, each with its hash, and no other");
        assert_eq!(read.unwrap().1, SigningKey::from_bytes(&[1; 32]).unwrap().address());
    }

    #[test]
    fn every_flipped_byte_of_every_file_names_the_file() {
        let (_dir, folder) = folder();
        let mut names: Vec<String> = folder.hash_files().unwrap().into_keys().collect();
        names.push("manifest.json".into());
        for name in names {
            let path = folder.root().join(&name);
            let bytes = fs::read(&path).unwrap();
            for i in 0..bytes.len() {
                let mut altered = bytes.clone();
                altered[i] ^= 1;
                fs::write(&path, &altered).unwrap();
                fails(&folder, &name);
            }
            fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(check(&folder).0.outcome, Outcome::Holds);
    }

    #[test]
    fn missing_added_and_shortened_files_are_named() {
        let (_dir, folder) = folder();
        fs::write(folder.root().join("note.txt"), b"x").unwrap();
        fails(&folder, "`note.txt` is not in the manifest");
        fs::remove_file(folder.root().join("note.txt")).unwrap();
        fs::write(folder.result(), b"{").unwrap();
        fails(&folder, "`result.json` was altered: it has 1 bytes, the manifest says 2");
        fs::remove_file(folder.result()).unwrap();
        fails(&folder, "`result.json` is missing");
        fs::remove_file(folder.manifest()).unwrap();
        fails(&folder, "manifest.json: it is missing");
    }

    #[test]
    fn what_the_operator_signs_for_and_no_run_leaves_is_named() {
        let (_dir, folder) = folder();
        fs::write(folder.root().join("certificate.pdf"), b"x").unwrap();
        fs::write(folder.ledger().join("older.redb"), b"x").unwrap();
        fs::create_dir_all(folder.root().join("report/empty")).unwrap();
        let (mut manifest, _) = folder.read::<Manifest>(&folder.manifest()).unwrap();
        manifest.files = folder.hash_files().unwrap();
        folder.write(&folder.manifest(), &manifest, &SigningKey::from_bytes(&[1; 32]).unwrap()).unwrap();
        for name in ["certificate.pdf", "ledger/older.redb", "report", "report/empty"] {
            fails(&folder, &format!("`{name}` has no place in the folder of a run"));
        }
        for (name, has) in [
            ("run.json", true),
            ("result.json", true),
            ("ledger/chain.redb", true),
            ("blobs/run.json", false),
            ("blobs/../run.json", false),
            ("ledger/x/chain.redb", false),
            ("x/run.json", false),
        ] {
            assert_eq!(has_place(name), has, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (_dir, folder) = folder();
        std::os::unix::fs::symlink("/dev/zero", folder.blobs().join("endless")).unwrap();
        fails(&folder, "`blobs/endless`: it is not a plain file");
    }
}
