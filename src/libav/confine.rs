//! What the worker may do: little. It reads from strangers with code that was not written for that.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

/// Address space, in bytes: the libraries take a third of it, pictures the rest.
const ADDRESS_SPACE: u64 = 1 << 30;
/// Resident bytes after a job beyond which a new process is better.
const GROWN: u64 = 256 << 20;
/// Files and sockets at once.
const FILES: u64 = 64;
/// Who we are when we were started by root (Debian's `nobody` and `nogroup`).
const NOBODY: u32 = 65_534;
/// Processor time that a job may take beyond its limit of wall time, before the kernel ends us: whole seconds are its unit.
const SLACK: Duration = Duration::from_secs(2);

/// Gives up for good what a decoder does not need.
pub fn confine() -> Result<(), Errno> {
    limit(Resource::RLIMIT_AS, ADDRESS_SPACE)?;
    limit(Resource::RLIMIT_NOFILE, FILES)?;
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, 0)?;
    if is_root() {
        give_up_root()?;
    }
    give_up_capabilities()?;
    set_no_new_privs()?;
    // Behind the change of user, which undoes it.
    set_pdeathsig(Signal::SIGKILL)
}

pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Root without the capability to change users (as in a container that drops all) stays root. The monitor is told.
fn give_up_root() -> Result<(), Errno> {
    let dropped =
        setgroups(&[]).and_then(|()| setgid(Gid::from_raw(NOBODY))).and_then(|()| setuid(Uid::from_raw(NOBODY)));
    match dropped {
        Err(Errno::EPERM) => Ok(()),
        other => other,
    }
}

/// Whoever is not root may have some as well, as a monitor for its pings: ambient ones survive the start of another program.
#[expect(unsafe_code, reason = "capabilities have no safe setter")]
fn give_up_capabilities() -> Result<(), Errno> {
    /// `_LINUX_CAPABILITY_VERSION_3`, and ourselves.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    /// Effective, permitted and inheritable, each in two parts. What is not among these is not ambient either (capabilities(7)).
    const NONE: [u32; 6] = [0; 6];
    // SAFETY: capset(2) reads a header and, for this version, two structures of three such numbers.
    let result = unsafe { libc::syscall(libc::SYS_capset, HEADER.as_ptr(), NONE.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Has the kernel end us when we compute for longer than this from now on.
pub fn limit_processor_time(time: Duration) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return };
    let used = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    let until = u64::try_from(used).unwrap_or(0) + (time + SLACK).as_secs();
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_CPU) {
        // Lowering is always allowed, and raising up to the hard limit, which stays.
        let _ = setrlimit(Resource::RLIMIT_CPU, until.min(most), most);
    }
}

/// Whether we hold more memory than a new process would.
pub fn has_grown() -> bool {
    // Pages of 4 KiB at least; where they are larger we are replaced later.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096 > GROWN
}

/// The limit of both kinds, or less where there is less already.
fn limit(resource: Resource, value: u64) -> Result<(), Errno> {
    let (_, most) = getrlimit(resource)?;
    setrlimit(resource, value.min(most), value.min(most))
}
