//! The page that takes four organizations to a model, word by word, and what one party's study file is refused for.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, histone};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example() -> PathBuf {
    root().join("examples/consortium")
}

/// The blocks of a page that a shell runs.
fn shell(page: &str) -> String {
    let mut script = String::from("set -eu\n");
    for block in page.split("```sh\n").skip(1) {
        script.push_str(block.split("\n```").next().unwrap());
        script.push('\n');
    }
    script
}

/// A copy of the example, to work in.
fn copied() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(example()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn page() -> String {
    fs::read_to_string(root().join("docs/consortium.md")).unwrap()
}

#[test]
fn the_first_donation_takes_nine_commands() {
    let page = page();
    let before = page.split("## Training").next().unwrap();
    let script = shell(before);
    let of = |home: &str| {
        let home = format!("--home {home} ");
        let looks = ["histone inbox", "histone status", "histone study check"];
        let does =
            |line: &&str| line.starts_with("histone ") && !looks.iter().any(|look| line.starts_with(look));
        script.lines().filter(does).filter(|line| format!("{line} ").contains(&home)).count()
    };
    assert_eq!((of("north-hospital"), of("university")), (5, 4), "{script}");
    assert!(page.contains("the first donation takes nine commands"));
}

/// Ten nodes and a hub, as processes. CI calls it by name.
#[test]
#[ignore = "takes a minute; cargo test -p histone-cli --test it -- --ignored --exact consortium::the_page_leads_to_an_answer"]
fn the_page_leads_to_an_answer() {
    let dir = copied();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    // Everything word by word but the port, which may be taken.
    let script = shell(&page()).replace("8787", &free);
    let bin = Path::new(env!("CARGO_BIN_EXE_histone")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let out = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
    let started = Instant::now();
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env_remove("HISTONE_HOME")
        .env_remove("HISTONE_PASSPHRASE")
        .stdin(Stdio::null())
        .stdout(out("page.out"))
        .stderr(out("page.err"))
        // So that all of them can be ended together.
        .process_group(0)
        .spawn()
        .unwrap();
    let group = rustix::process::Pid::from_child(&child);
    let status = loop {
        let status = child.try_wait().unwrap();
        if status.is_some() || started.elapsed() > Duration::from_secs(600) {
            break status;
        }
        thread::sleep(Duration::from_millis(100));
    };
    // Nobody is left where all has gone well.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    let said = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let (stdout, stderr) = (said("page.out"), said("page.err"));
    let told =
        format!("{status:?} after {:?}\n{stdout}\n{stderr}\n{}", started.elapsed(), said("university.log"));
    assert!(status.is_some_and(|status| status.success()), "{told}");
    let answer =
        stdout.lines().find_map(|line| line.strip_prefix("answer: ")).unwrap_or_else(|| panic!("{told}"));
    let answer: f64 = answer.parse().unwrap();
    assert!(answer > 0.5 && answer < 0.95, "somebody who is at risk: {told}");
    assert!(stdout.contains("a member of `readmission-network`"), "{told}");
    let checked = |what: &str| stdout.lines().any(|line| line.starts_with("holds") && line.contains(what));
    for what in [
        "2 datasets with the owner's signed policy",
        "2 permit, 0 deny",
        "signed by 2 of 2 enclaves",
        "1 answered and settled",
    ] {
        assert!(checked(what), "{what}: {told}");
    }
    let fails: Vec<_> = stdout.lines().filter(|line| line.starts_with("FAILS")).collect();
    assert!(fails.is_empty(), "from outside and at the end: {told}");
    assert!(checked("blobs that the ledger names"), "{told}");
    // No table left the home of its hospital, and no other home has it.
    for (home, table) in [("south-hospital", "north-hospital.csv"), ("north-hospital", "south-hospital.csv")]
    {
        let row = said(table).lines().nth(1).unwrap().to_owned();
        assert!(!holds(&dir.path().join(home), row.as_bytes()), "{home} has a row of {table}");
        assert!(!holds(&dir.path().join("hub"), row.as_bytes()), "the hub has a row of {table}");
    }
}

/// Whether a file in a directory holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, bytes),
        false => fs::read(&path).is_ok_and(|file| file.windows(bytes.len()).any(|part| part == bytes)),
    })
}

