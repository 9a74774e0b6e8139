//! Events as log lines: one per change, rate-limited for what flaps.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::model::event::{Event, EventKind, Subject, SubjectClass};
use crate::model::health::Health;
use crate::model::snapshot::Snapshot;
use crate::model::spec::Labels;
use crate::model::target::TargetClass;

/// Lines about one subject within [`WINDOW`] before the rest are counted instead.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Journal {
    /// Start of the window, lines written and lines left out, of subjects that changed lately.
    subjects: HashMap<Subject, (Instant, u32, u32)>,
}

impl Journal {
    /// Writes `event`, or counts it when its subject has had its lines. `snapshot`: the first in which it has happened.
    pub fn note(&mut self, now: Instant, event: &Event, snapshot: &Snapshot) {
        let (_, written, left_out) = self.subjects.entry(event.subject.clone()).or_insert((now, 0, 0));
        if *written >= LINES {
            *left_out += 1;
            return;
        }
        *written += 1;
        write(event, snapshot);
    }

    /// Ends windows that are over, saying how much was left out.
    pub fn flush(&mut self, now: Instant) {
        self.subjects.retain(|subject, (start, _, left_out)| {
            let over = now.saturating_duration_since(*start) >= WINDOW;
            if over && *left_out > 0 {
                let (class, name) = (subject.class, &subject.name);
                tracing::warn!(%name, changes = *left_out, "the {class} flaps: further changes were not logged one by one");
            }
            !over
        });
    }
}

/// Labels, as JSON, and the number of the verdict of whom an event is about.
fn background(subject: &Subject, snapshot: &Snapshot) -> (Option<String>, Option<u64>) {
    let name = subject.name.as_str();
    let target = |class| snapshot.target(class, name).map(|v| (&v.spec.labels, Some(v.verdict.epoch)));
    let known = match subject.class {
        SubjectClass::Stream => snapshot.stream(name).map(|v| (&v.spec.labels, Some(v.verdict.epoch))),
        SubjectClass::Endpoint => target(TargetClass::Endpoint),
        SubjectClass::Service => target(TargetClass::Service),
        SubjectClass::Path => snapshot.path(name).map(|v| (&v.spec.labels, None)),
        SubjectClass::Group => snapshot.decisions.group(name).map(|v| (&v.spec.labels, Some(v.epoch))),
        SubjectClass::Failover => snapshot.decisions.failover(name).map(|v| (&v.spec.labels, Some(v.epoch))),
        SubjectClass::Monitor => None,
    };
    let Some((labels, epoch)) = known else { return (None, None) };
    (json(labels), epoch)
}

/// `None`: there are none.
fn json(labels: &Labels) -> Option<String> {
    let map: serde_json::Map<_, _> = labels.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    (!map.is_empty()).then(|| serde_json::Value::Object(map).to_string())
}

fn write(event: &Event, snapshot: &Snapshot) {
    let Event { subject, kind, detail, .. } = event;
    let class = subject.class;
    let about = |of| (class == of).then_some(subject.name.as_str());
    let (stream, endpoint) = (about(SubjectClass::Stream), about(SubjectClass::Endpoint));
    let (service, path) = (about(SubjectClass::Service), about(SubjectClass::Path));
    let (group, failover) = (about(SubjectClass::Group), about(SubjectClass::Failover));
    let causes = event.causes.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(",");
    let from = event.from.map_or("", Health::as_str);
    let to = event.to.map_or("", Health::as_str);
    let (labels, epoch) = background(subject, snapshot);
    let (labels, action) = (labels.as_deref(), kind.as_str());
    match (kind, event.to) {
        (EventKind::State | EventKind::Cause, Some(Health::Down | Health::Degraded)) => {
            tracing::warn!(stream, endpoint, service, path, group, failover, action, from, to, causes, epoch, labels, %detail, "{class} {kind} changed");
        }
        (EventKind::State | EventKind::Cause, _) => {
            tracing::info!(stream, endpoint, service, path, group, failover, action, from, to, causes, epoch, labels, %detail, "{class} {kind} changed");
        }
        _ => {
            tracing::info!(stream, endpoint, service, path, group, failover, action, labels, %detail, "{class} {kind}")
        }
    }
}
