//! What a study has its parties do up to the training: programs, data, proposals and what owners answer.

use std::collections::BTreeSet;

use histone_contracts::Book;
use histone_contracts::book::{Member, Role};
use histone_federation::plan::Plan;
use histone_protocol::B256;
use histone_protocol::consent::{DecisionRecord, Verdict, WhitePaper};
use histone_protocol::disclosure::{Place, Source};
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;

use super::Observer;
use super::cast::{Cast, OPERATOR, Until, answer_before};
use super::outcome::{Declined, Validation};
use crate::daemon::together::{Scene, Stand};
use crate::daemon::{Daemon, HAND_OVER, HandOver, Proposal, decided, donating, refused};
use crate::error::NodeError;
use crate::owner::keep_panel;
use crate::plan;
use crate::study::Study;

/// The trainer publishes the programs, the auditors measure them again, the founder allows them. Then the founder hands over to the members.
pub(super) async fn programs(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<(), NodeError> {
    let closed = study.training.disclosure.source == Source::Closed;
    let wish = serde_json::json!({ "method": study.training.method, "closed": closed });
    cast.wish(&study.model.trainer, "publish", &wish).await?;
    let measured = cast.loaded.all().map(|(_, p)| B256::from(p.program().measurement()));
    let auditors = 1 + study.auditors.len();
    let mut allowed = Until(|_: &[Daemon], book: &Book| {
        let ready = |m: &B256| book.programs.get(m).is_some_and(|p| p.usable && p.audits.len() >= auditors);
        Ok(measured.iter().all(ready))
    });
    cast.play(&mut allowed, observer).await?;
    let pauser = Some(cast.daemon(&study.auditor)?.node.party.account());
    cast.wish(OPERATOR, HAND_OVER, &HandOver { pauser, anyway: false }).await?;
    wishes_done(cast, observer).await
}

/// Each owner encrypts its table; a validation enclave looks at it; the owner registers it.
pub(super) async fn datasets(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<Vec<Validation>, NodeError> {
    let accounts = cast.accounts();
    let mut added = Vec::new();
    for participant in &study.participants {
        let (table, policy) = cast.on_ledger(study, &accounts).data(participant)?;
        let daemon = cast.daemons.iter_mut().find(|d| d.node.party.name == participant.name);
        let missing = || NodeError::Message(format!("there is no participant `{}`", participant.name));
        let daemon = daemon.ok_or_else(missing)?;
        if let Some(panel) = &study.table.panel {
            keep_panel(&daemon.node.party, panel)?;
        }
        added.push(daemon.add_data(table, policy)?);
    }
    let mut registered = Until(|daemons: &[Daemon], book: &Book| {
        for daemon in daemons {
            for dataset in &added {
                if let Some(why) = refused(&daemon.node, *dataset)? {
                    let name = &daemon.node.party.name;
                    return Err(NodeError::Message(format!("the table of `{name}` is refused: {why}")));
                }
            }
        }
        Ok(added.iter().all(|id| book.datasets.get(id).is_some()))
    });
    cast.play(&mut registered, observer).await?;
    let book = cast.world.ledger.current_book().await?;
    let mut found = Vec::new();
    for (participant, id) in study.participants.iter().zip(&added) {
        let missing = || NodeError::Message(format!("the dataset of `{}` is not there", participant.name));
        let blob = book.datasets.get(id).ok_or_else(missing)?.report_hash;
        let (report, _) = Signed::<ValidationReport>::from_bytes(&cast.world.blobs.get(blob)?)?.open()?;
        for column in &report.flagged {
            let flags = column.flags.join(", ");
            observer.note(&format!("{}: column `{}`: {flags}", participant.name, column.column));
        }
        found.push(Validation {
            participant: participant.name.clone(),
            rows: report.rows,
            quality: report.quality,
            has_duplicates: report.has_duplicates,
            flagged: report.flagged,
        });
    }
    Ok(found)
}

/// What recruiting left.
pub(super) struct Recruited {
    /// The ledger's number of the main model.
    pub(super) model_id: u64,
    /// Those of all models, the main one first.
    pub(super) models: Vec<u64>,
    pub(super) declined: Vec<Declined>,
    /// What is computed.
    pub(super) plan: Plan,
    pub(super) paper: WhitePaper,
}

/// Owners answer for a model that is not to be trained here: whoever would take part does not.
struct Recruiting<'a> {
    /// The models whose owners' consent is only asked for.
    only_asked: bool,
    before: &'a BTreeSet<u64>,
    answered: BTreeSet<u64>,
    now: u64,
}

impl Scene for Recruiting<'_> {
    async fn after(&mut self, daemons: &mut [Daemon], book: &Book) -> Result<Stand, NodeError> {
        let Some(model) = book.models.iter().find(|m| !self.before.contains(&m.model)) else {
            return Ok(Stand::GoesOn);
        };
        let id = model.model;
        if self.only_asked && self.answered.insert(id) {
            for dataset in book.datasets.iter() {
                let own = daemons.iter().find(|d| d.node.party.account() == dataset.owner);
                let Some(own) = own else { continue };
                let why = "the study asks for consent to this model and does not train it";
                answer_before(&own.node, donating(id, dataset.id), (false, why), self.now)?;
            }
        }
        // In one enclave nobody answers before it is named.
        let owners = book.members.iter().filter(|m: &&Member| m.member && m.roles.contains(&Role::Owner));
        let mut waiting = 0;
        for owner in owners {
            let own = daemons.iter().find(|d| d.node.party.account() == owner.account);
            let mut answered = false;
            for dataset in book.datasets.iter().filter(|d| d.owner == owner.account) {
                answered |= match own {
                    Some(own) => decided(&own.node, id, dataset.id)?.is_some_and(|decided| decided.done),
                    None => false,
                };
            }
            waiting += usize::from(!answered);
        }
        Ok(if waiting == 0 { Stand::WhenQuiet } else { Stand::GoesOn })
    }
}

