//! A connection to one who asks (engine, gateway, a test), with a bounded queue of what it has not read yet.
//!
//! Invariant: sending never waits. Who doesn't read is cut off, and will ask for the inventory again.

use plimsoll_wire::{
    channel::{Channel, Received},
    keeper::Said,
};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde_json::Value;
use std::{collections::VecDeque, io};

/// So many bytes may wait for one who doesn't read.
const QUEUE_MAX: usize = 2 << 20;
/// A single message counts no more: a long inventory is no reason to cut anybody off.
const MESSAGE_COST_MAX: usize = 1 << 20;
/// What a waiting descriptor counts, so that their number is bounded, too.
const DESCRIPTOR_COST: usize = 8 * 1024;

/// One connection.
pub(crate) struct Connection {
    channel: Channel,
    /// Who it said it is; empty before its first message.
    pub(crate) role: String,
    /// Names that it watches.
    pub(crate) watches: Vec<String>,
    queue: VecDeque<(Said, Option<OwnedFd>, usize)>,
    queued: usize,
    /// It is to be closed.
    pub(crate) broken: bool,
    /// It is registered for writing.
    pub(crate) waits_to_write: bool,
}

impl Connection {
    pub(crate) fn new(channel: Channel) -> io::Result<Self> {
        channel.set_nonblocking(true)?;
        Ok(Self {
            channel,
            role: String::new(),
            watches: Vec::new(),
            queue: VecDeque::new(),
            queued: 0,
            broken: false,
            waits_to_write: false,
        })
    }

    /// The next request; `None` when there is none now, or ever again (`broken`).
    pub(crate) fn receive(&mut self) -> Option<io::Result<Received<Value>>> {
        match self.channel.receive::<Value>() {
            Ok(Some(received)) => Some(Ok(received)),
            Ok(None) => {
                self.broken = true;
                None
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error)
                if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Some(Err(error))
            }
            Err(_) => {
                self.broken = true;
                None
            }
        }
    }

    /// Queues it to be sent.
    pub(crate) fn say(&mut self, said: Said, fd: Option<OwnedFd>) {
        if self.broken {
            return;
        }
        let length = serde_json::to_vec(&said).map_or(0, |text| text.len()).min(MESSAGE_COST_MAX);
        let cost = length + fd.as_ref().map_or(64, |_| DESCRIPTOR_COST);
        self.queued += cost;
        self.queue.push_back((said, fd, cost));
    }

    /// Sends what waits, as far as that goes. Who leaves too much unread is cut off.
    pub(crate) fn flush(&mut self) {
        while let Some((said, fd, cost)) = self.queue.pop_front() {
            if !self.send(&said, fd.as_ref()) {
                self.queue.push_front((said, fd, cost));
                break;
            }
            self.queued -= cost;
        }
        if self.queued > QUEUE_MAX {
            self.broken = true;
        }
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether it is done with: sent, or never to be sent.
    fn send(&mut self, said: &Said, fd: Option<&OwnedFd>) -> bool {
        let fds: Vec<BorrowedFd<'_>> = fd.iter().map(|fd| fd.as_fd()).collect();
        match self.channel.send(said, &fds) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.broken = true;
                true
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
