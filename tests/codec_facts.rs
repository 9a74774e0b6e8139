//! What files say that no publication of tests/conformance can show.

mod publisher;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use publisher::{analyse, settings};
use rtmp_hmonitor::media::StreamAnalyzer;
use rtmp_hmonitor::model::{MediaPacket, PacketKind};
use serde_json::Value;

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install -y ffmpeg"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Encodes one second of test picture and tone.
fn encode(directory: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = directory.join(name).with_extension("flv");
    let (mut inputs, mut outputs) = (vec!["-v", "error", "-y"], Vec::new());
    for argument in arguments.split_whitespace() {
        match argument.split_once('=') {
            Some(("testsrc2", _)) => inputs.extend(["-f", "lavfi", "-i", argument]),
            Some(("sine", _)) => inputs.extend(["-f", "lavfi", "-i", argument]),
            _ => outputs.push(argument),
        }
    }
    outputs.extend(["-t", "1", "-f", "flv", path.to_str().unwrap()]);
    run("ffmpeg", &[inputs, outputs].concat());
    path
}

fn probe(path: &Path) -> Vec<Value> {
    let arguments = ["-v", "error", "-show_streams", "-of", "json", path.to_str().unwrap()];
    let json: Value = serde_json::from_slice(&run("ffprobe", &arguments).stdout).unwrap();
    json["streams"].as_array().unwrap().clone()
}

#[test]
fn the_frame_rate_that_a_bitstream_declares() {
    let directory = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("slow", "testsrc2=s=160x120:r=10 -c:v libx264 -pix_fmt yuv420p"),
        ("film", "testsrc2=s=320x240:r=24000/1001 -c:v libx264 -pix_fmt yuv420p"),
        ("interlaced", "testsrc2=s=720x576:r=25 -c:v libx264 -pix_fmt yuv420p -flags +ildct+ilme"),
        ("fast", "testsrc2=s=320x240:r=50 -c:v libx264 -pix_fmt yuv444p"),
    ] {
        let path = encode(directory.path(), name, arguments);
        let declared = analyse(&path).video.format.unwrap().frame_rate.expect(name);
        let probed = probe(&path);
        let (numerator, denominator) = probed[0]["r_frame_rate"].as_str().unwrap().split_once('/').unwrap();
        let rate = numerator.parse::<f64>().unwrap() / denominator.parse::<f64>().unwrap();
        assert!((declared / rate - 1.0).abs() < 0.001, "{name}: {declared} {rate}");
    }
}

#[test]
fn keyframes_and_declared_rates() {
    let directory = tempfile::tempdir().unwrap();
    let report = analyse(&encode(
        directory.path(),
        "gop",
        "testsrc2=s=320x240:r=25 sine=f=440 -c:v libx264 -pix_fmt yuv420p -g 5 -sc_threshold 0 -b:v 300k -c:a aac -b:a 96k",
    ));
    assert_eq!((report.video.keyframes, report.video.gop_frames), (5, Some(5)));
    assert_eq!(report.video.keyframe_interval, Some(publisher::ms(200)));
    assert_eq!(report.video.declared_frames_per_second, Some(25.0));
    // FFmpeg's muxer takes 1024 for a thousand.
    let declared = report.video.medium.declared_bytes_per_second.unwrap();
    assert!((declared - 300_000.0 / 8.0 * 1000.0 / 1024.0).abs() < 1.0, "{declared}");
    assert!(report.audio.medium.declared_bytes_per_second.is_some());
}

