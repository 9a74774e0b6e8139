//! What waits to be delivered: on disk before it is tried, gone when it is delivered. So each change is delivered at least once, in order,
//! whatever becomes of the monitor meanwhile. A disk that hangs is not waited for: to tell nobody would be worse.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Inputs;
use super::change::{Change, ChangeKind, Ledger};
use super::status::Pending;
use crate::model::Name;
use crate::model::action::{ActionKind, ActionOutcome, ChangeFilter};
use crate::model::event::Subject;
use crate::model::failover::Decisions;
use crate::probe::BoxFuture;
use crate::state;

/// Changes that wait at most; then the oldest are given up.
pub const MAX_WAITING: usize = 1000;
/// Largest file that is read back.
const MAX_FILE: u64 = 16 << 20;
/// Most time that a delivery waits for the disk.
const SYNC: Duration = Duration::from_millis(250);
/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What came of one attempt. Texts are for people, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Done,
    /// Try again later.
    Later(String),
    /// It will never be taken, or may not be tried twice.
    Never(ActionOutcome, String),
}

/// Tells somebody of a change.
pub trait Deliver: Send + Sync {
    fn deliver<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Delivery>;
}

/// Whose changes, and where they wait.
#[derive(Debug)]
pub struct Route {
    pub kind: ActionKind,
    pub name: Name,
    pub changes: ChangeFilter,
    /// Directory of all outboxes. `None`: nothing survives the process.
    pub directory: Option<Arc<Path>>,
}

/// Changes told of and changes that wait.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    told: Ledger,
    waiting: VecDeque<Change>,
}

#[derive(Debug)]
struct Outbox {
    content: Content,
    file: Option<NewestText>,
}

impl Outbox {
    async fn open(route: &Route) -> Self {
        let Some(directory) = route.directory.clone() else {
            return Self { content: Content::default(), file: None };
        };
        let path = directory.join(format!("{}-{}.json", route.kind, route.name));
        let of = path.clone();
        let read = tokio::task::spawn_blocking(move || read(&directory, &of)).await;
        let content = read.map_err(io::Error::other).and_then(|read| read).unwrap_or_else(|error| {
            tracing::error!(%error, path = %path.display(), "what waited to be delivered cannot be read back");
            Content::default()
        });
        Self { content, file: Some(NewestText::of(path)) }
    }

    /// Takes what is new in `decisions`. How many of those that waited longest had to go: `None` when there is nothing new.
    fn observe(&mut self, decisions: &Decisions, filter: &ChangeFilter) -> Option<usize> {
        let before = self.content.told.clone();
        let changes = self.content.told.changes(decisions, filter);
        self.content.waiting.extend(changes);
        let excess = self.content.waiting.len().saturating_sub(MAX_WAITING);
        self.content.waiting.drain(..excess);
        (before != self.content.told).then_some(excess)
    }

    fn finish(&mut self, id: &str) {
        if self.content.waiting.front().is_some_and(|first| first.id == id) {
            self.content.waiting.pop_front();
        }
    }

    /// Puts the present content on disk, if that does not take too long.
    async fn save(&mut self) {
        let Some(file) = &mut self.file else { return };
        match serde_json::to_vec(&self.content) {
            Ok(text) => file.write(text).await,
            Err(error) => tracing::error!(%error, "what waits to be delivered cannot be written"),
        }
    }
}

/// A file that a task of its own keeps at the newest text.
#[derive(Debug)]
struct NewestText {
    newest: watch::Sender<(u64, Arc<[u8]>)>,
    /// The number of the last text that was tried.
    written: watch::Receiver<u64>,
    hangs: bool,
}

impl NewestText {
    fn of(path: PathBuf) -> Self {
        let (newest, of) = watch::channel((0, Arc::default()));
        let (tried, written) = watch::channel(0);
        tokio::spawn(keep(path, of, tried));
        Self { newest, written, hangs: false }
    }

    async fn write(&mut self, text: Vec<u8>) {
        let number = self.newest.borrow().0 + 1;
        self.newest.send_replace((number, text.into()));
        let written = tokio::time::timeout(SYNC, self.written.wait_for(|written| *written >= number)).await;
        let hung = std::mem::replace(&mut self.hangs, written.is_err());
        if self.hangs && !hung {
            tracing::error!("the disk takes too long: changes are told before it is noted that they are to be");
        }
    }
}

