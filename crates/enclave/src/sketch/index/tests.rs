//! Stories of tables, their owners and what the ledger says.

#![allow(clippy::unwrap_used)]

use histone_genome::table::{Column, Table};

use super::*;

/// One column of numbers from `from` to `to`: ranges are easy to overlap.
fn rows(from: u32, to: u32) -> Sketch {
    let values = (from..to).map(|v| f64::from(v) + 0.5).collect();
    let table = Table::new(vec![Column::number("c")], values).unwrap();
    Sketch::of(&SketchKey::from_bytes([7; 32]), &table)
}

struct Story {
    index: Index,
    register: Register,
    next: u8,
}

impl Story {
    fn new() -> Self {
        Self { index: Index::new(SketchKey::from_bytes([7; 32])), register: Register::default(), next: 0 }
    }

    fn ask(
        &mut self,
        owner: u8,
        sketch: &Sketch,
        replaces: Option<B256>,
    ) -> Result<(B256, Place), Misplaced> {
        self.next += 1;
        let (owner, root) = (Address::repeat_byte(owner), B256::repeat_byte(self.next));
        let place = self.index.place(Candidate { owner, root, replaces, sketch }, &self.register)?;
        Ok((root, place))
    }

    /// Validates and registers, or updates.
    fn add(&mut self, owner: u8, sketch: &Sketch, replaces: Option<B256>) -> Place {
        let (root, place) = self.ask(owner, sketch, replaces).unwrap();
        let dataset =
            Registered { owner: Address::repeat_byte(owner), root, withdrawn: false, erased: false };
        self.register.datasets.insert(place.lineage, dataset);
        place
    }

    fn withdraw(&mut self, lineage: B256) {
        self.register.datasets.get_mut(&lineage).unwrap().withdrawn = true;
    }
}

fn named(place: &Place) -> Vec<B256> {
    place.earlier.iter().map(|e| e.lineage).collect()
}

#[test]
fn to_join_two_datasets_into_a_third() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    let second = story.add(1, &rows(100, 200), None).lineage;
    assert_ne!(first, second);
    let both = rows(0, 200);
    let Misplaced::Known(known) = story.ask(1, &both, None).unwrap_err() else { panic!() };
    assert_eq!(BTreeSet::from_iter(known), BTreeSet::from([first, second]));
    assert!(matches!(story.ask(1, &both, Some(first)), Err(Misplaced::Known(_))));
    story.withdraw(second);
    assert_eq!(story.add(1, &both, Some(first)).lineage, first);
    // Another owner who joins them is later than both.
    assert_eq!(BTreeSet::from_iter(named(&story.add(2, &both, None))), BTreeSet::from([first, second]));
}

#[test]
fn to_drift_away_and_come_back() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    for step in 1..5 {
        assert_eq!(story.add(1, &rows(step * 40, 100 + step * 40), Some(first)).lineage, first);
    }
    // Every version is remembered.
    assert_eq!(story.ask(1, &rows(0, 100), None).unwrap().1.lineage, first);
    assert_eq!(named(&story.ask(2, &rows(42, 138), None).unwrap().1), [first]);
}

#[test]
fn to_keep_a_receipt_back_and_get_a_second() {
    let mut story = Story::new();
    // Validated and not registered: the second receipt is for an update of the first.
    let (_, first) = story.ask(1, &rows(0, 100), None).unwrap();
    let (_, second) = story.ask(1, &rows(0, 98), None).unwrap();
    assert_eq!(second.lineage, first.lineage);
}

#[test]
fn to_write_into_the_dataset_of_another() {
    let mut story = Story::new();
    let theirs = story.add(2, &rows(0, 100), None).lineage;
    let refused = story.ask(1, &rows(500, 600), Some(theirs)).unwrap_err();
    assert_eq!(refused, Misplaced::NotYours(theirs));
    let unknown = B256::repeat_byte(0xaa);
    assert_eq!(story.ask(1, &rows(500, 600), Some(unknown)).unwrap_err(), Misplaced::NotYours(unknown));
}

#[test]
fn to_bring_a_withdrawn_dataset_back() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    story.withdraw(first);
    assert_eq!(story.ask(1, &rows(0, 99), None).unwrap_err(), Misplaced::Withdrawn(vec![first]));
    assert_eq!(story.ask(1, &rows(0, 99), Some(first)).unwrap_err(), Misplaced::NotYours(first));
    // Another owner is later all the same, and is not told.
    assert_eq!(named(&story.add(2, &rows(0, 99), None)), [first]);
}

