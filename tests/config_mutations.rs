//! Broken, cut and mixed documents are read or refused, never a panic, and no refusal shows what they hold.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtmp_hmonitor::config::{self, streams_from_target_groups};

const FRAGMENTS: &[&str] = &[
    "\n", "\n  ", "\n- ", ": ", "? ", "[", "]", "{", "}", ",", "&a ", "*a", "!t ", "|\n", ">-\n", "'", "\"", "\\u",
    "#", "%", "---\n", "...\n", "\t", "${", "$${", "}", "{{", "..", "{1..3}", "null", "~", "0", "-1", "1e999",
    "\u{feff}", "\u{85}", "\r", "é", "<<: *a",
];

/// The example with some places overwritten, cut or joined.
fn mutated(text: &str, edits: &[(usize, usize, usize)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, drop, fragment) in edits {
        let at = at % (chars.len() + 1);
        let end = (at + drop).min(chars.len());
        chars.splice(at..end, FRAGMENTS[fragment % FRAGMENTS.len()].chars());
    }
    chars.into_iter().collect()
}

fn edits() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    let drop = prop_oneof![4 => 0usize..4, 1 => 0usize..2000];
    proptest::collection::vec((any::<usize>(), drop, any::<usize>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_never_panics_and_never_leaks(edits in edits()) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
        let text = std::fs::read_to_string(dir.join("valid-full.yml")).unwrap();
        let env = BTreeMap::from([
            ("READ_TOKEN".to_owned(), "PLANTED-TOKEN".to_owned()),
            ("YARD_KEY".to_owned(), "PLANTED-KEY".to_owned()),
        ]);
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("hmonitor.yml");
        std::fs::write(&path, mutated(&text, &edits)).unwrap();
        std::os::unix::fs::symlink(dir.join("files"), temporary.path().join("files")).unwrap();
        if let Err(errors) = config::load(&path, &env) {
            let shown = format!("{errors:?} {errors}");
            prop_assert!(!shown.contains("PLANTED"), "{}", shown);
        }
    }

    #[test]
    fn a_mutated_target_list_never_panics_and_never_leaks(edits in edits(), raw in proptest::collection::vec(any::<u8>(), 0..64)) {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("hmonitor.yml");
        std::fs::write(&path, "discover: [{ file: t.yml, name: '{label.n}', url: 'rtmp://{target}/live' }]\n").unwrap();
        let config = config::load(&path, &BTreeMap::new()).unwrap().config;
        let list = "- targets: [h/PLANTED-KEY, \"h:1935/PLANTED-KEY?x=%20\"]\n  labels: { n: a, site: b }\n- targets:\n  - 'h'\n";
        for bytes in [mutated(list, &edits).into_bytes(), raw] {
            if let Err(errors) = streams_from_target_groups(&config.discover[0], "t.yml", &bytes) {
                prop_assert!(!errors.to_string().contains("PLANTED-KEY"), "{}", errors);
            }
        }
    }
}
