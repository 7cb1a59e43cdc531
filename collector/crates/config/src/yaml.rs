//! YAML and JSON text to a tree of [`Node`]s.
//!
//! Anchors, aliases and merge keys are resolved here, as `yaml.v3` does: what stands beside `<<` wins over what is merged, and of
//! several merged maps the first wins. Different on purpose: a duplicated key is a warning and its last value wins
//! (upstream refuses), more than one document is an error (upstream reads the first and forgets the rest), and every bound has a
//! name, which appears in the message: [`MAX_BYTES`], [`MAX_DEPTH`], [`MAX_NODES`], [`MAX_ALIAS_NODES`],
//! [`MAX_ALIAS_BYTES`].

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::{Entry, Node, Place, Problem, Value, scalar};

/// Largest text that is parsed, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// How deep lists and maps may be nested, aliases and expansions included.
pub const MAX_DEPTH: usize = 100;

/// Most values in one document.
pub const MAX_NODES: usize = 1_000_000;

/// Most values that anchors and aliases may add by repetition.
pub const MAX_ALIAS_NODES: usize = 100_000;

/// Most bytes of text that anchors and aliases may add by repetition.
pub const MAX_ALIAS_BYTES: usize = 16 << 20;

/// Longest key in characters; YAML itself says 1024, JSON has no bound.
const MAX_KEY_CHARS: usize = 16 << 10;

/// A document and what was odd about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The value; null for an empty text.
    pub root: Node,
    /// Duplicated keys.
    pub warnings: Vec<Problem>,
}

/// Parses one YAML or JSON document. `source` names the text in places.
///
/// # Errors
/// Text that is not YAML, holds more than one document, or exceeds a limit.
pub fn parse(text: &str, source: &str) -> Result<Parsed, Problem> {
    let mut builder = Builder::new(source);
    if text.len() > MAX_BYTES {
        let message =
            format!("the text has {} bytes, more than the limit of {MAX_BYTES} (MAX_BYTES)", text.len());
        return Err(Problem::error("", message));
    }
    let mut options = granit_parser::options! {
        emit_comments: false,
        simple_key_max_lookahead: MAX_KEY_CHARS,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| builder.syntax(&error))?;
        builder.event(event, span)?;
    }
    let start = Place { source: builder.source, line: 1, column: 1 };
    Ok(Parsed {
        root: builder.root.unwrap_or_else(|| Node::new(Value::Null, start)),
        warnings: builder.warnings,
    })
}

struct Builder {
    source: Arc<str>,
    /// Lists and maps that are still open, outermost first.
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    n_documents: usize,
    n_nodes: usize,
    n_alias_nodes: usize,
    n_alias_bytes: usize,
    warnings: Vec<Problem>,
}

struct Frame {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<Entry>,
    /// Index of each key in `entries`.
    index: HashMap<String, usize>,
    key: Option<Key>,
    /// Maps to merge, in order of precedence.
    merged: Vec<Node>,
}

struct Key {
    text: String,
    place: Place,
    is_merge: bool,
}

