//! The program's side of [`crate::abi`]; only on wasm32.
//!
//! The one module with `unsafe` code of all programs: four calls into the host.

#![allow(unsafe_code)]

use crate::refusal::Refusal;

mod host {
    // Safety: the host defines these four functions with these signatures and refuses a module that declares others.
    #[link(wasm_import_module = "histone")]
    unsafe extern "C" {
        pub fn input_len() -> i32;
        pub fn input_read(ptr: *mut u8, offset: i32, len: i32);
        pub fn output_emit(ptr: *const u8, len: i32);
        pub fn abort(code: i32);
    }
}

/// The whole input.
pub fn input() -> Vec<u8> {
    // Safety: takes nothing and returns a number.
    let len = unsafe { host::input_len() };
    let mut bytes = vec![0; len as usize];
    // Safety: `bytes` owns `len` initialized bytes, and the host writes no more than `len`.
    unsafe { host::input_read(bytes.as_mut_ptr(), 0, len) };
    bytes
}

/// Hands over the result. The host ends the program at a second call.
pub fn emit(result: &[u8]) {
    // Safety: the host only reads the `len` bytes of the slice, during the call.
    unsafe { host::output_emit(result.as_ptr(), result.len() as i32) }
}

/// Ends the program without a result.
pub fn refuse(why: Refusal) -> ! {
    // Safety: takes a number; the host does not return from it.
    unsafe { host::abort(why.code() as i32) };
    // A host that does return finds a trap, never a half-done program.
    core::arch::wasm32::unreachable()
}

/// Runs a program on the input and hands over what it says.
pub fn run(program: fn(&[u8]) -> Result<Vec<u8>, Refusal>) {
    match program(&input()) {
        Ok(result) => emit(&result),
        Err(why) => refuse(why),
    }
}
