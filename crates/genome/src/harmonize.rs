//! Bringing the variants of a site to those of a panel or of another site: strands, swapped alleles, builds.
//!
//! A [`Harmonizer`] holds the variants that are [`Known`], with the frequency of their alternative alleles. It takes a site's
//! blocks, finds each variant by its place and letters, and hands on the calls of those that can be used, counted as the known
//! variant counts them. What it did with each variant, and why, is in the [`Report`].
//!
//! - **Mended where certain.** Swapped alleles (a call of c copies becomes one of 2 - c), the other strand, or both.
//! - **Decided by frequency.** A/T and C/G read the same on both strands: whether such a variant is swapped is taken from the
//!   frequencies, when both are clearly on one side of one half, and near each other then.
//! - **Left out.** A/T and C/G near one half, other alleles, unknown places, what comes twice, and frequencies so different
//!   that the letters cannot be trusted.
//!
//! Bring variants into their normal form first ([`Variant::trimmed`], or [`Variant::left_aligned`] where there is a
//! [`Sequence`]), the known ones and the site's. [`BuildCheck`] says by known places, [`LetterCheck`] by the letters of a
//! sequence, whether positions are of another build: these are reported and never moved.
//!
//! ```
//! use histone_genome::assembly::Assembly;
//! use histone_genome::genotypes::{Block, Call};
//! use histone_genome::harmonize::{Action, Harmonizer, Known, Limits};
//! use histone_genome::variant::Variant;
//!
//! let variant = |reference, alternative| {
//!     Variant::new(Assembly::Grch38, "22".parse()?, 100.try_into()?, reference, alternative)
//! };
//! let known = Known { variant: variant("A", "G")?, frequency: Some(0.3) };
//! let mut block = Block::new(3);
//! block.push_calls(&[Call::HomAlt, Call::Het, Call::HomAlt])?;
//! let mut harmonizer = Harmonizer::new(vec![known], Limits::default());
//! let mut calls = vec![];
//! harmonizer.add(&block, &[Some(variant("C", "T")?)], |_known, row| calls.push(row.to_vec()))?;
//! assert_eq!(harmonizer.finish().actions(), [Action::FlipAndSwap]);
//! assert_eq!(calls, [[0b00_01_00]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: lifting positions from one build to another, which needs an alignment of the builds and loses
//! variants without saying so.

mod build;
mod letters;
mod sequence;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};

pub use build::BuildCheck;
pub use letters::{LetterCheck, Letters};
pub use sequence::{Sequence, SequenceError, agreement_with};

use crate::assembly::{Chromosome, Position};
use crate::genotypes::{Block, GenotypeError};
use crate::stats::counts;
use crate::variant::{Agreement, Variant};

/// A variant to which others are brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// In its normal form.
    pub variant: Variant,
    /// Frequency of the alternative allele; without one, variants that need it are left out.
    pub frequency: Option<f64>,
}

/// When frequencies are taken to say something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// A/T and C/G are decided when both frequencies are so far from one half. 0.1, as `TwoSampleMR` and others do
    /// (minor allele below 0.4).
    pub from_half: f64,
    /// An A/T or C/G is used when the frequencies differ by no more, the alleles put right.
    pub ambiguous_difference: f64,
    /// Another variant is left out when they differ by more: between continents few variants do.
    pub most_difference: f64,
    /// Calls of a variant that a frequency needs; with fewer, frequencies decide nothing and contradict nothing.
    pub least_calls: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { from_half: 0.1, ambiguous_difference: 0.2, most_difference: 0.5, least_calls: 20 }
    }
}

/// What was done with a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Used as it is.
    Keep,
    /// Used with alleles exchanged.
    Swap,
    /// Used; letters are of the other strand.
    Flip,
    /// Used with alleles exchanged; letters are of the other strand.
    FlipAndSwap,
    /// A/T or C/G, used as it is, by its frequency.
    KeepByFrequency,
    /// A/T or C/G, used with the counted allele exchanged, by its frequency.
    SwapByFrequency,
    /// Left out.
    LeaveOut(Reason),
}

