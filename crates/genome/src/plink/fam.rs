//! FAM: one line a person. Family, person, father, mother, sex, phenotype.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};

use super::lines::Lines;
use super::{Limits, LineProblem, PlinkError};
use crate::genotypes::SampleSet;

/// The people of a fileset, with their lines as they were read.
#[derive(Clone, PartialEq, Eq)]
pub struct People {
    lines: Lines,
    parents: Vec<[Option<usize>; 2]>,
}

/// Sex as the fileset states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// Code 1.
    Male,
    /// Code 2.
    Female,
    /// Any other code.
    Unknown,
}

/// The fields of one line of a FAM. Names of people: no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Person<'a> {
    /// Family.
    pub family: &'a str,
    /// The person, unique within the family.
    pub id: &'a str,
    /// The father within the family; `0` for none.
    pub father: &'a str,
    /// The mother within the family; `0` for none.
    pub mother: &'a str,
    /// Sex.
    pub sex: Sex,
    /// Phenotype as written.
    pub phenotype: &'a str,
}

/// A child and its parents, by their lines from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trio {
    /// The child.
    pub child: usize,
    /// Its father.
    pub father: usize,
    /// Its mother.
    pub mother: usize,
}

impl People {
    /// Reads a FAM; `file` names it in errors.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line) for a line that has not six fields or names a person twice,
    /// [`TooLarge`](PlinkError::TooLarge), [`Io`](PlinkError::Io).
    pub fn read(file: &str, input: impl Read, limits: &Limits) -> Result<Self, PlinkError> {
        Self::new(Lines::read(file, input, limits)?)
    }

    /// A FAM of people without families, parents and phenotypes.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line) for an id with blanks in it, or one that is there twice.
    pub fn of<'a>(file: &str, people: impl Iterator<Item = (&'a str, Sex)>) -> Result<Self, PlinkError> {
        let rows = people.map(|(id, sex)| {
            let sex = match sex {
                Sex::Male => "1",
                Sex::Female => "2",
                Sex::Unknown => "0",
            };
            ["0", id, "0", "0", sex, "-9"].map(str::to_owned)
        });
        Self::new(Lines::of(file, rows)?)
    }

    /// People whose six fields stand in another file. None of them may hold blanks.
    ///
    /// # Errors
    /// Those of [`People::of`].
    pub(crate) fn of_fields(file: &str, rows: impl Iterator<Item = [String; 6]>) -> Result<Self, PlinkError> {
        Self::new(Lines::of(file, rows)?)
    }

    fn new(lines: Lines) -> Result<Self, PlinkError> {
        let mut indices = HashMap::new();
        for index in 0..lines.len() {
            let [family, id, ..] = lines.fields(index).unwrap_or_default();
            if id == "0" {
                return lines.refuse(index, LineProblem::Nobody);
            }
            if let Some(first) = indices.insert((family, id), index) {
                return lines.refuse(index, LineProblem::DoubledPerson(first as u64 + 1));
            }
        }
        let parents = (0..lines.len())
            .map(|index| {
                let [family, _, father, mother, ..] = lines.fields(index).unwrap_or_default();
                [father, mother].map(|id| indices.get(&(family, id)).copied())
            })
            .collect();
        Ok(Self { lines, parents })
    }

    /// Writes the lines as they were read.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&self, mut output: impl Write) -> std::io::Result<()> {
        output.write_all(self.lines.text().as_bytes())
    }

    /// Number of people.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True without people.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields of a line.
    #[must_use]
    pub fn person(&self, index: usize) -> Option<Person<'_>> {
        let [family, id, father, mother, sex, phenotype] = self.lines.fields(index)?;
        let sex = match sex {
            "1" => Sex::Male,
            "2" => Sex::Female,
            _ => Sex::Unknown,
        };
        Some(Person { family, id, father, mother, sex, phenotype })
    }

    /// The people of one sex.
    #[must_use]
    pub fn of_sex(&self, sex: Sex) -> SampleSet {
        SampleSet::of(self.len(), |index| self.person(index).is_some_and(|person| person.sex == sex))
    }

    /// Those without parents in the fileset: neither of the two named persons has a line.
    #[must_use]
    pub fn founders(&self) -> SampleSet {
        SampleSet::of(self.len(), |index| self.parents.get(index).is_some_and(|p| *p == [None, None]))
    }

    /// Children of whom both parents are in the fileset, in the order of their lines.
    pub fn trios(&self) -> impl Iterator<Item = Trio> {
        self.parents.iter().enumerate().filter_map(|(child, parents)| match parents {
            [Some(father), Some(mother)] => Some(Trio { child, father: *father, mother: *mother }),
            _ => None,
        })
    }
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People")
            .field("file", &self.lines.file())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
