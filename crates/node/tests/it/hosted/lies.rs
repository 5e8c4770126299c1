//! Trainers, owners and runners who lie about the one enclave.

use std::fs;

use histone_access::decide;
use histone_attestation::simulated::SimulatedVendor;
use histone_contracts::{Contract, Datasets, Market};
use histone_enclave::instance::{EnclaveError, Instance};
use histone_enclave::training::{Consent, DonationTerms, HostEnclave, init_data};
use histone_node::owner::{Machine, Owner};
use histone_node::programs::Loaded;
use histone_protocol::consent::{ConsentPolicy, DecisionRecord, Verdict};
use histone_protocol::disclosure::Release;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, ValidationReceipt};
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};

use super::{says, signer, used};
use crate::attacks::stopping::register_plain;
use crate::cast::{Cast, LINEAR, PRICE, at_price, policy, refused, table};
use crate::sealed::sealed_plan;

impl Cast {
    /// The trainer names an enclave on the ledger without looking at it.
    async fn name_blindly(&self, model: u64, enclave: Address) {
        let call = Market::hostCall { modelId: U256::from(model), enclave };
        self.world.ledger.send(&self.trainer.party.key, Contract::Market, call).await.unwrap();
    }

    /// An enclave of the runner's, started for what it was told, on any device.
    async fn start_enclave(
        &self,
        program: &histone_enclave::engine::LoadedProgram,
        device: &histone_attestation::simulated::SimulatedDevice,
        init: B256,
    ) -> Instance {
        let now = self.world.ledger.time().await.unwrap();
        self.runner.party.start_enclave(program.clone(), device, init, now).unwrap()
    }

    /// What an enclave of a model is started with.
    fn init_data(&self, model: u64) -> B256 {
        let plan = self.hosted_document(&sealed_plan(Release::Public)).hash();
        init_data(self.world.ledger.deployment(), model, plan)
    }

    /// Takes an enclave into service, whoever believes it.
    async fn serving(&self, instance: Instance, model: u64) -> HostEnclave {
        let plan = self.hosted_document(&sealed_plan(Release::Public));
        let (policy, ledger) = (self.world.cohort_policy(model).await.unwrap(), &self.world.ledger);
        let storage = self.runner.party.storage();
        HostEnclave::start(instance, &plan, model, policy, storage, ledger).await.unwrap()
    }

    /// What an owner says that allows its donation, as it is.
    fn terms(&self, owner: usize, consent: Consent) -> DonationTerms {
        DonationTerms { payee: self.owners[owner].account(), consent }
    }

    /// Neither the enclave nor its runner has anything, and no owner is bound by anything.
    fn nothing_was_sent(&self, host: &HostEnclave) {
        assert!(format!("{host:?}").contains(" 0 datasets"), "{host:?}");
        assert_eq!(self.kept_data(), [""; 0]);
        for owner in &self.owners {
            assert_eq!(owner.party.recall("answered-for.json").unwrap(), None);
        }
    }
}

