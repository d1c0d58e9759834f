//! From what a service's file says (`model`) to the policy that is decided by.

use super::policy::{
    Behavior, Controller, Custom, Identifier, Metric, Pace, PaceUnit, Policy, Resource, Rules, Select, Target, Written,
};
use super::quantity::Milli;
use super::{schedule::Schedule, service, traffic};
use plimsoll_model::autoscaling as model;

impl From<&model::Autoscaling> for service::Policy {
    /// Kubernetes' metrics become the part that looks every 15 s; the traffic targets the part that looks always.
    fn from(own: &model::Autoscaling) -> Self {
        let hpa = (!own.metrics.is_empty()).then(|| Policy {
            min_replicas: narrow(own.min_replicas),
            max_replicas: narrow(own.max_replicas),
            metrics: own.metrics.iter().map(metric).collect(),
            behavior: own.behavior.as_ref().map(behavior),
            controller: Controller::default(),
        });
        let by_traffic = own.requests_per_second.is_some() || own.concurrency.is_some();
        let traffic = by_traffic.then(|| traffic::Policy {
            requests_per_second: own.requests_per_second.map(|rate| rate.0.max(1)),
            concurrency: own.concurrency.map(|count| u64::from(count.max(1)) * 1000),
            ..traffic::Policy::default()
        });
        // `spec` has checked them; a zone that this machine does not know (any more) leaves the usual bounds.
        let schedules = own.schedules.iter().filter_map(|one| Schedule::read(one.clone())).collect();
        Self { min_replicas: own.min_replicas, max_replicas: own.max_replicas, hpa, traffic, schedules }
    }
}

fn narrow(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn milli(count: u64) -> Milli {
    Milli(i64::try_from(count).unwrap_or(i64::MAX))
}

fn metric(own: &model::Metric) -> Metric {
    let average = |name: &str, milli| Metric::Resource {
        resource: Resource { name: name.to_owned(), target: Target::AverageValue { average_value: milli } },
    };
    let custom = |name: &String, target| Custom { metric: Identifier { name: name.clone() }, target };
    match own {
        model::Metric::Utilization { resource, target } => {
            let percent = i32::try_from(target.0 / 10_000).unwrap_or(i32::MAX);
            let target = Target::Utilization { average_utilization: percent };
            Metric::Resource { resource: Resource { name: resource.clone(), target } }
        }
        model::Metric::AverageCpu(cpu) => average("cpu", milli(cpu.0)),
        model::Metric::AverageMemory(bytes) => average("memory", milli(bytes.saturating_mul(1000))),
        model::Metric::Pods { name, average_milli } => {
            Metric::Pods { pods: custom(name, Target::AverageValue { average_value: Milli(*average_milli) }) }
        }
        model::Metric::Object { name, value_milli, average_milli, .. } => {
            Metric::Object { object: custom(name, total(*value_milli, *average_milli)) }
        }
        model::Metric::External { name, value_milli, average_milli } => {
            Metric::External { external: custom(name, total(*value_milli, *average_milli)) }
        }
    }
}

/// The target of a figure that is not one of each replica.
fn total(value_milli: Option<i64>, average_milli: Option<i64>) -> Target {
    match (value_milli, average_milli) {
        (Some(value), _) => Target::Value { value: Milli(value) },
        (None, average) => Target::AverageValue { average_value: Milli(average.unwrap_or(i64::MAX)) },
    }
}

fn behavior(own: &model::Behavior) -> Behavior {
    let direction = |rules: &Option<model::Rules>| rules.as_ref().map(written).unwrap_or_default();
    let (scale_up, scale_down): (Rules, Rules) = (direction(&own.scale_up).up(), direction(&own.scale_down).down());
    Behavior { scale_up, scale_down }
}

fn written(own: &model::Rules) -> Written {
    let pace = |rate: &model::RatePolicy| Pace {
        unit: match rate.kind {
            model::RateKind::Pods => PaceUnit::Pods,
            model::RateKind::Percent => PaceUnit::Percent,
        },
        value: narrow(rate.value),
        period_s: i32::try_from(rate.period.0 / 1000).unwrap_or(i32::MAX),
    };
    Written {
        window_s: own.stabilization.map(|window| i32::try_from(window.0 / 1000).unwrap_or(i32::MAX)),
        select_policy: own.select.map(|select| match select {
            model::Select::Max => Select::Max,
            model::Select::Min => Select::Min,
            model::Select::Disabled => Select::Disabled,
        }),
        policies: (!own.policies.is_empty()).then(|| own.policies.iter().map(pace).collect()),
        tolerance: own.tolerance.map(|ratio| ratio.0 as f64 / 1e6),
    }
}
