//! Workers that end, hang or lie.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rtmp_hmonitor::libav_pool::LibavPool;
use rtmp_hmonitor::libav_protocol::{Answer, DemuxRequest, VERSION};
use rtmp_hmonitor::model::content::{InspectFailure, Sample};
use rtmp_hmonitor::model::libav::{LibavSpec, WorkerEnd, WorkerEnds};
use rtmp_hmonitor::model::spec::Transport;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::eventually;
use crate::material::{ffmpeg, sample};

fn film() -> Sample {
    sample(&ffmpeg(), "-f lavfi -i testsrc2=size=320x180:rate=15 -t 1 -c:v libx264 -preset ultrafast -pix_fmt yuv420p")
}

/// Children of the calling thread, which is where its runtime starts workers.
pub fn workers() -> Vec<Pid> {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect()
}

fn ends(ends: &WorkerEnds) -> Vec<(WorkerEnd, u64)> {
    ends.iter().filter(|(_, count)| *count > 0).collect()
}

fn pool() -> (LibavPool, Arc<WorkerEnds>) {
    pool_of(env!("CARGO_BIN_EXE_rtmp-hmonitor-libav").into())
}

pub fn pool_of(worker: PathBuf) -> (LibavPool, Arc<WorkerEnds>) {
    let ends = Arc::<WorkerEnds>::default();
    (LibavPool::new(&LibavSpec { worker: Some(worker), inspectors: Some(1) }, Arc::clone(&ends)), ends)
}

#[tokio::test]
async fn a_worker_serves_many_inspections() {
    let ((pool, counted), film) = (pool(), film());
    for _ in 0..5 {
        pool.inspect(&film, false).await.unwrap();
    }
    assert_eq!(workers().len(), 1);
    assert_eq!(ends(&counted), []);
}

#[tokio::test]
async fn a_worker_that_was_killed_between_inspections_costs_none() {
    let ((pool, counted), film) = (pool(), film());
    pool.inspect(&film, false).await.unwrap();
    let killed = workers()[0];
    kill_process(killed, Signal::KILL).unwrap();
    eventually("the kernel has ended it", Duration::from_secs(10), || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", killed.as_raw_nonzero())).unwrap_or_default();
        (status.is_empty() || status.contains(") Z")).then_some(())
    });
    pool.inspect(&film, false).await.unwrap();
    assert_eq!(ends(&counted), [(WorkerEnd::Killed, 1)]);
    assert!(!workers().contains(&killed));
}

#[tokio::test]
async fn a_worker_that_hangs_costs_one_inspection() {
    let ((pool, counted), film) = (pool(), film());
    pool.inspect(&film, false).await.unwrap();
    let stopped = workers()[0];
    kill_process(stopped, Signal::STOP).unwrap();
    assert_eq!(pool.inspect(&film, false).await, Err(InspectFailure::Deadline));
    assert_eq!(ends(&counted), [(WorkerEnd::Deadline, 1)]);
    pool.inspect(&film, false).await.unwrap();
    assert!(!workers().contains(&stopped));
}

#[tokio::test]
async fn a_worker_that_hangs_costs_those_who_wait_nothing() {
    let ((pool, counted), film) = (pool(), film());
    pool.inspect(&film, false).await.unwrap();
    kill_process(workers()[0], Signal::STOP).unwrap();
    let all = futures_util::future::join_all((0..10).map(|_| pool.inspect(&film, false))).await;
    let late = all.iter().filter(|result| **result == Err(InspectFailure::Deadline)).count();
    assert_eq!((late, all.iter().filter(|result| result.is_ok()).count()), (1, 9), "{all:?}");
    assert_eq!(ends(&counted), [(WorkerEnd::Deadline, 1)]);
}

#[tokio::test]
async fn more_inspections_than_can_wait_are_refused_at_once() {
    let ((pool, _), film) = (pool(), film());
    let all = futures_util::future::join_all((0..60).map(|_| pool.inspect(&film, false))).await;
    let refused = all.iter().filter(|result| **result == Err(InspectFailure::Busy)).count();
    let done = all.iter().filter(|result| result.is_ok()).count();
    assert!(refused >= 40 && done >= 1 && refused + done == 60, "{done} done, {refused} refused");
    assert_eq!(workers().len(), 1);
}

