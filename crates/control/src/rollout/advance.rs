//! From one stage of a release to the next.

use super::layout::{available, share_of};
use super::{
    Decision, Event, Memory, Paused, Policy, Progress, Quarantined, Seen, Stage, Wish, audience, soak::soak, synthetic,
};
use crate::analysis::{self, Sample, Verdict};
use crate::reconcile::Phase;
use plimsoll_model::rollout::Strategy;
use plimsoll_model::{Instant, Millis, RevisionId};

/// Does what people ask for.
pub(super) fn obey(memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    for command in &seen.commands {
        let (by, why) = (command.by.clone(), command.why.clone());
        if command.wish == Wish::Forgive && memory.is_quarantined(&command.revision) {
            memory.quarantine.retain(|one| one.revision != command.revision);
            decision.events.push(Event::Forgiven { revision: command.revision.clone(), by });
            continue;
        }
        let on_probation = memory.target.is_none() && memory.previous.is_some();
        let named = if on_probation { &memory.stable } else { &memory.target };
        if named.as_ref() != Some(&command.revision) {
            continue;
        }
        match command.wish {
            Wish::Pause if memory.paused.is_none() && !on_probation => {
                decision.events.push(Event::Paused { why: format!("{by}: {why}") });
                memory.paused = Some(Paused { by, why });
            }
            Wish::Resume | Wish::Promote => go_on(memory, command.wish == Wish::Promote, by, decision),
            Wish::Abort => send_back(memory, seen.at, &format!("aborted by {by}: {why}"), decision),
            Wish::Pause | Wish::Forgive => {}
        }
    }
}

fn go_on(memory: &mut Memory, at_once: bool, by: String, decision: &mut Decision) {
    let was_paused = memory.paused.take().is_some();
    // Whoever promotes what can't be sent back has judged it.
    memory.at_once |= at_once && memory.contracted;
    let stage = memory.stage;
    match stage {
        Stage::Canary { .. } if at_once => memory.stage = Stage::Finishing,
        Stage::Switched { .. } | Stage::Baking { .. } if at_once => promote(memory, None, decision),
        // A person has looked: the step is passed. Without it the same doubt would stop it again at once.
        Stage::Canary { step, since: Some(_) } if was_paused => {
            memory.stage = Stage::Canary { step: step + 1, since: None };
        }
        Stage::Switched { .. } if was_paused => promote(memory, None, decision),
        _ => {}
    }
    if was_paused || memory.stage != stage {
        decision.events.push(Event::Resumed { by });
    }
}

/// Finds out what is to come in, and begins.
pub(super) fn aim(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) {
    let wanted = (!memory.is_quarantined(&seen.wanted)).then_some(&seen.wanted);
    if memory.target.as_ref() == wanted && wanted.is_some() {
        return;
    }
    let is_stable = wanted.is_some() && memory.stable.as_ref() == wanted;
    if wanted.is_none() || is_stable {
        // Nothing else may come in: what was coming in is withdrawn.
        if let Some(revision) = memory.target.take() {
            decision.events.push(Event::Withdrawn { revision });
            end(memory);
        }
        return;
    }
    memory.target = wanted.cloned();
    memory.previous = None;
    memory.paused = None;
    memory.analysis = analysis::Memory::default();
    memory.synthetic = None;
    memory.progress = Progress::begin(seen.at);
    memory.at_once = seen.at_once;
    memory.contracted = false;
    let prepares = policy.rollout.before.is_some() && !seen.at_once;
    memory.stage = if prepares { Stage::Preparing { done: None } } else { first(policy, memory) };
    decision.events.push(Event::Began { revision: seen.wanted.clone() });
}

