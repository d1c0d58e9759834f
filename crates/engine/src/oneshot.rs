//! Commands that run once, through the keeper: the engine is nobody's parent.

use crate::keeper::{Keeper, KeeperError};
use plimsoll_wire::keeper::{Event, Exit, Spawn};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
use tokio::sync::oneshot;

/// Runs commands and waits for their ends. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Oneshots {
    keeper: Keeper,
    waiting: Rc<RefCell<BTreeMap<String, oneshot::Sender<Exit>>>>,
}

impl Oneshots {
    /// Runs commands through that keeper.
    pub(crate) fn new(keeper: Keeper) -> Self {
        Self { keeper, waiting: Rc::default() }
    }

    /// Runs it to its end. An id that already ran, and was not forgotten, is not run again: its end is told.
    ///
    /// # Errors
    /// It could not be started, or the keeper is gone.
    pub(crate) async fn run(&self, spawn: Spawn) -> Result<Exit, KeeperError> {
        let id = spawn.id.clone();
        let exit = self.run_and_keep(spawn).await;
        if exit.is_ok() {
            self.keeper.forget(&id).await.ok();
        }
        exit
    }

    /// As `run`, and the keeper keeps its end until it is told to forget it.
    ///
    /// # Errors
    /// As `run`.
    pub(crate) async fn run_and_keep(&self, spawn: Spawn) -> Result<Exit, KeeperError> {
        let id = spawn.id.clone();
        let (sender, ended) = oneshot::channel();
        self.waiting.borrow_mut().insert(id.clone(), sender);
        let exit = match self.keeper.spawn(spawn).await {
            Ok(process) => match process.exit {
                Some(exit) => Ok(exit),
                None => ended.await.map_err(|_| KeeperError::Gone),
            },
            Err(error) => Err(error),
        };
        self.waiting.borrow_mut().remove(&id);
        exit
    }

    /// Ends one by force, whoever waits for it.
    pub(crate) async fn kill(&self, id: &str) {
        self.keeper.signal(id, 9, true).await.ok();
    }

    /// Takes the end of a command that was run from here; `false` if it was not.
    pub(crate) fn take(&self, event: &Event) -> bool {
        let Event::Exited { id, exit } = event else { return false };
        let Some(waiting) = self.waiting.borrow_mut().remove(id) else { return false };
        if waiting.send(exit.clone()).is_err() {
            // Whoever waited has given it up: nobody else has the keeper forget it.
            let (keeper, id) = (self.keeper.clone(), id.clone());
            tokio::task::spawn_local(async move { keeper.forget(&id).await.ok() });
        }
        true
    }

    /// Nobody's end will be told any more: the keeper is gone.
    pub(crate) fn give_up(&self) {
        self.waiting.borrow_mut().clear();
    }
}
