//! What a person should look at before a study runs: cells that look like codes for nothing known, columns that look like somebody's number,
//! and a site that seems to write a column in another unit. Nothing here is an error: what it is, only people know.

use histone_genome::table::{Kind, MissingRules, RawTable, Table, doubts};

/// A table of the study, as it lies in the file and as it is read.
pub(super) struct Seen<'a> {
    pub name: &'a str,
    pub raw: &'a RawTable,
    pub table: &'a Table,
}

/// One sentence for each doubt, by participant.
pub(super) fn of(tables: &[Seen<'_>], features: &[String], rules: &MissingRules) -> Vec<String> {
    let mut found = Vec::new();
    for Seen { name, raw, .. } in tables {
        for doubt in doubts(raw, rules) {
            let Some(column) = doubt.column.filter(|column| features.contains(column)) else { continue };
            let said = match doubt.about {
                "zero" => rules.zero_is_missing.contains(&column),
                about => !matches!(about, "missing" | "identifier" | "birth"),
            };
            if !said {
                found.push(format!("`{name}`, `{column}`: {}", doubt.says));
            }
        }
    }
    for (index, feature) in features.iter().enumerate() {
        let sorted = tables.iter().filter_map(|seen| {
            let kind = &seen.table.columns().get(index)?.kind;
            let mut values: Vec<f64> = seen.table.column(index).filter(|value| !value.is_nan()).collect();
            values.sort_by(f64::total_cmp);
            (matches!(kind, Kind::Number | Kind::Whole) && values.len() > 4).then_some((seen.name, values))
        });
        found.extend(another_unit(feature, &sorted.collect::<Vec<_>>()));
    }
    found
}

/// A site whose middle lies beyond all that the others have, five times as far from zero or less than a fifth. Values are sorted.
fn another_unit(feature: &str, sites: &[(&str, Vec<f64>)]) -> Option<String> {
    let middle = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or_default();
    if sites.len() < 2 || sites.iter().any(|(_, values)| values.first().is_none_or(|least| *least < 0.0)) {
        return None;
    }
    let apart = |(at, (_, own)): (usize, &(&str, Vec<f64>))| -> Option<f64> {
        let others = || sites.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, (_, values))| values);
        let low = others().filter_map(|values| values.first()).copied().fold(f64::MAX, f64::min);
        let high = others().filter_map(|values| values.last()).copied().fold(0.0, f64::max);
        let mut middles: Vec<f64> = others().map(|values| middle(values)).collect();
        middles.sort_by(f64::total_cmp);
        let (own, other) = (middle(own), middle(&middles));
        ((own > high && own > 5.0 * other) || (own < low && 5.0 * own < other)).then(|| own / other)
    };
    // Of two sites each lies beyond the other: the second is named.
    let (at, factor) = (0..sites.len()).rev().find_map(|at| Some((at, apart((at, sites.get(at)?))?)))?;
    let (name, _) = sites.get(at)?;
    let times = if factor > 1.0 { factor } else { 1.0 / factor };
    let digits = usize::from(times < 10.0);
    Some(format!(
        "`{name}`, `{feature}`: lies about {times:.digits$} times {} what the other sites have; if it is written in another unit there, or with other decimals, say so or convert it",
        if factor > 1.0 { "above" } else { "below" }
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_site_with_another_unit_is_named() {
        let site =
            |factor: f64| -> Vec<f64> { (0..30).map(|i| (0.6 + f64::from(i) / 30.0) * factor).collect() };
        let says = |sites: &[(&str, Vec<f64>)]| another_unit("creatinine", sites);
        let found = says(&[("north", site(1.0)), ("south", site(88.4)), ("west", site(1.1))]).unwrap();
        assert!(
            found.starts_with("`south`, `creatinine`: lies about 8") && found.contains("times above"),
            "{found}"
        );
        assert!(says(&[("north", site(1.0)), ("south", site(0.001))]).unwrap().contains("times below"));
        assert_eq!(says(&[("north", site(1.0)), ("south", site(1.7)), ("west", site(0.8))]), None);
        // Wide columns overlap, and what has negative numbers has no ratio.
        let wide: Vec<f64> = (0..30).map(|i| 2_f64.powi(i - 10)).collect();
        assert_eq!(says(&[("north", wide.clone()), ("south", site(88.4))]), None);
        assert_eq!(says(&[("north", vec![-1.0; 9]), ("south", site(88.4))]), None);
        assert_eq!(says(&[("north", site(1.0))]), None);
    }
}