/// Each enclave is registered, and named by a trainer who looks at nothing.
#[tokio::test]
async fn to_have_data_brought_to_an_enclave_that_nobody_believes() {
    let mut cast = Cast::hosting(1, 2).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    let program = cast.loaded.method.program().clone();
    let mut rng = cast.operator.root().rng("another vendor", &[]);
    let unknown = SimulatedVendor::generate(&mut rng).make_device(&mut rng).unwrap();
    let key = cast.runner.party.key.clone();
    let (_, other) = cast.propose_hosted(&plan).await;

    for (what, reason) in [
        ("of an unknown vendor", "vendor"),
        ("without evidence", "is not in"),
        ("of another model", "init-data"),
    ] {
        let (paper, id) = cast.propose_hosted(&plan).await;
        let (device, of) = match what {
            "of an unknown vendor" => (&unknown, id),
            "of another model" => (&cast.devices[0], other),
            _ => (&cast.devices[0], id),
        };
        let instance = cast.start_enclave(&program, device, cast.init_data(of)).await;
        match what {
            "without evidence" => world.announce_enclave(&instance, &key).await.unwrap(),
            _ => world.register_enclave(&instance, &key).await.unwrap(),
        }
        let mut enclave = cast.serving(instance, of).await;
        let named = enclave.instance().keys().receipt;
        refused(cast.trainer.name_host(id, named, &world).await, reason);
        cast.name_blindly(id, named).await;
        for owner in &mut cast.owners {
            let answer = owner.consider(paper, id, &world).await.unwrap();
            let decided = at_price(answer.permit.unwrap(), answer.blob, id);
            refused(owner.bring(decided, &mut enclave, &world).await, reason);
        }
        cast.nothing_was_sent(&enclave);
    }

    // With another program of the members' than the plan's.
    let linear = Loaded::bundled("linear").unwrap().method.program().clone();
    cast.allow(&LINEAR, &linear).await;
    let (paper, id) = cast.propose_hosted(&plan).await;
    let instance = cast.start_enclave(&linear, &cast.devices[0], cast.init_data(id)).await;
    world.register_enclave(&instance, &key).await.unwrap();
    let named = instance.keys().receipt;
    refused(cast.trainer.name_host(id, named, &world).await, "not the method of the plan");
    cast.name_blindly(id, named).await;
    let policy = world.cohort_policy(id).await.unwrap();
    let (document, storage) = (cast.hosted_document(&plan), cast.runner.party.storage());
    let started = HostEnclave::start(instance, &document, id, policy, storage, &world.ledger).await;
    refused(started, "which is not at hand");
    // The good enclave comes too late: another one is named.
    let mut late = cast.runner.start_host(program, id, &world).await.unwrap();
    refused(cast.trainer.name_host(id, signer(&late), &world).await, "HostNamed");
    refused(cast.bring_to(0, (paper, id), &mut late).await, "as the ledger has it, and not to");
    cast.nothing_was_sent(&late.enclave);
}

/// A good enclave of a good model, and none that its trainer has named.
#[tokio::test]
async fn to_have_data_brought_to_an_enclave_that_the_ledger_does_not_name() {
    let mut cast = Cast::hosting(1, 2).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    let (paper, id) = cast.propose_hosted(&plan).await;
    let program = cast.loaded.method.program().clone();
    let mut other = cast.runner.start_host(program.clone(), id, &world).await.unwrap();
    refused(cast.bring_to(0, (paper, id), &mut other).await, "has named no enclave for the data yet");
    let mut named = cast.host(id).await;
    refused(cast.bring_to(0, (paper, id), &mut other).await, "as the ledger has it, and not to");
    // Nor to an enclave of the owner's own.
    let answer = cast.owners[0].consider(paper, id, &world).await.unwrap();
    let decided = at_price(answer.permit.unwrap(), answer.blob, id);
    let machine = Machine { program, device: &cast.devices[0] };
    let own = cast.owners[0].donate(decided, machine, &world).await;
    refused(own, "has one enclave for the data of all owners");
    cast.nothing_was_sent(&other.enclave);
    cast.nothing_was_sent(&named.enclave);

    // Whoever sends its key all the same gets no place in the model by it.
    let sealed = cast.sealed(0, other.enclave.instance());
    let consent = cast.consent(0, id).await;
    let terms = cast.terms(0, consent);
    let donation = other.enclave.admit(&sealed, terms, &world.ledger).await.unwrap();
    refused(cast.bring(0, id, &donation, signer(&other)).await, "OtherHost");
    refused(cast.bring(0, id, &donation, signer(&named)).await, "BadSignature");
    // And what is sealed to one is not opened by the other.
    let consent = cast.consent(0, id).await;
    let terms = cast.terms(0, consent);
    refused(named.enclave.admit(&sealed, terms, &world.ledger).await, "sealed");
}

