//! Adds up what the workers counted, and answers whoever asks for it.

use crate::{
    ejections::Ejections,
    readiness,
    shared::{Shared, say},
};
use plimsoll_wire::{
    channel::{Channel, Received},
    gateway::{Ask, Figures, ReplicaFigures, RouteFigures},
};
use std::{
    io,
    path::Path,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
};
use tokio::io::{Interest, unix::AsyncFd};

/// All figures, now.
pub(crate) fn fold(shared: &Shared) -> Figures {
    let table = shared.table.load();
    let registry = shared.registry();
    let mut figures = Figures {
        version: plimsoll_wire::VERSION,
        epoch: shared.epoch().0,
        edition: table.edition,
        connections: shared.connections(),
        connections_by_worker: shared.posts.iter().map(|post| post.open.load(Relaxed)).collect(),
        ejections: ejections(shared).count,
        draining: shared.draining.load(Relaxed),
        listening: Some(shared.listening.load(Relaxed) && !shared.draining.load(Relaxed)),
        ..Figures::default()
    };
    for (id, live) in &registry.replicas {
        let mut replica = ReplicaFigures {
            in_flight: u64::from(live.in_flight.load(Relaxed)),
            latency_ewma_us: u64::from(live.latency_us.load(Relaxed)),
            ejected: live.ejected.load(Relaxed),
            ..ReplicaFigures::default()
        };
        for shard in &live.shards {
            replica.requests += shard.requests.load(Relaxed);
            replica.errors += shard.errors.load(Relaxed);
            replica.copies += shard.copies.load(Relaxed);
            shard.latency.add_to(&mut replica.latency);
            replica.latency_sum_us += shard.latency.sum_us();
            if let Some(own) = shard.synthetic.get() {
                replica.synthetic.requests += own.requests.load(Relaxed);
                replica.synthetic.errors += own.errors.load(Relaxed);
                own.latency.add_to(&mut replica.synthetic.latency);
            }
        }
        figures.replicas.insert(id.to_string(), replica);
    }
    for (name, backend) in &table.services {
        figures.held.insert(name.clone(), u64::from(backend.live.held.load(Relaxed)));
        let dropped = backend.live.copies_dropped.load(Relaxed);
        if dropped > 0 {
            figures.copies_dropped.insert(name.clone(), dropped);
        }
        for endpoint in &backend.endpoints {
            if let Some(replica) = figures.replicas.get_mut(&endpoint.live.id.to_string()) {
                replica.gone = endpoint.process.gone.load(Relaxed);
            }
        }
    }
    for (name, live) in &registry.routes {
        let mut route = RouteFigures::default();
        for shard in &live.shards {
            route.requests += shard.requests.load(Relaxed);
            route.retries += shard.retries.load(Relaxed);
            route.shed += shard.shed.load(Relaxed);
            shard.latency.add_to(&mut route.latency);
            route.latency_sum_us += shard.latency.sum_us();
            for (class, count) in shard.statuses.iter().enumerate() {
                *route.statuses.entry(format!("{}xx", class + 1)).or_default() += count.load(Relaxed);
            }
        }
        route.statuses.retain(|_, count| *count > 0);
        figures.routes.insert(name.clone(), route);
    }
    figures
}

fn ejections(shared: &Shared) -> MutexGuard<'_, Ejections> {
    shared.ejections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers at `path` until the end of the gateway.
pub(crate) async fn answer(shared: Arc<Shared>, path: &Path) {
    let listener = match listen(path) {
        Ok(listener) => listener,
        Err(error) => return say("figures-unavailable", format!("{}: {error}", path.display())),
    };
    loop {
        match listener.async_io(Interest::READABLE, |listener| Channel::accept(listener)).await {
            Ok(channel) => {
                tokio::spawn(converse(Arc::clone(&shared), channel));
            }
            // No descriptors left: those who ask will ask again.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

fn listen(path: &Path) -> io::Result<AsyncFd<std::os::fd::OwnedFd>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let socket = Channel::listen(path)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    readiness::watch(socket, Interest::READABLE)
}

/// Answers one who asks, until it goes away.
async fn converse(shared: Arc<Shared>, channel: Channel) {
    let Ok(channel) =
        channel.set_nonblocking(true).and_then(|()| readiness::watch(channel, Interest::READABLE | Interest::WRITABLE))
    else {
        return;
    };
    loop {
        let asked: io::Result<Option<Received<Ask>>> = channel.async_io(Interest::READABLE, Channel::receive).await;
        let mut known = None;
        let retire = match asked {
            Ok(Some((Ask::Figures, _))) => None,
            Ok(Some((Ask::Ejections { after }, _))) => {
                known = Some(after);
                None
            }
            Ok(Some((Ask::Retire { grace_ms }, _))) => Some(grace_ms),
            // A later version's question: it gets figures too, which are an answer to something.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Ok(None) | Err(_) => return,
        };
        let mut figures = fold(&shared);
        if let Some(after) = known {
            figures.ejected = ejections(&shared).after(after);
        }
        let sent = channel.async_io(Interest::WRITABLE, |channel| channel.send(&figures, &[])).await;
        if let Some(grace_ms) = retire {
            // The main thread is ending already.
            let _ = shared.retire.send(grace_ms);
        }
        if sent.is_err() {
            return;
        }
    }
}
