//! Results as tables for people.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, Table};
use histone_node::run::{HostedSummary, QueryOutcome, RoundSummary, RunResult};
use histone_node::study::{PUBLIC_EXACT, Participant, Study, StudyAs, Tokens, positives};
use histone_protocol::disclosure::{Place, Release, Source, Sums};
use histone_protocol::plan::{ColumnKind, PlanOutcome};

/// A text of somebody else as one harmless line: a terminal would obey control characters, line breaks would fake lines,
/// and marks that turn the direction of writing would make one thing look like another.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// A table; what stands in its cells is made [`plain`].
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head);
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(|(i, text)| {
            let number = i > 0 && text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let cell = Cell::new(plain(&text));
            if number { cell.set_alignment(CellAlignment::Right) } else { cell }
        }));
    }
    table
}

/// A text between quotes, as TOML has it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            // Marks that turn the direction of writing as well: a terminal obeys them.
            letter if letter.is_control() || !plain(letter.encode_utf8(&mut [0; 4])).starts_with(letter) => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Ascending numbers, with runs as `2-12`.
fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let runs = runs.filter_map(|run| Some((run.first()?, run.last()?)));
    let shown = runs.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    shown.collect::<Vec<_>>().join(", ")
}

/// Rows that a terminal shows of the first table of facts, and of the others.
const MOST_ROWS: [usize; 2] = [40, 12];

/// A number as people read it: whole, or with six digits, without zeros at the end.
pub fn number(v: f64) -> String {
    if v == v.trunc() && v.abs() < 1e9 {
        return format!("{v}");
    }
    if (1e-4..1e7).contains(&v.abs()) {
        let digits = (5 - v.abs().log10().floor() as i32).clamp(0, 9) as usize;
        let text = format!("{v:.digits$}");
        // Zeros before the point belong to the number.
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    format!("{v:.5e}")
}

fn cell_text(cell: &serde_json::Value) -> String {
    match (cell.as_f64(), cell.as_str()) {
        (Some(v), _) => number(v),
        (None, Some(text)) => text.to_owned(),
        (None, None) => "-".into(),
    }
}

/// The rounds of a training in enclaves of each participant's.
fn rounds(rounds: &[RoundSummary], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nRounds (updates encrypted, only their sum was opened)")?;
    let rows = rounds.iter().map(|x| {
        vec![
            x.round.to_string(),
            x.stage.clone(),
            x.survivors.to_string(),
            x.numbers.to_string(),
            x.update_bytes.to_string(),
            x.partial_bytes.to_string(),
            format!("{:.0}", x.milliseconds),
        ]
    });
    writeln!(
        out,
        "{}",
        table(&["round", "stage", "updates", "numbers", "update bytes", "committee bytes", "ms"], rows)
    )
}

/// A training in one enclave.
fn in_one_enclave(hosted: &HostedSummary, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "\nOne enclave {} (SIMULATED), run by {}, had the data of {}",
        hosted.enclave,
        hosted.runner,
        hosted.participants.join(", ")
    )?;
    writeln!(
        out,
        "  it says that it has destroyed {} datasets; nobody else can compute this model again",
        hosted.destroyed
    )
}

