//! Black, frozen, silent and undecodable pictures and sound, seen by samples in virtual time: what becomes a cause, when, and what never does.

use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::{Evaluator, Situation};
use rtmp_hmonitor::media::content::{ContentWatch, Wanted};
use rtmp_hmonitor::model::content::{InspectFailure, Inspection, Picture, Sample, Sound};
use rtmp_hmonitor::model::content_policy::{BlackLimits, ContentPolicy, FrozenLimits, SilentLimits, UndecodableLimits};
use rtmp_hmonitor::model::content_report::ContentIssue;
use rtmp_hmonitor::model::report::{Connection, MediaReport, StreamReport, TransportReport};
use rtmp_hmonitor::model::spec::StreamPolicy;
use rtmp_hmonitor::model::{DegradedCause, MediaPacket, PacketKind};

const FRAME: Duration = Duration::from_millis(40);
const GOP: u64 = 50;

/// What stands in front of the camera, and what reaches us of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scene {
    Street,
    /// The street, and sizes as a sensor's noise makes them.
    Night,
    /// The same picture again and again, coded anew.
    Still,
    Black,
    /// Bars with a clock in a corner.
    Clock,
    /// Nothing moves, but light fades over minutes.
    Dusk,
    Damaged,
    /// The decoder refuses the configuration record.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Noise {
    Speech,
    Room,
    Digital,
}

struct World {
    start: Instant,
    now: Instant,
    frame: u64,
    scene: Scene,
    noise: Noise,
    /// How looks fail for reasons of our own, while set.
    failure: Option<InspectFailure>,
    random: fastrand::Rng,
    watch: ContentWatch,
    policy: StreamPolicy,
    evaluator: Evaluator,
    pending: Option<(Instant, Sample)>,
    samples: Vec<(Instant, Sample)>,
    no_sample: u32,
    flows: bool,
}

fn everything() -> ContentPolicy {
    ContentPolicy {
        black: Some(BlackLimits::default()),
        frozen: Some(FrozenLimits::default()),
        silent: Some(SilentLimits::default()),
        undecodable: Some(UndecodableLimits::default()),
        ..ContentPolicy::default()
    }
}

