//! The table of all leaves: for every value in every JSON document of a run folder, on what it rests.
//!
//! [`lookup`] finds the row of a leaf, [`print`] is `docs/verify.md`. A document or a leaf without a row fails the
//! verification, so that a new field cannot slip in unchecked: whoever adds one says here how it is checked, and the test
//! that changes every leaf sees whether that is true.

mod rows;

use rows::DOCUMENTS;
pub use rows::TABLE;

/// One step from the root of a JSON document to a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into a list.
    Item(usize),
    /// An empty list or object, which has no leaf of its own.
    Empty,
}

/// On what a leaf rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// It comes out again from the ledger, the blobs or the bytes of the files.
    Recomputed,
    /// It stands under a signature by this party, and the ledger or another check fixes who and which document that is.
    Signed(&'static str),
    /// It is somebody's word, in whole or in part.
    Claimed,
}

/// Leaves of one kind of document that rest on the same.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Kind of document.
    pub document: &'static str,
    /// Paths; `[*]` stands for every entry of a list, `{*}` for every key.
    pub paths: &'static [&'static str],
    /// On what they rest.
    pub basis: Basis,
    /// What they are compared with; for a claim, what is not known.
    pub how: &'static str,
}

/// The four parts of a signed document, whatever it says.
pub const ENVELOPE: &str = "every signed document";

/// What the document of this kind is called in the table.
pub fn document_of(kind: &str) -> Option<&'static str> {
    let name = match kind {
        "run-manifest" => "manifest.json",
        "run-record" => "run.json",
        other => other,
    };
    DOCUMENTS.iter().map(|(document, _)| *document).find(|d| *d == name)
}

/// The row of a leaf.
///
/// An empty list or object has no leaves of its own; it is found by any path that leads through it.
pub fn lookup(document: &str, path: &[Step]) -> Option<&'static Row> {
    let of = TABLE.iter().filter(|row| row.document == document);
    of.into_iter().find(|row| row.paths.iter().any(|pattern| fits(pattern, path)))
}

/// Whether `path` is a path of `pattern`, or leads to it and ends with an empty list or object.
fn fits(pattern: &str, path: &[Step]) -> bool {
    let mut rest = pattern;
    for (i, step) in path.iter().enumerate() {
        rest = match step {
            Step::Item(_) => match rest.strip_prefix("[*]") {
                Some(rest) => rest,
                None => return false,
            },
            Step::Empty => {
                return i + 1 == path.len() && (rest.starts_with("[*]") || rest.starts_with("{*}"));
            }
            Step::Key(key) => match rest.strip_prefix("{*}") {
                Some(rest) => rest,
                None => {
                    let name = if i == 0 { rest } else { rest.strip_prefix('.').unwrap_or("?") };
                    let end = name.find(['.', '[', '{']).unwrap_or(name.len());
                    match name.split_at(end) {
                        (name, rest) if name == key => rest,
                        _ => return false,
                    }
                }
            },
        };
    }
    rest.is_empty()
}