#[test]
fn a_study_is_checked_as_one_party_has_it() {
    let dir = copied();
    let check = |name: &str| {
        Ran::of(histone().current_dir(dir.path()).args(["study", "check", "study.toml", "--as", name]))
    };
    let all = || Ran::of(histone().current_dir(dir.path()).args(["study", "check", "study.toml"]));
    assert!(all().code == Some(0) && !all().stdout.contains("warning"), "{:?}", all());
    fs::remove_file(dir.path().join("south-hospital.csv")).unwrap();
    let north = check("north-hospital");
    assert_eq!(north.code, Some(0), "{north:?}");
    for part in [
        "as north-hospital (participant) has it",
        "|   64 |",
        "not checked, since only who has all tables could:",
    ] {
        assert!(north.stdout.contains(part), "{part}: {north:?}");
    }
    let university = check("university");
    assert!(university.code == Some(0) && !university.stdout.contains("| rows |"), "{university:?}");
    assert!(
        check("south-hospital")
            .error()
            .contains("study.toml:37:8: the data file `south-hospital.csv` cannot be opened")
    );
    assert!(
        check("east-hospital")
            .error()
            .contains("nobody in this study is called `east-hospital`; it has north-hospital, ")
    );
    assert!(all().error().contains("south-hospital.csv"), "{:?}", all());
}

/// A hub, until it is dropped.
struct Hub {
    child: Child,
    url: String,
}

impl Hub {
    fn serve(dir: &Path) -> Self {
        let mut child = histone()
            .current_dir(dir)
            .args(["hub", "serve", "--dir", "hub", "--port", "0", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: said["hub"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned() }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn data_is_added_under_the_terms_of_the_study_or_refused() {
    let dir = copied();
    let at = |line: &str| {
        Ran::of(histone().current_dir(dir.path()).env_remove("HISTONE_HOME").args(line.split_whitespace()))
    };
    let done = |line: &str| {
        let ran = at(line);
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        ran
    };
    for (name, roles) in
        [("registry", ""), ("north-hospital", "owner"), ("university", "trainer"), ("clinic", "")]
    {
        let roles = if roles.is_empty() { String::new() } else { format!("--roles {roles}") };
        done(&format!("node init --home {name} --name {name} {roles} --unattended"));
    }
    let refused = |line: &str, why: &str| {
        let ran = at(line);
        assert!(ran.error().contains(why), "{line}: {ran:?}");
    };
    refused("data add --home north-hospital study.toml", "`north-hospital` has joined no network yet");
    refused("model propose --home university study.toml", "`university` has joined no network yet");
    let hub = Hub::serve(dir.path());
    done(&format!("network found --home registry --hub {} network.toml", hub.url));
    for home in ["north-hospital", "university", "clinic"] {
        done(&format!("node join --home {home} invitation.json"));
    }
    refused("data add --home clinic study.toml", "`clinic` takes part as no owner of data");
    refused(
        "data add --home north-hospital study.toml --as university",
        "`university` is the trainer of this study and has no table",
    );
    refused(
        "data add --home north-hospital study.toml",
        "the node of `north-hospital` does not run, and only it can look up university; start it with `histone node run --home north-hospital`",
    );
    let account = "0xD1F9308C2993b85E9479dE5f574F340a007b7dB1";
    refused(
        &format!("data add --home north-hospital study.toml --account registry={account}"),
        "--account names `registry`, whose account nothing here needs (needed: `university`)",
    );
    let add = format!("data add --home north-hospital study.toml --account university={account}");
    let added = done(&add);
    for part in [
        "added: 64 rows, 5 columns",
        "consent DUO:0000006, DUO:0000021, in DE",
        &format!("{account} meets DUO:0000021"),
        "histone node run --home north-hospital",
    ] {
        assert!(added.stdout.contains(part), "{part}: {added:?}");
    }
    let again = done(&format!("{add} --json")).json();
    assert!(
        again["again"] == true && added.stdout.contains(again["commitment"].as_str().unwrap()),
        "{again}"
    );
    let other = add.replace("0xD1", "0xD2").to_lowercase();
    refused(&other, "under other terms; adding it again does not change them");
    assert_eq!(
        Ran::of(histone().args(["data", "add", "study.toml", "--account", "university=me"])).code,
        Some(2)
    );
    refused("model propose --home north-hospital study.toml", "`north-hospital` takes part as no trainer");
    let propose =
        format!("model propose --home university study.toml --account university-cluster={account}");
    assert!(done(&propose).stdout.contains("`readmission` will be proposed"));
    assert!(done(&propose).stdout.contains("`readmission` was to be proposed before"));
    let study = fs::read_to_string(dir.path().join("study.toml")).unwrap();
    fs::write(
        dir.path().join("other.toml"),
        study.replace("trainer = \"university\"", "trainer = \"institute\""),
    )
    .unwrap();
    refused("model propose --home university other.toml", "nobody in this study is called `university`");
}
