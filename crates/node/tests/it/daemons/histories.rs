//! A sequencer that shows two histories, or takes one back.

use histone_chain::{Chain, Fork, RawBlock, SignedHeader};
use histone_ledger::{Connection, Ledger};
use histone_node::daemon::Body;
use histone_node::error::NodeError;
use histone_node::store::Level;
use histone_protocol::B256;
use histone_protocol::letter::VerifiedHead;

use super::gathered::Gathered;
use super::liars::Liar;
use super::small;

/// A study up to the moment at which an enclave is there to which owners will send their data.
async fn begun() -> Gathered {
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    for _ in 0..100 {
        let (mut moved, mut next) = (false, None);
        for place in 0..gathered.daemons.len() {
            let turn = gathered.turn(place).await.unwrap();
            moved |= turn.moved();
            next = turn.next.into_iter().chain(next).min();
            if gathered.book().await.enclaves.iter().count() == 1 {
                return gathered;
            }
        }
        assert!(moved || gathered.wait_until(next));
    }
    panic!("{}", gathered.told());
}

/// How histories are said.
const LEDGER: (Level, &str) = (Level::Error, "ledger");

/// Makes a block that the other chain does not have.
async fn goes_on(gathered: &Gathered, chain: &Chain) {
    let key = &gathered.daemons[0].node.party.key;
    let ledger = Ledger::at(Connection::embedded(chain.clone()), gathered.ledger.deployment().clone());
    ledger.tick(key).await.unwrap();
}

fn signed(chain: &Chain, number: u64) -> SignedHeader {
    RawBlock::from(&chain.block(number).unwrap().unwrap()).signed_header()
}

fn hash(chain: &Chain, number: u64) -> B256 {
    chain.block(number).unwrap().unwrap().hash
}

/// The chain forks, and some see one branch and the others the other one. Gives who has stopped, and why.
async fn shown_to(others: &[&str]) -> (Gathered, Chain, Vec<(String, NodeError)>) {
    let mut gathered = begun().await;
    let fork = gathered.fork();
    for seat in gathered.seats.iter().filter(|seat| others.contains(&seat.name.as_str())) {
        *seat.life.ledger.lock().unwrap() = Some(fork.clone());
    }
    let main = gathered.chain.clone();
    goes_on(&gathered, &main).await;
    gathered.clock.set(gathered.now + 1);
    goes_on(&gathered, &fork).await;
    let mut stopped: Vec<(String, NodeError)> = Vec::new();
    for _ in 0..20 {
        for place in 0..gathered.daemons.len() {
            let name = gathered.seats[place].name.clone();
            if stopped.iter().any(|(gone, _)| *gone == name) {
                continue;
            }
            if let Err(error) = gathered.turn(place).await {
                stopped.push((name, error));
            }
        }
        let later = gathered.now + 60;
        gathered.wait_until(Some(later));
    }
    (gathered, fork, stopped)
}

/// The hashes of the first blocks that differ.
fn parting(one: &Chain, other: &Chain) -> (u64, B256, B256) {
    let first = (0..).find(|number| hash(one, *number) != hash(other, *number)).unwrap();
    (first, hash(one, first), hash(other, first))
}

/// Notes of a party about the ledger.
fn said(gathered: &Gathered, name: &str) -> Vec<String> {
    let daemon = gathered.daemons.iter().find(|d| d.node.party.name == name).unwrap();
    let notes = daemon.node.store.notes(0, 1_000).unwrap();
    let ledger = notes.into_iter().filter(|note| (note.level, note.about.as_str()) == LEDGER);
    ledger.map(|note| note.text).collect()
}

/// One owner is shown another history. Whoever hears from it says so, and has the proof after a few letters; everybody is told, and stops.
#[tokio::test]
async fn one_honest_letter_finds_two_histories() {
    let (gathered, fork, stopped) = shown_to(&["south"]).await;
    let (first, main, other) = parting(&gathered.chain, &fork);
    for (name, error) in &stopped {
        let NodeError::TwoHistories { number, one, other: two, .. } = error else {
            panic!("{name}: {error}")
        };
        assert_eq!(*number, first);
        assert!([(main, other), (other, main)].contains(&(*one, *two)), "{name}: {error}");
    }
    // Nobody writes to a user who has asked nothing yet.
    let all: Vec<_> =
        gathered.seats.iter().map(|seat| &seat.name).filter(|name| *name != "end-user").collect();
    assert_eq!(stopped.len(), all.len(), "{stopped:?}\n{}", gathered.told());
    // The one who heard first has said whose letter it was.
    let south = gathered.daemons.iter().find(|d| d.node.party.name == "south").unwrap();
    let south = south.node.party.account().to_string();
    assert!(said(&gathered, "cloud")[0].starts_with(&south), "{:?}", said(&gathered, "cloud"));
}

