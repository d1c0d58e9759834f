//! Autoscalers at work on real processes: by processor, by traffic, by the hour, by hand, to zero and back; and their faults.

use crate::{
    look::{own_pid, pids},
    sweep, times,
    world::{LONG, World},
};
use plimsoll_api::Status;
use rustix::process::Signal;
use std::time::Instant;

/// One service with that autoscaling, and a promise of nothing else.
fn web(autoscaling: &str) -> String {
    format!(
        r#"
system: tide
services:
  web:
    command: [./app]
    port: 80
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 1 }}
    resources: {{ requests: {{ cpu: 50m }} }}
    limits: {{ hold: 50s }}
    autoscaling: {autoscaling}
ingress: {{ listen: [0], hosts: {{ "*": {{ paths: {{ /: web }} }} }} }}
"#
    )
}

/// How many replicas are wanted now.
fn wanted(status: &Status) -> u32 {
    status.services["web"].wanted
}

/// Waits until so many replicas, and no others, are ready.
#[track_caller]
fn until_ready(world: &World, what: &str, count: u32) -> Status {
    world.until_status(what, |status| {
        status.settled && wanted(status) == count && pids(status, "web").len() == count as usize
    })
}

#[test]
fn processor_time_moves_the_number_up_and_down() {
    // Half of 50m is asked for; an app that spins takes a whole processor, or what it gets of one.
    let behavior = "behavior: { scaleDown: { stabilizationWindowSeconds: 0 } }";
    let world = World::up(&web(&format!("{{ minReplicas: 1, maxReplicas: 3, cpu: 50%, {behavior} }}")));
    assert_eq!(wanted(&world.status()), 1);
    assert_eq!(world.get("/spin?on=1").0, 200);
    let began = Instant::now();
    world.until_status("the number grows", |status| wanted(status) > 1);
    eprintln!("grew after {:.1} s of a period of 15 s", began.elapsed().as_secs_f64());
    let told = world.event("why it grew is told", |event| event.reason == "Scaled" && event.subject == "web");
    assert!(told.message.contains("by metrics") && told.message.contains("cpu:"), "{told:?}");
    // Ending the one that spins ends the load: another one comes in its place, and takes nothing.
    for pid in pids(&world.status(), "web").into_values() {
        sweep::signal(pid, Signal::KILL);
    }
    world.settle();
    world.until_status("the number shrinks", |status| wanted(status) < 3);
    until_ready(&world, "the number is as at first", 1);
    world.down();
}

/// Seconds after the step at which five replicas of a service were wanted, under an autoscaler of Kubernetes' default period of
/// 15 s on the same figures of the gateway.
#[track_caller]
fn spike_beside() -> f64 {
    let pods = "[{ type: Pods, pods: { metric: { name: http_requests_per_second }, target: { type: AverageValue, averageValue: \"20\" } } }]";
    let world = World::up(&web(&format!("{{ minReplicas: 1, maxReplicas: 6, metrics: {pods} }}")));
    let calm = world.traffic("/", 10.0);
    calm.more(&world, 20);
    let spike = world.traffic("/", 90.0);
    let began = Instant::now();
    world.until_status("replicas are added", |status| wanted(status) >= 5);
    let decided = began.elapsed();
    calm.end_without_failure(&world, "the calm part, period of 15 s");
    spike.end_without_failure(&world, "the step, period of 15 s");
    world.down();
    decided.as_secs_f64()
}

#[test]
fn spike_10x() {
    let world = World::up(&web("{ minReplicas: 1, maxReplicas: 6, requestsPerSecond: 20/s }"));
    let calm = world.traffic("/", 10.0);
    calm.more(&world, 20);
    assert_eq!(wanted(&world.status()), 1, "one replica carries 10 a second");
    let spike = world.traffic("/", 90.0);
    let began = Instant::now();
    world.until_status("replicas are added", |status| wanted(status) >= 5);
    let decided = began.elapsed();
    world.until_status("they are ready", |status| status.services["web"].ready >= 5);
    eprintln!(
        "ten times the load: five wanted after {decided:.2?}, ready after {:.2?} (pass mark 2 s)",
        began.elapsed()
    );
    spike.more(&world, 50);
    let told = world.event("why is told", |event| event.reason == "Scaled" && event.message.contains("traffic"));
    assert!(told.message.contains("over the panic window"), "{told:?}");
    assert!(wanted(&world.status()) <= 6, "never more than its bound");
    calm.end_without_failure(&world, "the calm part of a step to ten times the load");
    spike.end_without_failure(&world, "a step to ten times the load");
    world.down();
    // That takes longer than a test may; `bench/autoscale/run` counts the broken seconds of both.
    if times(1) > 1 {
        eprintln!("the same step and figures, Kubernetes' period of 15 s: five wanted after {:.2} s", spike_beside());
    }
}