impl Builder {
    fn new(source: &str) -> Self {
        Self {
            source: Arc::from(source),
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            n_documents: 0,
            n_nodes: 0,
            n_alias_nodes: 0,
            n_alias_bytes: 0,
            warnings: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = self.place(span.start);
        match event {
            Event::DocumentStart(..) => {
                self.n_documents += 1;
                self.anchors.clear();
                match self.n_documents {
                    1 => Ok(()),
                    _ => Err(self.error(&place, "the text holds more than one YAML document")),
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                // The parser writes `~` for a value that is not there.
                let text = if style == ScalarStyle::Plain && span.is_empty() { "" } else { &*text };
                self.scalar(text, style, anchor, tag.as_deref(), place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "seq", &place)?;
                self.start(Content::Seq(Vec::new()), anchor, place)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_collection_tag(tag.as_deref(), "map", &place)?;
                self.start(Content::Map(OpenMap::default()), anchor, place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, place),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), Problem> {
        let is_plain = style == ScalarStyle::Plain;
        let value = match tag.filter(|tag| tag.original() != "!") {
            None if is_plain => scalar::resolve(text),
            None => Value::Str(text.to_owned()),
            Some(tag) => match tag.core_suffix() {
                Some(core) => scalar::tagged(core, text).map_err(|message| self.error(&place, message))?,
                None => return Err(self.unknown_tag(tag, &place)),
            },
        };
        let mut node = Node::new(value, place);
        if node.as_str().is_none() {
            node.text = Some(text.into());
        }
        self.keep(anchor, &node)?;
        if let Some(map) = self.map_that_wants_a_key() {
            let is_merge = is_plain && tag.is_none() && text == "<<";
            map.key = Some(Key { text: text.to_owned(), place: node.place, is_merge });
            return Ok(());
        }
        self.complete(node)
    }

    fn start(&mut self, content: Content, anchor: usize, place: Place) -> Result<(), Problem> {
        if self.map_that_wants_a_key().is_some() {
            return Err(self.error(&place, "a key must be text, not a list or a map"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.too_deep(&place));
        }
        self.open.push(Frame { place, anchor, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Frame { place, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::Seq(items) => Value::Seq(items),
            Content::Map(map) => Value::Map(map.close()),
        };
        let node = Node::new(value, place);
        self.keep(anchor, &node)?;
        self.complete(node)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Problem> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(self.error(&place, "the alias stands inside the value it refers to"));
        };
        let size = self.count_copy(&node)?;
        if self.open.len() + size.depth > MAX_DEPTH {
            return Err(self.too_deep(&place));
        }
        if self.map_that_wants_a_key().is_none() {
            return self.complete(node);
        }
        let Some(text) = node.text().map(str::to_owned) else {
            return Err(self.error(&place, "a key must be text, not a list or a map"));
        };
        if let Some(map) = self.map_that_wants_a_key() {
            map.key = Some(Key { text, place, is_merge: false });
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node) -> Result<(), Problem> {
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            let message = format!("the document has more than the limit of {MAX_NODES} values (MAX_NODES)");
            return Err(self.error(&node.place, message));
        }
        match self.open.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::Seq(items)) => items.push(node),
            Some(Content::Map(map)) => {
                let Some(key) = map.key.take() else { return Ok(()) };
                if key.is_merge {
                    return self.merge(node);
                }
                if let Some(former) = map.set(&key, node) {
                    self.warn_duplicate(&key, &former);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, node: Node) -> Result<(), Problem> {
        let place = node.place.clone();
        let maps = match node.value {
            Value::Seq(items) => items,
            _ => vec![node],
        };
        if !maps.iter().all(Node::is_map) {
            return Err(self.error(&place, "`<<` needs a map or a list of maps"));
        }
        if let Some(Content::Map(map)) = self.open.last_mut().map(|frame| &mut frame.content) {
            map.merged.extend(maps);
        }
        Ok(())
    }

    /// Remembers an anchored value.
    fn keep(&mut self, anchor: usize, node: &Node) -> Result<(), Problem> {
        if anchor != 0 {
            self.count_copy(node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    fn count_copy(&mut self, node: &Node) -> Result<Size, Problem> {
        let size = Size::of(node);
        self.n_alias_nodes += size.nodes;
        self.n_alias_bytes += size.bytes;
        if self.n_alias_nodes > MAX_ALIAS_NODES {
            let message = format!(
                "anchors and aliases repeat more than the limit of {MAX_ALIAS_NODES} values (MAX_ALIAS_NODES)"
            );
            return Err(self.error(&node.place, message));
        }
        if self.n_alias_bytes > MAX_ALIAS_BYTES {
            let message = format!(
                "anchors and aliases repeat more than the limit of {MAX_ALIAS_BYTES} bytes (MAX_ALIAS_BYTES)"
            );
            return Err(self.error(&node.place, message));
        }
        Ok(size)
    }

    fn map_that_wants_a_key(&mut self) -> Option<&mut OpenMap> {
        match self.open.last_mut().map(|frame| &mut frame.content) {
            Some(Content::Map(map)) if map.key.is_none() => Some(map),
            _ => None,
        }
    }

    fn check_collection_tag(&self, tag: Option<&Tag>, allowed: &str, place: &Place) -> Result<(), Problem> {
        match tag {
            Some(tag) if tag.original() != "!" && tag.core_suffix() != Some(allowed) => {
                Err(self.unknown_tag(tag, place))
            }
            _ => Ok(()),
        }
    }

    fn warn_duplicate(&mut self, key: &Key, former: &Place) {
        let message = format!("key `{}` is given twice; this value replaces the one at {former}", key.text);
        self.warnings.push(Problem::warning(self.path(), message).with_place(&key.place));
    }

    /// Keys and indexes of the open lists and maps.
    fn path(&self) -> String {
        let steps: Vec<String> = self.open.iter().filter_map(|frame| frame.content.step()).collect();
        steps.join("::")
    }

    fn place(&self, mark: Marker) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place {
            source: self.source.clone(),
            line: number(mark.line()),
            column: number(mark.col().saturating_add(1)),
        }
    }

    fn error(&self, place: &Place, message: impl Into<String>) -> Problem {
        Problem::error(self.path(), message).with_place(place)
    }

    fn too_deep(&self, place: &Place) -> Problem {
        let message =
            format!("lists and maps are nested deeper than the limit of {MAX_DEPTH} levels (MAX_DEPTH)");
        Problem::error("", message).with_place(place)
    }

    fn unknown_tag(&self, tag: &Tag, place: &Place) -> Problem {
        self.error(place, format!("tag `{}` is not known", tag.original()))
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let place = self.place(*error.marker());
        let hint = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return self.too_deep(&place),
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
                Some("indent with spaces")
            }
            ErrorKind::MappingValueNotAllowed => {
                Some("check the indentation; text that holds a colon and a space needs quotes")
            }
            ErrorKind::UnclosedQuotedScalar => Some("a closing quote is missing"),
            _ => None,
        };
        let problem = self.error(&place, format!("not valid YAML: {}", error.info()));
        match hint {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        }
    }
}

impl Content {
    /// The key or index at which this is being filled.
    fn step(&self) -> Option<String> {
        match self {
            Self::Seq(items) => Some(items.len().to_string()),
            Self::Map(map) => map.key.as_ref().map(|key| key.text.clone()),
        }
    }
}

impl OpenMap {
    /// Sets a key; the last value wins. Gives the place of the former key back.
    fn set(&mut self, key: &Key, node: Node) -> Option<Place> {
        let entry = Entry { key: key.text.clone(), place: key.place.clone(), node };
        if let Some(&at) = self.index.get(&key.text) {
            return Some(std::mem::replace(&mut self.entries[at], entry).place);
        }
        self.index.insert(key.text.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    fn close(mut self) -> Vec<Entry> {
        for node in std::mem::take(&mut self.merged) {
            let Value::Map(entries) = node.value else { continue };
            for entry in entries {
                if !self.index.contains_key(&entry.key) {
                    self.index.insert(entry.key.clone(), self.entries.len());
                    self.entries.push(entry);
                }
            }
        }
        self.entries
    }
}

/// What a copy of a value costs.
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn of(node: &Node) -> Self {
        let own = Self { nodes: 1, bytes: node.text().map_or(0, str::len), depth: 0 };
        let children = node.items().map(|item| (0, item));
        let children = children.chain(node.entries().map(|(key, value)| (key.len(), value)));
        children.fold(own, |sum, (key_bytes, child)| {
            let child = Self::of(child);
            Self {
                nodes: sum.nodes + child.nodes,
                bytes: sum.bytes + child.bytes + key_bytes,
                depth: sum.depth.max(child.depth + 1),
            }
        })
    }
}

#[cfg(test)]
mod tests;
