//! Another program in the keeper's place.

use crate::world::{World, eventually, is_alive, pids, shell};
use plimsoll_wire::keeper::{Answer, Ask, Event, Spawn};
use std::net::TcpStream;

#[test]
fn children_statuses_listeners_and_connections_stay() {
    let mut world = World::with(&["engine"]);
    let engine = pids(&world.file("engines"), 1)[0];
    let Answer::Listening { address } = world.ask(Ask::Listen { name: "web".into(), address: "127.0.0.1:0".into() })
    else {
        panic!("not bound")
    };
    world.spawn(shell("ended", "exit 9"));
    world.exit("ended");
    let script = "printf 'half of '; while [ ! -e go ]; do sleep 0.01; done; echo a line; exit 4";
    let running = world.spawn(shell("running", script));
    let gateway = world.spawn(Spawn { respawn: true, ..shell("gateway", "exec sleep 10000") });
    let copy = world.file("new-program");
    crate::world::copy_program(&copy);

    let upgrade = Ask::Upgrade { program: copy.to_str().unwrap().to_owned(), former: None };
    assert_eq!(world.ask(upgrade), Answer::Done);
    let keeper = world.keeper.id();
    assert_eq!(std::fs::read_link(format!("/proc/{keeper}/exe")).unwrap(), copy.canonicalize().unwrap());

    TcpStream::connect(&address).expect("the listener is kept");
    let listen = Ask::Listen { name: "web".into(), address: address.clone() };
    assert_eq!(world.ask(listen), Answer::Listening { address });
    assert_eq!(world.process("ended").and_then(|process| process.exit).and_then(|exit| exit.code), Some(9));
    assert_eq!(world.process("engine").map(|process| process.pid), Some(engine));
    assert_eq!(world.process("running").map(|process| process.pid), Some(running.pid));
    std::fs::write(world.file("go"), "").unwrap();
    let exit = world.exit("running");
    assert_eq!((exit.code, exit.unknown), (Some(4), false), "it still is the keeper's child");
    assert_eq!(world.log("running"), "half of a line\n");
    world.signal("gateway", 9);
    let process = world.event("the new start", |event| match event {
        Event::Respawned(process) => Some(process.clone()),
        _ => None,
    });
    assert!(process.id == "gateway" && process.pid != gateway.pid && is_alive(process.pid));
}

#[test]
fn a_program_that_is_none_changes_nothing() {
    let mut world = World::new();
    let process = world.spawn(shell("a", "exec sleep 10000"));
    let text = world.file("text");
    std::fs::write(&text, "x").unwrap();
    for bad in ["/nowhere", "/usr", text.to_str().unwrap()] {
        let Answer::Failed { why } = world.ask(Ask::Upgrade { program: bad.into(), former: None }) else {
            panic!("{bad} was taken")
        };
        assert!(why.contains(bad), "{why}");
    }
    assert_eq!(world.process("a").map(|process| process.pid), Some(process.pid));
    world.signal("a", 9);
    assert_eq!(world.exit("a").signal, Some(9));
}

#[test]
fn a_keeper_can_be_replaced_twice() {
    let mut world = World::new();
    world.spawn(shell("a", "exec sleep 10000"));
    for _ in 0..2 {
        assert_eq!(world.ask(Ask::Upgrade { program: crate::world::PROGRAM.into(), former: None }), Answer::Done);
    }
    world.signal("a", 9);
    assert_eq!(world.exit("a").signal, Some(9));
}

#[test]
fn an_engine_that_does_not_stay_is_replaced_by_the_former_one() {
    let mut world = World::with(&["engine"]);
    let engine = pids(&world.file("engines"), 1)[0];
    // What the next keeper starts engines from.
    std::fs::write(world.file("program"), "/bin/false").unwrap();
    let program = crate::world::PROGRAM.to_owned();
    assert_eq!(world.ask(Ask::Upgrade { program: program.clone(), former: Some(program) }), Answer::Done);
    assert!(is_alive(engine));
    world.signal("engine", 9);
    let engines = pids(&world.file("engines"), 2);
    eventually("the former engine runs", || is_alive(engines[1]));
    assert_eq!(world.ask(Ask::Trust), Answer::Done);
}

#[test]
fn versions_of_messages_that_are_no_neighbours_are_refused() {
    let mut world = World::new();
    let mut hello = |version| world.ask(Ask::Hello { version, role: "engine".into() });
    for near in [plimsoll_wire::VERSION - 1, plimsoll_wire::VERSION, plimsoll_wire::VERSION + 1] {
        assert!(matches!(hello(near), Answer::Hello { .. }), "{near}");
    }
    for far in [plimsoll_wire::VERSION - 2, plimsoll_wire::VERSION + 2] {
        let Answer::Failed { why } = hello(far) else { panic!("{far} was understood") };
        assert!(why.contains(&far.to_string()), "{why}");
    }
}

#[test]
fn the_keepers_own_program_stands_in_for_one_that_is_gone() {
    let mut world = World::new();
    let gone = Spawn { program: "/nowhere/plimsoll".into(), args: vec!["flood".into(), "0".into()], ..shell("a", "") };
    assert!(matches!(world.ask(Ask::Spawn(Box::new(gone.clone()))), Answer::Refused(_)), "not for services");
    let own = Spawn { id: "gateway-2".into(), channel: true, respawn: true, ..gone };
    assert!(matches!(world.ask(Ask::Spawn(Box::new(own))), Answer::Spawned(_)));
    assert_eq!(world.exit("gateway-2").code, Some(0));
}
