//! Correlations of neighboring variants.

use super::TrainingError;
use crate::genotypes::{Block, SampleSet};
use crate::ld::Linkage;
use crate::variant::Site;

/// Correlations within blocks of variants that follow each other on one chromosome.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    blocks: Vec<Correlations>,
}

/// The correlations of one block.
#[derive(Clone, Debug)]
pub(super) struct Correlations {
    size: usize,
    /// Row by row, 1 on the diagonal; 0 for a variant that does not vary, also there.
    entries: Vec<f64>,
}

impl Correlations {
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn row(&self, place: usize) -> &[f64] {
        &self.entries[place * self.size..(place + 1) * self.size]
    }

    pub(super) fn get(&self, first: usize, second: usize) -> f64 {
        self.row(first)[second]
    }

    pub(super) fn varies(&self, place: usize) -> bool {
        self.get(place, place) != 0.0
    }
}

impl Panel {
    /// Variants, in the order in which they came.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.blocks.iter().map(Correlations::size).sum()
    }

    pub(super) fn blocks(&self) -> &[Correlations] {
        &self.blocks
    }
}

/// A panel, as variants come.
#[derive(Debug)]
pub struct PanelBuilder {
    people: SampleSet,
    block: usize,
    chromosome: Option<String>,
    pending: Vec<Linkage>,
    panel: Panel,
}

impl PanelBuilder {
    /// Correlations among `people`, in blocks of at most so many variants; a block keeps 8 bytes for each pair.
    ///
    /// # Errors
    /// [`TrainingError::Rule`] for blocks of no variant.
    pub fn new(people: SampleSet, block: usize) -> Result<Self, TrainingError> {
        if block == 0 {
            return Err(TrainingError::Rule { what: "the size of a block", range: "at least one variant" });
        }
        Ok(Self { people, block, chromosome: None, pending: vec![], panel: Panel::default() })
    }

    /// Adds the variants of a block for which `choose` is true, by their place in the block.
    ///
    /// # Errors
    /// [`TrainingError::Block`].
    pub fn add(
        &mut self,
        block: &Block,
        sites: &[Site],
        choose: impl Fn(usize) -> bool,
    ) -> Result<(), TrainingError> {
        let (people, samples, variants) = (block.samples(), self.people.samples(), block.variants());
        if people != samples || sites.len() != variants {
            return Err(TrainingError::Block { people, sites: sites.len(), samples, variants });
        }
        for (_, (row, site)) in block.rows().zip(sites).enumerate().filter(|(variant, _)| choose(*variant)) {
            if self.pending.len() == self.block || self.chromosome.as_ref() != Some(&site.chromosome) {
                self.end_block();
                self.chromosome = Some(site.chromosome.clone());
            }
            self.pending.push(Linkage::new(row, &self.people));
        }
        Ok(())
    }

    /// The panel.
    #[must_use]
    pub fn finish(mut self) -> Panel {
        self.end_block();
        self.panel
    }

    fn end_block(&mut self) {
        let variants = std::mem::take(&mut self.pending);
        let size = variants.len();
        if size == 0 {
            return;
        }
        let mut entries = vec![0.0; size * size];
        for (i, first) in variants.iter().enumerate() {
            entries[i * size + i] = if first.is_constant() { 0.0 } else { 1.0 };
            for (j, second) in variants.iter().enumerate().skip(i + 1) {
                let r = first.pair(second).r().unwrap_or(0.0);
                entries[i * size + j] = r;
                entries[j * size + i] = r;
            }
        }
        self.panel.blocks.push(Correlations { size, entries });
    }
}
