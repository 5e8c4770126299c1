//! Tables of scans.

use std::io::Read;

use super::MetaError;
use crate::assembly::Assembly;
use crate::association::inflation;
use crate::text::{Lines, TextLimits};
use crate::variant::{Label, Variant};

/// Tables do not say of which build they are. All are of one, whichever it is: this one stands for it.
const ASSEMBLY: Assembly = Assembly::Grch38;

/// What a scan found at a variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Place and alleles, without letters that both share.
    pub variant: Variant,
    /// What the table calls it.
    pub label: Label,
    /// Frequency of the alternative allele.
    pub frequency: Option<f64>,
    /// People who were used.
    pub people: Option<u64>,
    /// The effect of a copy of the alternative allele; a logarithm of odds where the trait is yes or no.
    pub effect: f64,
    /// Its standard error, above 0.
    pub error: f64,
    /// Its p-value.
    pub p: f64,
}

/// A table of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    rows: Vec<Row>,
    without_estimate: u64,
    without_identity: u64,
}

/// Columns, by their names in the three kinds of tables.
struct Columns {
    count: usize,
    has_tabs: bool,
    chromosome: usize,
    position: usize,
    id: Option<usize>,
    reference: usize,
    alternative: usize,
    /// The allele whose effect it is, where it may be the reference.
    effect_allele: Option<usize>,
    /// Of the alternative, and of the allele whose effect it is.
    frequency: Option<(usize, bool)>,
    people: Option<usize>,
    test: Option<usize>,
    effect: usize,
    is_odds: bool,
    error: usize,
    p: usize,
}

impl Columns {
    fn of(file: &str, header: &str) -> Result<Self, MetaError> {
        let has_tabs = header.contains('\t');
        let names = cells(header.trim_start_matches('#'), has_tabs);
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(name));
        let need = |wanted: &[&str], shown| {
            find(wanted).ok_or(MetaError::NoColumn { file: file.to_owned(), names: shown })
        };
        let is_odds = find(&["BETA"]).is_none() && find(&["OR"]).is_some();
        let of_effect = find(&["A1_FREQ"]).map(|at| (at, true));
        Ok(Self {
            count: names.len(),
            has_tabs,
            chromosome: need(&["CHROM"], "CHROM")?,
            position: need(&["POS"], "POS")?,
            id: find(&["ID"]),
            reference: need(&["REF"], "REF")?,
            alternative: need(&["ALT"], "ALT")?,
            effect_allele: find(&["A1"]),
            frequency: find(&["ALT_FREQ", "ALT_FREQS"]).map(|at| (at, false)).or(of_effect),
            people: find(&["OBS_CT"]),
            test: find(&["TEST"]),
            effect: need(&["BETA", "OR"], "BETA or OR")?,
            is_odds,
            error: need(&["SE", "LOG(OR)_SE"], "SE or LOG(OR)_SE")?,
            p: need(&["P"], "P")?,
        })
    }
}

fn cells(line: &str, has_tabs: bool) -> Vec<&str> {
    match has_tabs {
        true => line.split('\t').collect(),
        false => line.split_ascii_whitespace().collect(),
    }
}

