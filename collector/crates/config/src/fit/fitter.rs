//! The walk over a tree and its schemas side by side.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::facet::{Facet, Shapes};
use super::{format, known};
use crate::{Entry, Node, Place, Problem, Severity, Value, nearest};

/// How strict the walk is.
pub(super) struct Fitter {
    /// What an unknown key is.
    pub(super) unknown_keys: Severity,
}

/// What became of one value.
pub(super) struct Fitted {
    /// The value in the kind the schema names; `None` where null means that it is absent.
    pub(super) node: Option<Node>,
    pub(super) problems: Vec<Problem>,
}

impl Fitted {
    fn good(node: Node) -> Self {
        Self { node: Some(node), problems: Vec::new() }
    }

    fn bad(node: &Node, problem: Problem) -> Self {
        Self { node: Some(node.clone()), problems: vec![problem] }
    }
}

/// The way from the root to a value; text is made of it only when there is a problem.
pub(super) struct Trail<'a> {
    before: Option<&'a Trail<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root(&'a str),
    Key(&'a str),
    Index(usize),
}

impl<'a> Trail<'a> {
    pub(super) fn root(path: &'a str) -> Self {
        Self { before: None, step: Step::Root(path) }
    }

    fn key(&'a self, key: &'a str) -> Self {
        Self { before: Some(self), step: Step::Key(key) }
    }

    fn index(&'a self, index: usize) -> Self {
        Self { before: Some(self), step: Step::Index(index) }
    }

    /// Whether this is the top of the whole configuration.
    fn is_root(&self) -> bool {
        matches!(self.step, Step::Root(""))
    }

    fn path(&self) -> String {
        let own = match self.step {
            Step::Root(path) => return path.to_owned(),
            Step::Key(key) => key.to_owned(),
            Step::Index(index) => index.to_string(),
        };
        match self.before.map(Trail::path) {
            Some(before) if !before.is_empty() => format!("{before}::{own}"),
            _ => own,
        }
    }

    fn error(&self, place: &Place, message: impl Into<String>) -> Problem {
        Problem::error(self.path(), message).with_place(place)
    }
}

impl Fitter {
    /// Fits one value to all the schemas. `texts`: numbers and booleans are taken as written where a string is wanted.
    pub(super) fn fit(&self, node: &Node, trail: &Trail<'_>, facets: Vec<Facet<'_>>, texts: bool) -> Fitted {
        let facets: Vec<Facet<'_>> = facets.into_iter().flat_map(Facet::unfold).collect();
        let says = |word: &str, value: &str| {
            facets.iter().any(|f| f.word(word).and_then(Json::as_str) == Some(value))
        };
        let texts = texts || says("x-scalars", "text");
        let shapes = facets.iter().fold(Shapes::ANY, |all, facet| all & facet.shapes());
        if shapes == Shapes::ANY
            && !facets.iter().any(|facet| facet.branches().is_some() || facet.describes_objects())
        {
            return Fitted::good(node.clone());
        }
        if !node.is_null() {
            return self.choose(node, trail, facets, texts);
        }
        let keeps_null = says("x-null", "none");
        if shapes.admits(Shapes::OBJECT) && !keeps_null {
            let empty = Node::new(Value::Map(Vec::new()), node.place.clone());
            let fitted = self.choose(&empty, trail, facets.clone(), texts);
            if fitted.problems.is_empty() || !shapes.admits(Shapes::NULL) {
                return fitted;
            }
        }
        if shapes.admits(Shapes::NULL) || keeps_null {
            return Fitted::good(node.clone());
        }
        if shapes == Shapes::STRING
            && node.expanded
            && !facets.iter().any(|facet| facet.word("format").is_some())
        {
            return Fitted::good(as_text(node, node.text().unwrap_or("")));
        }
        Fitted { node: None, problems: Vec::new() }
    }

