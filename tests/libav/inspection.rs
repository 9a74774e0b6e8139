//! What decoded samples tell.

use std::path::Path;
use std::sync::Arc;

use rtmp_hmonitor::libav_pool::LibavPool;
use rtmp_hmonitor::model::content::{InspectFailure, Inspection, Picture, Sample, Sound};
use rtmp_hmonitor::model::libav::LibavSpec;

use crate::material::{ffmpeg, reference, sample};

pub fn pool() -> LibavPool {
    let worker = Some(env!("CARGO_BIN_EXE_rtmp-hmonitor-libav").into());
    LibavPool::new(&LibavSpec { worker, ..LibavSpec::default() }, Arc::default())
}

const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 15";

fn filmed(source: &str) -> Sample {
    sample(&ffmpeg(), &format!("-f lavfi -i {source}=size=320x180:rate=15 -t 1 {X264}"))
}

async fn seen(sample: &Sample) -> Picture {
    pool().inspect(sample, false).await.unwrap().picture.unwrap()
}

async fn heard(source: &str, codec: &str) -> Sound {
    let sample = sample(&ffmpeg(), &format!("-f lavfi -i {source} -t 1 {codec}"));
    pool().inspect(&sample, false).await.unwrap().sound.unwrap()
}

fn near(value: f32, expected: f32, tolerance: f32) {
    assert!((value - expected).abs() <= tolerance, "{value} instead of {expected}");
}

#[tokio::test]
async fn a_test_card_with_a_tone_decodes_completely() {
    let arguments = format!(
        "-f lavfi -i testsrc=size=1280x720:rate=30 -f lavfi -i sine=frequency=1000:sample_rate=48000 -t 1 {X264} -c:a aac -af pan=stereo|c0=c0|c1=c0"
    );
    let sample = sample(&ffmpeg(), &arguments);
    let Inspection { picture, sound } = pool().inspect(&sample, true).await.unwrap();
    let (picture, sound) = (picture.unwrap(), sound.unwrap());
    println!("{picture:?}\n{sound:?}");
    assert_eq!((picture.frames, picture.errors, picture.width, picture.height), (30, 0, 1280, 720));
    assert!((0.2..0.8).contains(&picture.luma_mean) && picture.luma_deviation > 0.1, "{picture:?}");
    assert!(picture.change.unwrap() > 0.0005, "the card has a clock: {picture:?}");
    let signature = picture.signature.iter().map(|v| f32::from(*v)).sum::<f32>() / (255.0 * Picture::SIGNATURE as f32);
    near(signature, picture.luma_mean, 0.01);
    assert_eq!((sound.errors, sound.channels, sound.digital_silence), (0, 2, false));
    assert!(sound.frames >= 46, "{sound:?}");
    // ffmpeg's tone is at an eighth of full scale.
    near(sound.loudness_dbfs, -21.1, 1.0);
    near(sound.peak_dbfs, -18.1, 1.5);
}

