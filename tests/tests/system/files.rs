//! Files that are wrong, or meant to hurt: found at once, all of them, and nothing runs.

use crate::world::World;

/// `plimsoll check` must find these.
#[track_caller]
fn check_refused(world: &World, yaml: &str, words: &[&str]) {
    world.write(yaml);
    let said = world.run(&["check"]).bad();
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
    // And nothing of it comes up.
    world.run(&["up", "--detach"]).bad();
    assert!(!world.place.state.exists(), "something was started");
}

#[test]
fn yaml_bomb() {
    let world = World::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let former = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{former}]\n"));
    }
    check_refused(&world, &format!("{bomb}services: *a9\n"), &["error"]);
    check_refused(&world, &format!("services: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)), &["error"]);
    check_refused(&world, &format!("system: {}\n", "x".repeat(20_000_000)), &["error"]);
}

#[test]
fn yaml_traps() {
    let world = World::new();
    let service = |line: &str| format!("services:\n  web:\n    command: [./app]\n    port: 80\n    {line}\n");
    check_refused(&world, &service("port: 81"), &["port", "plimsoll.yaml:5"]);
    check_refused(&world, &service("replicas: 1e3"), &["1e3"]);
    check_refused(&world, &service("replicas: 0777"), &["0777"]);
    check_refused(&world, &service("\treplicas: 1"), &["tab"]);
    check_refused(&world, &service("sticky: NO"), &["NO"]);
    check_refused(&world, &service("replcias: 2"), &["replcias", "replicas"]);
    check_refused(&world, &service("resources: { limits: { memory: 512m } }"), &["512m"]);
    check_refused(&world, "", &["error"]);
    // A mark at the beginning and Windows' ends of lines are no error.
    world.write("\u{feff}services:\r\n  web: { command: [./app], port: 80 }\r\ningress: { listen: [0], hosts: { \"*\": { paths: { /: web } } } }\r\n");
    world.bring_up();
    assert_eq!(world.get("/").0, 200);
    world.down();
}

#[test]
fn dep_cycle() {
    let world = World::new();
    let yaml = "services:\n  a: { command: [x], port: 1, uses: [b] }\n  b: { command: [x], port: 1, uses: [c] }\n  c: { command: [x], port: 1, uses: [a, nobody] }\n";
    check_refused(&world, yaml, &["a", "b", "c", "calls", "nobody"]);
}

#[test]
fn impossible_budget() {
    let world = World::new();
    check_refused(
        &world,
        "services:\n  web: { command: [x], port: 1, autoscaling: { minReplicas: 5, maxReplicas: 2, cpu: 50% } }\n",
        &["5", "2"],
    );
    check_refused(
        &world,
        "services:\n  web: { command: [x], port: 1, resources: { requests: { memory: 2Gi }, limits: { memory: 1Gi } } }\n",
        &["2Gi", "1Gi"],
    );
}

#[test]
fn hostile_names() {
    let world = World::new();
    let long = "x".repeat(300);
    for name in ["../../etc", "a b", "$(rm -rf .)", "a;b", "аdmin", "a/b", "..", "-rf", long.as_str()] {
        check_refused(&world, &format!("services:\n  \"{name}\": {{ command: [./app], port: 80 }}\n"), &["error"]);
    }
    check_refused(&world, "system: \"../x\"\nservices:\n  web: { command: [./app], port: 80 }\n", &["error"]);
    // What looks like a shell's syntax in values is only text.
    let text = "; touch hurt; `touch hurt` 'x' \\\"y\\\" && touch hurt";
    world.write(&format!(
        "services:\n  web: {{ command: [./app], port: 80, env: {{ TEXT: \"{text}\" }} }}\ningress: {{ listen: [0], hosts: {{ \"*\": {{ paths: {{ /: web }} }} }} }}\n"
    ));
    world.bring_up();
    assert_eq!(world.get("/env?name=TEXT").1, text.replace("\\\"", "\""));
    assert!(!world.dir.join("hurt").exists());
    world.down();
}

#[test]
fn all_findings_come_at_once_in_three_forms() {
    let world = World::new();
    world.write("services:\n  a: { command: [x], prot: 1 }\n  b: { command: [x], replicas: -1, uses: [nobody] }\n");
    let text = world.run(&["check"]).bad();
    assert!(["prot", "-1", "nobody"].iter().all(|word| text.contains(word)), "{text}");
    for form in ["json", "sarif"] {
        let said = world.run(&["check", "--format", form]);
        assert_eq!(said.code, Some(1));
        let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert!(value.to_string().contains("nobody"), "{value}");
    }
    assert_eq!(world.run(&["no-such-command"]).code, Some(2));
}
