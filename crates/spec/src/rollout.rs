//! How a new version comes in: `rollout` (ours), or `strategy` as a Deployment has it.

use crate::{
    canary::CANARY,
    node::{Node, Value},
    reading::{Fields, Reading},
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
    synthetic::SYNTHETIC,
};
use plimsoll_model::{
    Amount, Millis, Ratio,
    rollout::{Analysis, Inconclusive, Rollout, Strategy},
};

pub(crate) static STRATEGY: Section = Section {
    name: "`strategy`",
    keys: &[
        key("type", Shape::Word(&["RollingUpdate", "Recreate"]), "Default RollingUpdate."),
        key("rollingUpdate", Shape::Map(&ROLLING), "Bounds of a rolling update."),
    ],
    foreign: &[("canary", Called("write it under `rollout`")), ("blueGreen", Called("write it under `rollout`"))],
};

static ROLLING: Section = Section {
    name: "a rolling update",
    keys: &[
        key("maxSurge", Shape::Either(&[Shape::Integer, Shape::Percent]), "How many more than wanted. Default 25%."),
        key("maxUnavailable", Shape::Either(&[Shape::Integer, Shape::Percent]), "How many fewer. Default 25%."),
    ],
    foreign: &[],
};

pub(crate) static ROLLOUT: Section = Section {
    name: "`rollout`",
    keys: &[
        key("rolling", Shape::Map(&ROLLING), "New replicas come as old ones go."),
        key("recreate", Shape::Boolean, "All old ones go before the new ones come."),
        key("blueGreen", Shape::Map(&BLUE_GREEN), "All new ones come, then all traffic moves at once."),
        key("canary", Shape::Map(&CANARY), "A growing share of traffic goes to the new version."),
        key("analysis", Shape::Map(&ANALYSIS), "What the new version must keep."),
        key("bake", Shape::Duration, "So long after it was promoted, it is still sent back. Default 5m."),
        key(
            "before",
            Shape::Either(&[Shape::Text, Shape::Map(&BEFORE)]),
            "A command of the shell, run once before the new version starts.",
        ),
    ],
    foreign: &[
        ("steps", Called("write `canary: { steps: [5%, 25%], interval: 30m }`")),
        ("approval", Called("leave it out, write a step `pause`, and promote by hand: `plimsoll release promote`")),
        ("experiments", Later("experiments with several versions come in a later version")),
    ],
};

static BEFORE: Section = Section {
    name: "`before`",
    keys: &[
        key("command", Shape::Text, "A command of the shell, run once before the new version starts."),
        key(
            "contract",
            Shape::Boolean,
            "It takes away what the old version needs: no automatic way back. Default false.",
        ),
    ],
    foreign: &[],
};

static BLUE_GREEN: Section = Section {
    name: "`blueGreen`",
    keys: &[key("keep", Shape::Duration, "How long the old set is kept after the move. Default 30s.")],
    foreign: &[],
};

static ANALYSIS: Section = Section {
    name: "`analysis`",
    keys: &[
        key("errorRate", Shape::Map(&MOST_SHARE), "Share of failed requests."),
        key("latencyP95", Shape::Map(&MOST_TIME), "95th percentile of latency."),
        key("inconclusive", Shape::Word(&["pause", "rollback", "promote"]), "With too little traffic. Default pause."),
        key("synthetic", Shape::Map(&SYNTHETIC), "What both versions are asked where users ask too little."),
    ],
    foreign: &[
        ("loadTest", Called("write `synthetic: { requestsPerSecond: 20, paths: [/] }`")),
        ("webhooks", Called("load for the judgement is built in: write `synthetic: { requestsPerSecond: 20 }`")),
    ],
};

static MOST_SHARE: Section = Section { name: "a bound", keys: &[key("max", Shape::Percent, "At most.")], foreign: &[] };
static MOST_TIME: Section =
    Section { name: "a bound of time", keys: &[key("max", Shape::Duration, "At most.")], foreign: &[] };

/// Kubernetes' default.
const PROGRESS_DEADLINE: Millis = Millis::from_secs(600);

impl Reading<'_, '_> {
    /// Reads everything about how versions of a service come in.
    pub(crate) fn service_rollout(&mut self, service: &Fields<'_>) -> Rollout {
        let mut rollout = Rollout::default();
        let strategy = service.get("strategy").and_then(|node| self.strategy(node, &service.path("strategy")));
        let path = service.path("rollout");
        if let Some(fields) = service.get("rollout").and_then(|node| self.fields(node, &ROLLOUT, &path)) {
            let ours = self.own_strategy(&fields);
            if strategy.is_some() && ours.is_some() {
                let headline = "both `strategy` and `rollout` say how a version comes in";
                self.refuse("two-owners", service.at("strategy"), headline, "keep one of them");
            }
            rollout.strategy = ours.unwrap_or_default();
            rollout.analysis = fields.get("analysis").and_then(|node| self.analysis(node, &fields.path("analysis")));
            if let Some(bake) = fields.get("bake").and_then(|node| self.duration(node)) {
                rollout.bake = bake;
            }
            self.before(&fields, &mut rollout);
            self.check_audience(service, (&rollout.strategy, rollout.analysis.is_some()));
            self.check_contract(&fields, &rollout);
            self.check_synthetic(&fields, service, &rollout);
        }
        if let Some(strategy) = strategy {
            rollout.strategy = strategy;
        }
        rollout.min_ready =
            service.get("minReadySeconds").and_then(|n| self.seconds(n, 0..=86_400)).unwrap_or_default();
        let deadline = service.get("progressDeadlineSeconds").and_then(|n| self.seconds(n, 1..=604_800));
        rollout.progress_deadline = deadline;
        let effective = deadline.unwrap_or(PROGRESS_DEADLINE);
        if effective <= rollout.min_ready {
            let headline = format!("`progressDeadlineSeconds` ({effective}) must be longer than `minReadySeconds`");
            let key = if deadline.is_some() { "progressDeadlineSeconds" } else { "minReadySeconds" };
            self.refuse("min-over-max", service.at(key), headline, "raise `progressDeadlineSeconds`");
        }
        rollout
    }

