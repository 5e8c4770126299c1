//! Files that are written whole or not at all, and stay.
//!
//! The steps of a write: lock the directory; write a temporary file beside the old one; sync it; rename it; sync the
//! directory, without which the rename may be forgotten. A crash between any two of them leaves the old file or the new
//! one. The system gives the lock back when its holder dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::{StoreError, io_error};

/// Writes a file whole or not at all; when this returns, it is on the disk. Writers of one directory take turns.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let dir = Directory::of(path)?;
    dir.lock()?;
    dir.replace(path, bytes, OpenOptions::new().write(true))
}

/// Changes a file that only its owner may read, in one step: `change` gets what is there, if anything, and gives what
/// is to be there, or `None` to leave it. No other writer, in this process or another, comes in between.
///
/// `change` runs under the lock of the directory: it must not write there by itself.
pub fn update_private<B: AsRef<[u8]>, E: From<StoreError>>(
    path: &Path,
    change: impl FnOnce(Option<Vec<u8>>) -> Result<Option<B>, E>,
) -> Result<(), E> {
    let dir = Directory::of(path)?;
    dir.lock()?;
    match change(read(path)?)? {
        Some(new) => Ok(dir.replace(path, new.as_ref(), &mut owner_only())?),
        // What the caller has seen it will rely on.
        None => Ok(dir.sync()?),
    }
}

/// Reads a file and makes sure that a later crash does not take back what was read; `None` when there is none.
pub fn read_durable(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    // Its writer synced the bytes before the rename; the rename itself may not be on the disk yet.
    Directory::of(path)?.sync()?;
    Ok(Some(bytes))
}

/// Puts a file that somebody has written into its place, whole and to stay; what was there is replaced.
#[cfg(any(feature = "hub", test))]
pub(crate) fn move_durable(from: &Path, to: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .write(true)
        .open(from)
        .and_then(|file| file.sync_data())
        .map_err(io_error("sync", from))?;
    fs::rename(from, to).map_err(io_error("write", to))?;
    Directory::of(to)?.sync()
}

/// Removes a file for good, if it is there: a later crash does not bring it back. What a disk keeps of removed files is its own
/// matter.
pub fn remove_durable(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", path)(error)),
        Ok(()) => Directory::of(path)?.sync(),
    }
}

/// The names of the files in a directory that begin so, in the order of the alphabet.
pub fn file_names(dir: &Path, beginning: &str) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        names.extend(name.to_str().filter(|name| name.starts_with(beginning)).map(str::to_string));
    }
    names.sort();
    Ok(names)
}

/// Makes a directory and those above it, to stay.
pub fn create_dir(dir: &Path) -> Result<(), StoreError> {
    create(dir, &fs::DirBuilder::new())
}

/// Makes a directory that only its owner may enter, to stay.
pub fn create_private_dir(dir: &Path) -> Result<(), StoreError> {
    #[allow(unused_mut)] // where there are no modes
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    create(dir, &builder)?;
    // It may have been there before, with other rights.
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(dir, mode).map_err(io_error("restrict", dir))?;
    }
    Ok(())
}

fn create(dir: &Path, builder: &fs::DirBuilder) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
        create(above, &fs::DirBuilder::new())?;
    }
    match builder.create(dir) {
        // Another process was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other.map_err(io_error("create", dir))?,
    }
    Directory::of(dir)?.sync()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

pub(crate) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true);
    options
}

/// The directory of a file: what is locked and synced. It holds its lock until it is dropped.
struct Directory {
    path: PathBuf,
    handle: File,
}

impl Directory {
    fn of(file: &Path) -> Result<Self, StoreError> {
        let path = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        // Where a directory cannot be opened as a file, a file in it stands for it.
        #[cfg(unix)]
        let handle = File::open(&path);
        #[cfg(not(unix))]
        let handle = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(".lock"));
        let handle = handle.map_err(io_error("open", &path))?;
        Ok(Self { path, handle })
    }

    /// Waits until nobody else writes here.
    fn lock(&self) -> Result<(), StoreError> {
        self.handle.lock().map_err(io_error("lock", &self.path))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.handle.sync_all().map_err(io_error("sync", &self.path))
    }

    /// Puts `bytes` in the place of a file; the caller holds the lock, so that the temporary file is its own.
    fn replace(&self, path: &Path, bytes: &[u8], options: &mut OpenOptions) -> Result<(), StoreError> {
        let partial = path.with_extension("partial");
        // What a writer left that was killed may have other rights than the new file is to have.
        match fs::remove_file(&partial) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error("write", path)(e)),
            _ => {}
        }
        let written = options.create_new(true).open(&partial).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        if let Err(source) = written {
            // The partial file is of no use to anybody; that the write failed is what the caller must hear.
            let _ = fs::remove_file(&partial);
            return Err(io_error("write", path)(source));
        }
        fs::rename(&partial, path).map_err(io_error("write", path))?;
        self.sync()
    }
}

#[cfg(test)]
mod tests;
