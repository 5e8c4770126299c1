//! Methods of closed source: the enclave that waits for its module, and plans of methods that nobody can read.

use histone_attestation::simulated::{SimulatedDevice, SimulatedVendor};
use histone_attestation::{AppraisalPolicy, Attested, Expected, appraise};
use histone_enclave::described::{Described, manifest_hash, published};
use histone_enclave::engine::Engine;
use histone_enclave::instance::{EnclaveError, Identity, Waiting, seal_module};
use histone_enclave::method::HostedMethod;
use histone_enclave::plan::{plan_as_said, plan_of, with_agenda};
use histone_enclave::program::{Limits, Program};
use histone_protocol::disclosure::{Disclosure, Place, Release, Source};
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::plan::{
    ColumnKind, FORMAT, MissingCells, PlanDocument, PlanFeature, PlanOutcome, PlanPrograms,
};
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256, with_causes};

use crate::support::{artifact, load};

const OPERATOR: Address = Address::repeat_byte(7);
const INIT_DATA: B256 = B256::repeat_byte(8);
const NOW: u64 = 1_800_000_000;

fn measurement(module: &str) -> B256 {
    Program::published(&artifact(module)).unwrap().measurement().into()
}

/// A vendor, a device of it, and what whoever believes it does.
struct Machine {
    vendor: SimulatedVendor,
    device: SimulatedDevice,
    author: Root,
}

impl Machine {
    fn new() -> Self {
        let root = Root::from_bytes([1; 32]);
        let vendor = SimulatedVendor::generate(&mut root.rng("vendor", &[]));
        let device = vendor.make_device(&mut root.rng("device", &[])).unwrap();
        Self { vendor, device, author: root.child("author", &[]) }
    }

    fn waiting(&self, measurement: B256, seed: u8, now: u64) -> Waiting {
        Waiting::start(measurement, &self.device, OPERATOR, INIT_DATA, now, [seed; 32].into()).unwrap()
    }

    fn appraised(&self, identity: &Identity, measurement: B256) -> Attested {
        let expected = Expected {
            operator: OPERATOR,
            keys: identity.keys(),
            platform: Platform::SIMULATED.code(),
            evidence_hash: blob_hash(identity.evidence()),
            measurement,
            init_data: INIT_DATA,
        };
        let policy = AppraisalPolicy::simulated(vec![self.vendor.address()], 3_600);
        appraise(identity.evidence(), &expected, &policy, NOW + 10).unwrap()
    }

    /// A module, sealed to a waiting enclave of this measurement.
    fn sealed(&self, wasm: &[u8], to: &Waiting, measurement: B256) -> Vec<u8> {
        seal_module(wasm, &self.appraised(to.identity(), measurement), &self.author).unwrap()
    }
}

#[track_caller]
fn refused<T>(result: Result<T, EnclaveError>, why: &str) {
    let told = with_causes(&result.err().expect("nothing was refused"));
    assert!(told.contains(why), "expected `{why}`, found `{told}`");
}

#[test]
fn a_waiting_enclave_takes_the_module_of_its_measurement_only() {
    let (machine, engine) = (Machine::new(), Engine::new().unwrap());
    let (wasm, method) = (artifact("logistic"), measurement("logistic"));
    let waiting = || machine.waiting(method, 3, NOW);
    let sealed = machine.sealed(&wasm, &waiting(), method);
    assert!(!sealed.windows(64).any(|window| window == &wasm[wasm.len() / 2..][..64]));
    let instance = waiting().load(&engine, &sealed).unwrap();
    assert_eq!((instance.measurement(), instance.init_data()), (method, INIT_DATA));
    // Its keys and its evidence are those that were appraised, and those of an enclave that has its program from the start.
    assert_eq!(instance.evidence(), waiting().identity().evidence());
    let program = load(&wasm, Limits::METHOD);
    let open = histone_enclave::instance::Instance::start(
        program,
        &machine.device,
        OPERATOR,
        INIT_DATA,
        NOW,
        [3; 32].into(),
    );
    assert_eq!(open.unwrap().keys(), instance.keys());

    for (other, why) in [
        (artifact("linear"), "measures differently"),
        (artifact("logistic-answer"), "measures differently"),
        // The same module beside a byte that does nothing: an empty custom section.
        ([wasm.clone(), vec![0, 1, 0]].concat(), "is no program that is admitted"),
        (wasm[..wasm.len() - 1].to_vec(), "is no program that is admitted"),
        (Vec::new(), "is no program that is admitted"),
    ] {
        let sealed = machine.sealed(&other, &waiting(), method);
        refused(waiting().load(&engine, &sealed), why);
    }
}

#[test]
fn a_module_opens_in_the_enclave_that_it_was_sealed_to_and_in_no_other() {
    let (machine, engine) = (Machine::new(), Engine::new().unwrap());
    let (wasm, method) = (artifact("logistic"), measurement("logistic"));
    let sealed = machine.sealed(&wasm, &machine.waiting(method, 3, NOW), method);
    let closed = "a sealed message does not open";
    // Another enclave of the same operator, program and machine.
    refused(machine.waiting(method, 4, NOW).load(&engine, &sealed), closed);
    // The same keys with evidence that the author has not seen.
    let later = machine.waiting(method, 3, NOW + 1);
    assert_eq!(later.identity().keys(), machine.waiting(method, 3, NOW).identity().keys());
    refused(later.load(&engine, &sealed), closed);
    // An enclave for another program, started from the same seed.
    refused(machine.waiting(measurement("linear"), 3, NOW).load(&engine, &sealed), closed);
    for i in [0, 31, 32, sealed.len() / 2, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[i] ^= 1;
        assert!(machine.waiting(method, 3, NOW).load(&engine, &altered).is_err(), "byte {i}");
    }
    refused(machine.waiting(method, 3, NOW).load(&engine, &sealed[..20]), closed);
    // Whoever starts it again after its process ended takes the module that was sealed before, and only with the same evidence.
    let resume =
        |seed, evidence: Vec<u8>| Waiting::resume(method, OPERATOR, INIT_DATA, evidence, [seed; 32].into());
    let evidence = machine.waiting(method, 3, NOW).identity().evidence().to_vec();
    assert!(resume(3, evidence.clone()).unwrap().load(&engine, &sealed).is_ok());
    refused(resume(4, evidence), "was not made by this enclave");
}

