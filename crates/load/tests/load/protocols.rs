//! HTTP/2 and TLS.

use std::sync::Arc;

use plimsoll_load::{Plan, Protocol, Target, Trust};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::server::{Server, status};
use crate::{millis, plan, run};

#[test]
fn speaks_http2_on_few_connections() {
    let server = Server::start(|_| status(200));
    let mut target = server.target();
    target.protocol = Protocol::Http2 { streams: 20 };
    let report = run(&Plan { connections_max: 2, ..plan(target, 300.0, millis(500)) });
    assert_eq!((report.right, report.failed), (150, 0));
    assert!(report.generator.connections <= 2, "{}", report.generator.connections);
    assert_eq!(server.seen().len(), 150);
}

/// A server with a certificate for `localhost`, and that certificate as PEM.
fn tls_server() -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Server::start_tls(TlsAcceptor::from(Arc::new(config))), made.cert.pem())
}

fn tls_target(server: &Server, trust: Trust) -> Target {
    let url = format!("https://localhost:{}", server.address.port());
    Target { trust, ..Target::parse(&url).unwrap() }
}

#[test]
fn believes_the_authority_that_it_is_given() {
    let (server, pem) = tls_server();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let target = tls_target(&server, Trust::Authority(file.path().to_owned()));
    assert_eq!(run(&plan(target.clone(), 50.0, millis(200))).right, 10);
    let two = Target { protocol: Protocol::Http2 { streams: 4 }, ..target };
    assert_eq!(run(&plan(two, 50.0, millis(200))).right, 10);
}

#[test]
fn believes_anything_only_when_told() {
    let (server, _) = tls_server();
    assert_eq!(run(&plan(tls_target(&server, Trust::Anything), 50.0, millis(200))).right, 10);

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), other.cert.pem()).unwrap();
    let report = run(&plan(tls_target(&server, Trust::Authority(file.path().to_owned())), 50.0, millis(200)));
    assert_eq!((report.right, report.failed), (0, 10));
    assert!(report.by_cause.keys().all(|cause| cause.starts_with("TLS")), "{:?}", report.by_cause);
}

#[test]
fn says_why_an_authority_can_not_be_used() {
    let (server, _) = tls_server();
    let missing = tls_target(&server, Trust::Authority("/nonexistent.pem".into()));
    let refused = plan(missing, 50.0, millis(200)).start().unwrap_err();
    assert!(refused.to_string().contains("/nonexistent.pem"), "{refused}");
}