/// No free encoder writes HE-AAC: the configuration of a real file is replaced by each way of signalling it. ffprobe then tells
/// the output rate; the profile it takes from the frames, which are still LC.
#[test]
fn high_efficiency_aac_has_the_rate_that_comes_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = encode(directory.path(), "lc", "sine=f=440:r=22050 -c:a aac -ac 1");
    let file = std::fs::read(&path).unwrap();
    let config = file.windows(3).position(|w| w[..2] == [0xaf, 0] && w[2] >> 3 == 2).expect("an AAC sequence header");
    let length = u32::from_be_bytes([0, file[config - 10], file[config - 9], file[config - 8]]) as usize;
    for (record, profile) in [
        (&[0x2b, 0x8a, 0x08, 0x00][..], "he-aac"),
        (&[0xeb, 0x8a, 0x08, 0x00], "he-aacv2"),
        (&[0x13, 0x88, 0x56, 0xe5, 0xa0], "he-aac"),
        (&[0x13, 0x88, 0x56, 0xe5, 0xa5, 0x48, 0x80], "he-aacv2"),
    ] {
        let mut changed = file[..config + 2].to_vec();
        changed[config - 8] = record.len() as u8 + 2;
        changed.extend_from_slice(record);
        changed.extend_from_slice(&(record.len() as u32 + 13).to_be_bytes());
        changed.extend_from_slice(&file[config + length + 4..]);
        let path = directory.path().join("he.flv");
        std::fs::write(&path, changed).unwrap();
        let ours = analyse(&path).audio.format.unwrap();
        assert_eq!(ours.profile, profile, "{record:02x?}");
        assert_eq!(
            ours.sample_rate.unwrap().to_string(),
            probe(&path)[0]["sample_rate"].as_str().unwrap(),
            "{record:02x?}"
        );
    }
}

#[test]
fn a_changed_format_is_counted_once_and_across_sessions() {
    let start = std::time::Instant::now();
    let mut analyzer = StreamAnalyzer::new(settings());
    let config = |analyzer: &mut StreamAnalyzer, body: &[u8], kind| {
        analyzer.handle_packet(start, &MediaPacket { kind, timestamp: 0, length: body.len() as u32, head: body });
    };
    analyzer.start_session(start);
    config(&mut analyzer, publisher::AVC_CONFIG, PacketKind::Video);
    config(&mut analyzer, publisher::AAC_CONFIG, PacketKind::Audio);
    config(&mut analyzer, publisher::AVC_CONFIG, PacketKind::Video);
    assert_eq!(analyzer.report(start).parameter_changes, 0);
    assert!(analyzer.take_urgent());
    analyzer.end_session(start);
    analyzer.start_session(start);
    config(&mut analyzer, publisher::AVC_CONFIG, PacketKind::Video);
    assert_eq!((analyzer.report(start).parameter_changes, analyzer.take_urgent()), (0, false));
    config(&mut analyzer, &[0xaf, 0, 0x11, 0x88], PacketKind::Audio);
    assert_eq!((analyzer.report(start).parameter_changes, analyzer.take_urgent()), (1, true));
    config(&mut analyzer, b"\x93hvc1xx", PacketKind::Video);
    assert_eq!(analyzer.report(start).parameter_changes, 2);
}

#[test]
fn broken_messages_are_counted_by_kind_and_change_nothing() {
    let start = std::time::Instant::now();
    let mut analyzer = StreamAnalyzer::new(settings());
    analyzer.start_session(start);
    let mut send = |kind, body: &[u8]| {
        analyzer.handle_packet(start, &MediaPacket { kind, timestamp: 0, length: body.len() as u32, head: body });
    };
    send(PacketKind::Video, publisher::AVC_CONFIG);
    send(PacketKind::Video, &[0x17, 0, 0, 0, 0, 1, 0x64]);
    send(PacketKind::Audio, &[0xaf, 0]);
    send(PacketKind::Video, &[0x17]);
    send(PacketKind::Data, b"\x02\x00\x0aonMetaData\x08");
    let report = analyzer.report(start);
    assert_eq!(report.parse_errors, [1, 1, 1, 1]);
    assert_eq!(report.video.format.unwrap().width, Some(1280));
    assert_eq!((report.video.medium.frames, report.parameter_changes), (0, 0));
}