impl World {
    fn new(content: ContentPolicy) -> Self {
        let start = Instant::now();
        let policy = StreamPolicy { rise: Duration::ZERO, content: content.clone(), ..StreamPolicy::default() };
        let mut world = Self {
            start,
            now: start,
            frame: 0,
            scene: Scene::Street,
            noise: Noise::Speech,
            failure: None,
            random: fastrand::Rng::with_seed(7),
            watch: ContentWatch::new(content, 0.3),
            policy,
            evaluator: Evaluator::new(SystemTime::UNIX_EPOCH, None),
            pending: None,
            samples: Vec::new(),
            no_sample: 0,
            flows: true,
        };
        world.send(PacketKind::Video, &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f]);
        world.send(PacketKind::Audio, &[0xaf, 0, 0x11, 0x90]);
        world
    }

    fn send(&mut self, kind: PacketKind, body: &[u8]) {
        let configuration = body[1] == 0;
        let keep = match self.watch.wanted_bodies() {
            Some(most) if body.len() <= most as usize => body.len(),
            _ if configuration => body.len(),
            _ => body.len().min(MediaPacket::HEAD),
        };
        let timestamp = (self.frame * 40) as u32;
        let packet = MediaPacket { kind, timestamp, length: body.len() as u32, head: &body[..keep] };
        self.watch.handle_packet(self.now, &packet);
    }

    fn frame_size(&mut self, key: bool) -> usize {
        let (inter, key_size) = match self.scene {
            Scene::Street | Scene::Damaged | Scene::Refused => (8_000.0, 40_000.0),
            Scene::Night => (3_000.0, 12_000.0),
            Scene::Clock | Scene::Dusk => (300.0, 30_000.0),
            Scene::Still => (120.0, 30_000.0),
            Scene::Black => (30.0, 600.0),
        };
        let usual = if key { key_size } else { inter };
        let spread = (0..6).map(|_| self.random.f64() - 0.5).sum::<f64>() / 1.5;
        (usual * spread.exp()) as usize + 6
    }

    /// One frame's time passes.
    fn step(&mut self) {
        let key = self.frame.is_multiple_of(GOP);
        if self.flows {
            let mut body = vec![0xaa; self.frame_size(key)];
            body[..5].copy_from_slice(&[if key { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
            self.send(PacketKind::Video, &body);
            self.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
            self.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
        }
        if let Some((taken, _)) = self.pending.as_ref().filter(|(at, _)| self.now >= *at + Duration::from_millis(80)) {
            let result = self.decode(*taken);
            self.pending = None;
            self.watch.handle_result(self.now, result.as_ref().map_err(|f| *f));
        }
        match self.watch.poll(self.now, self.flows) {
            Wanted::Nothing => {}
            Wanted::NoSample => self.no_sample += 1,
            Wanted::Inspection(sample) => {
                self.samples.push((self.now, sample.clone()));
                self.pending = Some((self.now, sample));
            }
        }
        self.judge();
        self.frame += 1;
        self.now += FRAME;
    }

    fn decode(&mut self, at: Instant) -> Result<Inspection, InspectFailure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.scene == Scene::Refused {
            return Err(InspectFailure::UndecodableConfiguration);
        }
        let seconds = (at - self.start).as_secs_f64();
        let mut signature = [90; Picture::SIGNATURE];
        let mut noise = |most: u8| self.random.u8(0..=most);
        let (mut luma_mean, mut luma_deviation, mut change, mut errors) = (0.4, 0.2, 0.01, 0);
        match self.scene {
            Scene::Street => signature.iter_mut().for_each(|box_| *box_ = noise(255)),
            Scene::Night => {
                signature.iter_mut().for_each(|box_| *box_ = 18 + noise(1));
                (luma_mean, luma_deviation, change) = (0.07, 0.02, 0.0016);
            }
            Scene::Still => {
                signature.iter_mut().for_each(|box_| *box_ = 90 + noise(2));
                change = 0.0002;
            }
            Scene::Black => {
                signature = [0; Picture::SIGNATURE];
                (luma_mean, luma_deviation, change) = (0.002, 0.001, 0.0);
            }
            Scene::Clock => {
                signature[100] = (seconds as u64 * 37 % 200) as u8;
                change = 0.0001;
            }
            Scene::Dusk => {
                signature = [200 - (seconds / 4.0) as u8; Picture::SIGNATURE];
                change = 0.0001;
            }
            // The decoder shows the picture before.
            Scene::Damaged => (errors, change) = (3, 0.0),
            Scene::Refused => unreachable!("answered above"),
        }
        let picture = Picture {
            frames: 8 - errors,
            errors,
            width: 1280,
            height: 720,
            luma_mean,
            luma_deviation,
            signature,
            change: Some(change),
            thumbnail: None,
        };
        let (loudness_dbfs, digital_silence) = match self.noise {
            Noise::Speech => (-22.0, false),
            Noise::Room => (-58.0, false),
            Noise::Digital => (Sound::FLOOR, true),
        };
        let sound =
            Sound { frames: 47, errors: 0, channels: 2, loudness_dbfs, peak_dbfs: loudness_dbfs, digital_silence };
        Ok(Inspection { picture: Some(picture), sound: Some(sound) })
    }

    fn judge(&mut self) {
        let report = StreamReport {
            observed_at: self.now,
            connection: Connection::Playing { since: self.start },
            fault: None,
            transport: TransportReport::default(),
            media: MediaReport { live_since: Some(self.start), ..MediaReport::default() },
            content: self.watch.report(),
        };
        let mut report = report;
        report.media.video.medium.last_frame = Some(self.now);
        let wall = SystemTime::UNIX_EPOCH + (self.now - self.start);
        self.evaluator.evaluate(Situation::of_stream(self.now, wall, Some(&report), &self.policy, false));
    }

    fn causes(&self) -> Vec<DegradedCause> {
        self.evaluator.verdict().degraded.iter().collect()
    }

    fn pass(&mut self, seconds: u64) -> &mut Self {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
        self
    }

    /// Passes time until exactly `causes` apply; how long that took.
    fn until(&mut self, causes: &[DegradedCause], limit: u64) -> Duration {
        let from = self.now;
        while self.causes() != causes {
            assert!(self.now - from < Duration::from_secs(limit), "{:?} and not {causes:?}", self.causes());
            self.step();
        }
        self.now - from
    }

    /// Passes time, in which nothing but `allowed` may apply.
    fn never_but(&mut self, allowed: &[DegradedCause], seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
            assert!(self.causes().iter().all(|cause| allowed.contains(cause)), "{:?}: {:?}", self.scene, self.causes());
        }
    }
}

