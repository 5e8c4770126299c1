//! The variants that a study looks at, in one order for all its sites, and the calls of a cohort brought into that order.
//!
//! A panel is a text of tab-separated lines under a heading. It names no person; the study publishes it, and the hash of
//! [`Panel::text`] is its name. Whatever file a site has, [`Panel::align`] finds each variant by chromosome, position and alleles
//! (names such as rs numbers are not looked at), turns calls round where the file counts the other allele, and leaves out what could be
//! either strand.

use std::collections::HashMap;
use std::io::BufRead;

use crate::assembly::Assembly;
use crate::cohort::{Cohort, CohortError};
use crate::table::MAX_VARIANTS;
use crate::variant::{Agreement, Site, Variant};

/// The heading of a panel's text.
pub const HEADING: &str = "chromosome\tposition\treference\talternative\tfrequency\tname";

/// How far from a half both frequencies must be for them to tell the strand of a variant whose alleles read alike on both.
const CLEAR: f64 = 0.1;

/// Longest line of a panel's text, in bytes.
const MAX_LINE: usize = 1 << 20;

/// What can be wrong with a panel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PanelError {
    /// It could not be read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong and what to do.
        problem: String,
    },
    /// It has no variant.
    #[error("{file}: there is no variant below the heading")]
    Empty {
        /// The file.
        file: String,
    },
    /// The cohort.
    #[error(transparent)]
    Cohort(#[from] CohortError),
}

/// One variant of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelVariant {
    /// As the panel writes it.
    pub site: Site,
    /// Frequency of the alternative allele in the population that the panel is of, where it says so.
    pub frequency: Option<f64>,
    variant: Variant,
}

/// The variants of a study, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    assembly: Assembly,
    variants: Vec<PanelVariant>,
}

/// What a panel found in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alignment {
    /// Variants of the panel that the file has.
    pub found: usize,
    /// Of these, those whose calls were turned round, because the file counts the other allele.
    pub turned: usize,
    /// Of these, those that the file writes on the other strand.
    pub flipped: usize,
    /// Left out: the alleles read the same on both strands, and frequencies do not tell which one the file means.
    pub ambiguous: usize,
    /// Left out: the file has other alleles there.
    pub other_alleles: usize,
    /// Left out: the panel's variant was found on an earlier line.
    pub repeated: usize,
    /// Variants of the file that are at no place of the panel.
    pub elsewhere: usize,
    /// Of those found, those whose frequency here is more than [`UNLIKE`] away from the panel's, where it says one: other people, or
    /// alleles whose letters have been exchanged.
    pub unlike: usize,
}

/// A difference of frequencies that few variants have between people of one continent.
pub const UNLIKE: f64 = 0.3;

impl PanelVariant {
    /// The variant.
    #[must_use]
    pub fn variant(&self) -> &Variant {
        &self.variant
    }
}

impl Panel {
    /// Reads the text of a panel: perhaps a line `##assembly=` with the build, which must be `assembly`, then the heading, then a line for
    /// each variant. Frequency and name may be `.`.
    ///
    /// # Errors
    /// [`PanelError`], with the line.
    pub fn read(file: &str, mut text: impl BufRead, assembly: Assembly) -> Result<Self, PanelError> {
        let mut variants = Vec::<PanelVariant>::new();
        let mut seen = HashMap::new();
        let (mut line, mut number, mut headed) = (Vec::new(), 0_u64, false);
        loop {
            line.clear();
            let limited = &mut std::io::Read::take(&mut text, MAX_LINE as u64);
            let read = limited.read_until(b'\n', &mut line);
            let read = read.map_err(|source| PanelError::Io { file: file.into(), source })?;
            if read == 0 {
                break;
            }
            number += 1;
            let wrong = |problem: String| PanelError::Line { file: file.into(), line: number, problem };
            if read == MAX_LINE && line.last() != Some(&b'\n') {
                return Err(wrong(format!("it is longer than {MAX_LINE} bytes")));
            }
            let text = std::str::from_utf8(&line).map_err(|_| wrong("it is not UTF-8".into()))?;
            let text = text.trim_end_matches(['\n', '\r']);
            if !headed {
                if let Some(said) = text.strip_prefix("##assembly=").filter(|_| number == 1) {
                    if Assembly::from_name(said) == Some(assembly) {
                        continue;
                    }
                    return Err(wrong(format!("the panel is not of {assembly}, of which it is asked for")));
                }
                if text == HEADING {
                    headed = true;
                    continue;
                }
                return Err(wrong(format!(
                    "the heading must be `{}`, with tabs",
                    HEADING.replace('\t', " ")
                )));
            }
            if variants.len() == MAX_VARIANTS {
                return Err(wrong(format!("a panel has at most {MAX_VARIANTS} variants")));
            }
            let found = read_line(text, number, assembly).map_err(&wrong)?;
            if let Some(first) = seen.insert(found.variant.clone(), number) {
                return Err(wrong(format!("line {first} has this variant; remove one of them")));
            }
            variants.push(found);
        }
        if variants.is_empty() {
            Err(PanelError::Empty { file: file.into() })
        } else {
            Ok(Self { assembly, variants })
        }
    }

