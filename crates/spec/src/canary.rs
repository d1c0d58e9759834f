//! `canary`: its steps, and who sees it.

use crate::{
    node::Node,
    reading::{Fields, Reading},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::{
    Millis, Ratio, System,
    audience::{Audience, Match, Stickiness},
    rollout::Strategy,
};

pub(crate) static CANARY: Section = Section {
    name: "`canary`",
    keys: &[
        key("steps", Shape::List(&Shape::Percent), "Shares, growing; then all."),
        key("interval", Shape::Duration, "The least time at each step."),
        key("stickiness", Shape::Map(&STICKINESS), "The same version for the same client, by a cookie or a header."),
        key("match", Shape::Map(&MATCH), "Only requests that match go to the new version (A/B)."),
        key(
            "mirror",
            Shape::Percent,
            "So many reading requests are copied to the new version, and its answers dropped.",
        ),
    ],
    foreign: &[
        ("analysis", Called("write it beside `canary`")),
        ("mirrorWeight", Called("write `mirror: 10%`")),
        ("sessionAffinity", Called("write `stickiness: { cookie: NAME }`")),
        ("setHeaderRoute", Called("write `match: { header: { X-Beta: \"true\" } }`")),
        ("setMirrorRoute", Called("write `mirror: 10%`")),
        ("setWeight", Called("write `steps: [5%, 25%, 50%]`")),
    ],
};

static STICKINESS: Section = Section {
    name: "`stickiness`",
    keys: &[
        key("cookie", Shape::Text, "The name of a cookie that clients are given."),
        key("maxAge", Shape::Duration, "How long they keep it. Default 1d."),
        key("header", Shape::Text, "The name of a header that says who a client is."),
    ],
    foreign: &[("cookieName", Called("write `cookie: NAME`"))],
};

static MATCH: Section = Section {
    name: "`match`",
    keys: &[key("header", Shape::Named(&Shape::Text), "Headers with these very values, all of them.")],
    foreign: &[("headers", Called("write `header: { X-Beta: \"true\" }`"))],
};

/// How long a client keeps its cookie.
const MAX_AGE: Millis = Millis::from_secs(86_400);

impl Reading<'_, '_> {
    pub(crate) fn canary(&mut self, node: &Node, path: &str) -> Option<Strategy> {
        let fields = self.fields(node, &CANARY, path)?;
        let audience = self.audience(&fields);
        let example = "`steps: [5%, 25%, 50%]`";
        let (Some(list), Some(interval)) = (fields.get("steps"), fields.get("interval")) else {
            let headline = "a canary has `steps` and an `interval`";
            self.refuse("missing-key", fields.at, headline, format!("write {example} and `interval: 10m`"));
            return None;
        };
        let interval = self.some_duration(interval);
        let mut steps: Vec<Ratio> = Vec::new();
        for item in self.list(list, example) {
            let Some(step) = self.percent(item) else { continue };
            let grows = steps.last().is_none_or(|last| *last < step);
            let is_nothing = step == Ratio(0) && !(steps.is_empty() && audience.is_beside_shares());
            if !grows || is_nothing || step >= Ratio::ONE {
                let headline = format!("the step {step} doesn't lie between the one before it and 100%");
                self.refuse(
                    "canary-steps",
                    item.at,
                    headline,
                    "let the steps grow; all traffic follows the last one by itself",
                );
            }
            steps.push(step);
        }
        if steps.is_empty() {
            self.refuse("canary-steps", list.at, "a canary without steps is a leap", format!("write {example}"));
        }
        Some(Strategy::Canary { steps, interval: interval?, audience })
    }

    fn audience(&mut self, canary: &Fields<'_>) -> Audience {
        if canary.entry("stickiness").is_some() && canary.entry("match").is_some() {
            let headline = "both `stickiness` and `match` say which requests go to the new version";
            self.refuse("two-owners", canary.at("stickiness"), headline, "keep one of them");
        }
        Audience {
            stickiness: canary.get("stickiness").and_then(|node| self.stickiness(node, &canary.path("stickiness"))),
            matches: canary.get("match").and_then(|node| self.matches(node, &canary.path("match"))),
            mirror: canary.get("mirror").and_then(|node| self.mirror(node)).unwrap_or_default(),
        }
    }

    fn stickiness(&mut self, node: &Node, path: &str) -> Option<Stickiness> {
        let fields = self.fields(node, &STICKINESS, path)?;
        match (fields.get("cookie"), fields.get("header")) {
            (Some(cookie), None) => {
                let name = self.cookie_name(cookie, "plimsoll_version");
                let max_age = fields.get("maxAge").map_or(Some(MAX_AGE), |node| self.some_duration(node));
                let (name, max_age) = (name?, max_age?);
                if max_age < Millis::from_secs(1) {
                    let headline = format!("a cookie is kept for whole seconds, not for {max_age}");
                    self.refuse("out-of-range", fields.at("maxAge"), headline, "write at least 1s");
                }
                Some(Stickiness::Cookie { name, max_age })
            }
            (None, Some(header)) => {
                if fields.entry("maxAge").is_some() {
                    let headline = "`maxAge` is that of a cookie, and a header has none";
                    self.refuse("two-owners", fields.at("maxAge"), headline, "remove it");
                }
                let name = self.some_text(header)?;
                self.header_name(&name, header.at).then(|| Stickiness::Header(name.to_ascii_lowercase()))
            }
            (Some(_), Some(_)) => {
                let headline = "both `cookie` and `header` say who a client is";
                self.refuse("two-owners", fields.at("header"), headline, "keep one of them");
                None
            }
            (None, None) => {
                let help = "write `stickiness: { cookie: NAME }` or `{ header: NAME }`";
                self.refuse("missing-key", fields.at, "nothing says by what a client is known again", help);
                None
            }
        }
    }

    fn matches(&mut self, node: &Node, path: &str) -> Option<Match> {
        let fields = self.fields(node, &MATCH, path)?;
        let example = "`match: { header: { X-Beta: \"true\" } }`";
        let mut matches = Match::default();
        for entry in fields.get("header").map(|node| self.entries(node, example)).unwrap_or_default() {
            if let Some(value) = self.header(&entry.key, entry.key_at, &entry.node) {
                matches.header.insert(entry.key.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        if fields.get("header").is_none_or(|node| node.map().is_some_and(<[_]>::is_empty)) {
            self.refuse(
                "missing-key",
                fields.at,
                "nothing says what a request has to have",
                format!("write {example}"),
            );
        }
        Some(matches)
    }

    fn mirror(&mut self, node: &Node) -> Option<Ratio> {
        let share = self.percent(node)?;
        if share > Ratio::ONE {
            self.refuse("out-of-range", node.at, "more than all requests can't be copied", "write at most 100%");
        }
        Some(share)
    }

    /// Copies are there to be judged, and a client's two cookies are two.
    pub(crate) fn check_audience(&mut self, service: &Fields<'_>, (strategy, is_judged): (&Strategy, bool)) {
        let Strategy::Canary { audience, .. } = strategy else { return };
        if audience.mirror > Ratio(0) && !is_judged {
            let headline = "`mirror` sends copies to be judged, and there is no `analysis`";
            let help = "write `analysis: { errorRate: { max: 1% } }` beside `canary`";
            self.refuse("missing-key", service.at("rollout"), headline, help);
        }
        let sticky = service.get("sticky").and_then(|node| node.get("cookie")).and_then(|entry| entry.node.scalar());
        if let (Some(Stickiness::Cookie { name, .. }), Some(sticky)) = (&audience.stickiness, sticky)
            && sticky.text == *name
        {
            let headline = format!("the cookie `{name}` already says to which replica a client belongs");
            self.refuse("two-owners", service.at("sticky"), headline, "give them two names");
        }
    }
}

/// What is said of canaries that are not shown by chance alone.
pub(crate) fn notes(system: &System) -> impl Iterator<Item = String> + '_ {
    system.services.iter().filter_map(|(name, service)| match &service.rollout.strategy {
        Strategy::Canary { audience, .. } if *audience != Audience::default() => {
            Some(format!("a canary of `{name}` is seen by {audience}"))
        }
        _ => None,
    })
}
