//! `histone genome meta`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use histone_genome::meta::{Combined, Matched, Meta, Method as How, Strands, Study};
use histone_genome::text::TextLimits;
use histone_genome::variant::Site;
use serde_json::json;

use super::file::{self, number};
use super::plot::{self, Point};
use crate::progress::{STDOUT, tell};

/// What to add up, and how.
#[derive(Args)]
pub struct MetaArgs {
    /// Tables of scans: of `histone genome gwas`, `histone genome associations`, or plink2's `--glm`. All of one build, of people no two of
    /// which are in two tables.
    #[arg(required = true, num_args = 2.., value_name = "TABLE")]
    tables: Vec<PathBuf>,
    /// How studies are weighted.
    #[arg(long, value_enum, default_value_t = Method::Variance)]
    method: Method,
    /// Take each study's genomic inflation out of it where it is above 1.
    #[arg(long)]
    gc: bool,
    /// All tables are of one strand, as those of VCF files are: letters say which allele is meant, whatever the frequencies. Otherwise
    /// A/T and C/G are left out where their frequency is near one half, or beyond it in another table, and any variant where it differs by
    /// more than one half.
    #[arg(long)]
    same_strand: bool,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE", required_if_eq("json", "true"))]
    out: Option<PathBuf>,
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

/// How studies are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Estimates by their inverse variance: one effect is assumed for all.
    Variance,
    /// Z-scores by the square root of the people: for traits that were measured in different units.
    Z,
}

/// Adds tables up.
pub fn run(args: &MetaArgs, out: &mut dyn Write) -> Result<bool> {
    let how = match args.method {
        Method::Variance => How::InverseVariance,
        Method::Z => How::SampleSize,
    };
    let strands = if args.same_strand { Strands::Same } else { Strands::Unknown };
    let mut meta = Meta::new(how, strands);
    let mut studies = Vec::new();
    for (i, path) in args.tables.iter().enumerate() {
        let same = |other: &PathBuf| path.canonicalize().ok() == other.canonicalize().ok();
        if args.tables[..i].iter().any(same) {
            bail!("`{}` is named twice; people count once", path.display());
        }
        let name = path.display().to_string();
        let study = Study::read(&name, file::text(path)?, &TextLimits::default())?;
        let lambda = study.inflation();
        let matched = meta.add(&study, lambda.filter(|_| args.gc));
        if matched.used == 0 {
            bail!(
                "{name}: of {} rows with an estimate none can be used{}",
                study.rows().len(),
                if matched.without_people > 0 {
                    ", because the table does not say how many people there were"
                } else {
                    ""
                }
            );
        }
        if !studies.is_empty() && matched.shared == 0 {
            bail!("{name}: no variant is in the tables before it; their builds may differ");
        }
        tell(&said(&name, &study, &matched, lambda));
        studies.push(summary(&name, &study, &matched, lambda));
    }
    let found = meta.finish();
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(
        table,
        "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tSTUDIES\tDIRECTION\tBETA\tSE\tSTAT\tP\tQ\tI2\tHET_P"
    )
    .context(cannot)?;
    let mut points = Vec::with_capacity(found.len());
    for variant in &found {
        let site = site(variant);
        let Site { chromosome, position, ids, reference, alternative, .. } = &site;
        let has_effect = how == How::InverseVariance;
        let [frequency, effect, error, z, p, q, i2, het] = [
            variant.frequency,
            has_effect.then_some(variant.effect),
            has_effect.then_some(variant.error),
            Some(variant.z()),
            Some(variant.p()),
            (variant.studies() > 1).then_some(variant.q),
            variant.i_squared(),
            variant.heterogeneity_p(),
        ]
        .map(number);
        let people = if variant.people > 0 { variant.people.to_string() } else { "NA".into() };
        let (count, directions) = (variant.studies(), &variant.directions);
        writeln!(
            table,
            "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t{frequency}\t{people}\t{count}\t{directions}\t{effect}\t{error}\t{z}\t{p}\t{q}\t{i2}\t{het}"
        )
        .context(cannot)?;
        points.push(Point::new(&site, variant.p()));
    }
    table.finish()?;
    let title = format!("{} studies: {} variants", studies.len(), points.len());
    if let Some(file) = &args.manhattan {
        plot::write(file, &plot::manhattan(&title, &points))?;
    }
    if let Some(file) = &args.qq {
        plot::write(file, &plot::qq(&title, &points))?;
    }
    let inflation = plot::inflation(&points);
    let significant = points.iter().filter(|point| point.p < plot::SIGNIFICANT).count();
    let in_all = found.iter().filter(|variant| variant.studies() == studies.len()).count();
    let differ = found.iter().filter(|v| v.heterogeneity_p().is_some_and(|p| p < plot::SIGNIFICANT)).count();
    if args.json {
        points.sort_by(|a, b| a.p.total_cmp(&b.p));
        let top: Vec<_> =
            points.iter().take(10).map(|point| json!({ "variant": point.name, "p": point.p })).collect();
        let line = json!({
            "studies": studies,
            "variants": found.len(),
            "in_all_studies": in_all,
            "significant": significant,
            "heterogeneous": differ,
            "lambda": inflation,
            "top": top,
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    tell(&format!(
        "{} variants, {in_all} of them in all studies; lambda {}; {significant} with p < 5e-8; of {differ} the studies differ with p < 5e-8",
        found.len(),
        number(inflation)
    ));
    Ok(true)
}

fn site(variant: &Combined) -> Site {
    Site {
        line: 0,
        chromosome: variant.variant.chromosome().to_string(),
        position: u64::from(variant.variant.position().get()),
        ids: variant.label.text().unwrap_or(".").to_owned(),
        reference: variant.variant.reference().to_string(),
        alternative: variant.variant.alternative().to_string(),
    }
}

fn said(name: &str, study: &Study, matched: &Matched, lambda: Option<f64>) -> String {
    let mut text = format!("{name}: {} variants, lambda {}", matched.used, number(lambda));
    for (count, what) in [
        (matched.turned, "turned, alleles swapped"),
        (matched.flipped, "of the other strand"),
        (study.without_estimate(), "without an estimate"),
        (study.without_identity(), "of no chromosome or letters that are known, or of several alternatives"),
        (matched.ambiguous, "left out, A/T or C/G whose strand nobody can tell"),
        (matched.frequencies_differ, "left out, frequencies contradict the alleles"),
        (matched.repeated, "left out, there before"),
        (matched.without_people, "left out, without the number of people"),
    ] {
        if count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    text
}

fn summary(name: &str, study: &Study, matched: &Matched, lambda: Option<f64>) -> serde_json::Value {
    json!({
        "table": name,
        "used": matched.used,
        "shared": matched.shared,
        "turned": matched.turned,
        "other_strand": matched.flipped,
        "without_estimate": study.without_estimate(),
        "without_identity": study.without_identity(),
        "ambiguous": matched.ambiguous,
        "frequencies_differ": matched.frequencies_differ,
        "repeated": matched.repeated,
        "without_people": matched.without_people,
        "lambda": lambda,
    })
}
