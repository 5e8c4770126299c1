//! What the lines above the records declare.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Version;
use super::super::error::Field;
use super::definition::{Definition, reserved_format, reserved_info};

pub(super) struct Declared {
    pub(super) version: Version,
    pub(super) samples: usize,
    pub(super) has_format: bool,
    pub(super) info: BTreeMap<Vec<u8>, Definition>,
    pub(super) format: BTreeMap<Vec<u8>, Definition>,
    /// Contigs and their lengths.
    pub(super) contigs: BTreeMap<Vec<u8>, Option<u64>>,
    /// Kind and ID of every structured line.
    pub(super) ids: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

impl Declared {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            samples: 0,
            has_format: false,
            info: BTreeMap::new(),
            format: BTreeMap::new(),
            contigs: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    pub(super) fn has(&self, kind: &[u8], id: &[u8]) -> bool {
        self.ids.contains(&(kind.to_vec(), id.to_vec()))
    }

    /// What the header says of a key of INFO, or else the specification.
    pub(super) fn info_definition(&self, key: &[u8]) -> Option<Definition> {
        self.info.get(key).copied().or_else(|| reserved_info(self.version, key))
    }

    /// What the header says of a key of FORMAT, or else the specification.
    pub(super) fn format_definition(&self, key: &[u8]) -> Option<Definition> {
        self.format.get(key).copied().or_else(|| reserved_format(self.version, key))
    }

    /// INFO with the name of the key, if the key is known.
    pub(super) fn info_field(&self, key: &[u8]) -> Field {
        Field::Info(self.info_definition(key).map(|_| String::from_utf8_lossy(key).into_owned()))
    }

    /// FORMAT with the name of the key, if the key is known.
    pub(super) fn format_field(&self, key: &[u8]) -> Field {
        Field::Format(self.format_definition(key).map(|_| String::from_utf8_lossy(key).into_owned()))
    }
}
