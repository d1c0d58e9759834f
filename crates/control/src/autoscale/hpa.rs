//! One look of a HorizontalPodAutoscaler: what Kubernetes 1.36 would decide, to the last replica.
//!
//! Source: `reconcileAutoscaler` of Kubernetes 1.36.
//! Invariant: when the number can be read and the autoscaler is not switched off, the answer lies within
//! `min_replicas..=max_replicas`, unless metrics are missing (then it is the current number).

use super::condition::{self, Condition, ConditionKind, Reason, Status};
use super::history::{Memory, Recommendation, remember};
use super::limit::{self, Bounds, Made};
use super::metric::{Failure, Proposal, Setting, propose};
use super::policy::{Behavior, Policy};
use super::seen::{Seen, Selector};
use super::trail::Trail;
use plimsoll_model::Instant;
use serde::{Deserialize, Serialize};

/// What to do about the number of replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// Leave it.
    Keep,
    /// Ask for so many.
    To(i32),
}

/// What was decided, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub act: Scale,
    /// The number that holds afterwards. None: it could not be read.
    pub replicas: Option<i32>,
    /// What the autoscaler says about itself; also kept in its memory.
    pub conditions: Vec<Condition>,
    /// What each metric asked for, in the policy's order; None: it could not be used, or was not looked at.
    pub proposals: Vec<Option<i32>>,
    /// Percent of what is requested, for the metrics that have such a target.
    pub utilization: Vec<Option<i32>>,
    /// The arithmetic, line by line, when it was asked for.
    pub steps: Vec<String>,
    /// When to look again.
    pub again_at: Instant,
}

/// What the metrics said, or which of them failed first.
struct Heard {
    proposals: Vec<Option<i32>>,
    utilization: Vec<Option<i32>>,
    outcome: Result<i32, Failure>,
}

/// Decides once. The answer is taken as carried out: if that fails, tell it to [`refused`].
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let mut trail = Trail::new(seen.explain);
    let mut decision = Decision {
        act: Scale::Keep,
        replicas: seen.spec_replicas,
        conditions: vec![],
        proposals: vec![],
        utilization: vec![],
        steps: vec![],
        again_at: seen.at.after(policy.controller.period),
    };
    if let Some(current) = seen.spec_replicas {
        say(memory, ConditionKind::AbleToScale, (true, Reason::SucceededGetScale), "");
        if memory.recommendations.is_none() {
            memory.recommendations = Some(vec![Recommendation { replicas: current, at: seen.at }]);
        }
        let desired = desired(policy, memory, seen, current, (&mut decision, &mut trail));
        if desired == current {
            trail.add(|| format!("keep {current}"));
        } else {
            trail.add(|| format!("scale from {current} to {desired}"));
            carried_out(policy, memory, (current, desired), seen.at);
            decision.act = Scale::To(desired);
            decision.replicas = Some(desired);
        }
    } else {
        say(
            memory,
            ConditionKind::AbleToScale,
            (false, Reason::FailedGetScale),
            "the number of replicas cannot be read",
        );
        trail.add(|| "the number of replicas cannot be read: nothing is done".to_owned());
    }
    decision.conditions.clone_from(&memory.conditions);
    decision.steps = trail.into_lines();
    decision
}

