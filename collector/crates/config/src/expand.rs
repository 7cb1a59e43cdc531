//! `${env:X}` and its kin.
//!
//! As `confmap/expand.go`: only `${...}` is special; the innermost reference goes first; a reference that is the whole value takes
//! the kind its text has as YAML and keeps the text for string fields, one inside a text is replaced by the text; what was
//! inserted is expanded again, at most [`MAX_ROUNDS`] times per value; `$$` becomes `$` at the end. Keys are never
//! expanded. Different on purpose: `${X:-default}` works without `env:`; an escaped `$${X}` neither stops the expansion of what follows
//! it in the same text nor is expanded together with a `${X}` beside it; the whole expansion is bounded.

use std::ops::Range;

use crate::yaml::{MAX_BYTES, MAX_DEPTH, MAX_NODES};
use crate::{Node, Parsed, Place, Problem, Value, World, load, parse};

/// Most replacements within one value; upstream's bound, behind which lies a reference to itself.
const MAX_ROUNDS: usize = 1000;

/// Most references in one configuration, those in what was inserted included.
const MAX_REFERENCES: usize = 10_000;

/// Longest text that expansion may produce, in bytes.
const MAX_TEXT_BYTES: usize = MAX_BYTES / 16;

/// Expands every reference in the values of a tree, in place. Gives warnings (variables that are not set) and errors back;
/// a value whose reference fails becomes null.
pub fn expand(node: &mut Node, world: &dyn World) -> Vec<Problem> {
    let mut expander =
        Expander { world, path: Vec::new(), problems: Vec::new(), n_references: 0, n_quiet: 0, n_nodes: 0 };
    expander.node(node, 0);
    expander.problems
}

struct Expander<'w> {
    world: &'w dyn World,
    path: Vec<String>,
    problems: Vec<Problem>,
    n_references: usize,
    /// References in texts that may never be asked for; they have a budget of their own.
    n_quiet: usize,
    n_nodes: usize,
}

