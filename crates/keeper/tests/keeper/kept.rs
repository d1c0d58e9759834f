//! Descriptors that outlive those who use them.

use crate::world::{LONG, World, connect, is_alive, shell};
use plimsoll_wire::{
    channel::{memfd, read_memfd},
    keeper::{Answer, Ask, Event},
};
use rustix::fd::AsFd;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
};

fn listen(world: &mut World, name: &str, address: &str) -> Answer {
    world.ask(Ask::Listen { name: name.into(), address: address.into() })
}

#[test]
fn a_listener_is_bound_once_and_taken_by_many() {
    let mut world = World::new();
    let Answer::Listening { address } = listen(&mut world, "web", "127.0.0.1:0") else { panic!("not bound") };
    assert_eq!(listen(&mut world, "web", "127.0.0.1:0"), Answer::Listening { address: address.clone() });
    assert_eq!(listen(&mut world, "web", &address), Answer::Listening { address: address.clone() });
    let (answer, fds) = world.client.ask_with(Ask::Take { name: "web".into() }, &[]).unwrap();
    assert_eq!(answer, Answer::Taken { name: "web".into() });
    let listener = TcpListener::from(fds.into_iter().next().unwrap());
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(b"hello").unwrap();
    drop(client);
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    drop(listener);
    TcpStream::connect(&address).expect("the keeper still listens");
    assert_eq!(world.ask(Ask::Drop { name: "web".into() }), Answer::Done);
    TcpStream::connect(&address).unwrap_err();
}

#[test]
fn a_busy_port_names_its_owner() {
    let mut world = World::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let Answer::Refused(refusal) = listen(&mut world, "web", &address.to_string()) else { panic!("not refused") };
    assert_eq!((refusal.stage.as_str(), refusal.errno), ("bind", libc::EADDRINUSE));
    assert!(refusal.detail.contains(&format!("pid {}", std::process::id())), "{refusal:?}");
    let Answer::Listening { address } = listen(&mut world, "one", "127.0.0.1:0") else { panic!("not bound") };
    let Answer::Refused(refusal) = listen(&mut world, "two", &address) else { panic!("not refused") };
    assert!(refusal.detail.contains("by this system itself, as one"), "{refusal:?}");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let mut world = World::new();
    for bad in ["", "8080", "localhost:80", "127.0.0.1:99999"] {
        let Answer::Refused(refusal) = listen(&mut world, "web", bad) else { panic!("{bad:?} was not refused") };
        assert_eq!(refusal.stage, "address");
    }
}

#[test]
fn what_is_kept_is_told_to_those_who_watch() {
    let mut world = World::new();
    let mut watcher = connect(&world.place);
    let watch = || Ask::Watch { name: "routes".into() };
    assert_eq!(watcher.ask(watch()).unwrap(), Answer::Done);
    for text in ["first", "second"] {
        let file = memfd("routes", text.as_bytes()).unwrap();
        let keep = Ask::Keep { name: "routes".into(), if_missing: false };
        assert_eq!(world.client.ask_with(keep, &[file.as_fd()]).unwrap().0, Answer::Done);
        let (event, fds) = watcher.event(LONG).unwrap().unwrap();
        assert_eq!(event, Event::Kept { name: "routes".into() });
        assert_eq!(read_memfd(fds.into_iter().next().unwrap()).unwrap(), text.as_bytes());
    }
    // What is handed back to one who has something newer changes nothing.
    let (older, back) = (memfd("routes", b"older").unwrap(), Ask::Keep { name: "routes".into(), if_missing: true });
    assert_eq!(world.client.ask_with(back, &[older.as_fd()]).unwrap().0, Answer::Done);
    let mut late = connect(&world.place);
    late.ask(watch()).unwrap();
    let (_, fds) = late.event(LONG).unwrap().unwrap();
    assert_eq!(read_memfd(fds.into_iter().next().unwrap()).unwrap(), b"second");
    assert!(matches!(world.ask(Ask::Keep { name: "x".into(), if_missing: false }), Answer::Failed { .. }));
    assert!(matches!(world.ask(Ask::Take { name: "x".into() }), Answer::Failed { .. }));
}

#[test]
fn the_handle_of_a_process_can_be_taken_and_tells_its_end() {
    let mut world = World::new();
    let process = world.spawn(shell("a", "exec sleep 10000"));
    let (_, fds) = world.client.ask_with(Ask::Take { name: "pidfd/a".into() }, &[]).unwrap();
    let handle = fds.into_iter().next().unwrap();
    rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL).unwrap();
    let mut polled = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut polled, None).unwrap(), 1);
    world.exit("a");
    assert!(!is_alive(process.pid));
}

#[test]
fn the_socket_of_the_local_api_is_there_and_kept() {
    let mut world = World::new();
    let (_, fds) = world.client.ask_with(Ask::Take { name: "api".into() }, &[]).unwrap();
    let listener = std::os::unix::net::UnixListener::from(fds.into_iter().next().unwrap());
    let _client = UnixStream::connect(world.place.api_socket()).unwrap();
    listener.accept().unwrap();
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    let mut world = World::new();
    let channel = plimsoll_wire::channel::Channel::connect(&world.place.keeper_socket()).unwrap();
    for nonsense in [serde_json::json!({"number": 5, "ask": "fly"}), serde_json::json!([1]), serde_json::json!("x")] {
        channel.send(&nonsense, &[]).unwrap();
        let (said, _) = channel.receive::<serde_json::Value>().unwrap().unwrap();
        let number = said["answer"]["number"].as_u64();
        assert_eq!(number, Some(nonsense.get("number").and_then(serde_json::Value::as_u64).unwrap_or(0)), "{said}");
    }
    channel.send(&serde_json::json!({"number": 6, "ask": "list"}), &[]).unwrap();
    let (said, _) = channel.receive::<serde_json::Value>().unwrap().unwrap();
    assert!(said["answer"]["answer"]["inventory"].is_object(), "{said}");
    world.spawn(shell("a", "exit 0"));
}

#[test]
fn one_who_does_not_read_is_cut_off_and_holds_nobody_up() {
    let mut world = World::new();
    let deaf = plimsoll_wire::channel::Channel::connect(&world.place.keeper_socket()).unwrap();
    let hello = Ask::Hello { version: plimsoll_wire::VERSION, role: "engine".into() };
    deaf.send(&plimsoll_wire::keeper::Request { number: 1, ask: hello }, &[]).unwrap();
    deaf.set_nonblocking(true).unwrap();
    for number in 2.. {
        let ask = Ask::Signal { id: "x".repeat(20_000), signal: 15, whole: false };
        match deaf.send(&plimsoll_wire::keeper::Request { number, ask }, &[]) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // Whoever else asks is answered meanwhile.
                world.ask(Ask::List);
            }
            Err(_) => break,
        }
        assert!(number < 1_000_000, "never cut off");
    }
    world.spawn(shell("a", "exit 0"));
    world.exit("a");
}
