//! The parties: what run.json calls them is what the ledger says that they are.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Datasets, Deployment, Market, Members, roles};
use histone_protocol::letter::Profile;
use histone_protocol::{Address, B256};

use super::findings::Findings;
use super::history::History;
use super::run::Run;
use crate::folder::PartyRecord;

/// What a member with exactly this role is called.
const MEMBERS: [(&str, u8); 5] = [
    ("participant", roles::OWNER),
    ("trainer", roles::TRAINER),
    ("runner", roles::RUNNER),
    ("auditor", roles::AUDITOR),
    ("committee member", roles::COMMITTEE),
];

/// What happened to one member.
enum Turn {
    Added(u8, B256),
    Roles(u8),
    Profile(B256),
    Removed,
}

/// What an owner could see at some moment of the second `time`: that the ledger has each of `auditors` as an auditor and as
/// nobody with an interest in data or model, or that it has not.
pub(super) fn could_be_independent(
    d: &Deployment,
    history: &History,
    auditors: &[Address],
    independent: bool,
    time: u64,
) -> bool {
    if auditors.is_empty() {
        return independent;
    }
    let first = history.order_after(time.saturating_sub(1));
    let orders = first..=history.order_after(time);
    let turns = turns(d, history);
    // Roles change at events alone, so the moments before the first event of the second and after each of it are all there are.
    let mut moments = orders.map(|order| {
        let held = roles_before(&turns, order);
        auditors.iter().all(|a| held.get(a).is_some_and(|&(held, _)| roles::audits_apart(held)))
    });
    moments.any(|found| found == independent)
}

/// The members at the end with their roles and profiles: one may get other roles, leave, and come back.
fn members(d: &Deployment, history: &History) -> BTreeMap<Address, (u8, B256)> {
    roles_before(&turns(d, history), usize::MAX)
}

/// What happened to members, oldest first, each with the position of its event.
fn turns(d: &Deployment, history: &History) -> Vec<(usize, Address, Turn)> {
    let added = history.events::<Members::MemberAdded>(d, Contract::Members).into_iter();
    let changed = history.events::<Members::RolesChanged>(d, Contract::Members).into_iter();
    let updated = history.events::<Members::MemberUpdated>(d, Contract::Members).into_iter();
    let removed = history.events::<Members::MemberRemoved>(d, Contract::Members).into_iter();
    let mut turns: Vec<(usize, Address, Turn)> = added
        .map(|s| (s.order, s.event.account, Turn::Added(s.event.roles, s.event.profile)))
        .chain(changed.map(|s| (s.order, s.event.account, Turn::Roles(s.event.roles))))
        .chain(updated.map(|s| (s.order, s.event.account, Turn::Profile(s.event.profile))))
        .chain(removed.map(|s| (s.order, s.event.account, Turn::Removed)))
        .collect();
    turns.sort_by_key(|(order, ..)| *order);
    turns
}

/// The members just before the event at `order`, with their roles and profiles.
fn roles_before(turns: &[(usize, Address, Turn)], order: usize) -> BTreeMap<Address, (u8, B256)> {
    let mut members = BTreeMap::new();
    for &(_, account, ref turn) in turns.iter().take_while(|(at, ..)| *at < order) {
        match *turn {
            Turn::Added(roles, profile) => {
                members.insert(account, (roles, profile));
            }
            Turn::Roles(roles) => {
                members.entry(account).and_modify(|m| m.0 = roles);
            }
            Turn::Profile(profile) => {
                members.entry(account).and_modify(|m| m.1 = profile);
            }
            Turn::Removed => {
                members.remove(&account);
            }
        }
    }
    members
}

/// Every profile that members have ever named, with who has.
pub(super) fn all_profiles(d: &Deployment, history: &History) -> BTreeMap<B256, BTreeSet<Address>> {
    let mut all: BTreeMap<B256, BTreeSet<Address>> = BTreeMap::new();
    for (account, named) in profiles(d, history) {
        for profile in named {
            all.entry(profile).or_default().insert(account);
        }
    }
    all
}

/// What an account has ever called itself on this ledger: by the profiles that it has named and signed.
fn names(run: &Run) -> BTreeMap<Address, BTreeSet<String>> {
    let d = &run.record.deployment;
    let said = |account: Address, blob: B256| {
        let (profile, signer) = run.signed::<Profile>(blob).ok()?;
        (signer == account && profile.ledger == d.id()).then_some(profile.name)
    };
    let named = |(account, blobs): (Address, BTreeSet<B256>)| {
        (account, blobs.into_iter().filter_map(|blob| said(account, blob)).collect())
    };
    profiles(d, &run.history).into_iter().map(named).collect()
}

/// Every profile that an account has had. A member says who it is, and may take it back at any time: what it said once is
/// enough for a name, or any member could spoil the record of a run.
fn profiles(d: &Deployment, history: &History) -> BTreeMap<Address, BTreeSet<B256>> {
    let added = history.events::<Members::MemberAdded>(d, Contract::Members).into_iter();
    let updated = history.events::<Members::MemberUpdated>(d, Contract::Members).into_iter();
    let all = added.map(|s| (s.event.account, s.event.profile));
    let all = all.chain(updated.map(|s| (s.event.account, s.event.profile)));
    let mut profiles: BTreeMap<Address, BTreeSet<B256>> = BTreeMap::new();
    for (account, profile) in all {
        profiles.entry(account).or_default().insert(profile);
    }
    profiles
}

