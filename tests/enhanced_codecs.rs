//! What the analyser says about streams of Enhanced RTMP is what a present-day FFmpeg says about them. That one makes the files
//! too; what it cannot write (VP8, and H.264, H.265, AAC and MP3 in each other's wrapping) is wrapped here.

mod media_reference;
mod publisher;

use std::path::{Path, PathBuf};

use media_reference::{level, picture, printed_colour, probe, run};
use publisher::{AVC_CONFIG, Watch, analyse, analyse_tags, settings};
use rtmp_hmonitor::media::StreamAnalyzer;
use rtmp_hmonitor::model::report::{HdrMetadata, MediaReport, VideoFormat};
use rtmp_hmonitor::model::{MediaPacket, PacketKind};
use serde_json::Value;

/// Encodes half a second into an FLV file and, the same packets, into a Matroska file. The latter is what FFmpeg is asked about:
/// in FLV it takes a colour matrix that is left out for GBR, and then overrules the bitstream with that.
fn encode(directory: &Path, name: &str, arguments: &str) -> [PathBuf; 2] {
    let paths = ["flv", "mkv"].map(|kind| directory.join(format!("{}.{kind}", name.replace(':', ""))));
    let [flv, mkv] = paths.each_ref().map(|path| path.to_str().unwrap());
    let both = format!("[f=flv]{flv}|[f=matroska]{mkv}");
    let mapped = if arguments.contains("-map") { "" } else { "-map 0" };
    ffmpeg(&format!("{arguments} {mapped} -flags +global_header -t 0.5 -f tee {both}"));
    paths
}

