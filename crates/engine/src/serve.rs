//! The local API: HTTP over the Unix socket whose listener the keeper owns.

use crate::{
    events,
    explain::Of,
    input::{Asked, Input},
    past,
};
use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use plimsoll_api::{Event, Offer, paths, release::Order};
use plimsoll_wire::place::Place;
use serde::Deserialize;
use std::{convert::Infallible, io, os::fd::OwnedFd};
use tokio::{
    net::UnixListener,
    sync::{broadcast, mpsc::UnboundedSender, oneshot},
};

/// A system offered may be so long: 10,000 services have about 30 MB.
const OFFER_MAX: usize = 128 << 20;

/// What handlers know.
#[derive(Clone)]
struct Desk {
    inputs: UnboundedSender<Input>,
    place: Place,
}

/// An answer that is an error: its text says what to do.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl Desk {
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Result<T, Refused> {
        let gone = || Refused(StatusCode::SERVICE_UNAVAILABLE, "the engine is ending".into());
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Asked(question(reply))).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn order<T>(&self, question: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Asked) -> Result<T, Refused> {
        self.ask(question).await?.map_err(|why| Refused(StatusCode::CONFLICT, why))
    }
}

fn watched(listener: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(listener);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Serves the API for ever.
pub(crate) async fn serve(listener: OwnedFd, inputs: UnboundedSender<Input>, place: Place) {
    let listener = match watched(listener) {
        Ok(listener) => listener,
        Err(error) => return eprintln!("the API can't be served: {error}"),
    };
    let router = Router::new()
        .route(paths::SYSTEM, get(system).put(offer))
        .route(paths::STATUS, get(status))
        .route(paths::ARRIVAL, get(arrival))
        .route(paths::EVENTS, get(events))
        .route(paths::EXPLAIN, get(explain))
        .route(paths::REFUSED, post(refused))
        .route(paths::LOGS, get(logs_of))
        .route(paths::RESTART, post(restart))
        .route(paths::SCALE, post(scale))
        .route(paths::SWITCHOVER, post(switch_over))
        .route(paths::RELEASES, get(releases))
        .route(paths::RELEASE, post(release))
        .route(paths::AUDIT, post(audit))
        .route(paths::SIGNAL, post(signal))
        .route(paths::DOWN, post(down))
        .route(paths::UPGRADE, post(upgrade))
        .route(paths::METRICS, get(metrics))
        .layer(DefaultBodyLimit::max(OFFER_MAX))
        .with_state(Desk { inputs, place });
    if let Err(error) = axum::serve(listener, router).await {
        eprintln!("the API is not served any more: {error}");
    }
}

async fn system(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.ask(Asked::System).await?))
}

async fn offer(State(desk): State<Desk>, Json(offer): Json<Offer>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.order(|reply| Asked::Offer(Box::new(offer), reply)).await?))
}

async fn status(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.ask(Asked::Status).await?))
}

async fn refused(State(desk): State<Desk>, findings: String) -> Result<(), Refused> {
    desk.ask(|reply| Asked::Refused(findings, reply)).await
}

async fn arrival(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.ask(Asked::Arrival).await?))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    last: Option<usize>,
    #[serde(default)]
    follow: bool,
}

async fn events(State(desk): State<Desk>, Query(since): Query<Since>) -> Result<Response, Refused> {
    let events::Since { before, mut past, future } = desk.ask(|reply| Asked::Events(since.after, reply)).await?;
    if before > since.after.saturating_add(1) && since.last.is_none_or(|last| past.len() < last) {
        let mut earlier = past::events(desk.place, since.after, before).await;
        earlier.append(&mut past);
        past = earlier;
    }
    let newest = past.last().map_or(before.saturating_sub(1).max(since.after), |event| event.number);
    if let Some(last) = since.last {
        past.drain(..past.len().saturating_sub(last));
    }
    past.truncate(since.limit.unwrap_or(usize::MAX));
    let past = stream::iter(past.into_iter().map(|event| as_line(&event)));
    if !since.follow || since.limit.is_some() {
        return Ok(lines(past));
    }
    Ok(lines(past.chain(following(future, newest))))
}

#[derive(Deserialize)]
struct Why {
    kind: String,
    #[serde(default)]
    name: String,
}

