//! Whole collaborations, each verified as a stranger would.

use std::path::{Path, PathBuf};

use histone_chain::replay;
use histone_compliance::verify::{verify, verify_on};
use histone_ledger::Connection;
use histone_node::error::NodeError;
use histone_node::party::Entropy;
use histone_node::run::{DropOut, Network, Observer, Options, RunResult, run};
use histone_node::study::{BREAST_CANCER, Study, data_root};

use crate::backend::{developer, on_node};

#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn step(&mut self, _: usize, _: usize, _: &str) {}
    fn note(&mut self, text: &str) {
        self.0.push(text.to_string());
    }
    fn round(&mut self, _: u32, _: u32, _: &str) {}
}

async fn execute(
    study: &Study,
    out: &Path,
    seed: u64,
    drop_outs: &[(&str, u32)],
) -> Result<RunResult, NodeError> {
    let options = Options {
        out: out.to_path_buf(),
        entropy: Entropy::Seed(seed),
        start_time: 1_767_225_600,
        network: network(),
        withdrawals: vec![],
        drop_outs: drop_outs
            .iter()
            .map(|(name, round)| DropOut { participant: name.to_string(), round: *round })
            .collect(),
    };
    run(study, &options, &mut Notes::default()).await
}

/// The node that the tests use, if any, with its first development account.
fn network() -> Option<Network> {
    let url = std::env::var("HISTONE_TEST_RPC").ok()?;
    Some(Network { url, funder: Some(developer()) })
}

async fn assert_verifies(dir: &Path) {
    let report = match network() {
        None => verify(dir, &mut |_| {}).await.unwrap(),
        Some(network) => {
            let node = Connection::http(&network.url).unwrap();
            verify_on(dir, &node, &mut |_| {}).await.unwrap()
        }
    };
    assert!(report.holds(), "{:?}", report.first_failure());
}

/// A fact that is one cell.
fn cell<'a>(result: &'a RunResult, name: &str) -> &'a serde_json::Value {
    &result.facts.iter().find(|f| f.name == name).unwrap().rows[0][0]
}

fn number(result: &RunResult, name: &str) -> f64 {
    cell(result, name).as_f64().unwrap()
}

fn word<'a>(result: &'a RunResult, name: &str) -> &'a str {
    cell(result, name).as_str().unwrap()
}

/// Federated equals pooled, money adds up, nothing that must be refused went through.
fn assert_sound(result: &RunResult) {
    assert_eq!(word(result, "converged"), "yes");
    assert!(
        result.model.largest_difference_to_pooled.unwrap() < 1e-6,
        "{:e}",
        result.model.largest_difference_to_pooled.unwrap()
    );
    // The same rows judge both models.
    for pooled in &result.pooled {
        let Some(wanted) = pooled.value else {
            assert!(cell(result, &pooled.name).is_null());
            continue;
        };
        let found = number(result, &pooled.name);
        let difference = (found - wanted).abs() / wanted.abs().max(1.0);
        assert!(difference < 1e-6, "{}: {found} {wanted}", pooled.name);
    }
    assert_eq!(result.balances.iter().map(|b| b.tokens_micro).sum::<u64>(), result.paid_in_micro);
    assert_eq!(result.refused.len(), 9);
    assert_eq!(result.queries.iter().filter(|q| !q.settled).count(), 1);
}

#[tokio::test]
async fn the_bundled_study_runs_twice_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let study = Study::bundled().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|n| dir.path().join(n));
    let first = execute(&study, &a, 7, &[]).await.unwrap();
    assert_sound(&first);
    assert_verifies(&a).await;
    assert_eq!(first.declined.iter().filter(|d| d.model == "premium-pricing").count(), 3);
    // The study denies a name; what is matched is the account that the name stands for.
    let denied = first.declined.iter().find(|d| d.participant == "screening-center").unwrap();
    let account = first.balances.iter().find(|b| b.name == "premium-insurance").unwrap().accounts[0];
    let reason = format!("the owner's list denies the account {account} (calls itself `premium-insurance`)");
    assert!(denied.reasons.contains(&reason), "{:?}", denied.reasons);
    // Four instant payments of 50, nine queries at 2.5 split 70/20/10, one refunded.
    let tokens = |role: &str| -> u64 {
        first.balances.iter().filter(|b| b.role == role).map(|b| b.tokens_micro).sum()
    };
    assert_eq!(tokens("participant") + tokens("contract"), 4 * 50_000_000 + 9 * 1_750_000);
    assert_eq!(tokens("runner"), 9 * 250_000);
    assert_eq!(tokens("end user"), 2_500_000);

    let second = execute(&study, &b, 7, &[]).await.unwrap();
    assert_eq!(first.model.hash, second.model.hash);
    if on_node() {
        // Addresses of contracts and times are the network's.
        assert_verifies(&b).await;
        return;
    }
    assert_eq!((first.chain.head, first.chain.state_digest), (second.chain.head, second.chain.state_digest));
    let blobs = |dir: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(dir.join("blobs")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&a), blobs(&b), "names are hashes: the same names are the same bytes");
    let other = execute(&study, &c, 8, &[]).await.unwrap();
    assert_ne!(first.chain.state_digest, other.chain.state_digest);
    assert_eq!(first.model.hash, other.model.hash, "masks differ, the sum does not");
}

