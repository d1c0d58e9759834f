//! Certificates of the listeners that end TLS: read with each edition, and when their files were replaced.

use crate::{
    shared::{Shared, say},
    table::{Entrance, Table},
};
use plimsoll_model::route::Tls;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, sync::Arc, time::Duration};
use tokio::time;

/// How often it is looked whether a file is another one. Whoever renews certificates replaces links and folders, so that
/// what a watch of the kernel tells would not be enough.
const LOOK: Duration = Duration::from_secs(1);

/// By listener.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    by_listener: BTreeMap<String, Arc<ServerConfig>>,
    /// How the files were when they were read last, or could not be.
    stamps: BTreeMap<String, Stamps>,
}

/// What tells one content of certificate and key from another without reading them; `None` is not there.
type Stamps = [Option<(u64, u64, i64, i64)>; 2];

/// Takes new certificates from their files when these were replaced, until the end of the gateway.
pub(crate) async fn follow_files(shared: Arc<Shared>) {
    loop {
        time::sleep(LOOK).await;
        let (table, now) = (shared.table.load(), shared.certificates.load());
        if now.stamps != stamps_of_all(&table) {
            shared.certificates.store(Arc::new(Certificates::load(&table, &now)));
            say("certificates-read", "their files are others than before");
        }
    }
}

fn stamps_of_all(table: &Table) -> BTreeMap<String, Stamps> {
    let listeners = table.listeners.iter().filter_map(|(name, entrance)| match entrance {
        Entrance::Ingress(Some(files)) => Some((name.to_string(), stamps(files))),
        _ => None,
    });
    listeners.collect()
}

fn stamps(files: &Tls) -> Stamps {
    [&files.certificate, &files.key].map(|file| {
        let found = fs::metadata(file).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    })
}

impl Certificates {
    pub(crate) fn get(&self, listener: &str) -> Option<&Arc<ServerConfig>> {
        self.by_listener.get(listener)
    }

    /// Reads all certificates of an edition anew. One that can't be read or does not fit its key stays as it was.
    pub(crate) fn load(table: &Table, before: &Self) -> Self {
        // Before they are read: what is replaced meanwhile is read again.
        let stamps = stamps_of_all(table);
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
        Self { by_listener, stamps }
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
