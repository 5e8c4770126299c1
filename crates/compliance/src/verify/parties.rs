//! The parties: what run.json calls them is what the ledger says that they are.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Datasets, Deployment, Market, Members, roles};
use histone_protocol::{Address, B256};

use super::findings::Findings;
use super::history::History;
use crate::folder::{PartyRecord, RunRecord, profile};

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

/// The members at the end with their roles and profiles: one may get other roles, leave, and come back.
fn members(d: &Deployment, history: &History) -> BTreeMap<Address, (u8, B256)> {
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
    let mut members = BTreeMap::new();
    for (_, account, turn) in turns {
        match turn {
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
pub(super) fn check(record: &RunRecord, operator: Address, history: &History, findings: &mut Findings) {
    let d = &record.deployment;
    let (members, profiles) = (members(d, history), profiles(d, history));
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
                let said = profile(name, role.unwrap_or_default());
                let known = profiles.get(account).is_some_and(|said_once| said_once.contains(&said));
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
}
