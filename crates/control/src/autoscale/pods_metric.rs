//! A metric that each pod has a figure for: use of a resource, or a figure that pods tell.
//!
//! Pods that are missing or unready are padded in so that a doubtful scale-up grows less and a doubtful scale-down
//! shrinks less, never the other way round.

use super::metric::{Proposal, Setting, within};
use super::pods::{self, Figure, Figures, Groups};
use super::policy::Target;
use super::trail::{Trail, short};
use plimsoll_model::{Instant, Millis};
use std::collections::BTreeMap;

/// What is measured, and what it is held at.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// `cpu`, `memory`, …; empty for a figure that is no resource.
    pub resource: &'a str,
    /// One container, or None for the whole pod.
    pub container: Option<&'a str>,
    /// What to hold it at.
    pub target: Target,
}

/// The target in the form in which it is reckoned with.
enum Scale {
    /// Percent of the pods' requests.
    Percent { target: i32, requests: BTreeMap<String, i64> },
    /// Thousandths for each pod.
    Each { target: i64 },
}

/// A set of figures compared with the target.
#[derive(Clone, Copy)]
struct Compared {
    ratio: f64,
    percent: Option<i32>,
    average: i64,
    /// Sums, for the explanation: used, and requested or the number of figures.
    sums: (i64, i64),
}

/// What `figures` ask for.
///
/// # Errors
/// No pod that counts has a figure, or (for a percentage) a request is missing.
pub fn propose(
    of: &Of<'_>,
    mut figures: Figures,
    setting: &Setting<'_>,
    (label, trail): (&str, &mut Trail),
) -> Result<Proposal, String> {
    if setting.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = pods::group(setting.pods, &figures, of.resource, (setting.controller, setting.at));
    figures.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
    if figures.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let scale = scale(of, setting)?;
    let measured = compare(&scale, &figures)?;
    trail.add(|| explained(label, &scale, &measured, &groups));
    let answer = |replicas| Proposal { replicas, utilization: measured.percent, usage: measured.average };

    let slowed = !groups.unready.is_empty() && measured.ratio > 1.0;
    if groups.missing.is_empty() && !slowed {
        if setting.tolerance.holds(measured.ratio) {
            let target = scale.each();
            trail.add(|| within(label, (measured.average, target), measured.ratio, setting.tolerance, setting.current));
            return Ok(answer(setting.current));
        }
        let replicas = (measured.ratio * groups.ready as f64).ceil() as i32;
        let (ratio, ready) = (measured.ratio, groups.ready);
        trail.add(|| format!("{label}: ratio {} × {ready} pods, rounded up = {replicas}", short(ratio)));
        return Ok(answer(replicas));
    }
    pad(&scale, &mut figures, &groups, measured.ratio);
    let padded = compare(&scale, &figures)?;
    Ok(answer(after_padding((measured.ratio, padded.ratio), figures.len(), setting, (label, trail))))
}

fn scale(of: &Of<'_>, setting: &Setting<'_>) -> Result<Scale, String> {
    match of.target {
        Target::Utilization { average_utilization } if !of.resource.is_empty() => {
            let pod_level = setting.controller.pod_level_resources;
            let requests = pods::requests(setting.pods, of.resource, of.container, pod_level)?;
            Ok(Scale::Percent { target: average_utilization, requests })
        }
        Target::AverageValue { average_value } => Ok(Scale::Each { target: average_value.0 }),
        _ => Err("neither a utilization target nor an average value target was set".to_owned()),
    }
}

fn compare(scale: &Scale, figures: &Figures) -> Result<Compared, String> {
    match scale {
        Scale::Percent { target, requests } => {
            let known = figures.iter().filter_map(|(pod, figure)| Some((figure.value, *requests.get(pod)?)));
            let (used, requested, count) = known.fold((0_i64, 0_i64, 0_i64), |(used, requested, count), one| {
                (used.saturating_add(one.0), requested.saturating_add(one.1), count + 1)
            });
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let percent = (i128::from(used) * 100 / i128::from(requested)) as i32;
            let ratio = f64::from(percent) / f64::from(*target);
            Ok(Compared { ratio, percent: Some(percent), average: used / count, sums: (used, requested) })
        }
        Scale::Each { target } => {
            let used = figures.values().fold(0_i64, |sum, figure| sum.saturating_add(figure.value));
            let count = figures.len() as i64;
            let average = used / count;
            Ok(Compared { ratio: average as f64 / *target as f64, percent: None, average, sums: (used, count) })
        }
    }
}

/// Puts in what the missing and the unready pods are assumed to use.
fn pad(scale: &Scale, figures: &mut Figures, groups: &Groups, ratio: f64) {
    let assumed = |value| Figure { value, at: Instant(0), window: Millis(0) };
    if ratio < 1.0 {
        for pod in &groups.missing {
            let value = match scale {
                // All that it requests, or the target if that is more.
                Scale::Percent { target, requests } => {
                    let request = requests.get(pod).copied().unwrap_or(0);
                    request.saturating_mul(i64::from(100.max(*target))) / 100
                }
                Scale::Each { target } => *target,
            };
            figures.insert(pod.clone(), assumed(value));
        }
    } else if ratio > 1.0 {
        for pod in groups.missing.iter().chain(&groups.unready) {
            figures.insert(pod.clone(), assumed(0));
        }
    }
}

/// The answer once doubtful pods have been reckoned in: kept if the doubt changes what would be done.
fn after_padding(
    (measured, padded): (f64, f64),
    count: usize,
    setting: &Setting<'_>,
    (label, trail): (&str, &mut Trail),
) -> i32 {
    let keep = setting.current;
    trail.add(|| format!("{label}: with the doubtful pods reckoned in, {count} pods at ratio {}", short(padded)));
    if setting.tolerance.holds(padded) {
        trail.add(|| format!("{label}: that lies within the tolerance: keep {keep}"));
        return keep;
    }
    if (measured < 1.0 && padded > 1.0) || (measured > 1.0 && padded < 1.0) {
        trail.add(|| format!("{label}: that turns the direction round: keep {keep}"));
        return keep;
    }
    let replicas = (padded * count as f64).ceil() as i32;
    if (padded < 1.0 && replicas > keep) || (padded > 1.0 && replicas < keep) {
        trail.add(|| format!("{label}: {replicas} would go the wrong way: keep {keep}"));
        return keep;
    }
    trail.add(|| format!("{label}: ratio {} × {count} pods, rounded up = {replicas}", short(padded)));
    replicas
}

impl Scale {
    fn each(&self) -> i64 {
        match self {
            Self::Percent { target, .. } => i64::from(*target),
            Self::Each { target } => *target,
        }
    }
}

fn explained(label: &str, scale: &Scale, measured: &Compared, groups: &Groups) -> String {
    let (used, over) = measured.sums;
    let ratio = short(measured.ratio);
    let sorted = format!(
        "{} pods counted, {} unready, {} without a figure, {} ignored",
        groups.ready,
        groups.unready.len(),
        groups.missing.len(),
        groups.ignored.len()
    );
    match (scale, measured.percent) {
        (Scale::Percent { target, .. }, Some(percent)) => {
            format!(
                "{label}: {used}m used of {over}m requested = {percent} % against {target} %: ratio {ratio} ({sorted})"
            )
        }
        _ => {
            let (average, target) = (measured.average, scale.each());
            format!("{label}: {used}m over {over} pods = {average}m against {target}m: ratio {ratio} ({sorted})")
        }
    }
}
