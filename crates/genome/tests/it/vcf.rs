//! VCF: the check against the public conformance corpus and real files, the reader against reference counts.

mod bcf;
mod check;
mod conformance;
mod reader;
mod view;
mod writer;
