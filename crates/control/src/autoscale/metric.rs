//! One metric → a proposed number of replicas, in Kubernetes' own arithmetic.
//!
//! Source: `replica_calculator.go` of Kubernetes 1.36. Averages and percentages are whole numbers, cut toward zero
//! before they are divided; ratios are binary floating point. Both are on purpose: the corner cases depend on them.

use super::condition::Reason;
use super::policy::{Controller, Metric, Target, Tolerance};
use super::seen::{Answer, Phase, Pod, Reading};
use super::trail::{Trail, short};
use super::{pods, pods_metric};
use plimsoll_model::Instant;

/// What one metric asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proposal {
    /// So many replicas.
    pub replicas: i32,
    /// Percent of what is requested, where the target is one.
    pub utilization: Option<i32>,
    /// The figure that was compared: an average for each pod or a total, in thousandths.
    pub usage: i64,
}

/// A metric that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Kubernetes' reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

/// What every metric of one decision shares.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Now.
    pub at: Instant,
    /// How many were asked for.
    pub current: i32,
    /// How many there are.
    pub status: i32,
    /// All pods.
    pub pods: &'a [Pod],
    /// How near to 1 is near enough.
    pub tolerance: Tolerance,
    /// Flags and gates.
    pub controller: &'a Controller,
}

impl Metric {
    /// What an explanation calls it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Resource { resource } => resource.name.clone(),
            Self::ContainerResource { container_resource } => {
                format!("{} of {}", container_resource.name, container_resource.container)
            }
            Self::Pods { pods } => format!("pods metric {}", pods.metric.name),
            Self::Object { object } => format!("object metric {}", object.metric.name),
            Self::External { external } => format!("external metric {}", external.metric.name),
            Self::Unknown { name } => format!("metric of unknown source {name}"),
        }
    }

    /// Kubernetes' reason when it fails.
    #[must_use]
    pub fn failure(&self) -> Reason {
        match self {
            Self::Resource { .. } => Reason::FailedGetResourceMetric,
            Self::ContainerResource { .. } => Reason::FailedGetContainerResourceMetric,
            Self::Pods { .. } => Reason::FailedGetPodsMetric,
            Self::Object { .. } => Reason::FailedGetObjectMetric,
            Self::External { .. } => Reason::FailedGetExternalMetric,
            Self::Unknown { .. } => Reason::InvalidMetricSourceType,
        }
    }
}

/// What `metric` asks for, given its `reading`.
///
/// # Errors
/// The source failed, no pod that counts has a figure, or a request is missing: the caller goes on with other metrics.
pub fn propose(
    metric: &Metric,
    reading: Option<&Reading>,
    setting: &Setting<'_>,
    trail: &mut Trail,
) -> Result<Proposal, Failure> {
    let label = metric.label();
    let result = match reading {
        Some(Reading::Failed(message)) => Err(message.clone()),
        None => Err("no reading of this metric".to_owned()),
        Some(reading) => proposed(metric, reading, setting, (&label, trail)),
    };
    result.map_err(|message| {
        trail.add(|| format!("{label}: not usable: {message}"));
        Failure { reason: metric.failure(), message }
    })
}

fn proposed(
    metric: &Metric,
    reading: &Reading,
    setting: &Setting<'_>,
    trail: (&str, &mut Trail),
) -> Result<Proposal, String> {
    match (metric, reading) {
        (Metric::Resource { resource }, Reading::Pods(samples)) => {
            let unread = |why: String| format!("unable to get metrics for resource {}: {why}", resource.name);
            if samples.is_empty() {
                return Err(unread("no metrics returned from resource metrics API".to_owned()));
            }
            let figures = pods::figures(samples, None).map_err(unread)?;
            let of = pods_metric::Of { resource: &resource.name, container: None, target: resource.target };
            pods_metric::propose(&of, figures, setting, trail)
        }
        (Metric::ContainerResource { container_resource: of }, Reading::Pods(samples)) => {
            let unread = |why: String| format!("unable to get metrics for resource {}: {why}", of.name);
            if samples.is_empty() {
                return Err(unread("no metrics returned from resource metrics API".to_owned()));
            }
            let figures = pods::figures(samples, Some(&of.container))
                .map_err(|why| unread(format!("failed to get container metrics: {why}")))?;
            let of = pods_metric::Of { resource: &of.name, container: Some(&of.container), target: of.target };
            pods_metric::propose(&of, figures, setting, trail)
        }
        (Metric::Pods { pods: of }, Reading::Pods(samples)) => {
            let unread = |why: String| format!("unable to get metric {}: {why}", of.metric.name);
            if samples.is_empty() {
                return Err(unread("no metrics returned from custom metrics API".to_owned()));
            }
            let figures = pods::figures(samples, None).map_err(unread)?;
            let of = pods_metric::Of { resource: "", container: None, target: of.target };
            pods_metric::propose(&of, figures, setting, trail)
        }
        (Metric::Object { object }, Reading::Object(value)) => total(object.target, *value, setting, trail),
        (Metric::External { external }, Reading::External(series)) => {
            let sum = series.iter().fold(0_i64, |sum, one| sum.saturating_add(*one));
            total(external.target, sum, setting, trail)
        }
        (Metric::Unknown { name }, _) => Err(format!("unknown metric source type {name}")),
        _ => Err("the reading is of another kind than the metric".to_owned()),
    }
}

