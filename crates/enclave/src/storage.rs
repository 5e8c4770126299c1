//! What an enclave remembers: kept by its operator's machine, encrypted, before anything that depends on it leaves.
//!
//! The machine is not trusted. It cannot read or alter what it keeps, nor pass one thing for another; it can lose it, or
//! bring back an older state. What then could be asked a second time must be harmless by itself: updates derive from
//! their numbers ([`histone_federation::update`]), and what was paid or opened is on the ledger.

use std::cell::RefCell;
use std::collections::BTreeMap;

use histone_federation::BoxError;
use zeroize::Zeroizing;

use crate::instance::{EnclaveError, Instance};

/// A place for small files that survive restarts. A name never changes what it stands for.
pub trait Storage {
    /// Keeps `bytes` under a name that has none yet, in one atomic and durable step, and gives what is kept there
    /// afterwards: the first one stays, also when two enclaves ask at the same time.
    fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, BoxError>;

    /// What is kept under a name, if anything.
    fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, BoxError>;

    /// Destroys what is kept under a name, durably.
    fn destroy(&self, name: &str) -> Result<(), BoxError>;

    /// The names that begin so, ascending.
    fn names(&self, beginning: &str) -> Result<Vec<String>, BoxError>;
}

/// A place for one state that changes, whose last version survives restarts.
pub trait Store: Send {
    /// What was kept last; none when nothing was.
    fn recall(&self) -> Result<Option<Vec<u8>>, BoxError>;

    /// Keeps a state whole or not at all; durable when it returns.
    fn keep(&mut self, state: &[u8]) -> Result<(), BoxError>;
}

/// A storage that ends with the process: for tests, and for enclaves that may be asked again.
#[derive(Debug, Default)]
pub struct ForgetfulStorage(RefCell<BTreeMap<String, Vec<u8>>>);

impl Storage for ForgetfulStorage {
    fn keep_first(&self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        Ok(self.0.borrow_mut().entry(name.to_string()).or_insert(bytes).clone())
    }

    fn recall(&self, name: &str) -> Result<Option<Vec<u8>>, BoxError> {
        Ok(self.0.borrow().get(name).cloned())
    }

    fn destroy(&self, name: &str) -> Result<(), BoxError> {
        self.0.borrow_mut().remove(name);
        Ok(())
    }

    fn names(&self, beginning: &str) -> Result<Vec<String>, BoxError> {
        Ok(self.0.borrow().keys().filter(|name| name.starts_with(beginning)).cloned().collect())
    }
}

impl Instance {
    /// Remembers `plain` under `name` unless something is remembered there, and gives what is.
    pub(crate) fn remember_first(
        &self,
        storage: &dyn Storage,
        name: &str,
        plain: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        let kept = storage.keep_first(name, self.encrypt(name, plain)).map_err(failed)?;
        self.decrypt(name, &kept)
    }

    /// What is remembered under `name`.
    pub(crate) fn remembered(
        &self,
        storage: &dyn Storage,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, EnclaveError> {
        storage.recall(name).map_err(failed)?.map(|kept| self.decrypt(name, &kept)).transpose()
    }
}

pub(crate) fn failed(error: BoxError) -> EnclaveError {
    EnclaveError::Storage(histone_protocol::with_causes(&*error))
}
