//! Another keeper is started after one died, and connected to.

use crate::{input::Input, keeper::Keeper};
use plimsoll_wire::{channel::Channel, keeper::Inventory, place::Place};
use std::{process::Stdio, time::Duration};
use tokio::{process::Command, sync::mpsc::UnboundedSender, time::sleep};

/// How often the new keeper is looked for, and how many times.
const RETRY: Duration = Duration::from_millis(10);
const TRIES: u32 = 1_000;

/// Set where somebody else (systemd) starts the keeper again when it dies.
const SUPERVISED: &str = "PLIMSOLL_SUPERVISED";
/// How long that one is waited for.
const SUPERVISOR_TRIES: u32 = 500;

/// Finds or starts another keeper, which takes over; tells its pid and what it found.
pub(crate) async fn another_keeper(
    place: &Place,
    keeper: &Keeper,
    inputs: UnboundedSender<Input>,
) -> Result<(i32, Inventory), String> {
    if std::env::var_os(SUPERVISED).is_some()
        && let Some(found) = look_for(place, keeper, &inputs, SUPERVISOR_TRIES).await
    {
        return Ok(found);
    }
    // Our own program, which is there even if its file is gone or another one by now.
    let child = Command::new("/proc/self/exe")
        .arg0("plimsoll")
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
    let found = look_for(place, keeper, &inputs, TRIES).await;
    found.ok_or_else(|| "the new keeper does not answer; see its log".into())
}

async fn look_for(
    place: &Place,
    keeper: &Keeper,
    inputs: &UnboundedSender<Input>,
    tries: u32,
) -> Option<(i32, Inventory)> {
    for _ in 0..tries {
        if let Ok(channel) = Channel::connect(&place.keeper_socket())
            && keeper.connect(channel, inputs.clone()).is_ok()
            && let Ok((pid, _)) = keeper.hello().await
            && let Ok(inventory) = keeper.list().await
        {
            return Some((pid, inventory));
        }
        sleep(RETRY).await;
    }
    None
}