/// An owner whose policy does not say `allow_one_enclave`, and whoever would have it donate.
#[tokio::test]
async fn to_bring_data_that_its_policy_keeps_apart() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose_hosted(&sealed_plan(Release::Public)).await;
    let mut host = cast.host(id).await;
    let answer = cast.owners[0].consider(paper, id, &world).await.unwrap();
    assert!(answer.permit.is_none() && answer.decision.verdict == Verdict::Deny);
    assert!(answer.decision.reasons.iter().any(|r| r.contains("`one-enclave`")), "{:?}", answer.decision);

    // The owner's own key signs whatever it is told to.
    let key = cast.owners[0].party.key.clone();
    let honest = cast.consent(0, id).await;
    let signed = |record: &DecisionRecord| {
        let decision = Signed::sign(record, &key).unwrap().to_bytes();
        Consent { decision, ..honest.clone() }
    };
    let denied = answer.decision;
    let permitted = DecisionRecord { verdict: Verdict::Permit, ..denied.clone() };
    let mut facts = denied.facts.clone();
    facts.policy.allow_one_enclave = true;
    let other_policy = decide(&facts).unwrap();
    assert_eq!(other_policy.verdict, Verdict::Permit);
    for (consent, reason) in [
        (signed(&denied), "it does not permit the use"),
        (signed(&permitted), "it does not come out again from its facts"),
        (signed(&other_policy), "is not the one that the ledger has"),
    ] {
        let sealed = cast.sealed(0, host.enclave.instance());
        let terms = cast.terms(0, consent);
        refused(host.enclave.admit(&sealed, terms, &world.ledger).await, reason);
    }
    cast.nothing_was_sent(&host.enclave);
}

/// A further dataset of the last owner, which a plain key has "validated".
async fn unvalidated(cast: &Cast) -> Owner {
    let place = cast.owners.len() - 1;
    let party = cast.party_again(&cast.owners[place].party.name);
    let (world, key) = (&cast.world, party.key.clone());
    let terms = ConsentPolicy { ledger: world.ledger.deployment().id(), allow_one_enclave: true, ..policy() };
    let published = ConsentPolicy { owner: party.account(), ..terms.clone() };
    let published = world.blobs.put(&Signed::sign(&published, &key).unwrap().to_bytes()).unwrap();
    let owner = Owner::prepare(party, table(9), terms).unwrap();
    let validator = SigningKey::from_bytes(&[50; 32]).unwrap();
    let measurement = B256::from(cast.loaded.validation.program().measurement());
    register_plain(cast, place, &validator, measurement).await;
    let receipt = ValidationReceipt {
        owner: owner.account(),
        root: owner.root(),
        reportHash: B256::repeat_byte(1),
        rows: 24,
        quality: 3,
        replaces: B256::ZERO,
    };
    let d = world.ledger.deployment();
    let signature = receipt::sign(&receipt, &receipt::domain(d.chain_id, d.datasets), &validator);
    let call = Datasets::registerCall {
        root: receipt.root,
        reportHash: receipt.reportHash,
        policyHash: published,
        rows: receipt.rows,
        quality: receipt.quality,
        enclave: validator.address(),
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&key, Contract::Datasets, call).await.unwrap();
    owner
}

/// Data that no enclave has validated: a trainer who looks refuses its donor, and where none looks the enclave does not train.
#[tokio::test]
async fn to_train_with_data_that_nobody_has_validated() {
    for looks in [false, true] {
        let mut cast = Cast::hosting(1, 3).await;
        let world = cast.world.clone();
        let mut liar = unvalidated(&cast).await;
        let (paper, id) = cast.propose_hosted(&sealed_plan(Release::Public)).await;
        let mut host = cast.host(id).await;
        for owner in 0..2 {
            cast.bring_to(owner, (paper, id), &mut host).await.unwrap();
        }
        let answer = liar.consider(paper, id, &world).await.unwrap();
        let decided = at_price(answer.permit.unwrap(), answer.blob, id);
        assert_eq!(liar.bring(decided, &mut host.enclave, &world).await.unwrap(), 3);
        if looks {
            cast.trainer.start(id, &world).await.unwrap();
            let said = cast.make(&mut host).await;
            assert_eq!(used(&said), [1, 2]);
            assert!(says(&said).destroyed.contains(&liar.dataset()), "it was given all the same");
            cast.sell(&mut host, &said).await;
            histone_node::recompute::check(id, &world).await.unwrap();
            assert_eq!((cast.owed(id, 2).await, cast.owed(id, 3).await), (PRICE, 0));
            continue;
        }
        let call = Market::startTrainingCall { modelId: U256::from(id), seats: vec![], sealKeys: vec![] };
        world.ledger.send(&cast.trainer.party.key, Contract::Market, call).await.unwrap();
        refused(host.enclave.train(&world.evidence(), &world.ledger).await, "donor 3 is not believed");
        assert_eq!(cast.kept_data().len(), 3, "it may be that its evidence comes");
    }
}

