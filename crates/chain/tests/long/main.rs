//! What takes minutes unless it is optimized: a million accounts, and hostile connections for as long as one wants. A program of its
//! own: the other tests need no such build.

#![allow(clippy::unwrap_used)]

#[path = "../it/attacks.rs"]
mod attacks;
mod scale;
mod soak;
#[path = "../it/sockets.rs"]
mod sockets;
#[path = "../it/support.rs"]
mod support;