/// Writes each newest text. A failure is logged once until writing works again.
async fn keep(path: PathBuf, mut newest: watch::Receiver<(u64, Arc<[u8]>)>, tried: watch::Sender<u64>) {
    let mut failing = false;
    while newest.changed().await.is_ok() {
        let (number, text) = newest.borrow_and_update().clone();
        let to = path.clone();
        let written = tokio::task::spawn_blocking(move || state::replace(&to, &text)).await;
        let result = written.map_err(io::Error::other).and_then(|written| written);
        let failed = result.is_err();
        if let (Err(error), false) = (result, failing) {
            tracing::error!(%error, "what waits to be delivered would not survive a restart");
        }
        failing = failed;
        tried.send_replace(number);
    }
}

fn read(directory: &Path, path: &Path) -> io::Result<Content> {
    use std::io::Read;
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut text = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAX_FILE).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&text).map_err(|error| {
        // Kept for whoever wants to look into it.
        let _ = std::fs::rename(path, path.with_extension("damaged"));
        io::Error::other(format!("not valid at line {}, column {}; it was put aside", error.line(), error.column()))
    })
}

/// Delivers changes one after the other until the decisions' source is gone.
pub async fn run(route: Route, inputs: Inputs, receiver: Arc<dyn Deliver>) {
    let Route { kind, name, changes, .. } = &route;
    let status = &inputs.status;
    let mut outbox = Outbox::open(&route).await;
    let mut pending = Pending::new(status, *kind);
    let mut decisions = inputs.decisions.clone();
    decisions.mark_changed();
    let mut flight: Option<(String, BoxFuture<'static, Delivery>)> = None;
    let mut failures = 0u32;
    loop {
        pending.set(outbox.content.waiting.len());
        if let (None, Some(first)) = (&flight, outbox.content.waiting.front()) {
            let (receiver, first, pause) = (Arc::clone(&receiver), first.clone(), pause(failures));
            let id = first.id.clone();
            let attempt = async move {
                tokio::time::sleep(pause).await;
                receiver.deliver(&first).await
            };
            flight = Some((id, Box::pin(attempt)));
        }
        let attempt = async {
            match &mut flight {
                Some((_, attempt)) => attempt.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = decisions.changed() => {
                if changed.is_err() {
                    return;
                }
                let newest = Arc::clone(&decisions.borrow_and_update());
                if let Some(given_up) = outbox.observe(&newest, changes) {
                    (0..given_up).for_each(|_| status.count(*kind, ActionOutcome::Dropped));
                    if given_up > 0 {
                        tracing::error!(%name, given_up, "too much waits to be delivered by the {kind}: the oldest was given up");
                    }
                    outbox.save().await;
                }
            }
            delivery = attempt => {
                let Some((id, _)) = flight.take() else { continue };
                let about = outbox.content.waiting.front().filter(|first| first.id == id).map(subject);
                let note = |text: String| if let Some(Some(subject)) = &about {
                    inputs.note(subject.clone(), &text);
                };
                match delivery {
                    Delivery::Done => {
                        status.count(*kind, ActionOutcome::Done);
                        note(format!("{kind} {name}: told of {id}"));
                        failures = 0;
                        outbox.finish(&id);
                        outbox.save().await;
                    }
                    Delivery::Later(why) => {
                        status.count(*kind, ActionOutcome::Failed);
                        if failures == 0 {
                            note(format!("{kind} {name} could not be told of {id} and will be: {why}"));
                        }
                        failures = failures.saturating_add(1);
                    }
                    Delivery::Never(outcome, why) => {
                        status.count(*kind, outcome);
                        note(format!("{kind} {name}: {id}: {why}"));
                        failures = 0;
                        outbox.finish(&id);
                        outbox.save().await;
                    }
                }
            }
        }
    }
}

/// Before the attempt after so many failures.
fn pause(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let longest = FIRST_PAUSE.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn subject(change: &Change) -> Option<Subject> {
    let name = Name::new(&change.object).ok()?;
    Some(match change.kind {
        ChangeKind::Failover => Subject::failover(&name),
        ChangeKind::Group => Subject::group(&name),
    })
}
