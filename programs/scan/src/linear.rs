//! A number as the outcome: least squares.

mod fit;
mod site;

pub(crate) use fit::add;
pub(crate) use site::numbers;
