//! Owners who take their data back, at every moment: who is used, who is paid, what is said of it.

use histone_compliance::verify::Outcome;
use histone_node::duties::HostDuty;
use histone_node::recompute;
use histone_protocol::B256;
use histone_protocol::disclosure::Release;

use super::{bytes, says, used};
use crate::cast::{Cast, PRICE, refused};
use crate::sealed::{detail, sealed_plan};

impl Cast {
    /// The model holds for its users and for a stranger, and is of these donors.
    async fn holds_of(&self, id: u64, donors: &str) {
        recompute::check(id, &self.world).await.unwrap();
        let report = self.looked_at(id, None).await;
        let (outcome, text) = detail(&report, "rounds");
        assert_eq!(outcome, Outcome::Holds, "{text}");
        assert!(text.contains(&format!("from the data of donors {donors}:")), "{text}");
        let failed: Vec<_> = report.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
        // Nobody has handed the founder's power over here.
        assert!(failed.iter().all(|c| c.name == "powers"), "{failed:#?}");
    }

    /// What each donor is owed, in instant payments.
    async fn paid(&self, id: u64) -> Vec<u64> {
        let mut paid = Vec::new();
        for donor in 1..=self.owners.len() as u16 {
            paid.push(self.owed(id, donor).await / PRICE);
        }
        paid
    }

    /// The datasets of these owners, in the order of their names.
    fn datasets(&self, owners: impl IntoIterator<Item = usize>) -> Vec<B256> {
        let mut all: Vec<B256> = owners.into_iter().map(|i| self.owners[i].dataset()).collect();
        all.sort_unstable();
        all
    }
}

/// One while it recruits, one when it has started, one when the model is made, one when the market has it; one never.
#[tokio::test]
async fn each_owner_withdraws_at_another_moment() {
    let mut cast = Cast::hosting(1, 5).await;
    let world = cast.world.clone();
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.owners[0].withdraw(&world).await.unwrap();
    assert_eq!(cast.owes(&host).await, [HostDuty::Forget { model: id, donor: 1 }]);
    assert!(cast.perform(&mut host).await.is_empty());
    assert_eq!(cast.kept_data().len(), 4);
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.owners[1].withdraw(&world).await.unwrap();
    assert!(said.to_string().contains("forgets it"), "{said}");
    let said = cast.make(&mut host).await;
    assert_eq!(used(&said), [3, 4, 5]);
    assert_eq!(said.finish.as_ref().unwrap().0.unused, [2]);
    assert_eq!(says(&said).destroyed, cast.datasets(0..5), "what was forgotten was given as well");
    cast.owners[2].withdraw(&world).await.unwrap();
    let again = host.enclave.train(&world.evidence(), &world.ledger).await.unwrap();
    assert_eq!(bytes(&again), bytes(&said));
    let before = cast.owed_trainer().await;
    cast.sell(&mut host, &said).await;
    cast.owners[3].withdraw(&world).await.unwrap();
    assert_eq!(cast.owes(&host).await, []);
    assert_eq!(cast.paid(id).await, [0, 0, 1, 1, 1]);
    assert_eq!(cast.owed_trainer().await - before, 2 * PRICE);
    cast.holds_of(id, "[3, 4, 5]").await;
}

