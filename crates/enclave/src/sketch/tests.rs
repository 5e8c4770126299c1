//! Tables that are the same and tables that are not, made up and real.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use histone_genome::table::Kind;
use proptest::prelude::*;

use super::*;

fn key() -> SketchKey {
    SketchKey::from_bytes([7; 32])
}

fn overlap(a: &Table, b: &Table) -> Overlap {
    let found = Sketch::of(&key(), a).overlap(&Sketch::of(&key(), b));
    let back = Sketch::of(&key(), b).overlap(&Sketch::of(&key(), a));
    assert_eq!((found.same, found.of_first, found.of_second), (back.same, back.of_second, back.of_first));
    found
}

fn same(a: &Table, b: &Table) -> bool {
    overlap(a, b).same
}

fn numbered(columns: usize) -> Vec<Column> {
    (0..columns).map(|c| Column::number(&format!("c{c}"))).collect()
}

/// Numbers with a label behind them.
fn labelled(mut columns: Vec<Column>, values: Vec<f64>, labels: &[bool]) -> Table {
    let rows = values.chunks(columns.len()).zip(labels);
    let rows = rows.flat_map(|(row, label)| [row, &[f64::from(u8::from(*label))]].concat()).collect();
    columns.push(Column::no_yes("label"));
    Table::new(columns, rows).unwrap()
}

/// Measurements with five digits: every row a person of its own.
fn people(seed: u8, rows: usize, columns: usize) -> Table {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let mut value = || f64::from(rng.next_u32() % 90_000 + 10_000) / 1_000.0;
    let values = (0..rows * columns).map(|_| value()).collect();
    let labels: Vec<bool> = (0..rows).map(|r| r % 3 == 0).collect();
    labelled(numbered(columns), values, &labels)
}

/// Codes from 0 below `most`, as questionnaires have them.
fn codes(seed: u8, rows: usize, most: &[u32]) -> Table {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let values =
        (0..rows).flat_map(|_| most.iter().map(|m| f64::from(rng.next_u32() % m)).collect::<Vec<_>>());
    let labels: Vec<bool> = (0..rows).map(|r| r % 3 == 0).collect();
    labelled(numbered(most.len()), values.collect(), &labels)
}

/// The same people in the opposite order, every column with a function of its place and value.
fn changed(table: &Table, change: impl Fn(usize, f64) -> f64) -> Table {
    let columns = table.columns().len();
    let rows = table.rows();
    let values = (0..rows).rev().flat_map(|r| table.row(r).unwrap().to_vec());
    let values = values.enumerate().map(|(i, v)| match i % columns {
        label if label == columns - 1 => v,
        column => change(column, v),
    });
    Table::new(table.columns().to_vec(), values.collect()).unwrap()
}

/// The rows of `a` from `from` on, then the first rows of `b`, as many as `a` has in all.
fn mixed(a: &Table, from: usize, b: &Table) -> Table {
    join(
        &a.subset(&(from..a.rows()).collect::<Vec<_>>()).unwrap(),
        &b.subset(&(0..from).collect::<Vec<_>>()).unwrap(),
    )
}

fn join(a: &Table, b: &Table) -> Table {
    Table::new(a.columns().to_vec(), [a.values(), b.values()].concat()).unwrap()
}

#[test]
fn the_same_rows_in_another_order_with_other_labels_are_the_same() {
    let table = people(1, 100, 5);
    let turned = changed(&table, |_, v| v);
    assert!(same(&table, &turned));
    let flipped = table.values().chunks(6).flat_map(|row| [&row[..5], &[1.0 - row[5]]].concat()).collect();
    assert!(same(&table, &Table::new(table.columns().to_vec(), flipped).unwrap()));
    // Columns in another order.
    let columns = table.columns().iter().rev().cloned().collect();
    let values = table.values().chunks(6).flat_map(|row| row.iter().rev().copied()).collect();
    assert!(same(&table, &Table::new(columns, values).unwrap()));
    // Every row twice.
    assert!(same(&table, &join(&table, &turned)));
}

#[test]
fn a_few_changed_rows_are_found_and_many_are_not() {
    let (table, others) = (people(1, 200, 5), people(2, 200, 5));
    for (changed, expected) in [(1, true), (10, true), (20, true), (22, false), (100, false), (200, false)] {
        let found = overlap(&table, &mixed(&table, changed, &others));
        assert_eq!(found.same, expected, "{changed} changed: {found:?}");
        assert_eq!(found.of_first, 1.0 - changed as f64 / 200.0);
    }
}

