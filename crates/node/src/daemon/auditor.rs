//! An auditor: measures what authors submit, and says so in public.

use std::fmt;

use histone_contracts::book::Book;
use histone_protocol::B256;
use histone_protocol::program::ProgramKind;

use super::mail::Body;
use super::{Done, Node, Part, evidence};
use crate::auditor::{ClosedFiles, Submission, audit, audit_closed};
use crate::error::NodeError;
use crate::store::{Level, Question};

#[derive(Default)]
pub(super) struct Auditor;

#[derive(Debug, Clone)]
pub(super) struct Duty {
    letter: B256,
    /// None of a letter by somebody who is not the author of what it is about.
    program: Option<Submission>,
    /// Blob of module and source, sealed to this auditor: a method of closed source is in no other.
    sealed: Option<B256>,
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Some(Submission { name, measurement, .. }) => {
                write!(
                    f,
                    "audit the program `{}` {measurement} (letter {})",
                    name.escape_debug(),
                    self.letter
                )
            }
            None => write!(f, "read the letter {}", self.letter),
        }
    }
}

impl Part for Auditor {
    type Duty = Duty;
    const LOOK: &'static str = "see what is to be audited";

    async fn duties(&mut self, book: &Book, node: &Node, _: u64) -> Result<Vec<Duty>, NodeError> {
        let submitted = |letter: super::mail::Read| match letter.body {
            // Nobody else says what a program is called, and whether it is open.
            Body::Audit { measurement, .. } | Body::AuditClosed { measurement, .. }
                if book.programs.get(&measurement).is_some_and(|p| p.author != letter.from) =>
            {
                Some(Duty { letter: letter.id, program: None, sealed: None })
            }
            Body::Audit { name, program, measurement, wasm, source } => {
                let program = Submission { name, kind: program, measurement, wasm, source };
                Some(Duty { letter: letter.id, program: Some(program), sealed: None })
            }
            Body::AuditClosed { name, measurement, sealed } => {
                let (kind, none) = (ProgramKind::Training, B256::ZERO);
                let program = Submission { name, kind, measurement, wasm: none, source: none };
                Some(Duty { letter: letter.id, program: Some(program), sealed: Some(sealed) })
            }
            _ => None,
        };
        Ok(node.letters(book)?.into_iter().filter_map(submitted).collect())
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        let book = node.world.ledger.current_book().await?;
        let own = node.party.account();
        let known = |program: &&Submission| {
            let known = book.programs.get(&program.measurement);
            known.is_some_and(|known| known.audits.iter().all(|audit| audit.auditor != own))
        };
        if let Some(program) = duty.program.as_ref().filter(known) {
            let done = match duty.sealed {
                None => open(program, node, now).await?,
                Some(sealed) => closed(program, sealed, node, now).await?,
            };
            if !done {
                return Ok(Done::NotYet);
            }
        }
        node.store.read(duty.letter, now)?;
        Ok(Done::Yes)
    }
}

/// Asks, and audits a program whose module and source everybody has; false as long as nobody has answered.
async fn open(program: &Submission, node: &Node, now: u64) -> Result<bool, NodeError> {
    let measurement = program.measurement;
    let question = Question {
        // Other files under the same measurement are another question.
        key: format!("audit/{measurement:x}/{:x}/{:x}", program.wasm, program.source),
        kind: "audit".into(),
        title: format!("audit the {} program `{}`?", program.kind.word(), program.name.escape_debug()),
        text: format!(
            "The program {measurement} is submitted. This node fetches module and source, compares them with the ledger and measures the module again; whether the source does what it says is for you to read (blob {}). Yes signs the audit.",
            program.source
        ),
        facts: serde_json::json!({ "measurement": measurement, "wasm": program.wasm, "source": program.source }),
        due: None,
    };
    let Some(answer) = node.ask(&question, now)? else { return Ok(false) };
    if answer.yes {
        audit(&node.party, program, &node.world).await?;
    }
    Ok(true)
}

/// The same for a method of closed source, which was shown to this auditor and to nobody else.
async fn closed(program: &Submission, sealed: B256, node: &Node, now: u64) -> Result<bool, NodeError> {
    let (name, measurement) = (program.name.escape_debug(), program.measurement);
    let Some(blob) = evidence::ask(sealed, node)? else {
        node.soon.ask();
        return Ok(false);
    };
    let Some(opened) = ClosedFiles::open(&node.party, measurement, &blob) else {
        let text = format!(
            "what was sent of the closed program `{name}` {measurement} is not sealed to this auditor"
        );
        node.store.note(now, Level::Warning, "audit", &text)?;
        return Ok(true);
    };
    let question = Question {
        key: format!("audit/{measurement:x}/{sealed:x}"),
        kind: "audit".into(),
        title: format!("audit the method of CLOSED source `{name}`?"),
        text: format!(
            "The method {measurement} is submitted under a duty of secrecy: its module and source were sent sealed to this node (blob {sealed}) and are shown to nobody else. This node compares them with the ledger and measures the module again; whether the source does what it says is for you to read. Yes signs the audit."
        ),
        facts: serde_json::json!({ "measurement": measurement, "sealed": sealed, "closed": true }),
        due: None,
    };
    let Some(answer) = node.ask(&question, now)? else { return Ok(false) };
    if !answer.yes {
        return Ok(true);
    }
    let about = (program.name.as_str(), program.kind, measurement);
    let audited = audit_closed(&node.party, about, opened.files(), &node.world).await;
    if audited.is_ok() {
        // Whoever has read it keeps it no longer where others read.
        node.world.blobs.forget(sealed)?;
    }
    match audited {
        // Other files than are registered: whoever has sent them can send the right ones.
        Err(error @ NodeError::Audit { .. }) => {
            node.store.note(now, Level::Warning, "audit", &error.to_string())?;
        }
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    Ok(true)
}
