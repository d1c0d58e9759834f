//! What a simulation came to, as a value and as JSON.

use crate::{
    plan::{Plan, PlanError},
    predict::{Basis, Prediction, Verdict, busiest, causes, cents_a_month, predict},
    world::{Figures, World},
};
use serde::Serialize;

/// One simulation.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this form of JSON.
    pub version: u32,
    /// The system's name.
    pub system: String,
    /// Its environment.
    pub environment: Option<String>,
    /// How it was imagined: `events` or `fluid`.
    pub mode: &'static str,
    /// The seed of every draw.
    pub seed: u64,
    /// How long was imagined, in seconds.
    pub lasts_s: f64,
    /// How many events happened (in fluid mode: steps).
    pub events: u64,
    /// A number that is the same for the same course of events, in hexadecimal digits.
    pub digest: String,
    /// What was measured.
    pub figures: Figures,
    /// The service or store with the least time left, and how much of it was used.
    pub busiest: (String, f64),
    /// Why requests failed, in words.
    pub causes: String,
    /// What requested resources would cost in a month, in the currency of the scenario; `None`: it has no prices.
    pub cost_per_month: Option<(f64, String)>,
    /// What would become of each promise.
    pub promises: Vec<Prediction>,
    /// What checkers found wrong: a bug of Plimsoll. Empty as it should be.
    pub violations: Vec<String>,
}

impl Report {
    /// Plays a scenario to its end and predicts every promise.
    ///
    /// # Errors
    /// The scenario can't be simulated.
    pub fn of(basis: Basis<'_>) -> Result<Self, PlanError> {
        let plan = Plan::of(basis.system, basis.scenario, basis.traces, basis.seed)?;
        let mut world = World::new(plan);
        world.run();
        Self::of_world(basis, world)
    }

    /// The report of a world that has been played.
    ///
    /// # Errors
    /// The scenario can't be simulated.
    pub fn of_world(basis: Basis<'_>, mut world: World) -> Result<Self, PlanError> {
        world.check_end();
        Ok(Self {
            mode: "events",
            events: world.events(),
            digest: format!("{:016x}", world.digest()),
            busiest: busiest(&world),
            causes: causes(&world),
            violations: world.violations().to_vec(),
            ..Self::of_figures(basis, world.figures().clone())?
        })
    }

    pub(crate) fn of_figures(basis: Basis<'_>, figures: Figures) -> Result<Self, PlanError> {
        let prices = basis.scenario.prices.as_ref();
        Ok(Self {
            version: 1,
            system: basis.system.name.clone(),
            environment: basis.system.environment.clone(),
            mode: "fluid",
            seed: basis.seed,
            lasts_s: basis.scenario.duration.0 as f64 / 1e3,
            events: 0,
            digest: String::new(),
            busiest: (String::new(), 0.0),
            causes: String::new(),
            cost_per_month: prices.map(|prices| {
                let cents = cents_a_month(basis.system, prices, &figures);
                ((cents / 100.0 * 100.0).round() / 100.0, prices.currency.clone())
            }),
            promises: predict(basis, &figures)?,
            violations: Vec::new(),
            figures,
        })
    }

    /// How many promises have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.promises.iter().filter(|one| one.verdict == verdict).count()
    }

    /// "3 held, 1 broken, 2 unpredicted".
    #[must_use]
    pub fn summary(&self) -> String {
        let each = [Verdict::Held, Verdict::Broken, Verdict::Unpredicted];
        each.map(|verdict| format!("{} {}", self.count(verdict), verdict.word())).join(", ")
    }

    /// All of it as JSON, with the course of every stream and service.
    ///
    /// # Panics
    /// Never: all keys are strings.
    #[must_use]
    pub fn json(&self) -> String {
        let streams: Vec<_> = self
            .figures
            .sources
            .iter()
            .map(|one| serde_json::json!({ "name": one.name, "steps": one.steps }))
            .collect();
        let services: Vec<_> = self
            .figures
            .services
            .iter()
            .map(|one| serde_json::json!({ "name": one.name, "steps": one.steps }))
            .collect();
        let mut all = serde_json::to_value(self).unwrap_or_default();
        all["course"] = serde_json::json!({ "streams": streams, "services": services });
        format!("{all:#}")
    }
}
