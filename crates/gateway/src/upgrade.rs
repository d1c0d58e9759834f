//! Upgraded connections (WebSocket and others): passed through, byte for byte, once the replica has agreed.

use crate::{
    choose::{Choice, Tried, choose},
    connection::{Connection, Verdict},
    forward::Answered,
    handle::origin_form,
    head,
    hold::hold,
    payload::Payload,
    problem::Problem,
    table::{Backend, Endpoint},
    trace,
    upstream::{self, Answering},
    visit::{Flight, Visit},
};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper::{
    body::Incoming,
    client::conn::http1,
    upgrade::{OnUpgrade, on},
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::{io::copy_bidirectional, time};

/// What became of the wish.
pub(crate) enum Upgraded {
    /// The replica agreed; this is what the client is told, and a task of its own carries the bytes.
    Switched(Response<()>),
    /// It answered something else.
    Refused(Answered),
}

/// Asks a replica for what the client asks. Tries another one only if the first could not be connected to.
///
/// # Errors
/// No replica can be had, or it does not answer.
pub(crate) async fn upgrade(
    visit: &mut Visit,
    mut backend: Arc<Backend>,
    mut request: Request<Incoming>,
    ingress: bool,
) -> Result<Upgraded, Problem> {
    let connection = Arc::clone(&visit.connection);
    let client = on(&mut request);
    let (head, _) = request.into_parts();
    let mut headers = head.headers;
    let wish = headers.get(UPGRADE).cloned();
    head::prepare(&mut headers, &head.uri, &connection, ingress);
    visit.request_id = trace::mark(&mut headers);
    set_upgrade(&mut headers, wish);
    let mut outgoing = Request::new(Payload::Empty);
    *outgoing.method_mut() = head.method;
    *outgoing.uri_mut() = origin_form(head.uri);
    *outgoing.headers_mut() = headers;
    let mut tried = Tried::default();
    let service = visit.route.as_ref().map_or("", |route| route.service.as_str()).to_owned();
    let (endpoint, stream, flight) = loop {
        match choose(&backend, &tried, None) {
            Choice::Take(place) => {
                let endpoint = &backend.endpoints[place];
                tried.add(endpoint.pool);
                visit.tries += 1;
                let flight = Flight::begin(&endpoint.live, &backend.live, connection.worker);
                match upstream::dial(endpoint, backend.limits.connect.as_duration()).await {
                    Ok(stream) => break (endpoint, stream, flight),
                    Err(_) => flight.failed(),
                };
            }
            Choice::Full => return Err(Problem::shed("overload", format!("`{service}` has as much as it may"))),
            Choice::Nobody => backend = hold(&connection.shared, &service, &backend, &tried).await?,
        }
    };
    visit.replica = Some(Arc::clone(&endpoint.live));
    let mut response = ask(endpoint, stream, outgoing, &backend).await.inspect_err(|_| {
        flight.failed();
    })?;
    flight.head_came(response.status().as_u16());
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let response = response.map(Answering::driven);
        return Ok(Upgraded::Refused(Answered { response, flight, cookie: None }));
    }
    let replica = on(&mut response);
    let (mut head, _) = response.into_parts();
    let agreed = head.headers.get(UPGRADE).cloned();
    head::strip_hop_by_hop(&mut head.headers);
    set_upgrade(&mut head.headers, agreed);
    head.headers.insert(&trace::REQUEST_ID, visit.request_id.clone());
    visit.status = 101;
    tokio::spawn(carry(visit.take(), flight, client, replica));
    Ok(Upgraded::Switched(Response::from_parts(head, ())))
}

fn set_upgrade(headers: &mut HeaderMap, protocol: Option<HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

async fn ask(
    endpoint: &Endpoint,
    stream: tokio::net::TcpStream,
    request: Request<Payload>,
    backend: &Backend,
) -> Result<Response<Incoming>, Problem> {
    let replica = &endpoint.live.id;
    let closed = |error: hyper::Error| {
        Problem::new(StatusCode::BAD_GATEWAY, "closed", format!("{replica} did not agree to switch: {error}"))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(closed)?;
    // How it ends is told to the request and the tunnel.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    match time::timeout(backend.limits.response.as_duration(), sender.send_request(request)).await {
        Ok(answered) => answered.map_err(closed),
        Err(_) => {
            let detail = format!("{replica} did not answer within {}", backend.limits.response);
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail))
        }
    }
}

/// Carries bytes both ways until both ends have ended, one fails, or the connection shall be closed.
async fn carry(mut visit: Box<Visit>, flight: Flight, client: OnUpgrade, replica: OnUpgrade) {
    let connection = Arc::clone(&visit.connection);
    let tunnel = async {
        let (client, replica) = tokio::try_join!(client, replica).ok()?;
        copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(replica)).await.ok()
    };
    if let Some(Some((_, to_client))) = until_closed(&connection, tunnel).await {
        visit.sent = to_client;
        visit.complete = true;
    }
    flight.ended();
}

/// `None` if the connection had to be closed first.
async fn until_closed<T>(connection: &Connection, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        connection.watch.wake_on_verdict(context);
        if connection.watch.verdict() == Verdict::Close {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}
