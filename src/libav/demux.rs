//! One session with what is not RTMP: opens it, and tells of its frames until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ffmpeg_next::error::{EAGAIN, EIO};
use ffmpeg_next::format::context::Input;
use ffmpeg_next::media::Type;
use ffmpeg_next::packet::side_data;
use ffmpeg_next::{Dictionary, Discard, Error, Packet, Rational, Rescale};
use rtmp_hmonitor::libav_protocol::{Answer, DemuxEnd, DemuxRequest};
use rtmp_hmonitor::model::demuxed::{DemuxedFrame, DemuxedTrack};
use rtmp_hmonitor::model::health::DownCause;
use rtmp_hmonitor::model::media_url::Scheme;
use rtmp_hmonitor::model::packet::MediaKind;

use crate::bodies::Bodies;
use crate::decoder::known_decoders;
use crate::input;
use crate::parameters::{bounded, configuration, in_band_record, track};
use crate::reporter::{Pulse, Reporter};

const MILLISECONDS: Rational = Rational(1, 1000);
/// Before a demuxer is asked again that has nothing now.
const TRY_AGAIN: Duration = Duration::from_millis(10);
/// Longest time to sleep without a sign of life.
const NAP: Duration = Duration::from_millis(100);
/// How long libsrt asks for a connection that nobody answers, where the URL says nothing else (SRTO_CONNTIMEO), and how much sooner it
/// may give up for other reasons than an answer.
const SRT_PATIENCE: Duration = Duration::from_secs(3);
const SRT_EARLY: f64 = 0.9;

/// Runs the session to its end, which is the last thing said.
pub fn demux(request: &DemuxRequest, bodies: &Bodies, reporter: &mut Reporter) {
    let end = match open(request, reporter.pulse()) {
        Ok(mut input) => watch(&mut input, request, bodies, reporter),
        Err(end) => end,
    };
    reporter.say(Answer::Ended(end));
}

/// A medium that is told of.
struct Played {
    index: usize,
    time_base: Rational,
    track: DemuxedTrack,
    /// Decoding time of the last frame, for the next one that has none.
    last: i64,
}

fn watch(input: &mut Input, request: &DemuxRequest, bodies: &Bodies, reporter: &mut Reporter) -> DemuxEnd {
    let mut played: Vec<Played> = [(Type::Video, MediaKind::Video), (Type::Audio, MediaKind::Audio)]
        .into_iter()
        .filter_map(|(kind, media)| {
            let stream = input.streams().best(kind)?;
            Some(Played {
                index: stream.index(),
                time_base: stream.time_base(),
                track: track(media, &stream.parameters()),
                last: 0,
            })
        })
        .collect();
    if played.is_empty() {
        return end(DownCause::NoMedia, "there is neither video nor audio in it");
    }
    discard_others(input, &played);
    reporter.say(Answer::Tracks(played.iter().map(|played| played.track.clone()).collect()));
    let mut pace = (scheme(request) == Some(Scheme::File)).then(|| Pace { start: Instant::now(), first: None });
    let mut packet = Packet::empty();
    let pulse = reporter.pulse();
    loop {
        pulse.beat();
        match packet.read(input) {
            Ok(()) => {}
            Err(Error::Other { errno: EAGAIN }) => {
                thread::sleep(TRY_AGAIN);
                continue;
            }
            Err(error) => return ended(scheme(request), error),
        }
        let Some(at) = played.iter().position(|played| played.index == packet.stream()) else { continue };
        let Some(medium) = played.get_mut(at) else { continue };
        let milliseconds = |time: i64| time.rescale(medium.time_base, MILLISECONDS);
        medium.last = packet.dts().or(packet.pts()).map_or(medium.last, milliseconds);
        let data = packet.data().unwrap_or_default();
        let frame = DemuxedFrame {
            media: medium.track.media,
            keyframe: packet.is_key(),
            dts: medium.last,
            pts: packet.pts().map_or(medium.last, milliseconds),
            size: u32::try_from(packet.size()).unwrap_or(u32::MAX),
            body: bodies.of(data),
        };
        if let Some(pace) = &mut pace {
            pace.wait(frame.dts, &pulse);
        }
        if let Some(track) = changed(&medium.track, &packet, data) {
            medium.track = track;
            reporter.say(Answer::Tracks(vec![medium.track.clone()]));
        }
        reporter.frame(frame);
    }
}

