//! `plimsoll load`: open-loop load on any address.

use crate::{args::Load, print};
use anyhow::Context;
use plimsoll_load::{Arrivals, Plan, RequestTemplate};
use std::{process::ExitCode, time::Duration};

/// Sends load and prints what came back.
pub(crate) async fn load(args: Load) -> anyhow::Result<ExitCode> {
    let (base, path) = split(&args.url)?;
    let target = base.parse().with_context(|| format!("{} is no address", args.url))?;
    let mut request = RequestTemplate::get(path);
    request.method = args.method.parse().context("that is no method")?;
    request.body.clone_from(&args.body);
    for header in &args.header {
        let (name, value) =
            header.split_once(':').with_context(|| format!("write a header as `Name: value`, not `{header}`"))?;
        request.headers.push((name.trim().into(), value.trim().into()));
    }
    let arrivals = Arrivals::Constant { rate_per_s: args.rate };
    let mut plan = Plan::new(target, arrivals, Duration::from_secs(args.duration), vec![request]);
    plan.connections_max = args.connections;
    let report = plan.run().await?;
    if args.json {
        print::line(&serde_json::to_string_pretty(&report)?);
    } else {
        print::raw(&report.to_string());
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `http://host:port/path` → `http://host:port`, `/path`.
fn split(url: &str) -> anyhow::Result<(String, String)> {
    let (scheme, rest) =
        url.split_once("://").with_context(|| format!("write the address as http://HOST:PORT/PATH, not {url}"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((format!("{scheme}://{host}"), format!("/{path}")))
}
