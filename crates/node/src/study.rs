//! The study file: one TOML file that describes a whole collaboration, and the tables it names.
//!
//! Every key is explained in `docs/study-file.md`. [`Study::parse`] is the only way from text to a [`Study`], and it
//! checks everything it can before anything starts: unknown keys, names, codes, amounts, every data file, every column.
//! Each complaint names file, line and column of the study file, and for data the file, line and column of the table.
//!
//! Files are reached through [`Files`], so the same code reads a folder ([`Disk`]) and the example inside the program
//! ([`Bundled`]).
//!
//! Deliberately not here: who accepts which model (that is decided by each owner's own rules, later and elsewhere), and
//! any change of the data: missing cells stay missing, zeros that mean missing stay zeros until a program replaces them.

mod alone;
mod check;
mod consent;
mod disclosure;
mod doubts;
mod error;
mod file;
mod files;
mod format;
mod genotypes;
mod kinds;
mod left_out;
mod money;
mod outcome;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use histone_enclave::manifest::{Manifest, Setting};
use histone_enclave::reading::LEAST_ROWS;
use histone_genome::panel::Alignment;
use histone_genome::table::{Label, MissingRules, Table};
use histone_protocol::committee::Committee;
use histone_protocol::evidence::Platform;
use histone_protocol::plan::{ColumnKind, PlanOutcome};
use histone_protocol::{Address, B256};

pub use alone::StudyAs;
pub use disclosure::{PUBLIC_EXACT, StudyDisclosure};
pub use error::{Place, StudyError};
pub use files::{BREAST_CANCER, Bundled, Disk, Files, data_root};
pub use histone_access::duo::{DataUse, Takes, Term, TermKind, terms};
pub use left_out::LeftOutColumn;
pub use money::{BasisPoints, Tokens};
pub use tables::positives;

/// Most participants of a study; the survivors of a round are a bitmap of this many bits on the ledger.
pub const MAX_PARTICIPANTS: usize = 256;

/// Most cells of one table: what an enclave takes in one piece (64 MiB), with room for what goes along.
pub const MAX_CELLS: usize = 8_000_000;

/// Fewest rows of a site. Sums over sites are public: when a site leaves between two rounds, their difference tells totals
/// of that site, and totals over fewer rows than this would come too near to persons.
pub(crate) const MIN_ROWS: u32 = LEAST_ROWS as u32;

/// Oldest evidence of an enclave that counts where the study does not say, in hours: a week.
pub const DEFAULT_MAX_AGE_HOURS: u32 = 7 * 24;

/// Who audits programs where the study does not say.
const DEFAULT_AUDITOR: &str = "independent-auditor";

/// A study that passed every check, with its tables loaded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Study {
    /// Short name, `[a-z0-9-]{1,32}`.
    pub name: String,
    /// Title for people, one line.
    pub title: String,
    /// The text of the study file, as read.
    pub source: String,
    /// What is read from every table.
    pub table: TableRules,
    /// The data owners in file order, 2 to [`MAX_PARTICIPANTS`].
    pub participants: Vec<Participant>,
    /// What a person should look at in the tables that are here: it stops nothing.
    pub doubts: Vec<String>,
    /// The model that is trained.
    pub model: Model,
    /// Further models that only recruit.
    pub other_models: Vec<Model>,
    /// How training runs.
    pub training: Training,
    /// Who opens sums.
    pub committee: StudyCommittee,
    /// Which enclaves are believed.
    pub appraisal: Appraisal,
    /// Who asks, and what.
    pub end_user: EndUser,
    /// Name of the party that runs the query enclave.
    pub runner: String,
    /// Name of the party that audits programs.
    pub auditor: String,
    /// Names of further auditors, whom trainings and owners may name.
    pub auditors: Vec<String>,
}

/// What is read from every table.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TableRules {
    /// Name of the label column; of an event with a time, that of the time.
    pub label: String,
    /// What is read from it.
    pub task: Label,
    /// The outcome as the plan has it.
    pub outcome: PlanOutcome,
    /// Names of the features in the order of every [`Table`] and query of the study.
    pub features: Vec<String>,
    /// Of each feature its kind, with its levels or its least and largest plausible value: as the study says or, where it does not, as the tables
    /// have them, rounded outward. They are public, and values beyond them count as they do.
    pub kinds: Vec<ColumnKind>,
    /// Ranges that were taken from the tables, as lines of a study file.
    pub proposed: Vec<String>,
    /// The text of the panel, where a feature is of genotypes.
    pub panel: Option<String>,
    /// Columns that are no features because they are not numeric.
    pub left_out: Vec<LeftOutColumn>,
    /// The policy for missing cells. Refusing and dropping are done when a [`Study`] exists; filling in is left to the
    /// training program.
    pub missing: Missing,
    /// The same as the reader of tables understands it.
    pub rules: MissingRules,
}

