//! Two services, one of which calls the other, for storms of faults.

use crate::scene;
use plimsoll_model::{
    Millis, System,
    service::Link,
    simulation::{Simulation, Times, Work},
};

/// `web` is scaled, calls `api` twice for each request, and its clients ask again once.
pub(crate) fn storm() -> (System, Simulation) {
    let link = Link { to: "api".into(), variable: "API_URL".into() };
    let web = plimsoll_model::Service { uses: vec![link], ..scene::scaled(3, 8) };
    let mut system = scene::system(web);
    system.services.insert("api".into(), scene::service(3));
    let mut scenario = scene::scenario(600, 40);
    if let Some(work) = scenario.work.get_mut("web") {
        work.calls.insert("api".into(), 2);
    }
    let work = Work { time: Times::Exponential { mean_us: 3000 }, start: Millis(300), ..Work::default() };
    scenario.work.insert("api".into(), work);
    if let Some(people) = scenario.traffic.get_mut("people") {
        people.retries = 1;
    }
    (system, scenario)
}
