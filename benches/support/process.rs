//! Child processes and what they cost, from /proc.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Result;

/// A child process, killed when dropped.
pub struct Process {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Process {
    /// Starts `program` with as many file descriptors as the hard limit allows. `log` takes what it says on standard error.
    pub fn start<S: AsRef<std::ffi::OsStr>>(program: &Path, arguments: &[S], log: Option<&Path>) -> Result<Self> {
        let stderr = log.map_or(Ok(Stdio::null()), |path| fs::File::create(path).map(Stdio::from))?;
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -S -n \"$(ulimit -H -n)\"; exec \"$@\"", "sh"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        Ok(Self { child, lines })
    }

    /// Starts this very program in a role.
    pub fn role(arguments: &[&str]) -> Result<Self> {
        let log = PathBuf::from(format!("{}/role.log", env!("CARGO_TARGET_TMPDIR")));
        Self::start(&std::env::current_exe()?, &[&["role"], arguments].concat(), Some(&log))
    }

    /// The next line it prints.
    pub fn line(&mut self) -> Result<String> {
        let line = self.lines.as_mut().and_then(|lines| lines.next());
        Ok(line.ok_or("the process ended without a word")??)
    }

    pub fn input(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Processor time so far by thread, in seconds.
    pub fn cpu(&self) -> Result<Cpu> {
        cpu_of(&[self.child.id()])
    }

    /// The same of the processes that it has started and that live.
    pub fn children_cpu(&self) -> Result<Cpu> {
        cpu_of(&self.children()?)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> Result<f64> {
        resident_kib_of(self.child.id())
    }

    /// The same of the processes that it has started, together.
    pub fn children_resident_kib(&self) -> Result<f64> {
        self.children()?.into_iter().map(resident_kib_of).sum()
    }

    fn children(&self) -> Result<Vec<u32>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            // The parent is the second field behind the name in parentheses (proc(5)). A process may end meanwhile.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(1));
            if parent.and_then(|parent| parent.parse().ok()) == Some(self.child.id()) {
                children.push(process);
            }
        }
        Ok(children)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_of(processes: &[u32]) -> Result<Cpu> {
    let mut threads = HashMap::new();
    for process in processes {
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let path = entry?.path();
            // Time on a processor in nanoseconds comes first (Documentation/scheduler/sched-stats.rst). A thread may end meanwhile.
            let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            if let Some(nanos) = text.split_whitespace().next() {
                threads.insert(path, nanos.parse::<f64>()? / 1e9);
            }
        }
    }
    Ok(Cpu(threads))
}

fn resident_kib_of(process: u32) -> Result<f64> {
    // The monitor lets root alone look so closely; what all may see is some pages behind.
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let text = text.or_else(|_| fs::read_to_string(format!("/proc/{process}/status")))?;
    let line = text.lines().find_map(|l| l.strip_prefix("Rss:").or(l.strip_prefix("VmRSS:")));
    let line = line.ok_or("no resident memory is told")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time by thread.
pub struct Cpu(HashMap<PathBuf, f64>);

impl Cpu {
    /// Seconds from `before` to here.
    pub fn since(&self, before: &Cpu) -> f64 {
        self.0.iter().map(|(thread, now)| now - before.0.get(thread).unwrap_or(&0.0)).sum()
    }
}

/// Processor seconds of children of this process that have been waited for (proc(5), fields 16 and 17 of stat).
pub fn ended_children_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(13).take(2).map(str::parse::<f64>).sum::<std::result::Result<f64, _>>()?;
    // Clock ticks of 10 ms.
    Ok(ticks / 100.0)
}

/// The program's path, if it is installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|p| p.exists())
}
