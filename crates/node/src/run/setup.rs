//! The beginning of a run: folder, chain, parties, programs, datasets.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use chacha20::ChaCha20Rng;
use histone_attestation::AppraisalPolicy;
use histone_attestation::simulated::{SimulatedDevice, SimulatedVendor};
use histone_compliance::folder::{DatasetRecord, Folder, PartyRecord, ProgramRecord, profile};
use histone_contracts::{Contract, Enclaves, Members, Programs, TestToken, roles};
use histone_ledger::{Ledger, Settings};
use histone_network::{BlobStore, io_error};
use histone_protocol::consent::AppraisalTerms;
use histone_protocol::disclosure::{Disclosure, Place as PlaceOfTraining, Source};
use histone_protocol::program::ProgramKind;
use histone_protocol::record::LedgerId;
use histone_protocol::{Address, B256, U256};

use super::gas::Needs;
use super::outcome::Validation;
use super::place::{Node, Place, private_dir};
use super::{Observer, Options, Stage};
use crate::auditor::{Files, audit, audit_closed};
use crate::committee::CommitteeMember;
use crate::daemon::study::consent;
use crate::error::NodeError;
use crate::owner::Owner;
use crate::party::{Party, create_private_dir};
use crate::programs::{Loaded, Methods};
use crate::runner::{Host, Runner};
use crate::study::Study;
use crate::trainer::Trainer;
use crate::user::User;
use crate::world::World;

/// Everybody who takes part.
pub(super) struct Cast {
    pub(super) stage: Stage,
    pub(super) world: World,
    pub(super) loaded: Loaded,
    pub(super) vendor: SimulatedVendor,
    pub(super) devices: BTreeMap<String, SimulatedDevice>,
    pub(super) operator: Party,
    pub(super) owners: Vec<Owner>,
    pub(super) trainers: BTreeMap<String, Trainer>,
    pub(super) runner: Runner,
    /// The one enclave to which all data is brought, where the study has one.
    pub(super) host: Option<Host>,
    /// Who audits programs.
    pub(super) auditor: Party,
    /// Further auditors, whom trainings and owners may name.
    auditors: Vec<Party>,
    pub(super) committee: Vec<CommitteeMember>,
    pub(super) user: User,
    /// A second user, who owns nothing and tries to use others' access codes.
    pub(super) stranger: User,
    /// Tokens that were made and given out, in millionths.
    pub(super) paid_in: u64,
}

/// Makes sure that nothing is overwritten, and takes the folder.
pub(super) fn claim_folder(folder: &Folder) -> Result<(), NodeError> {
    let root = folder.root();
    let shown = root.display();
    let occupied = |text: String| Err(NodeError::Occupied(text));
    // The mark is tested first: it goes last, so a run may have its manifest and still not have ended.
    if folder.unfinished().exists() {
        let step = fs::read_to_string(folder.unfinished()).unwrap_or_default();
        let ledger = match folder.ledger().exists() {
            true => format!("check its ledger with `histone chain replay {shown}/ledger`, "),
            false => String::new(),
        };
        return occupied(format!(
            "`{shown}` holds an unfinished run ({}); {ledger}start over with --replace, or name another folder with --out",
            step.trim().trim_start_matches("This run has not ended. ")
        ));
    }
    if folder.manifest().exists() {
        return occupied(format!(
            "`{shown}` holds a finished run; check it with `histone verify {shown}`, name another folder with --out, or start over with --replace"
        ));
    }
    if root.exists() && fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
        return occupied(format!("`{shown}` is not empty and holds no run; name another folder with --out"));
    }
    let private = private_dir(folder)?;
    if private.exists() {
        return occupied(format!(
            "`{}` holds the secrets of an earlier run; remove it, start over with --replace, or name another folder with --out",
            private.display()
        ));
    }
    fs::create_dir_all(root).map_err(io_error("create", root))?;
    let mark = b"This run has not ended. It was at: its beginning\n";
    if let Err(error) = histone_network::write_whole(&folder.unfinished(), mark) {
        // Nothing half-made stays behind; the folder goes only when it is empty.
        let _ = fs::remove_dir(root);
        return Err(error.into());
    }
    Ok(())
}

