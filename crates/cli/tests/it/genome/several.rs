//! Several traits and several scores in one pass, the score test, several tables, and the path of docs/genome.md that uses them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{genome, small};
use crate::support::Ran;

fn run(dir: &Path, line: &str) -> Ran {
    let ran = genome(&line.split_whitespace().collect::<Vec<_>>(), dir);
    assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    ran
}

fn refused(dir: &Path, line: &str) -> String {
    genome(&line.split_whitespace().collect::<Vec<_>>(), dir).error().to_owned()
}

fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap()
}

/// Numbers of a column, by its name.
fn column(table: &str, name: &str) -> Vec<Option<f64>> {
    let at = table.lines().next().unwrap().split('\t').position(|column| column == name).unwrap();
    table.lines().skip(1).map(|row| row.split('\t').nth(at).unwrap().parse().ok()).collect()
}

#[test]
fn each_of_several_traits_has_the_table_of_a_scan_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(
        dir,
        "simulate --out . --site a --people 90,50 --variants 300 --chromosomes 3 --seed 2 --missing 0.02",
    );
    // A second trait, which every ninth person lacks.
    let lines = read(dir, "traits.tsv");
    let more = lines.lines().enumerate().map(|(n, line)| {
        let other = if n % 9 == 4 { "NA".into() } else { format!("{}", (n * n) % 17) };
        format!("{line}\t{}\n", if n == 0 { "other".into() } else { other })
    });
    fs::write(dir.join("two.tsv"), more.collect::<String>()).unwrap();
    let scan =
        "gwas a.bed --phenotypes two.tsv --covariates age,sex --out scan.tsv --qq qq.svg --json --trait";
    let both = run(dir, &format!("{scan} trait,other")).json();
    for (at, name) in ["trait", "other"].into_iter().enumerate() {
        let [table, plot] =
            [format!("scan.{name}.tsv"), format!("qq.{name}.svg")].map(|file| read(dir, &file));
        let mut alone = run(dir, &format!("{scan} {name}")).json();
        assert_eq!((&read(dir, "scan.tsv"), &read(dir, "qq.svg")), (&table, &plot), "{name}");
        alone["table"] = format!("scan.{name}.tsv").into();
        assert_eq!(both["traits"][at], alone);
        assert!(table.contains("\tlinear\t"));
    }
    assert_ne!(both["traits"][0]["people"], both["traits"][1]["people"]);
    assert!(refused(dir, &format!("{scan} trait,trait")).contains("`--trait` names `trait` twice"));
    assert!(refused(dir, &format!("{scan} trait,none")).contains("no column `none`"));
    assert!(refused(dir, &format!("{scan} trait,other --whole-genome")).contains("one trait at a time"));
    assert!(refused(dir, &format!("{scan} trait --test score")).contains("`--test score` is for cases"));
    assert!(refused(dir, &format!("{scan} trait,ill")).contains("`ill` has two values"));
    assert!(!dir.join("scan.ill.tsv").exists());
}

/// Without covariates the statistic is that of the trend test: the people times the squared correlation.
#[test]
fn the_score_test_is_the_trend_test() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, "simulate --out . --site a --people 120 --variants 200 --chromosomes 2 --seed 4 --missing 0");
    let scan = "gwas a.bed --phenotypes traits.tsv --trait ill --coding 1-2";
    run(dir, &format!("{scan} --test score --out score.tsv"));
    run(dir, &format!("{scan} --out wald.tsv"));
    run(dir, "convert a.bed a.vcf");
    let (score, wald, vcf) = (read(dir, "score.tsv"), read(dir, "wald.tsv"), read(dir, "a.vcf"));
    let ill: BTreeMap<String, f64> = read(dir, "traits.tsv")
        .lines()
        .skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split('\t').collect();
            (cells[0].to_owned(), cells[4].parse::<f64>().unwrap() - 1.0)
        })
        .collect();
    let head = vcf.lines().find(|line| line.starts_with("#CHROM")).unwrap();
    let y: Vec<f64> = head.split('\t').skip(9).map(|person| ill[person]).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let product = |a: &[f64], b: &[f64]| {
        let (ma, mb) = (mean(a), mean(b));
        a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>()
    };
    let rows = vcf.lines().filter(|line| !line.starts_with('#'));
    let stats = column(&score, "STAT").into_iter().zip(column(&wald, "STAT"));
    let (mut tested, mut close) = (0, 0);
    for (row, (score, wald)) in rows.zip(stats) {
        let g: Vec<f64> = row.split('\t').skip(9).map(|call| call.matches('1').count() as f64).collect();
        let Some(score) = score else { continue };
        let trend = y.len() as f64 * product(&g, &y).powi(2) / (product(&g, &g) * product(&y, &y));
        assert!((score * score - trend).abs() < 1e-5 * trend.max(1e-3), "{row:.40} {score} {trend}");
        tested += 1;
        close += usize::from(wald.is_some_and(|wald| (wald - score).abs() < 0.2));
    }
    assert!(tested > 150 && close * 10 > tested * 8, "{close} of {tested}");
    assert!(score.contains("\tscore\t") && !wald.contains("\tscore\t"));
}

