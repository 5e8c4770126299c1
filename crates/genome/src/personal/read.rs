//! Reads a personal file.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use super::error::{CallProblem, PersonalError};
use super::genotype::Genotype;
use super::header::{Company, GenotypeColumns, Layout, Separator};
use crate::assembly::{Assembly, Chromosome, Position};
use crate::text::{Lines, TextError, TextLimits, TextProblem};

/// Comments are read for names of companies and assemblies up to here.
const MAX_COMMENTS: usize = 1 << 16;
/// No human chromosome is as long.
const MAX_POSITION: u32 = 250_000_000;
const MAX_NAME: usize = 255;

/// Positions of markers that most chips have, on NCBI36, GRCh37 and GRCh38 (dbSNP build 151).
const KNOWN: [(&str, [u32; 3]); 7] = [
    ("rs3094315", [742_429, 752_566, 817_186]),
    ("rs11928389", [50_908_372, 50_927_009, 50_889_578]),
    ("rs2500347", [143_649_677, 144_938_320, 148_946_169]),
    ("rs964481", [27_566_744, 27_656_823, 27_638_706]),
    ("rs2341354", [908_436, 918_573, 983_193]),
    ("rs3850290", [22_315_141, 23_245_301, 22_776_092]),
    ("rs1329546", [135_302_086, 135_474_420, 136_392_261]),
];

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Name of the marker, such as an rs number. A label, not an identity: companies use their own and old ones.
    pub name: &'a str,
    /// Chromosome; `None` for a marker that the company does not place.
    pub chromosome: Option<Chromosome>,
    /// Position from 1; `None` for a marker that the company does not place.
    pub position: Option<Position>,
    /// Genotype.
    pub genotype: Genotype,
    /// Line of the file, from 1.
    pub line: u64,
}

#[derive(Clone, Copy)]
struct Row {
    /// Where the name begins in the text of all names, and how long it is.
    name: (usize, u8),
    chromosome: Option<Chromosome>,
    position: Option<Position>,
    genotype: Genotype,
    line: u64,
}

/// A personal file. Its `Debug` shows neither names nor genotypes.
#[derive(Clone)]
pub struct PersonalFile {
    file: String,
    company: Company,
    stated: Vec<Assembly>,
    by_positions: Vec<Assembly>,
    names: String,
    rows: Vec<Row>,
}

impl PersonalFile {
    /// Reads all of a file. `file` is its name in error messages.
    ///
    /// Comments begin with `#`, or stand between `[Header]` and `[Data]`. The last line in front of the rows that names
    /// columns counts as the header, be it a comment or not. Cells are kept apart by commas, with or without quotes, or by
    /// tabs; rows whose tabs are doubled are read where the number of cells is right all the same.
    ///
    /// # Errors
    /// [`PersonalError::Text`] when the file is no text or too large, [`NoHeader`](PersonalError::NoHeader),
    /// [`DoubleColumn`](PersonalError::DoubleColumn), [`Empty`](PersonalError::Empty),
    /// [`RowLength`](PersonalError::RowLength), [`Cell`](PersonalError::Cell).
    pub fn read(file: &str, reader: impl Read, limits: &TextLimits) -> Result<Self, PersonalError> {
        let mut lines = Lines::new(file, reader, limits);
        let (layout, header, comments, first_row) = read_preamble(&mut lines)?;
        lines.check_columns(layout.columns)?;
        let mut read = Self {
            file: file.to_owned(),
            company: Company::find(&comments, &header),
            stated: Assembly::ALL.into_iter().filter(|assembly| assembly.is_named_in(&comments)).collect(),
            by_positions: vec![],
            names: String::new(),
            rows: vec![],
        };
        let mut sample = None;
        // The line that showed the header to be over is a row.
        if let Some(line) = first_row {
            read.push_row(&layout, &line, lines.line(), &mut sample)?;
        }
        let mut blank = None;
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next()? else { break };
            if line.trim().is_empty() {
                blank.get_or_insert(number);
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            if let Some(line) = blank {
                return Err(read.text_error(line, TextProblem::Blank));
            }
            read.push_row(&layout, line, number, &mut sample)?;
            lines.check_rows(read.rows.len())?;
        }
        if read.rows.is_empty() {
            return Err(PersonalError::Empty { file: file.to_owned() });
        }
        read.by_positions = read.assemblies_by_positions();
        Ok(read)
    }

