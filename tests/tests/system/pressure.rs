//! More than there is time for: slow replicas, retries that could pile up, overload, herds, and a starved processor.

use crate::{
    look::{WEB, all_pids, own_pid},
    sweep, times,
    traffic::Traffic,
    world::{LONG, World},
};
use plimsoll_load::{Arrivals, Cause, Latencies, Plan, Report, RequestTemplate, Target};
use rustix::process::Signal;
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// `WEB` with these words for its program, and further lines of the service.
fn web(words: &str, lines: &str) -> String {
    WEB.replace("[./app]", &format!("[./app{words}]")).replace("limits: { hold: 50s }", lines)
}

impl World {
    /// Asks each replica of `web` itself, without the gateway; the answers by its name.
    fn ask_each(&self, path: &str) -> BTreeMap<String, String> {
        let replicas = &self.status().services["web"].replicas;
        let ask = |address: &str| {
            let (status, body) = self.get_at(&format!("http://{address}"), path);
            assert_eq!(status, 200, "{address}{path}: {body}");
            body
        };
        let address = |one: &plimsoll_api::status::ReplicaStatus| one.address.clone().unwrap();
        replicas.iter().map(|one| (one.id.to_string(), ask(&address(one)))).collect()
    }

    /// How often each replica was asked for `/work`.
    fn works(&self) -> BTreeMap<String, u64> {
        self.ask_each("/work-count").into_iter().map(|(name, count)| (name, count.parse().unwrap())).collect()
    }

    /// A plan of GETs of `path` at `url`, that nothing but their answers ends.
    fn plan(&self, url: &str, path: &str, arrivals: Arrivals, duration: Duration) -> Plan {
        let plan = Plan::new(Target::parse(url).unwrap(), arrivals, duration, vec![RequestTemplate::get(path)]);
        Plan { timeout: LONG, connections_max: 2_000, ..plan }
    }

    fn play(&self, plan: &Plan) -> Report {
        self.runtime.block_on(plan.run()).unwrap()
    }

    /// No replica was taken out, started again or replaced since event number `since`.
    #[track_caller]
    fn assert_nobody_was_blamed(&self, since: u64) {
        let bad = ["Unready", "Unhealthy", "Killing", "Restarting", "BackOff", "Exited"];
        let events = self.events();
        let blamed: Vec<_> = events.iter().filter(|one| one.number > since && bad.contains(&&*one.reason)).collect();
        assert!(blamed.is_empty(), "{blamed:#?}");
        let restarts: u32 = self.status().services.values().flat_map(|one| &one.replicas).map(|one| one.restarts).sum();
        assert_eq!(restarts, 0);
    }
}

impl Traffic {
    /// Waits until `count` requests in a row were answered rightly.
    #[track_caller]
    fn all_right_for(&self, world: &World, count: u64) {
        world.until(&format!("{count} requests in a row are right"), || {
            let before = self.progress();
            self.more(world, count);
            (self.progress().failed == before.failed).then_some(())
        });
    }
}

fn in_ms(latency: Option<Duration>) -> String {
    latency.map_or_else(|| "none".to_owned(), |latency| format!("{:.0} ms", latency.as_secs_f64() * 1e3))
}

