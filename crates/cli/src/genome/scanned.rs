//! Tables of scans, as `gwas` and `associations` write them.

use std::collections::HashMap;
use std::io::BufRead as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use histone_genome::variant::Site;

use super::file;

/// Chromosome, position, reference, alternative.
pub type Place = (String, u64, String, String);

/// The place of a variant, with its alleles.
pub fn place(site: &Site) -> Place {
    (site.chromosome.clone(), site.position, site.reference.clone(), site.alternative.clone())
}

/// Columns of numbers of a table, by place and alleles. Lines that lack one of them (`NA`) are passed over.
pub fn read<const N: usize>(path: &Path, numbers: [&str; N]) -> Result<HashMap<Place, [f64; N]>> {
    let name = path.display().to_string();
    let mut found = HashMap::new();
    let mut columns: Option<([usize; 4], [usize; N])> = None;
    for (number, line) in file::text(path)?.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read `{name}`"))?;
        let cells: Vec<&str> = line.split('\t').collect();
        let Some((places, numbers)) = columns else {
            let at = |column: &str| {
                let at = cells.iter().position(|cell| cell.trim_start_matches('#') == column);
                at.with_context(|| format!("{name}, line 1: there is no column `{column}`"))
            };
            let places = [at("CHROM")?, at("POS")?, at("REF")?, at("ALT")?];
            let mut of_numbers = [0; N];
            for (to, column) in of_numbers.iter_mut().zip(numbers) {
                *to = at(column)?;
            }
            columns = Some((places, of_numbers));
            continue;
        };
        let cell = |at: usize| {
            let cell = cells.get(at).copied();
            cell.with_context(|| {
                format!("{name}, line {}: it has fewer columns than the first line", number + 1)
            })
        };
        let [chromosome, position, reference, alternative] = places;
        let Ok(position) = cell(position)?.parse() else {
            bail!("{name}, line {}: the position is no number", number + 1);
        };
        let mut values = [0.0; N];
        for (to, at) in values.iter_mut().zip(numbers) {
            *to = cell(at)?.parse().unwrap_or(f64::NAN);
        }
        if values.iter().all(|value| value.is_finite()) {
            let text = |at: usize| cell(at).map(str::to_owned);
            found.insert((text(chromosome)?, position, text(reference)?, text(alternative)?), values);
        }
    }
    Ok(found)
}
