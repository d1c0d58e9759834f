//! `exec`: a command that ends with code 0.

use super::{Met, Unmade};
use crate::{keeper::KeeperError, oneshot::Oneshots};
use plimsoll_wire::keeper::Spawn;

pub(super) async fn run(spawn: Spawn, oneshots: &Oneshots) -> Result<Met, Unmade> {
    match oneshots.run(spawn).await {
        Ok(exit) if exit.code == Some(0) => Ok(Ok("ended with code 0".into())),
        Ok(exit) => Ok(Err(match (exit.code, exit.signal) {
            (Some(code), _) => format!("ended with code {code}"),
            (_, Some(signal)) => format!("ended by signal {signal}"),
            _ => "ended in an unknown way".into(),
        })),
        Err(KeeperError::Refused(refusal)) => Ok(Err(KeeperError::Refused(refusal).to_string())),
        Err(_) => Err(Unmade),
    }
}
