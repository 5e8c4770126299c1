//! How many members of a committee open a sum, and how many are asked: derived, never chosen.
//!
//! Of M members, f may collude: tell each other what they hold, or answer one question for one set of donors and the
//! same question for another. Two sets of members that open something then need more than f members in common, so that
//! one of those in common is honest and does not answer twice: `2 * threshold > M + f`. The smallest such threshold is
//! `floor((M + f) / 2) + 1`. One more than that is asked, because a sum that exactly as many answers determine fits any
//! answers, also wrong ones; the one more shows that an answer is wrong, though not whose.

/// Most members that a committee may have.
pub const MAX_MEMBERS: u8 = 32;

/// The numbers of a committee. Made only by [`Committee::derive`], so that nobody chooses a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committee {
    members: u8,
    colluders: u8,
}

/// Why there is no committee of these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// Nobody is expected to collude.
    #[error(
        "a committee must withstand at least 1 member that colludes: with 0, one member that answers twice could open a single update"
    )]
    NoColluders,
    /// Too many members for one committee.
    #[error("a committee of {members} is too large; it has at most {MAX_MEMBERS} members")]
    TooMany {
        /// Members asked for.
        members: usize,
    },
    /// More collude than any committee withstands.
    #[error(
        "{colluders} members that collude are more than any committee withstands; at most {} of {MAX_MEMBERS} members may",
        most_colluders(MAX_MEMBERS)
    )]
    NoSize {
        /// Members that may collude.
        colluders: u8,
    },
    /// Too few members.
    #[error(
        "{members} members cannot withstand {colluders} that collude{}; {} members can",
        if_fewer(*.members),
        least_members(*.colluders)
    )]
    TooFew {
        /// Members asked for.
        members: u8,
        /// Members that may collude.
        colluders: u8,
    },
}

fn if_fewer(members: u8) -> String {
    match most_colluders(members) {
        0 => String::new(),
        most => format!(" but {most}"),
    }
}

/// Fewest members that withstand `colluders`: floor((M + f) / 2) + 2 <= M.
fn least_members(colluders: u8) -> u16 {
    u16::from(colluders) + 3
}

/// Most colluders that `members` withstand, 0 where there is no committee of that size.
fn most_colluders(members: u8) -> u8 {
    members.saturating_sub(3)
}

impl Committee {
    /// The committee of this many members, of whom this many may collude.
    pub fn derive(members: usize, colluders: u8) -> Result<Committee, CommitteeError> {
        if colluders == 0 {
            return Err(CommitteeError::NoColluders);
        }
        if colluders > most_colluders(MAX_MEMBERS) {
            return Err(CommitteeError::NoSize { colluders });
        }
        let members = match u8::try_from(members) {
            Ok(n) if n <= MAX_MEMBERS => n,
            _ => return Err(CommitteeError::TooMany { members }),
        };
        let committee = Committee { members, colluders };
        if committee.threshold() >= members {
            return Err(CommitteeError::TooFew { members, colluders });
        }
        Ok(committee)
    }

    /// All members.
    pub fn members(self) -> u8 {
        self.members
    }

    /// Members that may collude.
    pub fn colluders(self) -> u8 {
        self.colluders
    }

    /// Members whose shares open a sum.
    pub fn threshold(self) -> u8 {
        // At most 32 + 29 halves: no overflow.
        (self.members + self.colluders) / 2 + 1
    }

    /// Members that are asked: whose answers must be promised before any is published.
    pub fn quorum(self) -> u8 {
        self.threshold() + 1
    }
}

impl std::fmt::Display for Committee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (members, colluders) = (self.members, self.colluders);
        write!(
            f,
            "{members} members, {colluders} may collude: {} open, {} are asked",
            self.threshold(),
            self.quorum()
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn vectors() {
        // Members, colluders, threshold, quorum: the contract's test holds the same rows.
        let rows = [
            (4, 1, 3, 4),
            (5, 1, 4, 5),
            (6, 1, 4, 5),
            (7, 1, 5, 6),
            (8, 1, 5, 6),
            (9, 1, 6, 7),
            (5, 2, 4, 5),
            (7, 2, 5, 6),
            (9, 2, 6, 7),
            (10, 3, 7, 8),
            (31, 10, 21, 22),
            (32, 1, 17, 18),
            (32, 29, 31, 32),
        ];
        for (members, colluders, threshold, quorum) in rows {
            let c = Committee::derive(members, colluders).unwrap();
            assert_eq!((c.threshold(), c.quorum()), (threshold, quorum), "{members} members, {colluders}");
            assert_eq!((usize::from(c.members()), c.colluders()), (members, colluders));
        }
    }

    #[test]
    fn colluders_of_one_committee_cannot_open_two_sums() {
        for members in 0..=40_usize {
            for colluders in 0..=u8::MAX {
                let Ok(c) = Committee::derive(members, colluders) else { continue };
                let (m, f, t) = (i32::from(c.members()), i32::from(c.colluders()), i32::from(c.threshold()));
                assert!(2 * t > m + f && 2 * (t - 1) <= m + f, "{c}: the smallest such threshold");
                // Two sets of `t` among `m` share at least 2t - m members.
                assert!(2 * t - m > f, "{c}: an honest member would be asked for both");
                assert!(f < t, "{c}: the colluders alone open nothing");
                assert!(c.quorum() <= c.members(), "{c}");
            }
        }
    }

    #[test]
    fn two_opening_sets_share_more_than_the_colluders_counted_out() {
        // Every pair of sets, for the sizes where they can be counted.
        for members in 4..=8_usize {
            for colluders in 1..=5 {
                let Ok(c) = Committee::derive(members, colluders) else { continue };
                let opens = |s: u32| s.count_ones() == u32::from(c.threshold());
                let sets: Vec<u32> = (0..1 << members).filter(|&s| opens(s)).collect();
                for a in &sets {
                    for b in &sets {
                        assert!((a & b).count_ones() > u32::from(c.colluders()), "{c}: {a:b} {b:b}");
                    }
                }
            }
        }
    }

    #[test]
    fn refusals_say_which_sizes_work() {
        let refused = |members, colluders| Committee::derive(members, colluders).unwrap_err().to_string();
        assert_eq!(refused(3, 1), "3 members cannot withstand 1 that collude; 4 members can");
        assert_eq!(refused(7, 5), "7 members cannot withstand 5 that collude but 4; 8 members can");
        assert_eq!(refused(0, 1), "0 members cannot withstand 1 that collude; 4 members can");
        assert!(refused(5, 0).contains("at least 1 member that colludes"));
        assert_eq!(refused(33, 1), "a committee of 33 is too large; it has at most 32 members");
        assert_eq!(refused(300, 1), "a committee of 300 is too large; it has at most 32 members");
        assert!(refused(32, 30).contains("at most 29 of 32 members may"), "{}", refused(32, 30));
        for members in 0..=u8::MAX {
            for colluders in 1..=u8::MAX {
                let derived = Committee::derive(members.into(), colluders);
                let fits = u16::from(members) >= least_members(colluders) && members <= MAX_MEMBERS;
                assert_eq!(derived.is_ok(), fits, "{members} {colluders}: what the advice says is true");
                assert_eq!(fits, colluders <= most_colluders(members) && members <= MAX_MEMBERS);
            }
        }
    }
}
