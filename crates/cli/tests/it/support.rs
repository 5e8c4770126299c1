//! Starts the program, shares one finished run among all tests, and copies folders.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

/// The program, away from the caller's environment and directory.
pub fn histone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_histone"));
    command
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .env_remove("HISTONE_DATA")
        .env_remove("HISTONE_RPC")
        .env_remove("HISTONE_DIRECTORY")
        .env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null());
    command
}

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one sentence of a command that failed as it should: exit code 1, one line with `error:`, no panic.
    #[track_caller]
    pub fn error(&self) -> &str {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        assert_eq!(self.stderr.lines().last(), Some(errors[0]), "the error comes last: {self:?}");
        errors[0]
    }

    /// Its stdout, which must be one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("stdout is not one document: {e}: {self:?}"))
    }
}

/// Runs the program with arguments separated by single spaces, and then `path`.
#[track_caller]
pub fn run(arguments: &str, path: &Path) -> Ran {
    Ran::of(histone().args(arguments.split(' ')).arg(path))
}

/// `demo --json --seed SEED --out DIR` and further arguments.
pub fn demo(seed: u64, dir: &Path, further: &[&str]) -> Command {
    let mut command = histone();
    command.args(["demo", "--json", "--seed", &seed.to_string(), "--out"]).arg(dir).args(further);
    command
}

/// One finished run with seed 1, made once for all tests. It must not be changed.
pub struct Shared {
    pub dir: PathBuf,
    pub ran: Ran,
    /// When each line came on stderr, from the start.
    pub lines: Vec<(Duration, String)>,
    /// How long the run took.
    pub length: Duration,
}

/// The run that all tests share.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_old(home);
        // A static is never dropped: the directory stays until a later run of the tests finds it old.
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(home).unwrap().keep().join("run");
        let begin = Instant::now();
        let mut child = demo(1, &dir, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        // Stdout is printed at the end only and fits a pipe, so that reading one after the other does not block.
        let lines: Vec<_> = stderr.map(|line| (begin.elapsed(), line.unwrap())).collect();
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = child.wait().unwrap().code();
        let stderr = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        Shared { dir, ran: Ran { code, stdout, stderr }, lines, length: begin.elapsed() }
    })
}

const PREFIX: &str = "shared-run-";

fn remove_old(home: &Path) {
    let old = |entry: &fs::DirEntry| {
        let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        age.is_some_and(|age| age > Duration::from_secs(3_600))
            && entry.file_name().to_string_lossy().starts_with(PREFIX)
    };
    for entry in fs::read_dir(home).into_iter().flatten().flatten().filter(old) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// A copy of the shared run that may be changed.
pub fn copy() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    copy_tree(&shared().dir, &run);
    (dir, run)
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Every file below a directory by its path relative to it, with its bytes.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, files);
                continue;
            }
            let parts: Vec<_> =
                path.strip_prefix(root).unwrap().iter().map(|part| part.to_string_lossy()).collect();
            files.insert(parts.join("/"), fs::read(&path).unwrap());
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

/// A small generator of numbers (splitmix64): tests need chance that can be repeated, not secrets.
pub struct Chance(u64);

impl Chance {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by the variable, or else by the clock; prints the seed, so that a failure can be repeated.
    pub fn from_variable(name: &str) -> Self {
        let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = std::env::var(name).ok().map_or_else(by_clock, |text| text.parse().unwrap());
        eprintln!("chance: repeat with {name}={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        self.next() as f64 / u64::MAX as f64
    }
}
