//! Reads HAProxy's statistics: `show info` (lines of `Key: value`) and the CSV of `show stat`.
//!
//! Columns are found by their names, so that those of other versions do no harm. Format: HAProxy Management Guide, sections 9.1 "CSV
//! format" and 9.3 "Unix Socket commands".

use std::collections::HashSet;
use std::time::Duration;

use csv::{ReaderBuilder, StringRecord};

use crate::model::target_report::{HaproxyFacts, HaproxyProxy, HaproxyServer};

/// Rows read at most.
pub const MAX_ROWS: usize = 10_000;

/// How the CSV's first line begins.
const HEADER: &str = "# pxname,";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    #[error("no statistics in the answer")]
    NoHeader,
    #[error("the statistics have no column {0}")]
    MissingColumn(&'static str),
    #[error("row {0} of the statistics cannot be read")]
    Row(usize),
    #[error("the statistics have more than {MAX_ROWS} rows")]
    TooManyRows,
    #[error("the statistics are not complete")]
    Truncated,
}

/// Where the columns are.
struct Columns {
    proxy: usize,
    name: usize,
    status: usize,
    sessions: usize,
    sessions_total: usize,
    bytes_in: Option<usize>,
    bytes_out: Option<usize>,
    weight: Option<usize>,
    agent_rise: Option<usize>,
    agent_health: Option<usize>,
    check_failures: Option<usize>,
    downtime: Option<usize>,
    last_change: Option<usize>,
    /// 0 frontend, 1 backend, 2 server, 3 listener.
    kind: usize,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, StatisticsError> {
        let at = |name: &str| header.iter().position(|column| column.trim_start_matches("# ") == name);
        let must = |name: &'static str| at(name).ok_or(StatisticsError::MissingColumn(name));
        Ok(Self {
            proxy: must("pxname")?,
            name: must("svname")?,
            status: must("status")?,
            sessions: must("scur")?,
            sessions_total: must("stot")?,
            bytes_in: at("bin"),
            bytes_out: at("bout"),
            weight: at("weight"),
            agent_rise: at("agent_rise"),
            agent_health: at("agent_health"),
            check_failures: at("chkfail"),
            downtime: at("downtime"),
            last_change: at("lastchg"),
            kind: must("type")?,
        })
    }
}

/// One row.
struct Row<'r>(&'r StringRecord);

impl Row<'_> {
    fn text(&self, column: usize) -> Box<str> {
        self.0.get(column).unwrap_or_default().into()
    }

    /// Absent columns and empty fields are `None`.
    fn number(&self, column: impl Into<Option<usize>>) -> Option<u64> {
        self.0.get(column.into()?)?.parse().ok()
    }

    fn count(&self, column: impl Into<Option<usize>>) -> u64 {
        self.number(column).unwrap_or(0)
    }

    fn seconds(&self, column: Option<usize>) -> Option<Duration> {
        self.number(column).map(Duration::from_secs)
    }
}

/// Backends with their servers, in HAProxy's order. `answer` may begin with what `show info` says.
pub fn read(answer: &str) -> Result<HaproxyFacts, StatisticsError> {
    let start =
        if answer.starts_with(HEADER) { 0 } else { answer.find("\n# pxname,").ok_or(StatisticsError::NoHeader)? };
    let (info, table) = answer.split_at(start);
    let table = table.trim_start();
    // The socket ends every answer with an empty line, the page every row with a line's end.
    if !table.ends_with(if info.is_empty() { "\n" } else { "\n\n" }) {
        return Err(StatisticsError::Truncated);
    }
    let about = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
    Ok(HaproxyFacts {
        version: about("Version").map(|version| version.chars().take(64).collect()),
        uptime: about("Uptime_sec").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        proxies: read_table(table)?.into(),
    })
}

