//! `check-health`: whether a running monitor answers, for containers whose image has no HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

/// Longest status line.
const STATUS_LINE: u64 = 1024;

#[derive(Debug, Args)]
pub struct AskArguments {
    /// The monitor's health listener.
    #[arg(long, default_value = "127.0.0.1:9937")]
    address: SocketAddr,
    /// What is asked: /livez, /readyz, /health/streams/NAME and so on.
    #[arg(default_value = "/livez")]
    path: String,
    /// Longest wait for each step.
    #[arg(long, default_value = "2s", value_parser = super::duration)]
    timeout: Duration,
}

/// Exit code 0: answered with 200. Otherwise an error that says what was answered.
pub fn ask(arguments: &AskArguments) -> Result<ExitCode> {
    let AskArguments { address, path, timeout } = arguments;
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        bail!("the path has to start with / and may have no spaces");
    }
    let no_answer = || format!("{address} does not answer");
    let mut stream = TcpStream::connect_timeout(address, *timeout).with_context(no_answer)?;
    stream.set_read_timeout(Some(*timeout))?;
    stream.set_write_timeout(Some(*timeout))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).with_context(no_answer)?;
    let mut answer = Vec::new();
    let mut byte = [0];
    let mut start = stream.take(STATUS_LINE);
    while !answer.ends_with(b"\n") && start.read(&mut byte).with_context(no_answer)? > 0 {
        answer.extend_from_slice(&byte);
    }
    let line = String::from_utf8_lossy(&answer);
    match line.split(' ').nth(1) {
        Some("200") => Ok(ExitCode::SUCCESS),
        Some(status) if status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()) => bail!("{path}: {status}"),
        _ => bail!("{address} does not speak HTTP"),
    }
}
