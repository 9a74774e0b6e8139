//! Work that may wait for a disk: done beside control, which follows decisions meanwhile.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;

use tokio::task::JoinError;

use super::Control;

/// What follows from a piece of work.
pub type Then = Box<dyn FnOnce(&mut Control) + Send>;

/// One piece of work at a time.
#[derive(Default)]
pub struct Lane(Option<Pin<Box<dyn Future<Output = Then> + Send>>>);

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("is_free", &self.is_free()).finish()
    }
}

impl Lane {
    pub fn is_free(&self) -> bool {
        self.0.is_none()
    }

    /// Does `work` where files may be waited for; `then` is what follows. For a lane that is free.
    pub fn begin<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(&mut Control, Result<T, JoinError>) + Send + 'static,
    ) {
        debug_assert!(self.is_free());
        self.0 = Some(Box::pin(async move {
            let done = tokio::task::spawn_blocking(work).await;
            let then: Then = Box::new(move |control| then(control, done));
            then
        }));
    }

    /// What follows from the work under way, once it is done; the lane is free then. May be dropped and asked again.
    pub async fn done(&mut self) -> Then {
        let Some(work) = &mut self.0 else { return pending().await };
        let then = work.await;
        self.0 = None;
        then
    }
}
