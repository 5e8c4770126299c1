//! `histone genome gwas`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use histone_genome::association::{Design, Fallback, Linear, Logistic, NotFitted, NotTested};
use histone_genome::cohort::Cohort;
use histone_genome::genotypes::Block;
use histone_genome::phenotypes::{CaseCoding, Missing, PhenotypeFile, Sample};
use histone_genome::regression::{Predictions, Regression, Rule};
use histone_genome::text::TextLimits;
use histone_genome::variant::Site;
use serde_json::json;

use super::file::{self, Whole, number};
use super::pca::is_autosomal;
use super::plot::{self, Point};
use crate::progress::{STDOUT, tell};

/// What to scan for.
#[derive(Args)]
pub struct GwasArgs {
    /// Genotypes: VCF, BCF, BGEN, or one file of a PLINK fileset.
    file: PathBuf,
    /// Table of traits: blank- or tab-separated, a header line, people by IID (and FID).
    #[arg(long, value_name = "FILE")]
    phenotypes: PathBuf,
    /// Name of the trait's column.
    #[arg(long, value_name = "COLUMN")]
    r#trait: String,
    /// Columns of the same table that are accounted for, separated by commas.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    covariates: Vec<String>,
    /// How the trait is coded: a number, 1 and 2 for control and case (0 missing), or 0 and 1.
    #[arg(long, value_enum, default_value_t = Coding::Number)]
    coding: Coding,
    /// Leave variants without an estimate where the genotype separates cases from controls, instead of Firth's penalty.
    #[arg(long)]
    no_firth: bool,
    /// Take from a number what the other chromosomes say of it (whole-genome regression in two steps, as REGENIE), so that structure
    /// and kinship do not inflate the scan. Reads the file three times; variants of one chromosome must stand together.
    #[arg(long)]
    whole_genome: bool,
    /// Write the table, tab-separated, into this file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Draw p-values along the genome into this file (SVG).
    #[arg(long, value_name = "FILE")]
    manhattan: Option<PathBuf>,
    /// Draw p-values against those that chance gives into this file (SVG).
    #[arg(long, value_name = "FILE")]
    qq: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// How a trait is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Coding {
    /// A number: linear regression.
    Number,
    /// 1 control, 2 case, 0 missing: logistic regression.
    #[value(name = "1-2")]
    OneTwo,
    /// 0 control, 1 case: logistic regression.
    #[value(name = "0-1")]
    ZeroOne,
}

/// A model that is tested at each variant.
enum Scan {
    Linear(Box<Linear>),
    Logistic(Box<Logistic>),
    /// Of what the other chromosomes leave of the trait: a scan for each chromosome.
    WholeGenome(Box<WholeGenome>),
}

/// What a scan of each chromosome needs.
struct WholeGenome {
    values: Vec<f64>,
    covariates: Vec<Vec<f64>>,
    predictions: Predictions,
    scan: Option<(String, Linear)>,
}

impl WholeGenome {
    /// The scan of a chromosome.
    fn scan(&mut self, chromosome: &str) -> Result<&Linear> {
        if self.scan.as_ref().is_none_or(|(of, _)| of != chromosome) {
            let rest = self.predictions.subtract_from(&self.values, chromosome);
            let scan = Linear::new(Design::new(&rest, &self.covariates)?);
            self.scan = Some((chromosome.to_owned(), scan));
        }
        self.scan.as_ref().map(|(_, scan)| scan).context("a chromosome has no scan")
    }
}

/// What is said of one variant.
struct Row {
    frequency: Option<f64>,
    people: u64,
    estimate: Option<[f64; 4]>,
    how: &'static str,
}

