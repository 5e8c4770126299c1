//! A chain of somebody else, executed here: what is asked is answered by the copy, and whoever lies about blocks is found out.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use alloy::consensus::Header;
use alloy::rlp::Decodable;
use histone_chain::{Chain, Genesis, ManualClock, RawBlock, Sequencer};
use histone_contracts::{Contract, Members, roles};
use histone_ledger::{Connection, FollowError, Follower, Ledger, Settings, Upstream, genesis_of};
use histone_protocol::keys::SigningKey;
use histone_protocol::{Address, B256};
use serde_json::Value;

const START: u64 = 1_767_225_600;
const HONEST: u8 = 0;
const AWAY: u8 = 1;
const HTML: u8 = 2;
const LATER: u8 = 3;
const SKIPS: u8 = 4;
const OTHER: u8 = 5;
const SHORT: u8 = 6;
const SILENT: u8 = 7;
const FORGED: u8 = 8;

/// A sequencer in this process, which may lie, and the same one with another history.
struct Sequencing {
    chain: Chain,
    other: Mutex<Option<Chain>>,
    /// A block that is given in the place of the next one.
    forged: Mutex<Option<RawBlock>>,
    lie: AtomicU8,
}

impl Upstream for Sequencing {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        let lie = self.lie.load(Ordering::Relaxed);
        match lie {
            AWAY => return Err("connection refused".into()),
            HTML => return Ok(b"<html>sign in to the guest network</html>".to_vec()),
            OTHER => {
                let other = self.other.lock().unwrap();
                return Ok(other.as_ref().unwrap().handle(request));
            }
            _ => {}
        }
        let mut answer: Value = serde_json::from_slice(&self.chain.handle(request)).unwrap();
        if let Some(batch) = answer.as_array_mut() {
            match lie {
                // A transaction less than the header says.
                LATER => batch.iter_mut().for_each(|a| {
                    if a["result"].is_object() {
                        a["result"]["transactions"] = serde_json::json!([]);
                    }
                }),
                // The second block in the place of the first.
                SKIPS if batch.len() > 1 => {
                    let second = batch[1]["result"].clone();
                    batch[0]["result"] = second;
                }
                // Few blocks in one answer, or none.
                SHORT => batch.iter_mut().skip(3).for_each(too_long),
                SILENT => batch.iter_mut().for_each(too_long),
                FORGED => {
                    batch[0]["result"] = serde_json::to_value(&*self.forged.lock().unwrap()).unwrap();
                }
                _ => {}
            }
        }
        Ok(serde_json::to_vec(&answer).unwrap())
    }
}

/// As a server answers that has no more room.
fn too_long(answer: &mut Value) {
    *answer = serde_json::json!({ "jsonrpc": "2.0", "id": answer["id"], "error": { "code": -32_005, "message": "too long" } });
}

struct Setting {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    up: Arc<Sequencing>,
    genesis: B256,
    founder: SigningKey,
    ledger: Ledger,
}

fn chain(dir: &std::path::Path, chain_id: u64, clock: &Arc<ManualClock>) -> Chain {
    let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
    let genesis = Genesis {
        chain_id,
        timestamp: START,
        sequencer: sequencer.address(),
        alloc: Vec::new(),
        gas_limit: Genesis::GAS_LIMIT,
    };
    Chain::create(dir, genesis, sequencer, clock.clone()).unwrap()
}

async fn setting() -> Setting {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let chain = chain(&dir.path().join("sequencer"), 4_711, &clock);
    let founder = SigningKey::from_bytes(&[7; 32]).unwrap();
    let ledger =
        Ledger::deploy(Connection::embedded(chain.clone()), &founder, &Settings::default()).await.unwrap();
    let up = Arc::new(Sequencing {
        chain,
        other: Mutex::default(),
        forged: Mutex::default(),
        lie: AtomicU8::new(HONEST),
    });
    let genesis = genesis_of(&*up).unwrap();
    Setting { dir, clock, up, genesis, founder, ledger }
}

impl Setting {
    fn follow(&self, name: &str) -> Result<Follower, FollowError> {
        Follower::open(&self.dir.path().join(name), self.genesis, self.up.clone(), self.clock.clone())
    }

