//! The words of HAProxy's agent checks (configuration manual, `agent-check`), as HAProxy 2.6 reads them.
//!
//! A question is one line: `GROUP` or `FAILOVER/CANDIDATE`, sent by `agent-send "slave-1\n"`. A reply is one line, too. `up` lifts no
//! drain and no weight that was said before, so every reply says again all that we control, and nothing else: a drain set by hand in
//! HAProxy must survive.

use std::fmt;

use crate::model::group::MaintenanceState;
use crate::model::name::MAX_NAME;
use crate::model::snapshot::{AnswerBasis, Snapshot};
use crate::model::spec::UnknownAnswer;
use crate::model::{Cause, Health};

use crate::serve::moment::Moment;
use crate::serve::told::Told;

/// Longest question, its end of line included.
pub const LONGEST_QUESTION: usize = 2 * MAX_NAME + 3;
/// Causes in a reply: HAProxy keeps a line of the description only.
const MOST_CAUSES: usize = 4;

/// What a load balancer asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question<'l> {
    Group(&'l str),
    Candidate { failover: &'l str, candidate: &'l str },
}

impl<'l> Question<'l> {
    /// Reads a whole line, its `\n` (or `\r\n`) included. `None`: it is none, or names nothing that could be a name.
    pub fn parse(line: &'l [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?;
        let name = |text: &'l str| {
            let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
            (plain && !text.is_empty() && text.len() <= MAX_NAME).then_some(text)
        };
        match line.split_once('/') {
            None => name(line).map(Self::Group),
            Some((failover, candidate)) => {
                Some(Self::Candidate { failover: name(failover)?, candidate: name(candidate)? })
            }
        }
    }
}

/// What is said, or why nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Say(Reply, AnswerBasis),
    /// Nothing is known that could be said: HAProxy keeps what it was told last, and its own checks.
    Silence,
    NoSuchName,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub healthy: bool,
    /// Only where it is ours to say.
    pub state: Option<MaintenanceState>,
    /// Percent of the configured weight.
    pub weight: u8,
    /// Why it is not healthy: words of closed sets.
    pub why: Vec<&'static str>,
}

impl fmt::Display for Reply {
    /// Writes the whole line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.healthy { "up" } else { "down" })?;
        if let Some(state) = self.state {
            write!(f, " {state}")?;
        }
        write!(f, " {}%", self.weight)?;
        for (i, why) in self.why.iter().enumerate() {
            f.write_str(if i == 0 { " #" } else { " " })?;
            f.write_str(why)?;
        }
        f.write_str("\n")
    }
}

/// Answers from the newest picture. Until all of it rests on a full fold, and when it is too old, the object's policy for unknown
/// decides: `hold` says what was said last and is silent where nothing was, `pass` and `fail` say that.
pub fn answer(snapshot: &Snapshot, moment: &Moment, question: Question<'_>) -> Answer {
    let told = match question {
        Question::Group(name) => Told::of_group(snapshot, name),
        Question::Candidate { failover, candidate } => Told::of_candidate(snapshot, failover, candidate),
    };
    let Some(told) = told else { return Answer::NoSuchName };
    if told.stored.basis == AnswerBasis::Unknown && told.unknown == UnknownAnswer::Hold {
        return Answer::Silence;
    }
    let fresh = moment.is_fresh(snapshot) && snapshot.decisions.complete;
    let answer = told.answer(fresh);
    Answer::Say(reply(&told, answer.healthy, fresh), answer.basis)
}

fn reply(told: &Told<'_>, healthy: bool, fresh: bool) -> Reply {
    let state = told.owns_maintenance.then(|| told.maintenance.unwrap_or(MaintenanceState::Ready));
    let drains = told.maintenance == Some(MaintenanceState::Drain);
    let healthy = match told.maintenance {
        // It goes on with the sessions it has: `down` would cut them.
        Some(MaintenanceState::Drain) => told.fit,
        Some(MaintenanceState::Maint) => false,
        Some(MaintenanceState::Ready) | None => healthy,
    };
    // Who is told to go on keeps a little, whatever its members do.
    let percent = |share: f64| if share.is_finite() { (share * 100.0).round().clamp(1.0, 100.0) as u8 } else { 100 };
    let weight = match told.weight {
        // Where the state is not ours to set, this is what keeps new sessions away.
        _ if drains && state.is_none() => 0,
        Some(share) => percent(share),
        // All of what is configured, said every time: nothing else would lift a drain's zero.
        None => 100,
    };
    Reply { healthy, state, weight, why: if healthy { Vec::new() } else { why(told, fresh) } }
}

/// Why it is not healthy, in words of closed sets; never empty.
fn why(told: &Told<'_>, fresh: bool) -> Vec<&'static str> {
    let well = matches!(told.health, Health::Up | Health::Degraded);
    let word = match told.maintenance {
        Some(MaintenanceState::Drain | MaintenanceState::Maint) => "maintenance",
        _ if !fresh || told.health == Health::Unknown => "unknown",
        // A candidate that is well, and not the one to use.
        _ if told.weight.is_none() && well => "standby",
        _ if told.causes.is_empty() => "down",
        _ => return told.causes.iter().copied().map(Cause::as_str).take(MOST_CAUSES).collect(),
    };
    vec![word]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_one_line_with_one_or_two_names() {
        let candidate = |failover, candidate| Some(Question::Candidate { failover, candidate });
        let longest = "n".repeat(MAX_NAME);
        let full = format!("{longest}/{longest}\r\n");
        assert_eq!(full.len(), LONGEST_QUESTION);
        for (line, question) in [
            ("slave-1\n", Some(Question::Group("slave-1"))),
            ("slave-1\r\n", Some(Question::Group("slave-1"))),
            ("ingest/slave-1\n", candidate("ingest", "slave-1")),
            (&full, candidate(&longest, &longest)),
            ("slave-1", None),
            ("\n", None),
            ("/\n", None),
            ("a/\n", None),
            ("/a\n", None),
            ("a/b/c\n", None),
            ("a b\n", None),
            ("a\nb\n", None),
            ("GET / HTTP/1.1\r\n", None),
            ("sl\u{e4}ve\n", None),
            (&format!("{longest}n\n"), None),
        ] {
            assert_eq!(Question::parse(line.as_bytes()), question, "{line:?}");
        }
        assert_eq!(Question::parse(b"\xff\n"), None);
    }

    #[test]
    fn replies_read_as_haproxy_wants_them() {
        let reply = Reply { healthy: true, state: Some(MaintenanceState::Ready), weight: 100, why: vec![] };
        assert_eq!(reply.to_string(), "up ready 100%\n");
        let why = vec!["stalled", "closed"];
        assert_eq!(Reply { healthy: false, state: None, weight: 100, why }.to_string(), "down 100% #stalled closed\n");
    }
}
