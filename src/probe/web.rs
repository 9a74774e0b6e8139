//! HTTP requests of checks that ask an API: bounded answers, errors as causes, no URL in any message.
//!
//! Checks for which the phases of a connection matter make their own: see `exchange`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::check::{Look, LookError};
use super::environment::ProbeEnvironment;
use super::resolve::Resolver;
use super::rtmp::is_ours;
use crate::model::DownCause;
use crate::model::address::{Host, WebUrl};
use crate::model::server::Secret;
use crate::model::spec::TlsSpec;
use crate::model::target_report::CheckPhase;

/// Idle connections are kept this long: longer than most intervals.
const KEEP_IDLE: Duration = Duration::from_secs(90);
/// After this a connection in use is ended, and the next request resolves the name anew: it may stand for another server by then.
const RENEW: Duration = Duration::from_secs(60);

pub(super) const USER_AGENT: &str = concat!("rtmp-hmonitor/", env!("CARGO_PKG_VERSION"));

/// One check's HTTP client: keeps its connection, follows no redirect.
#[derive(Debug, Clone)]
pub struct WebClient {
    client: reqwest::Client,
    /// When a connection was ended for the sake of the next, or the client made. Clones share it, as they share the connection.
    renewed: Arc<Mutex<Instant>>,
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
            .user_agent(USER_AGENT);
        let client = builder.build().map_err(|e| LookError::hindered(describe(&e.without_url())))?;
        Ok(Self { client, renewed: Arc::new(Mutex::new(env.clock.now())) })
    }

    /// A GET request, with the URL's credentials.
    pub fn get(&self, url: &WebUrl) -> reqwest::RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A request, with the URL's credentials.
    pub fn request(&self, method: Method, url: &WebUrl) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url.expose());
        match url.credentials() {
            Some(credentials) => {
                let (user, password) = decoded(credentials);
                request.basic_auth(user, Some(password))
            }
            None => request,
        }
    }

    /// Whether it is time to end the connection. Notes it.
    fn renews(&self, now: Instant) -> bool {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.saturating_duration_since(*renewed) >= RENEW;
        if due {
            *renewed = now;
        }
        due
    }

    /// Sends `request` and reads the answer, whatever its status, up to `limit` bytes; more is a `protocol` fault. A request that gets
    /// no answer because the connection ends is sent once more, so it must be one that may come twice.
    pub async fn send(
        &self,
        look: &mut Look<'_>,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<WebAnswer, LookError> {
        let request = match self.renews(look.env.clock.now()) {
            true => request.header(CONNECTION, "close"),
            false => request,
        };
        let again = request.try_clone();
        let answer = look.timed(CheckPhase::Processing, async {
            match (request.send().await.map_err(fault), again) {
                // A server may end a kept connection in the very moment in which it is used again.
                (Err(LookError::Fault { cause: DownCause::Closed, .. }), Some(again)) => {
                    again.send().await.map_err(fault)
                }
                (answer, _) => answer,
            }
        });
        let mut response = answer.await?;
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

/// The URL as a request names it: escaped where it must be, without credentials and without the scheme's own port.
pub(super) fn uri(url: &WebUrl) -> Result<Uri, LookError> {
    let unsendable = || LookError::hindered(format!("the URL for {} cannot be sent", url.address));
    let escaped = reqwest::Url::parse(&url.expose()).map_err(|_| unsendable())?;
    Uri::try_from(escaped.as_str()).map_err(|_| unsendable())
}

/// What to send as `Authorization`: the token, else the URL's credentials, if there are any.
pub(super) fn authorization(url: &WebUrl, token: Option<&Secret>) -> Result<Option<HeaderValue>, LookError> {
    let text = match (token, url.credentials()) {
        (Some(token), _) => format!("Bearer {}", token.expose()),
        (None, Some(credentials)) => {
            let (user, password) = decoded(credentials);
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| LookError::hindered(format!("the token for {} cannot be sent", url.address)))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// User and password of a URL.
fn decoded(credentials: &str) -> (String, String) {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    (plain(user), plain(password))
}

fn fault(error: reqwest::Error) -> LookError {
    let error = error.without_url();
    let otherwise = if error.is_connect() { DownCause::Connect } else { DownCause::Closed };
    fault_of(&error, otherwise)
}

/// What a failed request says about the target: `otherwise`, unless something in the error knows better.
pub(super) fn fault_of(error: &(dyn Error + 'static), otherwise: DownCause) -> LookError {
    let detail = describe(error);
    let mut cause = otherwise;
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<ResolveError>() {
            cause = DownCause::Dns;
        } else if error.is::<rustls::Error>() {
            cause = DownCause::Tls;
        } else if let Some(io) = error.downcast_ref::<io::Error>() {
            if is_ours(io) {
                return LookError::hindered(detail);
            }
            if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) {
                cause = DownCause::Protocol;
            }
            // It wraps what TLS has to say, perhaps twice, and does not name that as its source.
            if let Some(inner) = io.get_ref() {
                next = Some(inner);
                continue;
            }
        } else if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            cause = DownCause::Protocol;
        }
        next = error.source();
    }
    LookError::Fault { cause, detail }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Answers all requests of one connection, and says which connection it is; does not end it when asked to.
    async fn serve(mut socket: TcpStream, number: u8) -> io::Result<()> {
        let mut head = Vec::new();
        while socket.read_buf(&mut head).await? > 0 {
            if head.ends_with(b"\r\n\r\n") {
                let closes = u8::from(head.windows(17).any(|w| w == b"connection: close"));
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{number}{closes}");
                socket.write_all(answer.as_bytes()).await?;
                head.clear();
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_connection_is_renewed_once_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = WebUrl::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let env = ProbeEnvironment::new(Clock::new());
        let client = WebClient::new(&env, &TlsSpec::default()).await.unwrap();
        let asking = async {
            let mut told = Vec::new();
            for long_ago in [false, true, false] {
                if long_ago {
                    let then = env.clock.now().checked_sub(RENEW).unwrap();
                    *client.renewed.lock().unwrap() = then;
                }
                let mut look = Look::new(&env, env.clock.now() + Duration::from_secs(10));
                let answer = client.clone().send(&mut look, client.get(&url), 10).await.unwrap();
                told.push(String::from_utf8(answer.body).unwrap());
                // Until the connection is kept, or gone.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
            told
        };
        let serving = async {
            let mut connections = tokio::task::JoinSet::new();
            for number in 1.. {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, number));
            }
        };
        let told = tokio::select! {
            told = asking => told,
            () = serving => panic!("endless"),
        };
        assert_eq!(told, ["10", "11", "20"], "connection, and whether it shall be the last request on it");
    }
}
