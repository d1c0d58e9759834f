//! The short way: a small file, up, look, change, down.

use crate::{
    look::{WEB, all_pids, pids},
    world::World,
};

#[test]
fn three_line_file_just_works() {
    let world = World::up(
        "services:\n  web: { command: [./app], port: 80 }\ningress: { listen: [0], hosts: { \"*\": { paths: { /: web } } } }\n",
    );
    let (status, body) = world.get("/hello");
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with("web-1 "), "{body}");
    world.down();
    assert!(world.run(&["status"]).bad().contains("no system is up"));
}

#[test]
fn up_again_changes_nothing() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    assert_eq!(before.len(), 3);
    let said = world.bring_up();
    assert!(said.contains("nothing to change"), "{said}");
    assert_eq!(all_pids(&world.status()), before);
    world.down();
}

#[test]
fn only_what_changed_is_changed() {
    let two =
        format!("{}  other: {{ command: [./app, --slow, \"1\"], port: 81 }}\n", WEB.split("ingress").next().unwrap());
    let ingress = "ingress: { listen: [0], hosts: { \"*\": { paths: { /: web, /other: other } } } }\n";
    let world = World::up(&format!("{two}{ingress}"));
    let (url, before) = (world.url(), world.status());
    world.change(&format!("{}{ingress}", two.replace("--slow, \"1\"", "--slow, \"2\"")));
    let after = world.settle();
    assert_eq!(pids(&after, "web"), pids(&before, "web"), "nothing about web was changed");
    let (old, new) = (pids(&before, "other"), pids(&after, "other"));
    assert_eq!((old.len(), new.len()), (1, 1));
    assert_ne!(old, new, "other was changed");
    assert_eq!(world.url(), url, "a port that the kernel chose stays");
    world.assert_each_runs_once(&after);
    world.down();
}

#[test]
fn bad_reload_changes_nothing() {
    let world = World::up(WEB);
    let before = all_pids(&world.status());
    for bad in ["replicas: -1", "replicas: three", "replicsa: 2", "replicas: 3\n    replicas: 3"] {
        world.write(&WEB.replace("replicas: 3", bad));
        let said = world.run(&["up", "--detach"]).bad();
        assert!(said.contains("replic"), "{said}");
    }
    world.write(&WEB[..WEB.len() / 2]);
    world.run(&["up", "--detach"]).bad();
    assert_eq!(all_pids(&world.settle()), before);
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn scale_and_restart_lose_no_request() {
    let world = World::up(WEB);
    let traffic = world.traffic("/", 50.0);
    let first = pids(&world.status(), "web");
    world.run(&["scale", "web", "5"]).good();
    world.until_status("five replicas", |status| status.settled && pids(status, "web").len() == 5);
    world.run(&["scale", "web", "2"]).good();
    let two = world.until_status("two replicas", |status| status.settled && pids(status, "web").len() == 2);
    assert!(pids(&two, "web").iter().all(|(name, pid)| first.get(name).is_none_or(|before| before == pid)));
    let before = pids(&two, "web");
    world.run(&["restart", "web"]).good();
    let gone = |status: &plimsoll_api::Status| {
        let now = pids(status, "web");
        status.settled && now.len() == 2 && before.values().all(|pid| !now.values().any(|new| new == pid))
    };
    let after = world.until_status("both are replaced", gone);
    traffic.more(&world, 20);
    traffic.end_without_failure(&world, "scale to 5, to 2, and restart");
    world.assert_each_runs_once(&after);
    world.run(&["scale", "nobody", "2"]).bad();
    world.run(&["restart", "nobody"]).bad();
    world.down();
}