#[test]
fn to_hide_the_first_behind_copies() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    let copies = MOST_EARLIER as u8;
    for owner in 0..copies {
        let place = story.add(10 + owner, &rows(0, 100), None);
        assert_eq!((named(&place)[0], place.more), (first, false));
    }
    let last = story.add(99, &rows(0, 100), None);
    assert_eq!((named(&last)[0], last.more), (first, true));
    // Withdrawn copies make room for those that can be in one cohort with it.
    for owner in 0..copies {
        let account = Address::repeat_byte(10 + owner);
        let lineage = *story.register.datasets.iter().find(|(_, d)| d.owner == account).unwrap().0;
        story.withdraw(lineage);
    }
    let again = story.add(98, &rows(0, 100), None);
    assert_eq!(named(&again)[0], first);
}

#[test]
fn the_owner_of_an_earlier_version_stays_the_first() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    let thief = story.add(2, &rows(0, 100), None);
    assert_eq!(named(&thief), [first]);
    assert!(story.add(1, &rows(0, 104), Some(first)).earlier.is_empty());
    // But not of rows that somebody else had before they came into it.
    let other = story.add(3, &rows(500, 600), None).lineage;
    assert_eq!(named(&story.add(1, &rows(500, 600), Some(first))), [other]);
}

#[test]
fn what_is_registered_and_not_here_stops_every_new_answer() {
    let mut story = Story::new();
    let owner = Address::repeat_byte(5);
    let root = B256::repeat_byte(0xee);
    let lost = dataset_id(owner, root);
    let dataset = Registered { owner, root, withdrawn: false, erased: false };
    story.register.datasets.insert(lost, dataset);
    let missing = Misplaced::Missing { first: lost, others: 0 };
    assert_eq!(story.ask(1, &rows(0, 100), None).unwrap_err(), missing);
    assert!(missing.to_string().starts_with("the sketches of 1 registered datasets"));
    // The lost one is validated again, and all is well.
    let sketch = rows(0, 100);
    let candidate = Candidate { owner, root, replaces: None, sketch: &sketch };
    assert_eq!(story.index.place(candidate, &story.register).unwrap().lineage, lost);
    assert_eq!(named(&story.add(1, &rows(0, 100), None)), [lost]);
    // What is withdrawn may be missing.
    let gone = Registered { root: B256::repeat_byte(0xdd), withdrawn: true, ..dataset };
    story.register.datasets.insert(B256::repeat_byte(0xcc), gone);
    story.add(1, &rows(900, 999), None);
}

#[test]
fn erased_datasets_leave_with_all_their_versions() {
    let mut story = Story::new();
    let first = story.add(1, &rows(0, 100), None).lineage;
    story.add(1, &rows(0, 150), Some(first));
    story.add(2, &rows(500, 600), None);
    assert_eq!(story.index.forget_erased(&story.register), 0);
    let dataset = story.register.datasets.get_mut(&first).unwrap();
    (dataset.withdrawn, dataset.erased) = (true, true);
    assert_eq!((story.index.forget_erased(&story.register), story.index.len()), (2, 1));
    assert!(named(&story.ask(3, &rows(0, 100), None).unwrap().1).is_empty());
}

#[test]
fn an_index_is_read_back_or_refused() {
    let mut story = Story::new();
    story.add(1, &rows(0, 100), None);
    story.add(2, &rows(0, 98), None);
    let bytes = story.index.encode();
    let read = Index::decode(&bytes).unwrap();
    assert!(read == story.index && !read.is_empty());
    for end in 0..bytes.len() {
        assert!(Index::decode(&bytes[..end]).is_err(), "{end}");
    }
    assert!(Index::decode(&[&bytes[..], &[0]].concat()).is_err());
    // Whether more are earlier than are named, of the first version: another yes than 1.
    let more = 1 + 32 + 4 + 20 + 32 + 32 + 1;
    assert_eq!(bytes[more], 0);
    let mut odd = bytes.clone();
    odd[more] = 2;
    assert!(Index::decode(&odd).is_err());
    assert_eq!(format!("{read:?}"), "Index(2 versions)");
}

#[test]
fn indexes_merge_under_one_key() {
    let (mut one, mut two) = (Story::new(), Story::new());
    one.add(1, &rows(0, 100), None);
    two.next = 50;
    two.add(2, &rows(500, 600), None);
    assert_eq!(one.index.merge(two.index.clone()), Some(1));
    assert_eq!(one.index.merge(two.index.clone()), Some(0));
    let mut empty = Index::new(SketchKey::from_bytes([9; 32]));
    assert_eq!(empty.merge(one.index.clone()), Some(2));
    assert_eq!(empty.key(), one.index.key());
    let mut other = Index::new(SketchKey::from_bytes([9; 32]));
    other.versions = two.index.versions.clone();
    assert_eq!(other.merge(one.index), None);
}
