//! Public data beside the project: `HISTONE_DATA`, else `../shared/data` next to the workspace.

use std::io::Read;
use std::path::{Path, PathBuf};

use histone_genome::vcf::bgzf;

/// The bytes of a file, unpacked when its name ends in `.gz`. `None`, with the reason printed, only where there are no data
/// at all; a file that is missing among data that are there fails the test.
pub(crate) fn shared(path: &str) -> Option<Vec<u8>> {
    let variable = std::env::var_os("HISTONE_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = match variable {
        Some(root) => root,
        None if beside.is_dir() => beside,
        None => {
            eprintln!("SKIPPED: HISTONE_DATA is not set and ../shared/data is not there ({path})");
            return None;
        }
    };
    let bytes =
        std::fs::read(root.join(path)).unwrap_or_else(|e| panic!("{}: {e}", root.join(path).display()));
    if !path.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = vec![];
    let limits = bgzf::Limits { end_marker: bgzf::EndMarker::Optional, ..bgzf::Limits::default() };
    bgzf::Reader::new(bytes.as_slice(), limits).read_to_end(&mut text).unwrap();
    Some(text)
}
