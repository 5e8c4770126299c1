//! `histone genome index`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::vcf::index::{Index, Kind as IndexKind};
use histone_genome::vcf::{Limits, bgzf};

use super::file::{self, Kind, Whole};
use crate::progress::tell;

/// Of what file.
#[derive(Args)]
pub struct IndexArgs {
    /// The file: VCF in BGZF, sorted by chromosome and position.
    file: PathBuf,
    /// Write a .csi, for positions beyond 536,870,912, instead of a .tbi.
    #[arg(long)]
    csi: bool,
}

/// Writes the index beside the file.
pub fn run(args: &IndexArgs, _: &mut dyn Write) -> Result<bool> {
    let kind = Kind::of(&args.file)?;
    if kind != Kind::Vcf {
        bail!("{} has no index here; only VCF in BGZF has", kind.name());
    }
    let source = bgzf::Reader::new(file::open(&args.file)?, bgzf::Limits::default());
    let (kind, end) = if args.csi { (IndexKind::Csi, ".csi") } else { (IndexKind::Tbi, ".tbi") };
    let index = Index::of(&args.file.display().to_string(), source, kind, &Limits::default())?;
    let mut beside = args.file.as_os_str().to_owned();
    beside.push(end);
    let beside = PathBuf::from(beside);
    let cannot = || format!("cannot write `{}`", beside.display());
    let mut packed = bgzf::Writer::new(Whole::new(&beside)?);
    index.write(&mut packed).with_context(cannot)?;
    packed.finish().with_context(cannot)?.finish()?;
    let records: u64 = index.names().iter().filter_map(|name| index.records(name)).sum();
    tell(&format!(
        "{records} records of {} chromosomes are found by {}",
        index.names().len(),
        beside.display()
    ));
    Ok(true)
}