/// A figure that is not of the pods: of an object, or from outside.
fn total(target: Target, usage: i64, setting: &Setting<'_>, trail: (&str, &mut Trail)) -> Result<Proposal, String> {
    match target {
        Target::Value { value } => whole(value.0, usage, setting, trail),
        Target::AverageValue { average_value } => Ok(shared(average_value.0, usage, setting, trail)),
        Target::Utilization { .. } => Err("neither a value target nor an average value target was set".to_owned()),
    }
}

/// The figure itself against its target: as many times the ready pods.
fn whole(
    target: i64,
    usage: i64,
    setting: &Setting<'_>,
    (label, trail): (&str, &mut Trail),
) -> Result<Proposal, String> {
    let ratio = usage as f64 / target as f64;
    let told = |replicas, usage| Proposal { replicas, utilization: None, usage };
    if setting.current == 0 {
        let replicas = ratio.ceil() as i32;
        trail.add(|| format!("{label}: {usage}m of {target}m = {}, from zero: ceil = {replicas}", short(ratio)));
        return Ok(told(replicas, usage));
    }
    if setting.tolerance.holds(ratio) {
        trail.add(|| within(label, (usage, target), ratio, setting.tolerance, setting.current));
        return Ok(told(setting.current, usage));
    }
    if setting.pods.is_empty() {
        return Err(
            "unable to calculate ready pods: no pods returned by selector while calculating replica count".into()
        );
    }
    let ready = setting.pods.iter().filter(|pod| is_ready(pod)).count();
    let replicas = (ratio * ready as f64).ceil() as i32;
    trail.add(|| {
        let ratio = short(ratio);
        format!("{label}: {usage}m of {target}m = {ratio}, × {ready} ready pods, rounded up = {replicas}")
    });
    Ok(told(replicas, usage))
}

fn is_ready(pod: &Pod) -> bool {
    pod.phase == Phase::Running && pod.ready.is_some_and(|ready| ready.status == Answer::True)
}

/// The figure shared by all that there are, ready or not.
fn shared(target: i64, usage: i64, setting: &Setting<'_>, (label, trail): (&str, &mut Trail)) -> Proposal {
    let there = f64::from(setting.status);
    let ratio = usage as f64 / (target as f64 * there);
    let average = (usage as f64 / there).ceil() as i64;
    if setting.tolerance.holds(ratio) {
        trail.add(|| within(label, (average, target), ratio, setting.tolerance, setting.status));
        return Proposal { replicas: setting.status, utilization: None, usage: average };
    }
    let replicas = (usage as f64 / target as f64).ceil() as i32;
    trail.add(|| format!("{label}: {usage}m, {target}m for each replica: ceil({usage} ÷ {target}) = {replicas}"));
    Proposal { replicas, utilization: None, usage: average }
}

/// The line that says why nothing is done.
pub(super) fn within(label: &str, (usage, target): (i64, i64), ratio: f64, tolerance: Tolerance, keep: i32) -> String {
    let (low, high) = (short(1.0 - tolerance.down), short(1.0 + tolerance.up));
    format!("{label}: {usage}m against {target}m, ratio {} lies within {low} to {high}: keep {keep}", short(ratio))
}
