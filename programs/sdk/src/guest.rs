//! The program's side of [`crate::abi`]; only on wasm32.
//!
//! The one module with `unsafe` code of all programs: six calls into the host.

#![allow(unsafe_code)]

use crate::data::{Block, Data};
use crate::genotypes::Genotypes;
use crate::refusal::Refusal;

mod host {
    // Safety: the host defines these functions with these signatures and refuses a module that declares others.
    #[link(wasm_import_module = "histone")]
    unsafe extern "C" {
        pub fn input_count() -> i32;
        pub fn input_len(channel: i32) -> i32;
        pub fn input_read(channel: i32, ptr: *mut u8, offset: i32, len: i32);
        pub fn output_emit(ptr: *const u8, len: i32);
        pub fn explain(ptr: *const u8, len: i32);
        pub fn abort(code: i32);
    }
}

/// The whole input of a channel; the host ends the program when there is none of this number.
pub fn input(channel: usize) -> Vec<u8> {
    let channel = channel as i32;
    // Safety: takes and returns a number.
    let len = unsafe { host::input_len(channel) };
    let mut bytes = vec![0; len as usize];
    // Safety: `bytes` owns `len` initialized bytes, and the host writes no more than `len`.
    unsafe { host::input_read(channel, bytes.as_mut_ptr(), 0, len) };
    bytes
}

/// Appends to the result.
pub fn emit(result: &[u8]) {
    // Safety: the host only reads the `len` bytes of the slice, during the call.
    unsafe { host::output_emit(result.as_ptr(), result.len() as i32) }
}

/// Ends the program without a result.
pub fn refuse(why: Refusal) -> ! {
    if let Refusal::Because(words) = &why {
        // Safety: the host only reads the `len` bytes of the text, during the call.
        unsafe { host::explain(words.as_ptr(), words.len() as i32) };
    }
    // Safety: takes a number; the host does not return from it.
    unsafe { host::abort(why.code() as i32) };
    // A host that does return finds a trap, never a half-done program.
    core::arch::wasm32::unreachable()
}

/// Whether a channel holds genotypes.
fn is_genotypes(channel: usize) -> bool {
    let channel = channel as i32;
    let mut head = [0; 4];
    // Safety: takes and returns a number; the host writes the 4 bytes of `head` and no more, and only where there are so many.
    unsafe {
        if (host::input_len(channel) as usize) < head.len() {
            return false;
        }
        host::input_read(channel, head.as_mut_ptr(), 0, head.len() as i32);
    }
    Genotypes::begins(&head)
}

/// The rows of the site: every channel behind the first is a block, first those of the table and then those of genotypes.
struct HostData;

impl HostData {
    fn channels() -> usize {
        // Safety: takes nothing and returns a number.
        (unsafe { host::input_count() } as usize).saturating_sub(1)
    }
}

impl Data for HostData {
    fn blocks(&self) -> usize {
        (1..=Self::channels()).take_while(|channel| !is_genotypes(*channel)).count()
    }

    fn block(&self, number: usize) -> Result<Block, Refusal> {
        Block::decode(&input(number + 1))
    }

    fn genotype_blocks(&self) -> usize {
        Self::channels() - self.blocks()
    }

    fn genotypes(&self, number: usize) -> Result<Genotypes, Refusal> {
        Genotypes::decode(&input(self.blocks() + number + 1))
    }
}

/// Runs a program on the public input and hands over what it says.
pub fn run(program: fn(&[u8]) -> Result<Vec<u8>, Refusal>) {
    match program(&input(0)) {
        Ok(result) => emit(&result),
        Err(why) => refuse(why),
    }
}

/// The same beside the rows of a site, of which a refusal says nothing but its number.
pub fn run_beside_data(program: fn(&[u8], &dyn Data) -> Result<Vec<u8>, Refusal>) {
    match program(&input(0), &HostData) {
        Ok(result) => emit(&result),
        Err(Refusal::Because(_)) => refuse(Refusal::Malformed),
        Err(why) => refuse(why),
    }
}

/// The same with one private row.
pub fn run_beside_row(program: fn(&[u8], &[u8]) -> Result<Vec<u8>, Refusal>) {
    match program(&input(0), &input(1)) {
        Ok(result) => emit(&result),
        Err(Refusal::Because(_)) => refuse(Refusal::Malformed),
        Err(why) => refuse(why),
    }
}
