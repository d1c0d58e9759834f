//! `httpGet`: 200 to 399 passes, as the kubelet counts; redirects are not followed.

use super::{Met, Unmade, connect};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) async fn get(
    address: SocketAddr,
    path: &str,
    tls: bool,
    headers: &[(String, String)],
) -> Result<Met, Unmade> {
    let stream = match connect(address).await? {
        Ok(stream) => stream,
        Err(why) => return Ok(Err(why)),
    };
    if !tls {
        return Ok(ask(stream, address, path, headers).await);
    }
    match super::tls::handshake(stream, address).await {
        Ok(stream) => Ok(ask(stream, address, path, headers).await),
        Err(why) => Ok(Err(why)),
    }
}

async fn ask<S>(stream: S, address: SocketAddr, path: &str, headers: &[(String, String)]) -> Met
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| format!("GET {path}: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get(path).header("user-agent", "plimsoll-probe/1").header("connection", "close");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await;
    let status = match answer {
        Ok(answer) => {
            let status = answer.status();
            answer.into_body().collect().await.ok();
            status
        }
        Err(error) => {
            driver.abort();
            return Err(broken(error));
        }
    };
    driver.abort();
    let met = format!("GET {path} answered {}", status.as_u16());
    if (200..400).contains(&status.as_u16()) { Ok(met) } else { Err(met) }
}
