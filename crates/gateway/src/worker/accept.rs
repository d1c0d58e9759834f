//! Takes connections from a listener, and gives each to the worker that shall serve it.

use super::{Open, Order};
use crate::{connection, entrance, readiness, shared::Shared, shared::say};
use rustix::{
    io::Errno,
    net::{SocketFlags, acceptfrom_with},
};
use std::{
    fs::File,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    time,
};

/// So many connections are taken at once, before others get their turn.
const BATCH: usize = 32;
/// Refused connections that are told so at once, a worker; more are just closed.
const TOLD_AT_ONCE: usize = 32;

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
Content-Type: application/problem+json\r\nContent-Length: 134\r\n\r\n\
{\"type\":\"urn:plimsoll:problem:connections\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"Too many connections are open here.\"}\n";

/// Accepts from `listener` until it is aborted.
pub(super) async fn accept(worker: usize, shared: Arc<Shared>, name: Arc<str>, listener: TcpListener) {
    let listener = match listener.set_nonblocking(true).and_then(|()| readiness::watch(listener, Interest::READABLE)) {
        Ok(listener) => listener,
        Err(error) => return say("listener-unusable", format!("{name}: {error}")),
    };
    let mut acceptor = Acceptor { worker, shared, name, spare: spare(), telling: Arc::default(), leaving: 0 };
    loop {
        let Ok(mut ready) = listener.readable().await else { return };
        let mut pause = None;
        for taken in 0..=BATCH {
            if taken == BATCH {
                // More may wait: the readiness is kept, and others get their turn first.
                break;
            }
            match acceptfrom_with(listener.get_ref(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, peer)) => acceptor.take(TcpStream::from(socket), peer.and_then(|a| a.try_into().ok())),
                Err(Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    break;
                }
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    acceptor.refuse_with_spare(listener.get_ref());
                    pause = Some(Duration::from_millis(5));
                    break;
                }
                // The client went away before it was accepted, or was interrupted.
                Err(_) => {}
            }
        }
        drop(ready);
        match pause {
            Some(pause) => time::sleep(pause).await,
            None => tokio::task::yield_now().await,
        }
    }
}

struct Acceptor {
    worker: usize,
    shared: Arc<Shared>,
    name: Arc<str>,
    /// A descriptor to give up when there are no others, so that a client can be told.
    spare: Option<File>,
    telling: Arc<std::sync::atomic::AtomicUsize>,
    /// So many were asked to leave for whoever comes, and nobody has come in their place yet.
    leaving: usize,
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

impl Acceptor {
    fn take(&mut self, stream: TcpStream, peer: Option<SocketAddr>) {
        let Some(peer) = peer else { return };
        if !self.has_room() {
            return self.refuse(stream);
        }
        let posts = &self.shared.posts;
        let mine = posts[self.worker].open.load(Relaxed);
        let (least, open) = posts
            .iter()
            .map(|post| post.open.load(Relaxed))
            .enumerate()
            .min_by_key(|(_, open)| *open)
            .unwrap_or((self.worker, mine));
        // A sixteenth of difference is not worth waking another core.
        let target = if mine > open + 1 + mine / 16 { least } else { self.worker };
        posts[target].open.fetch_add(1, SeqCst);
        let listener = Arc::clone(&self.name);
        if target == self.worker {
            let open = Open::counted(&posts[target]);
            entrance::spawn(self.worker, &self.shared, stream, entrance::Caller { peer, listener, open });
        } else {
            posts[target].send(Order::Serve { stream, peer, listener });
        }
    }

    /// Whether one more may be open. Those who leave for it do so once their tasks have run; until then there are a few more
    /// than may be, for which there are descriptors.
    fn has_room(&mut self) -> bool {
        if self.shared.connections() < self.shared.settings.connections_max as u64 {
            self.leaving = 0;
            return true;
        }
        if self.leaving == 0 {
            self.leaving = connection::make_room();
        }
        let has_room = self.leaving > 0;
        self.leaving = self.leaving.saturating_sub(1);
        has_room
    }

    fn refuse_with_spare(&mut self, listener: &TcpListener) {
        self.spare = None;
        if let Ok((socket, _)) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            // Written at once, into the empty buffer of a new socket; whoever can't take that is just closed.
            let stream = TcpStream::from(socket);
            let _ = std::io::Write::write(&mut (&stream), REFUSAL);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        self.spare = spare();
    }

    /// Tells a client that there are too many, and lets it read that before the connection is closed.
    fn refuse(&self, stream: TcpStream) {
        if self.telling.fetch_add(1, Relaxed) >= TOLD_AT_ONCE {
            self.telling.fetch_sub(1, Relaxed);
            return;
        }
        let telling = Arc::clone(&self.telling);
        tokio::spawn(async move {
            let tell = async {
                let mut stream = tokio::net::TcpStream::from_std(stream)?;
                stream.write_all(REFUSAL).await?;
                stream.shutdown().await?;
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                std::io::Result::Ok(())
            };
            // A client that went away needs no answer.
            let _ = time::timeout(Duration::from_secs(1), tell).await;
            telling.fetch_sub(1, Relaxed);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_has_the_length_that_it_says() {
        let text = std::str::from_utf8(REFUSAL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
