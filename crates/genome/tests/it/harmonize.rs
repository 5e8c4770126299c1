//! A site with other strands, swapped alleles and other habits is brought to a panel; mistakes are counted.

use histone_genome::assembly::Assembly;
use histone_genome::genotypes::{Block, Call, Genotypes, SampleSet};
use histone_genome::harmonize::{Action, Harmonizer, Known, Limits, Reason, Report};
use histone_genome::stats::counts;
use histone_genome::variant::Variant;

use crate::data;

fn variant(position: u32, reference: &str, alternative: &str) -> Variant {
    let position = position.try_into().unwrap();
    Variant::new(Assembly::Grch37, "22".parse().unwrap(), position, reference, alternative).unwrap()
}

/// What is done with one variant of a frequency, beside known ones with theirs.
#[track_caller]
fn check(known: &[(&str, &str, Option<f64>)], theirs: (&str, &str), frequency: f64, expected: Action) {
    let known = known
        .iter()
        .map(|(r, a, frequency)| Known { variant: variant(100, r, a), frequency: *frequency })
        .collect();
    let mut harmonizer = Harmonizer::new(known, Limits::default());
    let calls: Vec<Call> =
        (0..50).map(|s| if f64::from(s) < 50.0 * frequency { Call::HomAlt } else { Call::HomRef }).collect();
    let mut block = Block::new(50);
    block.push_calls(&calls).unwrap();
    let mut copies = None;
    let theirs = Some(variant(100, theirs.0, theirs.1));
    harmonizer
        .add(&block, &[theirs], |_, row| copies = Some(counts::of_row(row, 50).frequency().unwrap()))
        .unwrap();
    assert_eq!(harmonizer.finish().actions(), [expected]);
    assert_eq!(copies.is_some(), expected.uses());
    if let Some(copies) = copies {
        let right = if expected.swaps() { 1.0 - frequency } else { frequency };
        assert!((copies - right).abs() < 1e-9);
    }
}

#[test]
fn letters_and_frequencies_decide() {
    use Action::*;
    let ag = [("A", "G", Some(0.2))];
    check(&ag, ("A", "G"), 0.3, Keep);
    check(&ag, ("G", "A"), 0.7, Swap);
    check(&ag, ("T", "C"), 0.3, Flip);
    check(&ag, ("C", "T"), 0.7, FlipAndSwap);
    check(&ag, ("A", "C"), 0.2, LeaveOut(Reason::OtherAlleles));
    check(&ag, ("A", "G"), 0.9, LeaveOut(Reason::FrequenciesDiffer));
    check(&[("A", "G", None)], ("A", "G"), 0.9, Keep);
    let at = [("A", "T", Some(0.2))];
    check(&at, ("A", "T"), 0.24, KeepByFrequency);
    check(&at, ("A", "T"), 0.76, SwapByFrequency);
    check(&at, ("T", "A"), 0.24, KeepByFrequency);
    check(&at, ("T", "A"), 0.76, SwapByFrequency);
    check(&at, ("A", "T"), 0.44, LeaveOut(Reason::Ambiguous));
    check(&[("A", "T", Some(0.42))], ("A", "T"), 0.3, LeaveOut(Reason::Ambiguous));
    check(&[("A", "T", None)], ("A", "T"), 0.2, LeaveOut(Reason::Ambiguous));
    check(&[("A", "T", Some(0.05))], ("A", "T"), 0.38, LeaveOut(Reason::FrequenciesDiffer));
    // Several alternatives at one place.
    let two = [("A", "C", Some(0.1)), ("A", "G", Some(0.2))];
    check(&two, ("A", "G"), 0.2, Keep);
    check(&two, ("T", "C"), 0.2, Flip);
    check(&[("A", "G", None), ("A", "G", None)], ("A", "G"), 0.2, LeaveOut(Reason::Repeated));
}

