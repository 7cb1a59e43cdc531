//! Configuration: text in, typed values or places of mistakes out.
//!
//! Loading is a chain of pure steps; files and environment come in through [`World`], so that every step can be tested
//! with text alone:
//!
//! 1. [`parse`]: YAML or JSON to a tree of [`Node`]s in which every key and value knows its file, line and column;
//! 2. [`load`]: several sources merged, as `--config` and `--set` name them, and [`expand`]: `${env:X}` and its kin;
//! 3. [`check`]: keys, types and words against the JSON schema of the target type, all mistakes at once;
//! 4. [`fill`]: the typed value, by serde, from the tree. [`read`] is steps three and four together.
//!
//! The language is that of the OpenTelemetry Collector (`confmap` with its providers, over Go's `yaml.v3`), with these
//! differences on purpose: a duplicated key is a warning and its last value wins; `${X:-default}` works without `env:`;
//! messages name file, line, column and the nearest known key; `http:` and `https:` sources are refused; nesting, size
//! and alias expansion are bounded by named limits.
//!
//! A key is declared once, as a field with a doc comment, a type and a default:
//!
//! ```
//! use config::{HttpUrl, Period};
//!
//! /// Asks a server for target groups.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct HttpSd {
//!     /// Where the list is served.
//!     url: HttpUrl,
//!     /// How often it is asked for again.
//!     #[serde(default = "config::secs::<60>")]
//!     refresh_interval: Period,
//! }
//!
//! let parsed = config::parse("url: http://sd/targets\nrefresh_intervall: 5m\n", "sd.yaml").unwrap();
//! let problems = config::read::<HttpSd>(&parsed.root, "http_sd").err().unwrap();
//! assert_eq!(
//!     problems[0].to_string(),
//!     "error: sd.yaml:2:1: http_sd: unknown key `refresh_intervall`; did you mean `refresh_interval`?"
//! );
//! ```

mod component_id;
mod defaults;
mod emit;
mod expand;
mod fill;
mod fit;
mod load;
mod nearest;
mod node;
mod print;
mod problem;
mod quantity;
mod scalar;
mod schema;
mod value;
mod yaml;

pub use component_id::component_id;
pub use defaults::{bytes, count, millis, number, off, on, secs, timeout_secs};
pub use emit::to_node;
pub use expand::expand;
pub use fill::fill;
pub use fit::{check, fit, indentation_hint, read, read_lenient, read_lenient_with};
pub use load::{Loaded, Sources, World, load};
pub use nearest::nearest;
pub use node::{Entry, Node, Value};
pub use print::{print_json, print_yaml};
pub use problem::{Place, Problem, Severity};
pub use quantity::quantity;
pub use schema::schema_of;
pub use value::{ByteSize, HostPort, HttpUrl, LabelName, Period, Secret, Timeout, UrlText};
pub use yaml::{MAX_ALIAS_BYTES, MAX_ALIAS_NODES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Parsed, parse};