/// The first stage in which replicas of the new version come up.
fn first(policy: &Policy, memory: &Memory) -> Stage {
    match (&policy.rollout.strategy, &memory.stable) {
        _ if memory.at_once => Stage::Replacing,
        (Strategy::BlueGreen { .. }, Some(_)) => Stage::Raising,
        (Strategy::Canary { .. }, Some(_)) => Stage::Canary { step: 0, since: None },
        // The very first version has nothing beside which it could be tried.
        _ => Stage::Replacing,
    }
}

/// Runs the `before` command, then sees whether the old version still works.
fn prepare(
    policy: &Policy,
    memory: &mut Memory,
    seen: &Seen,
    (done, target, decision): (Option<Instant>, &RevisionId, &mut Decision),
) -> bool {
    let Some(since) = done else {
        let Some(ended) = seen.prepared.as_ref().filter(|ended| ended.revision == *target) else {
            decision.prepare = Some(target.clone());
            return false;
        };
        if let Some(why) = &ended.failed {
            refuse(memory, seen.at, &format!("its `before` command failed: {why}"), decision);
            return true;
        }
        memory.contracted = policy.rollout.contract;
        memory.stage = Stage::Preparing { done: Some(seen.at) };
        decision.events.push(Event::Prepared { revision: target.clone() });
        return true;
    };
    if let Some(stable) = &memory.stable {
        let until = since.after(policy.watch);
        if seen.at < until {
            wake(decision, until);
            return false;
        }
        let there = available(policy, seen, stable);
        if there < policy.rolling().available_min() {
            let n = policy.replicas;
            let why =
                format!("after its `before` command only {there} of {n} replicas of the old version are available");
            return send_back_unless_bound(memory, seen.at, &why, decision);
        }
    }
    memory.stage = first(policy, memory);
    memory.progress = Progress::begin(seen.at);
    true
}

/// Quarantines what comes in before anything of it has run; also the very first version.
fn refuse(memory: &mut Memory, at: Instant, why: &str, decision: &mut Decision) {
    if memory.stable.is_some() {
        return send_back(memory, at, why, decision);
    }
    if let Some(revision) = memory.target.take() {
        memory.quarantine.push(Quarantined { revision: revision.clone(), at, why: why.to_owned() });
        decision.events.push(Event::RolledBack { revision, why: why.to_owned() });
        end(memory);
    }
}

/// Sends the new version back, unless its `before` command has taken away what the old one needs: then a person decides.
/// Whether anything changed.
pub(super) fn send_back_unless_bound(memory: &mut Memory, at: Instant, why: &str, decision: &mut Decision) -> bool {
    if !memory.contracted {
        send_back(memory, at, why, decision);
        return true;
    }
    let why = format!(
        "{why}; it is not sent back, since its `before` command is a contract step and the old version may not work any \
         more: bring a repaired version in, promote it, or abort it all the same"
    );
    let news = memory.paused.is_none();
    if news {
        decision.events.push(Event::Paused { why: why.clone() });
        memory.paused = Some(Paused { by: String::new(), why });
    }
    news
}

/// Takes in what both versions answered.
pub(super) fn observe(policy: &Policy, memory: &mut Memory, seen: &Seen) {
    let Some(limits) = policy.rollout.analysis.as_ref().filter(|_| !memory.at_once) else { return };
    let limits = analysis::Policy::of(limits.clone());
    let (new, old) = match memory.stage {
        Stage::Settled => return,
        Stage::Baking { .. } => (&memory.stable, &memory.previous),
        _ => (&memory.target, &memory.stable),
    };
    let serving = |revision: &Option<RevisionId>| {
        revision.as_ref().map_or(0, |revision| u64::from(available(policy, seen, revision)))
    };
    let serving = (serving(new), serving(old));
    let asked = !synthetic::asked(policy, memory, seen).is_empty();
    for span in &seen.spans {
        let of = |revision: &Option<RevisionId>| {
            revision.as_ref().and_then(|one| span.get(one)).cloned().unwrap_or_default()
        };
        memory.analysis.take(&limits, &Sample { at: seen.at, new: of(new), old: of(old), serving, asked });
    }
}

