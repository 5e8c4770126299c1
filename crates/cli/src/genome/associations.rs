//! `histone genome associations`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::assembly::Assembly;
use histone_genome::panel::Panel;
use histone_genome::variant::Site;
use histone_program_sdk::config::{Kind, Outcome};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire as _;

use super::file::{self, number};
use super::plot::{self, Point};
use crate::progress::tell;

/// Which model of a scan.
#[derive(Args)]
pub struct AssociationsArgs {
    /// The folder of a run with a public model, or the file of a model of a scan.
    model: PathBuf,
    /// The panel of the study; a run folder has it.
    #[arg(long, value_name = "FILE")]
    panel: Option<PathBuf>,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw p-values along the genome into this file (SVG).
    #[arg(long, value_name = "FILE")]
    manhattan: Option<PathBuf>,
    /// Draw p-values against those that chance gives into this file (SVG).
    #[arg(long, value_name = "FILE")]
    qq: Option<PathBuf>,
}

/// A model of a scan, if these bytes are one.
fn scan(bytes: &[u8]) -> Option<Model> {
    Model::from_bytes(bytes).ok().filter(|model| !model.array("p").is_empty())
}

/// The panel whose text this is.
fn panel(name: &str, text: &[u8]) -> Result<Panel> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let assembly = std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix("##assembly="));
    let assembly = assembly.and_then(Assembly::from_name);
    let assembly =
        assembly.with_context(|| format!("{name}, line 1: it does not say `##assembly=` and the build"))?;
    Ok(Panel::read(name, text, assembly)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    file::is_read(path);
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Writes what a scan over hospitals has found.
pub fn run(args: &AssociationsArgs, out: &mut dyn Write) -> Result<bool> {
    let shown = args.model.display();
    let blobs = args.model.join("blobs");
    let model = if args.model.is_dir() {
        let entries = fs::read_dir(&blobs).with_context(|| format!("cannot read `{}`", blobs.display()))?;
        let found = entries.filter_map(|entry| scan(&fs::read(entry.ok()?.path()).ok()?)).next();
        found.with_context(|| {
            format!("`{shown}` holds no model of a scan; one that is not public is not in a run folder: `model = \"public\"` under [training] gives everybody the model, whoever sees the sums")
        })?
    } else {
        scan(&read(&args.model)?).with_context(|| format!("`{shown}` is no model of a scan"))?
    };
    let kind = model.config.features.iter().find_map(|feature| match &feature.kind {
        Kind::Genotypes { panel, variants } => Some((panel.clone(), *variants as usize)),
        _ => None,
    });
    let (name, variants) = kind.with_context(|| format!("`{shown}` is of no genotypes"))?;
    let file = args.panel.clone().unwrap_or_else(|| blobs.join(name.trim_start_matches("0x")));
    let text = read(&file).context("name the panel of the study with `--panel`")?;
    let panel = panel(&file.display().to_string(), &text)?;
    // A panel of another order would give every variant another's figures.
    let hash = histone_protocol::hash::blob_hash(panel.text().as_bytes());
    if format!("{hash:x}") != name.trim_start_matches("0x") || panel.variants().len() != variants {
        bail!("`{}` is not the panel of this model, which is {name}", file.display());
    }
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(table, "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP")
        .context(cannot)?;
    let mut points = Vec::new();
    // As `gwas` calls them.
    let test = if matches!(model.config.outcome, Outcome::YesNo { .. }) { "score" } else { "linear" };
    for (i, variant) in panel.variants().iter().enumerate() {
        let at = |array: &str| model.array(array).get(i).copied().filter(|v| !v.is_nan());
        let Site { chromosome, position, ids, reference, alternative, .. } = &variant.site;
        let (p, how) = (at("p"), if at("p").is_some() { test } else { "not-told" });
        let people = at("people").map_or("NA".into(), |n| n.to_string());
        let stat = at("estimate").zip(at("standard error")).map(|(estimate, error)| estimate / error);
        let [frequency, beta, se, stat, shown] =
            [at("frequency"), at("estimate"), at("standard error"), stat, p].map(number);
        writeln!(
            table,
            "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t{frequency}\t{people}\t{how}\t{beta}\t{se}\t{stat}\t{shown}"
        )
        .context(cannot)?;
        points.extend(p.map(|p| Point::new(&variant.site, p)));
    }
    table.finish()?;
    let outcome = match &model.config.outcome {
        Outcome::Number { name, .. } | Outcome::YesNo { name } => name,
        Outcome::EventTime { time, .. } => time,
    };
    let title = format!("{} over hospitals: {} variants", outcome, points.len());
    if let Some(file) = &args.manhattan {
        plot::write(file, &plot::manhattan(&title, &points))?;
    }
    if let Some(file) = &args.qq {
        plot::write(file, &plot::qq(&title, &points))?;
    }
    tell(&format!(
        "{} of {variants} variants have figures; lambda {}",
        points.len(),
        number(plot::inflation(&points))
    ));
    Ok(true)
}
