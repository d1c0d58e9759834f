//! Fault 78, `swizzle-clog`: links stop and go in an order of chance, among other faults; safety holds, and everything
//! comes back.

use crate::storm::storm;
use plimsoll_simulate::swarm;

#[test]
fn safety_holds_and_everything_comes_back() {
    let (system, scenario) = storm();
    let times = std::env::var("PLIMSOLL_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let report = swarm((&system, &scenario, &Default::default()), 0..20 * times, |_| {}).unwrap();
    assert!(report.broken.is_empty(), "{:#?}", report.broken);
    assert!(report.faults > 100 * times && report.requests.0 > 400_000 * times, "{report:?}");
}
