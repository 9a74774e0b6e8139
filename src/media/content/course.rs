//! From one inspection to the next: what the picture and the sound have shown, and since when.

use std::collections::VecDeque;
use std::time::Instant;

use crate::model::content::{InspectFailure, Inspection, Picture, Sound};
use crate::model::content_policy::{BlackLimits, ContentPolicy, UndecodableLimits};
use crate::model::content_report::{ContentIssue, Finding, PictureFacts, SoundFacts};

type Signature = [u8; Picture::SIGNATURE];
type Detail = [u8; Picture::DETAIL];

/// Damaged frames of a sample, as a share, beyond which it is not judged by where the check for damage is off.
const MOST: f32 = 0.5;
/// Rows of boxes at the top, and at the bottom, in which cameras write, and boxes that they write over at most: a tenth.
const WRITTEN_ROWS: usize = Picture::SIGNATURE_HEIGHT / 6;
const WRITTEN_BOXES: usize = Picture::SIGNATURE / 10;
/// Mean difference of detail up to which two keyframes are one picture, coded twice. The same picture at the same quality differs by
/// nothing, or by next to nothing.
const SAME_DETAIL: f32 = 0.00001;
/// Where the quality varies, as at a constant bit rate, keyframes of the same picture differ, and so do the pictures after them, which
/// improve on them: by up to so many times the change between these, and never by more than `MOST_IMPROVED`. What is left of a sensor's
/// noise where an encoder removes it from everything but keyframes was at least four times the change, on a wall of one colour, and
/// tens to thousands of times elsewhere. It is part of the change itself where keyframes follow keyframes: there it explains nothing.
const IMPROVED: f32 = 2.0;
const MOST_IMPROVED: f32 = 0.001;
/// Keyframes that the next one is held against: where the quality varies it is like one of them, not like all.
const KEYFRAMES: usize = 4;
/// After so many in a row that are like none of them the picture is not repeated, or not any more.
const PATIENCE: u32 = 6;

/// What has been seen in this session.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    pub picture: Option<PictureFacts>,
    pub sound: Option<SoundFacts>,
    pub findings: [Option<Finding>; ContentIssue::ALL.len()],
    /// The newest picture's.
    signature: Option<Box<Signature>>,
    still: Option<Still>,
    /// By issue: whether an earlier look has been asked for.
    asked: [bool; ContentIssue::ALL.len()],
}

/// A picture that did not change while it was sampled, against which the next ones are held: a slow change adds up.
#[derive(Debug, Clone)]
struct Still {
    at: Instant,
    signature: Box<Signature>,
    /// Of the newest keyframes, newest first.
    details: VecDeque<Box<Detail>>,
    /// Keyframes in a row that were like none before them.
    unlike: u32,
    /// Whether one has been like another, as no two of a living scene are.
    repeats: bool,
}

impl Still {
    fn new(at: Instant, picture: &Picture) -> Self {
        let details = VecDeque::from([picture.detail.clone()]);
        Self { at, signature: Box::new(picture.signature), details, unlike: 0, repeats: false }
    }

    /// Whether the picture is repeated, now that it looks like this and has improved by so much; `None` while that cannot be told.
    fn is_repeated(&mut self, improved: f32, detail: &Detail) -> Option<bool> {
        let most = SAME_DETAIL.max((IMPROVED * improved).min(MOST_IMPROVED));
        let like = self.details.iter().any(|before| mean_difference(before, detail) <= most);
        self.details.truncate(KEYFRAMES - 1);
        self.details.push_front(Box::new(*detail));
        self.unlike = if like { 0 } else { self.unlike + 1 };
        self.repeats |= like;
        if self.unlike >= PATIENCE { Some(false) } else { self.repeats.then_some(true) }
    }
}

