//! What a training fixes before its first round: a method, what it is told, and how few donors are too few.

use std::collections::BTreeSet;

use histone_program_sdk::config::Config;
use histone_program_sdk::method::Stage;
use histone_program_sdk::wire::{Reader, Wire, WireError, Writer};
use histone_protocol::disclosure::{Release, Sums};

use crate::codec;
use crate::header::{MAX_DIMENSION, is_stage};

/// The plan of a training. Every state and every header follows from it and from the opened sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Measurement of the method.
    pub method: [u8; 32],
    /// Columns, outcome and settings.
    pub config: Config,
    /// The stages in their order, as the method gives them for this configuration: how many numbers a site gives in each round, and
    /// how many rounds there are at the most.
    pub agenda: Vec<Stage>,
    /// Who sees the sums.
    pub sums: Sums,
    /// Who gets the model.
    pub model: Release,
    /// With fewer donors in any round the training ends, at least 2. Every header repeats it.
    pub min_survivors: u16,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A field is out of range.
    #[error("the training plan is refused: {0}")]
    Field(&'static str),
    /// An agenda that no training can follow.
    #[error("the agenda of the training plan is refused: {0}")]
    Agenda(String),
    /// The bytes are not the encoding of a plan.
    #[error("the training plan cannot be read")]
    Encoding(#[source] WireError),
}

/// Checks an agenda: every stage has a name of its own that a header takes, numbers of which a round can have so many, and a round.
pub fn check_agenda(agenda: &[Stage]) -> Result<(), String> {
    if agenda.is_empty() {
        return Err("it has no stage".into());
    }
    let mut names = BTreeSet::new();
    for Stage { name, numbers, rounds } in agenda {
        if !is_stage(name) {
            return Err("the name of a stage is no word".into());
        }
        if !names.insert(name) {
            return Err(format!("it has the stage `{name}` twice"));
        }
        if !(1..=MAX_DIMENSION as u64).contains(&u64::from(*numbers)) {
            return Err(format!(
                "its stage `{name}` has {numbers} numbers; 1 to {MAX_DIMENSION} are possible"
            ));
        }
        if *rounds == 0 {
            return Err(format!("its stage `{name}` has no round"));
        }
    }
    Ok(())
}

impl Plan {
    /// Whether only those see the sums who open them.
    pub fn is_sealed(&self) -> bool {
        self.sums == Sums::Sealed
    }

    /// Checks what holds for every method. Whether the configuration suits this one is its manifest's to say.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.min_survivors < 2 {
            return Err(PlanError::Field("a sum over fewer than 2 survivors hides nobody"));
        }
        check_agenda(&self.agenda).map_err(PlanError::Agenda)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.0.extend_from_slice(&self.method);
        w.bytes(&self.config.to_bytes()).bytes(&self.agenda.to_bytes());
        w.u8(self.sums.code()).u8(self.model.code());
        codec::put_u16(&mut w, self.min_survivors);
        w.0
    }

    /// Reads and checks a plan.
    pub fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
        let read = || {
            let mut r = Reader::new(bytes);
            let plan = Plan {
                method: codec::array(&mut r)?,
                config: Config::from_bytes(r.bytes()?)?,
                agenda: Wire::from_bytes(r.bytes()?)?,
                sums: Sums::from_code(r.u8()?).ok_or(WireError::Invalid("sums"))?,
                model: Release::from_code(r.u8()?).ok_or(WireError::Invalid("release of a model"))?,
                min_survivors: codec::u16(&mut r)?,
            };
            r.end()?;
            // A NaN has many forms, and the plan is part of what names a state.
            match plan.encode() == bytes {
                true => Ok(plan),
                false => Err(WireError::Invalid("configuration")),
            }
        };
        let plan = read().map_err(PlanError::Encoding)?;
        plan.check()?;
        Ok(plan)
    }
}
