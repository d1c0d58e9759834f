//! What a person asks of a running system, and what nobody may see.

use crate::{
    look::{WEB, all_pids, pids},
    sweep,
    world::World,
};
use plimsoll_api::{Event, Status};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn status_logs_and_events_tell_what_is() {
    let world = World::up(WEB);
    world.get("/say?text=a-word-in-the-log");
    world.until("the log has it", || world.run(&["logs", "web"]).good().contains("a-word-in-the-log").then_some(()));
    assert!(!world.run(&["logs", "web", "--tail", "0"]).good().contains("a-word-in-the-log"));
    world.run(&["logs", "nobody"]).bad();
    let one = world.run(&["logs", "web-1"]).good();
    assert!(one.lines().all(|line| line.contains(" web-1 ")) && one.contains("listens on"), "{one}");

    let text = world.run(&["status"]).good();
    assert!(["voyage: ready", "web-1", "web-3", "3/3", &world.url()].iter().all(|word| text.contains(word)), "{text}");
    let json: Status = serde_json::from_str(&world.run(&["status", "--json"]).good()).unwrap();
    assert_eq!(all_pids(&json), all_pids(&world.status()));

    let events = world.run(&["events", "--json"]).good();
    let events: Vec<Event> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.windows(2).all(|two| two[0].number < two[1].number));
    for (subject, reason) in [("system", "Accepted"), ("web-1", "Started"), ("web-3", "Ready")] {
        assert!(events.iter().any(|event| event.subject == subject && event.reason == reason), "{subject} {reason}");
    }
    assert!(world.run(&["events"]).good().contains("Accepted"));
    // Nothing comes after the last number there is, and asking for it harms nobody.
    assert!(world.runtime.block_on(world.client.events_so_far(u64::MAX)).unwrap().is_empty());
    let metrics = world.runtime.block_on(world.client.metrics()).unwrap();
    assert!(metrics.contains("plimsoll_"), "{metrics}");
    world.down();
}

/// `-f` is what it is with docker, kubectl and journalctl.
#[test]
fn logs_and_events_are_followed() {
    let world = World::up(WEB);
    for words in [&["logs", "-f", "web"][..], &["logs", "-f"], &["events", "-f"]] {
        let (mut command, out, err) = world.command(words);
        let child = command.spawn().unwrap();
        let shown = |what: &str| fs::read_to_string(&out).is_ok_and(|text| text.contains(what)).then_some(());
        world.until("it shows what was", || shown("web-1"));
        let word = format!("said-later-to-{}-{}", words[0], words.len());
        let after = match words[0] {
            "logs" => {
                world.get(&format!("/say?text={word}"));
                word
            }
            _ => {
                world.run(&["scale", "web", "2"]).good();
                "Stopped".into()
            }
        };
        world.until("it shows what came later", || shown(&after));
        sweep::signal(child.id().cast_signed(), rustix::process::Signal::INT);
        crate::world::ended(child, "plimsoll logs -f", &err);
    }
    // A file that is not there is told, and no other one taken in its place.
    let said = world.run(&["logs", "--file", "elsewhere.yaml"]).bad();
    assert!(said.contains("there is no elsewhere.yaml"), "{said}");
    world.down();
}

#[test]
fn plan_tells_what_up_would_change() {
    let world = World::new();
    let recorded = WEB.replace("replicas: 3", "replicas: 3\n    securityContext: { readOnlyRootFilesystem: true }");
    world.write(&recorded);
    let before = world.run(&["plan"]).good();
    assert!(before.contains("web") && before.contains("readOnlyRootFilesystem"), "{before}");
    world.bring_up();
    let same = world.run(&["plan", "--json"]).good();
    assert!(serde_json::from_str::<serde_json::Value>(&same).is_ok(), "{same}");
    world.write(&recorded.replace("replicas: 3", "replicas: 2"));
    let pids = all_pids(&world.status());
    assert!(world.run(&["plan"]).good().contains("web"));
    assert_eq!(all_pids(&world.status()), pids, "a plan changes nothing");
    let shown = world.run(&["status"]).good();
    assert!(shown.contains("not enforced on this machine"), "{shown}");
    world.down();
}

