//! Processes that end at any point: before and after each call of the network, and before each change on the disk.
//!
//! All parties of a small study live in one process here, each with a home of its own. After every death the next process of the
//! party opens what is there. However often that happens, the study ends as it does without: with the same model and the same
//! payments, each act once on the ledger, each letter read once.
//!
//! A binary of its own: functions of the C library are replaced in it, which the other tests should not run under.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)]

mod disks;
#[path = "../it/daemons/gathered.rs"]
#[allow(dead_code)] // the other tests use more of it
mod gathered;
mod layer;
#[path = "../it/daemons/life.rs"]
#[allow(dead_code)] // the other tests use more of it
mod life;
#[path = "../it/daemons/masks.rs"]
mod masks;
#[path = "../it/daemons/outcome.rs"]
mod outcome;
#[path = "../it/daemons/small.rs"]
mod small;

use std::ops::Range;

use gathered::Gathered;
use life::Step;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// When whose processes end: of each party, the kind of a step and how many of that kind were done in all of its life, the next one last.
fn deaths(kills: usize, steps: &[[u64; 2]], chance: &mut Chance) -> Vec<Vec<(Step, u64)>> {
    let mut deaths = vec![Vec::new(); steps.len()];
    for number in 0..kills {
        // Everybody before anybody twice.
        let place = number % steps.len();
        let kind = Step::ALL[chance.below(2) as usize];
        deaths[place].push((kind, chance.below(steps[place][kind as usize])));
    }
    for (deaths, steps) in deaths.iter_mut().zip(steps) {
        // In which share of the run.
        let share = |(kind, step): &(Step, u64)| step * 1_000_000 / steps[*kind as usize];
        deaths.sort_by_key(|death| std::cmp::Reverse(share(death)));
    }
    deaths
}

/// When the next process of a party begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Begins {
    /// Before anybody else takes a turn, so that nobody changes places with it.
    AtOnce,
    /// When the others have had their turns.
    Later,
}

impl Gathered {
    /// Has the next process of a party end as planned.
    fn arm(&self, place: usize, deaths: &mut [Vec<(Step, u64)>]) {
        let life = &self.seats[place].life;
        life.begin();
        if let Some((kind, step)) = deaths[place].pop() {
            life.ends_after(kind, step.saturating_sub(life.steps(kind)));
        }
    }

    /// Until nothing is left to do, with processes that end. Gives how often one did.
    async fn run_killed(&mut self, mut deaths: Vec<Vec<(Step, u64)>>, begins: Begins) -> usize {
        let mut killed = 0;
        (0..self.daemons.len()).for_each(|place| self.arm(place, &mut deaths));
        for _ in 0..400 {
            let (mut moved, mut next) = (false, None::<u64>);
            let mut place = 0;
            while place < self.daemons.len() {
                let turn = self.turn(place).await;
                if !self.seats[place].life.is_over() {
                    let turn = turn.unwrap();
                    moved |= turn.moved();
                    next = turn.next.into_iter().chain(next).min();
                    place += 1;
                    continue;
                }
                self.end(place);
                moved = true;
                killed += 1;
                self.arm(place, &mut deaths);
                while let Err(error) = self.begin(place) {
                    // The next one may end before it has begun.
                    assert!(self.seats[place].life.is_over(), "{error}");
                    killed += 1;
                    self.arm(place, &mut deaths);
                }
                place += usize::from(begins == Begins::Later);
            }
            if !moved && !self.wait_until(next) {
                return killed;
            }
        }
        panic!("it does not come to an end: {}", self.told());
    }
}

/// The same in one enclave to which all owners bring their data.
async fn survives_in_one_enclave(is_closed: bool, kills: usize, seeds: Range<u64>, begins: Begins) {
    let undisturbed = small::undisturbed_in_one_enclave(is_closed).await;
    for seed in seeds {
        let deaths = deaths(kills, &undisturbed.steps, &mut Chance(seed));
        let mut gathered = Gathered::apart(small::one_enclave(is_closed), 1).await;
        let killed = gathered.run_killed(deaths, begins).await;
        assert!(killed >= kills, "{killed}");
        gathered.nothing_is_left();
        gathered.outcome().await.is(&undisturbed.outcome, true, &format!("seed {seed}, {begins:?}"));
    }
}

async fn survives(is_sealed: bool, kills: usize, seeds: Range<u64>, begins: Begins) {
    let undisturbed = small::undisturbed(is_sealed).await;
    for seed in seeds {
        let deaths = deaths(kills, &undisturbed.steps, &mut Chance(seed));
        let study = if is_sealed { small::sealed_study() } else { small::study() };
        let mut gathered = Gathered::apart(study, 1).await;
        let killed = gathered.run_killed(deaths, begins).await;
        assert!(killed >= kills, "{killed}");
        gathered.nothing_is_left();
        gathered.outcome().await.is(&undisturbed.outcome, is_sealed, &format!("seed {seed}, {begins:?}"));
        let updates = masks::are_used_once(&gathered.seen);
        assert_eq!(updates, 3 * undisturbed.outcome.rounds as usize);
    }
}

#[tokio::test]
async fn processes_end_at_any_step_of_a_study() {
    survives(false, 30, 1..2, Begins::Later).await;
}

#[tokio::test]
async fn processes_end_at_any_step_of_a_sealed_study() {
    survives(true, 30, 1..2, Begins::AtOnce).await;
}

#[tokio::test]
async fn processes_end_at_any_step_of_a_study_in_one_enclave() {
    survives_in_one_enclave(false, 30, 1..2, Begins::Later).await;
    survives_in_one_enclave(true, 30, 1..2, Begins::AtOnce).await;
}

/// `HISTONE_SEEDS=5..25` draws others.
#[tokio::test]
#[ignore = "takes minutes"]
async fn soak_processes_end_at_any_step() {
    let seeds = std::env::var("HISTONE_SEEDS").unwrap_or("2..4".into());
    let (from, to) = seeds.split_once("..").unwrap();
    let seeds = from.parse().unwrap()..to.parse().unwrap();
    for begins in [Begins::AtOnce, Begins::Later] {
        for is_sealed in [false, true] {
            survives(is_sealed, 60, seeds.clone(), begins).await;
            survives_in_one_enclave(is_sealed, 60, seeds.clone(), begins).await;
        }
    }
}
