//! Fault 78, `swizzle-clog`: links stop and go in an order of chance, among other faults; safety holds, and everything
//! comes back.

use crate::scene;
use plimsoll_model::{
    Millis,
    service::Link,
    simulation::{Times, Work},
};
use plimsoll_simulate::swarm;

#[test]
fn safety_holds_and_everything_comes_back() {
    let mut system = scene::system(scene::scaled(3, 8));
    let api = plimsoll_model::Service { uses: vec![], ..scene::service(3) };
    system.services.insert("api".into(), api);
    let link = Link { to: "api".into(), variable: "API_URL".into() };
    system.services.get_mut("web").unwrap().uses.push(link);
    let mut scenario = scene::scenario(600, 40);
    scenario.work.get_mut("web").unwrap().calls.insert("api".into(), 2);
    let work = Work { time: Times::Exponential { mean_us: 3000 }, start: Millis(300), ..Work::default() };
    scenario.work.insert("api".into(), work);
    scenario.traffic.get_mut("people").unwrap().retries = 1;
    let times = std::env::var("PLIMSOLL_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let report = swarm((&system, &scenario, &Default::default()), 0..20 * times, |_| {}).unwrap();
    assert!(report.broken.is_empty(), "{:#?}", report.broken);
    assert!(report.faults > 100 * times && report.requests.0 > 400_000 * times, "{report:?}");
}
