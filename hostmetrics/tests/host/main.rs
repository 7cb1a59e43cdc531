//! A host as a tree of files below a root path: what is told of it, and what is said of what cannot be read.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod allocations;
mod bad_input;
mod decisions;
mod goldens;
mod keys;
mod nfs;
mod opt_in;
mod processes;
mod scopes;
mod tables;
mod tree;
