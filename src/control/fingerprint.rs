//! Whether watched files have changed, as the file system tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Device, inode, size and modification time of what a path leads to; `None` when it leads nowhere.
type Mark = Option<(u64, u64, u64, i64, i64)>;
type Marks = BTreeMap<PathBuf, Mark>;

/// The state of files when they were last read.
#[derive(Debug, Default, Clone)]
pub struct Fingerprint {
    read: Marks,
    /// A change seen once; it counts when it stands still, so that half-written files are not read.
    seen: Option<Marks>,
}

impl Fingerprint {
    pub fn of(files: &BTreeSet<PathBuf>) -> Self {
        let read = files.iter().map(|path| (path.clone(), mark(path))).collect();
        Self { read, seen: None }
    }

    /// Whether the files differ from when they were read, and have stood still since the last look.
    pub fn changed(&mut self) -> bool {
        let present = self.present();
        if present == self.read {
            self.seen = None;
            return false;
        }
        let still = self.seen.as_ref() == Some(&present);
        self.seen = Some(present);
        still
    }

    /// Looks at these files from now on. Those looked at before keep their marks.
    pub fn follow(&mut self, files: &BTreeSet<PathBuf>) {
        let read = files.iter().map(|path| (path.clone(), self.read.get(path).copied().unwrap_or_else(|| mark(path))));
        self.read = read.collect();
        self.seen = None;
    }

    /// Takes the present state as read.
    pub fn accept_present(&mut self) {
        self.read = self.present();
        self.seen = None;
    }

    fn present(&self) -> Marks {
        self.read.keys().map(|path| (path.clone(), mark(path))).collect()
    }
}

fn mark(path: &PathBuf) -> Mark {
    let m = fs::metadata(path).ok()?;
    Some((m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()))
}
