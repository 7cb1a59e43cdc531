//! Feature gates: `--feature-gates=-one,+two,three`.

use std::collections::HashMap;

/// Gates that have an effect: name, whether on by default, what it does.
pub(crate) const GATES: &[(&str, bool, &str)] = &[
    (
        "muster.directPath",
        true,
        "Scrapes reach exporters as they are; switched off, every scrape leaves the prometheus receiver as OTLP.",
    ),
    (
        "muster.hostmetrics.upstreamValues",
        true,
        "hostmetrics tells some values as wrong as the upstream collector does (paging counters times 4096, for one); switched off, the true ones.",
    ),
    (
        "receiver.hostmetricsreceiver.UseLinuxMemAvailable",
        true,
        "Used memory is what is not available; switched off, what is neither free, nor buffers, nor cache.",
    ),
    (
        "receiver.prometheusreceiver.EnableCreatedTimestampZeroIngestion",
        false,
        "The prometheus receiver passes on when series began to count; _created series of OpenMetrics become that time.",
    ),
];

/// Gates of the upstream collector. They are accepted so that command lines need not change; here they do nothing. A
/// trailing `.` accepts every gate below it.
const UPSTREAM: &[&str] = &[
    "confmap.enableMergeAppendOption",
    "connector.spanmetrics.",
    "exporter.file.nativeCompression",
    "exporter.prometheusexporter.",
    "exporter.prometheusremotewritexporter.",
    "extension.healthcheck.useComponentStatus",
    "filter.filterlog.",
    "filter.filtermetric.",
    "filter.filterspan.",
    "hostmetrics.process.bootTimeCache",
    "ottl.",
    "otelcol.printInitialConfig",
    "pdata.useProtoPooling",
    "pkg.translator.",
    "processor.filter.defaultErrorModeIgnore",
    "processor.k8sattributes.",
    "processor.tailsamplingprocessor.",
    "processor.transform.defaultErrorModeIgnore",
    "receiver.prometheusreceiver.",
    "receiverhelper.newReceiverMetrics",
    "service.AllowNoPipelines",
    "service.partialReload",
    "service.partialReloadReceivers",
    "service.profilesSupport",
    "spanmetrics.statusCodeConvention.useOtelPrefix",
    "telemetry.newPipelineTelemetry",
    "transform.flatten.logs",
];

/// Reads the flag's values: which gates were switched, and how.
///
/// # Errors
/// Names the gate that nobody knows.
pub(crate) fn parse(values: &[String]) -> Result<HashMap<String, bool>, String> {
    let mut switched = HashMap::new();
    for word in
        values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty())
    {
        let (name, is_on) = match word.strip_prefix('-') {
            Some(name) => (name, false),
            None => (word.strip_prefix('+').unwrap_or(word), true),
        };
        let is_ours = GATES.iter().any(|(gate, ..)| *gate == name);
        let is_upstream =
            UPSTREAM.iter().any(|gate| *gate == name || (gate.ends_with('.') && name.starts_with(gate)));
        if !is_ours && !is_upstream {
            return Err(format!("no such feature gate `{name}`; `muster featuregate` lists them"));
        }
        switched.insert(name.to_owned(), is_on);
    }
    Ok(switched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_of_the_upstream_collector_are_accepted() {
        let values = ["-ottl.PanicDuplicateName,+connector.spanmetrics.legacyMetricNames".to_owned()];
        let gates = parse(&values).unwrap();
        assert!(!gates["ottl.PanicDuplicateName"]);
        assert!(gates["connector.spanmetrics.legacyMetricNames"]);
    }

    #[test]
    fn gates_of_our_own_are_switched_by_their_sign() {
        for (word, is_on) in [("-muster.directPath", false), ("muster.directPath", true)] {
            assert_eq!(parse(&[word.to_owned()]).unwrap()["muster.directPath"], is_on);
        }
        assert!(parse(&["-muster.directpath".to_owned()]).is_err());
    }

    #[test]
    fn an_unknown_gate_is_refused_by_name() {
        let error = parse(&["nonsense.gate".to_owned()]).unwrap_err();
        assert!(error.contains("`nonsense.gate`"), "{error}");
    }
}