#[test]
fn replica_slow() {
    let world = World::up(&web(", --work-takes, \"30\"", ""));
    let slow = world.status().services["web"].replicas[0].clone();
    let at_slow = format!("http://{}", slow.address.clone().unwrap());
    world.get_at(&at_slow, "/work-takes?ms=300");
    // Its first answers tell that it is slow.
    let first = world.traffic("/work", 150.0);
    first.more(&world, 300);
    first.end_without_failure(&world, "one of three slow, at first");
    let before = world.works();
    let traffic = world.traffic("/work", 150.0);
    traffic.more(&world, 750);
    let report = traffic.end(&world);
    let after = world.works();
    assert_eq!(report.failed, 0, "{report}");
    let asked = |name: &String| after[name] - before[name];
    let (of_slow, of_all) = (asked(&slow.id.to_string()), after.keys().map(asked).sum::<u64>());
    // What taking turns would have given: each replica asked for a third of the rate, without the gateway.
    let mut in_turn = Latencies::new();
    for one in &world.status().services["web"].replicas {
        let url = format!("http://{}", one.address.clone().unwrap());
        let third = Arrivals::Constant { rate_per_s: 50.0 };
        in_turn.merge(&world.play(&world.plan(&url, "/work", third, Duration::from_secs(3))).latency);
    }
    eprintln!(
        "one of three is 10 times slower: it got {of_slow} of {of_all} requests; p99 of all {} ({} requests), \
         by taking turns {} ({} requests)",
        in_ms(report.latency_at(0.99)),
        report.asked,
        in_ms(in_turn.at(0.99)),
        in_turn.count()
    );
    assert!(of_slow * 100 < of_all * 15, "the slow one got {of_slow} of {of_all}");
    world.down();
}

#[test]
fn retry_storm() {
    let world = World::up(&web("", "retries: { budget: 20%, floor: 1/s }"));
    let traffic = world.traffic("/work", 200.0);
    traffic.all_right_for(&world, 100);
    world.ask_each("/work-fails?percent=50");
    let (asked_before, failed_before) = (traffic.progress().asked, traffic.progress().failed);
    world.until("a thousand requests have met failures", || {
        (traffic.progress().asked > asked_before + 1_000 * times(1) as u64).then_some(())
    });
    let (asked, failed) = (traffic.progress().asked - asked_before, traffic.progress().failed - failed_before);
    world.ask_each("/work-fails?percent=0");
    traffic.all_right_for(&world, 200);
    let report = traffic.end(&world);
    let upstream: u64 = world.works().values().sum();
    // The budget's law: a fifth of all requests, and its floor for each second that was begun.
    let retries_max = report.asked / 5 + report.ended_after.as_secs() + 2;
    eprintln!(
        "every replica failed half of its requests: {upstream} requests upstream for {} ({:.3} times), {failed} of {asked} \
         failed meanwhile; then 200 in a row were right",
        report.asked,
        upstream as f64 / report.asked as f64
    );
    assert!(failed > 0, "nothing failed, so that nothing was shown");
    assert!(report.by_cause.keys().all(|cause| cause.contains("503")), "{:?}", report.by_cause);
    assert!(upstream > report.asked, "nothing was tried again");
    assert!(upstream <= report.asked + retries_max, "{upstream} upstream, at most {retries_max} retries for {report}");
    world.down();
}

#[test]
fn overload_3x() {
    let world = World::up(&web(", --work-takes, \"20\", --one-at-a-time", "limits: { inFlight: 4 }"));
    let url = world.url();
    let since = world.events().last().map_or(0, |event| event.number);
    let length = Duration::from_secs(4 * times(1) as u64);
    let closed = Arrivals::Closed { users: 12, think: Duration::ZERO };
    let peak = world.play(&world.plan(&url, "/work", closed, length));
    let offered = peak.rate_per_s * 3.0;
    let running = world.plan(&url, "/work", Arrivals::Constant { rate_per_s: offered }, length).start().unwrap();
    // Whoever looks after the system gets answers meanwhile.
    let (mut looks, mut status_took) = (0, Latencies::new());
    while running.progress().elapsed.is_none_or(|elapsed| elapsed < length) {
        let asked = Instant::now();
        assert!(world.try_status().is_some_and(|status| status.services["web"].ready == 3));
        status_took.record(asked.elapsed());
        looks += 1;
    }
    let report = world.runtime.block_on(running.finish()).unwrap();
    let mut shed = Latencies::new();
    report.failures.iter().for_each(|failure| shed.record(failure.after));
    eprintln!(
        "offered {offered:.0}/s for {} s, 3 times what it can: {:.0}/s were right, {:.0}/s at the peak, {:.0} % (pass mark 90 %); \
         admitted p99 {} ({} without overload), shed {} of {} with a p99 of {} (pass mark 5 ms); status was told {looks} times, \
         with a p99 of {}",
        length.as_secs(),
        report.rate_per_s,
        peak.rate_per_s,
        report.rate_per_s * 100.0 / peak.rate_per_s,
        in_ms(report.latency.at(0.99)),
        in_ms(peak.latency.at(0.99)),
        report.failed,
        report.asked,
        in_ms(shed.at(0.99)),
        in_ms(status_took.at(0.99)),
    );
    assert_eq!(peak.failed, 0, "{peak}");
    assert!(report.failed > 0, "nothing was shed, so that nothing was shown");
    // The rest is told so, and nobody waits in vain.
    let told = |cause: &Cause| *cause == Cause::Status { status: 503 };
    assert!(report.failures.iter().all(|failure| told(&failure.cause)), "{:?}", report.by_cause);
    assert!(
        report.rate_per_s > peak.rate_per_s / 2.0,
        "goodput fell from {} to {}",
        peak.rate_per_s,
        report.rate_per_s
    );
    world.assert_nobody_was_blamed(since);
    assert_eq!(world.get("/work").0, 200, "and then it is as before");
    world.down();
}

