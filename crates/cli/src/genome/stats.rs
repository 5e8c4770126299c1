//! `histone genome stats`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use histone_genome::stats::counts::{self, BySample, Counts};
use histone_genome::stats::hardy_weinberg::{self, Tail};
use histone_genome::variant::Site;
use serde_json::json;

use super::file::{self, Whole, number};
use crate::progress::STDOUT;

/// What to count.
#[derive(Args)]
pub struct StatsArgs {
    /// The file: VCF, BCF, BGEN, or one file of a PLINK fileset.
    file: PathBuf,
    /// Write a line for each variant into this file, tab-separated: counts, frequency of ALT, missing calls, Hardy-Weinberg.
    #[arg(long, value_name = "FILE")]
    variants: Option<PathBuf>,
    /// Write a line for each person into this file, tab-separated: calls, missing, heterozygous.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Halve the probability of what was seen, in tests of Hardy-Weinberg (mid-p).
    #[arg(long)]
    mid_p: bool,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Summary {
    variants: u64,
    transitions: u64,
    transversions: u64,
    constant: u64,
    missing: u64,
    unlikely: u64,
    excess: u64,
}

/// A single base for another one, and whether it is a transition.
fn is_transition(site: &Site) -> Option<bool> {
    let [a, b] = [&site.reference, &site.alternative].map(|allele| allele.to_ascii_uppercase());
    let single = |allele: &str| matches!(allele, "A" | "C" | "G" | "T");
    let pair = [a.as_str(), b.as_str()];
    (single(&a) && single(&b) && a != b)
        .then_some(matches!(pair, ["A", "G"] | ["G", "A"] | ["C", "T"] | ["T", "C"]))
}

/// Below this, calls of a variant do not go with Hardy-Weinberg.
const UNLIKELY: f64 = 1e-6;

impl Summary {
    fn add(&mut self, site: &Site, counts: &Counts, p: f64) {
        self.variants += 1;
        match is_transition(site) {
            Some(true) => self.transitions += 1,
            Some(false) => self.transversions += 1,
            None => {}
        }
        let alternatives = counts.alternatives();
        self.constant += u64::from(alternatives == 0 || alternatives == 2 * counts.known());
        self.missing += counts.missing;
        if p < UNLIKELY {
            self.unlikely += 1;
            let f = counts.frequency().unwrap_or_default();
            let expected = 2.0 * f * (1.0 - f) * counts.known() as f64;
            self.excess += u64::from(counts.het as f64 > expected);
        }
    }
}

/// Counts the calls of a file.
pub fn run(args: &StatsArgs, out: &mut dyn Write) -> Result<bool> {
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    let tail = if args.mid_p { Tail::MidP } else { Tail::Whole };
    let mut table = args.variants.as_deref().map(Whole::new).transpose()?;
    let cannot = "a table cannot be written";
    if let Some(table) = &mut table {
        writeln!(table, "#CHROM\tPOS\tID\tREF\tALT\tHOM_REF\tHET\tHOM_ALT\tMISSING\tALT_FREQ\tHWE_P")
            .context(cannot)?;
    }
    let (mut summary, mut people) = (Summary::default(), BySample::new(samples.len()));
    while let Some((block, sites)) = cohort.read()? {
        people.add(block, u64::MAX >> (64 - block.variants()));
        for (site, counts) in sites.iter().zip(counts::of_block(block)) {
            // Men have one X: this test is not for them.
            let p = hardy_weinberg::autosomal(&counts, tail);
            summary.add(site, &counts, p);
            if let Some(table) = &mut table {
                let Site { chromosome, position, ids, reference, alternative, .. } = site;
                let Counts { hom_ref, het, hom_alt, missing } = counts;
                let (frequency, p) = (number(counts.frequency()), number(Some(p)));
                writeln!(
                    table,
                    "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t{hom_ref}\t{het}\t{hom_alt}\t{missing}\t{frequency}\t{p}"
                )
                .context(cannot)?;
            }
        }
    }
    if let Some(table) = table {
        table.finish()?;
    }
    if let Some(file) = &args.people {
        let mut table = Whole::new(file)?;
        writeln!(table, "#IID\tCALLS\tMISSING\tMISSING_FREQ\tHET\tHET_FREQ").context(cannot)?;
        for (name, counts) in samples.iter().zip(people.counts()) {
            let (missing, het) = (number(counts.missingness()), number(counts.heterozygosity()));
            writeln!(
                table,
                "{name}\t{}\t{}\t{missing}\t{}\t{het}",
                counts.known(),
                counts.missing,
                counts.het
            )
            .context(cannot)?;
        }
        table.finish()?;
    }
    let Summary { variants, transitions, transversions, constant, missing, unlikely, excess } = summary;
    let ratio = (transversions > 0).then(|| transitions as f64 / transversions as f64);
    let calls = variants * samples.len() as u64;
    let rate = (calls > 0).then(|| missing as f64 / calls as f64);
    if args.json {
        let line = json!({
            "file": args.file.display().to_string(),
            "samples": samples.len(),
            "variants": variants,
            "constant": constant,
            "transitions": transitions,
            "transversions": transversions,
            "ti_tv": ratio,
            "missing": missing,
            "missing_rate": rate,
            "hwe_below_1e-6": unlikely,
            "hwe_below_1e-6_by_excess_of_heterozygotes": excess,
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    writeln!(out, "samples     {}", samples.len()).context(STDOUT)?;
    writeln!(out, "variants    {variants}, of which {constant} are the same in everybody").context(STDOUT)?;
    writeln!(out, "Ti/Tv       {} ({transitions} transitions, {transversions} transversions)", number(ratio))
        .context(STDOUT)?;
    writeln!(out, "missing     {missing} calls, {} of all", number(rate)).context(STDOUT)?;
    writeln!(
        out,
        "HWE         {unlikely} variants with p < 1e-6, {excess} of them by too many heterozygotes (all people, also where they have one X)"
    )
    .context(STDOUT)?;
    Ok(true)
}
