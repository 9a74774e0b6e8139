//! Vimeo's rate limits, kept by all targets of one token together. Sans-IO: time and chance are arguments.
//!
//! Sources: developer.vimeo.com "Rate limiting" (`X-RateLimit-Limit`, `-Remaining`, `-Reset`; status 429). The reset has been seen as ISO
//! 8601 and as Unix seconds, and headers may be missing while banned.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::model::address::Address;
use crate::model::server::Secret;
use crate::model::target_report::RateLimit;

/// The ban when nobody says how long it lasts; doubled with each one in a row.
const BAN: Duration = Duration::from_secs(60);
const LONGEST_BAN: Duration = Duration::from_secs(15 * 60);
/// No header makes us wait longer.
const LONGEST_RESET: Duration = Duration::from_secs(3600);
/// Below this share of the limit, what remains is spread over the time to the reset.
const SCARCE: f64 = 0.1;

/// What one token may still ask.
#[derive(Debug, Default)]
pub struct Budget {
    limit: Option<RateLimit>,
    /// No request before this.
    not_before: Option<Instant>,
    /// When that was noted.
    noted: Option<Instant>,
    bans_in_row: u32,
}

impl Budget {
    /// How long to wait before the next request. `None`: it may go now.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before.map(|at| at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    pub fn limit(&self) -> Option<RateLimit> {
        self.limit
    }

    /// Takes in an answer that was no ban, to a request that began at `begun`. One that began before the newest wait was noted knows
    /// nothing of it, and does not shorten it.
    pub fn note_answer(&mut self, begun: Instant, now: Instant, wall: SystemTime, headers: &HeaderMap) {
        if self.noted.is_none_or(|noted| noted <= begun) {
            self.bans_in_row = 0;
            self.not_before = None;
        }
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        self.limit = number("x-ratelimit-limit")
            .zip(number("x-ratelimit-remaining"))
            .map(|(limit, remaining)| RateLimit { limit, remaining });
        let Some(RateLimit { limit, remaining }) = self.limit else { return };
        if remaining as f64 <= limit as f64 * SCARCE {
            let left = reset(headers, wall).unwrap_or(BAN);
            let parts = u32::try_from(remaining).unwrap_or(u32::MAX).saturating_add(1);
            self.hold(now, now + left / parts);
        }
    }

    /// Takes in a 429. `random` is uniform in 0..1. Gives the wait.
    pub fn note_ban(&mut self, now: Instant, wall: SystemTime, headers: &HeaderMap, random: f64) -> Duration {
        let after = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
        let told = after.map(Duration::from_secs).or_else(|| reset(headers, wall));
        let grown = BAN.saturating_mul(1 << self.bans_in_row.min(8)).min(LONGEST_BAN);
        self.bans_in_row = self.bans_in_row.saturating_add(1);
        // Jitter, so that several monitors with one token do not come back together.
        let wait = told.filter(|t| !t.is_zero()).unwrap_or(grown).min(LONGEST_RESET).mul_f64(1.0 + random / 4.0);
        self.hold(now, now + wait);
        wait
    }

    /// No request before `until`, nor before what is noted already.
    fn hold(&mut self, now: Instant, until: Instant) {
        self.not_before = self.not_before.max(Some(until));
        self.noted = Some(now);
    }
}

