//! What the cells of a yes/no outcome are, for those who say which of them mean yes.

use std::collections::BTreeMap;

use histone_genome::table::{MissingRules, Other, RawTable, Rule, TableError, YesNo};

/// Most different cells that are still codes: with more an outcome is a measurement, or a free text.
const MOST: usize = 20;

/// Codes that a message lists.
const LISTED: usize = 8;

/// The different cells of a column in all tables, each with its number of rows, missing ones aside; none where there are too many
/// for codes.
pub fn census<'a>(
    tables: impl IntoIterator<Item = &'a RawTable>,
    column: &str,
    missing: &MissingRules,
) -> Result<Option<BTreeMap<String, usize>>, TableError> {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for table in tables {
        let Some(codes) = table.census(column, missing, MOST)? else { return Ok(None) };
        codes.into_iter().for_each(|(code, n)| *all.entry(code).or_default() += n);
    }
    Ok(Some(all).filter(|all| all.len() <= MOST))
}

/// Codes with their rows, as a list in a sentence: the most frequent first.
pub fn listed<'a>(codes: impl IntoIterator<Item = (&'a String, &'a usize)>) -> String {
    let mut codes: Vec<(&String, &usize)> = codes.into_iter().collect();
    codes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let more = codes.len().saturating_sub(LISTED);
    let shown = |(code, n): &(&String, &usize)| {
        let short: String = code.chars().take(40).collect();
        format!("`{}` ({n} row{})", short.escape_debug(), if **n == 1 { "" } else { "s" })
    };
    let mut shown: Vec<String> = codes.iter().take(LISTED).map(shown).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// What a rule leaves open in a column; a message needs `keys` for what its file calls the rules.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Of the rule of a yes.
    pub yes: &'static str,
    /// Of the rule of a no.
    pub no: &'static str,
    /// How its value for a cell is written, with `{}` in the place of the cell.
    pub value: &'static str,
}

/// Looks at all cells of an outcome by its rule. Where the rule names one value alone and there is one other, that one means no,
/// in every table, and stands in the rule that is given back. An error says what is left open, and how to close it.
pub fn settle(
    column: &str,
    rule: &YesNo,
    codes: Option<&BTreeMap<String, usize>>,
    keys: Keys,
) -> Result<YesNo, String> {
    let open = rule.negative.is_none() && rule.positive.names_one();
    let Keys { yes, no, value } = keys;
    let write = |code: &str| value.replace("{}", &code.escape_debug().to_string());
    let Some(codes) = codes else {
        if open {
            return Err(format!(
                "`{column}` has more than {MOST} different cells and `{yes}` names one of them; say which mean no with `{no}`, and what becomes of the rest with `other`"
            ));
        }
        return Ok(rule.clone());
    };
    let (mut unnamed, mut says_yes) = (Vec::new(), false);
    for (code, n) in codes {
        match rule.of(code) {
            Ok(None) => unnamed.push((code, n)),
            Ok(Some(yes)) => says_yes |= yes,
            Err(problem) => {
                return Err(format!("of `{column}` the cell `{}`: {problem}", code.escape_debug()));
            }
        }
    }
    let text = |code: &str| !Rule::equal_to(code).compares_numbers();
    let numbers =
        rule.positive.compares_numbers() && rule.negative.as_ref().is_none_or(Rule::compares_numbers);
    let told = rule.other == Other::Refuse || !says_yes;
    if numbers && told && unnamed.iter().any(|(code, _)| text(code)) {
        let likely = ["yes", "true", "y", "positive"];
        let likely = codes.keys().find(|code| likely.iter().any(|word| code.eq_ignore_ascii_case(word)));
        return Err(format!(
            "`{column}` holds {}, and a rule with a number names no text; name the cell that means yes, as in `{yes} = {}`",
            listed(codes),
            write(likely.map_or("ill", String::as_str))
        ));
    }
    if !says_yes && !codes.is_empty() {
        return Err(format!(
            "`{column}` holds {}, and none of it means yes by the rule `{}`; change `{yes}`",
            listed(codes),
            rule.positive
        ));
    }
    match (&unnamed[..], open) {
        ([], _) => Ok(rule.clone()),
        ([(code, _)], true) => Ok(YesNo { negative: Some(Rule::equal_to(code)), ..rule.clone() }),
        (_, true) => {
            let most = unnamed.iter().max_by_key(|(_, n)| **n).map_or("0", |(code, _)| code);
            Err(format!(
                "`{column}` holds {}, and only what means yes is named (`{}`); say what means no, as in `{no} = {}`, and what becomes of the rest, as in `other = \"leave-out\"`",
                listed(codes),
                rule.positive,
                write(most)
            ))
        }
        (_, false) if rule.other == Other::LeaveOut => Ok(rule.clone()),
        (_, false) => Err(format!(
            "`{column}` holds {} as well, which neither `{yes}` nor `{no}` names; name it there, or leave these rows out with `other = \"leave-out\"`",
            listed(unnamed)
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEYS: Keys = Keys { yes: "positive", no: "negative", value: "\"== {}\"" };

    #[test]
    fn what_is_left_open_is_said() {
        let codes = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
            list.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect()
        };
        let rule = |positive: &str, negative: Option<&str>, other| YesNo {
            positive: positive.parse().unwrap(),
            negative: negative.map(|rule| rule.parse().unwrap()),
            other,
        };
        let three = codes(&[("0", 30), ("1", 9), ("9", 1)]);
        let settled = |rule: &YesNo, codes: &BTreeMap<String, usize>| settle("y", rule, Some(codes), KEYS);
        let one = rule("== 1", None, Other::Refuse);
        let found = settled(&one, &codes(&[("0", 3), ("1", 2)])).unwrap();
        assert_eq!(found.negative, Some("== 0".parse().unwrap()));
        assert_eq!(
            settled(&one, &three).unwrap_err(),
            "`y` holds `0` (30 rows), `1` (9 rows) and `9` (1 row), and only what means yes is named (`== 1`); say what means no, as in `negative = \"== 0\"`, and what becomes of the rest, as in `other = \"leave-out\"`"
        );
        assert_eq!(
            settled(&rule("== 1", Some("== 0"), Other::Refuse), &three).unwrap_err(),
            "`y` holds `9` (1 row) as well, which neither `positive` nor `negative` names; name it there, or leave these rows out with `other = \"leave-out\"`"
        );
        for rule in [rule("== 1", Some("== 0"), Other::LeaveOut), rule(">= 1", None, Other::Refuse)] {
            assert_eq!(settled(&rule, &three), Ok(rule.clone()));
        }
        assert_eq!(
            settled(&one, &codes(&[("No", 3), ("Yes", 2)])).unwrap_err(),
            "`y` holds `No` (3 rows) and `Yes` (2 rows), and a rule with a number names no text; name the cell that means yes, as in `positive = \"== Yes\"`"
        );
        assert_eq!(
            settled(&rule("== 2", None, Other::Refuse), &three).unwrap_err(),
            "`y` holds `0` (30 rows), `1` (9 rows) and `9` (1 row), and none of it means yes by the rule `== 2`; change `positive`"
        );
        assert!(settled(&rule(">= 1", Some("<= 1"), Other::Refuse), &three).unwrap_err().contains("`1`"));
        assert!(settle("y", &one, None, KEYS).unwrap_err().contains("more than 20 different cells"));
    }
}
