//! `probe`: one look at one stream, for an engineer at a terminal.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::model::clock::Clock;
use crate::model::health::{Cause, Health};
use crate::model::report::{Connection, MediumReport, Phase, StreamReport, TimestampAnomaly};
use crate::model::spec::{EvidenceSource, PhaseTimeouts, Pin, ProbeSpec, StreamPolicy, TlsSpec, Watch};
use crate::model::url::StreamUrl;
use crate::probe::ProbeEnvironment;
use crate::probe::once::{self, OneShot};
use crate::serve::{HdrMetadataDocument, ServerCapabilitiesDocument};

#[derive(Args)]
pub struct ProbeArguments {
    /// rtmp:// or rtmps:// URL. HMONITOR_PROBE_URL keeps it out of the process list.
    // Parsed by us: a message of the command line's parser would quote it.
    #[arg(env = "HMONITOR_PROBE_URL", hide_env_values = true)]
    url: String,
    /// How long to watch once media flows.
    #[arg(long = "for", default_value = "10s", value_parser = super::duration)]
    duration: Duration,
    /// Print the outcome as one JSON document.
    #[arg(long)]
    json: bool,
    /// Certificate authorities to trust instead of the system's (PEM).
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Name to verify instead of the URL's host.
    #[arg(long)]
    server_name: Option<String>,
    /// SHA-256 of the only certificate to trust, or of its public key, in hexadecimal.
    #[arg(long, value_parser = pin)]
    pin_sha256: Option<Pin>,
    /// Media silence that counts as a stall.
    #[arg(long, default_value = "2s", value_parser = super::duration)]
    stall_timeout: Duration,
    /// Bound of connecting.
    #[arg(long, default_value = "5s", value_parser = super::duration)]
    connect_timeout: Duration,
}

fn pin(text: &str) -> Result<Pin, &'static str> {
    Pin::parse(text).ok_or("64 hexadecimal digits are expected")
}

