//! A gateway without a keeper and an engine, for `bench/gateway/run`: this process plays the keeper's part.
//!
//! `alone BACKEND…` starts a gateway before those backends, prints `gateway <pid> <address>`, and ends both when its standard
//! input ends. The gateway's access log goes to `/dev/null`, written and read as always.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on ends")]
#![expect(clippy::print_stdout, reason = "this is what it is read by")]

use plimsoll_model::{
    ReplicaId, RevisionId,
    route::{self, Endpoint, Entry, Host, Limits, Listener, Path, Protocol, ROUTES, Resilience, RouteTable},
};
use plimsoll_wire::{
    channel::{Channel, Received, memfd},
    keeper::{Answer, Ask, Event, Request, Said},
};
use std::{
    io::Read,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    process::{Command, ExitCode, Stdio},
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, state] = args.as_slice()
        && mode == "--gateway"
    {
        let options = plimsoll_gateway::Options { state: state.into(), id: "gateway".into() };
        return plimsoll_gateway::run(options);
    }
    let state = std::env::temp_dir().join(format!("plimsoll-alone-{}", std::process::id()));
    std::fs::create_dir_all(&state).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (ours, theirs) = Channel::pair().unwrap();
    let mut gateway = Command::new(std::env::current_exe().unwrap())
        .arg("--gateway")
        .arg(&state)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    println!("gateway {} {}", gateway.id(), listener.local_addr().unwrap());
    let routes = memfd(ROUTES, &serde_json::to_vec(&table(&args)).unwrap()).unwrap();
    std::thread::spawn(move || answer(&ours, &listener, &routes));
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).unwrap();
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    ExitCode::SUCCESS
}

fn answer(line: &Channel, listener: &TcpListener, routes: &OwnedFd) {
    while let Ok(Some((request, _))) = line.receive() as std::io::Result<Option<Received<Request>>> {
        let (answer, fd) = match request.ask {
            Ask::Take { name } if name == "ingress" => (Answer::Taken { name }, Some(listener.as_fd())),
            Ask::Take { name } => (Answer::Failed { why: format!("{name} is not kept") }, None),
            _ => (Answer::Done, None),
        };
        let is_watch = matches!(answer, Answer::Done);
        line.send(&Said::Answer { number: request.number, answer }, fd.as_slice()).unwrap();
        if is_watch {
            line.send(&Said::Event(Event::Kept { name: ROUTES.into() }), &[routes.as_fd()]).unwrap();
        }
    }
}

fn table(backends: &[String]) -> RouteTable {
    let replicas = backends.iter().zip(1..).map(|(address, serial)| Endpoint {
        id: ReplicaId::new("web", serial),
        revision: RevisionId::default(),
        address: address.parse().unwrap(),
        serving: true,
        weight: 1000,
        process: String::new(),
    });
    let web = route::Backend {
        replicas: replicas.collect(),
        protocol: Protocol::Http1,
        limits: Limits::default(),
        sticky: None,
        resilience: Resilience::default(),
        canary: None,
        synthetic: None,
    };
    let paths = ["/", "/api", "/static"].map(|prefix| Path { prefix: prefix.into(), service: "web".into() });
    RouteTable {
        edition: 1,
        listeners: vec![Listener { name: "ingress".into(), entry: Entry::Ingress { tls: None } }],
        hosts: vec![Host { name: "*".into(), paths: paths.into(), rate_limit: None }],
        services: [("web".to_owned(), web)].into(),
        ..RouteTable::default()
    }
}
