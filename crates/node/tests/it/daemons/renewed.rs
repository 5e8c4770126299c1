//! Evidence lasts an hour, and a training waits for longer.

use std::sync::Arc;

use histone_contracts::book::{EnclaveState, Kind, ModelState};
use histone_contracts::{Contract, Enclaves};
use histone_node::study::Study;
use histone_protocol::disclosure::Release;

use super::gathered::Gathered;
use super::small;

const HOUR: u64 = 3_600;

fn short_lived(mut study: Study) -> Study {
    study.appraisal.max_age_seconds = HOUR;
    study
}

/// A study whose trainer does nothing for three hours once all have donated, in which `happens` after each turn. The party that is
/// `away` does nothing from the first half hour to the fifth.
async fn waits(
    study: Study,
    away: Option<&str>,
    mut happens: impl AsyncFnMut(&mut Gathered, u64, usize),
) -> Gathered {
    let mut gathered = Gathered::apart(short_lived(study), 1).await;
    let began = gathered.now;
    gathered.daemon_of("institute").hold(Arc::new(move |book| {
        let waits = book.models.iter().any(|m| m.state == ModelState::Recruiting && m.donors.len() == 3);
        waits && book.head.time < began + 3 * HOUR
    }));
    if let Some(away) = away {
        let is_away = move |time: u64| (HOUR / 2..HOUR * 5 / 2).contains(&(time - began));
        gathered.daemon_of(away).hold(Arc::new(move |book| is_away(book.head.time)));
    }
    gathered
        .run_with(async |gathered, place| {
            let since = gathered.now - began;
            happens(gathered, since, place).await;
        })
        .await;
    gathered.nothing_is_left();
    gathered
}

/// How often enclaves of a kind have shown newer evidence, and how many of them are not live.
async fn renewed(gathered: &Gathered, kind: Kind) -> (usize, usize) {
    let book = gathered.book().await;
    let renewed =
        gathered.ledger.logged::<Enclaves::EnclaveRefreshed>(Contract::Enclaves, None).await.unwrap();
    let of_kind = |signer| book.enclaves.get(&signer).is_some_and(|e| e.kind == kind);
    let dead = book.enclaves.iter().filter(|e| e.kind == kind && e.state != EnclaveState::Live).count();
    (renewed.iter().filter(|e| of_kind(e.event.signer)).count(), dead)
}

/// All enclaves show newer evidence while they wait: the model is the one of those who did not wait, and everybody is paid the same.
#[tokio::test]
async fn a_training_outlasts_its_evidence() {
    let expected = &small::undisturbed(false).await.outcome;
    let gathered = waits(small::study(), None, async |_, _, _| {}).await;
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, outcome.model), ("serving", expected.model));
    assert_eq!((&outcome.owed, &outcome.answers), (&expected.owed, &expected.answers));
    assert_eq!(outcome.refused.len(), 0, "{outcome:?}");
    // Each half hour, three of them.
    let (often, dead) = renewed(&gathered, Kind::Training).await;
    // Nobody needs them when the model is made.
    assert!((15..=21).contains(&often) && dead == 3, "{often} times, {dead} have ended");
    for kind in [Kind::Validation, Kind::Query] {
        let (often, dead) = renewed(&gathered, kind).await;
        assert!(often >= 40 && dead == 0, "{often} times within a day, {dead} have ended");
    }
}

/// An owner's machine is off for two of the three hours. Its enclave has ended, comes back with the same keys, and takes part.
#[tokio::test]
async fn an_enclave_that_has_ended_comes_back() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut ended = false;
    let gathered = waits(small::study(), Some("west"), async |gathered, _, _| {
        let book = gathered.book().await;
        ended |= book.enclaves.iter().any(|e| e.kind == Kind::Training && e.state == EnclaveState::Expired);
    })
    .await;
    assert!(ended);
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, outcome.model), ("serving", expected.model));
    assert_eq!(outcome.owed, expected.owed);
}

/// One enclave for all data, whose keys the owners have released to it under evidence of different ages; it ends and begins again on the
/// way. Its model goes to a query enclave.
#[tokio::test]
async fn an_enclave_with_all_data_outlasts_its_evidence() {
    let expected = &small::undisturbed_in_one_enclave(false).await.outcome;
    let (mut last, mut restarts) = (0, 0);
    let gathered = waits(small::hosted_study(Release::Participants), None, async |gathered, since, place| {
        let cloud = gathered.place_of("cloud");
        if place == cloud && since / HOUR > last && since < 4 * HOUR {
            last = since / HOUR;
            restarts += 1;
            gathered.restart(cloud).unwrap();
        }
    })
    .await;
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, restarts >= 2), ("serving", true));
    assert_eq!((&outcome.owed, &outcome.answers), (&expected.owed, &expected.answers));
    let (often, _) = renewed(&gathered, Kind::Training).await;
    assert!((5..=8).contains(&often), "{often} times");
}
