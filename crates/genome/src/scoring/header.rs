//! The lines above the table.

use crate::assembly::Assembly;

/// Lines `#key=value` of a scoring file, in their order. Keys are kept in lower case with `_` for blanks, as format 1.0 writes
/// `# PGS ID = ` where format 2.0 writes `#pgs_id=`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScoreHeader {
    entries: Vec<(String, String)>,
}

impl ScoreHeader {
    /// Lines that a header may have.
    pub(super) const MAX_ENTRIES: usize = 1_000;
    /// Bytes that a header may have.
    pub(super) const MAX_BYTES: usize = 1 << 20;

    /// Takes a line behind its `#`. Lines that begin with another `#` are titles.
    pub(super) fn push(&mut self, line: &str) -> Result<(), &'static str> {
        if line.starts_with('#') || line.trim().is_empty() {
            return Ok(());
        }
        let (key, value) = line.split_once('=').ok_or("a line of the header is `#key=value`")?;
        let key = key.trim().to_ascii_lowercase().replace(' ', "_");
        if self.get(&key).is_some() {
            return Err("the header gives this key twice; remove one of the lines");
        }
        self.entries.push((key, value.trim().to_owned()));
        let bytes: usize = self.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        if self.entries.len() > Self::MAX_ENTRIES || bytes > Self::MAX_BYTES {
            return Err("the header is longer than 1000 lines or 1 MiB");
        }
        Ok(())
    }

    /// All entries in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// The value of a key in lower case.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The id in the catalog, such as `PGS000001`.
    #[must_use]
    pub fn pgs_id(&self) -> Option<&str> {
        self.get("pgs_id")
    }

    /// The number of variants that the header announces. Files cut from others announce more than they have.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.get("variants_number").or_else(|| self.get("number_of_variants"))?.parse().ok()
    }

    /// The assembly of `chr_name` and `chr_position`; `None` where it is not reported (`NR`) or not known here.
    #[must_use]
    pub fn assembly(&self) -> Option<Assembly> {
        Assembly::from_name(self.get("genome_build").or_else(|| self.get("original_genome_build"))?)
    }

    /// The assembly of `hm_chr` and `hm_pos`.
    #[must_use]
    pub fn harmonized_assembly(&self) -> Option<Assembly> {
        Assembly::from_name(self.get("hmpos_build")?)
    }
}
