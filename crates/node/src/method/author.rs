//! A folder for a new method, which builds and has a test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why no folder was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorError {
    /// The name is none.
    #[error(
        "`{0}` is no name of a method: it has small letters, digits and dashes, begins with a letter, and at most 40"
    )]
    Name(String),
    /// Something is there already.
    #[error("{0} is there already; choose another name or folder")]
    Exists(PathBuf),
    /// The disk.
    #[error("could not write {path}: {source}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The bundled source text, which holds the SDK, is damaged.
    #[error("the program's own copy of the SDK is damaged; install it again")]
    Bundle,
}

const FILES: [(&str, &str); 5] = [
    ("NAME/Cargo.toml", include_str!("template/cargo.txt")),
    ("NAME/manifest.json", include_str!("template/manifest.txt")),
    ("NAME/src/lib.rs", include_str!("template/lib.txt")),
    ("NAME/example.csv", include_str!("template/example.csv")),
    ("NAME/example.toml", include_str!("template/example.txt")),
];

const WORKSPACE: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../../../programs/Cargo.toml")),
    (".cargo/config.toml", include_str!("template/config.txt")),
    ("rust-toolchain.toml", include_str!("template/toolchain.txt")),
];

/// Makes `folder/name`, with a workspace and the SDK in `folder` when they are not there. Gives the files that were made.
pub fn begin(folder: &Path, name: &str) -> Result<Vec<PathBuf>, AuthorError> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > 40
        || !name.chars().all(letters)
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
    {
        return Err(AuthorError::Name(name.into()));
    }
    if folder.join(name).exists() {
        return Err(AuthorError::Exists(folder.join(name)));
    }
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let title: String = name.replace('-', "_");
    for (path, text) in FILES {
        let text = text.replace("NAME_", &title).replace("NAME", name);
        files.push((path.replace("NAME", name), text.into()));
    }
    if !folder.join("Cargo.toml").exists() {
        files.extend(WORKSPACE.map(|(path, text)| (path.to_owned(), text.into())));
        files.extend(sdk().ok_or(AuthorError::Bundle)?);
    }
    let mut made = Vec::new();
    for (path, bytes) in files {
        let path = folder.join(path);
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&path, &bytes)
        };
        write().map_err(|source| AuthorError::Write { path: path.clone(), source })?;
        made.push(path);
    }
    Ok(made)
}

/// The files of the SDK, from the source text of a bundled method.
fn sdk() -> Option<Vec<(String, Vec<u8>)>> {
    let mut rest = super::METHODS[0].source;
    let first = rest.iter().position(|b| *b == b'\n')?;
    rest = rest.get(first + 1..)?;
    let mut files = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n')?;
        let (path, length) = std::str::from_utf8(rest.get(..end)?).ok()?.split_once(' ')?;
        let bytes = rest.get(end + 1..end + 1 + length.parse::<usize>().ok()?)?;
        if path.starts_with("sdk/") {
            files.push((path.to_owned(), bytes.to_vec()));
        }
        rest = rest.get(end + 1 + bytes.len() + 1..)?;
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_folder_is_made_once_and_names_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let made = begin(dir.path(), "rate").unwrap();
        assert!(
            made.contains(&dir.path().join("rate/src/lib.rs"))
                && made.contains(&dir.path().join("sdk/Cargo.toml"))
        );
        assert!(!fs::read_to_string(dir.path().join("rate/manifest.json")).unwrap().contains("NAME"));
        assert!(matches!(begin(dir.path(), "rate"), Err(AuthorError::Exists(_))));
        // A second one uses the SDK that is there.
        assert!(begin(dir.path(), "other").unwrap().iter().all(|p| p.starts_with(dir.path().join("other"))));
        for name in ["", "Rate", "../x", "a b", "-a", "1a"] {
            assert!(matches!(begin(dir.path(), name), Err(AuthorError::Name(_))), "{name}");
        }
    }
}
