//! `histone genome gwas`.

mod scan;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use histone_genome::association::{Fallback, LinearTraits, Logistic, ScoreTest, inflation};
use histone_genome::cohort::Cohort;
use histone_genome::phenotypes::{CaseCoding, Sample};
use histone_genome::variant::Site;
use serde_json::{Value, json};

use super::file::{self, Whole, number};
use super::plot::{self, Point};
use super::tables::{self, Tables};
use crate::progress::{STDOUT, tell};
use scan::{Row, Scan, whole_genome};

/// What to scan for.
#[derive(Args)]
pub struct GwasArgs {
    /// Genotypes: VCF, BCF, BGEN, or one file of a PLINK fileset.
    file: PathBuf,
    /// Table of traits and covariates: blank- or tab-separated, a header line, people by IID (and FID). Several may be named, as one of
    /// traits and one of components.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    phenotypes: Vec<PathBuf>,
    /// Name of the trait's column; of several, separated by commas, in one pass, each with files of its own: `--out scan.tsv` then writes
    /// scan.height.tsv for the trait `height`, and so do plots. Each has its own people: those who have it and all covariates.
    /// Nothing is written unless all can be scanned.
    #[arg(long = "trait", value_name = "COLUMNS", value_delimiter = ',', required = true, value_parser = tables::column)]
    traits: Vec<String>,
    /// Columns of these tables that are accounted for, separated by commas.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', value_parser = tables::column)]
    covariates: Vec<String>,
    /// How the trait is coded: a number, 1 and 2 for control and case (0 missing), or 0 and 1.
    #[arg(long, value_enum, default_value_t = Coding::Number)]
    coding: Coding,
    /// How cases and controls are compared: a fit of each variant, or one fit for all, many times faster, and the same in large samples
    /// with enough of both; its estimate is a first step from no effect.
    #[arg(long, value_enum, default_value_t = Test::Wald)]
    test: Test,
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
pub enum Coding {
    /// A number: linear regression.
    Number,
    /// 1 control, 2 case, 0 missing: logistic regression.
    #[value(name = "1-2")]
    OneTwo,
    /// 0 control, 1 case: logistic regression.
    #[value(name = "0-1")]
    ZeroOne,
}

impl Coding {
    /// How cases are written, unless the trait is a number.
    pub fn of_cases(self) -> Option<CaseCoding> {
        match self {
            Self::Number => None,
            Self::OneTwo => Some(CaseCoding::OneTwo),
            Self::ZeroOne => Some(CaseCoding::ZeroOne),
        }
    }
}

/// A test of cases and controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Test {
    /// Maximum likelihood for each variant, and Wald's test.
    Wald,
    /// The score test.
    Score,
}

struct Joined {
    scan: Scan,
    people: Joint,
    /// Of each trait, those who have it and all covariates.
    used: Vec<usize>,
}

/// How many people genotypes and table have in common.
struct Joint {
    in_genotypes: usize,
    with_a_row: usize,
    rows_of_others: usize,
}