async fn explain(State(desk): State<Desk>, Query(why): Query<Why>) -> Result<impl IntoResponse, Refused> {
    let of = Of::parse(&why.kind, &why.name);
    let of =
        of.ok_or_else(|| Refused(StatusCode::BAD_REQUEST, format!("nothing is called {} {}", why.kind, why.name)))?;
    Ok(Json(past::explained(desk.place, of).await))
}

/// Events as they happen, from the one after `last`; ends when the reader is too slow or the engine ends.
fn following(future: broadcast::Receiver<Event>, last: u64) -> impl Stream<Item = Bytes> {
    stream::unfold(future, move |mut future| async move {
        loop {
            match future.recv().await {
                Ok(event) if event.number <= last => {}
                Ok(event) => return Some((as_line(&event), future)),
                Err(_) => return None,
            }
        }
    })
}

fn as_line(event: &Event) -> Bytes {
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

fn lines(stream: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    Body::from_stream(stream.map(Ok::<_, Infallible>)).into_response()
}

#[derive(Deserialize)]
struct LogsOf {
    service: Option<String>,
    #[serde(default)]
    tail: usize,
    #[serde(default)]
    follow: bool,
}

async fn logs_of(State(desk): State<Desk>, Query(of): Query<LogsOf>) -> Result<Response, Refused> {
    let names = desk.order(|reply| Asked::Logs(of.service.clone(), reply)).await?;
    let logs = desk.place.state.join("logs");
    let ask = of.follow.then(|| names_of(desk, of.service));
    Ok(lines(crate::logs::lines(logs, names, of.tail, ask)))
}

/// Asks which logs there are by now; none of a service that is gone.
fn names_of(desk: Desk, service: Option<String>) -> crate::logs::Names {
    Box::new(move || {
        let (desk, service) = (desk.clone(), service.clone());
        Box::pin(async move { desk.order(|reply| Asked::Logs(service, reply)).await.unwrap_or_default() })
    })
}

#[derive(Deserialize)]
struct OfService {
    service: String,
    #[serde(default)]
    replicas: u32,
}

async fn restart(State(desk): State<Desk>, Query(of): Query<OfService>) -> Result<(), Refused> {
    desk.order(|reply| Asked::Restart(of.service, reply)).await
}

#[derive(Deserialize)]
struct OfStore {
    store: String,
    member: Option<String>,
}

async fn switch_over(State(desk): State<Desk>, Query(of): Query<OfStore>) -> Result<String, Refused> {
    desk.order(|reply| Asked::SwitchOver(of.store, of.member, reply)).await
}

async fn scale(State(desk): State<Desk>, Query(of): Query<OfService>) -> Result<String, Refused> {
    desk.order(|reply| Asked::Scale(of.service, of.replicas, reply)).await
}

async fn releases(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.ask(Asked::Releases).await?))
}

async fn release(State(desk): State<Desk>, Json(order): Json<Order>) -> Result<String, Refused> {
    desk.order(|reply| Asked::Release(Box::new(order), reply)).await
}

#[derive(Deserialize)]
struct OfPromise {
    promise: String,
}

async fn audit(State(desk): State<Desk>, Query(of): Query<OfPromise>) -> Result<impl IntoResponse, Refused> {
    Ok(Json(desk.order(|reply| Asked::Audit(of.promise, reply)).await?))
}

#[derive(Deserialize)]
struct OfReplica {
    replica: String,
    signal: i32,
}

async fn signal(State(desk): State<Desk>, Query(of): Query<OfReplica>) -> Result<(), Refused> {
    let id = of.replica.parse().map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("{error}")))?;
    desk.order(|reply| Asked::Signal(id, of.signal, reply)).await
}

#[derive(Deserialize)]
struct Ending {
    #[serde(default)]
    volumes: bool,
}

async fn down(State(desk): State<Desk>, Query(ending): Query<Ending>) -> Result<(), Refused> {
    desk.order(|reply| Asked::Down(ending.volumes, reply)).await
}

#[derive(Deserialize)]
struct To {
    program: String,
}

async fn upgrade(State(desk): State<Desk>, Query(to): Query<To>) -> Result<String, Refused> {
    desk.order(|reply| Asked::Upgrade(to.program, reply)).await.map(|attempt| attempt.to_string())
}

async fn metrics(State(desk): State<Desk>) -> Result<impl IntoResponse, Refused> {
    Ok(([("content-type", "text/plain; version=0.0.4")], desk.ask(Asked::Metrics).await?))
}
