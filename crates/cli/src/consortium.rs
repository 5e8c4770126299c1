//! A study whose tables lie at several places: what one party's file says, and the accounts behind the names in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_chain::{Clock as _, SystemClock};
use histone_contracts::book::Role;
use histone_node::daemon::Proposal;
use histone_node::daemon::names::{Found, LOOK_UP, LookUp};
use histone_node::daemon::study::{OnLedger, appraisal};
use histone_node::home::{Home, HomeError, Opened, Settings};
use histone_node::plan::Times;
use histone_node::programs::Bundled;
use histone_node::service;
use histone_node::store::{Store, Wish, WishState};
use histone_node::study::{Study, StudyAs, data_root};
use histone_protocol::Address;
use histone_protocol::invitation::Invitation;

use crate::node::default_home;
use crate::progress::{STDOUT, tell};
use crate::tables::plain;

/// How long the node may take to look up names.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Accounts for the names of a study file.
#[derive(Args, Clone)]
pub struct NameArgs {
    /// The account behind a name of the study file, as its owner has told you. May be given several times; other names are looked
    /// up among the members of the network.
    #[arg(long = "account", value_name = "NAME=ACCOUNT", value_parser = named_account)]
    accounts: Vec<(String, Address)>,
    /// Take the accounts that were looked up without asking: you have compared them.
    #[arg(long)]
    yes: bool,
}

fn named_account(text: &str) -> Result<(String, Address), String> {
    let wrong = || {
        "write NAME=ACCOUNT, such as university=0x1234...; the account has 40 hexadecimal digits".to_string()
    };
    let (name, account) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), account.parse().map_err(|_| wrong())?))
}

/// Reads a study file as one of its parties has it.
pub fn load_as(path: &Path, name: &str) -> Result<StudyAs> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let root = data_root(std::env::var_os("HISTONE_DATA"), &here);
    Ok(Study::load_as(path, root.as_deref(), name)?)
}

/// A home as far as no key is needed: its node has the keys.
pub struct Site {
    home: Home,
    store: Store,
    settings: Settings,
    account: Address,
}

impl Site {
    /// Opens it.
    pub fn open(dir: &Path) -> Result<Self> {
        let home = Home::at(dir);
        let (account, settings) = (home.account()?, home.settings()?);
        let store = Store::open(&home.store_file())?;
        Ok(Self { home, store, settings, account })
    }

    /// The same of a home that is open.
    pub fn of(opened: &Opened) -> Self {
        let (home, store) = (opened.home.clone(), opened.store.clone());
        Self { home, store, settings: opened.settings.clone(), account: opened.party.account() }
    }

    /// The invitation by which it has joined its network.
    pub fn invitation(&self) -> Result<Invitation> {
        let Some(invitation) = service::invitation(&self.store)? else {
            bail!(
                "`{}` has joined no network yet; ask its founder for an invitation and run `histone node join`",
                self.settings.name
            );
        };
        Ok(invitation)
    }

    /// Whether a daemon runs on it.
    fn runs(&self) -> Result<bool> {
        match self.home.lock() {
            Err(HomeError::Running { .. }) => Ok(true),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(false),
        }
    }

    /// The command that starts its node.
    fn start(&self) -> String {
        format!("histone node run --home {}", self.home.dir().display())
    }

    /// What happens next, or what somebody has to do for it.
    pub fn next_step(&self) -> Result<String> {
        Ok(match self.runs()? {
            true => "the node does the rest".into(),
            false => format!("the rest is done when the node runs: {}", self.start()),
        })
    }
}

/// A study on the ledger of an invitation.
pub fn on_ledger<'a>(
    study: &'a Study,
    invitation: &Invitation,
    accounts: &'a BTreeMap<String, Address>,
    seconds: u32,
) -> Result<OnLedger<'a>> {
    let vendor = invitation.appraisal.simulated_vendors.first().copied();
    let Some(vendor) = vendor else { bail!("the invitation believes no vendor") };
    let round = u64::from(seconds);
    Ok(OnLedger {
        study,
        ledger: invitation.ledger,
        accounts,
        appraisal: appraisal(study, vendor),
        times: Times { round_seconds: round, opening_seconds: round },
        query_timeout: seconds,
    })
}

