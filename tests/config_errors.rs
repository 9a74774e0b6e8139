//! Each `tests/config/invalid-*.yml` is refused with exactly the errors its comments name, all of them at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn env() -> BTreeMap<String, String> {
    let pairs = [("EMPTY_KEY", ""), ("PLANTED_TOKEN", "files/PLANTED-TOKEN")];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn invalid_files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("invalid-")).collect();
    files.sort();
    files
}

/// Error lines without the directory.
fn errors_of(path: &Path) -> Vec<String> {
    let errors = rtmp_hmonitor::config::load(path, &env()).expect_err(&format!("{} is valid", path.display()));
    let directory = format!("{}/", path.parent().unwrap().display());
    errors.lines().iter().map(|line| line.replace(&directory, "")).collect()
}

#[test]
fn every_invalid_file_gives_exactly_its_messages() {
    let files = invalid_files();
    assert!(files.len() >= 15, "the table is incomplete: {files:?}");
    let mut wrong = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("#= ")).collect();
        let found = errors_of(&path);
        if found != expected {
            let found: String = found.iter().map(|line| format!("#= {line}\n")).collect();
            wrong.push_str(&format!("{} gives\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_message_shows_a_planted_secret() {
    for path in invalid_files() {
        for line in errors_of(&path) {
            let reported = line.replace("${PLANTED_TOKEN}", "");
            assert!(!reported.contains("PLANTED"), "{line}");
        }
    }
}