    /// Settles `anyOf` and `oneOf`, one after the other.
    fn choose(&self, node: &Node, trail: &Trail<'_>, mut facets: Vec<Facet<'_>>, texts: bool) -> Fitted {
        if let Some(fitted) = fit_words(node, trail, &facets, texts) {
            return fitted;
        }
        let Some(at) = facets.iter().position(|facet| facet.branches().is_some()) else {
            return self.fit_plain(node, trail, &facets, texts);
        };
        let facet = facets.swap_remove(at);
        let rest = facet.without_branches();
        let all: Vec<Facet<'_>> =
            facet.branches().unwrap_or(&[]).iter().map(|branch| facet.sibling(branch)).collect();
        let fits = |branch: &Facet<'_>| can_become(node, branch.shapes(), texts);
        let exact: Vec<Facet<'_>> =
            all.iter().copied().filter(|branch| branch.shapes().admit(node)).collect();
        let mut candidates =
            if exact.is_empty() { all.iter().copied().filter(fits).collect() } else { exact };
        if candidates.is_empty() {
            let wanted = all.iter().fold(Shapes::NONE, |any, branch| any | branch.shapes());
            return Fitted::bad(node, wrong_kind(node, trail, wanted, &facets));
        }
        if candidates.len() > 1 {
            match by_constants(node, trail, &candidates) {
                Ok(chosen) => candidates = chosen,
                Err(problem) => return Fitted::bad(node, *problem),
            }
        }
        let attempts = candidates.into_iter().map(|branch| {
            let mut facets = facets.clone();
            facets.extend(rest);
            facets.extend(branch.unfold());
            self.choose(node, trail, facets, texts)
        });
        let mut best: Option<Fitted> = None;
        for fitted in attempts {
            if fitted.problems.is_empty() {
                return fitted;
            }
            if best.as_ref().is_none_or(|best| fitted.problems.len() < best.problems.len()) {
                best = Some(fitted);
            }
        }
        best.unwrap_or_else(|| Fitted::good(node.clone()))
    }

    /// Fits a value to schemas without alternatives.
    fn fit_plain(&self, node: &Node, trail: &Trail<'_>, facets: &[Facet<'_>], texts: bool) -> Fitted {
        let shapes =
            facets.iter().fold(Shapes::ANY, |all, facet| all & facet.own_shapes().unwrap_or(Shapes::ANY));
        if !can_become(node, shapes, texts) {
            return Fitted::bad(node, wrong_kind(node, trail, shapes, facets));
        }
        if !shapes.admit(node) {
            let text = node.text().unwrap_or("");
            if shapes.admits(Shapes::STRING) {
                return self.fit_plain(&as_text(node, text), trail, facets, texts);
            }
            return self.fit_plain(&cut_at_commas(node, text), trail, facets, texts);
        }
        match node.value() {
            Value::Map(entries) => self.fit_map(node, entries, trail, facets, texts),
            Value::Seq(items) => self.fit_seq(node, items, trail, facets, texts),
            _ => fit_scalar(node, trail, facets),
        }
    }

    fn fit_seq(
        &self,
        node: &Node,
        items: &[Node],
        trail: &Trail<'_>,
        facets: &[Facet<'_>],
        texts: bool,
    ) -> Fitted {
        let mut fitted = Vec::with_capacity(items.len());
        let mut problems = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let schemas = facets.iter().filter_map(|facet| {
                let schema = facet.list("prefixItems").get(index).or_else(|| facet.word("items"))?;
                Some(facet.sibling(schema))
            });
            let schemas: Vec<Facet<'_>> = schemas.collect();
            let trail = trail.index(index);
            let result = self.fit(item, &trail, schemas, texts);
            problems.extend(result.problems);
            match result.node {
                Some(item) => fitted.push(item),
                None => problems.push(trail.error(&item.place, "the list has an empty item")),
            }
        }
        let bound = |word: &str| facets.iter().filter_map(|facet| facet.word(word)?.as_u64()).max();
        if bound("minItems").is_some_and(|least| (items.len() as u64) < least) {
            problems.push(trail.error(&node.place, "the list has too few items"));
        }
        if bound("maxItems").is_some_and(|most| items.len() as u64 > most) {
            problems.push(trail.error(&node.place, "the list has too many items"));
        }
        Fitted { node: Some(with_value(node, Value::Seq(fitted))), problems }
    }

    fn fit_map(
        &self,
        node: &Node,
        entries: &[Entry],
        trail: &Trail<'_>,
        facets: &[Facet<'_>],
        texts: bool,
    ) -> Fitted {
        if !facets.iter().any(Facet::describes_objects) {
            return Fitted::good(node.clone());
        }
        let mut fitted = Vec::with_capacity(entries.len());
        let mut problems = Vec::new();
        let mut meant = BTreeSet::new();
        for entry in entries {
            let declared = declared(facets, &entry.key);
            let is_declared = !declared.is_empty();
            let schemas = if is_declared { declared } else { additional(facets) };
            if schemas.is_empty() {
                let hint = known::hint(&entry.key, facets, trail.is_root());
                let message = format!("unknown key `{}`", entry.key);
                let problem = trail.error(&entry.place, message);
                problems.push(Problem { severity: self.unknown_keys, hint: hint.text, ..problem });
                meant.extend(hint.meant);
                fitted.push(entry.clone());
                continue;
            }
            let trail = trail.key(&entry.key);
            let result = self.fit(&entry.node, &trail, schemas.clone(), texts);
            problems.extend(result.problems);
            let kept = match result.node {
                None if !is_declared => empty_value(&entry.node, &schemas),
                kept => kept,
            };
            match kept {
                Some(node) => fitted.push(Entry { key: entry.key.clone(), place: entry.place.clone(), node }),
                None if !is_declared => problems.push(trail.error(&entry.place, "the key has no value")),
                None => {}
            }
        }
        let required: BTreeSet<&str> =
            facets.iter().flat_map(|facet| facet.list("required")).filter_map(Json::as_str).collect();
        for key in required {
            if fitted.iter().any(|entry| entry.key == key) || meant.contains(key) {
                continue;
            }
            problems.push(match node.key_place(key) {
                Some(place) => trail.key(key).error(place, "the key needs a value"),
                None => trail.error(&node.place, format!("missing key `{key}`")),
            });
        }
        Fitted { node: Some(with_value(node, Value::Map(fitted))), problems }
    }
}

