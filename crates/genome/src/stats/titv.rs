//! Transitions to transversions: about 2 to 2.5 over a human genome, about 0.5 in random letters.

use crate::variant::Variant;

/// Transitions (A↔G, C↔T) and transversions among variants of one base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TiTv {
    /// A↔G and C↔T.
    pub transitions: u64,
    /// The other changes of one base.
    pub transversions: u64,
}

impl TiTv {
    /// Counts the variants of one base; the others are passed over.
    pub fn of<'a>(variants: impl IntoIterator<Item = &'a Variant>) -> Self {
        let mut counts = Self::default();
        for variant in variants {
            match variant.is_transition() {
                Some(true) => counts.transitions += 1,
                Some(false) => counts.transversions += 1,
                None => {}
            }
        }
        counts
    }

    /// The ratio; `None` without transversions.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.transversions > 0).then(|| self.transitions as f64 / self.transversions as f64)
    }
}