/// What the medium is made of from this packet on, if that is something else than before.
fn changed(track: &DemuxedTrack, packet: &Packet, data: &[u8]) -> Option<DemuxedTrack> {
    let told = packet.side_data().find(|side| side.kind() == side_data::Type::NewExtraData);
    let preamble = told.as_ref().map(|side| bounded(side.data()));
    let record = match preamble {
        Some(preamble) => Some(configuration(&track.codec, preamble)),
        None if packet.is_key() => in_band_record(&track.codec, data),
        None => None,
    };
    let record = record.filter(|record| *record != *track.configuration)?;
    let preamble = preamble.map_or_else(|| Arc::clone(&track.preamble), Into::into);
    // The new record tells the size; what the container had said is that of the old one.
    Some(DemuxedTrack { configuration: record.into(), preamble, width: 0, height: 0, ..track.clone() })
}

/// Has no more fetched than what is told of: the other variants of a playlist would cost as much again each.
#[expect(unsafe_code, reason = "what to discard has no safe setter")]
fn discard_others(input: &mut Input, played: &[Played]) {
    for mut stream in input.streams_mut() {
        if !played.iter().any(|played| played.index == stream.index()) {
            // SAFETY: the stream belongs to the input, which is ours.
            unsafe { (*stream.as_mut_ptr()).discard = Discard::All.into() };
        }
    }
}

/// Files are played as fast as they were recorded.
struct Pace {
    start: Instant,
    first: Option<i64>,
}

impl Pace {
    fn wait(&mut self, dts: i64, pulse: &Pulse) {
        let first = *self.first.get_or_insert(dts);
        let due = Duration::from_millis(u64::try_from(dts.saturating_sub(first)).unwrap_or(0));
        loop {
            let left = due.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(NAP));
            pulse.beat();
        }
    }
}

fn scheme(request: &DemuxRequest) -> Option<Scheme> {
    let (scheme, _) = request.url.split_once(':')?;
    Scheme::from_text(&scheme.to_ascii_lowercase())
}

/// The protocols that a playlist or a redirect may lead to, and the formats that are looked for in what they bring. A playlist may name
/// any web server, on this machine as well; it may not name files, where it was not one itself.
fn allowed(scheme: Scheme) -> (&'static str, &'static str) {
    match scheme {
        Scheme::Rtsp | Scheme::Rtsps => ("rtsp,rtsps,rtp,srtp,udp,tcp,tls", "rtsp"),
        Scheme::Rtmp | Scheme::Rtmps => ("rtmp,rtmps,tcp,tls", "flv,live_flv"),
        Scheme::Http | Scheme::Https => {
            ("http,https,httpproxy,tcp,tls,crypto", "hls,mpegts,mov,aac,mp3,ac3,eac3,webvtt")
        }
        Scheme::Srt => ("srt", "mpegts"),
        Scheme::Udp => ("udp,rtp", "mpegts"),
        Scheme::File => (
            "file,crypto",
            "mpegts,mov,matroska,flv,avi,mpeg,ogg,hls,aac,mp3,ac3,eac3,wav,flac,h264,hevc,mpegvideo,webvtt",
        ),
    }
}