#[test]
fn several_scores_in_one_pass_are_those_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    small(dir);
    let head = "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n";
    // The second weighs the other allele of the first variant, and one that the first score does not have.
    let first =
        format!("#pgs_id=PGS000001\n#genome_build=GRCh37\n{head}22\t100\tG\tA\t0.5\n22\t200\tC\tT\t1\n");
    let second =
        format!("#genome_build=GRCh37\n{head}22\t100\tA\tG\t0.25\n22\t300\tC\tG\t3\n22\t200\tT\tC\t2\n");
    fs::write(dir.join("first.txt"), first).unwrap();
    fs::write(dir.join("second.txt"), second).unwrap();
    for imputation in ["", "--no-mean-imputation"] {
        let both = run(dir, &format!("score small.vcf --weights first.txt second.txt {imputation}")).stdout;
        for (file, name) in [("first.txt", "PGS000001_SUM"), ("second.txt", "second_SUM")] {
            let alone = run(dir, &format!("score small.vcf --weights {file} {imputation}")).stdout;
            assert_eq!(column(&both, name), column(&alone, "SCORE_SUM"), "{imputation} {file}");
        }
    }
    let error = refused(dir, "score small.vcf --weights first.txt first.txt");
    assert!(error.contains("`first.txt` and `first.txt` would both be the column `PGS000001`"), "{error}");
    fs::write(dir.join("other.txt"), format!("#genome_build=GRCh38\n{head}22\t100\tG\tA\t3\n")).unwrap();
    let error = refused(dir, "score small.vcf --weights first.txt other.txt");
    assert!(error.contains("`first.txt` and `other.txt` are of different builds"), "{error}");
    fs::write(dir.join("third.txt"), format!("#genome_build=GRCh37\n{head}22\t5\tC\tG\t3\n")).unwrap();
    let error = refused(dir, "score small.vcf --weights first.txt third.txt");
    assert!(error.contains("only 0.0 % of the variants of `third.txt`"), "{error}");
}

/// A record of several alleles, and one that stands twice: each copy of the effect allele counts once.
#[test]
fn a_weight_counts_once_and_the_reference_is_what_no_other_allele_is() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let head = "##fileformat=VCFv4.3\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"x\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td\n";
    let record = "1\t100\t.\tA\tC,G\t.\t.\t.\tGT\t0/0\t0/1\t1/2\t0/2\n";
    let columns = "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n";
    let sums = |records: &str, rows: &str| {
        fs::write(dir.join("a.vcf"), format!("{head}{records}")).unwrap();
        fs::write(dir.join("w.txt"), format!("#genome_build=GRCh38\n{columns}{rows}")).unwrap();
        let ran = genome(&["score", "a.vcf", "--weights", "w.txt", "--least", "0"], dir);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let numbers = |name| column(&ran.stdout, name).into_iter().map(Option::unwrap).collect::<Vec<_>>();
        (numbers("SCORE_SUM"), numbers("EFFECT_ALLELES"), ran.stderr)
    };
    let of_reference = vec![2.0, 1.0, 0.0, 1.0];
    for other in ["", "C"] {
        let (found, copies, told) = sums(record, &format!("1\t100\tA\t{other}\t1\n"));
        assert_eq!((&found, &copies), (&of_reference, &of_reference), "{other}");
        assert!(told.contains("1 of 1 variants of the score are found"), "{told}");
    }
    // Where C has gone by, whoever has it cannot be taken off any more.
    let (found, _, told) = sums(record, "1\t100\tA\tG\t1\n");
    assert!(told.contains("0 of 1") && told.contains("at 1 places the alleles are others"), "{told}");
    assert_eq!(found, [0.0; 4]);
    assert_eq!(sums(record, "1\t100\tG\tA\t1\n").0, [0.0, 0.0, 1.0, 1.0]);
    let twice = format!("{record}{record}");
    for row in ["1\t100\tA\tC\t1\n", "1\t100\tC\tA\t1\n"] {
        assert_eq!(sums(&twice, row).0, sums(record, row).0, "{row}");
    }
    // A row that repeats a variant is told of.
    let (found, _, told) = sums(record, "1\t100\tC\tA\t1\n1\t100\tA\tC\t5\n1\t100\tC\tA\t7\n");
    assert_eq!(found, [0.0, 1.0, 1.0, 0.0]);
    assert!(told.contains("1 of 3") && told.contains("2 repeat a variant of an earlier row"), "{told}");
}