#[test]
fn metric_flap() {
    // The figures that decide come and go with the gateway, whose counters begin anew each time.
    let pods = "[{ type: Pods, pods: { metric: { name: http_requests_per_second }, target: { type: AverageValue, averageValue: \"20\" } } }]";
    let world = World::up(&web(&format!("{{ minReplicas: 2, maxReplicas: 5, metrics: {pods} }}")));
    let status = world.status();
    assert!(status.unenforced.iter().all(|setting| !setting.path.contains("metrics")), "it is measured here");
    let traffic = world.traffic("/", 40.0);
    // Kubernetes' period is 15 s: one look lies between any two of these.
    let mut numbers = Vec::new();
    for _ in 0..3 {
        traffic.more(&world, 200);
        numbers.push(wanted(&world.status()));
        let gateway = own_pid(&world.status(), "gateway");
        sweep::signal(gateway, Signal::KILL);
        world.until_status("another gateway", |status| {
            status.processes.get("gateway").is_some_and(|own| own.pid > 0 && own.pid != gateway)
        });
    }
    traffic.more(&world, 200);
    let events = world.events();
    let scaled: Vec<&str> =
        events.iter().filter(|one| one.reason == "Scaled").map(|one| one.message.as_str()).collect();
    eprintln!("{} changes of the number while the gateway died three times: {scaled:?}", scaled.len());
    // A pause of a busy machine may ask for one more; within the 300 s of stabilisation nothing may go down again.
    numbers.push(wanted(&world.status()));
    assert!(numbers.is_sorted() && numbers.iter().all(|count| (2..=5).contains(count)), "{numbers:?}");
    let report = traffic.end(&world);
    eprintln!("{} of {} requests failed with the gateways", report.failed, report.asked);
    world.down();
}

#[test]
fn a_schedule_holds_at_its_hours() {
    // In force at every minute of the day.
    let schedules = r#"[{ cron: "* * * * *", for: 1h, minReplicas: 3 }]"#;
    let bounds = format!("{{ minReplicas: 1, maxReplicas: 5, concurrency: 50, schedules: {schedules} }}");
    let world = World::up(&web(&bounds));
    until_ready(&world, "as many as the schedule says", 3);
    let status = world.status();
    let said = status.services["web"].autoscaling.clone().unwrap_or_default();
    assert!(said.contains("3 of 3 to 5"), "{said}");
    world.event("it is told", |event| event.reason == "Scaled" && event.message.contains("by a schedule"));
    world.down();
}

#[test]
fn a_person_moves_the_bounds_for_a_time() {
    let world = World::up(&web("{ minReplicas: 1, maxReplicas: 3, concurrency: 50, manualFor: 40s }"));
    let said = world.run(&["scale", "web", "4"]).good();
    assert!(said.contains("between 4 and 4") && said.contains("1 to 3") && said.contains("for 40s"), "{said}");
    world.event("it goes beyond the file's bounds", |event| event.message.contains("1 becomes 4"));
    world.until_status("the file's bounds hold again", |status| wanted(status) <= 3);
    let left = world.event("it is told", |event| event.message.contains("set by hand have expired"));
    assert_eq!(left.subject, "web");
    world.down();
}

