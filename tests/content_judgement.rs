//! Black, frozen, silent and undecodable pictures and sound, seen by samples in virtual time: what becomes a cause, when, and what never does.

use std::time::{Duration, Instant, SystemTime};

use rtmp_hmonitor::health::{Change, Evaluator, Remembered, Rules, Situation};
use rtmp_hmonitor::media::content::{ContentWatch, Wanted};
use rtmp_hmonitor::model::budget::ByteBudget;
use rtmp_hmonitor::model::content::{InspectFailure, Inspection, Picture, Sample, Sound};
use rtmp_hmonitor::model::content_policy::{
    BlackLimits, ContentPolicy, FrozenLimits, Severity, SilentLimits, UndecodableLimits,
};
use rtmp_hmonitor::model::content_report::ContentIssue;
use rtmp_hmonitor::model::report::{Connection, MediaReport, StreamReport, TransportReport};
use rtmp_hmonitor::model::spec::{Presence, StreamPolicy};
use rtmp_hmonitor::model::{Cause, DegradedCause, DownCause, Health, MediaPacket, PacketKind};

const FRAME: Duration = Duration::from_millis(40);
const GOP: u64 = 50;

/// What stands in front of the camera, and what reaches us of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scene {
    Street,
    /// The street, and sizes as a sensor's noise makes them.
    Night,
    /// The street at night, where nothing moves: the encoder leaves some of the noise in keyframes, and none between them.
    Asleep,
    /// The same picture again and again, coded anew.
    Still,
    /// Likewise, at a quality that varies.
    Breathing,
    Black,
    /// Black, and a clock in a corner that the camera writes.
    Covered,
    /// A dark street, and lamps.
    Lamps,
    /// Bars with a clock in a corner.
    Clock,
    /// Nothing moves, but light fades over minutes.
    Dusk,
    Damaged,
    /// The decoder refuses the configuration record.
    Refused,
    /// Sampled while the picture is being refreshed piece by piece.
    Unfinished,
    /// Likewise, for longer, and one frame is damaged.
    Unlucky,
    /// Likewise, and most of them are.
    Ruined,
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
    /// Frames of each sample that are damaged, whatever it shows.
    damaged: u32,
    /// How looks fail for reasons of our own, while set.
    failure: Option<InspectFailure>,
    random: fastrand::Rng,
    watch: ContentWatch,
    policy: StreamPolicy,
    evaluator: Evaluator,
    pending: Option<(Instant, Sample)>,
    samples: Vec<(Instant, Sample)>,
    no_sample: u32,
    /// Outcomes that are to be counted.
    counted: Vec<(Instant, Result<(), InspectFailure>)>,
    flows: bool,
    /// Whether every frame is a keyframe.
    intra: bool,
    /// Whether none is.
    keyless: bool,
    /// Which media there are, and when each last came.
    video: bool,
    audio: bool,
    last: [Option<Instant>; 2],
    /// Since when this session plays.
    session: Instant,
    budget: ByteBudget,
    changes: Vec<Change>,
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
        Self::of(Instant::now(), content, 0.3, true)
    }

    /// `audio`: whether there is any.
    fn of(start: Instant, content: ContentPolicy, phase: f64, audio: bool) -> Self {
        let policy = StreamPolicy { rise: Duration::ZERO, content: content.clone(), ..StreamPolicy::default() };
        let mut world = Self {
            start,
            now: start,
            frame: 0,
            scene: Scene::Street,
            noise: Noise::Speech,
            damaged: 0,
            intra: false,
            keyless: false,
            failure: None,
            random: fastrand::Rng::with_seed(7),
            watch: ContentWatch::new(content, phase),
            policy,
            evaluator: Evaluator::new(SystemTime::UNIX_EPOCH, None),
            pending: None,
            samples: Vec::new(),
            no_sample: 0,
            counted: Vec::new(),
            flows: true,
            video: true,
            audio,
            last: [None; 2],
            session: start,
            budget: ByteBudget::new(64 * 1024 * 1024),
            changes: Vec::new(),
        };
        world.send_headers();
        world
    }

    fn send_headers(&mut self) {
        if self.video {
            self.send(PacketKind::Video, &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f]);
        }
        if self.audio {
            self.send(PacketKind::Audio, &[0xaf, 0, 0x11, 0x90]);
        }
    }

    /// Another session, with these media.
    fn reconnect(&mut self, video: bool, audio: bool) {
        (self.video, self.audio, self.session) = (video, audio, self.now);
        self.pending = None;
        self.watch.restart();
        self.send_headers();
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
            Scene::Unfinished | Scene::Unlucky | Scene::Ruined => (8_000.0, 8_000.0),
            Scene::Night => (3_000.0, 12_000.0),
            Scene::Clock | Scene::Dusk => (300.0, 30_000.0),
            Scene::Asleep => (120.0, 12_000.0),
            Scene::Still | Scene::Breathing => (120.0, 30_000.0),
            Scene::Black | Scene::Covered => (30.0, 600.0),
            Scene::Lamps => (3_000.0, 12_000.0),
        };
        let usual = if key { key_size } else { inter };
        let spread = (0..6).map(|_| self.random.f64() - 0.5).sum::<f64>() / 1.5;
        (usual * spread.exp()) as usize + 6
    }

    /// One frame's time passes.
    fn step(&mut self) {
        let key = !self.keyless && (self.intra || self.frame.is_multiple_of(GOP));
        if self.flows && self.video {
            let mut body = vec![0xaa; self.frame_size(key)];
            body[..5].copy_from_slice(&[if key { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
            self.send(PacketKind::Video, &body);
            self.last[0] = Some(self.now);
        }
        if self.flows && self.audio {
            self.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
            self.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
            self.last[1] = Some(self.now);
        }
        if let Some((taken, _)) = self.pending.as_ref().filter(|(at, _)| self.now >= *at + Duration::from_millis(80)) {
            let result = self.decode(*taken);
            let sample = self.pending.take().unwrap().1;
            let result = result.map(|whole| Inspection {
                picture: whole.picture.filter(|_| sample.video.is_some()),
                sound: whole.sound.filter(|_| sample.audio.is_some()),
            });
            if self.watch.handle_result(self.now, result.as_ref().map_err(|f| *f)) {
                self.counted.push((self.now, result.map(drop)));
            }
        }
        match self.watch.poll(self.now, self.flows, &self.budget) {
            Wanted::Nothing => {}
            Wanted::Room => self.counted.push((self.now, Err(InspectFailure::Busy))),
            Wanted::NoSample => self.no_sample += 1,
            Wanted::Inspection(sample, held) => {
                assert_eq!(held.bytes(), sample.bytes(), "it holds what it takes");
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
        let (mut signature, mut detail) = ([90; Picture::SIGNATURE], Box::new([90; Picture::DETAIL]));
        let mut noise = |most: u8| self.random.u8(0..=most);
        let (mut luma_mean, mut luma_deviation, mut change, mut errors) = (0.4, 0.2, 0.01, self.damaged);
        match self.scene {
            Scene::Street => signature.iter_mut().for_each(|box_| *box_ = noise(255)),
            Scene::Night => {
                signature.iter_mut().for_each(|box_| *box_ = 18 + noise(1));
                (luma_mean, luma_deviation, change) = (0.07, 0.02, 0.0016);
            }
            Scene::Asleep => {
                // A value in twenty is another one.
                detail.iter_mut().for_each(|value| *value += u8::from(noise(19) == 0));
                // Where there are keyframes alone, that is all that changes.
                (luma_mean, luma_deviation, change) = (0.07, 0.02, if self.intra { 0.0004 } else { 0.00002 });
            }
            Scene::Breathing => {
                detail = Box::new([90 + noise(2); Picture::DETAIL]);
                change = 0.0002;
            }
            Scene::Still => {
                signature.iter_mut().for_each(|box_| *box_ = 90 + noise(2));
                change = 0.0002;
            }
            Scene::Black => {
                signature = [0; Picture::SIGNATURE];
                (luma_mean, luma_deviation, change) = (0.002, 0.001, 0.0);
            }
            Scene::Covered => {
                signature = [1; Picture::SIGNATURE];
                // Twenty characters.
                for column in 2..42 {
                    for line in 1..4 {
                        signature[line * Picture::SIGNATURE_WIDTH + column] = 40 + (column * 61 % 160) as u8;
                    }
                }
                detail[300] = seconds as u8;
                (luma_mean, luma_deviation, change) = (0.02, 0.1, 0.0002);
            }
            Scene::Lamps => {
                signature = [2; Picture::SIGNATURE];
                for lamp in [400, 410, 1200] {
                    signature[lamp] = 150;
                }
                (luma_mean, luma_deviation, change) = (0.01, 0.05, 0.0001);
                detail.iter_mut().for_each(|value| *value += noise(1));
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
            Scene::Refused | Scene::Unfinished | Scene::Unlucky | Scene::Ruined => {}
        }
        let picture = Picture {
            frames: 8 - errors,
            errors,
            incomplete: 0,
            width: 1280,
            height: 720,
            luma_mean,
            luma_deviation,
            signature,
            detail,
            change: Some(change),
            thumbnail: None,
        };
        let unfinished = |incomplete, errors| Picture { incomplete, errors, ..Picture::default() };
        let picture = match self.scene {
            Scene::Unfinished => unfinished(8, 0),
            Scene::Unlucky => unfinished(60, 1),
            Scene::Ruined => unfinished(5, 55),
            _ => picture,
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
            connection: Connection::Playing { since: self.session },
            fault: None,
            transport: TransportReport::default(),
            media: MediaReport { live_since: Some(self.session), ..MediaReport::default() },
            content: self.watch.report(),
        };
        let mut report = report;
        report.media.video.medium.last_frame = self.last[0];
        report.media.audio.medium.last_frame = self.last[1];
        let wall = SystemTime::UNIX_EPOCH + (self.now - self.start);
        let situation = Situation::of_stream(self.now, wall, Some(&report), &self.policy, false);
        self.changes.extend(self.evaluator.evaluate(situation));
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
        (Scene::Covered, Noise::Speech, C::Black, 5),
        (Scene::Still, Noise::Speech, C::Frozen, 10),
        (Scene::Street, Noise::Digital, C::Silent, 10),
        (Scene::Damaged, Noise::Speech, C::Undecodable, 5),
        (Scene::Refused, Noise::Speech, C::Undecodable, 5),
        (Scene::Ruined, Noise::Speech, C::Undecodable, 5),
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
    for (scene, noise) in [
        (Scene::Night, Noise::Speech),
        (Scene::Asleep, Noise::Speech),
        (Scene::Lamps, Noise::Speech),
        (Scene::Clock, Noise::Speech),
        (Scene::Unfinished, Noise::Speech),
        (Scene::Unlucky, Noise::Speech),
        (Scene::Street, Noise::Room),
    ] {
        let mut world = World::new(everything());
        world.pass(30);
        (world.scene, world.noise) = (scene, noise);
        world.never_but(&[], 600);
    }
}

#[test]
fn a_little_damage_hides_no_black_where_nobody_asks_for_damage() {
    for (damaged, expected) in [(1, &[DegradedCause::Black][..]), (5, &[])] {
        let mut world = World::new(ContentPolicy { undecodable: None, ..everything() });
        (world.scene, world.damaged) = (Scene::Black, damaged);
        world.pass(40);
        assert_eq!(world.causes(), expected, "{damaged} of 8");
    }
}

#[test]
fn a_picture_repeated_at_varying_quality_is_frozen_and_stays_so() {
    let mut world = World::new(everything());
    world.pass(30);
    world.scene = Scene::Breathing;
    world.until(&[DegradedCause::Frozen], 60);
    for _ in 0..600 {
        world.pass(1);
        assert_eq!(world.causes(), [DegradedCause::Frozen]);
    }
    // It lives again, and nothing moves.
    world.scene = Scene::Asleep;
    world.until(&[], 80);
    world.never_but(&[], 300);
}

#[test]
fn where_there_are_keyframes_alone_their_noise_is_no_standstill_and_a_repetition_is() {
    let mut world = World::new(everything());
    world.intra = true;
    world.pass(30).scene = Scene::Asleep;
    world.never_but(&[], 600);
    world.scene = Scene::Still;
    world.until(&[DegradedCause::Frozen], 40);
    world.scene = Scene::Asleep;
    world.until(&[], 120);
    world.never_but(&[], 300);
}

#[test]
fn a_slow_change_adds_up() {
    let frozen = Some(FrozenLimits { duration: Duration::from_secs(60), ..FrozenLimits::default() });
    let mut world = World::new(ContentPolicy { frozen, ..everything() });
    world.scene = Scene::Dusk;
    world.never_but(&[], 600);
}

/// From a collapse of sizes to the look that shows it, to the next keyframe and then some.
const NOTICED: Duration = Duration::from_millis(GOP * 40 + 1000);

#[test]
fn a_collapse_of_sizes_is_noticed_within_a_keyframe_interval_and_a_second() {
    for (scene, cause) in [(Scene::Black, DegradedCause::Black), (Scene::Still, DegradedCause::Frozen)] {
        for (phase, audio) in (0..20).map(|i| (i / 2, i % 2 == 0)) {
            let policy = ContentPolicy { interval: Duration::from_secs(600), ..everything() };
            let issue = if scene == Scene::Black { ContentIssue::Black } else { ContentIssue::Frozen };
            let duration = policy.duration(issue).unwrap();
            let mut world = World::of(Instant::now(), policy, 0.3, audio);
            world.pass(40 + phase).frame += phase * 5;
            let before = world.samples.len();
            world.scene = scene;
            let from = world.now;
            while world.samples.len() == before {
                world.step();
                assert!(world.now - from <= NOTICED, "{cause} is not looked at, audio: {audio}");
            }
            // That look is the first that shows it, and the next one confirms it.
            let took = (world.now - from) + world.until(&[cause], 30);
            assert!(took <= NOTICED + duration + NOTICED, "{cause} after {took:?}, audio: {audio}");
        }
    }
}

#[test]
fn where_there_are_keyframes_alone_their_sizes_tell() {
    let policy = ContentPolicy { interval: Duration::from_secs(600), ..everything() };
    let mut world = World::new(policy);
    world.intra = true;
    world.pass(40);
    let before = world.samples.len();
    world.scene = Scene::Black;
    let from = world.now;
    while world.samples.len() == before {
        world.step();
        // Sound takes a second.
        assert!(world.now - from <= Duration::from_secs(2));
    }
    world.until(&[DegradedCause::Black], 10);
}

#[test]
fn what_is_not_confirmed_waits_for_the_next_turn() {
    let interval = Duration::from_secs(600);
    for first in [Scene::Clock, Scene::Still, Scene::Black] {
        for (then, failure) in
            [(Scene::Clock, None), (Scene::Damaged, None), (Scene::Still, Some(InspectFailure::UnsupportedCodec))]
        {
            let undecodable = None;
            let mut world = World::new(ContentPolicy { interval, undecodable, ..everything() });
            world.scene = first;
            while world.samples.is_empty() {
                world.step();
            }
            world.pass(1);
            (world.scene, world.failure) = (then, failure);
            world.pass(1200);
            // The first, one that does not confirm it, and so for each turn.
            assert!((3..=6).contains(&world.samples.len()), "{first:?}, {then:?}: {}", world.samples.len());
        }
    }
    // Sound that ends when there has been a moment of silence.
    let mut world = World::new(ContentPolicy { interval, ..everything() });
    world.noise = Noise::Digital;
    while world.samples.is_empty() {
        world.step();
    }
    world.pass(1).audio = false;
    world.pass(600);
    assert!(world.samples.len() <= 4, "{}", world.samples.len());
}

#[test]
fn whoever_is_busy_is_not_asked_more_often_for_it() {
    for scene in [Scene::Street, Scene::Still] {
        let mut world = World::new(everything());
        world.scene = scene;
        while world.samples.is_empty() {
            world.step();
        }
        world.pass(1).failure = Some(InspectFailure::Busy);
        let before = world.samples.len();
        world.pass(120);
        let asked = world.samples.len() - before;
        println!("{scene:?}: {asked} in 120 s");
        assert!((20..=60).contains(&asked), "{scene:?}: {asked}");
    }
}

#[test]
fn a_cause_does_not_come_and_go_because_decoders_are_busy() {
    let mut world = World::new(everything());
    world.pass(30).scene = Scene::Black;
    world.until(&[DegradedCause::Black], 40);
    // One look in two minutes or so gets its turn.
    for second in 0..1200 {
        world.failure = (second % 120 != 0).then_some(InspectFailure::Busy);
        while second % 120 == 0 && world.failure.is_none() && world.pending.is_none() {
            world.step();
        }
        world.pass(1);
        assert_eq!(world.causes(), [DegradedCause::Black]);
    }
    // What is not there any more goes with the next look.
    (world.scene, world.failure) = (Scene::Street, None);
    world.until(&[], 15);
}

/// Those who decode have time for every second look, and no room for what comes with the other.
#[test]
fn a_look_that_is_put_off_is_counted_once_however_often_it_is_tried() {
    let mut world = World::new(everything());
    world.pass(30);
    let (from, interval) = (world.now, everything().interval.as_secs());
    let (mut looks, mut tries) = (0, 0);
    while world.now - from < Duration::from_secs(600) {
        let before = world.samples.len();
        world.failure = (tries < 3).then_some(InspectFailure::Busy);
        world.step();
        tries += world.samples.len() - before;
        if world.watch.report().is_some_and(|report| report.inspections > looks) {
            (looks, tries) = (world.watch.report().unwrap().inspections, 0);
        }
    }
    let counted =
        |world: &World, from, what| world.counted.iter().filter(|(at, how)| *at >= from && *how == what).count();
    let (done, busy) = (counted(&world, from, Ok(())), counted(&world, from, Err(InspectFailure::Busy)));
    println!("{done} done, {busy} put off");
    assert!(done >= 25 && done.abs_diff(busy) <= 1, "{done} done, {busy} put off");

    // As long as it does not come to be, it is told once an interval.
    world.failure = Some(InspectFailure::Busy);
    world.pass(30);
    let from = world.now;
    world.pass(20 * interval);
    let busy = counted(&world, from, Err(InspectFailure::Busy));
    assert!((15..=21).contains(&busy), "{busy} in 20 intervals");
    // Nor is there room.
    world.budget = ByteBudget::new(1);
    let from = world.now;
    world.pass(20 * interval);
    let busy = counted(&world, from, Err(InspectFailure::Busy));
    assert!((15..=21).contains(&busy), "{busy} in 20 intervals without room");
}

/// The look that was put off comes, and finds nothing to decode: the cause is not held by decoders that have time.
#[test]
fn what_was_put_off_is_not_put_off_any_more_when_nothing_comes_or_a_session_begins() {
    let mut world = World::of(Instant::now(), everything(), 0.3, false);
    world.pass(30).scene = Scene::Black;
    world.until(&[DegradedCause::Black], 40);
    world.failure = Some(InspectFailure::Busy);
    world.pass(90);
    let put_off = |world: &World| world.watch.report().unwrap().put_off;
    assert!(put_off(&world));
    let mut other = World::new(everything());
    other.pass(30).failure = Some(InspectFailure::Busy);
    other.pass(20);
    assert!(put_off(&other));
    other.reconnect(true, true);
    assert!(!put_off(&other));

    assert_eq!(world.causes(), [DegradedCause::Black], "as long as it is put off");
    (world.failure, world.keyless) = (None, true);
    world.until(&[], 40);
    assert!(world.no_sample > 0 && !put_off(&world));
}

#[test]
fn a_stream_that_costs_workers_is_looked_at_less_and_less_often() {
    for failure in [InspectFailure::Deadline, InspectFailure::WorkerLost, InspectFailure::Memory] {
        let mut world = World::new(everything());
        world.pass(30).failure = Some(failure);
        let before = world.samples.len();
        world.pass(600);
        let looks: Vec<_> = world.samples[before..].iter().map(|(at, _)| *at).collect();
        let pauses: Vec<_> = looks.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert!(pauses.is_sorted_by(|a, b| *b + 12 >= *a) && pauses[0] >= 19, "{failure}: {pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 95) && pauses.last() >= Some(&79), "{failure}: {pauses:?}");
        world.failure = None;
        world.pass(100);
        let before = world.samples.len();
        world.pass(100);
        assert!(world.samples.len() - before >= 9, "{failure}: as often as ever");
    }
}

#[test]
fn failures_of_our_own_are_no_evidence() {
    for failure in InspectFailure::ALL.iter().copied().filter(|f| *f != InspectFailure::UndecodableConfiguration) {
        let mut world = World::new(everything());
        world.pass(30);
        world.failure = Some(failure);
        world.never_but(&[], 120);
        // Nor do they take anything back, as long as what was seen may stand for the present.
        world.failure = None;
        world.scene = Scene::Black;
        world.until(&[DegradedCause::Black], 110);
        if failure == InspectFailure::Busy {
            // Whoever is busy would see it, too.
            continue;
        }
        world.failure = Some(failure);
        let stands_for = world.policy.content.stands_for().as_secs();
        for _ in 0..stands_for - 15 {
            world.pass(1);
            assert_eq!(world.causes(), [DegradedCause::Black], "{failure}");
        }
        // But nobody can say for ever what nobody sees.
        world.until(&[], 20);
        world.never_but(&[], 120);
        // Whoever sees again, tells it again.
        world.failure = None;
        world.until(&[DegradedCause::Black], 110);
    }
}

/// All checks, with this severity.
fn everything_is(severity: Severity) -> ContentPolicy {
    let mut policy = everything();
    policy.black.as_mut().unwrap().severity = severity;
    policy.frozen.as_mut().unwrap().severity = severity;
    policy.silent.as_mut().unwrap().severity = severity;
    policy.undecodable.as_mut().unwrap().severity = severity;
    policy
}

const FAULTS: [(Scene, Noise, ContentIssue); 5] = [
    (Scene::Black, Noise::Speech, ContentIssue::Black),
    (Scene::Still, Noise::Speech, ContentIssue::Frozen),
    (Scene::Street, Noise::Digital, ContentIssue::Silent),
    (Scene::Damaged, Noise::Speech, ContentIssue::Undecodable),
    (Scene::Refused, Noise::Speech, ContentIssue::Undecodable),
];

#[test]
fn what_is_only_to_be_told_changes_no_health() {
    for (scene, noise, issue) in FAULTS {
        let mut world = World::new(everything_is(Severity::Info));
        world.pass(30);
        (world.scene, world.noise) = (scene, noise);
        world.changes.clear();
        let noted = |world: &World| world.evaluator.verdict().noted.iter().collect::<Vec<_>>();
        for _ in 0..60 {
            world.pass(1);
            let verdict = world.evaluator.verdict();
            assert_eq!((verdict.health, verdict.down, verdict.degraded.is_empty()), (Health::Up, None, true));
        }
        assert_eq!(noted(&world), [issue.cause()]);
        assert!(world.evaluator.totals().causes_seen.contains(issue.cause()));
        let told: Vec<_> = verdict_causes(&world);
        assert_eq!(told, [Cause::Degraded(issue.cause())], "whoever asks for causes is told");
        (world.scene, world.noise) = (Scene::Street, Noise::Speech);
        world.pass(20);
        assert!(noted(&world).is_empty());
        assert_eq!(
            world.changes,
            vec![Change::Causes { health: Health::Up }; 2],
            "once when it comes, once when it goes"
        );
    }
}

fn verdict_causes(world: &World) -> Vec<Cause> {
    world.evaluator.verdict().causes().collect()
}

#[test]
fn what_is_an_outage_by_the_operators_word_is_one() {
    for (scene, noise, issue) in FAULTS {
        let mut world = World::new(everything_is(Severity::Down));
        world.policy.rise = Duration::from_secs(5);
        world.pass(30);
        (world.scene, world.noise) = (scene, noise);
        let from = world.now;
        while world.evaluator.verdict().health != Health::Down {
            assert_eq!(world.evaluator.verdict().health, Health::Up);
            world.step();
        }
        let (took, lasts) = (world.now - from, world.policy.content.duration(issue).unwrap());
        assert!(took >= lasts && took < lasts + Duration::from_secs(20), "{issue} after {took:?}");
        assert_eq!(
            (verdict_causes(&world), world.evaluator.totals().outages),
            (vec![Cause::Down(issue.down_cause())], 1)
        );
        assert!(!world.evaluator.verdict().detail.is_empty());
        // It stays one outage over reconnects.
        for _ in 0..3 {
            world.reconnect(true, true);
            for _ in 0..20 {
                world.pass(1);
                assert_eq!(world.evaluator.verdict().down, Some(issue.down_cause()));
            }
        }
        // What is well again has to last.
        (world.scene, world.noise) = (Scene::Street, Noise::Speech);
        let well = world.watch.report().unwrap().inspections;
        while world.evaluator.verdict().health == Health::Down {
            assert!(world.now - from < Duration::from_secs(200), "{:?}", world.evaluator.verdict());
            world.step();
        }
        assert!(world.watch.report().unwrap().inspections > well, "it has been looked at");
        assert_eq!((world.evaluator.verdict().health, world.evaluator.totals().outages), (Health::Up, 1));
        world.pass(60);
        assert_eq!(world.evaluator.totals().outages, 1);
    }
}

#[test]
fn losing_those_who_look_makes_no_outage_and_ends_an_old_one_in_time() {
    let mut world = World::new(everything_is(Severity::Down));
    world.pass(30);
    world.failure = Some(InspectFailure::WorkerLost);
    world.scene = Scene::Black;
    world.never_but(&[], 120);
    assert_eq!(world.evaluator.verdict().health, Health::Up, "nobody has seen it");
    world.failure = None;
    world.pass(110);
    assert_eq!(world.evaluator.verdict().down, Some(DownCause::Black));
    world.failure = Some(InspectFailure::WorkerLost);
    let stands_for = world.policy.content.stands_for().as_secs();
    for _ in 0..stands_for - 15 {
        world.pass(1);
        assert_eq!(world.evaluator.verdict().down, Some(DownCause::Black));
    }
    world.pass(30);
    assert_eq!((world.evaluator.verdict().health, world.evaluator.verdict().down), (Health::Up, None));
}

#[test]
fn an_outage_seen_before_a_restart_holds_until_there_has_been_a_look() {
    for scene in [Scene::Black, Scene::Street] {
        let mut world = World::new(everything_is(Severity::Down));
        let remembered = Remembered {
            health: Health::Down,
            down: Some(DownCause::Black),
            since: SystemTime::UNIX_EPOCH,
            epoch: 1,
            healthy_answer: Some(false),
        };
        world.evaluator = Evaluator::new(SystemTime::UNIX_EPOCH, Some(remembered));
        world.scene = scene;
        world.step();
        while world.watch.report().unwrap().inspections == 0 {
            assert_eq!(world.evaluator.verdict().down, Some(DownCause::Black));
            assert!(!world.evaluator.answer(&Rules::from(&world.policy)).healthy);
            world.step();
        }
        world.pass(10);
        let expected = if scene == Scene::Black { Health::Down } else { Health::Up };
        assert_eq!(world.evaluator.verdict().health, expected);
    }
}

#[test]
fn a_severity_that_is_changed_applies_at_once() {
    let mut world = World::new(everything_is(Severity::Down));
    world.scene = Scene::Black;
    world.pass(60);
    assert_eq!(world.evaluator.verdict().health, Health::Down);
    for (severity, health) in
        [(Severity::Degraded, Health::Degraded), (Severity::Info, Health::Up), (Severity::Down, Health::Down)]
    {
        world.policy.content = everything_is(severity);
        world.step();
        assert_eq!(world.evaluator.verdict().health, health, "{severity}");
    }
}

#[test]
fn a_cause_goes_with_the_medium_that_had_it() {
    use DegradedCause as C;
    for (scene, noise, cause, video, audio) in [
        (Scene::Black, Noise::Speech, C::Black, false, true),
        (Scene::Still, Noise::Speech, C::Frozen, false, true),
        (Scene::Street, Noise::Digital, C::Silent, true, false),
        (Scene::Damaged, Noise::Speech, C::Undecodable, false, true),
    ] {
        for reconnects in [true, false] {
            let mut world = World::new(everything());
            world.policy.expect.video.presence = Presence::Optional;
            (world.scene, world.noise) = (scene, noise);
            world.until(&[cause], 60);
            if reconnects {
                world.reconnect(video, audio);
            } else {
                (world.video, world.audio) = (video, audio);
            }
            world.until(&[], 40);
            world.never_but(&[], 120);
        }
    }
}

#[test]
fn a_cause_of_an_earlier_session_that_nobody_can_see_any_more_ends() {
    let mut world = World::new(everything());
    world.scene = Scene::Black;
    world.until(&[DegradedCause::Black], 60);
    world.failure = Some(InspectFailure::WorkerLost);
    let stands_for = world.policy.content.stands_for();
    let from = world.now;
    // However often it reconnects.
    while world.now - from < stands_for / 2 {
        world.reconnect(true, true);
        world.pass(7);
        assert_eq!(world.causes(), [DegradedCause::Black]);
    }
    while !world.causes().is_empty() {
        assert!(world.now - from < stands_for * 2, "it is still {:?}", world.causes());
        world.reconnect(true, true);
        world.pass(7);
    }
    world.never_but(&[], 120);
}

#[test]
fn a_cause_holds_over_reconnects_while_looks_show_it() {
    use DegradedCause as C;
    for (scene, noise, cause) in [
        (Scene::Black, Noise::Speech, C::Black),
        (Scene::Still, Noise::Speech, C::Frozen),
        (Scene::Street, Noise::Digital, C::Silent),
        (Scene::Refused, Noise::Speech, C::Undecodable),
    ] {
        let mut world = World::new(everything());
        (world.scene, world.noise) = (scene, noise);
        world.until(&[cause], 60);
        for _ in 0..10 {
            world.reconnect(true, true);
            for _ in 0..20 {
                world.pass(1);
                assert_eq!(world.causes(), [cause]);
            }
        }
        (world.scene, world.noise) = (Scene::Street, Noise::Speech);
        world.reconnect(true, true);
        world.until(&[], 10);
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
        if let Wanted::Inspection(sample, _) = world.watch.poll(world.now, true, &world.budget) {
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
fn a_configuration_that_is_too_long_is_not_kept() {
    let mut world = World::new(everything());
    // After large pictures, long messages come whole.
    let mut picture = vec![0x55; 1024 * 1024];
    picture[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
    world.send(PacketKind::Video, &picture);
    while world.watch.wanted_bodies().is_none_or(|most| most < 2 * 1024 * 1024) {
        world.step();
    }
    let mut record = vec![0x55; 1024 * 1024];
    record[..5].copy_from_slice(&[0x17, 0, 0, 0, 0]);
    world.send(PacketKind::Video, &record);
    record[..2].copy_from_slice(&[0xaf, 0]);
    world.send(PacketKind::Audio, &record);
    let before = world.samples.len();
    world.pass(20);
    let sample = &world.samples[before].1;
    for track in [&sample.video, &sample.audio] {
        assert!(track.as_ref().unwrap().configuration.len() <= MediaPacket::WHOLE);
    }
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
        if let Wanted::Inspection(sample, _) = world.watch.poll(world.now, true, &world.budget) {
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
        if let Wanted::Inspection(found, _) = world.watch.poll(world.now, true, &world.budget) {
            sample = found.video;
            break;
        }
    }
    let frames = sample.expect("a sample").frames;
    assert!(frames[0].keyframe && frames[1..].iter().all(|f| f.pts >= frames[0].pts), "{frames:?}");
    assert!(frames[..3].iter().all(|f| f.data[1] != 0), "{frames:?}");
}

#[test]
fn a_sample_of_a_refresh_reaches_behind_its_end() {
    let mut world = World::new(everything());
    while world.watch.wanted_bodies().is_none() {
        world.step();
    }
    // Said to be a keyframe: a recovery point after 14 pictures, and a slice that refers to others.
    let key = [0x17, 1, 0, 0, 0, 0, 0, 0, 6, 6, 6, 2, 0b0001_1110, 0b1000_0000, 0x80, 0, 0, 0, 2, 1, 0x9a];
    let mut record = vec![0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff];
    record.extend([0xe1, 0, 0, 0]);
    world.send(PacketKind::Video, &record);
    for at in 0..200 {
        let body = if at % 25 == 0 { &key[..] } else { &[0x27, 1, 0, 0, 0, 0, 0, 0, 2, 1, 0x9a] };
        world.send(PacketKind::Video, body);
        world.send(PacketKind::Audio, &[0xaf, 1, 1, 2, 3, 4]);
        if let Wanted::Inspection(sample, _) = world.watch.poll(world.now, true, &world.budget) {
            let frames = sample.video.expect("video").frames.len();
            assert!((22..=30).contains(&frames), "{frames}");
            return;
        }
        world.frame += 1;
        world.now += FRAME;
    }
    panic!("no sample");
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

/// Looks in each tenth of the interval, by the moments at which they were taken.
fn looks_by_tenth(worlds: &[World], start: Instant, from: Instant) -> [usize; 10] {
    let mut tenths = [0; 10];
    for (at, _) in worlds.iter().flat_map(|world| &world.samples).filter(|(at, _)| *at >= from) {
        tenths[(*at - start).as_secs() as usize % 10] += 1;
    }
    tenths
}

#[test]
fn streams_that_begin_or_change_together_are_looked_at_one_after_the_other() {
    let start = Instant::now();
    let mut worlds: Vec<_> = (0..80).map(|i| World::of(start, everything(), f64::from(i) / 80.0, true)).collect();
    for (i, world) in worlds.iter_mut().enumerate() {
        // Their keyframes come at different moments.
        world.frame = i as u64 * 7 % GOP;
        world.pass(70);
        world.scene = Scene::Black;
        world.pass(30);
        world.scene = Scene::Street;
        world.pass(100);
    }
    for (from, to) in [(20, 70), (130, 200)] {
        let tenths = looks_by_tenth(&worlds, start, start + Duration::from_secs(from));
        let mean = tenths.iter().sum::<usize>() / 10;
        println!("looks by tenths of the interval from {from} s to {to} s: {tenths:?}");
        assert!(tenths.iter().all(|looks| (mean / 2..=mean * 3 / 2).contains(looks)), "{tenths:?}");
        for world in &mut worlds {
            world.samples.retain(|(at, _)| *at >= start + Duration::from_secs(to));
        }
    }
}

#[test]
fn streams_collect_no_more_together_than_they_may() {
    const LIMIT: usize = 8 * 1024 * 1024;
    let (start, budget) = (Instant::now(), ByteBudget::new(LIMIT));
    let policy = ContentPolicy { interval: Duration::from_secs(8), ..everything() };
    let mut worlds: Vec<_> = (0..16)
        .map(|i| World { budget: budget.clone(), ..World::of(start, policy.clone(), f64::from(i) / 16.0, true) })
        .collect();
    // Pictures of a megabyte, all of them keyframes.
    let mut picture = vec![0x55; 1024 * 1024];
    picture[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
    let (mut most, mut refused) = (0, 0);
    for _ in 0..1500 {
        for world in &mut worlds {
            world.send(PacketKind::Video, &picture);
            match world.watch.poll(world.now, true, &budget) {
                Wanted::Inspection(sample, held) => {
                    assert!(sample.bytes() <= held.bytes() && budget.used() <= LIMIT);
                    world.samples.push((world.now, Sample::default()));
                    world.watch.handle_result(world.now, Err(InspectFailure::WorkerLost));
                }
                Wanted::Room => refused += 1,
                Wanted::Nothing | Wanted::NoSample => {}
            }
            most = most.max(budget.used());
            world.frame += 1;
            world.now += FRAME;
        }
    }
    assert!(most > LIMIT / 2 && most <= LIMIT && refused > 0, "at most {most}, refused {refused} times");
    assert!(worlds.iter().all(|world| !world.samples.is_empty()), "everybody has had a turn");
    drop(worlds);
    assert_eq!(budget.used(), 0);
}