/// The number that should hold.
fn desired(
    policy: &Policy,
    memory: &mut Memory,
    seen: &Seen,
    current: i32,
    (decision, trail): (&mut Decision, &mut Trail),
) -> i32 {
    let Policy { min_replicas: min, max_replicas: max, .. } = *policy;
    if !policy.controller.scale_to_zero {
        memory.conditions.retain(|one| one.kind != ConditionKind::ScaledToZero);
    }
    if current == 0 && !is_scaled_to_zero(memory) {
        say(memory, ConditionKind::ScalingActive, (false, Reason::ScalingDisabled), "the number of replicas is zero");
        trail.add(|| "scaling is switched off: the number of replicas was set to 0".to_owned());
        return current;
    }
    if current > max {
        trail.add(|| format!("{current} is above maxReplicas {max}: straight to {max}"));
        return max;
    }
    // From a zero of its own it comes back by the metrics, also when the bound was raised meanwhile.
    if current < min && current != 0 {
        trail.add(|| format!("{current} is below minReplicas {min}: straight to {min}"));
        return min;
    }
    let unclear = match seen.selector {
        Selector::Clear => None,
        Selector::Invalid => Some((Reason::InvalidSelector, "the selector of the pods is empty or unreadable")),
        Selector::Ambiguous => Some((Reason::AmbiguousSelector, "another autoscaler selects the same pods")),
    };
    if let Some((reason, message)) = unclear {
        say(memory, ConditionKind::ScalingActive, (false, reason), message);
        trail.add(|| format!("{message}: nothing is done"));
        return current;
    }
    let heard = hear(policy, seen, current, trail);
    decision.proposals = heard.proposals;
    decision.utilization = heard.utilization;
    match heard.outcome {
        Err(Failure { reason, message }) => {
            say(memory, ConditionKind::ScalingActive, (false, reason), &message);
            current
        }
        Ok(proposal) => {
            say(memory, ConditionKind::ScalingActive, (true, Reason::ValidMetricFound), "");
            normalise(policy, memory, (current, proposal.max(0)), seen.at, trail)
        }
    }
}

/// Whether zero is the autoscaler's own work, so that it may come back from there.
fn is_scaled_to_zero(memory: &Memory) -> bool {
    let own = |one: &Condition| one.kind == ConditionKind::ScaledToZero && one.status == Status::True;
    memory.conditions.iter().any(own)
}

/// Asks every metric; the highest answer counts. Never shrinks on partial data.
fn hear(policy: &Policy, seen: &Seen, current: i32, trail: &mut Trail) -> Heard {
    let setting = Setting {
        at: seen.at,
        current,
        status: seen.status_replicas,
        pods: &seen.pods,
        tolerance: policy.tolerance(),
        controller: &policy.controller,
    };
    let metrics = policy.metrics_or_default();
    let answers: Vec<Result<Proposal, Failure>> = metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| propose(metric, seen.readings.get(index), &setting, trail))
        .collect();
    let proposals: Vec<_> = answers.iter().map(|one| one.as_ref().ok().map(|one| one.replicas)).collect();
    let utilization = answers.iter().map(|one| one.as_ref().ok().and_then(|one| one.utilization)).collect();
    let highest = proposals.iter().flatten().copied().max();
    let failure = answers.into_iter().find_map(Result::err);
    let outcome = match (highest, failure) {
        (None, Some(failure)) => Err(failure),
        (Some(highest), Some(failure)) if highest < current => {
            trail.add(|| format!("the others ask for {highest}, but one failed: never fewer on partial data"));
            Err(failure)
        }
        (Some(highest), _) => {
            trail.add(|| format!("the metrics ask for {highest}"));
            Ok(highest)
        }
        (None, None) => Ok(current),
    };
    Heard { proposals, utilization, outcome }
}

/// Windows, rates and bounds.
fn normalise(
    policy: &Policy,
    memory: &mut Memory,
    (current, proposal): (i32, i32),
    at: Instant,
    trail: &mut Trail,
) -> i32 {
    let window = policy.controller.downscale_window;
    let recommendations = memory.recommendations.get_or_insert_default();
    let behavior = policy.behavior.as_ref();
    let stable = match behavior {
        None => limit::stabilise(proposal, window, at, recommendations),
        Some(Behavior { scale_up, scale_down }) => {
            let windows = limit::windows((scale_up, scale_down), window);
            limit::stabilise_both((current, proposal), windows, at, recommendations)
        }
    };
    let reason = if stable == proposal {
        Reason::ReadyForNewScale
    } else if behavior.is_some() && proposal >= current {
        Reason::ScaleUpStabilized
    } else {
        Reason::ScaleDownStabilized
    };
    if stable != proposal {
        trail.add(|| format!("stabilised: {proposal} becomes {stable} by the proposals of the window ({reason})"));
    }
    say(memory, ConditionKind::AbleToScale, (true, reason), "");

    let bounds = Bounds { min: policy.min_replicas, max: policy.max_replicas };
    let (desired, reason) = match behavior {
        None => limit::limit(current, stable, bounds, policy.controller.scale_up_factor),
        Some(Behavior { scale_up, scale_down }) => {
            let made = Made { ups: &memory.ups, downs: &memory.downs, at };
            limit::limit_rate((current, stable), bounds, (scale_up, scale_down), made, trail)
        }
    };
    if desired != stable {
        trail.add(|| format!("limited: {stable} becomes {desired} ({reason}; {} to {})", bounds.min, bounds.max));
    }
    say(memory, ConditionKind::ScalingLimited, (desired != stable, reason), "");
    desired
}

