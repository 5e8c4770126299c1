//! A simulated cohort as files: a PLINK fileset, phenotypes, and the truth.

use std::io::{self, Write};

use super::{SEXES, SimulatedCohort};
use crate::plink::{BedWriter, Limits, People, PlinkError, Variants};
use crate::variant::Label;

/// First line of the tables.
const NOTE: &str = "## SIMULATED: no person and no measurement stands behind these numbers";

impl SimulatedCohort {
    /// The people as a FAM: parents of children in the family, no phenotype.
    ///
    /// # Errors
    /// None that a simulated cohort can have.
    pub fn people(&self) -> Result<People, PlinkError> {
        let mut text = String::new();
        let first_child = self.samples.len() - 2 * self.families;
        for (index, (sample, sex)) in self.samples.iter().zip(&self.sexes).enumerate() {
            let sex = if *sex == SEXES[0] { 1 } else { 2 };
            let line = match index.checked_sub(first_child) {
                Some(child) => {
                    let family = child / 2;
                    let [father, mother] = [&self.samples[2 * family], &self.samples[2 * family + 1]];
                    format!("F{family}\t{sample}\t{father}\t{mother}\t{sex}\t-9\n")
                }
                None if index < 2 * self.families => format!("F{}\t{sample}\t0\t0\t{sex}\t-9\n", index / 2),
                None => format!("0\t{sample}\t0\t0\t{sex}\t-9\n"),
            };
            text += &line;
        }
        let all = Limits { bytes: usize::MAX, line_bytes: usize::MAX, lines: usize::MAX };
        People::read("simulated.fam", text.as_bytes(), &all)
    }

    /// The variants as a BIM.
    ///
    /// # Errors
    /// None that a simulated cohort can have.
    pub fn bim(&self) -> Result<Variants, PlinkError> {
        let labels: Vec<Label> =
            (0..self.variants.len()).map(|index| Label::new(&super::label(index))).collect();
        Variants::of("simulated.bim", self.variants.iter().zip(&labels))
    }

    /// Writes the calls as a BED.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write_bed<W: Write>(&self, output: W) -> io::Result<W> {
        let mut bed = BedWriter::new(output)?;
        self.genotypes.blocks().iter().try_for_each(|block| bed.write(block))?;
        Ok(bed.finish())
    }

    /// Writes a table of phenotypes: `#IID`, `SEX` (1 male, 2 female), `AGE`, `POPULATION`, `SIMULATED_QT`, `SIMULATED_CC`
    /// (1 control, 2 case), below a line that says what it is.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write_phenotypes(&self, mut output: impl Write) -> io::Result<()> {
        writeln!(output, "{NOTE}\n#IID\tSEX\tAGE\tPOPULATION\tSIMULATED_QT\tSIMULATED_CC")?;
        for (index, sample) in self.samples.iter().enumerate() {
            writeln!(
                output,
                "{sample}\t{}\t{}\tPOP{}\t{:.6}\t{}",
                if self.sexes[index] == SEXES[0] { 1 } else { 2 },
                self.ages[index],
                self.populations[index],
                self.quantitative[index],
                if self.cases[index] { 2 } else { 1 },
            )?;
        }
        Ok(())
    }

    /// Writes the causal variants: `#ID`, `CHROM`, `POS`, `REF`, `ALT`, `EFFECT` of a copy of ALT.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write_truth(&self, mut output: impl Write) -> io::Result<()> {
        writeln!(output, "{NOTE}\n#ID\tCHROM\tPOS\tREF\tALT\tEFFECT")?;
        for causal in &self.causal {
            let variant = &self.variants[causal.variant];
            let (chromosome, position) = (variant.chromosome(), variant.position());
            let (reference, alternative) = (variant.reference(), variant.alternative());
            let label = super::label(causal.variant);
            writeln!(
                output,
                "{label}\t{chromosome}\t{position}\t{reference}\t{alternative}\t{:.6}",
                causal.effect
            )?;
        }
        Ok(())
    }
}
