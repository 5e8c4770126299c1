//! Run folders as runs leave them, and as forgers would.

mod forged;
mod support;
