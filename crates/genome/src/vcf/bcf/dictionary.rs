//! What the numbers of a record stand for (VCF 4.3, sections 6.2.1 and 6.2.2).

use std::collections::BTreeMap;

use super::super::Header;
use super::super::meta::split;

#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// Filters and keys of INFO and FORMAT.
    pub(super) strings: BTreeMap<u32, String>,
    pub(super) contigs: BTreeMap<u32, String>,
}

impl Dictionary {
    /// Numbers go by the order of the lines, unless a line has IDX. PASS is 0 even when no line declares it.
    pub(super) fn new(header: &Header) -> Self {
        let mut dictionary = Self::default();
        let mut numbers = BTreeMap::from([("PASS".to_owned(), 0)]);
        dictionary.strings.insert(0, "PASS".to_owned());
        let (mut next_string, mut next_contig) = (1, 0);
        for line in header.meta() {
            let Some((kind, inner)) = line.strip_prefix("##").and_then(|line| line.split_once("=<")) else {
                continue;
            };
            let is_contig = kind == "contig";
            if !is_contig && !matches!(kind, "FILTER" | "INFO" | "FORMAT") {
                continue;
            }
            let inner = inner.strip_suffix('>').unwrap_or(inner);
            let Ok(fields) = split(inner.as_bytes()) else { continue };
            let find = |key: &[u8]| {
                let field = fields.iter().find(|field| field.key == key)?;
                std::str::from_utf8(field.value).ok()
            };
            let Some(id) = find(b"ID") else { continue };
            let stated = find(b"IDX").and_then(|number| number.parse::<u32>().ok());
            let (names, next) = match is_contig {
                true => (&mut dictionary.contigs, &mut next_contig),
                false => (&mut dictionary.strings, &mut next_string),
            };
            let number = match (is_contig, numbers.get(id)) {
                // A name that is a key of INFO and of FORMAT has one number.
                (false, Some(number)) => *number,
                _ => stated.unwrap_or(*next),
            };
            *next = (*next).max(number.saturating_add(1));
            if !is_contig {
                numbers.insert(id.to_owned(), number);
            }
            names.insert(number, id.to_owned());
        }
        dictionary
    }
}
