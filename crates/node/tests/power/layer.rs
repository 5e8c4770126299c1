//! Records what a thread does to the files of one directory, below the standard library and SQLite: both call the C library, and
//! these functions, which carry the C library's names, stand before it.
#![allow(unsafe_code)] // the C library's functions take pointers

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Names a file for as long as the recording lasts, whatever it is called.
pub type FileId = usize;

/// One step towards the disk.
#[derive(Debug, Clone)]
pub enum Op {
    /// A name that was not there.
    Create { path: PathBuf, file: FileId },
    /// Bytes at a place.
    Write { file: FileId, at: u64, bytes: Vec<u8> },
    /// A new length.
    Truncate { file: FileId, length: u64 },
    /// All bytes of the file are on the disk.
    Sync { file: FileId },
    /// All names of the directory are on the disk.
    SyncDirectory { path: PathBuf },
    /// Another name, in the place of what had it.
    Rename { from: PathBuf, to: PathBuf },
    /// A name is gone.
    Unlink { path: PathBuf },
    /// The test says that so many of its steps have returned.
    Returned(usize),
}

/// What was done, from an empty directory on.
struct Recorder {
    dir: PathBuf,
    names: BTreeMap<PathBuf, FileId>,
    files: usize,
    ops: Vec<Op>,
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// Records what `run` does below `dir`, which is empty. It gets a function by which it says that a step has returned.
pub fn record(dir: &Path, run: impl FnOnce(&dyn Fn())) -> Vec<Op> {
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
    let recorder = Recorder { dir: dir.to_owned(), names: BTreeMap::new(), files: 0, ops: Vec::new() };
    RECORDER.set(Some(recorder));
    let returned = RefCell::new(0);
    run(&|| {
        *returned.borrow_mut() += 1;
        note(|recorder| recorder.ops.push(Op::Returned(*returned.borrow())));
    });
    RECORDER.take().unwrap().ops
}

fn note(change: impl FnOnce(&mut Recorder)) {
    // A thread that ends writes as well, and the recorder may be at work.
    let _ = RECORDER.try_with(|recorder| {
        if let Ok(mut recorder) = recorder.try_borrow_mut()
            && let Some(recorder) = recorder.as_mut()
        {
            change(recorder);
        }
    });
}

/// The same for what is open under a number, when it lies below the directory.
fn note_open(fd: c_int, change: impl FnOnce(&mut Recorder, PathBuf)) {
    note(|recorder| {
        if let Ok(path) = fs::read_link(format!("/proc/self/fd/{fd}"))
            && path.starts_with(&recorder.dir)
        {
            change(recorder, path);
        }
    });
}

impl Recorder {
    fn file(&mut self, path: PathBuf) -> FileId {
        if let Some(file) = self.names.get(&path) {
            return *file;
        }
        let file = self.files;
        self.files += 1;
        self.names.insert(path.clone(), file);
        self.ops.push(Op::Create { path, file });
        file
    }
}

// SAFETY, for all: the C library's function is found by its name and called as it is declared there, with what the caller gave.
macro_rules! next {
    ($name:literal, fn($($kind:ty),*) -> $result:ty) => {{
        let found = unsafe { dlsym(usize::MAX as *mut c_void, $name.as_ptr()) };
        assert!(!found.is_null());
        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) -> $result>(found) }
    }};
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn lseek(fd: c_int, offset: i64, whence: c_int) -> i64;
}

fn written(fd: c_int, at: u64, bytes: *const c_void, length: isize) {
    let Ok(length) = usize::try_from(length) else { return };
    note_open(fd, |recorder, path| {
        let file = recorder.file(path);
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec();
        recorder.ops.push(Op::Write { file, at, bytes });
    });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize {
    let real = next!(c"write", fn(c_int, *const c_void, usize) -> isize);
    let done = unsafe { real(fd, bytes, length) };
    // Where it ended, without what cannot be asked, such as a pipe.
    if done > 0 && RECORDER.try_with(|recorder| recorder.try_borrow().is_ok_and(|r| r.is_some())) == Ok(true)
    {
        let end = unsafe { lseek(fd, 0, 1) };
        if let Ok(at) = u64::try_from(end - done as i64) {
            written(fd, at, bytes, done);
        }
    }
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    let real = next!(c"pwrite64", fn(c_int, *const c_void, usize, i64) -> isize);
    let done = unsafe { real(fd, bytes, length, at) };
    written(fd, at as u64, bytes, done);
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    unsafe { pwrite64(fd, bytes, length, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    let real = next!(c"ftruncate64", fn(c_int, i64) -> c_int);
    let done = unsafe { real(fd, length) };
    if done == 0 {
        note_open(fd, |recorder, path| {
            let file = recorder.file(path);
            recorder.ops.push(Op::Truncate { file, length: length as u64 });
        });
    }
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    unsafe { ftruncate64(fd, length) }
}

fn synced(fd: c_int, done: c_int) -> c_int {
    if done == 0 {
        note_open(fd, |recorder, path| {
            let op = match path.is_dir() {
                true => Op::SyncDirectory { path },
                false => Op::Sync { file: recorder.file(path) },
            };
            recorder.ops.push(op);
        });
    }
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    let real = next!(c"fsync", fn(c_int) -> c_int);
    synced(fd, unsafe { real(fd) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    let real = next!(c"fdatasync", fn(c_int) -> c_int);
    synced(fd, unsafe { real(fd) })
}

unsafe fn path(text: *const c_char) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = next!(c"rename", fn(*const c_char, *const c_char) -> c_int);
    let done = unsafe { real(from, to) };
    let (from, to) = unsafe { (path(from), path(to)) };
    if done == 0 {
        note(|recorder| {
            if from.starts_with(&recorder.dir) {
                let file = recorder.file(from.clone());
                recorder.names.remove(&from);
                recorder.names.insert(to.clone(), file);
                recorder.ops.push(Op::Rename { from, to });
            }
        });
    }
    done
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(text: *const c_char) -> c_int {
    let real = next!(c"unlink", fn(*const c_char) -> c_int);
    let done = unsafe { real(text) };
    let path = unsafe { path(text) };
    if done == 0 {
        note(|recorder| {
            if recorder.names.remove(&path).is_some() {
                recorder.ops.push(Op::Unlink { path });
            }
        });
    }
    done
}
