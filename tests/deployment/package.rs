//! The Debian package's parts.

use std::process::Command;

use yaml_rust2::YamlLoader;

use crate::compose::{passes, read, root};
use crate::harness::program;
use crate::process::run;

#[test]
fn every_file_of_the_package_exists_or_is_made_by_make_deb() {
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("assets = [\n").unwrap();
    let (assets, _) = assets.split_once("\n]").unwrap();
    let makefile = read("Makefile");
    for line in assets.lines() {
        let source = line.split('"').nth(1).unwrap();
        let plain = source.split('*').next().unwrap();
        let made = makefile.contains(&format!("> {source}")) || source.starts_with("target/release/rtmp-hmonitor");
        assert!(made || root().join(plain).exists(), "{source}");
        // cargo-deb's script looks for it by the name it has here.
        assert!(!line.contains("sysusers.d/") || line.contains("\"usr/lib/sysusers.d/\""), "{line}");
    }
}

#[test]
fn the_manual_page_tells_of_every_command() {
    let page = read("packaging/rtmp-hmonitor.1");
    let help = run(&["help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|l| !l.is_empty()).filter_map(|l| l.split_whitespace().next());
    let mut seen = 0;
    for command in commands {
        seen += 1;
        let told = [format!(".B {command}\n"), format!(".BI {command} ")].iter().any(|line| page.contains(line));
        assert!(told, "the manual page does not tell of {command}");
    }
    assert!(seen > 5);
}

#[test]
fn the_manual_page_has_no_mistakes_of_form() {
    let mut man = Command::new(program("man", "man-db"));
    man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "packaging/rtmp-hmonitor.1"]);
    assert_eq!(passes(man).stderr, "");
}

#[test]
fn completions_are_written_for_each_shell_and_bash_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("check-config"), "{shell}");
        if shell == "bash" {
            let path = directory.path().join("completion");
            std::fs::write(&path, ran.stdout).unwrap();
            let mut bash = Command::new("bash");
            bash.arg("-n").arg(path);
            passes(bash);
        }
    }
}

#[test]
fn the_unit_runs_what_the_package_installs() {
    let unit = read("packaging/rtmp-hmonitor.service");
    let example = root().join("packaging/hmonitor.yml");
    for line in ["ExecStartPre=", "ExecStart="] {
        let command = unit.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        let (program, arguments) = command.split_once(' ').unwrap();
        assert_eq!(program, "rtmp-hmonitor");
        assert!(arguments.ends_with("--config /etc/rtmp-hmonitor/hmonitor.yml"), "{arguments}");
    }
    let user = unit.lines().find_map(|l| l.strip_prefix("User=")).unwrap();
    assert!(read("packaging/rtmp-hmonitor.conf").starts_with(&format!("u {user} ")));
    let ran = run(&["check-config", "--config", example.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(YamlLoader::load_from_str(&read("packaging/hmonitor.yml")).is_ok());
}

/// The README's steps without the package, and its example.
#[test]
fn what_the_readme_configures_and_installs_runs_under_the_unit() {
    let (unit, readme) = (read("packaging/rtmp-hmonitor.service"), read("README.md"));
    let has = |line: &str| unit.lines().any(|l| l == line);
    for (place, directory) in [("lib", "StateDirectory"), ("log", "LogsDirectory")] {
        assert!(has(&format!("{directory}=rtmp-hmonitor")), "/var/{place}/rtmp-hmonitor");
    }
    assert!(readme.contains("\nstate_file: /var/lib/rtmp-hmonitor/state.json "), "where the unit lets it be written");
    // Sockets and track files; keepalived reads these also while the monitor does not run.
    for line in ["RuntimeDirectory=rtmp-hmonitor", "RuntimeDirectoryPreserve=yes"] {
        assert!(has(line), "{line}");
    }
    // A port that is taken for a minute must not end it for good.
    let (head, _) = unit.split_once("[Service]").unwrap();
    assert!(head.contains("\nStartLimitIntervalSec=0\n") && has("Restart=always"));
    let (_, steps) = readme.split_once("install -m 755 ").unwrap();
    let installed: Vec<_> = steps.lines().next().unwrap().split(' ').map(|word| word.trim_end_matches('/')).collect();
    assert_eq!(
        installed,
        ["target/release/rtmp-hmonitor", "target/release/rtmp-hmonitor-libav", "/usr/local/bin"],
        "the worker is looked for beside the monitor"
    );
}

#[test]
fn systemd_accepts_the_unit_and_its_user_and_a_shell_the_script_that_installs_them() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("rtmp-hmonitor.service");
    // The program where it is here.
    let here = format!("={} ", env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    std::fs::write(&unit, read("packaging/rtmp-hmonitor.service").replace("=rtmp-hmonitor ", &here)).unwrap();
    let mut analyze = Command::new(program("systemd-analyze", "systemd"));
    analyze.args(["verify", "--man=no"]).arg(&unit);
    assert_eq!(passes(analyze).all(), "");
    let mut sysusers = Command::new(program("systemd-sysusers", "systemd"));
    sysusers.arg("--dry-run").arg(root().join("packaging/rtmp-hmonitor.conf"));
    let said = passes(sysusers).all();
    assert!(said.contains("Creating user 'rtmp-hmonitor'") || said.is_empty(), "{said}");
    let mut shell = Command::new("sh");
    shell.args(["-n", "packaging/postinst"]);
    passes(shell);
}
