//! Size, age, number and a full disk, at chosen times.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rtmp_hmonitor::app::LogFile;
use rtmp_hmonitor::config::LogFileSpec;

const HOUR: Duration = Duration::from_secs(3600);

fn spec(path: &Path, max_size: u64, keep: u64) -> LogFileSpec {
    LogFileSpec { path: path.to_owned(), max_size, max_age: HOUR, keep }
}

/// Files beside `path`, newest first, with their contents.
fn files(path: &Path) -> Vec<String> {
    let numbered = |n: usize| PathBuf::from(format!("{}.{n}", path.display()));
    let all = std::iter::once(path.to_owned()).chain((1..).map(numbered));
    all.map_while(|path| fs::read_to_string(path).ok()).collect()
}

#[test]
fn a_full_file_makes_room_and_only_so_many_stay() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let now = SystemTime::now();
    let mut log = LogFile::open(spec(&path, 10, 2), now).unwrap();
    for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "a line longer than a file\n", "six\n"] {
        log.append(now, line.as_bytes()).unwrap();
    }
    assert_eq!(files(&path), ["six\n", "a line longer than a file\n", "four\nfive\n"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "and nothing else stays");
}

#[test]
fn an_old_file_makes_room_at_the_next_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let now = SystemTime::now();
    let mut log = LogFile::open(spec(&path, 1000, 2), now).unwrap();
    log.append(now, b"one\n").unwrap();
    log.append(now + HOUR, b"two\n").unwrap();
    log.append(now + HOUR + Duration::from_secs(1), b"three\n").unwrap();
    assert_eq!(files(&path), ["three\n", "one\ntwo\n"]);
}

#[test]
fn a_restart_goes_on_with_the_file_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "before\n").unwrap();
    let now = SystemTime::now();
    let mut log = LogFile::open(spec(&path, 14, 2), now).unwrap();
    log.append(now, b"after\n").unwrap();
    log.append(now, b"more\n").unwrap();
    assert_eq!(files(&path), ["more\n", "before\nafter\n"]);
}

#[test]
fn without_older_files_to_keep_the_file_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let now = SystemTime::now();
    let mut log = LogFile::open(spec(&path, 5, 0), now).unwrap();
    log.append(now, b"one\n").unwrap();
    log.append(now, b"two\n").unwrap();
    assert_eq!(files(&path), ["two\n"]);
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    assert!(LogFile::open(spec(&directory.path().join("no/such/log"), 100, 1), SystemTime::now()).is_err());
}

/// A small disk of its own. Gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(size: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(disk.0.path());
        assert!(mount.status().unwrap().success(), "mounting a small disk needs root, as make test provides");
        disk
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_lines_are_missing_none_is_torn_and_writing_goes_on_when_there_is_room() {
    let disk = Disk::of("64k");
    let (path, filler) = (disk.0.path().join("log"), disk.0.path().join("filler"));
    let now = SystemTime::now();
    let mut log = LogFile::open(spec(&path, 1 << 20, 1), now).unwrap();
    fs::write(&filler, vec![0; 40_000]).unwrap();
    let line = format!("{}\n", "x".repeat(999));
    let written = (0..100).take_while(|_| log.append(now, line.as_bytes()).is_ok()).count();
    assert!(written < 30, "the disk is full before that: {written}");
    log.append(now, b"dropped without a try\n").unwrap();

    fs::remove_file(&filler).unwrap();
    log.append(now + Duration::from_secs(2), b"last\n").unwrap();
    assert_eq!(files(&path), [format!("{}last\n", line.repeat(written))]);
}
