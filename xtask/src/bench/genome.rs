//! `cargo xtask bench genome`: the commands of `histone genome` beside those of PLINK and bcftools, on the same SIMULATED files, written into
//! `docs/performance.md`.
//!
//! Whole commands are measured, with everything that users wait for: starting, reading files, writing tables. One thread each, in pairs
//! that follow each other; the figure of a pair is processor time, because machines are shared.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Facts, facts, median, replace, step};

const BEGIN: &str = "<!-- written by `cargo xtask bench genome`: do not edit -->";
const END: &str = "<!-- end of `cargo xtask bench genome` -->";

/// Traits of a scan of many, and scores of a pass of many.
const TRAITS: usize = 50;
const SCORES: usize = 100;

/// How to measure.
#[derive(clap::Args)]
pub struct GenomeArgs {
    /// Pairs of each measurement.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// People, in three populations.
    #[arg(long, default_value_t = 2_500)]
    people: usize,
    /// Variants.
    #[arg(long, default_value_t = 20_000)]
    variants: usize,
    /// Print the section instead of writing it into the document.
    #[arg(long)]
    print: bool,
}

/// Ours and another's way to do the same.
struct Pair {
    what: &'static str,
    ours: Vec<String>,
    peer: &'static str,
    theirs: Vec<String>,
    /// Their time over ours, at the least.
    goal: f64,
}

