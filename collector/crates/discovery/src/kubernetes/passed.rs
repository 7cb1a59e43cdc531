//! Why a search does not look at an object: what namespaces and selectors say, before any relabelling.

use std::fmt;

use cluster::TextMap;

use super::selector::{Selector, first_field_mismatch};
use super::{KubernetesSdConfig, Role};

/// An object that somebody asks about.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The role whose objects it is one of.
    pub role: Role,
    /// Its namespace; empty where it has none.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a TextMap,
    /// Its fields by path, as far as they are known: `spec.nodeName`.
    pub fields: &'a [(&'a str, &'a str)],
}

/// The first thing for which a search does not look at an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It looks at objects of another role.
    Role(Role),
    /// It looks in these namespaces.
    Namespace(Vec<String>),
    /// The labels do not meet a requirement of the selector.
    Labels(String),
    /// The fields do not meet a requirement of the selector.
    Fields(String),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "it finds its targets from objects of the role {role} (role)"),
            Self::Namespace(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "it looks in namespace {} (namespaces)", names.join(" or "))
            }
            Self::Labels(requirement) => {
                write!(f, "the labels of the object do not meet `{requirement}` (selectors: label)")
            }
            Self::Fields(requirement) => {
                write!(f, "the fields of the object do not meet `{requirement}` (selectors: field)")
            }
        }
    }
}

impl KubernetesSdConfig {
    /// Why targets are not made of an object, before any relabelling; nothing where they are. `own_namespace` is that of the pod
    /// that looks.
    #[must_use]
    pub fn passes(&self, object: Sight<'_>, own_namespace: &str) -> Option<Passed> {
        if self.role != object.role {
            return Some(Passed::Role(self.role));
        }
        let own = self.namespaces.own_namespace.then_some(own_namespace);
        let mut names = self.namespaces.names.iter().map(String::as_str).chain(own).peekable();
        let is_everywhere = names.peek().is_none() || self.role == Role::Node;
        let names: Vec<&str> = names.collect();
        if !is_everywhere && !names.contains(&object.namespace) {
            return Some(Passed::Namespace(names.into_iter().map(str::to_owned).collect()));
        }
        let selector = self.selectors.iter().find(|selector| selector.role == self.role)?;
        // It has been read when the configuration was checked.
        let labels = Selector::parse(&selector.label).unwrap_or_default();
        let field =
            |name: &str| object.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let of_labels = labels.first_mismatch(object.labels).map(Passed::Labels);
        of_labels.or_else(|| first_field_mismatch(&selector.field, field).map(Passed::Fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(search: &str) -> Option<String> {
        let config: KubernetesSdConfig =
            config::read(&config::parse(search, "x.yaml").unwrap().root, "").unwrap();
        let labels = [("app", "web")].into_iter().collect();
        let fields = [("spec.nodeName", "n-1")];
        let object = Sight { role: Role::Pod, namespace: "shop", labels: &labels, fields: &fields };
        config.passes(object, "observe").map(|passed| passed.to_string())
    }

    #[test]
    fn the_first_thing_that_does_not_fit_is_named() {
        for (search, why) in [
            ("role: pod", None),
            ("role: service", Some("from objects of the role service")),
            ("{role: pod, namespaces: {names: [shop, till]}}", None),
            ("{role: pod, namespaces: {names: [till], own_namespace: true}}", Some("`till` or `observe`")),
            ("{role: pod, selectors: [{role: node, label: 'app=cart'}]}", None),
            ("{role: pod, selectors: [{role: pod, label: 'app=web,tier'}]}", Some("do not meet `tier`")),
            ("{role: pod, selectors: [{role: pod, label: app, field: 'spec.nodeName=n-1'}]}", None),
            (
                "{role: pod, selectors: [{role: pod, field: 'spec.nodeName=n-2'}]}",
                Some("the fields of the object do not meet `spec.nodeName=n-2`"),
            ),
            (
                "{role: pod, namespaces: {names: [till]}, selectors: [{role: pod, label: 'app=cart'}]}",
                Some("it looks in namespace `till`"),
            ),
        ] {
            let found = passes(search);
            match (&found, why) {
                (None, None) => {}
                (Some(found), Some(why)) => assert!(found.contains(why), "{search}: {found}"),
                _ => panic!("{search}: {found:?}"),
            }
        }
    }
}
