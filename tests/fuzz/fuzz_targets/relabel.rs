//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz relabel`: see `fuzz_targets::relabel`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::relabel::check(data));