/// Measures and writes.
pub fn genome(args: &GenomeArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (peer, package) in [("plink2", "plink2"), ("bcftools", "bcftools")] {
        if Command::new(peer).arg("--version").output().is_err() {
            let what =
                format!("`{peer}` (Debian: apt-get install plink2 bcftools; here {package} is missing)");
            if env::var_os("CI").is_some() {
                bail!("CI needs {what} for the benchmark of genomes");
            }
            println!("skipped  the benchmark of genomes: {what} was not found");
            return Ok(());
        }
    }
    step(
        crate::cargo::cargo().args(["build", "--release", "--locked", "--bin", "histone"]).current_dir(&root),
    )?;
    let histone = root.join("target/release/histone");
    let folder = tempfile::tempdir().context("cannot make a directory")?;
    prepare(args, &histone, folder.path())?;
    let mut rows = Vec::new();
    for pair in pairs(&histone.display().to_string()) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..args.pairs.max(1) {
            ours.push(seconds(&pair.ours, folder.path())?);
            theirs.push(seconds(&pair.theirs, folder.path())?);
        }
        // Of the pairs, not of the medians: both halves of a pair met the same machine.
        let ratios: Vec<f64> = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        let (ratio, ours, theirs) = (median(&ratios)?, median(&ours)?, median(&theirs)?);
        println!("{:42} {ours:8.2} s  {:9} {theirs:8.2} s  {ratio:6.2}", pair.what, pair.peer);
        rows.push((pair, ours, theirs, ratio));
    }
    let section = section(args, &rows, &facts(&root)?)?;
    print!("{section}");
    if args.print {
        return Ok(());
    }
    let path = root.join("docs").join("performance.md");
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    fs::write(&path, replace(&document, &section, BEGIN, END)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The files that everybody reads.
fn prepare(args: &GenomeArgs, histone: &Path, folder: &Path) -> Result<()> {
    let people = format!("{},{},{}", args.people - 2 * (args.people / 3), args.people / 3, args.people / 3);
    let mut simulate = Command::new(histone);
    simulate.args(["genome", "simulate", "--out", ".", "--site", "c", "--people", &people]);
    simulate.args(["--variants", &args.variants.to_string(), "--missing", "0.005"]);
    step(simulate.current_dir(folder))?;
    step(Command::new(histone).args(["genome", "convert", "c.bed", "c.vcf.gz"]).current_dir(folder))?;
    let read =
        |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read `{name}`"));
    // The table of traits with eight more covariates that look drawn.
    let mut traits = String::from("#FID\tIID\ttrait\till\tage\tsex");
    (1..=8).for_each(|n| {
        let _ = write!(traits, "\tc{n}");
    });
    for (i, line) in read("c.csv")?.lines().skip(1).enumerate() {
        let [person, age, sex, value, ill] = line.split(',').collect::<Vec<_>>()[..] else {
            bail!("a row of c.csv")
        };
        let (sex, ill) = (u8::from(sex == "male"), 1 + u8::from(ill == "yes"));
        let _ = write!(traits, "\n0\t{person}\t{value}\t{ill}\t{age}\t{sex}");
        for n in 1..=8_usize {
            let _ =
                write!(traits, "\t{}", ((i * 7_919 + n * 104_729) * (i + 31 * n) % 10_007) as f64 / 10_007.0);
        }
    }
    fs::write(folder.join("traits.tsv"), traits + "\n")?;
    let people = read("c.fam")?;
    let names: Vec<&str> = people.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let thousand = names.iter().take(1_000).map(|name| format!("{name}\n"));
    fs::write(folder.join("thousand.txt"), thousand.collect::<String>())?;
    // Fifty numbers that look drawn.
    let mut many = String::from("#IID");
    (1..=TRAITS).for_each(|n| many.push_str(&format!("\ty{n}")));
    for (i, name) in names.iter().enumerate() {
        many.push_str(&format!("\n{name}"));
        for n in 1..=TRAITS {
            many.push_str(&format!(
                "\t{}",
                ((i * 7_919 + n * 104_729) * (i + 31 * n) % 10_007) as f64 / 10_007.0
            ));
        }
    }
    fs::write(folder.join("many.tsv"), many + "\n")?;
    scores(&read("panel.tsv")?, folder)
}

/// Scores of all variants: one, and a hundred, which are a file each for us and a table for PLINK.
fn scores(panel: &str, folder: &Path) -> Result<()> {
    const HEAD: &str = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n";
    let mut files: Vec<String> = (0..SCORES).map(|n| format!("#pgs_id=SIMULATED{n}\n{HEAD}")).collect();
    let names: Vec<String> = (0..SCORES).map(|n| format!("\tS{n}")).collect();
    let mut table = format!("ID\tA1{}\n", names.concat());
    for (i, line) in panel.lines().skip(2).enumerate() {
        let [chromosome, position, reference, alternative, _, name] =
            line.split('\t').collect::<Vec<_>>()[..]
        else {
            bail!("a row of panel.tsv")
        };
        let _ = write!(table, "{name}\t{alternative}");
        for (n, file) in files.iter_mut().enumerate() {
            let weight = ((i + 13 * n) * 7_919 % 2_001) as f64 / 1_000.0 - 1.0;
            let _ = writeln!(file, "{name}\t{chromosome}\t{position}\t{alternative}\t{reference}\t{weight}");
            let _ = write!(table, "\t{weight}");
        }
        table.push('\n');
    }
    for (n, file) in files.iter().enumerate() {
        fs::write(folder.join(format!("score{n}.txt")), file)?;
    }
    fs::write(folder.join("scores.tsv"), table)?;
    Ok(())
}

fn pairs(histone: &str) -> Vec<Pair> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let ours = |text: &str| [vec![histone.to_owned(), "genome".into()], words(text)].concat();
    let plink = |text: &str| [words("plink2 --threads 1"), words(text)].concat();
    let covariates = "age,sex,c1,c2,c3,c4,c5,c6,c7,c8";
    let glm = |rest: &str| {
        plink(&format!("--bfile c --pheno traits.tsv --out p --covar-variance-standardize {rest}"))
    };
    let files: Vec<String> = (0..SCORES).map(|n| format!(" score{n}.txt")).collect();
    let hundred = format!("score c.bed --out s.tsv --weights{}", files.concat());
    let traits: Vec<String> = (1..=TRAITS).map(|n| format!("y{n}")).collect();
    let fifty = format!("gwas c.bed --phenotypes many.tsv --trait {} --out g.tsv", traits.join(","));
    let cases = format!(
        "gwas c.bed --phenotypes traits.tsv --trait ill --coding 1-2 --covariates {covariates} --out g.tsv"
    );
    let shell = |text: &str| vec!["sh".to_owned(), "-c".into(), text.into()];
    let fresh = |text: &str| shell(&format!("rm -f v.bed v.bim v.fam; {histone} genome {text}"));
    vec![
        Pair {
            what: "VCF.gz to packed calls and back on disk",
            ours: fresh("convert c.vcf.gz v.bed"),
            peer: "plink2",
            theirs: plink("--vcf c.vcf.gz --make-bed --out p"),
            goal: 1.0,
        },
        Pair {
            what: "the same, and bcftools decoding alone",
            ours: fresh("convert c.vcf.gz v.bed"),
            peer: "bcftools",
            theirs: words("bcftools view -Ou -o /dev/null c.vcf.gz"),
            goal: 8.3,
        },
        Pair {
            what: "VCF.gz to VCF.gz, frequency 5 % and more",
            ours: ours("view c.vcf.gz --frequency 0.05.. --out w.vcf.gz"),
            peer: "bcftools",
            theirs: words("bcftools view -I -q 0.05 -Oz -o w2.vcf.gz c.vcf.gz"),
            goal: 3.0,
        },
        Pair {
            what: "VCF.gz to VCF.gz, a thousand people",
            ours: ours("view c.vcf.gz --samples-file thousand.txt --out w.vcf.gz"),
            peer: "bcftools",
            theirs: words("bcftools view -S thousand.txt -Oz -o w2.vcf.gz c.vcf.gz"),
            goal: 3.0,
        },
        Pair {
            what: "counts, missing calls, Hardy-Weinberg",
            ours: ours("stats c.bed --variants s.tsv"),
            peer: "plink2",
            theirs: plink("--bfile c --freq --missing --hardy --out p"),
            goal: 10.0,
        },
        Pair {
            what: "linear scan",
            ours: ours("gwas c.bed --phenotypes traits.tsv --trait trait --out g.tsv"),
            peer: "plink2",
            theirs: glm("--pheno-name trait --glm allow-no-covars omit-ref"),
            goal: 4.0,
        },
        Pair {
            what: "linear scan, ten covariates",
            ours: ours(&format!(
                "gwas c.bed --phenotypes traits.tsv --trait trait --covariates {covariates} --out g.tsv"
            )),
            peer: "plink2",
            theirs: glm(&format!(
                "--pheno-name trait --covar traits.tsv --covar-name {covariates} --glm hide-covar omit-ref"
            )),
            goal: 4.0,
        },
        Pair {
            what: "50 traits in one pass, and in fifty of theirs",
            ours: ours(&fifty),
            peer: "plink2",
            theirs: shell(
                "for n in $(seq 50); do plink2 --threads 1 --bfile c --pheno many.tsv --pheno-name y$n --glm allow-no-covars omit-ref --out p || exit 1; done",
            ),
            goal: 10.0,
        },
        Pair {
            what: "50 traits in one pass of both",
            ours: ours(&fifty),
            peer: "plink2",
            theirs: plink("--bfile c --pheno many.tsv --glm allow-no-covars omit-ref --out p"),
            goal: 1.0,
        },
        Pair {
            what: "cases and controls, ten covariates: score tests, and Wald's of theirs",
            ours: ours(&format!("{cases} --test score")),
            peer: "plink2",
            theirs: glm(&format!(
                "--pheno-name ill --covar traits.tsv --covar-name {covariates} --glm no-firth hide-covar omit-ref"
            )),
            goal: 10.0,
        },
        Pair {
            what: "the same, Wald's tests of both",
            ours: ours(&format!("{cases} --no-firth")),
            peer: "plink2",
            theirs: glm(&format!(
                "--pheno-name ill --covar traits.tsv --covar-name {covariates} --glm no-firth hide-covar omit-ref"
            )),
            goal: 1.0,
        },
        Pair {
            what: "score",
            ours: ours("score c.bed --weights score0.txt --out s.tsv"),
            peer: "plink2",
            theirs: plink("--bfile c --score score0.txt 1 4 6 header --out p"),
            goal: 3.0,
        },
        Pair {
            what: "100 scores in one pass, and in a hundred of theirs",
            ours: ours(&hundred),
            peer: "plink2",
            theirs: shell(
                "for n in $(seq 0 99); do plink2 --threads 1 --bfile c --score score$n.txt 1 4 6 header --out p || exit 1; done",
            ),
            goal: 30.0,
        },
        Pair {
            what: "100 scores in one pass of both",
            ours: ours(&hundred),
            peer: "plink2",
            theirs: plink("--bfile c --score scores.tsv 1 2 header --score-col-nums 3-102 --out p"),
            goal: 1.0,
        },
        Pair {
            what: "kinship of all pairs",
            ours: ours("king c.bed --least 0.0442 --out k.tsv"),
            peer: "plink2",
            theirs: plink("--bfile c --make-king-table --king-table-filter 0.0442 --out p"),
            goal: 3.0,
        },
        Pair {
            what: "pruning, 50 5 0.2",
            ours: ours("prune c.bed --out k.txt"),
            peer: "plink2",
            theirs: plink("--bfile c --indep-pairwise 50 5 0.2 --out p"),
            goal: 1.0,
        },
        Pair {
            what: "ten components",
            ours: ours("pca c.bed --out k.tsv"),
            peer: "plink2",
            theirs: plink("--bfile c --pca 10 --out p"),
            goal: 3.0,
        },
    ]
}

