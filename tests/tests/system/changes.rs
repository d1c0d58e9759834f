//! Files that change under load.

use crate::{
    look::{WEB, all_pids, pids},
    times,
    world::World,
};

#[test]
fn reload_storm() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    let traffic = world.traffic("/", 100.0);
    let changes = times(100);
    // Paths come and go, and a service beside; those who wait for nobody are not waited for.
    for change in 0..changes {
        let paths = format!("paths: {{ /: web, /path-{change}: web }}");
        let yaml =
            WEB.replace("paths: { /: web }", &paths).replace("hold: 50s", &format!("hold: {}s", 20 + change % 7));
        world.write(&yaml);
        let ran = world.run(&["up", "--detach"]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    }
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, &format!("{changes} changed files"));
    let offer = world.runtime.block_on(world.client.system()).unwrap();
    let last = format!("/path-{}", changes - 1);
    assert!(offer.text.contains(&last) && offer.system.ingress.hosts["*"].paths.contains_key(&last));
    let after = world.settle();
    assert_eq!(all_pids(&after), before, "none of it is the services' affair");
    assert_eq!(world.get(&last).0, 200);
    world.down();
}

#[test]
fn rolling_changes_lose_no_request() {
    let world = World::up(WEB);
    let traffic = world.traffic("/", 60.0);
    let changes = times(5);
    for change in 0..changes {
        world.change(&WEB.replace("[./app]", &format!("[./app, --slow, \"{}\"]", 1 + change)));
    }
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, &format!("{changes} versions rolled out"));
    let status = world.settle();
    assert_eq!(pids(&status, "web").len(), 3);
    world.assert_each_runs_once(&status);
    world.down();
}

#[test]
fn services_come_and_go() {
    let world = World::up(WEB);
    let before = pids(&world.status(), "web");
    let more = WEB.replace("ingress:", "  more: { command: [./app], port: 80, replicas: 2 }\ningress:");
    world.change(&more);
    assert_eq!(pids(&world.settle(), "more").len(), 2);
    world.change(WEB);
    let after = world.until_status("they are gone", |status| status.settled && !status.services.contains_key("more"));
    assert_eq!(pids(&after, "web"), before);
    world.until("their processes are gone", || {
        let running = crate::sweep::processes_of(&world.dir);
        let more = |pid: i32| crate::sweep::environment(pid).iter().any(|one| one.starts_with("PLIMSOLL_REPLICA=more"));
        (!running.iter().any(|(pid, _)| more(*pid))).then_some(())
    });
    world.down();
}
