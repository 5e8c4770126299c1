//! Real data, which is never in the repository.

use std::path::{Path, PathBuf};

use histone_genome::genotypes::{Genotypes, Limits, Source};
use histone_genome::plink::{self, BedReader, People, Variants};

/// The folder with the data: `HISTONE_DATA`, else `../shared/data` beside the workspace. `None`, with the reason printed,
/// when the variable is not set and that folder is not there; a variable that points nowhere fails where a file is opened.
pub fn root() -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("HISTONE_DATA") {
        return Some(PathBuf::from(root));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !root.is_dir() {
        eprintln!("skipped: HISTONE_DATA is not set, and there is no folder ../shared/data");
        return None;
    }
    Some(root)
}

pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fileset hapmap279.
pub struct Hapmap {
    pub people: People,
    pub variants: Variants,
    pub genotypes: Genotypes,
}

impl Hapmap {
    pub fn read(root: &Path) -> Self {
        let file = |ending| bytes(&root.join(format!("genotypes/hapmap279.{ending}")));
        let limits = plink::Limits::default();
        let people = People::read("hapmap279.fam", file("fam").as_slice(), &limits).unwrap();
        let variants = Variants::read("hapmap279.bim", file("bim").as_slice(), &limits).unwrap();
        let bed = file("bed");
        let mut bed = BedReader::new("hapmap279.bed", bed.as_slice(), people.len(), variants.len()).unwrap();
        let genotypes = Genotypes::collect(&mut bed, &Limits::default()).unwrap();
        assert!(bed.next_block().unwrap().is_none());
        Self { people, variants, genotypes }
    }
}