/// Whoever names one file for two things keeps it.
#[test]
fn no_result_is_written_over_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(dir, "simulate --out . --site a --people 60 --variants 100 --chromosomes 2");
    let scan = "gwas a.bed --phenotypes traits.tsv --trait trait";
    fs::rename(dir.join("traits.tsv"), dir.join("scan.age.tsv")).unwrap();
    fs::copy(dir.join("scan.age.tsv"), dir.join("traits.tsv")).unwrap();
    fs::write(dir.join("w.txt"), "#genome_build=GRCh38\nchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n1\t5\tG\tA\t3\n").unwrap();
    run(dir, "prune a.bed --out kept.txt");
    let files = ["a.bed", "a.bim", "a.fam", "traits.tsv", "scan.age.tsv", "w.txt", "kept.txt"];
    let all = || files.map(|file| fs::read(dir.join(file)).unwrap());
    let before = all();
    for (line, sentence) in [
        (format!("{scan} --out traits.tsv"), "`traits.tsv` is a file that is read"),
        (format!("{scan} --out ./a.bed"), "`./a.bed` is a file that is read"),
        (format!("{scan} --out a.bim"), "`a.bim` is a file that is read"),
        (format!("{scan} --out s.tsv --qq a.fam"), "`a.fam` is a file that is read"),
        (format!("{scan} --out s.tsv --qq s.tsv"), "`s.tsv` is named for two results"),
        (format!("{scan} --out s.tsv --qq p.svg --manhattan p.svg"), "`p.svg` is named for two results"),
        (
            "gwas a.bed --phenotypes scan.age.tsv --trait trait,age --out scan.tsv".into(),
            "`scan.age.tsv` is a file that is read",
        ),
        ("score a.bed --weights w.txt --least 0 --out w.txt".into(), "`w.txt` is a file that is read"),
        (
            "pca a.bed --count 1 --variants kept.txt --out kept.txt".into(),
            "`kept.txt` is a file that is read",
        ),
        (
            "evaluate traits.tsv --score age --phenotypes scan.age.tsv --trait trait --out traits.tsv".into(),
            "`traits.tsv` is a file that is read",
        ),
    ] {
        let error = refused(dir, &line);
        assert!(error.contains(sentence), "{line}: {error}");
        assert!(all() == before, "{line}");
    }
}

#[test]
fn a_column_is_in_one_of_several_tables() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    small(dir);
    fs::write(dir.join("more.tsv"), "#IID\tweight\np1\t3\np2\t5\np5\t2\np7\t9\np9\t4\np12\t1\nq\t1\n")
        .unwrap();
    let scan = "gwas small.vcf --trait height --out scan.tsv --phenotypes";
    let said = run(dir, &format!("{scan} traits.tsv more.tsv --covariates weight --json")).json();
    assert_eq!(said["people"], 6);
    let error = refused(dir, &format!("{scan} traits.tsv more.tsv"));
    assert!(error.contains("no trait and no covariate is a column of `more.tsv`"), "{error}");
    let error = refused(dir, &format!("{scan} traits.tsv more.tsv --covariates age"));
    assert!(error.contains("none of `traits.tsv`, `more.tsv` has a column `age`"), "{error}");
    fs::write(dir.join("again.tsv"), "#IID\theight\np1\t3\n").unwrap();
    let error = refused(dir, &format!("{scan} traits.tsv again.tsv"));
    assert!(error.contains("`traits.tsv` and `again.tsv` both have a column `height`"), "{error}");
}

