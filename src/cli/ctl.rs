//! `ctl`: what an operator wants of a running monitor, and a look at it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Answer, Place, Request, ask};
use super::status;
use crate::model::Name;

#[derive(Args)]
pub struct ControlArguments {
    /// Where the monitor answers: http://host:port or unix:PATH.
    #[arg(long, default_value = "http://127.0.0.1:9935", env = "HMONITOR_URL", value_parser = Place::parse)]
    url: Place,
    /// File with a token that may do this. Without it HMONITOR_TOKEN holds the token.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// How long to wait for the answer.
    #[arg(long, default_value = "15s", value_parser = super::duration)]
    timeout: Duration,
    #[command(subcommand)]
    wish: Wish,
}

#[derive(Subcommand)]
enum Wish {
    /// Drain a group, take it out of service, or put it back.
    Group {
        #[arg(value_parser = name)]
        name: Name,
        #[command(subcommand)]
        wish: GroupWish,
    },
    /// Keep a failover at one candidate, or let it decide again.
    Failover {
        #[arg(value_parser = name)]
        name: Name,
        #[command(subcommand)]
        wish: FailoverWish,
    },
    /// Declare that a stream's absence is no outage, or that it is one again.
    Stream {
        #[arg(value_parser = name)]
        name: Name,
        #[command(subcommand)]
        wish: StreamWish,
    },
    /// Print groups, failovers and what is not well.
    Status {
        /// Print the monitor's own document.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
enum GroupWish {
    /// No new sessions.
    Drain(Word),
    /// Out of service.
    Maint(Word),
    /// In service again.
    Ready,
}

#[derive(Subcommand)]
enum FailoverWish {
    /// Make this candidate the active one, whatever the evidence.
    Pin {
        #[arg(value_parser = name)]
        group: Name,
        #[command(flatten)]
        word: Word,
    },
    /// Lift the pin.
    Unpin,
}

#[derive(Subcommand)]
enum StreamWish {
    /// Its absence is no outage.
    Silence(Word),
    /// Lift the silence.
    Unsilence,
}

/// Why, and until when.
#[derive(Args)]
struct Word {
    /// Why, for others who look.
    #[arg(long)]
    reason: String,
    /// How long: 30m, 2h. Left out: until it is lifted.
    #[arg(long = "for", value_parser = super::duration, conflicts_with = "until")]
    duration: Option<Duration>,
    /// Until when: RFC 3339.
    #[arg(long)]
    until: Option<String>,
}

impl Word {
    fn body(&self, mut body: Value) -> Value {
        let until = self.duration.map(|d| humantime::format_duration(d).to_string()).or_else(|| self.until.clone());
        body["reason"] = json!(self.reason);
        if let Some(until) = until {
            body["until"] = json!(until);
        }
        body
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|e| e.to_string())
}

impl Wish {
    /// Method, path and body that say so; `None` as a body: the wish is to lift something.
    fn call(&self) -> (&'static str, String, Option<Value>) {
        match self {
            Self::Status { .. } => ("GET", "/api/v1/status".to_owned(), None),
            Self::Group { name, wish } => {
                let path = format!("/api/v1/groups/{name}/maintenance");
                match wish {
                    GroupWish::Drain(word) => ("PUT", path, Some(word.body(json!({ "state": "drain" })))),
                    GroupWish::Maint(word) => ("PUT", path, Some(word.body(json!({ "state": "maint" })))),
                    GroupWish::Ready => ("DELETE", path, None),
                }
            }
            Self::Failover { name, wish } => {
                let path = format!("/api/v1/failovers/{name}/pin");
                match wish {
                    FailoverWish::Pin { group, word } => {
                        ("PUT", path, Some(word.body(json!({ "group": group.as_str() }))))
                    }
                    FailoverWish::Unpin => ("DELETE", path, None),
                }
            }
            Self::Stream { name, wish } => {
                let path = format!("/api/v1/streams/{name}/silence");
                match wish {
                    StreamWish::Silence(word) => ("PUT", path, Some(word.body(json!({})))),
                    StreamWish::Unsilence => ("DELETE", path, None),
                }
            }
        }
    }
}

/// Asks the monitor, and says what came of it. An error when it refuses.
pub fn control(arguments: &ControlArguments) -> Result<ExitCode> {
    let token = token(arguments.token_file.as_deref())?;
    let (method, path, body) = arguments.wish.call();
    let body = body.map(|b| b.to_string());
    let request = Request { method, path: &path, token: token.as_deref(), body: body.as_deref() };
    let answer =
        ask(&arguments.url, request, arguments.timeout).with_context(|| format!("no answer from {}", arguments.url))?;
    match (&arguments.wish, answer.status) {
        (Wish::Status { json: true }, 200) => super::print(&[answer.body.as_slice(), b"\n"].concat())?,
        (Wish::Status { json: false }, 200) => {
            let document = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
            super::print(status::table(&document).as_bytes())?;
        }
        (_, 200..300) => super::print(format!("done{}\n", terms(&answer)).as_bytes())?,
        // What is to be lifted is not there: that is what was wanted.
        (_, 409) if method == "DELETE" => super::print(format!("nothing to do: {}\n", problem(&answer)).as_bytes())?,
        (_, status) => bail!("{} ({status})", problem(&answer)),
    }
    Ok(ExitCode::SUCCESS)
}

fn token(file: Option<&Path>) -> Result<Option<String>> {
    let token = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Some(text.trim().to_owned())
        }
        None => std::env::var("HMONITOR_TOKEN").ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()),
    };
    if token.as_ref().is_some_and(|t| t.is_empty() || !t.bytes().all(|b| b.is_ascii_graphic())) {
        bail!("the token must have printable ASCII characters without spaces");
    }
    Ok(token)
}

/// What the monitor has understood: until when.
fn terms(answer: &Answer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match document.get("until") {
        Some(Value::String(until)) => format!(", until {until}"),
        Some(Value::Null) => ", until it is lifted".to_owned(),
        _ => String::new(),
    }
}

/// The monitor's own words for what is wrong.
fn problem(answer: &Answer) -> String {
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut text = document.get("detail").and_then(Value::as_str).unwrap_or("the monitor refuses").to_owned();
    for error in document.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        // Writing into a String cannot fail.
        let _ = write!(text, "\n  {error}");
    }
    text
}
