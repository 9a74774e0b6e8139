//! Events as log lines: one per change, rate-limited for what flaps, and the newest of what was left out afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::event::{Event, EventKind, Status, Subject, SubjectClass};
use crate::model::snapshot::Snapshot;
use crate::model::spec::Labels;
use crate::model::target::TargetClass;

/// Lines about one subject's state, and as many about the rest of it, within [`WINDOW`]: others wait for its end.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Journal {
    /// Of subjects that changed lately; whether changes of state are meant.
    windows: HashMap<(Subject, bool), Window>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    written: u32,
    left_out: u32,
    /// The newest that was left out.
    newest: Option<Arc<Event>>,
}

impl Journal {
    /// Writes `event`, or keeps it for later when its subject has had its lines. `snapshot`: the first in which it has happened.
    pub fn note(&mut self, now: Instant, event: &Arc<Event>, snapshot: &Snapshot) {
        if is_rare(event.kind) {
            return write(event, snapshot, false);
        }
        let key = (event.subject.clone(), is_state(event.kind));
        let empty = || Window { start: now, written: 0, left_out: 0, newest: None };
        let window = self.windows.entry(key).or_insert_with(empty);
        if window.written >= LINES {
            window.left_out += 1;
            window.newest = Some(Arc::clone(event));
            return;
        }
        window.written += 1;
        write(event, snapshot, false);
    }

    /// Ends windows that are over, saying how much was left out, and the newest of it: whoever reads the log knows what holds now.
    pub fn flush(&mut self, now: Instant, snapshot: &Snapshot) {
        self.windows.retain(|(subject, _), window| {
            let over = now.saturating_duration_since(window.start) >= WINDOW;
            if let Some(newest) = window.newest.take_if(|_| over) {
                let (class, name) = (subject.class, &subject.name);
                tracing::warn!(%name, changes = window.left_out, "the {class} flaps: further changes were not logged one by one, the newest follows");
                write(&newest, snapshot, true);
            }
            !over
        });
    }
}

/// Decisions, and what operators say: never too many.
fn is_rare(kind: EventKind) -> bool {
    use EventKind::{Intent, Isolation, Silenced, Switched, Unsilenced};
    matches!(kind, Switched | Isolation | Intent | Silenced | Unsilenced)
}

fn is_state(kind: EventKind) -> bool {
    matches!(kind, EventKind::State | EventKind::Fault)
}

/// Labels, as JSON, of whom an event is about. `None`: there are none.
fn labels(subject: &Subject, snapshot: &Snapshot) -> Option<String> {
    let name = subject.name.as_str();
    let target = |class| snapshot.target(class, name).map(|v| &v.spec.labels);
    let labels: &Labels = match subject.class {
        SubjectClass::Stream => snapshot.stream(name).map(|v| &v.spec.labels),
        SubjectClass::Endpoint => target(TargetClass::Endpoint),
        SubjectClass::Service => target(TargetClass::Service),
        SubjectClass::Path => snapshot.path(name).map(|v| &v.spec.labels),
        SubjectClass::Group => snapshot.decisions.group(name).map(|v| &v.spec.labels),
        SubjectClass::Failover => snapshot.decisions.failover(name).map(|v| &v.spec.labels),
        SubjectClass::Monitor => None,
    }?;
    let map: serde_json::Map<_, _> = labels.iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    (!map.is_empty()).then(|| serde_json::Value::Object(map).to_string())
}

/// `late`: the line says when it was.
fn write(event: &Event, snapshot: &Snapshot, late: bool) {
    let Event { subject, kind, detail, epoch, reason, .. } = event;
    let class = subject.class;
    let about = |of| (class == of).then_some(subject.name.as_str());
    let (stream, endpoint) = (about(SubjectClass::Stream), about(SubjectClass::Endpoint));
    let (service, path) = (about(SubjectClass::Service), about(SubjectClass::Path));
    let (group, failover) = (about(SubjectClass::Group), about(SubjectClass::Failover));
    let from = event.from.as_ref().map(Status::as_str);
    let to = event.to.as_ref().map(Status::as_str);
    let causes = event.causes.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(",");
    let hop = event.hop.as_ref().map(ToString::to_string);
    let labels = labels(subject, snapshot);
    let at = late.then(|| jiff::Timestamp::try_from(event.at).ok().map(|at| format!("{at:.3}"))).flatten();
    let (hop, labels, at, action) = (hop.as_deref(), labels.as_deref(), at.as_deref(), kind.as_str());
    let what = if matches!(kind, EventKind::State | EventKind::Cause) { " changed" } else { "" };
    if event.is_failure() || event.to == Some(Status::Sight { isolated: true }) {
        tracing::warn!(stream, endpoint, service, path, group, failover, action, from, to, causes, reason, hop, epoch, labels, at, %detail, "{class} {kind}{what}");
    } else {
        tracing::info!(stream, endpoint, service, path, group, failover, action, from, to, causes, reason, hop, epoch, labels, at, %detail, "{class} {kind}{what}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;
    use std::time::SystemTime;

    use super::*;
    use crate::model::{Health, Name};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged meanwhile.
    fn logged(act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn event(kind: EventKind, to: Health, number: u64) -> Arc<Event> {
        let subject = Subject::stream(&Name::new("gate-1").unwrap());
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        Arc::new(Event { to: Some(to.into()), epoch: Some(number), ..Event::new(at, subject, kind, "x") })
    }

    #[test]
    fn of_a_stream_that_flaps_the_newest_state_is_told_at_last() {
        let (mut journal, start) = (Journal::default(), Instant::now());
        let snapshot = Snapshot::empty(start);
        let text = logged(|| {
            for number in 1..=50 {
                journal.note(start, &event(EventKind::Cause, Health::Down, 100 + number), &snapshot);
                let to = if number % 2 == 0 { Health::Up } else { Health::Down };
                journal.note(start, &event(EventKind::State, to, number), &snapshot);
                journal.note(start, &event(EventKind::Switched, Health::Up, 200 + number), &snapshot);
            }
            journal.flush(start + WINDOW / 2, &snapshot);
        });
        let count = |what: &str| text.matches(what).count();
        assert_eq!((count("stream state changed"), count("stream cause changed")), (10, 10), "each has its own lines");
        assert_eq!(count("stream switched"), 50, "decisions are never left out");
        assert_eq!(count("flaps"), 0);

        let text = logged(|| journal.flush(start + WINDOW, &snapshot));
        assert_eq!(text.matches("\"changes\":40").count(), 2, "{text}");
        let state = text.lines().find(|line| line.contains("stream state changed")).expect("the newest state");
        assert!(state.contains("\"to\":\"up\"") && state.contains("\"epoch\":50"), "{state}");
        assert!(state.contains("\"at\":\"1970-01-01T00:00:50.000Z\""), "it says when that was: {state}");
        assert_eq!(logged(|| journal.flush(start + 2 * WINDOW, &snapshot)), "", "once");
    }
}
