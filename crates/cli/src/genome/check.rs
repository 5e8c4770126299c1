//! `histone genome check`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use histone_genome::vcf::{self, Finding, Severity};
use serde_json::json;

use super::file::{self, Kind};
use crate::progress::STDOUT;

/// What to check.
#[derive(Args)]
pub struct CheckArgs {
    /// Files: VCF, or one file of a PLINK fileset.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print so many findings of each severity for a file.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    most: usize,
    /// Print one JSON document for each file, one a line.
    #[arg(long)]
    json: bool,
}

/// Checks files. Gives whether all of them are valid.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<bool> {
    let mut valid = true;
    for path in &args.files {
        valid &= match Kind::of(path)? {
            Kind::Vcf => vcf(path, args, out)?,
            kind => readable(path, kind, args, out)?,
        };
    }
    Ok(valid)
}

fn vcf(path: &Path, args: &CheckArgs, out: &mut dyn Write) -> Result<bool> {
    let name = path.display().to_string();
    let limits = vcf::Limits { findings: args.most, ..vcf::Limits::default() };
    let report = vcf::check(&name, file::text(path)?, &limits)?;
    let version = report.version().map(|version| version.to_string());
    if args.json {
        let findings = |severity| report.findings(severity).iter().map(finding).collect::<Vec<_>>();
        let line = json!({
            "file": name,
            "format": "VCF",
            "version": version,
            "valid": report.is_valid(),
            "samples": report.samples(),
            "records": report.records(),
            "errors": { "count": report.count(Severity::Error), "first": findings(Severity::Error) },
            "warnings": { "count": report.count(Severity::Warning), "first": findings(Severity::Warning) },
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(report.is_valid());
    }
    write!(out, "{report}").context(STDOUT)?;
    let word = if report.is_valid() { "valid" } else { "NOT VALID" };
    writeln!(
        out,
        "{name}: {word}, {}, {} samples, {} records, {} errors, {} warnings",
        version.as_deref().unwrap_or("of no known version"),
        report.samples(),
        report.records(),
        report.count(Severity::Error),
        report.count(Severity::Warning)
    )
    .context(STDOUT)?;
    Ok(report.is_valid())
}

fn finding(finding: &Finding) -> serde_json::Value {
    json!({
        "line": finding.line,
        "column": finding.column,
        "field": finding.field.to_string(),
        "rule": finding.rule.id(),
        "sentence": finding.rule.sentence(),
    })
}

/// Everything else is valid when all of it can be read.
fn readable(path: &Path, kind: Kind, args: &CheckArgs, out: &mut dyn Write) -> Result<bool> {
    let name = path.display().to_string();
    let read = || -> Result<(usize, usize)> {
        let mut cohort = file::cohort(path)?;
        let mut variants = 0;
        while let Some((block, _)) = cohort.read()? {
            variants += block.variants();
        }
        Ok((cohort.samples().len(), variants))
    };
    let read = read();
    let valid = read.is_ok();
    if args.json {
        let line = match &read {
            Ok((samples, variants)) => {
                json!({ "file": name, "format": kind.name(), "valid": true, "samples": samples, "variants": variants })
            }
            Err(error) => {
                json!({ "file": name, "format": kind.name(), "valid": false, "error": format!("{error:#}") })
            }
        };
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(valid);
    }
    match read {
        Ok((samples, variants)) => {
            writeln!(out, "{name}: valid, {}, {samples} samples, {variants} variants", kind.name())
        }
        Err(error) => writeln!(out, "{name}: NOT VALID, {error:#}"),
    }
    .context(STDOUT)?;
    Ok(valid)
}