/// Why a variant was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It has no place among the chromosomes, or no letters.
    NoIdentity,
    /// Nothing is known at its place.
    UnknownPlace,
    /// What is known at its place has other alleles.
    OtherAlleles,
    /// A/T or C/G, too near to one half, or without frequencies.
    Ambiguous,
    /// The frequencies contradict the letters.
    FrequenciesDiffer,
    /// Fits a known variant that came before, or two known ones alike.
    Repeated,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Keep,
        Self::Swap,
        Self::Flip,
        Self::FlipAndSwap,
        Self::KeepByFrequency,
        Self::SwapByFrequency,
        Self::LeaveOut(Reason::NoIdentity),
        Self::LeaveOut(Reason::UnknownPlace),
        Self::LeaveOut(Reason::OtherAlleles),
        Self::LeaveOut(Reason::Ambiguous),
        Self::LeaveOut(Reason::FrequenciesDiffer),
        Self::LeaveOut(Reason::Repeated),
    ];

    /// True when a call of c copies was made one of 2 - c.
    #[must_use]
    pub fn swaps(self) -> bool {
        matches!(self, Self::Swap | Self::FlipAndSwap | Self::SwapByFrequency)
    }

    /// True when the variant is used.
    #[must_use]
    pub fn uses(self) -> bool {
        !matches!(self, Self::LeaveOut(_))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Swap => "swap",
            Self::Flip => "flip",
            Self::FlipAndSwap => "flip-and-swap",
            Self::KeepByFrequency => "keep-by-frequency",
            Self::SwapByFrequency => "swap-by-frequency",
            Self::LeaveOut(Reason::NoIdentity) => "out-no-identity",
            Self::LeaveOut(Reason::UnknownPlace) => "out-unknown-place",
            Self::LeaveOut(Reason::OtherAlleles) => "out-other-alleles",
            Self::LeaveOut(Reason::Ambiguous) => "out-ambiguous",
            Self::LeaveOut(Reason::FrequenciesDiffer) => "out-frequencies-differ",
            Self::LeaveOut(Reason::Repeated) => "out-repeated",
        })
    }
}

/// What was done with every variant of a site, in the order of its file. No genotypes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    actions: Vec<Action>,
}

impl Report {
    /// One action for each variant.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// How often something was done.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.actions.iter().filter(|found| **found == action).count()
    }

    /// Variants that are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.actions.iter().filter(|action| action.uses()).count()
    }

    /// Writes how often everything was done, as comments, then a line for each variant that is not kept as it is: its number
    /// in the file, from 1, and the action.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&self, mut output: impl Write) -> io::Result<()> {
        for action in Action::ALL {
            writeln!(output, "##{action}={}", self.count(action))?;
        }
        writeln!(output, "#RECORD\tACTION")?;
        for (action, number) in
            self.actions.iter().zip(1_u64..).filter(|(action, _)| **action != Action::Keep)
        {
            writeln!(output, "{number}\t{action}")?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) writes about so many variants; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str, variants: usize) -> Option<Self> {
        let named = |name: &str| Action::ALL.into_iter().find(|action| action.to_string() == name);
        let mut report = Self::default();
        let mut lines = text.lines().skip_while(|line| line.starts_with("##"));
        if lines.next()? != "#RECORD\tACTION" {
            return None;
        }
        for line in lines {
            let (number, action) = line.split_once('\t')?;
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            if index < report.actions.len() || index >= variants {
                return None;
            }
            report.actions.resize(index, Action::Keep);
            report.actions.push(named(action)?);
        }
        if variants > report.actions.len() {
            report.actions.resize(variants, Action::Keep);
        }
        let mut again = vec![];
        report.write(&mut again).ok()?;
        (again == text.as_bytes()).then_some(report)
    }
}

/// Brings the variants of one site to known ones, block by block.
#[derive(Debug)]
pub struct Harmonizer {
    known: Vec<Known>,
    at: HashMap<(Chromosome, Position), Vec<usize>>,
    came: Vec<bool>,
    limits: Limits,
    report: Report,
}

