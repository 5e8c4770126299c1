//! Adding studies up.

use std::collections::HashMap;

use histone_program_sdk::stats::{chi2_upper_tail, normal_quantile, two_sided_normal};

use super::study::{Row, Study};
use crate::assembly::{Chromosome, Position};
use crate::harmonize::Limits;
use crate::variant::{Agreement, Label, Variant};

/// How studies are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Effects, each by 1 / its variance: one effect for all studies is assumed ("fixed effect").
    InverseVariance,
    /// Z-scores of the p-values, each by the square root of the people. There is no effect then.
    SampleSize,
}

/// What is known of the strands of the tables, which matters for A/T and C/G: they read the same on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strands {
    /// All tables are of one strand, as tables of VCF files are: letters say which allele is meant, whatever the frequencies.
    Same,
    /// They may differ: A/T and C/G are used where the frequency is away from one half, and on one side of it in all tables.
    Unknown,
}

/// What became of the rows of a study.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Those that were added.
    pub used: u64,
    /// Those of them that earlier studies have, too.
    pub shared: u64,
    /// Used with the effect turned: alleles are swapped.
    pub turned: u64,
    /// Used, with letters of the other strand.
    pub flipped: u64,
    /// Left out: A/T or C/G with a frequency near one half, beyond it or unknown, so that nobody can say which strand it is.
    pub ambiguous: u64,
    /// Left out: frequencies contradict the alleles.
    pub frequencies_differ: u64,
    /// Left out: the variant was in the study before.
    pub repeated: u64,
    /// Left out: the table does not say how many people there were, and the method needs it.
    pub without_people: u64,
}

/// Studies that are added up.
pub struct Meta {
    method: Method,
    strands: Strands,
    limits: Limits,
    studies: usize,
    entries: Vec<Entry>,
    places: HashMap<(Chromosome, Position), Vec<usize>>,
}

struct Entry {
    variant: Variant,
    label: Label,
    /// Sum of the weights, weighted mean, and weighted sum of the squares about it.
    weight: f64,
    mean: f64,
    squares: f64,
    people: u64,
    /// Mean frequency, and its weight.
    frequency: (f64, f64),
    /// A sign for each study up to the last one that has the variant.
    directions: Vec<u8>,
}

/// What all studies say of a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// The variant, its alleles as the first study has them.
    pub variant: Variant,
    /// What the first study that has a name calls it.
    pub label: Label,
    /// Frequency of the alternative allele, over people where they are known.
    pub frequency: Option<f64>,
    /// People of all studies that have it.
    pub people: u64,
    /// `+`, `-` or `0` for each study by its effect, `?` where it is not.
    pub directions: String,
    /// The effect of a copy of the alternative allele. By [`Method::SampleSize`] it has no unit.
    pub effect: f64,
    /// Its standard error.
    pub error: f64,
    /// Cochran's Q; 0 of one study.
    pub q: f64,
}

impl Combined {
    /// How many studies have it.
    pub fn studies(&self) -> usize {
        self.directions.bytes().filter(|sign| *sign != b'?').count()
    }

    /// Effect over standard error.
    pub fn z(&self) -> f64 {
        self.effect / self.error
    }

    /// The two-sided p-value.
    pub fn p(&self) -> f64 {
        two_sided_normal(self.z())
    }

    /// I-squared, in percent: how much of the variation between the studies is more than chance. `None` of one study.
    pub fn i_squared(&self) -> Option<f64> {
        let freedom = self.freedom()?;
        Some(if self.q > freedom { 100.0 * (self.q - freedom) / self.q } else { 0.0 })
    }

    /// The p-value of Q. `None` of one study.
    pub fn heterogeneity_p(&self) -> Option<f64> {
        Some(chi2_upper_tail(self.q, self.freedom()?))
    }

    /// Degrees of freedom of Q.
    fn freedom(&self) -> Option<f64> {
        let studies = self.studies();
        (studies > 1).then_some(studies as f64 - 1.0)
    }
}

/// How a row fits a variant.
struct Fit {
    entry: usize,
    is_turned: bool,
    is_flipped: bool,
}

impl Meta {
    /// No study yet.
    pub fn new(method: Method, strands: Strands) -> Self {
        Self {
            method,
            strands,
            limits: Limits::default(),
            studies: 0,
            entries: vec![],
            places: HashMap::new(),
        }
    }

