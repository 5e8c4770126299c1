//! `histone genome project`, and the file of loadings that `pca` writes for it.

use std::collections::HashMap;
use std::io::{BufRead as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::genotypes::SampleSet;
use histone_genome::pca::{Components, Loading, Projection, loadings};

use super::scanned::{Place, place};
use super::{file, plot};
use crate::progress::tell;

/// What stands at the beginning of a file of loadings.
const HEADING: &str = "##loadings of histone genome pca";

/// More components than anybody asks for: each takes memory for each person.
const MOST_COMPONENTS: usize = 1_000;

/// Whose components, and by what.
#[derive(Args)]
pub struct ProjectArgs {
    /// Genotypes: VCF, BCF, PLINK or BGEN.
    file: PathBuf,
    /// Loadings of a reference, as `histone genome pca --loadings` writes them.
    #[arg(long, value_name = "FILE")]
    loadings: PathBuf,
    /// Refuse when less than this share of the reference's variants is found.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    least: f64,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw the first two components into this file (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Writes the loadings of the variants with which components of all people of a file were made. They name nobody, and say how common
/// each allele is among them.
pub fn write_loadings(
    to: &Path,
    from: &Path,
    choose: impl Fn(usize) -> bool,
    components: &Components,
) -> Result<()> {
    let mut cohort = file::cohort(from)?;
    let people = SampleSet::all(cohort.samples().len());
    let found = loadings(&mut cohort, &people, choose, components)?;
    let cannot = || format!("cannot write `{}`", to.display());
    let mut out = file::Whole::new(to)?;
    let values: Vec<String> = components.eigenvalues.iter().map(f64::to_string).collect();
    writeln!(out, "{HEADING}\n##eigenvalues={}", values.join(",")).with_context(cannot)?;
    let names: Vec<String> = (1..=values.len()).map(|n| format!("PC{n}")).collect();
    writeln!(out, "#CHROM\tPOS\tREF\tALT\tNONE\tONE\tTWO\t{}", names.join("\t")).with_context(cannot)?;
    let mut cohort = file::cohort(from)?;
    let mut rows = found.iter();
    while let Some((_, sites)) = cohort.read()? {
        for site in sites {
            let Some(Loading { effects: [none, one, two, _], weights }) =
                rows.next().and_then(Option::as_ref)
            else {
                continue;
            };
            let (chromosome, position, reference, alternative) = place(site);
            let weights: Vec<String> = weights.iter().map(f64::to_string).collect();
            let weights = weights.join("\t");
            writeln!(
                out,
                "{chromosome}\t{position}\t{reference}\t{alternative}\t{none}\t{one}\t{two}\t{weights}"
            )
            .with_context(cannot)?;
        }
    }
    out.finish()
}

/// What a file of loadings says.
struct Reference {
    /// Without people.
    components: Components,
    loadings: HashMap<Place, Loading>,
}

fn read(from: &Path) -> Result<Reference> {
    let name = from.display().to_string();
    let cannot = || format!("cannot read `{name}`");
    let mut lines = file::text(from)?.lines();
    let mut next = || lines.next().transpose().with_context(cannot);
    let values = match (next()?.as_deref(), next()?) {
        (Some(HEADING), Some(values)) => values,
        _ => bail!("`{name}` is no file of loadings, as `histone genome pca --loadings` writes it"),
    };
    let values = values.strip_prefix("##eigenvalues=").unwrap_or_default().split(',');
    let values: Result<Vec<f64>, _> = values.map(str::parse).collect();
    let eigenvalues = values
        .ok()
        .filter(|values| values.len() <= MOST_COMPONENTS && values.iter().all(|v| *v > 0.0 && v.is_finite()));
    let eigenvalues = eigenvalues.with_context(|| format!("{name}, line 2: these are no eigenvalues"))?;
    next()?;
    let (mut found, mut number) = (HashMap::new(), 3);
    while let Some(line) = next()? {
        number += 1;
        let wrong = || format!("{name}, line {number}: it is no line of loadings");
        let cells: Vec<&str> = line.split('\t').collect();
        let [chromosome, position, reference, alternative, numbers @ ..] = &cells[..] else { bail!(wrong()) };
        let numbers: Result<Vec<f64>, _> = numbers.iter().map(|cell| cell.parse()).collect();
        let numbers = numbers.ok().filter(|n| n.iter().all(|v| v.is_finite())).with_context(wrong)?;
        let [none, one, two, weights @ ..] = &numbers[..] else { bail!(wrong()) };
        if weights.len() != eigenvalues.len() {
            bail!(wrong());
        }
        let position = position.parse().ok().with_context(wrong)?;
        let at = ((*chromosome).into(), position, (*reference).into(), (*alternative).into());
        let loading = Loading { effects: [*none, *one, *two, 0.0], weights: weights.into() };
        if found.insert(at, loading).is_some() {
            bail!("{name}, line {number}: an earlier line has this variant");
        }
    }
    let components = Components { variants: found.len(), vectors: vec![], eigenvalues };
    Ok(Reference { components, loadings: found })
}

/// The loading of a variant, whichever of its alleles comes first here.
fn of(reference: &Reference, at: Place) -> Option<Loading> {
    if let Some(loading) = reference.loadings.get(&at) {
        return Some(loading.clone());
    }
    let (chromosome, position, first, second) = at;
    let turned = reference.loadings.get(&(chromosome, position, second, first))?;
    let [none, one, two, missing] = turned.effects;
    Some(Loading { effects: [two, one, none, missing], weights: turned.weights.clone() })
}

/// Writes the components of all people.
pub fn run(args: &ProjectArgs, out: &mut dyn Write) -> Result<bool> {
    let reference = read(&args.loadings)?;
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    let mut projection = Projection::new(samples.len(), &reference.components);
    let (all, mut matched) = (reference.components.variants, 0);
    while let Some((block, sites)) = cohort.read()? {
        let found: Vec<Option<Loading>> = sites.iter().map(|site| of(&reference, place(site))).collect();
        matched += found.iter().flatten().count();
        projection.add(block, &found);
    }
    let share = matched as f64 / all.max(1) as f64;
    if matched == 0 || share < args.least {
        bail!(
            "{matched} of {all} variants of the reference are in `{}`: at least {:.0} % are wanted (`--least`); is it the same build, and are chromosomes written alike?",
            args.file.display(),
            args.least * 100.0
        );
    }
    // What the file lacks counts as what is not called.
    let stretch = 1.0 / share;
    let vectors: Vec<Vec<f64>> =
        projection.vectors().iter().map(|v| v.iter().map(|x| x * stretch).collect()).collect();
    if vectors.iter().flatten().any(|v| v.is_infinite()) {
        bail!("`{}` has numbers that no components have", args.loadings.display());
    }
    super::pca::write_table(args.out.as_deref(), out, &samples, &vectors)?;
    if let (Some(file), [first, second, ..]) = (&args.plot, &vectors[..]) {
        plot::write(file, &plot::scatter("PC1 and PC2", first, second))?;
    }
    tell(&format!("{matched} of {all} variants of the reference are found"));
    Ok(true)
}
