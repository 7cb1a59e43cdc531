//! Extensions: one file each, adapters only.

mod file_storage;
mod health_check;

pub use file_storage::FileStorage;
pub use health_check::HealthCheck;
