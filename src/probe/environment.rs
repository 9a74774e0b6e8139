//! What all probes of a process share.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::pin::Pinned;
use super::resolve::Resolver;
use super::vimeo::Accounts;
use crate::model::clock::Clock;
use crate::model::spec::TlsSpec;

/// Clock, resolver, TLS settings and the origin of the common ticks.
#[derive(Debug)]
pub struct ProbeEnvironment {
    pub clock: Clock,
    pub resolver: Resolver,
    pub pace_origin: Instant,
    /// Vimeo's rate limits, by token.
    pub vimeo: Accounts,
    tls: Arc<TlsConfigs>,
}

impl ProbeEnvironment {
    pub fn new(clock: Clock) -> Self {
        let pace_origin = clock.now();
        Self {
            resolver: Resolver::new(clock.clone()),
            clock,
            pace_origin,
            vimeo: Accounts::default(),
            tls: Arc::default(),
        }
    }

    /// The client configuration for `spec`. Errors name the file.
    pub async fn tls_config(&self, spec: &TlsSpec) -> io::Result<Arc<ClientConfig>> {
        let (tls, spec) = (Arc::clone(&self.tls), spec.clone());
        // Files may lie on a mount that hangs.
        tokio::task::spawn_blocking(move || tls.get(&spec)).await.map_err(io::Error::other)?
    }

    /// Completes when `deadline` has passed in awake time.
    pub async fn sleep_until(&self, deadline: Instant) {
        while self.clock.now() < deadline {
            tokio::time::sleep_until(self.clock.real(deadline).into()).await;
        }
    }
}

type Key = (TlsSpec, Option<SystemTime>);

/// One parsed configuration per authority file and version of it: loading trust anchors costs milliseconds and hundreds of kilobytes.
#[derive(Debug, Default)]
struct TlsConfigs {
    kept: Mutex<HashMap<Key, Arc<ClientConfig>>>,
}

impl TlsConfigs {
    fn get(&self, spec: &TlsSpec) -> io::Result<Arc<ClientConfig>> {
        let modified = match spec.ca_file.as_ref().filter(|_| spec.pin.is_none()) {
            Some(path) => std::fs::metadata(path).and_then(|m| m.modified()).map_err(|e| named(spec, e))?.into(),
            None => None,
        };
        // The server name does not enter the configuration.
        let key = (TlsSpec { server_name: None, ..spec.clone() }, modified);
        if let Some(config) = self.lock().get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(build(spec)?);
        let mut kept = self.lock();
        kept.retain(|(other, _), _| *other != key.0);
        kept.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<ClientConfig>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(spec: &TlsSpec) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?;
    if let Some(pin) = spec.pin {
        let verifier = Pinned::new(pin, &provider);
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let Some(path) = &spec.ca_file else {
        return Ok(builder.with_platform_verifier().map_err(io::Error::other)?.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(path).map_err(|e| named(spec, e))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| named(spec, io::Error::other(e)))?;
        roots.add(certificate).map_err(|e| named(spec, io::Error::other(e)))?;
    }
    if roots.is_empty() {
        return Err(named(spec, io::Error::other("the file holds no PEM certificate")));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn named(spec: &TlsSpec, error: io::Error) -> io::Error {
    let path = spec.ca_file.as_deref().unwrap_or_else(|| std::path::Path::new("")).display();
    io::Error::new(error.kind(), format!("ca_file {path}: {error}"))
}
