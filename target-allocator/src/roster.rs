//! The collectors among which targets are shared out, as a sorted set.
//!
//! Upstream identifies a collector by the name of its pod; so do we. The order in which members became known never
//! matters: a roster is sorted by name, and every replica that knows the same names holds the same roster.

use std::sync::Arc;

/// Longest accepted name of a member: a DNS subdomain, which is what Kubernetes allows for pods.
pub const MAX_MEMBER_NAME: usize = 253;

/// Most members of one roster.
pub const MAX_MEMBERS: usize = 10_000;

/// A collector that targets can be given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the collector calls itself in `collector_id`.
    pub name: Arc<str>,
    /// The node it runs on, where that is known; `per-node` needs it.
    pub node: Option<Arc<str>>,
    /// Whether it is about to leave: it is given no targets, and keeps what it has until others have taken over.
    pub is_draining: bool,
}

impl Member {
    /// A member of which only the name is known.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::on(name.into(), None)
    }

    /// A member and the node it runs on.
    #[must_use]
    pub fn on(name: Arc<str>, node: Option<Arc<str>>) -> Self {
        Self { name, node, is_draining: false }
    }

    /// The node whose targets it takes: where nothing else is known, the node that has its own name, because
    /// agents of a DaemonSet are often given the name of their node as `collector_id`.
    #[must_use]
    pub fn serves_node(&self) -> &str {
        self.node.as_deref().unwrap_or(&self.name)
    }
}

/// Members sorted by name, each name once. Positions are stable as long as the roster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(Arc<[Member]>);

impl Roster {
    /// Sorts, and drops repeated names (the first of equal names stays).
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut members: Vec<Member> = members.into_iter().collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        members.dedup_by(|later, earlier| later.name == earlier.name);
        Self(members.into())
    }

    /// A roster of bare names.
    #[must_use]
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(names.into_iter().map(Member::named))
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of members that targets can be given to.
    #[must_use]
    pub fn n_staying(&self) -> usize {
        self.0.iter().filter(|member| !member.is_draining).count()
    }

    /// Whether somebody is at this position who can be given targets.
    #[must_use]
    pub fn is_staying(&self, at: usize) -> bool {
        self.get(at).is_some_and(|member| !member.is_draining)
    }

    /// Members in order of name.
    pub fn iter(&self) -> std::slice::Iter<'_, Member> {
        self.0.iter()
    }

    /// The member at a position.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Member> {
        self.0.get(at)
    }

    /// The name at a position that came from this roster.
    #[must_use]
    pub fn name(&self, at: usize) -> &Arc<str> {
        &self.0[at].name
    }

    /// Where a name stands.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.binary_search_by(|member| (*member.name).cmp(name)).ok()
    }
}

/// Whether a text can be the name of a member: not empty, not longer than [`MAX_MEMBER_NAME`], and made of printable
/// ASCII without spaces, quotes and characters that mean something in a query string.
///
/// # Errors
/// Says what is wrong, without naming the text.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name of a collector is empty".to_owned());
    }
    if name.len() > MAX_MEMBER_NAME {
        return Err(format!(
            "the name of a collector is longer than MAX_MEMBER_NAME ({MAX_MEMBER_NAME} bytes)"
        ));
    }
    match name.chars().find(|c| !c.is_ascii_graphic() || "\"'<>&#?\\{}[],".contains(*c)) {
        Some(odd) => Err(format!("the name of a collector holds the character {odd:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_is_sorted_and_holds_each_name_once() {
        let roster = Roster::of(["s-2", "s-0", "s-2", "s-10"]);
        let names: Vec<&str> = roster.iter().map(|member| &*member.name).collect();
        assert_eq!(names, ["s-0", "s-10", "s-2"]);
        assert_eq!(roster.position("s-10"), Some(1));
        assert_eq!(roster.position("s-1"), None);
    }

    #[test]
    fn names_that_would_break_a_link_or_a_page_are_refused() {
        for good in ["s-0", "otel-collector-3", "node.example.com", "a:b/c", "A_1"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a&b", "<b>", "\u{e9}", "a\n", "${POD_NAME}", &"x".repeat(254)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
