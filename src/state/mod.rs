//! Layer 2: what survives a restart. Verdicts, last answers and decisions, streams added by the API, operator's silences.
//!
//! One JSON file, replaced atomically (write, sync, rename, sync the directory), readable by its owner alone, because added streams hold
//! their URLs, and one beside it (`NAME.learned`) of what is usual for each stream. A file that cannot be read back is put aside, not
//! overwritten: the monitor must start.

mod document;
mod learned;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::Notify;

use crate::health::anomaly::LearnedSignals;
use crate::health::{FailoverMemory, Remembered};
use crate::model::Name;
use crate::model::event::Subject;
use crate::model::failover::FailoverPin;
use crate::model::group::Maintenance;
use crate::model::snapshot::Silence;

use document::Document;
pub use document::TargetList;

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(200);

/// How long after a failure to write it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why the state could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot read the state file {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the state file {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// The state file and its present content. Without a path it keeps nothing beyond the process.
#[derive(Debug)]
pub struct StateFile {
    path: Option<PathBuf>,
    document: Mutex<Document>,
    /// Held while writing, so that an older content never replaces a newer one.
    writing: Mutex<()>,
    changed: Notify,
}

impl StateFile {
    /// Reads the file at `path`. A missing one is empty; a damaged one is put aside with a log line.
    pub fn open(path: Option<PathBuf>) -> Result<Self, StateError> {
        let document = match &path {
            Some(path) => read(path)?,
            None => Document::default(),
        };
        Ok(Self { path, document: Mutex::new(document), writing: Mutex::new(()), changed: Notify::new() })
    }