/// The page `docs/verify.md`.
pub fn print() -> String {
    let mut page = String::from(
        "# What `histone verify` compares

For every value in every JSON document of a run folder: on what it rests. This page is printed by `histone verify --table`
from the table by which the program works (`crates/compliance/src/verify/table/rows.rs`); a value without a row fails the verification.
`[*]` stands for every entry of a list, `{*}` for every key.

- **recomputed**: it comes out again from the ledger, the blobs or the bytes of the files;
- **signed by X**: it stands under the signature of X, and the ledger or another check fixes that it is this document of this X;
- **claimed**: it is somebody's word, in whole or in part. `verify` prints each of these as something that it cannot say.

A test changes every value, one at a time, and signs again wherever the forger would have the key: each change is found, or its
row says claimed (`crates/node/tests/it/leaves.rs`). Other files of a folder: the chain is executed again; headers, updates, partial
sums, model, modules and sources are compared with hashes on the ledger. A file that no run leaves fails, and so does a blob that no
check opened, unless the ledger names it as an update, as the opening of a share or as a partial sum: those of donors and members who
left may lie there.
What no row can show: that lists which grow by somebody's own will, such as declined decisions, are complete.

`histone verify --model N` needs no folder: it reads the ledger (a chain, executed again, or a node, which is believed) and the public
blobs, collects from them what a run record would say of that model, and makes the same checks from `programs` to `queries` of it and
of what it rests on. Beside them: that the contracts are ours, who decided since the founder handed over, and that the market has what it
owes. There are no names of parties then, no printed result, no decisions but those that the donations in its sums name; posts that are
no partial sums, and questions that nobody kept, are left out; a training that has not ended is no failure. It looks at the contracts
that the directory names now: a model that was proposed before members replaced them is not found.

`histone verify --invitation FILE` or `--hub URL` checks a lasting network from outside, of one model or all, without being a part of it and
without the goodwill of whoever serves it. Blocks come from the hub or from `--rpc URL`, each is executed here from block 0 on, and nothing else
is asked there: a changed block, a false state or another block 0 than the invitation's is refused. Blobs come from the hub, each with the
hash that the ledger or another document names. What can be held back is said:

- **a blob**: the check that rests on it fails and names it. Evidence of a donor's enclave fails the check `blobs` even where no round names
  it: without it nobody can tell whether that donor was rightly left out. So a donor that donates with evidence which it never brings
  makes this check fail as a hub does that withholds it; from outside the two look alike.
- **newer blocks**, or another history for other people: `--head NUMBER:HASH` compares with a block that you have seen elsewhere, such as the
  head in a member's `histone status`; `--copy DIR` keeps what was executed, so that another history is refused the next time (a copy that somebody else
  has made proves nothing).
- **what was never public**: modules and sources are known to the ledger by another hash than their name; those that come with this program are
  at hand, others are given by `--module FILE`. What sites report on a model, decisions of owners who declined and questions are in letters
  between parties: *cannot say*.

`histone verify --home DIR` does the same for a member, by the copies in its home and the block that its node has executed last.
",
    );
    for (document, what) in DOCUMENTS {
        page.push_str(&format!("\n## {document}\n\n{what}\n\n| values | rest | on |\n|---|---|---|\n"));
        for row in TABLE.iter().filter(|row| row.document == *document) {
            let paths: Vec<_> = row.paths.iter().map(|path| format!("`{path}`")).collect();
            let basis = match row.basis {
                Basis::Recomputed => "recomputed".to_string(),
                Basis::Signed(by) => format!("signed by {by}"),
                Basis::Claimed => "**claimed**".to_string(),
            };
            page.push_str(&format!("| {} | {basis} | {} |\n", paths.join(", "), row.how));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_their_paths_only() {
        let key = |k: &str| Step::Key(k.into());
        for (pattern, path, fit) in [
            ("a", vec![key("a")], true),
            ("a", vec![key("b")], false),
            ("a", vec![key("a"), key("b")], false),
            ("a.b", vec![key("a"), key("b")], true),
            ("a.b", vec![key("a")], false),
            ("a[*]", vec![key("a"), Step::Item(3)], true),
            ("a[*].b", vec![key("a"), Step::Item(0), key("b")], true),
            ("a[*].b", vec![key("a"), Step::Empty], true),
            ("a.b", vec![key("a"), Step::Empty], false),
            ("a{*}.b", vec![key("a"), key("x.y/z"), key("b")], true),
            ("a{*}", vec![key("a"), key("x")], true),
            ("ab", vec![key("a"), key("b")], false),
        ] {
            assert_eq!(fits(pattern, &path), fit, "{pattern} {path:?}");
        }
    }

    #[test]
    fn every_row_is_of_a_known_document_and_no_path_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!(DOCUMENTS.iter().any(|(d, _)| *d == row.document), "{}", row.document);
            for path in row.paths {
                assert!(seen.insert((row.document, path)), "{} {path} is there twice", row.document);
            }
        }
    }
}
