//! `histone genome convert`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::plink::{BedWriter, People, Sex};
use histone_genome::variant::Site;
use histone_genome::vcf::{self, Version, bcf, bgzf};

use super::file::{self, Kind, Whole, beside};
use crate::progress::tell;

/// From what to what.
#[derive(Args)]
pub struct ConvertArgs {
    /// The file to read: VCF, BCF, BGEN, or one file of a PLINK fileset.
    from: PathBuf,
    /// The file to write: .vcf, .vcf.gz or .bed (with .bim and .fam beside it). What is there is not replaced.
    to: PathBuf,
}

/// Converts a file.
pub fn run(args: &ConvertArgs, _: &mut dyn Write) -> Result<bool> {
    let kind = Kind::of(&args.to)?;
    let files = match kind {
        Kind::Vcf => vec![args.to.clone()],
        Kind::Plink => ["bed", "bim", "fam"].map(|extension| beside(&args.to, extension)).to_vec(),
        other => bail!("{} is read here and not written; write .vcf, .vcf.gz or .bed", other.name()),
    };
    if let Some(there) = files.iter().find(|file| file.exists()) {
        bail!("`{}` is there already, and is not replaced", there.display());
    }
    let variants = match kind {
        Kind::Vcf => to_vcf(&args.from, &args.to)?,
        _ => to_plink(&args.from, &args.to)?,
    };
    tell(&format!("{variants} variants are in {}", args.to.display()));
    for line in losses(&args.from)? {
        tell(&line);
    }
    Ok(true)
}

/// What the file had that is not in the new one, a line each.
fn losses(from: &Path) -> Result<Vec<String>> {
    let name = from.display().to_string();
    let limits = vcf::Limits::default();
    match Kind::of(from)? {
        Kind::Vcf => of_records(vcf::Reader::new(&name, file::text(from)?, &limits)?),
        Kind::Bcf => {
            let text = BufReader::new(bcf::Text::new(&name, file::text(from)?, &limits)?);
            of_records(vcf::Reader::new(&name, text, &limits)?)
        }
        Kind::Bgen => Ok(vec![
            "not kept: probabilities; a call is the whole number within 0.1 of the dosage, or missing".into(),
        ]),
        Kind::Plink | Kind::Plink2 => Ok(vec![]),
    }
}

fn of_records<R: BufRead>(mut reader: vcf::Reader<R>) -> Result<Vec<String>> {
    let mut counts = [0_u64; 6];
    while let Some(record) = reader.read()? {
        // Behind FORMAT; a bar elsewhere is no phase.
        let cells = record.text().splitn(10, |byte| *byte == b'\t').nth(9).unwrap_or_default();
        let has = [
            cells.contains(&b'|'),
            record.quality().is_some(),
            record.filter() != ".",
            record.info() != ".",
            !matches!(record.format(), "" | "GT"),
            record.alternatives().nth(1).is_some(),
        ];
        for (count, has) in counts.iter_mut().zip(has) {
            *count += u64::from(has);
        }
    }
    let [phase, quality, filter, info, format, several] = counts;
    let lost = [
        (phase, "not kept: phase"),
        (quality, "not kept: QUAL"),
        (filter, "not kept: FILTER"),
        (info, "not kept: INFO"),
        (format, "not kept: what FORMAT has beside GT (dosages, depths)"),
        (several, "split: several alternatives, each a variant against all others"),
    ];
    Ok(lost
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what}, of {count} records"))
        .collect())
}

fn to_plink(from: &Path, to: &Path) -> Result<u64> {
    let mut cohort = file::cohort(from)?;
    let cannot = || format!("cannot write `{}`", to.display());
    let mut fam = Whole::new(&beside(to, "fam"))?;
    match cohort.people() {
        Some(people) => people.write(&mut fam).with_context(cannot)?,
        None => {
            let people = cohort.samples().iter().map(|name| (name.as_str(), Sex::Unknown));
            People::of(&to.display().to_string(), people)?.write(&mut fam).with_context(cannot)?;
        }
    }
    let mut bed = BedWriter::new(Whole::new(&beside(to, "bed"))?).with_context(cannot)?;
    let mut bim = Whole::new(&beside(to, "bim"))?;
    let kept = match Kind::of(from)? {
        Kind::Plink => Some(file::variants(from)?),
        _ => None,
    };
    let mut number = 0;
    while let Some((block, sites)) = cohort.read()? {
        bed.write(block).with_context(cannot)?;
        if kept.is_none() {
            for site in sites {
                bim_line(site, &mut bim).with_context(cannot)?;
            }
        }
        number += sites.len() as u64;
    }
    if let Some(variants) = kept {
        variants.write(&mut bim).with_context(cannot)?;
    }
    for file in [fam, bim, bed.finish()] {
        file.finish()?;
    }
    Ok(number)
}

/// PLINK's second allele is the reference, and a chromosome has no `chr` there.
fn bim_line(site: &Site, out: &mut dyn Write) -> std::io::Result<()> {
    let Site { chromosome, position, ids, reference, alternative, .. } = site;
    let chromosome = chromosome.strip_prefix("chr").unwrap_or(chromosome);
    let ids = ids.replace(char::is_whitespace, "_");
    writeln!(out, "{chromosome}\t{ids}\t0\t{position}\t{alternative}\t{reference}")
}

fn to_vcf(from: &Path, to: &Path) -> Result<u64> {
    let packed = to.extension().is_some_and(|extension| extension != "vcf");
    let whole = Whole::new(to)?;
    if packed {
        let mut writer = bgzf::Writer::new(whole);
        let number = write_vcf(from, &mut writer)?;
        writer.finish().with_context(|| format!("cannot write `{}`", to.display()))?.finish()?;
        return Ok(number);
    }
    let mut whole = whole;
    let number = write_vcf(from, &mut whole)?;
    whole.finish()?;
    Ok(number)
}

fn write_vcf(from: &Path, out: &mut dyn Write) -> Result<u64> {
    let mut cohort = file::cohort(from)?;
    let samples: Vec<String> = cohort.samples().to_vec();
    let mut meta = vec![r#"##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">"#.to_owned()];
    // Contigs are declared before the first record: they are looked for once.
    let mut contigs: Vec<String> = Vec::new();
    let mut first = file::cohort(from)?;
    while let Some((_, sites)) = first.read()? {
        for site in sites {
            if contigs.last() != Some(&site.chromosome) && !contigs.contains(&site.chromosome) {
                contigs.push(site.chromosome.clone());
            }
        }
    }
    meta.extend(contigs.iter().map(|contig| format!("##contig=<ID={contig}>")));
    let mut writer = vcf::Writer::new(out, Version::V43, &meta, &samples)?;
    let mut number = 0;
    while let Some((block, sites)) = cohort.read()? {
        for (site, row) in sites.iter().zip(block.rows()) {
            let position = u32::try_from(site.position)
                .with_context(|| format!("line {}: the position is beyond what a VCF has", site.line))?;
            let site = vcf::Site {
                chromosome: &site.chromosome,
                position,
                ids: &site.ids,
                reference: &site.reference,
                alternative: &site.alternative,
                quality: None,
                filter: ".",
                info: ".",
            };
            writer.write(&site, row)?;
            number += 1;
        }
    }
    Ok(number)
}
