//! A virtual camera: its timeline, its fault, its players. Driven by the pacer, changed by faults, joined by sessions.
//!
//! One lock per camera orders all three: once `set_fault` has returned, nothing that the fault forbids is sent any more.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

use super::connection::{Connection, Sent, lock};
use super::fault::Fault;
use super::message::{self, ChunkedBody, Header, MEDIA_STREAM, event, kind};
use super::recording::{Frame, LOOP_MS, Recording};
use crate::model::{MediaKind, Name};
use crate::rtmp::amf::Writer;

/// A pacer that comes later than this (a frozen process) leaves out what it missed, as a live source would.
const MAX_LATE_US: u64 = 1_000_000;
/// `next_due` of a camera that nobody plays.
const IDLE: u64 = u64::MAX;

/// What a camera has sent, summed over its players.
///
/// Messages count when they are handed to the kernel or to the player's queue. Wire bytes count when the kernel (or TLS)
/// takes them, RTMP handshake and chunk headers included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CameraStats {
    /// Players present.
    pub players: usize,
    /// Plays accepted since the start.
    pub plays: u64,
    /// RTMP bytes on the wire to players, those gone included.
    pub bytes_sent: u64,
    /// Video frames, without headers and end-of-sequence tags.
    pub video_frames: u64,
    pub audio_frames: u64,
    pub keyframes: u64,
    /// Bodies of all video messages, headers and end-of-sequence tags included.
    pub video_bytes: u64,
    /// Bodies of all audio messages, headers included.
    pub audio_bytes: u64,
    /// What the camera has published to the origin, whoever plays it: its rate while no fault keeps it silent.
    pub bytes_published: u64,
    /// Frames that a slow player did not get.
    pub frames_skipped: u64,
    pub pings_sent: u64,
    /// Pings of ours that players answered.
    pub pongs_received: u64,
    /// Pings of players.
    pub pings_received: u64,
    pub acknowledgements: u64,
    /// The newest acknowledgement's sequence number, of any player.
    pub last_acknowledged: u32,
}

#[derive(Debug)]
pub(super) struct Camera {
    pub(super) name: Name,
    /// Microseconds since the origin's start at which the pacer has to come. Written under the lock.
    next_due: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Player {
    connection: Arc<Connection>,
    /// Has got a keyframe, so inter frames make sense.
    synced: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) fault: Fault,
    pub(super) stats: CameraStats,
    players: Vec<Player>,
    /// What the camera plays without a fault, and now.
    normal: Arc<Recording>,
    recording: Arc<Recording>,
    /// Index of the next frame, counted over all loops.
    next: u64,
    /// The frame that came last before a stall: a cached GOP ends there.
    stalled_at: Option<u64>,
    /// Media time `anchor_ms` is due at wall time `anchor_us`.
    anchor_us: u64,
    anchor_ms: u64,
    ratio: f64,
    /// From media time to RTMP timestamp.
    offset_ms: i64,
    /// Up to when `stats.bytes_published` counts.
    published_us: u64,
}

/// One message on its way to the players.
struct Outgoing<'a> {
    header: Header,
    body: &'a ChunkedBody,
    frame: Option<&'a Frame>,
    media: MediaKind,
}

