//! Encrypted files: those of other tools, our own, and every way in which they can be damaged.

use std::io::{Cursor, Read, Write};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_genome::crypt4gh::{
    Crypt4ghError, DataMethod, EditList, Header, KeyFile, Limits, OtherPackets, PublicKey, RandomReader,
    Reader, SEGMENT, SecretKey, Writer,
};
use proptest::prelude::*;

use crate::data::shared;

const SEALED: usize = SEGMENT + 28;
const METHODS: [DataMethod; 2] = [DataMethod::Unordered, DataMethod::Sequenced];

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes([seed; 32])
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8 ^ (i / SEGMENT) as u8).collect()
}

fn encrypt(text: &[u8], method: DataMethod, recipients: &[PublicKey]) -> Vec<u8> {
    let mut writer = Writer::new(vec![], recipients, method, &mut rng(9)).unwrap();
    writer.write_all(text).unwrap();
    writer.finish().unwrap()
}

fn decrypt(file: &[u8], keys: &[&SecretKey]) -> Result<Vec<u8>, Crypt4ghError> {
    let mut reader = Reader::new(file, keys, &Limits::default())?;
    let mut text = vec![];
    while let Some(chunk) = reader.next_chunk()? {
        assert!(!chunk.is_empty());
        text.extend_from_slice(chunk);
    }
    Ok(text)
}

fn decrypt_randomly(file: &[u8], keys: &[&SecretKey]) -> Result<Vec<u8>, Crypt4ghError> {
    let mut reader = RandomReader::new(Cursor::new(file), keys, &Limits::default())?;
    let mut text = vec![0; reader.text_len() as usize];
    // From the back, in pieces that are no divisor of a segment.
    for start in (0..text.len()).step_by(50_000).rev() {
        let end = text.len().min(start + 50_000);
        assert_eq!(reader.read_at(start as u64, &mut text[start..end])?, end - start);
    }
    assert_eq!(reader.read_at(text.len() as u64, &mut [0; 10])?, 0);
    assert_eq!(reader.read_at(u64::MAX, &mut [0; 10])?, 0);
    Ok(text)
}

fn check(file: &[u8], expected: &str) {
    assert_eq!(decrypt(file, &[&key(1)]).unwrap_err().to_string(), expected);
}

/// Header and body.
fn split(file: &[u8]) -> (Header, &[u8]) {
    let mut body = file;
    let header = Header::read(&mut body, &Limits::default()).unwrap();
    assert_eq!(header.byte_len() as usize, file.len() - body.len());
    (header, body)
}

#[test]
fn the_sample_of_another_tool() {
    let Some(file) = shared("conformance/crypt4gh/nordic_sample.txt.enc") else { return };
    let expected = shared("conformance/crypt4gh/nordic_sample.txt").unwrap();
    assert_eq!(expected.len(), 70_225);
    let secret = |name: &str, passphrase: &str| {
        let file = shared(&format!("conformance/crypt4gh/{name}.sec")).unwrap();
        KeyFile::parse(&file).unwrap().open(Some(passphrase.as_bytes())).unwrap()
    };
    let (reader, alice, bob) =
        (secret("nordic_reader", "password"), secret("alice", "alice"), secret("bob", "bob"));
    assert!(decrypt(&file, &[&reader]).unwrap() == expected);
    assert!(decrypt_randomly(&file, &[&alice, &reader]).unwrap() == expected);
    assert_eq!(
        decrypt(&file, &[&alice, &bob]).unwrap_err().to_string(),
        "none of the 1 packets of the header holds a data key for the keys given; the file is meant for another reader, or its header was altered"
    );

    // Handed over to two readers: the body is the same, the old reader keeps or loses his packet.
    let (header, body) = split(&file);
    for (others, reads) in [(OtherPackets::Keep, true), (OtherPackets::Drop, false)] {
        let to_alice = header.rekey(&[&reader], &[alice.public()], others, &mut rng(1)).unwrap();
        let to_both =
            to_alice.rekey(&[&alice], &[bob.public(), alice.public()], others, &mut rng(2)).unwrap();
        // The packet that opened is replaced; the one that did not open is never the new reader's.
        assert_eq!(to_both.packets(), 2);
        let file = [&to_both.to_bytes(), body].concat();
        assert!(decrypt(&file, &[&alice]).unwrap() == expected);
        assert!(decrypt(&file, &[&bob]).unwrap() == expected);
        assert!(decrypt(&file, &[&alice, &bob]).unwrap() == expected);
        assert!(decrypt(&file, &[&reader]).is_err());
        let added = header.rekey(&[&reader], &[reader.public(), bob.public()], others, &mut rng(3)).unwrap();
        let kept = added.rekey(&[&bob], &[alice.public()], others, &mut rng(4)).unwrap();
        assert_eq!(kept.open(&[&reader]).is_ok(), reads);
        assert!(kept.open(&[&alice]).is_ok());
    }
}

