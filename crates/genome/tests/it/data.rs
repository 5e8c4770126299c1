//! Real data, which is never in the repository.

use std::io::Read;
use std::path::{Path, PathBuf};

use histone_genome::genotypes::{Genotypes, Limits, Source};
use histone_genome::plink::{self, BedReader, People, Variants};
use histone_genome::vcf::bgzf;

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

/// A folder of the data.
pub fn folder(name: &str) -> Option<PathBuf> {
    let folder = root()?.join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

/// The files of a folder whose names end so, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    files.sort();
    files
}

pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a file that may be compressed; not all tools write the end marker of BGZF.
pub fn text(path: &Path) -> Vec<u8> {
    let limits = bgzf::Limits { end_marker: bgzf::EndMarker::Optional, ..bgzf::Limits::default() };
    let mut text = vec![];
    let mut reader = bgzf::Reader::new(
        std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        limits,
    );
    reader.read_to_end(&mut text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

/// The bytes of a file below the folder with the data, unpacked when its name ends in `.gz`.
pub fn shared(path: &str) -> Option<Vec<u8>> {
    let file = root()?.join(path);
    Some(if path.ends_with(".gz") { text(&file) } else { bytes(&file) })
}

/// A table of `genotypes/reference`: its cells below the header.
pub struct Reference {
    names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Reference {
    pub fn read(root: &Path, name: &str) -> Self {
        let text = text(&root.join(format!("genotypes/reference/{name}.tsv.gz")));
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        let names =
            lines.next().unwrap().iter().map(|name| name.trim_start_matches('#').to_owned()).collect();
        Self { names, rows: lines.collect() }
    }

    /// The index of a column.
    pub fn column(&self, name: &str) -> usize {
        self.names
            .iter()
            .position(|n| n == name)
            .unwrap_or_else(|| panic!("no column {name} in {:?}", self.names))
    }
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

/// Asserts that a number is the one that a table shows with six significant digits (or fewer, when it needs fewer).
#[track_caller]
pub fn assert_printed(found: f64, printed: &str, place: &str) {
    let expected: f64 = printed.parse().unwrap_or_else(|_| panic!("`{printed}` is no number, {place}"));
    let unit = 10_f64.powf(expected.abs().log10().floor() - 5.0);
    // Half a unit of the last digit, and a little for a number that lies between two.
    let near = (found - expected).abs() <= 0.500_01 * unit || (expected == 0.0 && found.abs() < 1e-300);
    assert!(near, "{found} is not {printed}, {place}");
}
