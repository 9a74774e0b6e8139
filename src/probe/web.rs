//! HTTP requests of checks that ask an API: bounded answers, errors as causes, no URL in any message.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::check::{Look, LookError};
use super::environment::ProbeEnvironment;
use super::resolve::Resolver;
use super::rtmp::is_ours;
use crate::model::DownCause;
use crate::model::address::{Host, WebUrl};
use crate::model::spec::TlsSpec;
use crate::model::target_report::CheckPhase;

/// Idle connections are kept this long: longer than most intervals.
const KEEP_IDLE: Duration = Duration::from_secs(90);

/// One check's HTTP client: keeps its connection, follows no redirect.
#[derive(Debug, Clone)]
pub struct WebClient {
    client: reqwest::Client,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct WebAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Marks look-up failures among the client's errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ResolveError(Arc<str>);

/// The probes' shared resolver, as the client wants it.
struct SharedResolver(Resolver);

impl Resolve for SharedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let answer = resolver.resolve(&Host::Name(name.as_str().to_owned())).await;
            let addresses = answer.map_err(|e| Box::new(ResolveError(e)) as Box<dyn Error + Send + Sync>)?;
            let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl WebClient {
    /// A client that trusts what `tls` says.
    pub async fn new(env: &ProbeEnvironment, tls: &TlsSpec) -> Result<Self, LookError> {
        let config = env.tls_config(tls).await.map_err(|e| LookError::hindered(e.to_string()))?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured((*config).clone())
            .tls_info(true)
            .dns_resolver(SharedResolver(env.resolver.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("rtmp-hmonitor/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|e| LookError::hindered(describe(&e.without_url())))?;
        Ok(Self { client })
    }

    /// A request, with the URL's credentials.
    pub fn get(&self, url: &WebUrl) -> reqwest::RequestBuilder {
        let request = self.client.get(url.expose());
        match url.credentials() {
            Some(credentials) => {
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
                request.basic_auth(plain(user), Some(plain(password)))
            }
            None => request,
        }
    }

    /// Sends `request` and reads the answer, whatever its status, up to `limit` bytes; more is a `protocol` fault.
    pub async fn send(
        &self,
        look: &mut Look<'_>,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<WebAnswer, LookError> {
        let mut response = look.timed(CheckPhase::Processing, request.send()).await.map_err(fault)?;
        if let Some(certificate) =
            response.extensions().get::<reqwest::tls::TlsInfo>().and_then(|t| t.peer_certificate())
        {
            let certificate = certificate.to_vec();
            look.note_certificate(&certificate.into());
        }
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = look.timed(CheckPhase::Transfer, async {
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(fault)? {
                if body.len() + chunk.len() > limit {
                    return Err(LookError::fault(
                        DownCause::Protocol,
                        format!("the answer is larger than {limit} bytes"),
                    ));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        });
        Ok(WebAnswer { status, headers, body: body.await? })
    }
}

/// What a failed request says about the target.
fn fault(error: reqwest::Error) -> LookError {
    let error = error.without_url();
    let detail = describe(&error);
    let mut cause = if error.is_connect() { DownCause::Connect } else { DownCause::Closed };
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<ResolveError>() {
            cause = DownCause::Dns;
        } else if inner.is::<rustls::Error>() {
            cause = DownCause::Tls;
        } else if let Some(io) = inner.downcast_ref::<io::Error>() {
            if is_ours(io) {
                return LookError::hindered(detail);
            }
            if is_of_tls(io) {
                cause = DownCause::Tls;
            }
        } else if inner.is::<hyper::Error>() && inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
        {
            cause = DownCause::Protocol;
        }
        source = inner.source();
    }
    LookError::Fault { cause, detail }
}

/// An io::Error wraps what TLS has to say, perhaps in another one, and does not tell it as its source.
fn is_of_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>() || inner.downcast_ref::<io::Error>().is_some_and(is_of_tls))
}

/// The error and its causes, in one line.
fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