impl Course {
    /// Takes what a sample of the moment `at` has shown. `intra`: its pictures are hardly anything but keyframes.
    pub fn inspected(&mut self, at: Instant, inspection: &Inspection, intra: bool, policy: &ContentPolicy) {
        if let Some(limits) = policy.undecodable {
            let picture = inspection.picture.as_ref().filter(|p| p.is_told()).map(|p| (p.decoded(), p.errors));
            let sound = inspection.sound.as_ref().map(|sound| (sound.frames, sound.errors));
            let media = [picture, sound];
            if media.iter().any(Option::is_some) {
                let broken = media.into_iter().flatten().any(|(frames, errors)| is_broken(frames, errors, limits));
                self.find(ContentIssue::Undecodable, at, broken);
            }
        }
        // What a decoder shows in the place of damaged frames, often the one before, is not what the camera sees.
        // Where nobody asks for damage, most of a sample is enough to judge by.
        let tolerated =
            policy.undecodable.unwrap_or(UndecodableLimits { errors: MOST, ..UndecodableLimits::default() });
        let picture = inspection.picture.as_ref();
        if let Some(picture) = picture.filter(|p| p.frames > 0 && !is_broken(p.decoded(), p.errors, tolerated)) {
            self.seen(at, picture, intra, policy);
        }
        let sound = inspection.sound.as_ref();
        if let Some(sound) = sound.filter(|s| !is_broken(s.frames, s.errors, tolerated)) {
            self.heard(at, sound, policy);
        }
    }

    /// An inspection came to nothing. Only what the stream itself is to blame for counts.
    pub fn failed(&mut self, at: Instant, failure: InspectFailure, policy: &ContentPolicy) {
        if failure == InspectFailure::UndecodableConfiguration && policy.undecodable.is_some() {
            self.find(ContentIssue::Undecodable, at, true);
        }
    }

    fn seen(&mut self, at: Instant, picture: &Picture, intra: bool, policy: &ContentPolicy) {
        let difference = self.signature.as_deref().map(|before| most_different(before, &picture.signature));
        let black = policy.black.map(|limits| is_black(picture, limits));
        if let Some(black) = black {
            self.find(ContentIssue::Black, at, black);
        }
        if let Some(limits) = policy.frozen {
            if black == Some(true) {
                // A black picture stands still, too: it is told once.
                self.still = None;
                self.find(ContentIssue::Frozen, at, false);
            } else if let Some(change) = picture.change {
                let quiet = change <= limits.change;
                let same = |still: &Still| most_different(&still.signature, &picture.signature) <= limits.difference;
                let (told, since) = match self.still.as_mut().filter(|still| quiet && same(still)) {
                    Some(still) => {
                        let improved = if intra { 0.0 } else { change };
                        let repeated = still.is_repeated(improved, &picture.detail);
                        (repeated.is_some(), Some(still.at).filter(|_| repeated != Some(false)))
                    }
                    // The first picture may be one of a standstill that began before.
                    None => (!quiet || difference.is_some(), None),
                };
                if told {
                    self.set(ContentIssue::Frozen, Finding { at, since });
                }
                if since.is_none() {
                    self.still = quiet.then(|| Still::new(at, picture));
                }
            }
        }
        self.signature = Some(Box::new(picture.signature));
        self.picture = Some(PictureFacts {
            at,
            width: picture.width,
            height: picture.height,
            luma_mean: picture.luma_mean,
            luma_deviation: picture.luma_deviation,
            change: picture.change,
            difference,
        });
    }

    fn heard(&mut self, at: Instant, sound: &Sound, policy: &ContentPolicy) {
        if let Some(limits) = policy.silent {
            let silent = sound.digital_silence || sound.loudness_dbfs <= limits.loudness_dbfs;
            self.find(ContentIssue::Silent, at, silent);
        }
        self.sound = Some(SoundFacts {
            at,
            channels: sound.channels,
            loudness_dbfs: sound.loudness_dbfs,
            peak_dbfs: sound.peak_dbfs,
            digital_silence: sound.digital_silence,
        });
    }

