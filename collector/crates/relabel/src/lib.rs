//! Prometheus' relabelling: rules over label sets.
//!
//! [`RuleConfig`] is a rule as configurations spell it; [`Rules::build`] checks a list of them once and compiles
//! what can be compiled; [`Rules::apply`] edits a label set or says that it is dropped; [`trace()`] tells what one rule
//! did and why. As Prometheus `model/relabel`, with the same answers for the same regular expressions ([`Pattern`]).
//!
//! Left on purpose: `regex: (.*)` written out is accepted for `keepequal` and `dropequal`, which upstream refuses
//! although it is the default; a `labelmap` whose replacement expands to nothing adds no label, where upstream adds one
//! without a name; of two labels that a `labelmap` gives the same name the one with the greater old name wins, where
//! upstream's answer depends on the order in which the labels were set.

mod config;
mod letter_case;
mod pattern;
mod re2;
mod rules;
mod search;
mod template;
mod trace;

pub use config::{Action, RuleConfig};
pub use pattern::{BadPattern, Pattern, REGEX_LENGTH_LIMIT, REGEX_NEST_LIMIT, REGEX_SIZE_LIMIT};
pub use rules::{NameScheme, Need, Rules};
pub use search::Search;
pub use trace::{Change, Group, Seen, Step, trace};
