//! What a training fixes before its first round: a method, what it is told, and how few donors are too few.

use histone_program_sdk::config::Config;
use histone_program_sdk::wire::{Reader, Wire, WireError, Writer};

use crate::codec;

/// The plan of a training. Every state and every header follows from it and from the opened sums.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Measurement of the method.
    pub method: [u8; 32],
    /// Columns, outcome and settings.
    pub config: Config,
    /// With fewer donors in any round the training ends, at least 2. Every header repeats it.
    pub min_survivors: u16,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A field is out of range.
    #[error("the training plan is refused: {0}")]
    Field(&'static str),
    /// The bytes are not the encoding of a plan.
    #[error("the training plan cannot be read")]
    Encoding(#[source] WireError),
}

impl Plan {
    /// Checks what holds for every method. Whether the configuration suits this one is its manifest's to say.
    pub fn check(&self) -> Result<(), PlanError> {
        match self.min_survivors {
            0 | 1 => Err(PlanError::Field("a sum over fewer than 2 survivors hides nobody")),
            _ => Ok(()),
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.0.extend_from_slice(&self.method);
        w.bytes(&self.config.to_bytes());
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
