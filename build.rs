//! Tells the binary what it was built from.

use std::process::Command;

fn main() {
    // Where the commit is noted; in a linked work tree that is elsewhere.
    for place in ["HEAD", "refs/heads"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", place]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    let revision = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let compiler = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".into());
    let variable = |name| std::env::var(name).unwrap_or_else(|_| "unknown".into());
    println!("cargo:rustc-env=HMONITOR_REVISION={revision}");
    println!("cargo:rustc-env=HMONITOR_COMPILER={compiler}");
    println!("cargo:rustc-env=HMONITOR_TARGET={}", variable("TARGET"));
    println!("cargo:rustc-env=HMONITOR_PROFILE={}", variable("PROFILE"));
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
