#![allow(clippy::unwrap_used)]
use super::*;
use histone_contracts::roles;
use histone_enclave::storage::Store as _;

/// Tests try many.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_string())
}

fn under(text: &str) -> Protection {
    Protection::Passphrase { passphrase: passphrase(text), cost: CHEAP }
}

fn init(dir: &Path, protection: &Protection) -> Result<Created, HomeError> {
    Home::init(dir, &Settings::new("hospital", roles::OWNER), protection, Entropy::System)
}

#[test]
fn a_home_opens_again_as_the_same_party() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("new/home");
    assert!(matches!(Home::open(&dir, None), Err(HomeError::Missing(_))));
    assert!(!dir.exists(), "asking makes nothing");
    let created = init(&dir, &under("correct horse battery")).unwrap();
    assert_eq!(created.warning, None);
    assert!(matches!(init(&dir, &Protection::Open), Err(HomeError::Exists(_))));
    assert!(created.home.needs_passphrase().unwrap());
    assert!(matches!(Home::open(&dir, None), Err(HomeError::Keystore(KeystoreError::NeedsPassphrase(_)))));
    let wrong = Home::open(&dir, Some(&passphrase("correct horse batterz"))).unwrap_err();
    assert!(matches!(wrong, HomeError::Keystore(KeystoreError::WrongPassphrase(_))));

    let right = passphrase("correct horse battery");
    let opened = Home::open(&dir, Some(&right)).unwrap();
    assert_eq!((opened.party.account(), opened.protected), (created.account, true));
    assert_eq!(opened.settings, Settings::new("hospital", roles::OWNER));
    assert_eq!(opened.restored, None);
    opened.store.put("a", b"1").unwrap();
    opened.party.keep("b", b"2").unwrap();
    drop(opened);

    // Another passphrase: the same party, and the old one opens nothing.
    let other = under("purple monkey dishwasher");
    created.home.protect(Some(&right), &other).unwrap();
    assert!(Home::open(&dir, Some(&right)).is_err());
    let opened = Home::open(&dir, Some(&passphrase("purple monkey dishwasher"))).unwrap();
    assert_eq!(opened.party.account(), created.account);
    assert_eq!(opened.store.get("a").unwrap().unwrap(), b"1");
    assert_eq!(opened.party.recall("b").unwrap().unwrap(), b"2");

    let settings = Settings { hub: Some("https://hub.example.org".to_string()), ..opened.settings };
    created.home.set(&settings).unwrap();
    assert_eq!(created.home.settings().unwrap(), settings);
    fs::write(dir.join(SETTINGS), "name = \"hospital\"\nhubb = 3\n").unwrap();
    let error = Home::open(&dir, Some(&right)).unwrap_err().to_string();
    assert!(error.contains("node.toml:2:1: unknown field `hubb`"), "{error}");
}

#[test]
fn open_keys_are_said_plainly() {
    let temp = tempfile::tempdir().unwrap();
    let created = init(temp.path(), &Protection::Open).unwrap();
    assert!(created.warning.unwrap().contains("lie open in `keystore.json`"));
    let opened = Home::open(temp.path(), None).unwrap();
    assert!(!opened.protected && opened.party.account() == created.account);
}

/// Every file of a home, against every secret of its party.
#[test]
fn with_a_passphrase_no_secret_lies_open() {
    fn files(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let temp = tempfile::tempdir().unwrap();
    init(temp.path(), &under("correct horse battery")).unwrap();
    let opened = Home::open(temp.path(), Some(&passphrase("correct horse battery"))).unwrap();
    let party = &opened.party;
    let ledger = histone_protocol::record::LedgerId { chain_id: 1, contract: Address::repeat_byte(1) };
    let payee = party.payee(ledger, 1).unwrap();
    let drawn = party.draw::<64>("dataset.key").unwrap();
    party.export_seal_key().unwrap();
    party.store("enclave".to_string()).keep(b"what an enclave changes").unwrap();
    let keys = [*party.root().as_bytes(), *party.key.to_bytes(), *payee.to_bytes(), *party.seal_secret()];
    let mut secrets: Vec<Vec<u8>> = keys.map(|key| key.to_vec()).to_vec();
    secrets.extend([drawn[..32].to_vec(), b"correct horse".to_vec(), b"what an enclave".to_vec()]);
    let mut paths = Vec::new();
    files(temp.path(), &mut paths);
    assert!(paths.len() >= 6, "{paths:?}");
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for secret in &secrets {
            let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            let open =
                bytes.windows(secret.len()).any(|part| part == secret.as_slice()) || text.contains(&digits);
            assert!(!open, "{}", path.display());
        }
    }
}

