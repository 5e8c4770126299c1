//! `histone genome view`.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use histone_genome::text::TextLimits;
use histone_genome::vcf::index::{Index, Parts};
use histone_genome::vcf::view::{Filter, SampleError, View};
use histone_genome::vcf::{self, Regions, bcf, bgzf};

use super::file::{self, Kind, Whole};
use crate::progress::{STDOUT, tell};

/// Which records, and of whom.
#[derive(Args)]
pub struct ViewArgs {
    /// The file: VCF, as text or compressed, or BCF.
    file: PathBuf,
    /// Records that overlap a region: `22`, `22:100`, `22:100-200` or `22:100-`, positions from 1 and both ends in it. May stand several
    /// times.
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
    /// Records that overlap a stretch of a BED file.
    #[arg(long, value_name = "FILE")]
    regions: Option<PathBuf>,
    /// Records with a QUAL of so much or more.
    #[arg(long, value_name = "QUALITY")]
    min_qual: Option<f32>,
    /// Records whose alternative alleles, all together, have a frequency in this range, ends included: `0.01..0.5`, `0.05..`. Counted from
    /// the calls of the people who are kept; from AC and AN of INFO where there are no calls.
    #[arg(long, value_name = "LOW..HIGH", value_parser = range)]
    frequency: Option<RangeInclusive<f64>>,
    /// Records whose FILTER is PASS.
    #[arg(long)]
    pass: bool,
    /// Records with one alternative allele.
    #[arg(long)]
    biallelic: bool,
    /// These people only, in this order, separated by commas. AC and AN of INFO are counted anew; nothing else of INFO is.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "samples_file")]
    samples: Vec<String>,
    /// The same, out of a file with a name on each line.
    #[arg(long, value_name = "FILE")]
    samples_file: Option<PathBuf>,
    /// Write into this file, .vcf or .vcf.gz; else plain VCF goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn range(text: &str) -> Result<RangeInclusive<f64>, String> {
    let number = |text: &str, open: f64| if text.is_empty() { Some(open) } else { text.parse::<f64>().ok() };
    let ends = text.split_once("..").and_then(|(low, high)| Some((number(low, 0.0)?, number(high, 1.0)?)));
    match ends {
        Some((low, high)) if 0.0 <= low && low <= high && high <= 1.0 => Ok(low..=high),
        _ => {
            Err("a range is two numbers from 0 to 1, the smaller first: `0.01..0.5`; an end may be left out"
                .into())
        }
    }
}

/// Writes what passes.
pub fn run(args: &ViewArgs, out: &mut dyn Write) -> Result<bool> {
    let kind = Kind::of(&args.file)?;
    if !matches!(kind, Kind::Vcf | Kind::Bcf) {
        bail!("records of {} are not viewed; make a VCF with `histone genome convert` first", kind.name());
    }
    if let Some(out) = &args.out
        && Kind::of(out)? != Kind::Vcf
    {
        bail!("what is written is .vcf or .vcf.gz");
    }
    let real = |path: &Path| path.canonicalize().ok();
    if let Some(out) = args.out.as_deref().filter(|out| real(out).is_some() && real(out) == real(&args.file))
    {
        bail!("`{}` is the file that is read; name another one with `--out`", out.display());
    }
    let filter = Filter {
        regions: regions(args)?,
        least_quality: args.min_qual,
        pass: args.pass,
        biallelic: args.biallelic,
        frequency: args.frequency.clone(),
    };
    let name = args.file.display().to_string();
    let limits = vcf::Limits::default();
    let source = bgzf::Reader::new(file::open(&args.file)?, bgzf::Limits::default());
    if kind == Kind::Bcf {
        let text = BufReader::new(bcf::Text::new(&name, source, &limits)?);
        let reader = vcf::Reader::new(&name, text, &limits)?;
        return write(args, chosen(args, View::new(reader, filter))?, out).map(|()| true);
    }
    let reader = vcf::Reader::new(&name, Parts::new(source), &limits)?;
    let is_bgzf = reader.source().kind() == Some(bgzf::Kind::Bgzf);
    let index = if filter.regions.is_some() && is_bgzf { index(&args.file)? } else { None };
    let view = chosen(args, View::new(reader, filter))?;
    match index {
        Some(index) => write(args, view.with_index(&index), out).context(
            "read with the help of an index: lines are counted from the header on, and what was passed over is not counted",
        )?,
        None => write(args, view, out)?,
    }
    Ok(true)
}

