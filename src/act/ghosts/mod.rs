//! Ghosts are found always, and thrown out where that is switched on: when no byte has come for two seconds, and an address has moved
//! within half a minute, and the publication is from before that. Once a minute each, at most.

pub mod clearing;
pub mod detector;
pub mod moves;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Inputs;
use super::status::{GhostView, Pending};
use crate::model::Name;
use crate::model::action::{ActionKind, ActionOutcome, GhostSpec};
use crate::model::event::{Subject, SubjectClass};
use crate::model::snapshot::Snapshot;
use crate::model::target::{Check, RtmpServerCheck, TargetClass};
use crate::probe::ProbeEnvironment;
use clearing::Removal;
use detector::{Ghost, ghosts, views};
use moves::{Moves, Surroundings};

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(250);
/// Between two removals of one publication.
const REST: Duration = Duration::from_secs(60);

/// Looks for ghosts until the decisions' source is gone.
pub async fn run(spec: Arc<GhostSpec>, inputs: Inputs, env: Arc<ProbeEnvironment>) {
    let mut moves = Moves::default();
    let mut removed: HashMap<(Name, String), Instant> = HashMap::new();
    let mut pending = Pending::new(&inputs.status, ActionKind::Ghosts);
    let mut decisions = inputs.decisions.clone();
    loop {
        let now = inputs.clock.now();
        let of = Arc::clone(&spec);
        let surroundings = tokio::task::spawn_blocking(move || Surroundings::read(&of)).await.ok().flatten();
        let newest = Arc::clone(&decisions.borrow_and_update());
        moves.look(now, &newest, surroundings);
        let snapshot = (inputs.snapshot)();
        let found = ghosts(now, &snapshot);
        let explained = |ghost: &Ghost| moves.newest().is_some_and(|moved| ghost.is_explained(now, moved));
        let calendar = inputs.clock.calendar();
        inputs.status.show_ghosts(views(&found, explained, |at| calendar.wall(at)));
        removed.retain(|_, at| now.saturating_duration_since(*at) < REST);
        let mut open = 0;
        // Until decisions are complete nothing is known well enough to throw anybody out.
        for ghost in found.iter().filter(|ghost| newest.complete && explained(ghost)) {
            let Some(clearing) = spec.clear.get(&ghost.service) else { continue };
            let Some(server) = server(&snapshot, &ghost.service) else { continue };
            let key = (ghost.service.clone(), ghost.publication.publication());
            open += 1;
            if removed.contains_key(&key) {
                continue;
            }
            removed.insert(key, now);
            let outcome = remove(ghost, server, clearing, &inputs, &env).await;
            inputs.status.count(ActionKind::Ghosts, outcome);
        }
        pending.set(open);
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn remove(
    ghost: &Ghost,
    server: &RtmpServerCheck,
    clearing: &crate::model::action::GhostClearing,
    inputs: &Inputs,
    env: &Arc<ProbeEnvironment>,
) -> ActionOutcome {
    let about = ghost.stream.as_ref().map_or_else(String::new, |stream| format!(" of stream {stream}"));
    let frozen = inputs.clock.now().saturating_duration_since(ghost.since);
    let what = format!("ghost publisher{about}, {:.1}s without a byte,", frozen.as_secs_f64());
    let (outcome, line) = match Removal::of(ghost, server, clearing) {
        None => (ActionOutcome::Refused, format!("{what} cannot be told from others: its server names no connection")),
        Some(removal) => match removal.send(env).await {
            Ok(()) => (ActionOutcome::Done, format!("{what} thrown out")),
            Err(why) => (ActionOutcome::Failed, format!("{what} could not be thrown out: {why}")),
        },
    };
    inputs.note(Subject { class: SubjectClass::Service, name: ghost.service.clone() }, &line);
    outcome
}

fn server<'s>(snapshot: &'s Snapshot, service: &Name) -> Option<&'s RtmpServerCheck> {
    match &snapshot.target(TargetClass::Service, service.as_str())?.spec.check.check {
        Check::RtmpServer(server) => Some(server),
        _ => None,
    }
}
