//! Wire formats: OTLP read in place and written without structs, Prometheus remote write, compression with limits.
//!
//! Nothing here touches the world. Hot paths never decode into owned structs: [`otlp`] lends views over the bytes that
//! were received, [`remote_write`] writes series straight from borrowed labels, and [`compress`] works on whole
//! bodies. Structs made by `prost` exist where somebody reads remote write, which is rare. Broken input gives an error that says what and where ([`proto::Malformed`],
//! [`compress::DecompressError`]); it never panics, and every bound has a name that its error prints.

pub mod compress;
pub mod otlp;
pub mod proto;
pub mod remote_write;

pub use proto::Malformed;