/// Makes the parties, finds or starts the chain, deploys the contracts, gives everybody roles and money.
pub(super) async fn start(
    study: &Study,
    options: &Options,
    folder: Folder,
    node: Option<Node>,
    observer: &mut dyn Observer,
) -> Result<Cast, NodeError> {
    let private = private_dir(&folder)?;
    create_private_dir(&private)?;
    let party = |name: &str| Party::create(name, &private, options.entropy);

    let operator = party("operator")?;
    let place = match node {
        None => Place::embedded(&folder, options, &operator.key)?,
        Some(node) => Place::network(node, &private)?,
    };
    let blobs = BlobStore::open(folder.blobs())?;
    let vendor = SimulatedVendor::generate(&mut operator.root().rng("vendor", &[]));
    let appraisal = AppraisalPolicy::of(&appraisal_terms(study, &vendor));

    let mut trainers = BTreeMap::new();
    for model in std::iter::once(&study.model).chain(&study.other_models) {
        if !trainers.contains_key(&model.trainer) {
            trainers.insert(model.trainer.clone(), Trainer { party: party(&model.trainer)? });
        }
    }
    let auditor = party(&study.auditor)?;
    let auditors = study.auditors.iter().map(|name| party(name)).collect::<Result<Vec<_>, _>>()?;
    let auditing: Vec<&Party> = std::iter::once(&auditor).chain(&auditors).collect();
    for auditor in &auditing {
        auditor.export_seal_key()?;
    }
    let mut devices = BTreeMap::new();
    let mut owners = Vec::new();
    for participant in &study.participants {
        let name = &participant.name;
        devices.insert(name.clone(), vendor.make_device(&mut device_rng(&operator, name))?);
        let account = |name: &str| match trainers.get(name) {
            Some(trainer) => Ok(trainer.party.account()),
            None => auditor_account(name, &auditing),
        };
        // The owner's node fills in the ledger on which it registers.
        let policy = consent(participant, LedgerId::default(), &account)?;
        owners.push(Owner::prepare(party(&participant.name)?, participant.table.clone(), policy)?);
    }
    let runner =
        Runner::new(party(&study.runner)?, vendor.make_device(&mut device_rng(&operator, &study.runner))?);
    let committee = study
        .committee
        .members
        .iter()
        .map(|name| Ok(CommitteeMember::new(party(name)?)))
        .collect::<Result<Vec<_>, NodeError>>()?;
    let user = User { party: party(&study.end_user.name)? };
    let stranger = User { party: party("stranger")? };

    if let Some(purse) = place.purse() {
        let needs = Needs::of(study, rounds_at_most(study));
        let mut accounts = vec![
            (operator.account(), needs.operator()),
            (runner.party.account(), needs.runner()),
            (auditor.account(), needs.auditor()),
            (user.party.account(), needs.user()),
        ];
        accounts.extend(owners.iter().map(|o| (o.account(), needs.owner())));
        accounts.extend(trainers.values().map(|t| (t.party.account(), needs.trainer())));
        accounts.extend(committee.iter().map(|c| (c.party.account(), needs.committee())));
        purse.fill(&accounts, observer).await?;
    }
    let ledger = Ledger::deploy(place.connection(), &operator.key, &Settings::default()).await?;
    if options.network.is_some() {
        let d = ledger.deployment();
        observer
            .note(&format!("contracts deployed on chain {}; their directory is {}", d.chain_id, d.directory));
    }
    let loaded = Loaded::bundled(&study.training.method)?;
    // A method of closed source nobody has at hand but its author.
    let open = study.training.disclosure.source == Source::Open;
    let methods = Methods::of(open.then(|| loaded.method.clone()));
    let mut cast = Cast {
        stage: Stage { folder, place, started: Instant::now() },
        world: World { ledger, blobs, appraisal, methods },
        loaded,
        vendor,
        devices,
        operator,
        owners,
        trainers,
        runner,
        host: None,
        auditor,
        auditors,
        committee,
        user,
        stranger,
        paid_in: 0,
    };
    cast.admit_members().await?;
    cast.give_money(study).await?;
    for member in &cast.committee {
        member.prove_key(&cast.world).await?;
    }
    Ok(cast)
}

/// What a SIMULATED device of a party is made from; the operator plays the vendor.
pub(super) fn device_rng(operator: &Party, party: &str) -> ChaCha20Rng {
    operator.root().rng("device", &[party.as_bytes()])
}

