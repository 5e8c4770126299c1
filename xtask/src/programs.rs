//! `cargo xtask programs`: build the wasm programs from `programs/` and keep `programs/artifacts`.
//!
//! For each program it writes
//!
//! - `<name>.source`: every file the program is made of, as one text ([`bundle`]). Its SHA-256 is the source hash that
//!   is registered, so an auditor reads the very bytes that the hash covers.
//! - `<name>.wasm`: what those files give.
//! - one line in `programs.json`: both hashes and the compiler.
//!
//! With `check` it does what an auditor does: compares the committed source text with the files, unpacks the *text* in
//! an empty folder elsewhere, builds there, and compares byte for byte. So it also proves that a program needs no file
//! outside of its text, and that its bytes do not depend on where it is built.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const TARGET: &str = "wasm32-unknown-unknown";

/// Programs of one module: folder under `programs/`, and the kind, which is the export that it must have.
const PROGRAMS: [(&str, &str); 1] = [("validate", "validation")];

/// A module that is built.
struct Module {
    /// Name of the program and of its files.
    name: String,
    /// Folder under `programs/`.
    folder: String,
    kind: &'static str,
    /// Whether it is built with the feature `answer`.
    answer: bool,
}

/// All modules: those above, and two for each method, which is a folder with a manifest.
fn modules(programs: &Path) -> anyhow::Result<Vec<Module>> {
    let single = |(name, kind): (&str, &'static str)| Module {
        name: name.into(),
        folder: name.into(),
        kind,
        answer: false,
    };
    let mut modules: Vec<Module> = PROGRAMS.map(single).into();
    let mut methods = Vec::new();
    for entry in fs::read_dir(programs).with_context(|| format!("could not list {}", programs.display()))? {
        let entry = entry.with_context(|| format!("could not list {}", programs.display()))?;
        if entry.path().join("manifest.json").is_file() {
            methods.push(
                entry.file_name().into_string().map_err(|name| anyhow!("the folder {name:?} is not text"))?,
            );
        }
    }
    methods.sort();
    for folder in methods {
        let name = format!("{folder}-answer");
        modules.push(Module {
            name: folder.clone(),
            folder: folder.clone(),
            kind: "training",
            answer: false,
        });
        modules.push(Module { name, folder, kind: "query", answer: true });
    }
    Ok(modules)
}

/// First line of a source text; the version of its layout.
const BUNDLE_HEADER: &str = "histone program source 1\n";

/// Rebuilds the wasm programs, or with `check` compares a build elsewhere with the committed files.
pub fn run(check: bool) -> anyhow::Result<()> {
    let toolchain = toolchain()?;
    let programs = root().join("programs");
    let artifacts = programs.join("artifacts");
    let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut entries = Vec::new();
    for Module { name, folder, kind, answer } in modules(&programs)? {
        let source = bundle(&programs, &folder)?;
        let scratch = tempfile::tempdir().context("could not make a temporary folder to build in")?;
        let wasm = if check {
            // A longer path than the usual one, so that a path in the bytes would show.
            let elsewhere = scratch.path().join("a-folder-with-another-name").join("programs");
            unpack(&source, &elsewhere)?;
            build(&elsewhere, &folder, answer, &scratch.path().join("target"))?
        } else {
            build(&programs, &folder, answer, &programs.join("target"))?
        };
        entries.push(json!({
            "name": name,
            "kind": kind,
            "wasm_sha256": sha256(&wasm),
            "source_sha256": sha256(&source),
            "toolchain": toolchain,
        }));
        expected.insert(format!("{name}.source"), source);
        expected.insert(format!("{name}.wasm"), wasm);
    }
    let mut listing = serde_json::to_string_pretty(&entries).context("could not write programs.json")?;
    listing.push('\n');
    expected.insert("programs.json".into(), listing.into_bytes());

    if check { compare(&artifacts, &expected) } else { write(&artifacts, &expected) }
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The compiler, e.g. `rustc 1.95.0 (59807616e 2026-04-14), wasm32-unknown-unknown`; with the wasm target installed.
fn toolchain() -> anyhow::Result<String> {
    let version = output("rustc", &["--version"])?;
    let sysroot = sysroot()?;
    if !sysroot.join("lib").join("rustlib").join(TARGET).is_dir() {
        println!("adding the target {TARGET} to the Rust toolchain (once)");
        let help = format!(
            "the Rust toolchain has no target {TARGET}; run `rustup target add {TARGET}` with a network connection. \
             Only people who change or audit the programs need it"
        );
        let status = Command::new("rustup")
            .args(["target", "add", TARGET])
            .current_dir(root())
            .status()
            .context(help.clone())?;
        ensure!(status.success(), help);
    }
    Ok(format!("{}, {TARGET}", version.trim()))
}

fn sysroot() -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(output("rustc", &["--print", "sysroot"])?.trim()))
}