fn ffmpeg(arguments: &str) {
    let mut all = vec!["-v", "error", "-nostdin", "-y"];
    for argument in arguments.split_whitespace() {
        if ["testsrc2=", "sine="].iter().any(|source| argument.starts_with(source)) {
            all.extend(["-f", "lavfi", "-i"]);
        }
        all.push(argument);
    }
    let output = run(media_reference::ffmpeg(), &all);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_video(name: &str, path: &Path, ours: &MediaReport, theirs: &Value) {
    let format = ours.video.format.as_ref().expect(name);
    let VideoFormat { width, height, colour, .. } = format;
    println!(
        "{name:<16} {:<5} {:<12} {:<4} {:<5} {:>5}x{:<5} {:>2} bit {:<6} {:<4} {}/{}/{} {:?} fps",
        format.codec,
        format.profile,
        format.level,
        format.tier,
        width.unwrap_or(0),
        height.unwrap_or(0),
        format.bit_depth.unwrap_or(0),
        format.chroma,
        colour.range,
        colour.matrix,
        colour.primaries,
        colour.transfer,
        format.frame_rate,
    );
    assert_eq!(format.codec, theirs["codec"].as_str().unwrap(), "{name}");
    if format.codec != "vp8" {
        assert_eq!(format.profile, theirs["profile"].as_str().unwrap(), "{name}");
    }
    if let Some(level) = level(&format.codec, theirs["level"].as_i64().unwrap_or(-99)) {
        assert_eq!(format.level, level, "{name}");
    }
    assert_eq!(
        (width.map(u64::from), height.map(u64::from)),
        (theirs["width"].as_u64(), theirs["height"].as_u64()),
        "{name}"
    );
    let shown = (&*format.chroma, format.bit_depth.unwrap());
    assert_eq!(shown, picture(theirs["pixels"].as_str().unwrap()), "{name}: {}", theirs["pixels"]);
    let [range, matrix, primaries, transfer] = printed_colour(path);
    let named =
        [&colour.range, &colour.matrix, &colour.primaries, &colour.transfer].map(|name| name.clone().into_owned());
    assert_eq!(named, [range, matrix, primaries, transfer], "{name}: range, matrix, primaries, transfer");
    if let (Some(ours), Some(rate)) = (format.frame_rate, theirs["rate"].as_f64().or(theirs["average"].as_f64())) {
        assert!((ours / rate - 1.0).abs() < 0.001, "{name}: {ours} {rate}");
    }
    assert!(format.codec != "hevc" || format.frame_rate.is_some(), "{name}");
    let packets = theirs["packets"].as_array().unwrap();
    assert_eq!(ours.video.medium.frames, packets.len() as u64, "{name}");
    let keys = packets.iter().filter(|packet| packet[1] == true).count();
    assert_eq!(ours.video.keyframes, keys as u64, "{name}");
}

fn assert_audio(name: &str, ours: &MediaReport, theirs: &Value) {
    let format = ours.audio.format.as_ref().expect(name);
    println!(
        "{name:<16} {:<5} {:?} Hz, {:?} channels, {}",
        format.codec, format.sample_rate, format.channels, format.layout
    );
    assert_eq!(format.codec, theirs["codec"].as_str().unwrap(), "{name}");
    assert_eq!(format.profile, theirs["profile"].as_str().unwrap(), "{name}");
    assert_eq!(format.sample_rate.map(u64::from), theirs["rate"].as_u64(), "{name}");
    assert_eq!(format.channels.map(u64::from), theirs["channels"].as_u64(), "{name}");
    assert_eq!(format.layout, theirs["layout"].as_str().unwrap(), "{name}");
    assert_eq!(ours.audio.medium.frames, theirs["packets"].as_array().unwrap().len() as u64, "{name}");
}

/// Every row's file, analysed and probed.
fn check(rows: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let files: Vec<_> = rows.iter().map(|(name, arguments)| encode(directory.path(), name, arguments)).collect();
    let probed = probe(&files.iter().map(|[_, mkv]| mkv.as_path()).collect::<Vec<_>>());
    for (((name, _), [flv, mkv]), streams) in rows.iter().zip(&files).zip(probed) {
        let report = analyse(flv);
        assert_eq!((report.parse_errors, report.parameter_changes), ([0; 4], 0), "{name}");
        assert_eq!(streams.len(), 1, "{name}");
        for stream in streams {
            match stream["type"].as_str() {
                Some("video") => assert_video(name, mkv, &report, &stream),
                _ => assert_audio(name, &report, &stream),
            }
        }
        let without = analyse_tags(&std::fs::read(flv).unwrap(), without_declarations);
        assert_eq!(without.video.format, report.video.format, "{name}: without a metadata frame");
        assert_eq!(without.audio.format, report.audio.format, "{name}: without a multichannel configuration");
    }
}

/// Turns metadata frames and multichannel configurations into ends of sequences.
fn without_declarations(kind: PacketKind, mut body: Vec<u8>) -> Vec<u8> {
    match (kind, body.first_mut()) {
        (PacketKind::Video, Some(first)) if *first & 0x8f == 0x84 => *first = 0x92,
        (PacketKind::Audio, Some(first)) if *first == 0x94 => *first = 0x92,
        _ => {}
    }
    body
}

#[test]
fn hevc_facts() {
    check(&[
        ("main", "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none -preset ultrafast -pix_fmt yuv420p"),
        (
            "b-frames",
            "testsrc2=s=642x362:r=30000/1001 -c:v libx265 -x265-params log-level=none:bframes=4:b-pyramid=1:ref=4 -preset medium -pix_fmt yuv420p -g 6",
        ),
        (
            "main-10-pq",
            "testsrc2=s=640x360:r=50 -c:v libx265 -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv -x265-params log-level=none:hdr10=1:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1) -preset ultrafast -pix_fmt yuv420p10le",
        ),
        (
            "hlg",
            "testsrc2=s=320x180:r=25 -c:v libx265 -vf setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc -x265-params log-level=none -preset ultrafast -pix_fmt yuv420p10le",
        ),
        (
            "4:2:2",
            "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none -preset ultrafast -pix_fmt yuv422p10le",
        ),
        (
            "4:4:4-12",
            "testsrc2=s=320x182:r=25 -c:v libx265 -x265-params log-level=none -preset ultrafast -pix_fmt yuv444p12le",
        ),
        ("grey", "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none -preset ultrafast -pix_fmt gray"),
        (
            "lists",
            "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none:scaling-list=default:weightp=1:hrd=1:vbv-bufsize=900:vbv-maxrate=900 -preset ultrafast -pix_fmt yuv420p",
        ),
        (
            "layers",
            "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none:temporal-layers=3 -preset medium -pix_fmt yuv420p",
        ),
        (
            "high-tier",
            "testsrc2=s=1280x720:r=25 -c:v libx265 -x265-params log-level=none:level-idc=5.1:high-tier=1:vbv-bufsize=90000:vbv-maxrate=90000 -preset ultrafast -pix_fmt yuv420p",
        ),
        ("kvazaar", "testsrc2=s=328x184:r=25 -c:v libkvazaar -kvazaar-params preset=ultrafast,gop=0 -pix_fmt yuv420p"),
        (
            "full-range",
            "testsrc2=s=320x180:r=25 -c:v libx265 -vf setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709 -x265-params log-level=none -preset ultrafast -pix_fmt yuvj420p",
        ),
    ]);
}

#[test]
fn av1_facts() {
    check(&[
        ("aom", "testsrc2=s=320x180:r=25 -c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv420p -g 5"),
        (
            "aom-10-pq",
            "testsrc2=s=642x362:r=30000/1001 -c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv420p10le -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv",
        ),
        ("aom-4:4:4", "testsrc2=s=320x180:r=25 -c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv444p"),
        ("aom-4:2:2-12", "testsrc2=s=320x180:r=25 -c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt yuv422p12le"),
        (
            "aom-rgb",
            "testsrc2=s=320x180:r=25 -c:v libaom-av1 -usage realtime -cpu-used 8 -pix_fmt gbrp -vf setparams=color_primaries=bt709:color_trc=iec61966-2-1:colorspace=gbr",
        ),
        (
            "svt",
            "testsrc2=s=640x360:r=25 -c:v libsvtav1 -preset 12 -pix_fmt yuv420p -vf setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709",
        ),
        ("svt-10", "testsrc2=s=1280x720:r=50 -c:v libsvtav1 -preset 12 -pix_fmt yuv420p10le"),
        ("rav1e", "testsrc2=s=320x180:r=25 -c:v librav1e -speed 10 -pix_fmt yuv420p"),
    ]);
}

#[test]
fn vp9_facts() {
    check(&[
        ("profile-0", "testsrc2=s=320x180:r=25 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p -g 5"),
        ("profile-1", "testsrc2=s=322x182:r=30 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv444p"),
        ("profile-1-4:4:0", "testsrc2=s=320x180:r=30 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv440p"),
        (
            "profile-2",
            "testsrc2=s=640x360:r=25 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p10le -vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv",
        ),
        ("profile-3", "testsrc2=s=320x180:r=25 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv422p12le"),
        ("rgb", "testsrc2=s=320x180:r=25 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt gbrp"),
        (
            "bt709",
            "testsrc2=s=1280x720:r=25 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv420p -vf setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709",
        ),
    ]);
}

#[test]
fn audio_facts() {
    check(&[
        ("opus-mono", "sine=r=48000 -c:a libopus -ac 1"),
        ("opus-stereo", "sine=r=24000 -c:a libopus -ac 2"),
        ("opus-5.1", "sine=r=48000 -c:a libopus -ac 6"),
        ("opus-7.1", "sine=r=48000 -c:a libopus -ac 8"),
        ("flac-mono", "sine=r=44100 -c:a flac -ac 1"),
        ("flac-stereo", "sine=r=96000 -c:a flac -ac 2 -sample_fmt s32"),
        ("flac-5.1", "sine=r=48000 -c:a flac -ac 6"),
        ("ac3-mono", "sine=r=32000 -c:a ac3 -ac 1"),
        ("ac3-stereo", "sine=r=44100 -c:a ac3 -ac 2"),
        ("ac3-5.1", "sine=r=48000 -c:a ac3 -ac 6"),
        ("ac3-quad", "sine=r=48000 -c:a ac3 -af aformat=channel_layouts=quad(side)"),
        ("eac3-stereo", "sine=r=48000 -c:a eac3 -ac 2"),
        ("eac3-5.1", "sine=r=44100 -c:a eac3 -ac 6"),
        ("mp3-48", "sine=r=48000 -c:a libmp3lame -ac 1"),
        ("mp3-44", "sine=r=44100 -c:a libmp3lame -ac 2"),
        ("mp3-22", "sine=r=22050 -c:a libmp3lame -ac 1"),
        ("aac-5.1", "sine=r=48000 -c:a aac -ac 6"),
    ]);
}

/// FFmpeg's muxer declares in a metadata frame what it knows of the mastering display, which it finds in the messages of a stream that
/// it decodes.
#[test]
fn how_a_picture_was_mastered_is_read_from_ffmpegs_metadata_frame() {
    let directory = tempfile::tempdir().unwrap();
    let [graded, published] = ["graded.mp4", "published.flv"].map(|name| directory.path().join(name));
    let [source, flv] = [&graded, &published].map(|path| path.to_str().unwrap());
    let colour = "-vf setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv";
    let display =
        "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50):max-cll=1000,400";
    let encoder = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=none";
    ffmpeg(&format!("testsrc2=s=320x180:r=25 {colour} {encoder}:hdr10=1:{display} -t 0.5 {source}"));
    ffmpeg(&format!("-i {source} {encoder} {flv}"));
    let format = analyse(&published).video.format.unwrap();
    println!("{}", format.hdr_metadata.as_ref().unwrap());
    let expected = HdrMetadata {
        max_content_light: Some(1000.0),
        max_frame_average_light: Some(400.0),
        max_luminance: Some(1000.0),
        min_luminance: Some(0.005),
        red: Some([0.708, 0.292]),
        green: Some([0.17, 0.797]),
        blue: Some([0.131, 0.046]),
        white_point: Some([0.3127, 0.329]),
    };
    assert_eq!((format.hdr(), format.hdr_metadata.as_deref()), (Some("pq"), Some(&expected)));
}

/// FFmpeg writes all tracks but the first as one-track multitrack messages.
#[test]
fn of_several_tracks_the_first_is_the_stream() {
    let directory = tempfile::tempdir().unwrap();
    let [path, mkv] = encode(
        directory.path(),
        "tracks",
        "testsrc2=s=320x180:r=25 testsrc2=s=640x360:r=50 sine=r=48000 sine=r=48000 sine=r=48000 -map 0:v -map 1:v -map 2:a -map 3:a -map 4:a \
         -c:v libx265 -x265-params log-level=none -preset ultrafast -pix_fmt yuv420p -c:a libopus -ac:a:0 2 -ac:a:1 1 -ac:a:2 6",
    );
    let probed = probe(&[&mkv]);
    assert_eq!(probed[0].len(), 5);
    let first = |kind| probed[0].iter().find(|stream| stream["type"] == kind).unwrap();
    let report = analyse(&path);
    assert_eq!((report.parse_errors, report.parameter_changes), ([0; 4], 0));
    assert_video("first of two", &mkv, &report, first("video"));
    assert_audio("first of three", &report, first("audio"));
    assert_eq!((report.video.medium.tracks, report.audio.medium.tracks), (2, 3));
}

/// Beside each frame of track 0 comes a message with frames of tracks 1 and 2 alone.
#[test]
fn other_tracks_together_are_no_frames_of_the_stream() {
    for size in [20_u32, 5000] {
        let mut watch = Watch::new(settings());
        watch.message(0.0, PacketKind::Video, 0, AVC_CONFIG, AVC_CONFIG.len() as u32);
        let others = |watch: &mut Watch, at: u64| {
            let [_, a, b, c] = size.to_be_bytes();
            let track = |number: u8| [&[number, a, b, c][..], &vec![0x41; size as usize]].concat();
            let body = [b"\xa6\x11avc1", &track(1)[..], &track(2)].concat();
            let head = &body[..body.len().min(MediaPacket::HEAD)];
            watch.message(at as f64, PacketKind::Video, at as u32, head, body.len() as u32);
        };
        for at in (0..20_000).step_by(40) {
            watch.video(at as f64, at as u32, at % 2000 == 0, 4000);
            others(&mut watch, at);
        }
        let report = watch.report(20_000.0);
        let fps = report.video.frames_per_second.unwrap();
        assert!((24.0..26.0).contains(&fps), "{fps} with bodies of {size}");
        assert_eq!((report.video.medium.frames, report.video.keyframes), (500, 10));
        for at in (20_000..24_000).step_by(40) {
            watch.silence_until(at as f64);
            others(&mut watch, at);
        }
        assert!(watch.analyzer.is_stalled(), "with bodies of {size}");
    }
}

/// The first track comes behind another one. A head shows it only where a message is small, or is brought whole for an inspection.
#[test]
fn a_first_track_that_was_read_once_goes_on_being_counted() {
    let mut watch = Watch::new(settings());
    let message = |watch: &mut Watch, at: u64, size: usize, whole: bool| {
        let [_, a, b, c] = (size as u32).to_be_bytes();
        let track = |number: u8| [&[number, a, b, c][..], &vec![0x41; size]].concat();
        let body = [b"\xa6\x11avc1", &track(1)[..], &track(0)].concat();
        let shown = if whole { body.len() } else { body.len().min(MediaPacket::HEAD) };
        watch.message(at as f64, PacketKind::Video, at as u32, &body[..shown], body.len() as u32);
    };
    let records =
        [b"\x96\x10avc1\x01\0\0\x04".as_slice(), &[1, 0x64, 0, 0x1f], &[0, 0, 0, 4, 1, 0x64, 0, 0x1f]].concat();
    watch.message(0.0, PacketKind::Video, 0, &records, records.len() as u32);
    for frame in 1..=500_u64 {
        match frame {
            100..110 => message(&mut watch, frame * 40, 5000, true),
            200 => message(&mut watch, frame * 40, 10, false),
            _ => message(&mut watch, frame * 40, 5000, false),
        }
        assert!(!watch.analyzer.is_stalled(), "frame {frame}");
        assert_eq!(watch.report(frame as f64 * 40.0).video.medium.frames, frame);
    }
}

/// H.265 by the codec id of vendors, H.264, AAC and MP3 by FourCC: the same frames and facts as in their own wrapping.
#[test]
fn the_wrapping_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let [modern, _] = encode(
        directory.path(),
        "modern",
        "testsrc2=s=320x180:r=25 -c:v libx265 -x265-params log-level=none:bframes=2 -preset ultrafast -pix_fmt yuv420p -g 5",
    );
    let [legacy, _] = encode(
        directory.path(),
        "legacy",
        "testsrc2=s=320x180:r=25 sine=r=48000 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 5 -c:a aac -ac 2 -map 0 -map 1",
    );
    let by_codec_id = |kind, body: Vec<u8>| match (kind, &body[..]) {
        (PacketKind::Video, [first, b'h', b'v', b'c', b'1', payload @ ..]) => {
            let head = (first & 0x70) | 12;
            match first & 0x0f {
                0 => [&[head, 0, 0, 0, 0][..], payload].concat(),
                1 => [&[head, 1][..], payload].concat(),
                3 => [&[head, 1, 0, 0, 0][..], payload].concat(),
                2 => vec![head, 2, 0, 0, 0],
                _ => vec![0x5c, 0],
            }
        }
        _ => body,
    };
    let by_four_cc = |kind, body: Vec<u8>| match (kind, &body[..]) {
        (PacketKind::Video, [first, packet, payload @ ..]) => match packet {
            1 => [&[0x81 | first & 0x70], &b"avc1"[..], payload].concat(),
            packet => [&[0x80 | first & 0x70 | packet], &b"avc1"[..], &payload[3..]].concat(),
        },
        (PacketKind::Audio, [_, packet, payload @ ..]) => [&[0x90 | packet], &b"mp4a"[..], payload].concat(),
        _ => body,
    };
    let figures = |report: MediaReport| {
        assert_eq!(report.parse_errors, [0; 4]);
        let video = (report.video.medium.frames, report.video.keyframes, report.video.gop_frames, report.video.format);
        (video, report.video.keyframe_interval, report.audio.medium.frames, report.audio.format)
    };
    let file = std::fs::read(&modern).unwrap();
    let unchanged = figures(analyse(&modern));
    assert_eq!(unchanged.0.1, 3);
    assert_eq!(figures(analyse_tags(&file, by_codec_id)), unchanged);
    let [mp3, _] = encode(directory.path(), "mp3", "sine=r=48000 -c:a libmp3lame -ac 2");
    let file = std::fs::read(&mp3).unwrap();
    let mp3_by_four_cc = |kind, body: Vec<u8>| match (kind, &body[..]) {
        (PacketKind::Audio, [_, payload @ ..]) => [&b"\x91.mp3"[..], payload].concat(),
        _ => body,
    };
    let audio = |report: MediaReport| (report.parse_errors, report.audio.medium.frames, report.audio.format);
    assert_eq!(audio(analyse_tags(&file, mp3_by_four_cc)), audio(analyse(&mp3)));
    let file = std::fs::read(&legacy).unwrap();
    let unchanged = figures(analyse(&legacy));
    assert!(unchanged.2 > 10);
    assert_eq!(figures(analyse_tags(&file, by_four_cc)), unchanged);
}