    /// Adds a study. `inflation` above 1 is taken out of its statistics (genomic control): standard errors grow by its
    /// square root.
    pub fn add(&mut self, study: &Study, inflation: Option<f64>) -> Matched {
        let mut matched = Matched::default();
        let control = inflation.filter(|lambda| *lambda > 1.0).unwrap_or(1.0).sqrt();
        for row in study.rows() {
            self.add_row(row, control, &mut matched);
        }
        self.studies += 1;
        matched
    }

    fn add_row(&mut self, row: &Row, control: f64, matched: &mut Matched) {
        let (effect, weight) = match (self.method, row.people) {
            (Method::InverseVariance, _) => (row.effect, (row.error * control).powi(2).recip()),
            (Method::SampleSize, Some(people)) if people > 0 => {
                // Below what a number can say, the estimate says more than a p-value of 0.
                let z = match row.p {
                    p if p > 1e-300 => normal_quantile(0.5 * p).abs(),
                    _ => (row.effect / row.error).abs(),
                };
                let z = if row.effect < 0.0 { -z } else { z };
                (z / control / (people as f64).sqrt(), people as f64)
            }
            _ => {
                matched.without_people += 1;
                return;
            }
        };
        let from_half = self.limits.from_half;
        if self.strands == Strands::Unknown
            && row.variant.is_strand_ambiguous()
            && row.frequency.is_none_or(|frequency| (frequency - 0.5).abs() < from_half)
        {
            matched.ambiguous += 1;
            return;
        }
        let place = (row.variant.chromosome(), row.variant.position());
        let fit = match self.fit(row, self.places.get(&place).map_or(&[][..], Vec::as_slice)) {
            Ok(Some(fit)) => fit,
            Ok(None) => {
                self.places.entry(place).or_default().push(self.entries.len());
                self.entries.push(Entry {
                    variant: row.variant.clone(),
                    label: Label::default(),
                    weight: 0.0,
                    mean: 0.0,
                    squares: 0.0,
                    people: 0,
                    frequency: (0.0, 0.0),
                    directions: vec![],
                });
                Fit { entry: self.entries.len() - 1, is_turned: false, is_flipped: false }
            }
            Err(Left::Ambiguous) => {
                matched.ambiguous += 1;
                return;
            }
            Err(Left::FrequenciesDiffer) => {
                matched.frequencies_differ += 1;
                return;
            }
        };
        let Some(entry) = self.entries.get_mut(fit.entry) else { return };
        if entry.directions.len() > self.studies {
            matched.repeated += 1;
            return;
        }
        matched.used += 1;
        matched.shared += u64::from(entry.weight > 0.0);
        matched.turned += u64::from(fit.is_turned);
        matched.flipped += u64::from(fit.is_flipped);
        let turn = |number: f64| if fit.is_turned { -number } else { number };
        let effect = turn(effect);
        // West's way: nothing is lost where studies agree to many digits.
        entry.weight += weight;
        let difference = effect - entry.mean;
        entry.mean += difference * weight / entry.weight;
        entry.squares += weight * difference * (effect - entry.mean);
        if entry.label.text().is_none() {
            entry.label = row.label.clone();
        }
        if let Some(frequency) = row.frequency {
            let frequency = if fit.is_turned { 1.0 - frequency } else { frequency };
            let weight = row.people.unwrap_or(1) as f64;
            entry.frequency.1 += weight;
            if entry.frequency.1 > 0.0 {
                entry.frequency.0 += (frequency - entry.frequency.0) * weight / entry.frequency.1;
            }
        }
        entry.people = entry.people.saturating_add(row.people.unwrap_or_default());
        entry.directions.resize(self.studies, b'?');
        entry.directions.push(match effect {
            effect if effect > 0.0 => b'+',
            effect if effect < 0.0 => b'-',
            _ => b'0',
        });
    }

