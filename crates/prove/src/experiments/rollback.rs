//! `rollback`: a release is taken back under load. How long until all traffic is where it was, and what did it cost?
//!
//! A version that is bad on purpose (`bad:`) has to be found out by the analysis of its rollout; without one, a version that
//! is as good as the old one is brought in and gone back from by command.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_api::release::{DRILL, Wish};
use plimsoll_load::{Report, Running, Second};
use plimsoll_model::RevisionId;
use plimsoll_model::promise::Promise;

use crate::drill::{Drill, News};
use crate::experiments::failover::{LOAD_LASTS, load};
use crate::judge::{self, Cost, RollbackSeen, SentBack};
use crate::lab::{LOOK, Lab};
use crate::proof::{Figure, Shown, Unproven, figure, generator, requests, time};
use crate::visit;

/// How long a release may go on before it counts as never decided.
const RELEASE_MAX: Duration = Duration::from_secs(600);
/// For so long the load goes on once everything is of the old version: from then on nothing may fail. It is counted by whole
/// seconds.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// The mark of that moment.
const BACK: &str = "all on the old version again";

/// What is promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) service: Option<&'a str>,
    pub(crate) max: Duration,
    pub(crate) bad: &'a BTreeMap<String, String>,
}

/// Measures one rollback promise.
pub(crate) async fn run(lab: &Lab, promise: &Promise, wanted: Wanted<'_>) -> Result<Shown, Unproven> {
    let drill = lab.unless_stopped(Drill::prepare(lab, wanted.name, wanted.service)).await?;
    let load = load(lab, promise, (&drill.service, LOAD_LASTS)).await?;
    let mut figures = Vec::new();
    let running = load.as_ref().map(|(running, _)| running);
    let mut seen = lab.unless_stopped(attempt(&drill, wanted, running, &mut figures)).await;
    // Whatever came of it, the service is as it was before anything else is proved.
    let restored = restore(&drill, wanted.max.max(lab.options.patience)).await;
    let mut runs = Vec::new();
    let (mut asked, mut failed) = (0, 0);
    if let Some((running, plan)) = load {
        running.stop();
        let report = running.finish().await.map_err(visit::not_run)?;
        (asked, failed) = (report.asked, report.failed);
        if let Ok(seen) = &mut seen {
            seen.cost = cost(&report);
        }
        figures.insert(0, requests("requests meanwhile", &report));
        figures.push(generator(&report));
        runs.push(visit::ended("load meanwhile", &plan, report));
    }
    restored?;
    let seen = seen?;
    let judgement = judge::rollback(wanted.max, &seen);
    let statement = statement(&drill.service, wanted.bad);
    Ok(Shown { judgement, statement, figures, requests: asked, failed, runs })
}

/// What failed until everything was of the old version again, and after that. `None`: it never was, or nobody asked.
fn cost(report: &Report) -> Option<Cost> {
    let back = report.marks.iter().find(|mark| mark.label == BACK)?.at;
    let (after, until): (Vec<&Second>, Vec<&Second>) = report.series.iter().partition(|second| second.at >= back);
    let count = |seconds: &[&Second]| {
        seconds.iter().fold((0, 0), |(asked, failed), second| (asked + second.asked, failed + second.failed))
    };
    let ((asked, failed), (asked_after, failed_after)) = (count(&until), count(&after));
    Some(Cost { asked, failed, asked_after, failed_after, limited: report.generator.limited })
}

fn statement(service: &str, bad: &BTreeMap<String, String>) -> String {
    let look = time(LOOK);
    if bad.is_empty() {
        return format!(
            "Shows how long after the command all ready replicas of {service} were of the old version again, as the status told it (looked at \
             every {look}); it does not show that a bad version is found out, or a rollback of a store's schema."
        );
    }
    let bad: Vec<String> = bad.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "Shows that a version of {service} with {} was found out and sent back by its analysis, and how long after that verdict all ready \
         replicas were of the old version, as the status told it (looked at every {look}); it does not show that every bad version is found out.",
        bad.join(", ")
    )
}

