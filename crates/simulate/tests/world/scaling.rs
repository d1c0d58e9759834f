//! Autoscaling in a world: what a peak does.

use crate::scene;
use plimsoll_model::{
    Millis,
    autoscaling::Metric,
    simulation::{Fault, FaultKind, Spike},
};

#[test]
fn a_spike_brings_more_replicas_and_they_go_again() {
    let mut scenario = scene::scenario(1800, 120);
    let spike = Spike { at: Millis::from_secs(300), lasts: Millis::from_secs(300), times_milli: 4000 };
    scenario.traffic.get_mut("people").unwrap().spikes.push(spike);
    let world = scene::run(&scene::system(scene::scaled(2, 12)), &scenario, 5);
    let web = &world.figures().services[0];
    assert_eq!(web.replicas_min, 2);
    // 480 a second of 10 ms are 4.8 processors: 7 replicas at 70 %, and more while what has waited is worked off.
    assert!((7..=12).contains(&web.replicas_max), "{}", web.replicas_max);
    assert!(web.steps.last().unwrap().wanted <= 3, "{:?}", web.steps.last());
    // What comes before the new replicas is more than queues hold; once they are there nothing fails.
    let steps = &world.figures().sources[0].steps;
    assert!(steps[steps.len() / 2..].iter().all(|step| step.failed == 0));
}

#[test]
fn a_metric_that_no_machine_measures_keeps_nothing_up() {
    let mut web = scene::scaled(2, 12);
    let elsewhere = Metric::External { name: "queue".into(), value_milli: Some(1000), average_milli: None };
    web.autoscaling.as_mut().unwrap().metrics.push(elsewhere);
    let mut scenario = scene::scenario(1200, 120);
    let spike = Spike { at: Millis::from_secs(100), lasts: Millis::from_secs(200), times_milli: 4000 };
    scenario.traffic.get_mut("people").unwrap().spikes.push(spike);
    let world = scene::run(&scene::system(web), &scenario, 5);
    let web = &world.figures().services[0];
    assert!(web.replicas_max >= 7 && web.steps.last().unwrap().wanted <= 3, "{:?}", web.steps.last());
}

#[test]
fn a_crash_is_repaired_and_its_requests_are_tried_elsewhere() {
    let mut scenario = scene::scenario(600, 150);
    for second in (60..180).step_by(20) {
        let crash = Fault {
            at: Millis::from_secs(second),
            lasts: Millis(0),
            kind: FaultKind::Crash,
            of: "web".into(),
            count: 1,
            times_milli: 1000,
        };
        scenario.faults.push(crash);
    }
    let world = scene::run(&scene::system(scene::service(4)), &scenario, 6);
    let people = &world.figures().sources[0];
    assert_eq!(world.figures().services[0].restarts, 6);
    assert!(people.ended() > 85_000 && people.failed() == 0, "{people:?}");
}