    /// Why a state file at `path` could not be written: by this process, where it runs now.
    pub fn obstacle(path: &Path) -> Option<io::Error> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::access(directory, access).err().map(io::Error::from)
    }

    fn document(&self) -> MutexGuard<'_, Document> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was known of a stream or target.
    pub fn remembered(&self, subject: &Subject) -> Option<Remembered> {
        self.document().judgement(subject)
    }

    /// What was known of all streams and targets.
    pub fn all_remembered(&self) -> Vec<(Subject, Remembered)> {
        self.document().judgements()
    }

    /// Notes a judgement; written soon.
    pub fn remember(&self, subject: &Subject, judgement: &Remembered) {
        self.document().set_judgement(subject, judgement);
        self.changed.notify_one();
    }

    /// Drops what is known of something that is not wanted any more.
    pub fn forget(&self, subject: &Subject) {
        self.document().remove_judgement(subject);
        self.changed.notify_one();
    }

    /// What was decided last, by failover.
    pub fn decisions(&self) -> Vec<(Name, FailoverMemory)> {
        self.document().decisions()
    }

    /// Notes a decision; written soon. One that is told must be on disk before: see [`Self::save`].
    pub fn keep_decision(&self, failover: &Name, decision: &FailoverMemory) {
        self.document().set_decision(failover, decision);
        self.changed.notify_one();
    }

    /// Definitions of the streams added by the API.
    pub fn added_streams(&self) -> Vec<Value> {
        self.document().added.values().cloned().collect()
    }

    /// Keeps a definition; on disk when this returns.
    pub fn add_stream(&self, name: &Name, definition: Value) -> Result<(), StateError> {
        let before = self.document().added.insert(name.to_string(), definition);
        self.save_or(|document| match before {
            Some(before) => drop(document.added.insert(name.to_string(), before)),
            None => drop(document.added.remove(name.as_str())),
        })
    }

    /// Drops a definition; gone from disk when this returns.
    pub fn remove_added_stream(&self, name: &Name) -> Result<(), StateError> {
        let Some(before) = self.document().added.remove(name.as_str()) else { return Ok(()) };
        self.save_or(|document| drop(document.added.insert(name.to_string(), before)))
    }

    /// The lists that a discovery source last gave.
    pub fn kept_lists(&self, source: &str) -> Vec<TargetList> {
        self.document().lists.get(source).cloned().unwrap_or_default()
    }

    /// Notes what a discovery source gave; written soon.
    pub fn keep_lists(&self, source: String, lists: Vec<TargetList>) {
        self.document().lists.insert(source, lists);
        self.changed.notify_one();
    }

    /// Drops the lists of all other sources.
    pub fn keep_lists_of(&self, sources: &[String]) {
        self.document().lists.retain(|source, _| sources.contains(source));
        self.changed.notify_one();
    }

    pub fn silences(&self) -> Vec<(Name, Arc<Silence>)> {
        self.document().silences()
    }

    /// Keeps a silence; on disk when this returns.
    pub fn add_silence(&self, name: &Name, silence: &Silence) -> Result<(), StateError> {
        let before = self.document().set_silence(name, Some(silence.into()));
        self.save_or(|document| drop(document.set_silence(name, before)))
    }

    /// Lifts a silence. It is lifted even if that cannot be written now: better an alarm too many after a restart than a blind stream.
    pub fn remove_silence(&self, name: &Name) {
        drop(self.document().set_silence(name, None));
        self.changed.notify_one();
    }

    pub fn maintenance(&self) -> Vec<(Name, Arc<Maintenance>)> {
        self.document().maintenance()
    }

    /// Keeps a group's maintenance, or its end; on disk when this returns.
    pub fn set_maintenance(&self, group: &Name, to: Option<&Maintenance>) -> Result<(), StateError> {
        let before = self.document().set_maintenance(group, to.map(Into::into));
        self.save_or(|document| drop(document.set_maintenance(group, before)))
    }

    pub fn pins(&self) -> Vec<(Name, Arc<FailoverPin>)> {
        self.document().pins()
    }

    /// Keeps a failover's pin, or its end; on disk when this returns.
    pub fn set_pin(&self, failover: &Name, to: Option<&FailoverPin>) -> Result<(), StateError> {
        let before = self.document().set_pin(failover, to.map(Into::into));
        self.save_or(|document| drop(document.set_pin(failover, before)))
    }

    /// Drops maintenance and pins whose time is over; written soon. What cannot be written is over after a restart, too: its time is in
    /// the file.
    pub fn drop_over(&self, wall: SystemTime) {
        self.document().drop_over(wall);
        self.changed.notify_one();
    }

    /// What was usual for each stream.
    pub fn learned(&self) -> Result<Vec<(Name, LearnedSignals)>, StateError> {
        let Some(path) = self.learned_path() else { return Ok(Vec::new()) };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StateError::Read { path, source }),
        };
        learned::from_json(&text).or_else(|error| put_aside(&path, &error).map(|()| Vec::new()))
    }

    /// Keeps what is usual for each stream, and nothing of others; on disk when this returns.
    pub fn keep_learned(&self, streams: &[(Name, LearnedSignals)]) -> Result<(), StateError> {
        let Some(path) = self.learned_path() else { return Ok(()) };
        replace(&path, &learned::to_json(streams)).map_err(|source| StateError::Write { path, source })
    }

    fn learned_path(&self) -> Option<PathBuf> {
        self.path.as_ref().map(|path| path.with_extension("learned"))
    }

    /// Writes the present content.
    pub fn save(&self) -> Result<(), StateError> {
        let Some(path) = &self.path else { return Ok(()) };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.document().to_json();
        replace(path, &text).map_err(|source| StateError::Write { path: path.clone(), source })
    }

    /// Writes the present content, or else undoes what cannot be kept. Another write may have put it on disk meanwhile: soon it is gone there,
    /// too.
    fn save_or(&self, undo: impl FnOnce(&mut Document)) -> Result<(), StateError> {
        self.save().inspect_err(|_| {
            undo(&mut self.document());
            self.changed.notify_one();
        })
    }

    /// Writes changes until the task is dropped. A failure is logged once until writing works again.
    pub async fn keep_saved(self: Arc<Self>) {
        let mut failing = false;
        loop {
            self.changed.notified().await;
            tokio::time::sleep(GATHER).await;
            let state = Arc::clone(&self);
            let result = tokio::task::spawn_blocking(move || state.save()).await;
            match result {
                Ok(Ok(())) => failing = false,
                Ok(Err(error)) => {
                    if !failing {
                        tracing::error!(%error, "verdicts would not survive a restart");
                    }
                    failing = true;
                    self.changed.notify_one();
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => tracing::error!(%error, "writing the state file failed"),
            }
        }
    }
}

fn read(path: &Path) -> Result<Document, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // Found out now, not at the first verdict.
            replace(path, &Document::default().to_json())
                .map_err(|source| StateError::Write { path: path.to_owned(), source })?;
            return Ok(Document::default());
        }
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    };
    match Document::from_json(&text) {
        Ok(document) => Ok(document),
        Err(error) => put_aside(path, &error).map(|()| Document::default()),
    }
}

/// Makes room for a file in the place of a damaged one, which stays for whoever wants to look at it.
fn put_aside(path: &Path, error: &str) -> Result<(), StateError> {
    let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let aside = with_ending(path, &format!(".damaged-{stamp}"));
    fs::rename(path, &aside).map_err(|source| StateError::Write { path: aside.clone(), source })?;
    tracing::error!(%error, path = %path.display(), aside = %aside.display(),
        "a file of the monitor's state is damaged; it was put aside, and the monitor starts without it");
    Ok(())
}

/// The same path with more at its end: names that differ in their extension alone stay different.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Makes `text` the content of the file at `path`, readable by its owner alone: all of it or, whatever happens, nothing.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = with_ending(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}
