//! Who services run as.

use crate::{look::all_pids, world::World};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

const SERVICES: &str = r"
system: voyage
services:
  named: { command: [./app, linger], securityContext: { runAsUser: 12345, runAsGroup: 23456 } }
  nobody: { command: [./app, linger], securityContext: { runAsNonRoot: true } }
  own: { command: [./app, linger] }
";

/// As root, services run as whom the file names; as anybody else, everything runs as that one.
#[test]
fn services_run_as_whom_the_file_names() {
    let world = World::new();
    // Others pass through the folder to the program.
    fs::set_permissions(&world.dir, fs::Permissions::from_mode(0o755)).unwrap();
    world.write(SERVICES);
    world.bring_up();
    let of = |pid: i32| fs::metadata(format!("/proc/{pid}")).map(|found| (found.uid(), found.gid())).unwrap();
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let pids = all_pids(&world.settle());
    let own = (user.as_raw(), group.as_raw());
    let wanted = if user.is_root() { [(12_345, 23_456), (65_534, 65_534), own] } else { [own; 3] };
    for (name, wanted) in ["named-1", "nobody-1", "own-1"].into_iter().zip(wanted) {
        assert_eq!(of(pids[name]), wanted, "{name}");
    }
    world.down();
}
