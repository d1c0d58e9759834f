//! The one binary, `plimsoll`: it sees every crate, and only wires them.
//!
//! Exit codes: 0 done, 1 findings (the file is wrong, a promise is broken, the system did not come up), 2 bad invocation,
//! 130 interrupted.

mod args;
mod check;
mod doctor;
mod down;
mod events;
mod explain;
mod install;
mod interrupted;
mod keeper;
mod load;
mod logs;
mod machine;
mod print;
mod project;
mod prove;
mod release;
mod replay;
mod service;
mod simulate;
mod sizes;
mod speaks;
mod status;
mod stay;
mod table;
mod up;
mod upgrade;
mod watch;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    match args.command {
        Command::Keeper { state, take_over } => keeper::keeper(state, take_over),
        Command::Engine { state } => keeper::engine(state),
        Command::Gateway { state, id } => keeper::gateway(state, id),
        Command::Speaks { state, out } => speaks::speaks(&state, &out),
        command => on_runtime(command),
    }
}

/// Everything but Plimsoll's own processes runs on one current-thread runtime.
fn on_runtime(command: Command) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            print::error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(up) => up::up(up).await,
        Command::Down { at, volumes, keeper } => down::down(&at, volumes, keeper.as_deref()).await,
        Command::Status { at, watch, sizes, json } => status::status(&at, (watch, sizes), json).await,
        Command::Logs { at, service, follow, tail } => logs::logs(&at.at(), service.as_deref(), follow, tail).await,
        Command::Events(asked) => events::events(&asked).await,
        Command::Explain { at, what, json } => explain::explain(&at, &what, json).await,
        Command::Restart { at, service } => service::restart(&at, &service).await,
        Command::Release(release) => release::release(release).await,
        Command::Rollback { at, service, to, why } => release::rollback(&at, service, to, why).await,
        Command::History { at, json } => release::history(&at, json).await,
        Command::Switchover { at, store, member } => service::switch_over(&at, &store, member.as_deref()).await,
        Command::Scale { at, service, replicas } => service::scale(&at, &service, replicas).await,
        Command::Check { file, format } => check::check(&file, format),
        Command::Fmt { file, check } => check::fmt(file.as_deref(), check),
        Command::Schema => check::schema(),
        Command::Plan { at, overlay, json } => check::plan(&at, &overlay, json).await,
        Command::Doctor { file } => doctor::doctor(&file),
        Command::Prove(prove) => prove::prove(prove).await,
        Command::Simulate(simulate) => simulate::simulate(&simulate),
        Command::Load(load) => load::load(load).await,
        Command::Replay(asked) => replay::replay(&asked),
        Command::Install { at, scope } => install::install(&at, &scope).await,
        Command::Uninstall { at, scope } => install::uninstall(&at, &scope),
        Command::Upgrade { at, to, timeout } => upgrade::upgrade(&at, to, timeout).await,
        Command::Keeper { .. } | Command::Engine { .. } | Command::Gateway { .. } | Command::Speaks { .. } => {
            Ok(ExitCode::from(2))
        }
    }
}