    /// The variant of a row, when it is known: one with the same letters before one of the other strand.
    fn fit(&self, row: &Row, here: &[usize]) -> Result<Option<Fit>, Left> {
        let mut other_strand = None;
        for &index in here {
            let Some(entry) = self.entries.get(index) else { continue };
            let known = (entry.frequency.1 > 0.0).then_some(entry.frequency.0);
            // Of this row, when its alternative is the allele of that name, and when it is the other one.
            let distance = |is_turned: bool| {
                let frequency = row.frequency.map(|f| if is_turned { 1.0 - f } else { f });
                known.zip(frequency).map(|(known, frequency)| (known - frequency).abs())
            };
            let fit = |is_turned, is_flipped| Fit { entry: index, is_turned, is_flipped };
            // Letters of one strand need no witness: between populations, frequencies differ as much.
            let most = match self.strands {
                Strands::Same => f64::INFINITY,
                Strands::Unknown => self.limits.most_difference,
            };
            let checked = |fit: Fit| match distance(fit.is_turned) {
                Some(distance) if distance > most => Err(Left::FrequenciesDiffer),
                _ => Ok(Some(fit)),
            };
            match Agreement::of(&entry.variant, &row.variant) {
                Agreement::Same => return checked(fit(false, false)),
                Agreement::Swapped => return checked(fit(true, false)),
                Agreement::Flipped => other_strand = Some(fit(false, true)),
                Agreement::FlippedAndSwapped => other_strand = Some(fit(true, true)),
                Agreement::Ambiguous => {
                    let is_turned = entry.variant.reference() != row.variant.reference();
                    if self.strands == Strands::Same {
                        return Ok(Some(fit(is_turned, false)));
                    }
                    // The letters are taken as they are, and only where frequencies do not speak against it. They are not
                    // taken for more: between populations, an allele that is rare here may be common there.
                    return match (known, row.frequency) {
                        (Some(known), Some(frequency))
                            if (known < 0.5) != ((frequency < 0.5) != is_turned) =>
                        {
                            Err(Left::Ambiguous)
                        }
                        _ => checked(fit(is_turned, false)),
                    };
                }
                Agreement::Different => {}
            }
            if let Some(Fit { is_turned, .. }) = other_strand
                && distance(is_turned).is_some_and(|distance| distance > most)
            {
                return Err(Left::FrequenciesDiffer);
            }
        }
        Ok(other_strand)
    }

    /// All variants in the order of the genome.
    pub fn finish(self) -> Vec<Combined> {
        let studies = self.studies;
        let mut all: Vec<Combined> = self
            .entries
            .into_iter()
            .filter(|entry| entry.weight > 0.0)
            .map(|mut entry| {
                entry.directions.resize(studies, b'?');
                Combined {
                    variant: entry.variant,
                    label: entry.label,
                    frequency: (entry.frequency.1 > 0.0).then_some(entry.frequency.0),
                    people: entry.people,
                    directions: entry.directions.into_iter().map(char::from).collect(),
                    effect: entry.mean,
                    error: entry.weight.recip().sqrt(),
                    q: entry.squares.max(0.0),
                }
            })
            .collect();
        all.sort_by(|a, b| a.variant.cmp(&b.variant));
        all
    }
}

/// Why a row does not fit.
enum Left {
    Ambiguous,
    FrequenciesDiffer,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::text::TextLimits;

    fn study(rows: &[&str]) -> Study {
        let table =
            format!("#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tBETA\tSE\tP\n{}\n", rows.join("\n"));
        let table = table.replace(' ', "\t");
        Study::read("t", table.as_bytes(), &TextLimits::default()).unwrap()
    }

    fn meta(method: Method, studies: &[Study], lambda: Option<f64>) -> (Vec<Combined>, Vec<Matched>) {
        let mut meta = Meta::new(method, Strands::Unknown);
        let matched = studies.iter().map(|study| meta.add(study, lambda)).collect();
        (meta.finish(), matched)
    }

    #[track_caller]
    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    /// The second has its alleles swapped, the third is of the other strand.
    fn three() -> [Study; 3] {
        [
            study(&["1 7 rs1 A G 0.2 900 0.31 0.08 1.1e-4"]),
            study(&["1 7 . G A 0.8 500 -0.12 0.11 0.28", "1 5 . C T 0.3 500 1 0.5 0.05"]),
            study(&["1 7 . T C 0.25 150 -0.05 0.2 0.81"]),
        ]
    }