#[test]
fn two_daemons_on_one_home_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let home = init(temp.path(), &Protection::Open).unwrap().home;
    let lock = home.lock().unwrap();
    let error = Home::at(temp.path()).lock().unwrap_err();
    assert!(
        matches!(error, HomeError::Running { process, .. } if process == Some(std::process::id())),
        "{error}"
    );
    let error = error.to_string();
    assert!(error.contains(&format!("already (process {}); stop it first", std::process::id())), "{error}");
    // Looking is no running.
    assert!(Home::open(temp.path(), None).is_ok());
    drop(lock);
    home.lock().unwrap();
    assert!(matches!(Home::at(&temp.path().join("none")).lock(), Err(HomeError::Missing(_))));
}

/// Killed at any step before the keystore is there, `init` can be repeated; after it, the home is there.
#[test]
fn an_interrupted_init_can_be_repeated() {
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    init(&whole, &Protection::Open).unwrap();
    let leftovers: [&[&str]; 4] =
        [&[], &[SETTINGS], &[SETTINGS, STORE], &[SETTINGS, STORE, "keystore.partial"]];
    for (n, leftover) in leftovers.into_iter().enumerate() {
        let dir = temp.path().join(n.to_string());
        fs::create_dir_all(dir.join(PRIVATE)).unwrap();
        for name in leftover {
            let from = name.replace("partial", "json");
            fs::copy(whole.join(from), dir.join(name)).unwrap();
        }
        assert!(matches!(Home::open(&dir, None), Err(HomeError::Missing(_))), "{leftover:?}");
        let created = init(&dir, &Protection::Open).unwrap();
        assert_eq!(Home::open(&dir, None).unwrap().party.account(), created.account);
    }
}

#[test]
fn what_was_lost_or_mixed_is_said_and_not_made_anew() {
    let temp = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| temp.path().join(name));
    for dir in [&first, &second] {
        init(dir, &Protection::Open).unwrap();
        Home::open(dir, None).unwrap().party.keep("a", b"1").unwrap();
    }
    let own = fs::read(first.join(STORE)).unwrap();
    fs::copy(second.join(STORE), first.join(STORE)).unwrap();
    let error = Home::open(&first, None).unwrap_err();
    assert!(matches!(error, HomeError::Mixed { .. }), "{error}");
    for lost in [None, Some(&b""[..])] {
        fs::remove_file(first.join(STORE)).unwrap();
        lost.into_iter().for_each(|bytes| fs::write(first.join(STORE), bytes).unwrap());
        assert!(matches!(Home::open(&first, None), Err(HomeError::StoreLost(_))));
        fs::write(first.join(STORE), &own).unwrap();
    }
    Home::open(&first, None).unwrap();
    // Another home's keys, and none.
    fs::copy(second.join(KEYSTORE), first.join(KEYSTORE)).unwrap();
    assert!(matches!(Home::open(&first, None), Err(HomeError::Mixed { .. })));
    fs::remove_file(first.join(KEYSTORE)).unwrap();
    assert!(matches!(Home::open(&first, None), Err(HomeError::KeysLost(_))));
    let error = init(&first, &Protection::Open).unwrap_err();
    assert!(matches!(error, HomeError::KeysLost(_)), "{error}");
}

#[cfg(unix)]
#[test]
fn a_directory_with_other_files_is_left_as_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(temp.path().join("thesis.txt"), "").unwrap();
    let error = init(temp.path(), &Protection::Open).unwrap_err();
    assert!(matches!(&error, HomeError::Occupied { name, .. } if name == "thesis.txt"), "{error}");
    assert_eq!(fs::metadata(temp.path()).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_enter() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("home");
    init(&dir, &Protection::Open).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&dir.join(PRIVATE)), mode(&dir.join(BLOBS))), (0o700, 0o700, 0o700));
    for file in [SETTINGS, KEYSTORE, STORE, LOCK] {
        assert_eq!((file, mode(&dir.join(file))), (file, 0o600));
    }
}
