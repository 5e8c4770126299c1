//! The plan of a training from its document, for a method at hand.

use histone_federation::plan::Plan;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::Stage;
use histone_protocol::disclosure::Sums;
use histone_protocol::plan::{ColumnKind, MissingCells, PlanDocument, PlanOutcome, PlanStage};

use crate::described::{Described, manifest_hash};
use crate::method::HostedMethod;

/// What a plan's document fixes about the computation; the method must be the one that it names, take its configuration and have its
/// agenda.
pub fn plan_of(document: &PlanDocument, method: &HostedMethod) -> Result<Plan, String> {
    let config = config_of(document, &method.into())?;
    let manifest = manifest_hash(method.program().program());
    if document.manifest != manifest {
        return Err(format!("it names another manifest than `{}` has", method.manifest().name));
    }
    let agenda = method.agenda(&config).map_err(|error| error.to_string())?;
    let said = document.agenda.iter().map(|s| (s.stage.as_str(), s.numbers, s.rounds));
    if !said.eq(agenda.iter().map(|s| (s.name.as_str(), s.numbers, s.rounds))) {
        return Err(format!(
            "its agenda is not the one that `{}` has for this configuration; write the plan anew, with the stages of the method",
            method.manifest().name
        ));
    }
    made(document, config, agenda)
}

/// The same for whoever cannot read the method, which is of closed source: the agenda is what the document says. The one enclave
/// compares it with the method's before it takes any data.
pub fn plan_as_said(document: &PlanDocument, method: &Described) -> Result<Plan, String> {
    if !document.disclosure.is_closed() {
        return Err("its method is open, and not at hand".into());
    }
    let stage = |s: &PlanStage| Stage { name: s.stage.clone(), numbers: s.numbers, rounds: s.rounds };
    let agenda = document.agenda.iter().map(stage).collect();
    made(document, config_of(document, method)?, agenda)
}

fn made(document: &PlanDocument, config: Config, agenda: Vec<Stage>) -> Result<Plan, String> {
    let method = document.programs.training.0;
    let (sums, model) = (document.disclosure.sums, document.disclosure.model);
    let plan = Plan { method, config, agenda, sums, model, min_survivors: document.min_survivors };
    plan.check().map_err(|error| error.to_string())?;
    Ok(plan)
}

/// The same document with the agenda of its method, which must be at hand and take its configuration.
pub fn with_agenda(document: PlanDocument, method: &HostedMethod) -> Result<PlanDocument, String> {
    let agenda = method.agenda(&config_of(&document, &method.into())?).map_err(|error| error.to_string())?;
    let stage = |s: Stage| PlanStage { stage: s.name, numbers: s.numbers, rounds: s.rounds };
    Ok(PlanDocument { agenda: agenda.into_iter().map(stage).collect(), ..document })
}

/// What the method is told; it must be the one that the document names, and take it.
fn config_of(document: &PlanDocument, method: &Described) -> Result<Config, String> {
    let manifest = method.manifest();
    if document.programs.training != method.measurement() {
        return Err(format!(
            "it is of the method {} ({}), which is not at hand",
            document.method.escape_debug(),
            document.programs.training
        ));
    }
    if document.method != format!("{} {}", manifest.name, manifest.version) {
        return Err(format!("it calls its method `{}`", document.method.escape_debug()));
    }
    let known = |name: &String| manifest.config.iter().any(|s| s.name == *name);
    if let Some(name) = document.settings.keys().find(|name| !known(name)) {
        return Err(format!("`{}` has no setting `{}`", manifest.name, name.escape_debug()));
    }
    let value = |name: &String| {
        let value = document.settings.get(name).copied();
        value.ok_or_else(|| format!("it does not say the setting `{name}` of `{}`", manifest.name))
    };
    let config = Config {
        features: document
            .features
            .iter()
            .map(|f| Feature {
                name: f.name.clone(),
                kind: match &f.kind {
                    ColumnKind::Range([low, high]) => Kind::Number { low: *low, high: *high },
                    ColumnKind::Levels(levels) => Kind::Category { levels: levels.clone() },
                    // Ends that a float cannot hold would be beyond every table.
                    ColumnKind::Whole([low, high]) => Kind::Whole { low: *low as f64, high: *high as f64 },
                    ColumnKind::Day([low, high]) => Kind::Day { low: *low as f64, high: *high as f64 },
                    ColumnKind::Genotypes { panel, variants } => {
                        Kind::Genotypes { panel: format!("{panel:x}"), variants: *variants }
                    }
                },
                zero_is_missing: f.zero_is_missing,
            })
            .collect(),
        outcome: match &document.outcome {
            PlanOutcome::YesNo(name) => Outcome::YesNo { name: name.clone() },
            PlanOutcome::Number(name, [low, high]) => {
                Outcome::Number { name: name.clone(), low: *low, high: *high }
            }
            PlanOutcome::EventTime(time, event, longest) => {
                Outcome::EventTime { time: time.clone(), event: event.clone(), longest: *longest }
            }
        },
        missing: match document.missing {
            MissingCells::Refuse => Missing::Refuse {},
            MissingCells::Drop => Missing::Drop {},
            MissingCells::Mean => Missing::Mean {},
            MissingCells::Median => Missing::Median {},
        },
        holdout: document.holdout,
        least: Least {
            // Whoever sees a sealed sum has been appraised: the part of a site is seen by nobody.
            site: match document.disclosure.sums {
                Sums::Sealed => 0,
                Sums::PublicExact | Sums::Noised => document.least,
            },
            sum: document.least,
        },
        values: manifest.config.iter().map(|s| value(&s.name)).collect::<Result<_, _>>()?,
    };
    manifest.takes(&config)?;
    Ok(config)
}