/// Compares names, roles and further accounts with the members, the donations and the purchases.
pub(super) fn check(run: &Run, operator: Address, findings: &mut Findings) {
    let (record, history) = (&run.record, &run.history);
    let d = &record.deployment;
    let (members, names) = (members(d, history), names(run));
    let bought = history.events::<Market::QueryBought>(d, Contract::Market);
    let users: BTreeSet<Address> = bought.iter().map(|s| s.event.user).collect();
    let owners: BTreeMap<B256, Address> = history
        .events::<Datasets::DatasetRegistered>(d, Contract::Datasets)
        .into_iter()
        .map(|s| (s.event.id, s.event.owner))
        .collect();
    let donated = history.events::<Market::Donated>(d, Contract::Market);
    // Nobody stops an owner from naming an account that is somebody's already.
    let mut taken: BTreeSet<Address> = record.parties.iter().map(|party| party.account).collect();
    for party in &record.parties {
        let PartyRecord { name, role, account, payees } = party;
        let (expected, known) = match members.get(account) {
            Some(&(held, _)) => {
                let role = MEMBERS.iter().find(|(_, bit)| *bit == held).map(|(role, _)| *role);
                let known = names.get(account).is_some_and(|said_once| said_once.contains(name));
                (role.unwrap_or("member"), known)
            }
            None if *account == operator => ("operator", true),
            None if users.contains(account) => ("end user", true),
            None => ("stranger", true),
        };
        findings.expect(role == expected, || {
            format!("run.json calls `{name}` ({account}) `{role}`, the ledger has it as `{expected}`")
        });
        findings.expect(known, || {
            format!("run.json calls {account} `{name}`, which no profile of it on the ledger ever said")
        });
        let of_owner = donated.iter().filter(|s| owners.get(&s.event.datasetId) == Some(account));
        let paid: Vec<Address> =
            of_owner.map(|s| s.event.payee).filter(|payee| taken.insert(*payee)).collect();
        findings.expect(*payees == paid, || {
            format!("run.json has {payees:?} as paid for the donations of `{name}`, the ledger has {paid:?}")
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::founder::Founder;
    use super::*;

    #[tokio::test]
    async fn members_are_what_the_last_word_made_them() {
        let founder = Founder::new().await;
        let (ledger, key) = (&founder.ledger, &founder.key);
        let of = Address::repeat_byte;
        let word = B256::repeat_byte;
        let add = |account, roles| Members::addCall { account, roles, profile: word(1), sealKey: word(2) };
        let members = Contract::Members;
        for account in [of(1), of(2), of(3), key.address()] {
            ledger.send(key, members, add(account, roles::OWNER)).await.unwrap();
        }
        let update = Members::updateCall { profile: word(7), sealKey: word(2) };
        ledger.send(key, members, update).await.unwrap();
        let change = Members::setRolesCall { account: of(1), roles: roles::TRAINER };
        ledger.send(key, members, change).await.unwrap();
        for account in [of(2), of(3)] {
            ledger.send(key, members, Members::removeCall { account }).await.unwrap();
        }
        ledger.send(key, members, add(of(3), roles::AUDITOR)).await.unwrap();
        let history = History::read(&founder.chain).unwrap();
        let found = super::members(ledger.deployment(), &history);
        let expected = [
            (of(1), (roles::TRAINER, word(1))),
            (of(3), (roles::AUDITOR, word(1))),
            (key.address(), (roles::OWNER, word(7))),
        ];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[tokio::test]
    async fn auditors_are_judged_by_their_roles_at_the_time() {
        let founder = Founder::new().await;
        let (ledger, key) = (&founder.ledger, &founder.key);
        let (auditor, word) = (Address::repeat_byte(1), B256::repeat_byte(1));
        let mut times = vec![ledger.time().await.unwrap()];
        let add = Members::addCall { account: auditor, roles: roles::AUDITOR, profile: word, sealKey: word };
        founder.pass(10).await;
        ledger.send(key, Contract::Members, add).await.unwrap();
        times.push(ledger.time().await.unwrap());
        for held in [roles::AUDITOR | roles::OWNER, roles::AUDITOR | roles::COMMITTEE, roles::RUNNER] {
            let change = Members::setRolesCall { account: auditor, roles: held };
            founder.pass(10).await;
            ledger.send(key, Contract::Members, change).await.unwrap();
            times.push(ledger.time().await.unwrap());
        }
        let history = History::read(&founder.chain).unwrap();
        let could = |who: &[Address], independent, time| {
            could_be_independent(ledger.deployment(), &history, who, independent, time)
        };
        // A second in which the roles change has moments before and after.
        let seen = times.iter().map(|&t| (could(&[auditor], true, t), could(&[auditor], false, t)));
        let both = (true, true);
        assert_eq!(seen.collect::<Vec<_>>(), [(false, true), both, both, both, both]);
        let last = times[4] + 1;
        assert_eq!((could(&[auditor], true, last), could(&[auditor], false, last)), (false, true));
        assert_eq!((could(&[], true, last), could(&[], false, last)), (true, false));
        assert!(!could(&[auditor, Address::repeat_byte(9)], true, times[1] + 1));
    }
}
