//! What stands behind a kind key → what is to be looked at.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::error::Place;
use super::node::{Kind, Node};
use super::policy;
use super::reader::Reader;
use super::server::bearer_token;
use crate::model::address::{Address, Host, WebScheme, WebUrl};
use crate::model::server::Secret;
use crate::model::spec::TlsSpec;
use crate::model::target::{
    CanaryCheck, Check, CheckKind, DeviceTransport, DnsCheck, DownloadCheck, Family, HaproxyCheck, HttpCheck,
    IcmpCheck, RecordType, RtmpCheck, RtmpServerCheck, ServerFlavor, StoreCheck, StoreTls, TcpCheck, TlsCheck,
    VimeoCheck, VimeoTarget, WebPresenterCheck, WebSocketCheck,
};
use crate::model::url::{StreamUrl, UrlError};

const PING_PAYLOAD: u16 = 56;
const PING_WINDOW: Duration = Duration::from_secs(60);
/// Pings in a window: fewer say nothing about loss, more are memory for nothing.
const WINDOW_PINGS: RangeInclusive<u32> = 10..=100_000;
const DOWNLOAD_BYTES: u64 = 5_000_000;
const ETHERNET_PORT: u16 = 9977;
/// Where the same maker's cameras and recorders have it; the device's own document does not say.
const EVENTS_PATH: &str = "/control/api/v1/event/websocket";
const VIMEO_API: &str = "https://api.vimeo.com/";
pub(super) const HTTP: &[WebScheme] = &[WebScheme::Http, WebScheme::Https];

/// The check of this kind. `None` if something it needs cannot be had, which is reported then.
pub(super) fn check(reader: &mut Reader<'_>, kind: CheckKind, body: &Node, interval: Duration) -> Option<Check> {
    Some(match kind {
        CheckKind::Icmp => Check::Icmp(icmp(reader, body, interval)?),
        CheckKind::Tcp => Check::Tcp(TcpCheck { address: address(reader, body, "address", None)? }),
        CheckKind::Rtmp => Check::Rtmp(rtmp(reader, body)?),
        CheckKind::Canary => Check::Canary(canary(reader, body)?),
        CheckKind::Http => Check::Http(http(reader, body)?),
        CheckKind::Tls => {
            let (address, tls) = (address(reader, body, "address", Some(443)), policy::verification(reader, body));
            Check::Tls(TlsCheck { address: address?, tls })
        }
        CheckKind::Dns => Check::Dns(dns(reader, body)?),
        CheckKind::WebSocket => {
            let url = web_url(reader, body, &[WebScheme::Ws, WebScheme::Wss]);
            let (tls, token) = (policy::verification(reader, body), token(reader, body, url.as_ref()));
            Check::WebSocket(WebSocketCheck { url: url?, tls, token })
        }
        CheckKind::Download => {
            let (url, tls) = (web_url(reader, body, HTTP), policy::verification(reader, body));
            Check::Download(DownloadCheck { url: url?, tls, bytes: body.count("bytes").unwrap_or(DOWNLOAD_BYTES) })
        }
        CheckKind::Postgres => Check::Postgres(store(reader, body, 5432)?),
        CheckKind::Mongodb => Check::Mongodb(store(reader, body, 27017)?),
        CheckKind::Redis => Check::Redis(store(reader, body, 6379)?),
        CheckKind::WebPresenter => Check::WebPresenter(web_presenter(reader, body)?),
        CheckKind::Vimeo => Check::Vimeo(vimeo(reader, body)?),
        CheckKind::RtmpServer => Check::RtmpServer(rtmp_server(reader, body)?),
        CheckKind::Haproxy => Check::Haproxy(haproxy(reader, body)?),
    })
}

fn icmp(reader: &mut Reader<'_>, body: &Node, interval: Duration) -> Option<IcmpCheck> {
    let host = read(reader, body, "host", "expected a host name or an IP address", |text| Host::parse(text).ok());
    let family = body.text("family").and_then(|t| Family::from_text(&t)).unwrap_or(Family::Any);
    if let (Some(Host::Address(address)), Some(written)) = (&host, body.get("family")) {
        let fits = match family {
            Family::Any => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        };
        if !fits {
            reader.error(&written.place, "the host is an address of the other family");
        }
    }
    let window = body.duration("window");
    let (least, most) = (interval * *WINDOW_PINGS.start(), interval * *WINDOW_PINGS.end());
    if let (Some(window), Some(written)) = (window, body.get("window"))
        && !(least..=most).contains(&window)
    {
        let (from, to) = WINDOW_PINGS.into_inner();
        reader.error(&written.place, format!("the window must hold {from} to {to} intervals"));
    }
    Some(IcmpCheck {
        host: host?,
        family,
        payload: body.count("payload").unwrap_or(PING_PAYLOAD),
        window: window.unwrap_or(PING_WINDOW.max(least)),
    })
}

