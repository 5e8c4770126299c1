//! What may be said of a sealed training.
//!
//! A method sees sums that nobody else sees, so it chooses nothing of what is said of them but values within bounds that its manifest
//! declares: numbers with few digits, words of a list, and rows that have the study's own names. All other text comes from manifest
//! and plan. What does not fit is left out and no error: an error would say something.

use histone_federation::precision::{self, SIGNIFICANT_BITS};
use histone_program_sdk::config::{Config, Kind};
use histone_program_sdk::method::{Cell, Fact};
use serde::{Deserialize, Serialize};

use super::{FIELD_MOST, Field, MAX_FIELDS, Manifest, ManifestError, wrong};

/// Most columns of a table, words of a list, and rows that have no names.
const MOST_COLUMNS: usize = 32;
const MOST_WORDS: usize = 64;
const MOST_ROWS: u32 = 4_096;

/// A fact that may be said: one value, or a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct DeclaredFact {
    /// Its name, as the method gives it.
    pub fact: String,
    /// What it is, in a sentence.
    pub says: String,
    /// What is said beside it when a setting is not 0.
    pub when: Option<When>,
    /// Said only beside a model that everybody gets, in the place of the one of the same name that is said of all models.
    pub public_model: bool,
    /// What it holds.
    pub shape: Shape,
}

/// What a fact holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// One value.
    Single(DeclaredCell),
    /// Rows of some columns.
    Table {
        /// Most rows; where a column has names, at most one for each of them, in their order.
        rows: Rows,
        /// The columns, each with its name.
        columns: Vec<(String, DeclaredCell)>,
    },
}

/// What a cell may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredCell {
    /// A number in a range, with so many decimals, of six digits in all.
    Decimals {
        /// Decimals that leave, at most 9.
        decimals: u32,
        /// Least value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A number of any size with so many significant binary digits, at most those of a released model.
    Bits(u32),
    /// One of these words.
    Words(Vec<String>),
    /// The name of the row.
    Names(Names),
}

/// Names that the study has itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Of its features.
    Features,
    /// `feature=level` of all levels of categories.
    Levels,
    /// Features that are no categories, and `feature=level` of all levels but the first of the others.
    Columns,
    /// The same behind `(intercept)`.
    Terms,
}

/// Most rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rows {
    /// So many.
    Count(u32),
    /// As many as there are names.
    For(Names),
}

/// What is said beside a fact when a setting is not 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Name of the setting.
    pub setting: String,
    /// What follows the sentence; `{}` stands for the setting's value.
    pub says: String,
}

/// How a fact stands in the manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    fact: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Rows>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<WrittenColumn>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    public_model: bool,
    says: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<When>,
}

/// How a column of a table stands there.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenColumn {
    column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decimals: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bits: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    names: Option<Names>,
}

impl WrittenColumn {
    /// Whether nothing says what it may hold.
    fn is_empty(&self) -> bool {
        let range = (self.decimals, self.min, self.max, self.bits);
        range == (None, None, None, None) && self.words.is_none() && self.names.is_none()
    }

    /// The one kind of cell that is given.
    fn cell(self) -> Result<DeclaredCell, String> {
        let Self { column, decimals, min, max, bits, words, names } = self;
        match ((decimals, min, max), bits, words, names) {
            ((Some(decimals), Some(min), Some(max)), None, None, None) => {
                Ok(DeclaredCell::Decimals { decimals, min, max })
            }
            ((None, None, None), Some(bits), None, None) => Ok(DeclaredCell::Bits(bits)),
            ((None, None, None), None, Some(words), None) => Ok(DeclaredCell::Words(words)),
            ((None, None, None), None, None, Some(names)) => Ok(DeclaredCell::Names(names)),
            _ => Err(format!(
                "`{column}` has `decimals` with `min` and `max`, or `bits`, or `words`, or (in a table) `names`: one of them"
            )),
        }
    }
}

impl From<(String, DeclaredCell)> for WrittenColumn {
    fn from((column, cell): (String, DeclaredCell)) -> Self {
        let none = Self { column, ..Self::default() };
        match cell {
            DeclaredCell::Decimals { decimals, min, max } => {
                Self { decimals: Some(decimals), min: Some(min), max: Some(max), ..none }
            }
            DeclaredCell::Bits(bits) => Self { bits: Some(bits), ..none },
            DeclaredCell::Words(words) => Self { words: Some(words), ..none },
            DeclaredCell::Names(names) => Self { names: Some(names), ..none },
        }
    }
}

impl TryFrom<Written> for DeclaredFact {
    type Error = String;

