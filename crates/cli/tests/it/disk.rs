//! Disks that refuse: no permission, files that may not grow, and file systems that are full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use histone_protocol::hash::blob_hash;

use crate::support::{Ran, demo, files};

/// A run that must fail for `cause` (words of the system) with one sentence that names a path in or beside `dir`.
#[track_caller]
fn fails(ran: &Ran, dir: &Path, cause: &str) {
    let error = ran.error();
    assert!(error.contains(cause), "`{cause}` is not in: {error}");
    let shown = dir.display().to_string();
    assert!(error.contains(&format!("`{shown}")), "no path in `{shown}` is named: {error}");
    assert_eq!(ran.stdout, "");
    leaves_nothing_half_written(dir);
}

/// No partial file, and every blob is whole.
#[track_caller]
fn leaves_nothing_half_written(dir: &Path) {
    for dir in [dir.to_path_buf(), private(dir)] {
        for (name, bytes) in if dir.is_dir() { files(&dir) } else { Default::default() } {
            assert!(!name.ends_with(".partial"), "{name} is left in {}", dir.display());
            if let Some(hash) = name.strip_prefix("blobs/") {
                assert_eq!(format!("{:x}", blob_hash(&bytes)), hash, "a blob is not what its name says");
            }
        }
    }
}

fn private(dir: &Path) -> PathBuf {
    dir.with_file_name("run.private")
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, b"precious").unwrap();
    let below = file.join("run");
    fails(&Ran::of(&mut demo(1, &below, &[])), &below, "Not a directory");
    fails(&Ran::of(&mut demo(1, &below, &["--replace"])), &below, "Not a directory");
    fails(&Ran::of(&mut demo(1, &file, &[])), &file, "File exists");
    fails(&Ran::of(&mut demo(1, &file, &["--replace"])), &file, "Not a directory");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    if Path::new("/proc/self").exists() {
        // Nobody, not even root, makes directories here.
        let ran = Ran::of(&mut demo(1, Path::new("/proc/histone-run"), &[]));
        assert!(ran.error().contains("cannot create `/proc/histone-run`: "), "{ran:?}");
    }
}

#[test]
fn a_folder_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(closed.join("probe"), b"").is_ok() {
        eprintln!("skipped: this user (root?) may write everywhere");
        return;
    }
    let dir = closed.join("run");
    let ran = Ran::of(&mut demo(1, &dir, &[]));
    fails(&ran, &dir, "Permission denied");
    assert!(!dir.exists());
}

#[test]
fn a_file_that_may_not_grow_is_named() {
    let home = tempfile::tempdir().unwrap();
    // `ulimit -f` counts blocks of 512 bytes in some shells and of 1024 in others; either way the first limit stops the
    // chain's file when it is made and the last when it grows.
    for (i, blocks) in [1, 64, 800].into_iter().enumerate() {
        let dir = home.path().join(i.to_string()).join("run");
        fs::create_dir(dir.parent().unwrap()).unwrap();
        let program = demo(1, &dir, &[]);
        let mut shell = Command::new("sh");
        // Without the trap the signal XFSZ would end the program before it could say a word.
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks} && exec \"$0\" \"$@\"")]);
        shell.arg(program.get_program()).args(program.get_args()).env("RUST_BACKTRACE", "0");
        fails(&Ran::of(&mut shell), &dir, "File too large");
    }
}

/// A small file system that goes with the value.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None` where mounting is not permitted.
    fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "histone-test"]).arg(dir.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => None,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What is mounted is named exactly; a failure shows when the directory cannot be removed.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_named() {
    // Bytes run out at the first mark, the chain, and blobs of several steps; then file names run out, which stops small
    // files: what a party has, a blob.
    let cases = [
        ("size=4k", "run"),
        ("size=8k", "run.private"),
        ("size=600k", "ledger"),
        // A party keeps what it sends before it sends it: either can be the one that does not fit.
        ("size=2m", "/run"),
        ("size=3m", "/run"),
        ("nr_inodes=2", "run"),
        ("nr_inodes=5", "run.private"),
        ("nr_inodes=12", "run.private"),
        ("nr_inodes=130", "/run"),
    ];
    for (options, named) in cases {
        let Some(disk) = Mounted::new(options) else {
            eprintln!("skipped: mounting a file system is not permitted here");
            return;
        };
        let dir = disk.0.path().join("run");
        let ran = Ran::of(&mut demo(1, &dir, &[]));
        fails(&ran, &dir, "No space left on device");
        assert!(ran.error().contains(named), "{options}: `{named}` is not in: {}", ran.error());
    }
}

#[test]
fn a_chain_that_cannot_grow_says_why() {
    let Some(disk) = Mounted::new("size=64k") else {
        eprintln!("skipped: mounting a file system is not permitted here");
        return;
    };
    let dir = disk.0.path().join("run");
    fails(&Ran::of(&mut demo(1, &dir, &[])), &dir, "No space left on device");
}