/// The traits and the covariates of the people of a file.
fn join<R: std::io::BufRead>(args: &GwasArgs, cohort: &Cohort<R>) -> Result<Joined> {
    let people = cohort.people();
    let samples: Vec<Sample<'_>> = match people {
        Some(people) => (0..people.len())
            .filter_map(|index| people.person(index))
            .map(|person| Sample { family: Some(person.family), id: person.id })
            .collect(),
        None => cohort.samples().iter().map(|id| Sample::named(id)).collect(),
    };
    let columns: Vec<&str> = args.traits.iter().chain(&args.covariates).map(String::as_str).collect();
    let tables = Tables::read(&args.phenotypes, &samples, &columns, None)?;
    let covariates: Vec<Vec<f64>> = args.covariates.iter().map(|name| tables.column(name)).collect();
    let coding = args.coding.of_cases();
    let values = args.traits.iter().map(|name| match coding {
        None => Ok(tables.column(name)),
        Some(coding) => tables.cases(name, coding),
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    let complete = |values: &Vec<f64>| {
        let is_complete = |index: &usize| {
            !values[*index].is_nan() && covariates.iter().all(|covariate| !covariate[*index].is_nan())
        };
        (0..values.len()).filter(is_complete).count()
    };
    let used = values.iter().map(complete).collect();
    let scan = scan(args, coding.is_some(), &values, &covariates)?;
    let people = Joint {
        in_genotypes: samples.len(),
        with_a_row: tables.join.matched,
        rows_of_others: tables.join.unknown_lines.len(),
    };
    Ok(Joined { scan, people, used })
}

fn scan(args: &GwasArgs, is_cases: bool, values: &[Vec<f64>], covariates: &[Vec<f64>]) -> Result<Scan> {
    if is_cases {
        if args.whole_genome {
            bail!("`--whole-genome` is for numbers in this version; leave it out, or `--coding`");
        }
        let traits = || args.traits.iter().zip(values);
        if args.no_firth && args.test == Test::Score {
            bail!("`--no-firth` is of Wald's test; leave it or `--test score` out");
        }
        let said = |name: &str, error| tables::no_model(name, &error, &args.covariates);
        return Ok(match args.test {
            Test::Wald => {
                let fallback = if args.no_firth { Fallback::None } else { Fallback::Firth };
                let scan = |(name, values): (&String, &Vec<f64>)| {
                    Logistic::new(values, covariates, fallback).map_err(|error| said(name, error))
                };
                Scan::Logistic(traits().map(scan).collect::<Result<_>>()?)
            }
            Test::Score => {
                let scan = |(name, values): (&String, &Vec<f64>)| {
                    ScoreTest::new(values, covariates).map_err(|error| said(name, error))
                };
                Scan::Score(traits().map(scan).collect::<Result<_>>()?)
            }
        });
    }
    if args.test == Test::Score {
        bail!("`--test score` is for cases and controls: say with `--coding` how they are written");
    }
    for (name, values) in args.traits.iter().zip(values) {
        tables::refuse_two_values(name, values)?;
    }
    if args.whole_genome {
        let [values] = values else {
            bail!("`--whole-genome` takes one trait at a time");
        };
        return whole_genome(args, values, covariates);
    }
    let scan = LinearTraits::new(values, covariates).map_err(|error| {
        let name = args.traits.get(error.phenotype - 1).map_or("", String::as_str);
        tables::no_model(name, &error.problem, &args.covariates)
    })?;
    Ok(Scan::Linear(Box::new(scan)))
}

/// Time between two lines about a scan that goes on.
const EVERY: Duration = Duration::from_secs(10);
/// Of the strongest variants so many are told.
const TOP: usize = 10;

/// What comes of one trait.
struct Found<'a> {
    name: &'a str,
    people: usize,
    out: PathBuf,
    manhattan: Option<PathBuf>,
    qq: Option<PathBuf>,
    untested: u64,
    p_values: Vec<f64>,
    /// The strongest, strongest first.
    top: Vec<Point>,
    /// All, where they are drawn.
    points: Vec<Point>,
}

impl<'a> Found<'a> {
    /// It, and the beginning of its table.
    fn new(args: &GwasArgs, name: &'a str, people: usize) -> Result<(Self, Whole)> {
        // Of several traits each has its files.
        let of_trait = |path: &Path| match args.traits.len() {
            1 => path.to_owned(),
            _ => {
                let end = path.extension().map_or(String::new(), |end| format!(".{}", end.to_string_lossy()));
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                path.with_file_name(format!("{stem}.{name}{end}"))
            }
        };
        let out = of_trait(&args.out);
        let mut table = Whole::new(&out)?;
        writeln!(table, "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP")
            .with_context(|| format!("cannot write `{}`", out.display()))?;
        let found = Self {
            name,
            people,
            out,
            manhattan: args.manhattan.as_deref().map(of_trait),
            qq: args.qq.as_deref().map(of_trait),
            untested: 0,
            p_values: Vec::new(),
            top: Vec::new(),
            points: Vec::new(),
        };
        Ok((found, table))
    }

    fn add(&mut self, site: &Site, row: &Row, table: &mut Whole) -> Result<()> {
        let Site { chromosome, position, ids, reference, alternative, .. } = site;
        let Row { frequency, people, estimate, how } = row;
        let (frequency, [beta, se, stat, p]) = (number(*frequency), estimate.unwrap_or([f64::NAN; 4]));
        let cells = [beta, se, stat, p].map(|cell| number(Some(cell))).join("\t");
        writeln!(
            table,
            "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t{frequency}\t{people}\t{how}\t{cells}"
        )
        .with_context(|| format!("cannot write `{}`", self.out.display()))?;
        if estimate.is_none() {
            self.untested += 1;
            return Ok(());
        }
        self.p_values.push(p);
        if self.top.len() < TOP || self.top.last().is_some_and(|last| p < last.p) {
            let place = self.top.partition_point(|point| point.p <= p);
            self.top.insert(place, Point::new(site, p));
            self.top.truncate(TOP);
        }
        if self.manhattan.is_some() || self.qq.is_some() {
            self.points.push(Point::new(site, p));
        }
        Ok(())
    }

