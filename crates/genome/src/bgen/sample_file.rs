//! The `.sample` file of the Oxford tools: two header lines, then a line a person.
//!
//! Source: <https://www.well.ox.ac.uk/~gav/qctool/documentation/sample_file_formats.html>.

use std::collections::HashMap;
use std::io::Read;

use super::Limits;
use super::error::{BgenError, SampleProblem};
use crate::plink::People;
use crate::text::Lines;

/// Reads a `.sample` file: ids, and sex where there is a column `sex`; `file` names it in errors. With a column `ID_2`, the
/// first one is the family.
///
/// # Errors
/// [`Text`](BgenError::Text), or [`Line`](BgenError::Line) for other header lines, other numbers of fields, a person without
/// a name or with two lines.
pub fn read_people(file: &str, input: impl Read, limits: &Limits) -> Result<People, BgenError> {
    let mut lines = Lines::new(file, input, &limits.text);
    let refuse = |line, problem| BgenError::Line { file: file.to_owned(), line, problem };
    let mut width = 0;
    let mut has_families = false;
    let mut sex_column = None;
    let mut rows: Vec<[String; 6]> = vec![];
    let mut first_lines: HashMap<(String, String), u64> = HashMap::new();
    while let Some(line) = lines.next()? {
        let line = line.to_owned();
        let number = lines.line();
        let fields: Vec<&str> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
        lines.check_columns(fields.len())?;
        match number {
            1 => {
                width = fields.len();
                has_families = match fields.as_slice() {
                    ["ID_1", "ID_2", "missing", ..] => true,
                    ["ID" | "ID_1", "missing", ..] | ["ID"] => false,
                    _ => return Err(refuse(number, SampleProblem::Header)),
                };
                sex_column = fields.iter().position(|field| field.eq_ignore_ascii_case("sex"));
                continue;
            }
            _ if fields.len() != width => {
                return Err(refuse(number, SampleProblem::Fields { found: fields.len(), needed: width }));
            }
            2 => {
                let ids = if has_families { 3 } else { 2 };
                let is_type = |(index, field): (usize, &&str)| match index < ids {
                    true => *field == "0",
                    false => matches!(*field, "D" | "C" | "P" | "B"),
                };
                if !fields.iter().enumerate().all(is_type) {
                    return Err(refuse(number, SampleProblem::Types));
                }
                continue;
            }
            _ => {}
        }
        let field = |index: usize| fields.get(index).copied().unwrap_or_default().to_owned();
        let (family, id) = if has_families { (field(0), field(1)) } else { ("0".to_owned(), field(0)) };
        if id == "0" {
            return Err(refuse(number, SampleProblem::Nobody));
        }
        lines.check_rows(rows.len() + 1)?;
        if let Some(earlier) = first_lines.insert((family.clone(), id.clone()), number) {
            return Err(refuse(number, SampleProblem::DoubledPerson(earlier)));
        }
        let sex = match sex_column.map(field).as_deref() {
            Some("1" | "M" | "m" | "male") => "1",
            Some("2" | "F" | "f" | "female") => "2",
            _ => "0",
        };
        rows.push([family, id, "0".to_owned(), "0".to_owned(), sex.to_owned(), "-9".to_owned()]);
    }
    match lines.line() {
        0 => return Err(refuse(1, SampleProblem::Header)),
        1 => return Err(refuse(2, SampleProblem::Types)),
        _ => {}
    }
    // Names and doubles were looked at above, so nothing here is refused.
    People::of_fields(file, rows.into_iter()).map_err(|_| refuse(lines.line(), SampleProblem::Nobody))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plink::Sex;

    fn check(text: &str, expected: &str) {
        let found = match read_people("a.sample", text.as_bytes(), &Limits::default()) {
            Ok(people) => (0..people.len())
                .filter_map(|index| people.person(index))
                .map(|p| format!("{}/{} {}", p.family, p.id, if p.sex == Sex::Male { "m" } else { "-" }))
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn people_of_both_layouts() {
        check("ID_1 ID_2 missing\n0 0 0\nf a 0\nf b 0.5\n", "f/a -, f/b -");
        check("ID_1 ID_2 missing sex age\n0 0 0 D C\nf a 0 1 30\nf b 0 2 NA\n", "f/a m, f/b -");
        check("ID missing\n0 0\na 0\n", "0/a -");
        check("ID_1 ID_2 missing\n0 0 0\n", "");
    }

    #[test]
    fn what_names_no_people() {
        check("", "a.sample, line 1: the first line must begin with `ID_1 ID_2 missing`, or `ID missing`");
        check(
            "a b c\n",
            "a.sample, line 1: the first line must begin with `ID_1 ID_2 missing`, or `ID missing`",
        );
        let types = "the second line must have a type for each column, and `0` for the first ones";
        check("ID_1 ID_2 missing\n", &format!("a.sample, line 2: {types}"));
        check("ID_1 ID_2 missing\nf a 0\n", &format!("a.sample, line 2: {types}"));
        check("ID_1 ID_2 missing x\n0 0 0 0\n", &format!("a.sample, line 2: {types}"));
        check(
            "ID_1 ID_2 missing\n0 0 0\nsecret a\n",
            "a.sample, line 3: the line has 2 fields and the first one 3",
        );
        check("ID_1 ID_2 missing\n0 0 0\n\n", "a.sample, line 3: the line has 0 fields and the first one 3");
        check(
            "ID missing\n0 0\na 0\na 0\n",
            "a.sample, line 4: the ids are the same as on line 3; a person has one line",
        );
        check("ID missing\n0 0\n0 0\n", "a.sample, line 3: the id of the person is `0`, which means nobody");
    }
}
