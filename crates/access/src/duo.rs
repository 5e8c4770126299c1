//! The Data Use Ontology (GA4GH DUO) terms that the rules know.
//!
//! Source: EBISPOT/DUO `duo.csv` (CC BY 4.0), identifiers and shorthands; the matching rules follow the GA4GH consent
//! ontology matching algorithm ("DUO matching", version 4) as far as this module says.

/// What a term is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermKind {
    /// States for which purposes data may be used; a policy has exactly one.
    Permission,
    /// Narrows a permission or adds a duty.
    Modifier,
}

/// One term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// `DUO:` and seven digits.
    pub id: &'static str,
    /// Shorthand such as `HMB`.
    pub short: &'static str,
    /// The ontology's label.
    pub label: &'static str,
    /// Permission or modifier.
    pub kind: TermKind,
}

const fn term(id: &'static str, short: &'static str, label: &'static str, kind: TermKind) -> Term {
    Term { id, short, label, kind }
}

use TermKind::{Modifier, Permission};

/// All permissions and modifiers.
pub const TERMS: [Term; 23] = [
    term("DUO:0000004", "NRES", "no restriction", Permission),
    term("DUO:0000042", "GRU", "general research use", Permission),
    term("DUO:0000006", "HMB", "health or medical or biomedical research", Permission),
    term("DUO:0000007", "DS", "disease specific research", Permission),
    term("DUO:0000011", "POA", "population origins or ancestry research only", Permission),
    term("DUO:0000012", "RS", "research specific restrictions", Modifier),
    term("DUO:0000015", "NMDS", "no general methods research", Modifier),
    term("DUO:0000016", "GSO", "genetic studies only", Modifier),
    term("DUO:0000018", "NPUNCU", "not for profit, non commercial use only", Modifier),
    term("DUO:0000019", "PUB", "publication required", Modifier),
    term("DUO:0000020", "COL", "collaboration required", Modifier),
    term("DUO:0000021", "IRB", "ethics approval required", Modifier),
    term("DUO:0000022", "GS", "geographical restriction", Modifier),
    term("DUO:0000024", "MOR", "publication moratorium", Modifier),
    term("DUO:0000025", "TS", "time limit on use", Modifier),
    term("DUO:0000026", "US", "user specific restriction", Modifier),
    term("DUO:0000027", "PS", "project specific restriction", Modifier),
    term("DUO:0000028", "IS", "institution specific restriction", Modifier),
    term("DUO:0000029", "RTN", "return to database or resource", Modifier),
    term("DUO:0000043", "CC", "clinical care use", Modifier),
    term("DUO:0000044", "NPOA", "population origins or ancestry research prohibited", Modifier),
    term("DUO:0000045", "NPU", "not for profit organisation use only", Modifier),
    term("DUO:0000046", "NCU", "non-commercial use only", Modifier),
];

/// A term as a policy writes it: the code, and for `DS` optionally the disease: `DUO:0000007` or
/// `DUO:0000007:MONDO:0007254`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated<'a> {
    /// The term.
    pub term: &'static Term,
    /// The disease of a `DS` term.
    pub disease: Option<&'a str>,
}

/// Reads a term as written; `None` when the code is unknown or carries a disease without being `DS`.
pub fn parse(text: &str) -> Option<Stated<'_>> {
    let code_end = text.match_indices(':').nth(1).map_or(text.len(), |(i, _)| i);
    let (code, rest) = text.split_at(code_end);
    let term = TERMS.iter().find(|t| t.id == code)?;
    let disease = rest.strip_prefix(':').filter(|d| !d.is_empty());
    match (rest.is_empty(), disease, term.short) {
        (true, _, _) => Some(Stated { term, disease: None }),
        (false, Some(_), "DS") => Some(Stated { term, disease }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_terms() {
        assert_eq!(parse("DUO:0000006").map(|s| s.term.short), Some("HMB"));
        assert_eq!(parse("DUO:0000007:MONDO:0007254").and_then(|s| s.disease), Some("MONDO:0007254"));
        for bad in ["DUO:0000099", "HMB", "", "DUO:0000006:MONDO:1", "DUO:0000007:", "DUO:0000001"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
