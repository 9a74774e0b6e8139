//! `check`: one health answer as an exit code, for keepalived's `vrrp_script` and the like.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::client::{Place, Request, ask};
use crate::model::Name;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("object").required(true))]
pub struct CheckArguments {
    /// A group.
    #[arg(long, group = "object", value_parser = name)]
    group: Option<Name>,
    /// A candidate of a failover: NAME/CANDIDATE.
    #[arg(long, group = "object", value_parser = candidate)]
    failover: Option<(Name, Name)>,
    /// A stream.
    #[arg(long, group = "object", value_parser = name)]
    stream: Option<Name>,
    /// An endpoint.
    #[arg(long, group = "object", value_parser = name)]
    endpoint: Option<Name>,
    /// A service.
    #[arg(long, group = "object", value_parser = name)]
    service: Option<Name>,
    /// What a path says, such as /livez: for container health checks, with --unreachable=fail.
    #[arg(long, group = "object", value_parser = path)]
    path: Option<String>,
    /// Where the monitor answers: http://host:port or unix:PATH.
    #[arg(long, default_value = "http://127.0.0.1:9937", env = "HMONITOR_HEALTH_URL", value_parser = Place::parse)]
    url: Place,
    /// How long to wait for the answer.
    #[arg(long, default_value = "800ms", value_parser = super::duration)]
    timeout: Duration,
    /// What a monitor that gives no answer means. A dead monitor says nothing about what it watches.
    #[arg(long, value_enum, default_value = "ok")]
    unreachable: Unreachable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unreachable {
    Ok,
    Fail,
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|e| e.to_string())
}

fn path(text: &str) -> Result<String, String> {
    let plain = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| text.to_owned()).ok_or_else(|| "expected a path such as /livez".into())
}

fn candidate(text: &str) -> Result<(Name, Name), String> {
    let (failover, candidate) = text.split_once('/').ok_or("expected NAME/CANDIDATE")?;
    Ok((name(failover)?, name(candidate)?))
}

impl CheckArguments {
    fn path(&self) -> String {
        if let Some((failover, candidate)) = &self.failover {
            return format!("/health/failovers/{failover}/{candidate}");
        }
        if let Some(path) = &self.path {
            return path.clone();
        }
        let named = [
            ("groups", &self.group),
            ("streams", &self.stream),
            ("endpoints", &self.endpoint),
            ("services", &self.service),
        ];
        let named = named.into_iter().find_map(|(class, name)| Some((class, name.as_ref()?)));
        named.map(|(class, name)| format!("/health/{class}/{name}")).unwrap_or_default()
    }
}

/// Exit code 0: healthy, or nothing is known because the monitor does not answer; 1: not healthy, or no such name.
pub fn check(arguments: &CheckArguments) -> Result<ExitCode> {
    let path = arguments.path();
    let request = Request { method: "GET", path: &path, token: None, body: None };
    let answer = ask(&arguments.url, request, arguments.timeout).and_then(|answer| match answer.status {
        200 | 500 | 503 => Ok(answer),
        status => Err(std::io::Error::other(format!("the answer has the status {status}"))),
    });
    match answer {
        Ok(answer) => {
            super::print(&[answer.body.as_slice(), b"\n"].concat())?;
            Ok(if answer.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            let ok = arguments.unreachable == Unreachable::Ok;
            let taken = if ok { "taken as healthy" } else { "taken as not healthy" };
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(std::io::stderr(), "rtmp-hmonitor: no answer from {}: {error}; {taken}", arguments.url);
            Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
