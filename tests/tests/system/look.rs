//! What a status says, as tests ask for it.

use crate::{sweep, world::World};
use plimsoll_api::{Status, status::ReplicaStatus};
use std::collections::BTreeMap;

/// One service of the program under test behind an ingress whose port the kernel chooses.
pub(crate) const WEB: &str = r#"
system: voyage
services:
  web:
    command: [./app]
    port: 80
    replicas: 3
    readinessProbe: { httpGet: { path: /ready }, periodSeconds: 1 }
    terminationGracePeriodSeconds: 20
    limits: { hold: 50s }
ingress: { listen: [0], hosts: { "*": { paths: { /: web } } } }
"#;

/// The running replicas of a service, by their names.
pub(crate) fn pids(status: &Status, service: &str) -> BTreeMap<String, i32> {
    let replicas = status.services.get(service).map(|service| service.replicas.as_slice()).unwrap_or_default();
    replicas.iter().filter_map(|replica| Some((replica.id.to_string(), replica.pid?))).collect()
}

/// Every running replica, by its name.
pub(crate) fn all_pids(status: &Status) -> BTreeMap<String, i32> {
    status.services.keys().flat_map(|service| pids(status, service)).collect()
}

pub(crate) fn replica<'a>(status: &'a Status, name: &str) -> Option<&'a ReplicaStatus> {
    status.services.values().flat_map(|service| &service.replicas).find(|replica| replica.id.to_string() == name)
}

pub(crate) fn own_pid(status: &Status, name: &str) -> i32 {
    status.processes.get(name).unwrap_or_else(|| panic!("there is no {name} in {:?}", status.processes)).pid
}

impl World {
    /// Each replica that status shows runs exactly once, and nothing else runs the program under test as a service.
    #[track_caller]
    pub(crate) fn assert_each_runs_once(&self, status: &Status) {
        let app = self.dir.join("app");
        let mut running: Vec<(String, i32)> = Vec::new();
        for (pid, _) in sweep::processes_of(&self.dir) {
            let is_app = std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == app);
            let name =
                sweep::environment(pid).iter().find_map(|one| Some(one.strip_prefix("PLIMSOLL_REPLICA=")?.to_owned()));
            if let (true, Some(name)) = (is_app && sweep::lives(pid), name) {
                running.push((name, pid));
            }
        }
        running.sort();
        let shown: Vec<(String, i32)> = all_pids(status).into_iter().collect();
        assert_eq!(running, shown, "what runs (left) and what status shows (right)");
    }
}
