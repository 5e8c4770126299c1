//! Which commit this program is made from, for `--version`: whoever reports a fault says it with that.

use std::process::Command;

fn main() {
    // Only what people use is built again with each commit.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let git = |args: &[&str]| {
        let run = Command::new("git").args(args).output().ok().filter(|run| run.status.success())?;
        Some(String::from_utf8(run.stdout).ok()?.trim().to_owned())
    };
    let mut commit = None;
    if is_release {
        commit = git(&["show", "--no-patch", "--format=%h %cs", "HEAD"]);
        let watched =
            ["HEAD", "logs/HEAD"].into_iter().filter_map(|file| git(&["rev-parse", "--git-path", file]));
        // What is not there would have everything built again each time.
        for file in watched.filter(|file| std::path::Path::new(file).exists()) {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo::rustc-env=HISTONE_VERSION={version}");
    println!("cargo::rerun-if-changed=build.rs");
}