fn open(request: &DemuxRequest, pulse: Pulse) -> Result<Input, DemuxEnd> {
    let Some(scheme) = scheme(request).filter(|_| !request.url.contains('\0')) else {
        return Err(end(DownCause::Protocol, "the URL is of no known scheme"));
    };
    let mut options = Dictionary::new();
    let (protocols, formats) = allowed(scheme);
    options.set("protocol_whitelist", protocols);
    options.set("format_whitelist", formats);
    options.set("codec_whitelist", &known_decoders());
    if scheme.is_rtsp() {
        options.set("rtsp_transport", request.transport.as_str());
    }
    if scheme.is_rtmp() {
        options.set("rtmp_live", "live");
    }
    let limit = Duration::from_millis(u64::from(request.open_limit));
    let start = Instant::now();
    let deadline = start + limit;
    // Reading is not limited here: who reads our answers knows how long silence may last.
    let opened = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&opened);
    let interrupt = move || {
        pulse.beat();
        !is_open.load(Ordering::Relaxed) && Instant::now() >= deadline
    };
    let input = input::open(&request.url, interrupt, options, request.verify.as_ref());
    opened.store(true, Ordering::Relaxed);
    input.map_err(|error| match error {
        // Some demuxers make another error of the interruption.
        _ if Instant::now() >= deadline => {
            end(DownCause::NoMedia, format!("no media was found within {} s", limit.as_secs_f64()))
        }
        Error::Other { errno: EIO } if scheme == Scheme::Srt => unconnected(start.elapsed(), &request.url),
        error => refused(scheme, error),
    })
}

/// Why there is no SRT connection, for which libsrt has a single word: a listener that refuses says so at once, and of one that is silent
/// nobody can tell what is missing.
fn unconnected(after: Duration, url: &str) -> DemuxEnd {
    let options = url.split_once('?').map_or("", |(_, options)| options).split('&');
    let patience = options.filter_map(|option| option.strip_prefix("connect_timeout=")?.parse().ok()).next_back();
    let patience = patience.map_or(SRT_PATIENCE, Duration::from_millis);
    if after < patience.mul_f64(SRT_EARLY) {
        end(DownCause::Rejected, "the listener has refused the connection: stream id or passphrase")
    } else {
        end(DownCause::NoMedia, "no listener answers")
    }
}

/// Why it could not be opened. Over TCP the monitor has connected before, so that somebody is there; and FFmpeg has the same word for
/// many a refusal, so that none of them is held against the server as long as it can be the camera's, or that of who wrote the URL.
fn refused(scheme: Scheme, error: Error) -> DemuxEnd {
    use ffmpeg_next::error::{
        ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ENOENT, EPERM, EPIPE, EPROTO, ETIMEDOUT,
    };
    let cause = match error {
        Error::HttpNotFound | Error::StreamNotFound | Error::Other { errno: ENOENT } => DownCause::NotFound,
        Error::HttpBadRequest
        | Error::HttpUnauthorized
        | Error::HttpForbidden
        | Error::HttpOther4xx
        | Error::HttpServerError => DownCause::Rejected,
        Error::Other { errno: ECONNREFUSED | ETIMEDOUT | EHOSTUNREACH | ENETUNREACH } => DownCause::Connect,
        Error::Other { errno: ECONNRESET | ECONNABORTED | EPIPE } | Error::Eof => DownCause::Closed,
        // What FFmpeg makes of an RTMP server's error in answer to `play`, which as a rule is that there is no such stream, and to
        // `connect`.
        Error::Other { errno: EPERM } if scheme.is_rtmp() => {
            return end(DownCause::NotFound, "the server refuses to play it, or has no such stream");
        }
        Error::Unknown if scheme.is_rtmp() => return end(DownCause::Rejected, "the server refuses the connection"),
        Error::Other { errno: EIO | EPROTO } | Error::External if scheme.is_secure() => DownCause::Tls,
        // An RTMP server that hangs up in place of an answer.
        Error::Other { errno: EIO } | Error::Unknown => DownCause::Rejected,
        _ => DownCause::Protocol,
    };
    end(cause, error.to_string())
}

/// Why it went on no longer.
fn ended(scheme: Option<Scheme>, error: Error) -> DemuxEnd {
    match error {
        Error::InvalidData | Error::PatchWelcome | Error::Bug => end(DownCause::Protocol, error.to_string()),
        // A listener that has closed it, or one that is heard no more: libsrt says the same of both.
        _ if scheme == Some(Scheme::Srt) => end(DownCause::Stalled, "the SRT connection is lost"),
        Error::Eof => end(DownCause::Closed, "it has come to its end"),
        _ => end(DownCause::Closed, error.to_string()),
    }
}

fn end(cause: DownCause, detail: impl Into<String>) -> DemuxEnd {
    DemuxEnd { cause, detail: detail.into() }
}
