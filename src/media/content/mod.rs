//! Watches what a stream shows and sounds like, by samples that somebody else decodes.
//!
//! Between samples only the codecs' configuration is kept, and the sizes of coded pictures are looked at. A sample is taken every
//! [`ContentPolicy::interval`]; earlier when sizes collapse, and when another look would confirm what the one before has shown. It is the
//! next keyframe with a few frames after it, and a second of sound.

mod course;
mod recovery;
mod sampler;
mod sizes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::MediaPacket;
use crate::model::budget::{ByteBudget, Held};
use crate::model::content::{InspectFailure, Inspection, Sample};
use crate::model::content_policy::ContentPolicy;
use crate::model::content_report::{ContentReport, Thumbnail};
use crate::model::demuxed::{DemuxedFrame, DemuxedTrack};

use course::Course;
use sampler::{FrameSize, Sampler};
use sizes::Sizes;

/// Least time from one sample to the next.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// The first sample is taken within this of live media; the others at the stream's own phase of the interval.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// When those who decode were busy, the next sample is taken about this much later.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// How many times longer than the interval a stream is left alone whose samples cost those who decode dear, at most, as a power of 2.
const LONGEST_REST: u32 = 3;

/// One stream's content. Counters and the thumbnail survive sessions; everything else starts anew with each.
#[derive(Debug)]
pub struct ContentWatch {
    policy: ContentPolicy,
    phase: f64,
    sampler: Sampler,
    sizes: Sizes,
    course: Course,
    /// When the next sample is wanted; `None` until media is live.
    due: Option<Instant>,
    /// A moment at which one is wanted whatever happens, as one is every interval before and after it. So streams that something makes
    /// look at one time do not do so for ever.
    turn: Option<Instant>,
    /// Something asks for another sample, taken later than the one under way.
    again: bool,
    /// The next look, or the one under way, is to confirm what the one before has shown.
    confirms: bool,
    /// The newest look was put off because those who decode were busy, and that has been told at this moment.
    put_off: Option<Instant>,
    /// Inspections in a row that took a worker with them, or too long.
    setbacks: u32,
    /// When the sample was taken that is being inspected, and whether it is of hardly anything but keyframes.
    inspecting: Option<(Instant, bool)>,
    inspections: u64,
    decode_errors: u64,
    thumbnail: Option<Arc<Thumbnail>>,
}

/// What [`ContentWatch::poll`] says.
#[derive(Debug)]
pub enum Wanted {
    Nothing,
    /// To be inspected; [`ContentWatch::handle_result`] wants to know the outcome. Its part of the budget is to be held until then.
    Inspection(Sample, Held),
    /// A sample was wanted, but there is no room for it. It is tried again soon, and told again if a whole interval passes so.
    Room,
    /// A sample was wanted, but nothing came that could be decoded.
    NoSample,
}

impl ContentWatch {
    /// `phase`, from 0 to 1, spreads the samples of many streams over time.
    pub fn new(policy: ContentPolicy, phase: f64) -> Self {
        Self {
            policy,
            phase: phase.clamp(0.0, 1.0),
            sampler: Sampler::default(),
            sizes: Sizes::default(),
            course: Course::default(),
            due: None,
            turn: None,
            again: false,
            confirms: false,
            put_off: None,
            setbacks: 0,
            inspecting: None,
            inspections: 0,
            decode_errors: 0,
            thumbnail: None,
        }
    }

    /// Takes another policy at run time. Limits apply from the next sample on.
    pub fn set_policy(&mut self, policy: &ContentPolicy) {
        if self.policy == *policy {
            return;
        }
        self.policy = policy.clone();
        self.course.keep_enabled(policy);
        if !policy.thumbnail {
            self.thumbnail = None;
        }
        if !policy.is_on() {
            self.sampler.stop();
            (self.course, self.sizes) = (Course::default(), Sizes::default());
        }
        (self.due, self.again, self.confirms) = (None, false, false);
    }

    pub fn policy(&self) -> &ContentPolicy {
        &self.policy
    }

    /// A session begins, or has ended.
    pub fn restart(&mut self) {
        (self.sampler, self.sizes, self.course) = Default::default();
        (self.due, self.again, self.confirms, self.inspecting) = (None, false, false, None);
        self.put_off = None;
    }

    /// How long bodies may be that the next messages should bring whole; `None`: heads will do.
    pub fn wanted_bodies(&self) -> Option<u32> {
        self.sampler.wanted_bodies()
    }

    /// Takes a media message.
    pub fn handle_packet(&mut self, now: Instant, packet: &MediaPacket<'_>) {
        let frame = self.sampler.handle_packet(now, packet);
        self.note_size(now, frame);
    }

    /// Takes what a demuxed medium is made of from now on.
    pub fn handle_track(&mut self, track: &DemuxedTrack) {
        self.sampler.handle_track(track);
    }

    /// Takes a demuxed frame.
    pub fn handle_frame(&mut self, now: Instant, frame: &DemuxedFrame) {
        let frame = self.sampler.handle_frame(now, frame);
        self.note_size(now, frame);
    }

    fn note_size(&mut self, now: Instant, frame: Option<FrameSize>) {
        let Some(frame) = frame else { return };
        if self.policy.is_on() && self.sizes.frame(frame.timestamp, frame.key, frame.bytes) {
            self.look_now(now);
        }
    }

