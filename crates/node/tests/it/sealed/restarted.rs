//! Enclaves of owners whose process ends in the middle of a sealed training, and which follow it again.

use histone_contracts::{Contract, Market, Rounds};
use histone_federation::header::RoundHeader;
use histone_node::duties::OwnerDuty;
use histone_node::error::NodeError;
use histone_node::owner::{Owner, Tell};
use histone_node::recompute;
use histone_protocol::agreement::StateStatement;
use histone_protocol::disclosure::Release;
use histone_protocol::{Address, B256, U256};

use crate::backend::on_node;
use crate::cast::{Cast, DEADLINE, refused};
use crate::sealed::sealed_plan;

impl Cast {
    /// An owner from its directory, as if its process had just begun.
    async fn again(&self, owner: usize, model: u64) -> Result<Owner, NodeError> {
        let party = self.party_again(&format!("owner {}", owner + 1));
        Owner::resume(party, model, self.loaded.method.program().clone(), &self.world).await
    }

    /// The owner's process ends and is started again.
    async fn restart(&mut self, owner: usize, model: u64) {
        let again = self.again(owner, model).await.unwrap();
        let before = std::mem::replace(&mut self.owners[owner], again);
        let now = &self.owners[owner];
        assert_eq!(
            (before.dataset(), before.root(), before.dataset_file(), before.donation()),
            (now.dataset(), now.root(), now.dataset_file(), now.donation())
        );
    }

    /// The enclave of a donor.
    async fn signer(&self, donor: u16, model: u64) -> Address {
        let about = Some(B256::from(U256::from(model)));
        let donated = self.world.ledger.logged::<Market::Donated>(Contract::Market, about).await.unwrap();
        donated.iter().find(|d| d.event.donorIndex == donor).unwrap().event.enclave
    }

    async fn owed_by(&mut self, owner: usize) -> Vec<OwnerDuty> {
        let world = self.world.clone();
        let book = world.ledger.current_book().await.unwrap();
        self.owners[owner].duties(&book, &world).await.unwrap()
    }

    /// Performs what the owner owes. Gives what its enclave says of rounds.
    async fn catch_up(&mut self, owner: usize) -> Vec<StateStatement> {
        let world = self.world.clone();
        let mut said = Vec::new();
        for duty in self.owed_by(owner).await {
            if let Some(Tell::State(statement)) = self.owners[owner].perform(duty, &world).await.unwrap() {
                said.push(statement);
            }
        }
        said
    }
}

fn opens(model: u64, rounds: std::ops::RangeInclusive<u32>) -> Vec<OwnerDuty> {
    rounds.map(|round| OwnerDuty::OpenSum { model, round }).collect()
}

/// Between any two rounds, within each of them, after the last one, and before it hands the model over: it says the same of every
/// round, in the same bytes, and the model and its key are the same.
#[tokio::test]
async fn an_enclave_that_is_started_again_follows_by_its_duties() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let id = led.id();
    let mut said = Vec::new();
    while led.asked.is_some() {
        let done = led.rounds;
        cast.restart(0, id).await;
        let header = cast.open_sealed(&mut led).await;
        if done > 0 {
            // Before it has caught up it is where it began.
            refused(cast.owners[0].contribute(&header, &world).await, "it follows another state");
        }
        assert_eq!(cast.owed_by(0).await, opens(id, 1..=done));
        assert_eq!(cast.catch_up(0).await, said, "after {done} rounds");
        cast.answer(&header, &[0, 1, 2]).await;
        // Killed with its update on the ledger, it still shows a share of it to whoever says that it does not open.
        cast.restart(0, id).await;
        cast.catch_up(0).await;
        if done == 1 {
            shows_a_share(&mut cast, &header).await;
        }
        let partials = cast.open_sum(&header).await;
        let transcript = histone_node::committee::transcript(&header, &partials, &world).await.unwrap();
        let statements = cast.said(&transcript, &[0, 1, 2]).await;
        said.push(statements[0].clone());
        // Killed behind it, it says the same, and there is nothing else that it says.
        cast.restart(0, id).await;
        assert_eq!(cast.catch_up(0).await, said);
        assert_eq!(cast.owed_by(0).await.len(), 0);
        let carried = cast.carry(&mut led, &header, statements).await;
        assert_eq!(carried.signers, [1, 2, 3]);
    }
    cast.trainer.finish(id, led.names.0, &world).await.unwrap();
    let last = led.rounds;
    let kept = cast.owners[1].release_model(&world).unwrap();
    let evaluation = cast.owners[0].evaluate(&world).unwrap();
    cast.restart(0, id).await;
    refused(cast.owners[0].release_model(&world), "the training is not finished");
    let owed = [opens(id, 1..=last), vec![OwnerDuty::Release { model: id }]].concat();
    assert_eq!(cast.owed_by(0).await, owed);
    assert_eq!(cast.catch_up(0).await, said);
    assert_eq!(cast.owners[0].release_model(&world).unwrap(), kept);
    assert_eq!(cast.owners[0].evaluate(&world).unwrap(), evaluation);
    assert_eq!(cast.owed_by(0).await, []);

    // Before it hands the model over.
    let program = cast.loaded.query.clone();
    let taker = cast.runner.begin_query(program, id, led.names.0, &world).await.unwrap();
    let signer = taker.keys().receipt;
    let key = cast.owners[0].hand_model(signer, &world).await.unwrap();
    cast.restart(0, id).await;
    refused(cast.owners[0].hand_model(signer, &world).await, "the training is not finished");
    assert_eq!(cast.catch_up(0).await, said);
    assert_eq!(cast.owed_by(0).await, [], "what was released is not owed again");
    assert_eq!(cast.owners[0].hand_model(signer, &world).await.unwrap(), key);
    let serving = cast.serve_sealed(&led, 0, kept.1).await;
    assert!(cast.buy_answer(id, &serving, &[4.0, 17.0]).await.iter().all(Option::is_some));
    recompute::check(id, &world).await.unwrap();
}

