//! `releases`: a service is released again and again under load, and every request that failed is counted and listed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_api::release::{DRILL, Wish};
use plimsoll_model::RevisionId;
use plimsoll_model::promise::Promise;

use crate::drill::{Drill, News};
use crate::experiments::failover::{LOAD_LASTS, load};
use crate::judge::{self, ReleasesSeen, Trouble};
use crate::lab::{LOOK_CALMLY, Lab};
use crate::proof::{Shown, Unproven, figure, generator, requests, time};
use crate::visit;

/// A release that takes longer is promoted by hand, and told as such.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures one promise of releases.
pub(crate) async fn run(
    lab: &Lab,
    promise: &Promise,
    (name, service): (&str, Option<&str>),
    count: u32,
) -> Result<Shown, Unproven> {
    let drill = lab.unless_stopped(Drill::prepare(lab, name, service)).await?;
    // As long as all of them may take: each may be waited for three times, and there is one back.
    let longest = LOAD_LASTS.max(PATIENCE.saturating_mul(3).saturating_mul(count.saturating_add(1)));
    let Some((running, plan)) = load(lab, promise, (&drill.service, longest)).await? else {
        let why = format!("no path of the ingress leads to {}, so no request can fail", drill.service);
        return Err(Unproven::new(why, "name a service that the ingress leads to"));
    };
    let mut took = Vec::new();
    let mut by_hand = 0;
    let mut trouble = None;
    for number in 1..=count {
        running.mark(format!("release {number}"));
        let began = Instant::now();
        match lab.unless_stopped(one(&drill, number)).await {
            Ok(Came::In { by_hand: promoted }) => by_hand += u32::from(promoted),
            Ok(Came::Not(why)) => {
                trouble = Some(Trouble::Found(format!("release {number}: {why}")));
                break;
            }
            Err(not) => {
                trouble = Some(Trouble::Unknown(format!("release {number}: {}", not.why)));
                break;
            }
        }
        took.push(began.elapsed());
    }
    running.mark("released as it was");
    let back = drill.restore().await;
    let patience = PATIENCE.max(lab.options.patience);
    let back = match back {
        Ok(()) if drill.all_on(&drill.old, LOOK_CALMLY, patience).await.is_some() => None,
        Ok(()) => Some(Trouble::Found("the version as it was did not come in again".to_owned())),
        Err(not) => Some(Trouble::Unknown(format!("the version as it was could not be offered again: {}", not.why))),
    };
    running.stop();
    let report = running.finish().await.map_err(visit::not_run)?;
    if lab.is_stopped() {
        return Err(drill.interrupted(back.is_none()));
    }
    let trouble = trouble.or(back);
    let seen = ReleasesSeen {
        releases: u32::try_from(took.len()).unwrap_or(u32::MAX),
        trouble,
        asked: report.asked,
        failed: report.failed,
        limited: report.generator.limited,
    };
    let mut figures = vec![requests("requests meanwhile", &report)];
    if let (Some(least), Some(most)) = (took.iter().min(), took.iter().max()) {
        figures.push(figure("each release took", format!("{} to {}", time(*least), time(*most))));
    }
    if by_hand > 0 {
        figures.push(figure("promoted by hand", format!("{by_hand}, after {}, or since they waited", time(PATIENCE))));
    }
    figures.push(generator(&report));
    let statement = format!(
        "Shows what {} releases of {} and one back, by its own `rollout`, cost under load: each version was the same program with \
         another variable; it does not show a new program that is bad, or a change of a store's schema.",
        took.len(),
        drill.service
    );
    let (asked, failed) = (report.asked, report.failed);
    let run = visit::ended("load meanwhile", &plan, report);
    Ok(Shown { judgement: judge::releases(&seen), statement, figures, requests: asked, failed, runs: vec![run] })
}

/// What became of one release.
enum Came {
    /// It came in, perhaps promoted by hand.
    In { by_hand: bool },
    /// It did not, and why.
    Not(String),
}

/// One release to its end. An error is one of asking, and tells nothing of the release.
async fn one(drill: &Drill<'_>, number: u32) -> Result<Came, Unproven> {
    let since = drill.last_line().await?;
    let new = drill.offer(&BTreeMap::from([(DRILL.to_owned(), format!("release-{since}-{number}"))])).await?;
    let by_hand = match ended(drill, (&new, since)).await {
        End::Promoted => false,
        End::SentBack(why) => return Ok(Came::Not(why)),
        End::Waits => true,
    };
    if by_hand {
        drill.order(Wish::Promote).await?;
        match ended(drill, (&new, since)).await {
            End::Promoted => {}
            End::SentBack(why) => return Ok(Came::Not(why)),
            End::Waits => return Ok(Came::Not(format!("{new} did not come in"))),
        }
    }
    if drill.all_on(&new, LOOK_CALMLY, PATIENCE).await.is_none() {
        return Ok(Came::Not(format!("former versions were still there {} later", time(PATIENCE))));
    }
    Ok(Came::In { by_hand })
}

/// How far a release is.
enum End {
    Promoted,
    SentBack(String),
    /// It waits for a person, or takes long.
    Waits,
}

/// Waits for the end.
async fn ended(drill: &Drill<'_>, release: (&RevisionId, u64)) -> End {
    match drill.news(release, false, PATIENCE).await {
        News::Promoted => End::Promoted,
        News::Waits(_) | News::Nothing => End::Waits,
        News::SentBack(line) => End::SentBack(format!("it was sent back: {}", line.message)),
    }
}
