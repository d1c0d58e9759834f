//! A service: `services.NAME`.

use crate::{
    autoscaling::AUTOSCALING,
    diagnostic::shown,
    env,
    links::LINKS,
    node::{Entry, Node},
    probe::{LIFECYCLE, PROBE_SHAPE},
    reading::{Fields, Reading},
    resources::RESOURCES,
    rollout::{ROLLOUT, STRATEGY},
    section::{
        Foreign::{Called, Later, Recorded},
        Key, Section, Shape, key,
    },
    security::SECURITY,
    traffic::{EJECTION, LIMITS, RETRIES, STICKY, TIMEOUTS},
    variables::{Secrets, Variable, variables},
    vertical::VERTICAL,
};
use plimsoll_model::{
    Millis, Service,
    route::Protocol,
    service::{Build, RestartPolicy},
};

use std::collections::BTreeSet;

const RESTARTS: [(&str, RestartPolicy); 3] =
    [("Always", RestartPolicy::Always), ("OnFailure", RestartPolicy::OnFailure), ("Never", RestartPolicy::Never)];
const PROTOCOLS: [(&str, Protocol); 2] = [("http1", Protocol::Http1), ("h2c", Protocol::H2c)];

pub(crate) static BUILD: Section = Section {
    name: "`build`",
    keys: &[
        key("command", Shape::Text, "A command of the shell, run in the file's folder before the service starts."),
        key("sources", Shape::List(&Shape::Text), "Files and folders that it is made of, watched by `up --watch`."),
        key("context", Shape::Text, "The folder of an image build."),
        key("dockerfile", Shape::Text, "The Dockerfile in it."),
    ],
    foreign: &[],
};

static PORTS: Section = Section {
    name: "a container's port",
    keys: &[
        key("containerPort", Shape::Integer, "The port."),
        key("name", Shape::Text, "Its name, for probes."),
        key("protocol", Shape::Word(&["TCP"]), "TCP."),
    ],
    foreign: &[("hostPort", Called("each replica gets a port of its own; leave `hostPort` out"))],
};

pub(crate) static SERVICE: Section = Section { name: "a service", keys: SERVICE_KEYS, foreign: FOREIGN };

static SERVICE_KEYS: &[Key] = &[
    key("build", Shape::Map(&BUILD), "How what runs is made."),
    key("command", Shape::List(&Shape::Text), "Program and arguments, as a list."),
    key("args", Shape::List(&Shape::Text), "Further arguments, as Kubernetes has them."),
    key("image", Shape::Text, "What runs where containers do."),
    key("dir", Shape::Text, "The working directory, relative to the file's folder."),
    key("port", Shape::Integer, "The container's port; each replica gets one of its own, told in PORT and $(PORT)."),
    key("ports", Shape::List(&Shape::Map(&PORTS)), "The container's ports, as Kubernetes has them; one of them."),
    key("protocol", Shape::Word(&["http1", "h2c"]), "What is spoken at the port."),
    key("env", env::SHAPE, "The environment: a map, or Kubernetes' list."),
    key("uses", LINKS, "Stores and services that must be ready first, and whose addresses it is told."),
    key("calls", LINKS, "Services whose addresses it is told without waiting for them."),
    key("startupProbe", PROBE_SHAPE, "Holds the other probes back until it passes once."),
    key("livenessProbe", PROBE_SHAPE, "Failing it restarts the replica."),
    key("readinessProbe", PROBE_SHAPE, "Failing it takes the replica out of the routes."),
    key("resources", Shape::Map(&RESOURCES), "Requests and limits of a replica."),
    key("replicas", Shape::Integer, "How many replicas, where no autoscaling decides."),
    key("autoscaling", Shape::Map(&AUTOSCALING), "Who decides how many replicas."),
    key("verticalAutoscaling", Shape::Map(&VERTICAL), "The spec of a VerticalPodAutoscaler."),
    key("strategy", Shape::Map(&STRATEGY), "How a new version comes in, as a Deployment has it."),
    key("rollout", Shape::Map(&ROLLOUT), "How a new version comes in, and what it must keep."),
    key("minReadySeconds", Shape::Integer, "Ready for so long before it counts as available."),
    key("progressDeadlineSeconds", Shape::Integer, "Without progress for so long it is told."),
    key("securityContext", Shape::Map(&SECURITY), "Who it runs as, and what it may do."),
    key("terminationGracePeriodSeconds", Shape::Integer, "How long it may take to end after SIGTERM."),
    key("lifecycle", Shape::Map(&LIFECYCLE), "Hooks."),
    key("restartPolicy", Shape::Word(&["Always", "OnFailure", "Never"]), "What happens when it ends by itself."),
    key("timeouts", Shape::Map(&TIMEOUTS), "The gateway's time-outs towards it."),
    key("limits", Shape::Map(&LIMITS), "The gateway's limits towards it."),
    key("retries", Shape::Map(&RETRIES), "How often a request is tried."),
    key("ejection", Shape::Map(&EJECTION), "When a replica is left out for a while."),
    key("slowStart", Shape::Duration, "How long a new replica takes to reach its full share."),
    key("sticky", Shape::Either(&[Shape::Boolean, Shape::Map(&STICKY)]), "Keeps a client on its replica."),
];