    fn try_from(w: Written) -> Result<Self, String> {
        let Written { fact, decimals, min, max, bits, words, rows, columns, public_model, says, when } = w;
        let single = WrittenColumn { column: fact.clone(), decimals, min, max, bits, words, names: None };
        let shape = match columns {
            None if rows.is_none() => Shape::Single(single.cell()?),
            None => return Err(format!("`{fact}` has `rows` and no `columns`")),
            Some(columns) => {
                if !single.is_empty() {
                    return Err(format!("`{fact}` is one value or has `columns`, not both"));
                }
                let cells = columns.into_iter().map(|c| Ok((c.column.clone(), c.cell()?)));
                let columns = cells.collect::<Result<Vec<_>, String>>()?;
                let mut names = columns.iter().filter_map(|(_, cell)| match cell {
                    DeclaredCell::Names(names) => Some(*names),
                    _ => None,
                });
                let rows = match (names.next(), names.next(), rows) {
                    (Some(names), None, None) => Rows::For(names),
                    (None, _, Some(rows)) => rows,
                    _ => {
                        return Err(format!(
                            "the table `{fact}` has one column of `names`, which give it its rows, or says how many `rows` it has at \
                             the most"
                        ));
                    }
                };
                Shape::Table { rows, columns }
            }
        };
        Ok(Self { fact, says, when, public_model, shape })
    }
}

impl From<DeclaredFact> for Written {
    fn from(f: DeclaredFact) -> Self {
        let DeclaredFact { fact, says, when, public_model, shape } = f;
        let (single, rows, columns) = match shape {
            Shape::Single(cell) => (WrittenColumn::from((fact.clone(), cell)), None, None),
            Shape::Table { rows, columns } => {
                let named = columns.iter().any(|(_, cell)| matches!(cell, DeclaredCell::Names(_)));
                let columns = columns.into_iter().map(WrittenColumn::from).collect();
                (WrittenColumn::default(), (!named).then_some(rows), Some(columns))
            }
        };
        let WrittenColumn { decimals, min, max, bits, words, .. } = single;
        Self { fact, decimals, min, max, bits, words, rows, columns, public_model, says, when }
    }
}

/// How much facts tell at the most, in bits. A level counts for itself and its category as a feature, which is too much and never too
/// little.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FactBits {
    /// Whatever the study.
    pub fixed: f64,
    /// More for each feature.
    pub feature: f64,
    /// More for each level of a category.
    pub level: f64,
}

impl FactBits {
    fn add(&mut self, other: Self) {
        self.fixed += other.fixed;
        self.feature += other.feature;
        self.level += other.level;
    }

    /// In whole bits: whatever the study, for each feature, for each level.
    pub fn whole(&self) -> (u64, u64, u64) {
        let up = |bits: f64| bits.ceil() as u64;
        (up(self.fixed), up(self.feature), up(self.level))
    }

    /// Of a study.
    pub fn of(&self, config: &Config) -> f64 {
        let levels = config.features.iter().map(|x| match &x.kind {
            Kind::Category { levels } => levels.len(),
            _ => 0,
        });
        self.fixed + self.feature * config.features.len() as f64 + self.level * levels.sum::<usize>() as f64
    }
}

impl Names {
    /// The names of a study, in their order.
    fn of(self, config: &Config) -> Vec<String> {
        let mut names = Vec::new();
        if self == Self::Terms {
            names.push("(intercept)".into());
        }
        for x in &config.features {
            let level = |level: &String| format!("{}={level}", x.name);
            match (self, &x.kind) {
                (Self::Levels, Kind::Category { levels }) => names.extend(levels.iter().map(level)),
                (Self::Levels, _) => {}
                (Self::Columns | Self::Terms, Kind::Category { levels }) => {
                    names.extend(levels.iter().skip(1).map(level));
                }
                (Self::Columns | Self::Terms | Self::Features, _) => names.push(x.name.clone()),
            }
        }
        names
    }

    fn says(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Levels => "levels",
            Self::Columns => "columns",
            Self::Terms => "terms",
        }
    }

    /// So many bits for each name.
    fn times(self, bits: f64) -> FactBits {
        match self {
            Self::Features => FactBits { feature: bits, ..FactBits::default() },
            Self::Levels => FactBits { level: bits, ..FactBits::default() },
            Self::Columns => FactBits { feature: bits, level: bits, fixed: 0.0 },
            Self::Terms => FactBits { feature: bits, level: bits, fixed: bits },
        }
    }
}

impl DeclaredCell {
    fn field(decimals: u32, min: f64, max: f64) -> Field {
        Field { name: String::new(), decimals, min, max, optional: true, says: String::new() }
    }

    /// A cell as it may be said; none when it may not.
    fn admit(&self, cell: &Cell) -> Option<Cell> {
        match (self, cell) {
            (Self::Decimals { decimals, min, max }, &Cell::Number { value }) => {
                Some(Self::field(*decimals, *min, *max).admit(value).ok()??.into())
            }
            (Self::Bits(bits), &Cell::Number { value }) => Some(precision::rounded_to(value, *bits).into()),
            (Self::Words(words), Cell::Text { text }) => {
                words.iter().find(|w| *w == text).map(|w| w.as_str().into())
            }
            // Names are the rows' to say.
            _ => None,
        }
    }

