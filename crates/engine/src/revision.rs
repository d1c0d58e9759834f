//! What makes a version of a service: everything that makes its processes what they are, as Kubernetes' pod template.
//!
//! The number of replicas and how the gateway treats it are no part of it.

use plimsoll_model::{RevisionId, Service};
use sha2::{Digest, Sha256};

/// The version that `service` is, with the mark of its program (`programs::mark`); `renewal` counts the restarts that
/// persons asked for.
pub(crate) fn revision_of(service: &Service, program: Option<(u64, i64, i64)>, renewal: u64) -> RevisionId {
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
        "program": program,
        "renewal": renewal,
    });
    let digest = Sha256::digest(template.to_string().as_bytes());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    RevisionId(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::mark;

    #[test]
    fn the_number_of_replicas_is_no_part_of_a_version() {
        let one = Service { command: vec!["true".into()], replicas: 1, ..Service::default() };
        let five = Service { replicas: 5, ..one.clone() };
        assert_eq!(revision_of(&one, None, 0), revision_of(&five, None, 0));
    }

    #[test]
    fn another_command_environment_or_build_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app"), "1").unwrap();
        let base = Service { command: vec!["./app".into()], ..Service::default() };
        let first = revision_of(&base, mark(&base, folder.path()), 0);
        let mut changed = base.clone();
        changed.env.insert("A".into(), "1".into());
        assert_ne!(revision_of(&changed, mark(&changed, folder.path()), 0), first);
        assert_ne!(revision_of(&base, mark(&base, folder.path()), 1), first);
        std::fs::write(folder.path().join("app"), "22").unwrap();
        assert_ne!(revision_of(&base, mark(&base, folder.path()), 0), first);
    }
}
