//! The analyser of one stream.

use std::time::{Duration, Instant};

use super::MediaError;
use super::formats::Formats;
use super::lead::Lead;
use super::medium::{Medium, Session};
use super::metadata::Declared;
use super::play::{Held, Play};
use super::rate::Rates;
use super::stall::{SilencePolicy, StallTracker};
use super::tag::{AudioTag, Content, VideoTag};
use super::timeline::{Arrival, Moved, Placed};
use crate::model::report::{
    AudioReport, MediaReport, MediumReport, ParseErrorKind, Stall, TimestampAnomaly, VideoReport,
};
use crate::model::{MediaKind, MediaPacket, PacketKind};

/// A step back at least this far is a new timeline, whatever else is known. Milliseconds.
const REBASE_BACK: i64 = 10_000;
/// A step back by at least a second to less than this is a publisher that starts from 0. Milliseconds.
const REBASE_LANDING: u32 = 3_000;
/// Within this of one medium's rebase the other one's step belongs to it.
const REBASE_TOGETHER: Duration = Duration::from_secs(5);

/// What the analyser must know beside the media. May change at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalyzerSettings {
    /// Silence that is a stall.
    pub stall_timeout: Duration,
    /// Whether video that falls silent alone, once seen, is a stall.
    pub expect_video: bool,
    /// The same for audio.
    pub expect_audio: bool,
    /// By how much paced reading delays arrivals at most.
    pub arrival_resolution: Duration,
}

impl AnalyzerSettings {
    fn silence_policy(&self) -> SilencePolicy {
        SilencePolicy { stall_timeout: self.stall_timeout, expected: [self.expect_video, self.expect_audio] }
    }
}

/// Watches one stream's media messages. See the [module](super) for what its figures mean.
///
/// Counters and formats survive sessions; everything else starts anew with each. Under 4 KiB, and a little more
/// for the video format and while live media is still to be told from a burst; no allocation per frame.
#[derive(Debug, Clone)]
pub struct StreamAnalyzer {
    settings: AnalyzerSettings,
    video: Medium,
    audio: Medium,
    stall: StallTracker,
    keyframes: u64,
    pub(super) formats: Formats,
    parse_errors: [u64; ParseErrorKind::ALL.len()],
    pub(super) urgent: bool,
    session: Option<Play>,
}

impl StreamAnalyzer {
    pub fn new(settings: AnalyzerSettings) -> Self {
        Self {
            settings,
            video: Medium::new(),
            audio: Medium::new(),
            stall: StallTracker::new(settings.silence_policy()),
            keyframes: 0,
            formats: Formats::default(),
            parse_errors: [0; ParseErrorKind::ALL.len()],
            urgent: false,
            session: None,
        }
    }

    /// Takes other settings at run time. An open stall is judged by them at the next message or deadline.
    pub fn set_settings(&mut self, settings: AnalyzerSettings) {
        self.settings = settings;
        self.stall.set_policy(settings.silence_policy());
    }

    /// Play has been accepted: timeline, rates, warm-up and baselines begin anew, counters and formats go on.
    pub fn start_session(&mut self, now: Instant) {
        self.stall.start(now);
        self.video.session = Session::new();
        self.audio.session = Session::new();
        self.session = Some(Play::new(now));
    }

    /// The session has ended. An open stall ends with it: stall time counts only while connected.
    pub fn end_session(&mut self, now: Instant) {
        self.urgent |= self.stall.open().is_some();
        self.stall.end(now);
        self.video.session = Session::new();
        self.audio.session = Session::new();
        self.session = None;
    }

    /// Takes a media message. Outside of a session only its bytes and frames are counted.
    pub fn handle_packet(&mut self, now: Instant, packet: &MediaPacket<'_>) {
        if packet.length == 0 {
            return;
        }
        let read = match packet.kind {
            PacketKind::Video => self.video_message(now, packet),
            PacketKind::Audio => self.audio_message(now, packet),
            PacketKind::Data => self.data_message(packet),
        };
        if let Err(error) = read {
            self.count_error(error);
        }
    }