/// The text that a reference stands for, and where it comes from.
struct Retrieved {
    text: String,
    source: String,
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node, depth: usize) {
        self.n_nodes += 1;
        if let Err(problem) = self.check_bounds(depth) {
            self.refuse(node, problem);
            return;
        }
        match &mut node.value {
            Value::Seq(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.below(index.to_string(), item, depth);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.below(entry.key.clone(), &mut entry.node, depth);
                }
            }
            Value::Str(text) if text.contains('$') => {
                let text = std::mem::take(text);
                self.text(node, text, depth);
            }
            _ => {}
        }
    }

    fn below(&mut self, step: String, node: &mut Node, depth: usize) {
        self.path.push(step);
        self.node(node, depth + 1);
        self.path.pop();
    }

    /// Expands a string, which may turn out to be something else.
    fn text(&mut self, node: &mut Node, mut text: String, depth: usize) {
        for _ in 0..MAX_ROUNDS {
            let Some(reference) = find_reference(&text) else {
                node.value = Value::Str(unescape(&text));
                return;
            };
            let is_whole = reference == (0..text.len());
            let retrieved = match self.retrieve(&text[reference.start + 2..reference.end - 1], &node.place) {
                Ok(retrieved) => retrieved,
                Err(problem) => return self.refuse(node, problem),
            };
            node.expanded = true;
            match if is_whole { retrieved.typed() } else { None } {
                Some(parsed) => return self.typed(node, parsed, retrieved.text, depth),
                None if is_whole => text = retrieved.text,
                None => text.replace_range(reference, &retrieved.text),
            }
            if text.len() > MAX_TEXT_BYTES {
                let message =
                    format!("the expanded text exceeds the limit of {MAX_TEXT_BYTES} bytes (MAX_TEXT_BYTES)");
                let problem = self.error(&node.place, message);
                return self.refuse(node, problem);
            }
        }
        let message = format!("too many recursive expansions, the limit is {MAX_ROUNDS} (MAX_ROUNDS)");
        let problem = self.error(&node.place, message).with_hint("does a reference contain itself?");
        self.refuse(node, problem);
    }

    /// Takes over what is not a string, and expands what is in it.
    fn typed(&mut self, node: &mut Node, parsed: Parsed, text: String, depth: usize) {
        let path = self.path.join("::");
        self.problems.extend(parsed.warnings.into_iter().map(|warning| warning.under(&path)));
        node.value = parsed.root.value;
        node.text = self.quietly(text, &node.place).map(String::into_boxed_str);
        if node.is_map() || node.is_seq() {
            // What stands in another file has its place there.
            node.place = parsed.root.place;
            self.node(node, depth);
        }
    }

    /// The text that a typed value has as a string: expanded as well, and forgotten where that fails.
    fn quietly(&mut self, text: String, place: &Place) -> Option<String> {
        let n_problems = self.problems.len();
        std::mem::swap(&mut self.n_references, &mut self.n_quiet);
        let text = self.quiet_rounds(text, place);
        std::mem::swap(&mut self.n_references, &mut self.n_quiet);
        self.problems.truncate(n_problems);
        text
    }

    fn quiet_rounds(&mut self, mut text: String, place: &Place) -> Option<String> {
        for _ in 0..MAX_ROUNDS {
            let Some(reference) = find_reference(&text) else { return Some(unescape(&text)) };
            let retrieved = self.retrieve(&text[reference.start + 2..reference.end - 1], place).ok()?;
            text.replace_range(reference, &retrieved.text);
            if text.len() > MAX_TEXT_BYTES {
                return None;
            }
        }
        None
    }

    fn retrieve(&mut self, reference: &str, place: &Place) -> Result<Retrieved, Problem> {
        self.n_references += 1;
        if self.n_references > MAX_REFERENCES {
            let message = format!(
                "the configuration has more than the limit of {MAX_REFERENCES} references (MAX_REFERENCES)"
            );
            return Err(self.error(place, message));
        }
        let (scheme, rest) = scheme_and_rest(reference);
        match scheme {
            "env" => self.variable(rest, place),
            "file" => match self.world.read(rest) {
                Ok(text) => Ok(Retrieved { text, source: rest.to_owned() }),
                Err(reason) => Err(self.error(place, load::cannot_read(rest, &reason))),
            },
            "yaml" => Ok(Retrieved { text: rest.to_owned(), source: "yaml:".to_owned() }),
            _ => Err(self.error(place, load::unsupported_scheme(scheme)).with_hint(load::SCHEMES)),
        }
    }

    fn variable(&mut self, reference: &str, place: &Place) -> Result<Retrieved, Problem> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_variable_name(name) {
            let message =
                format!("`{name}` is not the name of an environment variable (letters, digits and `_`)");
            let hint = format!("for the text `${{{reference}}}` write `$${{{reference}}}`");
            return Err(self.error(place, message).with_hint(hint));
        }
        let text = match (self.world.env(name), default) {
            (Some(text), _) => text,
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                let message =
                    format!("environment variable `{name}` is not set, its value is taken as empty");
                let warning = Problem::warning(self.path.join("::"), message).with_place(place);
                let hint = format!("`${{env:{name}:-x}}` gives it a default");
                self.problems.push(warning.with_hint(hint));
                String::new()
            }
        };
        Ok(Retrieved { text, source: format!("env:{name}") })
    }

    fn check_bounds(&self, depth: usize) -> Result<(), Problem> {
        let nowhere = Place::unknown();
        if depth > MAX_DEPTH {
            let message = format!(
                "expansion nests lists and maps deeper than the limit of {MAX_DEPTH} levels (MAX_DEPTH)"
            );
            let problem = Problem::error(self.path.first().cloned().unwrap_or_default(), message);
            return Err(problem.with_hint("does a reference contain itself?"));
        }
        if self.n_nodes > MAX_NODES {
            let message = format!(
                "the expanded configuration has more than the limit of {MAX_NODES} values (MAX_NODES)"
            );
            return Err(self.error(&nowhere, message));
        }
        Ok(())
    }

    /// Gives a value up.
    fn refuse(&mut self, node: &mut Node, problem: Problem) {
        node.value = Value::Null;
        node.text = None;
        let problem = if problem.place.is_none() { problem.with_place(&node.place) } else { problem };
        // A bound that is exceeded once is exceeded at every value that follows.
        if self.problems.last().is_none_or(|last| last.message != problem.message) {
            self.problems.push(problem);
        }
    }

    fn error(&self, place: &Place, message: impl Into<String>) -> Problem {
        Problem::error(self.path.join("::"), message).with_place(place)
    }
}

impl Retrieved {
    /// The text as YAML; `None` where it is not YAML or a string as YAML, and so is taken as it is.
    fn typed(&self) -> Option<Parsed> {
        parse(&self.text, &self.source).ok().filter(|parsed| parsed.root.as_str().is_none())
    }
}

/// The innermost reference to be expanded next: from the first `}` back to the nearest `${`, unless an odd number of `$`
/// before it escapes it.
fn find_reference(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(end) = text[from..].find('}').map(|at| from + at + 1) {
        if let Some(start) = text[from..end].rfind("${").map(|at| from + at) {
            let n_dollars = text[from..start].bytes().rev().take_while(|byte| *byte == b'$').count();
            if n_dollars.is_multiple_of(2) {
                return Some(start..end);
            }
        }
        from = end;
    }
    None
}

/// Cuts a reference into scheme and rest; without a scheme it is a variable.
fn scheme_and_rest(reference: &str) -> (&str, &str) {
    match load::split_scheme(reference) {
        Some((scheme, rest)) if load::is_known_scheme(scheme) => (scheme, rest),
        // `${X:-default}`: upstream takes `X` for a scheme and fails.
        _ if reference.split_once(":-").is_some_and(|(name, _)| is_variable_name(name)) => ("env", reference),
        Some(parts) => parts,
        None => ("env", reference),
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unescape(text: &str) -> String {
    text.replace("$$", "$")
}

#[cfg(test)]
mod tests;