    /// What else the sequencer has signed: other contracts, and a block more.
    async fn other_chain(&self, chain_id: u64) -> Chain {
        let other = chain(&self.dir.path().join("other"), chain_id, &self.clock);
        let connection = Connection::embedded(other.clone());
        let elsewhere = SigningKey::from_bytes(&[8; 32]).unwrap();
        let ledger = Ledger::deploy(connection, &elsewhere, &Settings::default()).await.unwrap();
        ledger.send(&elsewhere, Contract::Members, add(Address::repeat_byte(5))).await.unwrap();
        other
    }

    fn lie(&self, lie: u8) {
        self.up.lie.store(lie, Ordering::Relaxed);
    }
}

fn add(account: Address) -> Members::addCall {
    Members::addCall {
        account,
        roles: roles::OWNER,
        profile: B256::repeat_byte(1),
        sealKey: B256::repeat_byte(2),
    }
}

#[tokio::test]
async fn a_copy_answers_for_the_chain_it_follows() {
    let s = setting().await;
    let follower = Arc::new(s.follow("copy").unwrap());
    assert!(follower.catch_up().unwrap() > 0);
    let directory = s.ledger.deployment().directory;
    let ledger = Ledger::find(Connection::following(follower.clone()), directory).await.unwrap();
    assert_eq!(ledger.deployment(), s.ledger.deployment());
    // What is sent goes to the sequencer, and is read from the copy.
    let account = Address::repeat_byte(5);
    ledger.send(&s.founder, Contract::Members, add(account)).await.unwrap();
    let read = ledger.read(Contract::Members, Members::rolesOfCall { account }).await.unwrap();
    assert_eq!(read, roles::OWNER);
    assert_eq!(follower.chain().head().unwrap().hash, s.up.chain.head().unwrap().hash);
    // A refusal is the contract's own.
    let again = ledger.send(&s.founder, Contract::Members, add(account)).await.unwrap_err();
    assert!(again.to_string().contains("AlreadyMember"), "{again}");
    // What others do comes with the next look, also after a restart.
    s.ledger.send(&s.founder, Contract::Members, add(Address::repeat_byte(6))).await.unwrap();
    drop((ledger, follower));
    let follower = s.follow("copy").unwrap();
    assert_eq!(follower.catch_up().unwrap(), 1);
    // Its clock says what time it is, where no block does.
    s.clock.set(START + 10_000);
    let ledger = Ledger::find(Connection::following(Arc::new(follower)), directory).await.unwrap();
    assert_eq!(ledger.time().await.unwrap(), START + 10_000);
}

/// What somebody on the way makes of blocks is not taken, and no reason to stop.
#[tokio::test]
async fn who_spoils_blocks_on_the_way_stops_nobody() {
    let s = setting().await;
    for (lie, name) in [(LATER, "later"), (SKIPS, "skips")] {
        let follower = s.follow(name).unwrap();
        s.lie(lie);
        let refused = follower.catch_up().unwrap_err();
        assert!(
            matches!(refused, FollowError::NotSigned(_)) && refused.is_temporary(),
            "{name}: {refused:?}"
        );
        // Nothing of it stays.
        s.lie(HONEST);
        follower.catch_up().unwrap();
        assert_eq!(follower.chain().head().unwrap().hash, s.up.chain.head().unwrap().hash);
    }
    let wrong = Follower::open(&s.dir.path().join("w"), B256::ZERO, s.up.clone(), s.clock.clone());
    assert!(matches!(wrong, Err(FollowError::Genesis { .. })));
    assert!(!s.dir.path().join("w").exists(), "nothing is made of another chain");
}

/// Of a block that does not hold only the sequencer's signature says who has made it.
#[tokio::test]
async fn a_block_that_does_not_hold_stops_whoever_sees_that_the_sequencer_has_signed_it() {
    let s = setting().await;
    let follower = s.follow("copy").unwrap();
    s.lie(FORGED);
    let honest = RawBlock::from(&s.up.chain.block(1).unwrap().unwrap());
    for (key, is_temporary) in [([8; 32], true), ([9; 32], false)] {
        let mut header = Header::decode(&mut honest.header.as_ref()).unwrap();
        header.gas_used += 1;
        let key = SigningKey::from_bytes(&key).unwrap();
        let forged = RawBlock {
            header: alloy::rlp::encode(&header).into(),
            signature: key.sign(header.hash_slow()).as_slice().to_vec().into(),
            ..honest.clone()
        };
        // The signed header without what it is about is the hub's.
        let without = RawBlock { transactions: Vec::new(), ..forged.clone() };
        for (block, is_temporary) in [(without, true), (forged, is_temporary)] {
            *s.up.forged.lock().unwrap() = Some(block);
            let error = follower.catch_up().unwrap_err();
            assert_eq!(error.is_temporary(), is_temporary, "{error:?}");
            let as_expected = match is_temporary {
                true => matches!(error, FollowError::NotSigned(_)),
                false => matches!(error, FollowError::Refused(_)),
            };
            assert!(as_expected, "{error:?}");
        }
    }
    assert_eq!(follower.chain().head().unwrap().header.number, 0);
    s.lie(HONEST);
    follower.catch_up().unwrap();
}