/// The policy for missing cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A missing cell is an error.
    Refuse,
    /// A row with a missing cell is left out.
    Drop,
    /// A missing cell is filled with the mean of its column.
    Mean,
    /// A missing cell is filled with the median of its column.
    Median,
}

/// A data owner.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Participant {
    /// Name, unique in the study.
    pub name: String,
    /// The data file as written in the study file.
    pub data: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// Exactly one permission, then any modifiers.
    pub consent: Vec<DataUse>,
    /// Purposes allowed beyond the consent.
    pub allow: Vec<DataUse>,
    /// Trainers that meet some of the modifiers, as a person has checked.
    pub allow_trainers: Vec<AllowedTrainer>,
    /// What is refused whatever the consent says.
    pub deny: Vec<Denied>,
    /// How many versions of the dataset, as plans read it, may be answered in exact sums.
    pub versions: u32,
    /// Whether everybody may see exact sums over this dataset.
    pub allow_public_exact: bool,
    /// Names of auditors of the study who may open every sum that this dataset is in.
    pub allow_auditors: Vec<String>,
    /// Whether the data may be brought to one enclave that has that of all owners.
    pub allow_one_enclave: bool,
    /// Measurements of methods of closed source that may run on it there.
    pub allow_closed: Vec<B256>,
    /// The rows, features in the order of [`TableRules::features`].
    pub table: Table,
    /// Rows left out because of [`Missing::Drop`].
    pub dropped_rows: usize,
    /// Rows left out because no rule of the outcome names their cell, or it is missing.
    pub left_out_rows: usize,
    /// How the file of genotypes fits the panel, and how many rows have people who are not in it; where there is one and it is here.
    pub alignment: Option<(Alignment, usize)>,
}

/// Something that an owner refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// A purpose.
    Purpose(DataUse),
    /// A trainer.
    Trainer(TrainerId),
}

/// A trainer as an owner's list names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrainerId {
    /// A trainer of this study. The name is the study's, and stands for the account that the study gives it.
    Named(String),
    /// Any account of the ledger.
    Account(Address),
}

/// A trainer that meets some modifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTrainer {
    /// Which one.
    pub trainer: TrainerId,
    /// Codes of the modifiers, without what follows them.
    pub meets: Vec<&'static Term>,
}

/// Which enclaves are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appraisal {
    /// Kinds of hardware that are enough.
    pub platforms: Vec<Platform>,
    /// Oldest evidence that counts, in seconds.
    pub max_age_seconds: u64,
}

/// What a white paper says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Name, `[a-z0-9-]{1,32}`, unique in the study.
    pub name: String,
    /// What it predicts, one line.
    pub predicts: String,
    /// The purpose: a permission or an investigation; its `value` is [`disease`](Self::disease).
    pub purpose: DataUse,
    /// The disease (`MONDO:` and seven digits), required when the purpose is disease specific.
    pub disease: Option<String>,
    /// Whether the use is commercial.
    pub commercial: bool,
    /// Name of the trainer.
    pub trainer: String,
    /// Paid to each donor when training ends.
    pub instant_payment: Tokens,
    /// Paid for one query, more than zero.
    pub query_price: Tokens,
    /// How a query's price is divided.
    pub split: Split,
}

/// How the price of a query is divided; the three add up to 100 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// To all donors together.
    pub donors: BasisPoints,
    /// To the trainer.
    pub trainer: BasisPoints,
    /// To the runner of the query enclave.
    pub runner: BasisPoints,
}

/// How training runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Training {
    /// Name of the bundled method.
    pub method: String,
    /// What the method says of itself.
    pub manifest: Manifest,
    /// Its settings that the study names; the others have their defaults.
    pub settings: BTreeMap<String, f64>,
    /// Share of each table that is kept for testing, above 0 and at most 0.5; 0 for a scan.
    pub holdout: f64,
    /// A round with fewer updates fails; 2 to the number of participants, because a sum over one is no sum.
    pub min_survivors: usize,
    /// Who may see what.
    pub disclosure: StudyDisclosure,
    /// Fewest rows behind a number that is sent.
    pub least: u32,
}

impl Training {
    /// A setting of a method: what the study says, or the method's default.
    pub fn setting(&self, setting: &Setting) -> f64 {
        let said = self.settings.get(&setting.name).copied();
        // A manifest was checked, and its defaults with it.
        said.unwrap_or_else(|| setting.number(setting.default).unwrap_or(f64::NAN))
    }
}

/// Who opens sums.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StudyCommittee {
    /// Names.
    pub members: Vec<String>,
    /// How many of them open a sum and how many are asked.
    pub numbers: Committee,
}

