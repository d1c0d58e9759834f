//! Choosing an environment, and checking the file as each of them sees it.

use crate::{
    Diagnostic, Machine, Severity,
    diagnostic::shown,
    node::{Entry, Node, Value},
    overlay::laid_over,
    parse::parse,
    reading::Reading,
    setting::{Setting, set},
    source::Source,
    suggest::nearest,
    system::serve_the_only_one,
};
use plimsoll_model::System;
use std::{collections::BTreeSet, path::Path};

/// The environment that is used when none is named, where there is one.
const DEFAULT: &str = "development";
/// Each of them costs a check of the whole file.
const ENVIRONMENTS_MAX: usize = 20;

/// A file and how it is to be understood.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The name that diagnostics show; the folder in it names a system without a name.
    pub path: &'a str,
    /// What the file holds.
    pub text: &'a str,
    /// The environment asked for; `None`: `development` where there is one, else the file as it is.
    pub environment: Option<&'a str>,
    /// What this machine can do.
    pub machine: Machine,
    /// The name of the file's folder, where `path` doesn't tell it.
    pub folder: Option<&'a str>,
    /// Laid over the file and the chosen environment, in this order.
    pub set: &'a [Setting],
}

impl<'a> Input<'a> {
    /// A file for this version on this machine, no environment being named.
    #[must_use]
    pub fn new(path: &'a str, text: &'a str) -> Self {
        Self { path, text, environment: None, machine: Machine::default(), folder: None, set: &[] }
    }
}

/// What became of a file.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The system; `None` if any diagnostic is an error.
    pub system: Option<System>,
    /// Everything that was found, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// What was chosen for the person, to be told by `plan` and `up`.
    pub notes: Vec<String>,
}

impl Checked {
    /// Whether anything keeps the file from being used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }
}

/// Reads and checks a file. All findings come at once; environments that aren't chosen are checked too.
#[must_use]
pub fn check(input: &Input<'_>) -> Checked {
    let source = Source::new(input.path, input.text);
    let mut diagnostics = Vec::new();
    let mut notes = Vec::new();
    let Some(root) = parse(&source, &mut diagnostics) else {
        return Checked { system: None, diagnostics, notes };
    };
    if let Some(found) = manifest(&source, &root) {
        diagnostics.push(found);
        return Checked { system: None, diagnostics, notes };
    }
    let environments = root.get("environments").and_then(|entry| entry.node.map()).unwrap_or_default();
    let chosen = choose(input, &source, &root, environments, &mut diagnostics);
    if let (Some(entry), None) = (chosen, input.environment) {
        notes.push(format!("no environment is named: `{}` is used", entry.key));
    }
    if environments.len() > ENVIRONMENTS_MAX {
        let at = environments[ENVIRONMENTS_MAX].key_at;
        let text =
            format!("a file has at most {ENVIRONMENTS_MAX} environments, and this one has {}", environments.len());
        diagnostics.push(Diagnostic::error("too-large", text).at(source.span(at)).help("remove some"));
        return Checked { system: None, diagnostics, notes };
    }
    let folder = input.folder.map_or_else(|| folder_of(input.path), str::to_owned);
    let (system, found) = checked_as(&source, input, (&root, &folder), chosen, &mut notes);
    diagnostics.extend(found);
    for other in environments.iter().filter(|entry| chosen.is_none_or(|chosen| chosen.key != entry.key)) {
        let (_, found) = checked_as(&source, input, (&root, &folder), Some(other), &mut Vec::new());
        diagnostics
            .extend(found.into_iter().map(|found| found.note(format!("in the environment `{}`", shown(&other.key)))));
    }
    let diagnostics = in_order(diagnostics);
    let is_refused = diagnostics.iter().any(|found| found.severity == Severity::Error);
    Checked { system: system.filter(|_| !is_refused), diagnostics, notes }
}

