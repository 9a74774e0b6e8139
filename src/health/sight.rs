//! Whether we can see: the outside's signs of life, against which every suspicion is held.
//!
//! A target that does not answer and a network of ours that is down look alike. Something that answers *after* the suspicion arose tells
//! them apart: a vantage endpoint, or, where there is none to be had, anything else out there. A spell in which nothing answered leaves
//! failures behind that are found only after it has ended, so for a while after it nothing worsens.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use crate::model::Name;
use crate::model::event::Subject;

/// A vantage endpoint that is asked at once answers within this, unless we are blind.
const PROMPT: Duration = Duration::from_millis(500);
/// How long after a blind spell its traces are not trusted: as long as it was, within these bounds. TCP takes about that to go on.
const GRACE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(15));
/// What is looked at is overdue after an interval and a half, and this.
const SLACK: Duration = Duration::from_millis(500);
/// After an isolation or a pause of ours everything is looked at anew before anything is decided by what was found before it.
const LOOK_ANEW: Duration = Duration::from_secs(5);
/// Silence of everything for less than this says nothing.
const USUAL_SILENCE: Duration = Duration::from_secs(2);
/// A vantage endpoint that has been silent for this long when others answer is none, until it answers again.
const VANTAGE_PATIENCE: Duration = Duration::from_secs(60);
/// Signs of life and blind spells that are remembered.
const REMEMBERED: usize = 64;

/// Something may have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    pub since: Instant,
    /// The newest good evidence from what may have failed.
    pub last_good: Option<Instant>,
    /// It is on this host.
    pub local: bool,
    /// Within this it is looked at again, and that look has ended.
    pub looked_at_within: Duration,
}

/// What a suspicion is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// We have seen the outside since.
    Confirmed,
    /// Nothing has been seen since. Asking a vantage endpoint would help.
    Unconfirmed,
    /// We see, after a blind spell whose traces must not count: not before then.
    Clearing { until: Instant },
}

/// Follows what is seen.
#[derive(Debug, Clone, Default)]
pub struct SightEvaluator {
    vantage: Signs<Name>,
    /// Of everything remote, vantage endpoints among it.
    anything: Signs<Subject>,
    isolated: bool,
    /// When we saw again.
    seen_again: Option<Instant>,
    /// When we last looked, by both clocks.
    looked: Option<(Instant, SystemTime)>,
    /// When looking began. We may have been blind then.
    begun: Option<Instant>,
}

impl SightEvaluator {
    /// Forgets what is not watched any more.
    pub fn retain(&mut self, vantage: &[Name], is_watched: impl Fn(&Subject) -> bool) {
        self.vantage.things.retain(|name, _| vantage.contains(name));
        self.anything.things.retain(|subject, _| is_watched(subject));
    }

    /// Something remote, which is looked at every so often, was last seen well at `at`.
    pub fn note_seen(&mut self, subject: &Subject, at: Instant, every: Duration) {
        self.anything.note(subject, at, every, self.begun);
    }

    /// A vantage endpoint has last answered at `at`.
    pub fn note_vantage(&mut self, name: &Name, at: Instant, every: Duration) {
        self.vantage.note(name, at, every, self.begun);
    }

    /// Whether there is a vantage endpoint to be had.
    pub fn has_vantage(&self) -> bool {
        let Some(last) = self.vantage.last().filter(|_| !self.vantage.things.is_empty()) else { return false };
        self.anything.last().is_none_or(|other| other <= last + VANTAGE_PATIENCE)
    }

    /// Whether a suspicion may be believed.
    pub fn trust(&self, now: Instant, suspicion: &Suspicion) -> Trust {
        match () {
            () if suspicion.local => Trust::Confirmed,
            () if self.has_vantage() => self.vantage.trust(now, suspicion, Some(PROMPT)),
            // Nobody can be asked: what happens to be seen has to do.
            () => self.anything.trust(now, suspicion, None),
        }
    }

    /// Looks whether we see anything at all. `true`: that has changed.
    pub fn evaluate(&mut self, now: Instant, wall: SystemTime) -> bool {
        self.begun.get_or_insert(now);
        let paused = self.looked.replace((now, wall)).is_some_and(|(before, then)| {
            let passed = wall.duration_since(then).unwrap_or_default();
            passed.saturating_sub(now.saturating_duration_since(before)) > USUAL_SILENCE
        });
        if paused {
            self.seen_again = Some(now);
        }
        let isolated = self.blind_from().is_some_and(|at| now > at);
        let changed = std::mem::replace(&mut self.isolated, isolated) != isolated;
        if changed {
            self.seen_again = (!isolated).then_some(now);
        }
        changed
    }

    /// Until when what was found before an isolation, or a pause of ours, has yet to be looked at anew.
    pub fn looks_anew_until(&self, now: Instant) -> Option<Instant> {
        self.seen_again.map(|at| at + LOOK_ANEW).filter(|until| *until > now)
    }

