//! What the founder of a network owes.

use histone_contracts::book::Book;
use histone_protocol::B256;

/// Programs that were audited and are neither allowed nor revoked.
pub fn programs(book: &Book) -> Vec<B256> {
    let waits =
        |p: &&histone_contracts::book::Program| !p.audits.is_empty() && !p.allowed && p.revoked_by.is_none();
    book.programs.iter().filter(waits).map(|p| p.measurement).collect()
}
