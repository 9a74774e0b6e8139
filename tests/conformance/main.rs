//! Every codec, size, rate and shape of GOP that ffmpeg can publish: what the monitor says about a publication is what FFmpeg says
//! about the file.
//!
//! A camera of each row publishes to the simulated origin, the monitor plays from its first frame on, and the stream's document
//! is held against ffprobe's word on the same file, or a present-day FFmpeg's where Debian's ffprobe misnames enhanced codecs.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../media_reference/mod.rs"]
mod media_reference;
#[path = "../process/mod.rs"]
mod process;

mod corpus;
mod facts;
mod ours;
mod rows;
mod wrapped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use corpus::Camera;
use facts::Reference;
use harness::{Monitor, metric};
use process::Origin;
use rows::{By, IMPOSSIBLE, ROWS, Row};
use serde_json::Value;

/// Before this, no rate is measured.
const WARM_UP: Duration = Duration::from_secs(10);
/// How often the monitor is asked about a publication.
const LOOK: Duration = Duration::from_millis(100);

/// How many publications go on at the same time: one processor's worth of ffmpeg, at most.
const MOST_ON_AIR: usize = 24;

/// A publication that goes on.
struct OnAir<'r> {
    row: &'r Row,
    camera: Camera,
    since: Instant,
}

/// What is published of a row, and what is known of it, unless a present-day FFmpeg is to be asked.
struct File {
    path: PathBuf,
    /// What a present-day FFmpeg says of the bitstream alone.
    colour: Option<String>,
    reference: Option<Reference>,
}

impl File {
    fn of(row: &Row) -> Result<Self, String> {
        let path = corpus::encoded(row)?;
        let reference = (row.by == By::Debian).then(|| Reference::by_ffprobe(&path));
        let colour = if row.by == By::Modern { corpus::colour(&path) } else { None };
        Ok(Self { path, colour, reference })
    }
}

/// What became of a row.
struct Seen {
    /// `None` where it could not be encoded.
    file: Option<File>,
    /// What the monitor said once it had measured.
    stream: Result<Value, String>,
}

#[test]
fn what_the_monitor_says_of_a_publication_is_what_ffmpeg_says_of_the_file() {
    let origin = Origin::start("");
    let url = |row: &Row| origin.url(&key(row));
    let streams: String =
        ROWS.iter().map(|row| format!("  - {{ name: {}, url: \"{}\" }}\n", key(row), url(row))).collect();
    // All are connected before their cameras come, which takes as long as encoding.
    let monitor = Monitor::start(&format!(
        "supervisor: {{ connects_per_second_per_origin: 1000 }}\n\
         defaults: {{ connect_timeout: 1m, first_media_timeout: 1h, stall_timeout: 10s, rise: 0s, fall: 0s, expect: {{ video: optional }} }}\nstreams:\n{streams}"
    ));
    let next = AtomicUsize::new(0);
    let mut seen = std::thread::scope(|scope| {
        let (encoded, files) = mpsc::channel();
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let (encoded, next) = (encoded.clone(), &next);
            scope.spawn(move || {
                while let Some(row) = ROWS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    encoded.send((row, File::of(row))).unwrap();
                }
            });
        }
        drop(encoded);
        published(&monitor, &url, &files)
    });
    let metrics = monitor.metrics();
    let unknown = ROWS.iter().filter_map(|row| seen[row.name].file.as_ref().filter(|file| file.reference.is_none()));
    let paths: Vec<PathBuf> = unknown.map(|file| corpus::known(&file.path)).collect();
    let paths: Vec<&Path> = paths.iter().map(|path| &**path).collect();
    let mut said = media_reference::probe(&paths).into_iter();
    println!("{:<16} {:<7} {:<76} {:<28} frames/s (the file's) GOP: frames, seconds", "row", "by", "video", "audio");
    let mut wrong = Vec::new();
    for row in ROWS {
        let Seen { file, stream } = seen.remove(row.name).unwrap();
        let told =
            |file: File| file.reference.unwrap_or_else(|| Reference::by_libraries(&said.next().unwrap(), file.colour));
        let reference = file.map(told);
        let outcome = stream.map(|stream| {
            let reference = reference.unwrap();
            println!("{}", facts::line(row, &stream, &reference));
            facts::differences(row, &stream, &reference)
        });
        let mut different = outcome.unwrap_or_else(|reason| vec![reason]);
        let errors = metric(&metrics, "hmonitor_stream_parse_errors_total", &[&format!("stream=\"{}\"", key(row))]);
        if errors.is_some_and(|errors| errors > 0.0) {
            different.push(format!("{errors:?} parse errors"));
        }
        for (fact, value, why) in row.but {
            println!("{:<16}         {fact} is {value:?} on purpose: {why}", "");
        }
        wrong.extend(different.iter().map(|text| format!("{}: {text}", row.name)));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Publishes every file as it comes, and watches each publication until its rates are measured.
fn published(
    monitor: &Monitor,
    url: &dyn Fn(&Row) -> String,
    files: &mpsc::Receiver<(&'static Row, Result<File, String>)>,
) -> BTreeMap<&'static str, Seen> {
    let mut seen = BTreeMap::new();
    let mut on_air: Vec<OnAir<'_>> = Vec::new();
    while seen.len() < ROWS.len() || !on_air.is_empty() {
        std::thread::sleep(LOOK);
        while on_air.len() < MOST_ON_AIR
            && let Ok((row, file)) = files.try_recv()
        {
            let stream = Err(file.as_ref().err().cloned().unwrap_or_else(|| "not measured".to_owned()));
            let file = file.ok();
            if let Some(file) = &file {
                let camera = Camera::start(row, &file.path, &url(row));
                on_air.push(OnAir { row, camera, since: Instant::now() });
            }
            seen.insert(row.name, Seen { file, stream });
        }
        on_air.retain_mut(|OnAir { row, camera, since }| {
            let ended = camera.has_ended();
            if since.elapsed() < WARM_UP && !ended {
                return true;
            }
            let stream = monitor.stream(&key(row));
            let measured = is_measured(&stream);
            if measured || ended {
                let unmeasured = || {
                    let [health, causes, connection] = ["health", "causes", "connection"].map(|key| &stream[key]);
                    format!("not measured when the camera had ended: {health} {causes} {connection}")
                };
                seen.get_mut(row.name).unwrap().stream = if measured { Ok(stream) } else { Err(unmeasured()) };
            }
            !measured && !ended
        });
    }
    seen
}

/// A stream's name, which is its key as well.
fn key(row: &Row) -> String {
    row.name.replace(':', "")
}

/// Whether every medium that is there has its rate, and nothing is wrong with the stream.
fn is_measured(stream: &Value) -> bool {
    let media = &stream["media"];
    let rate = |medium: &Value| medium["frames"] == 0 || medium["bitrate_bps"].as_f64().is_some_and(|rate| rate > 0.0);
    stream["health"] == "up" && media["warm"] == true && rate(&media["video"]) && rate(&media["audio"])
}

#[test]
fn what_no_ffmpeg_can_publish_is_known() {
    for (name, arguments) in IMPOSSIBLE {
        println!("{name:<16} no encoder: {}", corpus::impossible(name, arguments));
    }
}
