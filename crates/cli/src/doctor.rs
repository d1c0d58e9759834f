//! `plimsoll doctor`: what this machine lacks for the file, and the command that installs it.

use crate::{args::FileArgs, print, project};
use plimsoll_model::{Service, System};
use std::{io::ErrorKind, net::TcpListener, path::Path, process::ExitCode};

/// Looks at everything the file needs of the machine.
pub(crate) fn doctor(args: &FileArgs) -> anyhow::Result<ExitCode> {
    let Some(project) = project::read(args.file.as_deref(), &args.overlay)? else { return Ok(ExitCode::FAILURE) };
    let mut lacks = 0;
    for (name, store) in &project.system.stores {
        for finding in plimsoll_stores::doctor(store) {
            lacks += usize::from(!finding.ok);
            say(finding.ok, &format!("store {name}: {}", finding.what), finding.fix.as_deref());
        }
    }
    for (name, service) in &project.system.services {
        lacks += usize::from(!program(name, service, &project.folder));
    }
    lacks += ports(&project.system);
    privileges();
    Ok(if lacks == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(ok: bool, what: &str, fix: Option<&str>) {
    let fix = fix.map(|fix| format!("\n         {fix}")).unwrap_or_default();
    print::line(&format!("{} {what}{fix}", if ok { "  ok   " } else { "  LACKS" }));
}

/// Whether a service's program is there.
fn program(name: &str, service: &Service, folder: &Path) -> bool {
    let Some(program) = service.command.first() else { return true };
    let dir = service.dir.as_ref().map_or_else(|| folder.to_path_buf(), |dir| folder.join(dir));
    let found = if program.contains('/') {
        dir.join(program).is_file()
    } else {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':').any(|folder| Path::new(folder).join(program).is_file())
    };
    let built = service.build.as_ref().and_then(|build| build.command.as_deref());
    match (found, built) {
        (true, _) => say(true, &format!("service {name}: {program}"), None),
        (false, Some(build)) => say(true, &format!("service {name}: {program} is built by `{build}`"), None),
        (false, None) => {
            say(
                false,
                &format!("service {name}: there is no program {program}"),
                Some("install it, or mend `command`"),
            );
        }
    }
    found || built.is_some()
}

/// How many ports of the ingress are taken.
fn ports(system: &System) -> usize {
    let mut taken = 0;
    for listen in &system.ingress.listen {
        let port = listen.port;
        let Some(error) = TcpListener::bind((listen.address, port)).err().filter(|_| port != 0) else {
            say(true, &format!("port {port} is free"), None);
            continue;
        };
        let (what, todo) = match error.kind() {
            ErrorKind::AddrInUse => ("is taken (by this system, if it is up)".to_owned(), "free it, or change"),
            ErrorKind::PermissionDenied => (
                format!("can't be listened at: {error}"),
                "lower net.ipv4.ip_unprivileged_port_start (sysctl), run as root, or change",
            ),
            _ => (format!("can't be listened at on {}: {error}", listen.address), "change"),
        };
        say(false, &format!("port {port} {what}"), Some(&format!("{todo} `ingress.listen`")));
        taken += 1;
    }
    taken
}

/// What is done without privileges that this user does not have. Never a lack: everything works without.
fn privileges() {
    let root = rustix::process::geteuid().is_root();
    let what = if root {
        "runs as root: users and limits of services are enforced"
    } else {
        "runs as an ordinary user: `runAsUser` is not enforced"
    };
    say(true, what, None);
    let memory = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
        .iter()
        .any(|dir| rustix::fs::access(*dir, rustix::fs::Access::WRITE_OK).is_ok());
    let what = if memory {
        "control groups can be written: memory and processor limits are enforced"
    } else {
        "control groups can't be written: memory and processor limits are not enforced"
    };
    say(true, what, None);
    if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        say(true, &format!("{files} open files for each process"), None);
    }
}
