//! People and their calls, whichever kind of file they come in.
//!
//! A [`Cohort`] is a VCF text, a BCF, a PLINK 1 or 2 fileset or a BGEN that is read once, from the first variant to the last: up to 64 variants at
//! a time, their calls in a [`Block`] and their names in as many [`Site`]s. Whoever counts, scans or scores is written against
//! it, and does not ask which file there is.
//!
//! ```
//! use histone_genome::cohort::Cohort;
//! use histone_genome::stats::counts;
//! use histone_genome::{plink, vcf};
//!
//! let text = "##fileformat=VCFv4.3\n\
//!     #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n\
//!     22\t16051497\trs1\tA\tG,T\t.\tPASS\t.\tGT\t0|1\t1|2\t./.\n";
//! let mut from_vcf = Cohort::vcf("a.vcf", text.as_bytes(), &vcf::Limits::default())?;
//!
//! let limits = plink::Limits::default();
//! let people = plink::People::read("b.fam", "0 a 0 0 1 -9\n0 b 0 0 2 -9\n0 c 0 0 0 -9\n".as_bytes(), &limits)?;
//! let variants = plink::Variants::read("b.bim", "22 rs1 0 16051497 G A\n".as_bytes(), &limits)?;
//! let bed = [0x6c, 0x1b, 0x01, 0b01_10_10];
//! let mut from_plink = Cohort::plink("b.bed", &bed[..], people, variants)?;
//!
//! for cohort in [&mut from_vcf, &mut from_plink] {
//!     assert_eq!(cohort.samples(), ["a", "b", "c"]);
//!     while let Some((block, sites)) = cohort.read()? {
//!         for (site, counts) in sites.iter().zip(counts::of_block(block)) {
//!             assert_eq!(site.ids, "rs1");
//!             assert_eq!((counts.missing, counts.alternatives()), (1, if site.alternative == "G" { 2 } else { 1 }));
//!         }
//!     }
//! }
//! # Ok::<(), histone_genome::cohort::CohortError>(())
//! ```
//!
//! What a call means is the same for all: copies of the one alternative allele of its site, all other alleles together
//! being the reference; haploid calls as homozygous ones ([`vcf::Blocks`] tells the details). Calls of a BGEN are the whole
//! numbers that its dosages are near to. Dosages beside the calls are given where they are asked for
//! ([`Cohort::with_dosages`]).
//!
//! Deliberately not here: a check of the file ([`vcf::check()`]), and finding out which format a file has.

use std::fmt;
use std::io::BufRead;

use crate::bgen::{self, BgenError, BgenReader, ReferenceAllele};
use crate::genotypes::{Block, GenotypeError, Source};
use crate::plink::{BedReader, People, PlinkError, Sex, Variants};
use crate::plink2::{self, PgenReader, Plink2Error};
use crate::variant::Site;
use crate::vcf::{self, VcfError};

