//! Cargo, as a person calls it.

use std::env;
use std::process::Command;

/// Cargo without the words about xtask that `cargo xtask` hands on (`CARGO_PKG_NAME`, `CARGO_MANIFEST_DIR` and the like). A build script that
/// reads some of them, as ring's does, is run again where they differ, and everything that stands upon it is built again: here, and
/// once more by whoever calls cargo next.
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(&name);
        }
    }
    command
}
