//! The log's own file: bounded in size, age and number, and never a reason to stop.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::config::LogFileSpec;

/// After a failure, how long lines are dropped before the next try: a disk that is full stays so for a while.
const RETRY: Duration = Duration::from_secs(1);

/// Appends whole lines. When the next one would make the file too long, or the file is too old, `path` becomes `path.1`, `path.1` becomes
/// `path.2` and so on up to `keep`, and a new file begins.
#[derive(Debug)]
pub struct LogFile {
    spec: LogFileSpec,
    open: Option<Open>,
    /// Since when nothing could be written.
    failing: Option<SystemTime>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    /// When its first line was written.
    begun: SystemTime,
}

impl LogFile {
    /// Opens the file, so that a place that cannot be written shows at the start.
    pub fn open(spec: LogFileSpec, now: SystemTime) -> io::Result<Self> {
        let mut log = Self { spec, open: None, failing: None };
        log.open = Some(log.opened(now)?);
        Ok(log)
    }

    /// Appends `line`, which ends in a line break. On an error nothing of it is left in the file.
    pub fn append(&mut self, now: SystemTime, line: &[u8]) -> io::Result<()> {
        if self.failing.is_some_and(|since| now.duration_since(since).is_ok_and(|passed| passed < RETRY)) {
            return Ok(());
        }
        let result = self.write(now, line);
        match &result {
            Err(error) => {
                let first = self.failing.is_none();
                self.failing = Some(now);
                if first {
                    // Goes to standard output; the file's own copy of this line is dropped.
                    tracing::error!(%error, "the log file cannot be written; lines are missing there until it can");
                }
            }
            Ok(()) if self.failing.take().is_some() => tracing::warn!("the log file can be written again"),
            Ok(()) => {}
        }
        result
    }

    fn write(&mut self, now: SystemTime, line: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.opened(now)?,
        };
        let too_long = open.size > 0 && open.size + line.len() as u64 > self.spec.max_size;
        let too_old = now.duration_since(open.begun).is_ok_and(|age| age > self.spec.max_age);
        if open.size > 0 && (too_long || too_old) {
            self.rotate()?;
            open = self.opened(now)?;
        }
        if open.size == 0 {
            open.begun = now;
        }
        let written = open.file.write_all(line);
        match &written {
            Ok(()) => open.size += line.len() as u64,
            // Half a line would spoil the next one. What cannot be cut off stays.
            Err(_) => drop(open.file.set_len(open.size)),
        }
        self.open = Some(open);
        written
    }

    fn opened(&self, now: SystemTime) -> io::Result<Open> {
        let file = OpenOptions::new().create(true).append(true).open(&self.spec.path)?;
        let known = file.metadata()?;
        // Not every file system knows; the last change is never before the beginning.
        let begun = known.created().or_else(|_| known.modified()).unwrap_or(now);
        Ok(Open { file, size: known.len(), begun })
    }

    fn rotate(&self) -> io::Result<()> {
        if self.spec.keep == 0 {
            return fs::remove_file(&self.spec.path);
        }
        for number in (1..self.spec.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.spec.path, self.numbered(1))
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut name = self.spec.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// For `tracing_appender`, which hands over whole lines.
impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(SystemTime::now(), line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
