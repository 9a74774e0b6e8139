//! A stream that is not played: its media server's statistics say how it is.

use std::time::{Duration, Instant};

use crate::model::StreamReport;
use crate::model::health::DownCause;
use crate::model::report::{Connection, Fault, MediaReport, Stall, Told, TransportReport};
use crate::model::target_report::{Facts, RtmpServerFacts, ServerStream, TargetReport};

/// What the statistics have told of one stream. Lives as long as the stream is wanted.
#[derive(Debug, Default)]
pub struct Served {
    /// The newest look of the service that has been read.
    read: Option<Instant>,
    /// Where the server listed the stream: it is likely to be there again.
    place: usize,
    published: Option<Publication>,
    fault: Option<Fault>,
    /// Counters, formats, the open stall.
    media: MediaReport,
    /// Of the stalls that are over.
    stall_time: Duration,
    /// The server's count of bytes at the last look.
    bytes: Option<u64>,
}

#[derive(Debug, PartialEq)]
struct Publication {
    since: Instant,
    publisher: Option<Box<str>>,
}

impl Served {
    /// Forgets what was so at another place; counters stay.
    pub fn move_on(&mut self) {
        let MediaReport { stalls, stall_time, parameter_changes, ref video, ref audio, .. } = self.media;
        let mut media = MediaReport { stalls, stall_time, parameter_changes, ..MediaReport::default() };
        media.video.medium.bytes = video.medium.bytes;
        media.audio.medium.bytes = audio.medium.bytes;
        *self = Self { media, stall_time, ..Self::default() };
    }

    /// Reads a report of the service about the publication at `path`. `None`: it tells nothing new. The flag: something changed that is to
    /// be judged at once.
    pub fn read(&mut self, report: &TargetReport, path: &str, stall_timeout: Duration) -> Option<(StreamReport, bool)> {
        let Facts::RtmpServer(facts) = &report.facts else { return None };
        let now = report.last_success.filter(|at| report.fault.is_none() && self.read != Some(*at))?;
        self.read = Some(now);
        let before = (self.fault.as_ref().map(|f| f.cause), self.media.stall, self.media.live_since);
        match self.find(facts, path) {
            // Whether anything arrives is not known, and never will be.
            Some(stream) if stream.publishing && stream.bytes_in.is_none() && stream.bytes_per_second.is_none() => {
                return None;
            }
            Some(stream) if stream.publishing => self.note_publication(now, stream, stall_timeout),
            // A list that was cut off says nothing about those that are not on it.
            None if facts.truncated => return None,
            listed => self.note_absence(now, listed.is_some()),
        }
        self.media.told = Some(Told {
            valid_for: report.valid_for,
            formats: self.media.video.format.is_some() || self.media.audio.format.is_some(),
        });
        let after = (self.fault.as_ref().map(|f| f.cause), self.media.stall, self.media.live_since);
        let connection = match &self.published {
            Some(publication) => Connection::Playing { since: publication.since },
            None => Connection::Resting,
        };
        let report = StreamReport {
            observed_at: now,
            connection,
            fault: self.fault.clone(),
            transport: TransportReport::default(),
            media: self.media.clone(),
            content: None,
        };
        Some((report, before != after))
    }

    fn find<'a>(&mut self, facts: &'a RtmpServerFacts, path: &str) -> Option<&'a ServerStream> {
        let here = facts.streams.get(self.place).filter(|s| s.publishing && s.is_at(path));
        if here.is_some() {
            return here;
        }
        let mut found = facts.streams.iter().enumerate().filter(|(_, s)| s.is_at(path));
        let first = found.next()?;
        // A server may list one path twice, once for those who wait for it.
        let best = if first.1.publishing { first } else { found.find(|(_, s)| s.publishing).unwrap_or(first) };
        self.place = best.0;
        Some(best.1)
    }

    fn note_absence(&mut self, now: Instant, listed: bool) {
        self.end_stall(now);
        self.published = None;
        self.bytes = None;
        let since = self.fault.as_ref().map_or(now, |f| f.since);
        let detail = match listed {
            true => "the server lists it without a publisher",
            false => "the server does not list it",
        };
        self.fault = Some(Fault { cause: DownCause::NotFound, since, detail: detail.into() });
        let media = &mut self.media;
        media.live_since = None;
        media.warm = false;
        for medium in [&mut media.video.medium, &mut media.audio.medium] {
            medium.bytes_per_second = None;
        }
        media.video.frames_per_second = None;
        media.video.declared_frames_per_second = None;
    }

    fn note_publication(&mut self, now: Instant, stream: &ServerStream, stall_timeout: Duration) {
        self.fault = None;
        let is_same = self.published.as_ref().is_some_and(|p| p.publisher == stream.publisher);
        if !is_same {
            self.end_stall(now);
            self.bytes = None;
            self.published = Some(Publication { since: now, publisher: stream.publisher.clone() });
            self.media.live_since = None;
        }
        let idle = stream.idle_for.unwrap_or_default();
        let last_bytes = now.checked_sub(idle).unwrap_or(now);
        if idle < stall_timeout {
            self.end_stall(now);
        } else {
            let stall = *self.media.stall.get_or_insert_with(|| {
                self.media.stalls += 1;
                Stall { media: None, since: last_bytes }
            });
            self.media.stall_time = self.stall_time + now.saturating_duration_since(stall.since);
        }
        self.note_formats(stream);
        let gained = self.bytes.zip(stream.bytes_in).and_then(|(before, now)| now.checked_sub(before)).unwrap_or(0);
        self.bytes = stream.bytes_in;
        // A publisher that is only connected is not live.
        let moved = gained > 0 && stream.idle_for.is_some_and(|idle| idle < stall_timeout);
        if self.media.live_since.is_none() && (moved || stream.bytes_per_second.is_some_and(|rate| rate > 0.0)) {
            self.media.live_since = Some(now);
        }

        let media = &mut self.media;
        let has_video = stream.video.is_some() || stream.audio.is_none();
        media.warm = stream.bytes_per_second.is_some();
        media.video.frames_per_second = stream.frames_per_second;
        media.video.declared_frames_per_second = stream.declared_frames_per_second;
        // The server counts both media together: the sum stands under the one that is most of it.
        let (main, other) = match has_video {
            true => (&mut media.video.medium, &mut media.audio.medium),
            false => (&mut media.audio.medium, &mut media.video.medium),
        };
        main.bytes = main.bytes.saturating_add(gained);
        main.bytes_per_second = stream.bytes_per_second;
        other.bytes_per_second = None;
        // What is listed was there in this session, however long ago its bytes came.
        let seen = last_bytes.max(self.published.as_ref().map_or(now, |publication| publication.since));
        media.video.medium.last_frame = stream.video.is_some().then_some(seen);
        media.audio.medium.last_frame = stream.audio.is_some().then_some(seen);
    }

    fn note_formats(&mut self, stream: &ServerStream) {
        let media = &mut self.media;
        let video_changed =
            media.video.format.is_some() && stream.video.is_some() && media.video.format != stream.video;
        let audio_changed =
            media.audio.format.is_some() && stream.audio.is_some() && media.audio.format != stream.audio;
        if video_changed || audio_changed {
            media.parameter_changes += 1;
        }
        media.video.format.clone_from(&stream.video);
        media.audio.format.clone_from(&stream.audio);
    }

    fn end_stall(&mut self, now: Instant) {
        if let Some(stall) = self.media.stall.take() {
            self.stall_time += now.saturating_duration_since(stall.since);
            self.media.stall_time = self.stall_time;
        }
    }
}