/// A member calls the share unreadable that it got from the first donor.
async fn shows_a_share(cast: &mut Cast, header: &RoundHeader) {
    let world = cast.world.clone();
    let f = header.fields();
    let call = Rounds::accuseCall { modelId: U256::from_be_bytes(f.model_id), round: f.round, donorIndex: 1 };
    let accuser = &cast.committee[0].party;
    world.ledger.send(&accuser.key, Contract::Rounds, call).await.unwrap();
    let answered = cast.owners[0].answer_accusations(header, &world).await.unwrap();
    assert_eq!(answered, [accuser.account()]);
    // The others see who lies; it has no part in this sum, and six are enough.
    for member in &mut cast.committee[1..3] {
        member.lock(header, &world).await.unwrap();
    }
    cast.committee.remove(0);
}

/// What was said of a round first is said again, whatever partial sums are there by then.
#[tokio::test]
async fn what_was_said_first_is_said_again() {
    let mut cast = Cast::new(1).await;
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let first = cast.sealed_round(&mut led, &[0, 1, 2]).await;
    let file = format!("said-{:x}.json", B256::from(first.header.hash()));
    let party = cast.party_again("owner 1");
    let kept: StateStatement = serde_json::from_slice(&party.recall(&file).unwrap().unwrap()).unwrap();
    let other = StateStatement { wrong: vec![7], ..kept };
    party.keep(&file, &serde_json::to_vec(&other).unwrap()).unwrap();
    cast.restart(0, led.id()).await;
    assert_eq!(cast.catch_up(0).await, [other]);
    party.keep(&file, b"{").unwrap();
    cast.restart(0, led.id()).await;
    let world = cast.world.clone();
    let duty = cast.owed_by(0).await[0];
    refused(cast.owners[0].perform(duty, &world).await, &format!("the kept statement `{file}` is damaged"));
}

/// What is not there is named, and what was taken back is not taken again.
#[tokio::test]
async fn an_owner_that_lacks_something_is_told_what() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    cast.sealed_round(&mut led, &[0, 1, 2]).await;
    let id = led.id();
    refused(cast.again(0, id + 1).await, "has kept no donation to model 2 from an enclave of its own");
    // The key of another owner's enclave opens nothing in this one.
    let party = cast.party_again("owner 1");
    let (own, other) = (cast.signer(1, id).await, cast.signer(2, id).await);
    let file = format!("released-key-{own:x}");
    let kept = party.recall(&file).unwrap().unwrap();
    let others = cast.party_again("owner 2").recall(&format!("released-key-{other:x}")).unwrap().unwrap();
    party.keep(&file, &[&kept[..32], &others[32..]].concat()).unwrap();
    refused(cast.again(0, id).await, "does not open");
    party.keep(&file, &kept[..31]).unwrap();
    refused(cast.again(0, id).await, &format!("the kept `{file}` is damaged"));
    party.keep(&file, &kept).unwrap();
    let table = format!("{}.sealed", cast.owners[0].dataset_file());
    let ciphertext = party.recall(&table).unwrap().unwrap();
    party.keep(&table, &ciphertext[1..]).unwrap();
    refused(cast.again(0, id).await, &format!("`{table}`, which the enclave had, is not there or damaged"));
    party.keep(&table, &ciphertext).unwrap();
    cast.restart(0, id).await;
    // Another method's program has another measurement.
    let again = Owner::resume(cast.party_again("owner 1"), id, cast.loaded.query.clone(), &world).await;
    refused(again, "was not made by this enclave");
    cast.owners[0].withdraw(&world).await.unwrap();
    refused(cast.again(0, id).await, "the dataset is withdrawn");
}

/// Another header of a round that was answered before is not answered behind a restart either.
#[tokio::test]
async fn an_enclave_remembers_which_header_it_has_answered() {
    if on_node() {
        eprintln!("SKIPPED: the history of a node cannot be forked here");
        return;
    }
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    // Here the coordinator keeps another history, with another header of the same round.
    let dir = tempfile::tempdir_in(cast.dir.path()).unwrap().keep();
    let (other, clock) = cast.fork(&dir);
    clock.set(world.ledger.time().await.unwrap() + 60);
    let header = cast.open_sealed(&mut led).await;
    cast.owners[0].contribute(&header, &world).await.unwrap();
    cast.owners[2].withdraw(&other).await.unwrap();
    let asked = led.asked.clone().unwrap();
    let mut leading = cast.trainer.lead(led.id(), 2, DEADLINE, DEADLINE, &other).await.unwrap();
    let (twin, _) = cast.trainer.open_round(&asked, &mut leading, &other).await.unwrap();
    assert_ne!(twin.hash(), header.hash());
    cast.restart(0, led.id()).await;
    refused(
        cast.owners[0].contribute(&twin, &other).await,
        "another header of the same round was answered before",
    );
}
