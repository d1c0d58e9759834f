//! A channel that the runtime watches.

use plimsoll_wire::channel::Channel;
use std::io;
use tokio::io::unix::AsyncFd;

/// Lets the runtime watch a channel, which no longer blocks from now on.
pub(crate) fn watched(channel: Channel) -> io::Result<AsyncFd<Channel>> {
    channel.set_nonblocking(true)?;
    #[expect(deprecated, reason = "its replacement is unsafe; a channel owns its descriptor and never exchanges it")]
    AsyncFd::new(channel)
}
