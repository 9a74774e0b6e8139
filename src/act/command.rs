//! Runs a program at each change, one at a time: no shell, a change in its environment, and an end to it.
//!
//! | variable | holds |
//! |---|---|
//! | `HMONITOR_ID` | the change's id: a program that is interrupted by a stop of the monitor is run again, with the same |
//! | `HMONITOR_KIND`, `HMONITOR_OBJECT` | `failover` or `group`, and its name |
//! | `HMONITOR_FROM`, `HMONITOR_TO` | groups or healths; empty where not known |
//! | `HMONITOR_VALUE_OLD`, `HMONITOR_VALUE_NEW` | `value` of the candidates; empty where there is none |
//! | `HMONITOR_EPOCH`, `HMONITOR_REASON`, `HMONITOR_AT` | as in a webhook's body |
//!
//! Nothing else of the monitor's environment but `PATH` is passed on, for there may be secrets in it. A program that fails is not run
//! again: only it knows what it has done by then.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

use super::Inputs;
use super::change::Change;
use super::outbox::{self, Deliver, Delivery, Route};
use crate::model::action::{ActionKind, ActionOutcome, HookCommand};
use crate::probe::BoxFuture;

/// Bytes of output that are kept for the log.
const OUTPUT: usize = 2048;
/// For the rest of the output once the program has ended: what it has started in the background may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Runs one program at every change. Ends with the decisions' source.
pub async fn run(spec: Arc<HookCommand>, directory: Option<Arc<Path>>, inputs: Inputs) {
    let kind = ActionKind::Command;
    let route = Route { kind, name: spec.name.clone(), changes: spec.changes.clone(), directory };
    outbox::run(route, inputs, Arc::new(Runner { spec })).await;
}

struct Runner {
    spec: Arc<HookCommand>,
}

impl Deliver for Runner {
    fn deliver<'a>(&'a self, change: &'a Change) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let failed = |why: String| Delivery::Never(ActionOutcome::Failed, why);
            let (spec, change) = (Arc::clone(&self.spec), change.clone());
            let run = async {
                // The program may lie on a mount that hangs, and whoever starts it waits until it is read.
                let started = tokio::task::spawn_blocking(move || start(&spec, &change)).await;
                let started = started.map_err(std::io::Error::other).and_then(|started| started);
                let mut running = started.map_err(|error| format!("cannot be started: {error}"))?;
                running.end().await.map_err(|error| format!("lost: {error}"))
            };
            match timeout(self.spec.timeout, run).await {
                Ok(Ok((status, _))) if status.success() => Delivery::Done,
                Ok(Ok((status, output))) => {
                    tracing::warn!(command = %self.spec.name, %status, %output, "the program failed");
                    failed(format!("failed, {status}"))
                }
                Ok(Err(why)) => failed(why),
                Err(_) => failed(format!("killed after {:?}", self.spec.timeout)),
            }
        })
    }
}

fn start(spec: &HookCommand, change: &Change) -> std::io::Result<Running> {
    let Some((program, arguments)) = spec.argv.split_first() else {
        return Err(std::io::Error::other("no program"));
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.envs([
        ("HMONITOR_ID", change.id.clone()),
        ("HMONITOR_KIND", change.kind.as_str().to_owned()),
        ("HMONITOR_OBJECT", change.object.clone()),
        ("HMONITOR_FROM", text(&change.from)),
        ("HMONITOR_TO", text(&change.to)),
        ("HMONITOR_VALUE_OLD", text(&change.value.old)),
        ("HMONITOR_VALUE_NEW", text(&change.value.new)),
        ("HMONITOR_EPOCH", change.epoch.to_string()),
        ("HMONITOR_REASON", change.reason.clone()),
        ("HMONITOR_AT", change.at.clone()),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that all it starts can be killed with it.
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok(Running { child, group })
}

/// A program that runs. Killed with all it has started when dropped before its end.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    async fn end(&mut self) -> std::io::Result<(ExitStatus, String)> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let mut draining = Box::pin(async { tokio::join!(drain(stdout, &mut out), drain(stderr, &mut err)) });
        let status = tokio::select! {
            status = self.child.wait() => {
                // Its number may be another's from now on.
                self.group = None;
                let _ = timeout(LAST_WORDS, &mut draining).await;
                status?
            }
            _ = &mut draining => {
                let status = self.child.wait().await;
                self.group = None;
                status?
            }
        };
        drop(draining);
        out.append(&mut err);
        Ok((status, String::from_utf8_lossy(&out).trim().to_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may just have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end and keeps the beginning.
async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(count.min(room)));
    }
}
