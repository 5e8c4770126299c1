//! What a disk may hold after the power failed: everything that was synced, and of the rest any part.
//!
//! Of bytes that were written to a file and not synced since, each write is there, is missing, or is there in part, in sectors of
//! 512 bytes; where the file had become longer, a missing sector is zeros or what lay there before. Names of a directory change in
//! the order in which they were changed, as journals of file systems keep it, up to any point since the directory was synced. Bytes
//! beside a write stay as they were, which SQLite relies on as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::layer::{FileId, Op};

const SECTOR: usize = 512;

/// What the disk holds for sure, and what it may hold.
#[derive(Default)]
struct Disk {
    bytes: BTreeMap<FileId, Vec<u8>>,
    unsynced: BTreeMap<FileId, Vec<Op>>,
    names: BTreeMap<PathBuf, FileId>,
    renamed: BTreeMap<PathBuf, Vec<Op>>,
}

/// Draws numbers for images.
pub struct Chance(ChaCha20Rng);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }
}

/// Writes what may be on the disk after the first `done` steps to `dir` in the place of `recorded`, and gives how many of the test's
/// steps had returned.
pub fn write(ops: &[Op], done: usize, recorded: &Path, dir: &Path, chance: &mut Chance) -> usize {
    let mut disk = Disk::default();
    let mut returned = 0;
    for op in &ops[..done] {
        match op {
            Op::Returned(steps) => returned = *steps,
            Op::Write { file, .. } | Op::Truncate { file, .. } => {
                disk.unsynced.entry(*file).or_default().push(op.clone());
            }
            Op::Sync { file } => {
                let bytes = disk.bytes.entry(*file).or_default();
                disk.unsynced.remove(file).iter().flatten().for_each(|op| apply(bytes, op));
            }
            Op::Create { path, .. } | Op::Rename { to: path, .. } | Op::Unlink { path } => {
                let parent = path.parent().unwrap().to_owned();
                disk.renamed.entry(parent).or_default().push(op.clone());
            }
            Op::SyncDirectory { path } => {
                disk.renamed.remove(path).iter().flatten().for_each(|op| rename(&mut disk.names, op));
            }
        }
    }
    for ops in disk.renamed.values() {
        let kept = chance.below(ops.len() + 1);
        ops[..kept].iter().for_each(|op| rename(&mut disk.names, op));
    }
    for (file, ops) in &disk.unsynced {
        let bytes = disk.bytes.entry(*file).or_default();
        // Often nothing or all of it, which is what disks do most.
        let mood = chance.below(4);
        for op in ops {
            match mood {
                0 => {}
                1 => apply(bytes, op),
                _ => match chance.below(3) {
                    0 => {}
                    1 => apply(bytes, op),
                    _ => tear(bytes, op, chance),
                },
            }
        }
    }
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    for (path, file) in &disk.names {
        let path = dir.join(path.strip_prefix(recorded).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, disk.bytes.get(file).map_or(&[][..], |bytes| bytes)).unwrap();
    }
    returned
}

fn rename(names: &mut BTreeMap<PathBuf, FileId>, op: &Op) {
    match op {
        Op::Create { path, file } => {
            names.insert(path.clone(), *file);
        }
        Op::Rename { from, to } => {
            let file = names.remove(from).unwrap();
            names.insert(to.clone(), file);
        }
        Op::Unlink { path } => {
            names.remove(path);
        }
        other => unreachable!("{other:?} changes no name"),
    }
}

fn apply(file: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { at, bytes, .. } => put(file, *at as usize, bytes),
        Op::Truncate { length, .. } => file.resize(*length as usize, 0),
        other => unreachable!("{other:?} changes no bytes"),
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A part of a write, sector by sector.
fn tear(file: &mut Vec<u8>, op: &Op, chance: &mut Chance) {
    let Op::Write { at, bytes, .. } = op else { return apply(file, op) };
    let (mut at, mut rest) = (*at as usize, bytes.as_slice());
    // Cut off at some sector, now and then.
    let last = match chance.below(2) {
        0 => at + chance.below(bytes.len() + 1),
        _ => usize::MAX,
    };
    while !rest.is_empty() && at < last {
        let (part, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        match chance.below(4) {
            0 if file.len() < at + part.len() => put(file, at, &vec![0xA5; part.len()]),
            0 | 1 => {}
            _ => put(file, at, part),
        }
        (at, rest) = (at + part.len(), after);
    }
}