/// Finds the accounts of names: as they are given, else as members of the network call themselves, which a person confirms.
pub fn accounts(site: &Site, wanted: &[(&str, Role)], args: &NameArgs) -> Result<BTreeMap<String, Address>> {
    let mut known = BTreeMap::new();
    for (name, account) in &args.accounts {
        if !wanted.iter().any(|(wanted, _)| wanted == name) {
            let names: Vec<String> = wanted.iter().map(|(name, _)| format!("`{name}`")).collect();
            let needed = if names.is_empty() {
                "none is needed".into()
            } else {
                format!("needed: {}", names.join(", "))
            };
            bail!("--account names `{}`, whose account nothing here needs ({needed})", name.escape_debug());
        }
        if known.insert(name.clone(), *account).is_some_and(|before| before != *account) {
            bail!("--account gives `{}` two accounts; name one", name.escape_debug());
        }
    }
    let unknown: Vec<(&str, Role)> =
        wanted.iter().copied().filter(|(name, _)| !known.contains_key(*name)).collect();
    if unknown.is_empty() {
        return Ok(known);
    }
    let names: Vec<String> = unknown.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut found = look_up(site, names.clone())?;
    // Whoever has just been approved becomes a member in a moment.
    let (patience, mut pause) = (Instant::now() + PATIENCE, LOOK * 20);
    while let Some(name) = names.iter().find(|name| found.members.iter().all(|m| m.name != **name))
        && Instant::now() + pause < patience
    {
        if pause == LOOK * 20 {
            tell(&format!(
                "no member is called `{}` yet: waiting for up to {} s",
                name.escape_debug(),
                PATIENCE.as_secs()
            ));
        }
        thread::sleep(pause);
        pause *= 2;
        found = look_up(site, names.clone())?;
    }
    let mut lines = Vec::new();
    for (name, role) in unknown {
        let account = one(name, role, &found)?;
        lines.push(format!("  {} `{name}` is {account}", role.word()));
        known.insert(name.to_owned(), account);
    }
    confirm(&lines, args.yes)?;
    Ok(known)
}

/// The one member that is called so and has this role.
fn one(name: &str, role: Role, found: &Found) -> Result<Address> {
    let called: Vec<_> = found.members.iter().filter(|member| member.name == name).collect();
    let fitting: Vec<Address> =
        called.iter().filter(|m| m.roles & role.bit() != 0).map(|member| member.account).collect();
    let (name, role) = (name.escape_debug(), role.word());
    match (&fitting[..], called.first()) {
        ([account], _) => Ok(*account),
        ([], Some(other)) => bail!(
            "the member `{name}` ({}) is no {role}; correct the study file, or name the account that is meant with --account {name}=ACCOUNT",
            other.account
        ),
        ([], None) => {
            let unread = match found.unread.len() {
                0 => String::new(),
                n => format!(" ({n} profiles cannot be fetched now)"),
            };
            bail!(
                "no member of the network is called `{name}`{unread}; wait until it is admitted, or name its account with --account {name}=ACCOUNT"
            )
        }
        (several, _) => {
            let accounts: Vec<String> = several.iter().map(ToString::to_string).collect();
            bail!(
                "{} members call themselves `{name}` ({}); ask which of them is meant, and name its account with --account {name}=ACCOUNT",
                several.len(),
                accounts.join(", ")
            )
        }
    }
}

/// Has the node of a home look up names: it follows the ledger, and reads the profiles that it names.
fn look_up(site: &Site, names: Vec<String>) -> Result<Found> {
    if !site.runs()? {
        bail!(
            "the node of `{}` does not run, and only it can look up {}; start it with `{}`, or name the accounts with --account NAME=ACCOUNT",
            site.settings.name,
            names.join(", "),
            site.start()
        );
    }
    let store = &site.store;
    let what = serde_json::to_value(LookUp { names }).context("a wish cannot be written")?;
    let number = store.wish(LOOK_UP, &what, SystemClock.now())?;
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        match store.get_wish(number)?.map(|wish| wish.state) {
            Some(WishState::Done(found)) => {
                return serde_json::from_value(found).context("the node's answer is not understood");
            }
            Some(WishState::Failed(why)) => bail!("the node cannot look up names: {why}"),
            Some(WishState::Open) | None => thread::sleep(LOOK),
        }
    }
    store.wish_failed(number, "nobody waits for it any more", SystemClock.now())?;
    bail!(
        "the node has not looked up the names within {} s; see `histone node doctor --home {}`",
        PATIENCE.as_secs(),
        site.home.dir().display()
    )
}