/// Longest value that is shown in a message, in characters.
const MAX_CHARS_SHOWN: usize = 60;

/// Whether a value is of one of these kinds, or a decode hook can make it so.
fn can_become(node: &Node, shapes: Shapes, texts: bool) -> bool {
    shapes.admit(node)
        || (shapes.admits(Shapes::STRING) && text_of(node, texts).is_some())
        || (shapes.admits(Shapes::ARRAY) && !node.is_map() && text_of(node, texts).is_some())
}

/// The text that may stand for a value where a string is wanted.
fn text_of(node: &Node, texts: bool) -> Option<&str> {
    let is_scalar = !node.is_map() && !node.is_seq() && !node.is_null();
    node.stand_in().or_else(|| node.text().filter(|_| texts && is_scalar))
}

fn with_value(node: &Node, value: Value) -> Node {
    Node { value, place: node.place.clone(), text: node.text.clone(), expanded: node.expanded }
}

fn as_text(node: &Node, text: &str) -> Node {
    Node { text: None, ..with_value(node, Value::Str(text.to_owned())) }
}

/// As Go's `StringToSliceHookFunc(",")`: no trimming, and the empty text is the empty list.
fn cut_at_commas(node: &Node, text: &str) -> Node {
    let items = text.split(',').filter(|_| !text.is_empty()).map(|item| as_text(node, item)).collect();
    Node { text: None, ..with_value(node, Value::Seq(items)) }
}

fn declared<'s>(facets: &[Facet<'s>], key: &str) -> Vec<Facet<'s>> {
    facets.iter().filter_map(|facet| Some(facet.sibling(facet.properties()?.get(key)?))).collect()
}

fn additional<'s>(facets: &[Facet<'s>]) -> Vec<Facet<'s>> {
    facets.iter().filter_map(|facet| Some(facet.sibling(facet.additional()?))).collect()
}

/// What null means as the value of a free key, which cannot be left out.
fn empty_value(node: &Node, schemas: &[Facet<'_>]) -> Option<Node> {
    let shapes = schemas.iter().fold(Shapes::ANY, |all, facet| all & facet.shapes());
    if shapes.admits(Shapes::STRING) {
        return Some(as_text(node, ""));
    }
    shapes.admits(Shapes::ARRAY).then(|| with_value(node, Value::Seq(Vec::new())))
}

/// A value that must be one of certain words.
fn fit_words(node: &Node, trail: &Trail<'_>, facets: &[Facet<'_>], texts: bool) -> Option<Fitted> {
    let words = facets.iter().find_map(Facet::words)?;
    let Some(word) = text_of(node, texts) else {
        return Some(Fitted::bad(node, wrong_kind(node, trail, Shapes::STRING, facets)));
    };
    if words.contains(&word) {
        return Some(Fitted::good(as_text(node, word)));
    }
    let message = format!("{} is not one of `{}`", shown(node, facets), words.join("`, `"));
    let problem = trail.error(&node.place, message);
    Some(Fitted::bad(
        node,
        match nearest(word, words.iter().copied()) {
            Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
            None => problem,
        },
    ))
}

