//! Who may do something that the members did not decide.
//!
//! Nothing is decided by votes alone as long as anybody but the timelock administers the access manager, and that is not
//! all: whoever administered it may have given a function to another role, that role to somebody, or a contract to another
//! manager, and then have left. So every rule of the manager is looked at, the authority of each managed contract, and who
//! may make the timelock act.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Log, keccak256};
use alloy_sol_types::{SolCall, SolEvent, SolEventInterface};

use crate::{
    AccessManager, Contract, Deployment, Directory, Enclaves, Market, Members, Programs, TimelockController,
    manager_roles,
};

/// The role of the access manager that everybody has.
const EVERYBODY: u64 = u64::MAX;

/// A role in force.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// Seconds that a call waits.
    delay: u32,
    /// Unix seconds.
    since: u64,
}

/// Who may do what without a vote, folded from the events of [`Powers::CONTRACTS`].
#[derive(Debug, Clone)]
pub struct Powers {
    d: Deployment,
    /// Who holds which role of the access manager.
    holders: BTreeMap<u64, BTreeMap<Address, Held>>,
    /// Functions that not only administrators may call, and not only pausers to pause.
    functions: BTreeMap<(Address, [u8; 4]), u64>,
    /// Roles that another role than the administrators' gives and takes; and those whose announced calls it cancels.
    given_by: BTreeMap<u64, u64>,
    guarded_by: BTreeMap<u64, u64>,
    /// Seconds, where there are any.
    grant_delays: BTreeMap<u64, u32>,
    target_delays: BTreeMap<Address, u32>,
    closed: BTreeSet<Address>,
    /// The manager of each managed contract.
    authorities: BTreeMap<Address, Address>,
    /// Roles of the timelock with their holders.
    timelock: BTreeSet<(B256, Address)>,
    /// What the directory names.
    named: BTreeMap<B256, Address>,
    unknown: u64,
    exceptions: u64,
    handed_over: bool,
}

impl Default for Powers {
    fn default() -> Self {
        Self::of(&Deployment::empty(0))
    }
}

impl Powers {
    /// The contracts whose events have to be [seen](Powers::see).
    pub const CONTRACTS: [Contract; 5] =
        [Contract::Manager, Contract::Members, Contract::Market, Contract::Directory, Contract::Timelock];

    /// Nothing is known of this deployment yet.
    pub fn of(deployment: &Deployment) -> Self {
        Self {
            d: deployment.clone(),
            holders: BTreeMap::new(),
            functions: BTreeMap::new(),
            given_by: BTreeMap::new(),
            guarded_by: BTreeMap::new(),
            grant_delays: BTreeMap::new(),
            target_delays: BTreeMap::new(),
            closed: BTreeSet::new(),
            authorities: BTreeMap::new(),
            timelock: BTreeSet::new(),
            named: BTreeMap::new(),
            unknown: 0,
            exceptions: 0,
            handed_over: false,
        }
    }

    /// The same deployment, of which nothing is known.
    pub(super) fn anew(&self) -> Self {
        Self::of(&self.d)
    }

    /// Takes the next event of the chain, whichever contract it is of. `time` is that of its block in Unix seconds, when it
    /// is known.
    pub fn see(&mut self, log: &Log, time: Option<u64>) {
        let d = &self.d;
        if log.address == d.manager {
            match AccessManager::AccessManagerEvents::decode_log(log) {
                Ok(event) => self.manager(event.data),
                Err(_) => self.unknown += 1,
            }
        } else if [d.members, d.market, d.directory].contains(&log.address) {
            if log.address == d.directory
                && let Ok(event) = Directory::Named::decode_log(log)
            {
                self.named.insert(event.name, event.target);
            }
            if log.topics().first() != Some(&Members::AuthorityUpdated::SIGNATURE_HASH) {
                return;
            }
            // All three have it from the same contract of OpenZeppelin's.
            match Members::AuthorityUpdated::decode_log(log) {
                Ok(event) => {
                    self.exceptions += u64::from(event.authority != self.d.manager);
                    self.authorities.insert(log.address, event.authority);
                }
                Err(_) => self.unknown += 1,
            }
        } else if log.address == d.timelock {
            self.timelock_role(log);
        } else {
            return;
        }
        if !self.handed_over {
            // Some nodes do not date events. Without exceptions no role begins later than it is given.
            let now = time.unwrap_or(if self.exceptions == 0 { u64::MAX } else { 0 });
            let first = self.exceptional(now, false).next();
            self.handed_over = first.is_none();
        }
    }

    /// Whether there was a moment from which on the members alone decided. What is [different](Powers::others) later was
    /// decided by them, or by somebody to whom they gave the power. `now` in Unix seconds.
    pub fn handed_over(&self, now: u64) -> bool {
        self.handed_over || self.exceptional(now, true).next().is_none()
    }

