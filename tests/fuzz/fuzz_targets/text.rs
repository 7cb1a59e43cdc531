//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz text`: see `fuzz_targets::text`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::text::check(data));
