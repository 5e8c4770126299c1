//! What the public half of a method gives.

use histone_program_linear::Linear;
use histone_program_logistic::Logistic;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::data::{Block, Data};
use histone_program_sdk::method::{Ask, Done, Method, Next, Opened, Progress, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire::Wire;

use crate::same_but_for_nan;

fn wire<T: Wire>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    let written = value.to_bytes();
    assert!(same_but_for_nan(bytes, &written), "a value has two encodings");
    assert!(T::from_bytes(&written).is_ok_and(|again| again.to_bytes() == written));
    Some(value)
}

/// What the next round asks, and what its answer must be.
pub fn ask(bytes: &[u8]) -> bool {
    let next = wire::<Next>(bytes);
    let ask = match &next {
        Some(Next::Ask { ask }) => Some(ask.clone()),
        _ => wire::<Ask>(bytes),
    };
    if let Some(ask) = &ask {
        let size = histone_federation::header::check_ask(ask, 3);
        // An ask beyond what a round may hold is refused before anything of its size is made.
        if let Ok(size) = size {
            assert_eq!(size, ask.len());
            let few = size.min(1 << 10);
            let mut numbers = vec![0.5; few];
            ask.round(&mut numbers);
            let _ = ask.admit(&numbers, 3);
        }
    }
    next.is_some() || ask.is_some()
}

/// States, questions and opened sums: of the methods of the product, and the configuration that all begin with.
pub fn state(bytes: &[u8]) -> bool {
    [
        wire::<Config>(bytes).is_some(),
        wire::<Opened>(bytes).is_some(),
        agenda(bytes),
        wire::<<Linear as Method>::State>(bytes).is_some(),
        wire::<<Linear as Method>::Question>(bytes).is_some(),
        wire::<<Logistic as Method>::State>(bytes).is_some(),
        wire::<<Logistic as Method>::Question>(bytes).is_some(),
    ]
    .contains(&true)
}

/// The stages of a training: checked, and a question against them.
fn agenda(bytes: &[u8]) -> bool {
    let agenda = wire::<Vec<Stage>>(bytes);
    if let Some(agenda) = &agenda {
        let _ = histone_federation::plan::check_agenda(agenda);
        for stage in agenda {
            let ask = Ask { stage: stage.name.clone(), question: vec![], segments: vec![] };
            let _ = Progress::default().go(agenda, &ask);
        }
    }
    agenda.is_some()
}

/// The end of a training.
pub fn model(bytes: &[u8]) -> bool {
    let done = wire::<Done>(bytes);
    if let Some(done) = &done {
        for fact in &done.facts {
            let _ = (fact.is_number(), fact.number());
        }
    }
    done.is_some() | wire::<Model>(bytes).is_some()
}

/// Everything that a small training hands over, by kind.
#[derive(Debug, Default)]
struct Spoken {
    asks: Vec<(String, Vec<u8>)>,
    states: Vec<(String, Vec<u8>)>,
    models: Vec<(String, Vec<u8>)>,
}

struct Rows(Block);

impl Data for Rows {
    fn blocks(&self) -> usize {
        1
    }

    fn block(&self, _: usize) -> Result<Block, Refusal> {
        Ok(self.0.clone())
    }
}

/// A small site: a number, a category with three levels, and the outcome, with a gap here and there.
pub(crate) fn block(yes_no: bool) -> Block {
    let rows = 90;
    let mut block = Block { columns: 3, draws: Vec::new(), values: Vec::new() };
    for i in 0..rows {
        let (x, level) = (f64::from(i * 7 % rows), f64::from(i % 3));
        let outcome = if yes_no { f64::from(u8::from(i * 5 % 11 > 4)) } else { x / 2.0 + level };
        block.draws.push(f64::from(i) / f64::from(rows));
        block.values.extend([if i % 13 == 0 { f64::NAN } else { x }, level, outcome]);
    }
    block
}

fn config(yes_no: bool, missing: Missing) -> Config {
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let levels = ["low", "middle", "high"].map(String::from).into();
    Config {
        features: vec![
            feature("age", Kind::Number { low: 0.0, high: 100.0 }),
            feature("grade", Kind::Category { levels }),
        ],
        outcome: match yes_no {
            true => Outcome::YesNo { name: "ill".into() },
            false => Outcome::Number { name: "cost".into(), low: 0.0, high: 100.0 },
        },
        missing,
        holdout: 0.3,
        least: Least { site: 0, sum: 5 },
        // Of `linear` ridge and largest weight; of `logistic` ridge, rounds, tolerance, bins, separated, longest step, largest weight.
        values: if yes_no { vec![1.0, 40.0, 1e-9, 8.0, 0.0, 10.0, 50.0] } else { vec![0.5, 1000.0] },
    }
}

fn listen<M: Method>(name: &str, config: Config, data: &dyn Data, spoken: &mut Spoken) {
    let config_bytes = config.to_bytes();
    let run = || -> Result<(), Refusal> {
        let agenda = M::agenda(&config)?;
        let mut state = M::begin(config)?;
        spoken.states.push((format!("{name}-config"), config_bytes));
        spoken.states.push((format!("{name}-agenda"), agenda.to_bytes()));
        let mut stages: Vec<String> = Vec::new();
        loop {
            let next = M::next(&state)?;
            let ask = match &next {
                Next::Done { done } => {
                    spoken.models.push((format!("{name}-done"), done.to_bytes()));
                    spoken.models.push((format!("{name}-model"), done.model.to_bytes()));
                    spoken.asks.push((format!("{name}-next-done"), next.to_bytes()));
                    return Ok(());
                }
                Next::Ask { ask } => ask,
            };
            let mut sums = M::site(M::Question::from_bytes(&ask.question)?, data)?;
            ask.round(&mut sums);
            let opened = Opened { donors: vec![1], sums };
            // One of each stage: a seed is a shape, not a number.
            if !stages.contains(&ask.stage) {
                stages.push(ask.stage.clone());
                let name = format!("{name}-{}", ask.stage);
                spoken.states.push((format!("{name}-state"), state.to_bytes()));
                spoken.states.push((format!("{name}-question"), ask.question.clone()));
                spoken.states.push((format!("{name}-opened"), opened.to_bytes()));
                spoken.asks.push((name, next.to_bytes()));
            }
            state = M::advance(state, opened)?;
        }
    };
    assert_eq!(run(), Ok(()), "the training of the seeds");
}

fn spoken() -> Spoken {
    let mut spoken = Spoken::default();
    listen::<Linear>("linear", config(false, Missing::Mean {}), &Rows(block(false)), &mut spoken);
    listen::<Logistic>("logistic", config(true, Missing::Median {}), &Rows(block(true)), &mut spoken);
    spoken
}

/// What two trainings ask.
pub fn asks() -> Vec<(String, Vec<u8>)> {
    spoken().asks
}

/// What they remember, tell their sites and hear from them.
pub fn states() -> Vec<(String, Vec<u8>)> {
    spoken().states
}

/// What they end with.
pub fn models() -> Vec<(String, Vec<u8>)> {
    spoken().models
}

/// The configuration of one of them.
pub(crate) fn a_config() -> Config {
    config(true, Missing::Drop {})
}