impl Scan {
    fn of(&mut self, block: &Block, sites: &[Site]) -> Result<Vec<Row>> {
        let none = |how| Row { frequency: None, people: 0, estimate: None, how };
        let linear = |found| match found {
            Ok(estimate) => {
                let estimate: histone_genome::association::Estimate = estimate;
                Row {
                    frequency: estimate.counts.frequency(),
                    people: estimate.counts.known(),
                    estimate: Some([estimate.beta, estimate.se, estimate.t(), estimate.p()]),
                    how: "linear",
                }
            }
            Err(NotTested::Constant) => none("constant"),
            Err(NotTested::Collinear) => none("collinear"),
            Err(NotTested::TooFew) => none("too-few"),
            Err(NotTested::Perfect) => none("perfect"),
        };
        Ok(match self {
            Self::Linear(scan) => scan.scan(block).into_iter().map(linear).collect(),
            Self::WholeGenome(of_all) => {
                let mut rows = Vec::with_capacity(sites.len());
                while let Some(site) = sites.get(rows.len()) {
                    // Blocks do not end where chromosomes do.
                    let together = sites[rows.len()..].iter().take_while(|s| s.chromosome == site.chromosome);
                    let (first, count) = (rows.len(), together.count());
                    let found = of_all.scan(&site.chromosome)?.scan(block);
                    rows.extend(found.into_iter().skip(first).take(count).map(linear));
                }
                rows
            }
            Self::Logistic(scan) => {
                let row = |found| match found {
                    Ok(estimate) => {
                        let estimate: histone_genome::association::LogisticEstimate = estimate;
                        let known = estimate.cases.known() + estimate.controls.known();
                        let copies = estimate.cases.alternatives() + estimate.controls.alternatives();
                        Row {
                            frequency: (known > 0).then(|| copies as f64 / (2 * known) as f64),
                            people: known,
                            estimate: Some([estimate.beta, estimate.se, estimate.z(), estimate.p()]),
                            how: if estimate.firth { "firth" } else { "logistic" },
                        }
                    }
                    Err(NotFitted::Constant) => none("constant"),
                    Err(NotFitted::Separated) => none("separated"),
                    Err(NotFitted::NotConverged) => none("not-converged"),
                    Err(NotFitted::Collinear) => none("collinear"),
                    Err(NotFitted::TooFew) => none("too-few"),
                };
                scan.scan(block).into_iter().map(row).collect()
            }
        })
    }
}

/// Variants of a block of the regression: larger ones take longer.
const REGRESSION_BLOCK: usize = 500;

/// The first step: what the genome says of the trait.
fn whole_genome(args: &GwasArgs, values: &[f64], covariates: &[Vec<f64>]) -> Result<Scan> {
    let mut cohort = file::cohort(&args.file)?;
    let mut variants = 0;
    while let Some((_, sites)) = cohort.read()? {
        variants += sites.iter().filter(|site| is_autosomal(&site.chromosome)).count();
    }
    let rule = Rule { block: REGRESSION_BLOCK, ..Rule::for_variants(variants) };
    let mut regression = Regression::new(values, covariates, rule)?;
    let mut cohort = file::cohort(&args.file)?;
    while let Some((block, sites)) = cohort.read()? {
        regression.add(block, sites, |i| sites.get(i).is_some_and(|site| is_autosomal(&site.chromosome)))?;
    }
    let predictions = regression.finish(|done, of| tell(&format!("prediction: part {done} of {of}")))?;
    if predictions.chromosomes().len() < 2 {
        bail!(
            "the variants are of one chromosome, of which nothing else can be predicted; leave `--whole-genome` out"
        );
    }
    let (values, covariates) = (values.to_vec(), covariates.to_vec());
    Ok(Scan::WholeGenome(Box::new(WholeGenome { values, covariates, predictions, scan: None })))
}

/// How many people have what was asked for.
struct Joined {
    scan: Scan,
    matched: usize,
    used: usize,
    unknown: usize,
}

