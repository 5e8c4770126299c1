//! A reference sequence from FASTA text, and what it says of a variant.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use crate::assembly::{Chromosome, Position};
use crate::variant::{Agreement, Reference, Variant};

/// Why a text is no sequence that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// Letters before the first `>`.
    #[error("{file}, line {line}: letters come before the first line with `>`; is this FASTA text?")]
    NoName {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
    },
    /// Something that is no letter of a sequence.
    #[error(
        "{file}, line {line}, column {column}: the byte is no letter of a sequence; unpack the file first if it is compressed"
    )]
    Letter {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
    },
    /// A chromosome for the second time.
    #[error("{file}, line {line}: this chromosome came before; hand in a file with one sequence of each")]
    Twice {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
    },
    /// More than the caller allows.
    #[error(
        "{file}: the sequences that were asked for have more than {limit} letters; raise the limit if this is meant"
    )]
    TooLarge {
        /// Name of the file.
        file: String,
        /// Letters allowed.
        limit: usize,
    },
    /// A line of a name that is longer than any.
    #[error("{file}, line {line}: the name is longer than {limit} bytes")]
    Long {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// The text could not be read.
    #[error("{file} cannot be read")]
    Io {
        /// Name of the file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

const MOST_NAME: usize = 1 << 16;

/// Chromosomes in memory, one byte a base.
pub struct Sequence {
    chromosomes: HashMap<Chromosome, Vec<u8>>,
}

impl Sequence {
    /// Reads the chromosomes that are `wanted` from FASTA text; `file` names it in errors. The first word behind `>` names a
    /// sequence; those that are no chromosome are passed over. `limit` bounds the letters that are kept.
    ///
    /// # Errors
    /// [`SequenceError`].
    pub fn read(
        file: &str,
        input: impl Read,
        wanted: impl Fn(Chromosome) -> bool,
        limit: usize,
    ) -> Result<Self, SequenceError> {
        let mut input = BufReader::new(input);
        let mut chromosomes: HashMap<Chromosome, Vec<u8>> = HashMap::new();
        let mut name: Option<Vec<u8>> = None;
        // `None` before the first name, `Some(None)` in a sequence that is not kept.
        let mut current: Option<Option<Chromosome>> = None;
        let (mut line, mut column, mut letters) = (1_u64, 0_usize, 0_usize);
        let file = || file.to_owned();
        loop {
            let chunk = input.fill_buf().map_err(|source| SequenceError::Io { file: file(), source })?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len();
            for byte in chunk {
                column += 1;
                match (byte, &mut name) {
                    (b'\n', open) => {
                        if let Some(text) = open.take() {
                            current = Some(chromosome_of(&text).filter(|chromosome| wanted(*chromosome)));
                            if let Some(Some(chromosome)) = current
                                && chromosomes.insert(chromosome, vec![]).is_some()
                            {
                                return Err(SequenceError::Twice { file: file(), line });
                            }
                        }
                        line += 1;
                        column = 0;
                    }
                    (_, Some(text)) if text.len() >= MOST_NAME => {
                        return Err(SequenceError::Long { file: file(), line, limit: MOST_NAME });
                    }
                    (byte, Some(text)) => text.push(*byte),
                    (b'>', None) if column == 1 => name = Some(vec![]),
                    (b'\r', None) => {}
                    (byte, None) if byte.is_ascii_alphabetic() || matches!(byte, b'*' | b'-') => {
                        match current {
                            None => return Err(SequenceError::NoName { file: file(), line }),
                            Some(None) => {}
                            Some(Some(chromosome)) => {
                                letters += 1;
                                if letters > limit {
                                    return Err(SequenceError::TooLarge { file: file(), limit });
                                }
                                chromosomes.entry(chromosome).or_default().push(byte.to_ascii_uppercase());
                            }
                        }
                    }
                    _ => return Err(SequenceError::Letter { file: file(), line, column }),
                }
            }
            input.consume(length);
        }
        Ok(Self { chromosomes })
    }

    /// Letters of a chromosome.
    #[must_use]
    pub fn length(&self, chromosome: Chromosome) -> Option<usize> {
        self.chromosomes.get(&chromosome).map(Vec::len)
    }
}

impl Reference for Sequence {
    fn base(&self, chromosome: Chromosome, position: Position) -> Option<u8> {
        let index = usize::try_from(position.get()).ok()? - 1;
        self.chromosomes.get(&chromosome)?.get(index).copied()
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequence").field("chromosomes", &self.chromosomes.len()).finish_non_exhaustive()
    }
}

fn chromosome_of(name: &[u8]) -> Option<Chromosome> {
    let word = name.split(|byte| byte.is_ascii_whitespace()).next()?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// What a sequence says of a variant's letters: [`Same`](Agreement::Same) when the reference allele is there,
/// [`Swapped`](Agreement::Swapped) when only the alternative one is, the same for the other strand, and
/// [`Different`](Agreement::Different) when nothing fits: many of these mean another build. Where both alleles have one length
/// and are each other's complement, swapped alleles and the other strand look alike: [`Ambiguous`](Agreement::Ambiguous)
/// unless the reference allele is there. When both alleles fit, as in a repeat, the reference allele counts.
#[must_use]
pub fn agreement_with(variant: &Variant, sequence: &impl Reference) -> Agreement {
    let Some(alternative) = variant.alternative().bases() else {
        return match variant.left_aligned(sequence) {
            Ok(_) => Agreement::Same,
            Err(_) => Agreement::Different,
        };
    };
    let reference = variant.reference();
    let fits = |letters: &[u8]| {
        (0_u32..).zip(letters).all(|(offset, letter)| {
            let position = variant.position().get().checked_add(offset);
            let position = position.and_then(|position| Position::try_from(position).ok());
            position
                .and_then(|position| sequence.base(variant.chromosome(), position))
                .is_some_and(|base| base.eq_ignore_ascii_case(letter))
        })
    };
    let one_length = reference.as_bytes().len() == alternative.as_bytes().len();
    if fits(reference.as_bytes()) {
        Agreement::Same
    } else if variant.is_strand_ambiguous() {
        if fits(alternative.as_bytes()) { Agreement::Ambiguous } else { Agreement::Different }
    } else if fits(alternative.as_bytes()) {
        Agreement::Swapped
    } else if one_length && fits(reference.reverse_complement().as_bytes()) {
        Agreement::Flipped
    } else if one_length && fits(alternative.reverse_complement().as_bytes()) {
        Agreement::FlippedAndSwapped
    } else {
        Agreement::Different
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::assembly::Assembly;

    fn read(text: &str) -> Result<Sequence, String> {
        Sequence::read("r.fa", text.as_bytes(), |_| true, 40).map_err(|error| error.to_string())
    }

    #[test]
    fn fasta() {
        let sequence = read(">chr1 first\nacgT\r\nNN\n>GL000207.1\nAAAA\n>2\nTT").unwrap();
        let at = |chromosome: &str, position: u32| {
            sequence.base(chromosome.parse().unwrap(), position.try_into().unwrap())
        };
        assert_eq!(
            (at("1", 1), at("1", 4), at("1", 6), at("1", 7)),
            (Some(b'A'), Some(b'T'), Some(b'N'), None)
        );
        assert_eq!((at("2", 2), at("3", 1)), (Some(b'T'), None));
        assert_eq!(sequence.length("1".parse().unwrap()), Some(6));
        let only = Sequence::read("r.fa", ">1\nAAAA\n>2\nC\n".as_bytes(), |c| c.number() == 2, 1).unwrap();
        assert_eq!(only.length("1".parse().unwrap()), None);
        for (text, message) in [
            ("ACGT\n", "r.fa, line 1: letters come before the first line with `>`; is this FASTA text?"),
            (
                ">1\nAC GT\n",
                "r.fa, line 2, column 3: the byte is no letter of a sequence; unpack the file first if it is compressed",
            ),
            (
                ">1\nAC>2\n",
                "r.fa, line 2, column 3: the byte is no letter of a sequence; unpack the file first if it is compressed",
            ),
            (
                ">1\nA\n>chr1\nA\n",
                "r.fa, line 3: this chromosome came before; hand in a file with one sequence of each",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
        let long = format!(">1\n{}\n", "A".repeat(41));
        assert!(read(&long).unwrap_err().contains("more than 40 letters"));
        assert!(read(&format!(">{}", "x".repeat(70_000))).unwrap_err().contains("longer than 65536 bytes"));
        assert!(read("").unwrap().length("1".parse().unwrap()).is_none());
    }

    #[test]
    fn what_a_sequence_says() {
        use Agreement::*;
        let sequence = read(">1\nACGTTTAC\n").unwrap();
        for (position, reference, alternative, expected) in [
            (1, "A", "G", Same),
            (1, "G", "A", Swapped),
            (1, "T", "C", Flipped),
            (1, "C", "T", FlippedAndSwapped),
            (1, "C", "G", Different),
            (1, "A", "T", Same),
            (1, "T", "A", Ambiguous),
            (4, "TTT", "T", Same),
            (2, "AC", "TG", Different),
            (2, "C", "CAA", Same),
            (3, "GA", "GT", Swapped),
            (8, "CA", "C", Swapped),
            (9, "A", "G", Different),
            (1, "A", "<DEL>", Same),
            (1, "C", "<DEL>", Different),
        ] {
            let variant = Variant::new(
                Assembly::Grch38,
                "1".parse().unwrap(),
                position.try_into().unwrap(),
                reference,
                alternative,
            );
            assert_eq!(
                agreement_with(&variant.unwrap(), &sequence),
                expected,
                "{position} {reference} {alternative}"
            );
        }
    }
}
