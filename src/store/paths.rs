//! Paths in the picture: their first failing hop, and what their streams deliver.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::judged::Outcome;
use crate::health::{HopEvidence, PathEvaluator};
use crate::model::event::{Event, EventKind, Subject};
use crate::model::health::{Cause, Health};
use crate::model::path::{Carries, Hop, HopClass, HopView, LinkView, PathSpec, PathView};
use crate::model::snapshot::{StreamView, TargetView, Verdict};
use crate::model::{Name, TargetClass, TargetId};

/// How often rates are added up.
const LINK_PERIOD: Duration = Duration::from_secs(1);

/// What is known of the things that hops are.
pub trait Known {
    fn stream(&self, name: &Name) -> Option<&StreamView>;
    fn target(&self, id: &TargetId) -> Option<&TargetView>;
    fn streams(&self) -> impl Iterator<Item = &StreamView>;
}

/// All paths.
#[derive(Debug, Default)]
pub struct Paths {
    entries: Vec<Entry>,
    /// When rates were added up.
    added_up: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<PathSpec>,
    evaluator: PathEvaluator,
    /// A fault has ended, and hops have yet to come back.
    recovering: bool,
    /// Faults that have been told of.
    told: u64,
    view: Arc<PathView>,
}

impl Paths {
    /// When something is due although nothing arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|e| e.evaluator.poll_timeout()).min()
    }

    /// Follows what is wanted. A path whose hops are the same keeps what is known of them.
    pub fn set_desired(&mut self, desired: &[Arc<PathSpec>]) {
        let mut before: HashMap<Name, Entry> = self.entries.drain(..).map(|e| (e.spec.name.clone(), e)).collect();
        self.entries = desired
            .iter()
            .map(|spec| {
                let kept = before.remove(&spec.name).filter(|e| e.spec.hops == spec.hops);
                let (evaluator, recovering, told) =
                    kept.map(|e| (e.evaluator, e.recovering, e.told)).unwrap_or_default();
                let view = PathView {
                    spec: Arc::clone(spec),
                    hops: Arc::new([]),
                    fault: evaluator.fault(),
                    link: LinkView::default(),
                };
                Entry { spec: Arc::clone(spec), evaluator, recovering, told, view: Arc::new(view) }
            })
            .collect();
        self.added_up = None;
    }

    /// Looks at all paths.
    pub fn evaluate(&mut self, now: Instant, wall: SystemTime, known: &impl Known, outcome: &mut Outcome) {
        let adds_up = self.added_up.is_none_or(|at| now.saturating_duration_since(at) >= LINK_PERIOD);
        if adds_up {
            self.added_up = Some(now);
        }
        for entry in &mut self.entries {
            entry.evaluate(now, wall, known, adds_up, outcome);
        }
    }

    pub fn views(&self) -> Arc<[Arc<PathView>]> {
        self.entries.iter().map(|e| Arc::clone(&e.view)).collect()
    }
}

impl Entry {
    fn evaluate(&mut self, now: Instant, wall: SystemTime, known: &impl Known, adds_up: bool, outcome: &mut Outcome) {
        let states: Vec<_> = self.spec.hops.iter().map(|hop| state(hop, known)).collect();
        let evidence: Vec<_> = states.iter().map(|(evidence, _)| *evidence).collect();
        let before = self.evaluator.fault();
        let changed = self.evaluator.evaluate(now, wall, self.spec.settle, &evidence);
        let hops: Vec<_> = states
            .into_iter()
            .enumerate()
            .map(|(i, (evidence, causes))| HopView {
                health: evidence.health,
                causes,
                consequence: self.evaluator.is_consequence(i),
            })
            .collect();
        let down = hops.iter().filter(|h| h.health == Health::Down).count();
        if changed || self.recovering && down == 0 {
            self.told += 1;
            outcome.events.push(self.event(wall, &hops, before.map(|f| f.hop)));
            self.recovering = self.evaluator.fault().is_none() && down > 0;
        }
        let link = if adds_up { link(&self.spec, known) } else { self.view.link };
        let fault = self.evaluator.fault();
        if *self.view.hops != *hops || self.view.fault != fault || self.view.link != link {
            let spec = Arc::clone(&self.spec);
            self.view = Arc::new(PathView { spec, hops: hops.into(), fault, link });
        }
    }

