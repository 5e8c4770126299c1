//! How the files of a study write their tables: said once for all of them, or for one.

use histone_genome::table::{Dialect, FormatError};
use serde::Deserialize;
use toml::Spanned;

use super::check::Checker;
use super::error::StudyError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { separator = \";\", decimal = \",\" }")]
pub(super) struct FormatFile {
    separator: Option<Spanned<String>>,
    decimal: Option<Spanned<String>>,
    thousands: Option<Spanned<String>>,
    encoding: Option<Spanned<String>>,
}

/// The dialect of a file: its own where it has one, or that of all.
pub(super) fn dialect(
    checker: &Checker<'_>,
    own: Option<&FormatFile>,
    all: Option<&FormatFile>,
) -> Result<Dialect, StudyError> {
    let Some(format) = own.or(all) else { return Ok(Dialect::default()) };
    let FormatFile { separator, decimal, thousands, encoding } = format;
    let words = [separator, decimal, thousands, encoding];
    let [a, b, c, d] = words.map(|word| word.as_ref().map(|word| word.get_ref().as_str()));
    Dialect::of_words(a, b, c, d).or_else(|error: FormatError| {
        let keys = ["separator", "decimal", "thousands", "encoding"].into_iter().zip(words);
        let at = keys.filter_map(|(key, word)| Some((key, word.as_ref()?.span())));
        let at = at.filter(|(key, _)| *key == error.key).map(|(_, span)| span).next();
        checker.refuse(&at.unwrap_or_default(), error.to_string())
    })
}