/// The trait and the covariates of the people of a file.
fn join<R: std::io::BufRead>(args: &GwasArgs, cohort: &Cohort<R>) -> Result<Joined> {
    let name = args.phenotypes.display().to_string();
    let table = PhenotypeFile::read(&name, file::text(&args.phenotypes)?, &TextLimits::default())?;
    let people = cohort.people();
    let samples: Vec<Sample<'_>> = match people {
        Some(people) => (0..people.len())
            .filter_map(|index| people.person(index))
            .map(|person| Sample { family: Some(person.family), id: person.id })
            .collect(),
        None => cohort.samples().iter().map(|id| Sample::named(id)).collect(),
    };
    let mut columns = vec![args.r#trait.as_str()];
    columns.extend(args.covariates.iter().map(String::as_str));
    let (phenotypes, join) = table.join(&samples, &columns, &Missing::default())?;
    let column = |name: &str| phenotypes.column(name).map(<[f64]>::to_vec).unwrap_or_default();
    let covariates: Vec<Vec<f64>> = args.covariates.iter().map(|name| column(name)).collect();
    let coding = match args.coding {
        Coding::Number => None,
        Coding::OneTwo => Some(CaseCoding::OneTwo),
        Coding::ZeroOne => Some(CaseCoding::ZeroOne),
    };
    let (scan, values) = match coding {
        None => {
            let values = column(&args.r#trait);
            let known: std::collections::BTreeSet<u64> =
                values.iter().filter(|value| !value.is_nan()).map(|value| value.to_bits()).collect();
            if known.len() == 2 {
                bail!(
                    "`{}` has two values: cases and controls are scanned with `--coding 1-2` or `--coding 0-1`; a number with two values only is scanned by none of these commands",
                    args.r#trait
                );
            }
            let scan = match args.whole_genome {
                true => whole_genome(args, &values, &covariates)?,
                false => Scan::Linear(Box::new(Linear::new(Design::new(&values, &covariates)?))),
            };
            (scan, values)
        }
        Some(_) if args.whole_genome => {
            bail!("`--whole-genome` is for numbers in this version; leave it out, or `--coding`");
        }
        Some(coding) => {
            let cases = phenotypes.cases(&args.r#trait, coding)?;
            let values: Vec<f64> =
                cases.iter().map(|case| case.map_or(f64::NAN, |case| f64::from(u8::from(case)))).collect();
            let fallback = if args.no_firth { Fallback::None } else { Fallback::Firth };
            (Scan::Logistic(Box::new(Logistic::new(&values, &covariates, fallback)?)), values)
        }
    };
    let complete = |index: &usize| !values[*index].is_nan() && covariates.iter().all(|c| !c[*index].is_nan());
    let used = (0..values.len()).filter(complete).count();
    Ok(Joined { scan, matched: join.matched, used, unknown: join.unknown_lines.len() })
}

/// Time between two lines about a scan that goes on.
const EVERY: Duration = Duration::from_secs(10);

/// Scans a file for a trait.
pub fn run(args: &GwasArgs, out: &mut dyn Write) -> Result<bool> {
    let mut cohort = file::cohort(&args.file)?;
    let Joined { mut scan, matched, used, unknown } = join(args, &cohort)?;
    let mut table = Whole::new(&args.out)?;
    let cannot = || format!("cannot write `{}`", args.out.display());
    writeln!(table, "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP")
        .with_context(cannot)?;
    let (mut variants, mut untested, mut points) = (0_u64, 0_u64, Vec::new());
    // A terminal has the bar of the file; elsewhere a line now and then says that a long scan goes on.
    let is_told = !std::io::stderr().is_terminal();
    let mut told = Instant::now();
    while let Some((block, sites)) = cohort.read()? {
        if is_told && told.elapsed() >= EVERY {
            tell(&format!("scan: {variants} variants so far"));
            told = Instant::now();
        }
        for (site, row) in sites.iter().zip(scan.of(block, sites)?) {
            variants += 1;
            let Site { chromosome, position, ids, reference, alternative, .. } = site;
            let Row { frequency, people, estimate, how } = row;
            let (frequency, [beta, se, stat, p]) = (number(frequency), estimate.map_or([f64::NAN; 4], |e| e));
            let cells = [beta, se, stat, p].map(|cell| number(Some(cell))).join("\t");
            writeln!(
                table,
                "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t{frequency}\t{people}\t{how}\t{cells}"
            )
            .with_context(cannot)?;
            match estimate {
                Some(_) => points.push(Point::new(site, p)),
                None => untested += 1,
            }
        }
    }
    table.finish()?;
    let title = format!("{}: {used} people, {} variants", args.r#trait, points.len());
    if let Some(file) = &args.manhattan {
        plot::write(file, &plot::manhattan(&title, &points))?;
    }
    if let Some(file) = &args.qq {
        plot::write(file, &plot::qq(&title, &points))?;
    }
    let inflation = plot::inflation(&points);
    points.sort_by(|a, b| a.p.total_cmp(&b.p));
    let significant = points.iter().filter(|point| point.p < plot::SIGNIFICANT).count();
    if args.json {
        let top: Vec<_> =
            points.iter().take(10).map(|point| json!({ "variant": point.name, "p": point.p })).collect();
        let line = json!({
            "trait": args.r#trait,
            "people": used,
            "variants": variants,
            "not_tested": untested,
            "significant": significant,
            "lambda": inflation,
            "top": top,
            "table": args.out.display().to_string(),
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    writeln!(
        out,
        "people      {used} with trait and covariates, of {} in the genotypes ({matched} have a row; {unknown} rows are of others)",
        cohort.samples().len()
    )
    .context(STDOUT)?;
    writeln!(out, "variants    {variants}, of which {untested} cannot be tested (column MODEL says why)")
        .context(STDOUT)?;
    writeln!(out, "lambda      {}", number(inflation)).context(STDOUT)?;
    writeln!(out, "p < 5e-8    {significant} variants").context(STDOUT)?;
    for point in points.iter().take(5) {
        writeln!(out, "            {}  p = {}", point.name, number(Some(point.p))).context(STDOUT)?;
    }
    Ok(true)
}