/// Who has executed one history does not go on with another one of the same sequencer, and has the proof that there are two.
#[tokio::test]
async fn a_second_history_is_refused() {
    let s = setting().await;
    let follower = s.follow("copy").unwrap();
    follower.catch_up().unwrap();
    let other = s.other_chain(4_711).await;
    *s.up.other.lock().unwrap() = Some(other.clone());
    s.lie(OTHER);
    let refused = follower.catch_up().unwrap_err();
    let FollowError::Fork { proof, point } = &refused else { panic!("{refused:?}") };
    assert!(!refused.is_temporary());
    let sequencer = other.genesis().sequencer;
    assert_eq!(proof.open(sequencer), Some(*point));
    assert_eq!(proof.open(Address::ZERO), None);
    let hash = |chain: &Chain, number| chain.block(number).unwrap().unwrap().hash;
    assert_eq!(point.parent, hash(&other, point.number - 1));
    assert_eq!(point.parent, hash(&s.up.chain, point.number - 1));
    assert_eq!(point.hashes, [hash(&s.up.chain, point.number), hash(&other, point.number)]);
    assert!(refused.to_string().contains("another history"), "{refused}");
}

/// Blocks of another chain, of a sequencer with one key for two, are not a second history: no block of theirs follows from one of here.
#[tokio::test]
async fn another_chain_of_the_same_key_stops_nobody() {
    let s = setting().await;
    let follower = s.follow("copy").unwrap();
    follower.catch_up().unwrap();
    *s.up.other.lock().unwrap() = Some(s.other_chain(4_712).await);
    s.lie(OTHER);
    let refused = follower.catch_up().unwrap_err();
    assert!(matches!(refused, FollowError::NotSigned(_)), "{refused:?}");
    s.lie(HONEST);
    follower.catch_up().unwrap();
}

#[tokio::test]
async fn who_is_away_or_is_no_sequencer_is_asked_again() {
    let s = setting().await;
    let follower = s.follow("copy").unwrap();
    for (lie, says) in [(AWAY, "cannot be reached"), (HTML, "no sequencer")] {
        s.lie(lie);
        let error = follower.catch_up().unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(says), "{error}");
        let new = s.follow("new").unwrap_err();
        assert!(new.is_temporary(), "{new}");
    }
    s.lie(HONEST);
    follower.catch_up().unwrap();
}

/// Who gives a few blocks at a time is asked again; who keeps some back is not taken for one that has no more.
#[tokio::test]
async fn whoever_must_not_stop_early_does_not() {
    let s = setting().await;
    let there = s.up.chain.head().unwrap().header.number;
    assert!(there > 6, "{there}");
    let follower = s.follow("copy").unwrap();
    s.lie(SILENT);
    let error = follower.catch_up_to_its_head(&mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains(&format!("has block {there}, and gives no block 1")), "{error}");
    s.lie(SHORT);
    let mut heard = Vec::new();
    assert_eq!(follower.catch_up_to_its_head(&mut |number, of| heard.push((number, of))).unwrap(), there);
    assert_eq!(heard, (1..=there).map(|number| (number, there)).collect::<Vec<_>>());
    assert_eq!(follower.chain().head().unwrap().hash, s.up.chain.head().unwrap().hash);
    for (lie, says) in [(AWAY, "cannot be reached"), (HTML, "no sequencer")] {
        s.lie(lie);
        let error = follower.catch_up_to_its_head(&mut |_, _| ()).unwrap_err();
        assert!(error.is_temporary() && error.to_string().contains(says), "{error}");
    }
}
