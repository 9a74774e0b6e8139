//! The files that are published, and their publishers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::harness::{mortal, program};
use crate::media_reference;
use crate::ours;
use crate::rows::{By, Row, Wrap, expand};
use crate::wrapped;

/// What is encoded of most rows.
const SECONDS: u32 = 4;
/// How often that is repeated. All of it lasts longer than rates need to be measured.
const TIMES: u32 = 6;

fn ffmpeg(by: By) -> PathBuf {
    match by {
        By::Debian => program("ffmpeg", "ffmpeg"),
        By::Modern => media_reference::ffmpeg().to_owned(),
    }
}

/// Runs ffmpeg in the background of everything else; its complaints where it fails.
fn quietly(by: By, arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(program("nice", "coreutils"));
    command.args(["-n", "19"]).arg(ffmpeg(by)).args(["-nostdin", "-loglevel", "error", "-y"]).args(arguments);
    let output = command.env("SVT_LOG", "1").output().map_err(|error| error.to_string())?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(complaint) }
}

/// The file of a row. It is kept between test runs.
pub fn encoded(row: &Row) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let arguments = expand(row.arguments);
    let mut hasher = DefaultHasher::new();
    (&arguments, row.whole, row.wrap, SECONDS, TIMES, ffmpeg(row.by)).hash(&mut hasher);
    let name = row.name.replace(':', "");
    let path = directory.join(format!("conformance-{name}-{:016x}.flv", hasher.finish()));
    if path.exists() {
        return Ok(path);
    }
    let file = || tempfile::Builder::new().suffix(".flv").tempfile_in(directory).map_err(|error| error.to_string());
    let to = |file: &tempfile::NamedTempFile| {
        ["-f", "flv", file.path().to_str().expect("a path in UTF-8")].map(str::to_owned).to_vec()
    };
    let seconds = if row.whole { SECONDS * TIMES } else { SECONDS };
    if row.wrap == Wrap::Vp8 {
        let ivf = path.with_extension("ivf");
        let output = ["-f", "ivf", ivf.to_str().expect("a path in UTF-8")].map(str::to_owned);
        quietly(row.by, &[arguments, vec!["-t".to_owned(), seconds.to_string()], output.to_vec()].concat())?;
        let finished = file()?;
        wrapped::vp8(&ivf, finished.path());
        finished.persist(&path).map_err(|error| error.to_string())?;
        return Ok(path);
    }
    let once = file()?;
    quietly(row.by, &[arguments, vec!["-t".to_owned(), seconds.to_string()], to(&once)].concat())?;
    let finished = if row.whole {
        once
    } else {
        let repeated = file()?;
        let input = format!("-stream_loop {} -i", TIMES - 1);
        let input = input.split(' ').chain([once.path().to_str().expect("a path in UTF-8"), "-map", "0", "-c", "copy"]);
        quietly(row.by, &[input.map(str::to_owned).collect(), to(&repeated)].concat())?;
        repeated
    };
    if let Wrap::Record(record) = row.wrap {
        wrapped::with_record(finished.path(), record);
    }
    finished.persist(&path).map_err(|error| error.to_string())?;
    Ok(path)
}

/// The file that FFmpeg's libraries can read: what they cannot read in FLV stands beside it.
pub fn known(path: &Path) -> PathBuf {
    let ivf = path.with_extension("ivf");
    if ivf.exists() { ivf } else { path.to_owned() }
}

/// The colour of the first video stream's own bitstream, as range, matrix, primaries and transfer; `None` without video. In FLV
/// FFmpeg takes a colour that is left out for one.
pub fn colour(path: &Path) -> Option<String> {
    let path = known(path);
    let codec = media_reference::printed_codec(&path)?;
    let raw = tempfile::Builder::new().tempfile().unwrap();
    let format = if ["vp8", "vp9", "av1"].contains(&&*codec) { "ivf" } else { &codec };
    let arguments = ["-i", path.to_str()?, "-map", "0:v:0", "-c", "copy", "-f", format, raw.path().to_str()?];
    // Of the codecs of old there is no bitstream by itself, and nothing of colour in it.
    quietly(By::Modern, &arguments.map(str::to_owned)).ok()?;
    Some(media_reference::printed_colour(raw.path()).join("/"))
}

/// Why neither ffmpeg makes an FLV file of this, the later one's last word.
///
/// # Panics
/// Where one does.
pub fn impossible(name: &str, arguments: &str) -> String {
    let path = tempfile::Builder::new().suffix(".flv").tempfile().unwrap();
    let output = format!("-t 1 -f flv {}", path.path().display());
    let arguments = [expand(arguments), output.split(' ').map(str::to_owned).collect()].concat();
    let [_, said] = [By::Debian, By::Modern].map(|by| {
        quietly(by, &arguments).expect_err(&format!("{name}: {by:?}'s ffmpeg can publish this: it needs a row"))
    });
    let known = ["Unknown encoder", "not compatible with flv"];
    let line = said.lines().find(|line| known.iter().any(|known| line.contains(known)));
    line.unwrap_or_else(|| panic!("{name} fails for another reason: {said}")).split("] ").last().unwrap().to_owned()
}

/// A camera that sends a file once, in real time. Gone when dropped.
pub enum Camera {
    Ffmpeg(Child),
    Ours { stop: Arc<AtomicBool>, thread: Option<JoinHandle<()>> },
}

impl Camera {
    pub fn start(row: &Row, file: &Path, url: &str) -> Self {
        if row.wrap == Wrap::Vp8 {
            let (file, url, stop) = (file.to_owned(), url.to_owned(), Arc::new(AtomicBool::new(false)));
            let stopped = Arc::clone(&stop);
            let thread = std::thread::spawn(move || ours::publish(&file, &url, &stopped));
            return Self::Ours { stop, thread: Some(thread) };
        }
        let mut command = mortal("env", "coreutils");
        command.arg(ffmpeg(row.by)).args(["-nostdin", "-loglevel", "error", "-re"]);
        if row.by == By::Modern {
            // As a camera does and Debian's FFmpeg: what could not be sent in time is sent at once.
            command.args(["-readrate_catchup", "100"]);
        }
        command.arg("-i").arg(file);
        command.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
        Self::Ffmpeg(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Whether it has come to the end, or failed.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Self::Ffmpeg(child) => child.try_wait().unwrap().is_some(),
            Self::Ours { thread, .. } => thread.as_ref().is_none_or(JoinHandle::is_finished),
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        match self {
            Self::Ffmpeg(child) => {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Ours { stop, thread } => {
                stop.store(true, Ordering::Relaxed);
                // What it panics with has been printed.
                let _ = thread.take().map(JoinHandle::join);
            }
        }
    }
}
