//! Other protocols: HTTP/2 with and without TLS, gRPC's shape, WebSocket.

use crate::{
    backend::Backend,
    client::Client,
    world::{PATIENCE, World, host, service},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::{body::Frame, client::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_model::route::{Entry, Protocol, Tls};
use rustls_pki_types::{CertificateDer, ServerName};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) type Sender = http2::SendRequest<Full<Bytes>>;

pub(crate) async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

pub(crate) async fn ask(sender: &mut Sender, uri: &str, body: &str) -> (Response<()>, Bytes, Option<HeaderMap>) {
    let request = Request::post(uri).body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    (Response::from_parts(head, ()), body.to_bytes(), trailers)
}

#[tokio::test]
async fn http2_without_tls_is_served_many_requests_at_once() {
    let backend = Backend::echo("web").await;
    let (world, address) = World::serving(&[&backend]).await;
    let sender = http2(TcpStream::connect(address).await.unwrap()).await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..50 {
        let mut sender = sender.clone();
        asked.spawn(async move {
            let (head, body, _) = ask(&mut sender, &format!("http://shop.localhost/{n}"), "abc").await;
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((head.status().as_u16(), said["length"].as_u64()), (200, Some(3)));
            assert_eq!(said["uri"], format!("/{n}"));
        });
    }
    while let Some(done) = asked.join_next().await {
        done.unwrap();
    }
    assert_eq!(world.figures().unwrap().connections, 1);
}

#[tokio::test]
async fn tls_is_ended_with_http2_and_http1_and_certificates_are_replaced() {
    let backend = Backend::echo("web").await;
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let files = Tls { certificate: path("chain.pem"), key: path("key.pem") };
    let write = || {
        let made = rcgen::generate_simple_self_signed(["shop.localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    };
    let first = write();
    let address = world.listen("ingress", Entry::Ingress { tls: Some(files.clone()) });
    world.change(|table| {
        table.hosts.push(host("shop.localhost", &[("/", "web")]));
        table.services.insert("web".into(), service("web", &[&backend]));
    });
    world.applied().await;
    let mut sender = http2(tls(address, &first, b"h2").await.unwrap()).await;
    let (_, body, _) = ask(&mut sender, "https://shop.localhost/x", "").await;
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(said["headers"].as_array().unwrap().contains(&serde_json::json!(["x-forwarded-proto", "https"])));
    let mut plain = tls(address, &first, b"http/1.1").await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    plain.read_to_end(&mut text).await.unwrap();
    assert!(text.starts_with(b"HTTP/1.1 200"));
    let second = write();
    world.change(|_| {});
    world.applied().await;
    assert!(tls(address, &first, b"h2").await.is_err(), "the old certificate is still there");
    assert!(tls(address, &second, b"h2").await.is_ok());
    // What was open goes on; a file that is damaged changes nothing.
    std::fs::write(&files.certificate, "nonsense").unwrap();
    world.change(|_| {});
    world.applied().await;
    assert!(tls(address, &second, b"h2").await.is_ok());
    assert_eq!(ask(&mut sender, "https://shop.localhost/x", "").await.0.status(), 200);
    // Nobody has to say that the files were replaced.
    let third = write();
    let taken = async {
        while tls(address, &third, b"h2").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the files were replaced, and nobody took them");
    assert_eq!(ask(&mut sender, "https://shop.localhost/x", "").await.0.status(), 200);
}

async fn tls(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("shop.localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn a_service_that_speaks_http2_gets_it_and_its_trailers_come_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let replica = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                assert_eq!(request.version(), http::Version::HTTP_2);
                let path = request.uri().path().to_owned();
                let got = request.into_body().collect().await.unwrap().to_bytes();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let frames = [Frame::data(Bytes::from(format!("{path} {}", got.len()))), Frame::trailers(trailers)];
                let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
                Ok::<_, Infallible>(Response::new(body))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    let world = World::start();
    let ingress = world.listen("ingress", Entry::Ingress { tls: None });
    world.change(|table| {
        table.hosts.push(host("*", &[("/", "web")]));
        let mut web = service("web", &[]);
        web.protocol = Protocol::H2c;
        web.replicas.push(crate::world::endpoint("web", 1, address));
        table.services.insert("web".into(), web);
    });
    world.applied().await;
    let mut sender = http2(TcpStream::connect(ingress).await.unwrap()).await;
    for _ in 0..20 {
        let (head, body, trailers) = ask(&mut sender, "http://shop.localhost/pkg.Service/Do", "abc").await;
        assert_eq!((head.status().as_u16(), &body[..]), (200, &b"/pkg.Service/Do 3"[..]));
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    }
    replica.abort();
}

/// Agrees to switch, then says everything back.
pub(crate) async fn switching() -> Backend {
    Backend::raw(|mut stream, head| async move {
        if head.header("upgrade").is_none() {
            crate::backend::write_ok(&mut stream, "", "plain").await.ok()?;
            return Some(stream);
        }
        assert_eq!(head.header("connection"), Some("upgrade"));
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(agreed.as_bytes()).await.ok()?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok()?;
        None
    })
    .await
}

#[tokio::test]
async fn what_a_client_says_of_itself_does_not_pass_in_http2_either() {
    let backend = Backend::echo("web").await;
    let (_world, address) = World::serving(&[&backend]).await;
    let mut sender = http2(TcpStream::connect(address).await.unwrap()).await;
    let claims = ["x-real-ip", "x_real_ip", "x_forwarded_for", "X_Forwarded-Host", "forwarded", "x_plimsoll_mirror"];
    let mut request = Request::get("http://shop.localhost/");
    for claim in claims {
        request = request.header(claim, "9.9.9.9");
    }
    let answer = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("9.9.9.9"), "{body:?}");
    for twin in ["content_length", "transfer_encoding", "host_"] {
        let request = Request::get("http://shop.localhost/").header(twin, "1").body(Full::default()).unwrap();
        let status = sender.send_request(request).await.unwrap().status();
        assert_eq!(status, if twin == "host_" { 200 } else { 400 }, "{twin}");
    }
}

#[tokio::test]
async fn websockets_are_passed_through_and_outlive_new_editions() {
    let backend = switching().await;
    let (world, address) = World::serving(&[&backend]).await;
    let mut client = Client::connect(address).await;
    client
        .write("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n")
        .await
        .unwrap();
    let agreed = client.read().await.unwrap();
    assert_eq!((agreed.status(), agreed.head.header("upgrade")), (101, Some("websocket")));
    for round in 0..10 {
        let text = format!("frame {round} {}", "x".repeat(round * 10_000));
        let (mut read, mut write) = client.stream.split();
        let mut back = vec![0; text.len()];
        let (sent, got) = tokio::join!(write.write_all(text.as_bytes()), read.read_exact(&mut back));
        sent.unwrap();
        got.unwrap();
        assert_eq!(back, text.as_bytes());
        world.change(|_| {});
    }
    world.applied().await;
    let replica = &world.figures().unwrap().replicas["web-1"];
    // How quickly it agreed is known at once; how long it stays open is no latency.
    assert_eq!((replica.in_flight, replica.latency.iter().sum::<u64>()), (1, 1));
    drop(client);
    world.told("it is over", |figures| figures.replicas["web-1"].in_flight == 0 && figures.connections == 0).await;
    world.told("it was counted once", |figures| figures.routes["*/"].statuses.get("1xx") == Some(&1)).await;
}

#[tokio::test]
async fn a_replica_may_decline_to_switch() {
    let backend = Backend::echo("web").await;
    let (_world, address) = World::serving(&[&backend]).await;
    let mut client = Client::connect(address).await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await.unwrap();
    assert_eq!(client.read().await.unwrap().status(), 200);
    assert_eq!(client.get("/next").await.unwrap().status(), 200);
}
