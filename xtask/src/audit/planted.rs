//! Are the gates worth anything? Known bugs, planted in a copy of the contracts one at a time.
//!
//! Each bug is a list of edits. An edit whose text is not there exactly once is an error: the source moved, and the bug
//! has to be written anew. A bug that no gate catches is an error too. The gates that look at each bug are forge's lints,
//! slither, and the proofs about that contract: they take seconds, where compiling the tests again takes minutes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Bench, Outcome, Stopwatch, halmos, lint, slither};

/// One bug.
struct Bug {
    name: &'static str,
    /// In `contracts/src`.
    file: &'static str,
    edits: &'static [(&'static str, &'static str)],
    /// In `contracts/proofs`: the proofs that are run on it.
    proofs: &'static str,
}

const BUGS: [Bug; 3] = [
    Bug {
        name: "re-entrancy: a claim pays before it takes the money off the account",
        file: "Purse.sol",
        edits: &[
            (
                "function claim() external nonReentrant returns (uint256 amount)",
                "function claim() external returns (uint256 amount)",
            ),
            (
                "_claimable[msg.sender] = 1;\n        emit Paid(msg.sender, amount);\n        _pay(msg.sender, amount);",
                "_pay(msg.sender, amount);\n        _claimable[msg.sender] = 1;\n        emit Paid(msg.sender, amount);",
            ),
        ],
        proofs: "Purse.t.sol",
    },
    Bug {
        name: "unchecked truncation: what a pool shares out is cut to 128 bits",
        file: "Epochs.sol",
        edits: &[("(total + 1).toUint128();", "uint128(total + 1);")],
        proofs: "Epochs.t.sol",
    },
    Bug {
        name: "missing authorization: anybody gives themselves any role",
        file: "Members.sol",
        edits: &[(
            "function setRoles(address account, uint8 roles) external restricted {",
            "function setRoles(address account, uint8 roles) external {",
        )],
        proofs: "Members.t.sol",
    },
];

/// Plants each bug, runs the gates, prints who caught it. In CI a gate that cannot run is an error.
pub fn run(bench: &Bench, ci: bool) -> Result<()> {
    for tool in ["forge", "slither", "halmos"] {
        if bench.tool(tool).is_none() {
            ensure!(!ci, "{tool} is not installed; `cargo xtask audit --setup` does it");
            println!("\nskipped: the planted bugs, because {tool} is not installed");
            return Ok(());
        }
    }
    let scratch = tempfile::tempdir().context("could not make a temporary folder")?;
    // Only the proofs that are there and what they import: compiling everything each time would take a minute.
    let copy = Bench {
        contracts: scratch.path().to_owned(),
        sources: "proofs",
        out: "out",
        cache: "cache",
        ..bench.clone()
    };
    copy_folder(&bench.contracts, scratch.path(), &[".venv", "node_modules", "artifacts", "test", "proofs"])?;
    // The tools run from where they are installed; the copy needs the compiler, and what is imported.
    let modules = Path::new("node_modules");
    copy_folder(
        &bench.contracts.join(modules),
        &scratch.path().join(modules),
        &[".cache", ".bin", "@foundry-rs"],
    )?;
    let proofs = scratch.path().join("proofs");

    let mut lines = Vec::new();
    let mut missed = Vec::new();
    for bug in &BUGS {
        println!("\n== planted: {}", bug.name);
        let begun = Stopwatch::start();
        // Nothing of the bug before, nor what was compiled with it.
        for old in [&proofs, &scratch.path().join(copy.out), &scratch.path().join(copy.cache)] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("could not remove {}", old.display()))?;
            }
        }
        fs::create_dir(&proofs).context("could not make a folder for the proofs")?;
        for name in ["Prover.sol", bug.proofs] {
            fs::copy(bench.contracts.join("proofs").join(name), proofs.join(name))
                .with_context(|| format!("cannot copy proofs/{name}"))?;
        }
        let path = scratch.path().join("src").join(bug.file);
        let sound = fs::read_to_string(&path).with_context(|| format!("cannot read src/{}", bug.file))?;
        let planted = plant(&sound, bug.edits).with_context(|| format!("src/{}: {}", bug.file, bug.name))?;
        fs::write(&path, planted).with_context(|| format!("cannot write src/{}", bug.file))?;
        let verdicts = judge(&copy, bug)?;
        fs::write(&path, sound).with_context(|| format!("cannot write src/{}", bug.file))?;
        if !verdicts.iter().any(|(_, caught)| caught.is_some()) {
            missed.push(bug.name);
        }
        lines.push((bug.name, begun.to_string(), verdicts));
    }
    println!();
    for (name, time, verdicts) in lines {
        println!("{name} ({})", time.trim());
        for (gate, caught) in verdicts {
            println!("  {gate:<8} {}", caught.map_or("-".into(), |words| format!("caught: {words}")));
        }
    }
    ensure!(missed.is_empty(), "no gate catches: {}", missed.join("; "));
    Ok(())
}

type Verdicts = Vec<(&'static str, Option<String>)>;

/// What each gate says of the planted bug; nothing when it has nothing against it.
fn judge(copy: &Bench, bug: &Bug) -> Result<Verdicts> {
    let forge = copy.tool("forge").context("forge is gone")?;
    let linted = match lint(copy, &forge)? {
        Outcome::Failed(words) => Some(words),
        _ => None,
    };
    let slither = match slither::analyze(copy)? {
        Ok(verdict) => verdict.new.first().map(|finding| format!("{}: {}", finding.check, finding.what)),
        Err(problem) => bail!("{}: slither did not run: {problem:?}", bug.name),
    };
    let proofs = halmos(copy)?;
    if let Some(problem) = proofs.problem {
        bail!("{}: halmos did not run: {problem:?}", bug.name);
    }
    // It compiled the contract, too: a bug that does not compile would show nothing.
    let refuted = (!proofs.refuted.is_empty()).then(|| format!("refutes {}", proofs.refuted.join(", ")));
    Ok(vec![("lints", linted), ("slither", slither), ("halmos", refuted)])
}

fn plant(sound: &str, edits: &[(&str, &str)]) -> Result<String> {
    let mut text = sound.replace("\r\n", "\n");
    for (from, to) in edits {
        let times = text.matches(from).count();
        ensure!(
            times == 1,
            "the text to replace is there {times} times and not once; write the bug anew: {from}"
        );
        text = text.replace(from, to);
    }
    Ok(text)
}

/// Copies a folder, except what is named in `without` at its top.
fn copy_folder(from: &Path, to: &Path, without: &[&str]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if without.iter().any(|without| name == *without) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        if fs::metadata(&source)?.is_dir() {
            copy_folder(&source, &target, &[])?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::repository;
    use super::*;

    #[test]
    fn every_bug_can_be_planted_in_the_committed_sources() {
        for bug in &BUGS {
            let path = repository().join("contracts").join("src").join(bug.file);
            let sound = fs::read_to_string(path).unwrap();
            assert_ne!(plant(&sound, bug.edits).unwrap(), sound, "{}", bug.name);
        }
    }

    #[test]
    fn an_edit_must_fit_exactly_once() {
        assert_eq!(plant("a b", &[("a", "c"), ("b", "d")]).unwrap(), "c d");
        assert!(plant("a a", &[("a", "c")]).is_err());
        assert!(plant("b", &[("a", "c")]).is_err());
    }
}
