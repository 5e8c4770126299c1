//! `histone genome` on small files made here, and on the real ones beside the project where they are.

mod several;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Ran, histone};

fn genome(arguments: &[&str], dir: &Path) -> Ran {
    Ran::of(histone().arg("genome").args(arguments).current_dir(dir))
}

/// Twelve people in two groups, three variants: one goes with the trait, one with nothing, one is the same in everybody.
fn small(dir: &Path) {
    let people: Vec<String> = (1..=12).map(|n| format!("p{n}")).collect();
    let calls = |of: &dyn Fn(usize) -> &'static str| (0..12).map(of).collect::<Vec<_>>().join("\t");
    let with = calls(&|n| ["0/0", "0/1", "1/1"][n / 4]);
    let without = calls(&|n| ["0/0", "0/1", "1/1", "./."][n % 4]);
    let constant = calls(&|_| "0/0");
    let vcf = format!(
        "##fileformat=VCFv4.3\n##contig=<ID=22>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{}\n22\t100\trs1\tA\tG\t.\t.\t.\tGT\t{with}\n22\t200\trs2\tC\tT\t.\t.\t.\tGT\t{without}\n22\t300\t.\tG\tC\t.\t.\t.\tGT\t{constant}\n",
        people.join("\t")
    );
    fs::write(dir.join("small.vcf"), vcf).unwrap();
    let traits: String =
        (0..12).map(|n| format!("p{}\t{}\t{}\n", n + 1, n / 4 * 10 + n % 3, 1 + n % 2)).collect();
    fs::write(dir.join("traits.tsv"), format!("#IID\theight\tsex\n{traits}")).unwrap();
}

#[test]
fn a_file_is_checked_and_what_is_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let ran = genome(&["check", "small.vcf"], dir.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.ends_with("small.vcf: valid, VCFv4.3, 12 samples, 3 records, 0 errors, 0 warnings\n"),
        "{ran:?}"
    );
    let text = fs::read_to_string(dir.path().join("small.vcf")).unwrap();
    fs::write(dir.path().join("broken.vcf"), text.replace("22\t200", "22\t2x0")).unwrap();
    let ran = genome(&["check", "--json", "small.vcf", "broken.vcf"], dir.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let last: serde_json::Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["valid"], &last["errors"]["count"]), (&false.into(), &1.into()));
    let first = &last["errors"]["first"][0];
    assert_eq!(
        (&first["line"], &first["column"], &first["field"]),
        (&6.into(), &4.into(), &"POS".into()),
        "{last}"
    );
    for (name, sentence) in
        [("none.vcf", "cannot read `none.vcf`"), ("table.csv", "of no kind that is read here")]
    {
        assert!(genome(&["check", name], dir.path()).error().contains(sentence));
    }
}

#[test]
fn counts_scan_and_kinship_of_a_small_file_and_of_its_copy_in_another_format() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let convert = |from: &str, to: &str| {
        let ran = genome(&["convert", from, to], dir.path());
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    convert("small.vcf", "copy.bed");
    convert("copy.fam", "back.vcf.gz");
    assert_eq!(genome(&["check", "copy.bim", "back.vcf.gz"], dir.path()).code, Some(0));
    assert!(genome(&["convert", "small.vcf", "copy.bed"], dir.path()).error().contains("is there already"));

    let table = |file: &str| {
        let ran = genome(&["stats", file, "--variants", "variants.tsv", "--json"], dir.path());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        (fs::read_to_string(dir.path().join("variants.tsv")).unwrap(), ran.json())
    };
    let (counts, summary) = table("small.vcf");
    // By hand: of 0, 2, .. 12 heterozygotes among 12 people with 12 copies, those that are no likelier than 4.
    assert_eq!(counts.lines().nth(1).unwrap(), "22\t100\trs1\tA\tG\t4\t4\t4\t0\t0.5000000\t0.2814616");
    assert_eq!(
        (&summary["variants"], &summary["constant"], &summary["missing"]),
        (&3.into(), &1.into(), &3.into())
    );
    for copy in ["copy.bed", "back.vcf.gz"] {
        assert_eq!(table(copy).0, counts, "{copy}");
    }

    let scan = |file: &str| {
        let ran = genome(
            &[
                "gwas",
                file,
                "--phenotypes",
                "traits.tsv",
                "--trait",
                "height",
                "--covariates",
                "sex",
                "--out",
                "scan.tsv",
                "--manhattan",
                "m.svg",
                "--qq",
                "q.svg",
                "--json",
            ],
            dir.path(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        (fs::read_to_string(dir.path().join("scan.tsv")).unwrap(), ran.json())
    };
    let (rows, said) = scan("small.vcf");
    assert_eq!((&said["people"], &said["not_tested"]), (&12.into(), &1.into()), "{said}");
    assert!(said["top"][0]["variant"].as_str().unwrap().starts_with("rs1"), "{said}");
    let cells: Vec<&str> = rows.lines().nth(1).unwrap().split('\t').collect();
    let beta: f64 = cells[8].parse().unwrap();
    // By hand, in fractions: 41/4.
    assert!((beta - 10.25).abs() < 1e-5, "{cells:?}");
    assert!(rows.lines().nth(3).unwrap().contains("\tconstant\tNA\tNA\tNA\tNA"), "{rows}");
    for plot in ["m.svg", "q.svg"] {
        let svg = fs::read_to_string(dir.path().join(plot)).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("<circle"), "{svg}");
    }
    assert_eq!(scan("copy.bed").0, rows);

    let ran = genome(&["king", "copy.bed"], dir.path());
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1 + 66), "{ran:?}");
    let two = genome(
        &["gwas", "small.vcf", "--phenotypes", "traits.tsv", "--trait", "sex", "--out", "x.tsv"],
        dir.path(),
    );
    assert!(two.error().contains("`sex` has two values"), "{two:?}");
    assert!(!dir.path().join("x.tsv").exists() && !dir.path().join("x.tsv.part").exists());
}

