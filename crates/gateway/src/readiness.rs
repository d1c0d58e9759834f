//! Descriptors that the runtime watches.

use std::{io, os::fd::AsRawFd};
use tokio::io::{Interest, unix::AsyncFd};

/// Has the runtime watch a descriptor that is owned by `inner` and never given up by it before.
///
/// # Errors
/// No memory or no watches left.
pub(crate) fn watch<T: AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    #[expect(
        deprecated,
        reason = "its successor is unsafe; every type that is watched here owns its descriptor to its end"
    )]
    AsyncFd::with_interest(inner, interest)
}