#[test]
fn a_part_of_a_table_and_a_table_around_it_are_found() {
    let (table, others) = (people(1, 200, 5), people(2, 400, 5));
    let half = table.subset(&(0..100).collect::<Vec<_>>()).unwrap();
    let found = overlap(&table, &half);
    assert_eq!((found.same, found.of_first, found.of_second, found.percent()), (true, 0.5, 1.0, 99));
    assert!(same(&table, &join(&others, &table)));
    // Two tables that overlap by half contain neither each other.
    assert!(!same(&table, &join(&half, &others)));
    // Too few rows to say anything.
    assert!(!same(&table, &table.subset(&(0..19).collect::<Vec<_>>()).unwrap()));
    let few = people(1, 5, 5);
    assert!(same(&few, &changed(&few, |_, v| v)));
}

#[test]
fn numbers_shifted_below_their_digits_stay_the_same() {
    let table = people(1, 300, 30);
    assert!(same(&table, &changed(&table, |_, v| v + 1e-9)));
    assert!(same(&table, &changed(&table, |c, v| v * (1.0 + 1e-7 * c as f64))));
    // What is not found: a digit less in each of thirty columns, other units, other names.
    assert!(!same(&table, &changed(&table, |_, v| (v * 100.0).round() / 100.0)));
    assert!(!same(&table, &changed(&table, |_, v| v * 2.54)));
    assert!(!same(&table, &changed(&table, |_, v| v * 1.01)));
    let renamed = table.columns().iter().map(|c| Column { name: format!("{}x", c.name), ..c.clone() });
    assert!(!same(&table, &Table::new(renamed.collect(), table.values().to_vec()).unwrap()));
}