/// The file as one environment sees it.
fn checked_as(
    source: &Source<'_>,
    input: &Input<'_>,
    (root, folder): (&Node, &str),
    environment: Option<&Entry>,
    notes: &mut Vec<String>,
) -> (Option<System>, Vec<Diagnostic>) {
    let mut reading = Reading::new(source, &input.machine);
    let laid = environment.map(|entry| {
        let mut reading = Reading::new(source, &input.machine);
        reading.is_name(&entry.key, entry.key_at);
        reading.check_environment(entry);
        (laid_over(root.clone(), &entry.node), reading.diagnostics)
    });
    let (root, found) = match &laid {
        Some((laid, found)) if laid.map().is_some() => (laid, found.clone()),
        Some((_, found)) => (root, found.clone()),
        None => (root, Vec::new()),
    };
    found.into_iter().for_each(|found| reading.push(found));
    let with_settings = (!input.set.is_empty()).then(|| reading.with_settings(root.clone(), input.set));
    let root = with_settings.as_ref().unwrap_or(root);
    let system = reading.system(root, folder).map(|mut system| {
        if root.get("ingress").is_none() {
            notes.extend(serve_the_only_one(&mut system));
        }
        notes.extend(crate::canary::notes(&system));
        notes.extend(crate::synthetic::notes(&system));
        system.environment = environment.map(|entry| entry.key.clone());
        let references = std::mem::take(&mut reading.references);
        reading.check_references(&system, &references);
        reading.check_use_cycles(&references);
        reading.check_budgets(&system, &references);
        reading.check_ways_back(&system, &references);
        reading.check_described(&mut system, &references);
        system.unenforced = std::mem::take(&mut reading.unenforced);
        system.unenforced.sort_by_key(|setting| setting.line);
        system
    });
    (system, reading.diagnostics)
}

impl Reading<'_, '_> {
    /// The file with settings from outside; one that can't be read is a finding.
    fn with_settings(&mut self, root: Node, settings: &[Setting]) -> Node {
        let mut laid = root;
        for setting in settings {
            match set(laid.clone(), setting) {
                Ok(with) => laid = with,
                Err(why) => self.refuse("wrong-type", laid.at, why, "write `--set services.web.replicas=3`"),
            }
        }
        laid
    }

    fn check_environment(&mut self, entry: &Entry) {
        if let Some(nested) = entry.node.get("environments") {
            self.refuse("unknown-key", nested.key_at, "an environment has no environments", "move it up");
        } else if !matches!(entry.node.value, Value::Map(_) | Value::Null) {
            self.wrong_type(&entry.node, "a map", "write what differs: `{ stores: { orders: { instances: 1 } } }`");
        }
    }
}

fn choose<'n>(
    input: &Input<'_>,
    source: &Source<'_>,
    root: &Node,
    environments: &'n [Entry],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'n Entry> {
    let name = input.environment.unwrap_or(DEFAULT);
    let found = environments.iter().find(|entry| entry.key == name);
    if let (None, Some(asked)) = (found, input.environment) {
        let known: Vec<&str> = environments.iter().map(|entry| entry.key.as_str()).collect();
        let help = match nearest(asked, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "this file has no environments".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        let headline = format!("no environment is called `{}`", shown(asked));
        let mut found = Diagnostic::error("unknown-environment", headline).help(help);
        found.span = root.get("environments").map(|entry| source.span(entry.key_at));
        diagnostics.push(found);
    }
    found
}

/// A Kubernetes manifest or a Compose file in our place.
fn manifest(source: &Source<'_>, root: &Node) -> Option<Diagnostic> {
    let (kind, api) = (root.get("kind")?, root.get("apiVersion")?);
    let name = kind.node.scalar().map_or("object", |scalar| scalar.text.as_str());
    let help = match name {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            "paste what stands under `containers:` into `services: { NAME: … }`, with `replicas` and `strategy` beside it"
        }
        "HorizontalPodAutoscaler" => "paste what stands under `spec:` into `services: { NAME: { autoscaling: … } }`",
        "VerticalPodAutoscaler" => {
            "paste what stands under `spec:` into `services: { NAME: { verticalAutoscaling: … } }`"
        }
        "Ingress" => "write `ingress: { listen: [8080], hosts: { HOST: { paths: { /: SERVICE } } } }`",
        "Service" => "a service is found by its name: write `port` at it, and name it under `uses` or `calls`",
        "ConfigMap" => "write the values into `env` of the service",
        "Secret" => "write `$(secret:NAME/KEY)` where it is wanted; the value itself never stands in a file",
        _ => "importing manifests comes in a later version",
    };
    let headline = format!("this is a Kubernetes manifest ({}), not a plimsoll.yaml", shown(name));
    Some(Diagnostic::error("kubernetes-manifest", headline).at(source.span(api.key_at)).help(help))
}

fn folder_of(path: &str) -> String {
    let folder = Path::new(path).parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |folder| folder.to_string_lossy().into_owned())
}

/// In the order of the file, each finding once.
fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    diagnostics.retain(|found| {
        let place = found.span.map(|span| (span.start, span.end));
        seen.insert((found.id, place, found.headline.clone()))
    });
    diagnostics.sort_by_key(|found| found.span.map(|span| span.start));
    diagnostics
}
