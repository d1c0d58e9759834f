//! Every rule of the language that a file can break.
//!
//! Invariant: `diagnostics.md` has one heading for each of them, and no other.

/// A rule, by the id of its diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Kebab-case.
    pub id: &'static str,
    /// What it demands, in one sentence.
    pub about: &'static str,
}

const fn rule_of(id: &'static str, about: &'static str) -> Rule {
    Rule { id, about }
}

/// All of them, by id.
pub static RULES: &[Rule] = &[
    rule_of("alias-budget", "All aliases together stand for at most 100,000 values."),
    rule_of("ambiguous-scalar", "A plain scalar must mean the same to every YAML reader."),
    rule_of("availability", "An availability lies above 0 % and below 100 %."),
    rule_of("canary-steps", "The steps of a canary grow and lie between 0 % and 100 %."),
    rule_of("comes-later", "A feature that is planned but not there yet is refused, not ignored."),
    rule_of("complex-key", "The keys of a map are text."),
    rule_of("contract-step", "Nothing promises a way back across a contract step."),
    rule_of("does-not-fit", "What services request at rest fits the machine."),
    rule_of("duplicate-key", "A key stands once in a map."),
    rule_of("empty-file", "A file describes a system."),
    rule_of("failover-budget", "A failover can't take less time than the probes that it waits for."),
    rule_of("ingress-target", "A path of the ingress leads to a service with a port."),
    rule_of("kubernetes-manifest", "Manifests are pasted block by block, not whole."),
    rule_of("milli-bytes", "Memory isn't counted in thousandths of a byte."),
    rule_of("min-over-max", "A least is not above its most."),
    rule_of("missing-key", "What can't be guessed is written."),
    rule_of("missing-unit", "Our own quantities carry a unit."),
    rule_of("name", "Names are RFC 1123 labels of at most 63 characters."),
    rule_of("not-utf8", "A file is UTF-8."),
    rule_of("nothing-to-run", "A service has a command or an image."),
    rule_of("out-of-range", "A number lies in its range."),
    rule_of("probe", "A probe has one handler, and a port to ask at."),
    rule_of("promise-kind", "A promise has one kind."),
    rule_of("quantity", "A quantity is a number with a unit that is known here."),
    rule_of("recovery-point", "A recovery point can be given by the backups and logs that are kept."),
    rule_of("redis-cluster-size", "A Redis Cluster has at least 3 masters."),
    rule_of("schedule", "A schedule is a cron expression of five fields, in a time zone that is known."),
    rule_of("secret-in-command", "Secrets are never arguments, which every user of the machine can read."),
    rule_of("secret-in-file", "Secrets are never values in the file."),
    rule_of("several-documents", "One file holds one document."),
    rule_of("store-setting", "A store's settings fit its engine and each other."),
    rule_of("syntax", "A file is YAML."),
    rule_of("tab", "YAML is indented by spaces."),
    rule_of("too-deep", "Values nest at most 64 levels deep."),
    rule_of("too-large", "A file has at most 16 MiB and 2,000,000 values."),
    rule_of("too-many-findings", "Only the first 1,000 findings are shown."),
    rule_of("two-owners", "One number has one owner."),
    rule_of("unknown-environment", "The environment asked for stands in the file."),
    rule_of("unknown-key", "Every key is known."),
    rule_of("unknown-name", "Every name that is referred to exists."),
    rule_of("unknown-tag", "No YAML tags but those of the core schema."),
    rule_of("unknown-variable", "Every variable is known."),
    rule_of("unknown-word", "A word is one of those that are known at its place."),
    rule_of("unreachable-route", "The route of a promise is served by the ingress."),
    rule_of("unreadable", "The file can be read."),
    rule_of("use-cycle", "Services don't wait for each other in a circle."),
    rule_of("utilization-without-request", "A share of a request needs a request."),
    rule_of("variable", "A variable is written $(NAME)."),
    rule_of("version-number", "A version is text."),
    rule_of("without-effect", "A key stands where it changes something."),
    rule_of("wrong-type", "A value has the type that its key wants."),
];

/// The rule with that id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}