pub fn probe(arguments: &ProbeArguments) -> Result<ExitCode> {
    let url = match StreamUrl::parse(&arguments.url) {
        Ok(url) => url,
        Err(error) => {
            writeln!(std::io::stderr(), "rtmp-hmonitor: {error}")?;
            return Ok(ExitCode::from(2));
        }
    };
    app::install_crypto_provider();
    let clock = Clock::new();
    app::beat(&clock)?;
    let spec = ProbeSpec {
        url: url.clone(),
        timeouts: PhaseTimeouts { connect_total: arguments.connect_timeout, ..PhaseTimeouts::default() },
        tls: TlsSpec {
            ca_file: arguments.ca_file.clone(),
            server_name: arguments.server_name.clone(),
            pin: arguments.pin_sha256,
        },
        watch: Watch::Always,
        evidence: EvidenceSource::Play,
    };
    let policy = Arc::new(StreamPolicy { stall_timeout: arguments.stall_timeout, ..StreamPolicy::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let env = ProbeEnvironment::new(clock);
    let live = Mutex::new(Live::new(env.clock.now(), !arguments.json));
    if !arguments.json {
        super::print(format!("probing {url}\n").as_bytes())?;
    }
    let on_report = |report: &StreamReport| live.lock().unwrap_or_else(PoisonError::into_inner).show(report);
    let outcome = runtime.block_on(once::observe(&env, &spec, &policy, arguments.duration, &|_| true, &on_report));
    let text = if arguments.json {
        let mut text = serde_json::to_string_pretty(&document(&url, &outcome))?;
        text.push('\n');
        text
    } else {
        summary(&outcome)
    };
    super::print(text.as_bytes())?;
    let healthy = outcome.verdict.health == Health::Up;
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what is new while the probe runs: each phase as it is done, then one line a second.
struct Live {
    start: Instant,
    on: bool,
    phases: usize,
    last: Instant,
}

impl Live {
    fn new(now: Instant, on: bool) -> Self {
        Self { start: now, on, phases: 0, last: now }
    }

    fn show(&mut self, report: &StreamReport) {
        if !self.on {
            return;
        }
        let now = report.observed_at;
        let at = now.saturating_duration_since(self.start).as_secs_f64();
        let done: Vec<_> = Phase::ALL.iter().zip(report.transport.phases).filter_map(|(p, t)| Some((p, t?))).collect();
        let mut text = String::new();
        for (phase, took) in done.iter().skip(self.phases) {
            text.push_str(&format!("{at:7.2} s  {phase} after {:.1} ms\n", took.as_secs_f64() * 1e3));
        }
        self.phases = done.len().max(self.phases);
        let playing = matches!(report.connection, Connection::Playing { .. });
        if playing && now.saturating_duration_since(self.last) >= Duration::from_secs(1) {
            self.last = now;
            let media = &report.media;
            let gap =
                media.video.medium.frame_gap_max.map_or_else(|| "-".to_owned(), |g| format!("{} ms", g.as_millis()));
            text.push_str(&format!(
                "{at:7.2} s  {} video and {} audio frames, {} keyframes, {} bytes, longest gap {gap}{}\n",
                media.video.medium.frames,
                media.audio.medium.frames,
                media.video.keyframes,
                report.transport.received_bytes,
                media.stall.map_or("", |_| ", STALLED"),
            ));
        }
        // A closed terminal must not end the measurement.
        let _ = super::print(text.as_bytes());
    }
}

fn summary(outcome: &OneShot) -> String {
    let (media, verdict) = (&outcome.report.media, &outcome.verdict);
    let mut lines = vec![String::new()];
    if let Some(v) = &media.video.format {
        let size = v.width.zip(v.height).map_or_else(|| "unknown size".to_owned(), |(w, h)| format!("{w}x{h}"));
        let declared = v.frame_rate.map_or_else(String::new, |r| format!(", declares {r:.3} fps"));
        lines.push(format!("video      {} {} {} {size}{declared}", v.codec, v.profile, v.level));
        let depth = v.bit_depth.map(|bits| format!("{bits} bit"));
        let tier = Some(&v.tier).filter(|tier| !tier.is_empty()).map(|tier| format!("{tier} tier"));
        let hdr = v.hdr().map(|kind| format!("HDR ({kind})"));
        let facts = [depth, Some(v.chroma.to_string()), Some(v.colour.to_string()), hdr, tier];
        let facts: Vec<_> = facts.into_iter().flatten().filter(|fact| !fact.is_empty()).collect();
        if !facts.is_empty() {
            lines.push(format!("           {}", facts.join(", ")));
        }
        if let Some(hdr) = &v.hdr_metadata {
            lines.push(format!("           {hdr}"));
        }
    }
    if let Some(a) = &media.audio.format {
        let rate = a.sample_rate.map_or_else(String::new, |r| format!(" {r} Hz"));
        let channels = a.channels.map_or_else(String::new, |c| format!(", {c} channels"));
        let layout = if a.layout.is_empty() { String::new() } else { format!(" ({})", a.layout) };
        lines.push(format!("audio      {} {}{rate}{channels}{layout}", a.codec, a.profile));
    }
    let tracks = [media.video.medium.tracks, media.audio.medium.tracks];
    if tracks.iter().any(|tracks| *tracks > 1) {
        lines.push(format!("tracks     {} video, {} audio; the first of each is measured", tracks[0], tracks[1]));
    }
    if let Some(capabilities) = &outcome.report.transport.server_capabilities {
        lines.push(format!("server     {capabilities}"));
    }
    let rate = |m: &MediumReport| {
        m.bytes_per_second.map_or_else(|| "not measured".to_owned(), |b| format!("{:.1} kbit/s", b * 8.0 / 1e3))
    };
    lines.push(format!(
        "bit rate   video {}, audio {} (over 10 s, or all that was watched)",
        rate(&media.video.medium),
        rate(&media.audio.medium)
    ));
    if let Some(fps) = media.video.frames_per_second {
        lines.push(format!("frames     {fps:.2} per second"));
    }
    if let (Some(interval), Some(frames)) = (media.video.keyframe_interval, media.video.gop_frames) {
        lines.push(format!("GOP        {frames} frames, keyframe every {:.3} s", interval.as_secs_f64()));
    }
    let ms = |d: Option<Duration>| d.map_or_else(|| "-".to_owned(), |d| format!("{:.1} ms", d.as_secs_f64() * 1e3));
    lines.push(format!(
        "gaps       video {}, audio {} at most; jitter {} (arrivals are seen to {} ms)",
        ms(media.video.medium.frame_gap_max),
        ms(media.audio.medium.frame_gap_max),
        ms(media.jitter),
        media.arrival_resolution.as_millis(),
    ));
    let signed = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{:+.1} ms", s * 1e3));
    lines.push(format!("clocks     drift {}, audio to video {}", signed(media.drift), signed(media.av_skew)));
    let causes: Vec<_> = causes(outcome).map(Cause::as_str).collect();
    lines.push(format!("verdict    {} {}", verdict.health, causes.join(",")).trim_end().to_owned());
    if !verdict.detail.is_empty() {
        lines.push(format!("           {}", verdict.detail));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn causes(outcome: &OneShot) -> impl Iterator<Item = Cause> {
    let verdict = &outcome.verdict;
    verdict.down.map(Cause::Down).into_iter().chain(verdict.degraded.iter().map(Cause::Degraded))
}

fn document(url: &StreamUrl, outcome: &OneShot) -> Value {
    let report = &outcome.report;
    let media = &report.media;
    let seconds = |d: Option<Duration>| d.map(|d| d.as_secs_f64());
    let phases: serde_json::Map<String, Value> = Phase::ALL
        .iter()
        .zip(report.transport.phases)
        .filter_map(|(phase, took)| Some((format!("{phase}_seconds"), json!(took?.as_secs_f64()))))
        .collect();
    let medium = |m: &MediumReport| {
        json!({
            "bytes": m.bytes,
            "frames": m.frames,
            "bitrate_bps": m.bytes_per_second.map(|b| b * 8.0),
            "frame_gap_max_seconds": seconds(m.frame_gap_max),
            "tracks": m.tracks,
            "timestamp_anomalies": TimestampAnomaly::ALL.iter().zip(m.anomalies)
                .map(|(kind, n)| (kind.to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
        })
    };
    let mut video = medium(&media.video.medium);
    let mut audio = medium(&media.audio.medium);
    if let Some(f) = &media.video.format {
        video["codec"] = json!(f.codec);
        video["profile"] = json!(f.profile);
        video["level"] = json!(f.level);
        video["tier"] = json!(f.tier);
        video["bit_depth"] = json!(f.bit_depth);
        video["chroma"] = json!(f.chroma);
        video["colour"] = json!({
            "primaries": f.colour.primaries,
            "transfer": f.colour.transfer,
            "matrix": f.colour.matrix,
            "range": f.colour.range,
        });
        video["hdr"] = json!(f.hdr());
        video["hdr_metadata"] = json!(f.hdr_metadata.as_deref().map(HdrMetadataDocument::new));
        video["width_pixels"] = json!(f.width);
        video["height_pixels"] = json!(f.height);
        video["declared_frames_per_second"] = json!(f.frame_rate);
    }
    video["frames_per_second"] = json!(media.video.frames_per_second);
    video["keyframes"] = json!(media.video.keyframes);
    video["keyframe_interval_seconds"] = json!(seconds(media.video.keyframe_interval));
    video["gop_frames"] = json!(media.video.gop_frames);
    if let Some(f) = &media.audio.format {
        audio["codec"] = json!(f.codec);
        audio["profile"] = json!(f.profile);
        audio["sample_rate_hertz"] = json!(f.sample_rate);
        audio["channels"] = json!(f.channels);
        audio["layout"] = json!(f.layout);
    }
    json!({
        "url": url.to_string(),
        "health": outcome.verdict.health.as_str(),
        "causes": causes(outcome).map(Cause::as_str).collect::<Vec<_>>(),
        "detail": &*outcome.verdict.detail,
        "phases": phases,
        "received_bytes": report.transport.received_bytes,
        "server_capabilities": report.transport.server_capabilities.as_deref().map(ServerCapabilitiesDocument::new),
        "video": video,
        "audio": audio,
        "jitter_seconds": seconds(media.jitter),
        "drift_seconds": media.drift,
        "av_skew_seconds": media.av_skew,
        "stalls": media.stalls,
        "arrival_resolution_seconds": media.arrival_resolution.as_secs_f64(),
        "log": &outcome.log,
    })
}
