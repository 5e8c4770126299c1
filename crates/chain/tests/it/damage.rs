//! A damaged file gives an error or the chain it should be, never a panic.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use histone_chain::{Chain, FILE_NAME, replay};

use crate::support::*;

/// Whatever is changed in the file, whoever opens it gets an answer.
#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let (chain, dir) = fresh();
    let alice = user(1);
    let counter = deploy(&chain, &alice, 0);
    for nonce in 1..6 {
        mine(&chain, &alice.call(nonce, counter, []));
    }
    let head = chain.head().unwrap().hash;
    drop(chain);
    let whole = fs::read(dir.path().join(FILE_NAME)).unwrap();
    // Bytes that mean something: most of the file is free space.
    let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
    let (mut refused, mut unchanged) = (0, 0);
    // Spread over the file, each in a file of its own, and each in two ways.
    for (turn, &at) in used.iter().step_by(used.len() / 150).enumerate() {
        let mut bytes = whole.clone();
        bytes[at] = if turn % 2 == 0 { 0xff } else { bytes[at] ^ (1 << (turn % 8)) };
        let damaged = tempfile::tempdir().unwrap();
        fs::write(damaged.path().join(FILE_NAME), &bytes).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let writer = Chain::open(damaged.path(), sequencer(), clock()).map(drop);
            (writer, replay(damaged.path()))
        }));
        let (writer, replayed) = outcome.unwrap_or_else(|_| panic!("byte {at} panics"));
        match replayed {
            // The byte was not in use, or repaired while the file was open for writing.
            Ok(report) => {
                assert_eq!(report.head, head, "byte {at}");
                unchanged += 1;
            }
            Err(error) => {
                refused += 1;
                if let Err(opening) = writer {
                    let text = opening.to_string();
                    assert!(text.contains(FILE_NAME) || text.contains("damaged"), "{text}: {error}");
                }
            }
        }
    }
    // Most bytes belong to earlier blocks of the same file and mean nothing any more.
    assert!(refused > 4, "{refused} refused, {unchanged} unchanged");
}

/// redb 4.4 takes the kind of a type in its table of tables on trust and panics on one that it does not know.
#[test]
fn a_panic_of_the_store_is_an_error_that_names_the_file() {
    let (chain, dir) = fresh();
    drop(chain);
    let path = dir.path().join(FILE_NAME);
    let whole = fs::read(&path).unwrap();
    let mut panicked = 0;
    let name = b"[u8;20]";
    for at in (1..whole.len() - name.len()).filter(|&at| whole[at..].starts_with(name)) {
        let mut bytes = whole.clone();
        bytes[at - 1] = 9;
        fs::write(&path, &bytes).unwrap();
        let error = Chain::open_read_only(dir.path(), clock()).unwrap_err().to_string();
        assert!(error.contains("chain.redb"), "{error}");
        panicked += usize::from(error.contains("cannot be read"));
    }
    assert!(panicked > 0, "no byte was found that the store panics on: this test has lost its subject");
}
