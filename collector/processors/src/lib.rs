//! Processors: one file each, adapters only.

mod batch;
mod memory_limiter;

pub use batch::Batch;
pub use memory_limiter::MemoryLimiter;
