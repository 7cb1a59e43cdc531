//! The command line: upstream's flags, so that a deployment written for it starts us unchanged.
//!
//! As upstream (pflag): a flag that is given wins over the file and the environment, the last of several wins, switches
//! take their value only after `=`. Flags of Go's own package with one dash (`-zap-devel`) are taken as well. The `zap`
//! flags choose level and form of our log; those that have no counterpart are accepted without effect.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use telemetry::{Encoding, Level, LogsConfig};

/// Where the configuration is when no flag says otherwise; the operator mounts it there.
pub const DEFAULT_CONFIG_FILE: &str = "/conf/targetallocator.yaml";

/// Decides which scraper scrapes which target.
#[derive(Clone, Debug, Parser)]
#[command(name = "muster-allocator", version, args_override_self = true, max_term_width = 110)]
pub struct Flags {
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG_FILE)]
    pub config_file: PathBuf,

    /// Where plain HTTP is served, for example `:8080`
    #[arg(long, value_name = "ADDRESS")]
    pub listen_addr: Option<String>,

    /// Watches monitors of the Prometheus operator
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub enable_prometheus_cr_watcher: Option<bool>,

    /// The kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_path: Option<String>,

    /// Serves HTTPS with client certificates as well
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub enable_https_server: Option<bool>,

    /// Where HTTPS is served, for example `:8443`
    #[arg(long, value_name = "ADDRESS")]
    pub listen_addr_https: Option<String>,

    /// The certificate authority of clients
    #[arg(long, value_name = "FILE")]
    pub https_ca_file: Option<String>,

    /// The certificate of the HTTPS server
    #[arg(long, value_name = "FILE")]
    pub https_tls_cert_file: Option<String>,

    /// The key of the HTTPS server
    #[arg(long, value_name = "FILE")]
    pub https_tls_key_file: Option<String>,

    /// Shows credentials to plain HTTP clients
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub allow_insecure_auth_secrets: Option<bool>,

    /// Feature gates of upstream: accepted, without effect
    #[arg(long, value_name = "LIST")]
    pub feature_gates: Vec<String>,

    /// Development mode of the log: level debug
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub zap_devel: Option<bool>,

    /// Form of log lines: `console` or `json`
    #[arg(long, value_name = "FORM", value_parser = encoding)]
    pub zap_encoder: Option<Encoding>,

    /// Level of the log: `debug`, `info`, `warn`, `error`, `panic`, or a number (1 and above mean debug)
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub zap_log_level: Option<Level>,

    /// Accepted, without effect: lines carry no stack traces
    #[arg(long, value_name = "LEVEL")]
    pub zap_stacktrace_level: Option<String>,

    /// Accepted, without effect: time is written as ISO 8601
    #[arg(long, value_name = "FORM")]
    pub zap_time_encoding: Option<String>,
}

/// What can be done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Says why something is scraped or not, as a running allocator knows it
    Explain {
        /// What is meant
        #[arg(value_enum)]
        what: Subject,

        /// NAMESPACE/NAME; of a target its address or identity
        name: String,

        /// The running allocator
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        url: String,

        /// Prints the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// A pod
    Pod,
    /// A service
    Service,
    /// A monitor, of any kind
    Monitor,
    /// A target
    Target,
}

impl Subject {
    /// As it stands in a query.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Monitor => "monitor",
            Self::Target => "target",
        }
    }
}

impl Flags {
    /// Reads the arguments of a process, the first of which is its name.
    ///
    /// # Errors
    /// What clap says; `--help` and `--version` arrive here too.
    pub fn parse_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(with_two_dashes(args))
    }

    /// The log that the flags ask for.
    #[must_use]
    pub fn logs(&self) -> LogsConfig {
        let level = if self.zap_devel == Some(true) { Level::Debug } else { Level::Info };
        LogsConfig {
            level: self.zap_log_level.unwrap_or(level),
            encoding: self.zap_encoder.unwrap_or_default(),
            ..LogsConfig::default()
        }
    }
}

impl Default for Flags {
    fn default() -> Self {
        Self::parse_from(["muster-allocator"])
    }
}

/// `-zap-devel` becomes `--zap-devel`, where the name is one of ours; what follows `--` is left alone.
fn with_two_dashes(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let command = Flags::command();
    let is_known = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    let mut is_over = false;
    let normal = |arg: OsString| -> OsString {
        is_over |= arg == "--";
        let name = arg.to_str().filter(|_| !is_over).and_then(|text| text.strip_prefix('-'));
        let name = name.map(|rest| rest.split('=').next().unwrap_or(rest));
        match name {
            Some(name) if name.len() > 1 && is_known(name) => {
                let mut dashed = OsString::from("-");
                dashed.push(&arg);
                dashed
            }
            _ => arg,
        }
    };
    args.into_iter().map(normal).collect()
}

/// As Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn encoding(text: &str) -> Result<Encoding, String> {
    match text {
        "json" => Ok(Encoding::Json),
        "console" => Ok(Encoding::Console),
        _ => Err("neither console nor json".to_owned()),
    }
}

fn level(text: &str) -> Result<Level, String> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" | "warning" => Ok(Level::Warn),
        "error" | "dpanic" | "panic" | "fatal" => Ok(Level::Error),
        number => match number.parse::<u8>() {
            Ok(0) => Ok(Level::Info),
            Ok(_) => Ok(Level::Debug),
            Err(_) => Err("not a level: debug, info, warn, error, panic, or a number".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        let args = std::iter::once("muster-allocator").chain(args.iter().copied());
        Flags::parse_args(args.map(OsString::from))
    }

    #[test]
    fn the_operator_passes_nothing_and_the_default_file_is_read() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.config_file, PathBuf::from(DEFAULT_CONFIG_FILE));
        assert_eq!(flags.logs().level, Level::Info);
    }

    #[test]
    fn every_flag_of_upstream_is_taken() {
        let flags = parse(&[
            "--config-file=/tmp/ta.yaml",
            "--listen-addr",
            ":9090",
            "--enable-prometheus-cr-watcher",
            "--kubeconfig-path=/k",
            "--enable-https-server=true",
            "--listen-addr-https=:9443",
            "--https-ca-file=/ca",
            "--https-tls-cert-file=/cert",
            "--https-tls-key-file=/key",
            "--allow-insecure-auth-secrets=F",
            "--zap-devel",
            "--zap-encoder=json",
            "--zap-log-level=error",
            "--zap-stacktrace-level=panic",
            "--zap-time-encoding=rfc3339",
            "--feature-gates=operator.targetallocator.fallbackstrategy",
        ])
        .unwrap();
        assert_eq!(flags.listen_addr.as_deref(), Some(":9090"));
        assert_eq!(flags.enable_prometheus_cr_watcher, Some(true));
        assert_eq!(flags.enable_https_server, Some(true));
        assert_eq!(flags.allow_insecure_auth_secrets, Some(false));
        assert_eq!((flags.logs().level, flags.logs().encoding), (Level::Error, Encoding::Json));
    }

    #[test]
    fn one_dash_is_enough_and_the_last_one_wins() {
        let flags =
            parse(&["-zap-devel", "-zap-log-level=info", "--zap-log-level", "2", "-listen-addr=:1"]).unwrap();
        assert_eq!(flags.zap_devel, Some(true));
        assert_eq!(flags.zap_log_level, Some(Level::Debug));
        assert_eq!(flags.listen_addr.as_deref(), Some(":1"));
    }

    #[test]
    fn mistakes_are_refused() {
        for bad in
            ["--nope", "--zap-encoder=xml", "--zap-log-level=loud", "--enable-https-server=maybe", "-x"]
        {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}
