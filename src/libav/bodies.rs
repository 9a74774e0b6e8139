//! Which frames the monitor wants whole while we demux.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rtmp_hmonitor::libav_protocol::Request;

use crate::pipe::Pipe;

/// Changes whenever the monitor says so.
pub struct Bodies(Arc<AtomicU32>);

impl Bodies {
    /// Listens from now on. When the monitor says nothing more, or something else, the process ends: there is nobody to work for.
    pub fn listen() -> io::Result<Self> {
        let most = Arc::<AtomicU32>::default();
        let heard = Arc::clone(&most);
        thread::Builder::new().spawn(move || {
            let mut pipe = Pipe::standard();
            while let Ok(Some(Request::KeepBodies(most))) = pipe.receive() {
                heard.store(most, Ordering::Relaxed);
            }
            process::exit(1);
        })?;
        Ok(Self(most))
    }

    /// A copy of this frame if it is wanted, else nothing.
    pub fn of(&self, frame: &[u8]) -> Vec<u8> {
        let wanted = u32::try_from(frame.len()).is_ok_and(|length| length <= self.0.load(Ordering::Relaxed));
        if wanted { frame.to_vec() } else { Vec::new() }
    }
}