/// Time to the reset that the headers tell. `None`: not told, or unreadable.
fn reset(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get("x-ratelimit-reset")?.to_str().ok()?.trim();
    let at = match text.parse::<u64>() {
        Ok(seconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
        Err(_) => SystemTime::from(text.parse::<jiff::Timestamp>().ok()?),
    };
    Some(at.duration_since(wall).unwrap_or(Duration::ZERO).min(LONGEST_RESET))
}

/// One budget shared by all targets of a token.
pub type Account = Arc<Mutex<Budget>>;

/// All accounts of the process. Those that nobody uses any more are dropped, unless they have to wait: a check that is made anew must
/// not forget a ban.
#[derive(Debug, Default)]
pub struct Accounts(Mutex<Vec<(Address, Secret, Account)>>);

impl Accounts {
    /// The account of `token` at `api`.
    pub fn of(&self, api: &Address, token: &Secret) -> Account {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, _, account)| {
            let waits = account.lock().unwrap_or_else(PoisonError::into_inner).not_before.is_some();
            waits || Arc::strong_count(account) > 1
        });
        if let Some((_, _, account)) = known.iter().find(|(a, t, _)| a == api && t == token) {
            return Arc::clone(account);
        }
        let account = Account::default();
        known.push((api.clone(), token.clone(), Arc::clone(&account)));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn told(limit: u64, remaining: u64, reset: &str) -> HeaderMap {
        headers(&[
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", remaining.to_string()),
            ("x-ratelimit-reset", reset.to_owned()),
        ])
    }

    #[test]
    fn a_ban_lasts_as_long_as_told_in_every_form() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + S(1_790_000_000));
        let table = [
            ("Unix seconds", headers(&[("x-ratelimit-reset", "1790000030".into())]), 30),
            ("ISO 8601", headers(&[("x-ratelimit-reset", "2026-09-21T14:13:50+00:00".into())]), 30),
            ("unreadable", headers(&[("x-ratelimit-reset", "soon".into())]), 60),
            ("long past", headers(&[("x-ratelimit-reset", "1".into())]), 60),
            ("absurdly far", headers(&[("x-ratelimit-reset", "99999999999".into())]), 3600),
            (
                "Retry-After wins",
                headers(&[("retry-after", "7".into()), ("x-ratelimit-reset", "1790000030".into())]),
                7,
            ),
            ("not told", HeaderMap::new(), 60),
        ];
        for (case, headers, seconds) in table {
            let mut budget = Budget::default();
            assert_eq!(budget.wait(now), None, "{case}");
            assert_eq!(budget.note_ban(now, wall, &headers, 0.0), S(seconds), "{case}");
            assert_eq!(budget.wait(now), Some(S(seconds)), "{case}");
            assert_eq!(budget.wait(now + S(seconds)), None, "{case}");
        }
    }

    #[test]
    fn bans_in_a_row_grow_and_an_answer_forgives() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
        let mut budget = Budget::default();
        let waits: Vec<_> = (0..6).map(|_| budget.note_ban(now, wall, &HeaderMap::new(), 0.0).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
        budget.note_answer(now, now, wall, &HeaderMap::new());
        assert_eq!(budget.wait(now), None);
        assert_eq!(budget.note_ban(now, wall, &HeaderMap::new(), 1.0), S(75), "jitter");
    }

    #[test]
    fn an_answer_to_an_older_request_lifts_nothing() {
        let (start, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + S(1_790_000_000));
        let plenty = told(100, 90, "1790000060");
        let accounts = Accounts::default();
        let api = Address::parse("api.vimeo.com", Some(443)).unwrap();
        let (a, b) = (accounts.of(&api, &Secret::new("t")), accounts.of(&api, &Secret::new("t")));
        // Both targets ask at once; one is banned, the other's answer comes after that.
        a.lock().unwrap().note_ban(start + S(1), wall, &HeaderMap::new(), 0.0);
        b.lock().unwrap().note_answer(start, start + S(2), wall, &plenty);
        assert_eq!(a.lock().unwrap().wait(start + S(2)), Some(S(59)));
        assert_eq!(b.lock().unwrap().note_ban(start + S(61), wall, &HeaderMap::new(), 0.0), S(120), "still in a row");
        // Nor a wait for a scarce budget, which a late answer may lengthen.
        let (begun, mut budget) = (start + S(200), a.lock().unwrap());
        budget.note_answer(begun, begun, wall, &told(100, 5, "1790000060"));
        assert_eq!(budget.wait(begun), Some(S(10)));
        budget.note_answer(start, begun + S(1), wall, &plenty);
        assert_eq!(budget.wait(begun), Some(S(10)));
        budget.note_answer(start, begun, wall, &told(100, 3, "1790000060"));
        assert_eq!(budget.wait(begun), Some(S(15)));
        budget.note_answer(begun + S(15), begun + S(16), wall, &plenty);
        assert_eq!(budget.wait(begun + S(16)), None);
    }

    #[test]
    fn a_scarce_budget_is_spread_to_the_reset() {
        let (now, wall) = (Instant::now(), SystemTime::UNIX_EPOCH + S(1_790_000_000));
        let mut budget = Budget::default();
        budget.note_answer(now, now, wall, &told(100, 50, "1790000060"));
        assert_eq!(budget.wait(now), None, "plenty");
        assert_eq!(budget.limit(), Some(RateLimit { limit: 100, remaining: 50 }));
        budget.note_answer(now, now, wall, &told(100, 5, "1790000060"));
        assert_eq!(budget.wait(now), Some(S(10)), "six waits reach the reset");
        budget.note_answer(now, now, wall, &told(100, 0, "1790000060"));
        assert_eq!(budget.wait(now), Some(S(60)));
        // All of it, simulated: never a request more than was left.
        let (mut at, mut sent, end) = (now, 0, now + S(60));
        let mut remaining = 9;
        budget.note_answer(now, now, wall, &told(100, remaining, "1790000060"));
        while at < end {
            if let Some(wait) = budget.wait(at) {
                at += wait;
                continue;
            }
            assert!(remaining > 0, "asked beyond the limit after {:?}", at - now);
            (remaining, sent) = (remaining - 1, sent + 1);
            budget.note_answer(at, at, wall + (at - now), &told(100, remaining, "1790000060"));
        }
        assert_eq!(sent, 9);
    }

    #[test]
    fn targets_of_one_token_share_an_account() {
        let accounts = Accounts::default();
        let api = Address::parse("api.vimeo.com", Some(443)).unwrap();
        let (a, b) = (accounts.of(&api, &Secret::new("t")), accounts.of(&api, &Secret::new("t")));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &accounts.of(&api, &Secret::new("u"))));
        drop((a, b));
        accounts.of(&api, &Secret::new("v"));
        assert_eq!(accounts.0.lock().unwrap().len(), 1, "unused ones are dropped");
    }
}