#[test]
fn secrets_are_seen_by_nobody() {
    const FROM_FILE: &str = "hoist-3f9c1a77-from-the-file";
    const FROM_ENVIRONMENT: &str = "anchor-88d02b5e-from-the-environment";
    let mut world = World::new();
    world.env.push(("TOKEN".into(), FROM_ENVIRONMENT.into()));
    let file = world.dir.join("plimsoll.secrets");
    fs::write(&file, format!("KEY={FROM_FILE}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let env = "replicas: 3\n    env: { A: $(secret:KEY), B: \"x-$(secret:TOKEN)\" }";
    world.write(&WEB.replace("replicas: 3", env));
    world.bring_up();
    assert_eq!(world.get("/env?name=A").1, FROM_FILE);
    assert_eq!(world.get("/env?name=B").1, format!("x-{FROM_ENVIRONMENT}"));
    // An engine that comes after still knows them, for replicas that are started then.
    let engine = world.status().processes["engine"].pid;
    sweep::signal(engine, rustix::process::Signal::KILL);
    world.until_status("another engine", |status| {
        status.settled && status.processes.get("engine").is_some_and(|own| own.pid != engine)
    });
    world.run(&["restart", "web"]).good();
    world.until_status("all are replaced", |status| {
        status.settled && pids(status, "web").len() == 3 && !pids(status, "web").contains_key("web-1")
    });
    assert_eq!(world.get("/env?name=B").1, format!("x-{FROM_ENVIRONMENT}"));

    let offer = world.runtime.block_on(world.client.system()).unwrap();
    let mut places = vec![
        ("the status", world.run(&["status", "--json"]).good()),
        ("the events", world.run(&["events", "--json"]).good()),
        ("the logs", world.run(&["logs"]).good()),
        ("the plan", world.run(&["plan", "--json"]).good()),
        ("the system", serde_json::to_string(&offer).unwrap()),
        ("the metrics", world.runtime.block_on(world.client.metrics()).unwrap()),
    ];
    let words: String = sweep::processes_of(&world.dir).into_iter().map(|(_, words)| words).collect();
    places.push(("the commands of processes", words));
    for (what, text) in &places {
        assert!(!text.contains(FROM_FILE) && !text.contains(FROM_ENVIRONMENT), "a secret is in {what}");
    }
    for path in files_below(&world.place.state) {
        let text = fs::read(&path).unwrap_or_default();
        let has = |secret: &str| text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!has(FROM_FILE) && !has(FROM_ENVIRONMENT), "a secret is in {}", path.display());
    }
    world.down();
}

/// Regular files below a folder; those that are pipes or sockets would hold a reader up.
fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_below(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_secrets_file_that_others_may_read_is_refused() {
    let world = World::new();
    let file = world.dir.join("plimsoll.secrets");
    fs::write(&file, "KEY=a-value-that-is-never-shown\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    world.write(&WEB.replace("replicas: 3", "replicas: 1\n    env: { A: $(secret:KEY) }"));
    world.run(&["up", "--detach", "--timeout", "2"]).bad();
    let told = world.event("why is told", |event| event.reason == "FailedStart");
    assert!(told.message.contains("chmod 600") && !told.message.contains("a-value"), "{told:?}");
    world.down();
}

#[test]
fn everything_works_without_privileges() {
    let world = World::unprivileged();
    world.write(WEB);
    world.bring_up();
    assert_eq!(world.get("/").0, 200);
    let status = world.settle();
    for pid in all_pids(&status).values().chain(status.processes.values().map(|own| &own.pid)) {
        let of = fs::metadata(format!("/proc/{pid}")).map(|found| std::os::unix::fs::MetadataExt::uid(&found)).unwrap();
        assert_ne!(of, 0, "process {pid} runs as root");
    }
    let (name, pid) = all_pids(&status).into_iter().next().unwrap();
    sweep::signal(pid, rustix::process::Signal::KILL);
    world.until_status("it is replaced", |status| {
        status.settled && all_pids(status).get(&name).is_some_and(|now| *now != pid)
    });
    world.run(&["scale", "web", "1"]).good();
    world.until_status("one is left", |status| status.settled && all_pids(status).len() == 1);
    assert!(world.run(&["logs", "web"]).good().contains("listens on"));
    world.run(&["doctor"]).good();
    world.down();
    world.until_gone();
}

#[test]
fn a_deep_folder_has_one_name() {
    // Sockets have short paths only: a deep folder gets its run directory elsewhere, and every command finds it there.
    let world = World::new();
    let deep = world.dir.join("d".repeat(100));
    fs::create_dir(&deep).unwrap();
    fs::hard_link(world.dir.join("app"), deep.join("app")).unwrap();
    fs::write(deep.join("plimsoll.yaml"), WEB).unwrap();
    let file = deep.join("plimsoll.yaml").display().to_string();
    world.run(&["up", "--detach", "--file", &file]).good();
    let shown = world.run(&["status", "--file", &file]).good();
    assert!(shown.contains("voyage: ready"), "{shown}");
    assert!(world.run(&["up", "--detach", "--file", &file]).good().contains("nothing to change"));
    world.run(&["down", "--file", &file]).good();
    world.until_gone();
}

#[test]
fn doctor_tells_what_is_lacking() {
    let world = World::new();
    world.write(WEB);
    let said = world.run(&["doctor"]).good();
    assert!(said.contains("service web: ./app"), "{said}");
    world.write(&WEB.replace("[./app]", "[./not-there]"));
    let said = world.run(&["doctor"]).bad();
    assert!(said.contains("LACKS") && said.contains("not-there"), "{said}");
}
