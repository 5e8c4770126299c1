//! Payouts to large pools: lists of accounts, their Merkle roots, and the pool contracts that pay by them.
//!
//! A pool is one donor of a model with many accounts behind it (see `Epochs.sol`). Its keeper publishes a list with the
//! sum of all that each account was ever due and proposes the root of the list ([`Pool::propose`]); an auditor makes the same
//! [`Epoch`] from the same list and compares ([`Pool::check`]); after the challenge window anybody claims for an account with
//! its proof ([`Pool::claim`]).
//!
//! The tree is the one of OpenZeppelin's `StandardMerkleTree` for `(address, uint256)`: leaves hashed twice and sorted, pairs
//! sorted. The order of a list does not matter; an account may stand in it once.

mod pool;
mod tree;

use std::io::BufRead;

use alloy::primitives::{Address, B256, U256};

pub use self::pool::{DonorIncome, Pool, PoolCheck, PoolState};
use self::tree::Tree;

/// Head of a list, for people; it may be left out.
const HEAD: &str = "account,due";
/// The pool counts what it paid in 128 bits.
const MOST: u32 = 128;

/// Why a list is refused.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file cannot be read.
    #[error("line {line} cannot be read")]
    Read {
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("line {line}: {detail}; a line has the form ACCOUNT,NUMBER")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// An account stands in the list more than once.
    #[error("{0} is in the list more than once")]
    Twice(Address),
    /// Nobody is in the list.
    #[error("the list is empty")]
    Empty,
    /// All weights are zero.
    #[error("the weights add up to 0")]
    NoWeight,
    /// Amounts have more digits than a pool can count.
    #[error("the amounts add up to 2^128 or more, which a pool cannot pay")]
    TooMuch,
    /// More accounts than a tree has room for.
    #[error("{0} accounts are too many for one list")]
    TooLong(usize),
    /// An account is due less than in the list before.
    #[error("{account} was due {before} and is due {now}; sums in a list only grow")]
    Shrinks {
        /// The account.
        account: Address,
        /// In the list before.
        before: U256,
        /// In this one.
        now: U256,
    },
}

/// Reads lines `ACCOUNT,NUMBER`, with or without a head; empty lines are passed over. A byte order mark, CR LF and quotes around a cell are
/// what spreadsheets write. The first line is a head only if no number stands in it: whoever stands there is somebody who is paid.
pub fn read_list(reader: impl BufRead) -> Result<Vec<(Address, U256)>, ListError> {
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(reader.lines()) {
        let text = text.map_err(|source| ListError::Read { line, source })?;
        let text = if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text }.trim();
        if text.is_empty() {
            continue;
        }
        let wrong = |detail: String| ListError::Line { line, detail };
        let (account, number) =
            text.split_once(',').ok_or_else(|| wrong(format!("`{}` has no comma", short(text))))?;
        let (account, number) = (unquoted(account), unquoted(number));
        if line == 1 && !account.starts_with("0x") && !number.contains(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let account = read_account(account).map_err(wrong)?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number = U256::from_str_radix(number, 10)
            .ok()
            .filter(|_| digits)
            .ok_or_else(|| wrong(format!("`{}` is no whole number in decimals", short(number))))?;
        entries.push((account, number));
    }
    Ok(entries)
}

/// A cell without the quotes around it.
fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell).trim()
}

/// An account as it is written everywhere; where it has small and capital letters, as its checksum demands (ERC-55).
fn read_account(text: &str) -> Result<Address, String> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
    let digits =
        digits.ok_or_else(|| format!("`{}` is no account, which is 0x and 40 digits", short(text)))?;
    let account: Address = text.parse().map_err(|_| format!("`{}` is no account", short(text)))?;
    let mixed = digits.contains(|c: char| c.is_ascii_lowercase())
        && digits.contains(|c: char| c.is_ascii_uppercase());
    match mixed && account.to_checksum(None) != text {
        true => {
            Err(format!("`{}` has the capital letters of another account: a digit is mistyped", short(text)))
        }
        false => Ok(account),
    }
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A list with its tree: how much each account was ever due.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Sorted by account.
    entries: Vec<(Address, U256)>,
    sum: U256,
    tree: Tree,
}