    /// Expected: SciPy 1.17.1.
    #[test]
    fn by_inverse_variance() {
        let (found, matched) = meta(Method::InverseVariance, &three(), None);
        assert_eq!(found.iter().map(|v| v.variant.position().get()).collect::<Vec<_>>(), [5, 7]);
        assert_eq!((found[0].directions.as_str(), found[0].heterogeneity_p()), ("?+?", None));
        let all = &found[1];
        assert_eq!((all.directions.as_str(), all.people, all.label.text()), ("++-", 1_550, Some("rs1")));
        assert_near(all.effect, 0.216_392_640_438_441_97);
        assert_near(all.error, 0.061_558_031_728_664_794);
        assert_near(all.p(), 0.000_439_319_513_972_656_83);
        assert_near(all.q, 3.911_137_208_847_133);
        assert_near(all.i_squared().unwrap(), 48.863_977_579_821_83);
        assert_near(all.heterogeneity_p().unwrap(), 0.141_484_005_386_804_72);
        assert_near(all.frequency.unwrap(), (0.2 * 900.0 + 0.2 * 500.0 + 0.25 * 150.0) / 1_550.0);
        assert_eq!((matched[1].turned, matched[1].shared, matched[2].flipped), (1, 1, 1));
    }

    #[test]
    fn by_sample_size() {
        let (found, _) = meta(Method::SampleSize, &three(), None);
        assert_near(found[1].z(), 3.485_752_080_727_059);
        assert_near(found[1].p(), 0.000_490_755_597_265_157_2);
        assert_near(found[1].q, 4.031_242_568_602_101);
        assert_near(found[1].i_squared().unwrap(), 50.387_505_441_193_72);
        assert_near(found[1].heterogeneity_p().unwrap(), 0.133_237_599_217_450_6);
        let (found, matched) = meta(Method::SampleSize, &[study(&["1 7 . A G 0.2 NA 1 1 0.3"])], None);
        assert_eq!((found.len(), matched[0].without_people), (0, 1));
        // More people than a number holds are as many as it holds.
        let most = || study(&[&format!("1 7 . A G 0.2 {} 1 1 0.3", u64::MAX)]);
        let (found, _) = meta(Method::SampleSize, &[most(), most()], None);
        assert_eq!(found[0].people, u64::MAX);
    }

    #[test]
    fn inflation_is_taken_out() {
        let [first, second, third] = three();
        let mut meta = Meta::new(Method::InverseVariance, Strands::Unknown);
        meta.add(&first, Some(1.44));
        meta.add(&second, Some(0.9));
        meta.add(&third, None);
        let found = meta.finish();
        assert_near(found[1].effect, 0.195_716_865_030_634_12);
        assert_near(found[1].error, 0.068_017_521_140_503_1);
    }

    #[test]
    fn letters_that_do_not_tell_the_strand() {
        let first = study(&[
            "1 1 . A T 0.2 100 1 1 0.3",
            "1 2 . A T 0.2 100 1 1 0.3",
            "1 3 . A T 0.2 100 1 1 0.3",
            "1 4 . A T 0.45 100 1 1 0.3",
            "1 5 . A T 0.2 100 1 1 0.3",
            "1 6 . A C 0.9 100 1 1 0.3",
        ]);
        let second = study(&[
            // As written; swapped; the other side of one half; too near one half before; no frequency; impossible.
            "1 1 . A T 0.25 100 1 1 0.3",
            "1 2 . T A 0.75 100 -1 1 0.3",
            "1 3 . A T 0.75 100 -1 1 0.3",
            "1 4 . A T 0.2 100 1 1 0.3",
            "1 5 . A T NA 100 1 1 0.3",
            "1 6 . A C 0.2 100 1 1 0.3",
            "1 1 . A T 0.25 100 1 1 0.3",
        ]);
        let (found, matched) = meta(Method::InverseVariance, &[first.clone(), second.clone()], None);
        let shown: Vec<String> =
            found.iter().map(|v| format!("{}{}", v.variant.position(), v.directions)).collect();
        assert_eq!(shown, ["1++", "2++", "3+?", "4?+", "5+?", "6+?"]);
        assert_eq!((matched[0].ambiguous, matched[1].ambiguous), (1, 2));
        assert_eq!((matched[1].frequencies_differ, matched[1].repeated), (1, 1));
        assert_eq!((matched[1].turned, matched[1].flipped, matched[1].used), (1, 0, 3));

        let mut meta = Meta::new(Method::InverseVariance, Strands::Same);
        assert_eq!((meta.add(&first, None).ambiguous, meta.add(&second, None).ambiguous), (0, 0));
        let found = meta.finish();
        let directions: Vec<&str> = found.iter().map(|v| v.directions.as_str()).collect();
        assert_eq!(directions, ["++", "++", "+-", "++", "++", "++"]);
    }
}
