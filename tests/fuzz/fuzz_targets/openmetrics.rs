//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz openmetrics`: see `fuzz_targets::openmetrics`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::openmetrics::check(data));
