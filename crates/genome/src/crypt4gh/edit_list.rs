//! Which parts of the text a reader is given.

use std::ops::Range;

/// Lengths in bytes that are in turn discarded and kept. After a last discarded length everything is kept, after a last
/// kept length nothing; an empty list keeps everything (specification, section "Edit List").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditList(Vec<u64>);

impl EditList {
    /// Lengths that a list may have; what is longer is refused when written and when read.
    pub const MAX_LENGTHS: usize = 65_536;

    /// Takes lengths as they stand in a file: discard, keep, discard, and so on.
    #[must_use]
    pub fn new(lengths: Vec<u64>) -> Self {
        Self(lengths)
    }

    /// The list that keeps ranges of the text. `None` when they are not in order or overlap.
    #[must_use]
    pub fn keeping(ranges: &[Range<u64>]) -> Option<Self> {
        let mut at = 0;
        let mut lengths = Vec::with_capacity(ranges.len().saturating_mul(2));
        for range in ranges {
            lengths.push(range.start.checked_sub(at)?);
            lengths.push(range.end.checked_sub(range.start)?);
            at = range.end;
        }
        // An empty list would keep everything.
        if lengths.is_empty() {
            lengths.extend([0, 0]);
        }
        Some(Self(lengths))
    }

    /// The lengths.
    #[must_use]
    pub fn lengths(&self) -> &[u64] {
        &self.0
    }

    /// What is kept, as ranges of the text: in order, not empty, not touching. The end `u64::MAX` stands for the end of
    /// the text; sums of lengths beyond it end there as well.
    #[must_use]
    pub fn kept(&self) -> Vec<Range<u64>> {
        let mut kept: Vec<Range<u64>> = vec![];
        let mut at = 0_u64;
        let mut keep = |range: Range<u64>| match kept.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => kept.push(range),
        };
        for pair in self.0.chunks(2) {
            at = at.saturating_add(pair.first().copied().unwrap_or(0));
            let end = pair.get(1).map_or(u64::MAX, |length| at.saturating_add(*length));
            keep(at..end);
            at = end;
        }
        if self.0.is_empty() {
            keep(0..u64::MAX);
        }
        kept
    }
}

/// What a reader is given when there may be no list.
pub(super) fn kept(list: Option<&EditList>) -> Vec<Range<u64>> {
    list.map_or_else(|| EditList(vec![]).kept(), EditList::kept)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    fn check(lengths: &[u64], expected: &[Range<u64>]) {
        assert_eq!(EditList::new(lengths.to_vec()).kept(), expected, "{lengths:?}");
    }

    #[test]
    fn lengths_give_ranges() {
        const END: u64 = u64::MAX;
        check(&[], &[0..END]);
        check(&[0], &[0..END]);
        check(&[5], &[5..END]);
        check(&[0, 3], &[0..3]);
        check(&[1, 2, 3, 4], &[1..3, 6..10]);
        check(&[1, 2, 3], &[1..3, 6..END]);
        check(&[1, 2, 0, 4], &[1..7]);
        check(&[1, 0, 2, 4], &[3..7]);
        check(&[0, 0], &[]);
        check(&[END, END, END, 7], &[]);
        check(&[3, END, 1, 1], &[3..END]);
        // The example of the specification.
        check(&[0, 7853, 71721, 307_929, 51299, 38], &[0..7853, 79574..387_503, 438_802..438_840]);
    }

    #[test]
    fn ranges_give_lengths() {
        assert_eq!(EditList::keeping(&[2..5, 9..10]), Some(EditList::new(vec![2, 3, 4, 1])));
        assert_eq!(EditList::keeping(&[]).map(|list| list.kept()), Some(vec![]));
        assert_eq!(EditList::keeping(&[2..5, 4..10]), None);
        #[allow(clippy::reversed_empty_ranges)]
        let backward = EditList::keeping(&[5..2]);
        assert_eq!(backward, None);
    }
}