/// What the white papers of a study believe.
pub(super) fn appraisal_terms(study: &Study, vendor: &SimulatedVendor) -> AppraisalTerms {
    AppraisalTerms {
        platforms: study.appraisal.platforms.clone(),
        max_age_seconds: study.appraisal.max_age_seconds,
        simulated_vendors: vec![vendor.address()],
    }
}

/// The account of an auditor of the study.
fn auditor_account(name: &str, auditing: &[&Party]) -> Result<Address, NodeError> {
    let found = auditing.iter().find(|party| party.name == name);
    let found = found.ok_or_else(|| NodeError::Message(format!("there is no auditor `{name}`")))?;
    Ok(found.account())
}

impl Cast {
    /// Every party with its role in words and its bits on the ledger.
    fn roles(&self) -> Vec<(&Party, &'static str, u8)> {
        let mut list: Vec<(&Party, &'static str, u8)> = vec![(&self.operator, "operator", 0)];
        list.extend(self.owners.iter().map(|o| (&o.party, "participant", roles::OWNER)));
        list.extend(self.trainers.values().map(|t| (&t.party, "trainer", roles::TRAINER)));
        list.push((&self.runner.party, "runner", roles::RUNNER));
        let auditing = std::iter::once(&self.auditor).chain(&self.auditors);
        list.extend(auditing.map(|party| (party, "auditor", roles::AUDITOR)));
        list.extend(self.committee.iter().map(|c| (&c.party, "committee member", roles::COMMITTEE)));
        list.push((&self.user.party, "end user", 0));
        list.push((&self.stranger.party, "stranger", 0));
        list
    }

    /// Who may see what of the study's training, with accounts for names.
    pub(super) fn disclosure(&self, study: &Study) -> Result<Disclosure, NodeError> {
        let auditing: Vec<&Party> = std::iter::once(&self.auditor).chain(&self.auditors).collect();
        study.training.disclosure.with_accounts(|name| auditor_account(name, &auditing))
    }

    /// Everybody for the run record.
    pub(super) fn parties(&self) -> Vec<PartyRecord> {
        let payees: BTreeMap<Address, Address> =
            self.owners.iter().filter_map(|o| Some((o.account(), o.donation()?.0))).collect();
        self.roles()
            .into_iter()
            .map(|(party, role, _)| PartyRecord {
                name: party.name.clone(),
                role: role.into(),
                account: party.account(),
                payees: payees.get(&party.account()).copied().into_iter().collect(),
            })
            .collect()
    }

    async fn admit_members(&mut self) -> Result<(), NodeError> {
        for (party, role, bits) in self.roles() {
            if bits == 0 {
                continue;
            }
            let call = Members::addCall {
                account: party.account(),
                roles: bits,
                profile: profile(&party.name, role),
                sealKey: party.seal.public().0,
            };
            self.world.ledger.send(&self.operator.key, Contract::Members, call).await?;
        }
        Ok(())
    }

    /// Makes just the TEST tokens that the story needs: the trainers' deposits and the end user's queries, one of which
    /// will be refunded.
    async fn give_money(&mut self, study: &Study) -> Result<(), NodeError> {
        let participants = study.participants.len() as u64;
        let mut needs: BTreeMap<Address, u64> = BTreeMap::new();
        for model in std::iter::once(&study.model).chain(&study.other_models) {
            if let Some(trainer) = self.trainers.get(&model.trainer) {
                *needs.entry(trainer.party.account()).or_default() +=
                    model.instant_payment.micro() * participants;
            }
        }
        let queries = study.end_user.queries.len() as u64 + 1;
        *needs.entry(self.user.party.account()).or_default() += study.model.query_price.micro() * queries;
        for (account, amount) in needs {
            let call = TestToken::mintCall { to: account, amount: U256::from(amount) };
            self.world.ledger.send(&self.operator.key, Contract::Token, call).await?;
            self.paid_in += amount;
        }
        Ok(())
    }

    /// Blobs of the evidence of every enclave on the ledger.
    pub(super) async fn evidence(&self) -> Result<Vec<B256>, NodeError> {
        let events = self.world.ledger.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves).await?;
        Ok(events.iter().map(|e| e.evidenceHash).collect())
    }

