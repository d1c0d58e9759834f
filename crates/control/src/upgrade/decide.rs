//! The next step of an upgrade, from what is seen of its processes.

use super::{Memory, Outcome, Policy, Program, Step, UnderWay};
use plimsoll_model::{Instant, Millis};

/// How soon something is looked at again that no event tells.
const LOOK: Millis = Millis(200);

/// What is seen of the gateway that is to take over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Gateway {
    /// Nobody has started it.
    #[default]
    Absent,
    /// It runs, and does not serve everything yet.
    Starting,
    /// It serves the routes in force, from every listener.
    Ready,
    /// It ended, or could not be started; for a person.
    Ended(String),
}

/// What is seen of the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keeper {
    /// It runs the new program.
    pub is_new: bool,
    /// It was asked to become that, and has not answered.
    pub asked: bool,
    /// It refused, or died of it; for a person.
    pub problem: Option<String>,
}

/// What is seen when an upgrade is decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// The gateway that is to take over.
    pub next: Gateway,
    /// The gateway in whose place it comes accepts nothing more, or is gone.
    pub old_drains: bool,
    /// The keeper.
    pub keeper: Keeper,
    /// This engine runs the new program.
    pub engine_is_new: bool,
    /// What must not be interrupted now, as sentences.
    pub critical: Vec<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing now.
    Wait,
    /// Start the gateway of that number from that program.
    StartGateway(u32, Program),
    /// Ask the keeper to become that program; the second one is what it goes back to if the new engine does not stay.
    ReplaceKeeper(Program, Option<Program>),
    /// End the keeper by force: it does not answer. Another one is started from this engine's program.
    EndKeeper,
    /// Let the gateway of that number go: it accepts no more, and ends when everything open has ended.
    Retire(u32),
    /// End that gateway: it does not listen to us.
    EndGateway(u32),
    /// Leave, so that the keeper starts the new engine. What is remembered must be durable before.
    Leave,
    /// Tell the keeper that the new engine stays.
    Trust,
}

/// Something to be told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// A word for it.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// Whether a person should look.
    pub warning: bool,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub act: Act,
    /// Why, or what is waited for.
    pub reason: String,
    /// To be told.
    pub news: Option<News>,
    /// When to ask again, if nothing is seen before.
    pub again_at: Option<Instant>,
}

impl Decision {
    fn now(act: Act, reason: impl Into<String>, again_at: Instant) -> Self {
        Self { act, reason: reason.into(), news: None, again_at: Some(again_at) }
    }
}

/// Decides what is next. Without an upgrade under way, nothing is.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let Some(under_way) = memory.under_way.clone() else {
        return Decision { act: Act::Wait, reason: "nothing is being upgraded".into(), news: None, again_at: None };
    };
    match under_way.step {
        Step::Gateway => start_gateway(policy, memory, under_way, seen),
        Step::Keeper => replace_keeper(policy, memory, under_way, seen),
        Step::Retire => retire(policy, memory, under_way, seen),
        Step::Engine => replace_engine(memory, under_way, seen),
    }
}

/// Goes on with the next step, at once.
fn advance(policy: &Policy, memory: &mut Memory, step: Step, seen: &Seen) -> Decision {
    if let Some(under_way) = &mut memory.under_way {
        (under_way.step, under_way.since) = (step, seen.at);
    }
    decide(policy, memory, seen)
}

fn start_gateway(policy: &Policy, memory: &mut Memory, under_way: UnderWay, seen: &Seen) -> Decision {
    let again = seen.at.after(LOOK);
    match &seen.next {
        Gateway::Ready => advance(policy, memory, Step::Keeper, seen),
        Gateway::Ended(why) => give_up(memory, under_way, seen, &format!("its gateway does not run: {why}")),
        _ if seen.at.since(under_way.since) >= policy.patience => {
            give_up(memory, under_way, seen, &format!("its gateway did not serve within {}", policy.patience))
        }
        Gateway::Absent => Decision::now(
            Act::StartGateway(under_way.next, under_way.to),
            "a gateway is started beside the old one",
            again,
        ),
        Gateway::Starting => Decision::now(Act::Wait, "waiting until the new gateway serves", again),
    }
}

