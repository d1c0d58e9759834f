//! `exec`: a command that ends with code 0.

use super::{Met, Unmade};
use crate::{exit, keeper::KeeperError, oneshot::Oneshots};
use plimsoll_wire::keeper::Spawn;

pub(super) async fn run(spawn: Spawn, oneshots: &Oneshots) -> Result<Met, Unmade> {
    match oneshots.run(spawn).await {
        Ok(exit) if exit.code == Some(0) => Ok(Ok("ended with code 0".into())),
        Ok(exit) => Ok(Err(exit::ended(&exit))),
        Err(KeeperError::Refused(refusal)) => Ok(Err(KeeperError::Refused(refusal).to_string())),
        Err(_) => Err(Unmade),
    }
}
