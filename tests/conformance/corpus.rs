//! The files that are published, and their publishers.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{mortal, program};
use crate::media_reference;
use crate::rows::{By, Row, expand};

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
    (&arguments, row.whole, SECONDS, TIMES, ffmpeg(row.by)).hash(&mut hasher);
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
    let once = file()?;
    quietly(row.by, &[arguments, vec!["-t".to_owned(), seconds.to_string()], to(&once)].concat())?;
    let finished = if row.whole {
        once
    } else {
        let repeated = file()?;
        let input = format!("-stream_loop {} -i", TIMES - 1);
        let input = input.split(' ').chain([once.path().to_str().expect("a path in UTF-8"), "-c", "copy"]);
        quietly(row.by, &[input.map(str::to_owned).collect(), to(&repeated)].concat())?;
        repeated
    };
    finished.persist(&path).map_err(|error| error.to_string())?;
    Ok(path)
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
pub struct Camera(Child);

impl Camera {
    pub fn start(by: By, file: &Path, url: &str) -> Self {
        let mut command = mortal("env", "coreutils");
        command.arg(ffmpeg(by)).args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(file);
        command.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Whether it has come to the end, or failed.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
