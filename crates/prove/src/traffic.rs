//! The traffic that `simulation` imagines, sent for real: every stream at once, each at its rate.
//!
//! A stream asks as the promise about its route does (`request:`, signed in first), else with a GET. Not sent are the
//! course of a day, spikes, retries and traces: how a system bears more is asked with `times`.

use std::time::Duration;

use futures_util::future::join_all;
use plimsoll_api::Client;
use plimsoll_load::{Arrivals, Report};
use plimsoll_model::System;
use plimsoll_model::promise::{Kind, Load, Promise};
use plimsoll_model::simulation::{self, Traffic};

use crate::lab::Lab;
use crate::proof::Unproven;
use crate::prove::{Options, ProveError};
use crate::session::Session;
use crate::visit::{self, Visit};

/// What is sent.
#[derive(Debug, Clone)]
pub struct Play {
    /// The names of the streams; empty is all.
    pub only: Vec<String>,
    /// How long.
    pub duration: Duration,
    /// So many times as much as the file says; more than 0.
    pub times: f64,
}

/// What came of a stream.
#[derive(Debug)]
pub struct Sent {
    /// Its name.
    pub stream: String,
    /// Its figures, or a sentence saying why it was not sent.
    pub outcome: Result<Report, String>,
}

/// Sends the streams of the system whose engine `client` asks.
///
/// # Errors
/// The engine can't be asked, it is production, or there is no such stream: nothing was sent.
pub async fn play(client: Client, options: Options, play: &Play) -> Result<Vec<Sent>, ProveError> {
    let system = client.system().await.map_err(ProveError::Engine)?.system;
    let streams = system.simulation.as_ref().map(|imagined| imagined.traffic.clone()).unwrap_or_default();
    let known = || streams.keys().cloned().collect::<Vec<_>>().join(", ");
    if let Some(name) = play.only.iter().find(|name| !streams.contains_key(*name)) {
        return Err(ProveError::NoSuchStream { name: name.clone(), known: known() });
    }
    if streams.is_empty() {
        return Err(ProveError::NoTraffic);
    }
    crate::prove::allowed(&client, &system, &options).await?;
    let session = Session::begin(options.seed);
    let lab = Lab::new(client, system, options, session);
    let wanted = streams.iter().filter(|(name, _)| play.only.is_empty() || play.only.contains(name));
    // All are made ready, signed in, before the first begins.
    let mut ready = Vec::new();
    for (index, (name, stream)) in wanted.enumerate() {
        let plan = prepare(&lab, stream, play, u64::try_from(index).unwrap_or(0)).await;
        ready.push((name.clone(), plan));
    }
    let runs = ready.into_iter().map(async |(stream, plan)| {
        let outcome = match plan {
            Ok(plan) => visit::run(&stream, &plan).await.map(|run| run.report),
            Err(why) => Err(why),
        };
        Sent { stream, outcome: outcome.map_err(|why| why.to_string()) }
    });
    Ok(join_all(runs).await)
}

async fn prepare(lab: &Lab, stream: &Traffic, play: &Play, index: u64) -> Result<plimsoll_load::Plan, Unproven> {
    let seed = lab.seed.wrapping_add(index);
    let (arrivals, rate_per_s) = match &stream.arrivals {
        simulation::Arrivals::Rate(rate) => {
            let rate_per_s = rate.per_second() * play.times;
            (Arrivals::Poisson { rate_per_s, seed }, rate_per_s)
        }
        simulation::Arrivals::Users { count, think, .. } => {
            let users = (f64::from(*count) * play.times).round().max(1.0) as u32;
            let think = think.as_duration();
            (Arrivals::Closed { users, think }, f64::from(users) / think.as_secs_f64().max(0.001))
        }
        simulation::Arrivals::Trace(file) => {
            return Err(Unproven::new(format!("the trace {file} is only imagined"), "give the stream a `rate`"));
        }
    };
    let promise = asked_like(&lab.system, stream);
    let visit = Visit::prepare(lab, &promise, Some(&stream.route)).await?;
    let plan = visit.plan(lab, arrivals, play.duration, rate_per_s);
    Ok(plimsoll_load::Plan { seed, ..plan })
}

/// The promise about the stream's route that says how to ask; one without words of its own where there is none.
fn asked_like(system: &System, stream: &Traffic) -> Promise {
    let about = |promise: &&Promise| promise.request.is_some() && promise.kind.route() == Some(stream.route.as_str());
    // A GET before anything that changes something: most traffic reads.
    let reads = |promise: &&Promise| promise.request.as_ref().is_some_and(|request| request.method == "GET");
    let promises = || system.promises.values().filter(about);
    promises().find(reads).or_else(|| promises().next()).cloned().unwrap_or_else(|| Promise {
        kind: Kind::Latency { route: stream.route.clone(), percentiles: std::collections::BTreeMap::new() },
        request: None,
        load: Load::default(),
        line: None,
    })
}