/// Processor seconds of a command, user and system.
fn seconds(command: &[String], folder: &Path) -> Result<f64> {
    let mut shell = Command::new("bash");
    shell.args(["-c", "TIMEFORMAT='%U %S'; time \"$@\" >output.txt 2>&1", "bash"]).args(command);
    let output = shell.current_dir(folder).output().context("bash measures, and could not be started")?;
    if !output.status.success() {
        let said = fs::read_to_string(folder.join("output.txt")).unwrap_or_default();
        bail!("{} failed: {said}", command.join(" "));
    }
    let times = String::from_utf8(output.stderr)?;
    let times: Vec<f64> = times.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if times.len() == 2 { Ok(times.iter().sum::<f64>().max(0.001)) } else { bail!("bash gave no times") }
}

fn section(args: &GenomeArgs, rows: &[(Pair, f64, f64, f64)], facts: &Facts) -> Result<String> {
    let Facts { date, commit, machine, versions } = facts;
    let version = |peer: &str| {
        let said = Command::new(peer).arg("--version").output().map(|o| o.stdout).unwrap_or_default();
        String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let mut text = String::new();
    writeln!(text, "## Genomes\n")?;
    writeln!(
        text,
        "`cargo xtask bench genome`, {date}, commit {commit}. {machine}. {versions}. {}; {}. Load average {load} at the end. {} SIMULATED people, \
         {} variants. Whole commands with their files and tables, one thread, processor seconds (user and system), medians of {} pairs; a ratio is the median of the pairs' ratios.\n",
        version("plink2"),
        version("bcftools"),
        args.people,
        args.variants,
        args.pairs
    )?;
    writeln!(text, "| work | histone, s | peer | s | peer / histone | goal |\n|---|---|---|---|---|---|")?;
    for (pair, ours, theirs, ratio) in rows {
        let missed = if *ratio < pair.goal { ", missed" } else { "" };
        writeln!(
            text,
            "| {} | {ours:.2} | {} | {theirs:.2} | {ratio:.2} | {}{missed} |",
            pair.what, pair.peer, pair.goal
        )?;
    }
    writeln!(
        text,
        "\n`histone` counts in its times what plink2 does not do: `gwas` looks at each variant for a plot and for lambda, `convert` writes no log. plink2's `--pca` finds all eigenvectors; `histone genome pca` stops when ten have settled."
    )?;
    Ok(text)
}