fn read_table(table: &str) -> Result<Vec<HaproxyProxy>, StatisticsError> {
    let mut reader = ReaderBuilder::new().has_headers(true).flexible(true).from_reader(table.as_bytes());
    let header = reader.headers().map_err(|_| StatisticsError::Row(0))?;
    let columns = Columns::find(header)?;
    let width = header.len();
    let mut proxies = Vec::new();
    let mut names = HashSet::new();
    let mut servers: Vec<(Box<str>, HaproxyServer)> = Vec::new();
    let mut record = StringRecord::new();
    for number in 1.. {
        if !reader.read_record(&mut record).map_err(|_| StatisticsError::Row(number))? {
            break;
        }
        if number > MAX_ROWS {
            return Err(StatisticsError::TooManyRows);
        }
        if record.len() < width {
            return Err(StatisticsError::Truncated);
        }
        let row = Row(&record);
        match row.number(columns.kind) {
            Some(2) => servers.push((row.text(columns.proxy), server(&row, &columns))),
            // A backend's row follows those of its servers.
            Some(1) => {
                let mut proxy = proxy(&row, &columns);
                // Names are unique; of what claims otherwise, the first of each name counts.
                let mut seen = HashSet::new();
                let own = servers.drain(..).filter(|(name, _)| *name == proxy.name).map(|(_, server)| server);
                proxy.servers = own.filter(|server| seen.insert(server.name.clone())).collect();
                if names.insert(proxy.name.clone()) {
                    proxies.push(proxy);
                }
            }
            _ => {}
        }
    }
    Ok(proxies)
}

fn proxy(row: &Row<'_>, columns: &Columns) -> HaproxyProxy {
    HaproxyProxy {
        name: row.text(columns.proxy),
        up: is_up(&row.text(columns.status)),
        sessions: row.count(columns.sessions),
        sessions_total: row.count(columns.sessions_total),
        bytes_in: row.count(columns.bytes_in),
        bytes_out: row.count(columns.bytes_out),
        servers: Box::default(),
    }
}

fn server(row: &Row<'_>, columns: &Columns) -> HaproxyServer {
    let status = row.text(columns.status);
    HaproxyServer {
        name: row.text(columns.name),
        up: is_up(&status),
        wanted: is_wanted(&status),
        status,
        sessions: row.count(columns.sessions),
        sessions_total: row.count(columns.sessions_total),
        weight: u32::try_from(row.count(columns.weight)).unwrap_or(u32::MAX),
        agent_up: row
            .number(columns.agent_health)
            .zip(row.number(columns.agent_rise))
            .map(|(health, rise)| health >= rise),
        check_failures: row.count(columns.check_failures),
        downtime: row.seconds(columns.downtime),
        last_change: row.seconds(columns.last_change),
    }
}

/// `UP`, `UP 1/3` (going down, and still used), `OPEN`, `no check`.
fn is_up(status: &str) -> bool {
    status.starts_with("UP") || status == "OPEN" || status == "no check"
}

/// `DRAIN` and `NOLB` (as drained by a check answered with 404) take nobody new, nor does what its agent has taken down: a standby whose turn
/// it is not. `MAINT (resolution)` is nobody's intent: the server's name does not resolve.
fn is_wanted(status: &str) -> bool {
    status == "MAINT (resolution)" || !["MAINT", "DRAIN", "NOLB", "DOWN (agent)"].iter().any(|s| status.starts_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_drained_by_404_is_not_wanted_and_names_are_unique() {
        let rows = [
            "b,s1,NOLB,1,2,2",
            "b,s2,UP,3,4,2",
            "b,s1,UP,5,6,2",
            "b,BACKEND,UP,4,6,1",
            "b,s3,UP,7,8,2",
            "c,s1,DOWN (agent),0,0,2",
            "c,s2,DOWN,0,0,2",
            "c,BACKEND,DOWN,0,0,1",
            "b,BACKEND,DOWN,9,9,1",
        ];
        let answer = format!("# pxname,svname,status,scur,stot,type\n{}\n", rows.join("\n"));
        let facts = read(&answer).unwrap();
        assert_eq!(facts.proxies.len(), 2);
        let proxy = &facts.proxies[0];
        assert_eq!((proxy.up, proxy.sessions), (true, 4));
        let servers: Vec<_> = proxy.servers.iter().map(|s| (&*s.name, s.up, s.wanted, s.sessions)).collect();
        assert_eq!(servers, [("s1", false, false, 1), ("s2", true, true, 3)]);
        let standby: Vec<_> = facts.proxies[1].servers.iter().map(|s| (&*s.name, s.up, s.wanted)).collect();
        assert_eq!(standby, [("s1", false, false), ("s2", false, true)]);
    }
}
