#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    histone_fuzz_checks::genomes::index(bytes);
});