/// The runner loses what one owner has brought: the enclave says whose, and goes on when that one's use is ended.
#[tokio::test]
async fn the_runner_loses_the_data_of_one_donor() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let (id, host) = cast.recruit_hosted(&sealed_plan(Release::Public)).await;
    cast.trainer.start(id, &world).await.unwrap();
    let dataset = format!("{:x}", cast.owners[1].dataset());
    let lost = cast.kept_data().into_iter().find(|name| name.contains(&dataset)).unwrap();
    // What is altered is not read as something else.
    let path = cast.runner_dir().join(&lost);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (signer, program) = (signer(&host), cast.loaded.method.program().clone());
    drop(host);
    let resumed = cast.runner.resume_host(program.clone(), id, signer, &world).await;
    refused(resumed, &format!("`{lost}` was altered, or is another enclave's"));
    fs::remove_file(&path).unwrap();
    let mut host = cast.runner.resume_host(program, id, signer, &world).await.unwrap();
    let train = host.enclave.train(&world.evidence(), &world.ledger).await;
    refused(train, "the data of donor 2 was not kept for this enclave: its owner has to end its use");
    cast.owners[1].withdraw(&world).await.unwrap();
    let said = cast.make(&mut host).await;
    assert_eq!(used(&said), [1, 3]);
    assert_eq!(says(&said).destroyed.len(), 3);
    cast.sell(&mut host, &said).await;
    assert_eq!((cast.owed(id, 1).await, cast.owed(id, 2).await), (PRICE, 0));
}

/// Two models by one program on one machine: neither reads, trains on or destroys what is the other's.
#[tokio::test]
async fn to_read_the_data_of_another_model_on_the_same_machine() {
    let mut cast = Cast::hosting(1, 3).await;
    let world = cast.world.clone();
    let plan = sealed_plan(Release::Public);
    let (one, mut first) = cast.recruit_hosted(&plan).await;
    let of_first = cast.kept_data();
    let (paper, two) = cast.propose_hosted(&plan).await;
    let mut second = cast.host(two).await;
    for owner in 0..2 {
        cast.bring_to(owner, (paper, two), &mut second).await.unwrap();
    }
    let (a, b) = (signer(&first), signer(&second));
    assert_ne!(a, b);
    assert_eq!((of_first.len(), cast.kept_data().len()), (3, 5));
    // The operator gives the second one what is the first one's.
    let third = cast.owners[2].dataset();
    let name = of_first.iter().find(|name| name.contains(&format!("{third:x}"))).unwrap();
    let stolen = name.replace(&format!("{a:x}"), &format!("{b:x}"));
    let dir = cast.runner_dir();
    fs::copy(dir.join(name), dir.join(&stolen)).unwrap();
    let program = cast.loaded.method.program().clone();
    let resumed = cast.runner.resume_host(program.clone(), two, b, &world).await;
    refused(resumed, &format!("`{stolen}` was altered, or is another enclave's"));
    fs::remove_file(dir.join(&stolen)).unwrap();
    // Nor is an enclave started again for another model than its own.
    let resumed = cast.runner.resume_host(program, one, b, &world).await;
    assert!(matches!(resumed, Err(histone_node::error::NodeError::Enclave(EnclaveError::OtherStart))));
    for id in [one, two] {
        cast.trainer.start(id, &world).await.unwrap();
    }
    let said = cast.make(&mut first).await;
    assert_eq!(used(&said), [1, 2, 3]);
    let left = cast.kept_data();
    assert!(left.len() == 2 && left.iter().all(|name| name.contains(&format!("{b:x}"))), "{left:?}");
    let mut second = cast.again_host(two, second).await;
    let said = cast.make(&mut second).await;
    assert_eq!((used(&said), says(&said).destroyed.len()), (vec![1, 2], 2));
}
