//! Reads a scoring file.

use std::io::Read;

use super::error::{ScoreProblem, ScoringError};
use super::header::ScoreHeader;
use super::variant::{Effect, NotOneAllele, Place, ScoreVariant, Weight, is_sequence};
use crate::assembly::{Assembly, Chromosome, Position};
use crate::table::number;
use crate::text::{Lines, TextError, TextLimits, TextProblem};

/// No human chromosome is as long.
const MAX_POSITION: u32 = 250_000_000;

/// A scoring file: header and rows in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoringFile {
    file: String,
    header: ScoreHeader,
    variants: Vec<ScoreVariant>,
}

impl ScoringFile {
    /// Reads all of a file. `file` is its name in error messages. Columns that are not known are passed over.
    ///
    /// # Errors
    /// [`ScoringError::Text`] when the file is no text or too large, [`Header`](ScoringError::Header),
    /// [`NoColumn`](ScoringError::NoColumn), [`DoubleColumn`](ScoringError::DoubleColumn),
    /// [`Empty`](ScoringError::Empty), [`RowLength`](ScoringError::RowLength), [`Cell`](ScoringError::Cell).
    pub fn read(file: &str, reader: impl Read, limits: &TextLimits) -> Result<Self, ScoringError> {
        let mut lines = Lines::new(file, reader, limits);
        let mut header = ScoreHeader::default();
        let columns = loop {
            let line = lines.next()?.map(str::to_owned);
            let Some(line) = line else { return Err(ScoringError::Empty { file: file.to_owned() }) };
            match line.strip_prefix('#') {
                Some(entry) => header.push(entry).map_err(|reason| ScoringError::Header {
                    file: file.to_owned(),
                    line: lines.line(),
                    reason,
                })?,
                None if line.trim().is_empty() => {}
                None => break Columns::parse(file, lines.line(), &line)?,
            }
        };
        lines.check_columns(columns.count)?;
        let mut variants = vec![];
        let mut blank = None;
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next()? else { break };
            if line.trim().is_empty() {
                blank.get_or_insert(number);
                continue;
            }
            if let Some(line) = blank {
                return Err(
                    TextError::Line { file: file.to_owned(), line, problem: TextProblem::Blank }.into()
                );
            }
            let variant = Row::split(&columns, line).and_then(|row| row.variant(number));
            let variant = variant.map_err(|problem| problem.at(file, number))?;
            variants.push(variant);
            lines.check_rows(variants.len())?;
        }
        if variants.is_empty() {
            return Err(ScoringError::Empty { file: file.to_owned() });
        }
        Ok(Self { file: file.to_owned(), header, variants })
    }

    /// Name of the file as given to [`read`](Self::read).
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The lines above the table; without entries for a bare table.
    #[must_use]
    pub fn header(&self) -> &ScoreHeader {
        &self.header
    }

    /// The rows in their order.
    #[must_use]
    pub fn variants(&self) -> &[ScoreVariant] {
        &self.variants
    }

    /// Where a row is on an assembly: the harmonized place where that is the assembly of it, else the authors' place. `None`
    /// where the header names neither as the assembly asked for.
    #[must_use]
    pub fn place(&self, variant: &ScoreVariant, assembly: Assembly) -> Option<Place> {
        let harmonized = variant.harmonized.filter(|_| self.header.harmonized_assembly() == Some(assembly));
        harmonized.or(variant.place.filter(|_| self.header.assembly() == Some(assembly)))
    }

    /// Lines of rows that have the effect allele, the other allele and the place (harmonized, else the authors', else the name)
    /// of an earlier row, each behind the line of that row. A score counts both; whether that is meant only its authors know.
    #[must_use]
    pub fn repeats(&self) -> Vec<(u64, u64)> {
        let key = |variant: &&ScoreVariant| {
            let place = variant.harmonized.or(variant.place);
            let name = variant.name.clone().filter(|_| place.is_none());
            (place, name, variant.effect_allele.clone(), variant.other_allele.clone())
        };
        let mut sorted: Vec<&ScoreVariant> =
            self.variants.iter().filter(|variant| variant.problem().is_none()).collect();
        sorted.sort_by_cached_key(key);
        let mut repeats: Vec<(u64, u64)> = sorted
            .chunk_by(|a, b| key(a) == key(b))
            .filter_map(|group| group.split_first())
            .flat_map(|(first, rest)| rest.iter().map(|other| (first.line, other.line)))
            .collect();
        repeats.sort_unstable_by_key(|(first, other)| (*other, *first));
        repeats
    }
}

