//! HAProxy's servers follow decisions at once, over its statistics socket, instead of at its next check.
//!
//! Every second, and whenever a decision changes, the servers are read (`show servers state;show stat`) and what differs is set right:
//! after a reload, a restart or a word of somebody else they are as decided again within two seconds. What is set is what an agent check
//! sets (`agent up|down`, the weight) and nothing else, so that an operator's own drain or maintenance stays; `state` is set only where a
//! group's maintenance is ours. One that drains keeps its sessions, as the agent says it: a weight of 0 keeps new ones away. A server needs
//! an agent check that asks this monitor: it is what keeps the server so when we are gone.
//!
//! A backend that serves while no server of the first is up (`use_backend … if { nbsrv(…) eq 0 }`) keeps the sessions it was given then, and
//! nothing of what is decided reaches them. Named as a server's `fallback` they end with the server's own.

pub mod answers;
pub mod plan;
mod socket;
mod workers;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Inputs;
use super::decided::subject;
use super::status::Pending;
use crate::model::action::{ActionKind, ActionOutcome, HaproxyPush, PushedServer, ServerId};
use crate::model::failover::Decisions;
use crate::probe::ProbeEnvironment;
use crate::probe::haproxy::statistics::{self, StatisticsError};
use crate::probe::resolve::Resolver;
use answers::AnswerError;
use plan::{Obstacle, Step, outlived, plan, present};
use socket::{SocketError, ask};

/// How often servers are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same while HAProxy cannot be reached, or does not take what it is told.
const RETRY: Duration = Duration::from_millis(250);
/// The same corrections to one server are told to people this often at most.
const REPEAT: Duration = Duration::from_secs(60);
/// Corrections of one server in a row after which somebody else must be at it.
const CONTESTED: u32 = 5;
/// Characters of HAProxy's complaint that are shown.
const COMPLAINT: usize = 200;

#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot read the servers' state: {0}")]
    Answer(#[from] AnswerError),
    #[error("cannot read the statistics: {0}")]
    Statistics(#[from] StatisticsError),
}

/// Keeps the servers of one HAProxy as decided. Ends with the decisions' source.
pub async fn run(push: Arc<HaproxyPush>, inputs: Inputs, env: Arc<ProbeEnvironment>) {
    let mut decisions = inputs.decisions.clone();
    if decisions.wait_for(|decisions| decisions.complete).await.is_err() {
        return;
    }
    let mut pusher = Pusher {
        pending: Pending::new(&inputs.status, ActionKind::Haproxy),
        push: &push,
        inputs: &inputs,
        resolver: &env.resolver,
        servers: HashMap::new(),
        reachable: true,
        master_reachable: true,
    };
    loop {
        let now = Arc::clone(&decisions.borrow_and_update());
        let again = pusher.round(&now).await;
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(again) => {}
        }
    }
}

struct Pusher<'a> {
    push: &'a HaproxyPush,
    inputs: &'a Inputs,
    resolver: &'a Resolver,
    pending: Pending,
    servers: HashMap<&'a ServerId, Memory>,
    reachable: bool,
    master_reachable: bool,
}

/// What is known of one server's past.
#[derive(Default)]
struct Memory {
    /// What it was last told to be.
    told: Option<bool>,
    obstacle: Option<Obstacle>,
    /// Corrections in a row.
    corrections: u32,
    /// The newest line about it, and when.
    noted: Option<(String, Instant)>,
}

impl<'a> Pusher<'a> {
    /// Looks, and sets right what differs. Says after which time to look again.
    async fn round(&mut self, decisions: &Decisions) -> Duration {
        let read = self.read().await;
        let found = match read {
            Ok(found) => found,
            Err(error) => {
                self.pending.set(self.push.servers.len());
                self.inputs.status.count(ActionKind::Haproxy, ActionOutcome::Failed);
                if std::mem::replace(&mut self.reachable, false) {
                    tracing::error!(haproxy = %self.push.name, %error, "HAProxy cannot be told decisions");
                }
                return RETRY;
            }
        };
        if !std::mem::replace(&mut self.reachable, true) {
            tracing::info!(haproxy = %self.push.name, "HAProxy is told decisions again");
        }
        let mut open = 0;
        for (server, step) in plan(self.push, decisions, &found) {
            let fine = match step {
                Ok(step) => self.take(server, &step).await,
                Err(obstacle) => {
                    self.refuse(server, &server.server, obstacle);
                    false
                }
            };
            open += usize::from(!fine);
        }
        // One that is not there hinders nothing else.
        for (server, fallback) in self.push.servers.iter().filter_map(|s| Some((s, s.fallback.as_ref()?))) {
            match found.contains_key(fallback) {
                true => self.servers.entry(fallback).or_default().obstacle = None,
                false => {
                    self.refuse(server, fallback, Obstacle::NoSuchServer);
                    open += 1;
                }
            }
        }
        self.pending.set(open);
        let masters_work = self.end_old_sessions(decisions).await;
        if open == 0 && masters_work { INTERVAL } else { RETRY }
    }