impl Harmonizer {
    /// To these variants.
    #[must_use]
    pub fn new(known: Vec<Known>, limits: Limits) -> Self {
        let mut at: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, known) in known.iter().enumerate() {
            at.entry((known.variant.chromosome(), known.variant.position())).or_default().push(index);
        }
        Self { came: vec![false; known.len()], known, at, limits, report: Report::default() }
    }

    /// Adds a block, with a variant for each row where it has an identity. `each` is given the index of the known variant and
    /// the calls of every variant that is used, alleles put right.
    ///
    /// # Errors
    /// [`GenotypeError::NoVariant`] when there are not as many variants as rows.
    pub fn add(
        &mut self,
        block: &Block,
        variants: &[Option<Variant>],
        mut each: impl FnMut(usize, &[u64]),
    ) -> Result<(), GenotypeError> {
        if variants.len() != block.variants() {
            return Err(GenotypeError::NoVariant);
        }
        for (row, variant) in block.rows().zip(variants) {
            let counts = counts::of_row(row, block.samples());
            let frequency = counts.frequency().filter(|_| counts.known() >= self.limits.least_calls);
            let (action, known) = self.decide(variant.as_ref(), frequency);
            self.report.actions.push(action);
            let Some(known) = known.filter(|_| action.uses()) else { continue };
            if let Some(came) = self.came.get_mut(known) {
                *came = true;
            }
            if action.swaps() {
                each(known, &swapped(row, block.samples()));
            } else {
                each(known, row);
            }
        }
        Ok(())
    }

    /// What was done.
    #[must_use]
    pub fn finish(self) -> Report {
        self.report
    }

    fn decide(&self, variant: Option<&Variant>, frequency: Option<f64>) -> (Action, Option<usize>) {
        let out = |reason| (Action::LeaveOut(reason), None);
        let Some(variant) = variant else { return out(Reason::NoIdentity) };
        let Some(here) = self.at.get(&(variant.chromosome(), variant.position())) else {
            return out(Reason::UnknownPlace);
        };
        // The plainest relation counts: of several alternatives at one place, the one with the same letters.
        let rank = |agreement| match agreement {
            Agreement::Same | Agreement::Ambiguous => 0,
            Agreement::Swapped => 1,
            Agreement::Flipped => 2,
            Agreement::FlippedAndSwapped => 3,
            Agreement::Different => 4,
        };
        let relations = here.iter().filter_map(|index| {
            let known = self.known.get(*index)?;
            Some((*index, known, Agreement::of(&known.variant, variant)))
        });
        let mut relations: Vec<_> =
            relations.filter(|(_, _, agreement)| *agreement != Agreement::Different).collect();
        relations.sort_by_key(|(_, _, agreement)| rank(*agreement));
        let (index, known, agreement) = match relations.as_slice() {
            [] => return out(Reason::OtherAlleles),
            [(_, _, first), (_, _, second), ..] if rank(*first) == rank(*second) => {
                return out(Reason::Repeated);
            }
            [(index, known, agreement), ..] => (*index, known, *agreement),
        };
        if self.came.get(index) == Some(&true) {
            return out(Reason::Repeated);
        }
        let action = match agreement {
            Agreement::Same => Action::Keep,
            Agreement::Swapped => Action::Swap,
            Agreement::Flipped => Action::Flip,
            Agreement::FlippedAndSwapped => Action::FlipAndSwap,
            Agreement::Ambiguous => {
                let (Some(ours), Some(theirs)) = (known.frequency, frequency) else {
                    return out(Reason::Ambiguous);
                };
                let clear = |f: f64| (f - 0.5).abs() >= self.limits.from_half;
                if !clear(ours) || !clear(theirs) {
                    return out(Reason::Ambiguous);
                }
                let swap = (ours < 0.5) != (theirs < 0.5);
                let theirs = if swap { 1.0 - theirs } else { theirs };
                if (ours - theirs).abs() > self.limits.ambiguous_difference {
                    return out(Reason::FrequenciesDiffer);
                }
                if swap { Action::SwapByFrequency } else { Action::KeepByFrequency }
            }
            Agreement::Different => return out(Reason::OtherAlleles),
        };
        if let (Some(ours), Some(theirs)) = (known.frequency, frequency) {
            let theirs = if action.swaps() { 1.0 - theirs } else { theirs };
            if (ours - theirs).abs() > self.limits.most_difference {
                return out(Reason::FrequenciesDiffer);
            }
        }
        (action, Some(index))
    }
}

/// Calls with the alleles exchanged: 0 becomes 2, 2 becomes 0, the others stay.
#[must_use]
pub fn swapped(row: &[u64], samples: usize) -> Vec<u64> {
    const LOW_BITS: u64 = 0x5555_5555_5555_5555;
    let mut row: Vec<u64> = row.iter().map(|word| word ^ (!word & LOW_BITS) << 1).collect();
    if let Some(last) = row.last_mut() {
        *last &= crate::genotypes::last_word(samples);
    }
    row
}
