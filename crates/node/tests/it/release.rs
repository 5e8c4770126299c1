//! The key release on a real ledger: each check passes for itself, and they must speak of one use.

use std::path::Path;

use histone_access::Permit;
use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::SimulatedVendor;
use histone_contracts::{Contract, Members, Programs, roles};
use histone_enclave::validation::{ValidationEnclave, init_data};
use histone_genome::table::{Column, Table};
use histone_ledger::{Ledger, Settings};
use histone_network::BlobStore;
use histone_node::auditor::audit;
use histone_node::owner::Owner;
use histone_node::party::{Entropy, Party};
use histone_node::programs::{Loaded, Methods, VALIDATE};
use histone_node::release::{OwnedKey, release};
use histone_node::runner::Runner;
use histone_node::trainer::Trainer;
use histone_node::world::World;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::dataset::KeyBundle;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::LedgerId;
use histone_protocol::{Address, B256};

use crate::backend::Backend;

struct Setup {
    world: World,
    owner: Owner,

    auditor: Party,
    enclave: ValidationEnclave,
    backend: Backend,
    operator: Party,
}

const MAX_AGE: u64 = 3_600;

async fn setup(dir: &Path) -> Setup {
    let party = |name: &str| Party::create(name, &dir.join("private"), Entropy::Seed(1)).unwrap();
    let (operator, trainer, auditor) =
        (party("operator"), Trainer { party: party("trainer") }, party("auditor"));
    let backend = Backend::new(&dir.join("ledger"), 1, &operator.key);
    backend.fund([operator.account(), trainer.party.account(), auditor.account()]).await;
    let ledger =
        Ledger::deploy(backend.connection.clone(), &operator.key, &Settings::default()).await.unwrap();
    let vendor = SimulatedVendor::generate(&mut operator.root().rng("vendor", &[]));
    // The runner believes, and registers, for longer than the owner does.
    let appraisal = AppraisalPolicy::simulated(vec![vendor.address()], 2 * MAX_AGE);
    let blobs = BlobStore::open(dir.join("blobs")).unwrap();
    let mut world = World { ledger, blobs, appraisal, methods: Methods::default() };
    let mut runner =
        Runner::new(party("runner"), vendor.make_device(&mut operator.root().rng("device", &[])).unwrap());
    let values = (0..40).map(f64::from).collect();
    let table = Table::new(vec![Column::number("a"), Column::number("b")], values).unwrap();
    let policy = ConsentPolicy {
        ledger: LedgerId::default(),
        owner: Address::ZERO,
        country: "DE".into(),
        terms: vec!["DUO:0000042".into()],
        allow_purposes: vec![],
        deny_purposes: vec![],
        allow_accounts: vec![],
        deny_accounts: vec![],
        versions: 1,
        allow_public_exact: true,
        allow_auditors: vec![],
        allow_one_enclave: false,
        allow_closed: vec![],
    };
    let owner = Owner::prepare(party("owner"), table, policy).unwrap();
    backend.fund([runner.party.account(), owner.account()]).await;
    for (account, role) in [
        (trainer.party.account(), roles::TRAINER),
        (auditor.account(), roles::AUDITOR),
        (runner.party.account(), roles::RUNNER),
        (owner.account(), roles::OWNER),
    ] {
        let [profile, seal_key] = [B256::repeat_byte(1); 2];
        let call = Members::addCall { account, roles: role, profile, sealKey: seal_key };
        world.ledger.send(&operator.key, Contract::Members, call).await.unwrap();
    }
    let loaded = Loaded::bundled("logistic").unwrap();
    let measurement = B256::from(loaded.validation.program().measurement());
    let submission = trainer.publish(&VALIDATE, measurement, &world).await.unwrap();
    audit(&auditor, &submission, &world).await.unwrap();
    let allow = Programs::allowCall { measurement };
    world.ledger.send(&operator.key, Contract::Programs, allow).await.unwrap();
    let enclave = runner.start_validation(loaded.validation, &world).await.unwrap();
    world.appraisal = AppraisalPolicy::simulated(vec![vendor.address()], MAX_AGE);
    Setup { world, owner, auditor, enclave, backend, operator }
}

#[tokio::test]
async fn the_three_checks_must_speak_of_one_use() {
    let dir = tempfile::tempdir().unwrap();
    let s = setup(dir.path()).await;
    let signer = s.enclave.instance().keys().receipt;
    let measurement = s.enclave.instance().measurement();
    let (owner, dataset) = (s.owner.account(), s.owner.dataset());
    let other = B256::repeat_byte(9);
    let mut rng = Entropy::Seed(2).generator("test").unwrap();
    let bundle = KeyBundle::generate(&mut rng);
    let own = |dataset, measurement| Permit::own_validation(owner, dataset, vec![measurement]);
    let foreign = Permit::own_validation(Address::repeat_byte(9), dataset, vec![measurement]);
    let cases = [
        (own(dataset, measurement), 0, "released"),
        (own(other, measurement), 0, "the permit is for dataset"),
        (own(dataset, other), 0, "the enclave runs measurement"),
        (own(dataset, measurement), MAX_AGE + 10, "the appraisal was valid until"),
        (foreign, 0, "the validation was ordered by"),
    ];
    for (permit, later, expected) in cases {
        let attested = s.world.appraise(signer, ProgramKind::Validation, init_data()).await.unwrap();
        let funded = s.world.ledger.funded_validation(signer).await.unwrap();
        let key = OwnedKey { owner, dataset, bundle: &bundle };
        let now = s.world.ledger.time().await.unwrap() + later;
        let found = match release(permit, attested, funded, key, now, s.owner.party.root()) {
            Ok(_) => "released".to_string(),
            Err(e) => e.to_string(),
        };
        assert!(found.starts_with(expected), "expected `{expected}`, found `{found}`");
    }
}

#[tokio::test]
async fn an_enclave_is_refused_when_its_standing_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut s = setup(dir.path()).await;
    let signer = s.enclave.instance().keys().receipt;
    let refusal = |e: histone_node::error::NodeError| {
        let source = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        format!("{e}: {source}")
    };
    // Good at first: validation and registration succeed.
    s.owner.register(&s.enclave, &s.world).await.unwrap();
    // Another configuration than expected.
    let error = s.world.appraise(signer, ProgramKind::Validation, B256::ZERO).await.unwrap_err();
    assert!(refusal(error).contains("init-data"), "another configuration");
    // Another kind of program than needed.
    let error = s.world.appraise(signer, ProgramKind::Training, init_data()).await.unwrap_err();
    assert!(refusal(error).contains("WrongKind"), "another kind");
    // Too old for the owner, though the ledger still lists it.
    s.backend.pass(MAX_AGE + 100, &s.operator.key).await;
    let error = s.world.appraise(signer, ProgramKind::Validation, init_data()).await.unwrap_err();
    assert!(refusal(error).contains("the policy accepts"), "expired for the owner");
    // Revoked by its auditor.
    let revoke = Programs::revokeCall { measurement: s.enclave.instance().measurement() };
    s.world.ledger.send(&s.auditor.key, Contract::Programs, revoke).await.unwrap();
    let error = s.world.appraise(signer, ProgramKind::Validation, init_data()).await.unwrap_err();
    assert!(refusal(error).contains("Revoked"), "revoked");
}
