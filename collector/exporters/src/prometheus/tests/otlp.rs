//! Metrics that came by OTLP.
