//! What a runner owes.

use histone_contracts::book::{Book, EnclaveState, Kind};
use histone_protocol::{Address, B256};

/// The validation program that this runner is to start an enclave of: usable, and none of its enclaves validates now, or did before its
/// evidence ended and is `kept`, so that it shows newer evidence.
pub fn validation(book: &Book, account: Address, kept: impl Fn(Address) -> bool) -> Option<B256> {
    let own = |e: &&histone_contracts::book::Enclave| {
        e.kind == Kind::Validation
            && e.operator == account
            && (e.state == EnclaveState::Live || e.state == EnclaveState::Expired && kept(e.signer))
    };
    if book.enclaves.iter().any(|e| own(&e)) {
        return None;
    }
    book.programs.iter().rfind(|p| p.kind == Kind::Validation && p.usable).map(|p| p.measurement)
}

/// Whether this runner operates the one enclave that the ledger names for all data of a model.
pub fn hosts(book: &Book, model: u64, account: Address) -> bool {
    let host = book.models.get(&model).and_then(|m| m.host.as_ref());
    host.is_some_and(|host| host.runner == account)
}

/// Whose enclaves have the key of a model: the owners of the data in its last sum, in order of donation, or the runner of the one
/// enclave that had all data.
pub fn holders(book: &Book, model: u64) -> Vec<Address> {
    let Some(m) = book.models.get(&model) else { return Vec::new() };
    if let Some(host) = &m.host {
        return vec![host.runner];
    }
    let there = |d: &&histone_contracts::book::Donor| super::owner::in_last_sum(book, model, d.donor);
    let owner = |d: &histone_contracts::book::Donor| Some(book.datasets.get(&d.dataset)?.owner);
    m.donors.iter().filter(there).filter_map(owner).collect()
}
