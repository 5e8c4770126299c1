//! Cases and controls.

use histone_genome::association::ScoreTest;
use histone_genome::genotypes::{Block, Call};
use histone_program_sdk::method::Opened;

use super::*;

/// Sex and age as covariates, and who is ill.
fn cases(panel: [u8; 32], variants: u32, least: Least) -> Config {
    let mut config = config(panel, variants, least);
    let age = Kind::Number { low: 0.0, high: 100.0 };
    config.features.insert(1, Feature { name: "age".into(), kind: age, zero_is_missing: false });
    config.outcome = Outcome::YesNo { name: "trait".into() };
    config
}

fn age(site: usize, person: usize) -> f64 {
    18.0 + ((person * 53 + site * 29) % 70) as f64
}

/// The people of [`made`], ill the more likely the more copies of the fourth variant they have and the older they are.
fn ill(site: usize, people: usize) -> Table {
    let plain = made(site, people);
    let sex = Kinds::Category(vec!["female".into(), "male".into()]);
    let columns = vec![
        Column { name: "sex".into(), kind: sex },
        Column::number("age"),
        Column { name: "trait".into(), kind: Kinds::no_yes() },
    ];
    let row = |i: usize| {
        let of = plain.row(i).unwrap();
        let age = age(site, i);
        [of[0], age, f64::from(u8::from(of[2] + age / 40.0 > 1.6))]
    };
    let words = (0..people).flat_map(|i| plain.calls(i).to_vec()).collect();
    let table = Table::new(columns, (0..people).flat_map(row).collect()).unwrap();
    table.with_genotypes(1, "genotypes", ([9; 32], 70), words).unwrap()
}

/// Sex, age, whether somebody is ill.
fn of(table: &Table, person: usize) -> [f64; 3] {
    let row = table.row(person).unwrap();
    [row[0], row[2], row[3]]
}

fn call(table: &Table, person: usize, variant: usize) -> u64 {
    table.calls(person)[variant / 32] >> (2 * (variant % 32)) & 3
}

/// What the score test of the genome crate says of people in one place.
fn native(tables: &[Table]) -> Vec<Option<(f64, f64, f64)>> {
    let people: Vec<(&Table, usize)> =
        tables.iter().flat_map(|table| (0..table.rows()).map(move |i| (table, i))).collect();
    let column = |at: usize| people.iter().map(|(table, i)| of(table, *i)[at]).collect::<Vec<f64>>();
    let test = ScoreTest::new(&column(2), &[column(0), column(1)]).unwrap();
    let codes = [Call::HomRef, Call::Het, Call::HomAlt, Call::Missing];
    let variant = |variant: usize| {
        let mut block = Block::new(people.len());
        let calls: Vec<Call> =
            people.iter().map(|(table, i)| codes[call(table, *i, variant) as usize]).collect();
        block.push_calls(&calls).unwrap();
        let found = test.scan(&block).remove(0).ok()?;
        Some((found.score / found.variance, found.variance.sqrt().recip(), found.p()))
    };
    (0..70).map(variant).collect()
}

#[test]
fn cases_of_sites_together_are_cases_together() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let config = cases([9; 32], 70, Least::default());
    let sites = [ill(0, 140), ill(1, 87), ill(2, 91)];
    let federated = trained(&method, &config, &sites);
    let rows = sites.iter().flat_map(|t| (0..t.rows()).flat_map(|i| of(t, i)));
    let words = sites.iter().flat_map(|t| (0..t.rows()).flat_map(|i| t.calls(i).to_vec())).collect();
    let columns = sites[0].columns().iter().filter(|c| c.name != "genotypes").cloned().collect();
    let pooled = Table::new(columns, rows.collect()).unwrap();
    let pooled = pooled.with_genotypes(1, "genotypes", ([9; 32], 70), words).unwrap();
    let pooled = trained(&method, &config, &[pooled]);
    for (federated, pooled) in federated.model.arrays.iter().zip(&pooled.model.arrays) {
        assert!(federated.values.len() == 70 && same_bits(&federated.values, &pooled.values));
    }
    let array = |name: &str| federated.model.array(name);
    let mut told = 0;
    for (variant, expected) in native(&sites).into_iter().enumerate() {
        let found = ["estimate", "standard error", "p"].map(|name| array(name)[variant]);
        let Some((estimate, error, p)) = expected else {
            assert!(found.iter().all(|v| v.is_nan()), "{variant}");
            continue;
        };
        told += 1;
        // Numbers are in steps of 2^-22.
        assert!((found[0] - estimate).abs() < 1e-5 * error, "{variant}: {} {estimate}", found[0]);
        assert!((found[1] / error - 1.0).abs() < 1e-6, "{variant}: {} {error}", found[1]);
        assert!((found[2] / p - 1.0).abs() < 1e-4, "{variant}: {} {p}", found[2]);
    }
    // Nobody has the one, nobody is called at the other.
    assert_eq!(told, 68);
    assert!(array("p")[3] < 1e-6 && array("estimate")[3] > 0.5, "{} {}", array("p")[3], array("estimate")[3]);
}