    /// `before`: the hop that has been the faulty one.
    fn event(&self, at: SystemTime, hops: &[HopView], before: Option<usize>) -> Event {
        let fault = self.evaluator.fault();
        let faulty = fault.and_then(|f| Some((f, self.spec.hops.get(f.hop)?, hops.get(f.hop)?)));
        let (to, causes, detail) = match faulty {
            Some((fault, hop, view)) => {
                let consequences = hops.iter().filter(|h| h.consequence).count();
                let doubt = if fault.certain { "" } else { ", or a hop before it of which nothing is known" };
                let detail = format!("first failing hop: {hop}{doubt}; {consequences} after it fail in consequence");
                (Some(Health::Down), view.causes.clone(), detail)
            }
            None => match hops.iter().filter(|h| h.health == Health::Down).count() {
                0 => (Some(Health::Up), Vec::new(), "no hop fails".to_owned()),
                down => (None, Vec::new(), self.describe_recovery(hops, before, down)),
            },
        };
        let failed = before.is_some() || self.recovering;
        Event {
            from: Some(if failed { Health::Down } else { Health::Up }.into()),
            to: to.map(Into::into),
            causes,
            hop: faulty.map(|(_, hop, _)| hop.clone()),
            epoch: Some(self.told),
            ..Event::new(at, Subject::path(&self.spec.name), EventKind::Fault, detail)
        }
    }

    fn describe_recovery(&self, hops: &[HopView], before: Option<usize>, down: usize) -> String {
        let Some((hop, view)) = before.and_then(|i| Some((self.spec.hops.get(i)?, hops.get(i)?))) else {
            return format!("{down} hops have yet to come back");
        };
        match view.health {
            Health::Unknown => format!("nothing is known of hop {hop} any more; {down} after it have yet to come back"),
            _ => format!("hop {hop} is back; {down} after it have yet to come back"),
        }
    }
}

/// A hop as it stands, with its causes. What is not there is unknown.
fn state(hop: &Hop, known: &impl Known) -> (HopEvidence, Vec<Cause>) {
    let found = match hop.class {
        HopClass::Stream => known.stream(&hop.name).map(|view| (&view.verdict, last_frame(view))),
        HopClass::Endpoint => target(TargetClass::Endpoint, hop, known),
        HopClass::Service => target(TargetClass::Service, hop, known),
    };
    match found {
        Some((verdict, seen_well)) => (HopEvidence { health: verdict.health, seen_well }, causes(verdict)),
        None => (HopEvidence { health: Health::Unknown, seen_well: None }, Vec::new()),
    }
}

fn target<'k>(class: TargetClass, hop: &Hop, known: &'k impl Known) -> Option<(&'k Verdict, Option<Instant>)> {
    let view = known.target(&TargetId { class, name: hop.name.clone() })?;
    Some((&view.verdict, view.report.as_ref().and_then(|r| r.last_success)))
}

fn last_frame(view: &StreamView) -> Option<Instant> {
    let media = &view.report.as_ref()?.media;
    media.video.medium.last_frame.max(media.audio.medium.last_frame)
}

fn causes(verdict: &Verdict) -> Vec<Cause> {
    verdict.down.map(Cause::Down).into_iter().chain(verdict.degraded.iter().map(Cause::Degraded)).collect()
}

/// What the carried streams deliver, against what they should. Against `expect_rate`, which is for all, nothing is received that is not known
/// of every stream that is expected now. Against minima, media without one and streams of which no rate is known are left out.
fn link(spec: &PathSpec, known: &impl Known) -> LinkView {
    let mut link = LinkView::default();
    let mut all_known = true;
    let mut add = |view: &StreamView| {
        let expect = &view.spec.policy.expect;
        let minima = [expect.video.bitrate.min, expect.audio.bitrate.min];
        let wanted = minima.iter().flatten().map(|rate| rate.bytes_per_second()).reduce(|a, b| a + b);
        if view.verdict.health == Health::Idle {
            return;
        }
        link.streams += 1;
        let rate = match view.verdict.health {
            Health::Down => Some(0.0),
            Health::Unknown => None,
            _ => view.report.as_ref().and_then(|report| {
                let media = [&report.media.video.medium, &report.media.audio.medium];
                let counts = |min: &Option<_>| spec.expect_rate.is_some() || min.is_some();
                let counted = media.iter().zip(&minima).filter(|(_, min)| counts(min));
                counted.filter_map(|(m, _)| m.bytes_per_second).reduce(|a, b| a + b)
            }),
        };
        let Some(rate) = rate else {
            all_known = false;
            return;
        };
        match (spec.expect_rate, wanted) {
            (Some(_), _) => link.received = Some(link.received.unwrap_or(0.0) + rate),
            (None, Some(wanted)) => {
                link.received = Some(link.received.unwrap_or(0.0) + rate);
                link.expected = Some(link.expected.unwrap_or(0.0) + wanted);
            }
            (None, None) => {}
        }
    };
    match &spec.carries {
        Carries::Streams(names) => names.iter().filter_map(|name| known.stream(name)).for_each(&mut add),
        Carries::Labelled(wanted) => {
            let fits = |view: &&StreamView| wanted.iter().all(|(k, v)| view.spec.labels.get(k) == Some(v));
            known.streams().filter(fits).for_each(&mut add);
        }
    }
    if spec.expect_rate.is_some() && !all_known {
        link.received = None;
    }
    link.expected = spec.expect_rate.map(|rate| rate.bytes_per_second()).or(link.expected);
    link
}
