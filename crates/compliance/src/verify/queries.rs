//! Queries: each settled one has its question and answer, each other one has none.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Market};
use histone_protocol::consent::WhitePaper;
use histone_protocol::hash::blob_hash;
use histone_protocol::{Address, U256};

use super::Check;
use super::enclaves::{Appraised, Purpose};
use super::findings::{Findings, count};
use super::history::Seen;
use super::run::Run;

pub(super) fn check(run: &Run, enclaves: &Appraised) -> Check {
    let mut findings = Findings::new("queries");
    let mut bought = run.events::<Market::QueryBought>(Contract::Market);
    bought.retain(|s| run.covers(s.event.modelId));
    let of = |query| bought.iter().any(|s| s.event.queryId == query);
    let mut settled = run.events::<Market::QuerySettled>(Contract::Market);
    settled.retain(|s| of(s.event.queryId));
    let mut refunded = run.events::<Market::QueryRefunded>(Contract::Market);
    refunded.retain(|s| of(s.event.queryId));
    for s in &bought {
        let e = &s.event;
        let what = || format!("query {} of `{}`, bought in block {}", e.queryId, run.name(e.user), s.block);
        let model = u64::try_from(e.modelId).unwrap_or(0);
        let serving = enclaves.get(&e.enclave).filter(|x| x.purpose == Some(Purpose::Query(model)));
        findings.expect(serving.is_some_and(|x| x.lives_at(s.moment())), || {
            format!("{}: {} is no appraised query enclave of its model", what(), e.enclave)
        });
        let answered = settled.iter().find(|s| s.event.queryId == e.queryId);
        let listed = run.model(model).and_then(|m| m.queries.iter().find(|q| q.query_id == e.queryId));
        let (done, query) = match (answered, listed) {
            (Some(done), Some(query)) => (done, query),
            (Some(_), None) => {
                findings.fail(format!("{}: it was settled, but its answer is not in run.json", what()));
                continue;
            }
            (None, Some(_)) => {
                findings.fail(format!("{}: it has an answer, but was not settled", what()));
                continue;
            }
            (None, None) => continue,
        };
        findings.expect(serving.is_some_and(|x| x.lives_at(done.moment())), || {
            format!("{}: its enclave had no evidence in force when it was settled", what())
        });
        let (job, output) = (done.event.jobId, done.event.outputHash);
        findings.expect(job == query.question, || {
            format!("{}: the question is {}, settled was {job}", what(), query.question)
        });
        findings.expect(output == query.answer, || {
            format!("{}: the answer is {}, settled was {output}", what(), query.answer)
        });
        // Outside of a folder nobody has to keep what was asked, and the answer is on the ledger.
        if !run.is_whole() {
            findings.expect(blob_hash(&done.event.answer) == output, || {
                format!("{}: it was settled with another answer than its hash", what())
            });
            continue;
        }
        findings.take(run.blob(query.question), || format!("{}: the question", what()));
        if let Some(answer) = findings.take(run.blob(query.answer), || format!("{}: the answer", what())) {
            findings.expect(answer == done.event.answer, || {
                format!("{}: it was settled with another answer than the one that is kept", what())
            });
        }
    }
    let mut listed = BTreeSet::new();
    for (model, query) in run.record.models.iter().flat_map(|m| m.queries.iter().map(|q| (m.model_id, q))) {
        let id = query.query_id;
        findings.expect(listed.insert(id), || format!("query {id} is in run.json twice"));
        let here =
            |s: &&Seen<Market::QueryBought>| s.event.queryId == id && s.event.modelId == U256::from(model);
        findings.expect(bought.iter().any(|s| here(&s)), || {
            format!("query {id} in run.json was never bought of model {model}")
        });
    }
    for model in &run.record.models {
        let answers = run.signed::<WhitePaper>(model.paper).map_or(0, |(paper, _)| paper.disclosure.answers);
        let mut by_account: BTreeMap<Address, u32> = BTreeMap::new();
        let of = bought.iter().filter(|s| s.event.modelId == U256::from(model.model_id));
        for s in of.filter(|s| settled.iter().any(|done| done.event.queryId == s.event.queryId)) {
            *by_account.entry(s.event.user).or_default() += 1;
        }
        let most = by_account.iter().max_by_key(|(_, count)| **count).filter(|_| answers > 0);
        findings.expect(most.is_none_or(|(_, count)| *count <= answers), || {
            let (account, count) = most.map_or_else(Default::default, |(a, c)| (run.name(*a), *c));
            format!(
                "`{account}` got {count} answers of model {}, its white paper lets one account buy {answers}",
                model.model_id
            )
        });
    }
    let open = bought.len().saturating_sub(settled.len() + refunded.len());
    findings.check(format!(
        "{} bought: {} answered and settled, {} refunded, {open} open",
        count(bought.len(), "query", "queries"),
        settled.len(),
        refunded.len()
    ))
}