/// A score of one's own, of people who were not in its scan, by group.
#[test]
fn scores_are_evaluated_by_group() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    run(
        dir,
        "simulate --out . --site a --site b --people 400,300 --variants 1000 --chromosomes 5 --causal 4 --seed 3",
    );
    run(dir, "gwas a.bed --phenotypes traits.tsv --trait trait --covariates age,sex --out scan.tsv");
    run(dir, "weights a.bed --table scan.tsv --build GRCh38 --model lasso --penalty 0.15 --out weights.txt");
    run(dir, "score b.bed --weights weights.txt --out scores.tsv");
    // Names of groups: every third person is of another one, and the last of one alone.
    let scores = read(dir, "scores.tsv");
    let people = || scores.lines().skip(1).map(|row| row.split('\t').next().unwrap());
    let groups = people().enumerate().map(|(n, person)| {
        let group = if n == 349 { "LAST" } else { ["AFR", "EUR", "NA"][n % 3] };
        format!("{person}\t{group}\n")
    });
    fs::write(dir.join("groups.tsv"), format!("#IID\tancestry\n{}", groups.collect::<String>())).unwrap();
    let evaluate =
        "evaluate scores.tsv --phenotypes traits.tsv groups.tsv --by ancestry --covariates age,sex";
    let table = run(dir, &format!("{evaluate} --trait trait")).stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split('\t').collect()).collect();
    let groups: Vec<&str> = rows.iter().skip(1).map(|row| row[1]).collect();
    assert_eq!(groups, ["everybody", "AFR", "EUR", "LAST"], "{table}");
    let (people, r2, r) = (column(&table, "OBS_CT"), column(&table, "R2"), column(&table, "R"));
    assert_eq!(people, [Some(350.0), Some(117.0), Some(116.0), Some(1.0)]);
    assert_eq!(rows[4][4], "too-few");
    let intervals = column(&table, "R_LOW").into_iter().zip(column(&table, "R_HIGH"));
    for ((r2, r), (low, high)) in r2.iter().zip(&r).zip(intervals).take(3) {
        let (r, low, high) = (r.unwrap(), low.unwrap(), high.unwrap());
        assert!(r > 0.1 && low < r && r < high && r2.unwrap() <= r * r + 1e-9, "{table}");
    }
    let json = run(dir, &format!("{evaluate} --trait ill --coding 1-2 --json")).json();
    let everybody = &json["scores"][0];
    assert_eq!((&everybody["people"], &everybody["model"]), (&350.into(), &"logistic".into()));
    let area = &everybody["auc"];
    assert!(area["estimate"].as_f64().unwrap() > 0.5 && area["low"].as_f64() < area["estimate"].as_f64());
    let error = refused(dir, "evaluate scores.tsv --phenotypes traits.tsv --trait trait --by trait");
    assert!(error.contains("different values: it does not name groups"), "{error}");
}

/// The commands of the page, word by word.
#[test]
fn the_page_leads_from_genotypes_to_a_scan_that_knows_ancestry() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/genome.md")).unwrap();
    let (_, section) = page.split_once("## Ancestry, step by step").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let mut commands = 0;
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.split('#').next().unwrap().trim();
        run(dir, line.strip_prefix("histone genome ").unwrap());
        commands += 1;
    }
    assert!(commands >= 6, "{block}");
    let lambda = |file: &str| {
        let p: Vec<f64> = column(&read(dir, file), "P").into_iter().flatten().collect();
        histone_genome::association::inflation(p).unwrap()
    };
    let told =
        [lambda("made-up/plain.tsv"), lambda("made-up/adjusted.tsv")].map(|lambda| format!("{lambda:.2}"));
    assert!(section.contains(&format!("from {} to {}", told[0], told[1])), "{told:?}");
}
