//! Who a process runs as, and what it may do: `securityContext`.

use crate::{
    node::Node,
    reading::Reading,
    section::{
        Foreign::{Called, Later, Recorded},
        Section, Shape, key,
    },
};
use plimsoll_model::service::Security;

pub(crate) static SECURITY: Section = Section {
    name: "`securityContext`",
    keys: &[
        key("runAsUser", Shape::Integer, "Numeric user id."),
        key("runAsGroup", Shape::Integer, "Numeric group id."),
        key("runAsNonRoot", Shape::Boolean, "Refuse to run as root."),
        key("allowPrivilegeEscalation", Shape::Boolean, "false forbids new privileges."),
        key("readOnlyRootFilesystem", Shape::Boolean, "The root file system can't be written to."),
        key("privileged", Shape::Boolean, "Only false: nothing here is privileged."),
    ],
    foreign: &[
        ("user", Called("it is called `runAsUser` here")),
        ("capabilities", Recorded("capabilities aren't taken from processes on this machine")),
        ("seccompProfile", Recorded("system calls aren't filtered on this machine")),
        ("appArmorProfile", Recorded("AppArmor profiles aren't loaded on this machine")),
        ("seLinuxOptions", Recorded("SELinux labels aren't set on this machine")),
        ("fsGroup", Recorded("there are no volumes on this machine")),
        ("fsGroupChangePolicy", Recorded("there are no volumes on this machine")),
        ("supplementalGroups", Later("use `runAsGroup`")),
        ("procMount", Later("leave it out")),
    ],
};

impl Reading<'_, '_> {
    /// Reads a `securityContext`.
    pub(crate) fn security(&mut self, node: &Node, path: &str) -> Security {
        let Some(fields) = self.fields(node, &SECURITY, path) else { return Security::default() };
        let security = Security {
            run_as_user: fields.get("runAsUser").and_then(|node| self.count(node, 0..=u32::MAX - 1)),
            run_as_group: fields.get("runAsGroup").and_then(|node| self.count(node, 0..=u32::MAX - 1)),
            run_as_non_root: fields.get("runAsNonRoot").and_then(|node| self.boolean(node)).unwrap_or(false),
            allow_privilege_escalation: fields.get("allowPrivilegeEscalation").and_then(|node| self.boolean(node)),
            read_only_root_filesystem: fields
                .get("readOnlyRootFilesystem")
                .and_then(|n| self.boolean(n))
                .unwrap_or(false),
        };
        if security.run_as_non_root && security.run_as_user == Some(0) {
            let headline = "`runAsNonRoot` refuses what `runAsUser: 0` asks for";
            self.refuse("two-owners", fields.at("runAsUser"), headline, "choose another user, such as 1000");
        }
        if security.read_only_root_filesystem {
            let key = "readOnlyRootFilesystem";
            self.recorded(fields.path(key), fields.at(key), "processes share the root file system of this machine");
        }
        if let Some(privileged) = fields.get("privileged")
            && self.boolean(privileged) == Some(true)
        {
            let key = "privileged";
            self.refused(
                fields.path(key),
                fields.at(key),
                "a process gets no more privileges than plimsoll itself has",
            );
        }
        security
    }
}
