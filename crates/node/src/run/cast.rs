//! The parties of a run: a daemon each, over a network in memory, with the ledger and public storage that all of them share.
//!
//! Their memories are not in files: a run that ends early is begun anew. What they make in their directories stays there.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use histone_compliance::folder::{Folder, PartyRecord};
use histone_contracts::book::Book;
use histone_contracts::roles;
use histone_ledger::{Ledger, Settings};
use histone_network::{BlobStore, Faults, MemNet, io_error};
use histone_protocol::disclosure::Source;
use histone_protocol::keys::SigningKey;
use histone_protocol::{Address, B256};

use super::gas::Needs;
use super::place::{Node as NetworkNode, Place, private_dir};
use super::training::rounds_at_most;
use super::{Observer, Options, Stage};
use crate::daemon::study::{OnLedger, Taking, appraisal, appraisal_policy, parties};
use crate::daemon::together::{ATTEMPTS, Scene, Stand, Time, together};
use crate::daemon::{Daemon, Founding, Mailbox, Node};
use crate::error::NodeError;
use crate::home::Answers;
use crate::party::{Party, create_private_dir};
use crate::plan::Times;
use crate::programs::{Bundled, Loaded, Methods};
use crate::service::vendor;
use crate::store::{Answer, Level, Question, Store};
use crate::study::Study;
use crate::user::User;
use crate::world::World;

/// The name of the party that founds the network of a run.
pub(super) const OPERATOR: &str = "operator";

/// Everybody who takes part.
pub(super) struct Cast {
    pub(super) stage: Stage,
    pub(super) world: World,
    pub(super) loaded: Loaded,
    /// Root account of the SIMULATED vendor, whom the operator plays.
    pub(super) vendor: Address,
    /// The operator, then everybody in the order of [`parties`].
    pub(super) daemons: Vec<Daemon>,
    /// A second user, who owns nothing and tries to use others' access codes.
    pub(super) stranger: User,
    /// Tokens that were made and given out, in millionths.
    pub(super) paid_in: u64,
    /// The last note of each node that the observer was told of.
    heard: BTreeMap<String, u64>,
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

/// Makes the parties, finds or starts the chain, deploys the contracts, and lets everybody in.
pub(super) async fn gather(
    study: &Study,
    options: &Options,
    folder: Folder,
    node: Option<NetworkNode>,
    observer: &mut dyn Observer,
) -> Result<Cast, NodeError> {
    let private = private_dir(&folder)?;
    create_private_dir(&private)?;
    let party = |name: &str| Party::create(name, &private, options.entropy);
    let operator = party(OPERATOR)?;
    let place = match node {
        None => Place::embedded(&folder, options, &operator.key)?,
        Some(node) => Place::network(node, &private)?,
    };
    let taking = parties(study);
    let everybody =
        taking.iter().map(|t| Ok((party(&t.name)?, t.roles))).collect::<Result<Vec<_>, NodeError>>()?;
    let stranger = User { party: party("stranger")? };
    for (auditor, _) in everybody.iter().filter(|(_, bits)| bits & roles::AUDITOR != 0) {
        auditor.export_seal_key()?;
    }
    if let Some(purse) = place.purse() {
        let needs = Needs::of(study, rounds_at_most(study));
        let mut accounts = vec![(operator.account(), needs.operator())];
        accounts.extend(everybody.iter().map(|(party, bits)| (party.account(), needs.of_roles(*bits))));
        purse.fill(&accounts, observer).await?;
    }
    let ledger = Ledger::deploy(place.connection(), &operator.key, &Settings::default()).await?;
    if options.network.is_some() {
        let d = ledger.deployment();
        observer
            .note(&format!("contracts deployed on chain {}; their directory is {}", d.chain_id, d.directory));
    }
    let bundled = Bundled::load()?;
    let loaded = bundled.method(&study.training.method)?;
    // A method of closed source nobody has at hand but its author.
    let open = study.training.disclosure.source == Source::Open;
    let others = if open { bundled.clone() } else { bundled.without(measurement(&loaded)) };
    let vendor_key = vendor(&operator);
    let world = World {
        ledger,
        blobs: BlobStore::open(folder.blobs())?,
        appraisal: appraisal_policy(study, vendor_key.address()),
        methods: Methods::of(open.then(|| loaded.method.clone())),
    };
    let net = MemNet::with(0, Faults::default(), Arc::new(|| 0));
    let daemon = |party: Party, bits: u8| -> Result<Daemon, NodeError> {
        let mailbox = Mailbox::of(&party);
        // Whether a model is trained is decided where the run is.
        let asked = bits & roles::TRAINER != 0;
        Ok(Daemon::new(Node {
            roles: bits,
            store: Store::in_memory()?,
            world: world.clone(),
            network: net.link(mailbox.address()),
            mailbox,
            answers: if asked { Answers::Ask } else { Answers::Automatic },
            bundled: if asked { bundled.clone() } else { others.clone() },
            soon: Default::default(),
            is_founder: false,
            party,
        }))
    };
    let vendor = vendor_key.address();
    let founding = Founding { vendor: vendor_key, most_tokens: u64::MAX };
    let mut daemons = vec![daemon(operator, 0)?.founding(founding)];
    for (party, bits) in everybody {
        daemons.push(daemon(party, bits)?);
    }
    let paid_in = taking.iter().map(|t| t.tokens).sum();
    let stage = Stage { folder, place, started: Instant::now() };
    let heard = BTreeMap::new();
    let mut cast = Cast { stage, world, loaded, vendor, daemons, stranger, paid_in, heard };
    cast.join(&taking, observer).await?;
    Ok(cast)
}

/// The measurement of the program that a method trains with.
fn measurement(loaded: &Loaded) -> B256 {
    loaded.method.program().program().measurement().into()
}

/// The time of a run.
struct Passing<'a> {
    place: &'a Place,
    ledger: Ledger,
    operator: SigningKey,
    observer: &'a mut dyn Observer,
}