#[tokio::test]
async fn an_inspection_that_is_given_up_takes_its_worker_along() {
    let ((pool, counted), film) = (pool(), film());
    pool.inspect(&film, false).await.unwrap();
    let stopped = workers()[0];
    kill_process(stopped, Signal::STOP).unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(200), pool.inspect(&film, false)).await;
    assert!(given_up.is_err());
    assert_eq!(ends(&counted), [(WorkerEnd::Abandoned, 1)], "one that did no harm, but is lost all the same");
    pool.inspect(&film, false).await.unwrap();
    assert!(!workers().contains(&stopped));
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let liar = |name: &str, script: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        pool_of(path)
    };
    let film = film();
    let (talks, counted) = liar("talks", "#!/bin/sh\nexec yes\n");
    assert_eq!(talks.inspect(&film, false).await, Err(InspectFailure::WorkerLost));
    assert_eq!(ends(&counted), [(WorkerEnd::Protocol, 1)]);
    let (leaves, counted) = liar("leaves", "#!/bin/sh\nexit 3\n");
    assert_eq!(leaves.inspect(&film, false).await, Err(InspectFailure::WorkerLost));
    assert_eq!(ends(&counted), [(WorkerEnd::Exited, 1)]);
    let (is_none, counted) = liar("is-none", "no program");
    assert_eq!(is_none.inspect(&film, false).await, Err(InspectFailure::WorkerLost));
    assert_eq!(ends(&counted), [(WorkerEnd::Start, 1)]);
}

/// Whoever waits for a session looks at other things in between.
#[tokio::test]
async fn a_worker_that_says_no_more_and_stays_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let (hello, stub) = (directory.path().join("hello"), directory.path().join("stub"));
    std::fs::write(&hello, Answer::Hello { version: VERSION, root: false }.encode()).unwrap();
    let script = format!("#!/bin/sh\ncat {}\nexec sleep 600 >&-\n", hello.display());
    std::fs::write(&stub, script).unwrap();
    std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (pool, counted) = pool_of(stub);
    let request =
        DemuxRequest { url: "rtsp://127.0.0.1/".into(), transport: Transport::Tcp, open_limit: 5000, verify: None };
    let mut session = pool.demux(request).await.unwrap();
    let stays = workers()[0];
    let end = async {
        loop {
            if let Ok(said) = tokio::time::timeout(Duration::from_millis(100), session.next()).await {
                break said;
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(20), end).await.expect("the session ends");
    assert_eq!(end.unwrap_err(), WorkerEnd::Protocol);
    assert_eq!(ends(&counted), [(WorkerEnd::Protocol, 1)]);
    drop(session);
    eventually("it is gone", Duration::from_secs(10), || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", stays.as_raw_nonzero())).unwrap_or_default();
        (status.is_empty() || status.contains(") Z")).then_some(())
    });
}

#[tokio::test]
async fn without_a_program_inspections_are_unavailable() {
    let (pool, counted) = pool_of("/nowhere/rtmp-hmonitor-libav".into());
    assert_eq!(pool.inspect(&film(), false).await, Err(InspectFailure::Unavailable));
    assert_eq!(ends(&counted), []);
}

#[tokio::test]
async fn broken_bit_streams_cost_no_more_than_their_inspection() {
    let ((pool, counted), whole) = (pool(), film());
    let mut random = fastrand::Rng::with_seed(7);
    let before = resident("/proc/self/statm".as_ref());
    for _ in 0..60 {
        let mut broken = whole.clone();
        let track = broken.video.as_mut().unwrap();
        for frame in &mut track.frames {
            for _ in 0..random.usize(0..20) {
                let at = random.usize(0..frame.data.len());
                frame.data[at] = random.u8(..);
            }
            frame.data.truncate(random.usize(1..=frame.data.len()));
        }
        if random.bool() {
            let mut configuration = track.configuration.to_vec();
            let at = random.usize(0..configuration.len());
            configuration[at] ^= 1 << random.u8(0..8);
            track.configuration = configuration.into();
        }
        // Whatever it says, it says something.
        let _ = pool.inspect(&broken, true).await;
    }
    let picture = pool.inspect(&whole, false).await.unwrap().picture.unwrap();
    assert_eq!((picture.frames, picture.errors), (15, 0));
    let grown = resident("/proc/self/statm".as_ref()).saturating_sub(before);
    println!("lost workers: {:?}; the monitor's side has grown by {grown} pages", ends(&counted));
    assert!(grown < 8 * 1024, "{grown} pages");
}

fn resident(statm: &Path) -> u64 {
    std::fs::read_to_string(statm).unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}
