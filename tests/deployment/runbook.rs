//! What the runbook tells people to type is what the monitor takes.

use std::process::Command;

use crate::compose::{passes, read};
use crate::harness::{Monitor, program};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn every_request_of_the_runbook_is_taken() {
    let streams = "streams: [{ name: gate-1, url: \"rtmp://127.0.0.1:9/live/gate-1\" }]\n";
    let tokens = format!("  tokens: [{{ role: operate, token: {TOKEN} }}]");
    let monitor = Monitor::start_with(streams, &tokens, &[], |command| command);
    let runbook = read("alerts/RUNBOOK.md");
    let typed = runbook.split('`').skip(1).step_by(2).filter(|code| code.starts_with("curl ") && code.contains("$M"));
    let mut methods = Vec::new();
    for line in typed {
        let command = line
            .replacen("curl ", "curl -sS -o /dev/null -w '%{http_code}' --max-time 10 ", 1)
            .replace("$M/health/…", &format!("http://{}/health/streams/gate-1", monitor.health))
            .replace("$M", &format!("http://{}", monitor.listen))
            .replace("NAME", "gate-1")
            .replace("TOKEN", TOKEN);
        let mut shell = Command::new(program("sh", "dash"));
        shell.args(["-c", &command]);
        let status = passes(shell).stdout;
        assert!(status == "200" || (status == "503" && line.contains("/health/")), "{status}: {line}");
        methods.push(if line.contains("-X PUT") { "PUT" } else { "GET" });
    }
    assert!(methods.contains(&"PUT") && methods.len() >= 4, "they were not read: {methods:?}");
}