fn rtmp(reader: &mut Reader<'_>, body: &Node) -> Option<RtmpCheck> {
    let tls = optional_tls(reader, body);
    let address = address(reader, body, "address", Some(if tls.is_some() { 443 } else { 1935 }));
    Some(RtmpCheck { address: address?, app: Secret::new(&body.text("app")?), tls })
}

fn canary(reader: &mut Reader<'_>, body: &Node) -> Option<CanaryCheck> {
    let written = reader.secret(body, "url");
    if body.get("url").is_none() && body.get("url_file").is_none() && body.kind != Kind::Invalid {
        reader.error(&body.place, "the key url is missing (or url_file)");
    }
    let mut parse = |text: &str, place: &Place| {
        StreamUrl::parse(text.trim()).map_err(|error| reader.error(place, error.to_string())).ok()
    };
    let url = written.and_then(|(text, place)| parse(&text, &place));
    let play = match body.get("play") {
        Some(written) => parse(&body.text("play")?, &written.place),
        None => url.clone(),
    };
    let tls = policy::verification(reader, body);
    Some(CanaryCheck { url: url?, play: play?, tls })
}

fn http(reader: &mut Reader<'_>, body: &Node) -> Option<HttpCheck> {
    let url = web_url(reader, body, HTTP);
    let mut status = Vec::new();
    for item in body.items("status") {
        let Some(text) = item.plain() else { continue };
        match status_range(&text) {
            Some(range) => status.push(range),
            None => reader.error(&item.place, "expected a status code or a range such as 200 or 200-299"),
        }
    }
    if status.is_empty() {
        status.push(200..=299);
    }
    let head = body.text("method").as_deref() == Some("HEAD");
    if let (true, Some(written)) = (head, body.get("body")) {
        reader.error(&written.place, "an answer to HEAD has no body");
    }
    let token = token(reader, body, url.as_ref());
    let tls = policy::verification(reader, body);
    Some(HttpCheck { url: url?, tls, head, status, body: body.text("body").map(Into::into), token })
}

fn status_range(text: &str) -> Option<RangeInclusive<u16>> {
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = code(from)?..=code(to)?;
    (!range.is_empty()).then_some(range)
}

fn dns(reader: &mut Reader<'_>, body: &Node) -> Option<DnsCheck> {
    let name = read(reader, body, "name", "expected a domain name", |text| domain(text).then(|| text.into()));
    let server = "expected an IP address with an optional port such as 10.0.0.1 or [2001:db8::1]:53";
    let server = read(reader, body, "server", server, |text| {
        text.parse().ok().or_else(|| Some((text.parse::<std::net::IpAddr>().ok()?, 53).into()))
    });
    Some(DnsCheck {
        name: name?,
        record: body.text("record").and_then(|t| RecordType::from_text(&t)).unwrap_or(RecordType::A),
        server,
        answers: body.items("answers").iter().filter_map(|item| Some(item.plain()?.into())).collect(),
    })
}

/// Letters, digits, `-` and `_` in labels of 63 bytes, 253 in all (RFC 1035, section 2.3.4; RFC 8552 for `_`).
fn domain(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn store(reader: &mut Reader<'_>, body: &Node, port: u16) -> Option<StoreCheck> {
    let address = address(reader, body, "address", Some(port));
    let tls = optional_tls(reader, body).map_or(StoreTls::Off, StoreTls::On);
    let password = reader.secret(body, "password").map(|(password, _)| Secret::new(&password));
    let text = |key| body.text(key).map(Into::into);
    Some(StoreCheck { address: address?, user: text("user"), password, database: text("database"), tls })
}

fn web_presenter(reader: &mut Reader<'_>, body: &Node) -> Option<WebPresenterCheck> {
    let scheme = if body.flag("https") == Some(true) { WebScheme::Https } else { WebScheme::Http };
    let port = if scheme.is_secure() { 443 } else { 80 };
    let rest = address(reader, body, "host", Some(port))
        .and_then(|address| WebUrl::parse(&format!("{scheme}://{address}/")).ok());
    let events = match body.text("events").as_deref() {
        None | Some("false") => None,
        Some("true") => Some(EVENTS_PATH.into()),
        Some(path) => {
            if let (false, Some(written)) =
                (path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()), body.get("events"))
            {
                reader.error(&written.place, "expected true, false or a path that starts with /");
            }
            Some(path.into())
        }
    };
    let transport = body.text("transport").and_then(|t| DeviceTransport::from_text(&t));
    Some(WebPresenterCheck {
        rest: rest?,
        tls: policy::verification(reader, body),
        transport: transport.unwrap_or(DeviceTransport::Auto),
        ethernet_port: body.count("ethernet_port").unwrap_or(ETHERNET_PORT),
        events,
    })
}