/// A plan of the bundled method, as one of closed source, without its agenda.
fn bare(method: &HostedMethod) -> PlanDocument {
    let manifest = method.manifest();
    let settings = manifest.config.iter().map(|s| (s.name.clone(), s.number(s.default).unwrap()));
    let program = method.program().program();
    let training = B256::from(program.measurement());
    PlanDocument {
        format: FORMAT.into(),
        method: format!("{} {}", manifest.name, manifest.version),
        features: vec![PlanFeature {
            name: "a".into(),
            kind: ColumnKind::Range([0.0, 10.0]),
            zero_is_missing: false,
        }],
        outcome: PlanOutcome::YesNo("y".into()),
        missing: MissingCells::Median,
        holdout: 0.25,
        settings: settings.collect(),
        agenda: vec![],
        least: 5,
        min_survivors: 2,
        committee_members: 0,
        colluders: 0,
        round_seconds: 0,
        opening_seconds: 0,
        disclosure: Disclosure {
            place: Place::OneEnclave,
            source: Source::Closed,
            answers: 3,
            ..Disclosure::sealed(Release::Sealed)
        },
        manifest: manifest_hash(program),
        programs: PlanPrograms { validation: training, training, query: training },
    }
}

#[test]
fn whoever_has_the_module_compares_manifest_and_agenda_with_the_plan() {
    let method = HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap();
    let linear = HostedMethod::new(load(&artifact("linear"), Limits::METHOD)).unwrap();
    let document = with_agenda(bare(&method), &method).unwrap();
    let described = Described::read(
        method.program().program().measurement().into(),
        &published(method.program().program()),
    );
    let described = described.unwrap();
    // Who reads the manifest only has the same plan as who reads the module.
    assert_eq!(plan_as_said(&document, &described), plan_of(&document, &method));
    assert!(plan_of(&document, &method).is_ok());

    let with = |change: &dyn Fn(&mut PlanDocument)| {
        let mut other = document.clone();
        change(&mut other);
        other
    };
    // What others take on the manifest's and the plan's word, the enclave looks at.
    let manifest = with(&|plan| plan.manifest = manifest_hash(linear.program().program()));
    let agenda = with(&|plan| plan.agenda[1].rounds -= 1);
    for (plan, why) in [
        (manifest, "it names another manifest than `logistic` has"),
        (agenda, "its agenda is not the one that `logistic` has"),
    ] {
        assert!(plan_as_said(&plan, &described).is_ok(), "{why}");
        let told = plan_of(&plan, &method).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    // What nobody takes: no agenda that a training can have, a setting that the manifest does not name, another method.
    for (plan, why) in [
        (with(&|plan| plan.agenda.clear()), "agenda"),
        (with(&|plan| plan.agenda[0].rounds = 0), "agenda"),
        (with(&|plan| plan.settings.extend([("memory".to_owned(), 1.0)])), "has no setting `memory`"),
        (with(&|plan| plan.method = "linear 1.1.0".into()), "it calls its method `linear 1.1.0`"),
        (with(&|plan| plan.programs.training = B256::ZERO), "which is not at hand"),
        (with(&|plan| plan.disclosure.source = Source::Open), "its method is open, and not at hand"),
    ] {
        let told = plan_as_said(&plan, &described).unwrap_err();
        assert!(told.contains(why), "expected `{why}`, found `{told}`");
    }
    // A published manifest is one with its mark before it, and the measurement is beside it, not in it.
    let blob = published(method.program().program());
    let training = B256::from(method.program().program().measurement());
    assert!(Described::read(training, &blob[19..]).is_err(), "without its mark");
    assert!(Described::read(training, b"histone-manifest/1\n{}").is_err());
    assert!(Described::read(training, b"").is_err());
    let foreign = Described::read(training, &published(linear.program().program())).unwrap();
    let told = plan_as_said(&document, &foreign).unwrap_err();
    assert!(told.contains("it calls its method `logistic 1.1.0`"), "{told}");
}

/// Each of these is refused where the plan is read, so by everybody.
#[test]
fn plans_of_closed_methods_that_cannot_be() {
    let method = HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap();
    let document = with_agenda(bare(&method), &method).unwrap();
    let read = |plan: &PlanDocument| PlanDocument::from_bytes(&plan.to_bytes());
    assert_eq!(read(&document).unwrap(), document);
    type Change = fn(&mut PlanDocument);
    let cases: [(Change, &str); 6] = [
        (|plan| plan.disclosure.model = Release::Public, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.model = Release::Participants, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.answers = 0, "a sealed model with a limit of answers"),
        (|plan| plan.disclosure.place = Place::EachOwner, "runs in one enclave only"),
        (|plan| plan.disclosure.auditors = vec![OPERATOR], "no sums that an auditor could open"),
        (|plan| plan.committee_members = 4, "a committee or times of rounds, of which there are none"),
    ];
    for (change, why) in cases {
        let mut plan = document.clone();
        change(&mut plan);
        let told = with_causes(&read(&plan).unwrap_err());
        assert!(told.contains(why), "expected `{why}`, found `{told}`");
    }
}
