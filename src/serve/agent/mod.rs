//! HAProxy's agent checks: one question, one line of reply, over plain TCP.
//!
//! HAProxy keeps the last reply until the next, so silence means "as before": that is what is said when nothing is known.

pub mod grammar;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use grammar::{Answer, LONGEST_QUESTION, Question, Reply};

use super::Views;
use super::health::given;
use super::listener::{ACCEPT_PAUSE, Connections, Room};
use super::metrics::own::{AnswerGiven, AnswerView, Listener};
use super::moment::Moment;
use crate::model::snapshot::HealthAnswer;

/// From the connection to the end of the reply. HAProxy gives up after `agent-inter` anyway.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves `listener` until `silent`, then says nothing more to anybody.
pub async fn serve(listener: TcpListener, views: Views, silent: CancellationToken) {
    let mut connections = Connections::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = silent.cancelled() => return,
            Some(ended) = connections.next_ended() => {
                if ended.is_err_and(|e| e.is_panic()) {
                    views.control.status().count_panic();
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, listener = Listener::Agent.as_str(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let limit = views.server.borrow().limits.agent_connections;
        if !connections.make_room(Room::OfTheOldest, limit.max(1)) {
            views.self_metrics.connection_refused(Listener::Agent);
            continue;
        }
        let (views, silent) = (views.clone(), silent.clone());
        connections.start(Default::default(), async move {
            tokio::select! {
                biased;
                () = silent.cancelled() => {}
                // Who is too slow, or has gone, asks again.
                _ = tokio::time::timeout(PATIENCE, converse(stream, &views)) => {}
            }
        });
    }
}

async fn converse(mut stream: TcpStream, views: &Views) -> io::Result<()> {
    let mut room = [0; LONGEST_QUESTION];
    let line = read_line(&mut stream, &mut room).await?;
    let (given, reply) = match line.and_then(Question::parse) {
        None => (AnswerGiven::NotUnderstood, None),
        Some(question) => answer(views, question),
    };
    views.self_metrics.health_answered(AnswerView::Agent, given);
    let Some(reply) = reply else { return Ok(()) };
    stream.write_all(reply.to_string().as_bytes()).await?;
    stream.shutdown().await
}

/// Reads up to the first end of line, and that, too. `None`: there is none before the end, or within `room`.
async fn read_line<'r>(stream: &mut TcpStream, room: &'r mut [u8]) -> io::Result<Option<&'r [u8]>> {
    let mut length = 0;
    let end = loop {
        let read = stream.read(room.get_mut(length..).unwrap_or_default()).await?;
        if read == 0 {
            return Ok(None);
        }
        let new = room.get(length..length + read).unwrap_or_default();
        if let Some(at) = new.iter().position(|b| *b == b'\n') {
            break length + at;
        }
        length += read;
    };
    Ok(room.get(..=end))
}

fn answer(views: &Views, question: Question<'_>) -> (AnswerGiven, Option<Reply>) {
    let moment = Moment::read(&views.store.clock);
    match grammar::answer(&views.store.snapshot(), &moment, question) {
        Answer::Say(reply, basis) => (given(HealthAnswer { healthy: reply.healthy, basis }), Some(reply)),
        Answer::Silence => (AnswerGiven::Silent, None),
        Answer::NoSuchName => (AnswerGiven::NoSuchName, None),
    }
}
