//! The rows of one site, as a program sees them: in numbered blocks, so that more than fits into its memory can be read.

use crate::genotypes::Genotypes;
use crate::refusal::Refusal;
use crate::wire::{Reader, Writer};

/// Some rows of a site.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// Columns of a row.
    pub columns: usize,
    /// A number of [0, 1) for each row, which decides who is held out. It follows from the row alone: no salt, order or plan makes
    /// another one, but whoever changes the row does.
    pub draws: Vec<f64>,
    /// `draws.len() * columns` values, row by row; NaN = missing.
    pub values: Vec<f64>,
}

impl Block {
    /// The rows, each with its draw.
    pub fn rows(&self) -> impl Iterator<Item = (f64, &[f64])> {
        self.draws.iter().copied().zip(self.values.chunks_exact(self.columns.max(1)))
    }

    /// The bytes that the host offers.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u32(self.columns as u32).f64s(&self.draws).f64s(&self.values);
        w.0
    }

    /// Reads a block; its shape fits when this succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut r = Reader::new(bytes);
        let block = Block { columns: r.u32()? as usize, draws: r.f64s()?, values: r.f64s()? };
        r.end()?;
        let fits =
            block.columns > 0 && block.draws.len().checked_mul(block.columns) == Some(block.values.len());
        if fits { Ok(block) } else { Err(Refusal::Malformed) }
    }
}

/// What is done with a row: its draw and its values.
pub type EachRow<'a> = dyn FnMut(f64, &[f64]) -> Result<(), Refusal> + 'a;

/// All rows of a site.
pub trait Data {
    /// How many blocks there are.
    fn blocks(&self) -> usize;

    /// One of them, from 0.
    fn block(&self, number: usize) -> Result<Block, Refusal>;

    /// How many blocks of genotypes there are.
    fn genotype_blocks(&self) -> usize {
        0
    }

    /// One of them, from 0: some variants of all people, who are in the order of the rows.
    fn genotypes(&self, _number: usize) -> Result<Genotypes, Refusal> {
        Err(Refusal::Malformed)
    }

    /// Calls `row(draw, values)` for every row in order.
    fn each(&self, columns: usize, row: &mut EachRow<'_>) -> Result<(), Refusal> {
        for number in 0..self.blocks() {
            let block = self.block(number)?;
            if block.columns != columns {
                return Err(Refusal::Malformed);
            }
            for (draw, values) in block.rows() {
                row(draw, values)?;
            }
        }
        Ok(())
    }
}

/// Rows and genotypes in memory.
impl Data for (Vec<Block>, Vec<Genotypes>) {
    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn block(&self, number: usize) -> Result<Block, Refusal> {
        self.0.block(number)
    }

    fn genotype_blocks(&self) -> usize {
        self.1.len()
    }

    fn genotypes(&self, number: usize) -> Result<Genotypes, Refusal> {
        self.1.get(number).cloned().ok_or(Refusal::Malformed)
    }
}

/// Rows in memory: for tests, and for a host that has them all.
impl Data for Vec<Block> {
    fn blocks(&self) -> usize {
        self.len()
    }

    fn block(&self, number: usize) -> Result<Block, Refusal> {
        self.get(number).cloned().ok_or(Refusal::Malformed)
    }
}
