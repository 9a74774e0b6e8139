//! Files that keepalived's `track_file` reads: one number, replaced whole.
//!
//! keepalived multiplies it with a weight, or takes any number but 0 for a fault where the weight is 0. The file is written when the
//! decision changes and whenever it holds something else.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Inputs;
use super::decided::{Decided, subject};
use super::status::Pending;
use crate::model::action::{ActionKind, ActionOutcome, TrackFile};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longer content is not ours.
const LONGEST: u64 = 16;

/// Keeps one file as decided. Ends with the decisions' source.
pub async fn run(spec: Arc<TrackFile>, inputs: Inputs) {
    let mut decisions = inputs.decisions.clone();
    let mut pending = Pending::new(&inputs.status, ActionKind::TrackFile);
    let mut failing = false;
    loop {
        let decided = Decided::find(&decisions.borrow_and_update(), &spec.decider);
        if let Some(decided) = decided {
            let value = if decided.healthy { 0 } else { spec.unhealthy };
            let file = spec.file.clone();
            // The file may lie on a mount that hangs.
            let kept = tokio::task::spawn_blocking(move || keep(&file, value)).await;
            let shown = spec.file.display();
            let failed = match kept.map_err(io::Error::other).and_then(|kept| kept) {
                Ok(false) => false,
                Ok(true) => {
                    inputs.status.count(ActionKind::TrackFile, ActionOutcome::Done);
                    inputs.note(subject(&spec.decider), &format!("track file {shown}: {value}"));
                    false
                }
                Err(error) => {
                    inputs.status.count(ActionKind::TrackFile, ActionOutcome::Failed);
                    if !failing {
                        tracing::error!(%error, "the track file {shown} cannot be written");
                        inputs.note(subject(&spec.decider), &format!("track file {shown} cannot be written: {error}"));
                    }
                    true
                }
            };
            pending.set(usize::from(failed));
            failing = failed;
        }
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Makes the file hold `value`. Whether it had to be written.
fn keep(file: &Path, value: i16) -> io::Result<bool> {
    let wanted = format!("{value}\n");
    let mut found = String::new();
    let read = fs::File::open(file).and_then(|open| open.take(LONGEST).read_to_string(&mut found));
    if read.is_ok() && found == wanted {
        return Ok(false);
    }
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&temporary)?;
    open.write_all(wanted.as_bytes())?;
    open.sync_all()?;
    fs::rename(&temporary, file)?;
    Ok(true)
}
