//! Services that leave things behind, take too much, or do not listen.

use crate::{
    look::{WEB, all_pids, own_pid, pids, replica},
    sweep,
    world::World,
};
use rustix::process::Signal;
use std::{collections::BTreeSet, fs, path::Path};

/// How many processes run the program under test with that word.
fn running_as(world: &World, word: &str) -> usize {
    sweep::processes_of(&world.dir).iter().filter(|(_, words)| words.split(' ').any(|one| one == word)).count()
}

fn address_of(world: &World, name: &str) -> String {
    let status = world.status();
    format!("http://{}", replica(&status, name).unwrap().address.clone().unwrap())
}

#[test]
fn double_forked_daemons_end_with_their_replica() {
    let world = World::up(&WEB.replace("replicas: 3", "replicas: 1"));
    let before = pids(&world.status(), "web")["web-1"];
    let (_, started) = world.get("/daemons?n=20");
    assert_eq!(started, "20\n");
    assert_eq!(running_as(&world, "linger"), 20);
    sweep::signal(before, Signal::KILL);
    world.until("all of them are gone", || (running_as(&world, "linger") == 0).then_some(()));
    world.until_status("it is replaced", |status| status.settled && pids(status, "web")["web-1"] != before);
    assert_eq!(world.get("/daemons?n=5").1, "5\n");
    world.run(&["down"]).good();
    world.until_gone();
}

#[test]
fn zombie_orphans() {
    let world = World::up(&WEB.replace("replicas: 3", "replicas: 1"));
    let keeper = own_pid(&world.status(), "keeper");
    let children = || fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap_or_default();
    let at_rest = children().split(' ').filter(|one| !one.is_empty()).count();
    for _ in 0..4 {
        assert_eq!(world.get("/orphans?n=250").0, 200);
    }
    world.until("no orphan is left, and no zombie", || {
        let left = children();
        let left: Vec<&str> = left.split(' ').filter(|one| !one.is_empty()).collect();
        (left.len() == at_rest && left.iter().all(|pid| pid.parse().is_ok_and(sweep::lives))).then_some(())
    });
    eprintln!("1000 orphans: none left");
    world.down();
}

/// The command of an attempt that took too long does not run on beside the next one, nor after its replica.
#[test]
fn exec_probes_that_hang_are_ended() {
    let probe = "livenessProbe: { exec: { command: [./app, linger] }, periodSeconds: 1, failureThreshold: 1000 }";
    let world = World::up(&WEB.replace("replicas: 3", &format!("replicas: 1\n    {probe}")));
    let lingering = || {
        let all = sweep::processes_of(&world.dir);
        let of_probe = all.into_iter().filter(|(_, words)| words.split(' ').any(|one| one == "linger"));
        of_probe.map(|(pid, _)| pid).collect::<BTreeSet<_>>()
    };
    let mut seen = BTreeSet::new();
    world.until("three attempts were made", || {
        let now = lingering();
        // The one under way, and the one before, which the keeper is just ending.
        assert!(now.len() <= 2, "{now:?} of {seen:?}");
        seen.extend(now);
        (seen.len() >= 3).then_some(())
    });
    world.down();
}

#[test]
fn oom_kill() {
    let yaml = WEB.replace("replicas: 3", "replicas: 1\n    resources: { limits: { memory: 64Mi } }");
    let world = World::up(&yaml);
    let status = world.status();
    let one = &status.services["web"].replicas[0];
    if one.unenforced.iter().any(|what| what.contains("memory")) {
        eprintln!("skipped: memory limits can't be enforced here: {:?}", one.unenforced);
        return world.down();
    }
    let before = one.pid.unwrap();
    // At the replica itself: a gateway would try again, and kill its replacement too.
    world.get_at(&address_of(&world, "web-1"), "/alloc?mb=200");
    let event = world.event("the kernel's kill is told", |event| event.message.contains("memory") && event.warning);
    eprintln!("{}: {}", event.reason, event.message);
    let said = &event.message;
    assert!(said.contains("64 MiB at most") && said.contains("MiB at the peak"), "limit and peak are told: {said}");
    let after = world.until_status("it is started again", |status| {
        status.settled && pids(status, "web").get("web-1").is_some_and(|pid| *pid != before)
    });
    let exit = after.services["web"].replicas[0].last_exit.clone().unwrap();
    assert!(exit.contains("memory"), "{exit}");
    world.down();
}

#[test]
fn fd_exhaustion() {
    let yaml =
        WEB.replace("replicas: 3", "replicas: 1\n    resources: { ulimits: { nofile: { soft: 64, hard: 64 } } }");
    let world = World::up(&yaml);
    let address = address_of(&world, "web-1");
    world.get_at(&address, "/files?n=100000");
    // It can't accept any more, or only few; nothing hangs, and nobody else is hurt.
    let answers: Vec<u16> = (0..5).map(|_| world.get("/").0).collect();
    assert!(answers.iter().all(|status| [200, 502, 503, 504].contains(status)), "{answers:?}");
    assert!(world.try_status().is_some());
    sweep::signal(pids(&world.status(), "web")["web-1"], Signal::KILL);
    world.settle();
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn ignores_sigterm() {
    let yaml = WEB
        .replace("[./app]", "[./app, --ignore-term]")
        .replace("terminationGracePeriodSeconds: 20", "terminationGracePeriodSeconds: 1");
    let world = World::up(&yaml);
    let before = all_pids(&world.status());
    world.run(&["scale", "web", "1"]).good();
    let after = world.until_status("two are gone", |status| status.settled && pids(status, "web").len() == 1);
    assert!(pids(&after, "web").iter().all(|(name, pid)| before.get(name) == Some(pid)));
    let killed = world.events().iter().filter(|event| event.reason == "Killing").count();
    assert_eq!(killed, 2, "each was killed when its grace was over");
    world.down();
}

#[test]
fn what_is_in_flight_is_answered_before_the_end() {
    let world = World::up(WEB);
    let url = world.url();
    let asked = std::thread::spawn({
        let url = url.clone();
        move || {
            let world = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let target = plimsoll_load::Target::parse(&url).unwrap();
            let request = plimsoll_load::RequestTemplate::get("/slow?ms=2000");
            let answer = plimsoll_load::once(&target, &request, (0, 0), crate::world::LONG);
            world.block_on(answer).map(|answer| answer.status).map_err(|error| error.to_string())
        }
    });
    world.until_status("it is in flight", |status| {
        status.services["web"].replicas.iter().any(|replica| replica.in_flight > 0)
    });
    world.down();
    assert_eq!(asked.join().unwrap(), Ok(200));
}

#[test]
fn log_flood() {
    let yaml = WEB.replace("ingress:", "  noisy: { command: [./app, flood] }\ningress:");
    let world = World::up(&yaml);
    let keeper = own_pid(&world.status(), "keeper");
    // It writes as fast as it can: what is too much is dropped and counted, and its disk use stays bounded.
    world.event("drops are told", |event| event.reason == "LogDropped");
    assert_eq!(world.get("/").0, 200);
    let bytes = bytes_below(&world.place.state.join("logs"));
    let memory = fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    let peak =
        memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    eprintln!("{} MB of logs on disk, keeper at most {} MB", bytes / 1_000_000, peak.unwrap() / 1000);
    assert!(bytes < 400_000_000, "{bytes} bytes of logs");
    assert!(peak.unwrap() < 100_000, "the keeper took {peak:?} kB");
    assert!(world.status().settled);
    world.down();
}

fn bytes_below(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().flatten().filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
