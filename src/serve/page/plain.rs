//! `/plain`: tables of everything for people whose browsers run no scripts. It asks to be loaded again every few seconds.

use std::fmt::{self, Write as _};

use http::{HeaderValue, StatusCode};

use crate::model::TargetClass;

use crate::serve::api;
use crate::serve::documents::{
    FailoverDocument, GroupDocument, JudgementDocument, PathDocument, StreamSummary, TargetSummary,
};
use crate::serve::moment::Moment;
use crate::serve::reply::{Problem, Reply, held, whole};
use crate::serve::router::Call;

const TEMPLATE: &str = include_str!("plain.html");
/// Where the rows of each table go, in the order streams, failovers, groups, endpoints, services, paths.
const PLACE: &str = "<!--rows-->";

/// Answers with the tables as of now.
///
/// # Errors
/// 503: too many large answers are under way.
pub fn plain(call: &Call) -> Result<Reply, Problem> {
    let place = call.large_answer()?;
    let store = &call.site.views.store;
    let (snapshot, moment) = (store.snapshot(), Moment::read(&store.clock));
    let mut rows = [const { String::new() }; 6];
    let [streams, failovers, groups, endpoints, services, paths] = &mut rows;
    streams.reserve(snapshot.streams.len() * 256);
    // Writing into a String cannot fail.
    for view in snapshot.streams.iter() {
        let _ = stream_row(streams, &StreamSummary::new(view, &snapshot, &moment));
    }
    for view in snapshot.decisions.failovers.iter() {
        let _ = failover_row(failovers, &FailoverDocument::new(view, &snapshot, &moment));
    }
    for view in snapshot.decisions.groups.iter() {
        let _ = group_row(groups, &GroupDocument::new(view, &snapshot, &moment));
    }
    for (class, out) in [(TargetClass::Endpoint, endpoints), (TargetClass::Service, services)] {
        for target in api::status::targets(&snapshot, &moment, class) {
            let _ = target_row(out, &target);
        }
    }
    for view in snapshot.paths.iter() {
        let _ = path_row(paths, &PathDocument::new(view, &snapshot, &moment));
    }
    let mut html = String::with_capacity(TEMPLATE.len() + rows.iter().map(String::len).sum::<usize>());
    let mut pieces = rows.iter();
    for part in TEMPLATE.split_inclusive(PLACE) {
        match part.strip_suffix(PLACE) {
            Some(part) => {
                html.push_str(part);
                html.push_str(pieces.next().map_or("", String::as_str));
            }
            None => html.push_str(part),
        }
    }
    let html = held(html.into_bytes(), place);
    let mut reply = whole(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), html);
    super::protect(reply.headers_mut());
    Ok(reply)
}

fn stream_row(out: &mut String, s: &StreamSummary) -> fmt::Result {
    start(out, &s.judgement)?;
    out.write_str("<td class=\"number\">")?;
    if let Some(bits) = s.bitrate_bps {
        write!(out, "{:.2}", bits / 1e6)?;
    }
    out.write_str("</td><td class=\"number\">")?;
    if let Some(fps) = s.frames_per_second {
        write!(out, "{fps:.1}")?;
    }
    writeln!(out, "</td><td>{}</td></tr>", s.judgement.since)
}

fn target_row(out: &mut String, t: &TargetSummary) -> fmt::Result {
    start(out, &t.judgement)?;
    let figure = Escaped(t.figure.as_deref().unwrap_or_default());
    writeln!(out, "<td>{}</td><td>{figure}</td><td>{}</td></tr>", t.kind, t.judgement.since)
}

/// Name, health and causes, which streams, endpoints and services have.
fn start(out: &mut String, j: &JudgementDocument) -> fmt::Result {
    let (health, name) = (j.health, Escaped(j.name));
    write!(out, "<tr class=\"{health}\"><td>{name}</td><td>{health}</td><td title=\"{}\">", Escaped(j.detail))?;
    write!(out, "{}</td>", j.causes.join(", "))
}

fn path_row(out: &mut String, p: &PathDocument) -> fmt::Result {
    let (health, name) = (p.health, Escaped(p.name));
    write!(out, "<tr class=\"{health}\"><td>{name}</td><td>{health}</td><td>{}</td>", p.causes.join(", "))?;
    let fault = p.fault.as_ref();
    write!(out, "<td>{}</td><td class=\"number\">", Escaped(&fault.map(|f| f.place()).unwrap_or_default()))?;
    if let Some(ratio) = p.link.receive_ratio {
        write!(out, "{:.0} %", ratio * 100.0)?;
    }
    writeln!(out, "</td><td>{}</td></tr>", fault.map_or("", |f| &f.since))
}

fn failover_row(out: &mut String, f: &FailoverDocument) -> fmt::Result {
    let active = f.active.unwrap_or("none");
    write!(out, "<tr><td>{}</td><td>{}</td><td>{}</td><td>", Escaped(f.name), Escaped(active), f.reason)?;
    let suppressed = f.suppressed.map(|why| format!("no switch: {why}"));
    let pinned = f.pinned.as_ref().map(|pin| format!("pinned to {}: {}", pin.group, pin.reason));
    let sight = if f.isolated { Some("isolated") } else { f.held.then_some("held") }.map(str::to_owned);
    list(out, [sight, suppressed, pinned])?;
    out.write_str("</td><td>")?;
    for (index, c) in f.candidates.iter().enumerate() {
        write!(out, "{}{}", if index == 0 { "" } else { "; " }, Escaped(c.group))?;
        let suspect = c.suspect_until.as_ref().map(|until| format!("suspect until {until}"));
        let said = [yes_no(c.eligible, "eligible"), yes_no(c.serving, "serving"), suspect];
        out.write_str(if said.iter().any(Option::is_some) { ": " } else { "" })?;
        list(out, said)?;
    }
    writeln!(out, "</td><td>{}</td></tr>", f.since)
}

fn group_row(out: &mut String, g: &GroupDocument) -> fmt::Result {
    let (health, name) = (g.health, Escaped(g.name));
    let failing = g.failing.join(", ");
    write!(out, "<tr class=\"{health}\"><td>{name}</td><td>{health}</td><td title=\"{}\">", Escaped(&failing))?;
    write!(
        out,
        "{}</td><td class=\"number\">{} of {}</td><td>",
        g.causes.join(", "),
        g.members.healthy,
        g.members.expected
    )?;
    let maintenance = g.maintenance.as_ref().map(|m| format!("{}: {}", m.state, m.reason));
    let held = g.held.then(|| "held".to_owned());
    list(out, [yes_no(g.eligible, "eligible"), yes_no(g.serving, "serving"), maintenance, held])?;
    writeln!(out, "</td><td>{}</td></tr>", g.since)
}

fn yes_no(value: Option<bool>, what: &str) -> Option<String> {
    value.map(|yes| if yes { what.to_owned() } else { format!("not {what}") })
}

/// What there is to say, with commas between.
fn list<const N: usize>(out: &mut String, said: [Option<String>; N]) -> fmt::Result {
    for (index, text) in said.into_iter().flatten().enumerate() {
        write!(out, "{}{}", if index == 0 { "" } else { ", " }, Escaped(&text))?;
    }
    Ok(())
}

/// Text in HTML, also within a quoted attribute.
pub struct Escaped<'t>(pub &'t str);

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