#[tokio::test]
async fn a_thumbnail_is_a_small_jpeg_of_the_picture_as_shown() {
    let directory = tempfile::tempdir().unwrap();
    for (size, filter, shown) in [
        ("1280x720", "null", "320,180"),
        ("160x120", "null", "160,120"),
        ("720x576", "setsar=64/45", "320,180"),
        ("360x640", "null", "320,568"),
    ] {
        let sample = sample(&ffmpeg(), &format!("-f lavfi -i testsrc=size={size}:rate=5 -t 1 -vf {filter} {X264}"));
        let picture = pool().inspect(&sample, true).await.unwrap().picture.unwrap();
        let jpeg = picture.thumbnail.expect("a thumbnail");
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() < 60_000, "{} bytes", jpeg.len());
        let path = directory.path().join("thumbnail.jpg");
        std::fs::write(&path, &jpeg).unwrap();
        let probe = std::process::Command::new(crate::harness::program("ffprobe", "ffmpeg"))
            .args(["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&probe.stdout).trim(), format!("mjpeg,{shown}"), "{size} {filter}");
    }
}

#[tokio::test]
async fn black_and_white_are_so_in_either_range() {
    for (colour, mean) in [("black", 0.0), ("white", 1.0), ("gray", 0.5)] {
        for range in ["-pix_fmt yuv420p -color_range tv", "-pix_fmt yuvj420p -color_range pc"] {
            let source = format!("color={colour}:size=320x180:rate=5");
            let sample =
                sample(&ffmpeg(), &format!("-f lavfi -i {source} -t 1 -c:v libx264 -preset ultrafast {range}"));
            let picture = seen(&sample).await;
            near(picture.luma_mean, mean, 0.02);
            near(picture.luma_deviation, 0.0, 0.01);
            assert_eq!(picture.change, Some(0.0), "{colour} {range}");
        }
    }
}

#[tokio::test]
async fn a_dark_scene_that_lives_changes_and_a_still_one_does_not() {
    let dark = "color=0x080808:size=320x180:rate=15,noise=alls=6:allf=t+u";
    let coded = format!("-t 1 {X264} -crf 15");
    let alive = seen(&sample(&ffmpeg(), &format!("-f lavfi -i {dark} {coded}"))).await;
    let still = seen(&sample(&ffmpeg(), &format!("-f lavfi -i {dark},loop=loop=-1:size=1 {coded}"))).await;
    println!("alive {:?} still {:?}", alive.change, still.change);
    assert!(alive.change.unwrap() > 0.003 && still.change.unwrap() < 0.0005);
    assert!(alive.luma_mean < 0.05);
}

#[tokio::test]
async fn loudness_is_measured_in_every_coding() {
    let tone = "sine=frequency=500:sample_rate=44100";
    for (codec, tolerance) in [
        ("-c:a aac", 1.0),
        ("-c:a libmp3lame", 1.5),
        ("-c:a pcm_s16le", 0.2),
        ("-c:a pcm_alaw -ar 8000", 0.5),
        ("-c:a pcm_mulaw -ar 8000", 0.5),
        ("-c:a adpcm_swf", 0.5),
        ("-c:a nellymoser -ar 22050", 1.5),
        ("-c:a libspeex -ar 16000 -ac 1", 3.0),
    ] {
        let sound = heard(tone, codec).await;
        println!("{codec}: {sound:?}");
        near(sound.loudness_dbfs, -21.1, tolerance);
        assert!(sound.frames > 0 && sound.errors == 0 && !sound.digital_silence, "{codec} {sound:?}");
    }
}

#[tokio::test]
async fn digital_silence_differs_from_a_quiet_room() {
    let silence = heard("anullsrc=sample_rate=48000", "-c:a aac").await;
    assert_eq!((silence.digital_silence, silence.loudness_dbfs, silence.peak_dbfs), (true, Sound::FLOOR, Sound::FLOOR));
    let room = heard("anoisesrc=amplitude=0.002:sample_rate=48000", "-c:a aac -b:a 128k").await;
    assert!(!room.digital_silence && (-75.0..-50.0).contains(&room.loudness_dbfs), "{room:?}");
}

#[tokio::test]
async fn codecs_of_enhanced_rtmp_decode() {
    let tone = "-f lavfi -i sine=sample_rate=48000";
    for (video, audio, names) in [
        ("libx265 -x265-params log-level=none", "libopus", ("hevc", "opus")),
        ("libx265 -pix_fmt yuv420p10le -x265-params log-level=none", "flac", ("hevc", "flac")),
        ("libsvtav1", "ac3", ("av1", "ac3")),
        ("libvpx-vp9 -deadline realtime", "eac3", ("vp9", "eac3")),
        ("libx264 -pix_fmt yuv444p", "aac", ("h264", "aac")),
        ("libx264rgb -pix_fmt rgb24", "aac", ("h264", "aac")),
    ] {
        let card = "-f lavfi -i testsrc2=size=320x180:rate=15,format=yuv420p";
        let sample = sample(&reference(), &format!("{card} {tone} -t 1 -c:v {video} -c:a {audio}"));
        let tracks = (sample.video.as_ref().unwrap(), sample.audio.as_ref().unwrap());
        assert_eq!((&*tracks.0.codec, &*tracks.1.codec), names);
        let Inspection { picture, sound } = pool().inspect(&sample, true).await.unwrap();
        let (picture, sound) = (picture.unwrap(), sound.unwrap());
        println!("{video} {picture:?}\n{audio} {sound:?}");
        assert_eq!((picture.frames, picture.errors, picture.width), (15, 0, 320), "{video}");
        near(picture.luma_mean, 0.45, 0.1);
        assert!(picture.thumbnail.is_some(), "{video}");
        assert!(sound.frames > 0 && sound.errors == 0, "{audio} {sound:?}");
        near(sound.loudness_dbfs, -21.1, 1.5);
    }
}

#[tokio::test]
async fn damage_is_counted_and_nothing_decodable_is_said() {
    let whole = filmed("testsrc2");
    let mut damaged = whole.clone();
    for frame in damaged.video.as_mut().unwrap().frames.iter_mut().skip(1).step_by(2) {
        let half = frame.data.len() / 2;
        frame.data[half..].fill(0);
    }
    let picture = seen(&damaged).await;
    assert!(picture.errors >= 5, "{picture:?}");

    // What refers to a keyframe that is refused is damaged, and not incomplete.
    let mut headless = whole.clone();
    headless.video.as_mut().unwrap().frames[0].data.fill(0x5a);
    let picture = seen(&headless).await;
    println!("{picture:?}");
    assert!(picture.errors >= 14 && picture.incomplete == 0, "{picture:?}");

    let mut noise = whole.clone();
    for frame in &mut noise.video.as_mut().unwrap().frames {
        frame.data.fill(0x5a);
    }
    let picture = seen(&noise).await;
    assert!(picture.frames == 0 && picture.errors >= 14 && picture.change.is_none(), "{picture:?}");

    let mut foreign = whole.clone();
    foreign.video.as_mut().unwrap().configuration = [1, 2, 3, 4, 5, 6, 7, 8].into();
    let picture = seen(&foreign).await;
    assert!(picture.frames == 0 && picture.errors >= 14, "{picture:?}");
    let mut refused = sample(&ffmpeg(), "-f lavfi -i sine -t 1 -c:a aac");
    refused.audio.as_mut().unwrap().configuration = [0xff; 8].into();
    assert_eq!(pool().inspect(&refused, false).await, Err(InspectFailure::UndecodableConfiguration));
    let mut unknown = whole;
    unknown.video.as_mut().unwrap().codec = "unknown".into();
    assert_eq!(pool().inspect(&unknown, false).await, Err(InspectFailure::UnsupportedCodec));
}

/// A film whose picture is refreshed piece by piece in each second, as it comes from the second one on.
fn refreshed(ffmpeg: &Path, encoder: &str) -> Sample {
    let mut sample = sample(ffmpeg, &format!("-f lavfi -i testsrc2=size=320x180:rate=15 -t 4 {encoder}"));
    sample.video.as_mut().unwrap().frames.drain(..15);
    sample
}

#[tokio::test]
async fn a_picture_that_is_refreshed_piece_by_piece_is_no_damage() {
    let x264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 15 -intra-refresh 1";
    let mut sample = refreshed(&ffmpeg(), x264);
    let whole = seen(&sample).await;
    println!("{whole:?}");
    assert!(sample.video.as_ref().unwrap().frames[0].keyframe, "it is said to be one");
    assert!(whole.frames > 8 && whole.incomplete > 8 && whole.errors == 0, "{whole:?}");
    near(whole.luma_mean, 0.48, 0.03);
    sample.video.as_mut().unwrap().frames.truncate(8);
    let begun = seen(&sample).await;
    assert_eq!((begun.frames, begun.errors, begun.incomplete, begun.is_told()), (0, 0, 8, false));

    // What is not complete is not marked there, and is over before what is looked at.
    let still = "libx265 -preset ultrafast -x265-params log-level=none:intra-refresh=1:keyint=15:bframes=0";
    let card = "-f lavfi -i testsrc2=size=320x180:rate=15,loop=loop=-1:size=1";
    let mut sample = self::sample(&reference(), &format!("{card} -t 3 -c:v {still}"));
    sample.video.as_mut().unwrap().frames.drain(..15);
    let picture = seen(&sample).await;
    println!("{picture:?}");
    assert_eq!((picture.frames, picture.errors), (30, 0));
    near(picture.luma_mean, 0.48, 0.03);
    assert!(picture.change.unwrap() < 0.002, "{picture:?}");
}

#[tokio::test]
async fn what_the_libraries_do_not_implement_is_no_damage() {
    let mut scalable = sample(&ffmpeg(), "-f lavfi -i sine -t 1 -c:a aac");
    // AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): object type 6, AAC scalable, at 44.1 kHz with two channels.
    scalable.audio.as_mut().unwrap().configuration = [0x32, 0x10].into();
    assert_eq!(pool().inspect(&scalable, false).await, Err(InspectFailure::UnsupportedCodec));
    // Beside a picture, the picture counts.
    let mut film = filmed("testsrc2");
    film.audio = scalable.audio;
    let inspection = pool().inspect(&film, false).await.unwrap();
    assert!(inspection.sound.is_none() && inspection.picture.unwrap().errors == 0);
}

#[tokio::test]
async fn a_configuration_that_is_refused_does_not_hide_the_other_track() {
    let mut sample = filmed("testsrc2");
    sample.audio = self::sample(&ffmpeg(), "-f lavfi -i sine -t 1 -c:a aac").audio;
    sample.audio.as_mut().unwrap().configuration = [0xff; 8].into();
    let Inspection { picture, sound } = pool().inspect(&sample, false).await.unwrap();
    let (picture, sound) = (picture.unwrap(), sound.unwrap());
    assert_eq!((picture.frames, picture.errors, sound.frames), (15, 0, 0));
    assert_eq!(sound.errors as usize, sample.audio.unwrap().frames.len());
}

#[tokio::test]
async fn a_track_that_cannot_be_decoded_does_not_hide_the_other_one() {
    let mut sample = filmed("testsrc2");
    let mut audio = sample.video.clone().unwrap();
    audio.codec = "unknown".into();
    sample.audio = Some(audio);
    let inspection = pool().inspect(&sample, false).await.unwrap();
    assert!(inspection.sound.is_none() && inspection.picture.unwrap().frames == 15);
}
