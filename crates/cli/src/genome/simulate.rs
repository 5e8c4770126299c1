//! `histone genome simulate`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::assembly::Assembly;
use histone_genome::genotypes::{Block, Genotypes};
use histone_genome::panel::Panel;
use histone_genome::plink::{BedWriter, Sex};
use histone_genome::simulate::{Plan, SimulatedCohort, Spectrum};

use super::file::Whole;
use crate::progress::{STDOUT, tell};

/// What to simulate.
#[derive(Args)]
pub struct SimulateArgs {
    /// The folder to write into; files of these names are replaced.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Names of the sites that the people are dealt to, each with files of its own; may be given again.
    #[arg(long = "site", value_name = "NAME", default_value = "simulated")]
    sites: Vec<String>,
    /// People of each population, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "500")]
    people: Vec<usize>,
    /// Variants of all chromosomes together.
    #[arg(long, default_value_t = 2000)]
    variants: usize,
    /// Chromosomes, from 1 to this number.
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u8).range(1..=22))]
    chromosomes: u8,
    /// Variants that move the traits.
    #[arg(long, default_value_t = 10)]
    causal: usize,
    /// Share of missing calls.
    #[arg(long, default_value_t = 0.01)]
    missing: f64,
    /// Determines everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Writes a cohort, dealt to sites.
pub fn run(args: &SimulateArgs, out: &mut dyn Write) -> Result<bool> {
    let plan = Plan {
        seed: args.seed,
        populations: args.people.clone(),
        variants: args.variants,
        chromosomes: args.chromosomes,
        causal: args.causal,
        missing: args.missing,
        spectrum: Spectrum::Array,
        ..Plan::default()
    };
    if args.variants == 0 {
        bail!("a cohort without variants says nothing; ask for some");
    }
    for (i, name) in args.sites.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) || args.sites[..i].contains(name) {
            bail!(
                "`{}` is no name of a site: letters, digits, `-` and `_`, each name once",
                name.escape_debug()
            );
        }
    }
    let cohort = plan.simulate().context("this cohort cannot be simulated")?;
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make `{}`", args.out.display()))?;
    for (i, name) in args.sites.iter().enumerate() {
        // Dealt like cards, so that every site has people of every population.
        let people: Vec<usize> = (i..cohort.samples.len()).step_by(args.sites.len()).collect();
        write_site(args, &cohort, name, &people).with_context(|| format!("the files of `{name}`"))?;
        tell(&format!("{name}: {} SIMULATED people", people.len()));
    }
    write(args, "traits.tsv", |to| {
        writeln!(to, "#IID\tage\tsex\ttrait\till")?;
        let sex = |person: usize| if cohort.sexes[person] == Sex::Male { 1 } else { 2 };
        (0..cohort.samples.len()).try_for_each(|p| {
            let ill = 1 + u8::from(cohort.cases[p]);
            writeln!(
                to,
                "{}\t{}\t{}\t{:.6}\t{ill}",
                cohort.samples[p],
                cohort.ages[p],
                sex(p),
                cohort.quantitative[p]
            )
        })
    })?;
    write(args, "panel.tsv", |to| to.write_all(panel(&cohort)?.text().as_bytes()))?;
    write(args, "truth.tsv", |to| cohort.write_truth(to))?;
    let (people, variants) = (cohort.samples.len(), cohort.variants.len());
    writeln!(
        out,
        "SIMULATED: {people} people at {variants} variants, {} of which move the trait (truth.tsv), in {}",
        cohort.causal.len(),
        args.out.display()
    )
    .context(STDOUT)?;
    Ok(true)
}

fn write(
    args: &SimulateArgs,
    name: &str,
    content: impl FnOnce(&mut Whole) -> std::io::Result<()>,
) -> Result<()> {
    let to = args.out.join(name);
    let mut file = Whole::new(&to)?;
    content(&mut file).with_context(|| format!("cannot write `{}`", to.display()))?;
    file.finish()
}

/// All variants, with their frequencies among all people.
fn panel(cohort: &SimulatedCohort) -> std::io::Result<Panel> {
    let frequency = |row: &[u64]| {
        let counts = histone_genome::stats::counts::of_row(row, cohort.samples.len());
        counts.frequency()
    };
    let sites = cohort.variants.iter().enumerate().zip(cohort.genotypes.rows());
    let sites =
        sites.map(|((i, variant), row)| (variant.clone(), frequency(row), format!("SIMULATED{}", i + 1)));
    Panel::of(Assembly::Grch38, sites).map_err(std::io::Error::other)
}

fn write_site(args: &SimulateArgs, cohort: &SimulatedCohort, name: &str, people: &[usize]) -> Result<()> {
    let mut calls = Genotypes::new(people.len());
    for row in cohort.genotypes.rows() {
        let mut words = vec![0_u64; people.len().div_ceil(32)];
        for (to, &from) in people.iter().enumerate() {
            words[to / 32] |= (row[from / 32] >> (2 * (from % 32)) & 3) << (2 * (to % 32));
        }
        calls.push_row(&words)?;
    }
    let sex = |person: usize| match cohort.sexes.get(person) {
        Some(Sex::Male) => (1, "male"),
        _ => (2, "female"),
    };
    write(args, &format!("{name}.bed"), |to| {
        let mut bed = BedWriter::new(to)?;
        calls.blocks().iter().try_for_each(|block: &Block| bed.write(block))
    })?;
    write(args, &format!("{name}.bim"), |to| {
        cohort.variants.iter().enumerate().try_for_each(|(i, v)| {
            let [reference, alternative] = v.single_bases().unwrap_or([b'N'; 2]).map(char::from);
            let (chromosome, position) = (v.chromosome(), v.position());
            writeln!(to, "{chromosome}\tSIMULATED{}\t0\t{position}\t{alternative}\t{reference}", i + 1)
        })
    })?;
    write(args, &format!("{name}.fam"), |to| {
        people.iter().try_for_each(|&p| writeln!(to, "0\t{}\t0\t0\t{}\t-9", cohort.samples[p], sex(p).0))
    })?;
    write(args, &format!("{name}.csv"), |to| {
        writeln!(to, "person,age,sex,trait,ill")?;
        people.iter().try_for_each(|&p| {
            let ill = if cohort.cases[p] { "yes" } else { "no" };
            let (age, value) = (cohort.ages[p], cohort.quantitative[p]);
            writeln!(to, "{},{age},{},{value:.6},{ill}", cohort.samples[p], sex(p).1)
        })
    })
}