    pub fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// When we are isolated, if nothing is seen until then.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        self.blind_from().map(|at| at + Duration::from_millis(1)).filter(|at| *at > now)
    }

    fn blind_from(&self) -> Option<Instant> {
        let last = self.anything.last();
        if self.has_vantage() {
            let silent_from = last.map(|at| at + USUAL_SILENCE);
            return self.vantage.all_overdue().max(silent_from);
        }
        // All lost within one moment; one thing alone that goes silent is one thing.
        self.anything.all_overdue().filter(|_| self.anything.alive().count() > 1)
    }
}

/// Moments at which some of many things were seen.
#[derive(Debug, Clone)]
struct Signs<K> {
    /// When each was seen, and when it would be overdue.
    things: BTreeMap<K, (Instant, Instant)>,
    moments: VecDeque<Instant>,
    /// From, to.
    spells: VecDeque<(Instant, Instant)>,
}

impl<K> Default for Signs<K> {
    fn default() -> Self {
        Self { things: BTreeMap::new(), moments: VecDeque::new(), spells: VecDeque::new() }
    }
}

impl<K: Clone + Ord> Signs<K> {
    fn note(&mut self, key: &K, at: Instant, every: Duration, begun: Option<Instant>) {
        if self.things.get(key).is_some_and(|(seen, _)| *seen >= at) {
            return;
        }
        if let Some(last) = self.last().or(begun).filter(|last| at > *last) {
            // Something should have been seen in between.
            let overdue = self.moments.is_empty() || self.alive().any(|due| due < at);
            if at - last > USUAL_SILENCE && overdue {
                keep(&mut self.spells, (last, at));
            }
        }
        if self.last().is_none_or(|last| at > last) {
            keep(&mut self.moments, at);
        }
        let due = at + every.mul_f64(1.5) + SLACK;
        match self.things.get_mut(key) {
            Some(thing) => *thing = (at, due),
            None => drop(self.things.insert(key.clone(), (at, due))),
        }
    }

    fn last(&self) -> Option<Instant> {
        self.moments.back().copied()
    }

    /// When those are overdue that were not when the last sign came.
    fn alive(&self) -> impl Iterator<Item = Instant> {
        let last = self.last();
        self.things.values().map(|(_, due)| *due).filter(move |due| Some(*due) >= last)
    }

    fn all_overdue(&self) -> Option<Instant> {
        self.alive().max()
    }

    fn trust(&self, now: Instant, suspicion: &Suspicion, prompt: Option<Duration>) -> Trust {
        let after = suspicion.last_good.map_or(suspicion.since, |good| good.max(suspicion.since));
        let Some(first) = self.moments.iter().copied().find(|at| *at > after) else { return Trust::Unconfirmed };
        // Asked at once and answered late: we were blind in between. Older signs than those remembered may have been prompt.
        let remembers = self.moments.len() < REMEMBERED || self.moments.front().is_some_and(|at| *at <= after);
        let late = prompt.filter(|prompt| remembers && first - after > *prompt).map(|_| (after, first));
        let spells = self.spells.iter().copied().chain(late);
        // What had been on its way arrives when a spell ends, and is no sign that what follows is well.
        let traces = spells.filter(|(_, end)| suspicion.last_good.is_none_or(|good| good < *end + GRACE.0));
        let grace = |from: Instant, to: Instant| (to - from).clamp(GRACE.0, GRACE.1).max(suspicion.looked_at_within);
        match traces.map(|(from, to)| to + grace(from, to)).max() {
            Some(until) if until > now => Trust::Clearing { until },
            _ => Trust::Confirmed,
        }
    }
}

fn keep<T>(ring: &mut VecDeque<T>, value: T) {
    ring.push_back(value);
    if ring.len() > REMEMBERED {
        ring.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything was seen each second, then nothing for three; then the vantage answers, and with it comes what had been on its way.
    #[test]
    fn what_was_on_its_way_when_a_blind_spell_ends_proves_nothing() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let gateway = Name::new("gateway").unwrap();
        let mut sight = SightEvaluator::default();
        sight.evaluate(start, SystemTime::UNIX_EPOCH);
        for second in [0.0, 1.0, 2.0, 5.0, 5.5] {
            sight.note_vantage(&gateway, at(second), Duration::from_secs(1));
        }
        let suspicion = |last_good| Suspicion {
            since: at(5.2),
            last_good: Some(at(last_good)),
            local: false,
            looked_at_within: Duration::ZERO,
        };
        let clearing = Trust::Clearing { until: at(8.0) };
        assert_eq!(sight.trust(at(6.1), &suspicion(2.0)), clearing, "seen well before the spell alone");
        assert_eq!(sight.trust(at(6.1), &suspicion(5.1)), clearing, "and a moment after its end");
        assert_eq!(sight.trust(at(8.1), &suspicion(5.1)), Trust::Confirmed, "the traces are gone");
    }
}
