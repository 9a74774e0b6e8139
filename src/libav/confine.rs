//! What the worker may do: little. It reads from strangers with code that was not written for that.

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::{set_dumpable, set_no_new_privs, set_pdeathsig};
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
    set_dumpable(false)?;
    set_no_new_privs()?;
    // A kernel without it is no reason to decode nothing.
    let _ = forbid(CHANGES);
    // Behind the change of user, which undoes it.
    set_pdeathsig(Signal::SIGKILL)
}

/// Gives up for good to open a file. For those that decode what they are handed.
pub fn forbid_files() {
    let _ = forbid(CHANGES | READING);
}

/// Rights in the file system (landlock(7)): to execute, write, remove, make, move and truncate.
const CHANGES: u64 = 0x7ff3;
/// To read files and directories.
const READING: u64 = 0xc;

/// Gives up these rights everywhere for good, and to reach processes that have not: to send them signals, for one. A monitor with
/// a user of its own shares that user with us, and its files. What was opened before stays open, and shared libraries are only
/// read. Gives the version of Landlock, of which it depends what has been given up.
///
/// # Errors
/// The kernel has no Landlock. One that has not all of it forbids what it knows.
#[expect(unsafe_code, reason = "Landlock has no wrapper")]
fn forbid(rights: u64) -> Result<libc::c_long, Errno> {
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    const VERSION: u32 = 1;
    const NULL: *const u64 = std::ptr::null();
    // SAFETY: asked for its version, it reads nothing.
    let version = Errno::result(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, NULL, 0_usize, VERSION) })?;
    let known = match version {
        1 => 0x1fff,
        2 => 0x3fff,
        _ => 0x7fff,
    };
    // Abstract sockets, and signals.
    let scopes = if version >= 6 { 3 } else { 0 };
    // `struct landlock_ruleset_attr`: files, network, scopes. Zeros at its end, which an older kernel does not know, are no matter.
    let rules: [u64; 3] = [rights & known, 0, scopes];
    // SAFETY: it reads so many bytes of the rules.
    let made =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, rules.as_ptr(), std::mem::size_of_val(&rules), 0) };
    let made = RawFd::try_from(Errno::result(made)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: it is new, and nobody else's.
    let _closed = unsafe { OwnedFd::from_raw_fd(made) };
    // SAFETY: two numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, made, 0) }).map(|_| version)
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

/// What tells how much memory we hold. Opened while files can be.
pub struct Memory(Option<File>);

impl Memory {
    pub fn open() -> Self {
        Self(File::open("/proc/self/statm").ok())
    }

    /// Whether we hold more than a new process would.
    pub fn has_grown(&self) -> bool {
        let mut statm = [0; 128];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut statm, 0).ok()).unwrap_or(0);
        let text = statm.get(..read).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
        // Pages of 4 KiB at least; where they are larger we are replaced later.
        pages * 4096 > GROWN
    }
}

/// The limit of both kinds, or less where there is less already.
fn limit(resource: Resource, value: u64) -> Result<(), Errno> {
    let (_, most) = getrlimit(resource)?;
    setrlimit(resource, value.min(most), value.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getppid, test_kill_process};

    /// What is given up is given up by one thread.
    fn confined(rights: u64, work: impl FnOnce(libc::c_long) + Send + 'static) {
        let thread = std::thread::spawn(move || {
            set_no_new_privs().unwrap();
            match forbid(rights) {
                Ok(version) => work(version),
                Err(error) => println!("this kernel has no Landlock: {error}"),
            }
        });
        thread.join().unwrap();
    }

    fn is_denied<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn files_are_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        std::fs::write(&kept, "kept").unwrap();
        let (file, other) = (kept.clone(), directory.path().join("other"));
        confined(CHANGES, move |version| {
            assert_eq!(std::fs::read(&file).unwrap(), b"kept");
            assert!(is_denied(File::create(&other)) && is_denied(std::fs::create_dir(&other)));
            assert!(is_denied(std::fs::remove_file(&file)) && is_denied(File::options().append(true).open(&file)));
            assert!(is_denied(std::process::Command::new("/bin/true").status()));
            // Since Linux 6.12. Whoever has started us is not confined.
            let reached = test_kill_process(getppid().unwrap());
            assert_eq!(reached.is_err(), version >= 6, "{reached:?}");
        });
        assert_eq!(std::fs::read(&kept).unwrap(), b"kept");
    }

    #[test]
    fn whoever_decodes_opens_nothing() {
        confined(CHANGES | READING, |_| {
            assert!(is_denied(File::open("/etc/passwd")) && is_denied(std::fs::read_dir("/")));
        });
        let memory = Memory::open();
        confined(CHANGES | READING, move |_| {
            assert!(!memory.has_grown());
            assert!(memory.0.unwrap().read_at(&mut [0; 16], 0).is_ok_and(|read| read > 0));
        });
    }
}
