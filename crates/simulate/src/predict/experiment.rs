//! A world for one promise: the system and the scenario's work, with its own traffic and without its faults.

use super::{Basis, LASTS, WARM_UP, station_of};
use crate::{
    course::Course,
    plan::{MS, Plan, PlanError, SourcePlan},
    world::World,
};

/// An experiment in the making.
pub(super) struct Experiment {
    pub(super) plan: Plan,
    /// The scenario's streams, of which the one with the same route says how its requests are worked on.
    known: Vec<SourcePlan>,
}

impl Experiment {
    /// Nobody asks for anything yet, and nothing goes wrong.
    pub(super) fn of(basis: Basis<'_>) -> Result<Self, PlanError> {
        let mut plan = Plan::of(basis.system, basis.scenario, basis.traces, basis.seed)?;
        plan.warm_up_ns = WARM_UP.0 * MS;
        plan.until_ns = (WARM_UP.0 + LASTS.0) * MS;
        plan.faults.clear();
        plan.releases.clear();
        let known = std::mem::take(&mut plan.sources);
        Ok(Self { plan, known })
    }

    /// With an open stream to a route; an error, in words, if that leads nowhere.
    pub(super) fn stream(mut self, route: &str, rate: f64) -> Result<Self, String> {
        // What comes after the path makes no difference to where it leads.
        let path = route.split(['?', '#']).next().unwrap_or_default();
        let Some(station) = station_of(&self.plan, path) else {
            return Err(format!("no path of the ingress and no service is called {path}"));
        };
        let like = self.known.iter().find(|one| one.route == route);
        let like = like.or_else(|| self.known.iter().find(|one| one.route == path));
        self.plan.sources.push(SourcePlan {
            name: route.to_owned(),
            route: route.to_owned(),
            station,
            course: Course::new(vec![(0, rate)], None, Vec::new()),
            users: None,
            clients: 1000,
            retries: 0,
            zone: like.map_or(0, |like| like.zone),
            limit: None,
            time: like.and_then(|like| like.time.clone()),
            calls: like.and_then(|like| like.calls.clone()),
            at_once_ns: None,
        });
        Ok(self)
    }

    pub(super) fn world(self) -> World {
        World::new(self.plan)
    }

    pub(super) fn run(self) -> World {
        let mut world = self.world();
        world.run();
        world
    }
}