/// What can go wrong with each kind of file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CohortError {
    /// A VCF text or a BCF.
    #[error(transparent)]
    Vcf(#[from] VcfError),
    /// A PLINK fileset.
    #[error(transparent)]
    Plink(#[from] PlinkError),
    /// A PLINK 2 fileset.
    #[error(transparent)]
    Plink2(#[from] Plink2Error),
    /// A BGEN.
    #[error(transparent)]
    Bgen(#[from] BgenError),
    /// Calls that do not fit, or too many of them.
    #[error(transparent)]
    Genotypes(#[from] GenotypeError),
}

/// A set of people and the variants at which they were called.
pub struct Cohort<R> {
    samples: Vec<String>,
    sexes: Vec<Sex>,
    file: File<R>,
}

/// Where the calls come from.
enum File<R> {
    Vcf(Box<vcf::Blocks<R>>),
    Bcf(Box<vcf::bcf::Blocks<R>>),
    Plink(Box<Fileset<R>>),
    Plink2 { people: People, pgen: Box<PgenReader<R>> },
    Bgen { people: Option<People>, bgen: Box<BgenReader<R>> },
}

struct Fileset<R> {
    people: People,
    variants: Variants,
    bed: BedReader<R>,
    /// Variants before the block that was read last.
    read: usize,
    sites: Vec<Site>,
}

impl<R: BufRead> Cohort<R> {
    /// A VCF text, decompressed; `file` names it in errors. Reads the header.
    ///
    /// # Errors
    /// Those of [`vcf::Reader::new`].
    pub fn vcf(file: &str, text: R, limits: &vcf::Limits) -> Result<Self, CohortError> {
        let blocks = vcf::Blocks::new(file, text, limits)?;
        let samples = blocks.header().samples().to_vec();
        Ok(Self { sexes: vec![Sex::Unknown; samples.len()], samples, file: File::Vcf(Box::new(blocks)) })
    }

    /// A BCF, which is what BGZF holds of it; `file` names it in errors. Reads the header.
    ///
    /// # Errors
    /// Those of [`vcf::bcf::Reader::new`].
    pub fn bcf(file: &str, source: R, limits: &vcf::Limits) -> Result<Self, CohortError> {
        let blocks = vcf::bcf::Blocks::new(file, source, limits)?;
        let samples = blocks.header().samples().to_vec();
        Ok(Self { sexes: vec![Sex::Unknown; samples.len()], samples, file: File::Bcf(Box::new(blocks)) })
    }

    /// A BED with the FAM and the BIM that lie beside it; `file` names the BED in errors. Reads the header.
    ///
    /// # Errors
    /// Those of [`BedReader::new`].
    pub fn plink(file: &str, bed: R, people: People, variants: Variants) -> Result<Self, CohortError> {
        let bed = BedReader::new(file, bed, people.len(), variants.len())?;
        let (samples, sexes) = names(&people);
        let fileset = Fileset { people, variants, bed, read: 0, sites: vec![] };
        Ok(Self { samples, sexes, file: File::Plink(Box::new(fileset)) })
    }

    /// A PGEN with what [`plink2::read_people`] and [`plink2::Variants::read`] give of the PSAM and the PVAR beside it; `file`
    /// names the PGEN in errors. Reads the header.
    ///
    /// # Errors
    /// Those of [`PgenReader::new`].
    pub fn plink2(
        file: &str,
        pgen: R,
        people: People,
        variants: plink2::Variants,
        limits: &plink2::Limits,
    ) -> Result<Self, CohortError> {
        let pgen = PgenReader::new(file, pgen, people.len(), variants, limits)?;
        let (samples, sexes) = names(&people);
        Ok(Self { samples, sexes, file: File::Plink2 { people, pgen: Box::new(pgen) } })
    }

    /// A BGEN; `people` are those of the `.sample` file that lies beside it ([`bgen::read_people`]), whose names count then, and
    /// `file` names the BGEN in errors. Reads the header.
    ///
    /// # Errors
    /// Those of [`BgenReader::new`]; another number of people; no names in either file.
    pub fn bgen(
        file: &str,
        bgen: R,
        people: Option<People>,
        reference: ReferenceAllele,
        limits: &bgen::Limits,
    ) -> Result<Self, CohortError> {
        let bgen = Box::new(BgenReader::new(file, bgen, reference, limits)?);
        bgen.check_people(people.as_ref().map(People::len))?;
        let (samples, sexes) = match &people {
            Some(people) => names(people),
            None => {
                let samples = bgen.names().unwrap_or_default().to_vec();
                let sexes = vec![Sex::Unknown; samples.len()];
                (samples, sexes)
            }
        };
        Ok(Self { samples, sexes, file: File::Bgen { people, bgen } })
    }

    /// Gives dosages beside calls, where a variant has them that say more: [`vcf::Blocks::with_dosages`],
    /// [`PgenReader::with_dosages`], [`BgenReader::with_dosages`]. A BED has none.
    #[must_use]
    pub fn with_dosages(self) -> Self {
        let file = match self.file {
            File::Vcf(blocks) => File::Vcf(Box::new(blocks.with_dosages())),
            File::Bcf(blocks) => File::Bcf(Box::new(blocks.with_dosages())),
            File::Plink2 { people, pgen } => File::Plink2 { people, pgen: Box::new(pgen.with_dosages()) },
            File::Bgen { people, bgen } => File::Bgen { people, bgen: Box::new(bgen.with_dosages()) },
            File::Plink(fileset) => File::Plink(fileset),
        };
        Self { file, ..self }
    }

    /// The people in the order of their calls: the header of a VCF, the second field of a FAM, IID or `ID_2`. Of
    /// filesets they are unique within a family only; [`Cohort::people`] has the families.
    #[must_use]
    pub fn samples(&self) -> &[String] {
        &self.samples
    }

    /// The sex of each of them; unknown in a VCF, and in a BGEN without a `.sample` file.
    #[must_use]
    pub fn sexes(&self) -> &[Sex] {
        &self.sexes
    }

    /// Families, parents and founders, where the file has them: filesets, and a BGEN with a `.sample` file.
    #[must_use]
    pub fn people(&self) -> Option<&People> {
        match &self.file {
            File::Vcf(_) | File::Bcf(_) => None,
            File::Plink(fileset) => Some(&fileset.people),
            File::Plink2 { people, .. } => Some(people),
            File::Bgen { people, .. } => people.as_ref(),
        }
    }

    /// The lines above the records of a VCF or BCF.
    #[must_use]
    pub fn header(&self) -> Option<&vcf::Header> {
        match &self.file {
            File::Vcf(blocks) => Some(blocks.header()),
            File::Bcf(blocks) => Some(blocks.header()),
            File::Plink(_) | File::Plink2 { .. } | File::Bgen { .. } => None,
        }
    }

    /// Records of a VCF or BCF without an ALT allele so far, of which there are no variants.
    #[must_use]
    pub fn records_without_alternative(&self) -> u64 {
        match &self.file {
            File::Vcf(blocks) => blocks.records_without_alternative(),
            File::Bcf(blocks) => blocks.records_without_alternative(),
            File::Plink(_) | File::Plink2 { .. } | File::Bgen { .. } => 0,
        }
    }

    /// The next up to 64 variants, one site for each row of the block; `None` after the last one. All blocks but the last are
    /// full, and none is empty.
    ///
    /// # Errors
    /// Those of the reader of the file, and of [`Variants::written`].
    pub fn read(&mut self) -> Result<Option<(&Block, &[Site])>, CohortError> {
        match &mut self.file {
            File::Vcf(blocks) => Ok(blocks.read()?),
            File::Bcf(blocks) => Ok(blocks.read()?),
            File::Plink(fileset) => Ok(fileset.read()?),
            File::Plink2 { pgen, .. } => Ok(pgen.read()?),
            File::Bgen { bgen, .. } => Ok(bgen.read()?),
        }
    }
}

/// Ids and sexes.
fn names(people: &People) -> (Vec<String>, Vec<Sex>) {
    let lines = (0..people.len()).filter_map(|index| people.person(index));
    lines.map(|person| (person.id.to_owned(), person.sex)).unzip()
}

impl<R: BufRead> Fileset<R> {
    fn read(&mut self) -> Result<Option<(&Block, &[Site])>, PlinkError> {
        self.sites.clear();
        let Some(block) = self.bed.next_block()? else { return Ok(None) };
        let until = self.read + block.variants();
        for site in (self.read..until).filter_map(|index| self.variants.written(index)) {
            self.sites.push(site?);
        }
        self.read = until;
        Ok(Some((block, &self.sites)))
    }
}

/// The calls alone.
impl<R: BufRead> Source for Cohort<R> {
    type Error = CohortError;

    fn samples(&self) -> usize {
        self.samples.len()
    }

    fn next_block(&mut self) -> Result<Option<&Block>, CohortError> {
        Ok(self.read()?.map(|(block, _)| block))
    }
}

impl<R> fmt::Debug for Cohort<R> {
    /// Without the names of the people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.file {
            File::Vcf(_) => "VCF",
            File::Bcf(_) => "BCF",
            File::Plink(_) => "PLINK",
            File::Plink2 { .. } => "PLINK 2",
            File::Bgen { .. } => "BGEN",
        };
        f.debug_struct("Cohort")
            .field("kind", &kind)
            .field("samples", &self.samples.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::plink::Limits;

    fn fileset(bim: &str, bed: &'static [u8]) -> Cohort<&'static [u8]> {
        let people = People::read("a.fam", "f a 0 0 1 -9\ng a 0 0 2 -9\n".as_bytes(), &Limits::default());
        let variants = Variants::read("a.bim", bim.as_bytes(), &Limits::default());
        Cohort::plink("a.bed", bed, people.unwrap(), variants.unwrap()).unwrap()
    }

    #[test]
    fn sites_go_with_the_rows_of_a_fileset() {
        let bim: String = (1..=70).map(|n| format!("0 rs{n} 0 {} A 0\n", n - 1)).collect();
        let mut bed = vec![0x6c, 0x1b, 0x01];
        bed.extend((0..70).map(|n| n % 16));
        let mut cohort = fileset(&bim, bed.leak());
        assert_eq!(
            (cohort.samples(), cohort.sexes()),
            (&["a".into(), "a".into()][..], &[Sex::Male, Sex::Female][..])
        );
        let mut found = vec![];
        while let Some((block, sites)) = cohort.read().unwrap() {
            assert_eq!(block.variants(), sites.len());
            found.extend(sites.iter().map(|site| (site.line, site.ids.clone(), site.position)));
        }
        assert_eq!(found, (1..=70).map(|n| (n, format!("rs{n}"), n - 1)).collect::<Vec<_>>());
    }

    #[test]
    fn a_position_that_is_no_number_is_refused_with_its_line() {
        let mut cohort = fileset("1 a 0 5 A C\n1 b 0 -5 A C\n", &[0x6c, 0x1b, 0x01, 0, 0]);
        let error = cohort.read().unwrap_err().to_string();
        assert!(error.starts_with("a.bim, line 2: field 4: the position is not a whole number"), "{error}");
    }
}
