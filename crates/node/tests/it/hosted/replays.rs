//! What one enclave has signed for one model on one market, brought to another one, or changed; and what a broken enclave signs.

use histone_compliance::verify::Outcome;
use histone_contracts::{Contract, Market};
use histone_enclave::training::{DonationTerms, Hosted};
use histone_node::recompute;
use histone_protocol::disclosure::Release;
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, HostedTraining};
use histone_protocol::record::Signed;
use histone_protocol::report::HostedStatement;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256, U256};

use super::{says, signer};
use crate::cast::{Cast, refused};
use crate::sealed::{detail, sealed_plan};

/// The same, with another receipt under the same signature.
fn edited(said: &Hosted, change: impl FnOnce(&mut HostedTraining)) -> Hosted {
    let mut said = said.clone();
    change(&mut said.finish.as_mut().unwrap().0);
    said
}

impl Cast {
    /// What ends a training, signed by any key.
    fn signed_by(&self, receipt: HostedTraining, key: &SigningKey) -> Hosted {
        let d = self.world.ledger.deployment();
        let signature = receipt::sign(&receipt, &receipt::domain(d.chain_id, d.market), key);
        Hosted { statement: Vec::new(), finish: Some((receipt, signature)) }
    }

    /// The key of the enclave that the runner has started last, as whoever breaks its processor has it.
    fn broken_key(&self) -> SigningKey {
        let measurement = B256::from(self.loaded.method.program().program().measurement());
        let last = self.runner.party.count("enclaves").unwrap() - 1;
        let secret = Root::from_bytes(*self.runner.party.enclave_seed(last));
        let secret = secret.child("histone/enclave/v1", &[measurement.as_slice()]);
        SigningKey::generate(&mut secret.rng("receipt key", &[]))
    }
}

#[tokio::test]
async fn to_end_a_training_with_something_else_than_its_enclave_said() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    let (other, mut of_other) = cast.recruit_hosted(&plan).await;
    cast.trainer.start(other, &world).await.unwrap();
    let said_of_other = cast.make(&mut of_other).await;
    let other_key = cast.broken_key();
    assert_eq!(other_key.address(), signer(&of_other));
    let (id, mut host) = cast.recruit_hosted(&plan).await;
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    let receipt = said.finish.as_ref().unwrap().0.clone();
    let plain = SigningKey::from_bytes(&[9; 32]).unwrap();
    for lie in [
        edited(&said, |r| r.modelHash = B256::repeat_byte(1)),
        edited(&said, |r| r.statementHash = blob_hash(&said_of_other.statement)),
        edited(&said, |r| r.unused = vec![3]),
        edited(&said_of_other, |r| r.modelId = U256::from(id)),
        cast.signed_by(receipt.clone(), &other_key),
        cast.signed_by(receipt.clone(), &plain),
    ] {
        refused(cast.trainer.finish_hosted(&lie, &world).await, "BadSignature");
    }
    // Not even the enclave leaves a donor out who has not left.
    let lie = cast.signed_by(HostedTraining { unused: vec![3], ..receipt.clone() }, &cast.broken_key());
    refused(cast.trainer.finish_hosted(&lie, &world).await, "StillInUse");
    // Nobody else ends it.
    let (t, signature) = said.finish.clone().unwrap();
    let call = Market::finishHostedCall {
        t: Market::HostedTraining {
            modelId: t.modelId,
            modelHash: t.modelHash,
            statementHash: t.statementHash,
            unused: t.unused,
        },
        signature: signature.as_slice().to_vec().into(),
    };
    let sent = world.ledger.send(&cast.runner.party.key, Contract::Market, call).await;
    refused(sent, "NotTrainer");
    refused(host.enclave.release(&world.ledger).await, "the market sells nothing yet");
    cast.sell(&mut host, &said).await;
    refused(cast.trainer.finish_hosted(&said, &world).await, "WrongState");
    cast.sell(&mut of_other, &said_of_other).await;
}

