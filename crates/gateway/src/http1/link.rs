//! Connections of a worker's own to replicas: one exchange at a time, and kept for the next one.

use super::{
    buffer::Buffer,
    reply::{self, Reply},
};
use crate::{
    connection,
    entrance::HEAD_MAX,
    table::Endpoint,
    upstream::{self, Failure},
};
use rustix::net::RecvFlags;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::net::TcpStream;

/// Idle connections to one replica, at most, for each worker.
const IDLE_MAX: usize = 512;
/// Heads that say only that another one follows.
const INTERIM_MAX: u32 = 16;

/// A connection to a replica.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) buffer: Buffer,
    interim: u32,
}

struct Idle {
    link: Link,
    since: u32,
}

thread_local! {
    static IDLE: RefCell<BTreeMap<u64, Vec<Idle>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Link {
    /// Connects to a replica.
    ///
    /// # Errors
    /// Nothing was sent.
    pub(super) async fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Self, Failure> {
        let stream = upstream::dial(endpoint, timeout).await?;
        Ok(Self { stream, buffer: Buffer::default(), interim: 0 })
    }

    /// The kernel has heard nothing from the replica since its last answer: neither an end nor bytes that nobody asked for.
    fn is_quiet(&self) -> bool {
        let mut byte = [0u8];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let heard = rustix::net::recv(&self.stream, &mut byte, flags).map(|(count, _)| count);
        matches!(heard, Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// The same, as far as the runtime knows.
    fn seems_quiet(&self) -> bool {
        // Nobody waits for it while it is idle, so nobody is to be woken.
        self.stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Reads until the head of an answer is there, and takes it.
    pub(super) fn poll_reply(&mut self, context: &mut Context<'_>, to_head: bool) -> Poll<Result<Reply, Failure>> {
        loop {
            if !self.buffer.is_empty() {
                match reply::read(self.buffer.filled(), to_head).map_err(Failure::Nonsense)? {
                    Some((reply, length)) if (100..200).contains(&reply.status) && reply.status != 101 => {
                        self.buffer.consume(length);
                        self.interim += 1;
                        if self.interim > INTERIM_MAX {
                            return Poll::Ready(Err(Failure::Nonsense("it says `wait` again and again".into())));
                        }
                        continue;
                    }
                    Some((reply, length)) => {
                        self.buffer.consume(length);
                        self.interim = 0;
                        return Poll::Ready(Ok(reply));
                    }
                    None if self.buffer.len() >= HEAD_MAX => {
                        return Poll::Ready(Err(Failure::Nonsense("its head is too long".into())));
                    }
                    None => {}
                }
            }
            match ready!(self.buffer.poll_fill(context, &mut self.stream, HEAD_MAX)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(Failure::Closed)),
            }
        }
    }
}

/// The connection of that pool that was used last. Whether its replica has closed it, the first use tells.
pub(super) fn take(pool: u64) -> Option<Link> {
    IDLE.with_borrow_mut(|idle| idle.get_mut(&pool)?.pop()).map(|idle| idle.link)
}

/// The connection of that pool that was used last among those that their replica has not closed.
pub(super) fn take_quiet(pool: u64) -> Option<Link> {
    loop {
        let link = take(pool)?;
        if link.is_quiet() {
            return Some(link);
        }
    }
}

/// Keeps a connection for the next request, if nothing is left on it from the last one.
pub(super) fn put(pool: u64, mut link: Link) {
    if !link.buffer.is_empty() || !link.seems_quiet() {
        return;
    }
    link.buffer.release();
    let since = connection::tick();
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.entry(pool).or_default();
        if idle.len() < IDLE_MAX {
            idle.push(Idle { link, since });
        }
    });
}

/// One tick: closes what was idle for too long.
pub(crate) fn sweep(idle_ms: u64) {
    let most = u32::try_from(idle_ms / connection::TICK_MS).unwrap_or(u32::MAX);
    let now = connection::tick();
    IDLE.with_borrow_mut(|idle| {
        for links in idle.values_mut() {
            // The oldest are in front.
            let old = links.partition_point(|idle| now.wrapping_sub(idle.since) > most);
            drop(links.drain(..old));
        }
        idle.retain(|_, links| !links.is_empty());
    });
}

/// Closes all that are idle, so that there are descriptors for what is needed now.
pub(crate) fn close_idle() {
    IDLE.with_borrow_mut(BTreeMap::clear);
}