fn vimeo(reader: &mut Reader<'_>, body: &Node) -> Option<VimeoCheck> {
    let target = reader.exactly_one(body, &["event", "video"]).and_then(|(key, _)| {
        let id = body.count(key)?;
        Some(if key == "event" { VimeoTarget::Event(id) } else { VimeoTarget::Video(id) })
    });
    let token = bearer_token(reader, body);
    if body.get("token").is_none() && body.get("token_file").is_none() && body.kind != Kind::Invalid {
        reader.error(&body.place, "the key token is missing (or token_file)");
    }
    let api = match body.get("api") {
        Some(written) => {
            let (text, place) = (body.text("api")?, Arc::clone(&written.place));
            parse_url(reader, &text, &place, HTTP)
        }
        None => WebUrl::parse(VIMEO_API).ok(),
    };
    let tls = policy::verification(reader, body);
    Some(VimeoCheck { target: target?, token: token?, api: api?, tls })
}

fn rtmp_server(reader: &mut Reader<'_>, body: &Node) -> Option<RtmpServerCheck> {
    let url = web_url(reader, body, HTTP);
    if body.get("url").is_none() && body.get("url_file").is_none() && body.kind != Kind::Invalid {
        reader.error(&body.place, "the key url is missing (or url_file)");
    }
    let origin = address(reader, body, "origin", Some(1935));
    let tls = policy::verification(reader, body);
    Some(RtmpServerCheck { flavor: ServerFlavor::from_text(&body.text("kind")?)?, url: url?, tls, origin })
}

fn haproxy(reader: &mut Reader<'_>, body: &Node) -> Option<HaproxyCheck> {
    let (key, written) = reader.exactly_one(body, &["socket", "address", "url", "url_file"])?;
    Some(match key {
        "socket" => HaproxyCheck::Socket(body.path(key)?.0.to_owned()),
        "address" => HaproxyCheck::Tcp(address(reader, body, key, None)?),
        _ => {
            let url = web_url(reader, body, HTTP)?;
            if !url.path().contains(";csv") {
                reader.error(&written.place, "expected the statistics as CSV: a URL that ends with ;csv");
            }
            HaproxyCheck::Csv { url, tls: policy::verification(reader, body) }
        }
    })
}

/// The text at `key` as `parse` reads it; what it cannot read was not as `expected`.
fn read<T>(
    reader: &mut Reader<'_>,
    body: &Node,
    key: &str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let (written, text) = (body.get(key)?, body.text(key)?);
    let parsed = parse(text.trim());
    if parsed.is_none() {
        reader.error(&written.place, expected);
    }
    parsed
}

fn address(reader: &mut Reader<'_>, body: &Node, key: &str, port: Option<u16>) -> Option<Address> {
    let expected = match port {
        Some(_) => "expected a host with an optional port such as media.example, 10.0.0.11:1935 or [2001:db8::1]:443",
        None => "expected a host and a port such as 10.0.0.11:1935, media.example:443 or [2001:db8::1]:443",
    };
    read(reader, body, key, expected, |text| Address::parse(text, port).ok())
}

/// The URL at `url` or in `url_file`.
fn web_url(reader: &mut Reader<'_>, body: &Node, schemes: &[WebScheme]) -> Option<WebUrl> {
    let (text, place) = reader.secret(body, "url")?;
    parse_url(reader, &text, &place, schemes)
}

pub(super) fn parse_url(reader: &mut Reader<'_>, text: &str, place: &Place, schemes: &[WebScheme]) -> Option<WebUrl> {
    let message = match WebUrl::parse(text.trim()) {
        Ok(url) if schemes.contains(&url.scheme) => return Some(url),
        Ok(_) | Err(UrlError::WebScheme) => {
            let allowed: Vec<_> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            format!("the URL must start with {}", allowed.join(" or "))
        }
        Err(error) => error.to_string(),
    };
    reader.error(place, message);
    None
}

/// A bearer token, which goes where user and password would.
fn token(reader: &mut Reader<'_>, body: &Node, url: Option<&WebUrl>) -> Option<Secret> {
    let token = bearer_token(reader, body);
    if token.is_some() && url.is_some_and(|url| url.credentials().is_some()) {
        reader.error(&body.place, "give a token or user:password@ in the URL, not both");
    }
    token
}

/// `true` or how a certificate is verified.
fn optional_tls(reader: &mut Reader<'_>, body: &Node) -> Option<TlsSpec> {
    let tls = body.get("tls")?;
    let off = tls.plain().is_some_and(|word| word == "false");
    (!off).then(|| policy::tls(reader, body))
}
