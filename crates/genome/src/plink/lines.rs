//! Lines of six fields, kept as they are written.

use std::io::Read;

use super::{Limits, LineProblem, PlinkError};

/// The text of a file and where its lines are.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lines {
    file: String,
    text: String,
    /// Start of each line, and the end of the last one.
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn read(file: &str, input: impl Read, limits: &Limits) -> Result<Self, PlinkError> {
        let too_large = |what, limit| PlinkError::TooLarge { file: file.to_owned(), what, limit };
        let mut bytes = Vec::new();
        let most = u64::try_from(limits.bytes).unwrap_or(u64::MAX).saturating_add(1);
        input
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|source| PlinkError::Io { file: file.to_owned(), source })?;
        if bytes.len() > limits.bytes {
            return Err(too_large("bytes", limits.bytes));
        }
        let refuse = |line: usize, problem| {
            Err(PlinkError::Line { file: file.to_owned(), line: line as u64 + 1, problem })
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                return refuse(before.iter().filter(|c| **c == b'\n').count(), LineProblem::NotUtf8);
            }
        };
        let mut starts = vec![0];
        let mut end = 0;
        let first_has_return = text.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n"));
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if index == limits.lines {
                return Err(too_large("lines", limits.lines));
            }
            if line.len() > limits.line_bytes {
                return refuse(index, LineProblem::Long(limits.line_bytes));
            }
            let content = match line.strip_suffix('\n') {
                Some(line) if first_has_return => match line.strip_suffix('\r') {
                    Some(line) => line,
                    None => return refuse(index, LineProblem::MixedEnds),
                },
                Some(line) => line,
                None => line,
            };
            if content.contains('\r') {
                return refuse(index, LineProblem::MixedEnds);
            }
            if let Err(count) = fields(content) {
                return refuse(index, LineProblem::Fields(count));
            }
            end += line.len();
            starts.push(end);
        }
        Ok(Self { file: file.to_owned(), text, starts })
    }

    /// Lines of six fields each, made here.
    pub(super) fn of(file: &str, rows: impl Iterator<Item = [String; 6]>) -> Result<Self, PlinkError> {
        let text: String = rows.flat_map(|row| [row.join("\t"), "\n".into()]).collect();
        Self::read(
            file,
            text.as_bytes(),
            &Limits { bytes: usize::MAX, line_bytes: usize::MAX, lines: usize::MAX },
        )
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The six fields of a line.
    pub(super) fn fields(&self, index: usize) -> Option<[&str; 6]> {
        let line = self.text.get(*self.starts.get(index)?..*self.starts.get(index + 1)?)?;
        fields(line.trim_end_matches(['\n', '\r'])).ok()
    }

    pub(super) fn refuse<T>(&self, index: usize, problem: LineProblem) -> Result<T, PlinkError> {
        Err(PlinkError::Line { file: self.file.clone(), line: index as u64 + 1, problem })
    }
}

/// The six fields of a line, or how many it has.
fn fields(line: &str) -> Result<[&str; 6], usize> {
    let mut found = [""; 6];
    let mut count = 0;
    for field in line.split([' ', '\t']).filter(|field| !field.is_empty()) {
        if let Some(place) = found.get_mut(count) {
            *place = field;
        }
        count += 1;
    }
    if count == 6 { Ok(found) } else { Err(count) }
}