/// A dataset is withdrawn, and nobody has ended its use: the enclave waits, and its runner ends it.
#[tokio::test]
async fn a_use_that_nobody_ended_is_ended_by_the_runner() {
    let mut cast = Cast::hosting(1, 4).await;
    let world = cast.world.clone();
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.trainer.start(id, &world).await.unwrap();
    for owner in [0, 2] {
        cast.only_withdraw(owner).await;
    }
    let train = host.enclave.train(&world.evidence(), &world.ledger).await;
    refused(train, "the dataset of donor 1 is withdrawn: its use has to be ended first");
    let (forget, end) =
        (|donor| HostDuty::Forget { model: id, donor }, |donor| HostDuty::EndUse { model: id, donor });
    let duties = cast.owes(&host).await;
    assert_eq!(duties, [forget(1), end(1), forget(3), end(3), HostDuty::Train { model: id }]);
    // Somebody is quicker than the runner, who has read its book by then.
    cast.end_use(id, 3).await;
    let mut told = Vec::new();
    for duty in duties {
        told.extend(cast.runner.perform(duty, &mut host, &world).await.unwrap());
    }
    let Some(histone_node::runner::HostTell::Made(said)) = told.pop() else { panic!("{told:?}") };
    assert_eq!((used(&said), said.finish.as_ref().unwrap().0.unused.clone()), (vec![2, 4], vec![1, 3]));
    cast.sell(&mut host, &said).await;
    assert_eq!(cast.paid(id).await, [0, 1, 0, 1]);
    cast.holds_of(id, "[2, 4]").await;
}

/// Withdrawn when the model is made and not sold, by an owner who ends no use: it is in the model, and nobody may be kept from buying
/// of it by that.
#[tokio::test]
async fn to_spoil_a_made_model_by_withdrawing_before_it_is_sold() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.trainer.start(id, &world).await.unwrap();
    let said = cast.make(&mut host).await;
    cast.only_withdraw(1).await;
    cast.trainer.finish_hosted(&said, &world).await.unwrap();
    cast.only_withdraw(2).await;
    cast.released(&mut host).await;
    assert_eq!((used(&said), cast.paid(id).await), (vec![1, 2, 3], vec![1, 1, 1]));
    cast.holds_of(id, "[1, 2, 3]").await;
}

/// With fewer donors than the plan asks for there is no model.
#[tokio::test]
async fn too_few_are_left() {
    let mut cast = Cast::hosting(1, 2).await;
    let world = cast.world.clone();
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.trainer.start(id, &world).await.unwrap();
    cast.owners[1].withdraw(&world).await.unwrap();
    refused(host.enclave.train(&world.evidence(), &world.ledger).await, "1 donor");
    refused(host.enclave.release(&world.ledger).await, "the training is not finished");
    cast.trainer.abort(id, &world).await.unwrap();
    assert_eq!((cast.owed_trainer().await, cast.paid(id).await), (2 * PRICE, vec![0, 0]));
}

/// The owner has a second version of its data brought to the enclave, which takes it and which the market does not.
#[tokio::test]
async fn to_stop_the_training_with_a_version_that_was_not_donated() {
    use histone_protocol::consent::ConsentPolicy;
    let policy = ConsentPolicy { allow_one_enclave: true, versions: 2, ..crate::cast::policy() };
    let mut cast = Cast::under(1, 3, policy).await;
    let world = cast.world.clone();
    let (id, mut host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    let roots: Vec<B256> = cast.owners.iter().map(|o| o.root()).collect();
    // Two of them, so that one name comes after the donated one and one before it, or both on one side.
    for other in [8, 9] {
        let table = crate::cast::table(other);
        cast.owners[0].update(table, &cast.validation, &world).await.unwrap();
        let sealed = cast.sealed(0, host.enclave.instance());
        let consent = cast.consent(0, id).await;
        let terms = histone_enclave::training::DonationTerms { payee: cast.owners[0].account(), consent };
        let donation = host.enclave.admit(&sealed, terms, &world.ledger).await.unwrap();
        let signer = super::signer(&host);
        refused(cast.bring(0, id, &donation, signer).await, "the ledger refused `market.donate`");
    }
    assert_eq!(cast.kept_data().len(), 5);
    cast.trainer.start(id, &world).await.unwrap();
    let mut host = cast.again_host(id, host).await;
    let said = cast.make(&mut host).await;
    assert_eq!(says(&said).donors.iter().map(|d| d.root).collect::<Vec<_>>(), roots);
    assert_eq!(says(&said).destroyed, cast.datasets(0..3));
    assert_eq!(cast.kept_data(), [""; 0]);
    cast.sell(&mut host, &said).await;
    cast.holds_of(id, "[1, 2, 3]").await;
}
