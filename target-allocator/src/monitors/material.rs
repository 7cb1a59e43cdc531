//! What monitors refer to: entries of Secrets and ConfigMaps.
//!
//! Who makes jobs asks a [`Material`]; every question is written down with its answer, so that a changed entry makes exactly
//! those jobs anew that were made with it. References of a monitor are looked up in its own namespace,
//! references of a scrape class in the namespace of the allocator.

use std::fmt;

use config::Secret;

/// What holds entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// A Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Which of the two.
    pub holder: Holder,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One entry of a Secret or a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryRef {
    /// The object.
    pub object: ObjectRef,
    /// The key in its data.
    pub key: String,
}

/// What is known about an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its content. That of a ConfigMap is treated as a secret, too.
    Value(Secret),
    /// There is no such object.
    NoObject,
    /// The object has no such key.
    NoKey,
    /// The content is not UTF-8.
    NotText,
    /// The object cannot be read, and why: no permission, for example.
    Unreadable(String),
    /// The object has been asked for for the first time, and will be read.
    NotReadYet,
}

/// Answers what is in Secrets and ConfigMaps. Must not block: what is not known yet is [`Answer::NotReadYet`], and the
/// caller generates again once it is.
pub trait Material {
    /// What the entry holds.
    fn answer(&self, entry: &EntryRef) -> Answer;
}

impl<F: Fn(&EntryRef) -> Answer> Material for F {
    fn answer(&self, entry: &EntryRef) -> Answer {
        self(entry)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.holder, self.namespace, self.name)
    }
}

impl Answer {
    /// Why there is no content, with the remedy; nothing where there is one.
    pub(super) fn why_not(&self, entry: &EntryRef) -> Option<(String, String)> {
        let EntryRef { object, key } = entry;
        Some(match self {
            Self::Value(_) => return None,
            Self::NoObject => {
                (format!("{object} does not exist"), "create it, or correct its name".to_owned())
            }
            Self::NoKey => (format!("{object} has no key `{key}`"), "add it, or correct the key".to_owned()),
            Self::NotText => {
                (format!("key `{key}` of {object} is not UTF-8 text"), "store text in it".to_owned())
            }
            Self::Unreadable(why) => (
                format!("{object} cannot be read: {why}"),
                "let the service account of the allocator get it".to_owned(),
            ),
            Self::NotReadYet => (format!("{object} has not been read yet"), "wait".to_owned()),
        })
    }
}
