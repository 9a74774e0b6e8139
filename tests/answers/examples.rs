//! The shipped examples are accepted by the programs they are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::namespace::Namespace;
use crate::harness::program;

fn shipped(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[test]
fn haproxy_accepts_its_examples() {
    let files = shipped("compose/haproxy", "cfg");
    assert_eq!(files.len(), 2);
    for file in files {
        let output = Command::new(program("haproxy", "haproxy")).args(["-c", "-f"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
}

/// What the examples promise in words.
#[test]
fn every_backend_of_the_examples_ends_in_the_fallback_and_a_lost_monitor_is_tolerated() {
    for file in shipped("compose/haproxy", "cfg") {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("use_backend ingest_any if { nbsrv(ingest) eq 0 }"), "{}", file.display());
        let fallback = text.split("\nbackend ingest_any").nth(1).unwrap().split("\nfrontend").next().unwrap();
        // It asks the slaves themselves, and nobody about them.
        let asks = ["agent-check", "option httpchk", " addr "].iter().any(|word| fallback.contains(word));
        assert!(fallback.matches("  server ").count() == 2 && !asks, "{}", file.display());
        // Or cameras of a slave that takes nothing stay connected to it: see agent.cfg.
        let cut = text.lines().filter(|line| line.contains("on-marked-down shutdown-sessions"));
        assert!(cut.clone().count() > 0 && cut.clone().all(|line| line.contains(" tcp-ut 1s")), "{}", file.display());
        let fall = text.split("inter 1s fall ").nth(1).unwrap();
        let fall: u32 = fall.split(' ').next().unwrap().parse().unwrap();
        if text.contains("httpchk") {
            assert!(fall >= 5, "fall times inter outlasts a restart");
        } else {
            assert!(text.contains("agent-check") && text.contains(" check inter"), "agent and TCP check");
        }
    }
}

#[test]
fn keepalived_accepts_its_examples() {
    let files = shipped("compose/keepalived", "conf");
    assert_eq!(files.len(), 2);
    let directory = tempfile::tempdir().unwrap();
    let network = Namespace::new();
    for file in files {
        // Programs where they are here: keepalived looks for them.
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("/usr/local/bin/rtmp-hmonitor check --group "), "{}", file.display());
        let notify = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/keepalived/cut-sessions.sh");
        let text = text
            .replace("/usr/local/bin/rtmp-hmonitor", env!("CARGO_BIN_EXE_rtmp-hmonitor"))
            .replace("/etc/keepalived/cut-sessions.sh", notify.to_str().unwrap())
            .replace("eth0", &network.inside);
        let local = directory.path().join(file.file_name().unwrap());
        std::fs::write(&local, text).unwrap();
        let output = network.command("keepalived", "keepalived").args(["-t", "-f"]).arg(&local).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", file.display());
    }
    // The notify script is one that a shell can read.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("compose/keepalived/cut-sessions.sh");
    assert!(Command::new("sh").arg("-n").arg(script).status().unwrap().success());
}
