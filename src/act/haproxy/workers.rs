//! Workers of before a reload: they keep their sessions, and servers that go down cut none of them there. The master process passes
//! commands on to them.

use std::collections::BTreeSet;

use super::answers::{self, AnswerError};
use super::socket::{SocketError, ask};
use crate::model::action::{ControlSocket, ServerId};
use crate::probe::resolve::Resolver;

/// Sessions ended over one connection.
const BATCH: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("cannot read the master's answer: {0}")]
    Answer(#[from] AnswerError),
}

/// Ends the sessions that old workers hold with `servers`; says how many.
pub async fn end_sessions(
    master: &ControlSocket,
    resolver: &Resolver,
    servers: &BTreeSet<&ServerId>,
) -> Result<usize, WorkerError> {
    let mut ended = 0;
    for worker in answers::old_workers(&ask(master, resolver, "show proc").await?)? {
        let held = answers::sessions(&ask(master, resolver, &format!("@!{worker} show sess")).await?)?;
        let held: Vec<_> = held.iter().filter(|(_, server)| servers.contains(server)).collect();
        for batch in held.chunks(BATCH) {
            let orders: Vec<_> = batch.iter().map(|(id, _)| format!("@!{worker} shutdown session {id}")).collect();
            ask(master, resolver, &orders.join("\n")).await?;
        }
        ended += held.len();
    }
    Ok(ended)
}
