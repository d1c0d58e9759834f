//! What a promise's requests are: its own (`request:`), or a GET of its route; signed in first where it asks for that.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use plimsoll_load::{Arrivals, Cause, OnceError, Plan, Report, RequestTemplate, Statuses, Target, once};
use plimsoll_model::promise::{Login, Promise, Request};

use crate::lab::Lab;
use crate::proof::{Run, Unproven, time};
use crate::route::Way;

/// How long a request made beforehand may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Sign-ins under way at the same time: they are costly on purpose.
const SIGN_INS_AT_ONCE: usize = 8;
const LOGIN_TODO: &str = "correct the promise's `request.login`";

/// Requests that are ready to be made, and where they go.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) way: Way,
    pub(crate) requests: Vec<RequestTemplate>,
    /// How many sign-ins the requests share, in turn; 0: nobody signs in.
    pub(crate) sessions: usize,
    connections: Option<u32>,
}

impl Visit {
    /// Finds the way, signs in if need be, and asks once, to see that the request is one that can be right.
    ///
    /// # Errors
    /// `Unproven` when requests can't be made, or when the system calls the request itself wrong (4xx).
    pub(crate) async fn prepare(lab: &Lab, promise: &Promise, route: Option<&str>) -> Result<Visit, Unproven> {
        let request = promise.request.as_ref();
        let status = lab.status().await?;
        let path = request.and_then(|request| request.path.as_deref()).or(route);
        let host = request.and_then(|request| request.host.as_deref());
        let way = Way::find(&lab.system, &status, host, path)?;
        let tokens = match request.and_then(|request| request.login.as_deref()) {
            Some(login) => sign_in(lab, login, &way.target).await?.into_iter().map(Some).collect(),
            None => vec![None],
        };
        let each = tokens.iter().flat_map(|token| way.paths.iter().map(move |(path, _)| (path, token.as_deref())));
        let requests = each.map(|(path, token)| template(request, path, token)).collect::<Result<Vec<_>, _>>()?;
        let (paths, sessions) = (way.paths.len(), tokens.iter().flatten().count());
        let visit = Visit { way, requests, sessions, connections: promise.load.connections };
        for request in visit.requests.iter().take(paths) {
            look(lab, &visit.way.target, request).await?;
        }
        Ok(visit)
    }

    /// A plan for these requests. A number of its own is given to each request of the whole session.
    pub(crate) fn plan(&self, lab: &Lab, arrivals: Arrivals, duration: Duration, rate_per_s: f64) -> Plan {
        let plan = Plan::new(self.way.target.clone(), arrivals, duration, self.requests.clone());
        let clients = self.way.clients_for(rate_per_s);
        let connections_max = self.connections.unwrap_or(plan.connections_max).max(clients);
        let warm_up = Duration::from_secs(2).min(duration / 5);
        let first_number = lab.numbers((rate_per_s * (duration + warm_up).as_secs_f64()).ceil() as u64 + 1_000);
        Plan { clients, connections_first: clients, connections_max, warm_up, first_number, seed: lab.seed, ..plan }
    }
}

/// A run of `plan` that has ended, and under what conditions it ran, in words.
pub(crate) fn ended(name: &str, plan: &Plan, report: Report) -> Run {
    Run { name: name.to_owned(), conditions: conditions(plan, report.duration), report }
}

/// `lasted` is how long requests came in the end: a run that is stopped is planned longer.
fn conditions(plan: &Plan, lasted: Duration) -> String {
    let arrivals = match &plan.arrivals {
        Arrivals::Constant { rate_per_s } => format!("{rate_per_s:.0}/s evenly"),
        Arrivals::Poisson { rate_per_s, .. } => format!("{rate_per_s:.0}/s at random (Poisson)"),
        Arrivals::Ramp { from_per_s, to_per_s, .. } => format!("{from_per_s:.0}/s rising to {to_per_s:.0}/s"),
        Arrivals::Closed { users, think } => format!("{users} users, {} pause", time(*think)),
        Arrivals::AtOnce { requests } => format!("{requests} at the same instant"),
    };
    let clients = if plan.clients > 0 { format!(", {} client addresses", plan.clients) } else { String::new() };
    let how_long = if plan.duration.is_zero() {
        String::new()
    } else {
        format!(", {} after a warm-up of {}", time(lasted), time(plan.warm_up))
    };
    let tls = if plan.target.tls { ", TLS with the certificate unchecked" } else { "" };
    let mut names: Vec<String> = plan.requests.iter().map(RequestTemplate::name).collect();
    // Each session has the same ones.
    names.sort();
    names.dedup();
    let (most, timeout) = (plan.connections_max, time(plan.timeout));
    format!(
        "{}; {arrivals}{how_long}; open loop, at most {most} connections{clients}{tls}, time-out {timeout}, seed {}, numbers from {}",
        names.join(", "),
        plan.seed,
        plan.first_number
    )
}

/// Runs a plan to its end.
pub(crate) async fn run(name: &str, plan: &Plan) -> Result<Run, Unproven> {
    let report = plan.run().await.map_err(not_run)?;
    Ok(ended(name, plan, report))
}

