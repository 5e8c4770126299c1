//! One table, one encoding.

use histone_genome::table::{MAX_ABS_VALUE, Table, TableError};
use proptest::prelude::*;

fn tables() -> impl Strategy<Value = Table> {
    let value = prop_oneof![
        8 => -MAX_ABS_VALUE..=MAX_ABS_VALUE,
        1 => Just(f64::NAN),
        1 => Just(0.0),
        1 => Just(f64::MIN_POSITIVE / 2.0),
    ];
    (prop::collection::btree_set("[a-zé_]{1,8}", 1..5), prop::collection::vec(any::<bool>(), 0..6))
        .prop_flat_map(move |(columns, labels)| {
            let count = columns.len() * labels.len();
            prop::collection::vec(value.clone(), count).prop_map(move |values| {
                Table::new(columns.iter().cloned().collect(), values, labels.clone()).unwrap()
            })
        })
}

#[test]
fn the_layout_is_pinned() {
    let table = Table::new(vec!["a".into(), "bc".into()], vec![1.0, f64::NAN], vec![true]).unwrap();
    let expected = [
        &b"HTBL"[..],
        &[1, 0, 2, 0, 0, 0, 1, 0, 0, 0],
        &[1, 0, b'a', 2, 0, b'b', b'c'],
        &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        &[1],
    ]
    .concat();
    assert_eq!(table.encode(), expected);
    assert_eq!(table.row_bytes(0).unwrap(), expected[21..]);
    assert_eq!(table.row_bytes(1), None);
}

#[test]
fn other_forms_are_refused() {
    let good = Table::new(vec!["a".into()], vec![0.0], vec![true]).unwrap().encode();
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let last = good.len() - 1;
    for (bytes, expected) in [
        (vec![], "they end inside the magic number"),
        (change(0, b'h'), "they do not start with HTBL"),
        (change(4, 2), "version 2 is unknown, this program reads version 1"),
        (change(last, 2), "a label is neither 0 nor 1"),
        (change(last - 1, 0x80), "a value is a negative zero or an unusual NaN"),
        (change(16, 0xff), "a column name is not UTF-8"),
        (change(14, 0), "10 bytes do not hold 1 rows"),
        ([good.clone(), vec![0]].concat(), "10 bytes do not hold 1 rows"),
        (change(14, 0xff), "a column name is too long"),
        (change(9, 0xff), "they end inside a column name"),
        (change(13, 0xff), "9 bytes do not hold 4278190081 rows"),
    ] {
        let Err(TableError::Encoding { reason }) = Table::decode(&bytes) else {
            panic!("{expected}: accepted")
        };
        assert_eq!(reason, expected);
    }
    // Infinity and a NaN with another payload.
    for high in [[0xf0, 0x7f], [0xf9, 0x7f], [0xf8, 0xff]] {
        let mut bytes = good.clone();
        bytes[last - 2..last].copy_from_slice(&high);
        assert!(matches!(Table::decode(&bytes), Err(TableError::Encoding { .. })), "{high:?}");
    }
}

proptest! {
    #[test]
    fn round_trip(table in tables()) {
        let bytes = table.encode();
        prop_assert_eq!(&Table::decode(&bytes).unwrap(), &table);
        let rows: Vec<u8> = (0..table.rows()).flat_map(|row| table.row_bytes(row).unwrap()).collect();
        prop_assert_eq!([table.header_bytes(), rows].concat(), bytes);
    }

    #[test]
    fn every_shorter_or_longer_text_is_refused(table in tables(), cut in any::<prop::sample::Index>(), extra in 1usize..9) {
        let mut bytes = table.encode();
        prop_assert!(Table::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.extend(vec![0; extra]);
        prop_assert!(Table::decode(&bytes).is_err());
    }

    /// A changed byte gives an error or another table; what is accepted encodes to exactly the bytes that came in.
    #[test]
    fn accepted_bytes_are_canonical(table in tables(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = table.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = Table::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }

    #[test]
    fn garbage_never_panics(tail in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Table::decode(&tail);
        let _ = Table::decode(&[b"HTBL\x01\x00".to_vec(), tail].concat());
    }
}
