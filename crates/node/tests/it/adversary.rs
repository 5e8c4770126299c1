//! What parties who break the rules get: each attack is tried for real, and the reason of its refusal is asserted.
//!
//! [`consent`]: white papers and plans. [`rounds`]: a coordinator who asks for something else, shows something else or
//! replays. [`data`]: datasets, keys and donations. [`queries`]: access codes and settlements. [`twins`]: the same rows
//! again. [`crashes`]: parties that are killed between two steps.

mod consent;
mod crashes;
mod data;
mod queries;
mod rounds;
mod twins;