/// Of several objects, those whose constant keys agree with the value (`type: a`).
fn by_constants<'s>(
    node: &Node,
    trail: &Trail<'_>,
    candidates: &[Facet<'s>],
) -> Result<Vec<Facet<'s>>, Box<Problem>> {
    let constants = |branch: &Facet<'s>| -> Vec<(&'s str, &'s str)> {
        let unfolded = branch.unfold();
        let properties = unfolded.iter().filter_map(Facet::properties).flatten();
        properties.filter_map(|(key, schema)| Some((key.as_str(), schema.get("const")?.as_str()?))).collect()
    };
    let agrees = |branch: &Facet<'s>| {
        constants(branch)
            .iter()
            .all(|(key, word)| node.get(key).is_none_or(|value| value.as_str() == Some(word)))
    };
    let agreeing: Vec<Facet<'s>> = candidates.iter().copied().filter(agrees).collect();
    if !agreeing.is_empty() {
        return Ok(agreeing);
    }
    let all: Vec<(&str, &str)> = candidates.iter().flat_map(constants).collect();
    let Some((key, value)) = all.iter().find_map(|(key, _)| Some((*key, node.get(key)?))) else {
        return Ok(candidates.to_vec());
    };
    let words: BTreeSet<&str> =
        all.iter().filter(|(other, _)| *other == key).map(|(_, word)| *word).collect();
    let words: Vec<&str> = words.into_iter().collect();
    let message = format!("{} is not one of `{}`", shown(value, &[]), words.join("`, `"));
    Err(Box::new(trail.key(key).error(&value.place, message)))
}

fn fit_scalar(node: &Node, trail: &Trail<'_>, facets: &[Facet<'_>]) -> Fitted {
    let complaint = facets.iter().find_map(|facet| {
        let format = facet.word("format").and_then(Json::as_str);
        format.and_then(|format| format::complaint(format, node)).or_else(|| out_of_bounds(node, facet))
    });
    match complaint {
        Some(message) => Fitted::bad(node, trail.error(&node.place, message)),
        None => Fitted::good(node.clone()),
    }
}

fn out_of_bounds(node: &Node, facet: &Facet<'_>) -> Option<String> {
    let bound = |word: &str| facet.word(word).and_then(Json::as_f64);
    if let Some(text) = node.as_str() {
        let length = text.chars().count() as f64;
        return match (bound("minLength"), bound("maxLength")) {
            (Some(least), _) if length < least && length == 0.0 => Some("must not be empty".to_owned()),
            (Some(least), _) if length < least => Some(format!("must have at least {least} characters")),
            (_, Some(most)) if length > most => Some(format!("must have at most {most} characters")),
            _ => None,
        };
    }
    let number = node.as_f64()?;
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        return Some(format!("{number} is too small, the least is {least}"));
    }
    if let Some(most) = bound("maximum").filter(|most| number > *most) {
        return Some(format!("{number} is too big, the greatest is {most}"));
    }
    if let Some(least) = bound("exclusiveMinimum").filter(|least| number <= *least) {
        return Some(format!("{number} is too small, it must be greater than {least}"));
    }
    let most = bound("exclusiveMaximum").filter(|most| number >= *most)?;
    Some(format!("{number} is too big, it must be less than {most}"))
}

fn wrong_kind(node: &Node, trail: &Trail<'_>, wanted: Shapes, facets: &[Facet<'_>]) -> Problem {
    let message = format!("expected {}, found {}", wanted.describe(), shown(node, facets));
    let problem = trail.error(&node.place, message);
    match node.value() {
        Value::Str(_) if node.expanded => problem.with_hint("the value comes from an expansion"),
        Value::Str(text) if wanted.admit(&Node::from(crate::scalar::resolve(text))) => {
            problem.with_hint("leave out the quotes")
        }
        Value::Int(_) | Value::Float(_) | Value::Bool(_) if wanted.admits(Shapes::STRING) => {
            problem.with_hint("put it in quotes")
        }
        _ => problem,
    }
}

/// A value in a message. Secrets, and what came from files and environment, which may be secret, show their kind only.
fn shown(node: &Node, facets: &[Facet<'_>]) -> String {
    let is_secret = facets.iter().any(|facet| facet.word("writeOnly") == Some(&Json::Bool(true)));
    let text = match node.text() {
        Some(text) if !is_secret && !node.expanded && !node.is_null() => text,
        _ => return node.kind().to_owned(),
    };
    let mut short: String = text.chars().take(MAX_CHARS_SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    match node.value() {
        Value::Str(_) => format!("the string {short:?}"),
        _ => format!("{} {short}", node.kind().replacen("an ", "the ", 1).replacen("a ", "the ", 1)),
    }
}
