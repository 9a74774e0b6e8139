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
use std::path::PathBuf;
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

/// What is published of a row, and what is known of it.
struct File {
    path: PathBuf,
    reference: Reference,
}

impl File {
    fn of(row: &Row) -> Result<Self, String> {
        let path = corpus::encoded(row)?;
        let reference = match row.by {
            By::Debian => Reference::by_ffprobe(&path),
            By::Modern => {
                let said = media_reference::probe(&[&corpus::known(&path)]);
                Reference::by_libraries(&said[0], corpus::colour(&path))
            }
        };
        Ok(Self { path, reference })
    }
}

/// A publication that goes on.
struct OnAir {
    row: &'static Row,
    reference: Reference,
    camera: Camera,
    since: Instant,
    /// The monitor's newest word about all of it.
    measured: Option<Value>,
}

impl OnAir {
    fn start(row: &'static Row, File { path, reference }: File, url: &str) -> Self {
        Self { row, reference, camera: Camera::start(row, &path, url), since: Instant::now(), measured: None }
    }

    /// What the monitor says once it has measured. A rate that differs is looked at again until the camera has ended: where a publisher
    /// gets no processor for a moment, what arrives is not what the file says.
    fn look(&mut self, monitor: &Monitor) -> Option<Result<Value, String>> {
        let ended = self.camera.has_ended();
        if self.since.elapsed() < WARM_UP && !ended {
            return None;
        }
        let stream = monitor.stream(&key(self.row));
        let mut fits = false;
        let [health, causes, connection] = ["health", "causes", "connection"].map(|key| stream[key].to_string());
        if is_measured(&stream) {
            fits = facts::differences(self.row, &stream, &self.reference).is_empty();
            self.measured = Some(stream);
        }
        let unmeasured = || format!("not measured when the camera had ended: {health} {causes} {connection}");
        (fits || ended).then(|| self.measured.take().ok_or_else(unmeasured))
    }
}

/// What the monitor said, and what FFmpeg does; or why there is no such thing.
type Seen = Result<(Value, Reference), String>;

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
    println!("{:<16} {:<7} {:<76} {:<28} frames/s (the file's) GOP: frames, seconds", "row", "by", "video", "audio");
    let mut wrong = Vec::new();
    for row in ROWS {
        let outcome = seen.remove(row.name).unwrap().map(|(stream, reference)| {
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
    let mut on_air: Vec<OnAir> = Vec::new();
    let mut all_come = false;
    while !all_come || !on_air.is_empty() {
        std::thread::sleep(LOOK);
        while on_air.len() < MOST_ON_AIR && !all_come {
            match files.try_recv() {
                Ok((row, Ok(file))) => on_air.push(OnAir::start(row, file, &url(row))),
                Ok((row, Err(reason))) => drop(seen.insert(row.name, Err(reason))),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => all_come = true,
            }
        }
        for mut watched in std::mem::take(&mut on_air) {
            match watched.look(monitor) {
                None => on_air.push(watched),
                Some(said) => drop(seen.insert(watched.row.name, said.map(|stream| (stream, watched.reference)))),
            }
        }
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