impl Camera {
    /// A camera that was at `phase_ms` of its loop when the origin started.
    pub(super) fn new(name: Name, recording: Arc<Recording>, phase_ms: u32) -> Self {
        let state = State {
            fault: Fault::None,
            stats: CameraStats::default(),
            players: Vec::new(),
            normal: Arc::clone(&recording),
            recording,
            next: 0,
            stalled_at: None,
            anchor_us: 0,
            anchor_ms: u64::from(phase_ms),
            ratio: 1.0,
            offset_ms: 0,
            published_us: 0,
        };
        Self { name, next_due: AtomicU64::new(IDLE), state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(super) fn next_due(&self) -> u64 {
        self.next_due.load(Ordering::Relaxed)
    }

    fn schedule(&self, state: &State) {
        let due = if state.players.is_empty() { IDLE } else { state.due_us(state.next) };
        self.next_due.store(due, Ordering::Relaxed);
    }

    /// Sends everything due at `now`, in microseconds since the origin's start.
    pub(super) fn advance(&self, now: u64) {
        let mut state = self.lock();
        state.advance(now);
        self.schedule(&state);
    }

    /// Sends the play answer and adds the player. With `burst`, the GOP so far comes first at once.
    pub(super) fn join(&self, connection: &Arc<Connection>, now: u64, burst: bool, mut out: Vec<u8>) {
        let mut state = self.lock();
        if state.players.is_empty() {
            state.next = state.index_at(now);
        }
        state.stats.plays += 1;
        let silent = state.fault.is_absence();
        let cached = if burst && !silent { state.cached_gop() } else { None };
        if !silent {
            // Headers never run ahead of the frames behind them.
            let first = cached.as_ref().map_or(state.next, |gop| gop.start);
            state.write_start(&mut out, first);
        }
        connection.send(&[IoSlice::new(&out)]);
        let others = std::mem::take(&mut state.players);
        state.players.push(Player { connection: Arc::clone(connection), synced: false });
        if let Some(gop) = cached {
            state.send_range(gop.start, gop.end, false);
        }
        state.players.extend(others);
        self.schedule(&state);
    }

    pub(super) fn leave(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        let before = state.players.len();
        state.players.retain(|p| !Arc::ptr_eq(&p.connection, connection));
        if state.players.len() < before {
            state.stats.bytes_sent += connection.bytes_sent();
        }
        self.schedule(&state);
    }

    pub(super) fn stats(&self, now: u64) -> (Fault, CameraStats) {
        let mut state = self.lock();
        state.publish(now);
        let mut stats = state.stats;
        stats.players = state.players.len();
        stats.bytes_sent += state.players.iter().map(|p| p.connection.bytes_sent()).sum::<u64>();
        (state.fault.clone(), stats)
    }

    /// Makes `fault` the camera's fault. `recording` is what it plays from now on, where that differs from normal.
    pub(super) fn set_fault(&self, fault: &Fault, recording: Option<Arc<Recording>>, now: u64, noise: &[u8]) {
        let mut state = self.lock();
        // Frames that were due before the fault are part of the past; they go out before it.
        state.advance(now);
        state.publish(now);
        let kept = if fault.is_momentary() { Fault::None } else { fault.clone() };
        let previous = std::mem::replace(&mut state.fault, kept);
        state.recording = recording.unwrap_or_else(|| Arc::clone(&state.normal));
        state.stalled_at = matches!(fault, Fault::Stall | Fault::Hang).then_some(state.next);
        let ratio = if let Fault::SlowClock { ratio } = fault { *ratio } else { 1.0 };
        if ratio != state.ratio {
            state.anchor_ms = state.media_ms(now);
            (state.anchor_us, state.ratio) = (now, ratio);
        }
        if previous.is_absence() && !fault.is_absence() {
            if previous == Fault::Unpublish {
                let mut out = Vec::new();
                message::write_event(&mut out, event::STREAM_BEGIN, MEDIA_STREAM);
                message::write_status(&mut out, "status", "NetStream.Play.PublishNotify", "published");
                state.broadcast(&out);
            }
            state.republish(now);
        }
        match fault {
            Fault::Unpublish => {
                let mut out = Vec::new();
                message::write_event(&mut out, event::STREAM_EOF, MEDIA_STREAM);
                message::write_status(&mut out, "status", "NetStream.Play.UnpublishNotify", "unpublished");
                state.broadcast(&out);
            }
            Fault::EndQuietly => {
                let body = ChunkedBody::new(kind::VIDEO, &[0x17, 2, 0, 0, 0]);
                let header = Header::new(kind::VIDEO, state.timestamp(state.next), body.length(), MEDIA_STREAM);
                state.send(&[Outgoing { header, body: &body, frame: None, media: MediaKind::Video }]);
            }
            Fault::ReconnectRequest { to } => {
                let mut out = Vec::new();
                let body = Writer::default().text("onStatus").number(0.0).null();
                let code = "NetConnection.Connect.ReconnectRequest";
                let body = message::information(body, "status", code, "please reconnect");
                let body = if to.is_empty() { body } else { body.key("tcUrl").text(to) };
                message::write(&mut out, kind::COMMAND, 0, 0, &body.end_object().finish());
                state.broadcast(&out);
            }
            Fault::Garbage => state.broadcast(noise),
            Fault::TimestampJump { ms } => state.offset_ms += i64::from(*ms),
            Fault::TimestampRegression { ms } => state.offset_ms -= i64::from(*ms),
            Fault::Rebase => state.republish(now),
            _ => {}
        }
        if let Some(how) = fault.disconnects() {
            for player in std::mem::take(&mut state.players) {
                state.stats.bytes_sent += player.connection.bytes_sent();
                player.connection.disconnect(how);
            }
        }
        self.schedule(&state);
    }
}

impl State {
    fn frame(&self, index: u64) -> (u64, Option<&Frame>) {
        let count = self.recording.frames.len().max(1) as u64;
        let frame = self.recording.frames.get((index % count) as usize);
        (index / count * u64::from(LOOP_MS) + frame.map_or(0, |f| u64::from(f.at)), frame)
    }

    /// Counts what has come from the camera since the last time.
    fn publish(&mut self, now: u64) {
        let time = now.saturating_sub(self.published_us);
        self.published_us = now;
        if !self.fault.is_silence() {
            let rate = self.recording.video_rate.bits_per_second() + self.recording.audio_rate.bits_per_second();
            self.stats.bytes_published += rate * time / 8_000_000;
        }
    }

    fn due_us(&self, index: u64) -> u64 {
        let ahead = self.frame(index).0 as f64 - self.anchor_ms as f64;
        // Saturates at 0 for what was due before the start.
        (self.anchor_us as f64 + ahead * 1000.0 / self.ratio) as u64
    }

    fn media_ms(&self, now: u64) -> u64 {
        self.anchor_ms + (now.saturating_sub(self.anchor_us) as f64 * self.ratio / 1000.0) as u64
    }

    /// The first frame that is not due before `now`.
    fn index_at(&self, now: u64) -> u64 {
        let at = self.media_ms(now);
        let (rounds, within) = (at / u64::from(LOOP_MS), (at % u64::from(LOOP_MS)) as u32);
        let frames = &self.recording.frames;
        rounds * frames.len() as u64 + frames.partition_point(|f| f.at < within) as u64
    }

    /// RTMP time wraps at 32 bits.
    fn timestamp(&self, index: u64) -> u32 {
        (self.frame(index).0 as i64).wrapping_add(self.offset_ms) as u32
    }

    fn advance(&mut self, now: u64) {
        // A frozen server's queues stand still too.
        if self.fault != Fault::Hang {
            // Errors show on the read side, which ends the session.
            self.players.iter().for_each(|p| drop(p.connection.flush()));
        }
        if now.saturating_sub(self.due_us(self.next)) > MAX_LATE_US {
            self.next = self.next.max(self.index_at(now));
        }
        let first = self.next;
        while self.due_us(self.next) <= now {
            self.next += 1;
        }
        self.send_range(first, self.next, true);
    }

    /// Sends the frames of `first..end` as the fault lets them through.
    fn send_range(&mut self, first: u64, end: u64, live: bool) {
        if first >= end || self.players.is_empty() {
            return;
        }
        let recording = Arc::clone(&self.recording);
        let count = recording.frames.len().max(1) as u64;
        let batch: Vec<_> = (first..end)
            .filter_map(|index| {
                let frame = recording.frames.get((index % count) as usize)?;
                let shown = self.pass(frame, &recording, live)?;
                let kind = if frame.media == MediaKind::Video { kind::VIDEO } else { kind::AUDIO };
                let header = Header::new(kind, self.timestamp(index), shown.body.length(), MEDIA_STREAM);
                Some(Outgoing { header, body: &shown.body, frame: Some(shown), media: frame.media })
            })
            .collect();
        if self.fault == Fault::Garbage {
            return self.broadcast(&vec![0xFE; batch.iter().map(|o| o.body.length()).sum()]);
        }
        self.send(&batch);
    }

    /// What goes out in `frame`'s place. What was cached before a stall passes one that is not `live`.
    fn pass<'a>(&self, frame: &'a Frame, recording: &'a Recording, live: bool) -> Option<&'a Frame> {
        let video = frame.media == MediaKind::Video;
        match self.fault {
            Fault::Stall if live => None,
            Fault::StallVideo if video => None,
            Fault::StallAudio if !video => None,
            Fault::Hang | Fault::Unpublish | Fault::EndQuietly | Fault::ConnectThenSilent => None,
            Fault::LowFps { fps } if video && !frame.keyframe => {
                let slot = |place: u32| (f64::from(place) * fps / 25.0) as u64;
                (slot(frame.place) != slot(frame.place - 1)).then_some(frame)
            }
            Fault::NoKeyframes if frame.keyframe => {
                recording.frames.iter().find(|f| f.media == MediaKind::Video && !f.keyframe)
            }
            _ => Some(frame),
        }
    }

    fn send(&mut self, batch: &[Outgoing<'_>]) {
        if batch.is_empty() {
            return;
        }
        let mut pieces = Vec::with_capacity(2 * batch.len());
        for player in &mut self.players {
            pieces.clear();
            let mut synced = player.synced;
            let mut counted = CameraStats::default();
            for message in batch {
                if let Some(frame) = message.frame.filter(|f| f.media == MediaKind::Video) {
                    synced |= frame.keyframe;
                    if !synced {
                        continue;
                    }
                }
                pieces.push(IoSlice::new(message.header.as_bytes()));
                message.body.pieces(&message.header, |piece| pieces.push(IoSlice::new(piece)));
                counted.count(message);
            }
            if pieces.is_empty() {
                continue;
            }
            match player.connection.send(&pieces) {
                Sent::Taken => {
                    player.synced = synced;
                    self.stats.add(&counted);
                }
                Sent::Skipped => self.stats.frames_skipped += counted.video_frames + counted.audio_frames,
            }
        }
    }

    fn broadcast(&self, bytes: &[u8]) {
        for player in &self.players {
            player.connection.send(&[IoSlice::new(bytes)]);
        }
    }

    /// Access rule, metadata and codec headers: what a player gets before media.
    fn write_start(&mut self, out: &mut Vec<u8>, first: u64) {
        let timestamp = self.timestamp(first);
        message::write_access(out, timestamp);
        message::write(out, kind::DATA, timestamp, MEDIA_STREAM, &self.recording.metadata().finish());
        let recording = Arc::clone(&self.recording);
        for (kind, media, body) in [
            (kind::VIDEO, MediaKind::Video, &recording.avc_header),
            (kind::AUDIO, MediaKind::Audio, &recording.aac_header),
        ] {
            let header = Header::new(kind, timestamp, body.length(), MEDIA_STREAM);
            out.extend_from_slice(header.as_bytes());
            body.pieces(&header, |piece| out.extend_from_slice(piece));
            self.stats.count(&Outgoing { header, body, frame: None, media });
        }
    }

    /// What a caching origin has kept since the last keyframe.
    fn cached_gop(&self) -> Option<Range<u64>> {
        let end = self.stalled_at.unwrap_or(self.next);
        let is_keyframe = |index: &u64| self.frame(*index).1.is_some_and(|f| f.keyframe);
        (0..end).rev().take(self.recording.frames.len()).find(is_keyframe).map(|start| start..end)
    }

    /// The publisher comes (again): headers, then a keyframe, timestamps from 0.
    fn republish(&mut self, now: u64) {
        let from = self.index_at(now);
        let is_keyframe = |index: &u64| self.frame(*index).1.is_some_and(|f| f.keyframe);
        let Some(next) = (from..).take(self.recording.frames.len()).find(is_keyframe) else { return };
        let at = self.frame(next).0;
        self.next = next;
        (self.anchor_us, self.anchor_ms) = (now, at);
        self.offset_ms = -(at as i64);
        for i in 0..self.players.len() {
            let mut out = Vec::new();
            self.write_start(&mut out, next);
            if let Some(player) = self.players.get_mut(i) {
                player.connection.send(&[IoSlice::new(&out)]);
                player.synced = false;
            }
        }
    }
}

impl CameraStats {
    fn count(&mut self, message: &Outgoing<'_>) {
        let (frames, bytes) = match message.media {
            MediaKind::Video => (&mut self.video_frames, &mut self.video_bytes),
            MediaKind::Audio => (&mut self.audio_frames, &mut self.audio_bytes),
        };
        *bytes += message.body.length() as u64;
        if let Some(frame) = message.frame {
            *frames += 1;
            self.keyframes += u64::from(frame.keyframe);
        }
    }

    fn add(&mut self, other: &Self) {
        self.video_frames += other.video_frames;
        self.audio_frames += other.audio_frames;
        self.keyframes += other.keyframes;
        self.video_bytes += other.video_bytes;
        self.audio_bytes += other.audio_bytes;
    }
}
