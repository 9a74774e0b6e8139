//! Media servers that cameras push to: nginx with the RTMP module, or the simulator, which can be told to relay nothing.

use std::path::{Path, PathBuf};

use crate::PATIENCE;
use crate::harness::{eventually, http, signal};
use crate::machine::{Machine, Program, file};

pub const RTMP: u16 = 1935;
pub const WEB: u16 = 8080;
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

pub struct Slave {
    pub machine: Machine,
    program: Program,
    directory: PathBuf,
    simulated: bool,
}

impl Slave {
    /// nginx, with its manners of most sites: a publisher that says nothing keeps its name for ten seconds.
    pub fn nginx(machine: Machine, parent: &Path) -> Self {
        let directory = parent.join(machine.name);
        std::fs::create_dir(&directory).unwrap();
        let module = file(MODULE, "libnginx-mod-rtmp");
        let temporary =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|t| format!("{t}_temp_path {t};")).concat();
        let config = format!(
            "load_module {};\nuser root; daemon off; worker_processes 1; pid nginx.pid; error_log error.log info;\n\
             events {{ worker_connections 256; }}\n\
             rtmp {{ server {{ listen {RTMP}; ping 5s; ping_timeout 5s; timeout 15s; drop_idle_publisher 10s;\n\
             application live {{ live on; }} }} }}\n\
             http {{ access_log off; {temporary} server {{ listen {WEB};\n\
             location /stat {{ rtmp_stat all; }} location /control {{ rtmp_control all; }} }} }}\n",
            module.display()
        );
        std::fs::write(directory.join("nginx.conf"), config).unwrap();
        let program = start_nginx(&machine, &directory);
        Self { machine, program, directory, simulated: false }
    }

    /// The simulator: relays what is published.
    pub fn sim(machine: Machine, parent: &Path) -> Self {
        let directory = parent.join(machine.name);
        std::fs::create_dir(&directory).unwrap();
        let address = machine.address;
        let mut command = machine.command_at(Path::new(env!("CARGO_BIN_EXE_rtmp-hmonitor")));
        command.args(["sim", "--listen", &format!("{address}:{RTMP}"), "--control", &format!("{address}:{WEB}")]);
        command.args(["--cameras", "unused"]);
        let program = Program::start(command, &directory.join("log"));
        let slave = Self { machine, program, directory, simulated: true };
        slave.wait_for_web("/cameras");
        slave
    }

    fn wait_for_web(&self, path: &str) {
        let address = (self.machine.address, WEB).into();
        eventually("a slave's web server", PATIENCE, || {
            http(address, "GET", path, &[], "").ok().filter(|answer| answer.status == 200)
        });
    }

    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    /// Of the simulator: it goes on accepting publishers and players, and hands nothing on.
    pub fn relay_nothing(&self) {
        let address = (self.machine.address, WEB).into();
        let answer = http(address, "PUT", "/cameras/*/fault", &[], r#"{"kind":"stall"}"#).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts nginx again.
    pub fn start_again(&mut self) {
        self.program = start_nginx(&self.machine, &self.directory);
    }

    pub fn freeze(&self) {
        self.program.freeze();
    }

    /// `nginx -s reload`: a new worker takes over, the old one serves those it has.
    pub fn reload(&self) {
        let workers = self.program.processes().len();
        signal(self.program.main(), "HUP");
        eventually("a second worker", PATIENCE, || (self.program.processes().len() > workers).then_some(()));
    }

    /// How many publications it has accepted so far.
    pub fn publications(&self) -> usize {
        self.log().matches(" publish: ").count()
    }

    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        [read("error.log"), read("log")].concat()
    }
}

fn start_nginx(machine: &Machine, directory: &Path) -> Program {
    let mut command = machine.command("nginx", "nginx");
    command.arg("-p").arg(directory).args(["-c", "nginx.conf", "-e", "error.log"]);
    let program = Program::start(command, &directory.join("log"));
    eventually("a slave's web server", PATIENCE, || {
        http((machine.address, WEB).into(), "GET", "/stat", &[], "").ok().filter(|answer| answer.status == 200)
    });
    program
}