#[test]
fn a_score_counts_what_it_finds_and_refuses_too_little() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let score = "#pgs_id=PGS000000\n#genome_build=GRCh37\nchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n22\t100\tG\tA\t0.5\n22\t200\tC\tT\t1\n22\t999\tA\tC\t1\n";
    fs::write(dir.path().join("score.txt"), score).unwrap();
    let ran = genome(&["score", "small.vcf", "--weights", "score.txt", "--no-mean-imputation"], dir.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("2 of 3 variants of the score are found"), "{ran:?}");
    // The first has no copy of G and two of C; the last two of G and no call at the other.
    let rows: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(rows[1], "p1\t4\t2\t2.000000\t0.5000000");
    assert!(rows[12].starts_with("p12\t2\t2\t1.000000\t"), "{rows:?}");
    let refused = genome(&["score", "small.vcf", "--weights", "score.txt", "--least", "0.9"], dir.path());
    assert!(refused.error().contains("only 66.7 % of the score's variants"), "{refused:?}");
}

/// The data beside the project; nothing, and said, where they are not.
fn shared(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = match std::env::var_os("HISTONE_DATA") {
        Some(root) => PathBuf::from(root),
        None if beside.is_dir() => beside,
        None => {
            eprintln!("SKIPPED: HISTONE_DATA is not set and ../shared/data is not there");
            return None;
        }
    };
    let file = root.join(file);
    assert!(file.exists(), "{} is missing", file.display());
    Some(file)
}