/// Made with hashlib and cryptography.io from the text of the specification: reader's key 0x01.., writer's 0x02.., data key
/// 00 to 1f, first number 2^64 - 1, nonces 03.., 04.., 09.., an edit list (2, 9) with seven bytes of padding.
#[test]
fn a_sequenced_file_of_another_implementation() {
    let file = hex(concat!(
        "637279707434676801000000020000007400000000000000ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba",
        "05870e587d59030303030303030303030303d3940a126488c6d751f0e5e4bb22fbbbac51d85b6d259843f386582d73198d35",
        "8399217d25f791050d58898b68a090ba9c750a0ed94d26b0a16a4c5ef55683546300000000000000ce8d3ad1ccb633ec7b70",
        "c17814a5c76ecd029685050d344745ba05870e587d5904040404040404040404040410e7ab1b7de8f417e373a3af5661c9ff",
        "86fbd961a65d7b39ba03d34f8dfb2211cd31021fc85a4a37a093236de70481090909090909090909090909763ac5e17ea738",
        "4e8cf53be32ad882dfb9efcaab0492ac6fc98bd502d8b46f82c6",
    ));
    let (header, _) = split(&file);
    let contents = header.open(&[&key(1)]).unwrap();
    assert_eq!(contents.method(), DataMethod::Sequenced);
    assert_eq!(contents.edit_list().map(|list| list.lengths().to_vec()), Some(vec![2, 9]));
    assert_eq!(decrypt(&file, &[&key(1)]).unwrap(), b"NOTYPES 0");
    assert_eq!(decrypt_randomly(&file, &[&key(1)]).unwrap(), b"NOTYPES 0");
    let mut reader = RandomReader::new(Cursor::new(&file), &[&key(1)], &Limits::default()).unwrap();
    assert_eq!(reader.segment(0).unwrap(), b"GENOTYPES 0/1 1/1");
    assert_eq!(reader.segment(1).unwrap(), b"");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn sizes_around_a_segment() {
    let readers = [key(2), key(1)];
    let public = [key(2).public(), key(1).public()];
    for method in METHODS {
        for bytes in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT] {
            let text = text(bytes);
            let file = encrypt(&text, method, &public);
            let full = bytes / SEGMENT;
            let rest = match (bytes % SEGMENT, method) {
                (0, DataMethod::Unordered) => 0,
                (rest, _) => 28 + rest,
            };
            assert_eq!(split(&file).1.len(), full * SEALED + rest, "{method:?} {bytes}");
            for reader in &readers {
                assert!(decrypt(&file, &[reader]).unwrap() == text, "{method:?} {bytes}");
                assert!(decrypt_randomly(&file, &[reader]).unwrap() == text, "{method:?} {bytes}");
            }
            let mut read = vec![];
            Reader::new(file.as_slice(), &[&readers[0]], &Limits::default())
                .unwrap()
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == text);
        }
    }
}

