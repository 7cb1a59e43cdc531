//! The configuration as the points need it: what is sent of each metric, with its head already encoded.

use wire::proto::put_text;

use crate::config::{Config, ExtraLabel};
use crate::metric::{Group, Kind, METRICS, Metric, N_METRICS, Needs, Row};
use crate::metric_config::AggregationStrategy;
use crate::resource::{N_RESOURCE_ATTRIBUTES, RESOURCE_ATTRIBUTES, ResourceAttribute};
use crate::resource_config::Filter;

/// What is sent.
#[derive(Debug)]
pub(crate) struct Settings {
    metrics: [Option<Plan>; N_METRICS],
    attributes: [AttributePlan; N_RESOURCE_ATTRIBUTES],
    pub(crate) all_interfaces_of_pods: bool,
    pub(crate) all_interfaces_of_node: bool,
    /// Whether anything is said of volumes.
    pub(crate) has_volumes: bool,
    pub(crate) wants_container_id: bool,
    pub(crate) wants_volume_type: bool,
}

/// How a metric is sent.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Name, description and unit as fields of an OTLP metric.
    pub(crate) head: Box<[u8]>,
    /// Which of its attributes are kept, by place.
    pub(crate) kept: [bool; 2],
    pub(crate) strategy: AggregationStrategy,
}

impl Plan {
    /// Whether points may become one.
    pub(crate) fn aggregates(&self, row: &Row) -> bool {
        self.kept[..row.attributes.len()].contains(&false)
    }
}

#[derive(Debug, Default)]
struct AttributePlan {
    is_on: bool,
    include: Vec<Filter>,
    exclude: Vec<Filter>,
}

impl Settings {
    /// Of a configuration that was checked.
    pub(crate) fn new(config: &Config) -> Self {
        let mut metrics = [const { None }; N_METRICS];
        for row in Self::rows_on(config) {
            metrics[row.metric as usize] = Some(plan(row, config));
        }
        let wants = |label| config.extra_metadata_labels.contains(&label);
        Self {
            metrics,
            attributes: std::array::from_fn(|index| attribute_plan(index, config)),
            all_interfaces_of_pods: config.collect_all_network_interfaces.pod,
            all_interfaces_of_node: config.collect_all_network_interfaces.node,
            has_volumes: Self::rows_on(config).any(|row| row.group == Group::Volume),
            wants_container_id: wants(ExtraLabel::ContainerId),
            wants_volume_type: wants(ExtraLabel::VolumeType),
        }
    }

    /// The metrics that are sent: on, and of a group that is listed.
    pub(crate) fn rows_on(config: &Config) -> impl Iterator<Item = &'static Row> {
        let has_group = move |row: &&Row| config.metric_groups.iter().any(|group| group.group() == row.group);
        METRICS
            .iter()
            .filter(has_group)
            .filter(|row| config.metrics.of(row.name).enabled.unwrap_or(row.is_on))
    }

    /// How a metric is sent, if it is.
    pub(crate) fn plan(&self, metric: Metric) -> Option<&Plan> {
        self.metrics[metric as usize].as_ref()
    }

    /// Whether one of these is sent.
    pub(crate) fn has_any(&self, mut which: impl FnMut(&Row) -> bool) -> bool {
        METRICS.iter().any(|row| self.plan(row.metric).is_some() && which(row))
    }

    /// Whether the kubelet's list of pods is needed.
    pub(crate) fn needs_pods(&self) -> bool {
        self.wants_container_id || self.wants_volume_type || self.has_any(|row| row.needs == Needs::Pods)
    }

    /// Whether the capacity of the node is needed.
    pub(crate) fn needs_node(&self) -> bool {
        self.has_any(|row| row.needs == Needs::Node)
    }

    /// Whether an attribute is sent.
    pub(crate) fn is_on(&self, attribute: ResourceAttribute) -> bool {
        self.attributes[attribute as usize].is_on
    }

    /// Whether the filters let a resource through. An attribute that is off is not there to be compared.
    pub(crate) fn admits(&self, attributes: &[(ResourceAttribute, &str)]) -> bool {
        attributes.iter().all(|(attribute, value)| {
            let plan = &self.attributes[*attribute as usize];
            let is_match = |filter: &Filter| filter.is_match(value);
            !plan.is_on
                || ((plan.include.is_empty() || plan.include.iter().any(is_match))
                    && !plan.exclude.iter().any(is_match))
        })
    }
}

fn plan(row: &Row, config: &Config) -> Plan {
    let said = config.metrics.of(row.name);
    let mut head = Vec::new();
    put_text(&mut head, 1, row.name);
    put_text(&mut head, 2, row.description);
    put_text(&mut head, 3, row.unit);
    let is_kept = |index: usize| match (&said.attributes, row.attributes.get(index)) {
        (Some(kept), Some(name)) => kept.iter().any(|kept| kept == name),
        _ => true,
    };
    let usual = if row.kind == Kind::Gauge { AggregationStrategy::Avg } else { AggregationStrategy::Sum };
    Plan {
        head: head.into(),
        kept: [is_kept(0), is_kept(1)],
        strategy: said.aggregation_strategy.unwrap_or(usual),
    }
}

fn attribute_plan(index: usize, config: &Config) -> AttributePlan {
    let row = &RESOURCE_ATTRIBUTES[index];
    let said = config.resource_attributes.of(row.name);
    let filters = |filters: &[_]| filters.iter().filter_map(|filter| Filter::build(filter).ok()).collect();
    AttributePlan {
        is_on: said.enabled.unwrap_or(row.is_on),
        include: filters(&said.metrics_include),
        exclude: filters(&said.metrics_exclude),
    }
}