/// Proposes every model; each owner's node answers by itself; those who agree to the main model donate to it.
pub(super) async fn recruit(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<Recruited, NodeError> {
    let accounts = cast.accounts();
    let on_ledger = cast.on_ledger(study, &accounts);
    let proposals = on_ledger.proposals(&cast.loaded)?;
    if study.training.disclosure.place == Place::EachOwner {
        observer.note(&format!("committee: {}", study.committee.numbers));
    }
    let platforms: Vec<String> = study.appraisal.platforms.iter().map(ToString::to_string).collect();
    observer.note(&format!("the white papers believe enclaves of the platform {}", platforms.join(", ")));
    study.training.disclosure.sentences().iter().for_each(|line| observer.note(line));
    let (mut models, mut declined) = (Vec::new(), Vec::new());
    for (index, (model, proposal)) in proposals.iter().enumerate() {
        let before: BTreeSet<u64> = models.iter().copied().collect();
        // Whoever is away is away for good, so that one round that fails is enough.
        let proposal = Proposal { failed_rounds: 1, ..proposal.clone() };
        cast.wish(&model.trainer, "propose", &proposal).await?;
        let now = cast.now().await?;
        let mut answers =
            Recruiting { only_asked: index > 0, before: &before, answered: BTreeSet::new(), now };
        cast.play(&mut answers, observer).await?;
        let book = cast.world.ledger.current_book().await?;
        let new = book.models.iter().find(|m| !before.contains(&m.model)).map(|m| m.model);
        let new = new.ok_or_else(|| NodeError::Message(format!("`{}` was not proposed", model.name)))?;
        models.push(new);
        if let Some(host) = book.models.get(&new).and_then(|m| m.host.as_ref()) {
            let runner = &study.runner;
            observer.note(&format!(
                "the data for `{}` goes to one enclave, {}, which {runner} runs (SIMULATED)",
                model.name, host.enclave
            ));
        }
        for participant in &study.participants {
            let Some((_, decision)) = decision(cast, &book, new, &participant.name)? else { continue };
            let (name, reasons) = (&participant.name, decision.reasons.join("; "));
            match decision.verdict {
                Verdict::Permit if index > 0 => {
                    observer.note(&format!("{name} would take part in `{}`", model.name))
                }
                Verdict::Permit => continue,
                Verdict::Review => {
                    observer.note(&format!("{name} leaves to a person `{}`: {reasons}", model.name))
                }
                _ => observer.note(&format!("{name} declines `{}`: {reasons}", model.name)),
            }
            if decision.verdict != Verdict::Permit {
                declined.push(Declined {
                    model: model.name.clone(),
                    participant: name.clone(),
                    verdict: decision.verdict,
                    reasons: decision.reasons,
                });
            }
        }
        if index > 0 {
            // Recruited for and not trained: the deposit returns.
            give_up(cast, &model.trainer, new, observer).await?;
        } else {
            let donors = book.models.get(&new).map_or(0, |m| m.donors.len());
            if donors < study.training.min_survivors {
                give_up(cast, &model.trainer, new, observer).await?;
                claim(cast, &[&model.trainer], observer).await?;
                return Err(NodeError::Message(format!(
                    "only {donors} participants agree to `{}`, it needs {}; the deposit went back to `{}`",
                    model.name, study.training.min_survivors, model.trainer
                )));
            }
        }
    }
    let (Some(&model_id), Some((_, main))) = (models.first(), proposals.into_iter().next()) else {
        return Err(NodeError::Message("the study has no model".into()));
    };
    let (plan, _) = plan::known(&main.plan, &cast.world)?;
    Ok(Recruited { model_id, models, declined, plan, paper: main.paper })
}

/// What a participant's node has decided about a model, and the blob of it.
pub(super) fn decision(
    cast: &Cast,
    book: &Book,
    model: u64,
    name: &str,
) -> Result<Option<(B256, DecisionRecord)>, NodeError> {
    let node = &cast.daemon(name)?.node;
    for dataset in book.datasets.iter().filter(|d| d.owner == node.party.account()) {
        if let Some(decided) = decided(node, model, dataset.id)? {
            let signed = Signed::<DecisionRecord>::from_bytes(&cast.world.blobs.get(decided.blob)?)?;
            return Ok(Some((decided.blob, signed.open()?.0)));
        }
    }
    Ok(None)
}

/// Has a trainer give a model up.
pub(super) async fn give_up(
    cast: &mut Cast,
    trainer: &str,
    model: u64,
    observer: &mut dyn Observer,
) -> Result<(), NodeError> {
    cast.wish(trainer, "abort", &serde_json::json!({ "model": model })).await?;
    wishes_done(cast, observer).await
}

/// Has parties claim what they are owed.
pub(super) async fn claim(
    cast: &mut Cast,
    names: &[&str],
    observer: &mut dyn Observer,
) -> Result<(), NodeError> {
    for name in names {
        cast.wish(name, "claim", &serde_json::json!({})).await?;
    }
    wishes_done(cast, observer).await
}

/// Lets everybody go on until nothing is asked of any node.
pub(super) async fn wishes_done(cast: &mut Cast, observer: &mut dyn Observer) -> Result<(), NodeError> {
    let mut done = Until(|daemons: &[Daemon], _: &Book| {
        for daemon in daemons {
            if !daemon.node.store.wishes(true)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    });
    cast.play(&mut done, observer).await
}