#[test]
fn a_damaged_header_says_where() {
    let file = encrypt(b"text", DataMethod::Unordered, &[key(1).public()]);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    check(&with(0, b"C"), "byte 0: does not begin with `crypt4gh`; this is no Crypt4GH file");
    check(&with(8, &[2]), "byte 8: is of version 2; only version 1 is known");
    check(
        &with(12, &[255; 4]),
        "byte 12: the header announces 4294967295 packets, at most 1000 are read; raise the limit if this is meant",
    );
    let length = |found: u32, least: u32| {
        format!(
            "byte 16: packet 1 of the header announces {found} bytes; between {least} and 1048576 are possible"
        )
    };
    check(&with(16, &[255; 4]), &length(u32::MAX, 8));
    check(&with(16, &7_u32.to_le_bytes()), &length(7, 8));
    check(&with(16, &71_u32.to_le_bytes()), &length(71, 72));
    check(
        &with(16, &1_000_000_u32.to_le_bytes()),
        &format!("byte {}: the file ends inside the packets of the header; fetch it again", file.len()),
    );
    let no_key = "none of the 1 packets of the header holds a data key for the keys given; the file is meant for another reader, or its header was altered";
    // Method, writer's key, nonce, payload, tag.
    for at in [20, 24, 56, 68, 72, 76, 108, 123] {
        check(&with(at, &[file[at] ^ 1]), no_key);
    }
    check(&with(12, &[0; 4]), &no_key.replace("the 1 packets", "the 0 packets"));
    for cut in 0..124 {
        let what = match cut {
            0..8 => "first bytes",
            8..12 => "version",
            12..16 => "number of packets",
            16..20 => "length of a packet",
            _ => "packets",
        };
        check(
            &file[..cut],
            &format!("byte {cut}: the file ends inside the {what} of the header; fetch it again"),
        );
    }
    // A header whose body is cut off is a file without text.
    assert_eq!(decrypt(&file[..124], &[&key(1)]).unwrap(), b"");
}

#[test]
fn a_damaged_body_says_where() {
    let text = text(2 * SEGMENT + 100);
    for method in METHODS {
        let file = encrypt(&text, method, &[key(1).public()]);
        let start = file.len() - split(&file).1.len();
        let altered = |segment: usize| {
            let at = start + segment * SEALED;
            format!(
                "byte {at}: segment {segment} does not open under any data key of the header; it was altered, cut, or stands in another place than it was written"
            )
        };
        // First and last bytes of nonce, text and tag.
        for segment in 0..3 {
            let bytes = if segment == 2 { 128 } else { SEALED };
            for at in [0, 11, 12, bytes - 17, bytes - 16, bytes - 1] {
                let mut file = file.clone();
                file[start + segment * SEALED + at] ^= 0x80;
                check(&file, &altered(segment));
                let mut random = match RandomReader::new(Cursor::new(&file), &[&key(1)], &Limits::default()) {
                    Ok(random) => random,
                    Err(error) => {
                        assert!(method == DataMethod::Sequenced && segment == 2);
                        assert_eq!(error.to_string(), altered(2));
                        continue;
                    }
                };
                for other in 0..3 {
                    let opened = random.segment(other).map(<[u8]>::to_vec);
                    assert_eq!(opened.is_err(), other == segment as u64);
                }
            }
        }
        let cut = start + 2 * SEALED + 27;
        let few = format!(
            "byte {}: the file ends after 27 bytes of segment 2, which has at least 28; fetch it again",
            start + 2 * SEALED
        );
        check(&file[..cut], &few);
        assert_eq!(decrypt_randomly(&file[..cut], &[&key(1)]).unwrap_err().to_string(), few);
        check(&file[..cut + 1], &altered(2));
        check(&file[..start + SEALED + 100], &altered(1));
        check(&[&file[..], b"x"].concat(), &altered(2));

        // What only numbered segments show: the order of whole ones, and that some are missing at the end.
        let (head, body) = file.split_at(start);
        let swapped = [head, &body[SEALED..2 * SEALED], &body[..SEALED], &body[2 * SEALED..]].concat();
        let without_first = [head, &body[SEALED..]].concat();
        let without_last = [head, &body[..2 * SEALED]].concat();
        match method {
            DataMethod::Unordered => {
                assert_eq!(decrypt(&swapped, &[&key(1)]).unwrap().len(), text.len());
                assert!(decrypt(&without_first, &[&key(1)]).unwrap() == text[SEGMENT..]);
                assert!(decrypt(&without_last, &[&key(1)]).unwrap() == text[..2 * SEGMENT]);
            }
            DataMethod::Sequenced => {
                check(&swapped, &altered(0));
                check(&without_first, &altered(0));
                let no_end = format!(
                    "byte {}: the file ends without the short segment that marks its end; segments are missing, fetch it again",
                    without_last.len()
                );
                check(&without_last, &no_end);
                assert_eq!(decrypt_randomly(&without_last, &[&key(1)]).unwrap_err().to_string(), no_end);
                check(head, &no_end.replace(&without_last.len().to_string(), &start.to_string()));
            }
        }
        // The last, short segment in another place shows in both.
        check(&[head, &body[2 * SEALED..], &body[..2 * SEALED]].concat(), &altered(0));
    }
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut file = encrypt(&text(3 * SEGMENT), DataMethod::Unordered, &[key(1).public()]);
    let start = file.len() - 3 * SEALED;
    file[start + SEALED + 40] ^= 1;
    let mut reader = Reader::new(file.as_slice(), &[&key(1)], &Limits::default()).unwrap();
    assert_eq!(reader.next_chunk().unwrap().map(<[u8]>::len), Some(SEGMENT));
    assert!(matches!(reader.next_chunk(), Err(Crypt4ghError::Segment { segment: 1, .. })));
    assert!(matches!(reader.next_chunk(), Err(Crypt4ghError::AfterError)));
    let error = reader.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "an error ended this file before; begin anew");

    /// Takes the header and then nothing.
    #[derive(Debug)]
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 =
                self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("the disk is full"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Full(200), &[key(1).public()], DataMethod::Unordered, &mut rng(1)).unwrap();
    assert_eq!(writer.write_all(&text(2 * SEGMENT)).unwrap_err().to_string(), "the disk is full");
    assert_eq!(
        writer.write_all(b"x").unwrap_err().to_string(),
        "an error ended this file before; begin anew"
    );
    let error = writer.finish().unwrap_err();
    assert_eq!(error.to_string(), "cannot be written");
}

