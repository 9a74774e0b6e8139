//! The language of the pipes to libav workers: whatever is said is understood, and nothing else is.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rtmp_hmonitor::libav_protocol::{
    Answer, DemuxEnd, DemuxRequest, LENGTH, MAX_ANSWER, MAX_PREAMBLE, ProtocolError, Request, VERSION, Verify,
    message_length,
};
use rtmp_hmonitor::model::content::{CodedFrame, CodedTrack, InspectFailure, Inspection, Picture, Sample, Sound};
use rtmp_hmonitor::model::demuxed::{DemuxedFrame, DemuxedTrack};
use rtmp_hmonitor::model::health::DownCause;
use rtmp_hmonitor::model::packet::MediaKind;
use rtmp_hmonitor::model::spec::Transport;

fn track() -> impl Strategy<Value = CodedTrack> {
    let frame = (any::<i64>(), any::<i64>(), any::<bool>(), vec(any::<u8>(), 0..40))
        .prop_map(|(dts, pts, keyframe, data)| CodedFrame { dts, pts, keyframe, data });
    (".{0,12}", vec(any::<u8>(), 0..40), vec(frame, 0..8)).prop_map(|(codec, configuration, frames)| CodedTrack {
        codec: codec.into(),
        configuration: configuration.into(),
        frames,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let inspect = (any::<u32>(), any::<bool>(), option::of(track()), option::of(track())).prop_map(
        |(limit, thumbnail, video, audio)| Request::Inspect { limit, thumbnail, sample: Sample { video, audio } },
    );
    let verify = (".{0,20}", option::of(".{0,9}")).prop_map(|(authorities, name)| Verify { authorities, name });
    let demux =
        (".{0,80}", any::<bool>(), any::<u32>(), option::of(verify)).prop_map(|(url, udp, open_limit, verify)| {
            let transport = if udp { Transport::Udp } else { Transport::Tcp };
            Request::Demux(DemuxRequest { url, transport, open_limit, verify })
        });
    prop_oneof![inspect, demux, any::<u32>().prop_map(Request::KeepBodies)]
}

fn media() -> impl Strategy<Value = MediaKind> {
    prop_oneof![Just(MediaKind::Video), Just(MediaKind::Audio)]
}

prop_compose! {
    fn picture()(
        numbers in any::<[u32; 5]>(),
        luma in [-10.0..10.0_f32, -10.0..10.0_f32],
        change in option::of(0.0..1.0_f32),
        pixel in any::<u8>(),
        thumbnail in option::of(vec(any::<u8>(), 0..60)),
    ) -> Picture {
        let [frames, errors, incomplete, width, height] = numbers;
        let [luma_mean, luma_deviation] = luma;
        let (signature, detail) = ([pixel; Picture::SIGNATURE], Box::new([!pixel; Picture::DETAIL]));
        Picture { frames, errors, incomplete, width, height, luma_mean, luma_deviation, signature, detail, change, thumbnail }
    }
}

prop_compose! {
    fn sound()(numbers in any::<[u32; 3]>(), levels in [-120.0..0.0_f32, -120.0..0.0_f32], silent in any::<bool>()) -> Sound {
        let [frames, errors, channels] = numbers;
        let [loudness_dbfs, peak_dbfs] = levels;
        Sound { frames, errors, channels, loudness_dbfs, peak_dbfs, digital_silence: silent }
    }
}

prop_compose! {
    fn demuxed_track()(
        media in media(), codec in ".{0,9}", records in [vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..30)],
        numbers in any::<[u32; 4]>(),
    ) -> DemuxedTrack {
        let [width, height, sample_rate, channels] = numbers;
        let [configuration, preamble] = records.map(Into::into);
        DemuxedTrack { media, codec: codec.into(), configuration, preamble, width, height, sample_rate, channels }
    }
}

prop_compose! {
    fn demuxed_frame()(
        media in media(), keyframe in any::<bool>(), times in any::<[i64; 2]>(), size in any::<u32>(),
        body in vec(any::<u8>(), 0..30),
    ) -> DemuxedFrame {
        let [dts, pts] = times;
        DemuxedFrame { media, keyframe, dts, pts, size, body }
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let inspected = (option::of(picture()), option::of(sound()))
        .prop_map(|(picture, sound)| Answer::Inspected(Box::new(Inspection { picture, sound })));
    let ended = (0..=DownCause::Protocol as usize, ".{0,60}")
        .prop_map(|(cause, detail)| Answer::Ended(DemuxEnd { cause: DownCause::ALL[cause], detail }));
    prop_oneof![
        any::<bool>().prop_map(|root| Answer::Hello { version: VERSION, root }),
        inspected,
        (0..InspectFailure::ALL.len()).prop_map(|index| Answer::InspectFailed(InspectFailure::ALL[index])),
        vec(demuxed_track(), 0..=2).prop_map(Answer::Tracks),
        vec(demuxed_frame(), 0..20).prop_map(Answer::Frames),
        ended,
    ]
}

fn body(message: &[u8]) -> &[u8] {
    let (prefix, body) = message.split_first_chunk::<LENGTH>().unwrap();
    assert_eq!(message_length(*prefix, usize::MAX), Ok(body.len()));
    body
}

proptest! {
    #[test]
    fn requests_are_understood_as_they_were_meant(request in request()) {
        let message = request.encode();
        prop_assert_eq!(Request::decode(body(&message)), Ok(request));
    }

    #[test]
    fn answers_are_understood_as_they_were_meant(answer in answer()) {
        let message = answer.encode();
        prop_assert_eq!(Answer::decode(body(&message)), Ok(answer));
    }

    #[test]
    fn a_message_that_is_cut_off_or_goes_on_is_none(request in request(), answer in answer(), cut in any::<prop::sample::Index>()) {
        let (request, answer) = (request.encode(), answer.encode());
        let (request, answer) = (body(&request), body(&answer));
        prop_assert!(Request::decode(&request[..cut.index(request.len())]).is_err());
        prop_assert!(Answer::decode(&answer[..cut.index(answer.len())]).is_err());
        prop_assert_eq!(Request::decode(&[request, &[0]].concat()), Err(ProtocolError::Trailing));
        prop_assert_eq!(Answer::decode(&[answer, &[0]].concat()), Err(ProtocolError::Trailing));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Request::decode(&bytes);
        let _ = Answer::decode(&bytes);
    }
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    assert_eq!(message_length([0; 4], MAX_ANSWER), Err(ProtocolError::Truncated));
    assert_eq!(message_length([0xff; 4], MAX_ANSWER), Err(ProtocolError::TooLong));
    let (least, most) = (1_u32.to_le_bytes(), (MAX_ANSWER as u32).to_le_bytes());
    assert_eq!((message_length(least, MAX_ANSWER), message_length(most, MAX_ANSWER)), (Ok(1), Ok(MAX_ANSWER)));
    // A list of four thousand million frames in five bytes.
    assert_eq!(Answer::decode(&[69, 0xff, 0xff, 0xff, 0xff]), Err(ProtocolError::TooLong));
}

#[test]
fn what_is_kept_of_a_track_is_bounded() {
    let read = |preamble: usize| {
        let track = DemuxedTrack {
            media: MediaKind::Audio,
            codec: "vorbis".into(),
            configuration: [].into(),
            preamble: vec![0; preamble].into(),
            width: 0,
            height: 0,
            sample_rate: 48_000,
            channels: 2,
        };
        Answer::decode(body(&Answer::Tracks(vec![track]).encode())).map(drop)
    };
    assert_eq!((read(MAX_PREAMBLE), read(MAX_PREAMBLE + 1)), (Ok(()), Err(ProtocolError::TooLong)));
}

#[test]
fn figures_that_are_no_numbers_are_refused() {
    let picture = Picture { luma_mean: f32::NAN, ..Picture::default() };
    let answer = Answer::Inspected(Box::new(Inspection { picture: Some(picture), sound: None }));
    assert_eq!(Answer::decode(body(&answer.encode())), Err(ProtocolError::Value));
}

#[test]
fn the_cause_of_an_end_is_one_of_a_stream() {
    let end = DemuxEnd { cause: DownCause::Lag, detail: String::new() };
    assert_eq!(Answer::decode(body(&Answer::Ended(end).encode())), Err(ProtocolError::Value));
}

#[test]
fn urls_are_not_shown() {
    let request = DemuxRequest {
        url: "rtsp://user:S3CRET@h/T0KEN".into(),
        transport: Transport::Tcp,
        open_limit: 1,
        verify: None,
    };
    let shown = format!("{:?}", Request::Demux(request));
    assert!(!shown.contains("S3CRET") && !shown.contains("T0KEN") && !shown.contains("user"), "{shown}");
}
