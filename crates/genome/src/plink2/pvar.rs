//! PVAR: one line a variant, below a header that names the columns; or a BIM.

use std::fmt;
use std::io::Read;

use super::Limits;
use super::error::{Plink2Error, TableProblem};
use crate::text::{Lines, TextError};
use crate::variant::Site;
use crate::zstd;

/// The variants of a fileset: place, names and alleles. QUAL, FILTER, INFO and centimorgans are not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Variants {
    file: String,
    /// Lines above the first variant.
    header_lines: u64,
    /// CHROM, ID, REF and ALT of every variant, each closed by a tab.
    text: String,
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    start: usize,
    position: u32,
    alternatives: u32,
}

/// Where the columns are.
struct Columns {
    count: usize,
    chromosome: usize,
    position: usize,
    id: usize,
    reference: usize,
    alternative: usize,
}

impl Variants {
    /// Reads a PVAR, which may be a `.pvar.zst`, or a BIM; `file` names it in errors. A BIM has A1 as ALT and A2 as REF.
    ///
    /// # Errors
    /// [`Text`](Plink2Error::Text), and [`Line`](Plink2Error::Line) for a header that lacks a column and for a line with
    /// too few fields, a position that is none (PLINK marks variants to be left out by negative ones), or an ALT with an
    /// empty allele or too many of them.
    pub fn read(file: &str, input: impl Read, limits: &Limits) -> Result<Self, Plink2Error> {
        let text =
            zstd::Text::new(input).map_err(|source| TextError::Read { file: file.to_owned(), source })?;
        let mut lines = Lines::new(file, text, &limits.text);
        let mut variants =
            Self { file: file.to_owned(), header_lines: 0, text: String::new(), entries: vec![] };
        let refuse = |line, problem| Plink2Error::Line { file: file.to_owned(), line, problem };
        let mut columns: Option<Columns> = None;
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next()? else { break };
            if line.starts_with('#') {
                if !variants.entries.is_empty() {
                    return Err(refuse(number, TableProblem::LateHeader));
                }
                variants.header_lines = number;
                columns = match line.starts_with("#CHROM") {
                    true => Some(named(line).map_err(|problem| refuse(number, problem))?),
                    false => None,
                };
                continue;
            }
            let columns = match &columns {
                Some(columns) => columns,
                None if variants.header_lines != 0 => {
                    return Err(refuse(variants.header_lines, TableProblem::NoHeader("#CHROM")));
                }
                None => {
                    columns.insert(of_bim(split(line).count()).map_err(|problem| refuse(number, problem))?)
                }
            };
            variants.push(line, columns, limits.alternatives).map_err(|problem| refuse(number, problem))?;
            lines.check_rows(variants.entries.len())?;
        }
        Ok(variants)
    }

    fn push(&mut self, line: &str, columns: &Columns, most: usize) -> Result<(), TableProblem> {
        let mut found = 0;
        let [mut chromosome, mut position, mut id, mut reference, mut alternative] = [""; 5];
        for (index, field) in split(line).take(columns.count).enumerate() {
            found += 1;
            // A column is one of these or of no interest.
            match index {
                _ if index == columns.chromosome => chromosome = field,
                _ if index == columns.position => position = field,
                _ if index == columns.id => id = field,
                _ if index == columns.reference => reference = field,
                _ if index == columns.alternative => alternative = field,
                _ => {}
            }
        }
        if found < columns.count {
            return Err(TableProblem::Fields { found, needed: columns.count });
        }
        let is_number = position.bytes().all(|c| c.is_ascii_digit());
        let position = position.parse::<u32>().ok().filter(|number| is_number && *number <= i32::MAX as u32);
        let position = position.ok_or(TableProblem::Position)?;
        let mut alternatives = 0_usize;
        for allele in alternative.split(',').take(most.saturating_add(1)) {
            if allele.is_empty() {
                return Err(TableProblem::EmptyAllele);
            }
            alternatives += 1;
        }
        let alternatives = u32::try_from(alternatives).ok().filter(|count| *count as usize <= most);
        let alternatives = alternatives.ok_or(TableProblem::Alleles(most))?;
        self.entries.push(Entry { start: self.text.len(), position, alternatives });
        for field in [chromosome, id, reference, alternative] {
            self.text.push_str(field);
            self.text.push('\t');
        }
        Ok(())
    }

    /// Number of lines, which are records of a PGEN.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without variants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// ALT alleles of a line; `.` is one.
    #[must_use]
    pub fn alternatives(&self, index: usize) -> Option<usize> {
        Some(self.entries.get(index)?.alternatives as usize)
    }

    /// The sites of a line, one for each ALT allele, from the one with the number `first` (from 0) on.
    pub fn sites(&self, index: usize, first: usize) -> impl Iterator<Item = Site> {
        let entry = self.entries.get(index);
        let mut fields = entry.and_then(|entry| self.text.get(entry.start..)).unwrap_or_default().split('\t');
        let [chromosome, ids, reference, alternatives] =
            std::array::from_fn(|_| fields.next().unwrap_or_default());
        let line = self.header_lines + index as u64 + 1;
        let position = entry.map_or(0, |entry| u64::from(entry.position));
        let count = entry.map_or(0, |entry| entry.alternatives as usize);
        alternatives.split(',').take(count).skip(first).map(move |alternative| Site {
            line,
            chromosome: chromosome.to_owned(),
            position,
            ids: ids.to_owned(),
            reference: reference.to_owned(),
            alternative: alternative.to_owned(),
        })
    }
}

