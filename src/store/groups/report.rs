//! What happened to groups and failovers, in words for people.

use std::time::SystemTime;

use super::standing::Review;
use crate::health::{GroupEvaluator, Switch};
use crate::model::Name;
use crate::model::event::{Event, EventKind, Status, Subject, SubjectClass};
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
        from: Some(from.into()),
        to: Some(to.into()),
        causes: review.causes.clone(),
        epoch: Some(group.epoch()),
        ..Event::new(at, Subject::group(name), EventKind::State, detail)
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

pub fn switch(at: SystemTime, failover: &Name, epoch: u64, switch: &Switch) -> Event {
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
    let detail = match from {
        Some(from) => format!("{from} → {to}: {why}"),
        None => format!("→ {to}: {why}"),
    };
    Event {
        from: from.clone().map(Status::Candidate),
        to: Some(Status::Candidate(to.clone())),
        reason: Some(reason.as_str()),
        epoch: Some(epoch),
        ..Event::new(at, Subject::failover(failover), EventKind::Switched, detail)
    }
}

/// `before`, `reason`: what has kept the failover from a switch, and does now.
pub fn suppression(
    at: SystemTime,
    failover: &Name,
    epoch: u64,
    before: Option<SuppressReason>,
    reason: Option<SuppressReason>,
) -> Event {
    let detail = match reason {
        None => "a switch is not asked for any more, or not kept from any more",
        Some(SuppressReason::Isolated) => "no switch: nothing is seen at all",
        Some(SuppressReason::Vantage) => "no switch: nothing says that the fault is not ours",
        Some(SuppressReason::Hold) => "no switch yet: the last one was a short time ago",
        Some(SuppressReason::NoCandidate) => "no switch: no other candidate is known to be fit",
        Some(SuppressReason::Site) => "no switch: the same streams are missing on every candidate tried",
        Some(SuppressReason::Pinned) => "no switch: an operator pinned the active candidate",
        Some(SuppressReason::Blame) => "no switch: streams are missing, and nothing says that the origin is at fault",
    };
    Event {
        from: Some(Status::Kept(before)),
        to: Some(Status::Kept(reason)),
        reason: reason.map(SuppressReason::as_str),
        epoch: Some(epoch),
        ..Event::new(at, Subject::failover(failover), EventKind::Suppressed, detail)
    }
}

pub fn isolation(at: SystemTime, monitor: Name, isolated: bool, number: u64) -> Event {
    let detail = match isolated {
        true => "nothing is seen any more: groups and failovers keep their last answers",
        false => "the outside is seen again",
    };
    let subject = Subject { class: SubjectClass::Monitor, name: monitor };
    Event {
        from: Some(Status::Sight { isolated: !isolated }),
        to: Some(Status::Sight { isolated }),
        epoch: Some(number),
        ..Event::new(at, subject, EventKind::Isolation, detail)
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
