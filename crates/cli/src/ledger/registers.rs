//! `histone program`, `histone enclave`, `histone dataset`.

use std::io::Write;

use anyhow::Result;
use clap::Subcommand;
use histone_contracts::Contract;
use histone_contracts::book::{Dataset, DatasetState, Enclave, EnclaveState, Kind, Program};

use super::accounts::resolve;
use super::page::Page;
use super::place::Reading;
use super::text::{pick, short, utc};

/// `histone program`.
#[derive(Subcommand)]
pub enum ProgramCommand {
    /// Make a folder for a new method, which builds (docs/methods.md).
    New(crate::program::NewArgs),
    /// Read a module as an auditor does: static check, manifest, limits, measurement.
    Check(crate::program::CheckArgs),
    /// Run a whole training over tables in files, without ledger and enclave.
    Run(crate::program::RunArgs),
    /// List the programs.
    List {
        /// Only of this kind: validation, training, query.
        #[arg(long)]
        kind: Option<Kind>,
        /// Only those that may be used now.
        #[arg(long)]
        usable: bool,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one program with its audits.
    Show {
        /// Its measurement, or the first six digits or more.
        measurement: String,
        #[command(flatten)]
        reading: Reading,
    },
}

/// `histone enclave`.
#[derive(Subcommand)]
pub enum EnclaveCommand {
    /// List the enclaves.
    List {
        /// Only in this state: live, expired, revoked, "program unusable".
        #[arg(long)]
        state: Option<EnclaveState>,
        /// Only of this operator: account, first digits, or name.
        #[arg(long)]
        operator: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one enclave.
    Show {
        /// Account of its receipt key, or the first six digits or more.
        signer: String,
        #[command(flatten)]
        reading: Reading,
    },
}

/// `histone dataset`.
#[derive(Subcommand)]
pub enum DatasetCommand {
    /// List the datasets.
    List {
        /// Only of this owner: account, first digits, or name.
        #[arg(long)]
        owner: Option<String>,
        /// Only in this state: registered, withdrawn, erased.
        #[arg(long)]
        state: Option<DatasetState>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one dataset.
    Show {
        /// Its id, or the first six digits or more.
        id: String,
        #[command(flatten)]
        reading: Reading,
    },
}

fn yes(held: bool) -> String {
    if held { "yes".into() } else { "no".into() }
}

/// Runs `histone program`.
pub async fn programs(command: ProgramCommand, out: &mut dyn Write) -> Result<bool> {
    let reading = match &command {
        ProgramCommand::New(args) => return crate::program::begin(args, out),
        ProgramCommand::Check(args) => return crate::program::check(args, out),
        ProgramCommand::Run(args) => return crate::program::run(args, out),
        ProgramCommand::List { reading, .. } | ProgramCommand::Show { reading, .. } => reading,
    };
    let opened = reading.place.open().await?;
    let book = opened.ledger.book(&[Contract::Members, Contract::Programs]).await?;
    let names = &opened.names;
    let mut page = Page::of(&opened, &book);
    match &command {
        ProgramCommand::List { kind, usable, .. } => {
            let wanted = |p: &&Program| kind.is_none_or(|k| p.kind == k) && (!usable || p.usable);
            let rows: Vec<_> = book.programs.iter().filter(wanted).collect();
            page.put("programs", &rows)?;
            let cells = rows.iter().map(|p| {
                vec![
                    short(p.measurement),
                    p.kind.to_string(),
                    names.of(p.author),
                    p.audits.len().to_string(),
                    yes(p.allowed),
                    yes(p.revoked_by.is_some()),
                    yes(p.usable),
                ]
            });
            let head = ["measurement", "kind", "author", "audits", "allowed", "revoked", "usable"];
            page.rows(&head, cells, "no such programs");
        }
        ProgramCommand::Show { measurement, .. } => {
            let rows = book.programs.iter().map(|p| (p.measurement, p));
            let p = pick("program", measurement, rows)?;
            page.put("program", p)?;
            let mut facts = vec![
                ("kind", p.kind.to_string()),
                ("author", names.full(p.author)),
                ("source hash", p.source_hash.to_string()),
                ("module hash", p.wasm_hash.to_string()),
                ("allowed by the members", yes(p.allowed)),
                ("revoked", p.revoked_by.map_or_else(|| "no".into(), |by| format!("by {}", names.full(by)))),
                ("may be used", yes(p.usable)),
            ];
            for audit in &p.audits {
                let text = format!("{}, report {}", names.full(audit.auditor), audit.report_hash);
                facts.push(("audited by", text));
            }
            page.facts(&p.measurement.to_string(), facts);
        }
        ProgramCommand::New(_) | ProgramCommand::Check(_) | ProgramCommand::Run(_) => {}
    }
    page.print(reading.json, out)?;
    Ok(true)
}

/// Runs `histone enclave`.
pub async fn enclaves(command: EnclaveCommand, out: &mut dyn Write) -> Result<bool> {
    let (EnclaveCommand::List { reading, .. } | EnclaveCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Programs, Contract::Enclaves];
    let book = opened.ledger.book(&contracts).await?;
    let names = &opened.names;
    let mut page = Page::of(&opened, &book);
    match &command {
        EnclaveCommand::List { state, operator, .. } => {
            let operator = operator.as_ref().map(|text| resolve(text, &book, names)).transpose()?;
            let wanted =
                |e: &&Enclave| state.is_none_or(|s| e.state == s) && operator.is_none_or(|o| e.operator == o);
            let rows: Vec<_> = book.enclaves.iter().filter(wanted).collect();
            page.put("enclaves", &rows)?;
            let cells = rows.iter().map(|e| {
                vec![
                    short(e.signer),
                    e.kind.to_string(),
                    short(e.measurement),
                    names.of(e.operator),
                    e.platform_word(),
                    utc(e.expires_at),
                    e.state.to_string(),
                ]
            });
            let head = ["enclave", "kind", "program", "operator", "platform", "expires", "state"];
            page.rows(&head, cells, "no such enclaves");
        }
        EnclaveCommand::Show { signer, .. } => {
            let e = pick("enclave", signer, book.enclaves.iter().map(|e| (e.signer, e)))?;
            page.put("enclave", e)?;
            let platform = if e.simulated {
                format!("{}: no hardware, protects nothing", e.platform_word())
            } else {
                e.platform_word()
            };
            let mut facts = vec![
                ("state", e.state.to_string()),
                ("number", e.number.to_string()),
                ("operator", names.full(e.operator)),
                ("program", e.measurement.to_string()),
                ("kind", e.kind.to_string()),
                ("platform", platform),
                ("evidence hash", e.evidence_hash.to_string()),
                ("seal key", e.seal_key.to_string()),
                ("expires", utc(e.expires_at)),
            ];
            if let Some(by) = e.revoked_by {
                facts.push(("revoked by", names.full(by)));
            }
            page.facts(&e.signer.to_string(), facts);
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}

/// Runs `histone dataset`.
pub async fn datasets(command: DatasetCommand, out: &mut dyn Write) -> Result<bool> {
    let (DatasetCommand::List { reading, .. } | DatasetCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Datasets, Contract::Market];
    let book = opened.ledger.book(&contracts).await?;
    let names = &opened.names;
    let mut page = Page::of(&opened, &book);
    let donated = |d: &Dataset| {
        let models: Vec<_> = d.donated_to.iter().map(u64::to_string).collect();
        if models.is_empty() { "-".into() } else { format!("model {}", models.join(", ")) }
    };
    match &command {
        DatasetCommand::List { owner, state, .. } => {
            let owner = owner.as_ref().map(|text| resolve(text, &book, names)).transpose()?;
            let wanted =
                |d: &&Dataset| state.is_none_or(|s| d.state == s) && owner.is_none_or(|o| d.owner == o);
            let rows: Vec<_> = book.datasets.iter().filter(wanted).collect();
            page.put("datasets", &rows)?;
            let cells = rows.iter().map(|d| {
                vec![
                    short(d.id),
                    names.of(d.owner),
                    d.rows.to_string(),
                    d.quality.to_string(),
                    d.version.to_string(),
                    d.state.to_string(),
                    donated(d),
                ]
            });
            let head = ["dataset", "owner", "rows", "quality", "version", "state", "donated to"];
            page.rows(&head, cells, "no such datasets");
        }
        DatasetCommand::Show { id, .. } => {
            let d = pick("dataset", id, book.datasets.iter().map(|d| (d.id, d)))?;
            page.put("dataset", d)?;
            let mut facts = vec![
                ("state", d.state.to_string()),
                ("owner", names.full(d.owner)),
                ("rows", d.rows.to_string()),
                ("quality", d.quality.to_string()),
                ("version", d.version.to_string()),
                ("commitment", d.root.to_string()),
                ("report hash", d.report_hash.to_string()),
                ("policy hash", d.policy_hash.to_string()),
                ("validated by", d.enclave.to_string()),
                ("donated to", donated(d)),
            ];
            if let Some(time) = d.erased_at {
                facts.push(("declared erased", utc(time)));
            }
            page.facts(&d.id.to_string(), facts);
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}