const FOREIGN: &[(&str, crate::section::Foreign)] = &[
    ("environment", Called("it is called `env` here")),
    ("depends_on", Called("write `uses: [NAME]`: it waits, and is told the address")),
    ("healthcheck", Called("write `readinessProbe: /path`")),
    ("restart", Called("write `restartPolicy: Always`, `OnFailure` or `Never`")),
    ("scale", Called("it is called `replicas` here")),
    ("entrypoint", Called("write program and arguments into `command`")),
    ("cmd", Called("it is called `command` here")),
    ("working_dir", Called("it is called `dir` here")),
    ("workingDir", Called("it is called `dir` here")),
    ("ulimits", Called("write `resources: { ulimits: … }`")),
    ("name", Called("the key above is its name; leave `name` out")),
    ("deploy", Called("write `replicas` and `resources` at the service itself")),
    ("hpa", Called("it is called `autoscaling` here")),
    ("vpa", Called("it is called `verticalAutoscaling` here")),
    ("containers", Called("paste what stands under the container at the service itself")),
    ("template", Called("paste what stands under the container at the service itself")),
    ("spec", Called("paste what stands under the container at the service itself")),
    ("metadata", Called("the key above is its name; leave `metadata` out")),
    ("selector", Called("services are found by name; leave `selector` out")),
    ("envFrom", Later("write the variables into `env`")),
    ("initContainers", Later("write `rollout: { before: COMMAND }` for a migration")),
    ("sidecars", Later("write it as a service of its own")),
    ("volumes", Later("use a store, or a folder of the machine through `dir`")),
    ("volumeMounts", Later("use a store, or a folder of the machine through `dir`")),
    ("configs", Later("write the values into `env`")),
    ("schedule", Later("run it by the machine's own cron until then")),
    ("group", Later("leave it out until then")),
    ("region", Later("leave it out until then")),
    ("serviceAccountName", Recorded("there are no service accounts on this machine")),
    ("nodeSelector", Recorded("there is one node here")),
    ("tolerations", Recorded("there is one node here")),
    ("affinity", Recorded("there is one node here")),
    ("topologySpreadConstraints", Recorded("there is one node here")),
    ("imagePullPolicy", Recorded("no images are pulled on this machine")),
    ("imagePullSecrets", Recorded("no images are pulled on this machine")),
    ("labels", Recorded("nothing selects by labels on this machine")),
    ("annotations", Recorded("nothing reads annotations on this machine")),
    ("priorityClassName", Recorded("there are no priorities on this machine")),
];

