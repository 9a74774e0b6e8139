//! What HAProxy has to be told so that its servers are as decided. Pure.

use std::collections::HashMap;

use super::answers::ServerState;
use crate::act::decided::Decided;
use crate::model::action::{HaproxyPush, PushedServer, ServerId};
use crate::model::failover::Decisions;
use crate::model::group::MaintenanceState;
use crate::model::target_report::HaproxyFacts;

/// A server as it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Present {
    pub state: ServerState,
    pub agent_up: Option<bool>,
    pub sessions: u64,
}

/// What is to be said about one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<'s> {
    pub server: &'s PushedServer,
    pub decided: Decided,
    /// In this order. Empty: it is as it should be.
    pub orders: Vec<String>,
}

/// Why a server cannot be made to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("HAProxy has no such server")]
    NoSuchServer,
    #[error(
        "it has no agent-check that is enabled, and HAProxy takes no word on it: add agent-check with this monitor's agent, or enable it"
    )]
    NoAgent,
}

/// Servers by name, of both answers.
pub fn present(states: HashMap<ServerId, ServerState>, facts: &HaproxyFacts) -> HashMap<ServerId, Present> {
    let mut of_statistics = HashMap::new();
    for proxy in facts.proxies.iter() {
        for server in &proxy.servers {
            if let Some(id) = ServerId::parse(&format!("{}/{}", proxy.name, server.name)) {
                of_statistics.insert(id, (server.agent_up, server.sessions));
            }
        }
    }
    let join = |(id, state)| {
        let (agent_up, sessions) = of_statistics.get(&id).copied().unwrap_or_default();
        (id, Present { state, agent_up, sessions })
    };
    states.into_iter().map(join).collect()
}

/// What to do about each server of which something is decided. Those that go up come first: whoever is cut off has somewhere to go.
pub fn plan<'s>(
    push: &'s HaproxyPush,
    decisions: &Decisions,
    present: &HashMap<ServerId, Present>,
) -> Vec<(&'s PushedServer, Result<Step<'s>, Obstacle>)> {
    let steps = push.servers.iter().filter_map(|server| {
        let decided = Decided::find(decisions, &server.decider)?;
        let step = || {
            let found = present.get(&server.server).ok_or(Obstacle::NoSuchServer)?;
            if !found.state.has_agent() {
                return Err(Obstacle::NoAgent);
            }
            let mut orders = orders(push, server, &decided, found);
            let fallback = outlived(push, decisions, server);
            if let Some(fallback) = fallback.filter(|id| present.get(id).is_some_and(|found| found.sessions > 0)) {
                orders.push(format!("shutdown sessions server {fallback}"));
            }
            Ok(Step { server, decided, orders })
        };
        Some((server, step()))
    });
    let mut steps: Vec<_> = steps.collect();
    steps.sort_by_key(|(_, step)| !step.as_ref().is_ok_and(|step: &Step<'_>| takes_new(&step.decided)));
    steps
}

/// A server's fallback, if its sessions have outlived their need: the server is down, and another of its backend takes them.
pub fn outlived<'s>(push: &HaproxyPush, decisions: &Decisions, server: &'s PushedServer) -> Option<&'s ServerId> {
    let decided = |s: &PushedServer| Decided::find(decisions, &s.decider);
    let mut others = push.servers.iter().filter(|other| other.server.backend() == server.server.backend());
    let gone = push.shutdown_sessions
        && decided(server).is_some_and(|decided| !decided.up)
        && others.any(|other| decided(other).is_some_and(|decided| takes_new(&decided)));
    server.fallback.as_ref().filter(|_| gone)
}

fn takes_new(decided: &Decided) -> bool {
    decided.up && !decided.drains
}

fn orders(push: &HaproxyPush, server: &PushedServer, decided: &Decided, present: &Present) -> Vec<String> {
    let name = &server.server;
    let mut orders = Vec::new();
    // Weight before up: whoever comes back is not flooded first, and what drains is given nothing.
    if let Some(percent) = percent(server, decided, &present.state) {
        orders.push(format!("set server {name} weight {percent}%"));
    }
    let word = if decided.up { "up" } else { "down" };
    // In maintenance the agent rests; what it says is set when that ends.
    if present.agent_up.is_some_and(|up| up != decided.up) {
        orders.push(format!("set server {name} agent {word}"));
    }
    if let Some(wanted) = decided.maintenance {
        let (maint, drain) = (present.state.in_maintenance(), present.state.draining());
        let differs = match wanted {
            MaintenanceState::Ready => maint || drain,
            MaintenanceState::Drain => maint || !drain,
            MaintenanceState::Maint => !maint,
        };
        if differs {
            // One that drains is up only once nothing new is given to it.
            let at = if decided.drains { 0 } else { orders.len() };
            orders.insert(at, format!("set server {name} state {wanted}"));
        }
    }
    if push.shutdown_sessions && !decided.up && (present.sessions > 0 || !orders.is_empty()) {
        orders.push(format!("shutdown sessions server {name}"));
    }
    orders
}

/// The percentage to set, if the weight is not what it gives. Only a drain leaves nothing, and its end lifts that; where the load
/// balancer's own state drains, the weight stays as it is.
fn percent(server: &PushedServer, decided: &Decided, state: &ServerState) -> Option<u32> {
    let initial = state.initial_weight;
    if decided.drains && decided.maintenance.is_none() {
        return (state.weight > 0).then_some(0);
    }
    let share = match (server.weight, state.weight) {
        (true, _) => decided.weight,
        (false, 0) => 1.0,
        (false, _) => return None,
    };
    if !decided.up {
        return None;
    }
    let least = 100u32.checked_div(initial)? + u32::from(100 % initial != 0);
    let percent = ((share * 100.0).round() as u32).clamp(least.min(100), 100);
    (initial * percent / 100 != state.weight).then_some(percent)
}
