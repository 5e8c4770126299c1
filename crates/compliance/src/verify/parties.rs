//! The parties: what run.json calls them is what the ledger says that they are.

use std::collections::{BTreeMap, BTreeSet};

use histone_ledger::Contract;
use histone_ledger::contracts::{Datasets, Market, Members, roles};
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

/// Compares names, roles and further accounts with the members, the donations and the purchases.
pub(super) fn check(record: &RunRecord, operator: Address, history: &History, findings: &mut Findings) {
    let d = &record.deployment;
    let mut members: BTreeMap<Address, (u8, B256)> = BTreeMap::new();
    for s in history.events::<Members::MemberAdded>(d, Contract::Members) {
        members.insert(s.event.account, (s.event.roles, s.event.profile));
    }
    for s in history.events::<Members::MemberUpdated>(d, Contract::Members) {
        members.entry(s.event.account).and_modify(|m| m.1 = s.event.profile);
    }
    let bought = history.events::<Market::QueryBought>(d, Contract::Market);
    let users: BTreeSet<Address> = bought.iter().map(|s| s.event.user).collect();
    let owners: BTreeMap<B256, Address> = history
        .events::<Datasets::DatasetRegistered>(d, Contract::Datasets)
        .into_iter()
        .map(|s| (s.event.id, s.event.owner))
        .collect();
    let donated = history.events::<Market::Donated>(d, Contract::Market);
    for party in &record.parties {
        let PartyRecord { name, role, account, payees } = party;
        let (expected, known) = match members.get(account) {
            Some(&(held, on_ledger)) => {
                let role = MEMBERS.iter().find(|(_, bit)| *bit == held).map(|(role, _)| *role);
                (role.unwrap_or("member"), on_ledger == profile(name, role.unwrap_or_default()))
            }
            None if *account == operator => ("operator", true),
            None if users.contains(account) => ("end user", true),
            None => ("stranger", true),
        };
        findings.expect(role == expected, || {
            format!("run.json calls `{name}` ({account}) `{role}`, the ledger has it as `{expected}`")
        });
        findings.expect(known, || {
            format!("run.json calls {account} `{name}`, its profile on the ledger is another one")
        });
        let of_owner = donated.iter().filter(|s| owners.get(&s.event.datasetId) == Some(account));
        let paid: Vec<Address> = of_owner.map(|s| s.event.payee).collect();
        findings.expect(*payees == paid, || {
            format!("run.json has {payees:?} as paid for the donations of `{name}`, the ledger has {paid:?}")
        });
    }
}
