//! Hand-made snapshots, and a server over them that tests speak to in bytes.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod decisions;
pub mod targets;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rtmp_hmonitor::control::handle::Command;
use rtmp_hmonitor::control::{ControlHandle, ControlStatus};
use rtmp_hmonitor::health::anomaly::{HOURS, Learned, LearnedSignals, Span};
use rtmp_hmonitor::model::anomaly::{AnomalyReading, AnomalyReadings, Signal};
use rtmp_hmonitor::model::budget::ByteBudget;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::content_report::{ContentIssue, ContentReport, Finding, PictureFacts, SoundFacts, Thumbnail};
use rtmp_hmonitor::model::event::{Event, EventKind, Subject};
use rtmp_hmonitor::model::health::DegradedCauses;
use rtmp_hmonitor::model::report::{
    AudioFormat, AudioReport, Colour, Connection, MediaReport, MediumReport, Phase, StreamReport, TcpFigures,
    TransportReport, VideoFormat, VideoReport,
};
use rtmp_hmonitor::model::server::{ReadAccess, Role, Secret, ServerLimits, ServerSpec, Token};
use rtmp_hmonitor::model::snapshot::{AnswerBasis, HealthAnswer, Snapshot, StreamView, Verdict, VerdictTotals};
use rtmp_hmonitor::model::spec::{EvidenceSource, Labels, PhaseTimeouts, SpecSource, TlsSpec, Watch};
use rtmp_hmonitor::model::{DegradedCause, DownCause, Health, Name, ProbeSpec, StreamPolicy, StreamSpec, StreamUrl};
use rtmp_hmonitor::serve::{SelfMetrics, Views, run_health, run_main};
use rtmp_hmonitor::store::{EventLog, StoreReader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The stream key every test URL holds: no output may show it.
pub const SECRET_KEY: &str = "S3CRETKEY";
pub const OPERATE: &str = "operate-token-of-the-test";
pub const READ: &str = "read-token-of-the-test";

/// A stream's view, to be changed before it goes into a snapshot.
pub fn stream(name: &str, health: Health) -> StreamView {
    let (down, degraded) = match health {
        Health::Down => (Some(DownCause::Stalled), DegradedCauses::EMPTY),
        Health::Degraded => (None, DegradedCauses::EMPTY.with(DegradedCause::BitrateLow)),
        _ => (None, DegradedCauses::EMPTY),
    };
    StreamView {
        spec: Arc::new(StreamSpec {
            name: Name::new(name).unwrap(),
            probe: Arc::new(ProbeSpec {
                url: StreamUrl::parse(&format!("rtmp://10.0.0.11/live/{SECRET_KEY}?token=T0KEN")).unwrap(),
                timeouts: PhaseTimeouts::default(),
                tls: TlsSpec::default(),
                watch: Watch::Always,
                evidence: EvidenceSource::Play,
            }),
            policy: Arc::new(StreamPolicy::default()),
            labels: Labels(Arc::new([("site".into(), "plant-a".into())])),
            server: None,
            follow: None,
            camera: None,
            source: SpecSource::File,
        }),
        verdict: Verdict {
            health,
            down,
            degraded,
            noted: DegradedCauses::EMPTY,
            since: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250),
            detail: "said for people".into(),
            epoch: 7,
        },
        totals: VerdictTotals { outages: 2, outage_seconds: 12.5, changes: [0, 3, 1, 2, 0], ..Default::default() },
        report: None,
        server: None,
        silence: None,
        hints: Default::default(),
        answer: HealthAnswer {
            healthy: !matches!(health, Health::Down),
            basis: if health == Health::Unknown { AnswerBasis::Held } else { AnswerBasis::Verdict },
        },
    }
}

