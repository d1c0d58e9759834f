//! Which pods count: Kubernetes' sorting of pods for one metric, and what they request.
//!
//! Source: `groupPods` and `calculateRequests` of Kubernetes 1.36.

use super::policy::Controller;
use super::seen::{Answer, Phase, Pod, Sample, Usage};
use plimsoll_model::{Instant, Millis};
use std::collections::{BTreeMap, BTreeSet};

/// The figure of one pod for one metric, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// The figure.
    pub value: i64,
    /// When it was taken.
    pub at: Instant,
    /// Over how long.
    pub window: Millis,
}

/// Figures by pod.
pub type Figures = BTreeMap<String, Figure>;

/// The pods of a metric, sorted by whether they count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// How many count.
    pub ready: usize,
    /// Not started, or still warming up.
    pub unready: BTreeSet<String>,
    /// Without a figure.
    pub missing: BTreeSet<String>,
    /// Going or failed.
    pub ignored: BTreeSet<String>,
}

/// One figure for each pod that has all of its containers' figures (or the one of `container`).
///
/// # Errors
/// A named container that a pod's sample does not mention at all fails the whole metric.
pub fn figures(samples: &[Sample], container: Option<&str>) -> Result<Figures, String> {
    let mut figures = Figures::new();
    for sample in samples {
        let value = match (&sample.usage, container) {
            (Usage::Whole(value), _) => Some(*value),
            (Usage::Containers(usage), Some(name)) => *usage
                .get(name)
                .ok_or_else(|| format!("container {name} not present in metrics for pod {}", sample.pod))?,
            (Usage::Containers(usage), None) if usage.is_empty() => None,
            (Usage::Containers(usage), None) => {
                usage.values().try_fold(0_i64, |sum, one| Some(sum.saturating_add((*one)?)))
            }
        };
        if let Some(value) = value {
            figures.insert(sample.pod.clone(), Figure { value, at: sample.at, window: sample.window });
        }
    }
    Ok(figures)
}

/// Sorts `pods` for a metric of `resource` (empty for one that is no resource).
#[must_use]
pub fn group(pods: &[Pod], figures: &Figures, resource: &str, clock: (&Controller, Instant)) -> Groups {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name.clone();
        if pod.deleting || pod.phase == Phase::Failed {
            groups.ignored.insert(name);
        } else if pod.phase == Phase::Pending {
            groups.unready.insert(name);
        } else if let Some(figure) = figures.get(&name) {
            if resource == "cpu" && warming(pod, figure, clock) {
                groups.unready.insert(name);
            } else {
                groups.ready += 1;
            }
        } else {
            groups.missing.insert(name);
        }
    }
    groups
}

/// Whether the processor use of `pod` is still that of its start, and would mislead.
fn warming(pod: &Pod, figure: &Figure, (controller, at): (&Controller, Instant)) -> bool {
    let (Some(ready), Some(started_at)) = (pod.ready, pod.started_at) else { return true };
    let unready = ready.status == Answer::False;
    if at < started_at.after(controller.cpu_initialization) {
        return unready || figure.at < ready.since.after(figure.window);
    }
    // Old enough, and it was unready ever since its start: it has never been ready.
    unready && ready.since < started_at.after(controller.initial_readiness)
}

/// What each pod requests of `resource`, in thousandths; of one container if it is named.
///
/// # Errors
/// One container without a request fails the whole metric, even in a pod that does not count.
pub fn requests(
    pods: &[Pod],
    resource: &str,
    container: Option<&str>,
    pod_level: bool,
) -> Result<BTreeMap<String, i64>, String> {
    let mut requests = BTreeMap::new();
    for pod in pods {
        let whole = pod.requests.get(resource).filter(|_| pod_level && container.is_none());
        let sum = match whole {
            Some(whole) => *whole,
            None => sum_of_containers(pod, resource, container)?,
        };
        requests.insert(pod.name.clone(), sum);
    }
    Ok(requests)
}

fn sum_of_containers(pod: &Pod, resource: &str, container: Option<&str>) -> Result<i64, String> {
    let mut sum = 0_i64;
    for one in pod.containers.iter().filter(|one| container.is_none_or(|name| name == one.name)) {
        let request = one
            .requests
            .get(resource)
            .ok_or_else(|| format!("missing request for {resource} in container {} of Pod {}", one.name, pod.name))?;
        sum = sum.saturating_add(*request);
    }
    Ok(sum)
}
