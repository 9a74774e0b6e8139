//! What happened to groups and failovers, in words for people.

use std::time::SystemTime;

use super::standing::Review;
use crate::health::{GroupEvaluator, Switch};
use crate::model::Name;
use crate::model::event::{Event, EventKind, Subject};
use crate::model::failover::{FailoverPin, SuppressReason, SwitchReason};
use crate::model::group::Maintenance;
use crate::model::health::Health;

/// Members that are named; more are counted.
const NAMED: usize = 3;

pub fn change(at: SystemTime, name: &Name, from: Health, group: &GroupEvaluator, review: &Review) -> Event {
    let to = group.health();
    let failing = failing(&review.failing);
    let detail = match (to, group.eligible(), group.serving()) {
        (Health::Idle, ..) => "taken out of service by an operator".to_owned(),
        (Health::Down, Some(false), _) => format!("not fit to serve{failing}"),
        (Health::Down, _, Some(false)) => format!("does not serve{failing}"),
        (Health::Down | Health::Degraded, ..) => failing.trim_start_matches(": ").to_owned(),
        (Health::Unknown, ..) => "too little is known of its members".to_owned(),
        (Health::Up, ..) => String::new(),
    };
    Event {
        id: 0,
        at,
        subject: Subject::group(name),
        kind: EventKind::State,
        from: Some(from),
        to: Some(to),
        causes: review.causes.clone(),
        detail: detail.into(),
    }
}

fn failing(members: &[Subject]) -> String {
    if members.is_empty() {
        return String::new();
    }
    let named: Vec<String> = members.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match members.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(": {}{more} down", named.join(", "))
}

pub fn switch(switch: &Switch) -> String {
    let Switch { from, to, reason } = switch;
    let why = match reason {
        SwitchReason::Initial => "the first decision",
        SwitchReason::NotEligible => "the one before is not fit to serve",
        SwitchReason::NotServing => "the one before does not serve",
        SwitchReason::Preempt => "it is preferred, and fit again",
        SwitchReason::Pinned => "an operator pinned it",
        SwitchReason::Maintenance => "an operator took the one before out of service",
        SwitchReason::Removed => "the one before is configured no more",
    };
    match from {
        Some(from) => format!("{from} → {to}: {why}"),
        None => format!("→ {to}: {why}"),
    }
}

pub fn suppression(reason: Option<SuppressReason>) -> &'static str {
    match reason {
        None => "a switch is not asked for any more, or not kept from any more",
        Some(SuppressReason::Isolated) => "no switch: nothing is seen at all",
        Some(SuppressReason::Vantage) => "no switch: nothing says that the fault is not ours",
        Some(SuppressReason::Hold) => "no switch yet: the last one was a short time ago",
        Some(SuppressReason::NoCandidate) => "no switch: no other candidate is known to be fit",
        Some(SuppressReason::Site) => "no switch: the same streams are missing on every candidate tried",
        Some(SuppressReason::Pinned) => "no switch: an operator pinned the active candidate",
        Some(SuppressReason::Blame) => "no switch: streams are missing, and nothing says that the origin is at fault",
    }
}

pub fn maintenance(word: Option<&Maintenance>) -> String {
    match word {
        Some(Maintenance { state, reason, .. }) => format!("{state}: {reason}"),
        None => "back in service".to_owned(),
    }
}

pub fn pin(pin: Option<&FailoverPin>) -> String {
    match pin {
        Some(FailoverPin { group, reason, .. }) => format!("pinned to {group}: {reason}"),
        None => "pinned no more".to_owned(),
    }
}
