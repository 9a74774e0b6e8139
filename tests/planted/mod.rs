//! Planted secrets, the search for them in whatever shape, and origins that would make a careless program tell them.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod targets;

use std::net::SocketAddr;
use std::sync::Arc;

use rtmp_hmonitor::sim::{Fault, Login, LoginMethod, SimConfig};

use crate::harness::free_port;
use crate::process::{Origin, WebServer, blunt_server};

/// Camera and stream key.
pub const KEY: &str = "K3yOfGate-zQ7w";
/// `?token=`, with characters that escapes change.
pub const TOKEN: &str = "T0ken/OfGate+zQ8=";
pub const PASSWORD: &str = "P4ssw0rdOfGate!zQ9";
/// Application that stands for a key, as cameras push.
pub const LONE: &str = "L0neApp-zX1";
/// A key with escapes, as the URL says it and as it is.
pub const ESCAPED: &str = "G%C3%BCrtel%20zX2%2fd";
pub const DECODED: &str = "Gürtel zX2/d";
pub const OPERATE: &str = "0perate-Token-zX3";
pub const READ: &str = "R3ad-Token-zX4";
pub const INVENTORY: &str = "1nventory-Token-zX5";
pub const INVENTORY_QUERY: &str = "1nventory-Query-zX6";
pub const DISCOVERED: &str = "D1scoveredKey-zX7";
pub const ADDED: &str = "4ddedKey-zX8";
pub const REDIRECTED: &str = "R3directedKey-zX9";
pub const GUESSED: &str = "Gu3ssedToken-zY1";

pub const USER: &str = "Us3rOfGate-zZ3";
/// In endpoints and services: bearer tokens, `user:password@`, paths and queries of URLs.
pub const TARGET_TOKEN: &str = "T4rgetToken-zY2";
pub const TARGET_USER: &str = "T4rgetUser-zY3";
pub const TARGET_PASSWORD: &str = "T4rgetPassword+zY4";
pub const TARGET_PATH: &str = "T4rgetPath-zY5";
pub const TARGET_QUERY: &str = "T4rgetQuery-zY6";
pub const STORE_PASSWORD: &str = "St0rePassword/zY7=";
pub const VIMEO_TOKEN: &str = "V1meoToken-zY8";
/// In the application that an endpoint connects to.
pub const APP_QUERY: &str = "4ppQuery-zY9";
/// A key that a media server's statistics list.
pub const LISTED: &str = "L1stedKey-zZ1";
/// What devices and platforms tell though nobody asked.
pub const TOLD: &str = "T0ldKey-zZ2";

pub const SECRETS: [&str; 25] = [
    KEY,
    TOKEN,
    PASSWORD,
    LONE,
    ESCAPED,
    DECODED,
    OPERATE,
    READ,
    INVENTORY,
    INVENTORY_QUERY,
    DISCOVERED,
    ADDED,
    REDIRECTED,
    GUESSED,
    TARGET_TOKEN,
    TARGET_USER,
    TARGET_PASSWORD,
    TARGET_PATH,
    TARGET_QUERY,
    STORE_PASSWORD,
    VIMEO_TOKEN,
    APP_QUERY,
    LISTED,
    TOLD,
    USER,
];

/// Everything that anyone could see, by where it was seen.
#[derive(Default)]
pub struct Seen(pub Vec<(String, String)>);

impl Seen {
    pub fn note(&mut self, place: impl Into<String>, text: impl Into<String>) {
        let (place, text) = (place.into(), text.into());
        assert!(!text.is_empty(), "{place} shows nothing, which proves nothing");
        self.0.push((place, text));
    }

    pub fn text(&self, place: &str) -> &str {
        &self.0.iter().find(|(p, _)| p == place).unwrap_or_else(|| panic!("{place} was not seen")).1
    }

    /// One line for each secret found somewhere.
    pub fn leaks(&self) -> Vec<String> {
        let needles: Vec<_> = SECRETS
            .iter()
            .flat_map(|secret| forms(secret).into_iter().map(move |(form, text)| (secret, form, text.to_lowercase())))
            .collect();
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            let text = text.to_lowercase();
            for (secret, form, needle) in &needles {
                if let Some(at) = text.find(needle.as_str()) {
                    let line = text[..at].matches('\n').count();
                    let line: String = text.lines().nth(line).unwrap_or_default().chars().take(600).collect();
                    found.push(format!("{secret} ({form}) in {place}: {line}"));
                }
            }
        }
        found
    }
}

