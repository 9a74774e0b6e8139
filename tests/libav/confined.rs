//! What a worker may do, and what the monitor is free of.

use std::fs;
use std::process::Command;

use crate::faults::workers;
use crate::harness::program;
use crate::inspection::pool;
use crate::material::{ffmpeg, sample};

#[tokio::test]
async fn a_worker_has_no_rights_and_no_environment() {
    let pool = pool();
    let film = sample(&ffmpeg(), "-f lavfi -i testsrc2=size=64x64:rate=5 -t 1 -c:v libx264 -preset ultrafast");
    pool.inspect(&film, false).await.unwrap();
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
    assert!(names.iter().all(|name| name.starts_with("MALLOC_") || *name == "LD_LIBRARY_PATH"), "{names:?}");
    println!("{}", field("VmPeak:").concat());
    println!("{}", field("VmHWM:").concat());
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