/// The same hospitals and columns, another outcome and another method: a study says so in three lines.
#[tokio::test]
async fn a_study_predicts_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut text = BREAST_CANCER.study().to_owned();
    for (from, to) in [
        ("task = \"binary\"", "task = \"number\""),
        ("label = \"malignant\"\npositive = \"== 1\"\n", "label = \"mean_area\"\n"),
        ("features = \"all numeric\"", "features = [\"mean_radius\", \"mean_texture\", \"malignant\"]"),
        ("missing = \"refuse\"", "levels = { malignant = [\"0\", \"1\"] }\nmissing = \"refuse\""),
        ("rounds = 12\ntolerance = 1e-6\nridge = 1.0\n", "ridge = 0.5\n"),
        // And one hospital does not want everybody to see exact sums.
        ("allow_public_exact = true\nallow_one_enclave = true\n\n[model]", "\n[model]"),
    ] {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let study = Study::parse("study.toml", &text, &BREAST_CANCER).unwrap();
    assert_eq!(study.training.method, "linear");
    let result = execute(&study, &dir.join("run"), 7, &[]).await.unwrap();
    assert_verifies(&dir.join("run")).await;
    assert_eq!((result.model.method.as_str(), result.rounds.len()), ("linear", 3));
    assert!(
        result.model.largest_difference_to_pooled.unwrap() < 1e-9,
        "{:e}",
        result.model.largest_difference_to_pooled.unwrap()
    );
    assert!(number(&result, "r2") > 0.95, "{}", number(&result, "r2"));
    let declined = result.declined.iter().filter(|d| d.model == "malignancy");
    let declined: Vec<_> = declined.map(|d| (d.participant.as_str(), d.reasons[0].as_str())).collect();
    let [("screening-center", why)] = declined[..] else { panic!("{declined:?}") };
    assert!(why.contains("steered until they show single rows"), "{why}");
    assert_eq!(result.refused.len(), 9);
    let known = result.queries.iter().filter_map(|q| Some((q.answer.first()?.value?, q.truth?)));
    let errors: Vec<f64> = known.map(|(said, truth)| (said - truth).abs() / truth).collect();
    assert!(errors.len() == 9 && errors.iter().all(|e| *e < 0.4), "{errors:?}");
}

/// Whole numbers, days, names, and an outcome of which some rows say neither yes nor no.
#[tokio::test]
async fn a_study_over_typed_columns() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let header = "visits,seen,smoker,sbp,ill\n";
    let row = |site: usize, i: usize| {
        let (a, b) = ((i * 7 + site * 3) % 11, (i * 5 + site) % 13);
        let smoker = ["never", "former", "current"][(i + site) % 3];
        let ill = if i % 17 == 4 { 9 } else { usize::from((a + b + i * i) % 7 > 3) };
        let seen = format!("20{:02}-{:02}-{:02}", 10 + (i + site) % 9, 1 + b % 12, 1 + (i * 3 + a) % 28);
        format!("{a},{seen},{smoker},{}.5,{ill}\n", 100 + (i * 31 + site * 7) % 80)
    };
    for (site, name) in ["north", "south", "west"].into_iter().enumerate() {
        let rows: String = (0..80).map(|i| row(site, i)).collect();
        std::fs::write(dir.join(format!("{name}.csv")), format!("{header}{rows}")).unwrap();
    }
    std::fs::write(dir.join("queries.csv"), format!("{header}3,2015-02-28,never,120,1\n,,former,99,9\n"))
        .unwrap();
    let bundled = BREAST_CANCER.study();
    let rest = &bundled[bundled.find("[model]").unwrap()..];
    let site = |name: &str, country: &str| {
        format!(
            "[[participant]]\nname = \"{name}\"\ndata = \"{name}.csv\"\ncountry = \"{country}\"\nconsent = [\"DUO:0000042\"]\nallow_public_exact = true\n"
        )
    };
    let study = format!(
        "name = \"typed\"\ntitle = \"Typed columns\"\ntask = \"binary\"\n[table]\nlabel = \"ill\"\npositive = \"== 1\"\n\
         negative = \"== 0\"\nother = \"leave-out\"\nfeatures = \"all numeric\"\nmissing = \"mean\"\n[table.kinds]\n\
         visits = \"whole\"\nseen = \"day\"\n[table.levels]\nsmoker = [\"never\", \"former\", \"current\"]\n[table.ranges]\n\
         seen = [2010-01-01, 2018-12-31]\n{}{}{}{rest}",
        site("north", "DE"),
        site("south", "FR"),
        site("west", "NL"),
    )
    .replace("min_survivors = 3", "min_survivors = 2");
    std::fs::write(dir.join("study.toml"), study).unwrap();
    let study = Study::load(&dir.join("study.toml"), None).unwrap();
    let result = execute(&study, &dir.join("run"), 7, &[]).await.unwrap();
    assert_verifies(&dir.join("run")).await;
    assert_eq!(result.model.features, ["visits", "seen", "smoker", "sbp"]);
    assert!(
        result.model.largest_difference_to_pooled.unwrap() < 1e-9,
        "{:e}",
        result.model.largest_difference_to_pooled.unwrap()
    );
    let left_out: Vec<_> =
        result.left_out.iter().map(|l| (l.participant.as_str(), l.without_outcome)).collect();
    assert_eq!(left_out, [("north", 5), ("south", 5), ("west", 5)]);
    assert_eq!(result.validation[0].rows, 75);
    let truth: Vec<Option<f64>> = result.queries.iter().map(|q| q.truth).take(2).collect();
    assert_eq!(truth, [Some(1.0), None]);
}