/// Goes one stage further if it is time; true when it did.
pub(super) fn step(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) -> bool {
    let judged = memory.stage != Stage::Settled && !memory.at_once;
    let limits = policy.rollout.analysis.clone().filter(|_| judged).map(analysis::Policy::of);
    decision.verdict = limits.as_ref().map(|limits| analysis::judge(limits, &memory.analysis));
    if let Some(limits) = limits.filter(|_| decision.steps.is_empty()) {
        decision.steps = analysis::steps(&limits, &memory.analysis);
    }
    if let Some(Verdict::Fail(why)) = decision.verdict.clone() {
        return send_back_unless_bound(memory, seen.at, &why, decision);
    }
    let at = seen.at;
    match (memory.stage, memory.target.clone()) {
        (Stage::Settled, _) => false,
        (Stage::Baking { since }, _) => {
            let over = since.after(policy.bake()) <= at;
            if over {
                end(memory);
                memory.previous = None;
            } else {
                wake(decision, since.after(policy.bake()));
            }
            over
        }
        (_, None) => false,
        (stage, Some(target)) => {
            watch(policy, memory, seen, decision) || go(policy, memory, seen, (stage, &target, decision))
        }
    }
}

fn go(
    policy: &Policy,
    memory: &mut Memory,
    seen: &Seen,
    (stage, target, decision): (Stage, &RevisionId, &mut Decision),
) -> bool {
    let at = seen.at;
    let there = available(policy, seen, target);
    let held = memory.paused.is_some();
    match stage {
        Stage::Replacing if memory.sets.complete => {
            promote(memory, Some((policy.bake(), at)), decision);
            true
        }
        // A command that has ended has ended, also while a person holds the release: it is run once.
        Stage::Preparing { done: None } if seen.prepared.as_ref().is_some_and(|ended| ended.revision == *target) => {
            prepare(policy, memory, seen, (None, target, decision))
        }
        _ if held || (at_soak(stage) && lacks(policy, memory, there)) => false,
        Stage::Preparing { done } => prepare(policy, memory, seen, (done, target, decision)),
        Stage::Raising if there >= policy.replicas => {
            memory.stage = Stage::Switched { since: at };
            turn(memory);
            decision.events.push(Event::Reached { share: plimsoll_model::Ratio::ONE, whom: None });
            true
        }
        Stage::Switched { since } => {
            let keep = if let Strategy::BlueGreen { keep } = policy.rollout.strategy { keep } else { Millis(0) };
            soak(policy, memory, (at, since, since.after(keep)), decision)
        }
        Stage::Canary { step, since: None } => {
            let share = share_of(policy, step);
            if is_past_last(policy, step) {
                memory.stage = Stage::Finishing;
                return true;
            }
            let begins = there >= policy.canary(share);
            if begins {
                memory.stage = Stage::Canary { step, since: Some(at) };
                turn(memory);
                decision.events.push(Event::Reached { share, whom: audience::whom(policy) });
            }
            begins
        }
        Stage::Canary { since: Some(since), .. } => {
            let interval =
                if let Strategy::Canary { interval, .. } = policy.rollout.strategy { interval } else { Millis(0) };
            soak(policy, memory, (at, since, since.after(interval)), decision)
        }
        Stage::Finishing if there >= policy.replicas => {
            promote(memory, Some((policy.bake(), at)), decision);
            true
        }
        _ => false,
    }
}

/// A new step: its own requests decide.
fn turn(memory: &mut Memory) {
    memory.analysis.turn();
    memory.synthetic = None;
}

pub(super) fn at_soak(stage: Stage) -> bool {
    matches!(stage, Stage::Switched { .. } | Stage::Canary { since: Some(_), .. })
}

