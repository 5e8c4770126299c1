//! A disk that is really full: prepared by hand, as a test may not mount one.

use std::env;
use std::fs;
use std::path::Path;

use histone_node::home::{Home, HomeError, Protection, Settings, doctor};
use histone_node::party::{Entropy, PartyError};
use histone_node::store::{Level, Prepared, Store, StoreFault};
use histone_protocol::Address;

const DISK: &str = "HISTONE_SMALL_DISK";

fn send(store: &Store, n: u64) -> Result<bool, StoreFault> {
    store.send(Address::ZERO, &n.to_string(), n, |number| {
        let bytes = number.to_le_bytes().repeat(1_000);
        Ok(Prepared { mailbox: Address::ZERO, bytes })
    })
}

#[test]
#[ignore = "wants an empty disk of 8 to 30 MB: mount -t tmpfs -o size=8m none /mnt; HISTONE_SMALL_DISK=/mnt cargo test ... -- --ignored full"]
fn a_node_on_a_full_disk_loses_nothing_and_goes_on() {
    let Some(disk) = env::var_os(DISK) else { return };
    let dir = Path::new(&disk).join("home");
    let [ballast, reserve] = ["ballast", "reserve"].map(|name| Path::new(&disk).join(name));
    fs::write(&reserve, vec![0; 5_000_000]).unwrap();
    Home::init(&dir, &Settings::new("hospital", 1), &Protection::Open, Entropy::System).unwrap();
    let opened = Home::open(&dir, None).unwrap();
    opened.party.keep("update", b"first").unwrap();
    let mut kept = 0;
    let fault = loop {
        match send(&opened.store, kept) {
            Ok(new) => assert!(new),
            Err(fault) => break fault,
        }
        kept += 1;
    };
    println!("after {kept} letters: {fault}");
    assert!(matches!(fault, StoreFault::Full(_)), "{fault:?}");
    // Not one byte is left for anybody.
    while fs::write(&ballast, vec![0; fs::metadata(&ballast).map_or(0, |file| file.len() as usize) + 512])
        .is_ok()
    {}
    let error = opened.party.keep("update", &[1; 100_000]).unwrap_err();
    println!("{}", histone_protocol::with_causes(&error));
    assert!(matches!(error, PartyError::Store(_)));
    assert_eq!(opened.party.recall("update").unwrap().unwrap(), b"first");
    let fault = opened.store.note(1, Level::Info, "a", &"b".repeat(100_000)).unwrap_err();
    assert!(matches!(fault, StoreFault::Full(_)), "{fault:?}");
    let letters = opened.store.due_letters(u64::MAX / 4, usize::MAX).unwrap();
    assert_eq!(letters.len() as u64, kept);
    // A node that is started on the full disk says so, or starts.
    drop(opened);
    match Home::open(&dir, None) {
        Ok(opened) => assert_eq!(opened.store.undelivered().unwrap().len() as u64, kept),
        Err(error) => {
            println!("{error}");
            assert!(matches!(error, HomeError::Store(StoreFault::Full(_))), "{error:?}");
        }
    }
    for finding in doctor::local(&dir, 1_800_000_000, None).into_iter().filter(|finding| !finding.ok) {
        println!("{finding:?}");
    }
    // Somebody frees some space: the log of the store, 4 MiB, has to go into its file first.
    fs::remove_file(&reserve).unwrap();
    let opened = Home::open(&dir, None).unwrap();
    opened.party.keep("update", b"second").unwrap();
    let id = opened.store.due_letters(u64::MAX / 4, 1).unwrap()[0].id;
    assert!(opened.store.delivered(id, 1).unwrap());
    assert!(send(&opened.store, kept).unwrap());
    assert_eq!(opened.store.undelivered().unwrap().len() as u64, kept);
}
