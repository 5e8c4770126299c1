//! Writes that fail for good when the life of the process on turn is over: below the standard library and SQLite, which both call the C
//! library. These functions carry the C library's names and stand before it.
//!
//! A disk may also be full, or not to be written, for a while. What was written before stays, as it does when a process is killed; syncs do nothing, since no power fails here.
#![allow(unsafe_code)] // the C library's functions take pointers

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::life::{FULL, Life, READ_ONLY, Step, on_turn};

const EIO: c_int = 5;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

// SAFETY, for all: the C library's function is found by its name and called as it is declared there, with what the caller gave.
macro_rules! next {
    ($name:literal, fn($($kind:ty),*) -> $result:ty) => {{
        let found = unsafe { dlsym(usize::MAX as *mut c_void, $name.as_ptr()) };
        assert!(!found.is_null());
        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) -> $result>(found) }
    }};
}

/// What is to be changed on a disk.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    /// It takes room.
    Grows,
    /// It takes none.
    Moves,
}

/// The error of a change that is not done, of the process on turn in its home; 0 for one that is done.
fn refused(life: &Life, change: Change) -> c_int {
    match life.disk.load(Ordering::Relaxed) {
        READ_ONLY => READ_ONLY,
        FULL if change == Change::Grows => FULL,
        _ if life.step(Step::Write) => 0,
        _ => EIO,
    }
}

/// Whether a change of this path is done: any that is not of the process on turn, and of its own as long as it lives and has a disk.
fn goes_on(path: &Path, change: Change) -> bool {
    let error = on_turn(|home, life| if path.starts_with(home) { refused(life, change) } else { 0 });
    fails_with(error.unwrap_or(0))
}

/// The same for what is open under a number.
fn goes_on_open(fd: c_int) -> bool {
    let path = || fs::read_link(format!("/proc/self/fd/{fd}")).ok();
    let error = on_turn(|home, life| match path().is_some_and(|path| path.starts_with(home)) {
        true => refused(life, Change::Grows),
        false => 0,
    });
    fails_with(error.unwrap_or(0))
}

fn fails_with(error: c_int) -> bool {
    if error != 0 {
        unsafe { *__errno_location() = error };
    }
    error == 0
}

fn fails<T: From<i8>>() -> T {
    T::from(-1)
}

unsafe fn path<'a>(text: *const c_char) -> &'a Path {
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize {
    let real = next!(c"write", fn(c_int, *const c_void, usize) -> isize);
    if goes_on_open(fd) { unsafe { real(fd, bytes, length) } } else { fails() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    let real = next!(c"pwrite64", fn(c_int, *const c_void, usize, i64) -> isize);
    if goes_on_open(fd) { unsafe { real(fd, bytes, length, at) } } else { fails() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    unsafe { pwrite64(fd, bytes, length, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    let real = next!(c"ftruncate64", fn(c_int, i64) -> c_int);
    if goes_on_open(fd) { unsafe { real(fd, length) } } else { fails() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: i64) -> c_int {
    unsafe { ftruncate64(fd, length) }
}

#[unsafe(no_mangle)]
extern "C" fn fsync(_: c_int) -> c_int {
    let over = on_turn(|_, life| life.is_over()) == Some(true);
    if fails_with(if over { EIO } else { 0 }) { 0 } else { fails() }
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    fsync(fd)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = next!(c"rename", fn(*const c_char, *const c_char) -> c_int);
    if goes_on(unsafe { path(to) }, Change::Moves) { unsafe { real(from, to) } } else { fails() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(text: *const c_char) -> c_int {
    let real = next!(c"unlink", fn(*const c_char) -> c_int);
    if goes_on(unsafe { path(text) }, Change::Moves) { unsafe { real(text) } } else { fails() }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(text: *const c_char, mode: c_uint) -> c_int {
    let real = next!(c"mkdir", fn(*const c_char, c_uint) -> c_int);
    if goes_on(unsafe { path(text) }, Change::Grows) { unsafe { real(text, mode) } } else { fails() }
}