/// Brings a version in and has it go again.
async fn attempt(
    drill: &Drill<'_>,
    wanted: Wanted<'_>,
    running: Option<&Running>,
    figures: &mut Vec<Figure>,
) -> Result<RollbackSeen, Unproven> {
    let mark = |label: &str| running.map(|running| running.mark(label));
    let since = drill.last_line().await?;
    let began = Instant::now();
    mark("released");
    let by_command = wanted.bad.is_empty();
    // A version of its own each time: one that was sent back before would not be tried again.
    let mut variables = wanted.bad.clone();
    variables.insert(DRILL.to_owned(), format!("rollback-{since}"));
    let new = drill.offer(&variables).await?;
    let news = drill.news((&new, since), !by_command, RELEASE_MAX).await;
    figures.push(figure("release", format!("{} after {}", in_words(&news), time(began.elapsed()))));
    let seen = if by_command {
        by_order(drill, &new, news, wanted, mark).await
    } else {
        by_verdict(drill, news, wanted, mark).await
    }?;
    if seen.back.is_some() && mark(BACK).is_some() {
        tokio::time::sleep(AFTERWARDS).await;
    }
    Ok(seen)
}

fn in_words(news: &News) -> String {
    match news {
        News::Nothing => "neither in nor sent back".to_owned(),
        News::Promoted => "in".to_owned(),
        News::SentBack(line) => format!("sent back ({})", line.message),
        News::Waits(why) => format!("waits for a person ({why})"),
    }
}

async fn by_order(
    drill: &Drill<'_>,
    new: &RevisionId,
    news: News,
    wanted: Wanted<'_>,
    mark: impl Fn(&str) -> Option<Duration>,
) -> Result<RollbackSeen, Unproven> {
    // One that is not in yet is as good to go back from: some of the traffic is on it.
    let wish = match news {
        News::Promoted => Wish::Rollback,
        News::Waits(_) => Wish::Abort,
        News::Nothing => return Err(Unproven::new(format!("{new} did not come in"), "see `plimsoll history`")),
        News::SentBack(line) => {
            let why = format!("the version that was to be gone back from was sent back by itself: {}", line.message);
            return Err(Unproven::new(why, "make the rollout's limits such that the service as it is keeps them"));
        }
    };
    let patience = wanted.max.max(Duration::from_secs(60));
    let began = Instant::now();
    drill.order(wish).await?;
    mark("gone back");
    let back = drill.all_on(&drill.old, LOOK, patience).await.map(|_| began.elapsed());
    Ok(RollbackSeen { sent: SentBack::ByCommand, back, waited: patience, cost: None })
}

async fn by_verdict(
    drill: &Drill<'_>,
    news: News,
    wanted: Wanted<'_>,
    mark: impl Fn(&str) -> Option<Duration>,
) -> Result<RollbackSeen, Unproven> {
    let patience = wanted.max.max(Duration::from_secs(60));
    let line = match news {
        News::SentBack(line) => line,
        News::Promoted => return Ok(RollbackSeen { sent: SentBack::Not, back: None, waited: patience, cost: None }),
        News::Waits(why) => {
            let todo = "give the promise a higher `load.rate`, or the rollout a longer `interval`";
            return Err(Unproven::new(format!("there was no verdict: {why}"), todo));
        }
        News::Nothing => {
            let why = format!("there was no verdict within {}", time(RELEASE_MAX));
            return Err(Unproven::new(why, "give the rollout shorter steps, and an `analysis`"));
        }
    };
    mark("sent back");
    let after = drill.all_on(&drill.old, LOOK, patience).await;
    let back = after.map(|status| status.at.since(line.at).as_duration());
    Ok(RollbackSeen { sent: SentBack::ByVerdict, back, waited: patience, cost: None })
}

/// Has the service be as it was, and waits for that.
async fn restore(drill: &Drill<'_>, patience: Duration) -> Result<(), Unproven> {
    drill.restore().await?;
    match drill.all_on(&drill.old, LOOK, patience).await {
        Some(_) => Ok(()),
        None => Err(Unproven::new(
            format!("{} is not as it was before within {}", drill.service, time(patience)),
            "see `plimsoll status`; `plimsoll up` brings it in again",
        )),
    }
}