#[test]
fn missing_and_small_whole_numbers_keep_apart() {
    let offset = (1 << CUT) - 1;
    for offset in [0, offset / 2, offset] {
        let mut seen: Vec<u64> = (-512..=512).map(|v| code(f64::from(v), offset)).collect();
        seen.extend([f64::NAN, 1e-300, 1e9, -1e9].map(|v| code(v, offset)));
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}

/// Different people with the same common answers: nothing follows from it.
#[test]
fn to_have_an_honest_hospital_struck_for_common_rows() {
    for most in [
        &[2, 2, 2][..],
        &[2, 2, 2, 2, 2, 2],
        &[3, 3, 3, 3],
        &[90, 2],
        &[90, 2, 5],
        &[4; 12],
        &[90, 2, 5, 100, 300],
    ] {
        for rows in [24, 100, 500, 3_000] {
            let (a, b) = (codes(1, rows, most), codes(2, rows, most));
            let found = overlap(&a, &b);
            assert!(!found.same, "{most:?} {rows} {found:?}");
            assert!(!overlap(&a, &codes(3, rows * 5, most)).same, "{most:?} {rows}");
            // Its own table is found all the same, whatever is in it.
            assert!(same(&a, &changed(&a, |_, v| v)), "{most:?} {rows}");
        }
    }
}

/// What takes a salt and an order only is found in tables of few codes too; a single changed row is not.
#[test]
fn tables_of_few_codes_are_found_whole_or_not_at_all() {
    let (table, others) = (codes(1, 300, &[2, 2, 2]), codes(2, 300, &[2, 2, 2]));
    assert!(same(&table, &changed(&table, |_, v| v)));
    assert!(!same(&table, &mixed(&table, 5, &others)));
}

fn hospital(name: &str) -> Table {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/breast-cancer").join(name);
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let mut columns: Vec<Column> = lines.next().unwrap().split(',').map(Column::number).collect();
    columns.pop();
    let (mut values, mut labels) = (vec![], vec![]);
    for line in lines {
        let cells: Vec<f64> = line.split(',').map(|c| c.parse().unwrap()).collect();
        let (label, row) = cells.split_last().unwrap();
        values.extend_from_slice(row);
        labels.push(*label == 1.0);
    }
    labelled(columns, values, &labels)
}

#[test]
fn the_four_real_hospitals_are_four() {
    let names = ["university-hospital", "cancer-center", "city-hospital", "screening-center"];
    let tables: Vec<Table> = names.iter().map(|n| hospital(&format!("{n}.csv"))).collect();
    for (i, a) in tables.iter().enumerate() {
        for (j, b) in tables.iter().enumerate() {
            let found = overlap(a, b);
            assert_eq!(found.same, i == j, "{} and {}: {found:?}", names[i], names[j]);
            assert!(i == j || found.of_first == 0.0);
        }
        let cut = a.rows() / 20;
        assert!(same(a, &changed(&mixed(a, cut, &tables[(i + 1) % 4]), |_, v| v)));
    }
}

#[test]
fn another_key_gives_nothing_to_compare() {
    let table = people(1, 100, 5);
    let other = Sketch::of(&SketchKey::from_bytes([8; 32]), &table);
    let found = Sketch::of(&key(), &table).overlap(&other);
    assert_eq!((found.of_first, found.same), (0.0, false));
    assert!(!format!("{:?} {:?}", key(), other).contains("[8"));
}

#[test]
fn a_sketch_is_read_back_or_refused() {
    for table in [people(1, 3_000, 2), people(1, 1, 1), codes(1, 50, &[2])] {
        let sketch = Sketch::of(&key(), &table);
        let mut w = Writer::default();
        sketch.write(&mut w);
        let mut r = Reader::new(&w.0);
        assert!(Sketch::read(&mut r).unwrap() == sketch && r.end().is_ok());
        for end in (0..w.0.len()).step_by(7) {
            assert!(Sketch::read(&mut Reader::new(&w.0[..end])).is_err());
        }
    }
    let mut lying = vec![0; 44];
    lying.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(Sketch::read(&mut Reader::new(&lying)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of large tables the lowest fingerprints are a sample: the estimate stays within five standard errors.
    #[test]
    fn the_estimate_is_near(seed in 0_u8..100, rows in 3_000_usize..12_000, kept in 0.0_f64..1.0, part in 0.2_f64..1.0) {
        // Of two columns without their last digits, strangers share some rows by chance; of three next to none.
        let first = people(seed, rows, 3);
        let second = (rows as f64 * part) as usize;
        let common = (second as f64 * kept) as usize;
        let strangers = people(seed + 100, second - common, 3);
        let held = first.subset(&(0..common).collect::<Vec<_>>()).unwrap();
        let second = join(&held, &strangers);
        let found = overlap(&first, &second);
        for (found, of) in [(found.of_first, first.rows()), (found.of_second, second.rows())] {
            let truth = common as f64 / of as f64;
            let sample = LOWEST as f64 * of as f64 / rows as f64;
            // A handful of rows more or less in the sample, where next to all or none are common and the error says nothing.
            let error = (truth * (1.0 - truth) / sample).sqrt();
            prop_assert!((found - truth).abs() < 5.0 * error + 0.02, "{} {} {}", found, truth, error);
        }
    }

    /// Whatever was changed: up to a tenth is found, much more is not.
    #[test]
    fn a_tenth_is_the_border(seed in 0_u8..100, rows in 25_usize..400, cut in 0.0_f64..1.0) {
        let (first, others) = (people(seed, rows, 3), people(seed + 100, rows, 3));
        let cut = (rows as f64 * cut) as usize;
        let equal = rows - cut;
        let found = overlap(&first, &changed(&mixed(&first, cut, &others), |_, v| v));
        prop_assert_eq!(found.same, equal * 10 >= rows * 9 && equal >= LEAST_COMMON);
    }
}

/// Whole numbers and days tell people apart as numbers do; a category beside them does not.
#[test]
fn whole_numbers_and_days_are_found_again() {
    let typed = |seed: u8| {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let kinds =
            [("visits", Kind::Whole), ("born", Kind::Day), ("score", Kind::Whole), ("ill", Kind::no_yes())];
        let columns = kinds.map(|(name, kind)| Column { name: name.into(), kind }).into();
        let row = |rng: &mut ChaCha20Rng| {
            let mut below = |most: u32| f64::from(rng.next_u32() % most);
            [below(400), below(30_000) - 15_000.0, below(500), below(2)]
        };
        Table::new(columns, (0..60).flat_map(|_| row(&mut rng)).collect()).unwrap()
    };
    let table = typed(1);
    assert!(same(&table, &changed(&table, |_, v| v)));
    let turned = |table: &Table| {
        let values = table.values().iter().enumerate().map(|(i, v)| if i % 4 == 3 { 1.0 - v } else { *v });
        Table::new(table.columns().to_vec(), values.collect()).unwrap()
    };
    assert!(same(&table, &turned(&table)));
    assert!(!same(&table, &typed(2)));
}