#[test]
fn places_doubles_and_reports() {
    let known = vec![Known { variant: variant(100, "A", "G"), frequency: None }];
    let mut harmonizer = Harmonizer::new(known, Limits::default());
    let mut block = Block::new(1);
    (0..4).for_each(|_| block.push_calls(&[Call::Het]).unwrap());
    let variants =
        [None, Some(variant(101, "A", "G")), Some(variant(100, "G", "A")), Some(variant(100, "A", "G"))];
    let mut used = 0;
    harmonizer.add(&block, &variants, |known, _| used += 1 + known).unwrap();
    assert_eq!(used, 1);
    assert!(harmonizer.add(&block, &variants[1..], |_, _| ()).is_err());
    let report = harmonizer.finish();
    assert_eq!(
        report.actions(),
        [
            Action::LeaveOut(Reason::NoIdentity),
            Action::LeaveOut(Reason::UnknownPlace),
            Action::Swap,
            Action::LeaveOut(Reason::Repeated)
        ]
    );
    assert_eq!((report.used(), report.count(Action::Swap)), (1, 1));
    let mut text = vec![];
    report.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("##swap=1\n") && text.ends_with("3\tswap\n4\tout-repeated\n"));
    assert_eq!(Report::parse(&text, 4), Some(report));
    for bad in [text.replace("swap=1", "swap=2"), text.replace("3\tswap", "5\tswap"), "".into()] {
        assert_eq!(Report::parse(&bad, 4), None);
    }
}

/// One half of the 550 people is the panel; the other half comes with a quarter of its variants swapped, flipped or both, as
/// letters or as another strand of A/T and C/G. What is used must be as it was before.
#[test]
fn a_spoilt_half_is_mended() {
    let Some(root) = data::root() else { return };
    let panel = crate::panel::of_550(&root);
    let halves = [0, 1].map(|half| SampleSet::of(550, |s| s % 2 == half));
    let theirs: Vec<usize> = (0..550).filter(|s| s % 2 == 1).collect();
    let complement = |letters: &str| -> String {
        letters
            .chars()
            .rev()
            .map(|c| match c {
                'A' => 'T',
                'C' => 'G',
                'G' => 'C',
                _ => 'A',
            })
            .collect()
    };
    let (mut known, mut original) = (vec![], vec![]);
    let mut spoilt = Genotypes::new(theirs.len());
    let mut variants = vec![];
    let mut ambiguous = 0;
    let each = panel.genotypes.rows().zip(&panel.alleles).zip(1_u32..);
    for (((row, [r, a]), index), how) in each.zip((0..3).cycle().zip((0..4).cycle())) {
        if a.starts_with('<') || r.len() != 1 || a.len() != 1 {
            continue;
        }
        let this = variant(index, r, a);
        ambiguous += usize::from(this.is_strand_ambiguous());
        known.push(Known { variant: this, frequency: counts::of_row_in(row, &halves[0]).frequency() });
        let block = &panel.genotypes.blocks()[(index as usize - 1) / 64];
        let call = |s: &usize| block.call((index as usize - 1) % 64, *s).unwrap();
        let calls: Vec<Call> = theirs.iter().map(call).collect();
        // Of every third variant: both, flipped, swapped, or neither.
        let (swap, flip) = if how.0 == 0 { (how.1 % 2 == 0, how.1 < 2) } else { (false, false) };
        let [r, a] = if flip { [complement(r), complement(a)] } else { [r.clone(), a.clone()] };
        let [r, a] = if swap { [a, r] } else { [r, a] };
        variants.push(Some(variant(index, &r, &a)));
        let turned = |call: &Call| match (swap, call) {
            (true, Call::HomRef) => Call::HomAlt,
            (true, Call::HomAlt) => Call::HomRef,
            (_, call) => *call,
        };
        spoilt.push_calls(&calls.iter().map(turned).collect::<Vec<_>>()).unwrap();
        original.push(calls);
    }
    let mut harmonizer = Harmonizer::new(known, Limits::default());
    let mut wrong = 0;
    for (block, variants) in spoilt.blocks().iter().zip(variants.chunks(64)) {
        harmonizer
            .add(block, variants, |known, row| {
                let mut right = Block::new(theirs.len());
                right.push_calls(&original[known]).unwrap();
                wrong += usize::from(right.row(0) != Some(row));
            })
            .unwrap();
    }
    let report = harmonizer.finish();
    let count = |action| report.count(action);
    println!(
        "{} variants, {ambiguous} ambiguous: used {}, wrong {wrong}, ambiguous out {}, frequencies out {}",
        variants.len(),
        report.used(),
        count(Action::LeaveOut(Reason::Ambiguous)),
        count(Action::LeaveOut(Reason::FrequenciesDiffer)),
    );
    assert_eq!(wrong, 0);
    assert!(report.used() > variants.len() - 800);
    assert_eq!(count(Action::LeaveOut(Reason::OtherAlleles)), 0);
}