    /// The command that is run before a version comes in.
    fn before(&mut self, rollout: &Fields<'_>, into: &mut Rollout) {
        let Some(node) = rollout.get("before") else { return };
        if let Value::Scalar(_) = node.value {
            into.before = self.some_text(node);
            return;
        }
        let Some(fields) = self.fields(node, &BEFORE, &rollout.path("before")) else { return };
        into.before = fields.get("command").and_then(|node| self.some_text(node));
        into.contract = fields.get("contract").and_then(|node| self.boolean(node)).unwrap_or(false);
        if fields.get("command").is_none() {
            let headline = "`before` has no `command`";
            self.refuse("missing-key", fields.at, headline, "write `before: { command: ./migrate, contract: true }`");
        }
    }

    fn strategy(&mut self, node: &Node, path: &str) -> Option<Strategy> {
        if let Value::Scalar(_) = node.value {
            self.wrong_type(node, "a map", "write `strategy: { type: RollingUpdate }`, or `rollout` for our own");
            return None;
        }
        let fields = self.fields(node, &STRATEGY, path)?;
        let is_rolling =
            fields.get("type").and_then(|node| self.word(node, &[("RollingUpdate", true), ("Recreate", false)]));
        let rolling = fields.entry("rollingUpdate");
        if is_rolling == Some(false) {
            if let Some(rolling) = rolling {
                let headline = "`rollingUpdate` means nothing with `type: Recreate`";
                self.refuse("two-owners", rolling.key_at, headline, "remove it");
            }
            return Some(Strategy::Recreate);
        }
        match rolling {
            Some(rolling) => self.rolling(&rolling.node, &fields.path("rollingUpdate")),
            None => Some(Strategy::default()),
        }
    }

    fn rolling(&mut self, node: &Node, path: &str) -> Option<Strategy> {
        let fields = self.fields(node, &ROLLING, path)?;
        let quarter = Amount::Share(Ratio::percent(25));
        let max_surge = fields.get("maxSurge").and_then(|node| self.amount(node)).unwrap_or(quarter);
        let max_unavailable = fields.get("maxUnavailable").and_then(|node| self.amount(node)).unwrap_or(quarter);
        let is_zero = |amount| matches!(amount, Amount::Count(0) | Amount::Share(Ratio(0)));
        if is_zero(max_surge) && is_zero(max_unavailable) {
            let headline = "with neither more nor fewer replicas than wanted, nothing can be replaced";
            self.refuse("out-of-range", fields.at("maxSurge"), headline, "write `maxSurge: 1`");
        }
        if matches!(max_unavailable, Amount::Share(share) if share > Ratio::ONE) {
            let headline = "more than all replicas can't be unavailable";
            self.refuse("out-of-range", fields.at("maxUnavailable"), headline, "write at most 100%");
        }
        Some(Strategy::Rolling { max_surge, max_unavailable })
    }

    fn own_strategy(&mut self, fields: &Fields<'_>) -> Option<Strategy> {
        let given: Vec<&str> = ["rolling", "recreate", "blueGreen", "canary"]
            .into_iter()
            .filter(|key| fields.entry(key).is_some())
            .collect();
        if let [first, second, ..] = given.as_slice() {
            let headline = format!("both `{first}` and `{second}` say how a version comes in");
            self.refuse("two-owners", fields.at(second), headline, "keep one of them");
            return None;
        }
        let key = *given.first()?;
        let node = fields.get(key)?;
        let path = fields.path(key);
        match key {
            "rolling" => self.rolling(node, &path),
            "recreate" => self.boolean(node)?.then_some(Strategy::Recreate),
            "blueGreen" => {
                let fields = self.fields(node, &BLUE_GREEN, &path)?;
                let keep = fields.get("keep").and_then(|node| self.duration(node)).unwrap_or(Millis::from_secs(30));
                Some(Strategy::BlueGreen { keep })
            }
            _ => self.canary(node, &path),
        }
    }

    fn analysis(&mut self, node: &Node, path: &str) -> Option<Analysis> {
        let fields = self.fields(node, &ANALYSIS, path)?;
        let words =
            [("pause", Inconclusive::Pause), ("rollback", Inconclusive::Rollback), ("promote", Inconclusive::Promote)];
        let error_rate = fields.get("errorRate").and_then(|node| self.fields(node, &MOST_SHARE, path));
        let latency = fields.get("latencyP95").and_then(|node| self.fields(node, &MOST_TIME, path));
        Some(Analysis {
            error_rate_max: error_rate.and_then(|bound| bound.get("max").and_then(|node| self.percent(node))),
            latency_p95_max: latency.and_then(|bound| bound.get("max").and_then(|node| self.some_duration(node))),
            inconclusive: fields.get("inconclusive").and_then(|node| self.word(node, &words)).unwrap_or_default(),
            synthetic: fields.get("synthetic").and_then(|node| self.synthetic(node, &fields.path("synthetic"))),
        })
    }
}