fn regions(args: &ViewArgs) -> Result<Option<Regions>> {
    if args.region.is_empty() && args.regions.is_none() {
        return Ok(None);
    }
    let mut regions = Regions::default();
    for text in &args.region {
        regions.add(text)?;
    }
    if let Some(path) = &args.regions {
        regions.add_bed(&path.display().to_string(), file::text(path)?, &TextLimits::default())?;
    }
    Ok(Some(regions))
}

fn chosen<R: BufRead>(args: &ViewArgs, view: View<R>) -> Result<View<R>> {
    let names = match &args.samples_file {
        Some(path) => {
            file::is_read(path);
            let text =
                fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let names: Vec<String> =
                text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
            if names.is_empty() {
                bail!("`{}` names nobody", path.display());
            }
            names
        }
        None if args.samples.is_empty() => return Ok(view),
        None => args.samples.clone(),
    };
    // Whoever asks has named them: the name may be said.
    let said = |error: &SampleError| match *error {
        SampleError::Unknown(at) => {
            names.get(at - 1).map(|name| format!("`{name}` is not among the file's samples"))
        }
        SampleError::Repeated(at) => names.get(at - 1).map(|name| format!("`{name}` is asked for twice")),
        _ => None,
    };
    view.with_samples(&names).map_err(|error| match said(&error) {
        Some(text) => anyhow!(text),
        None => error.into(),
    })
}

/// The index beside a file.
fn index(path: &Path) -> Result<Option<Index>> {
    for end in ["tbi", "csi"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{end}"));
        let beside = PathBuf::from(beside);
        if !beside.is_file() {
            continue;
        }
        let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
        if changed(&beside) < changed(path) {
            tell(&format!(
                "`{}` is older than the file and is not used: make it again with `histone genome index`",
                beside.display()
            ));
            continue;
        }
        let index = Index::read(&beside.display().to_string(), file::text(&beside)?)?;
        let bytes = path.metadata().with_context(|| format!("cannot read `{}`", path.display()))?.len();
        if !index.fits(bytes) {
            bail!(
                "`{}` is the index of another file: its last record is elsewhere; make it again with `histone genome index`",
                beside.display()
            );
        }
        return Ok(Some(index));
    }
    Ok(None)
}

fn write<R: BufRead>(args: &ViewArgs, mut view: View<R>, out: &mut dyn Write) -> Result<()> {
    match &args.out {
        None => {
            let mut out = BufWriter::with_capacity(1 << 16, out);
            lines(&mut view, &mut out, || STDOUT.into())?;
            out.flush().context(STDOUT)?;
        }
        Some(path) => {
            let cannot = || format!("cannot write `{}`", path.display());
            let mut whole = Whole::new(path)?;
            if path.extension().is_some_and(|extension| extension != "vcf") {
                let mut packed = bgzf::Writer::new(whole);
                lines(&mut view, &mut packed, cannot)?;
                whole = packed.finish().with_context(cannot)?;
            } else {
                lines(&mut view, &mut whole, cannot)?;
            }
            whole.finish()?;
            let (read, kept) = view.records();
            tell(&format!("{kept} of {read} records that were read are in {}", path.display()));
        }
    }
    for name in view.absent() {
        tell(&format!("no record is on chromosome `{name}`: names are compared as they are written"));
    }
    Ok(())
}

fn lines<R: BufRead>(view: &mut View<R>, out: &mut impl Write, cannot: impl Fn() -> String) -> Result<()> {
    out.write_all(view.header().as_bytes()).with_context(&cannot)?;
    while let Some(line) = view.read()? {
        out.write_all(line).and_then(|()| out.write_all(b"\n")).with_context(&cannot)?;
    }
    Ok(())
}
