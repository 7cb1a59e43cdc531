//! The spine: component traits, the graph of a configuration, and everything that components share.
//!
//! Parts (receivers, processors, exporters, connectors, extensions) implement one small trait each, named by who owns the
//! loop; intervals, queues, retries, fan-out, self-metrics, shutdown and reload are here, once. The spine knows no
//! component by name: the binary hands it a list of [`Entry`]s.
//!
//! Data flows by call: [`Outlet::send`] returns when the batch was accepted as far down as the first queue, or with
//! [`Refused`] that says why not, so back-pressure needs no second protocol.

mod budget;
mod checking;
mod component;
mod delivery;
mod entry;
mod export_error;
mod exporting;
mod flow;
mod graph;
mod id;
mod life;
mod metrics;
mod pace;
mod parallelism;
mod plan;
mod retry;
mod scraping;
mod sending;
mod service;
mod stage;
mod storing;
mod ticks;

#[cfg(test)]
mod tests;

pub use component::{
    Bodies, Body, Component, Exporter, Extension, Fatal, Receiver, ScrapeError, Scraper, Sealed, Site, Stage,
    Transform,
};
pub use entry::{ComponentKind, Entry};
pub use export_error::ExportError;
pub use flow::{Outlet, Outlets, Refused};
pub use graph::Graph;
pub use id::{ComponentId, PipelineId};
pub use life::{Health, Life, Stop};
pub use plan::{Plan, Registry};
pub use queue::{Head, Request, Sizer};
pub use retry::{Backoff, RetryConfig};
pub use scraping::ScraperConfig;
pub use sending::{BatchConfig, Joining, QueueConfig, Queueing, Sending, SendingConfig, SendingDefaults};
pub use service::{MetricsConfig, PipelineConfig, ServiceConfig, TelemetryConfig};
pub use stage::Inlet;
pub use storing::{Storage, Storing};
