//! From a service to the process of one of its replicas: variables replaced, environment complete, limits told.

use crate::{programs::Found, replica::Replica, secrets::Secrets, variables::expand};
use plimsoll_journal::entry::AcceptedSystem;
use plimsoll_model::{
    Service,
    service::{self, Resources},
};
use plimsoll_wire::keeper::{Limits, Spawn, Ulimit, Ulimits, User};
use std::{collections::BTreeMap, path::Path};

/// `nobody`, for what must not run as root and names no user.
const NOBODY: User = User { uid: 65_534, gid: 65_534 };

/// What a launch needs to know beside the replica.
pub(crate) struct Site<'a> {
    pub(crate) accepted: &'a AcceptedSystem,
    pub(crate) secrets: &'a Secrets,
    /// Addresses of what it uses and calls, by variable.
    pub(crate) addresses: BTreeMap<String, String>,
    /// Where the program of the replica's version is; `None`: wherever its command says.
    pub(crate) program: Option<Found>,
}

/// The process to start.
///
/// # Errors
/// A secret is not there; the text is for a person.
pub(crate) fn spawn_of(replica: &Replica, site: &Site<'_>) -> Result<Spawn, String> {
    let service = &*replica.service;
    let folder = Path::new(&site.accepted.folder);
    let dir = service.dir.as_ref().map_or_else(|| folder.to_path_buf(), |dir| folder.join(dir));
    let mut env = base_environment(replica, site);
    for (name, text) in &service.env {
        let value = expand(text, &mut |name| variable(name, &env, site))?;
        env.insert(name.clone(), value);
    }
    let mut words = Vec::new();
    for word in &service.command {
        words.push(expand(word, &mut |name| variable(name, &env, site))?);
    }
    let program = words.first().cloned().unwrap_or_default();
    let program = match &site.program {
        Some(Found::Copy(copy)) => copy.display().to_string(),
        Some(Found::Nowhere) => {
            return Err(format!("{program} was built anew, and no copy of this version's was kept; `plimsoll up`"));
        }
        _ if program.contains('/') => dir.join(&program).display().to_string(),
        _ => program,
    };
    let id = replica.process_id();
    Ok(Spawn {
        id,
        program,
        args: words.into_iter().skip(1).collect(),
        env: env.into_iter().collect(),
        dir: dir.display().to_string(),
        user: user_of(service),
        limits: limits_of(&service.resources, service.security.allow_privilege_escalation == Some(false)),
        log: Some(replica.id.to_string()),
        channel: false,
        respawn: false,
    })
}

/// A command beside a replica (an exec probe, a hook): its own environment, folder and user.
pub(crate) fn beside(replica: &Replica, site: &Site<'_>, id: String, command: &[String]) -> Result<Spawn, String> {
    let mut spawn = spawn_of(replica, site)?;
    let env: BTreeMap<String, String> = spawn.env.iter().cloned().collect();
    let mut words = Vec::new();
    for word in command {
        words.push(expand(word, &mut |name| variable(name, &env, site))?);
    }
    spawn.id = id;
    spawn.program = words.first().cloned().unwrap_or_default();
    spawn.args = words.into_iter().skip(1).collect();
    spawn.limits = Limits { no_new_privileges: spawn.limits.no_new_privileges, ..Limits::default() };
    Ok(spawn)
}

fn base_environment(replica: &Replica, site: &Site<'_>) -> BTreeMap<String, String> {
    let mut env = site.accepted.environment.clone();
    env.entry("PATH".into()).or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".into());
    if let Some(port) = replica.port {
        env.insert("PORT".into(), port.to_string());
    }
    env.insert("PLIMSOLL_REPLICA".into(), replica.id.to_string());
    env.insert("PLIMSOLL_SERVICE".into(), replica.id.service.clone());
    env.insert("PLIMSOLL_REVISION".into(), replica.revision.to_string());
    env.extend(site.addresses.clone());
    env
}

fn variable(name: &str, env: &BTreeMap<String, String>, site: &Site<'_>) -> Result<Option<String>, String> {
    match name.strip_prefix("secret:") {
        Some(secret) => site.secrets.value(secret, Path::new(&site.accepted.folder)).map(Some),
        None => Ok(env.get(name).cloned()),
    }
}

fn user_of(service: &Service) -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let security = &service.security;
    match security.run_as_user {
        Some(uid) => Some(User { uid, gid: security.run_as_group.unwrap_or(uid) }),
        None if security.run_as_non_root => Some(NOBODY),
        None => None,
    }
}

/// What the keeper is to hold a process to.
pub(crate) fn limits_of(resources: &Resources, no_new_privileges: bool) -> Limits {
    Limits {
        memory_bytes: resources.memory_limit.map(|bytes| bytes.0),
        cpu_milli: resources.cpu_limit.map(|cpu| cpu.0),
        cpu_request_milli: resources.cpu_request.map(|cpu| cpu.0),
        pids: resources.pids,
        open_files: resources.open_files,
        ulimits: ulimits_of(&resources.ulimits),
        no_new_privileges,
    }
}

fn ulimits_of(said: &service::Ulimits) -> Ulimits {
    let of = |limit: Option<service::Ulimit>| limit.map(|limit| Ulimit { soft: limit.soft, hard: limit.hard });
    Ulimits {
        core: of(said.core),
        fsize: of(said.fsize),
        memlock: of(said.memlock),
        nofile: of(said.nofile),
        nproc: of(said.nproc),
        stack: of(said.stack),
    }
}