    /// What not the members alone decide, in words; nothing where every decision is theirs. The pausers are not listed.
    /// `now` in Unix seconds.
    pub fn others(&self, now: u64) -> Vec<String> {
        self.exceptional(now, true).collect()
    }

    /// How many events changed something that no deployment and no hand-over changes, also when it was changed back.
    pub fn exceptions(&self) -> u64 {
        self.exceptions
    }

    fn manager(&mut self, event: AccessManager::AccessManagerEvents) {
        use AccessManager::AccessManagerEvents as E;
        /// Keeps what differs from zero.
        fn keep<K: Ord, V: Default + PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: V) {
            if value == V::default() {
                map.remove(&key);
            } else {
                map.insert(key, value);
            }
        }
        let usual = match event {
            E::RoleGranted(e) => {
                let held = Held { delay: e.delay, since: e.since.to() };
                self.holders.entry(e.roleId).or_default().insert(e.account, held);
                e.delay == 0 && [manager_roles::ADMIN, manager_roles::PAUSER].contains(&e.roleId)
            }
            E::RoleRevoked(e) => {
                if let Some(holders) = self.holders.get_mut(&e.roleId) {
                    holders.remove(&e.account);
                    if holders.is_empty() {
                        self.holders.remove(&e.roleId);
                    }
                }
                true
            }
            E::TargetFunctionRoleUpdated(e) => {
                // No managed contract but a market can be paused, and earlier markets may be.
                let pause = e.selector == Market::pauseCall::SELECTOR && e.roleId == manager_roles::PAUSER;
                let role = if pause { manager_roles::ADMIN } else { e.roleId };
                keep(&mut self.functions, (e.target, e.selector.0), role);
                pause
            }
            E::RoleAdminChanged(e) => {
                keep(&mut self.given_by, e.roleId, e.admin);
                false
            }
            E::RoleGuardianChanged(e) => {
                keep(&mut self.guarded_by, e.roleId, e.guardian);
                false
            }
            E::RoleGrantDelayChanged(e) => {
                keep(&mut self.grant_delays, e.roleId, e.delay);
                false
            }
            E::TargetAdminDelayUpdated(e) => {
                keep(&mut self.target_delays, e.target, e.delay);
                false
            }
            E::TargetClosed(e) => {
                if e.closed {
                    self.closed.insert(e.target);
                } else {
                    self.closed.remove(&e.target);
                }
                false
            }
            // A name of a role; and calls, which are refused to whoever may not make them then.
            E::RoleLabel(_)
            | E::OperationScheduled(_)
            | E::OperationExecuted(_)
            | E::OperationCanceled(_) => true,
        };
        self.exceptions += u64::from(!usual);
    }

    fn timelock_role(&mut self, log: &Log) {
        use TimelockController::TimelockControllerEvents as E;
        match E::decode_log(log).map(|event| event.data) {
            Ok(E::RoleGranted(e)) => {
                let role = (e.role, e.account);
                self.exceptions += u64::from(!self.timelock_roles().contains(&role));
                self.timelock.insert(role);
            }
            Ok(E::RoleRevoked(e)) => {
                self.exceptions += 1;
                self.timelock.remove(&(e.role, e.account));
            }
            Ok(_) => {}
            Err(_) => self.unknown += 1,
        }
    }

    /// What the constructor of the timelock gives.
    fn timelock_roles(&self) -> [(B256, Address); 4] {
        let d = &self.d;
        let [administer, propose, cancel, execute] = TIMELOCK_ROLES.map(|(name, _)| timelock_role(name));
        [(administer, d.timelock), (propose, d.governor), (cancel, d.governor), (execute, Address::ZERO)]
    }

    /// What is not as after a hand-over. Unless `complete`, contracts that the directory does not name yet do not count: they
    /// succeed others of which nothing is known here.
    fn exceptional(&self, now: u64, complete: bool) -> impl Iterator<Item = String> {
        let d = &self.d;
        let administrators = self.holders.get(&manager_roles::ADMIN);
        let timelock = administrators.and_then(|held| held.get(&d.timelock));
        let timelock = match timelock {
            None => Some(format!("the timelock {} does not administer the access manager", d.timelock)),
            Some(held) if held.since > now => Some(format!(
                "the timelock administers the access manager only from second {} on",
                held.since
            )),
            Some(held) if held.delay > 0 => {
                Some(format!("what the timelock does to the access manager waits {} s more", held.delay))
            }
            Some(_) => None,
        };
        let administrators = administrators.into_iter().flat_map(|held| held.keys());
        let administrators = administrators
            .filter(|&&account| account != d.timelock)
            .map(|account| format!("{account} administers the access manager"));
        let functions = self.functions.iter().map(|(&(target, selector), &role)| {
            format!("{} may call {}", self.role(role), self.function(target, selector))
        });
        let usual = [manager_roles::ADMIN, manager_roles::PAUSER];
        let holders = self.holders.keys().filter(move |role| !usual.contains(role));
        let holders = holders.map(|&role| format!("there is {}", self.role(role)));
        let given = self.given_by.iter();
        let given = given.map(|(role, by)| format!("{} gives and takes role {role}", self.role(*by)));
        let guarded = self.guarded_by.iter();
        let guarded = guarded.map(|(role, by)| format!("{} cancels calls of role {role}", self.role(*by)));
        let grant_delays = self.grant_delays.iter();
        let grant_delays =
            grant_delays.map(|(role, s)| format!("role {role} begins {s} s after it is given"));
        let target_delays = self.target_delays.iter();
        let target_delays =
            target_delays.map(|(target, s)| format!("new rules for {} wait {s} s", self.contract(*target)));
        let closed = self.closed.iter();
        let closed = closed.map(|target| format!("{} refuses all managed calls", self.contract(*target)));
        let managed = [d.members, d.market, d.directory].into_iter();
        let counts = move |contract: &Address| {
            complete || *contract == d.directory || self.named.values().any(|named| named == contract)
        };
        let managed =
            managed.filter(counts).filter_map(move |contract| match self.authorities.get(&contract) {
                Some(&authority) if authority == d.manager => None,
                Some(authority) => Some(format!(
                    "{} obeys {authority}, not the access manager {}",
                    self.contract(contract),
                    d.manager
                )),
                None => Some(format!("{} does not say whom it obeys", self.contract(contract))),
            });
        let expected = self.timelock_roles();
        let missing = expected.into_iter().filter(|role| !self.timelock.contains(role));
        let missing = missing.map(|(role, account)| format!("{account} may not {} the timelock", does(role)));
        let further = self.timelock.iter().filter(move |role| !expected.contains(role));
        let further = further.map(|(role, account)| format!("{account} may {} the timelock", does(*role)));
        let unknown = (self.unknown > 0).then(|| format!("{} events do not decode", self.unknown));
        timelock
            .into_iter()
            .chain(administrators)
            .chain(functions)
            .chain(holders)
            .chain(given)
            .chain(guarded)
            .chain(grant_delays)
            .chain(target_delays)
            .chain(closed)
            .chain(managed)
            .chain(missing)
            .chain(further)
            .chain(unknown)
    }

    /// A role with those who hold it.
    fn role(&self, role: u64) -> String {
        const NAMED: usize = 4;
        if role == EVERYBODY {
            return "everybody".into();
        }
        let Some(holders) = self.holders.get(&role) else {
            return format!("role {role}, which nobody holds,");
        };
        let named: Vec<_> = holders.keys().take(NAMED).map(Address::to_string).collect();
        let more = match holders.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("role {role} ({}{more})", named.join(", "))
    }

    fn contract(&self, address: Address) -> String {
        let ours = Contract::ALL.into_iter().find(|c| self.d.address(*c) == address);
        ours.map_or_else(|| address.to_string(), |c| c.to_string())
    }

    fn function(&self, target: Address, selector: [u8; 4]) -> String {
        let d = &self.d;
        let name = match target {
            t if t == d.members => Members::MembersCalls::name_by_selector(selector),
            t if t == d.programs => Programs::ProgramsCalls::name_by_selector(selector),
            t if t == d.enclaves => Enclaves::EnclavesCalls::name_by_selector(selector),
            t if t == d.market => Market::MarketCalls::name_by_selector(selector),
            t if t == d.directory => Directory::DirectoryCalls::name_by_selector(selector),
            t if t == d.manager => AccessManager::AccessManagerCalls::name_by_selector(selector),
            _ => None,
        };
        let name =
            name.map_or_else(|| format!("0x{}", alloy_primitives::hex::encode(selector)), str::to_owned);
        format!("{}.{name}", self.contract(target))
    }
}

/// OpenZeppelin's names of the timelock's roles, and what each may do to it.
const TIMELOCK_ROLES: [(&str, &str); 4] = [
    ("", "administer"),
    ("PROPOSER_ROLE", "give orders to"),
    ("CANCELLER_ROLE", "cancel orders of"),
    ("EXECUTOR_ROLE", "carry out orders of"),
];

fn timelock_role(name: &str) -> B256 {
    if name.is_empty() { B256::ZERO } else { keccak256(name) }
}

fn does(role: B256) -> &'static str {
    let known = TIMELOCK_ROLES.into_iter().find(|(name, _)| timelock_role(name) == role);
    known.map_or("play an unknown part for", |(_, does)| does)
}