/// A plan that could not be run.
pub(crate) fn not_run(error: plimsoll_load::PlanError) -> Unproven {
    Unproven::new(error.to_string(), "correct the promise's `request` or `load`")
}

/// The template of a promise's request to `path`.
fn template(request: Option<&Request>, path: &str, token: Option<&str>) -> Result<RequestTemplate, Unproven> {
    let mut template = RequestTemplate::get(signed(path, token));
    let Some(request) = request else { return Ok(template) };
    let wrong =
        |_| Unproven::new(format!("`{}` is no method", request.method), "correct the promise's `request.method`");
    template.method = request.method.parse().map_err(wrong)?;
    template.body = signed(request.body.as_deref().unwrap_or_default(), token);
    template.headers = request.headers.iter().map(|(name, value)| (name.clone(), signed(value, token))).collect();
    let typed = request.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    if !typed && template.body.trim_start().starts_with(['{', '[']) {
        template.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    if !request.status.is_empty() {
        template.expect = Statuses::of(&request.status);
    }
    Ok(template)
}

/// `text` with the sign-in's token in its place.
fn signed(text: &str, token: Option<&str>) -> String {
    match token {
        Some(token) => text.replace("{login.token}", token).replace("{login}", token),
        None => text.to_owned(),
    }
}

/// Signs in as often as is asked, some at a time, and takes the tokens out of the answers.
async fn sign_in(lab: &Lab, login: &Login, target: &Target) -> Result<Vec<String>, Unproven> {
    let Some(path) = login.request.path.as_deref() else {
        return Err(Unproven::new("the sign-in has no path", LOGIN_TODO));
    };
    let template = template(Some(&login.request), path, None)?;
    let target = match &login.request.host {
        Some(host) => Target { host: host.clone(), ..target.clone() },
        None => target.clone(),
    };
    let sign_ins = (0..login.sessions.max(1)).map(|_| token(lab, login, &target, &template));
    stream::iter(sign_ins).buffered(SIGN_INS_AT_ONCE).try_collect().await
}

async fn token(lab: &Lab, login: &Login, target: &Target, template: &RequestTemplate) -> Result<String, Unproven> {
    let todo = LOGIN_TODO;
    let answer = once(target, template, (lab.seed, lab.numbers(1)), PATIENCE).await;
    let answer = answer.map_err(|error| Unproven::new(format!("the sign-in failed: {error}"), todo))?;
    if !template.expect.has(answer.status) {
        return Err(Unproven::new(format!("the sign-in was answered {}", answer.status), todo));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|_| Unproven::new("the sign-in's answer is no JSON", todo))?;
    match json.pointer(&login.token) {
        Some(serde_json::Value::String(token)) => Ok(token.clone()),
        Some(other) if !other.is_null() => Ok(other.to_string()),
        _ => Err(Unproven::new(format!("the sign-in's answer has nothing at `{}`", login.token), todo)),
    }
}

/// Makes the request once. Whether the system is fast or up is not asked here, only whether the request makes sense.
async fn look(lab: &Lab, target: &Target, request: &RequestTemplate) -> Result<(), Unproven> {
    let name = request.name();
    match once(target, request, (lab.seed, lab.numbers(1)), PATIENCE).await {
        Ok(answer) if request.expect.has(answer.status) || answer.status >= 500 || answer.status == 429 => Ok(()),
        Ok(answer) => Err(Unproven::new(
            format!("`{name}` was answered {}, which this promise does not call right", answer.status),
            "say in the promise's `request` which path, method, headers, body and status are right",
        )),
        Err(OnceError::Plan(error)) => Err(not_run(error)),
        Err(OnceError::Failed(Cause::Refused)) => {
            Err(Unproven::new("nobody listens at the ingress", "see `plimsoll status`, or bring the system up"))
        }
        // That it doesn't answer is for the measurement to count.
        Err(OnceError::Failed(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_alone_is_a_get() {
        let template = template(None, "/x", None).unwrap();
        assert_eq!(template, RequestTemplate::get("/x"));
    }

    #[test]
    fn takes_everything_from_the_promise() {
        let mut request = Request { method: "POST".into(), body: Some(r#"{"n":{n}}"#.into()), ..Request::default() };
        request.headers.insert("authorization".into(), "Bearer {login.token}".into());
        request.status = vec![201];
        let template = template(Some(&request), "/x?t={login}", Some("abc")).unwrap();
        assert_eq!((template.method.as_str(), template.path.as_str()), ("POST", "/x?t=abc"));
        let header = |name: &str| template.headers.iter().find(|(own, _)| own == name).unwrap().1.as_str();
        assert_eq!((header("authorization"), header("content-type")), ("Bearer abc", "application/json"));
        assert!(template.expect.has(201) && !template.expect.has(200));
    }

    #[test]
    fn refuses_what_is_no_method() {
        let request = Request { method: "A B".into(), ..Request::default() };
        assert!(template(Some(&request), "/", None).unwrap_err().why.contains("A B"));
    }
}
