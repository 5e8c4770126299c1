//! Calls of a VCF text in blocks of 64 variants, each with its site.

use std::fmt;
use std::io::BufRead;
use std::ops::Range;

use super::error::VcfError;
use super::rows::Rows;
use super::{Header, Limits, Reader, Record};
use crate::genotypes::{Block, Dosages, Source};
use crate::variant::Site;

/// Packs the calls of a VCF text, block by block.
///
/// **One variant for each ALT allele, against all others.** A record with several ALT alleles becomes as many variants, in
/// the order of ALT. The code of each counts copies of its allele; the other ALT alleles of the record count as the reference
/// does, so that a call `1/2` has one copy of each. (`bcftools norm --multiallelics -` splits records this way, too.) An
/// allele `*` or `<NAME>` is a variant like any other, with its text. A record whose ALT is a dot has no variant: it is
/// passed over and counted.
///
/// **A haploid call is written as a homozygous one**, 0 or 2 copies, as PLINK does: so men look alike on X, whichever file
/// they come from. A call of which one allele is missing is missing. Phase is not kept.
///
/// In memory are one line, one block and its sites.
pub struct Blocks<R> {
    reader: Reader<R>,
    rows: Rows,
    /// ALT alleles, from 0, of the record that was read last which are not packed yet: a block may end within a record.
    pending: Range<usize>,
    passed_over: u64,
}

impl<R: BufRead> Blocks<R> {
    /// Reads the header. `file` is the name that errors carry.
    ///
    /// # Errors
    /// Those of [`Reader::new`].
    pub fn new(file: &str, reader: R, limits: &Limits) -> Result<Self, VcfError> {
        let reader = Reader::new(file, reader, limits)?;
        let rows = Rows::new(reader.header().samples().len());
        Ok(Self { reader, rows, pending: 0..0, passed_over: 0 })
    }

    /// Gives the dosages of DS, or with one ALT allele of GP, beside the calls of records that have them. A record without
    /// GT gets the calls that its dosages are within [`HARD_CALL_DISTANCE`](crate::genotypes::HARD_CALL_DISTANCE) of; a
    /// person with a haploid call has no dosage beside it.
    #[must_use]
    pub fn with_dosages(mut self) -> Self {
        self.rows.dosages_wanted = Dosages::Read;
        self
    }

    /// What the lines above the records say.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Records without an ALT allele so far, of which there are no variants.
    pub fn records_without_alternative(&self) -> u64 {
        self.passed_over
    }

    /// The next up to 64 variants and where they are, one site for each row of the block; `None` after the last one.
    ///
    /// # Errors
    /// Those of [`Reader::read`] and [`Record::homozygous_calls`]; a record without GT is
    /// [`Malformed`](VcfError::Malformed), [`FormatGtMissing`](super::Rule::FormatGtMissing), and one with more than 65,536
    /// ALT alleles is [`TooManyEntries`](super::Rule::TooManyEntries).
    pub fn read(&mut self) -> Result<Option<(&Block, &[Site])>, VcfError> {
        Ok(self.fill()?.then_some((&self.rows.block, &self.rows.sites)))
    }

    /// False when nothing is left.
    fn fill(&mut self) -> Result<bool, VcfError> {
        self.rows.clear();
        while !self.rows.block.is_full() {
            let record = if self.pending.is_empty() {
                let Some(record) = self.reader.read()? else { break };
                self.pending = 0..record.count_alternatives()?;
                self.passed_over += u64::from(self.pending.is_empty());
                record
            } else {
                self.reader.again()?
            };
            for (index, alternative) in record.alternatives().enumerate().skip(self.pending.start) {
                if self.rows.block.is_full() {
                    break;
                }
                let site = site(&record, alternative);
                self.rows.push(&record, index + 1, self.pending.end, site)?;
                self.pending.start += 1;
            }
        }
        Ok(self.rows.block.variants() != 0)
    }
}

fn site(record: &Record<'_>, alternative: &str) -> Site {
    Site {
        line: record.line(),
        chromosome: record.chromosome().to_owned(),
        position: record.position(),
        ids: record.ids().to_owned(),
        reference: record.reference().to_owned(),
        alternative: alternative.to_owned(),
    }
}

impl<R: BufRead> Source for Blocks<R> {
    type Error = VcfError;

    fn samples(&self) -> usize {
        self.rows.block.samples()
    }

    fn next_block(&mut self) -> Result<Option<&Block>, VcfError> {
        Ok(self.fill()?.then_some(&self.rows.block))
    }
}

impl<R> fmt::Debug for Blocks<R> {
    /// Without lines and calls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("block", &self.rows.block).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HEAD: &str =
        "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n";

    fn blocks(records: &str) -> Blocks<std::io::Cursor<String>> {
        Blocks::new("a.vcf", std::io::Cursor::new(format!("{HEAD}{records}")), &Limits::default()).unwrap()
    }

