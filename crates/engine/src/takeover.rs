//! Another keeper is started after one died, and connected to.

use crate::{input::Input, keeper::Keeper};
use plimsoll_wire::{channel::Channel, keeper::Inventory, place::Place};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, sync::mpsc::UnboundedSender, time::sleep};

/// How often the new keeper is looked for, and how many times.
const RETRY: Duration = Duration::from_millis(10);
const TRIES: u32 = 1_000;

/// Starts another keeper, which takes over; tells its pid and what it found.
pub(crate) async fn another_keeper(
    place: &Place,
    program: &Path,
    keeper: &Keeper,
    inputs: UnboundedSender<Input>,
) -> Result<(i32, Inventory), String> {
    let child = Command::new(program)
        .args(["keeper", "--take-over", "--state"])
        .arg(&place.state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = child.map_err(|error| format!("cannot start another keeper: {error}"))?;
    // It lives on when this engine ends; while the engine lives, its end is waited for here, so that no zombie stays.
    tokio::task::spawn_local(async move { child.wait().await });
    for _ in 0..TRIES {
        if let Ok(channel) = Channel::connect(&place.keeper_socket())
            && keeper.connect(channel, inputs.clone()).is_ok()
            && let Ok((pid, _)) = keeper.hello().await
            && let Ok(inventory) = keeper.list().await
        {
            return Ok((pid, inventory));
        }
        sleep(RETRY).await;
    }
    Err("the new keeper does not answer; see its log".into())
}