/// Columns that are read, and where they stand. The order is that of [`NAMES`].
struct Columns {
    count: usize,
    at: [Option<usize>; NAMES.len()],
}

/// Other names of a column stand behind its own.
const NAMES: [&[&str]; 19] = [
    &["rsID"],
    &["chr_name"],
    &["chr_position"],
    &["effect_allele"],
    &["other_allele", "reference_allele"],
    &["effect_weight"],
    &["hm_chr"],
    &["hm_pos"],
    &["hm_inferOtherAllele"],
    &["is_haplotype"],
    &["is_diplotype"],
    &["is_interaction"],
    &["is_dominant"],
    &["is_recessive"],
    &["dosage_0_weight"],
    &["dosage_1_weight"],
    &["dosage_2_weight"],
    &["effect_type"],
    &["hm_rsID"],
];
const RS_ID: usize = 0;
const CHR_NAME: usize = 1;
const CHR_POSITION: usize = 2;
const EFFECT_ALLELE: usize = 3;
const OTHER_ALLELE: usize = 4;
const EFFECT_WEIGHT: usize = 5;
const HM_CHR: usize = 6;
const HM_POS: usize = 7;
const HM_INFER: usize = 8;
const IS_HAPLOTYPE: usize = 9;
const IS_DIPLOTYPE: usize = 10;
const IS_INTERACTION: usize = 11;
const IS_DOMINANT: usize = 12;
const IS_RECESSIVE: usize = 13;
const DOSAGE_0: usize = 14;
const DOSAGE_1: usize = 15;
const DOSAGE_2: usize = 16;
const EFFECT_TYPE: usize = 17;
const HM_RS_ID: usize = 18;

impl Columns {
    fn parse(file: &str, line: u64, text: &str) -> Result<Self, ScoringError> {
        let names: Vec<&str> = text.split('\t').map(str::trim).collect();
        let mut sorted: Vec<usize> = (0..names.len()).collect();
        sorted.sort_by_key(|column| names.get(*column));
        for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
            if names.get(*first) == names.get(*second) {
                let (first, second) = (first + 1, second + 1);
                return Err(ScoringError::DoubleColumn { file: file.to_owned(), line, first, second });
            }
        }
        let at =
            NAMES.map(|known| known.iter().find_map(|name| names.iter().position(|column| column == name)));
        let columns = Self { count: names.len(), at };
        let has =
            |columns_needed: &[usize]| columns_needed.iter().all(|column| columns.at(*column).is_some());
        let needed = [
            (has(&[EFFECT_ALLELE]), "effect_allele"),
            (has(&[EFFECT_WEIGHT]) || has(&[DOSAGE_0, DOSAGE_1, DOSAGE_2]), "effect_weight"),
            (
                has(&[RS_ID]) || has(&[CHR_NAME, CHR_POSITION]) || has(&[HM_CHR, HM_POS]),
                "rsID`, or `chr_name` and `chr_position",
            ),
        ];
        match needed.into_iter().find(|(there, _)| !there) {
            Some((_, name)) => Err(ScoringError::NoColumn { file: file.to_owned(), line, name }),
            None => Ok(columns),
        }
    }

    fn at(&self, column: usize) -> Option<usize> {
        self.at.get(column).copied().flatten()
    }
}

/// A problem that does not know its file and line yet.
enum Problem {
    Length { found: usize, expected: usize },
    Cell { at: usize, column: usize, problem: ScoreProblem },
}

impl Problem {
    fn at(self, file: &str, line: u64) -> ScoringError {
        let file = file.to_owned();
        match self {
            Self::Length { found, expected } => ScoringError::RowLength { file, line, found, expected },
            Self::Cell { at, column, problem } => {
                let name = NAMES.get(column).and_then(|names| names.first()).copied().unwrap_or_default();
                ScoringError::Cell { file, line, column: at + 1, name, problem }
            }
        }
    }
}

