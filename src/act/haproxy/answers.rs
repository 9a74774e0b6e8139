//! Reads what HAProxy answers to `show servers state`, `show proc` and `show sess`.
//!
//! Columns are found by their names, so that those of other versions do no harm. Format: HAProxy Management Guide, sections 9.3 "Unix
//! Socket commands" and 9.4 "Master CLI".

use std::collections::HashMap;

use crate::model::action::ServerId;

/// Rows read at most.
pub const MAX_ROWS: usize = 10_000;
/// How the line that names the columns begins.
const HEADER: &str = "# be_id ";
/// Longest line that is looked at.
const MAX_LINE: usize = 4096;

/// One server as `show servers state` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerState {
    /// As it is now, and as it was configured.
    pub weight: u32,
    pub initial_weight: u32,
    admin: u32,
    agent: u32,
}

impl ServerState {
    const FORCED_MAINT: u32 = 0x01;
    const FORCED_DRAIN: u32 = 0x08;
    /// Of checks.
    const ENABLED: u32 = 0x04;

    /// Whether somebody took it out of service by command or configuration.
    pub fn in_maintenance(&self) -> bool {
        self.admin & Self::FORCED_MAINT != 0
    }

    /// Whether somebody drains it by command.
    pub fn draining(&self) -> bool {
        self.admin & Self::FORCED_DRAIN != 0
    }

    /// Whether an agent check is configured and enabled: without one HAProxy takes no word on it.
    pub fn has_agent(&self) -> bool {
        self.agent & Self::ENABLED != 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("no state of servers in the answer")]
    NoHeader,
    #[error("the state of servers has no column {0}")]
    MissingColumn(&'static str),
    #[error("row {0} cannot be read")]
    Row(usize),
    #[error("more than {MAX_ROWS} rows")]
    TooManyRows,
    #[error("the answer is not complete")]
    Truncated,
}

/// The servers of an answer to `show servers state`, up to the empty line that ends it.
pub fn servers(answer: &str) -> Result<HashMap<ServerId, ServerState>, AnswerError> {
    let mut lines = answer.lines();
    let header = lines.by_ref().take(3).find(|line| line.starts_with(HEADER)).ok_or(AnswerError::NoHeader)?;
    let columns: Vec<_> = header.trim_start_matches("# ").split_ascii_whitespace().collect();
    let column =
        |name: &'static str| columns.iter().position(|column| *column == name).ok_or(AnswerError::MissingColumn(name));
    let (backend, server) = (column("be_name")?, column("srv_name")?);
    let (weight, initial) = (column("srv_uweight")?, column("srv_iweight")?);
    let (admin, agent) = (column("srv_admin_state")?, column("srv_agent_state")?);
    let mut found = HashMap::new();
    let mut cells = Vec::new();
    for (index, line) in lines.enumerate() {
        if line.is_empty() {
            return Ok(found);
        }
        if index == MAX_ROWS {
            return Err(AnswerError::TooManyRows);
        }
        let unreadable = AnswerError::Row(index + 1);
        if line.len() > MAX_LINE {
            return Err(unreadable);
        }
        cells.clear();
        cells.extend(line.split_ascii_whitespace());
        let cell = |at: usize| cells.get(at).copied().ok_or(unreadable);
        let number = |at: usize| cell(at)?.parse::<u32>().map_err(|_| unreadable);
        let state = ServerState {
            weight: number(weight)?,
            initial_weight: number(initial)?,
            admin: number(admin)?,
            agent: number(agent)?,
        };
        // What is called otherwise cannot be configured here either.
        if let Some(id) = ServerId::parse(&format!("{}/{}", cell(backend)?, cell(server)?)) {
            found.insert(id, state);
        }
    }
    Err(AnswerError::Truncated)
}

/// Process numbers of workers of before the last reload that are still there, of an answer to `show proc`.
pub fn old_workers(answer: &str) -> Result<Vec<u32>, AnswerError> {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with("#<PID>"));
    lines.next().ok_or(AnswerError::NoHeader)?;
    let (mut found, mut old) = (Vec::new(), false);
    for (index, line) in lines.enumerate() {
        if let Some(section) = line.strip_prefix('#') {
            old = section.trim() == "old workers";
        } else if old && !line.trim().is_empty() {
            let number = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
            found.push(number.ok_or(AnswerError::Row(index + 1))?);
        }
        if found.len() > MAX_ROWS {
            return Err(AnswerError::TooManyRows);
        }
    }
    Ok(found)
}

/// Number of a session, as HAProxy writes it: `0x` and hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(Box<str>);

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sessions with their servers, of an answer to `show sess`. Those without a server are left out.
pub fn sessions(answer: &str) -> Result<Vec<(SessionId, ServerId)>, AnswerError> {
    let mut found = Vec::new();
    for line in answer.lines().filter(|line| line.starts_with("0x")) {
        let Some((id, rest)) = line.split_once(':') else { continue };
        let digits = id.strip_prefix("0x").unwrap_or_default();
        if !(1..=16).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            continue;
        }
        let field = |name: &str| rest.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
        let (Some(backend), Some(server)) = (field("be="), field("srv=")) else { continue };
        let Some(server) = ServerId::parse(&format!("{backend}/{server}")) else { continue };
        if found.len() == MAX_ROWS {
            return Err(AnswerError::TooManyRows);
        }
        found.push((SessionId(id.into()), server));
    }
    Ok(found)
}
