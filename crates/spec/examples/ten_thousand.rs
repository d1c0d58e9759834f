//! Makes a file of 10,000 services (or as many as are asked for), checks and plans it, and prints how long that took and
//! how much memory the process ever used. `cpu_ms` is the processor time of both, which a busy machine doesn't lengthen.

use plimsoll_spec::{Input, check, fmt};
use std::{fmt::Write, process::ExitCode, time::Instant};

fn file(services: u32) -> String {
    let mut text =
        String::from("system: large\ndefaults: { autoscaling: { cpu: 70% }, restartPolicy: Always }\nservices:\n");
    for number in 0..services {
        let uses = if number % 10 == 0 { "db".to_owned() } else { format!("db, s{}", number - 1) };
        let _ = write!(
            text,
            "  s{number}:
    command: [target/release/service, --number, \"{number}\", --port, $(PORT)]
    image: registry.example.com/service:1.{number}
    port: 8080
    uses: [{uses}]
    env: {{ LEVEL: info, SERVICE: s{number}, TOKEN: $(secret:token) }}
    readinessProbe: {{ httpGet: {{ path: /ready }}, periodSeconds: 5, failureThreshold: 3 }}
    livenessProbe: /health
    resources: {{ requests: {{ cpu: 250m, memory: 256Mi }}, limits: {{ cpu: 500m, memory: 512Mi }} }}
    autoscaling: {{ minReplicas: 2, maxReplicas: 5 }}
    securityContext: {{ runAsNonRoot: true, readOnlyRootFilesystem: true }}
"
        );
    }
    text.push_str("stores:\n  db: { engine: postgres, version: \"15\" }\n");
    text.push_str("ingress:\n  listen: [8080]\n  hosts:\n    \"*\":\n      paths:\n");
    for number in 0..services {
        let _ = writeln!(text, "        /s{number}: s{number}");
    }
    text.push_str("promises:\n  fast: { latency: { route: /s1, p95: 500ms } }\nenvironments:\n  development: { services: { s1: { replicas: null } } }\n");
    text
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// User and system time of this process so far, in steps of 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

#[expect(clippy::print_stdout, reason = "this is what the example is for")]
fn main() -> ExitCode {
    let services = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(10_000);
    let text = file(services);
    let cpu_before = cpu_ms();
    let start = Instant::now();
    let checked = check(&Input::new("large/plimsoll.yaml", &text));
    let check_ms = start.elapsed().as_millis();
    let Some(system) = &checked.system else {
        println!("refused: {:?}", checked.diagnostics.first());
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let first = checked.plan(None).map_or(0, |plan| plan.changes.len());
    let again = checked.plan(Some(system)).map_or(usize::MAX, |plan| plan.changes.len());
    let plan_ms = start.elapsed().as_millis();
    let cpu_ms = cpu_ms() - cpu_before;
    let peak_mib = peak_mib();
    let start = Instant::now();
    let formatted = fmt(&text);
    let fmt_ms = start.elapsed().as_millis();
    println!(
        "services={services} bytes={} changes={first} changes_again={again} check_ms={check_ms} plan_ms={plan_ms} cpu_ms={cpu_ms} \
         peak_mib={peak_mib} fmt_ms={fmt_ms} fmt_bytes={}",
        text.len(),
        formatted.len()
    );
    if again == 0 && first > services as usize { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