impl Reading<'_, '_> {
    /// Reads one service, the defaults being merged into it already.
    pub(crate) fn service(&mut self, entry: &Entry, merged: &Node) -> Option<Service> {
        let name = entry.key.as_str();
        let fields = self.fields(merged, &SERVICE, &format!("services.{name}"))?.called(entry);
        let port = self.service_port(&fields);
        let uses = self.links(name, &fields, "uses");
        let calls = self.links(name, &fields, "calls");
        let env = fields.entry("env").map(|entry| self.env(&entry.node)).unwrap_or_default();
        self.check_link_variables(&uses, &calls, &env);
        self.check_env(port.is_some(), &env, [&uses, &calls]);
        let command = self.command(&fields, port.is_some(), &env, [&uses, &calls]);
        let rollout = self.service_rollout(&fields);
        let resources =
            fields.get("resources").map(|n| self.resources(n, &fields.path("resources"))).unwrap_or_default();
        let (replicas, autoscaling, vertical) = self.scale(&fields, &resources);
        let grace = fields.get("terminationGracePeriodSeconds").and_then(|n| self.seconds(n, 0..=86_400));
        let service = Service {
            image: self.image(&fields, command.is_empty()),
            command,
            build: fields.get("build").and_then(|n| self.build(n, &fields.path("build"))),
            dir: fields.get("dir").and_then(|n| self.some_text(n)),
            port,
            protocol: fields.get("protocol").and_then(|n| self.word(n, &PROTOCOLS)).unwrap_or_default(),
            uses: self.recorded_links(&fields, uses),
            calls: calls.into_iter().map(|(link, _)| link).collect(),
            probes: self.probes(&fields, port),
            resources,
            replicas,
            autoscaling,
            vertical,
            rollout,
            security: fields
                .get("securityContext")
                .map(|n| self.security(n, &fields.path("securityContext")))
                .unwrap_or_default(),
            termination_grace: grace.unwrap_or(Millis::from_secs(30)),
            pre_stop: fields.get("lifecycle").and_then(|n| self.pre_stop(n, port)),
            restart: fields.get("restartPolicy").and_then(|n| self.word(n, &RESTARTS)).unwrap_or_default(),
            limits: self.limits(&fields),
            resilience: self.resilience(&fields),
            sticky: fields.entry("sticky").and_then(|entry| self.sticky(&entry.node)),
            env: env.into_iter().map(|(name, value, _)| (name, value)).collect(),
        };
        self.check_failover_grace(&fields, &service);
        Some(service)
    }

    fn service_port(&mut self, fields: &Fields<'_>) -> Option<u16> {
        self.port_name = None;
        let port = fields.get("port").and_then(|node| self.port(node));
        // a port that is written wrongly is told once, not again by everything that needs one
        let port = port.or(fields.entry("port").map(|_| 1));
        let Some(ports) = fields.entry("ports") else { return port };
        let mut found = Vec::new();
        for item in self.list(&ports.node, "`port: 8080`") {
            let Some(one) = self.fields(item, &PORTS, &fields.path("ports")) else { continue };
            found.extend(one.get("containerPort").and_then(|node| self.port(node)));
            self.port_name = one.get("name").and_then(|node| self.text(node));
            one.get("protocol").and_then(|node| self.word(node, &[("TCP", ())]));
        }
        if port.is_some() {
            self.refuse("two-owners", ports.key_at, "both `port` and `ports` say the port", "keep `port`");
        } else if found.len() > 1 {
            let help = format!("write `port: {}`", found[0]);
            self.refuse("comes-later", ports.key_at, "a service with several ports comes in a later version", help);
        }
        port.or(found.first().copied())
    }

    fn image(&mut self, fields: &Fields<'_>, has_no_command: bool) -> Option<String> {
        let image = fields.get("image").and_then(|node| self.some_text(node));
        match (&image, has_no_command) {
            (Some(_), true) => {
                let why = "containers aren't run on this machine, and there is no `command`";
                self.refused(fields.path("image"), fields.at("image"), why);
            }
            (Some(_), false) => {
                let why = "`command` runs here; the image is for where containers run";
                self.recorded(fields.path("image"), fields.at("image"), why);
            }
            (None, true) if fields.get("command").is_none() && fields.get("image").is_none() => {
                let help = "write `command: [./program, --port, $(PORT)]`";
                self.refuse("nothing-to-run", fields.at, "this service has nothing to run", help);
            }
            _ => {}
        }
        image
    }

