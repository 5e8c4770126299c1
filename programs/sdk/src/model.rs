//! A trained model: a head that people and other tools can read, and arrays.

use crate::config::Config;
use crate::wire;

wire! {
    /// An array of numbers with a name.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Array {
        /// Its name.
        pub name: String,
        /// The numbers.
        pub values: Vec<f64>,
    }
}

wire! {
    /// What a training ends with.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Model {
        /// Name of the method.
        pub method: String,
        /// Version of the method.
        pub version: String,
        /// The study's configuration: which columns, of which kind, in which order.
        pub config: Config,
        /// What was learnt.
        pub arrays: Vec<Array>,
    }
}

impl Model {
    /// A model without arrays.
    pub fn new(method: &str, version: &str, config: Config) -> Self {
        Self { method: method.into(), version: version.into(), config, arrays: Vec::new() }
    }

    /// The same with one more array.
    #[must_use]
    pub fn with(mut self, name: &str, values: Vec<f64>) -> Self {
        self.arrays.push(Array { name: name.into(), values });
        self
    }

    /// An array by its name; empty when there is none.
    pub fn array(&self, name: &str) -> &[f64] {
        self.arrays.iter().find(|a| a.name == name).map_or(&[], |a| &a.values)
    }
}
