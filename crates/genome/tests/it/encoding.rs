//! One table, one encoding.

use histone_genome::table::{Column, Day, Kind, MAX_ABS_VALUE, Table, TableError};
use proptest::prelude::*;

fn tables() -> impl Strategy<Value = Table> {
    let value = prop_oneof![
        8 => -MAX_ABS_VALUE..=MAX_ABS_VALUE,
        1 => Just(f64::NAN),
        1 => Just(0.0),
        1 => Just(f64::MIN_POSITIVE / 2.0),
    ];
    let level = prop_oneof![1 => Just(f64::NAN), 4 => (0..3).prop_map(f64::from)];
    let whole = prop_oneof![1 => Just(f64::NAN), 4 => (-1_000_000_000..=1_000_000_000).prop_map(f64::from)];
    let days = Day::FIRST.since_1970()..=Day::LAST.since_1970();
    let day = prop_oneof![1 => Just(f64::NAN), 4 => days.prop_map(f64::from)];
    let kinds =
        || [Kind::Number, Kind::Category(["a", "bé", "c"].map(String::from).into()), Kind::Whole, Kind::Day];
    let columns = prop::collection::btree_map("[a-zé_]{1,8}", 0..4usize, 1..5);
    (columns, 0_usize..6).prop_flat_map(move |(columns, rows)| {
        let of_kind =
            [value.clone().boxed(), level.clone().boxed(), whole.clone().boxed(), day.clone().boxed()];
        let column =
            |(name, kind): (&String, &usize)| Column { name: name.clone(), kind: kinds()[*kind].clone() };
        let table: Vec<Column> = columns.iter().map(column).collect();
        let row: Vec<BoxedStrategy<f64>> = columns.values().map(|kind| of_kind[*kind].clone()).collect();
        prop::collection::vec(row, rows)
            .prop_map(move |rows| Table::new(table.clone(), rows.concat()).unwrap())
    })
}

#[test]
fn the_layout_is_pinned() {
    let kind = Kind::Category(vec!["x".into(), "yy".into()]);
    let columns = vec![Column::number("a"), Column { name: "bc".into(), kind }];
    let table = Table::new(columns, vec![1.0, 1.0, f64::NAN, f64::NAN]).unwrap();
    let expected = [
        &b"HTBL"[..],
        &[2, 0, 2, 0, 0, 0, 2, 0, 0, 0],
        &[1, 0, b'a', 0],
        &[2, 0, b'b', b'c', 1, 2, 0, 1, 0, b'x', 2, 0, b'y', b'y'],
        &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
    ]
    .concat();
    assert_eq!(table.encode(), expected);
    assert_eq!(table.schema_bytes(), expected[14..32]);
    assert_eq!(table.row_bytes(1).unwrap(), expected[48..]);
    assert_eq!(table.row_bytes(2), None);
}

/// Kinds that came later have bytes of their own, and refuse values that are none of them.
#[test]
fn whole_numbers_and_days_have_kinds_of_their_own() {
    for (kind, byte, wrong) in [(Kind::Whole, 2, 0.5_f64), (Kind::Day, 3, 1e9)] {
        let table = Table::new(vec![Column { name: "a".into(), kind }], vec![3.0]).unwrap();
        let mut bytes = table.encode();
        assert_eq!(table.schema_bytes(), [1, 0, b'a', byte]);
        let last = bytes.len() - 8;
        bytes[last..].copy_from_slice(&wrong.to_le_bytes());
        assert!(matches!(Table::decode(&bytes), Err(TableError::Encoding { .. })), "{byte}");
    }
}

#[test]
fn other_forms_are_refused() {
    let good = Table::new(vec![Column::no_yes("a")], vec![0.0]).unwrap().encode();
    let change = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let last = good.len() - 1;
    for (bytes, expected) in [
        (vec![], "they end inside the magic number"),
        (change(0, b'h'), "they do not start with HTBL"),
        (change(4, 1), "version 1 is unknown, this program reads version 2"),
        (change(last, 0x80), "a value is a negative zero or an unusual NaN"),
        (change(16, 0xff), "a column name is not UTF-8"),
        (change(17, 4), "they end inside the panel of genotypes"),
        (change(17, 5), "a column is of the unknown kind 5"),
        (change(17, 0), "19 bytes do not hold 1 rows"),
        ([good.clone(), vec![0]].concat(), "9 bytes do not hold 1 rows"),
        (change(14, 0xff), "a column name is too long"),
        (change(9, 0xff), "they end inside the kind of a column"),
        (change(13, 0xff), "8 bytes do not hold 4278190081 rows"),
        (change(18, 1), "13 bytes do not hold 1 rows"),
        (change(20, 0xff), "a level is too long"),
    ] {
        let Err(TableError::Encoding { reason }) = Table::decode(&bytes) else {
            panic!("{expected}: accepted")
        };
        assert_eq!(reason, expected);
    }
    // Infinity, a NaN with another payload, and no level.
    for high in [[0xf0, 0x7f], [0xf9, 0x7f], [0xf8, 0xff], [0, 0x40]] {
        let mut bytes = good.clone();
        bytes[last - 1..].copy_from_slice(&high);
        assert!(matches!(Table::decode(&bytes), Err(TableError::Encoding { .. })), "{high:?}");
    }
}

proptest! {
    #[test]
    fn round_trip(table in tables()) {
        let bytes = table.encode();
        prop_assert_eq!(&Table::decode(&bytes).unwrap(), &table);
        let leaves: Vec<u8> = table.leaves().flatten().collect();
        prop_assert_eq!(&leaves, &bytes[14..]);
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
        let _ = Table::decode(&[b"HTBL\x02\x00".to_vec(), tail].concat());
    }
}