/// Sites whose cases, or controls, are too few say nothing at all; of a variant nothing is said whose copies are of too few cases.
#[test]
fn few_cases_are_not_told_of() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let first = |least, table: &Table| {
        let config = cases([9; 32], 70, Least { site: least, sum: 5 });
        method.site(&first_question(&method, &config), &rows_of(table, &config).unwrap()).unwrap()
    };
    let few = |cases: usize| {
        let table = ill(0, 140);
        let mut left = cases;
        let rows = (0..140).flat_map(|i| {
            let [sex, age, _] = of(&table, i);
            let case = left > 0 && i.is_multiple_of(5);
            left -= usize::from(case);
            [sex, age, f64::from(u8::from(case))]
        });
        let columns = table.columns().iter().filter(|c| c.name != "genotypes").cloned().collect();
        let words = (0..140).flat_map(|i| table.calls(i).to_vec()).collect();
        Table::new(columns, rows.collect())
            .unwrap()
            .with_genotypes(1, "genotypes", ([9; 32], 70), words)
            .unwrap()
    };
    let says_nothing = |numbers: Vec<f64>| numbers.iter().all(|v| *v == 0.0);
    assert!(says_nothing(first(5, &few(4))) && !says_nothing(first(0, &few(4))));
    // Enough, but too few of one sex: every third of them is male.
    assert!(says_nothing(first(5, &few(9))) && !says_nothing(first(5, &few(28))));

    // A round of variants: intercept, sex, age.
    let config = cases([9; 32], 70, Least { site: 5, sum: 5 });
    let table = few(28);
    let rows = rows_of(&table, &config).unwrap();
    let sites = [rows.clone(), rows_of(&ill(1, 150), &config).unwrap()];
    let mut state = method.begin(&config).unwrap();
    let ask = loop {
        let Next::Ask { ask } = method.next(&config, &state, 2).unwrap() else { panic!() };
        if ask.stage == "scan" {
            break ask;
        }
        let mut sums = vec![0.0; ask.len()];
        for site in &sites {
            let numbers = method.site(&ask, site).unwrap();
            sums.iter_mut().zip(numbers).for_each(|(sum, v)| *sum += v);
        }
        state = method.advance(&state, &ask, &Opened { donors: vec![1, 2], sums }).unwrap();
    };
    let numbers = method.site(&ask, &rows).unwrap();
    let (head, rest) = numbers.split_at(26);
    assert_eq!([head[0], head[3], head[4]], [140.0, 28.0, 28.0]);
    let (mut left_out, mut told) = (0, 0);
    for (variant, numbers) in rest.chunks_exact(13).enumerate() {
        // People by call, and copies, and those without a call, of each sex and of cases and controls.
        let (mut by_call, mut cells) = ([0_u64; 4], [[0_u64; 3]; 4]);
        for i in 0..140 {
            let ([sex, _, case], call) = (of(&table, i), call(&table, i, variant));
            by_call[call as usize] += 1;
            for group in [sex as usize, 2 + case as usize] {
                cells[group][0] += if call < 3 { call } else { 0 };
                cells[group][1] += u64::from(call == 3);
                cells[group][2] += u64::from(call < 3);
            }
        }
        let called: u64 = by_call[..3].iter().sum();
        let rare = called - by_call[..3].iter().max().unwrap();
        let few = |n: &u64| (1..5).contains(n);
        let few_of = |[copies, without, with]: &[u64; 3]| {
            few(without)
                || few(with)
                || [*copies, 2 * with - copies].into_iter().any(|n| (1..10).contains(&n))
        };
        if rare < 5 || few(&called) || few(&by_call[3]) || cells.iter().any(few_of) {
            left_out += 1;
            assert!(numbers[..8].iter().all(|v| *v == 0.0) && numbers[8] == 140.0, "{variant}");
        } else {
            told += 1;
            let (sum, squares) = (by_call[1] + 2 * by_call[2], by_call[1] + 4 * by_call[2]);
            assert_eq!(numbers[5..9], [sum, squares, 1, by_call[3]].map(|n| n as f64), "{variant}");
        }
    }
    assert!(left_out > 5 && told > 5, "{left_out} {told}");
}

