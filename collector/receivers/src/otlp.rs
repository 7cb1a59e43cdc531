//! `otlp`: metrics, logs and traces over HTTP and gRPC.
//!
//! As the collector's `receiver/otlpreceiver`, with these differences: a body over the limit is answered with 413, as the
//! OTLP specification now demands (upstream says 400); what is received stays encoded. JSON bodies, Unix sockets and
//! profiles are not built in yet and are refused by name.
//!
//! ```yaml
//! otlp:
//!   protocols:
//!     grpc:
//!       endpoint: 0.0.0.0:4317
//!     http:
//!       endpoint: 0.0.0.0:4318
//! ```

mod export;
mod grpc;
mod http;

use config::Problem;
use model::Signals;
use net::{Listener, ServeOptions, answer};
use pipeline::{Component, Fatal, Life, Outlets, Receiver, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Metrics, logs and traces over OTLP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one of them; a protocol that is written down without keys has all its defaults.
    #[serde(default)]
    pub protocols: Protocols,
}

/// What is listened to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct Protocols {
    /// OTLP/gRPC.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<grpc::Config>,
    /// OTLP/HTTP.
    #[serde(default, deserialize_with = "section", skip_serializing_if = "Option::is_none")]
    pub http: Option<http::Config>,
}

/// A section that is on, with its defaults, as soon as its key is written.
fn section<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::<T>::deserialize(from)?.unwrap_or_default()))
}

/// The running receiver.
#[derive(Debug)]
pub struct Otlp {
    config: Config,
    http: Option<(Listener, ServeOptions)>,
    grpc: Option<(Listener, ServeOptions)>,
}

impl Component for Otlp {
    const TYPE: &'static str = "otlp";
    const SIGNALS: Signals = Signals::ALL;
    type Config = Config;

    fn build(config: Config, _site: &Site) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.protocols.grpc.is_none() && config.protocols.http.is_none() {
            let message = "must specify at least one protocol when using the OTLP receiver";
            problems.push(
                Problem::at("protocols", message).with_hint("write `grpc:` or `http:` below protocols"),
            );
        }
        let of_http = config.protocols.http.iter().flat_map(http::Config::check);
        problems.extend(of_http.map(|problem| problem.under("protocols::http")));
        let of_grpc = config.protocols.grpc.iter().flat_map(grpc::Config::check);
        problems.extend(of_grpc.map(|problem| problem.under("protocols::grpc")));
        if problems.is_empty() { Ok(Self { config, http: None, grpc: None }) } else { Err(problems) }
    }

    async fn start(&mut self, life: &Life) -> Result<(), Fatal> {
        let doing = |protocol: &str| format!("starting receiver `{}` for {protocol}", life.id());
        if let Some(config) = &self.config.protocols.http {
            let options = config.options().map_err(|error| Fatal::new(doing("HTTP"), error))?;
            let listener =
                Listener::bind(&config.endpoint()).map_err(|error| Fatal::new(doing("HTTP"), error))?;
            self.http = Some((listener, options));
        }
        if let Some(config) = &self.config.protocols.grpc {
            let options = config.options().map_err(|error| Fatal::new(doing("gRPC"), error))?;
            let listener =
                Listener::bind(&config.endpoint()).map_err(|error| Fatal::new(doing("gRPC"), error))?;
            self.grpc = Some((listener, options));
        }
        Ok(())
    }
}

impl Receiver for Otlp {
    async fn run(self, out: Outlets, life: Life) -> Result<(), Fatal> {
        let protocols = self.config.protocols;
        let over_http = async {
            if let (Some((listener, options)), Some(config)) = (self.http, protocols.http) {
                let service = http::Service::new(config, out.via("http"));
                let service = answer(move |request| service.clone().answer(request));
                let stop = life.stop().clone();
                listener.serve(options, service, async move { stop.raised().await }).await;
            }
        };
        let over_grpc = async {
            if let (Some((listener, options)), Some(config)) = (self.grpc, protocols.grpc) {
                let service = grpc::Service::new(&config, out.via("grpc"));
                let service = answer(move |request| service.clone().answer(request));
                let stop = life.stop().clone();
                listener.serve(options, service, async move { stop.raised().await }).await;
            }
        };
        tokio::join!(over_http, over_grpc);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
