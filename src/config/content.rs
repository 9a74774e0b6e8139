//! `content:`: which checks of the decoded picture and sound are on, and their limits.

use super::keys::{DAY, HOUR, SECOND, duration, ms};
use super::node::{Kind, Node};
use super::shape::Shape::{Choice, Either, Number, Share, Table};
use super::shape::{FLAG, Key, key, words};
use crate::model::content_policy::{
    BlackLimits, ContentPolicy, FrozenLimits, Severity, SilentLimits, UndecodableLimits,
};

pub(super) const CONTENT: &[Key] = &[key(
    "content",
    Either(FLAG, &Table(&[CHECKS])),
    "Checks of the decoded picture and sound; true is all. Default: none.",
)];

const CHECKS: &[Key] = &[
    key("interval", ms(SECOND, HOUR), "From one look to the next, when nothing asks for an earlier one.")
        .or(|| duration(ContentPolicy::default().interval)),
    key("black", Either(FLAG, &Table(&[BLACK])), "A picture without light; true, or a mapping of its limits."),
    key("frozen", Either(FLAG, &Table(&[FROZEN])), "A picture that stands still, likewise."),
    key("silent", Either(FLAG, &Table(&[SILENT])), "Sound without anything to hear, likewise."),
    key("undecodable", Either(FLAG, &Table(&[UNDECODABLE])), "Frames that come and cannot be decoded, likewise."),
    key("thumbnail", Choice(FLAG), "Keep a small picture of each look. Default true when any check is on."),
];

const BLACK: &[Key] = &[
    key("luma", Share, "Greatest mean luma of a black picture.").or(|| BlackLimits::default().luma.to_string()),
    key("deviation", Share, "Greatest standard deviation of its luma.")
        .or(|| BlackLimits::default().deviation.to_string()),
    key("duration", ms(0, DAY), "How long it must last.").or(|| duration(BlackLimits::default().duration)),
    SEVERITY,
];

const FROZEN: &[Key] = &[
    key("change", Share, "Greatest mean difference of luma between successive pictures of a frozen one.")
        .or(|| FrozenLimits::default().change.to_string()),
    key("difference", Share, "Greatest difference of luma of any part to the look before.")
        .or(|| FrozenLimits::default().difference.to_string()),
    key("duration", ms(0, DAY), "How long it must last.").or(|| duration(FrozenLimits::default().duration)),
    SEVERITY,
];

const SILENT: &[Key] = &[
    key("loudness", Number(-120.0, 0.0), "Greatest loudness (RMS) of silence, in dB relative to full scale.")
        .or(|| SilentLimits::default().loudness_dbfs.to_string()),
    key("duration", ms(0, DAY), "How long it must last.").or(|| duration(SilentLimits::default().duration)),
    SEVERITY,
];

const UNDECODABLE: &[Key] = &[
    key("errors", Share, "Greatest tolerated share of damaged frames.")
        .or(|| UndecodableLimits::default().errors.to_string()),
    key("duration", ms(0, DAY), "How long it must last.").or(|| duration(UndecodableLimits::default().duration)),
    SEVERITY,
];

const SEVERITY: Key = key(
    "severity",
    Choice(words!(Severity)),
    "What becomes of it: info is told and changes no health, degraded degrades the stream, down is an outage of it.",
)
.or(|| Severity::Degraded.to_string());

pub(super) fn policy(node: &Node) -> ContentPolicy {
    let defaults = ContentPolicy::default();
    let Some(content) = node.get("content") else { return defaults };
    let share = |check: &Node, key: &str, default: f32| check.number(key).map_or(default, |n| n as f32);
    let policy = ContentPolicy {
        interval: content.duration("interval").unwrap_or(defaults.interval),
        black: check(content, "black").map(|check| {
            let defaults = BlackLimits::default();
            BlackLimits {
                luma: share(check, "luma", defaults.luma),
                deviation: share(check, "deviation", defaults.deviation),
                duration: check.duration("duration").unwrap_or(defaults.duration),
                severity: severity(check),
            }
        }),
        frozen: check(content, "frozen").map(|check| {
            let defaults = FrozenLimits::default();
            FrozenLimits {
                change: share(check, "change", defaults.change),
                difference: share(check, "difference", defaults.difference),
                duration: check.duration("duration").unwrap_or(defaults.duration),
                severity: severity(check),
            }
        }),
        silent: check(content, "silent").map(|check| {
            let defaults = SilentLimits::default();
            SilentLimits {
                loudness_dbfs: share(check, "loudness", defaults.loudness_dbfs),
                duration: check.duration("duration").unwrap_or(defaults.duration),
                severity: severity(check),
            }
        }),
        undecodable: check(content, "undecodable").map(|check| {
            let defaults = UndecodableLimits::default();
            UndecodableLimits {
                errors: share(check, "errors", defaults.errors),
                duration: check.duration("duration").unwrap_or(defaults.duration),
                severity: severity(check),
            }
        }),
        thumbnail: false,
    };
    ContentPolicy { thumbnail: content.flag("thumbnail").unwrap_or_else(|| policy.is_on()), ..policy }
}

fn severity(check: &Node) -> Severity {
    check.text("severity").and_then(|text| Severity::from_text(&text)).unwrap_or(Severity::Degraded)
}

/// The check at `key` if it is on: `true`, or a mapping.
fn check<'n>(content: &'n Node, key: &str) -> Option<&'n Node> {
    // All of them where there is no word on each.
    let check = if matches!(content.kind, Kind::Table(_)) { content.get(key)? } else { content };
    (matches!(check.kind, Kind::Table(_)) || check.plain().as_deref() == Some("true")).then_some(check)
}
