//! Time of a simulated cohort: `cargo run --release -p histone-genome --example simulate -- PEOPLE VARIANTS`.

use std::time::Instant;

use histone_genome::simulate::Plan;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse().ok());
    let (people, variants) = (numbers.next().unwrap_or(2_500), numbers.next().unwrap_or(20_000));
    let plan = Plan { populations: vec![people], variants, ..Plan::default() };
    let start = Instant::now();
    match plan.simulate() {
        Ok(cohort) => println!("{cohort:?} in {:.3} s", start.elapsed().as_secs_f64()),
        Err(error) => println!("{error}"),
    }
}
