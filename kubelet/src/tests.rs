//! The crate as a whole: a real TLS server on one side, decoded OTLP on the other.

mod access;
mod bad_input;
mod cost;
mod fixture;
mod goldens;
mod rights;
mod switches;