#[test]
fn thundering_herd() {
    let world = World::up(WEB);
    let url = world.url();
    let (clients, rounds) = (500 * u32::try_from(times(1)).unwrap().min(10), 2);
    let dropped_before = dropped_at_accept();
    for _ in 0..rounds {
        let gateway =
            own_pid(&world.until_status("it runs", |status| status.processes.contains_key("gateway")), "gateway");
        sweep::signal(gateway, Signal::KILL);
        world.until("it is gone", || (!sweep::lives(gateway)).then_some(()));
        // All connect at the same instant, whether or not another gateway is there already.
        let herd = Plan::at_once(Target::parse(&url).unwrap(), clients, RequestTemplate::get("/"), LONG);
        let report = world.play(&herd);
        eprintln!(
            "{clients} clients at once after a gateway's death: {} of {} failed, the last was served after {}",
            report.failed,
            report.asked,
            in_ms(report.latency.max())
        );
        assert_eq!((report.asked, report.failed), (u64::from(clients), 0), "{:?}", report.by_cause);
        world.until_status("another one is there", |status| {
            status.processes.get("gateway").is_some_and(|own| own.pid != gateway)
        });
    }
    let dropped = dropped_at_accept().zip(dropped_before).map(|(after, before)| after - before);
    eprintln!("connections that the whole machine dropped at accept meanwhile: {dropped:?}");
    world.down();
}

/// How many connections found a full queue, on the whole machine so far.
fn dropped_at_accept() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/netstat").ok()?;
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut both = names.split(' ').zip(values.split(' '));
    both.find(|(name, _)| *name == "ListenOverflows")?.1.parse().ok()
}

/// Processes that do nothing but use processor time; they end with it.
struct Spinning(Vec<Child>);

impl Spinning {
    fn start(world: &World, count: usize) -> Self {
        let spin = || Command::new(world.dir.join("app")).arg("spin").stdin(Stdio::null()).spawn().unwrap();
        Self((0..count).map(|_| spin()).collect())
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

#[test]
fn cpu_starve() {
    let lines = "livenessProbe: { httpGet: { path: /health }, periodSeconds: 1 }";
    let world = World::up(&web("", lines));
    let (before, since) = (all_pids(&world.status()), world.events().last().map_or(0, |event| event.number));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let spinning = Spinning::start(&world, 4 * cores);
    let traffic = world.traffic("/", 50.0);
    // So many requests at a fixed rate take 8 s: each probe comes round as often.
    traffic.more(&world, 400 * times(1) as u64);
    let report = traffic.end(&world);
    drop(spinning);
    eprintln!(
        "{} processes that spin on {cores} cores for {} s: {} of {} requests failed, p99 {}",
        4 * cores,
        report.duration.as_secs(),
        report.failed,
        report.asked,
        in_ms(report.latency_at(0.99))
    );
    assert_eq!(report.failed, 0, "{report}");
    world.assert_nobody_was_blamed(since);
    assert_eq!(all_pids(&world.settle()), before, "nobody was replaced");
    world.down();
}
