//! How a home forgets a network in which nothing came of it.

use std::fs;

use histone_network::{create_private_dir, io_error};

use super::{FOUNDING, INVITATION, status};
use crate::daemon::FOUNDER;
use crate::error::NodeError;
use crate::home::Opened;

/// Has a home forget a network that it never reached. Whoever has read a block of its ledger has a part in it, or may have: promises and
/// letters of one network are not carried into another.
pub fn leave(opened: &Opened) -> Result<(), NodeError> {
    let store = &opened.store;
    if store.get(FOUNDING)?.is_some() {
        return Err(NodeError::Message("it is the founder".into()));
    }
    if status(store)?.is_some() || store.get(FOUNDER)?.is_some() {
        return Err(NodeError::Message(
            "its node has reached the network: letters may have gone out, and what they promise stands. Make another home for another network".into(),
        ));
    }
    store.forget_unsent()?;
    // A copy of public things that may have been begun.
    let ledger = opened.home.ledger();
    if ledger.is_dir() {
        fs::remove_dir_all(&ledger).map_err(io_error("remove", &ledger))?;
    }
    create_private_dir(&ledger)?;
    Ok(store.remove(INVITATION)?)
}
