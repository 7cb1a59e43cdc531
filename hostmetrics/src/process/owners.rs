//! Names of users, from the host's passwd file.

use std::collections::HashMap;
use std::io;
use std::time::SystemTime;

use crate::files::Files;
use crate::root::Root;
use crate::text;

/// The passwd file, read again when it has changed.
#[derive(Debug, Default)]
pub(super) struct Owners {
    names: HashMap<u32, String>,
    changed: Option<SystemTime>,
}

impl Owners {
    /// Reads the file, where it is not the one that was read last.
    pub(super) fn refresh(&mut self, root: &Root, files: &mut Files) -> io::Result<()> {
        let path = root.etc("passwd");
        let changed = std::fs::metadata(&path)?.modified()?;
        if self.changed == Some(changed) {
            return Ok(());
        }
        let text = files.read(&path)?;
        self.names.clear();
        for line in text::lines(text) {
            let mut parts = line.split(|byte| *byte == b':');
            let (name, id) = (parts.next(), parts.nth(1).and_then(text::number));
            if let (Some(name), Some(id)) = (name, id.and_then(|id| u32::try_from(id).ok())) {
                // Of two users with the same number the first one counts.
                self.names.entry(id).or_insert_with(|| String::from_utf8_lossy(name).into_owned());
            }
        }
        self.changed = Some(changed);
        Ok(())
    }

    /// The name of a user.
    pub(super) fn name(&self, user: u32) -> Option<&str> {
        self.names.get(&user).map(String::as_str)
    }
}