#[test]
fn recipients_are_checked() {
    let to = |recipients: &[PublicKey]| {
        Writer::new(vec![], recipients, DataMethod::Sequenced, &mut rng(1)).unwrap_err().to_string()
    };
    assert_eq!(to(&[]), "no recipient is given; name at least one public key");
    assert_eq!(
        to(&[key(1).public(), PublicKey::from_bytes([0; 32])]),
        "recipient 2 has a public key of small order, which hides nothing; ask for another"
    );
    let contents =
        split(&encrypt(b"", DataMethod::Unordered, &[key(1).public()])).0.open(&[&key(1)]).unwrap();
    let long = contents.with_edit_list(Some(EditList::new(vec![1; 65_537])));
    assert_eq!(
        long.seal(&[key(1).public()], &mut rng(1)).unwrap_err().to_string(),
        "the edit list has 65537 lengths, at most 65536 are allowed"
    );
    let shown = format!("{:?}", long.with_edit_list(None));
    assert_eq!(shown, "Contents { method: Unordered, keys: 1 (secret not shown), edit_list: None }");
}

#[test]
fn packets_that_contradict_each_other() {
    let join = |headers: &[&Header]| {
        let packets: usize = headers.iter().map(|header| header.packets()).sum();
        let mut bytes = b"crypt4gh\x01\0\0\0".to_vec();
        bytes.extend((packets as u32).to_le_bytes());
        headers.iter().for_each(|header| bytes.extend(&header.to_bytes()[16..]));
        Header::read(bytes.as_slice(), &Limits::default()).unwrap()
    };
    let header = |method, seed, lengths: Option<&[u64]>| {
        let file = Writer::new(vec![], &[key(1).public()], method, &mut rng(seed)).unwrap().finish().unwrap();
        let contents = split(&file).0.open(&[&key(1)]).unwrap();
        let list = lengths.map(|lengths| EditList::new(lengths.to_vec()));
        contents.with_edit_list(list).seal(&[key(1).public()], &mut rng(seed)).unwrap()
    };
    let problem = |headers: &[&Header]| join(headers).open(&[&key(1)]).unwrap_err().to_string();
    let (plain, sequenced) = (header(DataMethod::Unordered, 1, None), header(DataMethod::Sequenced, 2, None));
    assert_eq!(
        problem(&[&plain, &sequenced]),
        "packet 2 of the header opens and cannot be used: its method of encryption differs from that of another packet"
    );
    let (short, long) =
        (header(DataMethod::Unordered, 1, Some(&[1, 2])), header(DataMethod::Unordered, 1, Some(&[1])));
    assert_eq!(
        problem(&[&short, &long]),
        "packet 4 of the header opens and cannot be used: it is a second edit list; a file has one"
    );
    // The same list twice is one list that came for two keys of one reader.
    assert!(join(&[&short, &short]).open(&[&key(1)]).is_ok());
}

