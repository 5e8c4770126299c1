//! Reading the chain of a stranger.
//!
//! The store under the chain (redb) panics on some damaged files instead of giving an error. To the reader of such a file
//! that is an answer, not a fault of this program: it becomes an ordinary error, without the store's own words.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

/// Whether the last panic came from the store.
static FROM_STORE: AtomicBool = AtomicBool::new(false);

/// Calls `read`; a panic of the store becomes an error that names `place`. Any other panic stays one.
pub fn read_chain<T>(place: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let standard = panic::take_hook();
    let hook = move |info: &PanicHookInfo<'_>| {
        let from_store = info.location().is_some_and(|at| at.file().contains("/redb-"));
        FROM_STORE.store(from_store, Ordering::Relaxed);
        if !from_store {
            standard(info);
        }
    };
    panic::set_hook(Box::new(hook));
    // What `read` shares with the outside is not used after a panic.
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    // Back to the hook of the standard library, which is the only other one in this program.
    let _ = panic::take_hook();
    match outcome {
        Ok(value) => value,
        Err(_) if FROM_STORE.load(Ordering::Relaxed) => {
            bail!(
                "the file of the chain in `{}` is damaged and cannot be read; restore it from a copy (`histone verify` says whether a run folder is whole)",
                place.display()
            )
        }
        Err(other) => panic::resume_unwind(other),
    }
}