/// What a camera with picture and sound that plays well looks like.
pub fn report(now: Instant) -> StreamReport {
    let medium = |bytes_per_second: f64, frames| MediumReport {
        bytes: 1_000_000,
        frames,
        bytes_per_second: Some(bytes_per_second),
        declared_bytes_per_second: Some(bytes_per_second),
        frame_gap_max: Some(Duration::from_millis(41)),
        last_frame: Some(now),
        ..Default::default()
    };
    let mut phases = [Some(Duration::from_millis(3)); Phase::ALL.len()];
    phases[Phase::Tls as usize] = None;
    StreamReport {
        observed_at: now,
        connection: Connection::Playing { since: now },
        fault: None,
        transport: TransportReport {
            connect_attempts: 1,
            phases,
            session_start: Some(now),
            received_bytes: 1_100_000,
            tcp: Some(TcpFigures { rtt: Some(Duration::from_micros(1500)), retransmits: 2, out_of_order: Some(5) }),
            ..Default::default()
        },
        media: MediaReport {
            live_since: Some(now),
            warm: true,
            video: VideoReport {
                medium: medium(250_000.0, 3000),
                keyframes: 60,
                frames_per_second: Some(25.0),
                declared_frames_per_second: Some(25.0),
                keyframe_interval: Some(Duration::from_secs(2)),
                keyframe_age: None,
                gop_frames: Some(50),
                format: Some(VideoFormat {
                    codec: "h264".into(),
                    profile: "high".into(),
                    level: "3.1".into(),
                    width: Some(1280),
                    height: Some(720),
                    frame_rate: Some(25.0),
                    bit_depth: Some(8),
                    chroma: "4:2:0".into(),
                    colour: Colour {
                        primaries: "bt709".into(),
                        transfer: "bt709".into(),
                        matrix: "bt709".into(),
                        range: "tv".into(),
                    },
                    ..Default::default()
                }),
            },
            audio: AudioReport {
                medium: medium(16_000.0, 5000),
                format: Some(AudioFormat {
                    codec: "aac".into(),
                    profile: "lc".into(),
                    sample_rate: Some(48_000),
                    channels: Some(2),
                    layout: "stereo".into(),
                }),
            },
            jitter: Some(Duration::from_micros(1500)),
            drift: Some(-0.002),
            av_skew: Some(0.011),
            ..Default::default()
        },
        content: None,
    }
}

/// What inspections have shown of a well-lit stream with sound.
pub fn content(now: Instant) -> ContentReport {
    let jpeg = [&[0xff, 0xd8, 0xff, 0xe0][..], b"a small picture"].concat();
    ContentReport {
        inspections: 12,
        decode_errors: 3,
        put_off: false,
        picture: Some(PictureFacts {
            at: now,
            width: 1280,
            height: 720,
            luma_mean: 0.375,
            luma_deviation: 0.25,
            change: Some(0.0078125),
            difference: Some(0.5),
        }),
        sound: Some(SoundFacts { at: now, channels: 2, loudness_dbfs: -23.5, peak_dbfs: -3.0, digital_silence: false }),
        findings: [Some(Finding { at: now, since: None }); ContentIssue::ALL.len()],
        thumbnail: Thumbnail::hold(&ByteBudget::new(1024), now, jpeg),
    }
}

/// What is shown of a stream of which a week is known and whose bit rate is lower than ever.
pub fn hints() -> AnomalyReadings {
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let reading =
        |value, low, high, ratio, unusual_since| Some(AnomalyReading { value, low, high, ratio, unusual_since });
    [
        reading(100_000.0, 200_000.0, 400_000.0, -3.0, Some(since)),
        reading(25.0, 22.5, 27.75, 0.0, None),
        reading(0.041, 0.0125, 0.25, -0.25, None),
    ]
}

/// Ten days on which all figures were these at all hours: bytes a second, frames a second, seconds.
pub fn known(figures: [f64; Signal::ALL.len()]) -> LearnedSignals {
    let every_hour = |middle: f64| {
        let mut learned = Learned::default();
        for hour in 0..HOURS {
            (0..10).for_each(|_| learned.add(hour, Span { middle: middle as i16, below: 2, above: 2 }));
        }
        learned
    };
    LearnedSignals { signals: figures.map(|figure| every_hour(figure.ln() * 1e3)), sudden: every_hour(0.0) }
}

/// A stream that plays and is inspected.
pub fn inspected(name: &str, now: Instant) -> StreamView {
    let report = StreamReport { content: Some(content(now)), ..report(now) };
    StreamView { report: Some(Arc::new(report)), ..stream(name, Health::Up) }
}

/// A complete picture taken at `taken_at`.
pub fn snapshot(taken_at: Instant, mut streams: Vec<StreamView>) -> Snapshot {
    streams.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    Snapshot {
        generation: 1,
        complete: true,
        streams: streams.into_iter().map(Arc::new).collect(),
        ..Snapshot::empty(taken_at)
    }
}

pub fn event(name: &str, to: Health) -> Event {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    let subject = Subject::stream(&Name::new(name).unwrap());
    Event {
        from: Some(Health::Unknown.into()),
        to: Some(to.into()),
        ..Event::new(at, subject, EventKind::State, "said for people")
    }
}

pub fn token(role: Role, secret: &str) -> Token {
    Token { role, secret: Secret::new(secret) }
}

