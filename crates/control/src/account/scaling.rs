//! How a number of replicas came about, and at which load it would have been another one.

use super::{Account, Answer, Autoscale};
use crate::autoscale::{self, Act, Decision, Policy, Seen, hpa, seen::Reading, seen::Usage};

/// Loads are tried up to so many times what was seen, in per cent.
const LOAD_MAX: u64 = 1000;

pub(super) fn ask(asked: &Autoscale) -> (Answer, Decision) {
    let mut memory = asked.memory.clone();
    let decision = autoscale::decide(&Policy::from(&asked.policy), &mut memory, &asked.seen);
    (answer(&asked.seen, &decision), decision)
}

pub(super) fn answer(seen: &Seen, decision: &Decision) -> Answer {
    let current = current(seen);
    let act = match decision.act {
        Act::Keep => format!("keep {current}"),
        Act::ScaleTo(wanted) => format!("scale from {current} to {wanted}"),
    };
    Answer { act, why: format!("by {:?}, within {} to {}", decision.reason, decision.bounds.0, decision.bounds.1) }
}

fn current(seen: &Seen) -> u32 {
    seen.hpa.spec_replicas.and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

fn wanted(seen: &Seen, decision: &Decision) -> u32 {
    match decision.act {
        Act::Keep => current(seen),
        Act::ScaleTo(wanted) => wanted,
    }
}

pub(super) fn account(asked: &Autoscale) -> Account {
    let mut asked = asked.clone();
    asked.seen.hpa.explain = true;
    let (_, decision) = ask(&asked);
    let mut otherwise = Vec::new();
    // The other loads are tried without the lines.
    asked.seen.hpa.explain = false;
    let wanted = wanted(&asked.seen, &decision);
    // Where it would have stayed as it was, and where the next number lies in either direction.
    let current = current(&asked.seen);
    let stays = if wanted > current { less_load(&asked, current + 1) } else { None };
    let stays = stays.or_else(|| if wanted < current { more_load(&asked, current - 1) } else { None });
    let mut loads: Vec<u64> =
        [stays, less_load(&asked, wanted), more_load(&asked, wanted)].into_iter().flatten().collect();
    loads.sort_unstable();
    loads.dedup();
    otherwise.extend(loads.into_iter().map(|percent| load_line(&asked, &decision, percent)));
    otherwise.extend(bounds(&asked, &decision, wanted));
    otherwise.extend(waiting(&asked, wanted));
    otherwise.extend(unforeseen(&asked, wanted));
    Account { steps: decision.steps, otherwise }
}

/// What would be wanted at so many per cent of the load that was seen.
fn at_load(asked: &Autoscale, percent: u64) -> (u32, Decision) {
    let mut other = asked.clone();
    let signed = i64::try_from(percent).unwrap_or(i64::MAX);
    let scale = |value: i64| value.saturating_mul(signed) / 100;
    for reading in &mut other.seen.hpa.readings {
        match reading {
            Reading::Pods(samples) => samples.iter_mut().for_each(|sample| match &mut sample.usage {
                Usage::Whole(value) => *value = scale(*value),
                Usage::Containers(each) => each.values_mut().flatten().for_each(|value| *value = scale(*value)),
            }),
            Reading::Object(value) => *value = scale(*value),
            Reading::External(series) => series.iter_mut().for_each(|value| *value = scale(*value)),
            Reading::Failed(_) => {}
        }
    }
    let grow = |value: u64| value.saturating_mul(percent) / 100;
    for sample in &mut other.seen.traffic.samples {
        (sample.arrived, sample.in_flight) = (grow(sample.arrived), grow(sample.in_flight));
    }
    other.memory.traffic = other.memory.traffic.at_load(percent);
    let (_, decision) = ask(&other);
    (wanted(&other.seen, &decision), decision)
}

/// The most of the load that was seen, in per cent, at which fewer than `limit` would have been wanted.
fn less_load(asked: &Autoscale, limit: u32) -> Option<u64> {
    let fewer = |percent: u64| at_load(asked, percent).0 < limit;
    if !fewer(0) {
        return None;
    }
    let (mut yes, mut no) = (0, 100);
    while no - yes > 1 {
        let middle = u64::midpoint(yes, no);
        *(if fewer(middle) { &mut yes } else { &mut no }) = middle;
    }
    Some(yes)
}

/// The least load above what was seen, in per cent, at which more than `limit` would have been wanted.
fn more_load(asked: &Autoscale, limit: u32) -> Option<u64> {
    let more = |percent: u64| at_load(asked, percent).0 > limit;
    if !more(LOAD_MAX) {
        return None;
    }
    let (mut no, mut yes) = (100, LOAD_MAX);
    while yes - no > 1 {
        let middle = u64::midpoint(no, yes);
        *(if more(middle) { &mut yes } else { &mut no }) = middle;
    }
    Some(yes)
}

/// `at 85 % of that load (cpu at 71 % instead of 84 %): keep 3`.
fn load_line(asked: &Autoscale, decision: &Decision, percent: u64) -> String {
    let (other, at_load) = at_load(asked, percent);
    let was = decision.hpa.as_ref().map(|hpa| hpa.utilization.as_slice()).unwrap_or_default();
    let would = at_load.hpa.as_ref().map(|hpa| hpa.utilization.as_slice()).unwrap_or_default();
    let metrics = Policy::from(&asked.policy).hpa;
    let labels = metrics.iter().flat_map(|hpa| hpa.metrics_or_default().into_owned()).map(|metric| metric.label());
    let figures: Vec<String> = labels
        .zip(was.iter().zip(would))
        .filter_map(|(label, (was, would))| Some(format!("{label} at {} % instead of {} %", (*would)?, (*was)?)))
        .collect();
    let figures = if figures.is_empty() { String::new() } else { format!(" ({})", figures.join(", ")) };
    format!("at {percent} % of that load{figures}: {}", words(asked, other))
}

fn words(asked: &Autoscale, wanted: u32) -> String {
    let current = current(&asked.seen);
    if wanted == current { format!("keep {current}") } else { format!("scale from {current} to {wanted}") }
}

/// What other bounds in the file would have let it be.
fn bounds(asked: &Autoscale, decision: &Decision, wanted: u32) -> Vec<String> {
    let vary = |change: &dyn Fn(&mut Autoscale)| {
        let mut other = asked.clone();
        change(&mut other);
        let (_, decision) = ask(&other);
        self::wanted(&other.seen, &decision)
    };
    let mut lines = Vec::new();
    if wanted == decision.bounds.1 {
        let free = vary(&|other| other.policy.max_replicas = 10_000);
        if free > wanted {
            lines.push(format!("with maxReplicas {free} or more: {}", words(asked, free)));
        }
    }
    if wanted == decision.bounds.0 {
        let free = vary(&|other| other.policy.min_replicas = 0);
        if free < wanted {
            lines.push(format!("with minReplicas {free} or fewer: {}", words(asked, free)));
        }
    }
    lines
}

/// What it would be if former weeks had let expect nothing.
fn unforeseen(asked: &Autoscale, wanted: u32) -> Option<String> {
    let mut other = asked.clone();
    other.seen.predicted = 0;
    let (_, decision) = ask(&other);
    let alone = self::wanted(&other.seen, &decision);
    (alone != wanted).then(|| format!("without prediction: {}", words(asked, alone)))
}

/// What it would be without looking back over the stabilisation window.
fn waiting(asked: &Autoscale, wanted: u32) -> Option<String> {
    let mut other = asked.clone();
    other.memory.hpa.recommendations = Some(Vec::new());
    let (_, decision) = ask(&other);
    let at_once = self::wanted(&other.seen, &decision);
    let looked: Option<&hpa::Decision> = decision.hpa.as_ref();
    looked.filter(|_| at_once != wanted)?;
    Some(format!("without earlier proposals in its stabilisation window: {}", words(asked, at_once)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscale::{Memory, seen, traffic};
    use plimsoll_model::{Instant, Millis, Rate, Ratio, autoscaling::Autoscaling, autoscaling::Metric};
    use std::collections::BTreeMap;

    fn at() -> Instant {
        Instant(0).after(Millis::from_secs(10_000))
    }

    fn policy(min: u32, max: u32) -> Autoscaling {
        Autoscaling { min_replicas: min, max_replicas: max, ..by_metrics(vec![]) }
    }

    fn by_metrics(metrics: Vec<Metric>) -> Autoscaling {
        // Read, so that a setting that is added has its default here too.
        let mut own: Autoscaling = serde_json::from_value(serde_json::json!({
            "minReplicas": 1, "maxReplicas": 10, "metrics": [], "behavior": null, "requestsPerSecond": null,
            "concurrency": null
        }))
        .unwrap();
        own.metrics = metrics;
        own
    }

    /// Three replicas, each of which requests one processor and uses so many per cent of it; the target is 60 %.
    fn using(percent: i64, (min, max): (u32, u32)) -> Autoscale {
        let ready = seen::Ready { status: seen::Answer::True, since: Instant(0) };
        let pod = |name: &str| seen::Pod {
            name: name.into(),
            started_at: Some(Instant(0)),
            ready: Some(ready),
            containers: vec![seen::Container { name: "web".into(), requests: BTreeMap::from([("cpu".into(), 1000)]) }],
            ..seen::Pod::default()
        };
        let sample = |name: &str| seen::Sample {
            pod: name.into(),
            at: at(),
            window: Millis::from_secs(15),
            usage: Usage::Whole(percent * 10),
        };
        let names = ["web-1", "web-2", "web-3"];
        let cpu = Metric::Utilization { resource: "cpu".into(), target: Ratio::percent(60) };
        let hpa = seen::Seen {
            at: at(),
            spec_replicas: Some(3),
            status_replicas: 3,
            selector: seen::Selector::Clear,
            pods: names.map(pod).to_vec(),
            readings: vec![Reading::Pods(names.map(sample).to_vec())],
            explain: true,
        };
        let policy = Autoscaling { metrics: vec![cpu], ..policy(min, max) };
        Autoscale {
            policy,
            memory: Memory::default(),
            seen: Seen { hpa, traffic: traffic::Seen::default(), predicted: 0 },
        }
    }

    #[track_caller]
    fn check(asked: &Autoscale, act: &str, otherwise: &[&str]) {
        assert_eq!(ask(asked).0.act, act);
        let account = account(asked);
        assert_eq!(account.otherwise, otherwise, "{:#?}", account.steps);
        assert!(account.steps.len() > 1, "{account:?}");
    }

    #[test]
    fn more_processor_than_the_target_tells_where_it_would_have_stayed() {
        let otherwise = [
            "at 79 % of that load (cpu at 66 % instead of 84 %): keep 3",
            "at 96 % of that load (cpu at 80 % instead of 84 %): scale from 3 to 4",
            "at 121 % of that load (cpu at 101 % instead of 84 %): scale from 3 to 6",
        ];
        check(&using(84, (2, 10)), "scale from 3 to 5", &otherwise);
    }

    #[test]
    fn a_bound_that_held_it_is_named() {
        let less = "at 79 % of that load (cpu at 66 % instead of 84 %): keep 3";
        check(&using(84, (2, 4)), "scale from 3 to 4", &[less, "with maxReplicas 5 or more: scale from 3 to 5"]);
    }

    #[test]
    fn less_than_the_target_waits_for_its_window() {
        let asked = using(20, (1, 10));
        assert_eq!(ask(&asked).0.act, "keep 3");
        let otherwise = account(&asked).otherwise;
        let window = "without earlier proposals in its stabilisation window: scale from 3 to 1";
        assert!(otherwise.contains(&window.to_owned()), "{otherwise:?}");
    }

    #[test]
    fn traffic_tells_the_load_at_which_fewer_would_do() {
        let sample = |second: u64| traffic::Sample {
            at: Instant(at().0 - (59 - second) * 1_000_000),
            span: Millis::from_secs(1),
            in_flight: 0,
            arrived: 100,
        };
        let mut asked = using(0, (1, 10));
        asked.policy = Autoscaling { requests_per_second: Some(Rate(20_000)), ..policy(1, 10) };
        asked.seen.traffic = traffic::Seen { samples: (0..60).map(sample).collect(), ready: 3, waiting: 0 };
        assert_eq!(ask(&asked).0.act, "scale from 3 to 5");
        let otherwise = account(&asked).otherwise;
        let want = ["at 60 % of that load: keep 3", "at 80 % of that load: scale from 3 to 4"];
        assert_eq!(otherwise[..2], want);
        assert!(otherwise[2].ends_with("scale from 3 to 6"), "{otherwise:?}");
    }
}