#[test]
fn each_fault_is_its_own_cause_and_goes_with_the_fault() {
    use DegradedCause as C;
    for (scene, noise, cause, lasts) in [
        (Scene::Black, Noise::Speech, C::Black, 5),
        (Scene::Still, Noise::Speech, C::Frozen, 10),
        (Scene::Street, Noise::Digital, C::Silent, 10),
        (Scene::Damaged, Noise::Speech, C::Undecodable, 5),
        (Scene::Refused, Noise::Speech, C::Undecodable, 5),
    ] {
        let mut world = World::new(everything());
        world.never_but(&[], 60);
        (world.scene, world.noise) = (scene, noise);
        let from = world.now;
        world.never_but(&[], lasts - 1);
        world.until(&[cause], 40);
        println!("{cause} {:.1} s after the change", (world.now - from).as_secs_f64());
        world.never_but(&[cause], 60);
        (world.scene, world.noise) = (Scene::Street, Noise::Speech);
        world.until(&[], 15);
    }
}

#[test]
fn what_is_merely_quiet_is_no_fault() {
    for (scene, noise) in [(Scene::Night, Noise::Speech), (Scene::Clock, Noise::Speech), (Scene::Street, Noise::Room)] {
        let mut world = World::new(everything());
        world.pass(30);
        (world.scene, world.noise) = (scene, noise);
        world.never_but(&[], 600);
    }
}

#[test]
fn a_slow_change_adds_up() {
    let frozen = Some(FrozenLimits { duration: Duration::from_secs(60), ..FrozenLimits::default() });
    let mut world = World::new(ContentPolicy { frozen, ..everything() });
    world.scene = Scene::Dusk;
    world.never_but(&[], 600);
}

#[test]
fn a_collapse_of_sizes_is_looked_at_within_a_keyframe_interval_and_a_second() {
    for phase in 0..10 {
        let mut world = World::new(ContentPolicy { interval: Duration::from_secs(600), ..everything() });
        world.pass(40 + phase).frame += phase * 5;
        let before = world.samples.len();
        world.scene = Scene::Black;
        let from = world.now;
        while world.samples.len() == before {
            world.step();
            let limit = FRAME * GOP as u32 + Duration::from_secs(1);
            assert!(world.now - from <= limit, "not looked at within {limit:?}");
        }
        let confirmed = world.until(&[DegradedCause::Black], 20);
        assert!(confirmed < Duration::from_secs(9), "another look confirms it: {confirmed:?}");
    }
}

#[test]
fn failures_of_our_own_are_no_evidence() {
    for failure in InspectFailure::ALL.iter().copied().filter(|f| *f != InspectFailure::UndecodableConfiguration) {
        let mut world = World::new(everything());
        world.pass(30);
        world.failure = Some(failure);
        world.never_but(&[], 120);
        // Nor do they take anything back.
        world.failure = None;
        world.scene = Scene::Black;
        world.until(&[DegradedCause::Black], 40);
        world.failure = Some(failure);
        world.pass(200);
        assert_eq!(world.causes(), [DegradedCause::Black], "{failure}");
    }
}

#[test]
fn a_sample_is_a_keyframe_with_a_few_frames_and_a_second_of_sound() {
    let mut world = World::new(everything());
    world.pass(120);
    assert!((9..=13).contains(&world.samples.len()), "every ten seconds: {}", world.samples.len());
    for (_, sample) in &world.samples {
        let video = sample.video.as_ref().unwrap();
        assert_eq!((&*video.codec, &*video.configuration), ("h264", &[1, 0x64, 0, 0x1f][..]));
        assert!(video.frames[0].keyframe && video.frames[1..].iter().all(|f| !f.keyframe));
        assert_eq!(video.frames.len(), 8);
        assert!(video.frames.iter().all(|f| f.data.iter().all(|b| *b == 0xaa)), "payload alone");
        assert_eq!(video.frames.iter().map(|f| f.dts).collect::<Vec<_>>(), (0..8).map(|i| i * 40).collect::<Vec<_>>());
        let audio = sample.audio.as_ref().unwrap();
        assert_eq!((&*audio.codec, &*audio.configuration), ("aac", &[0x11, 0x90][..]));
        let span = audio.frames.last().unwrap().dts - audio.frames[0].dts;
        assert!((1000..1100).contains(&span), "{span} ms");
    }
}