/// Open to read, one operate token.
pub fn server_spec() -> ServerSpec {
    ServerSpec {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        health_listen: None,
        agent_listen: None,
        unix_listen: None,
        tls: None,
        tokens: vec![token(Role::Operate, OPERATE), token(Role::Read, READ)],
        read: ReadAccess::Open,
        hosts: vec![],
        limits: ServerLimits::default(),
        modules: vec![],
    }
}

/// Both listeners over one picture.
pub struct Bench {
    pub clock: Clock,
    pub current: Arc<ArcSwap<Snapshot>>,
    pub events: Arc<EventLog>,
    pub server: watch::Sender<Arc<ServerSpec>>,
    pub commands: mpsc::Receiver<Command>,
    pub views: Views,
    pub main: SocketAddr,
    pub health: SocketAddr,
    pub shutdown: CancellationToken,
    pub servers: [JoinHandle<()>; 2],
    heartbeat: JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.heartbeat.abort();
    }
}

impl Bench {
    pub async fn start(spec: ServerSpec, streams: Vec<StreamView>) -> Self {
        let clock = Clock::new();
        let current = Arc::new(ArcSwap::from_pointee(snapshot(clock.now(), streams)));
        let events = Arc::new(EventLog::new(1 << 20));
        let (control, commands) = ControlHandle::channel(Arc::new(ControlStatus::default()));
        let (_, decisions) = watch::channel(Arc::default());
        let (server, spec) = watch::channel(Arc::new(spec));
        let views = Views {
            store: StoreReader::new(clock.clone(), Arc::clone(&events), decisions, Arc::clone(&current)),
            control,
            server: spec,
            inspections: Arc::default(),
            self_metrics: Arc::new(SelfMetrics::new("0.0.0-test", "abc").unwrap()),
            controllers: Arc::default(),
            actions: Arc::default(),
        };
        let shutdown = CancellationToken::new();
        let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let health = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (main.local_addr().unwrap(), health.local_addr().unwrap());
        let servers = [
            tokio::spawn({
                let run = run_main(main, views.clone(), shutdown.clone());
                async { run.await.unwrap() }
            }),
            tokio::spawn(run_health(health, views.clone(), shutdown.clone())),
        ];
        let beat = clock.clone();
        let heartbeat = tokio::spawn(async move {
            loop {
                beat.beat();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            clock,
            current,
            events,
            server,
            commands,
            views,
            main: addresses.0,
            health: addresses.1,
            shutdown,
            servers,
            heartbeat,
        }
    }

    /// Replaces the picture by one taken `age` ago.
    pub fn show(&self, age: Duration, streams: Vec<StreamView>) {
        self.current.store(Arc::new(snapshot(self.clock.now() - age, streams)));
    }

    /// Sends a request to the main listener; `head` is the request line and headers without line ends.
    pub async fn ask(&self, head: &[&str], body: &str) -> Answer {
        ask(self.main, head, body).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.ask(&[&format!("GET {target} HTTP/1.1")], "").await
    }

    /// Like [`Bench::ask`] with the operate token and a JSON body.
    pub async fn operate(&self, line: &str, body: &str) -> Answer {
        let authorization = format!("Authorization: Bearer {OPERATE}");
        self.ask(&[&format!("{line} HTTP/1.1"), &authorization, "Content-Type: application/json"], body).await
    }

    /// Answers commands with `answer` from now on.
    pub fn control(&mut self, mut answer: impl FnMut(Command) + Send + 'static) {
        let (_, empty) = mpsc::channel(1);
        let mut commands = std::mem::replace(&mut self.commands, empty);
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                answer(command);
            }
        });
    }
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn parse(raw: &[u8]) -> Self {
        let split = raw.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8(raw[..split].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = raw[split + 4..].to_vec();
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Self { status, head, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&raw[end + 2..][..size]);
        raw = &raw[end + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    body
}

/// One request on a connection of its own, answered whole.
pub async fn ask(address: SocketAddr, head: &[&str], body: &str) -> Answer {
    let mut request = head.join("\r\n");
    request.push_str("\r\nHost: test\r\nConnection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    request.push_str(body);
    Answer::parse(&exchange(address, request.as_bytes()).await)
}

/// Sends these bytes and reads until the peer closes.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut raw = Vec::new();
    let read = stream.read_to_end(&mut raw);
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer in time").unwrap();
    raw
}

/// A file of the test's own.
pub fn write_file(dir: &tempfile::TempDir, name: &str, contents: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, contents).unwrap();
    path
}
