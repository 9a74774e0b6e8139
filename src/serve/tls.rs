//! The server's certificate: loaded at start, followed when its files or the configuration change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::model::server::{ServerSpec, ServerTls};

use super::ServeError;

/// How often the files are looked at. Renewals come weeks before the old certificate ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The acceptor new connections get. Cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    current: Arc<ArcSwapOption<rustls::ServerConfig>>,
}

/// What the files held when they were last looked at; `None`: no TLS.
type Contents = Option<(Option<Vec<u8>>, Option<Vec<u8>>)>;

/// `None`: plain HTTP.
type Loaded = Result<Option<Arc<rustls::ServerConfig>>, ServeError>;

impl Certificates {
    pub async fn load(tls: Option<ServerTls>) -> Result<Self, ServeError> {
        let config = tokio::task::spawn_blocking(move || tls.as_ref().map(server_config).transpose());
        let config = config.await.map_err(|_| ServeError::Interrupted)??;
        Ok(Self { current: Arc::new(ArcSwapOption::from(config)) })
    }

    /// `None`: plain HTTP.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.current.load_full().map(TlsAcceptor::from)
    }

    /// Loads again whenever the specification or a file changes, for ever. A bad certificate is logged and the last good one stays.
    pub async fn follow(self, mut server: watch::Receiver<Arc<ServerSpec>>) {
        let mut tls = server.borrow_and_update().tls.clone();
        // The first look loads once more: the files may have changed since the start.
        let mut seen: Contents = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut server_gone = false;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                changed = server.changed(), if !server_gone => {
                    server_gone = changed.is_err();
                    tls = server.borrow_and_update().tls.clone();
                }
            }
            // A file system may hang: that must not hold a thread that answers.
            let wanted = tls.clone();
            let looked = tokio::task::spawn_blocking(move || look_again(wanted, seen)).await;
            let (contents, changed) = match looked {
                Ok(looked) => looked,
                // A panic, or the runtime is going.
                Err(_) => (None, Some(Err(ServeError::Interrupted))),
            };
            seen = contents;
            match changed {
                None => {}
                Some(Ok(config)) => {
                    tracing::info!(tls = config.is_some(), "server certificate loaded");
                    self.current.store(config);
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "server certificate not loaded; the last good one stays");
                }
            }
        }
    }
}

/// What the files hold now, and what it makes if that is not what was `seen`. Blocks.
fn look_again(tls: Option<ServerTls>, seen: Contents) -> (Contents, Option<Loaded>) {
    let found = tls.as_ref().map(file_contents);
    let changed = (found != seen).then(|| tls.as_ref().map(server_config).transpose());
    (found, changed)
}

/// Small files, compared whole: time stamps miss a symlink that is swapped for one with an older target.
fn file_contents(tls: &ServerTls) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (std::fs::read(&tls.cert_file).ok(), std::fs::read(&tls.key_file).ok())
}

fn server_config(tls: &ServerTls) -> Result<Arc<rustls::ServerConfig>, ServeError> {
    let unreadable = |file: &Path| {
        let file = file.display().to_string();
        move |source| ServeError::TlsFile { file, source }
    };
    let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect)
        .map_err(unreadable(&tls.cert_file))?;
    if chain.is_empty() {
        return Err(ServeError::NoCertificate(tls.cert_file.display().to_string()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key_file).map_err(unreadable(&tls.key_file))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
