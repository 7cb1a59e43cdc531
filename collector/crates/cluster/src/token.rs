//! A token that stands in a file and may be replaced there.
//!
//! As client-go: text around the token is cut off, and when the file cannot be read the token that was there last is
//! used. It is read for every request, of which there are few.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use config::Secret;
use http::HeaderValue;

use crate::failure::{Failure, Reason};
use crate::store::lock;

/// The file, and what it held last.
#[derive(Clone, Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Arc<Mutex<Option<Secret>>>,
}

impl TokenFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Arc::default() }
    }

    /// The `Authorization` header.
    pub(crate) async fn header(&self) -> Result<HeaderValue, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(
                Reason::Unauthorized,
                format!("the token of {} is not usable: {why}", self.path.display()),
            )
        };
        let token = match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => {
                let token = Secret::new(text.trim());
                *lock(&self.last) = Some(token.clone());
                token
            }
            Err(error) => lock(&self.last).clone().ok_or_else(|| wrong(&error))?,
        };
        let header = HeaderValue::try_from(format!("Bearer {}", token.expose()));
        let mut header = header.map_err(|error| wrong(&error))?;
        header.set_sensitive(true);
        Ok(header)
    }
}
