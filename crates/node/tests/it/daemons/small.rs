//! A study that takes a second: three owners with tables of 24 rows, a committee of four, four rounds.

use std::collections::BTreeMap;
use std::io::{self, Read};

use histone_node::study::{Files, Study};
use histone_protocol::disclosure::{Release, Source};
use tokio::sync::OnceCell;

use super::gathered::{Gathered, sealed};
use super::life::Step;
use super::outcome::Outcome;

const STUDY: &str = r#"name = "small"
title = "A small study"
task = "binary"

[table]
label = "y"
positive = "== 1"
features = "all numeric"
missing = "mean"

[table.ranges]
a = [0, 23]
b = [0, 23]

[[participant]]
name = "north"
data = "1.csv"
country = "DE"
consent = ["DUO:0000042"]
allow_public_exact = true

[[participant]]
name = "west"
data = "2.csv"
country = "FR"
consent = ["DUO:0000042"]
allow_public_exact = true

[[participant]]
name = "south"
data = "3.csv"
country = "NL"
consent = ["DUO:0000042"]
allow_public_exact = true

[model]
name = "risk"
predicts = "the risk"
purpose = "DUO:0000042"
trainer = "institute"
instant_payment = "1"
query_price = "1"
split = { donors = 70, trainer = 20, runner = 10 }

[training]
rounds = 1
tolerance = 1e-6
ridge = 1.0
holdout = 0.2
min_survivors = 2
sums = "public-exact"
settings = { bins = 10 }

[committee]
members = ["ethics", "patients", "regulator", "university"]
colluders = 1

[end_user]
queries = "queries.csv"

[parties]
runner = "cloud"
auditor = "auditor"
"#;

struct Memory(BTreeMap<String, String>);

impl Files for Memory {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let text = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(text.as_bytes()))
    }
}

/// 24 rows, both classes present; sites have no row in common.
fn table(site: u32) -> String {
    let value = |i: u32| (i * (6 + site) + site * 5) % 23;
    let row = |i: u32| format!("{},{},{}\n", value(2 * i), value(2 * i + 1), u8::from(i.is_multiple_of(3)));
    format!("a,b,y\n{}", (0..24).map(row).collect::<String>())
}

/// The study, with sums and model that everybody sees.
pub fn study() -> Study {
    let mut files: BTreeMap<_, _> = (1..=3).map(|site| (format!("{site}.csv"), table(site))).collect();
    files.insert("queries.csv".into(), "a,b\n7,9\n".into());
    Study::parse("small/study.toml", STUDY, &Memory(files)).unwrap()
}

/// The same with sums and model that nobody sees.
pub fn sealed_study() -> Study {
    let mut study = study();
    study.training.disclosure = sealed();
    study
}

/// The same in one enclave to which all owners bring their data, with a model for these.
pub fn hosted_study(release: Release) -> Study {
    let mut study = study().in_one_enclave();
    study.training.disclosure.model = release;
    study.participants.iter_mut().for_each(|p| p.allow_one_enclave = true);
    study
}

/// The same by a method of closed source, which its owners allow.
pub fn closed_study() -> Study {
    let mut study = hosted_study(Release::Sealed);
    (study.training.disclosure.source, study.training.disclosure.answers) = (Source::Closed, 10);
    let method = histone_node::programs::measurement(&study.training.method).unwrap();
    study.participants.iter_mut().for_each(|p| p.allow_closed = vec![method]);
    study
}

/// The same with so many owners, and so many steps of the method.
#[allow(dead_code)] // another test binary uses it
pub fn of_owners(owners: u32, steps: u32) -> Study {
    let (before, _) = STUDY.split_once("[[participant]]").unwrap();
    let (_, after) = STUDY.split_once("[model]").unwrap();
    let participant = |n: u32| {
        format!(
            "[[participant]]\nname = \"owner-{n:03}\"\ndata = \"{n}.csv\"\ncountry = \"DE\"\nconsent = [\"DUO:0000042\"]\nallow_public_exact = true\n\n"
        )
    };
    let participants: String = (0..owners).map(participant).collect();
    let text =
        format!("{before}{participants}[model]{after}").replace("rounds = 1", &format!("rounds = {steps}"));
    // No two owners have a row in common.
    let value = |n: u32| f64::from(n.wrapping_mul(2_654_435_761) >> 12) / f64::from(1 << 20) * 23.0;
    let row =
        |n: u32| format!("{:.6},{:.6},{}\n", value(2 * n), value(2 * n + 1), u8::from(n.is_multiple_of(3)));
    let rows = |owner: u32| (0..24).map(|i| row(owner * 24 + i)).collect::<String>();
    let mut files: BTreeMap<_, _> =
        (0..owners).map(|owner| (format!("{owner}.csv"), format!("a,b,y\n{}", rows(owner)))).collect();
    files.insert("queries.csv".into(), "a,b\n7,9\n".into());
    Study::parse("crowd/study.toml", &text, &Memory(files)).unwrap()
}

/// A run of a small study that nobody has disturbed.
pub struct Undisturbed {
    pub outcome: Outcome,
    /// Steps of each party, by kind.
    #[allow(dead_code)] // another test binary draws from it
    pub steps: Vec<[u64; 2]>,
}

/// What comes of the study when nobody disturbs it; run once for all tests.
pub async fn undisturbed(is_sealed: bool) -> &'static Undisturbed {
    static RUNS: [OnceCell<Undisturbed>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
    let study = || if is_sealed { sealed_study() } else { study() };
    RUNS[usize::from(is_sealed)].get_or_init(|| quiet(study())).await
}

/// The same in one enclave, by an open method whose model is for participants, or by a closed one.
pub async fn undisturbed_in_one_enclave(is_closed: bool) -> &'static Undisturbed {
    static RUNS: [OnceCell<Undisturbed>; 2] = [OnceCell::const_new(), OnceCell::const_new()];
    RUNS[usize::from(is_closed)].get_or_init(|| quiet(one_enclave(is_closed))).await
}

/// The study of [`undisturbed_in_one_enclave`].
pub fn one_enclave(is_closed: bool) -> Study {
    if is_closed { closed_study() } else { hosted_study(Release::Participants) }
}

async fn quiet(study: Study) -> Undisturbed {
    let mut gathered = Gathered::apart(study, 1).await;
    gathered.run().await;
    gathered.nothing_is_left();
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, outcome.refused.len()), ("serving", 0), "{outcome:?}");
    let steps = gathered.seats.iter().map(|seat| Step::ALL.map(|kind| seat.life.steps(kind))).collect();
    Undisturbed { outcome, steps }
}
