//! The printed result is what was recomputed, where it can be recomputed.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use histone_protocol::Address;
use serde_json::Value;

use super::Check;
use super::files::document;
use super::findings::Findings;
use super::money::Balances;
use super::rounds::Trained;
use super::run::Run;

/// Version of the result document.
const FORMAT: &str = "histone-result/1";
/// Two decimal forms of one number may differ in the last bit after reading.
const SAME: f64 = 1e-12;

pub(super) fn check(run: &Run, trained: Option<&Trained>, balances: &Balances) -> Check {
    let mut findings = Findings::new("result");
    let read = document(&run.folder.result())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()));
    if let Some(result) = findings.take(read, || "result.json".into()) {
        compare(run, trained, balances, &result, &mut findings);
    }
    findings.check("the counts, the federated area under the curve and the balances in result.json".into())
}

fn compare(
    run: &Run,
    trained: Option<&Trained>,
    balances: &Balances,
    result: &Value,
    findings: &mut Findings,
) {
    findings.expect(result["format"] == FORMAT, || {
        format!("result.json has format {}, this program reads `{FORMAT}`", result["format"])
    });
    let counted = run.counts;
    let counts = [("blocks", counted.blocks), ("transactions", counted.transactions), ("gas", counted.gas)];
    for (key, found) in counts {
        let stated = &result["chain"][key];
        findings.expect(stated.as_u64() == Some(found), || {
            format!("result.json has {stated} as chain.{key}, the ledger gives {found}")
        });
    }
    let stated = result.get("auc").and_then(|auc| auc.get("federated"));
    match (trained.map(|t| t.finished.evaluation.auc), stated) {
        (_, None) => findings.fail("result.json has no auc.federated"),
        (None, Some(_)) => findings.fail("there is no recomputed model to compare auc.federated with"),
        (Some(auc), Some(stated)) => {
            let same = match (auc, stated.as_f64()) {
                (Some(auc), Some(stated)) => (auc - stated).abs() <= SAME,
                (None, None) => stated.is_null(),
                _ => false,
            };
            findings.expect(same, || {
                format!("result.json has {stated} as auc.federated, the last sum gives {auc:?}")
            });
        }
    }
    accounts(run, balances, result, findings);
}

/// Each entry is one party with all its accounts, or the market; its tokens are the sum over the accounts.
fn accounts(run: &Run, balances: &Balances, result: &Value, findings: &mut Findings) {
    let Some(listed) = result["balances"].as_array() else {
        findings.fail("result.json has no list of balances");
        return;
    };
    let mut seen = BTreeSet::new();
    for entry in listed {
        let parsed = entry["accounts"].as_array().and_then(|list| list.iter().map(address).collect());
        let parsed: (Option<Vec<Address>>, _, _) =
            (parsed, entry["tokens_micro"].as_u64(), entry["name"].as_str());
        let (Some(accounts), Some(amount), Some(name)) = parsed else {
            findings.fail(format!("result.json has a balance without name, accounts or amount: {entry}"));
            continue;
        };
        let mut found = U256::ZERO;
        for account in accounts {
            let is_of = account == run.deployment().market
                || run
                    .record
                    .parties
                    .iter()
                    .any(|p| p.name == name && (p.account == account || p.payees.contains(&account)));
            findings.expect(is_of, || format!("result.json calls {account} `{name}`, run.json does not"));
            findings
                .expect(seen.insert(account), || format!("result.json names the account {account} twice"));
            found += balances.get(&account).copied().unwrap_or_default();
        }
        findings.expect(found == U256::from(amount), || {
            format!("result.json has {amount} as the balance of `{name}`, the ledger {found}")
        });
    }
    // Whoever has nothing may be left out.
    for (account, amount) in balances.iter().filter(|(a, amount)| !amount.is_zero() && !seen.contains(*a)) {
        findings
            .fail(format!("result.json leaves out `{}` ({account}), who has {amount}", run.name(*account)));
    }
}

fn address(value: &Value) -> Option<Address> {
    value.as_str()?.parse().ok()
}
