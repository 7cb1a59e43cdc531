//! The real environment and the real files, for the configuration.

/// The process's environment and the file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RealWorld;

impl config::World for RealWorld {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| format!("not valid UTF-8: {error}"))
    }
}