    /// Lets `seconds` pass from the last block.
    pub(super) async fn wait(&self, seconds: u64, observer: &mut dyn Observer) -> Result<(), NodeError> {
        self.stage.place.wait(seconds, &self.world.ledger, &self.operator.key, observer).await
    }

    /// Gives the accounts that are paid for donations what their claims cost, where gas is not free.
    pub(super) async fn fund_payees(&self, observer: &mut dyn Observer) -> Result<(), NodeError> {
        let Some(purse) = self.stage.place.purse() else { return Ok(()) };
        let payees: Vec<_> =
            self.owners.iter().filter_map(|o| Some((o.donation()?.0, Needs::payee()))).collect();
        purse.fill(&payees, observer).await
    }
}

/// The first trainer publishes the bundled programs, the auditor measures them again, the founder allows them. Then the
/// founder hands over to the members.
pub(super) async fn programs(study: &Study, cast: &mut Cast) -> Result<Vec<ProgramRecord>, NodeError> {
    let closed = study.training.disclosure.source == Source::Closed;
    let mut records = Vec::new();
    let author =
        cast.trainers.values().next().ok_or_else(|| NodeError::Message("there is no trainer".into()))?;
    for (program, loaded) in cast.loaded.all() {
        let measurement = B256::from(loaded.program().measurement());
        // Query modules are always open.
        let is_closed = closed && program.kind == ProgramKind::Training;
        let (wasm, source, audit) = if is_closed {
            author.register_closed(program, loaded.program(), &cast.world).await?;
            let (about, files) = (
                (program.name, program.kind, measurement),
                Files { wasm: program.wasm, source: program.source },
            );
            (None, None, audit_closed(&cast.auditor, about, files, &cast.world).await?)
        } else {
            let submission = author.publish(program, measurement, &cast.world).await?;
            let audit = audit(&cast.auditor, &submission, &cast.world).await?;
            (Some(submission.wasm), Some(submission.source), audit)
        };
        cast.world
            .ledger
            .send(&cast.operator.key, Contract::Programs, Programs::allowCall { measurement })
            .await?;
        records.push(ProgramRecord { name: program.name.into(), measurement, wasm, source, audit });
    }
    cast.world.ledger.hand_over(&cast.operator.key, cast.auditor.account()).await?;
    Ok(records)
}

/// What validation left.
pub(super) struct Validated {
    pub(super) records: Vec<DatasetRecord>,
    pub(super) reports: Vec<Validation>,
}

/// Each owner has its table validated and registers it.
pub(super) async fn datasets(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<Validated, NodeError> {
    let enclave = cast.runner.start_validation(cast.loaded.validation.clone(), &cast.world).await?;
    let mut validated = Validated { records: Vec::new(), reports: Vec::new() };
    for (owner, participant) in cast.owners.iter_mut().zip(&study.participants) {
        let registered = owner.register(&enclave, &cast.world).await?;
        let report = owner.report(registered.report, &cast.world)?;
        for column in &report.flagged {
            observer.note(&format!(
                "{}: column `{}`: {}",
                participant.name,
                column.column,
                column.flags.join(", ")
            ));
        }
        validated.records.push(DatasetRecord {
            id: registered.dataset,
            policy: registered.policy,
            report: registered.report,
        });
        validated.reports.push(Validation {
            participant: participant.name.clone(),
            rows: report.rows,
            quality: report.quality,
            has_duplicates: report.has_duplicates,
            flagged: report.flagged,
        });
    }
    Ok(validated)
}

/// Most rounds that the training of a study can take.
pub(super) fn rounds_at_most(study: &Study) -> u32 {
    // One enclave trains at once: before that is the only moment there is.
    if study.training.disclosure.place == PlaceOfTraining::OneEnclave {
        return 1;
    }
    let ranks = if study.table.missing == crate::study::Missing::Median { 9 } else { 0 };
    let manifest = &study.training.manifest;
    let setting = manifest.config.iter().find(|s| s.name == "rounds").map(|s| study.training.setting(s));
    // Columns are described, filled, fitted and judged, the last in two rounds.
    setting.map_or(manifest.limits.rounds, |rounds| 1 + ranks + rounds as u32 + 2)
}
