//! Typed tables and an outcome with a time, from a file to a model: what a site reads from its dataset, and a small method whose
//! federated model is the pooled one.

use std::collections::BTreeMap;
use std::sync::Arc;

use histone_enclave::manifest::{Manifest, OutcomeKind};
use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining};
use histone_enclave::program::Limits;
use histone_enclave::reading::rows_of;
use histone_genome::table::{
    Day, Features, Kind, Label, Limits as TableLimits, MissingRules, RawTable, Selection, Table, YesNo,
};
use histone_program_sdk::config::{Config, Feature, Kind as Asked, Missing, Outcome};
use histone_program_sdk::data::{Block, Data};
use histone_program_sdk::method::{Ask, Done, Fact, Method, Next, Numbers, Opened, Segment, Stage, run_over};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{self, Design, Part, Preparation};
use histone_program_sdk::wire;

use crate::support::{artifact, load};

/// Events for each unit of time, over all rows and over those above the mean of each column.
#[derive(Debug)]
struct Rate;

wire! {
    #[derive(Debug, Clone, PartialEq)]
    enum State {
        Preparing { preparation: Preparation },
        Counting { design: Design },
        Counted { design: Design, sums: Vec<f64> },
    }
}

wire! {
    #[derive(Debug, Clone, PartialEq)]
    enum Question {
        Prepare { question: tabular::Question },
        Count { design: Design, longest: f64 },
    }
}

impl Method for Rate {
    type State = State;
    type Question = Question;

    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        let mut agenda = Preparation::agenda(config)?;
        agenda.push(Stage::new("count", 2 * tabular::width(config), 1));
        Ok(agenda)
    }

    fn begin(config: Config) -> Result<State, Refusal> {
        if !matches!(config.outcome, Outcome::EventTime { .. }) {
            return Err(Refusal::because("a rate is of an event with a time"));
        }
        Ok(State::Preparing { preparation: Preparation::new(config)? })
    }

    fn next(state: &State) -> Result<Next, Refusal> {
        let ask = match state {
            State::Preparing { preparation } => {
                preparation.ask_as(|question| Question::Prepare { question }).ok_or(Refusal::Malformed)?
            }
            State::Counting { design } => {
                let Outcome::EventTime { longest, .. } = design.config.outcome else {
                    return Err(Refusal::Malformed);
                };
                let numbers = Numbers::Real { max_abs: 1e9, fraction_bits: 40 };
                let segments = vec![Segment { len: 2 * design.width() as u32, numbers }];
                Ask::new("count", &Question::Count { design: design.asked(), longest }, segments)
            }
            State::Counted { design, sums } => {
                let rates: Vec<f64> =
                    sums.as_chunks::<2>().0.iter().map(|[seen, time]| seen / time).collect();
                let facts = vec![Fact::single("rate", "Events for each unit of time", rates[0])];
                let model = Model::new("rate", "0.1.0", design.config.clone()).with("rates", rates);
                return Ok(Next::Done { done: Done { model: design.keep_in(model), facts } });
            }
        };
        Ok(Next::Ask { ask })
    }

    fn advance(state: State, opened: Opened) -> Result<State, Refusal> {
        match state {
            State::Preparing { preparation } => match preparation.advance(&opened)? {
                Preparation::Ready { design, .. } => Ok(State::Counting { design }),
                preparation => Ok(State::Preparing { preparation }),
            },
            State::Counting { design } => Ok(State::Counted { design, sums: opened.sums }),
            State::Counted { .. } => Err(Refusal::Malformed),
        }
    }

    fn site(question: Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        let (design, longest) = match question {
            Question::Prepare { question } => return tabular::site(&question, data),
            Question::Count { design, longest } => (design, longest),
        };
        let mut sums = vec![0.0; 2 * design.width()];
        design.batches(data, Part::Training, &mut |batch| {
            for (z, outcome) in batch.z.chunks(batch.width).zip(batch.outcomes.chunks(2)) {
                for (sums, _) in sums.chunks_mut(2).zip(z).filter(|(_, z)| **z > 0.0) {
                    sums[0] += outcome[1];
                    sums[1] += outcome[0].min(longest);
                }
            }
        })?;
        Ok(sums)
    }

    fn report(_: &Model, _: &dyn Data) -> Result<Vec<f64>, Refusal> {
        Ok(vec![])
    }
}

/// Three sites: a whole number, a day, a category, the time and the event; some cells are missing.
fn files() -> [String; 3] {
    [40_usize, 25, 60].map(|rows| {
        let row = |i: usize| {
            let visits = if i % 11 == 3 { String::new() } else { (i * rows % 7).to_string() };
            let day = Day::at((14_000 + i * 37 + rows) as i64).unwrap();
            let sex = if (i + rows).is_multiple_of(3) { "f" } else { "m" };
            let (time, seen) = (5 + i * 13 % 90, u8::from((7 * i + rows) % 4 == 1));
            format!("{visits},{day},{sex},{time}.25,{seen}\n")
        };
        let rows: String = (0..rows).map(row).collect();
        format!("visits,diagnosed,sex,days,died\n{rows}")
    })
}

fn levels() -> Vec<String> {
    ["f", "m"].map(String::from).into()
}

/// What an owner encrypts, and an enclave decrypts.
fn dataset(file: &str) -> Table {
    let kinds = [("visits", Kind::Whole), ("diagnosed", Kind::Day), ("sex", Kind::Category(levels()))];
    let selection = Selection {
        label: "days".into(),
        outcome: Label::EventTime { event: "died".into(), rule: YesNo::default() },
        features: Features::AllNumeric,
        kinds: BTreeMap::from(kinds.map(|(name, kind)| (name.to_owned(), kind))),
        ignore: vec![],
        missing: MissingRules::default(),
    };
    let raw = RawTable::read("site.csv", file.as_bytes(), &TableLimits::default()).unwrap();
    let table = raw.select(&selection).unwrap();
    let read = Table::decode(&table.encode()).unwrap();
    assert_eq!(read, table);
    read
}