    /// A sample shows an issue, or does not. The first that does begins it.
    fn find(&mut self, issue: ContentIssue, at: Instant, found: bool) {
        let before = self.findings.get(issue as usize).copied().flatten().and_then(|finding| finding.since);
        self.set(issue, Finding { at, since: found.then(|| before.unwrap_or(at)) });
    }

    fn set(&mut self, issue: ContentIssue, finding: Finding) {
        if let Some(place) = self.findings.get_mut(issue as usize) {
            *place = Some(finding);
        }
    }

    /// Forgets the findings of checks that are off.
    pub fn keep_enabled(&mut self, policy: &ContentPolicy) {
        for issue in ContentIssue::ALL.iter().copied().filter(|issue| policy.duration(*issue).is_none()) {
            if let Some(place) = self.findings.get_mut(issue as usize) {
                *place = None;
            }
        }
        if policy.frozen.is_none() {
            self.still = None;
        }
    }

    /// When another look would make a cause of what the one taken at `looked` has shown, if it is still so then. An issue asks once, until
    /// [`Course::may_ask_again`]: what has been refuted, or could not be looked at, waits for the regular look.
    pub fn confirmed_at(&mut self, looked: Instant, policy: &ContentPolicy) -> Option<Instant> {
        let due = |issue: ContentIssue| {
            let still = self.still.as_ref().map(|still| still.at).filter(|_| issue == ContentIssue::Frozen);
            let finding = self.findings.get(issue as usize).copied().flatten();
            let due = still.or_else(|| finding?.since)? + policy.duration(issue)?;
            let asked = self.asked.get(issue as usize).copied().unwrap_or_default();
            (due > looked && !asked).then_some((due, issue))
        };
        let (due, issue) = ContentIssue::ALL.iter().filter_map(|issue| due(*issue)).min()?;
        if let Some(asked) = self.asked.get_mut(issue as usize) {
            *asked = true;
        }
        Some(due)
    }

    pub fn may_ask_again(&mut self) {
        self.asked = Default::default();
    }
}

fn is_broken(frames: u32, errors: u32, limits: UndecodableLimits) -> bool {
    let all = f64::from(frames) + f64::from(errors);
    frames == 0 || f64::from(errors) > f64::from(limits.errors) * all
}

/// Whether there is no light in a picture, but what a camera writes at its edges. A lamp in the night is elsewhere, or lights something.
fn is_black(picture: &Picture, limits: BlackLimits) -> bool {
    if picture.luma_mean <= limits.luma && picture.luma_deviation <= limits.deviation {
        return true;
    }
    let level = |value: &u8| f32::from(*value) / 255.0;
    let is_dark = |value: &&u8| level(value) <= limits.luma + limits.deviation;
    let edge = WRITTEN_ROWS * Picture::SIGNATURE_WIDTH;
    let inside = picture.signature.get(edge..Picture::SIGNATURE - edge).unwrap_or_default();
    if !inside.iter().all(|value| is_dark(&value)) {
        return false;
    }
    let dark: Vec<f32> = picture.signature.iter().filter(is_dark).map(level).collect();
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
    let around = mean(&dark);
    let variance = mean(&dark.iter().map(|value| (value - around).powi(2)).collect::<Vec<_>>());
    // What is lit faintly differs from box to box; a covered lens does not.
    Picture::SIGNATURE - dark.len() <= WRITTEN_BOXES
        && around <= limits.luma
        && variance.sqrt() <= limits.deviation / 2.0
}

fn mean_difference(one: &Detail, other: &Detail) -> f32 {
    let sum: u32 = one.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    sum as f32 / Picture::DETAIL as f32 / 255.0
}

/// The greatest difference between boxes at the same place, 0 to 1.
fn most_different(one: &Signature, other: &Signature) -> f32 {
    let most = one.iter().zip(other).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default();
    f32::from(most) / 255.0
}
