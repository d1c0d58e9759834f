//! Opening connections: TCP, and TLS on it where the target wants it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::failure::{Cause, words};
use crate::plan::PlanError;
use crate::target::{Protocol, Target, Trust};

/// Where the system keeps the authorities that it believes.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Bytes both ways, plain or encrypted.
pub(crate) trait Io: Read + Write + Unpin {}
impl<T: Read + Write + Unpin> Io for T {}

/// Opens connections to one target.
#[derive(Clone)]
pub(crate) struct Connector {
    addresses: Arc<[SocketAddr]>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// How many addresses connections come from; 0: the kernel chooses.
    clients: u32,
    /// Connections begun, so that the next comes from the next client.
    begun: Arc<AtomicU32>,
}

impl Connector {
    /// Resolves the target and loads what TLS needs; connections come from `clients` addresses (0: the kernel chooses).
    ///
    /// # Errors
    /// `Resolve`, `Trust`, `Target`, `Clients`: see there.
    pub(crate) fn new(target: &Target, clients: u32) -> Result<Connector, PlanError> {
        let addresses: Arc<[SocketAddr]> = target.addresses()?.into();
        if clients > 0 && !addresses.iter().all(|address| address.is_ipv4() && address.ip().is_loopback()) {
            return Err(PlanError::Clients { host: target.host.clone() });
        }
        let plain = Connector { addresses, tls: None, clients, begun: Arc::default() };
        if !target.tls {
            return Ok(plain);
        }
        let host = target.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| PlanError::Target {
            url: target.authority(),
            why: "the host can't be a name in a certificate".to_owned(),
        })?;
        Ok(Connector { tls: Some((TlsConnector::from(Arc::new(tls_config(target)?)), name)), ..plain })
    }

    /// Opens a connection, trying each address in turn.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Io>, Cause> {
        let mut refused = Cause::Refused;
        for address in self.addresses.iter() {
            match self.tcp(*address).await {
                Ok(stream) => return self.secure(stream).await,
                Err(error) => refused = Cause::of_connect(&error),
            }
        }
        Err(refused)
    }

    async fn tcp(&self, address: SocketAddr) -> io::Result<TcpStream> {
        if self.clients == 0 {
            return TcpStream::connect(address).await;
        }
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((client_address(self.begun.fetch_add(1, Relaxed) % self.clients), 0)))?;
        socket.connect(address).await
    }

    async fn secure(&self, stream: TcpStream) -> Result<Box<dyn Io>, Cause> {
        stream.set_nodelay(true).map_err(|error| Cause::of_connect(&error))?;
        match &self.tls {
            None => Ok(Box::new(TokioIo::new(stream))),
            Some((connector, name)) => match connector.connect(name.clone(), stream).await {
                Ok(stream) => Ok(Box::new(TokioIo::new(stream))),
                Err(error) => Err(Cause::Tls { why: words(&error) }),
            },
        }
    }
}

/// The address of client number `index` (below 10,000): 127.0.1.1 to 127.0.1.250, then 127.0.2.1, and so on.
fn client_address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + (index / 250) * 256 + index % 250)
}

fn tls_config(target: &Target) -> Result<ClientConfig, PlanError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let inner = |error: rustls::Error| PlanError::Workers(io::Error::other(error));
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(inner)?;
    let mut config = match &target.trust {
        Trust::Anything => {
            let verifier = Arc::new(BelieveAnything(provider.signature_verification_algorithms.supported_schemes()));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
        Trust::System => builder.with_root_certificates(roots(SYSTEM_AUTHORITIES.as_ref())?).with_no_client_auth(),
        Trust::Authority(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
    };
    config.alpn_protocols = match target.protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 { .. } => vec![b"h2".to_vec()],
    };
    Ok(config)
}

fn roots(path: &std::path::Path) -> Result<RootCertStore, PlanError> {
    let wrong = |why: String| PlanError::Trust { path: path.to_owned(), why };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
        store.add(certificate.map_err(|error| wrong(error.to_string()))?).map_err(|error| wrong(error.to_string()))?;
    }
    if store.is_empty() { Err(wrong("it holds no certificate".to_owned())) } else { Ok(store) }
}

/// Believes any certificate. Only made when the plan asks for it in so many words.
#[derive(Debug)]
struct BelieveAnything(Vec<SignatureScheme>);

impl ServerCertVerifier for BelieveAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