fn replace_keeper(policy: &Policy, memory: &mut Memory, under_way: UnderWay, seen: &Seen) -> Decision {
    if seen.keeper.is_new && !seen.keeper.asked {
        return advance(policy, memory, Step::Retire, seen);
    }
    if let Some(why) = &seen.keeper.problem {
        return give_up(memory, under_way, seen, &format!("its keeper does not run: {why}"));
    }
    let again = seen.at.after(LOOK);
    if !seen.keeper.asked {
        return Decision::now(
            Act::ReplaceKeeper(under_way.to, under_way.from),
            "the keeper becomes the new program",
            again,
        );
    }
    if seen.at.since(under_way.since) >= policy.patience {
        return Decision::now(Act::EndKeeper, "the new keeper does not answer", again);
    }
    Decision::now(Act::Wait, "waiting until the new keeper answers", again)
}

fn retire(policy: &Policy, memory: &mut Memory, under_way: UnderWay, seen: &Seen) -> Decision {
    let old = memory.current;
    if seen.old_drains || old == under_way.next {
        memory.current = under_way.next;
        return advance(policy, memory, Step::Engine, seen);
    }
    if seen.at.since(under_way.since) >= policy.patience {
        memory.current = under_way.next;
        if let Some(under_way) = &mut memory.under_way {
            (under_way.step, under_way.since) = (Step::Engine, seen.at);
        }
        return Decision::now(Act::EndGateway(old), "the old gateway does not listen to us", seen.at);
    }
    Decision::now(Act::Retire(old), "the old gateway is let go", seen.at.after(LOOK))
}

fn replace_engine(memory: &mut Memory, under_way: UnderWay, seen: &Seen) -> Decision {
    if !seen.keeper.is_new {
        return give_up(memory, under_way, seen, "its keeper died");
    }
    if seen.engine_is_new {
        return finish(memory, under_way, seen);
    }
    if under_way.left {
        return give_up(memory, under_way, seen, "its engine does not run");
    }
    if !seen.critical.is_empty() {
        let reason = format!("waiting: {}", seen.critical.join(", "));
        return Decision::now(Act::Wait, reason, seen.at.after(LOOK));
    }
    if let Some(under_way) = &mut memory.under_way {
        under_way.left = true;
    }
    Decision::now(Act::Leave, "the engine leaves its place to the new one", seen.at.after(LOOK))
}

/// Everything runs the program that was wanted, which may be the former one.
fn finish(memory: &mut Memory, under_way: UnderWay, seen: &Seen) -> Decision {
    memory.under_way = None;
    let took = seen.at.since(under_way.began);
    let path = &under_way.to.path;
    let (message, warning) = match &under_way.back {
        None => (format!("everything runs {path}; it took {took}"), false),
        Some(why) => (format!("the upgrade failed ({why}), and everything runs the former program again"), true),
    };
    memory.outcome = Some(Outcome { done: !warning, message: message.clone(), at: seen.at });
    let reason = if warning { "UpgradeFailed" } else { "Upgraded" };
    Decision { act: Act::Trust, reason: message.clone(), news: Some(News { reason, message, warning }), again_at: None }
}

/// It does not work: what was replaced is replaced by the former program, and the new gateway is let go.
fn give_up(memory: &mut Memory, under_way: UnderWay, seen: &Seen, why: &str) -> Decision {
    let path = &under_way.to.path;
    let untouched = memory.current != under_way.next && !seen.keeper.is_new;
    let Some(from) = under_way.from.clone().filter(|_| !untouched) else {
        // Nothing was replaced; or this was the way back, and there is none beyond it.
        memory.under_way = None;
        let first = under_way.back.as_ref().map(|first| format!(" after it failed ({first})")).unwrap_or_default();
        let message = format!("the upgrade to {path} was given up{first}: {why}; what runs now runs on");
        memory.outcome = Some(Outcome { done: false, message: message.clone(), at: seen.at });
        let act = if memory.current == under_way.next { Act::Trust } else { Act::Retire(under_way.next) };
        return Decision {
            act,
            reason: message.clone(),
            news: Some(News { reason: "UpgradeFailed", message, warning: true }),
            again_at: None,
        };
    };
    memory.last += 1;
    let next = if memory.current == under_way.next { memory.last } else { memory.current };
    memory.under_way = Some(UnderWay {
        to: from,
        from: None,
        // A gateway that was not replaced serves on; the new one is let go with the rest.
        step: if next == memory.current { Step::Keeper } else { Step::Gateway },
        since: seen.at,
        began: under_way.began,
        left: false,
        back: Some(why.to_owned()),
        next,
    });
    let message = format!("the upgrade to {path} goes back to the former program: {why}");
    let act = if next == memory.current { Act::Retire(under_way.next) } else { Act::Wait };
    Decision {
        act,
        reason: message.clone(),
        news: Some(News { reason: "UpgradeGoesBack", message, warning: true }),
        again_at: Some(seen.at),
    }
}
