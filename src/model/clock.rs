//! Awake time: a monotonic clock that stands still while the whole process (or its machine) is frozen.
//!
//! A monitor that was stopped for three seconds has observed nothing for three seconds. If its deadlines ran on
//! during that time, every stream would look stalled on resume. So all decisions use [`Clock::now`], which leaves
//! such gaps out: any two reads further apart than [`PAUSE_THRESHOLD`] reveal a pause, because the heartbeat
//! ([`Clock::beat`], called every [`HEARTBEAT`]) guarantees reads that are closer together while the process runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A gap between two reads of the clock above this is a pause of the process, not slow code.
pub const PAUSE_THRESHOLD: Duration = Duration::from_millis(250);
/// How often somebody must call [`Clock::beat`] so that idleness is never taken for a pause.
pub const HEARTBEAT: Duration = Duration::from_millis(50);
/// Pauses whose place in time is remembered; older ones count for every moment.
const REMEMBERED_PAUSES: usize = 64;
/// Reads of two clocks this close are of one moment.
const CLOSE_READS: Duration = Duration::from_micros(20);
/// The wall clock may deviate by this from what was told of the same moment before.
const WALL_TOLERANCE: Duration = Duration::from_millis(100);

/// Shared handle to the process's awake time. Cheap to clone and to read.
#[derive(Debug, Clone)]
pub struct Clock {
    // One lock for all of it: a reader between two atomics could see a whole pause as elapsed time.
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Real time of the newest read.
    last_read: Instant,
    paused: Duration,
    pauses: u64,
    calendar: Calendar,
}

/// Turns awake-time moments into wall-clock time. The same moment gives the same time, unless the wall clock was set.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Awake and real time agree here.
    origin: Instant,
    /// Wall-clock time of `origin`.
    anchor: SystemTime,
    /// Pauses too old to be placed.
    early: Duration,
    /// When each pause was, in awake time, and how long.
    pauses: Arc<[(Instant, Duration)]>,
}

impl Calendar {
    /// Without pauses; `origin` is at `anchor`.
    pub fn anchored(origin: Instant, anchor: SystemTime) -> Self {
        Self { origin, anchor, early: Duration::ZERO, pauses: Arc::new([]) }
    }