/// Anybody can take any name: a person has to say that these are the accounts that are meant.
fn confirm(lines: &[String], yes: bool) -> Result<()> {
    tell("the network has for the names in the study file:");
    lines.iter().for_each(|line| tell(line));
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!(
            "anybody can take any name: compare the accounts with those that their owners tell you, by telephone for instance, and repeat the command with --account NAME=ACCOUNT for each, or with --yes"
        );
    }
    tell(
        "Anybody can take any name. Have you compared the accounts with their owners, by telephone for instance? Type yes to go on.",
    );
    let mut answer = String::new();
    // What cannot be shown can be answered, too.
    let _ = io::stderr().flush();
    io::stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => bail!("nothing was done: the accounts were not confirmed"),
    }
}

/// Which model is proposed, by which study.
#[derive(Args, Clone)]
pub struct ProposeArgs {
    /// Home of the trainer's node [default: ~/.histone].
    #[arg(long, value_name = "DIR", env = "HISTONE_HOME", hide_env_values = true, hide_default_value = true, default_value_os_t = default_home())]
    home: PathBuf,
    /// The study file (docs/study-file.md), whose main model is proposed; no table is read.
    study: PathBuf,
    /// Seconds that a round of training, its opening and a query take at the most; whoever has not answered by then is not in it.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    deadline: u32,
    /// Days for which owners who do not answer are waited for. Then a node that answers by itself begins with those who take part, if
    /// they are enough; other nodes ask whether to begin at any time.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365))]
    recruit_days: u64,
    /// After so many rounds in a row that came to no sum the node asks whether to give the model up.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    failed_rounds: u32,
    #[command(flatten)]
    names: NameArgs,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Has a trainer's node propose the model of a study.
pub fn propose(args: &ProposeArgs, out: &mut dyn Write) -> Result<bool> {
    let site = Site::open(&args.home)?;
    let own = &site.settings.name;
    if site.settings.roles & Role::Trainer.bit() == 0 {
        bail!("`{own}` takes part as no trainer; make a home with `histone node init --roles trainer`");
    }
    let invitation = site.invitation()?;
    let StudyAs { study, .. } = load_as(&args.study, own)?;
    let model = &study.model;
    if model.trainer != *own {
        bail!(
            "the trainer of `{}` is `{}` in this study, and this is the node of `{own}`",
            model.name,
            model.trainer
        );
    }
    let mut wanted = BTreeSet::from([(study.runner.as_str(), Role::Runner)]);
    wanted.extend(study.training.disclosure.auditors.iter().map(|name| (name.as_str(), Role::Auditor)));
    let wanted: Vec<(&str, Role)> = wanted.into_iter().collect();
    let mut known = accounts(&site, &wanted, &args.names)?;
    known.insert(own.clone(), site.account);
    let on_ledger = on_ledger(&study, &invitation, &known, args.deadline)?;
    let loaded = Bundled::load()?.method(&study.training.method)?;
    let mut proposal = on_ledger.proposal(model, &loaded)?;
    proposal.failed_rounds = args.failed_rounds;
    proposal.until = Some(SystemClock.now().saturating_add(args.recruit_days * 86_400));
    // The same again is the same, although time has passed.
    if let Some(before) = site.proposed(&proposal)? {
        proposal.until = before.until;
    }
    let publish = site.wish("publish", serde_json::json!({ "method": study.training.method }))?;
    let proposal = serde_json::to_value(&proposal).context("the proposal cannot be written")?;
    let propose = site.wish("propose", proposal)?;
    let (model, method) = (&model.name, &study.training.method);
    if args.json {
        let line = serde_json::json!({ "model": model, "method": method, "publish": publish.0, "propose": propose.0 });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    let verb = match (propose.1, site.proposed_as(propose.0)?) {
        (true, _) => "will be proposed".to_owned(),
        (false, None) => "was to be proposed before".to_owned(),
        (false, Some(number)) => format!(
            "was proposed before, as model {number}, and is not proposed again (another name in the study makes it another model)"
        ),
    };
    let lines = [
        format!(
            "`{}` {verb}, trained by `{method}` (wish {}): {}",
            plain(model),
            propose.0,
            plain(&model_says(&study))
        ),
        "its programs are published first where they are not yet; an auditor has to read them and the founder, or the members, to allow them".into(),
        site.next_step()?,
    ];
    lines.iter().try_for_each(|line| writeln!(out, "{line}")).context(STDOUT)?;
    Ok(true)
}

/// What owners are offered, in a line.
fn model_says(study: &Study) -> String {
    let model = &study.model;
    format!(
        "it predicts {}, pays {} to each donor at once and costs {} for an answer; at least {} of {} participants are needed",
        model.predicts,
        model.instant_payment,
        model.query_price,
        study.training.min_survivors,
        study.participants.len()
    )
}

impl Site {
    /// What was wished for before that differs from a proposal in nothing but the time.
    fn proposed(&self, proposal: &Proposal) -> Result<Option<Proposal>> {
        let same = |before: &Proposal| {
            let before = Proposal { until: proposal.until, ..before.clone() };
            serde_json::to_value(before).ok() == serde_json::to_value(proposal).ok()
        };
        let all = self.store.wishes(false)?.into_iter();
        let all = all.filter(|w| w.kind == "propose" && !matches!(w.state, WishState::Failed(_)));
        let mut all = all.filter_map(|wish| serde_json::from_value::<Proposal>(wish.what).ok());
        Ok(all.find(same))
    }

    /// The model that came of a wish to propose one.
    fn proposed_as(&self, wish: u64) -> Result<Option<u64>> {
        let wishes = self.store.wishes(false)?;
        let state = wishes.into_iter().find(|other| other.number == wish).map(|wish| wish.state);
        let Some(WishState::Done(outcome)) = state else { return Ok(None) };
        Ok(outcome.get("model").and_then(serde_json::Value::as_u64))
    }

    /// Asks the node for something, once: a wish that is there, and did not fail, is not made again. Gives its number, and whether it
    /// is new.
    pub fn wish(&self, kind: &str, what: serde_json::Value) -> Result<(u64, bool)> {
        let same = |wish: &Wish| {
            wish.kind == kind && wish.what == what && !matches!(wish.state, WishState::Failed(_))
        };
        if let Some(before) = self.store.wishes(false)?.into_iter().find(same) {
            return Ok((before.number, false));
        }
        Ok((self.store.wish(kind, &what, SystemClock.now())?, true))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_node::daemon::names::Called;

    use super::*;

    #[test]
    fn one_member_of_the_right_role_is_meant() {
        let called = |name: &str, n: u8, role: Role| Called {
            name: name.into(),
            account: Address::repeat_byte(n),
            roles: role.bit(),
        };
        let found = Found {
            members: vec![
                called("university", 1, Role::Trainer),
                // Of another role: it can stand in no list of trainers.
                called("university", 2, Role::Owner),
                called("institute", 3, Role::Trainer),
                called("institute", 4, Role::Trainer),
                called("registry", 5, Role::Auditor),
            ],
            unread: vec![Address::repeat_byte(6)],
        };
        let who = |name| one(name, Role::Trainer, &found);
        assert_eq!(who("university").unwrap(), Address::repeat_byte(1));
        let why = |name| who(name).unwrap_err().to_string();
        assert!(
            why("institute").starts_with("2 members call themselves `institute` (0x0303"),
            "{}",
            why("institute")
        );
        assert!(why("registry").starts_with(
            "the member `registry` (0x0505050505050505050505050505050505050505) is no trainer; "
        ));
        assert!(
            why("clinic").starts_with(
                "no member of the network is called `clinic` (1 profiles cannot be fetched now); "
            )
        );
    }

    #[test]
    fn accounts_are_written_with_their_names() {
        let account = "0xD1F9308C2993b85E9479dE5f574F340a007b7dB1";
        let read = named_account(&format!("university={account}")).unwrap();
        assert_eq!(read, ("university".into(), account.parse().unwrap()));
        for wrong in ["university", "university=0x12", "=", account] {
            assert!(named_account(wrong).unwrap_err().starts_with("write NAME=ACCOUNT"), "{wrong}");
        }
    }
}
