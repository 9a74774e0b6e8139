//! Both engines on one stream.

use std::time::Duration;

use serde_json::Value;

use crate::harness::nginx::Nginx;
use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{Monitor, eventually};

#[test]
fn both_engines_measure_the_same_of_a_stream() {
    let nginx = Nginx::start("application live { live on; }");
    let _publisher = nginx.publish("live/cam", &Recording::of(PLAIN));
    let url = nginx.url("live/cam");
    let monitor = Monitor::start(&format!(
        "streams:\n  - {{ name: native, url: \"{url}\", rise: 0s }}\n  - {{ name: libav, url: \"{url}\", engine: libav, rise: 0s }}\n"
    ));
    let limit = Duration::from_secs(60);
    let measured = |value: &Value| value.as_f64();
    // Compared at the same moment once both have filled their windows.
    let (native, libav) = eventually("both are measured", limit, || {
        let pair = (monitor.stream("native"), monitor.stream("libav"));
        let full = |stream: &Value| {
            let video = &stream["media"]["video"];
            (measured(&video["bitrate_bps"])? > 0.0
                && video["gop_frames"].as_u64()? > 0
                && stream["media"]["warm"] == true)
                .then_some(())
        };
        full(&pair.0).and(full(&pair.1)).map(|()| pair)
    });
    println!("native {}\nlibav  {}", native["media"]["video"], libav["media"]["video"]);
    for figure in ["frames_per_second", "gop_frames", "keyframe_interval_seconds", "width_pixels", "height_pixels"] {
        close(figure, &native["media"]["video"][figure], &libav["media"]["video"][figure]);
    }
    // Whole groups of pictures are measured, and an FLV tag has some bytes that no frame has.
    let rate = |stream: &Value| measured(&stream["media"]["video"]["bitrate_bps"]).unwrap();
    println!("video: native {:.0} libav {:.0} bit/s", rate(&native), rate(&libav));
    for (medium, fields) in
        [("video", ["codec", "profile", "level"]), ("audio", ["codec", "sample_rate_hz", "channels"])]
    {
        for field in fields {
            assert_eq!(native["media"][medium][field], libav["media"][medium][field], "{medium} {field}");
        }
    }
    // Over the same ten seconds, both have counted the same.
    let counts = |name: &str| {
        let video = &monitor.stream(name)["media"]["video"];
        [&video["frames"], &video["keyframes"], &video["bytes"]].map(|value| value.as_f64().unwrap())
    };
    let before = (counts("native"), counts("libav"));
    eventually("ten more seconds have been counted", limit, || {
        (counts("native")[0] >= before.0[0] + 10.0 * f64::from(PLAIN.fps)).then_some(())
    });
    let after = (counts("native"), counts("libav"));
    let grown = |before: [f64; 3], after: [f64; 3]| [0, 1, 2].map(|index| after[index] - before[index]);
    let (native, libav) = (grown(before.0, after.0), grown(before.1, after.1));
    println!("frames, keyframes, bytes: native {native:?} libav {libav:?}");
    // Reports are half a second apart at most.
    assert!((native[0] - libav[0]).abs() <= 0.6 * f64::from(PLAIN.fps), "frames {native:?} {libav:?}");
    assert!((native[1] - libav[1]).abs() <= 1.0, "keyframes {native:?} {libav:?}");
    assert!(
        (native[2] / native[0] / (libav[2] / libav[0]) - 1.0).abs() < 0.05,
        "bytes of a frame {native:?} {libav:?}"
    );
}

fn close(figure: &str, native: &Value, libav: &Value) {
    let (native, libav) = (native.as_f64().unwrap(), libav.as_f64().unwrap());
    assert!((native - libav).abs() <= native * 0.01, "{figure}: native {native}, libav {libav}");
}
