//! Rows of a block, from records of either form of the format.

use super::calls::PhasedCalls;
use super::error::VcfError;
use crate::genotypes::{Block, DOSAGE_MISSING, DOSAGE_ONE, Dosages};
use crate::variant::Site;

/// What a row is made of.
pub(super) trait Columns {
    fn has_calls(&self) -> bool;
    fn has_dosages(&self, alternatives: usize) -> bool;
    fn homozygous_calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError>;
    fn phased_calls(&self, alternative: usize, calls: &mut PhasedCalls) -> Result<(), VcfError>;
    fn homozygous_dosages(&self, alternative: usize, dosages: &mut Vec<f32>) -> Result<(), VcfError>;
}

/// A block that is being filled, and its sites.
pub(super) struct Rows {
    pub(super) block: Block,
    pub(super) sites: Vec<Site>,
    pub(super) dosages_wanted: Dosages,
    codes: Vec<u64>,
    calls: PhasedCalls,
    floats: Vec<f32>,
    dosages: Vec<u16>,
}

impl Rows {
    pub(super) fn new(samples: usize) -> Self {
        Self {
            block: Block::new(samples),
            sites: vec![],
            dosages_wanted: Dosages::Ignored,
            codes: vec![],
            calls: PhasedCalls::default(),
            floats: vec![],
            dosages: vec![],
        }
    }

    pub(super) fn clear(&mut self) {
        self.block.clear();
        self.sites.clear();
    }

    /// Adds the row of one ALT allele, from 1.
    pub(super) fn push(
        &mut self,
        record: &impl Columns,
        alternative: usize,
        alternatives: usize,
        site: Site,
    ) -> Result<(), VcfError> {
        let has_dosages = self.dosages_wanted == Dosages::Read && record.has_dosages(alternatives);
        if has_dosages {
            record.homozygous_dosages(alternative, &mut self.floats)?;
            self.dosages.clear();
            // From 0 to 2, or NaN.
            self.dosages.extend(self.floats.iter().map(|dosage| match dosage.is_nan() {
                true => DOSAGE_MISSING,
                false => (dosage * f32::from(DOSAGE_ONE)).round() as u16,
            }));
        }
        if has_dosages && !record.has_calls() {
            self.block.push_hard_calls(&self.dosages)?;
        } else {
            record.homozygous_calls(alternative, &mut self.codes)?;
            self.block.push_row(&self.codes)?;
        }
        if has_dosages {
            if record.has_calls() {
                // Programs count haploid dosages up to one or up to two: there the call says more.
                record.phased_calls(alternative, &mut self.calls)?;
                for (sample, dosage) in self.dosages.iter_mut().enumerate() {
                    if self.calls.haploid.get(sample / 64).is_some_and(|word| word >> (sample % 64) & 1 == 1)
                    {
                        *dosage = DOSAGE_MISSING;
                    }
                }
            }
            self.block.add_dosages(&self.dosages)?;
        }
        self.sites.push(site);
        Ok(())
    }
}
