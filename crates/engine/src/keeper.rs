//! The engine's connection to the keeper: questions with numbered answers, and events.

use crate::{input::Input, watched::watched};
use plimsoll_wire::{
    VERSION,
    channel::Channel,
    keeper::{Answer, Ask, Inventory, Process, Refusal, Request, Said, Spawn},
    place::ENGINE,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc::UnboundedSender, oneshot},
};

/// The keeper is gone, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// The connection is lost. What was asked may or may not have been done.
    #[error("the keeper is gone")]
    Gone,
    /// It said no.
    #[error("{0}")]
    Failed(String),
    /// The system said no.
    #[error("{}: {} ({})", .0.stage, .0.detail, io::Error::from_raw_os_error(.0.errno))]
    Refused(Refusal),
}

type Waiting = oneshot::Sender<(Answer, Vec<OwnedFd>)>;

/// The connection. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Keeper {
    inner: Rc<Inner>,
}

struct Inner {
    channel: RefCell<Option<Rc<AsyncFd<Channel>>>>,
    number: Cell<u64>,
    version: Cell<u32>,
    waiting: RefCell<BTreeMap<u64, Waiting>>,
}

impl Keeper {
    /// A connection that is not there yet: everything fails with `Gone` until [`Keeper::connect`].
    pub(crate) fn unconnected() -> Self {
        let inner = Inner {
            channel: RefCell::new(None),
            number: Cell::new(0),
            version: Cell::new(VERSION),
            waiting: RefCell::new(BTreeMap::new()),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Uses that channel from now on, and sends events (and the loss of the channel) to `inputs`.
    pub(crate) fn connect(&self, channel: Channel, inputs: UnboundedSender<Input>) -> io::Result<()> {
        let channel = Rc::new(watched(channel)?);
        *self.inner.channel.borrow_mut() = Some(channel.clone());
        let keeper = self.clone();
        tokio::task::spawn_local(async move {
            keeper.listen(&channel, &inputs).await;
            keeper.inner.channel.borrow_mut().take();
            keeper.inner.waiting.borrow_mut().clear();
            inputs.send(Input::KeeperLost).ok();
        });
        Ok(())
    }

    async fn listen(&self, channel: &AsyncFd<Channel>, inputs: &UnboundedSender<Input>) {
        loop {
            let received = channel.async_io(Interest::READABLE, |channel| channel.receive::<Said>()).await;
            match received {
                Ok(Some((Said::Answer { number, answer }, fds))) => {
                    if let Some(waiting) = self.inner.waiting.borrow_mut().remove(&number) {
                        waiting.send((answer, fds)).ok();
                    }
                }
                Ok(Some((Said::Event(event), _))) => {
                    inputs.send(Input::Keeper(event)).ok();
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, ask: Ask, fds: &[OwnedFd]) -> Result<(Answer, Vec<OwnedFd>), KeeperError> {
        let channel = self.inner.channel.borrow().clone().ok_or(KeeperError::Gone)?;
        let number = self.inner.number.get() + 1;
        self.inner.number.set(number);
        let (sender, answer) = oneshot::channel();
        self.inner.waiting.borrow_mut().insert(number, sender);
        let request = Request { number, ask };
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let sent = channel.async_io(Interest::WRITABLE, |channel| channel.send(&request, &borrowed)).await;
        if sent.is_err() {
            self.inner.waiting.borrow_mut().remove(&number);
            return Err(KeeperError::Gone);
        }
        match answer.await.map_err(|_| KeeperError::Gone)? {
            (Answer::Failed { why }, _) => Err(KeeperError::Failed(why)),
            (Answer::Refused(refusal), _) => Err(KeeperError::Refused(refusal)),
            answer => Ok(answer),
        }
    }

    /// Says who speaks; tells the keeper's pid, and whether it took over.
    pub(crate) async fn hello(&self) -> Result<(i32, bool), KeeperError> {
        match self.ask(Ask::Hello { version: VERSION, role: ENGINE.into() }, &[]).await?.0 {
            Answer::Hello { version, pid, took_over } => {
                self.inner.version.set(version);
                Ok((pid, took_over))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// The version of messages that the keeper said it speaks.
    pub(crate) fn version(&self) -> u32 {
        self.inner.version.get()
    }

    /// Has the keeper become another program; answered by that one.
    pub(crate) async fn upgrade(&self, program: &str, former: Option<String>) -> Result<(), KeeperError> {
        self.ask(Ask::Upgrade { program: program.into(), former }, &[]).await.map(drop)
    }

    /// Tells the keeper that this engine stays.
    pub(crate) async fn trust(&self) -> Result<(), KeeperError> {
        self.ask(Ask::Trust, &[]).await.map(drop)
    }

    /// Has a process never be started again.
    pub(crate) async fn retire(&self, id: &str) -> Result<(), KeeperError> {
        self.ask(Ask::Retire { id: id.into() }, &[]).await.map(drop)
    }

    /// Starts a process.
    pub(crate) async fn spawn(&self, spawn: Spawn) -> Result<Process, KeeperError> {
        match self.ask(Ask::Spawn(Box::new(spawn)), &[]).await?.0 {
            Answer::Spawned(process) => Ok(process),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a signal; a process that is gone is no error.
    pub(crate) async fn signal(&self, id: &str, signal: i32, whole: bool) -> Result<(), KeeperError> {
        self.ask(Ask::Signal { id: id.into(), signal, whole }, &[]).await.map(drop)
    }

    /// Lets the keeper forget an ended process.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), KeeperError> {
        self.ask(Ask::Forget { id: id.into() }, &[]).await.map(drop)
    }

    /// Binds a listener and keeps it; tells its address.
    pub(crate) async fn listener(&self, name: &str, address: &str) -> Result<String, KeeperError> {
        match self.ask(Ask::Listen { name: name.into(), address: address.into() }, &[]).await?.0 {
            Answer::Listening { address } => Ok(address),
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps a descriptor.
    pub(crate) async fn keep(&self, name: &str, fd: OwnedFd) -> Result<(), KeeperError> {
        self.ask(Ask::Keep { name: name.into(), if_missing: false }, &[fd]).await.map(drop)
    }

    /// Lets a kept descriptor go.
    pub(crate) async fn drop_kept(&self, name: &str) -> Result<(), KeeperError> {
        self.ask(Ask::Drop { name: name.into() }, &[]).await.map(drop)
    }

    /// Everything that the keeper looks after.
    pub(crate) async fn list(&self) -> Result<Inventory, KeeperError> {
        match self.ask(Ask::List, &[]).await?.0 {
            Answer::Inventory(inventory) => Ok(inventory),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends everything, the keeper itself last.
    pub(crate) async fn stop(&self, grace_ms: u64) -> Result<(), KeeperError> {
        self.ask(Ask::Stop { grace_ms }, &[]).await.map(drop)
    }

    /// Takes a duplicate of a kept descriptor.
    pub(crate) async fn take(&self, name: &str) -> Result<OwnedFd, KeeperError> {
        let (answer, fds) = self.ask(Ask::Take { name: name.into() }, &[]).await?;
        fds.into_iter().next().ok_or_else(|| unexpected(&answer))
    }
}

fn unexpected(answer: &Answer) -> KeeperError {
    KeeperError::Failed(format!("the keeper gave an answer to another question: {answer:?}"))
}