    /// Something has happened that a sample from now on would show.
    fn look_now(&mut self, now: Instant) {
        if self.inspecting.is_some() || self.sampler.has_begun() {
            self.again = true;
        } else {
            self.due = self.due.map(|due| due.min(now));
        }
    }

    /// What is to be done now. `flows`: live media arrives. `samples` is the budget of all streams' samples.
    pub fn poll(&mut self, now: Instant, flows: bool, samples: &ByteBudget) -> Wanted {
        if let Some(complete) = self.sampler.poll(now) {
            let Some((taken, sample, held)) = complete else {
                self.put_off = None;
                self.plan(now, None);
                return Wanted::NoSample;
            };
            self.inspecting = Some((taken, is_intra(&sample)));
            return Wanted::Inspection(sample, held);
        }
        if flows && self.policy.is_on() && self.inspecting.is_none() && self.sampler.wanted_bodies().is_none() {
            let due = match self.due {
                Some(due) => due,
                None => self.begin(now),
            };
            if now >= due && !self.sampler.begin(now, samples) {
                return if self.put_off(now) { Wanted::Room } else { Wanted::Nothing };
            }
        }
        Wanted::Nothing
    }

    /// Media is live. When the first sample is due.
    fn begin(&mut self, now: Instant) -> Instant {
        let interval = self.policy.interval;
        self.turn = Some(now + interval.mul_f64(self.phase));
        *self.due.insert(now + interval.min(FIRST_WITHIN).mul_f64(self.phase))
    }

    /// Those who decode are busy: the same look is taken later. Whether that is to be told: of one look once an interval.
    fn put_off(&mut self, now: Instant) -> bool {
        self.due = Some(now + BUSY_PAUSE.mul_f64(0.5 + self.phase));
        let told = self.put_off.is_some_and(|at| now.saturating_duration_since(at) < self.policy.interval);
        if !told {
            self.put_off = Some(now);
        }
        !told
    }

    /// The outcome of the inspection that [`ContentWatch::poll`] has asked for. Whether it is to be counted: a look that is put off again and
    /// again is one.
    pub fn handle_result(&mut self, now: Instant, result: Result<&Inspection, InspectFailure>) -> bool {
        let Some((taken, intra)) = self.inspecting.take() else { return true };
        if matches!(result, Err(InspectFailure::Busy)) {
            return self.put_off(now);
        }
        self.put_off = None;
        match result {
            Ok(inspection) => {
                self.inspections += 1;
                let errors =
                    [inspection.picture.as_ref().map(|p| p.errors), inspection.sound.as_ref().map(|s| s.errors)];
                self.decode_errors += errors.into_iter().flatten().map(u64::from).sum::<u64>();
                self.course.inspected(taken, inspection, intra, &self.policy);
            }
            Err(failure) => self.course.failed(taken, failure, &self.policy),
        }
        match result {
            Err(InspectFailure::Deadline | InspectFailure::WorkerLost | InspectFailure::Memory) => {
                // It may be its sample that does this, and all the others that pay.
                self.setbacks = (self.setbacks + 1).min(LONGEST_REST);
                self.plan(now, None);
                let rest = now + self.policy.interval * (1 << self.setbacks);
                self.due = self.due.map(|due| due.max(rest));
            }
            Ok(_) | Err(_) => {
                self.setbacks = 0;
                self.plan(now, Some(taken));
            }
        }
        true
    }

    /// Shows this picture from now on, or none.
    pub fn set_thumbnail(&mut self, thumbnail: Option<Arc<Thumbnail>>) {
        self.thumbnail = thumbnail.filter(|_| self.policy.thumbnail);
    }

    /// Decides when to look next, after a look at what was taken at `looked`: at the stream's own turn, unless there is a reason to look
    /// earlier.
    fn plan(&mut self, now: Instant, looked: Option<Instant>) {
        let interval = self.policy.interval;
        // A turn that comes soon after a look has had it.
        let from = self.due.map_or(now, |due| due + interval / 2).max(now);
        let turn = self.turn.unwrap_or(from);
        let turns = from.saturating_duration_since(turn).as_nanos().div_ceil(interval.as_nanos().max(1));
        let regular = turn + interval.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX));
        self.turn = Some(regular);
        if !self.confirms {
            self.course.may_ask_again();
        }
        let earlier = if std::mem::take(&mut self.again) {
            self.confirms = false;
            Some(now)
        } else {
            let confirmed = looked.and_then(|looked| self.course.confirmed_at(looked, &self.policy));
            self.confirms = confirmed.is_some_and(|at| at < regular);
            confirmed
        };
        let earlier = earlier.map(|at| at.max(now + LEAST_INTERVAL));
        self.due = Some(earlier.map_or(regular, |at| at.min(regular)));
    }

    /// What is known; `None` where nothing is to be known.
    pub fn report(&self) -> Option<ContentReport> {
        self.policy.is_on().then(|| ContentReport {
            inspections: self.inspections,
            decode_errors: self.decode_errors,
            put_off: self.put_off.is_some(),
            picture: self.course.picture,
            sound: self.course.sound,
            findings: self.course.findings,
            thumbnail: self.thumbnail.clone(),
        })
    }
}

/// Whether a quarter or more of the changes in a sample's picture lead to a keyframe: what these have of their own is part of what changes.
fn is_intra(sample: &Sample) -> bool {
    let after = sample.video.as_ref().and_then(|video| video.frames.get(1..)).unwrap_or_default();
    4 * after.iter().filter(|frame| frame.keyframe).count() >= after.len()
}
