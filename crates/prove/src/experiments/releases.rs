//! `releases`: a service is released again and again under load, and every request that failed is counted and listed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_api::release::Wish;
use plimsoll_model::RevisionId;
use plimsoll_model::promise::Promise;

use crate::drill::{DRILL, Drill, News};
use crate::experiments::failover::load;
use crate::judge::{self, ReleasesSeen};
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
    let drill = Drill::prepare(lab, name, service).await?;
    let Some((running, plan)) = load(lab, promise, &drill.service).await? else {
        let why = format!("no path of the ingress leads to {}, so no request can fail", drill.service);
        return Err(Unproven::new(why, "name a service that the ingress leads to"));
    };
    let mut took = Vec::new();
    let mut by_hand = 0;
    let mut trouble = None;
    for number in 1..=count {
        running.mark(format!("release {number}"));
        let began = Instant::now();
        match one(&drill, number).await {
            Ok(promoted) => by_hand += u32::from(promoted),
            Err(why) => {
                trouble = Some(format!("release {number}: {}", why.why));
                break;
            }
        }
        took.push(began.elapsed());
    }
    running.mark("released as it was");
    let back = drill.restore().await;
    let back = match back {
        Ok(()) => drill.all_on(&drill.old, LOOK_CALMLY, PATIENCE.max(lab.options.patience)).await.is_some(),
        Err(_) => false,
    };
    running.stop();
    let report = running.finish().await.map_err(visit::not_run)?;
    if !back && trouble.is_none() {
        trouble = Some("the version as it was did not come in again".to_owned());
    }
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

/// One release to its end; whether it had to be promoted by hand.
async fn one(drill: &Drill<'_>, number: u32) -> Result<bool, Unproven> {
    let since = drill.last_line().await?;
    let new = drill.offer(&BTreeMap::from([(DRILL.to_owned(), format!("release-{since}-{number}"))])).await?;
    let in_by_itself = ended(drill, (&new, since)).await?;
    if !in_by_itself {
        drill.order(Wish::Promote).await?;
        if !ended(drill, (&new, since)).await? {
            return Err(Unproven::new(format!("{new} did not come in"), ""));
        }
    }
    if drill.all_on(&new, LOOK_CALMLY, PATIENCE).await.is_none() {
        return Err(Unproven::new(format!("former versions were still there {} later", time(PATIENCE)), ""));
    }
    Ok(!in_by_itself)
}

/// Waits for the end; `false`: it waits for a person, or takes long.
async fn ended(drill: &Drill<'_>, release: (&RevisionId, u64)) -> Result<bool, Unproven> {
    match drill.news(release, false, PATIENCE).await {
        News::Promoted => Ok(true),
        News::Waits(_) | News::Nothing => Ok(false),
        News::SentBack(line) => Err(Unproven::new(format!("it was sent back: {}", line.message), "")),
    }
}
