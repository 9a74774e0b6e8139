//! Layers import downward only. A module may use those of lower layers, never its own layer's siblings or what lies above.

use std::fs;
use std::path::{Path, PathBuf};

/// Module and layer.
const LAYERS: &[(&str, u8)] = &[
    ("model", 0),
    ("rtmp", 1),
    ("media", 1),
    ("health", 1),
    ("libav_protocol", 1),
    ("config", 2),
    ("state", 2),
    ("probe", 2),
    ("libav_pool", 2),
    ("sim", 2),
    ("store", 3),
    ("control", 3),
    ("act", 3),
    ("serve", 4),
    ("app", 5),
    ("cli", 5),
];

/// Modules of the top layer that may know each other.
const TOP: u8 = 5;

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Top-level modules named by `crate::x` or inside `crate::{x, y}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let end = list.find(|c| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    depth < 0
                });
                let list = &list[..end.expect("an import list ends")];
                list.split(',').map(str::trim).map(str::to_owned).collect()
            }
            None => vec![rest.to_owned()],
        };
        for name in names {
            found.push(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found
}

#[test]
fn imports_point_downward() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let module =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        // The worker is a program of its own.
        if module == "lib" || module == "main" || module == "libav" {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("src/{module} has no layer: add it to LAYERS"));
        for used in imports(&code(&fs::read_to_string(&file).unwrap())) {
            let Some(other) = layer(&used) else { continue };
            checked += 1;
            if used != module && other >= own && own != TOP {
                wrong.push(format!("{} (layer {own}) imports {used} (layer {other})", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "upward or sideways imports:\n{}", wrong.join("\n"));
    assert!(checked > 50, "the test reads the imports ({checked} found)");
}

#[test]
fn the_worker_knows_the_lowest_layers_only() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/libav"), &mut files);
    let mut checked = 0;
    for file in files {
        let code = code(&fs::read_to_string(&file).unwrap());
        for used in imports(&code.replace("crate::", "").replace("rtmp_hmonitor::", "crate::")) {
            assert!(layer(&used).is_some_and(|layer| layer <= 1), "{} imports {used}", file.display());
            checked += 1;
        }
    }
    assert!(checked > 5, "the test reads the imports ({checked} found)");
}

#[test]
fn sans_io_layers_know_no_runtime_and_no_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in ["rtmp", "media", "health", "libav_protocol"] {
        let mut files = Vec::new();
        sources(&root.join(module), &mut files);
        assert!(!files.is_empty(), "{module} has sources");
        for file in files {
            let code = code(&fs::read_to_string(&file).unwrap());
            let code = code.split("#[cfg(test)]").next().unwrap();
            for banned in ["tokio", "Instant::now", "SystemTime::now", "std::net::Tcp", "fastrand", "std::thread"] {
                assert!(!code.contains(banned), "{} uses {banned}", file.display());
            }
        }
    }
}

/// Hints are learnt, told and shown. Whatever judges or answers knows nothing of them.
#[test]
fn nothing_that_judges_decides_or_answers_knows_hints() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let may_know = [
        // Anomalies of timestamps.
        "media/",
        "model/anomaly.rs",
        "model/mod.rs",
        "model/spec.rs",
        "model/snapshot.rs",
        "health/anomaly/",
        "health/mod.rs",
        "config/",
        "state/",
        "store/anomaly.rs",
        "store/fold.rs",
        "store/mod.rs",
        "serve/api/probe.rs",
        "serve/documents/",
        "serve/metrics/",
    ];
    let mut files = Vec::new();
    sources(&source, &mut files);
    let (mut knowing, mut wrong) = (0, Vec::new());
    for file in files {
        let code = code(&fs::read_to_string(&file).unwrap());
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let knows = words.any(|word| ["anomaly", "hints"].contains(&word));
        let relative = file.strip_prefix(&source).unwrap().to_str().unwrap();
        let may = may_know.iter().any(|place| relative.starts_with(place));
        knowing += usize::from(knows);
        if knows && !may {
            wrong.push(relative.to_owned());
        }
    }
    assert!(wrong.is_empty(), "these know of hints: {wrong:?}");
    assert!(knowing >= 8, "the test sees who knows of them ({knowing})");
}
