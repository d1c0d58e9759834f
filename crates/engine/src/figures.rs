//! Asks a gateway for its figures, again and again.

use crate::{input::Input, watched::watched};
use plimsoll_wire::{
    channel::Channel,
    gateway::{Ask, Figures},
};
use std::{io, path::PathBuf, time::Duration};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc::UnboundedSender, watch},
    time::{sleep, timeout},
};

/// A gateway that does not answer for so long counts as not reachable.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a gateway that is not there is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// Asks the gateway `id` at `socket` for ever, as often as `pace` says.
pub(crate) async fn follow(
    id: String,
    socket: PathBuf,
    pace: watch::Receiver<Duration>,
    inputs: UnboundedSender<Input>,
) {
    let mut reachable = true;
    while !inputs.is_closed() {
        if let Ok(channel) = open(&socket) {
            reachable = true;
            ask_on(&id, &channel, pace.clone(), &inputs).await;
        }
        if reachable {
            reachable = false;
            inputs.send(Input::Figures { gateway: id.clone(), figures: None }).ok();
        }
        sleep(RETRY).await;
    }
}

fn open(socket: &std::path::Path) -> io::Result<AsyncFd<Channel>> {
    watched(Channel::connect(socket)?)
}

async fn ask_on(
    id: &str,
    channel: &AsyncFd<Channel>,
    mut pace: watch::Receiver<Duration>,
    inputs: &UnboundedSender<Input>,
) {
    let mut known = 0;
    loop {
        match timeout(PATIENCE, one(channel, &mut known)).await {
            Ok(Ok(Some(figures))) => {
                let input = Input::Figures { gateway: id.into(), figures: Some(Box::new(figures)) };
                if inputs.send(input).is_err() {
                    return;
                }
            }
            _ => return,
        }
        let wait = *pace.borrow_and_update();
        tokio::select! {
            () = sleep(wait) => {}
            changed = pace.changed() => if changed.is_err() { return },
        }
    }
}

/// The figures, with the ejections since those that are `known`.
async fn one(channel: &AsyncFd<Channel>, known: &mut u64) -> io::Result<Option<Figures>> {
    let Some(figures) = asked(channel, &Ask::Figures).await? else { return Ok(None) };
    if figures.ejections == *known {
        return Ok(Some(figures));
    }
    let after = std::mem::replace(known, figures.ejections);
    asked(channel, &Ask::Ejections { after }).await
}

async fn asked(channel: &AsyncFd<Channel>, ask: &Ask) -> io::Result<Option<Figures>> {
    channel.async_io(Interest::WRITABLE, |channel| channel.send(ask, &[])).await?;
    let received = channel.async_io(Interest::READABLE, |channel| channel.receive::<Figures>()).await?;
    Ok(received.map(|(figures, _)| figures))
}