/// The rows of all sites in one file.
fn together() -> String {
    let rows = |file: &String| file.split_once('\n').unwrap().1.to_owned();
    format!("visits,diagnosed,sex,days,died\n{}", files().iter().map(rows).collect::<String>())
}

fn config(outcome: Outcome, values: Vec<f64>) -> Config {
    let day = |text: &str| f64::from(text.parse::<Day>().unwrap().since_1970());
    let diagnosed = Asked::Day { low: day("2008-01-01"), high: day("2014-12-31") };
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let mut features = vec![
        feature("visits", Asked::Whole { low: 0.0, high: 6.0 }),
        feature("diagnosed", diagnosed),
        feature("sex", Asked::Category { levels: levels() }),
    ];
    if matches!(outcome, Outcome::Number { .. }) {
        let levels = ["no", "yes"].map(String::from).into();
        features.push(feature("died", Asked::Category { levels }));
    }
    Config { features, outcome, missing: Missing::Median {}, holdout: 0.0, least: Default::default(), values }
}

fn blocks(file: &str, config: &Config) -> Vec<Arc<[u8]>> {
    rows_of(&dataset(file), config).unwrap()
}

fn close(federated: &Model, pooled: &Model) {
    assert_eq!(federated.arrays.len(), pooled.arrays.len());
    for (a, b) in federated.arrays.iter().zip(&pooled.arrays) {
        assert_eq!((&a.name, a.values.len()), (&b.name, b.values.len()));
        for (x, y) in a.values.iter().zip(&b.values) {
            assert!((x - y).abs() <= 1e-11 * y.abs().max(1.0), "{}: {x} {y}", a.name);
        }
    }
}

#[test]
fn an_event_with_a_time_over_sites_is_the_pooled_one() {
    let outcome = Outcome::EventTime { time: "days".into(), event: "died".into(), longest: 90.0 };
    let config = config(outcome, vec![]);
    let trained = |files: &[String]| {
        let read = |file: &String| blocks(file, &config).iter().map(|b| Block::decode(b).unwrap()).collect();
        let sites: Vec<Vec<Block>> = files.iter().map(read).collect();
        let sites: Vec<&dyn Data> = sites.iter().map(|site| site as &dyn Data).collect();
        run_over::<Rate>(config.clone(), &sites).unwrap()
    };
    let (federated, rounds) = trained(&files());
    let (pooled, _) = trained(&[together()]);
    // A description, nine rounds for the median, and the count.
    assert_eq!(rounds, 11);
    close(&federated.model, &pooled.model);
    // By hand: what was seen, and the time up to the longest plausible one.
    let (mut seen, mut time) = (0.0, 0.0);
    for row in dataset(&together()).values().chunks(5) {
        seen += row[4];
        time += row[3].min(90.0);
    }
    assert!((federated.model.array("rates")[0] - seen / time).abs() < 1e-12 && seen > 10.0);
    // Days stand in the model in their own unit.
    let design = Design::of(&federated.model).unwrap();
    let day = &design.columns()[1];
    assert!(Day::at(day.centre as i64).is_some_and(|d| d.to_string().starts_with("20")), "{day:?}");
}

#[test]
fn a_dataset_is_read_as_the_plan_asks_or_not_at_all() {
    let timed = |time: &str, event: &str| {
        let (time, event) = (time.into(), event.into());
        config(Outcome::EventTime { time, event, longest: 90.0 }, vec![])
    };
    let table = dataset(&files()[0]);
    let refused = |config: &Config, part: &str| {
        let error = rows_of(&table, config).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    assert!(rows_of(&table, &timed("days", "died")).is_ok());
    refused(&timed("died", "days"), "`died` is a category in the dataset, and a number in the plan");
    refused(&timed("days", "sex"), "`sex` is no column of `no` and `yes` in the dataset");
    let mut other = timed("days", "died");
    other.features[0].kind = Asked::Day { low: 0.0, high: 6.0 };
    refused(&other, "`visits` is a whole number in the dataset, and a day in the plan");
    let mut short = timed("days", "died");
    short.outcome = Outcome::EventTime { time: "days".into(), event: "died".into(), longest: 20.0 };
    refused(&short, "the range of `days` in the plan, 0 to 20, leaves more than one in 10");
}

/// A method of the product over the same tables, in the engine.
#[test]
fn whole_numbers_and_days_in_a_regression() {
    let method = HostedMethod::new(load(&artifact("linear"), Limits::METHOD)).unwrap();
    let config = config(Outcome::Number { name: "days".into(), low: 0.0, high: 100.0 }, vec![0.1, 1000.0]);
    method.manifest().takes(&config).unwrap();
    let trained = |files: &[String]| {
        let sites: Vec<Vec<Arc<[u8]>>> = files.iter().map(|file| blocks(file, &config)).collect();
        let mut training = LocalTraining::new(&method, &config).unwrap();
        loop {
            if let LocalStep::Done(done) = training.step(&sites).unwrap() {
                return done.model;
            }
        }
    };
    close(&trained(&files()), &trained(&[together()]));
    // An event with a time it does not take, and says so by its manifest.
    let manifest: &Manifest = method.manifest();
    assert_eq!(
        manifest.takes_outcome(OutcomeKind::EventTime, "the plan's"),
        Err("the method `linear` takes a number, and the plan's is an event with a time".into())
    );
}