    fn build(&mut self, node: &Node, path: &str) -> Option<Build> {
        let fields = self.fields(node, &BUILD, path)?;
        let build = Build {
            command: fields.get("command").and_then(|n| self.some_text(n)),
            sources: fields.get("sources").map(|n| self.texts(n, "sources: [src]")).unwrap_or_default(),
            context: fields.get("context").and_then(|n| self.some_text(n)),
            dockerfile: fields.get("dockerfile").and_then(|n| self.some_text(n)),
        };
        if build.context.is_some() || build.dockerfile.is_some() {
            self.recorded(path, node.at, "no images are built on this machine");
        }
        Some(build)
    }

    /// A value of the environment may name the port, addresses, other variables and secrets.
    fn check_env(&mut self, has_port: bool, env: &env::Variables, links: [&crate::links::Links; 2]) {
        if env.iter().all(|(_, value, _)| !value.contains("$(")) {
            return;
        }
        let mut known: BTreeSet<&str> = has_port.then_some("PORT").into_iter().collect();
        known.extend(env.iter().map(|(name, ..)| name.as_str()));
        known.extend(links.into_iter().flatten().map(|(link, _)| link.variable.as_str()));
        for (_, value, at) in env {
            self.check_variables(value, *at, &known, Secrets::Allowed);
        }
    }

    /// Reads `command` and `args`, and sees to it that no secret gets into them.
    fn command(
        &mut self,
        fields: &Fields<'_>,
        has_port: bool,
        env: &env::Variables,
        links: [&crate::links::Links; 2],
    ) -> Vec<String> {
        let is_secret =
            |value: &str| variables(value).is_ok_and(|all| all.iter().any(|v| matches!(v, Variable::Secret(_))));
        let mut known: BTreeSet<&str> = has_port.then_some("PORT").into_iter().collect();
        let mut hidden: BTreeSet<&str> = BTreeSet::new();
        for (name, value, _) in env {
            if is_secret(value) {
                hidden.insert(name)
            } else {
                known.insert(name)
            };
        }
        for (link, _) in links.into_iter().flatten() {
            let is_store = self.stores.contains(&link.to);
            if is_store {
                hidden.insert(&link.variable)
            } else {
                known.insert(&link.variable)
            };
        }
        let mut command = Vec::new();
        for key in ["command", "args"] {
            let Some(node) = fields.get(key) else { continue };
            if let Some(text) = node.scalar().map(|scalar| scalar.text.clone()) {
                self.wrong_type(node, "a list", &format!("write `{key}: {}`", as_list(&text)));
                continue;
            }
            for item in self.list(node, "a list such as [./program, --port, $(PORT)]") {
                let Some(text) = self.text(item) else { continue };
                match variables(&text).ok().and_then(|all| {
                    all.into_iter().find(|v| matches!(v, Variable::Named(name) if hidden.contains(*name)))
                }) {
                    Some(_) => {
                        let headline = format!("`{}` would show a secret in the list of processes", shown(&text));
                        self.refuse(
                            "secret-in-command",
                            item.at,
                            headline,
                            "let the program read the variable from its environment",
                        );
                    }
                    None => self.check_variables(&text, item.at, &known, Secrets::Forbidden),
                }
                command.push(text);
            }
        }
        command
    }
}

/// How a command line is written as a list.
fn as_list(text: &str) -> String {
    let needs_shell = text.contains(['|', '&', ';', '<', '>', '"', '\'', '*', '`', '\\', '\n', '#', '{', '[', ',']);
    if needs_shell {
        return format!("[sh, -c, '{}']", shown(&text.replace('\'', "''")));
    }
    format!("[{}]", shown(&text.split_whitespace().collect::<Vec<_>>().join(", ")))
}