/// Everything is the same on another chain, keys and all, but for the chain.
#[tokio::test]
async fn to_bring_receipts_to_another_chain_or_model() {
    let plan = sealed_plan(Release::Public);
    let (mut here, mut there) = (Cast::hosting(1, 2).await, Cast::hosting(2, 2).await);
    let world = there.world.clone();
    let (mut donations, mut said) = (Vec::new(), Vec::new());
    let mut last = None;
    for cast in [&mut here, &mut there] {
        let (paper, id) = cast.propose_hosted(&plan).await;
        let mut host = cast.host(id).await;
        let sealed = cast.sealed(1, host.enclave.instance());
        let consent = cast.consent(1, id).await;
        let terms = DonationTerms { payee: cast.owners[1].account(), consent };
        donations.push(host.enclave.admit(&sealed, terms, &cast.world.ledger).await.unwrap());
        if let Some((signer, _, _)) = &last {
            assert_eq!(*signer, super::signer(&host));
            refused(cast.bring(1, id, &donations[0], *signer).await, "BadSignature");
        }
        for owner in 0..2 {
            cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
        }
        cast.trainer.start(id, &cast.world).await.unwrap();
        said.push(cast.make(&mut host).await);
        last = Some((signer(&host), id, host));
    }
    let (signer, id, mut host) = last.unwrap();
    assert_eq!(says(&said[0]).model_hash, says(&said[1]).model_hash);
    refused(there.trainer.finish_hosted(&said[0], &world).await, "BadSignature");
    there.sell(&mut host, &said[1]).await;
    // A further model whose trainer names the same enclave: what it signed for the first one counts for nothing there.
    let (_, further) = there.propose_hosted(&plan).await;
    assert_ne!(further, id);
    let call = Market::hostCall { modelId: U256::from(further), enclave: signer };
    world.ledger.send(&there.trainer.party.key, Contract::Market, call).await.unwrap();
    refused(there.bring(1, further, &donations[1], signer).await, "BadSignature");
}

/// A broken enclave signs another statement than the honest one, one value at a time, and its trainer ends the training with it:
/// strangers find it, and so do users, as far as it is about what they buy.
#[tokio::test]
async fn to_say_something_else_than_the_ledger_knows() {
    type Lie = fn(&mut HostedStatement);
    let (all, strangers) = (true, false);
    let lies: [(bool, &str, Lie); 14] = [
        (all, "another ledger", |s| s.ledger.chain_id += 1),
        (all, "another ledger", |s| s.ledger.contract = Address::repeat_byte(1)),
        (strangers, "another ledger, platform", |s| s.platform = Platform::from_code(1)),
        (all, "model or plan", |s| s.model_id += 1),
        (all, "model or plan", |s| s.plan = B256::repeat_byte(1)),
        (all, "the market has", |s| s.model_hash = Some(B256::repeat_byte(1))),
        (all, "that there is none", |s| s.model_hash = None),
        (all, "", |s| s.released = Some(B256::repeat_byte(1))),
        (all, "that there is none", |s| s.released = None),
        (all, "has used the data of donors [1]", |s| s.donors.truncate(1)),
        (all, "has used the data of donors [1, 3]", |s| s.donors[1].donor = 3),
        (all, "has used the data of donors", |s| s.donors[1].dataset = s.donors[0].dataset),
        (all, "has used the data of donors", |s| s.donors[1].root = s.donors[0].root),
        (all, "does not say that it has destroyed the data of donor", |s| s.destroyed.truncate(2)),
    ];
    let mut cast = Cast::hosting(1, 2).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    for (who, reason, lie) in lies {
        let (paper, id) = cast.propose_hosted(&plan).await;
        let mut host = cast.host(id).await;
        for owner in 0..2 {
            cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
        }
        let key = cast.broken_key();
        cast.trainer.start(id, &world).await.unwrap();
        let said = cast.make(&mut host).await;
        let mut statement = says(&said);
        lie(&mut statement);
        if reason.contains("destroyed") {
            statement.destroyed.pop();
        }
        assert_ne!(statement, says(&said));
        let statement = Signed::sign(&statement, &key).unwrap().to_bytes();
        let receipt = said.finish.as_ref().unwrap().0.clone();
        let receipt = HostedTraining { statementHash: world.blobs.put(&statement).unwrap(), ..receipt };
        let told = cast.signed_by(receipt, &key);
        cast.trainer.finish_hosted(&told, &world).await.unwrap();
        cast.released(&mut host).await;
        let (outcome, text) = detail(&cast.looked_at(id, None).await, "rounds");
        assert_eq!(outcome, Outcome::Fails, "{reason}: {text}");
        assert!(text.contains(reason), "expected `{reason}`, found `{text}`");
        match who == all {
            true => refused(recompute::check(id, &world).await, "enclave"),
            false => recompute::check(id, &world).await.unwrap(),
        }
    }
}
