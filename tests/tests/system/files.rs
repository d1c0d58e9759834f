//! Files that are wrong, or meant to hurt: found at once, all of them, and nothing runs.

use crate::world::{World, ended};
use std::{fmt::Write, fs, time::Instant};

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
    let deep = format!("services: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("system: {}\n", "x".repeat(20_000_000));
    for (what, text) in [("aliases", format!("{bomb}services: *a9\n")), ("depth", deep), ("one long scalar", long)] {
        check_refused(&world, &text, &["error"]);
        let begun = Instant::now();
        let (code, _, most_kb) = watched(&world, &["check"]);
        eprintln!("{what}, {} kB: refused in {:?}, {most_kb} kB at most", text.len() / 1000, begun.elapsed());
        assert_eq!(code, Some(1));
        assert!(most_kb < 50_000, "{what}: {most_kb} kB");
    }
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
    // What fits no machine is told with the arithmetic, and this one's own figures.
    world.write(
        "services:\n  web: { command: [x], replicas: 3, resources: { requests: { cpu: 4000, memory: 1Pi } } }\n",
    );
    for words in [&["check"][..], &["plan"]] {
        let ran = world.run(words);
        assert_eq!(ran.code, Some(0), "a warning only: {ran:?}");
        let said = ran.out + &ran.err;
        for part in ["request 12000 of processor at rest, and this machine has", "web 3 × 4000", "3072Ti", "3 × 1024Ti"]
        {
            assert!(said.contains(part), "{part} is not in:\n{said}");
        }
    }
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

/// A file of so many services, each using the one before it.
fn large(services: usize) -> String {
    let mut text = "system: large\ndefaults: { readinessProbe: /ready }\nservices:\n".to_owned();
    for number in 0..services {
        let uses = if number % 10 == 0 { String::new() } else { format!("s{}", number - 1) };
        writeln!(
            text,
            "  s{number}:\n    command: [./app, --number, \"{number}\"]\n    image: registry.example.com/s:1.{number}\n    \
             port: 8080\n    uses: [{uses}]\n    env: {{ LEVEL: info, TOKEN: $(secret:token) }}\n    livenessProbe: /health\n    \
             resources: {{ requests: {{ cpu: 250m, memory: 256Mi }}, limits: {{ cpu: 500m, memory: 512Mi }} }}\n    \
             replicas: 2"
        )
        .unwrap();
    }
    text
}

/// Runs a command to its end; its code, its output, and the most memory that it was seen to have, in kB.
fn watched(world: &World, words: &[&str]) -> (Option<i32>, String, u64) {
    let (mut command, out, err) = world.command(words);
    let child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        // Its memory is told no more when it has ended.
        while let Some(now) = fs::read_to_string(&status).ok().as_deref().and_then(peak_kb) {
            most = most.max(now);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        most
    });
    let code = ended(child, &format!("plimsoll {words:?}"), &err);
    (code, fs::read_to_string(out).unwrap(), watcher.join().unwrap())
}

fn peak_kb(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[test]
fn ten_thousand_services() {
    let world = World::new();
    let text = large(10_000);
    world.write(&text);
    for words in [&["check"][..], &["plan", "--json"]] {
        let begun = Instant::now();
        let (code, out, most_kb) = watched(&world, words);
        eprintln!(
            "plimsoll {words:?} of 10000 services in {} kB: {:.2} s, {} MB at most",
            text.len() / 1000,
            begun.elapsed().as_secs_f64(),
            most_kb / 1000
        );
        assert_eq!(code, Some(0));
        assert!(out.contains("10000 services") || out.contains("s9999"), "not all of them are told");
        assert!(most_kb < 500_000, "{most_kb} kB");
    }
    // A hundred things are wrong, each at a place of its own: all of them are told, each where it is.
    let mut places = Vec::new();
    let mut line_number = 0;
    let mut wrong = String::new();
    for line in text.lines() {
        line_number += 1;
        let column = line.find("port: 8080").filter(|_| line_number % 900 < 9);
        match column {
            Some(column) if places.len() < 100 => {
                places.push((line_number, column + 1));
                wrong.push_str(&line.replace("port", "prot"));
            }
            _ => wrong.push_str(line),
        }
        wrong.push('\n');
    }
    assert_eq!(places.len(), 100);
    world.write(&wrong);
    let told = world.run(&["check"]).bad();
    let missing: Vec<_> =
        places.iter().filter(|(line, column)| !told.contains(&format!("plimsoll.yaml:{line}:{column}"))).collect();
    assert!(missing.is_empty(), "not told: {missing:?}");
    eprintln!("100 of 100 errors were told with line and column");
}