struct Row<'a> {
    columns: &'a Columns,
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn split(columns: &'a Columns, line: &'a str) -> Result<Self, Problem> {
        let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
        if cells.len() == columns.count {
            Ok(Self { columns, cells })
        } else {
            Err(Problem::Length { found: cells.len(), expected: columns.count })
        }
    }

    /// The cell of a column; `None` where there is no such column, nothing in it, or a sign for nothing.
    fn cell(&self, column: usize) -> Option<&'a str> {
        let cell = self.cells.get(self.columns.at(column)?)?;
        (!matches!(*cell, "" | "NA" | "nan" | "." | "None")).then_some(*cell)
    }

    fn wrong(&self, column: usize, problem: ScoreProblem) -> Problem {
        Problem::Cell { at: self.columns.at(column).unwrap_or(0), column, problem }
    }

    fn variant(&self, line: u64) -> Result<ScoreVariant, Problem> {
        let effect_allele = allele(
            self.cell(EFFECT_ALLELE).ok_or_else(|| self.wrong(EFFECT_ALLELE, ScoreProblem::NoAllele))?,
        );
        let other_allele = self.cell(OTHER_ALLELE).map(allele);
        if other_allele.as_ref() == Some(&effect_allele) {
            return Err(self.wrong(OTHER_ALLELE, ScoreProblem::SameAlleles));
        }
        let mut combination = None;
        for (column, kind) in [
            (IS_HAPLOTYPE, NotOneAllele::Haplotype),
            (IS_DIPLOTYPE, NotOneAllele::Diplotype),
            (IS_INTERACTION, NotOneAllele::Interaction),
        ] {
            if self.flag(column)? {
                combination.get_or_insert(kind);
            }
        }
        let weight = self.weight()?;
        Ok(ScoreVariant {
            name: self.cell(RS_ID).or(self.cell(HM_RS_ID)).map(Box::from),
            place: self.place(CHR_NAME, CHR_POSITION)?,
            harmonized: self.place(HM_CHR, HM_POS)?,
            effect_allele,
            other_allele,
            inferred_other_alleles: self
                .cell(HM_INFER)
                .map_or_else(Vec::new, |cell| cell.split('/').map(allele).collect()),
            weight,
            effect: self.effect(weight)?,
            combination,
            line,
        })
    }

    fn place(&self, chromosome: usize, position: usize) -> Result<Option<Place>, Problem> {
        let Some(cell) = self.cell(position) else { return Ok(None) };
        let number =
            cell.bytes().all(|byte| byte.is_ascii_digit()).then(|| cell.parse::<u32>().ok()).flatten();
        let position = number
            .filter(|number| *number <= MAX_POSITION)
            .and_then(|number| Position::try_from(number).ok())
            .ok_or_else(|| self.wrong(position, ScoreProblem::Position))?;
        let chromosome = self.cell(chromosome).and_then(|name| Chromosome::parse(name).ok().flatten());
        Ok(chromosome.map(|chromosome| Place { chromosome, position }))
    }

    fn flag(&self, column: usize) -> Result<bool, Problem> {
        match self.cell(column) {
            None | Some("False" | "false" | "FALSE" | "0") => Ok(false),
            Some("True" | "true" | "TRUE" | "1") => Ok(true),
            Some(_) => Err(self.wrong(column, ScoreProblem::Flag)),
        }
    }

    fn weight(&self) -> Result<Weight, Problem> {
        let read = |column: usize| {
            let cell = self.cell(column).ok_or_else(|| self.wrong(column, ScoreProblem::NoWeight))?;
            number::parse(cell).map_err(|_| self.wrong(column, ScoreProblem::Weight))
        };
        let dosages = [DOSAGE_0, DOSAGE_1, DOSAGE_2];
        if dosages.iter().any(|column| self.cell(*column).is_some()) {
            return Ok(Weight::PerDosage([read(DOSAGE_0)?, read(DOSAGE_1)?, read(DOSAGE_2)?]));
        }
        read(EFFECT_WEIGHT).map(Weight::PerAllele)
    }

    fn effect(&self, weight: Weight) -> Result<Effect, Problem> {
        if matches!(weight, Weight::PerDosage(_)) {
            return Ok(Effect::NonAdditive);
        }
        let stated = match self.cell(EFFECT_TYPE) {
            None | Some("additive") => Effect::Additive,
            Some("dominant") => Effect::Dominant,
            Some("recessive") => Effect::Recessive,
            // Without weights by dosage there is nothing that it could mean.
            Some("nonadditive") => return Err(self.wrong(EFFECT_TYPE, ScoreProblem::NoWeight)),
            Some(_) => return Err(self.wrong(EFFECT_TYPE, ScoreProblem::Effect)),
        };
        Ok(match (self.flag(IS_DOMINANT)?, self.flag(IS_RECESSIVE)?) {
            (false, false) => stated,
            (true, false) => Effect::Dominant,
            (false, true) => Effect::Recessive,
            (true, true) => return Err(self.wrong(IS_RECESSIVE, ScoreProblem::Effect)),
        })
    }
}

/// Sequences in upper case, everything else as it is.
fn allele(cell: &str) -> Box<str> {
    let upper = cell.to_ascii_uppercase();
    if is_sequence(&upper) { upper.into() } else { cell.into() }
}