/// The shapes in which a secret might be written.
pub fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let percent = bytes.iter().map(|b| if unreserved(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") });
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("percent-encoded", percent.collect()),
        ("hexadecimal", bytes.iter().map(|b| format!("{b:02x}")).collect()),
        ("a list of bytes", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")),
        ("escaped for debugging", secret.escape_default().to_string()),
        ("bytes escaped for debugging", secret.as_bytes().escape_ascii().to_string()),
    ];
    // Base64 depends on where in a group of three the secret begins; the characters at its ends also on its neighbours.
    for before in 0..3 {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
        let encoded = base64(&padded);
        let start = [0, 2, 3][before];
        let end = padded.len() * 8 / 6;
        forms.push(("base64", encoded[start..end].to_owned()));
    }
    forms
}

pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value = (0..3).fold(0, |v, i| v << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..=group.len() {
            text.push(ALPHABET[(value >> (18 - 6 * i)) as usize % 64].into());
        }
    }
    text
}

pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Origins that fail in every way that could make somebody quote a secret.
pub struct World {
    pub gate: Origin,
    pub door: Origin,
    pub secure: Origin,
    pub guarded: Origin,
    pub parrot: SocketAddr,
    pub lone_parrot: SocketAddr,
    pub odd_parrot: SocketAddr,
    pub garbage: SocketAddr,
    pub inventory: WebServer,
}

impl World {
    pub fn new() -> Self {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], private)
            .unwrap();
        let secure = SimConfig { tls: Some(Arc::new(tls)), ..SimConfig::default() };
        let login = Login { method: LoginMethod::Adobe, user: USER.into(), password: PASSWORD.into() };
        let gate = Origin::start(&format!("{KEY},{LONE},{DISCOVERED},{ADDED}"));
        let door = Origin::start(KEY);
        door.fault(KEY, &Fault::Redirect { to: format!("rtmp://{}/{REDIRECTED}?token={PASSWORD}", gate.address()) });
        Self {
            gate,
            door,
            secure: Origin::start_with(KEY, secure),
            guarded: Origin::start_with(KEY, SimConfig { login: Some(login), ..SimConfig::default() }),
            parrot: blunt_server(parrot(&[
                &format!("{KEY}?token={TOKEN}&password={PASSWORD}"),
                KEY,
                TOKEN,
                PASSWORD,
                USER,
                &format!("{USER}:{PASSWORD}"),
            ])),
            lone_parrot: blunt_server(parrot(&[&format!("{LONE}?token={TOKEN}"), LONE, TOKEN])),
            odd_parrot: blunt_server(parrot(&[DECODED, TOKEN, &format!("{DECODED}?token={TOKEN}")])),
            garbage: blunt_server(
                format!("HTTP/1.1 400 Bad Request\r\n\r\nno such stream {KEY}?token={TOKEN}\r\n").repeat(200),
            ),
            inventory: WebServer::start("503 Service Unavailable\r\n\r\n"),
        }
    }

    /// Name and URL of every stream of the configuration.
    pub fn streams(&self) -> Vec<(&'static str, String)> {
        let secrets = format!("{KEY}?token={TOKEN}&password={PASSWORD}");
        let gate = self.gate.address();
        vec![
            ("gate", format!("rtmp://{gate}/live/{secrets}")),
            ("lone", format!("rtmp://{gate}/{LONE}?token={TOKEN}")),
            ("escaped", format!("rtmp://{gate}/live/{ESCAPED}?token={TOKEN}")),
            ("redirected", format!("rtmp://{}/live/{secrets}", self.door.address())),
            ("parrot", format!("rtmp://{USER}:{PASSWORD}@{}/live/{secrets}", self.parrot)),
            ("known", format!("rtmp://{USER}:{PASSWORD}@{}/live/{secrets}", self.guarded.address())),
            ("stranger", format!("rtmp://{USER}:{GUESSED}@{}/live/{secrets}", self.guarded.address())),
            ("unnamed", format!("rtmp://{}/live/{secrets}", self.guarded.address())),
            ("lone-parrot", format!("rtmp://{}/{LONE}?token={TOKEN}", self.lone_parrot)),
            ("odd-parrot", format!("rtmp://{}/live/{ESCAPED}?token={}", self.odd_parrot, encoded(TOKEN))),
            ("garbage", format!("rtmp://{}/live/{secrets}", self.garbage)),
            ("untrusted", format!("rtmps://{}/live/{secrets}", self.secure.address())),
            ("no-tls", format!("rtmps://{gate}/live/{secrets}")),
            ("refused", format!("rtmp://127.0.0.1:{}/live/{secrets}", free_port())),
            ("unresolved", format!("rtmp://no-such-host.invalid/live/{secrets}")),
        ]
    }
}

/// An origin that repeats what it was asked with in its refusal.
pub fn parrot(secrets: &[&str]) -> Vec<u8> {
    use crate::rtmp_support::{connected, created, handshake, status};
    let words =
        secrets.iter().map(|s| format!("{s} {} {} {s:?}, ", encoded(s), s.to_ascii_uppercase())).collect::<String>();
    let code = format!("NetStream.Play.Failed.{}", secrets[1]);
    [handshake(), connected(), created(), status("error", &code, &format!("no: {words}"))].concat()
}