/// Remembers that the number was changed.
fn carried_out(policy: &Policy, memory: &mut Memory, (current, desired): (i32, i32), at: Instant) {
    say(memory, ConditionKind::AbleToScale, (true, Reason::SucceededRescale), "");
    if policy.controller.scale_to_zero {
        if desired == 0 {
            say(memory, ConditionKind::ScaledToZero, (true, Reason::ScaledToZero), "");
        } else if is_scaled_to_zero(memory) {
            say(memory, ConditionKind::ScaledToZero, (false, Reason::NotScaledToZero), "");
        }
    }
    remember_change(policy, memory, (current, desired), at);
}

/// Remembers a change for the rates of `behavior`; without behaviour nothing is kept.
pub fn remember_change(policy: &Policy, memory: &mut Memory, (current, desired): (i32, i32), at: Instant) {
    if let Some(behavior) = &policy.behavior {
        let (events, rules) = match desired > current {
            true => (&mut memory.ups, &behavior.scale_up),
            false => (&mut memory.downs, &behavior.scale_down),
        };
        remember(events, desired.abs_diff(current) as i32, &rules.policies, at);
    }
}

/// Forgets the change that [`decide`] took as carried out, because something else was done instead.
pub fn take_back(policy: &Policy, memory: &mut Memory, decision: &Decision, seen: &Seen) {
    let (Scale::To(desired), Some(current), Some(_)) = (decision.act, seen.spec_replicas, &policy.behavior) else {
        return;
    };
    let change = desired.abs_diff(current) as i32;
    let events = if desired > current { &mut memory.ups } else { &mut memory.downs };
    if let Some(index) = events.iter().rposition(|event| event.at == seen.at && event.change == change) {
        events.remove(index);
    }
}

/// Takes back what [`decide`] remembered of a change that could not be carried out, and says so.
pub fn refused(policy: &Policy, memory: &mut Memory, decision: &mut Decision, seen: &Seen) {
    let (Scale::To(desired), Some(current)) = (decision.act, seen.spec_replicas) else { return };
    say(memory, ConditionKind::AbleToScale, (false, Reason::FailedUpdateScale), "the number could not be written");
    take_back(policy, memory, decision, seen);
    decision.act = Scale::Keep;
    decision.replicas = Some(current);
    decision.conditions.clone_from(&memory.conditions);
    if seen.explain {
        decision.steps.push(format!("writing {desired} failed: {current} stays"));
    }
}

fn say(memory: &mut Memory, kind: ConditionKind, (holds, reason): (bool, Reason), message: &str) {
    let status = if holds { Status::True } else { Status::False };
    let message = message.to_owned();
    condition::set(&mut memory.conditions, Condition { kind, status, reason, message });
}

/// The answer of several metrics alone, without windows and limits: for test vectors and what-if questions.
/// None in the place of the number: nothing may be done, for the reason given.
#[must_use]
pub fn several(policy: &Policy, seen: &Seen) -> (Option<i32>, Reason) {
    match hear(policy, seen, seen.spec_replicas.unwrap_or(0), &mut Trail::default()).outcome {
        Ok(replicas) => (Some(replicas), Reason::ValidMetricFound),
        Err(failure) => (None, failure.reason),
    }
}
