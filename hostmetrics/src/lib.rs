//! Metrics of a Linux host, read from `/proc` and `/sys` and handed out as OTLP.
//!
//! Names, units and attributes are those of the OpenTelemetry Collector's `hostmetrics` receiver. Every scraper has one table
//! ([`Table`]) that holds them, what is on by default, and what was decided about upstream's defects; keys of the
//! configuration, their schema and the reference page ([`reference`]) are made from it. No runtime, no threads but the one that
//! asks filesystems how full they are.
//!
//! ```no_run
//! use hostmetrics::{Host, Options, Root, Scrapers};
//!
//! let root = Root::new("/hostfs", |name| std::env::var(name).ok());
//! let mut host = Host::build(&Scrapers::all(), root, Options::default()).expect("defaults are right");
//! let scraped = host.scrape(std::time::SystemTime::now().into());
//! println!("{} points, {} failures", scraped.frames.n_items, scraped.failures.len());
//! ```

pub mod cpu;
pub mod disk;
mod failure;
mod files;
pub mod filesystem;
mod filter;
mod host;
pub mod load;
pub mod memory;
pub mod network;
pub mod nfs;
mod out;
pub mod paging;
mod pids;
mod points;
pub mod process;
pub mod processes;
mod reference;
mod root;
mod settings;
pub mod system;
mod table;
mod text;
mod turn;

pub use failure::Failure;
pub use files::MAX_FILE_BYTES;
pub use filter::{Devices, FsTypes, Interfaces, MatchType, MountPoints, Names};
pub use host::{Host, Options, Scraped, Scrapers};
pub use reference::{Rows, reference, tables};
pub use root::Root;
pub use settings::{AggregationStrategy, MetricConfig, MetricsConfig};
pub use table::{Attribute, Decision, Kind, Metric, Number, Table, Verdict};

/// The kernel counts processor time for user space in hundredths of a second, on every architecture.
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;