    /// Name of the file as given to [`read`](Self::read).
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Who wrote the file.
    #[must_use]
    pub fn company(&self) -> Company {
        self.company
    }

    /// The assembly, where comments and positions of known markers name exactly one between them.
    #[must_use]
    pub fn assembly(&self) -> Option<Assembly> {
        match (self.stated_assemblies(), self.by_positions.as_slice()) {
            ([one], []) | ([], [one]) => Some(*one),
            ([stated], [found]) if stated == found => Some(*stated),
            _ => None,
        }
    }

    /// The assemblies that the comments name, oldest first.
    #[must_use]
    pub fn stated_assemblies(&self) -> &[Assembly] {
        &self.stated
    }

    /// The assemblies on which known markers of the file have their positions, oldest first. More than one means that rows
    /// of several assemblies are mixed.
    #[must_use]
    pub fn assemblies_found(&self) -> &[Assembly] {
        &self.by_positions
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Always false: a file without rows is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One row.
    #[must_use]
    pub fn call(&self, row: usize) -> Option<Call<'_>> {
        self.rows.get(row).map(|row| self.call_of(row))
    }

    /// All rows in the order of the file.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = Call<'_>> {
        self.rows.iter().map(|row| self.call_of(row))
    }

    fn call_of(&self, row: &Row) -> Call<'_> {
        let (start, len) = row.name;
        Call {
            name: self.names.get(start..start + usize::from(len)).unwrap_or_default(),
            chromosome: row.chromosome,
            position: row.position,
            genotype: row.genotype,
            line: row.line,
        }
    }

    fn text_error(&self, line: u64, problem: TextProblem) -> PersonalError {
        TextError::Line { file: self.file.clone(), line, problem }.into()
    }

    fn push_row(
        &mut self,
        layout: &Layout,
        line: &str,
        number: u64,
        sample: &mut Option<String>,
    ) -> Result<(), PersonalError> {
        let cells = split(layout, line).map_err(|problem| self.text_error(number, problem))?;
        if cells.len() != layout.columns {
            let (found, expected) = (cells.len(), layout.columns);
            return Err(PersonalError::RowLength { file: self.file.clone(), line: number, found, expected });
        }
        let cell = |column: usize| cells.get(column).map_or("", |cell| cell.trim());
        let wrong = |column: usize| {
            let file = self.file.clone();
            move |problem| PersonalError::Cell { file, line: number, column: column + 1, problem }
        };
        if let Some(column) = layout.sample {
            match sample {
                None => *sample = Some(cell(column).to_owned()),
                Some(sample) if sample == cell(column) => {}
                Some(_) => return Err(wrong(column)(CallProblem::OtherSample)),
            }
        }
        let name = cell(layout.name);
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(wrong(layout.name)(CallProblem::NoName));
        }
        let (chromosome, position) = match layout.place {
            Some((chromosome, position)) => (
                Chromosome::parse(cell(chromosome))
                    .map_err(|_| wrong(chromosome)(CallProblem::Chromosome))?,
                parse_position(cell(position)).map_err(wrong(position))?,
            ),
            // A name that tells no place is a label.
            None => name
                .split_once(':')
                .and_then(|(c, p)| Some((Chromosome::parse(c).ok()?, parse_position(p).ok()?)))
                .unwrap_or_default(),
        };
        let genotype = match layout.genotype {
            GenotypeColumns::One(column) => Genotype::parse(cell(column)).map_err(wrong(column))?,
            GenotypeColumns::Two(a, b) => {
                let second = cell(b).as_bytes();
                // An empty second cell would pass for a single copy.
                if second.is_empty() {
                    return Err(wrong(b)(CallProblem::Genotype));
                }
                Genotype::of(cell(a).as_bytes(), second).map_err(wrong(a))?
            }
        };
        let start = self.names.len();
        self.names.push_str(name);
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.rows.push(Row { name: (start, len), chromosome, position, genotype, line: number });
        Ok(())
    }

    fn assemblies_by_positions(&self) -> Vec<Assembly> {
        let mut found: Vec<Assembly> = self
            .calls()
            .filter_map(|call| {
                let (_, positions) = KNOWN.iter().find(|(name, _)| *name == call.name)?;
                let position = call.position?.get();
                Assembly::ALL
                    .into_iter()
                    .zip(positions)
                    .find(|(_, p)| **p == position)
                    .map(|(assembly, _)| assembly)
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl fmt::Debug for PersonalFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonalFile")
            .field("company", &self.company)
            .field("assembly", &self.assembly())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// Layout, header line, comments in lower case, and the first row where it was needed to see that the header is over.
type Preamble = (Layout, String, String, Option<String>);

fn read_preamble<R: Read>(lines: &mut Lines<R>) -> Result<Preamble, PersonalError> {
    let mut comments = String::new();
    let mut candidate: Option<(Layout, String)> = None;
    let mut in_section = false;
    while let Some(line) = lines.next()? {
        let line = line.to_owned();
        let is_comment = line.starts_with('#') || line.starts_with('[');
        match Layout::parse(&line) {
            Some(Err(double)) => {
                let (first, second) = (double.0 + 1, double.1 + 1);
                return Err(PersonalError::DoubleColumn {
                    file: lines.file().to_owned(),
                    line: lines.line(),
                    first,
                    second,
                });
            }
            Some(Ok(layout)) if !is_comment => return Ok((layout, line, comments, None)),
            Some(Ok(layout)) => candidate = Some((layout, line)),
            None if is_comment || in_section || line.trim().is_empty() => {
                in_section = match line.trim() {
                    "[Header]" => true,
                    "[Data]" => false,
                    _ => in_section,
                };
                if comments.len() < MAX_COMMENTS {
                    comments.push_str(&line.to_lowercase());
                    comments.push('\n');
                }
            }
            None => {
                let (layout, header) = candidate.ok_or_else(|| PersonalError::NoHeader {
                    file: lines.file().to_owned(),
                    line: lines.line(),
                })?;
                return Ok((layout, header, comments, Some(line)));
            }
        }
    }
    Err(PersonalError::Empty { file: lines.file().to_owned() })
}

/// Zero and signs for nothing are no place.
fn parse_position(cell: &str) -> Result<Option<Position>, CallProblem> {
    if matches!(cell, "" | "-" | "--" | "." | "NA") {
        return Ok(None);
    }
    if !cell.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CallProblem::Position);
    }
    match cell.parse::<u32>() {
        Ok(position) if position <= MAX_POSITION => Ok(Position::try_from(position).ok()),
        _ => Err(CallProblem::PositionTooLarge),
    }
}

fn split<'a>(layout: &Layout, line: &'a str) -> Result<Vec<Cow<'a, str>>, TextProblem> {
    match layout.separator {
        Separator::Comma => {
            let cells = split_quoted(line)?;
            // One company's files came with every row quoted once more, as a single cell.
            match cells.as_slice() {
                [all] if layout.columns > 1 && all.contains("\",\"") => {
                    Ok(all.split("\",\"").map(|cell| Cow::Owned(cell.to_owned())).collect())
                }
                _ => Ok(cells),
            }
        }
        Separator::Blanks => {
            let mut cells = Vec::with_capacity(layout.columns);
            cells.extend(line.split('\t').map(Cow::Borrowed));
            if cells.len() != layout.columns {
                // One company doubles tabs here and there. No cell that is used is ever empty there, so the number of cells
                // shows whether this reading is right.
                cells.clear();
                cells.extend(line.split_ascii_whitespace().map(Cow::Borrowed));
            }
            Ok(cells)
        }
    }
}

/// Only cells with quotes in them are copied.
fn split_quoted(line: &str) -> Result<Vec<Cow<'_, str>>, TextProblem> {
    let mut cells = vec![];
    let mut rest = line;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (text, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
                (Cow::Borrowed(text), after)
            }
        };
        if matches!(cell, Cow::Borrowed(text) if text.contains('"')) {
            return Err(TextProblem::Quote);
        }
        cells.push(cell);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => return Ok(cells),
            None => return Err(TextProblem::Quote),
        }
    }
}

/// A cell behind its opening quote, and what follows the closing one.
fn unquote(quoted: &str) -> Result<(Cow<'_, str>, &str), TextProblem> {
    let (text, mut rest) = quoted.split_once('"').ok_or(TextProblem::Quote)?;
    let mut cell = Cow::Borrowed(text);
    // A doubled quote is a quote.
    while let Some(more) = rest.strip_prefix('"') {
        let (text, after) = more.split_once('"').ok_or(TextProblem::Quote)?;
        cell.to_mut().push('"');
        cell.to_mut().push_str(text);
        rest = after;
    }
    Ok((cell, rest))
}