/// VP8 comes from an IVF file (32 bytes of header, 12 before each frame), with and without a configuration record.
#[test]
fn vp8_facts() {
    for (name, arguments) in [
        ("small", "testsrc2=s=320x180:r=25 -c:v libvpx -deadline realtime -cpu-used 8 -pix_fmt yuv420p -g 5"),
        ("odd", "testsrc2=s=643x359:r=30 -c:v libvpx -deadline realtime -cpu-used 8 -pix_fmt yuv420p"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name).with_extension("ivf");
        ffmpeg(&format!("{arguments} -t 0.5 {}", path.display()));
        let probed = probe(&[&path]);
        let file = std::fs::read(&path).unwrap();
        let start = std::time::Instant::now();
        for record in [None, Some(b"\x90vp08\x01\0\0\0\0\x0a\x82\x02\x02\x02\0\0")] {
            let mut analyzer = StreamAnalyzer::new(settings());
            analyzer.start_session(start);
            let mut send = |body: &[u8], timestamp| {
                let (length, head) = (body.len() as u32, &body[..body.len().min(MediaPacket::HEAD)]);
                analyzer.handle_packet(start, &MediaPacket { kind: PacketKind::Video, timestamp, length, head });
            };
            record.into_iter().for_each(|record| send(record, 0));
            let (mut rest, mut timestamp) = (&file[32..], 0);
            while let [s0, s1, s2, s3, _, _, _, _, _, _, _, _, tail @ ..] = rest {
                let (frame, after) = tail.split_at(u32::from_le_bytes([*s0, *s1, *s2, *s3]) as usize);
                let first = if frame[0] & 1 == 0 { 0x91 } else { 0xa1 };
                send(&[&[first], &b"vp08"[..], frame].concat(), timestamp);
                (rest, timestamp) = (after, timestamp + 40);
            }
            let report = analyzer.report(start);
            assert_eq!((report.parse_errors, report.parameter_changes), ([0; 4], 0), "{name}");
            let format = report.video.format.clone().unwrap();
            assert_eq!(format.level, if record.is_some() { "1.0" } else { "" });
            let mut report = report;
            // An IVF file does not say the range.
            report.video.format.as_mut().unwrap().colour = Default::default();
            let mut theirs = probed[0][0].clone();
            theirs["profile"] = "".into();
            assert_video(name, &path, &report, &theirs);
        }
    }
}
