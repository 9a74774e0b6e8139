//! A connection whose peer must keep reading: a write that makes no progress for too long ends it, and so does an answer that is not
//! taken whole in a multiple of that time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::activity::Activity;

/// An answer may take this many times the patience for its next byte.
const WHOLE: u32 = 4;

/// Wraps a stream; reading is untouched.
pub struct WriteDeadline<S> {
    inner: S,
    patience: Duration,
    waiting: Pin<Box<Sleep>>,
    is_waiting: bool,
    /// When what is not flushed yet began to be written.
    began: Option<Instant>,
    activity: Arc<Activity>,
}

impl<S> WriteDeadline<S> {
    /// `activity` is told when all is sent.
    pub fn new(inner: S, patience: Duration, activity: Arc<Activity>) -> Self {
        Self { inner, patience, waiting: Box::pin(sleep(patience)), is_waiting: false, began: None, activity }
    }

    /// Whether the answer may still take time; it begins now at the latest.
    fn is_in_time(&mut self) -> bool {
        let now = Instant::now();
        now.duration_since(*self.began.get_or_insert(now)) < self.patience * WHOLE
    }

    /// Passes a finished write on; lets an unfinished one wait until the deadline.
    fn watch<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.is_waiting = false;
            return write;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            let now = Instant::now();
            let whole = self.began.unwrap_or(now) + self.patience * WHOLE;
            self.waiting.as_mut().reset(whole.min(now + self.patience));
        }
        ready!(self.waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteDeadline<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteDeadline<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.is_in_time() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let write = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watch(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.is_in_time() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let write = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The server flushes once it has written all it has.
        let flush = Pin::new(&mut this.inner).poll_flush(cx);
        if flush.is_ready() {
            this.began = None;
            this.activity.sent();
        }
        this.watch(cx, flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shutdown = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.watch(cx, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_left_and_one_that_reads_is_not() {
        let patience = Duration::from_millis(50);
        let (ours, mut peer) = tokio::io::duplex(8);
        let mut ours = WriteDeadline::new(ours, patience, Arc::default());
        let reads = async { peer.read_exact(&mut [0; 32]).await.unwrap() };
        let (written, _) = tokio::join!(ours.write_all(&[0; 32]), reads);
        written.unwrap();
        let began = Instant::now();
        let error = ours.write_all(&[0; 32]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= patience);
    }

    #[tokio::test]
    async fn an_answer_must_be_taken_whole_in_time_and_the_next_one_has_time_of_its_own() {
        let patience = Duration::from_millis(200);
        let (ours, mut peer) = tokio::io::duplex(8);
        let mut ours = WriteDeadline::new(ours, patience, Arc::default());
        let drip = async {
            let mut piece = [0; 8];
            while peer.read(&mut piece).await.is_ok_and(|n| n > 0) {
                tokio::time::sleep(patience / 10).await;
            }
        };
        let answers = async {
            // Each takes half of its time.
            for _ in 0..3 {
                ours.write_all(&[0; 160]).await.unwrap();
                ours.flush().await.unwrap();
            }
            let began = Instant::now();
            let error = ours.write_all(&[0; 800]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() >= patience * WHOLE, "it is not silence that ended it: {:?}", began.elapsed());
            drop(ours);
        };
        tokio::join!(drip, answers);
    }
}
