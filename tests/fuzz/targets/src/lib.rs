//! What must hold for any input of the three parsers and of relabelling.
//!
//! Each module has one function, `check`, that takes any bytes and panics when a promise is broken. A fuzzer calls it
//! (`tests/fuzz/fuzz_targets`), and a normal test does, with every file of `tests/fuzz/corpus` and with small changes of
//! them.

mod body;
pub mod openmetrics;
pub mod protobuf;
pub mod relabel;
pub mod text;

/// A target: its name, which is that of its folder in the corpus, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 4] = [
    ("text", text::check),
    ("openmetrics", openmetrics::check),
    ("protobuf", protobuf::check),
    ("relabel", self::relabel::check),
];
