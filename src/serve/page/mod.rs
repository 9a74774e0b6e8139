//! `/`: a table of streams for people. Rendered here, so it works without scripts; the script keeps it up to date.

use std::fmt::{self, Write as _};

use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::documents::StreamSummary;
use super::moment::Moment;
use super::reply::{Problem, Reply, held, whole};
use super::router::Call;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers with the table as of now.
///
/// # Errors
/// 503: too many large answers are under way.
pub fn page(call: &Call) -> Result<Reply, Problem> {
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let mut rows = String::with_capacity(snapshot.streams.len() * 256);
    for view in snapshot.streams.iter() {
        // Writing into a String cannot fail.
        let _ = row(&mut rows, &StreamSummary::new(view, &snapshot, &moment));
    }
    let html = include_str!("page.html").replace("<!--rows-->", &rows);
    let html = held(html.into_bytes(), place);
    let mut reply = whole(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), html);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(reply)
}

pub fn style() -> Reply {
    whole(StatusCode::OK, HeaderValue::from_static("text/css; charset=utf-8"), include_str!("page.css"))
}

pub fn script() -> Reply {
    whole(StatusCode::OK, HeaderValue::from_static("text/javascript; charset=utf-8"), include_str!("page.js"))
}

fn row(out: &mut String, s: &StreamSummary) -> fmt::Result {
    let (health, name) = (s.health, Escaped(s.name));
    write!(out, "<tr class=\"{health}\"><td>{name}</td><td>{health}</td><td title=\"{}\">", Escaped(s.detail))?;
    out.write_str(&s.causes.join(", "))?;
    out.write_str("</td><td>")?;
    if let Some(bits) = s.bitrate_bps {
        write!(out, "{:.2}", bits / 1e6)?;
    }
    out.write_str("</td><td>")?;
    if let Some(fps) = s.frames_per_second {
        write!(out, "{fps:.1}")?;
    }
    writeln!(out, "</td><td>{}</td></tr>", s.since)
}

/// Text in HTML, also within a quoted attribute.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