/// What a run came to.
pub fn result(r: &RunResult, dir: &Path, on_network: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{} ({})", r.title, r.study)?;
    writeln!(
        out,
        "machines SIMULATED, clock {}{}",
        if r.clock == "network" { "of the network" } else { r.clock },
        if r.seeded { ", seeded: its secrets are not secret" } else { "" }
    )?;
    match r.disclosure.sums {
        Sums::Sealed if r.hosted.is_some() => {
            let closed = match r.disclosure.source {
                Source::Closed => {
                    "; method CLOSED: it says nothing, and nobody can read what its model carries"
                }
                Source::Open => "",
            };
            writeln!(out, "one enclave: all data was brought to it{closed}")?;
        }
        Sums::PublicExact => writeln!(out, "{PUBLIC_EXACT}")?,
        Sums::Sealed | Sums::Noised => {
            writeln!(out, "sums sealed: the attested enclaves of each round opened them")?
        }
    }
    writeln!(
        out,
        "{}",
        match r.disclosure.model {
            Release::Public => "model public",
            Release::Participants =>
                "model for participants: `model-1.bin` in the directory of each; answers and pooled figures stay on this screen",
            Release::Sealed =>
                "model sealed: answers and pooled figures stay on this screen, and result.json has none",
        }
    )?;
    for auditor in &r.disclosure.auditors {
        writeln!(out, "auditor {auditor} could open every sum")?;
    }

    writeln!(out, "\n{} {} over {} features", r.model.method, r.model.version, r.model.features.len())?;
    let pooled = |name: &str| r.pooled.iter().find(|p| p.name == name).and_then(|p| p.value);
    let mut words = Vec::new();
    let mut tables = Vec::new();
    for fact in &r.facts {
        match (&fact.rows[..], fact.rows.first().and_then(|row| row.first())) {
            ([row], Some(cell)) if row.len() == 1 => {
                let beside = pooled(&fact.name).map_or_else(|| "-".into(), number);
                words.push(vec![fact.name.clone(), cell_text(cell), beside, fact.says.clone()]);
            }
            _ => tables.push(fact),
        }
    }
    let says_nothing = words.is_empty() && tables.is_empty();
    if !says_nothing {
        writeln!(out, "{}", table(&["fact", "trained", "pooled*", "what it is"], words))?;
    }
    for (place, fact) in tables.into_iter().enumerate() {
        writeln!(out, "\n{}", plain(&fact.says))?;
        if fact.rows.len() > MOST_ROWS[place.min(1)] {
            writeln!(
                out,
                "  {} rows: `{}` among the `facts` of result.json",
                fact.rows.len(),
                plain(&fact.name)
            )?;
            continue;
        }
        let head: Vec<&str> = fact.columns.iter().map(String::as_str).collect();
        let rows = fact.rows.iter().map(|row| row.iter().map(cell_text).collect());
        writeln!(out, "{}", table(&head, rows))?;
    }

    if let Some(first) = r.sites.first() {
        writeln!(out, "\nWhat each site reports of the model on its own rows")?;
        let names = first.fields.iter().map(|f| f.name.as_str());
        let head: Vec<&str> = std::iter::once("site").chain(names).collect();
        let rows = r.sites.iter().map(|s| {
            let values = s.fields.iter().map(|f| f.value.map_or_else(|| "-".into(), number));
            std::iter::once(s.participant.clone()).chain(values).collect()
        });
        // Who is in the rounds before and not in the last sum says nothing of the model.
        let gone = r.rounds.last().into_iter().flat_map(|last| &last.missing);
        let gone = gone.map(|name| vec![format!("{name} (not in the last sum)")]);
        writeln!(out, "{}", table(&head, rows.chain(gone)))?;
        for (name, says) in &r.legend {
            writeln!(out, "  {}: {}", plain(name), plain(says))?;
        }
    }
    if !says_nothing {
        let compared = match r.model.largest_difference_to_pooled {
            Some(largest) => format!("Largest difference of a number of the two models: {largest:.1e}"),
            None => "The model is sealed: no number of it is compared".into(),
        };
        writeln!(
            out,
            "* the same method over all rows in one place: computed by the runner of this study from the files; no party of a real\n  \
             collaboration could{}. {compared}",
            if r.hosted.is_some() { ", but the enclave that had them" } else { "" }
        )?;

        if let Some(m) = &r.membership {
            writeln!(
                out,
                "Membership by a threshold on the loss of the released model: area under the curve {:.3} (0.5 is chance), {:.1} % of {} rows that \
                 it was trained on found at 1 % of {} held-out rows; docs/attacks.md has a stronger test, with shadow models",
                m.auc,
                m.tpr_at_1_percent * 100.0,
                m.rows,
                m.held_out
            )?;
        }
    }

    for l in &r.left_out {
        writeln!(
            out,
            "  {} left rows out before it registered its table: {} by their outcome, {} for a missing cell",
            l.participant, l.without_outcome, l.incomplete
        )?;
    }
    for w in &r.withdrawn {
        writeln!(
            out,
            "  {} withdrew its data before round {}: it is in no sum from then on, and the pooled fit has its rows",
            w.participant, w.round
        )?;
    }
    for s in &r.struck {
        writeln!(
            out,
            "  {} was left out by the committee ({}) and is paid nothing; the pooled fit has its rows",
            s.participant, s.why
        )?;
    }
    if !r.silent.is_empty() {
        writeln!(out, "  in the last sum, and silent about the model: {}", r.silent.join(", "))?;
    }
    let explained = r.withdrawn.iter().map(|w| &w.participant).chain(r.struck.iter().map(|s| &s.participant));
    let explained: BTreeSet<_> = explained.collect();
    let missing: BTreeSet<_> = r.rounds.iter().flat_map(|x| &x.missing).collect();
    for name in missing.difference(&explained) {
        let rounds: Vec<u32> =
            r.rounds.iter().filter(|x| x.missing.contains(name)).map(|x| x.round).collect();
        writeln!(
            out,
            "  {name} is missing in {} of {} sums (rounds {}); the pooled fit has its rows",
            rounds.len(),
            r.rounds.len(),
            ranges(&rounds)
        )?;
    }

    if let Some(hosted) = &r.hosted {
        in_one_enclave(hosted, out)?;
    } else {
        rounds(&r.rounds, out)?;
    }
    if !r.declined.is_empty() {
        writeln!(out, "\nDeclined by owners")?;
        let rows =
            r.declined.iter().map(|d| vec![d.model.clone(), d.participant.clone(), d.reasons.join("; ")]);
        writeln!(out, "{}", table(&["model", "owner", "why"], rows))?;
    }
    if r.validation.iter().any(|v| !v.flagged.is_empty()) {
        writeln!(out, "\nFlagged by the validation program")?;
        let rows = r.validation.iter().flat_map(|v| {
            v.flagged.iter().map(|c| vec![v.participant.clone(), c.column.clone(), c.flags.join(", ")])
        });
        writeln!(out, "{}", table(&["owner", "column", "flag"], rows))?;
    }

    let answered = r.queries.iter().filter(|q| q.settled).count();
    write!(out, "\nQueries: {answered} answered and settled, {} refunded", r.queries.len() - answered)?;
    let probability = |q: &QueryOutcome| q.answer.iter().find(|f| f.name == "probability")?.value;
    let known: Vec<_> = r.queries.iter().filter_map(|q| Some((probability(q)?, q.truth?))).collect();
    let right = known.iter().filter(|(p, truth)| (*p >= 0.5) == (*truth == 1.0)).count();
    let number = |q: &QueryOutcome| q.answer.iter().find(|f| f.name == "value")?.value;
    let differences: Vec<f64> =
        r.queries.iter().filter_map(|q| Some((number(q)? - q.truth?).abs())).collect();
    match known.len() {
        0 if !differences.is_empty() => {
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            let most = differences.iter().copied().fold(0.0, f64::max);
            let n = differences.len();
            writeln!(
                out,
                "; {n} with a known label differ from it by {} on average, {} at the most",
                self::number(mean),
                self::number(most)
            )?
        }
        0 => writeln!(out)?,
        all => writeln!(out, "; {right} of {all} with a known label on the right side of 0.5")?,
    }
    writeln!(out, "Refused as they must be: {} attempts", r.refused.len())?;
    for x in &r.refused {
        writeln!(out, "  {}: {} ({})", x.attempt, x.reason, x.refused_by)?;
    }

    writeln!(
        out,
        "\nLedger: {} transactions in {} blocks, {} gas",
        r.chain.transactions, r.chain.blocks, r.chain.gas
    )?;
    if on_network {
        writeln!(out, "on the network with chain id {}; directory {}", r.chain.chain_id, r.chain.directory)?;
    }
    let rows = r.chain.by_function.iter().map(|(name, g)| {
        vec![
            name.clone(),
            g.transactions.to_string(),
            g.gas.to_string(),
            (g.gas / g.transactions.max(1)).to_string(),
        ]
    });
    writeln!(out, "{}", table(&["call", "transactions", "gas", "gas each"], rows))?;

    writeln!(out, "\nTokens (TEST money)")?;
    let rows = r
        .balances
        .iter()
        .filter(|b| b.tokens_micro > 0)
        .map(|b| vec![b.name.clone(), b.role.clone(), Tokens::from_micro(b.tokens_micro).to_string()]);
    writeln!(out, "{}", table(&["party", "role", "tokens"], rows))?;
    writeln!(out, "they sum to the {} paid in", Tokens::from_micro(r.paid_in_micro))?;
    writeln!(out, "\n{:.1} s; everything a stranger needs is in {}", r.seconds, dir.display())?;
    let node = if on_network { " --rpc URL" } else { "" };
    writeln!(out, "check it: histone verify {}{node}", dir.display())
}