/// Who was told stays stopped, and whoever starts it again is told why.
#[tokio::test]
async fn who_has_stopped_does_not_go_on_after_a_restart() {
    let (mut gathered, _, stopped) = shown_to(&["south"]).await;
    for (name, _) in &stopped {
        let place = gathered.seats.iter().position(|seat| seat.name == *name).unwrap();
        gathered.restart(place).unwrap();
        let error = gathered.turn(place).await.unwrap_err();
        assert!(error.to_string().contains("signed two histories"), "{error}");
    }
}

/// Members who name blocks that do not exist, or show blocks that prove nothing, stop nobody: however many they are.
#[tokio::test]
async fn liars_stop_nobody() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let mut liars =
        ["ethics", "patients", "regulator", "university"].map(|name| Liar::member(&gathered, name));
    let (mut turns, mut lied) = (0, 0);
    // A chain of the same sequencer that is another one from its first block on.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = gathered.other_chain(elsewhere.path());
    goes_on(&gathered, &other).await;
    gathered
        .run_with(async |gathered, place| {
            turns += 1;
            let head = gathered.chain.head().unwrap().header.number;
            let is_user = gathered.seats[place].roles == 0;
            if turns > 160 || turns % 5 != 0 || head < 20 || is_user {
                return;
            }
            for (liar, hash) in liars.iter_mut().zip(1..) {
                let theirs = VerifiedHead { number: head - 1, hash: B256::repeat_byte(hash) };
                let mut lies = vec![Body::Serve { model: 1_000 + lied }];
                let own = signed(&gathered.chain, head - 1);
                let strange = signed(&other, 1);
                for (same, differs, block) in [
                    (0, head - 1, own.clone()),
                    (head - 2, head - 1, own.clone()),
                    (0, 1, own.clone()),
                    (0, 1, strange.clone()),
                    (0, u64::MAX, strange.clone()),
                    (0, head - 1, SignedHeader { signature: strange.signature.clone(), ..own.clone() }),
                    (0, head - 1, SignedHeader { header: vec![0xc0; 9].into(), ..own.clone() }),
                ] {
                    lies.push(Body::Block { same, differs, block });
                }
                for fork in [
                    Fork { one: own.clone(), other: own.clone() },
                    Fork { one: own.clone(), other: signed(&gathered.chain, head - 2) },
                    Fork { one: signed(&gathered.chain, 1), other: strange.clone() },
                    Fork { one: strange.clone(), other: strange.clone() },
                ] {
                    lies.push(Body::Histories { fork });
                }
                for lie in lies {
                    lied += 1;
                    liar.writes(gathered, place, theirs, serde_json::to_string(&lie).unwrap());
                }
            }
        })
        .await;
    assert!(lied > 400, "{lied}");
    gathered.nothing_is_left();
    // What was shown to liars is bounded, and said once of each.
    for daemon in &gathered.daemons {
        let said = said(&gathered, &daemon.node.party.name);
        assert!(said.len() <= liars.len(), "{said:?}");
    }
    gathered.outcome().await.is(expected, true, "liars about histories");
}

/// The hub comes back with an old history, and goes on from there: whoever has verified another one stops.
#[tokio::test]
async fn a_history_that_is_taken_back() {
    let mut gathered = begun().await;
    let fork = gathered.fork();
    for _ in 0..2 {
        let chain = gathered.chain.clone();
        goes_on(&gathered, &chain).await;
    }
    for place in 0..gathered.daemons.len() {
        gathered.turn(place).await.unwrap();
    }
    let verified = gathered.chain.head().unwrap().header.number;
    for seat in &gathered.seats {
        *seat.life.ledger.lock().unwrap() = Some(fork.clone());
    }
    // As long as it knows less it is behind, and nothing is wrong.
    gathered.turn(1).await.unwrap();
    gathered.clock.set(gathered.now + 1);
    while fork.head().unwrap().header.number <= verified + 1 {
        goes_on(&gathered, &fork).await;
    }
    for place in 0..gathered.daemons.len() {
        let error = gathered.turn(place).await.unwrap_err();
        let NodeError::TwoHistories { number, one, other, by: None } = error else { panic!("{error}") };
        assert_eq!((number, one, other), parting(&gathered.chain, &fork));
    }
}
