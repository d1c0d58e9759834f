//! Leads whoever uses a store with standbys on to a member of it: bytes, whatever they mean.
//!
//! Invariant: a connection is led to the primary of the edition in force, or waits for one; when another member becomes the
//! primary, connections to the one before are closed.

use crate::{shared::Shared, table::Table, worker::Open};
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
    /// Whom it may be led to now, `turn` telling equals apart.
    fn target(&self, table: &Table, turn: usize) -> Option<SocketAddr> {
        let members = table.stores.get(&self.store)?;
        let standbys = if self.reads { members.standbys.as_slice() } else { &[] };
        match standbys.len() {
            0 => members.primary,
            count => standbys.get(turn % count).copied(),
        }
    }

    /// Whether a connection to that member goes on: nobody is told to take its place.
    fn keeps(&self, table: &Table, to: SocketAddr) -> bool {
        let Some(members) = table.stores.get(&self.store) else { return false };
        let stands = self.reads && members.standbys.contains(&to);
        let leads = members.primary.is_none_or(|primary| primary == to);
        stands || (leads && (!self.reads || members.standbys.is_empty()))
    }
}

/// Serves one connection to its end.
pub(crate) async fn relay(shared: &Arc<Shared>, mut client: TcpStream, wish: &Wish, open: Open) {
    let mut editions = shared.edition.subscribe();
    let turn = client.peer_addr().map_or(0, |peer| usize::from(peer.port()));
    let Some((mut member, to)) = reach(shared, wish, &mut editions, turn).await else { return };
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
    turn: usize,
) -> Option<(TcpStream, SocketAddr)> {
    let deadline = Instant::now() + HOLD;
    let mut tried = turn;
    while Instant::now() < deadline {
        editions.mark_unchanged();
        let target = wish.target(&shared.table.load(), tried);
        let mut wait = deadline;
        if let Some(to) = target {
            if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(to)).await {
                return Some((stream, to));
            }
            tried += 1;
            wait = Instant::now() + AGAIN;
        }
        // Another edition, or another try.
        let _ = timeout_at(wait.min(deadline), editions.changed()).await;
    }
    None
}
