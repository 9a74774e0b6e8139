//! Whether a connection has an answer under way: those that have none make room when there are too many.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

/// What one connection is doing.
#[derive(Debug, Default)]
pub struct Activity {
    /// Handlers that run and bodies that are not given to the connection whole.
    under_way: AtomicUsize,
    /// Given to the connection, and not to the system yet.
    unsent: AtomicBool,
}

/// An answer from its request's head on until its body ends.
#[derive(Debug)]
pub struct UnderWay(Arc<Activity>);

impl Activity {
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(Arc::clone(self))
    }

    /// All that was given to the connection is sent.
    pub fn sent(&self) {
        self.unsent.store(false, Ordering::Release);
    }

    pub fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0 && !self.unsent.load(Ordering::Acquire)
    }
}

impl UnderWay {
    /// Gives the answer to the connection. The body keeps it under way: an event stream is until it ends.
    pub fn answer<B>(self, body: B) -> WatchedBody<B> {
        self.0.unsent.store(true, Ordering::Release);
        WatchedBody { body, _under_way: self }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body whose answer is under way as long as it lives.
pub struct WatchedBody<B> {
    body: B,
    _under_way: UnderWay,
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