/// Segments of two files under one header with both keys: what splicing makes.
#[test]
fn several_data_keys() {
    let (a, b) = (text(SEGMENT), vec![7; SEGMENT + 5]);
    let file_a = encrypt(&a, DataMethod::Unordered, &[key(1).public()]);
    let mut writer = Writer::new(vec![], &[key(1).public()], DataMethod::Unordered, &mut rng(77)).unwrap();
    writer.write_all(&b).unwrap();
    let file_b = writer.finish().unwrap();
    let ((header_a, body_a), (header_b, body_b)) = (split(&file_a), split(&file_b));
    let mut file = b"crypt4gh\x01\0\0\0\x02\0\0\0".to_vec();
    file.extend(&header_a.to_bytes()[16..]);
    file.extend(&header_b.to_bytes()[16..]);
    for body in [&body_b[..SEALED], body_a, body_b] {
        file.extend_from_slice(body);
    }
    let expected = [&b[..SEGMENT], &a, &b].concat();
    assert!(decrypt(&file, &[&key(1)]).unwrap() == expected);
    assert!(decrypt_randomly(&file, &[&key(1)]).unwrap() == expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The edit list as the specification states it, against both readers.
    #[test]
    fn edit_lists(
        bytes in 0_usize..150_000,
        lengths in prop::collection::vec(prop_oneof![0_u64..5, 0_u64..90_000, Just(u64::MAX)], 0..7),
        sequenced: bool,
    ) {
        let text = text(bytes);
        let file = encrypt(&text, METHODS[usize::from(sequenced)], &[key(1).public()]);
        let (header, body) = split(&file);
        let contents = header.open(&[&key(1)]).unwrap().with_edit_list(Some(EditList::new(lengths.clone())));
        let header = contents.seal(&[key(2).public()], &mut rng(3)).unwrap();
        let file = [&header.to_bytes(), body].concat();

        let mut expected = vec![];
        let mut rest = text.as_slice();
        let cut = |rest: &mut &[u8], n: u64| {
            let (part, after) = rest.split_at((n.min(rest.len() as u64)) as usize);
            *rest = after;
            part.to_vec()
        };
        for (number, length) in lengths.iter().enumerate() {
            let part = cut(&mut rest, *length);
            if number % 2 == 1 {
                expected.extend(part);
            }
        }
        if lengths.len() % 2 == 1 || lengths.is_empty() {
            expected.extend_from_slice(rest);
        }
        prop_assert!(decrypt(&file, &[&key(2)]).unwrap() == expected);
        prop_assert!(decrypt_randomly(&file, &[&key(2)]).unwrap() == expected);
    }

    /// Any bytes at all give a text or an error, never a panic, and little memory.
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), kept in 0_usize..200, at in 0_usize..124) {
        let file = encrypt(b"text", DataMethod::Sequenced, &[key(1).public()]);
        let mut file = [&file[..kept.min(file.len())], &bytes].concat();
        let _ = decrypt(&file, &[&key(1)]);
        if let Some(byte) = file.get_mut(at) {
            *byte = byte.wrapping_add(1);
        }
        let _ = decrypt_randomly(&file, &[&key(1)]);
        let _ = decrypt(&[b"crypt4gh\x01\0\0\0", bytes.as_slice()].concat(), &[&key(1)]);
    }
}