impl Time for Passing<'_> {
    async fn now(&self) -> Result<u64, NodeError> {
        self.place.now(&self.ledger).await
    }

    /// Where time has to be waited for, a person waits, too.
    fn attempts(&self) -> u32 {
        if self.place.clock_is_simulated() { ATTEMPTS } else { 3 }
    }

    async fn pass(&mut self, until: u64) -> Result<(), NodeError> {
        let seconds = until.saturating_sub(self.ledger.time().await?);
        self.place.wait(seconds, &self.ledger, &self.operator, self.observer).await
    }
}

/// A scene that is over when something is true.
pub(super) struct Until<F>(pub(super) F);

impl<F: FnMut(&[Daemon], &Book) -> Result<bool, NodeError>> Scene for Until<F> {
    async fn after(&mut self, daemons: &mut [Daemon], book: &Book) -> Result<Stand, NodeError> {
        Ok(if (self.0)(daemons, book)? { Stand::WhenQuiet } else { Stand::GoesOn })
    }
}

impl Cast {
    /// Lets the daemons go on until a scene is over.
    pub(super) async fn play(
        &mut self,
        scene: &mut impl Scene,
        observer: &mut dyn Observer,
    ) -> Result<(), NodeError> {
        let operator = self.operator().party.key.clone();
        let ledger = self.world.ledger.clone();
        let mut time = Passing { place: &self.stage.place, ledger, operator, observer: &mut *observer };
        let ended = together(&mut self.daemons, &mut time, scene).await;
        self.tell(observer)?;
        ended
    }

    /// Tells what nodes say that somebody should look at.
    fn tell(&mut self, observer: &mut dyn Observer) -> Result<(), NodeError> {
        for daemon in &self.daemons {
            let name = &daemon.node.party.name;
            let heard = self.heard.entry(name.clone()).or_default();
            for note in daemon.node.store.notes(*heard, usize::MAX)? {
                *heard = note.number;
                if note.level != Level::Info {
                    observer.note(&format!("{name}: {}", note.text));
                }
            }
        }
        Ok(())
    }

    /// The party that founded the network.
    pub(super) fn operator(&self) -> &Node {
        // There is always one: nothing takes it away.
        #[allow(clippy::indexing_slicing)]
        &self.daemons[0].node
    }

    /// The daemon of a party of the study.
    pub(super) fn daemon(&self, name: &str) -> Result<&Daemon, NodeError> {
        find(&self.daemons, name)
    }

    /// The time there.
    pub(super) async fn now(&self) -> Result<u64, NodeError> {
        self.stage.place.now(&self.world.ledger).await
    }

    /// Asks a party's node to do something. Gives the number of the wish.
    pub(super) async fn wish(
        &self,
        name: &str,
        kind: &str,
        what: &impl serde::Serialize,
    ) -> Result<u64, NodeError> {
        self.daemon(name)?.wish(kind, what, self.now().await?)
    }

