//! What stands before the probabilities of a variant: names, place and alleles.

use std::io::Read;

use super::error::{BgenError, BgenProblem};
use super::{Limits, ReferenceAllele};
use crate::input::Input;
use crate::variant::Site;

/// Names, place and alleles of one variant.
#[derive(Default)]
pub(super) struct Variant {
    ids: String,
    chromosome: String,
    position: u64,
    alleles: Vec<String>,
}

/// UTF-8 without control characters, which would break lines and cells of whatever is written of it.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

/// A reader of the pieces of a variant, which knows its number for errors.
pub(super) struct Pieces<'a, R> {
    pub(super) input: &'a mut Input<R>,
    /// From 1.
    pub(super) record: u64,
}

impl<R: Read> Pieces<'_, R> {
    pub(super) fn refuse(&self, problem: BgenProblem) -> BgenError {
        let (file, offset) = (self.input.file.clone(), self.input.offset);
        BgenError::Record { file, record: self.record, offset, problem }
    }

    pub(super) fn take(&mut self, count: u64, what: &'static str) -> Result<&[u8], BgenError> {
        if (self.input.fill(count)? as u64) < count {
            return Err(self.refuse(BgenProblem::Truncated(what)));
        }
        Ok(&self.input.bytes)
    }

    fn short(&mut self) -> Result<u16, BgenError> {
        Ok(self.take(2, NAMES)?.first_chunk::<2>().copied().map_or(0, u16::from_le_bytes))
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u32, BgenError> {
        Ok(self.take(4, what)?.first_chunk::<4>().copied().map_or(0, u32::from_le_bytes))
    }

    fn text(&mut self, length: u64) -> Result<String, BgenError> {
        let found = text(self.take(length, NAMES)?).map(str::to_owned);
        found.ok_or_else(|| self.refuse(BgenProblem::Text))
    }

    /// Everything before the size of the probabilities.
    pub(super) fn variant(&mut self, limits: &Limits) -> Result<Variant, BgenError> {
        let [own, rs, chromosome] = [self.name()?, self.name()?, self.name()?];
        let position = u64::from(self.number(NAMES)?);
        let count = usize::from(self.short()?);
        if count < 2 {
            return Err(self.refuse(BgenProblem::FewAlleles(count)));
        }
        if count > limits.alleles {
            return Err(self.refuse(BgenProblem::TooLarge { what: "alleles", limit: limits.alleles }));
        }
        let mut alleles = vec![];
        for _ in 0..count {
            let length = self.number(NAMES)?;
            if length as usize > limits.allele_bytes {
                let problem =
                    BgenProblem::TooLarge { what: "bytes in an allele", limit: limits.allele_bytes };
                return Err(self.refuse(problem));
            }
            let allele = self.text(length.into())?;
            if allele.is_empty() {
                return Err(self.refuse(BgenProblem::Text));
            }
            alleles.push(allele);
        }
        let ids = [rs, own].into_iter().find(|id| !id.is_empty()).unwrap_or_else(|| ".".to_owned());
        Ok(Variant { ids, chromosome, position, alleles })
    }

    fn name(&mut self) -> Result<String, BgenError> {
        let length = self.short()?;
        self.text(length.into())
    }
}

const NAMES: &str = "names and alleles";

impl Variant {
    pub(super) fn alleles(&self) -> usize {
        self.alleles.len()
    }

    /// The index of the n-th allele, from 0, that is not the reference one.
    pub(super) fn alternative(&self, reference: ReferenceAllele, index: usize) -> usize {
        match reference {
            ReferenceAllele::First => index + 1,
            ReferenceAllele::Last => index,
        }
    }

    /// The site of an allele; `record` takes the place of a line.
    pub(super) fn site(&self, record: u64, reference: ReferenceAllele, allele: usize) -> Site {
        let of_reference = match reference {
            ReferenceAllele::First => self.alleles.first(),
            ReferenceAllele::Last => self.alleles.last(),
        };
        Site {
            line: record,
            chromosome: self.chromosome.clone(),
            position: self.position,
            ids: self.ids.clone(),
            reference: of_reference.cloned().unwrap_or_default(),
            alternative: self.alleles.get(allele).cloned().unwrap_or_default(),
        }
    }
}
