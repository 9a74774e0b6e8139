//! The real monitor as a process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Result;
use super::http::{Client, sum};
use super::process::Process;

pub struct Monitor {
    pub process: Process,
    pub listen: SocketAddr,
    pub health: SocketAddr,
    pub directory: tempfile::TempDir,
}

impl Monitor {
    /// Watches cameras 1 to `streams` at `origin` (scheme and address). `more` is added to the configuration's defaults, one key a
    /// line, indented by two.
    pub fn start(origin: &str, streams: usize, more: &str) -> Result<Self> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (listen, health) = (free_address()?, free_address()?);
        // Thresholds for everything, so that all that can be judged is judged.
        let text = format!(
            "server: {{ listen: \"{listen}\", health_listen: \"{health}\" }}\n\
             state_file: state.json\n\
             log: {{ format: json, level: warn }}\n\
             supervisor: {{ connects_per_second_per_origin: 500, backoff_max: 1s }}\n\
             defaults:\n\
             \x20 connect_timeout: 20s\n\
             \x20 phase_timeouts: {{ tcp: 10s, tls: 10s, handshake: 10s, connect: 10s, play: 10s }}\n\
             \x20 labels: {{ site: plant-a }}\n\
             \x20 expect:\n\
             \x20   video: {{ codec: h264, width: 640, height: 360, fps: {{ min: 20, max: 30 }}, bitrate: {{ min: 500kbps }}, keyframe_interval: {{ max: 4s }} }}\n\
             \x20   audio: {{ codec: aac, bitrate: {{ min: 32kbps }} }}\n\
             \x20   drift: {{ max: 2s }}\n\
             \x20   av_skew: {{ max: 1s }}\n\
             \x20   jitter: {{ max: 500ms }}\n\
             \x20   timestamp_anomalies: {{ max: 10 }}\n\
             {more}\
             templates:\n\
             \x20 - {{ names: [\"cam-{{1..{streams}}}\"], url: \"{origin}/live/{{name}}\" }}\n"
        );
        let config = directory.path().join("hmonitor.yml");
        std::fs::write(&config, text)?;
        let arguments = ["run", "--config", config.to_str().ok_or("a path that is no text")?];
        let log = directory.path().join("log");
        let process = Process::start(Path::new(env!("CARGO_BIN_EXE_rtmp-hmonitor")), &arguments, Some(&log))?;
        let monitor = Self { process, listen, health, directory };
        let end = Instant::now() + Duration::from_secs(20);
        while Client::connect(health).is_err() {
            if Instant::now() > end {
                return Err(format!("the monitor does not answer: {}", std::fs::read_to_string(log)?).into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(monitor)
    }

    pub fn metrics(&self) -> Result<String> {
        let mut client = Client::connect(self.listen)?;
        Ok(String::from_utf8_lossy(client.get("/metrics")?.body).into_owned())
    }

    /// Waits until `count` streams are up.
    pub fn wait_until_up(&self, count: usize, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let up = sum(&self.metrics()?, "hmonitor_stream_up").0;
            if up >= count as f64 {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("only {up} of {count} streams came up").into());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