/// Who asks for predictions. `Debug` prints the shape only, because the rows are people's data.
#[derive(Clone)]
#[non_exhaustive]
pub struct EndUser {
    /// Name.
    pub name: String,
    /// The query file as written in the study file.
    pub file: String,
    /// One `Vec` per query, features in the order of [`TableRules::features`]; `NaN` is missing.
    pub queries: Vec<Vec<f64>>,
    /// The true outcome of each query, when the file has the label column; `NaN` where no rule names it. Only compared with answers,
    /// never sent.
    pub truth: Option<Vec<f64>>,
}

impl Study {
    /// Reads and checks the study at `path`, with data files relative to it.
    ///
    /// `data_root` replaces `${HISTONE_DATA}`; see [`data_root`](fn@data_root).
    ///
    /// # Errors
    /// [`StudyError`], see [`parse`](Self::parse); [`StudyError::Unreadable`] when the file itself cannot be read.
    pub fn load(path: &Path, data_root: Option<&Path>) -> Result<Self, StudyError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| StudyError::Unreadable { file: file.clone(), source })?;
        Self::parse(&file, &text, &Disk::beside(path, data_root))
    }

    /// The study inside the program: [`BREAST_CANCER`].
    ///
    /// # Errors
    /// None in a program whose tests passed.
    pub fn bundled() -> Result<Self, StudyError> {
        Self::parse("breast-cancer/study.toml", BREAST_CANCER.study(), &BREAST_CANCER)
    }

    /// Reads and checks a study from its text. `file` is its name in error messages; the tables come from `files`.
    ///
    /// # Errors
    /// The first thing found wrong: [`StudyError::Syntax`] for text that is no study, [`StudyError::Rule`] for a study
    /// that contradicts itself, [`StudyError::NoData`] and [`StudyError::Data`] for tables.
    pub fn parse(file: &str, text: &str, files: &dyn Files) -> Result<Self, StudyError> {
        let checker = check::Checker::new(file, text);
        let parsed: file::StudyFile = toml::from_str(text).map_err(|error| checker.syntax(&error))?;
        let outline = check::outline(&checker, &parsed)?;
        tables::fill(&checker, &parsed, outline, files, None)
    }

    /// Reads the study at `path` as the party called `name` has it: only that participant's table is read, or the end user's, and for
    /// everybody else none. Whatever is otherwise taken from the tables must then stand in the file.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`StudyError::Rule`] also where nobody is called so, and where the file leaves something to the tables.
    pub fn load_as(path: &Path, data_root: Option<&Path>, name: &str) -> Result<StudyAs, StudyError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| StudyError::Unreadable { file: file.clone(), source })?;
        Self::parse_as(&file, &text, &Disk::beside(path, data_root), name)
    }

    /// As [`load_as`](Self::load_as), from the text of a study.
    ///
    /// # Errors
    /// As [`load_as`](Self::load_as).
    pub fn parse_as(file: &str, text: &str, files: &dyn Files, name: &str) -> Result<StudyAs, StudyError> {
        let checker = check::Checker::new(file, text);
        let parsed: file::StudyFile = toml::from_str(text).map_err(|error| checker.syntax(&error))?;
        let outline = check::outline(&checker, &parsed)?;
        let study = tables::fill(&checker, &parsed, outline, files, Some(name))?;
        alone::seat(&checker, &parsed, study, name)
    }

    /// Names of all parties of the study with what they are, in the order of the study file.
    #[must_use]
    pub fn parties(&self) -> Vec<(&str, &'static str)> {
        let mut parties: Vec<(&str, &'static str)> = Vec::new();
        parties.extend(self.participants.iter().map(|p| (p.name.as_str(), "participant")));
        for model in std::iter::once(&self.model).chain(&self.other_models) {
            if !parties.contains(&(model.trainer.as_str(), "trainer")) {
                parties.push((&model.trainer, "trainer"));
            }
        }
        parties.extend(self.committee.members.iter().map(|name| (name.as_str(), "committee member")));
        parties.push((&self.runner, "runner"));
        parties.push((&self.auditor, "auditor"));
        parties.extend(self.auditors.iter().map(|name| (name.as_str(), "auditor")));
        parties.push((&self.end_user.name, "end user"));
        parties
    }
}

impl fmt::Debug for EndUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndUser")
            .field("name", &self.name)
            .field("queries", &self.queries.len())
            .finish_non_exhaustive()
    }
}

/// Compares values bit by bit, so that a missing value equals a missing value.
impl PartialEq for EndUser {
    fn eq(&self, other: &Self) -> bool {
        let bits = |rows: &[Vec<f64>]| -> Vec<Vec<u64>> {
            rows.iter().map(|row| row.iter().map(|value| value.to_bits()).collect()).collect()
        };
        let truth = |user: &Self| bits(user.truth.as_slice());
        self.name == other.name
            && self.file == other.file
            && truth(self) == truth(other)
            && bits(&self.queries) == bits(&other.queries)
    }
}
