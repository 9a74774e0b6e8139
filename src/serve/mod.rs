//! Layer 4: pure views of a snapshot: metrics, health answers, HTTP API, a page.
//!
//! ```text
//! listener (accept, TLS, bounds) -> router (routes, access, counting) -> health | metrics | api | page
//! agent (accept, bounds) -> agent::grammar
//! ```
//!
//! Every answer is made from one `Arc<Snapshot>` and one [`moment::Moment`], so views cannot disagree. Operator intent
//! goes to `control` through its handle; nothing here decides anything. Health answers have a listener of their own
//! ([`run_health`]), and so have HAProxy's agent checks ([`run_agent`]), so no scrape or slow browser delays a load balancer.

mod access;
mod activity;
pub mod agent;
mod api;
mod compression;
pub mod controllers;
mod documents;
mod health;
mod judged;
mod listener;
pub mod metrics;
pub mod moment;
pub mod openapi;
mod page;
mod peer;
mod query;
mod reply;
mod router;
pub mod routes;
mod slots;
mod tls;
mod told;
mod write_deadline;

use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::act::ActStatus;
use crate::control::ControlHandle;
use crate::model::server::ServerSpec;
use crate::probe::Inspections;
use crate::store::StoreReader;

use controllers::Controllers;
use peer::Door;

pub use documents::{HdrMetadataDocument, ServerCapabilitiesDocument};
pub use metrics::SelfMetrics;
pub use metrics::own::Listener;

/// What the views are made from.
#[derive(Debug, Clone)]
pub struct Views {
    pub store: StoreReader,
    pub control: ControlHandle,
    /// Tokens, limits, TLS and modules are followed as they change; addresses are not looked at here.
    pub server: watch::Receiver<Arc<ServerSpec>>,
    pub self_metrics: Arc<SelfMetrics>,
    pub inspections: Arc<Inspections>,
    /// What load balancers say of themselves.
    pub controllers: Arc<Controllers>,
    /// What has become of decisions.
    pub actions: Arc<ActStatus>,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{file} cannot be read: {source}")]
    TlsFile { file: String, source: rustls::pki_types::pem::Error },
    #[error("{0} holds no certificate")]
    NoCertificate(String),
    #[error("reading the certificate was interrupted")]
    Interrupted,
    #[error("the certificate and its key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Serves everything on `listener` until `shutdown`, then lets requests under way finish: bound that with a deadline.
///
/// # Errors
/// The configured certificate cannot be used. Later bad certificates are logged, and the last good one stays.
pub async fn run_main(listener: TcpListener, views: Views, shutdown: CancellationToken) -> Result<(), ServeError> {
    let wanted = views.server.borrow().tls.clone();
    let tls = tls::Certificates::load(wanted).await?;
    let follow = tls.clone().follow(views.server.clone());
    let site = Arc::new(router::Site::new(views, shutdown.clone()));
    tokio::select! {
        () = listener::serve(Door::Tcp(listener), Listener::Main, site, Some(tls), shutdown) => {}
        () = follow => {}
    }
    Ok(())
}

/// Serves health answers alone on `listener`, plain, until `shutdown`. Meant for a thread and runtime of its own.
pub async fn run_health(listener: TcpListener, views: Views, shutdown: CancellationToken) {
    let site = Arc::new(router::Site::new(views, shutdown.clone()));
    listener::serve(Door::Tcp(listener), Listener::Health, site, None, shutdown).await;
}

/// Serves everything on a Unix socket, plain, until `shutdown`, then lets requests under way finish. Who may open the socket may read.
pub async fn run_unix(listener: UnixListener, views: Views, shutdown: CancellationToken) {
    let site = Arc::new(router::Site::new(views, shutdown.clone()));
    listener::serve(Door::Unix(listener), Listener::Unix, site, None, shutdown).await;
}

/// Answers HAProxy's agent checks on `listener` until `silent`. From then on nothing is said: a stopping monitor knows nothing that a load
/// balancer should act on. Meant for the thread of [`run_health`].
pub async fn run_agent(listener: TcpListener, views: Views, silent: CancellationToken) {
    agent::serve(listener, views, silent).await;
}
