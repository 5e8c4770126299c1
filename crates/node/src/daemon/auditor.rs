//! An auditor: measures what authors submit, and says so in public.

use std::fmt;

use histone_contracts::book::Book;
use histone_protocol::B256;

use super::mail::Body;
use super::{Done, Node, Part};
use crate::auditor::{Submission, audit};
use crate::error::NodeError;
use crate::store::Question;

#[derive(Default)]
pub(super) struct Auditor;

#[derive(Debug, Clone)]
pub(super) struct Duty {
    letter: B256,
    program: Submission,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit the program `{}` {} (letter {})",
            self.program.name.escape_debug(),
            self.program.measurement,
            self.letter
        )
    }
}

impl Part for Auditor {
    type Duty = Duty;
    const LOOK: &'static str = "see what is to be audited";

    async fn duties(&mut self, book: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        let submitted = |letter: super::mail::Read| {
            let Body::Audit { name, program, measurement, wasm, source } = letter.body else { return None };
            let program = Submission { name, kind: program, measurement, wasm, source };
            Some(Duty { letter: letter.id, program })
        };
        Ok(node.letters(book)?.into_iter().filter_map(submitted).collect())
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        let Duty { letter, program } = duty;
        let measurement = program.measurement;
        let book = node.world.ledger.current_book().await?;
        let own = node.party.account();
        let known = book.programs.get(&measurement);
        if known.is_some_and(|known| known.audits.iter().all(|audit| audit.auditor != own)) {
            let question = Question {
                // Other files under the same measurement are another question.
                key: format!("audit/{measurement:x}/{:x}/{:x}", program.wasm, program.source),
                kind: "audit".into(),
                title: format!(
                    "audit the {} program `{}`?",
                    program.kind.word(),
                    program.name.escape_debug()
                ),
                text: format!(
                    "The program {measurement} is submitted. This node fetches module and source, compares them with the ledger and measures the module again; whether the source does what it says is for you to read (blob {}). Yes signs the audit.",
                    program.source
                ),
                facts: serde_json::json!({ "measurement": measurement, "wasm": program.wasm, "source": program.source }),
                due: None,
            };
            match node.ask(&question, now)? {
                None => return Ok(Done::NotYet),
                Some(answer) if answer.yes => {
                    audit(&node.party, &program, &node.world).await?;
                }
                Some(_) => {}
            }
        }
        node.store.read(letter, now)?;
        Ok(Done::Yes)
    }
}
