//! The genotypes of a study: its panel, and the calls of each participant's people at the panel's variants.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use histone_genome::assembly::Assembly;
use histone_genome::cohort::Cohort;
use histone_genome::panel::{Alignment, Panel, no_calls};
use histone_genome::plink::{self, People, Variants};
use histone_genome::table::{RawTable, Table};
use histone_genome::vcf::{self, bgzf};
use histone_program_sdk::genotypes::MAX_PEOPLE;
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;
use histone_protocol::plan::ColumnKind;
use toml::Spanned;

use super::Files;
use super::check::Checker;
use super::error::StudyError;
use super::file::{GenotypesFile, ParticipantFile, StudyFile};

/// Name of the column of genotypes.
pub(super) const COLUMN: &str = "genotypes";

/// The panel of a study.
pub(super) struct Genotyped<'a> {
    file: &'a GenotypesFile,
    panel: Panel,
    /// The panel's text, which is published.
    pub text: String,
    name: B256,
}

/// Reads the panel, where the study has one. Genotypes are then a feature, the last one, that every participant has in a file of its own.
pub(super) fn panel<'a>(
    checker: &Checker<'_>,
    file: &'a StudyFile,
    files: &dyn Files,
) -> Result<Option<Genotyped<'a>>, StudyError> {
    let Some(said) = &file.table.genotypes else {
        return match file.participant.iter().find_map(|p| p.genotypes.as_ref()) {
            Some(named) => checker.refuse(
                &named.span(),
                "the study has no panel; say under [table.genotypes] which variants it looks at: `panel`, `assembly` and `person`",
            ),
            None => Ok(None),
        };
    };
    if let Some(p) = file.participant.iter().find(|p| p.genotypes.is_none()) {
        let message =
            format!("`{}` names no file of genotypes; add `genotypes = \"file.vcf.gz\"`", p.name.get_ref());
        return checker.refuse(&p.data.span(), message);
    }
    let Some(assembly) = Assembly::from_name(said.assembly.get_ref()) else {
        return checker.refuse(&said.assembly.span(), "write \"GRCh37\" or \"GRCh38\"");
    };
    let path = said.panel.get_ref();
    let bytes = files.open(path).map_err(|source| no_data(checker, &said.panel, path, source))?;
    let panel = match Panel::read(path, BufReader::new(bytes), assembly) {
        Ok(panel) => panel,
        Err(error) => return checker.refuse(&said.panel.span(), error.to_string()),
    };
    let text = panel.text();
    let name = blob_hash(text.as_bytes());
    Ok(Some(Genotyped { file: said, panel, text, name }))
}

fn no_data(checker: &Checker<'_>, at: &Spanned<String>, path: &str, source: std::io::Error) -> StudyError {
    StudyError::NoData { at: checker.place(&at.span()), path: path.to_owned(), source }
}

