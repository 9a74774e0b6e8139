//! Servers of anything but RTMP.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::recording::{PLAIN, Recording};
use crate::harness::{eventually, mortal, program};

/// GStreamer's RTSP server, which plays a file at the pace it was recorded.
const RTSP: &str = r#"
import sys, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
port, path, mount = sys.argv[1:4]
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! rtph264pay config-interval=-1 name=pay0 pt=96 "
                   "d.audio_0 ! queue ! rtpmp4gpay name=pay1 pt=97 )")
factory.set_shared(True)
mount, _, guarded = mount.partition("?")
server.get_mount_points().add_factory(mount, factory)
if guarded:
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "camera")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("camera", "password"), token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.from_string("camera, media.factory.access=true, media.factory.construct=true")[0])
if not server.attach(None):
    sys.exit("cannot listen")
GLib.MainLoop().run()
"#;

/// A process that ends with this.
pub struct Server(Child);

impl Server {
    /// One that is ready when it has said this.
    pub fn said(command: &mut Command, ready: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), ready);
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory with the recording in it, both for everybody to read: workers are nobody.
pub fn published(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join(name);
    let mut command = Command::new(program("ffmpeg", "ffmpeg"));
    command.args(["-nostdin", "-loglevel", "error", "-i"]).arg(Recording::of(PLAIN).path).args(["-c", "copy"]);
    assert!(command.arg(&path).status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    (directory, path)
}

/// Serves the file at `rtsp://127.0.0.1:port/mount`, over TCP and UDP. `?guarded` behind the mount: for user `camera` with `password`.
pub fn rtsp(port: u16, file: &Path, mount: &str) -> Server {
    let python = Path::new("/usr/bin/python3");
    let has = Command::new(python).args(["-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]).output();
    assert!(
        has.is_ok_and(|output| output.status.success()),
        "GStreamer's RTSP server is missing: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    );
    let mut command = Command::new(program("setpriv", "util-linux"));
    command.args(["--pdeathsig", "KILL"]).arg(python).args(["-c", RTSP, &port.to_string()]).arg(file).arg(mount);
    let server = Server(command.stdin(Stdio::null()).spawn().unwrap());
    eventually("the RTSP server listens", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
    });
    server
}

/// ffmpeg that sends the recording, over and over, to where `output` says.
pub fn ffmpeg(output: &[&str]) -> Server {
    send(&Recording::of(PLAIN).path, output)
}

/// The same of another file.
pub fn send(file: &Path, output: &[&str]) -> Server {
    let mut command = mortal("ffmpeg", "ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i"]);
    command.arg(file).args(["-c", "copy"]).args(output);
    Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A UDP port that was free a moment ago.
pub fn udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The port of a server that takes connections and says nothing, as long as the tests run.
pub fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    port
}