    /// Reads the text of a panel as [`Panel::text`] gives it, which says its build itself.
    ///
    /// # Errors
    /// [`PanelError`], with the line.
    pub fn published(file: &str, text: &[u8]) -> Result<Self, PanelError> {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let said = first.strip_prefix(b"##assembly=").and_then(|name| std::str::from_utf8(name).ok());
        match said.and_then(Assembly::from_name) {
            Some(assembly) => Self::read(file, text, assembly),
            None => Err(PanelError::Line {
                file: file.into(),
                line: 1,
                problem: "it does not say which build the panel is of".into(),
            }),
        }
    }

    /// A panel of these variants, each with its frequency and a name.
    ///
    /// # Errors
    /// [`PanelError`] where there is none, or one twice; the line is its place, from 1.
    pub fn of(
        assembly: Assembly,
        variants: impl IntoIterator<Item = (Variant, Option<f64>, String)>,
    ) -> Result<Self, PanelError> {
        let mut text = format!("{HEADING}\n");
        for (variant, frequency, name) in variants {
            let frequency = frequency.map_or(".".into(), |f| format!("{f:.4}"));
            let (chromosome, position) = (variant.chromosome(), variant.position());
            let (reference, alternative) = (variant.reference(), variant.alternative());
            text.push_str(&format!(
                "{chromosome}\t{position}\t{reference}\t{alternative}\t{frequency}\t{name}\n"
            ));
        }
        Self::read("the variants", text.as_bytes(), assembly)
    }

    /// The variants.
    #[must_use]
    pub fn variants(&self) -> &[PanelVariant] {
        &self.variants
    }

