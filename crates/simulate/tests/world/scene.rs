//! Systems and scenarios to begin with.

use plimsoll_model::{
    Bytes, MilliCpu, Millis, Rate, System,
    autoscaling::{Autoscaling, Metric},
    probe::{Handler, Probe, Probes},
    service::{Resources, Service},
    simulation::{Arrivals, Nodes, Simulation, Times, Traffic, Work},
};
use plimsoll_simulate::{Plan, World};

/// A service with probes as Kubernetes has them by default.
pub(crate) fn service(replicas: u32) -> Service {
    let get =
        |path: &str| Probe::of(Handler::HttpGet { path: path.into(), port: None, tls: false, headers: Vec::new() });
    Service {
        command: vec!["web".into()],
        port: Some(8000),
        replicas,
        termination_grace: Millis::from_secs(30),
        probes: Probes { startup: None, liveness: Some(get("/health")), readiness: Some(get("/ready")) },
        resources: Resources {
            cpu_request: Some(MilliCpu(1000)),
            memory_request: Some(Bytes(512 << 20)),
            ..Resources::default()
        },
        ..Service::default()
    }
}

/// Scaled between two numbers by processor use at 70 %.
pub(crate) fn scaled(min_replicas: u32, max_replicas: u32) -> Service {
    let metrics = vec![Metric::Utilization { resource: "cpu".into(), target: plimsoll_model::Ratio::percent(70) }];
    let autoscaling = Autoscaling { min_replicas, max_replicas, metrics, ..Autoscaling::default() };
    Service { autoscaling: Some(autoscaling), ..service(min_replicas) }
}

/// A system of one service, `web`.
pub(crate) fn system(web: Service) -> System {
    let mut system = System { name: "scene".into(), ..System::default() };
    system.services.insert("web".into(), web);
    system
}

/// An open stream to a service.
pub(crate) fn rate(route: &str, per_second: u64) -> Traffic {
    Traffic {
        route: route.into(),
        arrivals: Arrivals::Rate(Rate(per_second * 1000)),
        clients: 1000,
        retries: 0,
        daily: None,
        spikes: Vec::new(),
        region: None,
        time: None,
        calls: None,
    }
}

/// A scenario with one stream to `web`, whose work takes 10 ms on average (exponential).
pub(crate) fn scenario(seconds: u64, per_second: u64) -> Simulation {
    let mut scenario = Simulation { duration: Millis::from_secs(seconds), ..Simulation::default() };
    scenario.traffic.insert("people".into(), rate("web", per_second));
    let work = Work { time: Times::Exponential { mean_us: 10_000 }, start: Millis(500), ..Work::default() };
    scenario.work.insert("web".into(), work);
    scenario
}

/// Machines of four processors in each of three zones.
pub(crate) fn three_zones(scenario: &mut Simulation, nodes_each: u32) {
    for zone in ["a", "b", "c"] {
        let pool = Nodes {
            count: nodes_each,
            cpu: MilliCpu(4000),
            memory: Bytes(16 << 30),
            zone: zone.into(),
            region: "home".into(),
        };
        scenario.nodes.insert(zone.into(), pool);
    }
}

/// Runs it to its end; the checkers must have found nothing.
#[track_caller]
pub(crate) fn run(system: &System, scenario: &Simulation, seed: u64) -> World {
    let plan = Plan::of(system, scenario, &Default::default(), seed).unwrap();
    let mut world = World::new(plan);
    world.run();
    world.check_end();
    assert!(world.violations().is_empty(), "seed {seed}: {}", world.violations().join("\n"));
    world
}