#[test]
fn samples_are_bounded_whatever_comes() {
    let mut world = World::new(ContentPolicy { interval: Duration::from_secs(1), ..everything() });
    let key = |size: usize| {
        let mut body = vec![0x55; size];
        body[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
        body
    };
    let (fits, too_long) = (key(2 * 1024 * 1024), key(2 * 1024 * 1024 + 1));
    let mut sound = vec![0x2f; 70_000];
    sound[1] = 0xff;
    for step in 0..2000 {
        let body = if step % 3 == 0 { &too_long } else { &fits };
        world.send(PacketKind::Video, body);
        world.send(PacketKind::Audio, &sound);
        if let Wanted::Inspection(sample) = world.watch.poll(world.now, true) {
            assert!(sample.bytes() <= 5 * 1024 * 1024, "{} bytes", sample.bytes());
            assert!(sample.video.iter().flat_map(|v| &v.frames).all(|f| f.data.len() <= 2 * 1024 * 1024));
            world.samples.push((world.now, sample));
            world.watch.handle_result(world.now, Err(InspectFailure::TooLarge));
        }
        world.frame += 1;
        world.now += FRAME;
    }
    assert!(world.samples.len() > 10);
}

#[test]
fn nothing_is_collected_unless_something_is_to_be_inspected() {
    let mut world = World::new(ContentPolicy::default());
    world.pass(60);
    assert!(world.samples.is_empty() && world.watch.report().is_none() && world.watch.wanted_bodies().is_none());
    // Switched on at run time: the configuration that came long ago is there.
    world.policy.content = everything();
    world.watch.set_policy(&everything());
    world.pass(20);
    assert_eq!(&*world.samples[0].1.video.as_ref().unwrap().configuration, [1, 0x64, 0, 0x1f]);
    // And off again.
    world.scene = Scene::Black;
    world.until(&[DegradedCause::Black], 40);
    world.policy.content = ContentPolicy::default();
    world.watch.set_policy(&ContentPolicy::default());
    let before = world.samples.len();
    world.pass(30);
    assert_eq!((world.samples.len(), world.causes()), (before, vec![]));
}

#[test]
fn bodies_are_wanted_only_while_a_sample_is_collected() {
    let mut world = World::new(everything());
    let (mut wanted, mut frames) = (0, 0);
    for _ in 0..15_000 {
        world.step();
        frames += 1;
        wanted += u32::from(world.watch.wanted_bodies().is_some());
    }
    // On average half a keyframe interval and the frames after it, out of ten seconds.
    assert!(wanted * 4 < frames, "{wanted} of {frames}");
}

#[test]
fn a_stream_without_video_is_listened_to() {
    let mut world = World::new(everything());
    world.watch.restart();
    world.send(PacketKind::Audio, &[0xaf, 0, 0x11, 0x90]);
    for _ in 0..1000 {
        world.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
        if let Wanted::Inspection(sample) = world.watch.poll(world.now, true) {
            assert!(sample.video.is_none() && sample.audio.is_some());
            return;
        }
        world.frame += 1;
        world.now += FRAME;
    }
    panic!("no sample");
}

#[test]
fn a_stream_that_says_nothing_is_given_up() {
    let mut world = World::new(everything());
    world.pass(8);
    while world.watch.wanted_bodies().is_none() {
        world.step();
    }
    world.flows = false;
    let before = world.samples.len();
    world.pass(60);
    assert!(world.watch.wanted_bodies().is_none(), "bodies are not wanted for ever");
    assert!(world.samples.len() <= before + 1 && world.no_sample <= 1);
}

#[test]
fn pictures_that_refer_to_what_came_before_the_keyframe_are_left_out() {
    let mut world = World::new(everything());
    let send = |world: &mut World, key: bool, composition: u8| {
        world.send(PacketKind::Video, &[if key { 0x17 } else { 0x27 }, 1, 0, 0, composition, 9, composition]);
        world.frame += 1;
        world.now += FRAME;
    };
    while world.watch.wanted_bodies().is_none() {
        world.step();
    }
    let mut sample = None;
    for at in 0..200 {
        // Open groups: after each keyframe come two that are shown before it.
        let (key, composition) = match at % 10 {
            0 => (true, 120),
            1 | 2 => (false, 0),
            _ => (false, 80),
        };
        send(&mut world, key, composition);
        world.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
        if let Wanted::Inspection(found) = world.watch.poll(world.now, true) {
            sample = found.video;
            break;
        }
    }
    let frames = sample.expect("a sample").frames;
    assert!(frames[0].keyframe && frames[1..].iter().all(|f| f.pts >= frames[0].pts), "{frames:?}");
    assert!(frames[..3].iter().all(|f| f.data[1] != 0), "{frames:?}");
}

#[test]
fn a_reconnect_begins_anew() {
    let mut world = World::new(everything());
    world.pass(30);
    world.scene = Scene::Black;
    world.until(&[DegradedCause::Black], 40);
    world.watch.restart();
    let report = world.watch.report().unwrap();
    assert!(report.picture.is_none() && report.finding(ContentIssue::Black).is_none());
    assert!(report.inspections > 0, "counters go on");
}
