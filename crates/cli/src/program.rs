//! `histone program new|check|run`: methods without a ledger.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_enclave::manifest::{FactBits, Field};
use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining};
use histone_enclave::program::Program;
use histone_genome::table::{Limits as TableLimits, RawTable};
use histone_node::method::settings::Settings;
use histone_node::method::{author, bundled, load, load_answer, sites};
use histone_program_sdk::method::{Cell, Done};
use histone_program_sdk::wire::Wire as _;
use serde_json::{Value, json};

use crate::progress::tell;
use crate::tables::{number, plain, table};

/// `histone program new`.
#[derive(Args)]
pub struct NewArgs {
    /// Name of the method: small letters, digits and dashes.
    #[arg(long, value_name = "NAME")]
    method: String,
    /// Where its folder is made, with a workspace and the SDK when they are not there.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// `histone program check`.
#[derive(Args)]
pub struct CheckArgs {
    /// The module (.wasm), or the name of a method that comes with the product.
    module: String,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// `histone program run`.
#[derive(Args)]
pub struct RunArgs {
    /// The method: a module (.wasm), or the name of one that comes with the product.
    module: String,
    /// Tables (CSV), one for each site.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Outcome, features and settings (docs/methods.md).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The module that applies the models; found by itself for methods of the product.
    #[arg(long, value_name = "MODULE")]
    answer: Option<PathBuf>,
    /// Apply the model to the rows of this table (CSV).
    #[arg(long, value_name = "FILE")]
    ask: Option<PathBuf>,
    /// Write the model there.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs `histone program new`.
pub fn begin(args: &NewArgs, out: &mut dyn Write) -> Result<bool> {
    let made = author::begin(&args.dir, &args.method)?;
    writeln!(out, "made {} files; {}", made.len(), args.dir.join(&args.method).display())?;
    let name = &args.method;
    let file =
        format!("target/wasm32-unknown-unknown/release/histone_program_{}.wasm", name.replace('-', "_"));
    writeln!(out, "\nin {}:", args.dir.display())?;
    for (command, why) in [
        (format!("cargo test -p histone-program-{name}"), "its tests, natively"),
        (
            format!("cargo build --release --target wasm32-unknown-unknown -p histone-program-{name}"),
            "the module",
        ),
        (format!("histone program check {file}"), "what an auditor reads"),
        (
            format!("histone program run {file} --data {name}/example.csv --config {name}/example.toml"),
            "a training",
        ),
    ] {
        writeln!(out, "  {command}    # {why}")?;
    }
    Ok(true)
}

/// The bytes of a module, and of the one that answers when it is known.
fn module(named: &str) -> Result<(Vec<u8>, Option<&'static [u8]>)> {
    if let Some(method) = bundled(named) {
        return Ok((method.wasm.into(), Some(method.answer)));
    }
    let bytes = fs::read(named).with_context(|| {
        let names: Vec<&str> = histone_node::method::METHODS.iter().map(|m| m.name).collect();
        format!(
            "`{named}` is neither a file that can be read nor a method of the product ({})",
            names.join(", ")
        )
    })?;
    if !bytes.starts_with(b"\0asm") {
        bail!("`{named}` is no WebAssembly module (.wasm)");
    }
    Ok((bytes, None))
}

fn kind(program: &Program) -> String {
    format!("{:?}", program.kind()).to_lowercase()
}

/// Runs `histone program check`.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> Result<bool> {
    let (wasm, _) = module(&args.module)?;
    let program = Program::published(&wasm).with_context(|| format!("`{}` is not admitted", args.module))?;
    let limits = program.limits();
    let hex = |hash: [u8; 32]| format!("0x{}", hash.iter().map(|b| format!("{b:02x}")).collect::<String>());
    if args.json {
        let value = json!({
            "bytes": wasm.len(),
            "entries": program.entries(),
            "kind": kind(&program),
            "limits": {
                "memory_bytes": limits.memory_bytes, "fuel": limits.fuel,
                "input_bytes": limits.input_bytes, "output_bytes": limits.output_bytes,
            },
            "manifest": program.manifest(),
            "report_bits": program.manifest().map(|m| m.report_bits()),
            "fact_bits": program.manifest().map(|m| json!({
                "public_model": fact_bits(m.fact_bits(true)), "other_model": fact_bits(m.fact_bits(false)),
            })),
            "measurement": hex(program.measurement()),
            "module_sha256": hex(program.wasm_hash()),
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
        return Ok(true);
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let facts = [
        ("kind", kind(&program)),
        ("entries", program.entries().join(", ")),
        ("bytes", wasm.len().to_string()),
        ("memory", mib(limits.memory_bytes)),
        ("fuel of a call", grouped(limits.fuel)),
        ("input, or a block of it", mib(limits.input_bytes)),
        ("output", mib(limits.output_bytes)),
        ("module (SHA-256)", hex(program.wasm_hash())),
        ("measurement", hex(program.measurement())),
    ];
    writeln!(out, "{}: admitted", args.module)?;
    writeln!(out, "{}", table(&["what", "is"], facts.map(|(what, is)| vec![what.into(), is])))?;
    let Some(m) = program.manifest() else { return Ok(true) };
    writeln!(out, "\n{} ({} {})\n{}", m.title, m.name, m.version, m.says)?;
    let words = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let kinds: Vec<String> = m.features.kinds.iter().map(|k| words(json!(k))).collect();
    let outcomes: Vec<String> = m.outcome.iter().map(|k| words(json!(k))).collect();
    writeln!(
        out,
        "{} to {} features: {}; predicts: {}",
        m.features.min,
        m.features.max,
        kinds.join(", "),
        outcomes.join(", ")
    )?;
    if !m.config.is_empty() {
        writeln!(out, "\nsettings")?;
        let rows = m.config.iter().map(|s| {
            let range = match (s.min, s.max) {
                (Some(min), Some(max)) => format!("{} to {}", shown(min), shown(max)),
                _ => String::new(),
            };
            vec![s.name.clone(), words(json!(s.kind)), range, default(&json!(s.default)), s.says.clone()]
        });
        writeln!(out, "{}", table(&["setting", "type", "range", "default", "what it does"], rows))?;
    }
    for (title, fields) in
        [("what a site says of itself, in clear", &m.report), ("what a model answers", &m.answer.fields)]
    {
        writeln!(out, "\n{title}")?;
        let rows = fields.iter().map(|f| {
            let may = if f.optional { "may lack" } else { "" };
            vec![
                f.name.clone(),
                f.decimals.to_string(),
                format!("{} to {}", shown(f.min), shown(f.max)),
                may.into(),
                f.says.clone(),
            ]
        });
        writeln!(out, "{}", table(&["field", "decimals", "range", "", "what it is"], rows))?;
    }
    if !m.facts.is_empty() {
        writeln!(out, "\nwhat is said of a training with sealed sums")?;
        let rows = m.facts.iter().map(|f| {
            let whose = if f.public_model { "public" } else { "" };
            vec![f.fact.clone(), f.holds(), whose.into(), f.says.clone()]
        });
        writeln!(out, "{}", table(&["fact", "holds", "model", "what it is"], rows))?;
    }
    writeln!(out, "\nwith each report a site tells {} bits of its rows at the most", m.report_bits())?;
    for (of, public) in [("that everybody gets", true), ("that is not for everybody", false)] {
        let (fixed, feature, level) = m.fact_bits(public).whole();
        writeln!(
            out,
            "beside a model of sealed sums {of} its facts tell {fixed} bits at the most, and {feature} for each feature and {level} for each level of a category"
        )?;
    }
    writeln!(
        out,
        "models are applied by the program `{}`; at most {} rounds",
        m.answer.program, m.limits.rounds
    )?;
    Ok(true)
}

/// How much facts tell, as JSON.
fn fact_bits(bits: FactBits) -> Value {
    let (fixed, feature, level) = bits.whole();
    json!({ "fixed": fixed, "each_feature": feature, "each_level": level })
}

/// A default as people read it: a whole number without a point.
fn default(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), shown)
}

/// Thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn read(path: &Path) -> Result<RawTable> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("could not open {name}"))?;
    Ok(RawTable::read(&name, file, &TableLimits::default())?)
}

/// A number as people read it; `-` where there is none.
fn shown(v: f64) -> String {
    if v.is_nan() { "-".into() } else { number(v) }
}

/// Runs `histone program run`.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<bool> {
    let (wasm, answer) = module(&args.module)?;
    let method = load(&wasm).with_context(|| format!("`{}` cannot be run", args.module))?;
    let shown_config = args.config.display();
    let text = fs::read_to_string(&args.config).with_context(|| format!("could not read {shown_config}"))?;
    let settings = Settings::read(&text).with_context(|| format!("in {shown_config}"))?;
    let tables = args.data.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let fitted =
        settings.fit(method.manifest(), &tables).with_context(|| format!("{shown_config} does not fit"))?;
    for line in &fitted.proposed {
        tell(&format!("taken from the data: {}", plain(line)));
    }
    let encoded: Vec<Vec<Arc<[u8]>>> = tables
        .iter()
        .enumerate()
        .map(|(site, t)| sites::encode(&settings, &fitted, site, t))
        .collect::<Result<_, _>>()?;
    let done = train(&method, &fitted.config, &encoded)?;
    let reports = encoded
        .iter()
        .map(|blocks| method.report_for_owner(&done.model, blocks))
        .collect::<Result<Vec<_>, _>>()?;
    let answers = match &args.ask {
        None => Vec::new(),
        Some(path) => {
            let module = match &args.answer {
                Some(path) => fs::read(path).with_context(|| format!("could not read {}", path.display()))?,
                None => match answer {
                    Some(bytes) => bytes.into(),
                    None => bail!(
                        "name the module that applies the models with `--answer`: it is built with `--features answer`"
                    ),
                },
            };
            let answer = load_answer(&module, &method)?;
            let rows = sites::rows(&fitted, &read(path)?)?;
            rows.iter().map(|row| answer.answer_for_owner(&done.model, row)).collect::<Result<Vec<_>, _>>()?
        }
    };
    if let Some(path) = &args.out {
        fs::write(path, done.model.to_bytes())
            .with_context(|| format!("could not write {}", path.display()))?;
        tell(&format!("the model is in {}", path.display()));
    }
    if args.json {
        return as_json(&method, &done, &reports, &answers, args, out);
    }
    for fact in &done.facts {
        let cell = |cell: &Cell| match cell {
            Cell::Number { value } => shown(*value),
            Cell::Text { text } => text.clone(),
        };
        if let ([row], [_]) = (&fact.rows[..], &fact.columns[..]) {
            let value = row.first().map(cell).unwrap_or_default();
            writeln!(out, "{}: {}  ({})", plain(&fact.name), plain(&value), plain(&fact.says))?;
            continue;
        }
        writeln!(out, "\n{}: {}", plain(&fact.name), plain(&fact.says))?;
        let head: Vec<&str> = fact.columns.iter().map(String::as_str).collect();
        writeln!(out, "{}", table(&head, fact.rows.iter().map(|row| row.iter().map(cell).collect())))?;
    }
    let row_of = |fields: &[Field], values: &[Option<f64>]| -> Vec<String> {
        let shown = |(f, v): (&Field, &Option<f64>)| {
            v.map_or_else(|| "-".into(), |v| format!("{v:.*}", f.decimals as usize))
        };
        fields.iter().zip(values).map(shown).collect()
    };
    writeln!(out, "\neach site for itself")?;
    let mut head = vec!["site"];
    head.extend(method.manifest().report.iter().map(|f| f.name.as_str()));
    let rows = args.data.iter().zip(&reports).map(|(path, report)| {
        let mut row = vec![path.display().to_string()];
        row.extend(row_of(&method.manifest().report, report));
        row
    });
    writeln!(out, "{}", table(&head, rows))?;
    if !answers.is_empty() {
        writeln!(out, "\nanswers")?;
        let mut head = vec!["row"];
        head.extend(method.manifest().answer.fields.iter().map(|f| f.name.as_str()));
        let rows = answers.iter().enumerate().map(|(i, answer)| {
            let mut row = vec![(i + 1).to_string()];
            row.extend(row_of(&method.manifest().answer.fields, answer));
            row
        });
        writeln!(out, "{}", table(&head, rows))?;
    }
    Ok(true)
}

fn train(
    method: &HostedMethod,
    config: &histone_program_sdk::config::Config,
    sites: &[Vec<Arc<[u8]>>],
) -> Result<Done> {
    let mut training = LocalTraining::new(method, config)?;
    tell(&format!("{} over {} tables, without ledger and enclave", method.manifest().name, sites.len()));
    loop {
        match training.step(sites)? {
            LocalStep::Round { round, stage, numbers } => {
                tell(&format!("round {round}: {stage}, {numbers} numbers a site"));
            }
            LocalStep::Done(done) => return Ok(*done),
        }
    }
}

fn as_json(
    method: &HostedMethod,
    done: &Done,
    reports: &[Vec<Option<f64>>],
    answers: &[Vec<Option<f64>>],
    args: &RunArgs,
    out: &mut dyn Write,
) -> Result<bool> {
    let number = |v: f64| if v.is_finite() { json!(v) } else { Value::Null };
    let cell = |cell: &Cell| match cell {
        Cell::Number { value } => number(*value),
        Cell::Text { text } => json!(text),
    };
    let facts: serde_json::Map<String, Value> = done
        .facts
        .iter()
        .map(|fact| {
            let rows: Vec<Value> = fact
                .rows
                .iter()
                .map(|row| Value::Object(fact.columns.iter().cloned().zip(row.iter().map(cell)).collect()))
                .collect();
            let single = fact.columns == ["value"] && rows.len() == 1;
            let value = if single { cell(&fact.rows[0][0]) } else { Value::Array(rows) };
            (fact.name.clone(), value)
        })
        .collect();
    let named = |fields: &[Field], values: &[Option<f64>]| -> Value {
        fields
            .iter()
            .zip(values)
            .map(|(f, v)| (f.name.clone(), json!(v)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let m = method.manifest();
    let sites: Vec<Value> = args
        .data
        .iter()
        .zip(reports)
        .map(|(path, report)| json!({ "file": path.display().to_string(), "report": named(&m.report, report) }))
        .collect();
    let answers: Vec<Value> = answers.iter().map(|a| named(&m.answer.fields, a)).collect();
    let value =
        json!({ "method": m.name, "version": m.version, "facts": facts, "sites": sites, "answers": answers });
    writeln!(out, "{}", serde_json::to_string_pretty(&value)?)?;
    Ok(true)
}
