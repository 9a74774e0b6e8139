//! Real servers as processes of the test.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{program, signal};

/// Killed when dropped.
pub struct Server(Child);

impl Server {
    /// Starts `command` with its output in `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it by a signal, so that it can clean up; if that does not help, dropping it does.
    pub fn end_by(&mut self, name: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        self.thaw();
        signal(self.0.id(), name);
        while self.0.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn freeze(&self) {
        signal(self.0.id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.0.id(), "CONT");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a client; what it prints.
pub fn run(name: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program(name, package)).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