    /// Wall-clock time of an awake-time moment.
    pub fn wall(&self, moment: Instant) -> SystemTime {
        if let Some(before) = self.origin.checked_duration_since(moment).filter(|d| !d.is_zero()) {
            return self.anchor.checked_sub(before).unwrap_or(SystemTime::UNIX_EPOCH);
        }
        let pauses: Duration = self.pauses.iter().filter(|(at, _)| *at < moment).map(|(_, length)| *length).sum();
        let since = moment.saturating_duration_since(self.origin) + self.early + pauses;
        self.anchor.checked_add(since).unwrap_or(self.anchor)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now. Run a heartbeat beside it.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn new() -> Self {
        Self::starting_at(Instant::now(), SystemTime::now())
    }

    fn starting_at(origin: Instant, anchor: SystemTime) -> Self {
        let calendar = Calendar::anchored(origin, anchor);
        let state = State { last_read: origin, paused: Duration::ZERO, pauses: 0, calendar };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The present moment in awake time.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn now(&self) -> Instant {
        let mut state = self.lock();
        // Read under the lock, so that reads are ordered.
        let real = Instant::now();
        state.read_at(real)
    }

    /// The present moment in awake time and by the wall clock, read together: it places the kernel's time stamps of a moment ago.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn now_and_wall(&self) -> (Instant, SystemTime) {
        // Whoever is interrupted between the two reads reads again; what was read in the shortest time counts.
        let mut best: Option<(Duration, Instant, SystemTime)> = None;
        for _ in 0..5 {
            let (before, wall, now) = (Instant::now(), SystemTime::now(), self.now());
            let took = Instant::now().saturating_duration_since(before);
            if best.is_none_or(|(least, ..)| took < least) {
                best = Some((took, now, wall));
            }
            if took < CLOSE_READS {
                break;
            }
        }
        best.map_or_else(|| (self.now(), SystemTime::now()), |(_, now, wall)| (now, wall))
    }

    /// Keeps idleness from being taken for a pause, and follows the wall clock when it is set. Call every [`HEARTBEAT`].
    pub fn beat(&self) {
        let now = self.now();
        let wall = SystemTime::now();
        let mut state = self.lock();
        let told = state.calendar.wall(now);
        let ahead = wall.duration_since(told).unwrap_or_else(|behind| behind.duration());
        if ahead > WALL_TOLERANCE {
            let anchor = state.calendar.anchor;
            let moved = if wall > told { anchor.checked_add(ahead) } else { anchor.checked_sub(ahead) };
            state.calendar.anchor = moved.unwrap_or(anchor);
        }
    }

    /// Time the process has been frozen since the clock began.
    pub fn paused(&self) -> Duration {
        self.lock().paused
    }

    /// How many pauses there have been.
    pub fn pauses(&self) -> u64 {
        self.lock().pauses
    }

    /// The runtime's moment for an awake-time `deadline`, assuming no further pause.
    pub fn real(&self, deadline: Instant) -> Instant {
        deadline + self.paused()
    }

    /// How awake time and wall-clock time belong together.
    pub fn calendar(&self) -> Calendar {
        self.lock().calendar.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read_at(&mut self, real: Instant) -> Instant {
        let gap = real.saturating_duration_since(self.last_read);
        if gap > PAUSE_THRESHOLD {
            let at = self.last_read.checked_sub(self.paused).unwrap_or(self.calendar.origin);
            self.paused += gap;
            self.pauses += 1;
            let mut pauses = self.calendar.pauses.to_vec();
            if pauses.len() >= REMEMBERED_PAUSES {
                self.calendar.early += pauses.remove(0).1;
            }
            pauses.push((at, gap));
            self.calendar.pauses = pauses.into();
        }
        self.last_read = self.last_read.max(real);
        self.last_read.checked_sub(self.paused).unwrap_or(self.calendar.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> (Clock, Instant, SystemTime) {
        let (origin, wall) = (Instant::now(), SystemTime::now());
        (Clock::starting_at(origin, wall), origin, wall)
    }

    fn read(clock: &Clock, real: Instant) -> Instant {
        clock.lock().read_at(real)
    }

    #[test]
    fn a_gap_between_reads_does_not_count_as_time() {
        let (clock, origin, _) = clock();
        let s = Duration::from_secs_f64;
        assert_eq!(read(&clock, origin + s(0.2)), origin + s(0.2));
        assert_eq!(read(&clock, origin + s(4.2)), origin + s(0.2), "frozen for four seconds");
        assert_eq!((clock.pauses(), clock.paused()), (1, s(4.0)));
        assert_eq!(read(&clock, origin + s(4.3)), origin + s(0.3));
        assert_eq!(clock.pauses(), 1, "one gap counts once");
        assert_eq!(clock.real(origin + s(1.0)), origin + s(5.0));
    }

    #[test]
    fn time_never_goes_back() {
        let (clock, origin, _) = clock();
        let later = read(&clock, origin + Duration::from_millis(100));
        assert_eq!(read(&clock, origin), later);
    }

    #[test]
    fn what_happened_keeps_its_time_over_pauses() {
        let (clock, origin, wall) = clock();
        let ms = Duration::from_millis;
        let before = read(&clock, origin + ms(100));
        for i in 0..2 * REMEMBERED_PAUSES as u64 {
            read(&clock, origin + ms(100) + ms(1000) * u32::try_from(i + 1).unwrap());
        }
        let after = read(&clock, origin + ms(100) + ms(128_000) + ms(50));
        assert_eq!(clock.calendar().wall(after), wall + ms(128_150));
        let (clock, origin, wall) = (Clock::starting_at(origin, wall), origin, wall);
        read(&clock, origin + ms(100));
        read(&clock, origin + ms(5000));
        assert_eq!(clock.calendar().wall(before), wall + ms(100), "before the pause");
        let resumed = read(&clock, origin + ms(5001));
        assert_eq!(clock.calendar().wall(resumed), wall + ms(5001));
    }
}
