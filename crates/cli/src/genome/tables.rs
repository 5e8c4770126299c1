//! Traits and covariates, out of one table or several.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use histone_genome::association::AssociationError;
use histone_genome::phenotypes::{CaseCoding, Join, Missing, PhenotypeFile, Phenotypes, Sample};
use histone_genome::text::TextLimits;

use super::file;
use crate::progress::tell;

/// Columns in the order of the samples of a file of genotypes.
pub struct Tables {
    tables: Vec<Phenotypes>,
    /// The group of each sample, where one was asked for.
    pub groups: Option<Vec<Option<String>>>,
    /// Of the table of the first column that was asked for.
    pub join: Join,
}

impl Tables {
    /// Takes each column out of the one table that has it, and the names of groups.
    pub fn read(
        paths: &[PathBuf],
        samples: &[Sample<'_>],
        columns: &[&str],
        groups: Option<&str>,
    ) -> Result<Self> {
        let read = |path: &PathBuf| -> Result<PhenotypeFile> {
            let name = path.display().to_string();
            Ok(PhenotypeFile::read(&name, file::text(path)?, &TextLimits::default())?)
        };
        let files = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
        let mut of_files: Vec<Vec<&str>> = vec![Vec::new(); files.len()];
        let (mut first, mut labels) = (None, None);
        for (column, is_label) in
            columns.iter().map(|name| (*name, false)).chain(groups.map(|name| (name, true)))
        {
            let has = |file: &&PhenotypeFile| file.columns().iter().any(|name| name == column);
            let mut having = files.iter().filter(has).map(PhenotypeFile::file);
            if let (Some(one), Some(other)) = (having.next(), having.next()) {
                bail!("`{one}` and `{other}` both have a column `{column}`; rename one");
            }
            // A single table says itself that it lacks a column.
            let Some(at) = files.iter().position(|file| has(&file) || files.len() == 1) else {
                let names: Vec<String> = files.iter().map(|file| format!("`{}`", file.file())).collect();
                bail!("none of {} has a column `{column}`", names.join(", "));
            };
            if is_label {
                let found = files[at].labels(samples, column, &Missing::default())?;
                labels = Some((at, found.into_iter().map(|label| label.map(str::to_owned)).collect()));
                continue;
            }
            first.get_or_insert(at);
            of_files[at].push(column);
        }
        let (mut tables, mut joins) = (Vec::new(), Vec::new());
        for (at, (file, columns)) in files.iter().zip(&of_files).enumerate() {
            if columns.is_empty() && labels.as_ref().is_none_or(|(of, _)| *of != at) {
                bail!("no trait and no covariate is a column of `{}`; leave it out", file.file());
            }
            let (table, join) = file.join(samples, columns, &Missing::default())?;
            if files.len() > 1 {
                tell(&format!("`{}` has rows of {} of {} people", file.file(), join.matched, samples.len()));
            }
            tables.push(table);
            joins.push(join);
        }
        let groups = labels.map(|(_, labels)| labels);
        Ok(Self { tables, groups, join: joins.swap_remove(first.unwrap_or_default()) })
    }

    /// The values of a column, `NaN` where there is none.
    pub fn column(&self, name: &str) -> Vec<f64> {
        self.tables.iter().find_map(|table| table.column(name)).map(<[f64]>::to_vec).unwrap_or_default()
    }

    /// A column of cases and controls: 1 and 0, and `NaN` where it is not said.
    pub fn cases(&self, name: &str, coding: CaseCoding) -> Result<Vec<f64>> {
        let number = |case: Option<bool>| case.map_or(f64::NAN, |case| f64::from(u8::from(case)));
        match self.tables.iter().find(|table| table.column(name).is_some()) {
            Some(table) => Ok(table.cases(name, coding)?.into_iter().map(number).collect()),
            None => Ok(Vec::new()),
        }
    }
}

/// Refuses cases and controls that are called a number.
pub fn refuse_two_values(name: &str, values: &[f64]) -> Result<()> {
    let known: BTreeSet<u64> =
        values.iter().filter(|value| !value.is_nan()).map(|value| value.to_bits()).collect();
    if known.len() == 2 {
        bail!(
            "`{name}` has two values: cases and controls take `--coding 1-2` or `--coding 0-1`; a number with two values only is taken by none of these commands"
        );
    }
    Ok(())
}

/// What is wrong with a model, in the names of its columns.
pub fn no_model(name: &str, error: &AssociationError, covariates: &[String]) -> anyhow::Error {
    match error {
        AssociationError::Collinear(at) if *at > 0 => {
            let covariate = covariates.get(at - 1).map_or("", String::as_str);
            anyhow!(
                "`{name}`: the covariate `{covariate}` is constant or determined by those before it; leave it out"
            )
        }
        error => anyhow!("`{name}`: {error}"),
    }
}

/// The name of a column on the command line.
pub fn column(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a name of a column is empty; is there a comma too many?".into()),
        name => Ok(name.to_owned()),
    }
}
