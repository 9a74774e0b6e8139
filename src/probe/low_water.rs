//! `SO_RCVLOWAT`, for which no maintained crate has a safe setter.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Sets the receive low-water mark of a socket in bytes (socket(7)).
#[expect(unsafe_code, reason = "a socket option without a safe wrapper")]
pub fn set(socket: &impl AsFd, bytes: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let value: *const libc::c_int = &bytes;
    // SAFETY: the descriptor is borrowed for the call, and `value` points to an int of the given length.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, value.cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