impl Epoch {
    /// From a list of accounts, each with the sum of all that it was ever due. The order does not matter.
    pub fn new(mut entries: Vec<(Address, U256)>) -> Result<Self, ListError> {
        sort(&mut entries)?;
        let sum = total(&entries)?;
        if u32::try_from(entries.len()).is_err() {
            return Err(ListError::TooLong(entries.len()));
        }
        let tree = Tree::new(&entries);
        Ok(Self { entries, sum, tree })
    }

    /// Shares out `total`, all that a pool ever got, by weight: `total * weight / sum of weights`, rounded down.
    pub fn share_out(total_received: U256, mut weights: Vec<(Address, U256)>) -> Result<Self, ListError> {
        sort(&mut weights)?;
        let sum = total(&weights)?;
        if sum.is_zero() {
            return Err(ListError::NoWeight);
        }
        if total_received.bit_len() > MOST as usize {
            return Err(ListError::TooMuch);
        }
        for (_, weight) in &mut weights {
            // Both factors have at most 128 bits.
            *weight = total_received * *weight / sum;
        }
        Self::new(weights)
    }

    /// The list after this one: each account that is named is due so much more; the others stay.
    pub fn next(&self, mut more: Vec<(Address, U256)>) -> Result<Self, ListError> {
        sort(&mut more)?;
        let mut entries = self.entries.clone();
        for (account, amount) in more {
            match self.place(account).and_then(|place| entries.get_mut(place)) {
                Some((_, due)) => *due = due.saturating_add(amount),
                None => entries.push((account, amount)),
            }
        }
        Self::new(entries)
    }

    /// The Merkle root.
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// What all accounts together are due.
    pub fn sum(&self) -> U256 {
        self.sum
    }

    /// The accounts with what they are due, sorted by account.
    pub fn entries(&self) -> &[(Address, U256)] {
        &self.entries
    }

    /// What an account is due; `None` when it is not in the list.
    pub fn due(&self, account: Address) -> Option<U256> {
        self.place(account).and_then(|place| self.entries.get(place)).map(|(_, due)| *due)
    }

    /// The siblings on the way from an account to the root; `None` when it is not in the list.
    pub fn proof(&self, account: Address) -> Option<Vec<B256>> {
        self.place(account).and_then(|place| self.tree.proof(place))
    }

