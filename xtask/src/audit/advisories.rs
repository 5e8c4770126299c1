//! Known advisories about the crates in both lock files.
//!
//! The list is a local copy of RustSec's advisory database: the folder that `HISTONE_ADVISORY_DB` names, or
//! `advisory-db` in cargo's home, where `cargo audit` keeps it. We know of no package that carries the list, so this gate
//! does not fetch it: `git clone https://github.com/rustsec/advisory-db` does. Where there is none the gate says so and does
//! not fail, not even in CI: a mirror of the registries, which is all that some builders reach, cannot repair it.
//!
//! Advisories of a kind (`unmaintained`, `unsound`, `notice`) and yanked versions are told and do not fail.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use semver::{Version, VersionReq};
use serde_json::Value;
use toml::Table;

use super::Outcome;

/// Advisories that are known and accepted, with the reason.
const ACCEPTED: [(&str, &str); 0] = [];

const LOCK_FILES: [&str; 2] = ["Cargo.lock", "programs/Cargo.lock"];

/// One package of a lock file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: Version,
}

/// One file of the database, as far as it is needed.
#[derive(Debug)]
struct Advisory {
    id: String,
    package: String,
    /// `unmaintained` and the like; none for a vulnerability.
    kind: Option<String>,
    /// Versions that are not affected: patched ones, and those from before.
    safe: Vec<VersionReq>,
}

/// The gate.
pub fn run(repository: &Path) -> Result<Outcome> {
    let mut packages = BTreeSet::new();
    for file in LOCK_FILES {
        let path = repository.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        packages.extend(read_lock(&text).with_context(|| format!("cannot understand {}", path.display()))?);
    }
    println!("{}", npm(&repository.join("contracts")));
    let yanked: Vec<String> =
        packages.iter().filter(|p| is_yanked(p)).map(|p| format!("{} {}", p.name, p.version)).collect();
    let yanked = match yanked.is_empty() {
        true => "none yanked in cargo's copy of the index".into(),
        false => format!("yanked: {}", yanked.join(", ")),
    };
    let named = env::var_os("HISTONE_ADVISORY_DB").map(PathBuf::from);
    let list = named.clone().or_else(|| Some(cargo_home()?.join("advisory-db")));
    let crates = list.as_deref().map(|list| list.join("crates")).filter(|crates| crates.is_dir());
    Ok(match (crates, named) {
        (Some(crates), _) => check(&packages, &crates, &yanked)?,
        // Whoever names a list wants it to be read.
        (None, Some(named)) => {
            Outcome::Failed(format!("HISTONE_ADVISORY_DB: {} has no folder `crates`", named.display()))
        }
        (None, None) => Outcome::Unavailable(format!(
            "no advisory list on this machine; name a clone of rustsec/advisory-db in HISTONE_ADVISORY_DB ({yanked})"
        )),
    })
}

