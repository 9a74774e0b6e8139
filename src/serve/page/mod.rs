//! `/`: the status page. A shell without data and the files it is made of, all within the binary; its scripts read the API. [`plain`]
//! is for browsers without scripts, [`runbook`] for people whom an alert has sent.

mod plain;
mod runbook;

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::compression::{accepts_gzip, compress, declare};
use super::reply::{Problem, Reply, empty, whole};

pub use plain::plain;
pub use runbook::runbook;

/// Nothing from elsewhere, nothing inline, in nobody's frame. Thumbnails are fetched, and so shown as blobs.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' blob:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Kept by browsers, and asked for each time whether it is still the same: a new binary brings a new page.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file within the binary.
struct File {
    name: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

macro_rules! files {
    ($($name:literal, $content_type:ident, $path:literal;)*) => {
        &[$(File { name: $name, content_type: $content_type, body: include_bytes!($path) }),*]
    };
}

static SHELL: File = File { name: "", content_type: HTML, body: include_bytes!("assets/index.html") };

#[rustfmt::skip]
static FILES: &[File] = files! {
    "announce.js", SCRIPT, "assets/announce.js";
    "api.js", SCRIPT, "assets/api.js";
    "app.js", SCRIPT, "assets/app.js";
    "charts.js", SCRIPT, "assets/charts.js";
    "commands.js", SCRIPT, "assets/commands.js";
    "dom.js", SCRIPT, "assets/dom.js";
    "figures.js", SCRIPT, "assets/figures.js";
    "filter.js", SCRIPT, "assets/filter.js";
    "format.js", SCRIPT, "assets/format.js";
    "live.js", SCRIPT, "assets/live.js";
    "overview.js", SCRIPT, "assets/overview.js";
    "past.js", SCRIPT, "assets/past.js";
    "route.js", SCRIPT, "assets/route.js";
    "sparkline.js", SCRIPT, "assets/sparkline.js";
    "stream.js", SCRIPT, "assets/stream.js";
    "theme.js", SCRIPT, "assets/theme.js";
    "thumbnails.js", SCRIPT, "assets/thumbnails.js";
    "wall.js", SCRIPT, "assets/wall.js";
    "base.css", CSS, "assets/base.css";
    "overview.css", CSS, "assets/overview.css";
    "stream.css", CSS, "assets/stream.css";
    "plain.css", CSS, "plain.css";
    "icon-up.svg", SVG, "assets/icon-up.svg";
    "icon-degraded.svg", SVG, "assets/icon-degraded.svg";
    "icon-down.svg", SVG, "assets/icon-down.svg";
    "icon-unknown.svg", SVG, "assets/icon-unknown.svg";
    "uplot.js", SCRIPT, "vendor/uplot/uPlot.iife.min.js";
    "uplot.css", CSS, "vendor/uplot/uPlot.min.css";
    "uplot-license.txt", TEXT, "vendor/uplot/LICENSE";
};

/// A file as it is sent.
struct Prepared {
    name: &'static str,
    content_type: &'static str,
    body: Bytes,
    tag: HeaderValue,
    compressed: Option<Bytes>,
}

impl Prepared {
    fn file(file: &File) -> Self {
        Self::new(file.name, file.content_type, Bytes::from_static(file.body))
    }

    fn new(name: &'static str, content_type: &'static str, body: Bytes) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &body);
        let tag: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        // Weak: both codings have the same.
        let tag = HeaderValue::from_str(&format!("W/\"{tag}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        let compressed = compress(&body).ok().filter(|c| c.len() < body.len());
        Self { name, content_type, body, tag, compressed: compressed.map(Bytes::from) }
    }

    /// The file, or 304 for those who have it.
    fn reply(&self, asked: &HeaderMap) -> Reply {
        let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let is_known = known.into_iter().any(|tag| tag.trim().as_bytes() == self.tag.as_bytes());
        let mut reply = if is_known {
            let mut reply = empty(StatusCode::NOT_MODIFIED);
            reply.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
            reply
        } else {
            let compressed = self.compressed.clone().filter(|_| accepts_gzip(asked));
            let gzip = compressed.is_some();
            let body = compressed.unwrap_or_else(|| self.body.clone());
            let mut reply = whole(StatusCode::OK, HeaderValue::from_static(self.content_type), body);
            declare(reply.headers_mut(), gzip);
            reply
        };
        reply.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
        reply.headers_mut().insert(ETAG, self.tag.clone());
        reply
    }
}

/// Answers with the shell: no token is asked for, as it holds nothing.
pub fn shell(asked: &HeaderMap) -> Reply {
    static PREPARED: LazyLock<Prepared> = LazyLock::new(|| Prepared::file(&SHELL));
    let mut reply = PREPARED.reply(asked);
    protect(reply.headers_mut());
    reply
}

/// Answers with one of the shell's files.
///
/// # Errors
/// 404: there is none of this name.
pub fn file(asked: &HeaderMap, name: &str) -> Result<Reply, Problem> {
    static PREPARED: LazyLock<Vec<Prepared>> = LazyLock::new(|| FILES.iter().map(Prepared::file).collect());
    let found = PREPARED.iter().find(|p| p.name == name);
    let mut reply = found.ok_or_else(|| Problem::no_such("file"))?.reply(asked);
    protect(reply.headers_mut());
    Ok(reply)
}

fn protect(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}