    /// The one text of this panel, which its name is the hash of: heading and lines, with the assembly in a line of its own in front.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("##assembly={}\n{HEADING}\n", self.assembly);
        for PanelVariant { site, frequency, .. } in &self.variants {
            let frequency = frequency.map_or(".".into(), |f| f.to_string());
            let Site { chromosome, position, reference, alternative, ids, .. } = site;
            text.push_str(&format!(
                "{chromosome}\t{position}\t{reference}\t{alternative}\t{frequency}\t{ids}\n"
            ));
        }
        text
    }

    /// The calls of a cohort at the variants of the panel, as [`crate::table::Table::with_genotypes`] takes them: for each person of
    /// the cohort 32 variants in a word. What the file lacks, or leaves open, is missing.
    ///
    /// # Errors
    /// Those of the file.
    pub fn align<R: BufRead>(&self, cohort: &mut Cohort<R>) -> Result<(Vec<u64>, Alignment), PanelError> {
        let mut places = HashMap::<_, Vec<usize>>::new();
        for (at, PanelVariant { variant, .. }) in self.variants.iter().enumerate() {
            places.entry((variant.chromosome(), variant.position())).or_default().push(at);
        }
        let (people, width) = (cohort.samples().len(), self.variants.len().div_ceil(32));
        let mut words = no_calls(self.variants.len()).repeat(people);
        let (mut report, mut found) = (Alignment::default(), vec![false; self.variants.len()]);
        while let Some((block, sites)) = cohort.read()? {
            for (calls, site) in block.rows().zip(sites) {
                // What is no variant (another contig, symbols) is in no panel.
                let Ok(variant) = site.variant(self.assembly).map(|v| v.trimmed()) else {
                    report.elsewhere += 1;
                    continue;
                };
                let Some(here) = places.get(&(variant.chromosome(), variant.position())) else {
                    report.elsewhere += 1;
                    continue;
                };
                let agreed = here.iter().map(|&at| (at, Agreement::of(&variant, &self.variants[at].variant)));
                let Some((at, agreement)) = agreed.into_iter().find(|(_, a)| *a != Agreement::Different)
                else {
                    report.other_alleles += 1;
                    continue;
                };
                let Some(turned) = self.turned(at, agreement, calls, people) else {
                    report.ambiguous += 1;
                    continue;
                };
                if std::mem::replace(&mut found[at], true) {
                    report.repeated += 1;
                    continue;
                }
                report.found += 1;
                report.turned += usize::from(turned);
                report.flipped +=
                    usize::from(matches!(agreement, Agreement::Flipped | Agreement::FlippedAndSwapped));
                let (to, shift) = (at / 32, 2 * (at % 32));
                let (mut copies, mut called) = (0, 0);
                for person in 0..people {
                    let call = calls[person / 32] >> (2 * (person % 32)) & 3;
                    let call = if turned && call != 3 { 2 - call } else { call };
                    (copies, called) = if call == 3 { (copies, called) } else { (copies + call, called + 1) };
                    let word = &mut words[person * width + to];
                    *word = *word & !(3 << shift) | call << shift;
                }
                let here = (called > 0).then(|| copies as f64 / (2 * called) as f64);
                let there = self.variants.get(at).and_then(|variant| variant.frequency);
                report.unlike += usize::from(here.zip(there).is_some_and(|(a, b)| (a - b).abs() > UNLIKE));
            }
        }
        Ok((words, report))
    }

    /// Whether calls of the file count the other allele; none where that is not known.
    fn turned(&self, at: usize, agreement: Agreement, calls: &[u64], people: usize) -> Option<bool> {
        if agreement != Agreement::Ambiguous {
            return Some(agreement.swaps_calls());
        }
        // Frequencies tell it when both are away from a half.
        let panel = self.variants.get(at)?;
        let (mut copies, mut called) = (0, 0);
        for person in 0..people {
            match calls[person / 32] >> (2 * (person % 32)) & 3 {
                3 => {}
                call => (copies, called) = (copies + call, called + 1),
            }
        }
        if called == 0 {
            return Some(false);
        }
        let here = copies as f64 / (2 * called) as f64;
        let there = panel.frequency?;
        let clear = |f: f64| (f - 0.5).abs() > CLEAR;
        (clear(here) && clear(there)).then_some((here > 0.5) != (there > 0.5))
    }
}

/// The calls of a person without any: all missing, and nothing behind the last variant.
#[must_use]
pub fn no_calls(variants: usize) -> Vec<u64> {
    let mut words = vec![u64::MAX; variants.div_ceil(32)];
    if let (Some(last), used @ 1..) = (words.last_mut(), variants % 32) {
        *last = (1 << (2 * used)) - 1;
    }
    words
}