/// 550 people: as many hits as PLINK finds, and the causal variant first.
#[test]
fn a_scan_of_real_people() {
    let (Some(vcf), Some(traits)) =
        (shared("genotypes/kg_phase1_chr22_550.vcf.gz"), shared("genotypes/kg_phase1_550.pheno.tsv"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [vcf, traits] = [vcf, traits].map(|file| file.to_str().unwrap().to_owned());
    let ran = genome(
        &[
            "gwas",
            &vcf,
            "--phenotypes",
            &traits,
            "--trait",
            "SIMULATED_QT",
            "--covariates",
            "SEX",
            "--out",
            "scan.tsv",
            "--json",
        ],
        dir.path(),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = ran.json();
    assert_eq!((&said["people"], &said["variants"]), (&550.into(), &19_773.into()));
    assert_eq!((&said["not_tested"], &said["significant"]), (&2_720.into(), &8.into()), "{said}");
    assert_eq!(said["top"][0]["variant"], "rs1023496 (22:26865238 T>C)");
}

/// The files of the example are those that its README's command makes.
#[test]
fn the_example_is_simulated_again() {
    let dir = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/genome");
    let readme = fs::read_to_string(example.join("README.md")).unwrap();
    let command = readme.lines().find_map(|line| line.trim().strip_prefix("histone genome ")).unwrap();
    let command = command.replace("examples/genome", ".");
    let ran = genome(&command.split(' ').collect::<Vec<_>>(), dir.path());
    assert!(ran.stdout.starts_with("SIMULATED: 400 people at 600 variants, 6 of which move"), "{ran:?}");
    let mut files = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let committed = fs::read(example.join(entry.file_name())).unwrap();
        assert_eq!(fs::read(entry.path()).unwrap(), committed, "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(files, 19);
}

/// Calls that somebody has drawn, each as often as the others: the validation tells the committee, the uploader hears that a review is
/// due, and the training goes on without them.
#[test]
fn fabricated_genotypes_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let made = "simulate --out . --site north --site south --site east --people 180 --variants 400 --chromosomes 2 --causal 1 --seed 3 --missing 0";
    assert_eq!(genome(&made.split(' ').collect::<Vec<_>>(), dir.path()).code, Some(0));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/genome/study.toml");
    let text = fs::read_to_string(example).unwrap();
    let (head, rest) = text.split_once("[[participant]]\nname = \"west-hospital\"").unwrap();
    let study = format!("{head}{}", &rest[rest.find("[model]").unwrap()..])
        .replace("min_survivors = 3", "min_survivors = 2")
        .replace("DUO:0000042", "DUO:0000006");
    fs::write(dir.path().join("study.toml"), study).unwrap();
    fs::write(dir.path().join("queries.csv"), "variant\n7\n").unwrap();
    let bed = dir.path().join("east.bed");
    let mut calls = fs::read(&bed).unwrap();
    let people = fs::read_to_string(dir.path().join("east.fam")).unwrap().lines().count();
    let mut state = 1_u64;
    for (at, byte) in calls.iter_mut().enumerate().skip(3) {
        // Four people in a byte, and what is left in the last one of a variant. BED's codes of two, one and no copies.
        let people = (people - 4 * ((at - 3) % people.div_ceil(4))).min(4);
        *byte = (0..people).fold(0, |byte, person| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            byte | [0b00, 0b10, 0b11][(state >> 33) as usize % 3] << (2 * person)
        });
    }
    fs::write(&bed, calls).unwrap();
    let histone = |arguments: &[&str]| Ran::of(histone().args(arguments).current_dir(dir.path()));
    let ran = histone(&["study", "run", "study.toml", "--seed", "1", "--out", "run", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let struck = ran.json()["struck"].clone();
    assert_eq!(struck.as_array().map(Vec::len), Some(1), "{struck}");
    assert_eq!(struck[0]["participant"], "east-hospital");
    assert_eq!(struck[0]["why"], "its evidence or its data are not believed");
    assert_eq!(histone(&["verify", "run"]).code, Some(0));
    // What is public says of it that a review is due, and no more.
    let reports: Vec<String> = fs::read_dir(dir.path().join("run/blobs"))
        .unwrap()
        .map(|entry| String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()).into_owned())
        .filter(|blob| blob.contains("validation-report"))
        .collect();
    let flagged: Vec<bool> = reports.iter().map(|report| report.contains("a review is due")).collect();
    assert_eq!(flagged.iter().filter(|flagged| **flagged).count(), 1, "{reports:?}");
    assert!(reports.iter().all(|report| !report.contains("hardy-weinberg")));
}

#[test]
fn simulated_people_go_through_the_other_commands() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let ran = genome(&line.split(' ').collect::<Vec<_>>(), dir.path());
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        ran
    };
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    run("simulate --out . --site a --people 80,60 --variants 1200 --chromosomes 4 --causal 3 --seed 5");
    let traits: String = read("a.csv").replace(',', "\t");
    fs::write(dir.path().join("traits.tsv"), traits.replacen("person", "IID", 1)).unwrap();
    let verdict = run("qc a.bed --build GRCh38 --json --out qc.tsv").json();
    assert_eq!((&verdict["verdict"], &verdict["people"]), (&"pass".into(), &140.into()), "{verdict}");
    assert!(read("qc.tsv").lines().count() > 5);
    run("prune a.bed --window 100kb --r2 0.2 --out kept.txt");
    let kept = read("kept.txt").lines().count();
    assert!((100..1_100).contains(&kept), "{kept}");
    // Two populations: the first component parts them.
    let found = run("pca a.bed --variants kept.txt --count 3 --out pc.tsv --plot pc.svg --json").json();
    assert_eq!((&found["people"], &found["variants"]), (&140.into(), &kept.into()));
    let rows: Vec<f64> =
        read("pc.tsv").lines().skip(1).map(|row| row.split('\t').nth(1).unwrap().parse().unwrap()).collect();
    let side = |v: &f64| *v > 0.0;
    let (first, second) =
        (rows[..80].iter().filter(|v| side(v)).count(), rows[80..].iter().filter(|v| side(v)).count());
    // All but one or two, who lie near 0.
    let parted = (first <= 2 && second >= 58) || (first >= 78 && second <= 2);
    assert!(parted, "{first} {second}");
    assert!(read("pc.svg").matches("<circle").count() == 140);
    // The people who made them have the same components by the loadings.
    run("pca a.bed --variants kept.txt --count 3 --out pc.tsv --loadings loadings.tsv");
    run("convert a.bed turned.vcf");
    for file in ["a.bed", "turned.vcf"] {
        run(&format!("project {file} --loadings loadings.tsv --out projected.tsv"));
        for (made, projected) in read("pc.tsv").lines().zip(read("projected.tsv").lines()).skip(1) {
            let cells = |row: &str| row.split('\t').skip(1).map(|v| v.parse().unwrap()).collect::<Vec<f64>>();
            let near = cells(made).iter().zip(cells(projected)).all(|(a, b)| (a - b).abs() < 0.01);
            assert!(near, "{file}: {made} {projected}");
        }
    }
    run("gwas a.bed --phenotypes traits.tsv --trait trait --covariates age --out scan.tsv");
    let clumps = run("clump a.bed --table scan.tsv --p1 1e-3 --r2 0.3").stdout;
    assert!(
        clumps.starts_with("#CHROM\tPOS\tID\tP\tOTHERS\tIDS\n") && clumps.lines().count() > 1,
        "{clumps}"
    );
    // A score from this scan, of the same people: each model's goes with the trait.
    let column = |file: &str, of: usize| -> Vec<f64> {
        read(file).lines().skip(1).map(|row| row.split('\t').nth(of).unwrap().parse().unwrap()).collect()
    };
    for model in ["infinitesimal", "grid --share 0.05", "lasso --penalty 0.1"] {
        run(&format!("weights a.bed --table scan.tsv --build GRCh38 --model {model} --out weights.txt"));
        assert!(read("weights.txt").contains("#genome_build=GRCh38\n"), "{model}");
        run("score a.bed --weights weights.txt --least 0.9 --out score.tsv");
        let header = read("score.tsv");
        let at = header.lines().next().unwrap().split('\t').position(|name| name == "SCORE_SUM").unwrap();
        let heading = read("traits.tsv");
        let of_trait = heading.lines().next().unwrap().split('\t').position(|name| name == "trait").unwrap();
        let (score, told) = (column("score.tsv", at), column("traits.tsv", of_trait));
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let (ms, mt) = (mean(&score), mean(&told));
        let product = |a: &[f64], ma: f64, b: &[f64], mb: f64| -> f64 {
            a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum()
        };
        let r = product(&score, ms, &told, mt)
            / (product(&score, ms, &score, ms) * product(&told, mt, &told, mt)).sqrt();
        assert!(r > 0.4, "{model}: {r}");
    }
    // Less what the other chromosomes say, the same variants are tested.
    run("gwas a.bed --phenotypes traits.tsv --trait trait --covariates age --whole-genome --out rest.tsv");
    let tested = |file: &str| read(file).lines().filter(|row| row.contains("\tlinear\t")).count();
    assert_eq!(tested("scan.tsv"), tested("rest.tsv"));
    assert_ne!(read("scan.tsv"), read("rest.tsv"));
    run("panel a.bed --build GRCh38 --least 0.1 --out common.tsv");
    let panel = read("common.tsv");
    assert!(panel.starts_with(
        "##assembly=GRCh38\nchromosome\tposition\treference\talternative\tfrequency\tname\n1\t"
    ));
    let refused = |line: &str, why: &str| {
        let ran = genome(&line.split(' ').collect::<Vec<_>>(), dir.path());
        assert!(ran.error().contains(why), "{line}: {ran:?}");
    };
    refused("qc a.bed --build hg99", "`hg99` is no build; write GRCh37 or GRCh38");
    let ran = genome(&["prune", "a.bed", "--window", "5mb"], dir.path());
    assert!(
        ran.code == Some(2) && ran.stderr.contains("write a number of variants, or one with `kb`"),
        "{ran:?}"
    );
    refused("clump a.bed --table kept.txt", "kept.txt, line 1: there is no column `CHROM`");
    refused("weights a.bed --table kept.txt --build GRCh38", "kept.txt, line 1: there is no column `CHROM`");
    refused(
        "weights a.bed --table scan.tsv --build GRCh38 --heritability 2",
        "the heritability is out of range: above 0, and at most 1",
    );
    refused("project a.bed --loadings pc.tsv", "`pc.tsv` is no file of loadings");
    refused("pca a.bed --count 140", "140 components of 140 people cannot be; ask for fewer");
    refused("simulate --out . --site ../b", "`../b` is no name of a site");
    refused("convert a.bed a.pgen", "PLINK 2 is read here and not written");
}

/// Two hospitals scan genotypes; a stranger recomputes it, and finds another panel.
#[test]
fn a_study_scans_genotypes() {
    let dir = tempfile::tempdir().unwrap();
    let made = "simulate --out . --site north --site south --people 90 --variants 60 --chromosomes 2 --causal 1 --seed 3 --missing 0";
    assert_eq!(genome(&made.split(' ').collect::<Vec<_>>(), dir.path()).code, Some(0));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/genome/study.toml");
    let text = fs::read_to_string(example).unwrap();
    // Two participants of the four.
    let (head, rest) = text.split_once("[[participant]]\nname = \"east-hospital\"").unwrap();
    let study = format!("{head}{}", &rest[rest.find("[model]").unwrap()..])
        .replace("min_survivors = 3", "min_survivors = 2");
    let write = |text: &str| fs::write(dir.path().join("study.toml"), text).unwrap();
    write(&study);
    fs::write(dir.path().join("queries.csv"), "variant\n7\nSIMULATED9\n").unwrap();
    let histone = |arguments: &[&str]| Ran::of(histone().args(arguments).current_dir(dir.path()));
    let ran = histone(&["study", "run", "study.toml", "--seed", "1", "--out", "run", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let result = ran.json();
    assert_eq!(result["model"]["largest_difference_to_pooled"], 0.0, "{}", result["model"]);
    assert_eq!(result["rounds"].as_array().map(Vec::len), Some(1));
    assert_eq!(histone(&["verify", "run"]).code, Some(0));
    // The panel is a public blob of the run.
    let panel = fs::read_dir(dir.path().join("run/blobs")).unwrap().map(|entry| entry.unwrap().path());
    let panel =
        panel.into_iter().find(|file| fs::read(file).unwrap().starts_with(b"##assembly=GRCh38\n")).unwrap();
    let whole = fs::read_to_string(&panel).unwrap();
    fs::write(&panel, whole.replacen("SIMULATED7", "SIMULATED8", 1)).unwrap();
    let told = histone(&["verify", "run"]);
    assert_eq!(told.code, Some(1), "{told:?}");

    // Cases and controls.
    let of_cases = study
        .replace("task = \"number\"", "task = \"binary\"")
        .replace("label = \"trait\"", "label = \"ill\"\npositive = \"== yes\"")
        .replace(", trait = [-10, 10]", "");
    write(&of_cases);
    let ran = histone(&["study", "run", "study.toml", "--seed", "1", "--out", "cases", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let result = ran.json();
    assert_eq!(result["model"]["largest_difference_to_pooled"], 0.0, "{}", result["model"]);
    // Some for the covariates, one for the variants.
    assert!(result["rounds"].as_array().is_some_and(|rounds| (4..=17).contains(&rounds.len())), "{result}");
    assert_eq!(histone(&["verify", "cases"]).code, Some(0));
    let ran = histone(&["genome", "associations", "cases", "--out", "cases.tsv"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let refused = |text: String, why: &str| {
        write(&text);
        let ran = histone(&["study", "check", "study.toml"]);
        assert!(ran.error().contains(why), "{ran:?}");
    };
    let swap = |from: &str, to: &str| study.replacen(from, to, 1);
    refused(swap("genotypes = \"north.bed\"\n", ""), "`north-hospital` names no file of genotypes");
    refused(swap("\"GRCh38\"", "\"GRCh37\""), "line 1: the panel is not of GRCh37");
    refused(swap("person = \"person\"", "person = \"sex\""), "one person stands in both (column `sex`)");
    refused(swap("person = \"person\"", "person = \"nobody\""), "north.csv: has no column `nobody`");
    refused(
        swap("genotypes = \"south.bed\"", "genotypes = \"north.bed\""),
        "nobody in `north.bed` is called as in column `person` of south.csv",
    );
    refused(swap("holdout = 0 ", "holdout = 0.2 "), "it must be 0, because a scan holds nobody out");
    fs::write(dir.path().join("queries.csv"), "variant\n61\n").unwrap();
    refused(study.clone(), "queries.csv, line 2: the panel has no such variant");
}

#[test]
fn a_conversion_says_what_it_loses() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let said = |from: &str, to: &str| {
        let ran = genome(&["convert", from, to], dir.path());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr
    };
    assert_eq!(said("small.vcf", "small.bed"), "3 variants are in small.bed\n");
    assert_eq!(said("small.bed", "back.vcf"), "3 variants are in back.vcf\n");
    let head = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\n";
    let records = "1\t5\t.\tA\tC,G\t30\tPASS\tX=a|b\tGT:DS\t0/1:1,0\n1\t6\t.\tA\tC\t.\t.\t.\tGT\t0|1\n";
    fs::write(dir.path().join("rich.vcf"), head.to_owned() + records).unwrap();
    assert_eq!(
        said("rich.vcf", "rich.bed"),
        "3 variants are in rich.bed\nnot kept: phase, of 1 records\nnot kept: QUAL, of 1 records\nnot kept: FILTER, of 1 records\nnot kept: INFO, of 1 records\n\
         not kept: what FORMAT has beside GT (dosages, depths), of 1 records\nsplit: several alternatives, each a variant against all others, of 1 records\n"
    );
}

#[test]
fn records_are_viewed_with_and_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let view = |arguments: &[&str]| {
        let ran = genome(&[&["view"], arguments].concat(), dir.path());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let text = fs::read_to_string(dir.path().join("small.vcf")).unwrap();
    assert_eq!(view(&["small.vcf"]), text);
    let names = |text: &str| {
        let records = text.lines().filter(|line| !line.starts_with('#'));
        records.map(|line| line.split('\t').nth(2).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&view(&["small.vcf", "--frequency", "0.2..0.5"])), "rs1 rs2");
    assert_eq!(
        names(&view(&["small.vcf", "--region", "22:150-200", "--region", "22:300", "--biallelic"])),
        "rs2 ."
    );
    assert_eq!(names(&view(&["small.vcf", "--pass"])), "");
    assert_eq!(names(&view(&["small.vcf", "--min-qual", "1"])), "");
    fs::write(dir.path().join("names.txt"), "p9\np1\n").unwrap();
    let chosen = view(&["small.vcf", "--samples-file", "names.txt"]);
    assert!(
        chosen.contains("FORMAT\tp9\tp1\n22\t100\trs1\tA\tG\t.\t.\tAC=2;AN=4\tGT\t1/1\t0/0\n"),
        "{chosen}"
    );
    assert_eq!(view(&["small.vcf", "--samples", "p9,p1"]), chosen);

    assert_eq!(view(&["small.vcf", "--out", "packed.vcf.gz"]), "");
    assert_eq!(view(&["packed.vcf.gz"]), text);
    fs::write(dir.path().join("r.bed"), "22\t199\t200\n").unwrap();
    for index in [&["index", "packed.vcf.gz"][..], &["index", "packed.vcf.gz", "--csi"]] {
        assert_eq!(genome(index, dir.path()).code, Some(0));
        assert_eq!(names(&view(&["packed.vcf.gz", "--regions", "r.bed"])), "rs2");
        fs::remove_file(dir.path().join("packed.vcf.gz.tbi")).unwrap_or_default();
    }
    // The index of a much larger file does not fit.
    let mut larger = text.clone();
    let noise =
        |n: usize| (0..12).map(move |p| ["0/0", "0/1", "1/1"][(n * n + 7 * p * n) % 3]).collect::<Vec<_>>();
    (0..60_000).for_each(|n| {
        let calls = noise(n).join("\t");
        larger.push_str(&format!("22\t{}\trs{}\tA\tG\t.\t.\t.\tGT\t{calls}\n", 400 + n, n * 7_919 % 99_991));
    });
    fs::write(dir.path().join("larger.vcf"), larger).unwrap();
    view(&["larger.vcf", "--out", "larger.vcf.gz"]);
    assert_eq!(genome(&["index", "larger.vcf.gz"], dir.path()).code, Some(0));
    fs::copy(dir.path().join("larger.vcf.gz.tbi"), dir.path().join("packed.vcf.gz.tbi")).unwrap();
    let ran = genome(&["view", "packed.vcf.gz", "--region", "22:100"], dir.path());
    assert!(ran.error().contains("`packed.vcf.gz.tbi` is the index of another file"), "{ran:?}");
    fs::remove_file(dir.path().join("packed.vcf.gz.tbi")).unwrap();
    let ran = genome(&["view", "packed.vcf.gz", "--region", "chr22"], dir.path());
    assert!(ran.stderr.contains("no record is on chromosome `chr22`"), "{ran:?}");
    for (arguments, sentence) in [
        (&["view", "small.vcf", "--region", "22:5-1"][..], "`22:5-1` is no region"),
        (&["view", "small.vcf", "--samples", "p1,somebody"], "`somebody` is not among the file's samples"),
        (&["view", "small.vcf", "--out", "./small.vcf"], "is the file that is read; name another one"),
        (&["view", "small.vcf", "--frequency", "0.5"], "a range is two numbers"),
        (&["view", "small.vcf", "--out", "x.bed"], "what is written is .vcf or .vcf.gz"),
        (&["index", "small.vcf"], "only files in BGZF have an index"),
    ] {
        let ran = genome(arguments, dir.path());
        assert!(ran.code != Some(0) && ran.stderr.contains(sentence), "{ran:?}");
    }
}

#[test]
fn tables_of_scans_are_added_up() {
    let dir = tempfile::tempdir().unwrap();
    let head = "#CHROM\tPOS\tID\tREF\tALT\tALT_FREQ\tOBS_CT\tMODEL\tBETA\tSE\tSTAT\tP\n";
    let north = format!(
        "{head}22\t7\trs1\tA\tC\t0.2\t300\tlinear\t0.5\t0.1\t5\t5.7e-7\n22\t9\t.\tA\tT\t0.3\t300\tlinear\t1\t1\t1\t0.3\n"
    );
    let south = format!(
        "{head}22\t7\trs1\tC\tA\t0.8\t100\tlinear\t-0.2\t0.2\t-1\t0.32\n22\t9\t.\tA\tT\t0.6\t100\tlinear\t1\t1\t1\t0.3\n"
    );
    fs::write(dir.path().join("north.tsv"), north).unwrap();
    fs::write(dir.path().join("south.tsv"), south).unwrap();
    let ran = genome(&["meta", "north.tsv", "south.tsv"], dir.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // By hand: weights 100 and 25, (50 + 5) / 125; Q = 100 x 0.06^2 + 25 x 0.24^2.
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let cells: Vec<&str> = lines[1].split('\t').collect();
    assert_eq!(cells[..11].join(" "), "22 7 rs1 A C 0.2000000 400 2 ++ 0.4400000 0.08944272", "{ran:?}");
    assert_eq!((cells[13], cells[14], lines.len()), ("1.800000", "44.44444", 3));
    // Frequencies on both sides of one half: whose A is a T?
    assert!(lines[2].contains("\t1\t+?\t"), "{ran:?}");
    assert!(ran.stderr.contains("1 left out, A/T or C/G whose strand nobody can tell"), "{ran:?}");
    let ran = genome(
        &["meta", "north.tsv", "south.tsv", "--same-strand", "--method", "z", "--out", "m.tsv", "--json"],
        dir.path(),
    );
    let document = ran.json();
    assert_eq!((&document["variants"], &document["in_all_studies"]), (&2.into(), &2.into()));
    assert_eq!(document["studies"][1]["turned"], 1);
    let table = fs::read_to_string(dir.path().join("m.tsv")).unwrap();
    assert!(table.lines().all(|line| line.starts_with('#') || line.contains("\tNA\tNA\t")), "{table}");
    fs::write(
        dir.path().join("other.tsv"),
        head.to_owned() + "1\t7\trs1\tC\tA\t0.8\t100\tlinear\t-0.2\t0.2\t-1\t0.32\n",
    )
    .unwrap();
    let ran = genome(&["meta", "north.tsv", "other.tsv"], dir.path());
    assert!(ran.error().contains("no variant is in the tables before it"), "{ran:?}");
}