/// A trainer may call a flag a number, and turn a panel round: the same groups are told of, or not.
#[test]
fn flags_that_are_called_numbers_and_turned_panels_tell_no_more() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let numbers = |linear: bool, flagged: usize, cases_of_flagged: usize, turned: bool| {
        let plain = made(0, 120);
        let outcome = if linear { Column::number("trait") } else { Column::no_yes("trait") };
        let columns = vec![Column::number("flag"), outcome];
        let row = |i: usize| {
            let flag = i < flagged;
            let case = if flag { i < cases_of_flagged } else { i.is_multiple_of(3) };
            [f64::from(u8::from(flag)), f64::from(u8::from(case))]
        };
        let turn = |call: u64| if turned && call < 3 { 2 - call } else { call };
        let word = |word: u64| (0..32).fold(0, |to, at| to | turn(word >> (2 * at) & 3) << (2 * at));
        // Behind the last variant is nothing.
        let last = |word: u64| word & 0xfff;
        let words = (0..120).flat_map(|i| {
            let calls = plain.calls(i);
            [word(calls[0]), word(calls[1]), last(word(calls[2]))]
        });
        let table = Table::new(columns, (0..120).flat_map(row).collect()).unwrap();
        let table = table.with_genotypes(1, "genotypes", ([9; 32], 70), words.collect()).unwrap();
        let mut config = config([9; 32], 70, Least { site: 5, sum: 5 });
        let kind = Kind::Number { low: 0.0, high: 1.0 };
        config.features[0] = Feature { name: "flag".into(), kind, zero_is_missing: false };
        config.outcome = match linear {
            true => Outcome::Number { name: "trait".into(), low: 0.0, high: 1.0 },
            false => Outcome::YesNo { name: "trait".into() },
        };
        let rows = rows_of(&table, &config).unwrap();
        method.site(&first_question(&method, &config), &rows).unwrap()
    };
    let says_nothing = |numbers: &[f64]| numbers.iter().all(|v| *v == 0.0);
    // Six with the flag, of whom one is a case.
    assert!(says_nothing(&numbers(false, 6, 1, false)));
    assert!(!says_nothing(&numbers(false, 30, 12, false)));
    // Which variants a linear scan tells of: 12 numbers of all, 17 of each.
    let told = |numbers: &[f64]| numbers[12..].chunks_exact(17).map(|of| of[4] == 1.0).collect::<Vec<_>>();
    let (plain, turned) = (told(&numbers(true, 30, 12, false)), told(&numbers(true, 30, 12, true)));
    assert!(plain == turned && plain.contains(&true) && plain.contains(&false), "{plain:?} {turned:?}");
}

/// Of three levels the first has no column of its own: who is in it is all but the others.
#[test]
fn the_first_level_is_a_group_as_well() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let numbers = |of_first: usize| {
        let plain = made(0, 100);
        let levels: Vec<String> = ["never", "former", "now"].map(String::from).into();
        let columns = vec![
            Column { name: "smoking".into(), kind: Kinds::Category(levels.clone()) },
            Column::number("trait"),
        ];
        let level = |i: usize| if i < of_first { 0.0 } else { (1 + i % 2) as f64 };
        let values = (0..100).flat_map(|i| [level(i), plain.row(i).unwrap()[2]]).collect();
        let words = (0..100).flat_map(|i| plain.calls(i).to_vec()).collect();
        let table = Table::new(columns, values).unwrap();
        let table = table.with_genotypes(1, "genotypes", ([9; 32], 70), words).unwrap();
        let mut config = config([9; 32], 70, Least { site: 5, sum: 5 });
        config.features[0] =
            Feature { name: "smoking".into(), kind: Kind::Category { levels }, zero_is_missing: false };
        method.site(&first_question(&method, &config), &rows_of(&table, &config).unwrap()).unwrap()
    };
    assert!(numbers(3).iter().all(|v| *v == 0.0));
    assert!(numbers(30).iter().any(|v| *v != 0.0));
}

