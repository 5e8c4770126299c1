#![allow(clippy::unwrap_used)]
use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::Duration;

use super::*;

/// The environment variable by which a test process becomes a writer: `task:path`.
const TASK: &str = "HISTONE_TEST_WRITER";
/// Lines that each of several writers adds.
const LINES: usize = 25;

fn spawn(task: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::tests::writer", "--ignored", "--quiet"])
        .env(TASK, format!("{task}:{}", path.display()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Adds a line to a list file, as a program that remembers does.
fn remember(path: &Path, line: &str) {
    update_private(path, |old| {
        let mut text = String::from_utf8(old.unwrap_or_default()).unwrap();
        text.push_str(line);
        text.push('\n');
        Ok::<_, StoreError>(Some(text.into_bytes()))
    })
    .unwrap();
}

fn version(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(20_000)
}

/// The number of a version, when it is whole.
fn whole(bytes: &[u8]) -> u64 {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(bytes, version(n), "the file is torn");
    n
}

/// Not a test: what the child processes of the tests below do.
#[test]
#[ignore = "started by other tests"]
fn writer() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (task, path) = task.split_once(':').unwrap();
    let path = Path::new(path);
    match task {
        "forever" => {
            let mut n = 0;
            loop {
                n += 1;
                write_whole(path, &version(n)).unwrap();
            }
        }
        name => (0..LINES).for_each(|n| remember(path, &format!("{name} {n}"))),
    }
}

#[test]
fn processes_do_not_lose_each_others_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory");
    let mut children: Vec<Child> = (0..4).map(|i| spawn(&format!("process {i}"), &path)).collect();
    std::thread::scope(|scope| {
        for i in 0..2 {
            let path = &path;
            scope.spawn(move || (0..LINES).for_each(|n| remember(path, &format!("thread {i} {n}"))));
        }
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let text = fs::read_to_string(&path).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!((lines.len(), text.lines().count()), (6 * LINES, 6 * LINES));
}

#[test]
fn a_writer_is_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    write_whole(&path, &version(0)).unwrap();
    let mut last = 0;
    for i in 0..12u64 {
        let mut child = spawn("forever", &path);
        std::thread::sleep(Duration::from_millis(15 + 7 * i));
        child.kill().unwrap();
        child.wait().unwrap();
        last = last.max(whole(&read_durable(&path).unwrap().unwrap()));
        // Neither its lock nor its temporary file is in the way of the next writer.
        write_whole(&path, &version(i)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), version(i));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    assert!(last > 0, "no child was alive long enough to write");
}

/// What a disk may hold after a crash between each two steps of a write; from each the old or the new version is read,
/// and the next write goes through.
#[test]
fn every_crash_image_holds_the_old_or_the_new() {
    let (old, new) = (b"old".as_slice(), b"the new version".as_slice());
    // The file, and the temporary file beside it.
    let images = [
        (None, None),
        (None, Some(b"".as_slice())),
        (None, Some(&new[..5])),
        (None, Some(new)),
        (Some(old), Some(b"")),
        (Some(old), Some(&new[..5])),
        (Some(old), Some(new)),
        (Some(new), None),
    ];
    for (expected, partial) in images {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.key");
        let put = |path: &Path, bytes: Option<&[u8]>| bytes.map(|b| fs::write(path, b).unwrap());
        put(&path, expected);
        put(&path.with_extension("partial"), partial);
        assert_eq!(read_durable(&path).unwrap().as_deref(), expected);
        let mut seen = None;
        update_private(&path, |old| {
            seen = old;
            Ok::<_, StoreError>(Some(new.to_vec()))
        })
        .unwrap();
        assert_eq!(seen.as_deref(), expected);
        assert_eq!(fs::read(&path).unwrap(), new);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_refused_change_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    update_private(&path, |_| Ok::<_, StoreError>(None::<Vec<u8>>)).unwrap();
    assert!(!path.exists());
    update_private(&path, |_| Ok::<_, StoreError>(Some(b"1".to_vec()))).unwrap();
    let refused = update_private(&path, |_| Err::<Option<Vec<u8>>, _>(StoreError::TooLarge(1)));
    assert!(matches!(refused, Err(StoreError::TooLarge(1))));
    assert_eq!(read_durable(&path).unwrap().unwrap(), b"1");
}

#[cfg(unix)]
#[test]
fn a_private_file_was_never_open_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::tempdir().unwrap();
    let private = dir.path().join("a/b");
    fs::create_dir_all(&private).unwrap();
    create_private_dir(&private).unwrap();
    assert_eq!(mode(&private), 0o700);
    // A temporary file with wide rights was left behind.
    let path = private.join("key");
    fs::write(path.with_extension("partial"), b"").unwrap();
    fs::set_permissions(path.with_extension("partial"), fs::Permissions::from_mode(0o644)).unwrap();
    update_private(&path, |_| Ok::<_, StoreError>(Some(b"secret".to_vec()))).unwrap();
    assert_eq!(mode(&path), 0o600);
}