#[tokio::test]
async fn a_hospital_that_drops_out_in_round_2_does_not_stop_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let result = execute(&Study::bundled().unwrap(), &out, 1, &[("city-hospital", 2)]).await.unwrap();
    let survivors: Vec<u16> = result.rounds.iter().map(|r| r.survivors).collect();
    assert_eq!(survivors.first(), Some(&4));
    assert!(survivors.iter().skip(1).all(|&s| s == 3), "{survivors:?}");
    assert_eq!(word(&result, "converged"), "yes");
    assert!(result.rounds.iter().skip(1).all(|r| r.missing == ["city-hospital"]));
    let pooled = result.pooled.iter().find(|f| f.name == "auc").unwrap().value.unwrap();
    assert!((number(&result, "auc") - pooled).abs() < 0.05);
    assert_verifies(&out).await;
}

#[tokio::test]
async fn too_few_survivors_stop_the_training_and_what_is_open_is_paid() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let gone = [("city-hospital", 2), ("cancer-center", 2)];
    let error = execute(&Study::bundled().unwrap(), &out, 1, &gone).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "training stopped: round 2 got updates from 2 of 4 participants and needs 3; 0 tokens of the deposit went back to `oncology-institute`, the rest is the donors', who are paid for the sums that are open"
    );
    if !on_node() {
        let report = replay(&out.join("ledger")).unwrap();
        assert!(report.transactions > 50);
    }
    // A second start says what lies there.
    let again = execute(&Study::bundled().unwrap(), &out, 1, &[]).await.unwrap_err();
    assert!(again.to_string().contains("holds an unfinished run"), "{again}");
}

#[tokio::test]
async fn a_failure_that_cannot_happen_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let error = execute(&Study::bundled().unwrap(), &out, 1, &[("city-hospital", 99)]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`city-hospital` cannot drop out in round 99: the training has at most 15 rounds"
    );
    assert!(!out.exists());
}

#[tokio::test]
async fn the_four_real_hospitals() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let variable = std::env::var_os("HISTONE_DATA");
    let Some(root) = data_root(variable.clone(), manifest) else {
        assert!(variable.is_none(), "HISTONE_DATA is set and points nowhere");
        eprintln!("SKIPPED: neither HISTONE_DATA nor ../shared/data is there");
        return;
    };
    let file: PathBuf = manifest.join("../../examples/heart/study.toml");
    let study = Study::load(&file, Some(&root)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let result = execute(&study, &out, 1, &[]).await.unwrap();
    assert_sound(&result);
    assert_verifies(&out).await;
    // Zeros of cholesterol are missing values in disguise, and the validation program sees it.
    let flags = |participant: &str, column: &str| -> Vec<String> {
        let site = result.validation.iter().find(|v| v.participant == participant).unwrap();
        site.flagged.iter().filter(|c| c.column == column).flat_map(|c| c.flags.clone()).collect()
    };
    assert_eq!(flags("veterans-affairs", "chol"), ["zeros that are likely missing values"]);
    assert_eq!(flags("veterans-affairs", "trestbps"), ["zeros that are likely missing values"]);
    assert_eq!(flags("switzerland", "chol"), ["constant"]);
    assert!(flags("cleveland", "chol").is_empty());
}
