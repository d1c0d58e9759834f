//! Certificates of the listeners that end TLS.

use crate::{
    shared::say,
    table::{Entrance, Table},
};
use plimsoll_model::route::Tls;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{collections::BTreeMap, sync::Arc};

/// By listener.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_listener: BTreeMap<String, Arc<ServerConfig>>,
}

impl Certificates {
    pub(crate) fn get(&self, listener: &str) -> Option<&Arc<ServerConfig>> {
        self.by_listener.get(listener)
    }

    /// Reads all certificates of an edition anew. One that can't be read or does not fit its key stays as it was.
    pub(crate) fn load(table: &Table, before: &Self) -> Self {
        let mut by_listener = BTreeMap::new();
        for (name, entrance) in &table.listeners {
            let Entrance::Ingress(Some(files)) = entrance else { continue };
            match read(files) {
                Ok(config) => {
                    by_listener.insert(name.clone(), Arc::new(config));
                }
                Err(error) => {
                    say("certificate-refused", format!("{}: {error}", files.certificate));
                    if let Some(config) = before.get(name) {
                        by_listener.insert(name.clone(), Arc::clone(config));
                    }
                }
            }
        }
        Self { by_listener }
    }
}

fn read(files: &Tls) -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.send_tls13_tickets = 1;
    Ok(config)
}
