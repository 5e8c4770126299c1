//! Small words: times, durations, short hashes, prefixes.

use std::fmt::LowerHex;

use anyhow::{Result, bail};

/// `2026-01-01 00:00:00 UTC`.
pub fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of year 0, so that the leap day is the last day of a year (Howard Hinnant's
    // `civil_from_days`).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `90`, `90s`, `30m`, `12h`, `7d`, in seconds.
pub fn duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no duration; write 90s, 30m, 12h or 7d");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

/// Seconds as the largest unit that fits: `2 d`, `90 s`.
pub fn lasting(seconds: u64) -> String {
    let fits = |&(unit, _): &(u64, &str)| seconds > 0 && seconds.is_multiple_of(unit);
    let (unit, sign) = [(86_400, "d"), (3_600, "h"), (60, "min")].into_iter().find(fits).unwrap_or((1, "s"));
    format!("{} {sign}", seconds / unit)
}

/// The first digits of a hash or account, enough for `show`: `0x1a2b3c4d`.
pub fn short(hash: impl LowerHex) -> String {
    let text = format!("{hash:#x}");
    text.chars().take(10).collect()
}

/// The one row whose key begins with `prefix`: at least six hexadecimal digits, with or without `0x`.
pub fn pick<'a, K: LowerHex, R>(
    what: &str,
    prefix: &str,
    rows: impl Iterator<Item = (K, &'a R)>,
) -> Result<&'a R> {
    let digits = prefix.strip_prefix("0x").unwrap_or(prefix).to_ascii_lowercase();
    let mut rows = rows;
    // What `list` shows has an order, which does not change.
    if digits.len() < 6
        && let Ok(place @ 1..) = prefix.parse::<usize>()
        && let Some((_, row)) = rows.nth(place - 1)
    {
        return Ok(row);
    }
    if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!(
            "`{prefix}` names no {what}; give its place in the list (1 is the first), its name, or six or more of its hexadecimal digits; `histone {what} list` shows them"
        );
    }
    let wanted = format!("0x{digits}");
    let found: Vec<_> = rows
        .map(|(key, row)| (format!("{key:#x}"), row))
        .filter(|(key, _)| key.starts_with(&wanted))
        .collect();
    match found.as_slice() {
        [(_, row)] => Ok(row),
        [] => bail!("the ledger has no {what} `{prefix}`; `histone {what} list` shows what it has"),
        more => {
            let keys: Vec<_> = more.iter().take(4).map(|(key, _)| key.as_str()).collect();
            bail!("`{prefix}` begins {} {what}s: {}; give more digits", more.len(), keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_767_225_600, "2026-01-01 00:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        utc(u64::MAX);
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(seconds));
        }
        for bad in ["", "d", "1w", "-1d", "1.5h", "1d2h", "99999999999999999999", "999999999999999999d"] {
            assert!(duration(bad).unwrap_err().contains("write 90s, 30m, 12h or 7d"), "{bad}");
        }
        for (seconds, text) in [(0, "0 s"), (90, "90 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")] {
            assert_eq!(lasting(seconds), text);
        }
    }

    #[test]
    fn prefixes() {
        let keys = [B256::repeat_byte(0xaa), B256::repeat_byte(0xab), {
            let mut key = B256::repeat_byte(0xaa);
            key.0[31] = 0;
            key
        }];
        let rows = || keys.iter().map(|key| (*key, key));
        assert_eq!(pick("program", "0xABABAB", rows()).unwrap(), &keys[1]);
        assert_eq!(pick("program", &keys[2].to_string(), rows()).unwrap(), &keys[2]);
        assert_eq!(pick("program", "1", rows()).unwrap(), &keys[0]);
        for (prefix, why) in [
            ("aaaaaa", "begins 2 programs: 0xaaaa"),
            ("0xcccccc", "the ledger has no program"),
            (
                "0xabab",
                "names no program; give its place in the list (1 is the first), its name, or six or more",
            ),
            ("0", "names no program"),
            ("4", "names no program"),
            ("", "names no program"),
            ("zzzzzzzz", "names no program"),
        ] {
            let error = pick("program", prefix, rows()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