    fn draw(&self) -> Result<()> {
        let title = format!("{}: {} people, {} variants", self.name, self.people, self.points.len());
        if let Some(file) = &self.manhattan {
            plot::write(file, &plot::manhattan(&title, &self.points))?;
        }
        if let Some(file) = &self.qq {
            plot::write(file, &plot::qq(&title, &self.points))?;
        }
        Ok(())
    }

    fn significant(&self) -> usize {
        self.p_values.iter().filter(|p| **p < plot::SIGNIFICANT).count()
    }

    fn lambda(&self) -> Option<f64> {
        inflation(self.p_values.iter().copied())
    }

    /// A summary for people.
    fn tell(&self, people: &Joint, variants: u64, out: &mut dyn Write) -> Result<()> {
        let Joint { in_genotypes, with_a_row, rows_of_others } = people;
        writeln!(
            out,
            "people      {} with trait and covariates, of {in_genotypes} in the genotypes ({with_a_row} have a row; {rows_of_others} rows are of others)",
            self.people
        )
        .context(STDOUT)?;
        writeln!(
            out,
            "variants    {variants}, of which {} cannot be tested (column MODEL says why)",
            self.untested
        )
        .context(STDOUT)?;
        writeln!(out, "lambda      {}", number(self.lambda())).context(STDOUT)?;
        writeln!(out, "p < 5e-8    {} variants", self.significant()).context(STDOUT)?;
        for point in self.top.iter().take(5) {
            writeln!(out, "            {}  p = {}", point.name, number(Some(point.p))).context(STDOUT)?;
        }
        Ok(())
    }

    fn json(&self, variants: u64) -> Value {
        let top: Vec<_> = self.top.iter().map(|hit| json!({ "variant": hit.name, "p": hit.p })).collect();
        json!({
            "trait": self.name,
            "people": self.people,
            "variants": variants,
            "not_tested": self.untested,
            "significant": self.significant(),
            "lambda": self.lambda(),
            "top": top,
            "table": self.out.display().to_string(),
        })
    }
}

fn check(args: &GwasArgs) -> Result<()> {
    let mut names = BTreeSet::new();
    for name in &args.traits {
        if !names.insert(name) {
            bail!("`--trait` names `{name}` twice");
        }
        if args.traits.len() > 1 && name.contains(['/', '\\']) {
            bail!(
                "`{name}` is no part of the name of a file, which each of several traits has; scan it alone"
            );
        }
    }
    Ok(())
}

/// Scans a file for traits.
pub fn run(args: &GwasArgs, out: &mut dyn Write) -> Result<bool> {
    check(args)?;
    let mut cohort = file::cohort(&args.file)?;
    let Joined { mut scan, people, used } = join(args, &cohort)?;
    let traits = args.traits.iter().zip(used);
    let (mut found, mut tables) = (Vec::new(), Vec::new());
    for (name, people) in traits {
        let (of_trait, table) = Found::new(args, name, people)?;
        found.push(of_trait);
        tables.push(table);
    }
    let mut variants = 0_u64;
    // A terminal has the bar of the file; elsewhere a line now and then says that a long scan goes on.
    let is_told = !std::io::stderr().is_terminal();
    let mut told = Instant::now();
    while let Some((block, sites)) = cohort.read()? {
        if is_told && told.elapsed() >= EVERY {
            tell(&format!("scan: {variants} variants so far"));
            told = Instant::now();
        }
        for (site, rows) in sites.iter().zip(scan.of(block, sites)?) {
            variants += 1;
            for ((found, table), row) in found.iter_mut().zip(&mut tables).zip(&rows) {
                found.add(site, row, table)?;
            }
        }
    }
    tables.into_iter().try_for_each(Whole::finish)?;
    found.iter().try_for_each(Found::draw)?;
    if args.json {
        let documents: Vec<Value> = found.iter().map(|found| found.json(variants)).collect();
        let document = match <[Value; 1]>::try_from(documents) {
            Ok([document]) => document,
            Err(documents) => json!({ "traits": documents }),
        };
        writeln!(out, "{document}").context(STDOUT)?;
    } else {
        for found in &found {
            if args.traits.len() > 1 {
                writeln!(out, "trait       {}, in {}", found.name, found.out.display()).context(STDOUT)?;
            }
            found.tell(&people, variants, out)?;
        }
    }
    Ok(true)
}
