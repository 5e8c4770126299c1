//! Who in a network is called how.
//!
//! A name is what a member says of itself in its profile, and anybody can take any: who uses one shows its account to a person.

use histone_protocol::Address;
use serde::{Deserialize, Serialize};

use super::Node;
use crate::error::NodeError;

/// The kind of a wish to know who has some names; its `what` is a [`LookUp`], what comes of it a [`Found`].
pub const LOOK_UP: &str = "look-up";

/// Which names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// The names.
    pub names: Vec<String>,
}

/// Who has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Members with these names.
    pub members: Vec<Called>,
    /// Members whose profiles cannot be read now: one of them may have such a name, too.
    pub unread: Vec<Address>,
}

/// A member and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The name.
    pub name: String,
    /// The account.
    pub account: Address,
    /// The sum of its role bits on the ledger.
    pub roles: u8,
}

/// Looks through the profiles of all members. The ledger names them by their hash, and each is signed by its account.
pub(super) async fn look_up(names: &[String], node: &Node) -> Result<Found, NodeError> {
    let book = node.world.ledger.current_book().await?;
    let mut found = Found::default();
    for member in book.members.iter().filter(|member| member.member) {
        let account = member.account;
        match node.peer(account).await {
            Ok(profile) if names.contains(&profile.name) => {
                let roles = member.roles.iter().fold(0, |bits, role| bits | role.bit());
                found.members.push(Called { name: profile.name, account, roles });
            }
            Ok(_) => {}
            Err(_) => found.unread.push(account),
        }
    }
    Ok(found)
}
