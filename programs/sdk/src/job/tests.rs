//! Every job and result comes back from its bytes, and bytes that are none are refused.

#![allow(clippy::unwrap_used)]

use super::*;

fn table() -> Table {
    Table { levels: vec![0, 7], values: vec![1.0, 2.0, 3.5, f64::NAN, -0.0, 6.0] }
}

fn report() -> ValidateReport {
    ValidateReport { rows: 9, duplicates: 1, missing: vec![0, 9], flags: vec![0, 6], quality: 2 }
}

#[test]
fn jobs_come_back_from_their_bytes() {
    let job = ValidateJob { table: table() };
    let back = ValidateJob::decode(&job.encode()).unwrap();
    assert_eq!((back.encode(), back.table.rows()), (job.encode(), 3));
    assert_eq!(ValidateReport::decode(&report().encode()).unwrap(), report());
}

#[test]
fn a_missing_value_crosses_as_the_one_nan() {
    let mut t = table();
    t.values[2] = f64::from_bits(0xfff0_0000_0000_0001);
    let back = ValidateJob::decode(&ValidateJob { table: t }.encode()).unwrap().table;
    assert_eq!(back.values[2].to_bits(), f64::NAN.to_bits());
}

#[test]
fn cut_and_longer_bytes_are_refused() {
    let mut bytes = ValidateJob { table: table() }.encode();
    for cut in 0..bytes.len() {
        assert!(ValidateJob::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    bytes.push(0);
    assert_eq!(ValidateJob::decode(&bytes), Err(WireError::Trailing));
    let bytes = report().encode();
    for cut in 0..bytes.len() {
        assert!(ValidateReport::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn contradictions_are_refused() {
    let refused = |change: fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        ValidateJob::decode(&ValidateJob { table }.encode()).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|t| t.levels = vec![0; 4]));
    assert!(refused(|t| t.levels = vec![]));
    assert!(refused(|t| t.levels = vec![0; 1 + MAX_COLUMNS as usize]));
    assert!(refused(|t| t.levels[1] = 6));
    assert!(refused(|t| t.values[1] = 0.5));
    assert!(refused(|t| t.values[1] = -1.0));
    assert!(refused(|t| t.values[0] = f64::INFINITY));
}