#[test]
fn a_service_that_went_to_zero_answers_the_first_request() {
    let world = World::up(&web("{ minReplicas: 0, maxReplicas: 3, concurrency: 10 }"));
    assert_eq!(world.get("/").0, 200);
    // Not before 30 s without a request, and until the last minute's average is nothing: longer than others wait.
    let until = Instant::now() + 3 * LONG;
    while world.try_status().is_none_or(|status| !status.settled || wanted(&status) > 0) {
        assert!(Instant::now() < until, "the last replica stays");
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    assert!(sweep::processes_of(&world.dir).iter().all(|(_, words)| !words.contains("/app")), "nothing of it runs");
    let began = Instant::now();
    let (status, body) = world.get("/after-zero");
    eprintln!("the first request after zero was answered {status} after {:.2?}", began.elapsed());
    assert_eq!(status, 200, "{body}");
    let after = world.until_status("one is there", |status| status.services["web"].ready >= 1);
    world.assert_each_runs_once(&after);
    world.event("why is told", |event| event.reason == "Scaled" && event.message.contains("requests wait"));
    world.down();
}

#[test]
fn another_engine_keeps_the_number_and_what_a_person_said() {
    let world = World::up(&web("{ minReplicas: 1, maxReplicas: 5, requestsPerSecond: 1000/s }"));
    world.run(&["scale", "web", "3"]).good();
    let before = pids(&until_ready(&world, "three replicas", 3), "web");
    let engine = own_pid(&world.status(), "engine");
    sweep::signal(engine, Signal::KILL);
    let after = world.until_status("another engine", |status| {
        let another = status.processes.get("engine").is_some_and(|own| own.pid > 0 && own.pid != engine);
        status.settled && another && status.services["web"].autoscaling.is_some()
    });
    assert_eq!(pids(&after, "web"), before, "the same processes");
    let said = after.services["web"].autoscaling.clone().unwrap_or_default();
    assert!(said.contains("3 of 3 to 5") && said.contains("by hand"), "{said}");
    world.assert_each_runs_once(&after);
    world.down();
}

#[test]
fn a_metric_that_nothing_measures_is_told_and_holds_nothing_up() {
    let metrics = r#"[
        { type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 90 } } },
        { type: External, external: { metric: { name: depth }, target: { type: Value, value: "10" } } }]"#;
    let world = World::up(&web(&format!("{{ minReplicas: 1, maxReplicas: 3, metrics: {metrics} }}")));
    let plan = world.run(&["plan"]).good();
    assert!(plan.contains("services.web.autoscaling.metrics"), "{plan}");
    let shown = world.run(&["status"]).good();
    assert!(shown.contains("not enforced on this machine: services.web.autoscaling.metrics"), "{shown}");
    // One metric that can be used is enough: with a failed one beside it Kubernetes would say so.
    let status = world.until_status("it has looked", |status| {
        status.services["web"].autoscaling.as_ref().is_some_and(|said| said.contains("ValidMetricFound"))
    });
    let said = status.services["web"].autoscaling.clone().unwrap_or_default();
    assert!(!said.contains("FailedGet"), "{said}");
    world.down();
}

#[test]
fn prove_makes_a_step_and_counts_what_it_broke() {
    let promise =
        "promises:\n  spike: { autoscale: { times: 10, latency: 5s, max: 5s }, load: { rate: 60/s, duration: 8s } }\n";
    let world = World::up(&(web("{ minReplicas: 1, maxReplicas: 4, requestsPerSecond: 20/s }") + promise));
    let ran = world.run(&["prove", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let proof = &report["proofs"][0];
    eprintln!("{}: {} ({})", proof["verdict"], proof["measured"], proof["why"]);
    assert_eq!((proof["kind"].as_str(), proof["requests"].as_u64()), (Some("autoscale"), Some(480)), "{}", ran.out);
    assert_eq!(proof["runs"].as_array().map(Vec::len), Some(2), "the calm and the step");
    world.down();
}

#[test]
fn requests_to_another_service_move_the_number() {
    let metric = |kind: &str, name: &str| {
        format!(
            "{{ minReplicas: 1, maxReplicas: 3, metrics: [{{ type: Object, object: {{ metric: {{ name: \
             requests-per-second }}, describedObject: {{ kind: {kind}, name: {name} }}, target: {{ type: AverageValue, \
             averageValue: \"5\" }} }} }}] }}"
        )
    };
    // Nobody asks anything of the two that are scaled.
    let file = web("{ minReplicas: 1, maxReplicas: 1, requestsPerSecond: 1000/s }").replace(
        "ingress:",
        &format!(
            "  by-service: {{ command: [./app], port: 81, autoscaling: {} }}\n  by-ingress: {{ command: [./app], port: 82, \
             autoscaling: {} }}\ningress:",
            metric("Service", "web"),
            metric("Ingress", "all")
        ),
    );
    let world = World::up(&file);
    let plan = world.run(&["plan"]).good();
    assert!(!plan.contains("measures this metric"), "{plan}");
    let traffic = world.traffic("/", 60.0);
    world.until_status("both have as many as they may", |status| {
        status.services["by-service"].wanted == 3 && status.services["by-ingress"].wanted == 3
    });
    let told = world.event("why it grew is told", |event| event.subject == "by-ingress" && event.reason == "Scaled");
    assert!(told.message.contains("object metric requests-per-second"), "{told:?}");
    traffic.end(&world);
    world.down();
}