    /// A cell of a row: a number that may not be said is none. Without a word there is no row.
    fn admit_in_row(&self, cell: &Cell) -> Option<Cell> {
        match self {
            Self::Decimals { .. } | Self::Bits(_) => Some(self.admit(cell).unwrap_or(f64::NAN.into())),
            Self::Words(_) | Self::Names(_) => self.admit(cell),
        }
    }

    fn holds(&self) -> String {
        match self {
            Self::Decimals { decimals, min, max } => format!("{decimals} decimals, {min} to {max}"),
            Self::Bits(bits) => format!("{bits} significant bits"),
            Self::Words(words) => words.join(" or "),
            Self::Names(names) => format!("a name of the {}", names.says()),
        }
    }

    /// How much it tells, with that there may be none.
    fn bits(&self) -> f64 {
        match self {
            Self::Decimals { decimals, min, max } => Self::field(*decimals, *min, *max).bits(),
            // Exponent and sign beside the digits.
            Self::Bits(bits) => f64::from(bits + precision::NUMBER_BITS - SIGNIFICANT_BITS),
            Self::Words(words) => (words.len() as f64 + 1.0).log2(),
            Self::Names(_) => 0.0,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Decimals { decimals, min, max } => {
                // Written so that NaN is refused.
                if !(*min >= -FIELD_MOST && *max <= FIELD_MOST && min <= max) || *decimals > 9 {
                    return Err(format!(
                        "its range is within {FIELD_MOST:e}, the least first, and it has at most nine decimals"
                    ));
                }
            }
            Self::Bits(bits) => {
                if !(1..=SIGNIFICANT_BITS).contains(bits) {
                    return Err(format!("it has 1 to {SIGNIFICANT_BITS} significant bits"));
                }
            }
            Self::Words(words) => {
                let twice = words.iter().enumerate().any(|(at, word)| words[..at].contains(word));
                if words.is_empty() || words.len() > MOST_WORDS || twice || !words.iter().all(|w| line(w)) {
                    return Err(format!("it has 1 to {MOST_WORDS} different words, of one line each"));
                }
            }
            Self::Names(_) => {}
        }
        Ok(())
    }
}

impl DeclaredFact {
    /// How much it tells, in bits, at the most.
    pub fn bits(&self) -> FactBits {
        match &self.shape {
            Shape::Single(cell) => FactBits { fixed: cell.bits() + 1.0, ..FactBits::default() },
            Shape::Table { rows, columns } => {
                // Beside what is in it, whether the row is there.
                let row = 1.0 + columns.iter().map(|(_, cell)| cell.bits()).sum::<f64>();
                match rows {
                    Rows::Count(most) => FactBits { fixed: row * f64::from(*most), ..FactBits::default() },
                    Rows::For(names) => names.times(row),
                }
            }
        }
    }

    /// What it may hold, in a few words.
    pub fn holds(&self) -> String {
        match &self.shape {
            Shape::Single(cell) => cell.holds(),
            Shape::Table { rows: Rows::For(names), columns } => {
                format!("{} columns, a row for each of the {}", columns.len(), names.says())
            }
            Shape::Table { rows: Rows::Count(most), columns } => {
                format!("{} columns, at most {most} rows", columns.len())
            }
        }
    }

    /// The fact as it may be said; none when it may not, or holds nothing.
    fn admit(&self, fact: &Fact, says: String, config: &Config) -> Option<Fact> {
        let (declared, rows) = match &self.shape {
            Shape::Single(cell) => {
                let [row] = &fact.rows[..] else { return None };
                let [found] = &row[..] else { return None };
                let said = cell.admit(found)?;
                // A single number that is none is not said.
                return match said {
                    Cell::Number { value } if !value.is_finite() => None,
                    said => Some(Fact::single(&self.fact, &says, said)),
                };
            }
            Shape::Table { rows, columns } => (columns, rows),
        };
        if !declared.iter().map(|(name, _)| name).eq(&fact.columns) {
            return None;
        }
        let key = declared.iter().position(|(_, cell)| matches!(cell, DeclaredCell::Names(_)));
        let names = match rows {
            Rows::Count(_) => Vec::new(),
            Rows::For(names) => names.of(config),
        };
        let most = match rows {
            Rows::Count(most) => *most as usize,
            Rows::For(_) => names.len(),
        };
        let (mut admitted, mut next) = (Vec::new(), 0);
        for row in fact.rows.iter().filter(|row| row.len() == declared.len()) {
            if admitted.len() == most {
                break;
            }
            let mut at = None;
            if let Some(key) = key {
                // Each name once, in the order of the study: a row chooses no more than whether it is there.
                let is = |name: &String| matches!(&row[key], Cell::Text { text } if text == name);
                let Some(found) = names.iter().skip(next).position(is) else { continue };
                at = Some(next + found);
            }
            let cell = |(cell, (_, declared)): (&Cell, &(String, DeclaredCell))| match (declared, at) {
                (DeclaredCell::Names(_), Some(at)) => names.get(at).map(|name| name.as_str().into()),
                _ => declared.admit_in_row(cell),
            };
            if let Some(cells) = row.iter().zip(declared).map(cell).collect() {
                admitted.push(cells);
                next = at.map_or(next, |at| at + 1);
            }
        }
        let columns = declared.iter().map(|(name, _)| name.clone()).collect();
        (!admitted.is_empty()).then_some(Fact { name: self.fact.clone(), says, columns, rows: admitted })
    }
}