impl Study {
    /// Reads a table. `file` is its name in errors. Rows of plink2 for other tests than `ADD` (covariates) are passed over.
    ///
    /// # Errors
    /// [`MetaError`].
    pub fn read(file: &str, source: impl Read, limits: &TextLimits) -> Result<Self, MetaError> {
        let mut lines = Lines::new(file, source, limits);
        let header = loop {
            match lines.next()? {
                None => return Err(MetaError::Empty { file: file.to_owned() }),
                Some(line) if line.starts_with("##") => {}
                Some(line) => break line.to_owned(),
            }
        };
        let columns = Columns::of(file, &header)?;
        lines.check_columns(columns.count)?;
        let mut study = Self { rows: vec![], without_estimate: 0, without_identity: 0 };
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next()? else { break };
            if line.is_empty() {
                continue;
            }
            study.add(file, number, line, &columns)?;
            lines.check_rows(study.rows.len())?;
        }
        Ok(study)
    }

    fn add(&mut self, file: &str, line: u64, text: &str, columns: &Columns) -> Result<(), MetaError> {
        let cells = cells(text, columns.has_tabs);
        if cells.len() != columns.count {
            let (expected, found) = (columns.count, cells.len());
            return Err(MetaError::RowLength { file: file.to_owned(), line, expected, found });
        }
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let wrong = |column, expected| MetaError::Cell { file: file.to_owned(), line, column, expected };
        if columns.test.is_some_and(|test| cell(test) != "ADD") {
            return Ok(());
        }
        // A number, none, or an error.
        let number = |at: usize, column| match cell(at) {
            "" | "." | "NA" | "nan" | "NaN" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(number) if !number.is_nan() => Ok(Some(number)),
                _ => Err(wrong(column, "number")),
            },
        };
        let (reference, alternative) = (cell(columns.reference), cell(columns.alternative));
        let is_turned = match columns.effect_allele.map(cell) {
            Some(allele) if allele == reference => Some(true),
            Some(allele) if allele != alternative => None,
            _ => Some(false),
        };
        let position = cell(columns.position);
        if position.is_empty() || !position.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("POS", "number"));
        }
        let variant = cell(columns.chromosome).parse().ok().zip(position.parse().ok());
        let variant = variant.and_then(|(chromosome, position)| {
            Variant::new(ASSEMBLY, chromosome, position, reference, alternative).ok()
        });
        let effect = number(columns.effect, if columns.is_odds { "OR" } else { "BETA" })?;
        let effect = match effect {
            Some(odds) if columns.is_odds && odds <= 0.0 => return Err(wrong("OR", "number above 0")),
            Some(odds) if columns.is_odds => Some(odds.ln()),
            other => other,
        };
        let error = number(columns.error, "SE")?.filter(|error| *error > 0.0 && error.is_finite());
        let p = number(columns.p, "P")?;
        if p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(wrong("P", "number from 0 to 1"));
        }
        let frequency = match columns.frequency {
            Some((at, _)) => number(at, "the frequency")?,
            None => None,
        };
        if frequency.is_some_and(|frequency| !(0.0..=1.0).contains(&frequency)) {
            return Err(wrong("the frequency", "number from 0 to 1"));
        }
        let people = match columns.people.map(cell) {
            None | Some("" | "." | "NA") => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| wrong("OBS_CT", "whole number"))?),
        };
        let (Some(effect), Some(error), Some(p)) = (effect.filter(|effect| effect.is_finite()), error, p)
        else {
            self.without_estimate += 1;
            return Ok(());
        };
        let (Some(variant), Some(is_turned)) = (variant, is_turned) else {
            self.without_identity += 1;
            return Ok(());
        };
        let of_effect = columns.frequency.is_some_and(|(_, of_effect)| of_effect);
        self.rows.push(Row {
            variant: variant.trimmed(),
            label: Label::new(columns.id.map(cell).unwrap_or_default()),
            frequency: frequency.map(|found| if of_effect && is_turned { 1.0 - found } else { found }),
            people,
            effect: if is_turned { -effect } else { effect },
            error,
            p,
        });
        Ok(())
    }

    /// Variants with an estimate, in the order of the table.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Rows without an estimate, a standard error or a p-value.
    pub fn without_estimate(&self) -> u64 {
        self.without_estimate
    }

    /// Rows of other chromosomes than those of people, of alleles that are no letters, or of several alternatives.
    pub fn without_identity(&self) -> u64 {
        self.without_identity
    }

    /// Genomic inflation of its p-values.
    pub fn inflation(&self) -> Option<f64> {
        inflation(self.rows.iter().map(|row| row.p))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Study, MetaError> {
        Study::read("t", text.as_bytes(), &TextLimits::default())
    }

    fn shown(study: &Study) -> Vec<String> {
        let row = |row: &Row| {
            let Row { variant, label, frequency, people, effect, error, p } = row;
            let id = label.text().unwrap_or(".");
            format!("{variant} {id} {frequency:?} {people:?} {effect} {error} {p}")
        };
        study.rows().iter().map(row).collect()
    }

    #[test]
    fn the_kinds_of_tables() {
        // `gwas` and `associations`.
        let study = read(
            "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP\n\
             22\t7\trs1\tAC\tGC\t0.25\t90\tlinear\t-0.5\t0.25\t-2\t0.05\n\
             22\t8\t.\tA\tC\tNA\t0\tconstant\tNA\tNA\tNA\tNA\n\
             GL1\t8\t.\tA\tC\t0.1\t90\tlinear\t1\t1\t1\t0.3\n",
        )
        .unwrap();
        assert_eq!(shown(&study), ["GRCh38:22:7:A:G rs1 Some(0.25) Some(90) -0.5 0.25 0.05"]);
        assert_eq!((study.without_estimate(), study.without_identity()), (1, 1));
        // plink2: A1 is the reference, odds ratios, covariates.
        let study = read(
            "#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT OR LOG(OR)_SE Z_STAT P ERRCODE\n\
             22 7 rs1 A G A 0.75 ADD 90 0.5 0.25 -2 0.05 .\n\
             22 7 rs1 A G A 0.75 AGE 90 3 0.25 -2 0.05 .\n\
             22 9 rs2 A G,T T 0.75 ADD 90 0.5 0.25 -2 0.05 .\n",
        )
        .unwrap();
        assert_eq!(
            shown(&study),
            [format!("GRCh38:22:7:A:G rs1 Some(0.25) Some(90) {} 0.25 0.05", 2_f64.ln())]
        );
        assert_eq!(study.without_identity(), 1);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let head = "#CHROM\tPOS\tREF\tALT\tBETA\tSE\tP\n";
        for (text, message) in [
            (String::new(), "t: the table is empty"),
            ("a,b\n".into(), "t, line 1: there is no column CHROM;"),
            ("#CHROM\tPOS\tREF\tALT\tSE\tP\n".into(), "t, line 1: there is no column BETA or OR;"),
            (format!("{head}1\t2\tA\tC\t1\t1\n"), "t, line 2: the row has 6 cells and the header 7"),
            (format!("{head}1\tx\tA\tC\t1\t1\t1\n"), "t, line 2: POS is no number"),
            (format!("{head}1\t2\tA\tC\tx\t1\t1\n"), "t, line 2: BETA is no number"),
            (format!("{head}1\t2\tA\tC\t1\t1\t2\n"), "t, line 2: P is no number from 0 to 1"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
