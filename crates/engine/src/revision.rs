//! What makes a version of a service: everything that makes its processes what they are, as Kubernetes' pod template.
//!
//! The number of replicas and how the gateway treats it are no part of it.

use plimsoll_model::{RevisionId, Service};
use sha2::{Digest, Sha256};
use std::{os::unix::fs::MetadataExt, path::Path};

/// The version that `service` is, started from `folder`; `renewal` counts the restarts that persons asked for.
pub(crate) fn revision_of(service: &Service, folder: &Path, renewal: u64) -> RevisionId {
    let template = serde_json::json!({
        "command": service.command,
        "image": service.image,
        "build": service.build,
        "dir": service.dir,
        "port": service.port,
        "protocol": service.protocol,
        "env": service.env,
        "uses": service.uses,
        "calls": service.calls,
        "probes": service.probes,
        "resources": service.resources,
        "security": service.security,
        "grace": service.termination_grace,
        "preStop": service.pre_stop,
        "restart": service.restart,
        "program": program_mark(service, folder),
        "renewal": renewal,
    });
    let digest = Sha256::digest(template.to_string().as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    RevisionId(hex)
}

/// Tells one build of a program in the system's own folder from the next: its length and time of writing. A program that
/// is looked for in `PATH` belongs to the machine, and has no mark.
fn program_mark(service: &Service, folder: &Path) -> Option<(u64, i64, i64)> {
    let program = service.command.first().filter(|program| program.contains('/'))?;
    let base = service.dir.as_ref().map_or_else(|| folder.to_path_buf(), |dir| folder.join(dir));
    let found = std::fs::metadata(base.join(program)).ok()?;
    Some((found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_replicas_is_no_part_of_a_version() {
        let one = Service { command: vec!["true".into()], replicas: 1, ..Service::default() };
        let five = Service { replicas: 5, ..one.clone() };
        assert_eq!(revision_of(&one, Path::new("/"), 0), revision_of(&five, Path::new("/"), 0));
    }

    #[test]
    fn another_command_environment_or_build_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app"), "1").unwrap();
        let base = Service { command: vec!["./app".into()], ..Service::default() };
        let first = revision_of(&base, folder.path(), 0);
        let mut changed = base.clone();
        changed.env.insert("A".into(), "1".into());
        assert_ne!(revision_of(&changed, folder.path(), 0), first);
        assert_ne!(revision_of(&base, folder.path(), 1), first);
        std::fs::write(folder.path().join("app"), "22").unwrap();
        assert_ne!(revision_of(&base, folder.path(), 0), first);
    }
}