/// What a study file says.
pub fn study(study: &Study, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{} ({}): every check passed", study.title, study.name)?;
    described(study, &study.participants.iter().collect::<Vec<_>>(), out)
}

/// What a study file says to one of its parties.
pub fn study_as(seen: &StudyAs, out: &mut dyn Write) -> io::Result<()> {
    let StudyAs { study, name, part, .. } = seen;
    writeln!(
        out,
        "{} ({}), as {name} ({part}) has it: every check passed that needs no table of others",
        study.title, study.name
    )?;
    described(study, seen.participant().as_slice(), out)?;
    writeln!(out, "\nnot checked, since only who has all tables could:")?;
    seen.unchecked().iter().try_for_each(|what| writeln!(out, "  {what}"))
}

/// A study, with the tables of these participants.
fn described(study: &Study, participants: &[&Participant], out: &mut dyn Write) -> io::Result<()> {
    let rows = participants.iter().map(|p| {
        vec![
            p.name.clone(),
            p.country.clone(),
            p.table.rows().to_string(),
            positives(&p.table).map_or_else(|| "-".into(), |n| n.to_string()),
            p.table.missing().to_string(),
            p.left_out_rows.to_string(),
            p.dropped_rows.to_string(),
            p.consent.iter().map(|c| c.term.short).collect::<Vec<_>>().join(" "),
        ]
    });
    let header = [
        "participant",
        "country",
        "rows",
        "positive",
        "missing cells",
        "left out: outcome",
        "left out: incomplete",
        "consent",
    ];
    if !participants.is_empty() {
        writeln!(out, "{}", table(&header, rows))?;
    }
    let aligned = participants.iter().filter_map(|p| Some((p, p.alignment?)));
    let rows: Vec<Vec<String>> = aligned
        .map(|(p, (a, without))| {
            let counts = [a.found, a.turned, a.flipped, a.ambiguous, a.other_alleles, a.unlike, without];
            std::iter::once(p.name.clone()).chain(counts.map(|n| n.to_string())).collect()
        })
        .collect();
    if !rows.is_empty() {
        let header = [
            "genotypes of",
            "variants found",
            "other allele counted",
            "other strand",
            "left out: either strand",
            "left out: other alleles",
            "frequency unlike the panel's",
            "people not in the file",
        ];
        writeln!(out, "{}", table(&header, rows))?;
    }
    writeln!(
        out,
        "{} features, {}, method `{}`",
        study.table.features.len(),
        predicted(study),
        study.training.method
    )?;
    let features = study.table.features.iter().zip(&study.table.kinds);
    let features = features.map(|(name, kind)| match kind {
        ColumnKind::Range(_) => plain(name),
        ColumnKind::Levels(_) => format!("{} (category)", plain(name)),
        ColumnKind::Whole(_) => format!("{} (whole number)", plain(name)),
        ColumnKind::Day(_) => format!("{} (day)", plain(name)),
        ColumnKind::Genotypes { variants, .. } => {
            format!("{} (genotypes at {variants} variants)", plain(name))
        }
    });
    writeln!(out, "{}", wrapped(features))?;
    columns_left_out(study, &mut |line| writeln!(out, "{line}"))?;
    if !study.table.proposed.is_empty() {
        writeln!(
            out,
            "\nplausible ranges that the study file does not state are taken from the tables, rounded outward, and are public; to\n\
             state them, write what each site may tell:\n\n[table.ranges]"
        )?;
        for line in &study.table.proposed {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    if study.training.disclosure.place == Place::EachOwner {
        writeln!(out, "committee: {}", study.committee.numbers)?;
    }
    let platforms: Vec<String> = study.appraisal.platforms.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "enclaves: {}, evidence of at most {} h",
        platforms.join(", "),
        study.appraisal.max_age_seconds / 3_600
    )?;
    let shown = &study.training.disclosure;
    // Of genotypes each variant is one; above them stand the build and the heading.
    let variants = study.table.panel.as_ref().map(|panel| panel.lines().count().saturating_sub(2));
    let warnings = shown.warning(variants.unwrap_or(study.table.features.len())).into_iter();
    let warnings = warnings.chain(study.too_many_questions().map(|why| format!("error when it runs: {why}")));
    for line in shown.sentences().into_iter().chain(warnings) {
        writeln!(out, "{line}")?;
    }
    for (participant, why) in study.deniers() {
        writeln!(out, "warning: {} will take no part: {why}", participant.name)?;
    }
    for doubt in &study.doubts {
        writeln!(out, "warning: {}", plain(doubt))?;
    }
    Ok(())
}

/// A list over lines of a width that terminals have.
fn wrapped(items: impl Iterator<Item = String>) -> String {
    const WIDTH: usize = 110;
    let (mut text, mut width) = (String::new(), WIDTH);
    for item in items {
        let long = item.chars().count() + 2;
        if width + long > WIDTH {
            text.push_str(if text.is_empty() { "  " } else { ",\n  " });
            width = 0;
        } else {
            text.push_str(", ");
        }
        text.push_str(&item);
        width += long;
    }
    text
}

/// What a study predicts, for people.
fn predicted(study: &Study) -> String {
    match &study.table.outcome {
        PlanOutcome::YesNo(_) | PlanOutcome::Number(..) => format!("label `{}`", plain(&study.table.label)),
        PlanOutcome::EventTime(time, event, _) => {
            format!("event `{}` with the time `{}`", plain(event), plain(time))
        }
    }
}

/// The columns that a study passes over because they are not numeric, a line each.
pub fn columns_left_out<E>(study: &Study, line: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
    if study.table.left_out.is_empty() {
        return Ok(());
    }
    line("left out, because they are not numeric and `features` is \"all numeric\":")?;
    study.table.left_out.iter().try_for_each(|c| line(&format!("  `{}`: {}", plain(&c.name), plain(&c.why))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_zeros() {
        for (v, text) in [
            (-108_259.98, "-108260"),
            (216_529.96, "216530"),
            (120_000.4, "120000"),
            (0.25, "0.25"),
            (100.5, "100.5"),
            (120.0, "120"),
        ] {
            assert_eq!(number(v), text);
        }
    }

    /// What somebody may write into a proposal.
    const FORGED: &str = "harmless\n  does      allow program 0x11\x1b[2A\u{9b}2K\u{202e}\r\n";

    #[test]
    fn a_text_of_somebody_else_is_one_line_without_commands_to_a_terminal() {
        let shown = plain(FORGED);
        assert_eq!(shown, "harmless   does      allow program 0x11\u{fffd}[2A\u{fffd}2K\u{fffd}  ");
        assert_eq!(plain("na\u{ef}ve, \u{79c1}, \u{1f9ec}"), "na\u{ef}ve, \u{79c1}, \u{1f9ec}");
    }

    #[test]
    fn runs_of_rounds_are_short() {
        let shown = [&[][..], &[1], &[2, 3, 4], &[1, 3, 4, 9]].map(ranges);
        assert_eq!(shown, ["", "1", "2-4", "1, 3-4, 9"]);
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_row() {
        let made = table(&["what"], [vec![FORGED.to_owned()]]).to_string();
        assert_eq!(made.lines().count(), 3, "{made}");
        assert!(!made.contains('\x1b'), "{made:?}");
    }
}
