//! The whole world as a queue, against Erlang's formulas.

use crate::scene;
use plimsoll_simulate::Queue;

/// One replica with `workers` and a stream that keeps each of them busy for `percent` of the time.
#[track_caller]
fn check(workers: u32, percent: u64, seed: u64) {
    let per_second = u64::from(workers) * percent;
    let requests = 1_500_000;
    let mut scenario = scene::scenario(requests / per_second, per_second);
    scenario.warm_up = plimsoll_model::Millis::from_secs(30);
    let work = scenario.work.get_mut("web").unwrap();
    (work.workers, work.queue) = (Some(workers), 1_000_000);
    let mut web = scene::service(1);
    web.limits.in_flight_max = 1_000_000;
    let world = scene::run(&scene::system(web), &scenario, seed);
    let people = &world.figures().sources[0];
    assert_eq!(people.failed(), 0, "{people:?}");
    let queue = Queue { arrivals: per_second as f64, work: 0.01, workers };
    let mean = people.latency.mean_ns() / 1e9;
    let want = queue.work + queue.mean_wait();
    assert!((mean / want - 1.0).abs() < 0.01, "M/M/{workers} at {percent} %, seed {seed}: {mean} instead of {want}");
    for per_mille in [500, 950, 990] {
        let got = people.latency.percentile_ns(per_mille).unwrap() as f64 / 1e9;
        let want = queue.percentile(per_mille as f64 / 1e3);
        assert!((got / want - 1.0).abs() < 0.02, "M/M/{workers} p{per_mille}: {got} instead of {want}");
    }
}

#[test]
fn one_worker_waits_as_erlang_says() {
    check(1, 70, 1);
}

#[test]
fn four_workers_wait_as_erlang_says() {
    check(4, 80, 2);
}

#[test]
fn sixteen_workers_wait_as_erlang_says() {
    check(16, 90, 3);
}