fn line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= 1_000 && !text.chars().any(char::is_control)
}

/// Checks what a manifest declares; `setting` says whether it has a setting of this name.
pub(super) fn check(facts: &[DeclaredFact], setting: impl Fn(&str) -> bool) -> Result<(), ManifestError> {
    if facts.len() > MAX_FIELDS {
        return wrong("facts", format!("it declares {}; at most {MAX_FIELDS} are said", facts.len()));
    }
    for (at, fact) in facts.iter().enumerate() {
        let place = format!("facts.{}", fact.fact);
        let same = |f: &DeclaredFact| f.fact == fact.fact && f.public_model == fact.public_model;
        if !line(&fact.fact) || !line(&fact.says) || facts[..at].iter().any(same) {
            return wrong(place, "each fact has a name of its own and a sentence, of one line each");
        }
        if let Some(when) = &fact.when
            && !(line(&when.says) && setting(&when.setting))
        {
            return wrong(place, "`when` names a setting of this manifest, and says one line");
        }
        match &fact.shape {
            Shape::Single(cell) => {
                cell.check().map_err(|what| ManifestError::Wrong { place, what })?;
            }
            Shape::Table { rows, columns } => {
                let names = columns.iter().map(|(name, _)| name);
                let twice = names.clone().enumerate().any(|(at, n)| names.clone().take(at).any(|m| m == n));
                if columns.is_empty()
                    || columns.len() > MOST_COLUMNS
                    || twice
                    || !columns.iter().all(|(n, _)| line(n))
                {
                    return wrong(
                        place,
                        format!("a table has 1 to {MOST_COLUMNS} columns with different names"),
                    );
                }
                if matches!(rows, Rows::Count(most) if !(1..=MOST_ROWS).contains(most)) {
                    return wrong(
                        place,
                        format!("a table has 1 to {MOST_ROWS} rows, or one for each of some names"),
                    );
                }
                for (name, cell) in columns {
                    let place = format!("{place}.{name}");
                    cell.check().map_err(|what| ManifestError::Wrong { place, what })?;
                }
            }
        }
    }
    Ok(())
}

impl Manifest {
    /// The facts that are said of a sealed training beside a model that everybody gets, or beside another one.
    fn said(&self, public_model: bool) -> impl Iterator<Item = &DeclaredFact> {
        self.facts.iter().filter(move |fact| {
            let instead = |f: &DeclaredFact| f.public_model && f.fact == fact.fact;
            match fact.public_model {
                true => public_model,
                false => !(public_model && self.facts.iter().any(instead)),
            }
        })
    }

    /// The facts of a sealed training as they may be said, in the order of the manifest.
    pub fn declared(&self, facts: &[Fact], public_model: bool, config: &Config) -> Vec<Fact> {
        let said = |declared: &DeclaredFact| {
            let found = facts.iter().find(|fact| fact.name == declared.fact)?;
            declared.admit(found, self.sentence(declared, config), config)
        };
        self.said(public_model).filter_map(said).collect()
    }

    /// The sentence of a fact. It follows from manifest and plan.
    fn sentence(&self, fact: &DeclaredFact, config: &Config) -> String {
        let mut says = fact.says.clone();
        if let Some(when) = &fact.when {
            let value = self.config.iter().position(|s| s.name == when.setting).map(|at| config.value(at));
            if let Some(value) = value.filter(|value| *value != 0.0) {
                says.push_str(&when.says.replace("{}", &value.to_string()));
            }
        }
        says
    }

    /// How much facts of a sealed training tell at the most, beside a model that everybody gets, or beside another one.
    pub fn fact_bits(&self, public_model: bool) -> FactBits {
        let mut bits = FactBits::default();
        self.said(public_model).for_each(|fact| bits.add(fact.bits()));
        bits
    }
}

#[cfg(test)]
mod tests;
