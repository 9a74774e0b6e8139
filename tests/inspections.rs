//! What a session hands to whoever decodes, and what it makes of the answers, with a decoder that is made up.

mod process;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process::Origin;
use rtmp_hmonitor::model::clock::Clock;
use rtmp_hmonitor::model::content::{InspectFailure, Inspection, Picture, Sample};
use rtmp_hmonitor::model::content_policy::{BlackLimits, ContentPolicy};
use rtmp_hmonitor::model::content_report::ContentIssue;
use rtmp_hmonitor::model::inspector::{Inspecting, InspectionOutcome, Inspector};
use rtmp_hmonitor::model::spec::{EvidenceSource, PhaseTimeouts, ProbeSpec, TlsSpec, Watch};
use rtmp_hmonitor::model::{DegradedCause, StreamPolicy, StreamUrl};
use rtmp_hmonitor::probe::ProbeEnvironment;
use rtmp_hmonitor::probe::once::{self, OneShot};

/// Decodes nothing, and answers as it is told.
#[derive(Debug)]
struct Decoder {
    answer: Result<Inspection, InspectFailure>,
    /// How long an answer takes.
    takes: Duration,
    samples: Mutex<Vec<Sample>>,
    under_way: Arc<AtomicUsize>,
    most_under_way: AtomicUsize,
}

impl Decoder {
    fn new(answer: Result<Inspection, InspectFailure>) -> Self {
        Self {
            answer,
            takes: Duration::from_millis(20),
            samples: Mutex::default(),
            under_way: Arc::default(),
            most_under_way: AtomicUsize::new(0),
        }
    }
}

/// Counts an inspection as under way until it is answered or given up.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Inspector for Decoder {
    fn inspect(self: Arc<Self>, sample: Sample, thumbnail: bool) -> Inspecting {
        assert!(thumbnail, "the policy wants one");
        self.samples.lock().unwrap().push(sample);
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        let under_way = UnderWay(Arc::clone(&self.under_way));
        let (answer, takes) = (self.answer.clone(), self.takes);
        Box::pin(async move {
            let _under_way = under_way;
            tokio::time::sleep(takes).await;
            answer
        })
    }
}

fn black() -> Inspection {
    let picture = Picture {
        frames: 8,
        width: 640,
        height: 360,
        change: Some(0.0),
        thumbnail: Some([&[0xff, 0xd8, 0xff][..], b"dark"].concat()),
        ..Picture::default()
    };
    Inspection { picture: Some(picture), sound: None }
}

fn policy() -> StreamPolicy {
    let black = Some(BlackLimits { duration: Duration::from_secs(1), ..BlackLimits::default() });
    let content =
        ContentPolicy { interval: Duration::from_secs(1), black, thumbnail: true, ..ContentPolicy::default() };
    StreamPolicy { content, ..StreamPolicy::default() }
}

/// What our probe sees of a camera within `seconds`.
fn watch(decoder: &Arc<Decoder>, seconds: u64) -> (OneShot, Vec<(InspectionOutcome, u64)>) {
    let origin = Origin::start("gate");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Clock::new();
    let spec = ProbeSpec {
        url: StreamUrl::parse(&origin.url("gate")).unwrap(),
        timeouts: PhaseTimeouts::default(),
        tls: TlsSpec::default(),
        watch: Watch::Always,
        evidence: EvidenceSource::Play,
    };
    let env = ProbeEnvironment::new(clock.clone()).with_inspector(Arc::clone(decoder) as Arc<dyn Inspector>);
    let policy = Arc::new(policy());
    let shot = runtime.block_on(async {
        let beat = async {
            loop {
                clock.beat();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            shot = once::observe(&env, &spec, &policy, Duration::from_secs(seconds), &|_| true, &|_| {}) => shot,
            () = beat => unreachable!(),
        }
    });
    (shot, env.inspections.outcomes().filter(|(_, count)| *count > 0).collect())
}

#[test]
fn what_is_seen_reaches_the_report_and_the_verdict() {
    let decoder = Arc::new(Decoder::new(Ok(black())));
    let (shot, outcomes) = watch(&decoder, 15);
    let content = shot.report.content.expect("it is inspected");
    assert!(content.inspections >= 2 && content.picture.is_some(), "{content:?}");
    assert!(content.finding(ContentIssue::Black).is_some_and(|finding| finding.lasted() >= Duration::from_secs(1)));
    assert_eq!(&*content.thumbnail.expect("a picture").jpeg, b"\xff\xd8\xffdark");
    assert_eq!(shot.verdict.degraded.iter().collect::<Vec<_>>(), [DegradedCause::Black]);
    assert!(outcomes.iter().all(|(outcome, _)| *outcome == InspectionOutcome::Done), "{outcomes:?}");
    let samples = decoder.samples.lock().unwrap();
    for sample in &*samples {
        let video = sample.video.as_ref().expect("video");
        assert!(!video.configuration.is_empty() && video.frames[0].keyframe && video.frames.len() >= 3, "{sample:?}");
        assert!(sample.audio.as_ref().is_some_and(|audio| audio.frames.len() > 10), "{sample:?}");
    }
    assert_eq!(decoder.most_under_way.load(Ordering::SeqCst), 1);
}

#[test]
fn a_decoder_that_fails_or_hangs_harms_no_session() {
    for (failure, takes) in
        [(InspectFailure::WorkerLost, 20), (InspectFailure::Busy, 1), (InspectFailure::Memory, 100_000)]
    {
        let mut decoder = Decoder::new(Err(failure));
        decoder.takes = Duration::from_millis(takes);
        let decoder = Arc::new(decoder);
        let (shot, outcomes) = watch(&decoder, 8);
        assert_eq!(shot.verdict.health.as_str(), "up", "{failure}: {:?}", shot.verdict);
        assert!(shot.report.media.video.medium.frames > 100, "frames go on coming");
        assert!(outcomes.iter().all(|(outcome, _)| *outcome == InspectionOutcome::Failed(failure)), "{outcomes:?}");
        assert!(!decoder.samples.lock().unwrap().is_empty());
        assert_eq!(decoder.under_way.load(Ordering::SeqCst), 0, "what is under way ends with the session");
        assert_eq!(decoder.most_under_way.load(Ordering::SeqCst), 1);
    }
}
