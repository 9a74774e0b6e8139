//! What a worker may do, and what the monitor is free of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rtmp_hmonitor::model::content::Sample;

use crate::faults::{pool_of, workers};
use crate::harness::program;
use crate::inspection::pool;
use crate::material::{ffmpeg, sample};

#[tokio::test]
async fn a_worker_has_no_rights_and_no_environment() {
    let pool = pool();
    pool.inspect(&film(), false).await.unwrap();
    assert!(!pool.workers_are_root());
    let process = format!("/proc/{}", workers()[0].as_raw_nonzero());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    if nix::unistd::Uid::effective().is_root() {
        assert_eq!(field("Uid:"), ["65534"; 4]);
        assert_eq!(field("Gid:"), ["65534"; 4]);
        assert!(field("Groups:").is_empty());
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
    }
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    for (name, value) in [
        ("Max address space", "1073741824"),
        ("Max core file size", "0"),
        ("Max open files", "64"),
        ("Max file size", "0"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let set: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(set, [value; 2], "{line}");
    }
    let environment = Command::new("cat").arg(format!("{process}/environ")).output().unwrap().stdout;
    let environment = String::from_utf8(environment).unwrap();
    let names: Vec<_> = environment.split('\0').filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(
        names.iter().all(|name| name.starts_with("MALLOC_") || ["LD_LIBRARY_PATH", "RES_OPTIONS"].contains(name)),
        "{names:?}"
    );
    println!("{}", field("VmPeak:").concat());
    println!("{}", field("VmHWM:").concat());
}

/// A program that runs the worker as `setpriv` makes it, from where everybody may run it.
fn under_setpriv(directory: &Path, options: &str) -> PathBuf {
    let worker = directory.join("worker");
    fs::copy(env!("CARGO_BIN_EXE_rtmp-hmonitor-libav"), &worker).unwrap();
    let (path, setpriv) = (directory.join("privileged"), program("setpriv", "util-linux"));
    fs::write(&path, format!("#!/bin/sh\nexec {} {options} {}\n", setpriv.display(), worker.display())).unwrap();
    for path in [directory, &worker, &path] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    path
}

/// Its sets of capabilities, as the kernel tells them.
fn capabilities(status: &str) -> BTreeMap<&str, &str> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
    let lines = status.lines().filter_map(|line| line.split_once(":\t"));
    lines.filter(|(name, _)| sets.contains(name)).collect()
}

fn film() -> Sample {
    sample(&ffmpeg(), "-f lavfi -i testsrc2=size=64x64:rate=5 -t 1 -c:v libx264 -preset ultrafast")
}

/// As the unit of the Debian package starts the monitor: a user of its own, who may send pings.
const SERVICE: &str = "--reuid 65533 --regid 65533 --clear-groups --inh-caps +net_raw --ambient-caps +net_raw";
const NONE: &str = "0000000000000000";

#[tokio::test]
async fn what_the_monitor_may_do_its_workers_may_not() {
    assert!(nix::unistd::Uid::effective().is_root(), "this test takes root's privileges away");
    let told = Command::new(program("setpriv", "util-linux"))
        .args(SERVICE.split(' '))
        .args(["cat", "/proc/self/status"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(capabilities(&told).values().all(|set| *set != NONE), "the start is as claimed: {told}");

    let directory = tempfile::tempdir().unwrap();
    let (pool, _) = pool_of(under_setpriv(directory.path(), SERVICE));
    pool.inspect(&film(), false).await.unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", workers()[0].as_raw_nonzero())).unwrap();
    assert!(status.contains("Uid:\t65533\t65533\t65533\t65533"), "{status}");
    let capabilities = capabilities(&status);
    assert_eq!(capabilities.len(), 4);
    assert!(capabilities.values().all(|set| *set == NONE), "{capabilities:?}");
}

#[tokio::test]
async fn a_worker_that_cannot_give_up_root_says_so_and_has_no_capabilities() {
    assert!(nix::unistd::Uid::effective().is_root(), "this test takes root's privileges away");
    let directory = tempfile::tempdir().unwrap();
    let (pool, _) = pool_of(under_setpriv(directory.path(), "--bounding-set -setuid,-setgid"));
    pool.inspect(&film(), false).await.unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", workers()[0].as_raw_nonzero())).unwrap();
    assert!(status.contains("Uid:\t0\t0\t0\t0"), "{status}");
    assert!(capabilities(&status).values().all(|set| *set == NONE), "{status}");
    assert!(pool.workers_are_root(), "the monitor knows");
}

#[test]
fn the_monitor_itself_links_nothing_of_ffmpeg() {
    let linked = |binary: &str| {
        let output = Command::new(program("ldd", "libc-bin")).arg(binary).output().unwrap();
        assert!(output.status.success(), "ldd {binary}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(linked(env!("CARGO_BIN_EXE_rtmp-hmonitor-libav")).contains("libavcodec"));
    let monitor = linked(env!("CARGO_BIN_EXE_rtmp-hmonitor"));
    assert!(!["libav", "libsw", "libpostproc"].iter().any(|name| monitor.contains(name)), "{monitor}");
}
