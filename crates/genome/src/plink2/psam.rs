//! PSAM: one line a person, below a header that names the columns.

use std::collections::HashMap;
use std::io::Read;

use super::Limits;
use super::error::{Plink2Error, TableProblem};
use crate::plink::People;
use crate::text::Lines;

/// Where the columns are.
struct Columns {
    count: usize,
    family: Option<usize>,
    id: usize,
    /// PAT and MAT.
    parents: Option<[usize; 2]>,
    sex: Option<usize>,
}

/// Reads a PSAM, or a FAM of five columns or more; `file` names it in errors.
///
/// Families that are not named are `0`, and of the phenotypes nothing is kept: [`crate::phenotypes`] reads them. Two
/// samples of one person (column SID) are refused.
///
/// # Errors
/// [`Text`](Plink2Error::Text), and [`Line`](Plink2Error::Line) for a header that names no person, a line with too few
/// fields, a person without a name or with two lines.
pub fn read_people(file: &str, input: impl Read, limits: &Limits) -> Result<People, Plink2Error> {
    let mut lines = Lines::new(file, input, &limits.text);
    let refuse = |line, problem| Plink2Error::Line { file: file.to_owned(), line, problem };
    let mut columns = None;
    let mut header_line = None;
    let mut rows: Vec<[String; 6]> = vec![];
    let mut first_lines: HashMap<(String, String), u64> = HashMap::new();
    while let Some(line) = lines.next()? {
        let line = line.to_owned();
        let number = lines.line();
        let fields: Vec<&str> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
        lines.check_columns(fields.len())?;
        let Some(first) = fields.first() else { continue };
        if first.starts_with('#') {
            if columns.is_some() && !rows.is_empty() {
                return Err(refuse(number, TableProblem::LateHeader));
            }
            // The last line of the header names the columns; earlier ones do not matter.
            columns = match *first {
                "#FID" | "#IID" => Some(named(&fields).map_err(|problem| refuse(number, problem))?),
                _ => None,
            };
            header_line = Some(number);
            continue;
        }
        let columns = match &columns {
            Some(columns) => columns,
            None => match header_line {
                Some(line) => return Err(refuse(line, TableProblem::NoHeader("#IID` or `#FID"))),
                None => columns.insert(of_fam(fields.len()).map_err(|problem| refuse(number, problem))?),
            },
        };
        if fields.len() < columns.count {
            let problem = TableProblem::Fields { found: fields.len(), needed: columns.count };
            return Err(refuse(number, problem));
        }
        let field = |index: Option<usize>| {
            index.and_then(|index| fields.get(index)).map_or("0", |field| *field).to_owned()
        };
        let (family, id) = (field(columns.family), field(Some(columns.id)));
        if id == "0" {
            return Err(refuse(number, TableProblem::Nobody));
        }
        let sex = match field(columns.sex).as_str() {
            "1" | "M" | "m" => "1",
            "2" | "F" | "f" => "2",
            _ => "0",
        };
        lines.check_rows(rows.len() + 1)?;
        if let Some(earlier) = first_lines.insert((family.clone(), id.clone()), number) {
            return Err(refuse(number, TableProblem::DoubledPerson(earlier)));
        }
        let [father, mother] = match columns.parents {
            Some(parents) => parents.map(|index| field(Some(index))),
            None => ["0", "0"].map(str::to_owned),
        };
        rows.push([family, id, father, mother, sex.to_owned(), "-9".to_owned()]);
    }
    // Names and doubles were looked at above, so nothing here is refused.
    People::of_fields(file, rows.into_iter())
        .map_err(|_| refuse(lines.line(), TableProblem::Fields { found: 0, needed: 6 }))
}

fn named(fields: &[&str]) -> Result<Columns, TableProblem> {
    let find = |name: &str| fields.iter().position(|field| field.trim_start_matches('#') == name);
    for (index, field) in fields.iter().enumerate().skip(1) {
        if fields.iter().take(index).any(|earlier| earlier.trim_start_matches('#') == *field) {
            return Err(TableProblem::DoubledColumn(index + 1));
        }
    }
    let family = find("FID");
    let id = usize::from(family.is_some());
    if find("IID") != Some(id) {
        return Err(TableProblem::Column("IID"));
    }
    let parents = match (find("PAT"), find("MAT")) {
        (Some(father), Some(mother)) => Some([father, mother]),
        (None, None) => None,
        (None, Some(_)) => return Err(TableProblem::Column("PAT")),
        (Some(_), None) => return Err(TableProblem::Column("MAT")),
    };
    Ok(Columns { count: fields.len(), family, id, parents, sex: find("SEX") })
}

/// The columns of a file without a header.
fn of_fam(fields: usize) -> Result<Columns, TableProblem> {
    match fields {
        0..5 => Err(TableProblem::Fields { found: fields, needed: 5 }),
        _ => {
            Ok(Columns { count: fields.min(6), family: Some(0), id: 1, parents: Some([2, 3]), sex: Some(4) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plink::Sex;

    fn check(text: &str, expected: &str) {
        let found = match read_people("a.psam", text.as_bytes(), &Limits::default()) {
            Ok(people) => (0..people.len())
                .filter_map(|index| people.person(index))
                .map(|p| {
                    let sex = match p.sex {
                        Sex::Male => 'm',
                        Sex::Female => 'f',
                        Sex::Unknown => '?',
                    };
                    format!("{}/{} {}+{} {sex}", p.family, p.id, p.father, p.mother)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn people_of_every_layout() {
        check("#IID\na\nb\n", "0/a 0+0 ?, 0/b 0+0 ?");
        check("##x\n#IID SEX pop\na 1 x\nb\tF\tx\nc NA x y\n\n", "0/a 0+0 m, 0/b 0+0 f, 0/c 0+0 ?");
        check("#FID\tIID\tPAT\tMAT\tSEX\nf\ta\tb\tc\tm\n", "f/a b+c m");
        check("#FID IID SID SEX\r\nf a x 2\r\n", "f/a 0+0 f");
        check("f a b c 1 -9\nf b 0 0 2 -9 5\n", "f/a b+c m, f/b 0+0 f");
        check("f a b c 1\n", "f/a b+c m");
        check("", "");
    }

    #[test]
    fn what_names_no_people() {
        check(
            "#IID SEX\nsecret\n",
            "a.psam, line 2: the line has 1 fields; it needs 2, separated by tabs or blanks",
        );
        check("a b c d\n", "a.psam, line 1: the line has 4 fields; it needs 5, separated by tabs or blanks");
        check(
            "#IID SEX SEX\n",
            "a.psam, line 1: column 3 of the header has the name of an earlier one; name it otherwise",
        );
        check("#FID SEX IID\n", "a.psam, line 1: the header has no column `IID` in its place");
        check("#IID PAT\n", "a.psam, line 1: the header has no column `MAT` in its place");
        check(
            "#a\nf a b c 1\n",
            "a.psam, line 1: the last line that begins with `#` must begin with `#IID` or `#FID`",
        );
        check(
            "#IID\na\n#b\n",
            "a.psam, line 3: the line begins with `#` and stands below the first line of data; remove it",
        );
        check(
            "#IID\na\nb\na\n",
            "a.psam, line 4: family and person are the same as on line 2; a person has one line",
        );
        check("#IID\n0\n", "a.psam, line 2: the id of the person (IID) is `0`, which means nobody");
    }
}