    /// Everybody asks to be admitted, and is; committee members show that they hold their keys.
    async fn join(&mut self, taking: &[Taking], observer: &mut dyn Observer) -> Result<(), NodeError> {
        let now = self.now().await?;
        let founder = self.operator().profile()?;
        for taking in taking {
            self.daemon(&taking.name)?.join(&founder, taking.tokens, now).await?;
        }
        let members = taking.iter().filter(|t| t.roles != 0).count();
        let mut admitted = Until(|_: &[Daemon], book: &Book| {
            Ok(book.members.iter().filter(|member| member.member).count() == members)
        });
        self.play(&mut admitted, observer).await
    }

    /// The study on this ledger.
    pub(super) fn on_ledger<'a>(
        &self,
        study: &'a Study,
        accounts: &'a BTreeMap<String, Address>,
    ) -> OnLedger<'a> {
        let round_seconds = self.stage.place.round_seconds(study.participants.len());
        OnLedger {
            study,
            ledger: self.world.ledger.deployment().id(),
            accounts,
            appraisal: appraisal(study, self.vendor),
            // The committee gets as long as the donors.
            times: Times { round_seconds, opening_seconds: round_seconds },
            query_timeout: self.stage.place.query_seconds(),
        }
    }

    /// Everybody's account, by name.
    pub(super) fn accounts(&self) -> BTreeMap<String, Address> {
        self.daemons.iter().map(|d| (d.node.party.name.clone(), d.node.party.account())).collect()
    }

    /// Everybody for the run record.
    pub(super) fn parties(&self, study: &Study, book: &Book) -> Result<Vec<PartyRecord>, NodeError> {
        let party = |name: &str, role: &str| -> Result<PartyRecord, NodeError> {
            let account = self.daemon(name)?.node.party.account();
            Ok(PartyRecord {
                name: name.into(),
                role: role.into(),
                account,
                payees: payees(book, account).map(|(_, payee)| payee).collect(),
            })
        };
        let mut list = vec![party(OPERATOR, "operator")?];
        let mut add = |names: &mut dyn Iterator<Item = &str>, role| -> Result<(), NodeError> {
            for name in names {
                if list.iter().all(|p| p.name != name) {
                    list.push(party(name, role)?);
                }
            }
            Ok(())
        };
        add(&mut study.participants.iter().map(|p| p.name.as_str()), "participant")?;
        let models = std::iter::once(&study.model).chain(&study.other_models);
        add(&mut models.map(|m| m.trainer.as_str()), "trainer")?;
        add(&mut std::iter::once(study.runner.as_str()), "runner")?;
        add(&mut std::iter::once(&study.auditor).chain(&study.auditors).map(String::as_str), "auditor")?;
        add(&mut study.committee.members.iter().map(String::as_str), "committee member")?;
        add(&mut std::iter::once(study.end_user.name.as_str()), "end user")?;
        let account = self.stranger.party.account();
        list.push(PartyRecord {
            name: self.stranger.party.name.clone(),
            role: "stranger".into(),
            account,
            payees: Vec::new(),
        });
        Ok(list)
    }
}

/// The daemon of this name.
pub(super) fn find<'a>(daemons: &'a [Daemon], name: &str) -> Result<&'a Daemon, NodeError> {
    let missing = || NodeError::Message(format!("nobody in the study is called `{name}`"));
    daemons.iter().find(|d| d.node.party.name == name).ok_or_else(missing)
}

/// The accounts that are paid for an owner's donations, each with its model.
pub(super) fn payees(book: &Book, owner: Address) -> impl Iterator<Item = (u64, Address)> {
    let of = move |id: &B256| book.datasets.get(id).is_some_and(|d| d.owner == owner);
    book.models.iter().flat_map(move |model| {
        model.donors.iter().filter(move |d| of(&d.dataset)).map(|d| (model.model, d.payee))
    })
}

/// Answers a question of a node before it is asked, as the study has it.
pub(super) fn answer_before(
    node: &Node,
    key: String,
    (yes, because): (bool, &str),
    now: u64,
) -> Result<(), NodeError> {
    let question = Question {
        key,
        kind: "study".into(),
        title: "answered by the study".into(),
        text: because.into(),
        facts: serde_json::Value::Null,
        due: None,
    };
    let number = node.store.ask(&question, now)?;
    let answer = Answer { yes, because: because.into(), by: "the study".into() };
    match node.store.answer(number, &answer, now) {
        Ok(_) => Ok(()),
        Err(error) => Err(NodeError::Message(error.to_string())),
    }
}
