//! Samples of what somebody else demuxes: whole frames come only after they have been asked for, and a little late.

use std::time::{Duration, Instant};

use rtmp_hmonitor::media::content::{ContentWatch, Wanted};
use rtmp_hmonitor::model::budget::ByteBudget;
use rtmp_hmonitor::model::content::Sample;
use rtmp_hmonitor::model::content_policy::ContentPolicy;
use rtmp_hmonitor::model::demuxed::{DemuxedFrame, DemuxedTrack};
use rtmp_hmonitor::model::packet::MediaKind;

const FRAME: Duration = Duration::from_millis(40);
const GOP: i64 = 25;
/// Frames that are on their way while bodies are asked for.
const LATE: i64 = 3;

struct World {
    now: Instant,
    frame: i64,
    /// The first frame that has been asked for.
    whole_from: Option<i64>,
    watch: ContentWatch,
    budget: ByteBudget,
}

fn track(media: MediaKind, codec: &'static str, preamble: &[u8]) -> DemuxedTrack {
    DemuxedTrack {
        media,
        codec: codec.into(),
        configuration: [1, 0x64, 0, 0x1f].into(),
        preamble: preamble.into(),
        width: 320,
        height: 180,
        sample_rate: 0,
        channels: 0,
    }
}

impl World {
    fn new() -> Self {
        let policy = ContentPolicy { interval: Duration::from_secs(2), thumbnail: true, ..ContentPolicy::default() };
        let mut watch = ContentWatch::new(policy, 0.5);
        watch.handle_track(&track(MediaKind::Video, "h264", &[0, 0, 0, 1, 0x67]));
        watch.handle_track(&track(MediaKind::Audio, "aac", &[]));
        Self { now: Instant::now(), frame: 0, whole_from: None, watch, budget: ByteBudget::new(usize::MAX) }
    }

    /// One frame of each medium; what is to be done then.
    fn step(&mut self) -> Wanted {
        let key = self.frame % GOP == 0;
        match (self.watch.wanted_bodies(), self.whole_from) {
            (None, _) => self.whole_from = None,
            (Some(_), None) => self.whole_from = Some(self.frame + LATE),
            (Some(_), Some(_)) => {}
        }
        let whole = self.whole_from.is_some_and(|from| self.frame >= from);
        for (media, keyframe, size) in
            [(MediaKind::Video, key, if key { 900 } else { 100 }), (MediaKind::Audio, true, 50)]
        {
            let body = if whole { vec![self.frame as u8; size] } else { Vec::new() };
            let dts = self.frame * 40;
            let frame = DemuxedFrame { media, keyframe, dts, pts: dts + 80, size: size as u32, body };
            self.watch.handle_frame(self.now, &frame);
        }
        self.frame += 1;
        self.now += FRAME;
        self.watch.poll(self.now, true, &self.budget)
    }

    fn sample(&mut self) -> Sample {
        for _ in 0..1000 {
            if let Wanted::Inspection(sample, _) = self.step() {
                return sample;
            }
        }
        panic!("no sample")
    }
}

#[test]
fn a_sample_is_what_the_decoder_needs_from_a_whole_keyframe_on() {
    let mut world = World::new();
    let sample = world.sample();
    let (video, audio) = (sample.video.unwrap(), sample.audio.unwrap());
    assert_eq!((&*video.codec, &*video.configuration), ("h264", &[0, 0, 0, 1, 0x67][..]), "the frames' own format");
    assert_eq!((&*audio.codec, audio.configuration.is_empty()), ("aac", true), "they carry it themselves");
    assert!(video.frames[0].keyframe && video.frames[0].data.len() == 900 && video.frames.len() == 8, "{video:?}");
    assert!(video.frames.windows(2).all(|pair| pair[1].data[0] == pair[0].data[0] + 1), "none is left out");
    assert_eq!((video.frames[0].dts, video.frames[0].pts), (0, 80));
    assert!(audio.frames.last().unwrap().dts >= 1000 && audio.frames.iter().all(|frame| frame.data.len() == 50));
    assert!(world.watch.wanted_bodies().is_none(), "no more than needed");
}

#[test]
fn a_medium_that_changes_within_a_sample_is_sampled_anew() {
    let mut world = World::new();
    while !world.whole_from.is_some_and(|from| world.frame > from && world.frame % GOP == 4) {
        world.step();
    }
    world.watch.handle_track(&track(MediaKind::Video, "hevc", &[7]));
    let video = world.sample().video.unwrap();
    assert_eq!((&*video.codec, &*video.configuration), ("hevc", &[7][..]));
    assert!(video.frames[0].keyframe);
}

#[test]
fn a_codec_that_nobody_knows_is_sampled_under_no_name() {
    let mut world = World::new();
    world.watch.handle_track(&track(MediaKind::Video, "a-new-one", &[]));
    assert_eq!(world.sample().video.unwrap().codec, "unknown");
}

#[test]
fn frames_before_their_track_are_nobody_s() {
    let mut watch = ContentWatch::new(ContentPolicy { thumbnail: true, ..ContentPolicy::default() }, 0.0);
    let (now, budget) = (Instant::now(), ByteBudget::new(usize::MAX));
    assert!(matches!(watch.poll(now, true, &budget), Wanted::Nothing));
    assert!(watch.wanted_bodies().is_some());
    let body = vec![1; 10];
    watch.handle_frame(now, &DemuxedFrame { media: MediaKind::Video, keyframe: true, dts: 0, pts: 0, size: 10, body });
    assert!(matches!(watch.poll(now + Duration::from_secs(60), true, &budget), Wanted::NoSample));
    assert_eq!(budget.used(), 0);
}
