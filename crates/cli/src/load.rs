//! `plimsoll load`: open-loop load on any address.

use crate::{args::Load, print, project};
use anyhow::{Context, bail};
use plimsoll_load::{Arrivals, Plan, RequestTemplate};
use plimsoll_prove::{Options, Play, Session};
use std::{collections::BTreeMap, process::ExitCode, time::Duration};

/// Sends load and prints what came back.
pub(crate) async fn load(args: Load) -> anyhow::Result<ExitCode> {
    let Some(url) = &args.url else { return play(&args).await };
    let (base, path) = split(url)?;
    let target = base.parse().with_context(|| format!("{url} is no address"))?;
    let mut request = RequestTemplate::get(path);
    request.method = args.method.parse().context("that is no method")?;
    request.body.clone_from(&args.body);
    request.expect = args.expect.clone().unwrap_or_default();
    for header in &args.header {
        let (name, value) =
            header.split_once(':').with_context(|| format!("write a header as `Name: value`, not `{header}`"))?;
        request.headers.push((name.trim().into(), value.trim().into()));
    }
    let arrivals = Arrivals::Constant { rate_per_s: args.rate };
    let mut plan = Plan::new(target, arrivals, Duration::from_secs(args.duration), vec![request]);
    plan.connections_max = args.connections;
    let session = Session::begin(args.seed);
    (plan.seed, plan.first_number) = (session.seed, session.first_number);
    print::note(&format!("seed {}", session.seed));
    let report = plan.run().await?;
    if args.json {
        print::line(&serde_json::to_string_pretty(&report)?);
    } else {
        print::raw(&report.to_string());
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends the streams of the file to the running system.
async fn play(args: &Load) -> anyhow::Result<ExitCode> {
    if args.times <= 0.0 || !args.times.is_finite() {
        bail!("--times is more than 0");
    }
    let (client, _) = project::client(&args.at).await?;
    let duration = Duration::from_secs(args.duration);
    let wanted = Play { only: args.stream.clone(), duration, times: args.times };
    let options = Options { seed: args.seed, allow_production: args.allow_production, ..Options::default() };
    let sent = plimsoll_prove::play(client, options, &wanted).await?;
    if args.json {
        let figures = sent.iter().map(|sent| match &sent.outcome {
            Ok(report) => (sent.stream.clone(), serde_json::json!(report)),
            Err(why) => (sent.stream.clone(), serde_json::json!({ "notSent": why })),
        });
        print::line(&serde_json::to_string_pretty(&figures.collect::<BTreeMap<_, _>>())?);
    } else {
        for sent in &sent {
            match &sent.outcome {
                Ok(report) => print::raw(&format!("{}\n{report}", sent.stream)),
                Err(why) => print::raw(&format!("{}: not sent: {why}\n", sent.stream)),
            }
        }
    }
    let right = sent.iter().all(|sent| sent.outcome.as_ref().is_ok_and(|report| report.failed == 0));
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `http://host:port/path` → `http://host:port`, `/path`.
fn split(url: &str) -> anyhow::Result<(String, String)> {
    let (scheme, rest) =
        url.split_once("://").with_context(|| format!("write the address as http://HOST:PORT/PATH, not {url}"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((format!("{scheme}://{host}"), format!("/{path}")))
}
