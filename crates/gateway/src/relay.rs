//! Leads whoever uses a store with standbys on to a member of it: bytes, whatever they mean.
//!
//! Invariant: a connection is led to the primary of the edition in force, or waits for one; when another member becomes the
//! primary, connections to the one before are closed.

use crate::{shared::Shared, table::Table, worker::Open};
use plimsoll_control::route::members;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::copy_bidirectional_with_sizes,
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

/// How long whoever comes waits for a member: longer than a failover takes.
const HOLD: Duration = Duration::from_secs(30);
/// How long a member may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How soon a member that refused is tried again: its server may be about to listen.
const AGAIN: Duration = Duration::from_millis(20);
/// Bytes that are read at once.
const BUFFER: usize = 16 * 1024;

/// Whom a connection wants to reach.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Which store.
    pub(crate) store: String,
    /// A standby will do.
    pub(crate) reads: bool,
}

impl Wish {
    /// Whom it is led to now; `draw` tells equals apart.
    fn target(&self, table: &Table, draw: u64) -> Option<SocketAddr> {
        members::member(table.stores.get(&self.store)?, self.reads, draw)
    }

    /// Whether a connection to that member goes on.
    fn keeps(&self, table: &Table, to: SocketAddr) -> bool {
        table.stores.get(&self.store).is_some_and(|known| members::keeps(known, self.reads, to))
    }
}

/// Serves one connection to its end.
pub(crate) async fn relay(shared: &Arc<Shared>, mut client: TcpStream, wish: &Wish, open: Open) {
    let mut editions = shared.edition.subscribe();
    let draw = client.peer_addr().map_or(0, |peer| u64::from(peer.port()));
    let Some((mut member, to)) = reach(shared, wish, &mut editions, draw).await else { return };
    // Without it small answers would wait for acknowledgements; a socket that refuses works all the same.
    let _ = client.set_nodelay(true);
    let _ = member.set_nodelay(true);
    let left = async {
        while wish.keeps(&shared.table.load(), to) {
            if editions.changed().await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = copy_bidirectional_with_sizes(&mut client, &mut member, BUFFER, BUFFER) => {}
        () = left => {}
    }
    drop(open);
}

/// Connects to the member that is to be reached; waits for one. `None`: there is none for too long.
async fn reach(
    shared: &Shared,
    wish: &Wish,
    editions: &mut watch::Receiver<u64>,
    draw: u64,
) -> Option<(TcpStream, SocketAddr)> {
    let deadline = Instant::now() + HOLD;
    let mut draw = draw;
    while Instant::now() < deadline {
        editions.mark_unchanged();
        let target = wish.target(&shared.table.load(), draw);
        let mut wait = deadline;
        if let Some(to) = target {
            if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(to)).await {
                return Some((stream, to));
            }
            draw += 1;
            wait = Instant::now() + AGAIN;
        }
        // Another edition, or another try.
        let _ = timeout_at(wait.min(deadline), editions.changed()).await;
    }
    None
}