fn read_line(text: &str, line: u64, assembly: Assembly) -> Result<PanelVariant, String> {
    let fields: Vec<&str> = text.split('\t').collect();
    let [chromosome, position, reference, alternative, frequency, name] = fields[..] else {
        return Err(format!("it has {} fields, a line has 6; separate them by single tabs", fields.len()));
    };
    let position = position.parse().map_err(|_| "field 2: the position is not a whole number".to_owned())?;
    let frequency = match frequency {
        "." => None,
        text => match text.parse::<f64>() {
            Ok(f) if (0.0..=1.0).contains(&f) => Some(f + 0.0),
            _ => return Err("field 5: the frequency is no number from 0 to 1, or `.`".into()),
        },
    };
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("field 6: the name is empty; write `.` for none".into());
    }
    // It would be taken for a place in the panel.
    if name.parse::<u64>().is_ok() {
        return Err("field 6: the name is a number; write `.`, or a name with a letter in it".into());
    }
    let text = |text: &str| text.to_owned();
    let site = Site {
        line,
        chromosome: text(chromosome),
        position,
        ids: text(name),
        reference: text(reference),
        alternative: text(alternative),
    };
    let variant = site.variant(assembly).map_err(|error| error.to_string())?;
    // `chr1` and `1` are one chromosome, and a panel has one text.
    let site = Site { chromosome: variant.chromosome().to_string(), ..site };
    let variant = variant.trimmed();
    Ok(PanelVariant { site, frequency, variant })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::vcf;

    const PANEL: &str = "chromosome\tposition\treference\talternative\tfrequency\tname\n\
        22\t100\tA\tG\t.\trs1\n22\t200\tC\tT\t0.3\t.\n22\t300\tA\tT\t0.2\trs3\n22\t400\tC\tG\t.\trs4\n\
        22\t500\tG\tA\t.\trs5\n22\t600\tG\tC\t0.45\trs6\n";

    fn panel() -> Panel {
        Panel::read("p.tsv", PANEL.as_bytes(), Assembly::Grch37).unwrap()
    }

    fn calls(words: &[u64], people: usize) -> Vec<Vec<u8>> {
        (0..people).map(|person| (0..6).map(|v| (words[person] >> (2 * v) & 3) as u8).collect()).collect()
    }

    #[test]
    fn calls_come_in_the_order_of_the_panel() {
        let text = "##fileformat=VCFv4.3\n\
            #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n\
            22\t100\t.\tA\tG\t.\t.\t.\tGT\t0/1\t1/1\n\
            22\t200\t.\tT\tC\t.\t.\t.\tGT\t0/0\t0/1\n\
            22\t300\t.\tA\tT\t.\t.\t.\tGT\t1/1\t0/1\n\
            22\t400\t.\tC\tG\t.\t.\t.\tGT\t1/1\t0/1\n\
            22\t500\t.\tC\tT\t.\t.\t.\tGT\t./.\t0/1\n\
            22\t500\t.\tC\tT\t.\t.\t.\tGT\t1/1\t1/1\n\
            22\t500\t.\tA\tC\t.\t.\t.\tGT\t1/1\t1/1\n\
            22\t600\t.\tG\tC\t.\t.\t.\tGT\t1/1\t0/1\n\
            22\t700\t.\tG\tC\t.\t.\t.\tGT\t1/1\t0/1\n";
        let mut cohort = Cohort::vcf("a.vcf", text.as_bytes(), &vcf::Limits::default()).unwrap();
        let (words, report) = panel().align(&mut cohort).unwrap();
        // rs3 has 3 of 4 copies where the panel has 0.2: it is written on the other strand. rs4 says no frequency, rs6 one near a half.
        assert_eq!(calls(&words, 2), [[1, 2, 0, 3, 3, 3], [2, 1, 1, 3, 1, 3]]);
        let expected = Alignment {
            found: 4,
            turned: 2,
            flipped: 1,
            ambiguous: 2,
            other_alleles: 1,
            repeated: 1,
            elsewhere: 1,
            unlike: 1,
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn the_text_of_a_panel_is_one() {
        let text = panel().text();
        assert!(text.starts_with("##assembly=GRCh37\nchromosome\tposition"), "{text}");
        assert!(text.ends_with(PANEL), "{text}");
        let again = |assembly| Panel::read("p.tsv", text.as_bytes(), assembly);
        assert_eq!(again(Assembly::Grch37).unwrap().text(), text);
        let other = again(Assembly::Grch38).unwrap_err().to_string();
        assert!(other.contains("line 1: the panel is not of GRCh38"), "{other}");
    }

    #[test]
    fn lines_that_are_no_variants() {
        for (from, to, says) in [
            ("chromosome\t", "chrom\t", "line 1: the heading must be `chromosome position"),
            ("\t100\t", "\t1e2\t", "line 2: field 2: the position is not a whole number"),
            ("\t0.3\t.", "\t0.3", "line 3: it has 5 fields"),
            ("\t0.3\t", "\t1.5\t", "line 3: field 5: the frequency"),
            ("22\t200\tC\tT", "22\t100\tA\tG", "line 3: line 2 has this variant"),
            ("22\t200\tC\tT", "22\t200\tC\tC", "line 3: the alternative allele is the reference allele"),
            ("rs3", "", "line 4: field 6: the name is empty"),
            ("rs3", "3", "line 4: field 6: the name is a number"),
        ] {
            let error =
                Panel::read("p.tsv", PANEL.replacen(from, to, 1).as_bytes(), Assembly::Grch37).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        let heading = format!("{HEADING}\n");
        assert!(matches!(
            Panel::read("p.tsv", heading.as_bytes(), Assembly::Grch37),
            Err(PanelError::Empty { .. })
        ));
        let long = format!("{HEADING}\n{}", "a".repeat(1_100_000));
        let error = Panel::read("p.tsv", long.as_bytes(), Assembly::Grch37).unwrap_err().to_string();
        assert!(error.contains("line 2: it is longer than 1048576 bytes"), "{error}");
    }
}