    /// The list as it is published: a head, then the accounts in their order, in lower case.
    pub fn list(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(16 + self.entries.len() * 56);
        text.push_str(HEAD);
        text.push('\n');
        for (account, due) in &self.entries {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{account:#x},{due}");
        }
        text
    }

    /// Hash of the published list: BLAKE3 of [`Epoch::list`], under which it is found among the public blobs.
    pub fn list_hash(&self) -> B256 {
        histone_protocol::hash::blob_hash(self.list().as_bytes())
    }

    /// Whether nobody is due less than in an earlier list.
    pub fn grows_from(&self, earlier: &Epoch) -> Result<(), ListError> {
        for &(account, before) in &earlier.entries {
            let now = self.due(account).unwrap_or_default();
            if now < before {
                return Err(ListError::Shrinks { account, before, now });
            }
        }
        Ok(())
    }

    fn place(&self, account: Address) -> Option<usize> {
        self.entries.binary_search_by_key(&account, |(account, _)| *account).ok()
    }
}

fn sort(entries: &mut [(Address, U256)]) -> Result<(), ListError> {
    entries.sort_unstable_by_key(|(account, _)| *account);
    match entries.windows(2).find_map(|two| match two {
        [(a, _), (b, _)] if a == b => Some(*a),
        _ => None,
    }) {
        Some(twice) => Err(ListError::Twice(twice)),
        None if entries.is_empty() => Err(ListError::Empty),
        None => Ok(()),
    }
}

fn total(entries: &[(Address, U256)]) -> Result<U256, ListError> {
    let sum = entries.iter().try_fold(U256::ZERO, |sum, (_, n)| sum.checked_add(*n));
    sum.filter(|sum| sum.bit_len() <= MOST as usize).ok_or(ListError::TooMuch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn account(n: u64) -> Address {
        Address::left_padding_from(&n.to_be_bytes())
    }

    fn list(entries: &[(u64, u64)]) -> Vec<(Address, U256)> {
        entries.iter().map(|&(a, n)| (account(a), U256::from(n))).collect()
    }

    #[test]
    fn shares_are_rounded_down_and_sums_only_grow() {
        let weights = list(&[(1, 1), (2, 1), (3, 1)]);
        let first = Epoch::share_out(U256::from(100), weights.clone()).unwrap();
        assert_eq!(first.entries(), list(&[(1, 33), (2, 33), (3, 33)]));
        assert_eq!(first.sum(), U256::from(99));
        // What rounding left is part of the next epoch.
        let second = Epoch::share_out(U256::from(102), weights).unwrap();
        assert_eq!(second.due(account(2)), Some(U256::from(34)));
        second.grows_from(&first).unwrap();
        assert!(matches!(first.grows_from(&second), Err(ListError::Shrinks { .. })));
        let third = second.next(list(&[(2, 6), (9, 1)])).unwrap();
        assert_eq!(third.entries(), list(&[(1, 34), (2, 40), (3, 34), (9, 1)]));
        assert!(
            matches!(second.grows_from(&third), Err(ListError::Shrinks { account: a, .. }) if a == account(2))
        );
    }

    #[test]
    fn the_order_of_a_list_does_not_matter() {
        let one = Epoch::new(list(&[(1, 5), (2, 6), (7, 8)])).unwrap();
        let two = Epoch::new(list(&[(7, 8), (1, 5), (2, 6)])).unwrap();
        assert_eq!((one.root(), one.list_hash()), (two.root(), two.list_hash()));
        let again = read_list(one.list().as_bytes()).unwrap();
        assert_eq!(again, one.entries());
        let other = Epoch::new(list(&[(1, 5), (2, 7), (7, 8)])).unwrap();
        assert_ne!(one.root(), other.root());
    }

    /// Nobody on the first line is taken for a head.
    #[test]
    fn lists_of_spreadsheets_lose_nobody() {
        let (a, b) =
            ("0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
        let expected = read_list(format!("{a},1000000\n{b},2\n").as_bytes()).unwrap();
        assert_eq!(expected.len(), 2);
        for text in [
            format!("\u{feff}{a},1000000\r\n{b},2\r\n"),
            format!("\"{a}\",\"1000000\"\n\"{b}\",2\n"),
            format!("\u{feff}\"account\",\"due\"\r\n{a},1000000\r\n\r\n{b},2"),
            format!("{},1000000\n{b},2\n", a.to_lowercase()),
        ] {
            assert_eq!(read_list(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for (text, why) in [
            (format!("{},1000000\n{b},2\n", &a[2..]), "line 1: `70997970C5"),
            (format!("{a};1000000\n{b},2\n"), "line 1"),
            ("account1,due\n".into(), ""),
            (format!("{b},2\n{},1\n", a.replace("7d01", "7D01")), "line 2: `0x70997970C5"),
            (format!("{a},\n"), "line 1: `` is no whole number"),
            (format!("somebody,5\n{b},2\n"), "line 1: `somebody` is no account"),
            (format!("{a},\"1,000\"\n"), "line 1"),
        ] {
            match read_list(text.as_bytes()) {
                Ok(entries) => assert!(why.is_empty() && entries.is_empty(), "{text}"),
                Err(error) => assert!(error.to_string().contains(why), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn lists_that_mean_nothing_are_refused() {
        let a = "0x00000000000000000000000000000000000000aa";
        for (text, why) in [
            (a.to_string(), "line 1: `0x00000000000000000000000000000000000000aa` has no comma"),
            (format!("{a},1\n{a};2"), "line 2"),
            (format!("{a},0x10"), "`0x10` is no whole number"),
            (format!("{a},-1"), "`-1` is no whole number"),
            (format!("{a},1_0"), "`1_0` is no whole number"),
            (format!("{a},"), "`` is no whole number"),
            (format!("{a},{}0", U256::MAX), "is no whole number"),
            ("account,due\n0x12,1".into(), "line 2: `0x12` is no account"),
        ] {
            let error = read_list(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(matches!(Epoch::new(Vec::new()), Err(ListError::Empty)));
        assert!(matches!(Epoch::new(list(&[(1, 1), (1, 2)])), Err(ListError::Twice(_))));
        let much = vec![(account(1), U256::MAX), (account(2), U256::from(1))];
        assert!(matches!(Epoch::new(much), Err(ListError::TooMuch)));
        assert!(matches!(Epoch::share_out(U256::MAX, list(&[(1, 1)])), Err(ListError::TooMuch)));
        assert!(matches!(Epoch::share_out(U256::from(1), list(&[(1, 0)])), Err(ListError::NoWeight)));
    }
}
