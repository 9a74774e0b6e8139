//! What all probes of a process share.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;

use super::inspections::Inspections;
use super::pin::Pinned;
use super::resolve::Resolver;
use super::vimeo::Accounts;
use super::witness::Witness;
use crate::model::clock::Clock;
use crate::model::inspector::Inspector;
use crate::model::spec::TlsSpec;

/// Clock, resolver, TLS settings and the origin of the common ticks.
#[derive(Debug)]
pub struct ProbeEnvironment {
    pub clock: Clock,
    pub resolver: Resolver,
    pub pace_origin: Instant,
    /// Vimeo's rate limits, by token.
    pub vimeo: Accounts,
    pub inspections: Arc<Inspections>,
    /// Who measures what a link can carry holds it: two at once would measure each other.
    pub downloads: Arc<Semaphore>,
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
            inspections: Arc::default(),
            downloads: Arc::new(Semaphore::new(1)),
            tls: Arc::default(),
        }
    }

    /// The same, with somebody who decodes.
    pub fn with_inspector(self, inspector: Arc<dyn Inspector>) -> Self {
        Self { inspections: Arc::new(Inspections::new(inspector)), ..self }
    }

    /// The client configuration for `spec`. Errors name the file.
    pub async fn tls_config(&self, spec: &TlsSpec) -> io::Result<Arc<ClientConfig>> {
        Ok(self.trust(spec).await?.config)
    }

    /// One handshake's configuration for `spec`, and what will know the certificate that was shown in it. Resumes no earlier session:
    /// then none would be shown.
    pub(super) async fn witnessed_tls(&self, spec: &TlsSpec) -> io::Result<(Arc<ClientConfig>, Arc<Witness>)> {
        let Trust { config, verifier } = self.trust(spec).await?;
        let witness = Arc::new(Witness::new(verifier));
        let mut config = (*config).clone();
        config.resumption = Resumption::disabled();
        config.dangerous().set_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>);
        Ok((Arc::new(config), witness))
    }

    async fn trust(&self, spec: &TlsSpec) -> io::Result<Trust> {
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

/// Whom to trust, parsed.
#[derive(Debug, Clone)]
struct Trust {
    config: Arc<ClientConfig>,
    /// The one in `config`, which does not give it out.
    verifier: Arc<dyn ServerCertVerifier>,
}

/// One parsed configuration per authority file and version of it: loading trust anchors costs milliseconds and hundreds of kilobytes.
#[derive(Debug, Default)]
struct TlsConfigs {
    kept: Mutex<HashMap<Key, Trust>>,
}

impl TlsConfigs {
    fn get(&self, spec: &TlsSpec) -> io::Result<Trust> {
        let modified = match spec.ca_file.as_ref().filter(|_| spec.pin.is_none()) {
            Some(path) => std::fs::metadata(path).and_then(|m| m.modified()).map_err(|e| named(spec, e))?.into(),
            None => None,
        };
        // The server name does not enter the configuration.
        let key = (TlsSpec { server_name: None, ..spec.clone() }, modified);
        if let Some(trust) = self.lock().get(&key) {
            return Ok(trust.clone());
        }
        let trust = build(spec)?;
        let mut kept = self.lock();
        kept.retain(|(other, _), _| *other != key.0);
        kept.insert(key, trust.clone());
        Ok(trust)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Trust>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(spec: &TlsSpec) -> io::Result<Trust> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (spec.pin, &spec.ca_file) {
        (Some(pin), _) => Pinned::new(pin, &provider),
        (None, None) => {
            let platform = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
            Arc::new(platform.map_err(io::Error::other)?)
        }
        (None, Some(path)) => {
            let mut roots = RootCertStore::empty();
            let pem = std::fs::read(path).map_err(|e| named(spec, e))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| named(spec, io::Error::other(e)))?;
                roots.add(certificate).map_err(|e| named(spec, io::Error::other(e)))?;
            }
            if roots.is_empty() {
                return Err(named(spec, io::Error::other("the file holds no PEM certificate")));
            }
            let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
            webpki.map_err(|e| named(spec, io::Error::other(e)))?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.dangerous();
    let config = builder.with_custom_certificate_verifier(Arc::clone(&verifier)).with_no_client_auth();
    Ok(Trust { config: Arc::new(config), verifier })
}

fn named(spec: &TlsSpec, error: io::Error) -> io::Error {
    let path = spec.ca_file.as_deref().unwrap_or_else(|| std::path::Path::new("")).display();
    io::Error::new(error.kind(), format!("ca_file {path}: {error}"))
}
