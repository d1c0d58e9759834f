//! `grpc`: `grpc.health.v1.Health/Check` answers SERVING. The two messages have one field each, so they are written by hand.

use super::{Met, Unmade, connect};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u8 = 1;

pub(super) async fn check(address: SocketAddr, service: &str) -> Result<Met, Unmade> {
    match connect(address).await? {
        Ok(stream) => Ok(ask(stream, address, service).await),
        Err(why) => Ok(Err(why)),
    }
}

async fn ask(stream: TcpStream, address: SocketAddr, service: &str) -> Met {
    let broken = |error: hyper::Error| format!("health check: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(question(service)))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let body = answer.into_body().collect().await.map_err(broken)?;
    driver.abort();
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
    if status.is_some_and(|status| status != "0") {
        return Err(format!("health check of `{service}` was refused"));
    }
    // Frame: flag, length (4), then field 1 as a varint: tag 0x08 and the status.
    match body.to_bytes().get(5..7) {
        Some([0x08, SERVING]) => Ok("health check answered SERVING".into()),
        _ => Err("health check answered that it is not serving".into()),
    }
}

/// `HealthCheckRequest { service }` in a gRPC frame.
fn question(service: &str) -> Bytes {
    let name = service.as_bytes();
    let mut message = BytesMut::new();
    if let (false, Ok(length)) = (name.is_empty(), u8::try_from(name.len())) {
        message.put_u8(0x0a);
        message.put_u8(length.min(127));
        message.put_slice(&name[..usize::from(length.min(127))]);
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
    frame.put_slice(&message);
    frame.freeze()
}