fn check(packages: &BTreeSet<Package>, crates: &Path, yanked: &str) -> Result<Outcome> {
    let mut known = 0;
    let (mut failures, mut told) = (Vec::new(), Vec::new());
    for package in packages {
        // One folder per crate; most have none.
        let Ok(folder) = fs::read_dir(crates.join(&package.name)) else { continue };
        for entry in folder {
            let path = entry.with_context(|| format!("cannot list {}", crates.display()))?.path();
            if path.extension().is_none_or(|e| e != "md") {
                continue;
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let advisory =
                read_advisory(&text).with_context(|| format!("cannot understand {}", path.display()))?;
            known += 1;
            let Some(advisory) = advisory.filter(|a| a.is_about(package)) else { continue };
            let words = format!("{} {}: {}", package.name, package.version, advisory.id);
            match (advisory.kind, ACCEPTED.iter().find(|(id, _)| *id == advisory.id)) {
                (_, Some((_, reason))) => println!("accepted: {words}: {reason}"),
                (Some(kind), None) => told.push(format!("{words} ({kind})")),
                (None, None) => failures.push(words),
            }
        }
    }
    for words in &told {
        println!("told, no failure: {words}");
    }
    Ok(match failures.is_empty() {
        true => Outcome::Ok(format!(
            "{} crates, {known} advisories about them looked at, {} told; {yanked}",
            packages.len(),
            told.len()
        )),
        false => Outcome::Failed(failures.join(", ")),
    })
}

impl Advisory {
    fn is_about(&self, package: &Package) -> bool {
        self.package == package.name && !self.safe.iter().any(|safe| safe.matches(&package.version))
    }
}

/// What comes from a registry; our own crates have no `source`.
fn read_lock(text: &str) -> Result<BTreeSet<Package>> {
    let lock: Table = text.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("it has no packages")?;
    let mut found = BTreeSet::new();
    for package in packages {
        if package.get("source").is_none() {
            continue;
        }
        let field =
            |name: &str| package.get(name).and_then(toml::Value::as_str).context("a package lacks a field");
        found.insert(Package { name: field("name")?.into(), version: Version::parse(field("version")?)? });
    }
    Ok(found)
}

/// TOML between the first two fences of a Markdown file; none when the advisory was withdrawn.
fn read_advisory(text: &str) -> Result<Option<Advisory>> {
    let front = text.trim_start().strip_prefix("```toml").and_then(|rest| rest.split_once("\n```"));
    let front: Table = front.context("it does not begin with ```toml")?.0.parse()?;
    let head = front.get("advisory").context("it has no [advisory]")?;
    if head.get("withdrawn").is_some() {
        return Ok(None);
    }
    let field = |name: &str| head.get(name).and_then(toml::Value::as_str).map(str::to_owned);
    let mut safe = Vec::new();
    for name in ["patched", "unaffected"] {
        let list = front.get("versions").and_then(|v| v.get(name)).and_then(toml::Value::as_array);
        for range in list.into_iter().flatten() {
            let range = range.as_str().with_context(|| format!("`{name}` is no list of texts"))?;
            safe.push(VersionReq::parse(range).with_context(|| format!("`{range}` is no version range"))?);
        }
    }
    Ok(Some(Advisory {
        id: field("id").context("it has no id")?,
        package: field("package").context("it names no package")?,
        kind: field("informational"),
        safe,
    }))
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")))
}

/// Whether cargo's own copy of the index, as old as its last look, says that a version was yanked. Cargo has no command
/// for it that does not ask the network once per crate. The layout of the copy is cargo's own and may change: then
/// nothing is found.
fn is_yanked(package: &Package) -> bool {
    let Some(registries) =
        cargo_home().and_then(|home| fs::read_dir(home.join("registry").join("index")).ok())
    else {
        return false;
    };
    let file = index_path(&package.name);
    registries
        .flatten()
        .filter_map(|index| fs::read(index.path().join(".cache").join(&file)).ok())
        .any(|copy| says_yanked(&copy, &package.version.to_string()))
}

fn index_path(name: &str) -> PathBuf {
    let part = |from, to| name.get(from..to).unwrap_or_default();
    match name.len() {
        1 | 2 => Path::new(&name.len().to_string()).join(name),
        3 => Path::new("3").join(part(0, 1)).join(name),
        _ => Path::new(part(0, 2)).join(part(2, 4)).join(name),
    }
}

/// Behind a head: a version, a zero byte, its entry in the index, a zero byte, and so on.
fn says_yanked(copy: &[u8], version: &str) -> bool {
    let parts: Vec<&[u8]> = copy.split(|byte| *byte == 0).collect();
    parts
        .windows(2)
        .filter(|pair| pair[0] == version.as_bytes())
        .any(|pair| serde_json::from_slice::<Value>(pair[1]).is_ok_and(|entry| entry["yanked"] == true))
}

/// What npm says about the packages that are shipped, in words: OpenZeppelin's, compiled into the artifacts. Advice
/// only, because not every registry answers.
fn npm(contracts: &Path) -> String {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm).args(["audit", "--omit=dev", "--json"]).current_dir(contracts).output();
    let answer =
        output.ok().and_then(|o| serde_json::from_slice::<Value>(&o.stdout).ok()).unwrap_or_default();
    match answer["metadata"]["vulnerabilities"]["total"].as_u64() {
        Some(0) => "npm audit: nothing known about what the contracts are compiled from".into(),
        Some(n) => format!(
            "npm audit: {n} advisories about what the contracts are compiled from; run it in contracts/"
        ),
        None => "npm audit: skipped, the registry does not answer it".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package { name: name.into(), version: Version::parse(version).unwrap() }
    }

    fn advisory(id: &str, head: &str, versions: &str) -> String {
        format!(
            "```toml\n[advisory]\nid = \"{id}\"\npackage = \"leaky\"\ndate = \"2026-01-02\"\n{head}\n\n\
             [versions]\n{versions}\n```\n\n# Title\n\n```rust\nlet a = 1;\n```\n"
        )
    }

    fn database(files: &[(&str, String)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("leaky");
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        dir
    }

    fn verdict(version: &str, files: &[(&str, String)]) -> Outcome {
        let packages = BTreeSet::from([package("leaky", version), package("other", "1.0.0")]);
        check(&packages, database(files).path(), "").unwrap()
    }

    #[test]
    fn an_affected_version_fails_and_others_do_not() {
        let text = advisory(
            "RUSTSEC-2026-0001",
            "",
            r#"patched = [">= 1.2.4, < 1.3.0", ">= 1.3.2"]
unaffected = ["< 1.1.0"]"#,
        );
        let files = [("RUSTSEC-2026-0001.md", text)];
        for bad in ["1.1.0", "1.2.3", "1.3.1"] {
            assert_eq!(verdict(bad, &files), Outcome::Failed(format!("leaky {bad}: RUSTSEC-2026-0001")));
        }
        for good in ["1.0.9", "1.2.4", "1.3.2", "2.0.0"] {
            assert!(matches!(verdict(good, &files), Outcome::Ok(_)), "{good}");
        }
    }

    #[test]
    fn without_a_patch_every_version_is_affected() {
        let files = [("a.md", advisory("RUSTSEC-2026-0002", "", "patched = []"))];
        assert!(matches!(verdict("9.9.9", &files), Outcome::Failed(_)));
    }

    #[test]
    fn notices_are_told_and_withdrawn_ones_forgotten() {
        let files = [
            ("a.md", advisory("RUSTSEC-2026-0003", "informational = \"unmaintained\"", "patched = []")),
            ("b.md", advisory("RUSTSEC-2026-0004", "withdrawn = \"2026-02-03\"", "patched = []")),
            ("README.txt", "not an advisory".into()),
        ];
        let Outcome::Ok(words) = verdict("1.0.0", &files) else { panic!("it fails") };
        assert!(words.starts_with("2 crates, 2 advisories about them looked at, 1 told"), "{words}");
    }

    #[test]
    fn a_file_that_is_not_understood_is_an_error() {
        let packages = BTreeSet::from([package("leaky", "1.0.0")]);
        for text in ["# no front matter", "```toml\n[advisory]\nid = 1\n```\n", "```toml\n[advisory]\n"] {
            let list = database(&[("a.md", text.into())]);
            assert!(check(&packages, list.path(), "").is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_crates_are_not_looked_up() {
        let lock = "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"theirs\"\n\
                    version = \"1.0.0+meta\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(read_lock(lock).unwrap(), BTreeSet::from([package("theirs", "1.0.0+meta")]));
    }

    #[test]
    fn the_copy_of_the_index() {
        assert_eq!(index_path("a"), Path::new("1/a"));
        assert_eq!(index_path("syn"), Path::new("3/s/syn"));
        assert_eq!(index_path("serde"), Path::new("se/rd/serde"));
        let copy = b"\x03\x02\x00\x00\x00etag\x001.0.0\x00{\"vers\":\"1.0.0\",\"yanked\":true}\x001.0.1\x00{\"vers\":\"1.0.1\",\"yanked\":false}\x00";
        assert!(says_yanked(copy, "1.0.0"));
        assert!(!says_yanked(copy, "1.0.1"));
        assert!(!says_yanked(copy, "2.0.0"));
    }
}
