//! Attacks that still work, found by somebody who had not written the code. Each test says what must hold and fails as long as
//! the attack works; whoever mends one takes its mark away and moves it to the others.
//!
//! `cargo test -p histone-node --test it attacks::open -- --ignored`

use histone_federation::plan::Step;

use crate::cast::{Cast, plan};

/// A trainer asks for a histogram of 60,000 bins: what is opened in the last round is the score and the class of every
/// single person, to five digits, although every owner checked the plan.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_read_the_score_of_every_patient_off_a_fine_histogram() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let fine = histone_federation::plan::Plan { bins: 60_000, ..plan(2) };
    let mut model = cast.recruit(fine).await;
    loop {
        let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
        for owner in &mut cast.owners {
            owner.observe(&transcript, &world).await.unwrap();
        }
        match step {
            Step::Next(next) => model.training = next,
            Step::Finished(_) => {
                let (sum, _) = transcript.open().unwrap();
                let alone = sum.values().iter().filter(|count| **count == 1.0).count();
                let rows = 3 * 24;
                println!("{alone} of {rows} people are alone in their bin");
                assert!(alone * 10 < rows, "{alone} of {rows} people are alone in their bin");
                return;
            }
        }
    }
}