#[test]
fn covariates_that_tell_cases_from_controls_are_said_so() {
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let plain = ill(0, 120);
    let columns = plain.columns().iter().filter(|c| c.name != "genotypes").cloned().collect();
    let rows = (0..120).flat_map(|i| {
        let [sex, age, _] = of(&plain, i);
        [sex, age, f64::from(u8::from(age > 50.0))]
    });
    let words = (0..120).flat_map(|i| plain.calls(i).to_vec()).collect();
    let table = Table::new(columns, rows.collect()).unwrap();
    let table = table.with_genotypes(1, "genotypes", ([9; 32], 70), words).unwrap();
    let config = cases([9; 32], 70, Least::default());
    let rows = [rows_of(&table, &config).unwrap()];
    let mut training = LocalTraining::new(&method, &config).unwrap();
    let told = loop {
        match training.step(&rows) {
            Ok(LocalStep::Done(_)) => panic!("separated covariates gave a scan"),
            Ok(_) => {}
            Err(error) => break format!("{error:?}"),
        }
    };
    assert!(told.contains("tell cases from controls without an error"), "{told}");
}

/// The cases of the 1000 Genomes: over four sites as over one, bit for bit; as the score test of the genome crate; and the
/// strongest of PLINK's Wald tests are the strongest here.
#[test]
fn cases_of_the_1000_genomes() {
    let Some(folder) = folder() else { return };
    let rows = Genomes::reference(&folder, "kg_phase1_550.gwas_logistic.SIMULATED_CC.tsv.gz");
    let genomes = Genomes::read(&rows);
    // PLINK's cases are 2, controls 1.
    let ill = |table: Table| {
        let sex = Kinds::Category(vec!["female".into(), "male".into()]);
        let columns = vec![
            Column { name: "sex".into(), kind: sex },
            Column { name: "trait".into(), kind: Kinds::no_yes() },
        ];
        let row = |i: usize| [table.row(i).unwrap()[0], table.row(i).unwrap()[2] - 1.0];
        let words = (0..table.rows()).flat_map(|i| table.calls(i).to_vec()).collect();
        let values = (0..table.rows()).flat_map(row).collect();
        let genotypes = ([1; 32], genomes.variants as u32);
        Table::new(columns, values).unwrap().with_genotypes(1, "genotypes", genotypes, words).unwrap()
    };
    let sites: Vec<Table> = genomes.sites(3).into_iter().map(ill).collect();
    let method = HostedMethod::new(load(&artifact("scan"), Limits::METHOD)).unwrap();
    let mut config = config([1; 32], genomes.variants as u32, Least::default());
    config.outcome = Outcome::YesNo { name: "trait".into() };
    let federated = trained(&method, &config, &sites);
    let pooled = trained(&method, &config, &[ill(genomes.site(None, 3))]);
    for (federated, pooled) in federated.model.arrays.iter().zip(&pooled.model.arrays) {
        assert!(same_bits(&federated.values, &pooled.values), "{}", federated.name);
    }

    let people: Vec<(bool, f64)> = genomes.samples.iter().map(|name| genomes.person(name, 3)).collect();
    let status: Vec<f64> = people.iter().map(|(_, status)| status - 1.0).collect();
    let male = people.iter().map(|(male, _)| f64::from(u8::from(*male))).collect();
    let test = ScoreTest::new(&status, &[male]).unwrap();
    let mut native = BTreeMap::new();
    let mut cohort = Genomes::open(&folder);
    while let Some((block, sites)) = cohort.read().unwrap() {
        for (site, found) in sites.iter().zip(test.scan(block)) {
            let key = (site.position.to_string(), site.reference.clone(), site.alternative.clone());
            native.insert(key, found);
        }
    }
    let array = |name: &str| federated.model.array(name);
    let (mut tested, mut strongest) = (0, vec![]);
    for (i, row) in rows.iter().enumerate() {
        if array("people")[i].is_nan() {
            // Left out: either strand.
            continue;
        }
        let found = ["estimate", "standard error", "p"].map(|name| array(name)[i]);
        let Ok(expected) = native[&(row[1].clone(), row[3].clone(), row[4].clone())] else {
            assert!(found.iter().all(|v| v.is_nan()), "{row:?}");
            continue;
        };
        tested += 1;
        strongest.push((found[2], row[2].clone()));
        let error = expected.variance.sqrt().recip();
        assert!((found[0] - expected.score / expected.variance).abs() < 1e-5 * error, "{row:?}");
        assert!((found[1] / error - 1.0).abs() < 1e-5, "{row:?}");
        assert!((found[2] / expected.p() - 1.0).abs() < 1e-3, "{row:?}");
    }
    strongest.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("{tested} variants tested, strongest {:?}", &strongest[..4]);
    assert!(tested > 14_000, "{tested}");
    let top: Vec<&str> = strongest[..8].iter().map(|(_, name)| name.as_str()).collect();
    assert!(top.contains(&"rs1023496") && top.contains(&"rs5999907"), "{top:?}");
}