/// What a command prints, run in the repository, so that the pinned compiler answers.
fn output(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let shown = format!("{program} {}", args.join(" "));
    let out = Command::new(program)
        .args(args)
        .current_dir(root())
        .output()
        .with_context(|| format!("could not run `{shown}`"))?;
    ensure!(
        out.status.success(),
        "`{shown}` failed ({}): {}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).with_context(|| format!("`{shown}` did not print text"))
}

/// Builds one program of a `programs` folder and gives its bytes.
fn build(programs: &Path, name: &str, answer: bool, target_dir: &Path) -> anyhow::Result<Vec<u8>> {
    let cargo_home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir().context("the home folder is not known; set CARGO_HOME")?.join(".cargo"),
    };
    let mut flags: Vec<OsString> = Vec::new();
    // A module that answers keeps to the standard limits; a method names its own.
    let memory = if answer { STANDARD_MEMORY } else { memory_bytes(&programs.join(name))? };
    // 128-bit vectors are part of the accepted feature set, and the maximum makes the memory of a run a fixed promise.
    for flag in ["-Ctarget-feature=+simd128".to_owned(), format!("-Clink-arg=--max-memory={memory}")] {
        flags.push(flag.into());
    }
    // Panic messages carry source paths.
    for (from, to) in [(programs, "/programs"), (&cargo_home, "/cargo"), (&sysroot()?, "/rust")] {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Settings of the person who builds must not reach the bytes.
    for (key, _) in std::env::vars_os() {
        let key_text = key.to_string_lossy();
        if key_text.starts_with("CARGO_PROFILE_")
            || key_text.starts_with("CARGO_BUILD_")
            || key_text.starts_with("CARGO_TARGET_")
            || key_text == "RUSTFLAGS"
        {
            command.env_remove(&key);
        }
    }
    // Flags in the encoded form may hold spaces, and it wins over every other place where flags can be set.
    let status = command
        .args(["build", "--quiet", "--offline", "--release", "--target", TARGET])
        .args(["--package", &format!("histone-program-{name}")])
        .args(if answer { ["--features", "answer"].as_slice() } else { &[] })
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(&OsString::from("\u{1f}")))
        .env("CARGO_TARGET_DIR", target_dir)
        .current_dir(programs)
        .status()
        .context("could not start cargo")?;
    ensure!(status.success(), "building the program `{name}` in {} failed ({status})", programs.display());
    let file = target_dir.join(TARGET).join("release").join(format!("histone_program_{name}.wasm"));
    fs::read(&file).with_context(|| format!("could not read {}", file.display()))
}

/// Memory of a program without a manifest.
const STANDARD_MEMORY: u64 = 256 << 20;

/// Memory that a program may use: what its manifest says, else the standard.
fn memory_bytes(folder: &Path) -> anyhow::Result<u64> {
    let path = folder.join("manifest.json");
    if !path.is_file() {
        return Ok(STANDARD_MEMORY);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&read(&path)?)
        .with_context(|| format!("could not read {}", path.display()))?;
    manifest["limits"]["memory_bytes"]
        .as_u64()
        .with_context(|| format!("{} has no limits.memory_bytes", path.display()))
}

/// The source text of a program: the header line, then for each file, ordered by the bytes of its path, a line
/// `<path> <length in bytes>`, the file, and a line feed. Paths are relative to `programs/`, with `/`.
fn bundle(programs: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut files = BTreeMap::new();
    for path in ["Cargo.toml", "Cargo.lock"] {
        files.insert(path.to_owned(), read(&programs.join(path))?);
    }
    for folder in ["sdk", name] {
        collect(&programs.join(folder), folder, &mut files)?;
    }
    let mut text = BUNDLE_HEADER.as_bytes().to_vec();
    for (path, bytes) in files {
        text.extend_from_slice(format!("{path} {}\n", bytes.len()).as_bytes());
        text.extend_from_slice(&bytes);
        text.push(b'\n');
    }
    Ok(text)
}