    async fn read(&self) -> Result<HashMap<ServerId, plan::Present>, PushError> {
        let answer = ask(&self.push.socket, self.resolver, "show servers state;show stat").await?;
        Ok(present(answers::servers(&answer)?, &statistics::read(&answer)?))
    }

    /// Does one step. Whether the server is now as decided, as far as HAProxy says.
    async fn take(&mut self, server: &'a PushedServer, step: &Step<'_>) -> bool {
        let memory = self.servers.entry(&server.server).or_default();
        memory.obstacle = None;
        let flipped = memory.told.replace(step.decided.up) != Some(step.decided.up);
        if step.orders.is_empty() {
            memory.corrections = 0;
            return true;
        }
        memory.corrections = if flipped { 0 } else { memory.corrections + 1 };
        let answer = ask(&self.push.socket, self.resolver, &step.orders.join(";")).await;
        let (outcome, detail) = match &answer {
            Ok(text) if text.trim().is_empty() => (ActionOutcome::Done, String::new()),
            Ok(text) => {
                (ActionOutcome::Refused, format!(": {:?}", text.trim().chars().take(COMPLAINT).collect::<String>()))
            }
            Err(error) => (ActionOutcome::Failed, format!(": {error}")),
        };
        let status = &self.inputs.status;
        status.count(ActionKind::Haproxy, outcome);
        let now = self.inputs.clock.now();
        if let (true, ActionOutcome::Done, Some(at)) = (flipped, outcome, step.decided.observed_at) {
            status.observe_latency(now.saturating_duration_since(at));
        }
        let contested = memory.corrections >= CONTESTED;
        let hint = if contested { "; something else sets it back: does another agent answer for it?" } else { "" };
        let line = format!("HAProxy {}: {}, {outcome}{detail}{hint}", self.push.name, step.orders.join("; "));
        let repeated = memory
            .noted
            .as_ref()
            .is_some_and(|(noted, at)| *noted == line && now.saturating_duration_since(*at) < REPEAT);
        if !repeated {
            self.inputs.note(subject(&server.decider), &line);
            memory.noted = Some((line, now));
        }
        outcome == ActionOutcome::Done && !contested
    }

    /// Says once what stands in the way of `id`, which is `server` or its fallback.
    fn refuse(&mut self, server: &'a PushedServer, id: &'a ServerId, obstacle: Obstacle) {
        let memory = self.servers.entry(id).or_default();
        if memory.obstacle.replace(obstacle) != Some(obstacle) {
            self.inputs.status.count(ActionKind::Haproxy, ActionOutcome::Refused);
            tracing::error!(haproxy = %self.push.name, server = %id, "the server does not follow decisions: {obstacle}");
            let line = format!("HAProxy {}: server {id} does not follow: {obstacle}", self.push.name);
            self.inputs.note(subject(&server.decider), &line);
        }
    }

    /// Ends sessions of servers that are down in workers of before a reload. Whether that could be done.
    async fn end_old_sessions(&mut self, decisions: &Decisions) -> bool {
        let Some(master) = self.push.master.as_ref().filter(|_| self.push.shutdown_sessions) else { return true };
        let down = self.push.servers.iter().filter(|server| {
            let follows = self.servers.get(&server.server).is_some_and(|memory| memory.obstacle.is_none());
            follows && super::decided::Decided::find(decisions, &server.decider).is_some_and(|decided| !decided.up)
        });
        let ending = |server: &'a PushedServer| [Some(&server.server), outlived(self.push, decisions, server)];
        let down: BTreeSet<_> = down.flat_map(ending).flatten().collect();
        if down.is_empty() {
            return true;
        }
        match workers::end_sessions(master, self.resolver, &down).await {
            Ok(ended) => {
                self.master_reachable = true;
                if ended > 0 {
                    self.inputs.status.count(ActionKind::Haproxy, ActionOutcome::Done);
                    tracing::info!(haproxy = %self.push.name, ended, "sessions ended in workers of before a reload");
                }
                true
            }
            Err(error) => {
                self.inputs.status.count(ActionKind::Haproxy, ActionOutcome::Failed);
                if std::mem::replace(&mut self.master_reachable, false) {
                    tracing::error!(haproxy = %self.push.name, %error, "sessions in workers of before a reload cannot be ended");
                }
                false
            }
        }
    }
}