fn split(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t']).filter(|field| !field.is_empty())
}

fn named(line: &str) -> Result<Columns, TableProblem> {
    // What stands from FORMAT on belongs to the samples of a VCF.
    let fields: Vec<&str> = split(line).take_while(|field| *field != "FORMAT").collect();
    for (index, field) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|earlier| earlier == field) {
            return Err(TableProblem::DoubledColumn(index + 1));
        }
        if !["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "CM"].contains(field) {
            return Err(TableProblem::UnknownColumn(index + 1));
        }
    }
    let find = |name| fields.iter().position(|field| *field == name).ok_or(TableProblem::Column(name));
    Ok(Columns {
        count: fields.len(),
        chromosome: find("#CHROM")?,
        position: find("POS")?,
        id: find("ID")?,
        reference: find("REF")?,
        alternative: find("ALT")?,
    })
}

/// The columns of a file without a header.
fn of_bim(fields: usize) -> Result<Columns, TableProblem> {
    match fields {
        0..5 => Err(TableProblem::Fields { found: fields, needed: 5 }),
        5 => Ok(Columns { count: 5, chromosome: 0, id: 1, position: 2, alternative: 3, reference: 4 }),
        _ => Ok(Columns { count: 6, chromosome: 0, id: 1, position: 3, alternative: 4, reference: 5 }),
    }
}

impl fmt::Debug for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variants").field("file", &self.file).field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let limits = Limits { alternatives: 3, ..Limits::default() };
        let found = match Variants::read("a.pvar", text.as_bytes(), &limits) {
            Ok(variants) => (0..variants.len())
                .flat_map(|index| variants.sites(index, 0))
                .map(|s| {
                    format!(
                        "{} {}:{} {} {}>{}",
                        s.line, s.chromosome, s.position, s.ids, s.reference, s.alternative
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn variants_of_every_layout() {
        check("#CHROM\tPOS\tID\tREF\tALT\n1\t5\trs1\tA\tC,<D>\n", "2 1:5 rs1 A>C, 2 1:5 rs1 A><D>");
        check("##fileformat=VCFv4.2\n#CHROM ID POS ALT REF CM\r\nX rs1 5 C AT 0 more\r\n", "3 X:5 rs1 AT>C");
        check("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT a b\n1 5 . A . . . x\n", "2 1:5 . A>.");
        check("1 rs1 0 5 C A\n1 rs2 0 6 0 T x\n", "1 1:5 rs1 A>C, 2 1:6 rs2 T>0");
        check("1 rs1 5 C A\n", "1 1:5 rs1 A>C");
        check("", "");
    }

    #[test]
    fn what_names_no_variants() {
        check("#CHROM POS ID REF\n", "a.pvar, line 1: the header has no column `ALT` in its place");
        check("#CHROM POS ID REF ALT x\n", "a.pvar, line 1: column 6 of the header is none that a PVAR has");
        check(
            "#CHROM POS POS\n",
            "a.pvar, line 1: column 3 of the header has the name of an earlier one; name it otherwise",
        );
        check(
            "##x\n1 rs1 0 5 C A\n",
            "a.pvar, line 1: the last line that begins with `#` must begin with `#CHROM`",
        );
        check(
            "1 rs1 0 5 C A\n#x\n",
            "a.pvar, line 2: the line begins with `#` and stands below the first line of data; remove it",
        );
        check("1 rs1 0 -5 C A\n", "a.pvar, line 1: the position is not a whole number from 0 to 2147483647");
        check(
            "1 rs1 0 2147483648 C A\n",
            "a.pvar, line 1: the position is not a whole number from 0 to 2147483647",
        );
        check("1 rs1 0 5 C, A\n", "a.pvar, line 1: ALT has an empty allele");
        check(
            "1 rs1 0 5 C,G,T,C A\n",
            "a.pvar, line 1: ALT has more than 3 alleles, the limit of this program",
        );
        check(
            "1 rs1 0 5 C A\n\n",
            "a.pvar, line 2: the line has 0 fields; it needs 6, separated by tabs or blanks",
        );
    }
}
