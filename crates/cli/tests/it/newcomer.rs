//! What somebody meets who takes part for the first time: invitations, passphrases, files that lie open.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use histone_network::Network as _;
use histone_protocol::hash::blob_hash;

use crate::hub::Hub;
use crate::support::{Ran, histone};

#[track_caller]
fn ran(dir: &Path, words: &[&str]) -> Ran {
    Ran::of(histone().current_dir(dir).env_remove("HISTONE_HOME").args(words))
}

#[track_caller]
fn says(dir: &Path, words: &[&str]) -> String {
    let ran = ran(dir, words);
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    ran.stdout
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_invitation_is_compared_and_a_network_left_that_was_never_reached() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Hub::start(&dir.join("hub"), &[]);
    says(dir, &["node", "init", "--home", "f", "--name", "registry", "--unattended"]);
    fs::write(dir.join("network.toml"), "name = \"heart\"\n").unwrap();
    says(dir, &["network", "found", "--home", "f", "--hub", hub.url(), "network.toml"]);
    says(dir, &["node", "init", "--home", "h", "--name", "hospital", "--roles", "owner", "--unattended"]);
    let alone = ran(dir, &["node", "leave", "--home", "h"]);
    assert!(alone.error().contains("has joined no network"), "{alone:?}");
    let wrong = ran(dir, &["node", "join", "--home", "h", "invitation.json", "--fingerprint", "0x12"]);
    assert!(wrong.error().contains("another network's, or was changed on its way"), "{wrong:?}");
    // Nobody is at a terminal: it is shown, and goes on.
    let shown = says(dir, &["node", "join", "--home", "h", "invitation.json"]);
    assert!(shown.contains("call the founder and compare it"), "{shown}");
    let fingerprint = shown.split("fingerprint ").nth(1).unwrap().split(':').next().unwrap();
    assert!(says(dir, &["node", "leave", "--home", "h"]).contains("left the network `heart`"));
    let again = says(dir, &["node", "join", "--home", "h", "invitation.json", "--fingerprint", fingerprint]);
    assert!(!again.contains("compare it"), "{again}");
    // The founder stays.
    let founder = ran(dir, &["node", "leave", "--home", "f"]);
    assert!(founder.error().contains("it is the founder"), "{founder:?}");

    // Anybody fetches what is public.
    let document = b"a public document".to_vec();
    let hash = blob_hash(&document);
    hub.net(7).offer(&document).unwrap();
    assert_eq!(says(dir, &["blob", "get", &hash.to_string(), "--home", "h"]), "a public document");
    says(dir, &["blob", "get", &hash.to_string(), "--home", "h", "--out", "got"]);
    assert_eq!(fs::read(dir.join("got")).unwrap(), document);
    let unknown = ran(dir, &["blob", "get", &blob_hash(b"nobody has it").to_string(), "--home", "h"]);
    assert!(unknown.error().contains("whoever has put it on the ledger must show it"), "{unknown:?}");

    // Nobody else on the hub's machine reads its files.
    for name in ["hub", "hub/blobs", "hub/uploads"] {
        assert_eq!(mode(&dir.join(name)), 0o700, "{name}");
    }
    for name in ["hub/mail.sqlite", "hub/hub.lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    for entry in fs::read_dir(dir.join("hub/blobs")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn keys_that_lie_open_and_passphrases_that_do_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    says(dir, &["node", "init", "--home", "h", "--name", "hospital", "--unattended"]);
    for (path, mode) in [("h", 0o755), ("h/keystore.json", 0o644)] {
        fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let open = ran(dir, &["node", "run", "--home", "h"]);
    assert!(open.error().contains("run `chmod -R go= 'h'`"), "{open:?}");
    let missing = ran(dir, &["node", "unit", "--home", "nowhere"]);
    assert!(missing.error().contains("is not the home of a node"), "{missing:?}");

    fs::write(dir.join("right"), "correct horse battery").unwrap();
    fs::write(dir.join("wrong"), "correct horse batteries").unwrap();
    let with = |file: &'static str, words: &[&'static str]| {
        let mut all = words.to_vec();
        all.extend(["--passphrase-file", file]);
        ran(dir, &all)
    };
    assert_eq!(with("right", &["node", "init", "--home", "p", "--name", "biobank"]).code, Some(0));
    let backup = with("wrong", &["node", "backup", "--home", "p", "b"]);
    assert!(backup.error().contains("passphrase") && !dir.join("b").exists(), "{backup:?}");
    let untried = says(dir, &["node", "backup", "--home", "p", "b1"]);
    assert!(untried.contains("which was not tried"), "{untried}");
    let tried = with("right", &["node", "backup", "--home", "p", "b2"]);
    assert!(tried.stdout.contains("which opens them"), "{tried:?}");
    let restored = with("wrong", &["node", "restore", "--home", "r", "b2"]);
    assert!(restored.error().contains("passphrase") && !dir.join("r").exists(), "{restored:?}");
    assert_eq!(with("right", &["node", "restore", "--home", "r", "b2"]).code, Some(0));
}