    #[test]
    fn each_alternative_against_all_others() {
        let mut blocks = blocks(
            "1\t5\trs1;x\tA\tC,<DEL>,*\t.\t.\t.\tGT\t1/2\t0/3\t3/3\n\
             1\t6\t.\tA\t.\t.\t.\t.\tGT\t0/0\t0/0\t0/0\n\
             X\t7\t.\tA\tT\t.\t.\t.\tGT:DP\t1:3\t.:.\t0|1\n",
        );
        let (block, sites) = blocks.read().unwrap().unwrap();
        assert_eq!(block.words(), [0b00_00_01, 0b00_00_01, 0b10_01_00, 0b01_11_10]);
        let shown: Vec<String> = sites
            .iter()
            .map(|s| {
                let Site { line, chromosome, position, ids, reference, alternative } = s;
                format!("{line} {chromosome}:{position} {ids} {reference} {alternative}")
            })
            .collect();
        assert_eq!(shown, ["3 1:5 rs1;x A C", "3 1:5 rs1;x A <DEL>", "3 1:5 rs1;x A *", "5 X:7 . A T"]);
        assert!(blocks.read().unwrap().is_none());
        assert_eq!(blocks.records_without_alternative(), 1);
        assert!(blocks.read().unwrap().is_none());
    }

    #[test]
    fn dosages_stand_beside_calls() {
        let mut blocks = blocks(
            "X\t5\t.\tA\tC\t.\t.\t.\tGT:DS\t0/1:1.25\t1:0.75\t0/0:.\n\
             X\t6\t.\tA\tC\t.\t.\t.\tGP\t0.125,0.875\t0,0.0625,0.9375\t.\n\
             X\t7\t.\tA\tC,T\t.\t.\t.\tDS:DP\t0.5,1.5:1\t0,0:1\t2,0:1\n\
             X\t8\t.\tA\tC\t.\t.\t.\tGT:DS\t0/1:1\t1/1:2\t0/0:0\n",
        )
        .with_dosages();
        let (block, _) = blocks.read().unwrap().unwrap();
        let one = i32::from(crate::genotypes::DOSAGE_ONE);
        let quarters = |variant| {
            block.dosages(variant).map(|row| row.iter().map(|d| i32::from(*d) * 16 / one).collect::<Vec<_>>())
        };
        // In sixteenths; 63 is missing, as that of a haploid call always is.
        assert_eq!(quarters(0), Some(vec![20, 63, 63]));
        assert_eq!(quarters(1), Some(vec![28, 31, 63]));
        assert_eq!(quarters(2), Some(vec![8, 0, 32]));
        assert_eq!(quarters(3), Some(vec![24, 0, 0]));
        assert_eq!(quarters(4), None);
        assert_eq!(block.words(), [0b00_10_01, 0b11_10_11, 0b10_00_11, 0b00_00_11, 0b00_10_01]);
    }

    #[test]
    fn a_block_may_end_within_a_record() {
        let bases = |count: usize| (1..=count).map(|n| "C".repeat(n)).collect::<Vec<_>>().join(",");
        let record =
            |count| format!("1\t5\t.\tA\t{}\t.\t.\t.\tGT\t0/1\t{count}/{count}\t./.\n", bases(count));
        let mut blocks = blocks(&[record(63), record(130), record(1)].concat());
        let mut found = vec![];
        let mut sizes = vec![];
        while let Some((block, sites)) = blocks.read().unwrap() {
            sizes.push(sites.len());
            assert_eq!(block.variants(), sites.len());
            found.extend(
                sites.iter().zip(block.words()).map(|(s, word)| (s.line, s.alternative.len(), *word)),
            );
        }
        assert_eq!(sizes, [64, 64, 64, 2]);
        let expected = [(3, 63), (4, 130), (5, 1)].into_iter().flat_map(|(line, count)| {
            (1..=count).map(move |n| {
                let second = if n == count { 2 } else { 0 };
                (line, n, 0b11_00_00 | second << 2 | u64::from(n == 1))
            })
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[test]
    fn records_without_calls_are_refused() {
        let mut blocks = blocks(
            "1\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/1\t0/1\n\
             1\t6\t.\tA\tC\t.\t.\t.\tDP\t1\t1\t1\n",
        );
        let error = blocks.read().unwrap_err().to_string();
        assert!(error.starts_with("a.vcf, line 4, column 17 (FORMAT)"), "{error}");
        assert!(error.ends_with("[format-gt-missing]"), "{error}");
    }

    #[test]
    fn absurd_numbers_of_alleles_are_refused() {
        let record = format!("1\t5\t.\tA\t{}C\t.\t.\t.\tGT\t0/1\t0/1\t0/1\n", "C,".repeat(65_536));
        let error = blocks(&record).read().unwrap_err().to_string();
        assert!(error.starts_with("a.vcf, line 3, column 9 (ALT)"), "{error}");
        assert!(error.ends_with("[too-many-entries]"), "{error}");
    }
}