fn collect(folder: &Path, shown: &str, files: &mut BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("could not list {}", folder.display()))?;
        let Ok(name) = entry.file_name().into_string() else {
            bail!("a file name in {} is not text", folder.display());
        };
        // Leftovers of editors and builds are no source.
        // Tests and their data are no part of a program.
        if name == "tests" || name.starts_with('.') || name == "target" || name.ends_with('~') {
            continue;
        }
        ensure!(!name.contains(char::is_whitespace), "the name of {shown}/{name} has a blank; rename it");
        let path = format!("{shown}/{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            files.insert(path, read(&entry.path())?);
        }
    }
    Ok(())
}

/// Writes the files of a source text under `folder`.
fn unpack(text: &[u8], folder: &Path) -> anyhow::Result<()> {
    let bad = || anyhow::anyhow!("the source text is damaged");
    let mut rest = text.strip_prefix(BUNDLE_HEADER.as_bytes()).with_context(bad)?;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').with_context(bad)?;
        let line = std::str::from_utf8(&rest[..end]).with_context(bad)?;
        let (path, length) = line.split_once(' ').with_context(bad)?;
        let length: usize = length.parse().with_context(bad)?;
        let inside = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        ensure!(
            inside && !path.contains('\\') && !path.contains(':'),
            "the source text names the path `{path}`"
        );
        let bytes = rest.get(end + 1..end + 1 + length).with_context(bad)?;
        rest = rest[end + 1 + length..].strip_prefix(b"\n").with_context(bad)?;
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        fs::write(&file, bytes).with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(())
}

fn write(artifacts: &Path, expected: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    fs::create_dir_all(artifacts).with_context(|| format!("could not make {}", artifacts.display()))?;
    for (name, bytes) in expected {
        let file = artifacts.join(name);
        fs::write(&file, bytes).with_context(|| format!("could not write {}", file.display()))?;
        println!("{name}: {} bytes, sha256 {}", bytes.len(), sha256(bytes));
    }
    Ok(())
}

fn compare(artifacts: &Path, expected: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    let mut differing = Vec::new();
    for (name, bytes) in expected {
        match fs::read(artifacts.join(name)) {
            Ok(committed) if committed == *bytes => println!("{name}: same as a fresh build"),
            Ok(_) => differing.push(format!("{name} (differs)")),
            Err(error) => differing.push(format!("{name} ({error})")),
        }
    }
    if !differing.is_empty() {
        bail!(
            "programs/artifacts is not what the sources give: {}; run `cargo xtask programs` with the compiler of \
             rust-toolchain.toml and commit the result",
            differing.join(", ")
        );
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
    // A checkout that changes line ends would change the hash without a change of the source.
    ensure!(
        !bytes.contains(&b'\r'),
        "{} has carriage returns; sources are hashed with line feeds",
        file.display()
    );
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_source_text_unpacks_to_the_same_text() {
        let text = bundle(&root().join("programs"), "validate").unwrap();
        let folder = tempfile::tempdir().unwrap();
        unpack(&text, folder.path()).unwrap();
        assert_eq!(bundle(folder.path(), "validate").unwrap(), text);
        assert!(folder.path().join("sdk/src/job.rs").is_file());
        assert!(!folder.path().join("linear").exists());
    }

    #[test]
    fn a_damaged_source_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, why) in [
            ("other header\n", "damaged"),
            ("histone program source 1\na.rs 10\nshort\n", "damaged"),
            ("histone program source 1\na.rs 1\nxy", "damaged"),
            ("histone program source 1\n../a.rs 1\nx\n", "names the path"),
            ("histone program source 1\n/a.rs 1\nx\n", "names the path"),
        ] {
            let error = unpack(text.as_bytes(), folder.path()).unwrap_err();
            assert!(error.to_string().contains(why), "{text:?}: {error}");
        }
    }
}
