//! The plan of a training from its document, for a method at hand.

use histone_federation::plan::Plan;
use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use histone_protocol::plan::{ColumnKind, MissingCells, PlanDocument, PlanOutcome};

use crate::method::HostedMethod;

/// What a plan's document fixes about the computation; the method must be the one that it names, and take its configuration.
pub fn plan_of(document: &PlanDocument, method: &HostedMethod) -> Result<Plan, String> {
    let (manifest, measurement) = (method.manifest(), method.program().program().measurement());
    if document.programs.training.0 != measurement {
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
        values: manifest.config.iter().map(|s| value(&s.name)).collect::<Result<_, _>>()?,
    };
    manifest.takes(&config)?;
    let plan = Plan { method: measurement, config, min_survivors: document.min_survivors };
    plan.check().map_err(|error| error.to_string())?;
    Ok(plan)
}