impl Genotyped<'_> {
    /// The column's kind as plans have it.
    pub fn kind(&self) -> ColumnKind {
        ColumnKind::Genotypes { panel: self.name, variants: self.variants() as u32 }
    }

    /// How many variants the panel has: fewer than 2^32.
    pub fn variants(&self) -> usize {
        self.panel.variants().len()
    }

    /// The table with the genotypes of its people before the outcome. `rows` are the lines of `raw` that it was made from; where they are
    /// elsewhere, it has none.
    pub fn add(
        &self,
        checker: &Checker<'_>,
        participant: &ParticipantFile,
        table: Table,
        found: Option<(&RawTable, &[usize])>,
        files: &dyn Files,
        features: usize,
    ) -> Result<(Table, Option<(Alignment, usize)>), StudyError> {
        let Some(path) = &participant.genotypes else { return Ok((table, None)) };
        let (words, alignment) = match found {
            Some((raw, rows)) => {
                let (words, alignment) = self.words(checker, participant, path, raw, rows, files)?;
                (words, Some(alignment))
            }
            None => (Vec::new(), None),
        };
        let panel = (self.name.0, self.variants() as u32);
        let table = table
            .with_genotypes(features, COLUMN, panel, words)
            .or_else(|error| checker.refuse(&path.span(), error.to_string()))?;
        Ok((table, alignment))
    }

    /// What the end user asks: variants of the panel, by their names or their places in it.
    pub fn queries(
        &self,
        checker: &Checker<'_>,
        path: &Spanned<String>,
        raw: &RawTable,
        features: usize,
    ) -> Result<Vec<Vec<f64>>, StudyError> {
        let asked = raw.texts("variant").or_else(|error| checker.refuse(&path.span(), error.to_string()))?;
        let place = |text: &str| {
            let named = self.panel.variants().iter().position(|v| v.site.ids == text && text != ".");
            named
                .map(|at| at + 1)
                .or_else(|| text.parse().ok())
                .filter(|at| (1..=self.panel.variants().len()).contains(at))
        };
        let row = |(row, text): (usize, &&str)| {
            match place(text) {
            Some(place) => {
                let mut values = vec![f64::NAN; features];
                values.push(place as f64);
                Ok(values)
            }
            None => checker.refuse(
                &path.span(),
                format!(
                    "{}, line {}: the panel has no such variant; write the name of one, or its place from 1 to {}",
                    raw.file(),
                    raw.line(row).unwrap_or_default(),
                    self.panel.variants().len()
                ),
            ),
        }
        };
        asked.iter().enumerate().map(row).collect()
    }

    fn words(
        &self,
        checker: &Checker<'_>,
        participant: &ParticipantFile,
        path: &Spanned<String>,
        raw: &RawTable,
        rows: &[usize],
        files: &dyn Files,
    ) -> Result<(Vec<u64>, (Alignment, usize)), StudyError> {
        let person = &self.file.person;
        let ids = match raw.texts(person.get_ref()) {
            Ok(ids) => ids,
            Err(error) => return checker.refuse(&person.span(), error.to_string()),
        };
        let mut cohort = open(checker, path, files)?;
        let refuse = |message: String| checker.refuse(&path.span(), message);
        let mut places = HashMap::new();
        for (place, sample) in cohort.samples().iter().enumerate() {
            if places.insert(sample.clone(), place).is_some() {
                return refuse(format!(
                    "`{}` has two people of one name; names must tell them apart",
                    path.get_ref()
                ));
            }
        }
        let (words, report) = match self.panel.align(&mut cohort) {
            Ok(aligned) => aligned,
            Err(error) => return refuse(error.to_string()),
        };
        if rows.len() > MAX_PEOPLE {
            return refuse(format!(
                "{} people are more than sums of genotypes take from one site ({MAX_PEOPLE})",
                rows.len()
            ));
        }
        let (variants, name) = (self.panel.variants().len(), participant.name.get_ref());
        // Another build, or another chip: nothing of it would say anything.
        if 2 * report.found < variants {
            return refuse(format!(
                "of the panel's {variants} variants `{}` of `{name}` has {}; {} are at other positions, {} have other alleles, {} could be \
                 either strand. Look whether it is of another build than the panel",
                path.get_ref(),
                report.found,
                report.elsewhere,
                report.other_alleles,
                report.ambiguous,
            ));
        }
        let width = variants.div_ceil(32);
        let none = no_calls(variants);
        let (mut of_rows, mut matched) = (Vec::with_capacity(rows.len() * width), 0);
        let mut seen = HashMap::new();
        for &row in rows {
            let id = ids.get(row).copied().unwrap_or_default();
            if let Some(first) = seen.insert(id, row) {
                let lines = [first, row].map(|row| raw.line(row).unwrap_or_default());
                return checker.refuse(
                    &participant.data.span(),
                    format!(
                        "{}, lines {} and {}: one person stands in both (column `{}`); a person has one row",
                        raw.file(),
                        lines[0],
                        lines[1],
                        person.get_ref()
                    ),
                );
            }
            let calls = places.get(id).and_then(|place| words.get(place * width..(place + 1) * width));
            matched += usize::from(calls.is_some());
            of_rows.extend_from_slice(calls.unwrap_or(&none));
        }
        if matched == 0 {
            return refuse(format!(
                "nobody in `{}` is called as in column `{}` of {}; their names must be the same",
                path.get_ref(),
                person.get_ref(),
                raw.file()
            ));
        }
        Ok((of_rows, (report, rows.len() - matched)))
    }
}

/// Opens a file of genotypes, with those beside it.
fn open<'f>(
    checker: &Checker<'_>,
    path: &Spanned<String>,
    files: &'f dyn Files,
) -> Result<Cohort<Box<dyn std::io::BufRead + 'f>>, StudyError> {
    let name = path.get_ref().as_str();
    let read = |name: &str| -> Result<Box<dyn Read + 'f>, StudyError> {
        files.open(name).map_err(|source| no_data(checker, path, name, source))
    };
    let refuse = |error: &dyn std::fmt::Display| StudyError::Rule {
        at: checker.place(&path.span()),
        message: error.to_string(),
    };
    if [".vcf", ".vcf.gz", ".vcf.bgz"].iter().any(|end| name.ends_with(end)) {
        let text: Box<dyn std::io::BufRead + 'f> =
            Box::new(bgzf::Reader::new(read(name)?, bgzf::Limits::default()));
        return Cohort::vcf(name, text, &vcf::Limits::default()).map_err(|error| refuse(&error));
    }
    let Some(stem) = name.strip_suffix(".bed") else {
        return Err(refuse(&format!(
            "`{name}` is of no kind that is read here; these are: .vcf, .vcf.gz and .bed with .bim and .fam beside it"
        )));
    };
    let (fam, bim, limits) = (format!("{stem}.fam"), format!("{stem}.bim"), plink::Limits::default());
    let people = People::read(&fam, read(&fam)?, &limits).map_err(|error| refuse(&error))?;
    let variants = Variants::read(&bim, read(&bim)?, &limits).map_err(|error| refuse(&error))?;
    let bed: Box<dyn std::io::BufRead + 'f> = Box::new(BufReader::with_capacity(1 << 20, read(name)?));
    Cohort::plink(name, bed, people, variants).map_err(|error| refuse(&error))
}
