//! The status document as a table for a terminal.

use std::fmt::Write as _;

use serde_json::Value;

/// Objects that are not well which are listed; the rest is counted.
const MOST_TROUBLES: usize = 40;

/// Makes the text of `ctl status`.
pub fn table(document: &Value) -> String {
    let mut out = String::new();
    let monitor = &document["monitor"];
    // Writing into a String cannot fail.
    let _ = writeln!(
        out,
        "monitor {} (version {}, picture {} ms old){}",
        word(&monitor["status"]),
        word(&monitor["version"]),
        word(&monitor["snapshot_age_ms"]),
        match &document["isolated_since"] {
            Value::String(since) => format!(", isolated since {}", clean(since)),
            _ => String::new(),
        }
    );
    let failovers = list(document, "failovers");
    section(&mut out, &["FAILOVER", "ACTIVE", "VALUE", "EPOCH", "REASON", "SINCE", "NOTE"], failovers, |f| {
        vec![
            word(&f["name"]),
            word(&f["active"]),
            word(&f["value"]),
            word(&f["epoch"]),
            word(&f["reason"]),
            word(&f["since"]),
            notes([
                f["pinned"].is_object().then(|| format!("pinned: {}", word(&f["pinned"]["reason"]))),
                f["suppressed"].as_str().map(|s| format!("no switch: {}", clean(s))),
                (f["held"] == true).then(|| "held".to_owned()),
            ]),
        ]
    });
    let head = ["GROUP", "HEALTH", "ANSWER", "ELIGIBLE", "SERVING", "MEMBERS", "SINCE", "NOTE"];
    section(&mut out, &head, list(document, "groups"), |g| {
        let maintenance = &g["maintenance"];
        vec![
            word(&g["name"]),
            word(&g["health"]),
            if g["answer"]["healthy"] == true { "healthy" } else { "unhealthy" }.to_owned(),
            word(&g["eligible"]),
            word(&g["serving"]),
            format!("{}/{}", word(&g["members"]["healthy"]), word(&g["members"]["expected"])),
            word(&g["since"]),
            notes([
                maintenance.is_object().then(|| {
                    let until = maintenance["until"].as_str().map(|u| format!(" until {}", clean(u)));
                    let (state, reason) = (word(&maintenance["state"]), word(&maintenance["reason"]));
                    format!("{state}{}: {reason}", until.unwrap_or_default())
                }),
                (g["held"] == true).then(|| "held".to_owned()),
                causes(g),
            ]),
        ]
    });
    let classes = [("stream", "streams"), ("endpoint", "endpoints"), ("service", "services")];
    let troubles: Vec<(&str, &Value)> = classes
        .iter()
        .flat_map(|(class, key)| list(document, key).iter().map(move |object| (*class, object)))
        .filter(|(_, object)| !matches!(object["health"].as_str(), Some("up" | "idle")))
        .collect();
    let shown = troubles.get(..troubles.len().min(MOST_TROUBLES)).unwrap_or_default();
    section(&mut out, &["NOT WELL", "HEALTH", "SINCE", "CAUSES"], shown, |(class, object)| {
        let name = format!("{class} {}", word(&object["name"]));
        vec![name, word(&object["health"]), word(&object["since"]), causes(object).unwrap_or_default()]
    });
    if troubles.len() > shown.len() {
        let _ = writeln!(out, "and {} more", troubles.len() - shown.len());
    }
    let disagreeing = list(document, "controllers").iter().filter(|c| c["disagrees"] == true).collect::<Vec<_>>();
    section(&mut out, &["LOAD BALANCER", "OBJECT", "TOLD", "SECONDS"], &disagreeing, |c| {
        let told = if c["told_healthy"] == true { "healthy" } else { "unhealthy" };
        vec![
            format!("{} {}", word(&c["node"]), word(&c["server"])),
            word(&c["object"]),
            format!("{told}, and does not do it"),
            format!("{:.0}", c["disagreement_seconds"].as_f64().unwrap_or_default()),
        ]
    });
    out.push('\n');
    for (_, key) in classes {
        let objects = list(document, key);
        let count = |health: &str| objects.iter().filter(|o| o["health"] == health).count();
        let states = ["up", "degraded", "down", "unknown", "idle"].map(|h| (h, count(h)));
        let states: Vec<_> = states.iter().filter(|(_, n)| *n > 0).map(|(h, n)| format!("{n} {h}")).collect();
        let _ =
            writeln!(out, "{} {key}{}{}", objects.len(), if states.is_empty() { "" } else { ": " }, states.join(", "));
    }
    out
}

fn list<'d>(document: &'d Value, key: &str) -> &'d [Value] {
    document[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A value in one word; `-` for what is not known.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => clean(text),
        other => other.to_string(),
    }
}

/// Without what a terminal could obey.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn causes(object: &Value) -> Option<String> {
    let causes: Vec<_> = object["causes"].as_array()?.iter().map(word).collect();
    (!causes.is_empty()).then(|| causes.join(" "))
}

fn notes<const N: usize>(notes: [Option<String>; N]) -> String {
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Appends a blank line, the head and a row for each item, in columns; nothing without items.
fn section<T>(out: &mut String, head: &[&str], items: &[T], row: impl Fn(&T) -> Vec<String>) {
    if items.is_empty() {
        return;
    }
    let mut rows = vec![head.iter().map(ToString::to_string).collect::<Vec<_>>()];
    rows.extend(items.iter().map(row));
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    out.push('\n');
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
}
