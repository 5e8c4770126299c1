//! The part of a plan's public document that the state machine needs.

use histone_program_sdk::job::Missing;
use histone_protocol::plan::{MissingCells, PlanDocument};

use super::{Plan, PlanError};

impl Plan {
    /// What a plan's document fixes about the computation, checked.
    pub fn of(document: &PlanDocument) -> Result<Plan, PlanError> {
        let plan = Plan {
            columns: document.columns,
            missing: match document.missing {
                MissingCells::Refuse => Missing::Refuse,
                MissingCells::Drop => Missing::Drop,
                MissingCells::Mean => Missing::Mean,
                MissingCells::Median => Missing::Median,
            },
            zero_is_missing: document.zero_is_missing.clone(),
            holdout_every: document.holdout_every,
            ridge: document.ridge,
            max_newton_rounds: document.max_newton_rounds,
            tolerance: document.tolerance,
            bins: document.bins,
            min_survivors: document.min_survivors,
        };
        plan.check()?;
        Ok(plan)
    }
}
