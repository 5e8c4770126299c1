//! What may be in the dependency tree of the product, and under which licences.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

/// Crates that would bring a C compiler's world, another TLS stack or a download into the build, or that go around our
/// rules; with the reason.
const BANNED: [(&str, &str); 9] = [
    ("aws-lc-sys", "needs cmake and a C compiler"),
    ("aws-lc-rs", "needs aws-lc-sys"),
    ("openssl-sys", "needs the system's OpenSSL"),
    ("native-tls", "leads to OpenSSL"),
    ("cmake", "a build must not need cmake"),
    ("prost-build", "needs protoc"),
    ("protobuf-src", "builds protoc"),
    ("c-kzg", "C code; the pure Rust path is enough"),
    ("configfs-tsm", "AGPL"),
];

/// What the code that sees private rows does not contain: a way to a ledger, an EVM, a store, a network, a runtime.
const APART: (&str, [&str; 8]) = (
    "histone-enclave",
    ["histone-ledger", "histone-chain", "alloy", "revm", "redb", "hyper", "tower", "tokio"],
);

/// Licences that the product may contain, as SPDX identifiers.
const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "BSL-1.0",
    "MIT-0",
];

/// Fails when a banned crate or a licence outside of the list is reachable from the product (tests excluded).
/// Fails, too, when the enclave's code depends on what it has to be [apart](APART) from.
pub fn run() -> Result<()> {
    let lines = tree("histone-cli")?;
    let mut wrong = Vec::new();
    let (enclave, apart) = APART;
    for line in tree(enclave)? {
        let name = line.split(' ').next().unwrap_or_default();
        if apart.contains(&name) {
            wrong
                .push(format!("{enclave} depends on {name}, which the code that sees rows must not contain"));
        }
    }
    for line in &lines {
        let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            wrong.push(format!("{package} is banned: {reason}"));
        }
        if !licence_allowed(licence) {
            wrong.push(format!("{package} has licence `{licence}`, which is not on the list"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!(
        "{} packages, none banned, every licence on the list; {enclave} has no way to a chain",
        lines.len()
    );
    Ok(())
}

/// All packages that a package is built of, each with its licence behind a tab.
fn tree(package: &str) -> Result<BTreeSet<String>> {
    let output = crate::cargo::cargo()
        .args(["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}\t{l}", "--package", package])
        .output()
        .context("cannot run cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// `A OR B` needs one allowed part, `A AND B` all; `/` is an old way to write OR.
fn licence_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression.split(" AND ").all(|all| all.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for good in
            ["MIT OR Apache-2.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "MPL-2.0 OR MIT"]
        {
            assert!(licence_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "AGPL-3.0-only"] {
            assert!(!licence_allowed(bad), "{bad}");
        }
    }
}
