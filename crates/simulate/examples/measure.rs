//! How fast worlds are played: events a second on one core, a day in rates, and a fleet of 20,000 machines. What
//! `bench/simulate/run` runs.

#![expect(clippy::print_stdout, reason = "this is a program for a terminal")]

use plimsoll_model::{
    Bytes, MilliCpu, Millis, Rate, Ratio, System,
    autoscaling::{Autoscaling, Metric},
    service::{Resources, Service},
    simulation::{Arrivals, Daily, Simulation, Times, Traffic, Work},
};
use plimsoll_simulate::{Basis, Plan, PlanError, Report, World, fleet};
use std::{fs, time::Instant};

fn main() -> Result<(), PlanError> {
    let system = system();
    let scenario = scenario(1000, 100_000);
    let mut best = (0.0_f64, 0.0_f64);
    for _ in 0..3 {
        let mut world = World::new(Plan::of(&system, &scenario, &Default::default(), 1)?);
        let (began, used) = (Instant::now(), cpu_seconds());
        world.run();
        let (took, used) = (began.elapsed().as_secs_f64(), cpu_seconds().zip(used).map(|(now, then)| now - then));
        let events = world.events() as f64 / 1e6;
        let (by_clock, by_cpu) = (events / took, used.map_or(0.0, |used| events / used));
        best = (best.0.max(by_clock), best.1.max(by_cpu));
        println!(
            "events: {} in {took:.2} s = {by_clock:.2} M/s; {by_cpu:.2} M per second of processor; digest {:016x}",
            world.events(),
            world.digest()
        );
    }
    println!("events, best of three: {:.2} M/s; {:.2} M per second of processor", best.0, best.1);
    let mut day = self::scenario(86_400, 10_000);
    if let Some(people) = day.traffic.get_mut("people") {
        people.daily = Some(Daily { low: Ratio::percent(20), peak_min: 20 * 60 });
    }
    let began = Instant::now();
    let traces = Default::default();
    let report = Report::fluid(Basis { system: &system, scenario: &day, traces: &traces, seed: 1 })?;
    let asked = report.figures.sources[0].asked;
    println!("rates: a day of 10,000/s at its peak, {asked} requests: {:.2} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let fleet = fleet(20_000);
    println!(
        "fleet: {} machines, {} virtual machines, {} tasks, {} events: {:.3} s, digest {:016x}",
        fleet.hosts,
        fleet.placed,
        fleet.finished,
        fleet.events,
        began.elapsed().as_secs_f64(),
        fleet.digest
    );
    Ok(())
}

/// How long this thread has had a processor, in seconds; `None` where the kernel does not tell. On a machine with other
/// work to do it tells more than the clock.
fn cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// One service of 20 to 40 replicas.
fn system() -> System {
    let metrics = vec![Metric::Utilization { resource: "cpu".into(), target: Ratio::percent(70) }];
    let autoscaling = Autoscaling { min_replicas: 20, max_replicas: 40, metrics, ..Autoscaling::default() };
    let resources =
        Resources { cpu_request: Some(MilliCpu(8000)), memory_request: Some(Bytes(8 << 30)), ..Resources::default() };
    let web = Service { port: Some(8000), autoscaling: Some(autoscaling), resources, ..Service::default() };
    let mut system = System { name: "measured".into(), ..System::default() };
    system.services.insert("web".into(), web);
    system
}

fn scenario(seconds: u64, per_second: u64) -> Simulation {
    let people = Traffic {
        route: "web".into(),
        arrivals: Arrivals::Rate(Rate(per_second * 1000)),
        clients: 1,
        retries: 0,
        daily: None,
        spikes: Vec::new(),
        region: None,
        time: None,
        calls: None,
    };
    let mut scenario = Simulation { duration: Millis::from_secs(seconds.min(86_400)), ..Simulation::default() };
    if seconds < 86_400 {
        // Ten million requests are enough to tell.
        scenario.duration = Millis::from_secs(10_000_000 / per_second);
    }
    scenario.traffic.insert("people".into(), people);
    let work = Work { time: Times::Exponential { mean_us: 1000 }, workers: Some(8), ..Work::default() };
    scenario.work.insert("web".into(), work);
    scenario
}
