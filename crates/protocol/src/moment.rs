//! Times for people.

/// A moment for people, such as `2026-11-29 10:15 UTC`.
pub fn moment(seconds: u64) -> String {
    // Days since 0000-03-01, in eras of 400 years, which all are alike; a year that begins in March ends with its leap day.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let (date, time) = (in_year - (153 * month + 2) / 5 + 1, seconds % 86_400 / 60);
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{}-{month:02}-{date:02} {:02}:{:02} UTC", era * 400 + year, time / 60, time % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_772_323_199, "2026-02-28 23:59 UTC"),
            (1_796_947_200, "2026-12-11 00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(moment(seconds), text);
        }
    }
}
