//! `histone genome qc`.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::assembly::Assembly;
use histone_genome::genotypes::Genotypes;
use histone_genome::quality::{Check, Panel, Policy, Verdict};
use histone_genome::variant::Variant;
use serde_json::json;

use super::file::{self, number};
use crate::progress::STDOUT;

/// What is checked.
#[derive(Args)]
pub struct QcArgs {
    /// Genotypes: VCF, BCF, PLINK or BGEN.
    file: PathBuf,
    /// The build that positions count on, such as GRCh38.
    #[arg(long)]
    build: String,
    /// Genotypes of people who are known to be real, at the same variants; none of them may be among those that are checked.
    #[arg(long, value_name = "FILE", requires = "populations")]
    panel: Option<PathBuf>,
    /// Table of the panel's people: name and population, tab-separated, below a heading.
    #[arg(long, value_name = "FILE", requires = "panel")]
    populations: Option<PathBuf>,
    /// Write the findings, tab-separated, into this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

fn panel(args: &QcArgs, assembly: Assembly) -> Result<Option<Panel>> {
    let (Some(file), Some(table)) = (&args.panel, &args.populations) else { return Ok(None) };
    file::is_read(table);
    let text =
        std::fs::read_to_string(table).with_context(|| format!("cannot read `{}`", table.display()))?;
    let rows = text.lines().skip(1).filter_map(|line| line.split_once('\t'));
    let of: HashMap<&str, &str> =
        rows.map(|(name, rest)| (name, rest.split('\t').next().unwrap_or(rest))).collect();
    let mut cohort = file::cohort(file)?;
    let (mut names, mut populations) = (Vec::<String>::new(), Vec::new());
    for sample in cohort.samples() {
        let Some(population) = of.get(sample.as_str()) else {
            bail!("`{}` has no population for a person of `{}`", table.display(), file.display());
        };
        let at = names.iter().position(|name| name == population).unwrap_or_else(|| {
            names.push((*population).to_owned());
            names.len() - 1
        });
        populations.push(at);
    }
    let (mut genotypes, mut variants) = (Genotypes::new(populations.len()), Vec::new());
    while let Some((block, sites)) = cohort.read()? {
        for (row, site) in block.rows().zip(sites) {
            if let Ok(variant) = site.variant(assembly) {
                genotypes.push_row(row)?;
                variants.push(variant);
            }
        }
    }
    Ok(Some(Panel::new(genotypes, variants, names, &populations)?))
}

/// Says what was found, and whether it is anything else than a pass.
pub fn run(args: &QcArgs, out: &mut dyn Write) -> Result<bool> {
    let Some(assembly) = Assembly::from_name(&args.build) else {
        bail!("`{}` is no build; write GRCh37 or GRCh38", args.build.escape_debug());
    };
    let panel = panel(args, assembly)?;
    let mut cohort = file::cohort(&args.file)?;
    let trios = cohort.people().map(|people| people.trios().collect()).unwrap_or_default();
    let mut check = Check::new(cohort.samples().len(), cohort.sexes(), trios, panel.as_ref());
    let mut variants = 0_usize;
    while let Some((block, sites)) = cohort.read()? {
        let named: Vec<Option<Variant>> = sites.iter().map(|site| site.variant(assembly).ok()).collect();
        variants += named.iter().flatten().count();
        check.add(block, &named)?;
    }
    let report = check.finish(&Policy::default());
    if let Some(file) = &args.out {
        let mut table = file::Whole::new(file)?;
        report.write(&mut table).with_context(|| format!("cannot write `{}`", file.display()))?;
        table.finish()?;
    }
    let word = |verdict: Verdict| match verdict {
        Verdict::Pass => "pass",
        Verdict::Review => "review",
        Verdict::Refuse => "refuse",
    };
    let (verdict, people) = (report.verdict(), cohort.samples().len());
    if args.json {
        let finding = |f: &histone_genome::quality::Finding| json!({ "measure": f.measure.name(), "value": f.value, "verdict": word(f.verdict) });
        let findings: Vec<_> = report.findings().iter().map(finding).collect();
        let mix: HashMap<&str, f64> =
            report.mix().iter().map(|(name, share)| (name.as_str(), *share)).collect();
        let line = json!({
            "people": people, "variants": variants, "verdict": word(verdict), "findings": findings, "mix": mix,
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(verdict == Verdict::Pass);
    }
    for finding in report.findings() {
        let (name, value) = (finding.measure.name(), number(Some(finding.value)));
        writeln!(out, "{name:<26} {value:>12}  {}", word(finding.verdict)).context(STDOUT)?;
    }
    for (name, share) in report.mix().iter().filter(|(_, share)| *share > 0.005) {
        writeln!(out, "like the panel's {name:<9} {share:>12.2}").context(STDOUT)?;
    }
    writeln!(out, "{people} people, {variants} variants: {}", word(verdict)).context(STDOUT)?;
    Ok(verdict == Verdict::Pass)
}