    pub(super) fn count_error(&mut self, error: MediaError) {
        if let Some(count) = self.parse_errors.get_mut(error.kind() as usize) {
            *count += 1;
        }
    }

    /// The origin has said that the publication ended: stalled at once, until media comes again.
    pub fn handle_unpublished(&mut self, now: Instant) {
        self.urgent |= self.stall.unpublished(now);
    }

    /// Our own process was frozen, for a time that `now` leaves out. What piled up meanwhile arrives at once and says
    /// nothing about the stream, so baselines are taken anew; until rates have been measured over a whole window again, the
    /// ones from before are shown, for two windows at most.
    pub fn handle_pause(&mut self, now: Instant) {
        let figures = Held {
            at: now,
            video: self.rates(MediaKind::Video, now),
            audio: self.rates(MediaKind::Audio, now),
            skew: self.skew(now),
        };
        let Some(play) = &mut self.session else { return };
        play.pause(figures);
        for medium in [&mut self.video, &mut self.audio] {
            medium.session.rates.restart();
            medium.session.lead.rebaseline(now);
            medium.session.gap_from = None;
            medium.session.timeline.excuse_next_leap();
        }
    }

    /// When silence will next mean something: a ping or a stall. `None` when nothing is pending.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.stall.poll_timeout()
    }

    /// A deadline has passed and the socket has been drained. Returns the stall if one has begun or changed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Stall> {
        let changed = self.stall.timeout(now);
        self.urgent |= changed;
        self.stall.open().filter(|_| changed)
    }

    /// Whether all media have been silent for half of the stall timeout (or none has come for that long since play), so
    /// that the origin should be asked for a sign of life. True for as long as that lasts: the caller knows what it has asked.
    pub fn wants_ping(&self, now: Instant) -> bool {
        self.stall.silent_for_half(now)
    }

    /// How long all media have been silent, from the last arrival or from play; zero outside of a session.
    pub fn silence(&self, now: Instant) -> Duration {
        self.stall.silence(now)
    }

    /// Whether live media has been seen in this session.
    pub fn is_live(&self) -> bool {
        self.session.as_ref().is_some_and(|play| play.live_since.is_some())
    }

    /// Whether a stall is open.
    pub fn is_stalled(&self) -> bool {
        self.stall.open().is_some()
    }

    /// Whether something has changed that must be reported at once: media became live, a stall began, changed or ended, the
    /// format changed, the first keyframe came.
    pub fn take_urgent(&mut self) -> bool {
        std::mem::take(&mut self.urgent)
    }

    /// This session's first frame.
    pub fn first_media_at(&self) -> Option<Instant> {
        self.session.as_ref()?.first_media
    }

    /// This session's first keyframe.
    pub fn first_keyframe_at(&self) -> Option<Instant> {
        self.session.as_ref()?.first_keyframe
    }

    fn medium(&self, kind: MediaKind) -> &Medium {
        match kind {
            MediaKind::Video => &self.video,
            MediaKind::Audio => &self.audio,
        }
    }

    /// A medium and the other one.
    pub(super) fn media_mut(&mut self, kind: MediaKind) -> (&mut Medium, &mut Medium) {
        match kind {
            MediaKind::Video => (&mut self.video, &mut self.audio),
            MediaKind::Audio => (&mut self.audio, &mut self.video),
        }
    }

    fn video_message(&mut self, now: Instant, packet: &MediaPacket<'_>) -> Result<(), MediaError> {
        self.video.bytes += u64::from(packet.length);
        let tag =
            VideoTag::parse(packet.head, packet.length).inspect_err(|_| self.overhead(MediaKind::Video, packet))?;
        let judged = self.video.session.is_judged(tag.tracks);
        let frame = matches!(tag.content, Content::Frame { .. });
        let counts = frame && self.video.session.counts(judged, tag.batch, tag.many);
        if !counts {
            self.overhead(MediaKind::Video, packet);
        }
        match (tag.content, tag.codec.filter(|_| judged)) {
            (Content::Frame { key, payload }, codec) if counts => {
                self.urgent |= codec.is_some_and(|codec| self.formats.video_frame(codec, payload, key));
                self.video_frame(now, packet, key, tag.nanoseconds);
            }
            (Content::Config(record), Some(codec)) => {
                self.headers_came();
                self.urgent |= self.formats.video_record(codec, record)?;
            }
            (Content::Declaration(body), Some(_)) => self.urgent |= self.formats.video_declaration(body)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn video_frame(&mut self, now: Instant, packet: &MediaPacket<'_>, key: bool, nanoseconds: u32) {
        self.keyframes += u64::from(key);
        if let Some(play) = self.session.as_mut().filter(|play| key && play.first_keyframe.is_none()) {
            play.first_keyframe = Some(now);
            self.urgent = true;
        }
        self.frame(MediaKind::Video, now, packet, key, nanoseconds);
    }

    fn audio_message(&mut self, now: Instant, packet: &MediaPacket<'_>) -> Result<(), MediaError> {
        self.audio.bytes += u64::from(packet.length);
        let tag =
            AudioTag::parse(packet.head, packet.length).inspect_err(|_| self.overhead(MediaKind::Audio, packet))?;
        let judged = self.audio.session.is_judged(tag.tracks);
        let frame = matches!(tag.content, Content::Frame { .. });
        let counts = frame && self.audio.session.counts(judged, tag.batch, tag.many);
        if !counts {
            self.overhead(MediaKind::Audio, packet);
        }
        match (tag.content, tag.codec.filter(|_| judged)) {
            (Content::Frame { payload, .. }, codec) if counts => {
                self.urgent |= codec.is_some_and(|codec| self.formats.audio_frame(codec, payload, tag.shape));
                self.frame(MediaKind::Audio, now, packet, false, tag.nanoseconds);
            }
            (Content::Config(record), Some(codec)) => {
                self.headers_came();
                self.urgent |= self.formats.audio_record(codec, record)?;
            }
            (Content::Declaration(body), Some(codec)) => self.urgent |= self.formats.audio_declaration(codec, body)?,
            _ => {}
        }
        Ok(())
    }

    fn data_message(&mut self, packet: &MediaPacket<'_>) -> Result<(), MediaError> {
        let whole = usize::try_from(packet.length).is_ok_and(|length| packet.head.len() >= length);
        if let Some(declared) = Declared::parse(packet.head, whole)? {
            self.headers_came();
            if let Some(play) = &mut self.session {
                play.declared = declared;
            }
        }
        Ok(())
    }

    fn overhead(&mut self, kind: MediaKind, packet: &MediaPacket<'_>) {
        self.media_mut(kind).0.session.rates.overhead(packet.length);
    }

    pub(super) fn headers_came(&mut self) {
        self.video.session.headers = true;
        self.audio.session.headers = true;
    }

    /// A frame has come, `nanoseconds` later than its timestamp.
    pub(super) fn frame(
        &mut self,
        kind: MediaKind,
        now: Instant,
        packet: &MediaPacket<'_>,
        key: bool,
        nanoseconds: u32,
    ) {
        let medium = self.media_mut(kind).0;
        medium.frames += 1;
        medium.last_frame = Some(now);
        if self.session.is_none() {
            return;
        }
        if self.stall.arrived(now, kind) {
            self.urgent = true;
            self.settle();
        }
        let Some(position) = self.place(kind, now, packet.timestamp, key, nanoseconds) else {
            self.arrived_out_of_line(kind, now, packet.length, key);
            return;
        };
        let resolution = self.settings.arrival_resolution;
        let (Some(play), medium) = (
            &mut self.session,
            match kind {
                MediaKind::Video => &mut self.video,
                MediaKind::Audio => &mut self.audio,
            },
        ) else {
            return;
        };
        self.urgent |= play.frame(kind, now, position, resolution);
        if play.live_since.is_some() {
            medium.session.gap(now);
        }
        if play.steady_since.is_some() {
            medium.session.rates.frame(now, packet.length, key);
            medium.session.lead.frame(now, play.lead(now, fine(position, nanoseconds)));
        }
    }

    /// A frame whose timestamp is in doubt still came.
    fn arrived_out_of_line(&mut self, kind: MediaKind, now: Instant, bytes: u32, key: bool) {
        let Some(play) = &mut self.session else { return };
        play.doubtful_frame();
        let (live, steady) = (play.live_since.is_some(), play.steady_since.is_some());
        let session = &mut self.media_mut(kind).0.session;
        session.lead.interrupt();
        if live {
            session.gap(now);
        }
        if steady {
            session.rates.frame(now, bytes, key);
        }
    }

    /// Finds the frame's place on the timeline: its position in milliseconds, or `None` while that is in doubt.
    fn place(&mut self, kind: MediaKind, now: Instant, timestamp: u32, key: bool, nanoseconds: u32) -> Option<i64> {
        let play = self.session.as_mut()?;
        play.frames += 1;
        play.first_media.get_or_insert(now);
        let (frame, start, settling) = (play.frames, play.start, play.steady_since.is_none());
        let (medium, other) = self.media_mut(kind);
        let near = other.session.timeline.last_position();
        let session = &mut medium.session;
        let headers = std::mem::take(&mut session.headers);
        if settling && !headers {
            // A burst may leap, it was recorded earlier.
            session.timeline.excuse_next_leap();
        }
        let usual = session.lead.highest(now);
        let lag =
            usual.zip(session.timeline.last_lead(start)).map_or(0, |(usual, last)| (usual / 1000).saturating_sub(last));
        match session.timeline.place(timestamp, Arrival { at: now, lag, headers, frame }, near) {
            Placed::Steady { position } => {
                session.steady = frame;
                session.gop.frame(session.line, fine(position, nanoseconds), key);
                Some(position)
            }
            Placed::Suspect { position } => {
                session.lines += 1;
                session.gop.frame(session.lines, fine(position, nanoseconds), key);
                None
            }
            Placed::Stray { position, ahead } => {
                session.steady = frame;
                session.gop.frame(session.line, fine(position, nanoseconds), key);
                let anomaly = if ahead { TimestampAnomaly::Jump } else { TimestampAnomaly::Regression };
                medium.anomaly(now, anomaly);
                Some(position)
            }
            Placed::Moved { position, step } => {
                session.line = session.lines;
                session.steady = frame;
                session.gop.frame(session.line, fine(position, nanoseconds), key);
                self.moved(kind, now, step);
                Some(position)
            }
        }
    }

    /// Tells a new timeline from a step of the old one.
    fn moved(&mut self, kind: MediaKind, now: Instant, step: Moved) {
        let rebased_at = self.session.as_ref().and_then(|play| play.rebased_at);
        let (medium, other) = self.media_mut(kind);
        let from_start = step.by <= -1_000 && step.landed < REBASE_LANDING;
        let new = step.headers || step.by <= -REBASE_BACK || from_start;
        // A publisher that restarts does so for all its media: if the other one has gone on meanwhile, it has not.
        let alone = other.session.steady > step.frame;
        let joins = rebased_at.is_some_and(|at| now.saturating_duration_since(at) <= REBASE_TOGETHER);
        if joins || (new && !alone) {
            medium.anomaly(now, TimestampAnomaly::Rebase);
            medium.session.lead.restart();
            other.session.lead.restart();
            if let Some(play) = self.session.as_mut().filter(|_| !joins) {
                play.rebased_at = Some(now);
            }
        } else {
            let anomaly = if step.by < 0 { TimestampAnomaly::Regression } else { TimestampAnomaly::Jump };
            medium.anomaly(now, anomaly);
            medium.session.lead.shift(step.displaced.saturating_mul(1000));
        }
    }

    /// Media comes again after a stall, perhaps with a backlog: everything is measured anew once it is live.
    fn settle(&mut self) {
        if let Some(play) = &mut self.session {
            play.settle();
        }
        for medium in [&mut self.video, &mut self.audio] {
            medium.session.rates.restart();
            medium.session.lead.restart();
        }
    }

    /// Rates as they are shown.
    fn rates(&self, kind: MediaKind, now: Instant) -> Option<Rates> {
        let play = self.session.as_ref()?;
        if self.stall.is_silent(kind, now) {
            return Some(Rates { frames: 0.0, bytes: 0.0 });
        }
        if play.measured_whole_window(now) {
            return self.medium(kind).session.rates(now);
        }
        play.held(now).and_then(|held| match kind {
            MediaKind::Video => held.video,
            MediaKind::Audio => held.audio,
        })
    }

    fn skew(&self, now: Instant) -> Option<f64> {
        let leads = |medium: &Medium| medium.session.lead.highest(now);
        let measured =
            leads(&self.audio).zip(leads(&self.video)).map(|(audio, video)| audio.saturating_sub(video) as f64 / 1e6);
        measured.or_else(|| self.session.as_ref()?.held(now)?.skew)
    }

    /// Everything measured, as of `now`.
    pub fn report(&self, now: Instant) -> MediaReport {
        let play = self.session.as_ref();
        let declared = play.map_or_else(Declared::default, |play| play.declared);
        let video_rates = self.rates(MediaKind::Video, now);
        let audio_rates = self.rates(MediaKind::Audio, now);
        let gop = &self.video.session.gop;
        let leads: [&Lead; 2] = [&self.video.session.lead, &self.audio.session.lead];
        MediaReport {
            live_since: play.and_then(|play| play.live_since),
            warm: play.is_some_and(|play| play.held(now).is_some() || play.measured_whole_window(now)),
            stall: self.stall.open(),
            stalls: self.stall.count(),
            stall_time: self.stall.time(now),
            video: VideoReport {
                medium: self.medium_report(MediaKind::Video, now, video_rates, declared.video_rate),
                keyframes: self.keyframes,
                frames_per_second: video_rates.map(|rates| rates.frames),
                declared_frames_per_second: declared.frame_rate,
                keyframe_interval: gop.interval(),
                keyframe_age: gop.age(),
                gop_frames: gop.frames(),
                format: self.formats.video(),
            },
            audio: AudioReport {
                medium: self.medium_report(MediaKind::Audio, now, audio_rates, declared.audio_rate),
                format: self.formats.audio(),
            },
            jitter: leads.iter().find_map(|lead| lead.jitter()),
            drift: leads.iter().find_map(|lead| lead.drift(now)),
            av_skew: self.skew(now),
            arrival_resolution: self.settings.arrival_resolution,
            parameter_changes: self.formats.changes,
            parse_errors: self.parse_errors,
            told: None,
        }
    }

    fn medium_report(
        &self,
        kind: MediaKind,
        now: Instant,
        rates: Option<Rates>,
        declared: Option<f64>,
    ) -> MediumReport {
        let medium = self.medium(kind);
        MediumReport {
            bytes: medium.bytes,
            frames: medium.frames,
            bytes_per_second: rates.map(|rates| rates.bytes),
            declared_bytes_per_second: declared,
            frame_gap_max: medium.session.longest_gap(now),
            last_frame: medium.last_frame,
            anomalies: medium.anomalies,
            recent_anomalies: medium.recent_anomalies.values(now).fold(0, u32::saturating_add),
            tracks: medium.session.tracks.count(),
        }
    }
}

/// A position on the timeline in microseconds. Steps of the timeline are judged by milliseconds: they are that coarse.
fn fine(millis: i64, nanoseconds: u32) -> i64 {
    millis.saturating_mul(1000).saturating_add(i64::from(nanoseconds / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_costs_less_than_four_kib() {
        assert!(size_of::<StreamAnalyzer>() < 4096, "{}", size_of::<StreamAnalyzer>());
    }
}
