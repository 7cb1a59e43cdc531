//! Prometheus text.

use exposition::{Format, Options};

use crate::body;

/// Any bytes as a page of Prometheus text: see [`crate::body`].
pub fn check(data: &[u8]) {
    body::check(Format::Text, data, Options::default());
    body::check(Format::Text, data, Options { convert_to_nhcb: true, ..Options::default() });
}
