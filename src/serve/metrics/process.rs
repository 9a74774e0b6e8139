//! Figures of this process, read from `/proc/self` (proc(5)).

use std::fs;

/// USER_HZ: the unit of times in `/proc/self/stat`, 100 on every Linux architecture Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What could be read; the rest stays absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessFigures {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    pub threads: Option<u64>,
    pub start_unix_seconds: Option<f64>,
}

impl ProcessFigures {
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        // The command name may hold anything, so fields count from behind its closing parenthesis: state is field 3.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: number_after(&status, "VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: number_after(&status, "VmSize:").map(|kib| kib * 1024),
            open_fds: open_descriptors(),
            max_fds: number_after(&limits, "Max open files"),
            threads: number_after(&status, "Threads:"),
            start_unix_seconds: ticks(22).zip(boot_unix_seconds()).map(|(t, boot)| boot + t / TICKS_PER_SECOND),
        }
    }
}

/// Since Linux 6.2 the directory's size is their number. Before, it is 0, and they are counted: a tenth of a scrape with 1,000 streams.
fn open_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        // Listing the directory opens one more descriptor.
        0 => Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn boot_unix_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    number_after(&stat, "btime").map(|s| s as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_figures() {
        let p = ProcessFigures::read();
        assert!(p.cpu_seconds.is_some_and(|s| s < 1e6));
        assert!(p.resident_bytes.zip(p.virtual_bytes).is_some_and(|(r, v)| r > 100_000 && v >= r));
        assert!(p.open_fds.zip(p.max_fds).is_some_and(|(open, max)| open >= 3 && open < max));
        assert!(p.threads.is_some_and(|n| n >= 1));
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(p.start_unix_seconds.is_some_and(|s| s <= now + 2.0 && s > now - 1e6));
    }
}