/// Whether the new version has fewer available replicas than its share of traffic needs.
fn lacks(policy: &Policy, memory: &Memory, there: u32) -> bool {
    match memory.stage {
        Stage::Switched { .. } => there < policy.replicas,
        Stage::Canary { step, .. } => there < policy.canary(share_of(policy, step)),
        _ => false,
    }
}

fn is_past_last(policy: &Policy, step: usize) -> bool {
    if let Strategy::Canary { steps, .. } = &policy.rollout.strategy { step >= steps.len() } else { true }
}

/// Whether it goes forward; a version that never came up beside the old one is sent back.
fn watch(policy: &Policy, memory: &mut Memory, seen: &Seen, decision: &mut Decision) -> bool {
    let Some(target) = memory.target.clone() else { return false };
    let comes_up = match memory.stage {
        Stage::Replacing | Stage::Raising | Stage::Finishing | Stage::Canary { since: None, .. } => true,
        _ => lacks(policy, memory, available(policy, seen, &target)),
    };
    // Those that have ended by themselves, and stay so, never become available: a job is done, not late.
    let mut own = seen.replicas.iter().filter(|one| one.revision == target).peekable();
    let is_done = own.peek().is_some() && own.all(|one| one.phase == Phase::Done);
    let timed = comes_up && memory.paused.is_none() && !is_done;
    let times = (policy.rollout.min_ready, policy.deadline());
    if memory.progress.look(seen, &target, times, timed) {
        let event = if memory.progress.exceeded { Event::DeadlineExceeded } else { Event::Progressing };
        decision.events.push(event);
    }
    if memory.progress.exceeded && memory.stage != Stage::Replacing && comes_up {
        let why = format!("its replicas did not become available within {}", policy.deadline());
        return send_back_unless_bound(memory, seen.at, &why, decision);
    }
    if let Some(due) = memory.progress.due(policy.deadline()).filter(|_| timed) {
        wake(decision, due);
    }
    false
}

/// The new version is the one; with a time to bake it is on probation first.
pub(super) fn promote(memory: &mut Memory, bake: Option<(Millis, Instant)>, decision: &mut Decision) {
    let probation = bake.filter(|(bake, _)| bake.0 > 0 && !memory.at_once);
    if let Some(target) = memory.target.take() {
        memory.remember(&target);
        memory.previous = memory.stable.replace(target.clone()).filter(|_| probation.is_some());
        decision.events.push(Event::Promoted { revision: target });
    } else {
        memory.previous = None;
    }
    end(memory);
    if let Some((_, at)) = probation.filter(|_| memory.previous.is_some()) {
        memory.stage = Stage::Baking { since: at };
    }
}

/// Sends the new version back and quarantines it. The very first version stays: there is nothing to go back to.
fn send_back(memory: &mut Memory, at: Instant, why: &str, decision: &mut Decision) {
    let back = match memory.target.take() {
        Some(target) if memory.stable.is_some() => target,
        Some(target) => {
            // Its sums begin anew, so that the same counts are not held against it for ever.
            memory.target = Some(target);
            memory.analysis = analysis::Memory::default();
            return;
        }
        None => match (memory.stable.take(), memory.previous.take()) {
            (Some(stable), Some(previous)) => {
                memory.stable = Some(previous);
                stable
            }
            (stable, _) => {
                memory.stable = stable;
                end(memory);
                return;
            }
        },
    };
    memory.past.retain(|past| *past != back);
    memory.quarantine.retain(|one| one.revision != back);
    memory.quarantine.push(Quarantined { revision: back.clone(), at, why: why.to_owned() });
    decision.events.push(Event::RolledBack { revision: back, why: why.to_owned() });
    end(memory);
}

fn end(memory: &mut Memory) {
    memory.stage = Stage::Settled;
    memory.paused = None;
    memory.analysis = analysis::Memory::default();
    memory.synthetic = None;
}

pub(super) fn wake(decision: &mut Decision, at: Instant) {
    decision.again_at = Some(decision.again_at.map_or(at, |other| other.min(at)));
}
