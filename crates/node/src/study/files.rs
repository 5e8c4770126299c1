//! Where data files come from: a folder, or the program itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A source of the files that a study names.
pub trait Files {
    /// Opens the file that the study file calls `path`.
    ///
    /// # Errors
    /// Whatever the source says; the caller adds which file of which study.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>>;
}

/// Files on disk, relative to a study file. `${HISTONE_DATA}` at the start of a path stands for the data root.
#[derive(Clone, Debug)]
pub struct Disk {
    base: PathBuf,
    data_root: Option<PathBuf>,
}

impl Disk {
    /// Files beside the study at `study`.
    #[must_use]
    pub fn beside(study: &Path, data_root: Option<&Path>) -> Self {
        Self {
            base: study.parent().unwrap_or(Path::new("")).to_owned(),
            data_root: data_root.map(Path::to_owned),
        }
    }

    /// The path on disk of a file that the study calls `path`.
    ///
    /// # Errors
    /// When a variable is unknown or has no value.
    pub fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        const VARIABLE: &str = "${HISTONE_DATA}";
        match path.strip_prefix(VARIABLE) {
            Some(rest) => {
                let root = self.data_root.as_ref().ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::NotFound,
                        "the environment variable HISTONE_DATA is not set and no folder `../shared/data` was found; set it to the folder with the data",
                    )
                })?;
                Ok(root.join(rest.trim_start_matches('/')))
            }
            None if path.contains("${") => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "only ${HISTONE_DATA} at the start of a path is replaced",
            )),
            None => Ok(self.base.join(path)),
        }
    }
}

impl Files for Disk {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let path = self.resolve(path)?;
        let tried = |e: io::Error| io::Error::new(e.kind(), format!("`{}`: {e}", path.display()));
        Ok(Box::new(File::open(&path).map_err(tried)?))
    }
}

/// The data root: `variable` (the value of `HISTONE_DATA`) when it is set, else the first `../shared/data` that exists
/// beside `current_dir` or one of its parents.
///
/// A variable that points nowhere is taken as it is, so that opening a file fails loudly instead of quietly reading
/// other data.
#[must_use]
pub fn data_root(variable: Option<OsString>, current_dir: &Path) -> Option<PathBuf> {
    if let Some(value) = variable {
        return Some(PathBuf::from(value));
    }
    current_dir
        .ancestors()
        .filter_map(Path::parent)
        .map(|parent| parent.join("shared").join("data"))
        .find(|root| root.is_dir())
}

/// A study and its files inside the program.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    files: &'static [(&'static str, &'static str)],
}

/// The study of `histone demo`: `examples/breast-cancer`.
pub const BREAST_CANCER: Bundled = Bundled {
    files: &[
        ("study.toml", include_str!("../../../../examples/breast-cancer/study.toml")),
        (
            "university-hospital.csv",
            include_str!("../../../../examples/breast-cancer/university-hospital.csv"),
        ),
        ("cancer-center.csv", include_str!("../../../../examples/breast-cancer/cancer-center.csv")),
        ("city-hospital.csv", include_str!("../../../../examples/breast-cancer/city-hospital.csv")),
        ("screening-center.csv", include_str!("../../../../examples/breast-cancer/screening-center.csv")),
        ("queries.csv", include_str!("../../../../examples/breast-cancer/queries.csv")),
        ("README.md", include_str!("../../../../examples/breast-cancer/README.md")),
    ],
};

impl Bundled {
    /// The text of the study file.
    #[must_use]
    pub fn study(&self) -> &'static str {
        self.get("study.toml").unwrap_or_default()
    }

    /// All files as `(name, text)`, so that a user can have them written out and changed.
    #[must_use]
    pub fn files(&self) -> &'static [(&'static str, &'static str)] {
        self.files
    }

    fn get(&self, path: &str) -> Option<&'static str> {
        self.files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
    }
}

impl Files for Bundled {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        match self.get(path) {
            Some(text) => Ok(Box::new(text.as_bytes())),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the bundled study has no such file")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_are_relative_to_the_study() {
        let disk = Disk::beside(Path::new("a/b/study.toml"), Some(Path::new("/data")));
        assert_eq!(disk.resolve("x.csv").unwrap(), Path::new("a/b/x.csv"));
        assert_eq!(disk.resolve("/y/x.csv").unwrap(), Path::new("/y/x.csv"));
        assert_eq!(disk.resolve("${HISTONE_DATA}/heart/x.csv").unwrap(), Path::new("/data/heart/x.csv"));
        assert!(disk.resolve("${HOME}/x.csv").is_err());
        let nothing_set = Disk::beside(Path::new("study.toml"), None);
        assert!(nothing_set.resolve("${HISTONE_DATA}/x.csv").is_err());
    }

    #[test]
    fn the_data_root_is_the_variable_or_a_neighbor() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("project").join("crates");
        std::fs::create_dir_all(&deep).unwrap();
        let set = Some(OsString::from("/nowhere"));
        assert_eq!(data_root(set, &deep), Some(PathBuf::from("/nowhere")));
        assert_eq!(data_root(None, &deep).filter(|root| root.starts_with(folder.path())), None);
        let shared = folder.path().join("shared").join("data");
        std::fs::create_dir_all(&shared).unwrap();
        assert_eq!(data_root(None, &deep), Some(shared));
    }
}
