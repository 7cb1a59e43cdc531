//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz protobuf`: see `fuzz_targets::protobuf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::protobuf::check(data));
