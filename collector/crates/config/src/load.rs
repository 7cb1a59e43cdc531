//! Several sources to one tree.
//!
//! As the collector's `confmap.Resolver`: sources in order, maps merge deeply, everything else is replaced, null included; `::` in a
//! key of the top level separates keys; `--set` comes last. `http:` and `https:` sources are refused by name.

use crate::{Entry, Node, Place, Problem, Value, expand, parse};

/// Files and environment, as the program sees them.
pub trait World {
    /// The value of an environment variable; `None` where it is not set.
    fn env(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read, as a text for the user, without the path.
    fn read(&self, path: &str) -> Result<String, String>;
}

/// Where a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Values of `--config`: `file:path`, a bare path, `env:NAME`, `yaml:text`.
    pub configs: Vec<String>,
    /// Values of `--set`: `a.b.c=value`.
    pub sets: Vec<String>,
}

/// A configuration, merged and expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The sections.
    pub root: Node,
    /// What was odd but did not hinder.
    pub warnings: Vec<Problem>,
}

/// Most sources, as upstream.
const MAX_SOURCES: usize = 100;

/// What can stand before the colon of a source or a reference.
pub(crate) const SCHEMES: &str = "known are `env:`, `file:` and `yaml:`";

/// Reads, merges and expands the sources.
///
/// # Errors
/// Everything that is wrong with the sources: files that cannot be read, texts that are not YAML, references that fail.
pub fn load(sources: &Sources, world: &dyn World) -> Result<Loaded, Vec<Problem>> {
    let n_sources = sources.configs.len() + sources.sets.len();
    if sources.configs.is_empty() {
        return Err(vec![Problem::error("", "at least one --config must be given")]);
    }
    if n_sources > MAX_SOURCES {
        let message = format!("{n_sources} sources are more than the limit of {MAX_SOURCES} (MAX_SOURCES)");
        return Err(vec![Problem::error("", message)]);
    }
    let mut root = Node::map();
    let mut warnings = Vec::new();
    let mut errors = Vec::new();
    let configs = sources.configs.iter().map(|source| read_source(source, world));
    let sets = sources.sets.iter().map(|setting| read_setting(setting));
    for source in configs.chain(sets) {
        match source {
            Ok(loaded) => {
                merge(&mut root, loaded.root);
                warnings.extend(loaded.warnings);
            }
            Err(problem) => errors.push(problem),
        }
    }
    let (failed, odd): (Vec<_>, Vec<_>) = expand(&mut root, world).into_iter().partition(Problem::is_error);
    errors.extend(failed);
    warnings.extend(odd);
    if errors.is_empty() { Ok(Loaded { root, warnings }) } else { Err(errors) }
}

/// Scheme and rest of `scheme:rest`. A scheme has at least two characters, so that `C:\x` is a path.
pub(crate) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() >= 2
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'));
    is_scheme.then_some((scheme, rest))
}

/// Whether a scheme is meant as one, supported or not.
pub(crate) fn is_known_scheme(scheme: &str) -> bool {
    matches!(scheme, "env" | "file" | "yaml" | "http" | "https")
}

pub(crate) fn unsupported_scheme(scheme: &str) -> String {
    match scheme {
        "http" | "https" => {
            format!("configuration is not fetched over `{scheme}:`; fetch it to a file first")
        }
        _ => format!("scheme `{scheme}:` is not supported"),
    }
}

pub(crate) fn cannot_read(path: &str, reason: &str) -> String {
    format!("unable to read the file `{path}`: {reason}")
}

fn read_source(source: &str, world: &dyn World) -> Result<Loaded, Problem> {
    let (scheme, rest) = split_scheme(source).unwrap_or(("file", source));
    let (text, name) = match scheme {
        "file" => match world.read(rest) {
            Ok(text) => (text, rest.to_owned()),
            Err(reason) => return Err(Problem::error("", cannot_read(rest, &reason))),
        },
        "env" => match world.env(rest) {
            Some(text) => (text, source.to_owned()),
            None => return Err(Problem::error("", format!("environment variable `{rest}` is not set"))),
        },
        "yaml" => (rest.to_owned(), "yaml:".to_owned()),
        _ => return Err(Problem::error("", unsupported_scheme(scheme)).with_hint(SCHEMES)),
    };
    read_text(&text, &name)
}

fn read_setting(setting: &str) -> Result<Loaded, Problem> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err(Problem::error("", format!("missing equal sign in `--set {setting}`")));
    };
    let key = key.trim();
    let name = format!("--set {key}");
    // The value alone is parsed, so that a key that YAML would read otherwise cannot spoil it.
    let parsed = parse(value.trim(), &name)?;
    let place = Place { source: name.as_str().into(), line: 1, column: 1 };
    let mut root = Node::new(Value::Map(Vec::new()), place.clone());
    root.insert_entry(Entry { key: key.replace('.', "::"), place, node: parsed.root });
    Ok(Loaded { root: split_keys(root), warnings: parsed.warnings })
}

fn read_text(text: &str, name: &str) -> Result<Loaded, Problem> {
    let parsed = parse(text, name)?;
    let mut warnings = parsed.warnings;
    match parsed.root.value() {
        Value::Map(_) => Ok(Loaded { root: split_keys(parsed.root), warnings }),
        Value::Null => {
            let place = Place { source: name.into(), line: 1, column: 1 };
            warnings.push(Problem::warning("", "the configuration is empty").with_place(&place));
            Ok(Loaded { root: Node::map(), warnings })
        }
        _ => {
            let message = format!("a configuration is a map of sections, this is {}", parsed.root.kind());
            Err(Problem::error("", message).with_place(parsed.root.place()))
        }
    }
}

/// Cuts keys of the top level at `::`: `a::b: 1` is `a: {b: 1}`.
fn split_keys(mut root: Node) -> Node {
    let Value::Map(entries) = &mut root.value else { return root };
    if !entries.iter().any(|entry| entry.key.contains("::")) {
        return root;
    }
    let mut whole = Node::new(Value::Map(Vec::new()), root.place.clone());
    for Entry { key, place, node } in std::mem::take(entries) {
        let nested = key.rsplit("::").fold(node, |inner, step| {
            let mut outer = Node::new(Value::Map(Vec::new()), place.clone());
            outer.insert_entry(Entry { key: step.to_owned(), place: place.clone(), node: inner });
            outer
        });
        merge(&mut whole, nested);
    }
    whole
}

/// Puts `over` on top of `base`: maps deeply, everything else whole.
fn merge(base: &mut Node, over: Node) {
    if !base.is_map() || !over.is_map() {
        *base = over;
        return;
    }
    let Value::Map(entries) = over.value else { return };
    for entry in entries {
        match base.get_mut(&entry.key) {
            Some(former) if former.is_map() && entry.node.is_map() => merge(former, entry.node),
            _ => drop(base.insert_entry(entry)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
