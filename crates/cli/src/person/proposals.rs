//! What the members decide, as one's own node has seen it.

use anyhow::Result;
use histone_node::api::wire::Proposals;
use histone_node::proposals::Proposal;

use super::Place;
use super::client::Node;

/// The proposals that the node of a home knows, oldest first.
pub fn all(place: &Place) -> Result<Vec<Proposal>> {
    let Proposals { proposals } = Node::find(&place.dir()?)?.get("/v1/proposals")?;
    Ok(proposals)
}
