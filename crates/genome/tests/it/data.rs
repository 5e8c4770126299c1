//! The public data that lie beside the project.

use std::path::{Path, PathBuf};

/// A folder of the data. `None`, with the reason printed, only when nobody said where the data are and they are not there.
pub fn folder(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = match std::env::var_os("HISTONE_DATA") {
        Some(root) => PathBuf::from(root),
        None if beside.exists() => beside,
        None => {
            eprintln!("SKIPPED: HISTONE_DATA is not set and ../shared/data is not there");
            return None;
        }
    };
    let folder = root.join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

/// The files of a folder whose names end so, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    files.sort();
    files
}
