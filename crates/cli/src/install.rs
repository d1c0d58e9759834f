//! `plimsoll install` and `plimsoll uninstall`: the unit by which systemd starts a system at boot.

use crate::{
    args::{At, Scope},
    print, project,
};
use anyhow::{Context, bail};
use plimsoll_api::Client;
use plimsoll_wire::place::Place;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Hardening for a system that root runs: what services of a system need is left to them. For another user these would
/// also forbid `sudo` and the like to every service.
const HARDENING: &str = "ProtectKernelModules=yes\nProtectKernelLogs=yes\nRestrictRealtime=yes\nLockPersonality=yes\n";

/// Where a unit goes, and who looks after it.
struct Site {
    user: bool,
    unit: String,
    file: PathBuf,
}

impl Site {
    /// # Errors
    /// The unit is there, and of another system.
    fn is_not_of_another(&self, place: &Place) -> anyhow::Result<()> {
        match fs::read_to_string(&self.file) {
            Ok(present) if !present.contains(&quoted(&place.state.display().to_string())) => {
                bail!("{} is the unit of another system; choose a name with --name", self.file.display())
            }
            _ => Ok(()),
        }
    }
}

/// Writes the unit and has systemd enable it. Where there is no systemd, shows the unit and what to do.
pub(crate) async fn install(at: &At, scope: &Scope) -> anyhow::Result<ExitCode> {
    let place = project::place(at)?;
    let site = site(&place, scope)?;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let text = unit(&place, &program, owner(&place), site.user);
    if scope.dry_run {
        print::raw(&text);
        return Ok(ExitCode::SUCCESS);
    }
    if !has_systemd(site.user) {
        print::raw(&text);
        let to = site.file.display();
        let all = if site.user { "systemctl --user" } else { "systemctl" };
        print::error(&format!(
            "systemd does not run here, so nothing was installed. Where it does: write this to {to}, then \
             `{all} daemon-reload && {all} enable --now {}`; elsewhere have your init run the ExecStart line at boot, and `{} down --state {}` before it halts",
            site.unit,
            program.display(),
            place.state.display()
        ));
        return Ok(ExitCode::FAILURE);
    }
    site.is_not_of_another(&place)?;
    let folder = site.file.parent().context("a unit has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(&site.file, text).with_context(|| format!("cannot write {}", site.file.display()))?;
    systemctl(site.user, &["daemon-reload"])?;
    systemctl(site.user, &["enable", &site.unit])?;
    print::line(&format!("wrote {} and enabled it: the system comes up at boot", site.file.display()));
    if Client::new(place.api_socket()).status().await.is_ok() {
        print::note("the system is up already, and goes on as it is; systemd looks after it from the next boot on");
    } else {
        systemctl(site.user, &["start", &site.unit])?;
        print::note("started it; `plimsoll up` brings a file in if it has none yet");
    }
    if site.user {
        print::note("for a start at boot, before anybody logs in: `loginctl enable-linger`");
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes the unit. What runs goes on.
pub(crate) fn uninstall(at: &At, scope: &Scope) -> anyhow::Result<ExitCode> {
    let place = project::place(at)?;
    let site = site(&place, scope)?;
    if !site.file.exists() {
        print::line(&format!("nothing to remove: there is no {}", site.file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    site.is_not_of_another(&place)?;
    if scope.dry_run {
        print::line(&format!("would disable {} and remove {}", site.unit, site.file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    if has_systemd(site.user) {
        systemctl(site.user, &["disable", &site.unit])?;
    }
    fs::remove_file(&site.file).with_context(|| format!("cannot remove {}", site.file.display()))?;
    if has_systemd(site.user) {
        systemctl(site.user, &["daemon-reload"])?;
    }
    print::line(&format!("removed {}; what runs goes on, `plimsoll down` ends it", site.file.display()));
    Ok(ExitCode::SUCCESS)
}

fn site(place: &Place, scope: &Scope) -> anyhow::Result<Site> {
    let user = scope.user || (!scope.system && !rustix::process::geteuid().is_root());
    let folder = place.state.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("system");
    let name = scope.name.clone().unwrap_or_else(|| format!("plimsoll-{folder}"));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name: String = name.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
    let unit = format!("{name}.service");
    let folder = if user {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        config.or_else(home).context("cannot tell your home folder")?.join("systemd/user")
    } else {
        PathBuf::from("/etc/systemd/system")
    };
    Ok(Site { user, file: folder.join(&unit), unit })
}

/// Who the state directory belongs to, or the folder that it will lie in; `None` is root.
fn owner(place: &Place) -> Option<u32> {
    let found = place.state.ancestors().find_map(|folder| fs::metadata(folder).ok());
    found.map(|found| found.uid()).filter(|uid| *uid != 0)
}

/// The unit's text.
fn unit(place: &Place, program: &Path, owner: Option<u32>, user: bool) -> String {
    let folder = place.state.parent().unwrap_or(&place.state).display().to_string();
    let who = match owner {
        Some(uid) if !user => format!("User={uid}\n"),
        _ => String::new(),
    };
    let hardening = if user || owner.is_some() { "" } else { HARDENING };
    let network = if user { "" } else { "After=network-online.target\nWants=network-online.target\n" };
    let target = if user { "default.target" } else { "multi-user.target" };
    let program = quoted(&program.display().to_string());
    let state = quoted(&place.state.display().to_string());
    format!(
        "# Written by `plimsoll install`; `plimsoll uninstall` removes it.\n\
         [Unit]\n\
         Description=Plimsoll: the system in {}\n\
         {network}StartLimitIntervalSec=0\n\n\
         [Service]\n\
         Type=exec\n\
         ExecStart={program} keeper --state {state}\n\
         # Ends the system in order. It also runs when the keeper has died, and then it ends nothing: MAINPID is empty.\n\
         ExecStop={program} down --state {state} --keeper=${{MAINPID}}\n\
         WorkingDirectory={}\n\
         Environment=PLIMSOLL_SUPERVISED=systemd\n\
         {who}\
         # Stopping is the keeper's work, and what it looks after outlives its death.\n\
         KillMode=process\n\
         Delegate=yes\n\
         Restart=on-failure\n\
         RestartSec=100ms\n\
         TimeoutStopSec=120\n\
         OOMPolicy=continue\n\
         LimitNOFILE=1048576\n\
         TasksMax=infinity\n\
         {hardening}\n\
         [Install]\n\
         WantedBy={target}\n",
        folder.replace('%', "%%"),
        folder.replace('%', "%%"),
    )
}

/// As a word of a command in a unit.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

fn has_systemd(user: bool) -> bool {
    let runtime = || std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("systemd/private"));
    if user { runtime().is_some_and(|socket| socket.exists()) } else { Path::new("/run/systemd/system").is_dir() }
}

fn systemctl(user: bool, words: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("systemctl");
    if user {
        command.arg("--user");
    }
    let status = command.args(words).status().context("cannot run systemctl")?;
    if !status.success() {
        bail!("`systemctl {}` failed ({status})", words.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the unit for a folder with everything in its name that a unit takes for something else.
    fn lines(owner: Option<u32>, user: bool) -> Vec<String> {
        let place = Place::new(Path::new("/srv/my $shop 100%/.plimsoll"));
        let text = unit(&place, Path::new("/usr/bin/plimsoll"), owner, user);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_unit_starts_the_keeper_and_leaves_its_children_alone() {
        let root = lines(None, false);
        for line in [
            "ExecStart=\"/usr/bin/plimsoll\" keeper --state \"/srv/my $$shop 100%%/.plimsoll\"",
            "WorkingDirectory=/srv/my $shop 100%%",
            "ExecStop=\"/usr/bin/plimsoll\" down --state \"/srv/my $$shop 100%%/.plimsoll\" --keeper=${MAINPID}",
            "KillMode=process",
            "Delegate=yes",
            "Restart=on-failure",
            "LockPersonality=yes",
            "WantedBy=multi-user.target",
        ] {
            assert!(root.iter().any(|there| there == line), "{line} is not in {root:#?}");
        }
    }

    #[test]
    fn whose_system_it_is_decides_who_runs_it() {
        let somebody = lines(Some(1000), false);
        assert!(somebody.contains(&"User=1000".to_owned()));
        // These would forbid a service everything that raises privileges.
        assert!(!somebody.iter().any(|line| line.starts_with("Protect") || line.starts_with("Lock")));
        let own = lines(Some(1000), true);
        assert!(own.contains(&"WantedBy=default.target".to_owned()) && !own.iter().any(|line| line.contains("User=")));
    }
}
