//! Documents that name things are compared with the things.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("cannot read {name}: {e}"))
}

fn crates() -> Vec<String> {
    let is_crate = |entry: &fs::DirEntry| entry.path().join("Cargo.toml").exists();
    let entries = fs::read_dir(root().join("crates")).unwrap().map(Result::unwrap).filter(is_crate);
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_architecture_names_every_crate_and_no_other() {
    let text = text("docs/architecture.md");
    let crates = crates();
    assert!(crates.len() > 5, "{crates:?}");
    for name in &crates {
        let named = text.contains(&format!("crates/{name}"))
            || text.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(named, "docs/architecture.md does not mention `crates/{name}`");
    }
    for rest in text.split("crates/").skip(1) {
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
        assert!(
            name.is_empty() || crates.contains(&name),
            "docs/architecture.md mentions `crates/{name}`, which is not there"
        );
    }
}

#[test]
fn the_readme_shows_the_two_commands_and_how_to_verify() {
    let text = text("README.md");
    for command in ["cargo run --release -- demo", "cargo test", "cargo run --release -- verify histone-run"]
    {
        assert!(text.contains(command), "README.md does not show `{command}`");
    }
}

#[test]
fn the_page_of_the_verification_is_printed_by_it() {
    let printed = crate::support::Ran::of(crate::support::histone().args(["verify", "--table"]));
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""));
    let path = root().join("docs/verify.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &printed.stdout).unwrap();
    }
    assert!(
        text("docs/verify.md") == printed.stdout,
        "docs/verify.md is not what `histone verify --table` prints; run again with UPDATE_SNAPSHOTS=1"
    );
}
