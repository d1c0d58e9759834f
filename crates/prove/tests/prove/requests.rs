//! What is asked: a promise's own request, signed in, from many clients, with numbers that never repeat.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::promise::{Kind, Login, Request};
use plimsoll_model::route::{LimitBy, RateLimit};
use plimsoll_model::{Millis, Rate};
use plimsoll_prove::{Options, Verdict};

use crate::toy::{Behaviour, Seen, Toy, promise};
use crate::{LONG, load, prove_one, run};

/// Creates things for those who are signed in.
fn registry(seen: &Seen) -> (u16, String) {
    match (seen.path.as_str(), seen.authorization.as_str()) {
        ("/api/login", _) if seen.body == r#"{"user":"a"}"# => (200, r#"{"data":{"token":"sesame"}}"#.to_owned()),
        ("/api/things", "Bearer sesame") => (201, String::new()),
        _ => (403, String::new()),
    }
}

fn creating(pointer: &str) -> Request {
    let login = Request {
        method: "POST".into(),
        path: Some("/api/login".into()),
        body: Some(r#"{"user":"a"}"#.into()),
        ..Request::default()
    };
    Request {
        method: "POST".into(),
        path: Some("/api/things".into()),
        headers: BTreeMap::from([("authorization".into(), "Bearer {login}".into())]),
        body: Some(r#"{"name":"thing-{n}"}"#.into()),
        status: vec![201],
        login: Some(Box::new(Login { request: login, token: pointer.into(), sessions: 1 })),
        ..Request::default()
    }
}

fn crowd(pointer: &str) -> Toy {
    let behaviour = Behaviour { answer: Box::new(registry), ..Behaviour::default() };
    let kind = Kind::Concurrency { route: "/api".into(), users: 20, within: LONG, unhurt: None };
    let mut promise = promise(kind, load(100, 500));
    promise.request = Some(creating(pointer));
    Toy::start(behaviour, |system| {
        system.promises.insert("it".to_owned(), promise);
    })
}

#[test]
fn signs_in_once_and_never_makes_the_same_thing_twice() {
    let toy = crowd("/data/token");
    let proof = prove_one(&toy);
    assert_eq!(proof.verdict, Verdict::Held, "{proof:?}");
    let seen = toy.seen();
    assert_eq!(seen.iter().filter(|seen| seen.path == "/api/login").count(), 1);
    let made: Vec<&str> =
        seen.iter().filter(|seen| seen.path == "/api/things").map(|seen| seen.body.as_str()).collect();
    assert!(made.len() > 60, "three bursts and a look: {}", made.len());
    assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), made.len());
}

/// Each sign-in is answered with a token of its own.
fn sessions(seen: &Seen) -> (u16, String) {
    match seen.path.as_str() {
        "/api/login" => (200, format!(r#"{{"data":{{"token":"{}"}}}}"#, seen.body)),
        _ if seen.authorization.starts_with("Bearer user-") => (201, String::new()),
        _ => (403, String::new()),
    }
}

#[test]
fn signs_in_as_often_as_is_asked_and_uses_each_session_equally() {
    let behaviour = Behaviour { answer: Box::new(sessions), ..Behaviour::default() };
    let kind = Kind::Concurrency { route: "/api".into(), users: 20, within: LONG, unhurt: None };
    let mut promise = promise(kind, load(100, 500));
    let mut request = creating("/data/token");
    let login = request.login.as_mut().unwrap();
    (login.sessions, login.request.body) = (20, Some("user-{n}".into()));
    promise.request = Some(request);
    let toy = Toy::start(behaviour, |system| {
        system.promises.insert("it".to_owned(), promise);
    });
    let proof = prove_one(&toy);
    assert_eq!(proof.verdict, Verdict::Held, "{proof:?}");
    let mut used = BTreeMap::<String, u32>::new();
    for seen in toy.seen().iter().filter(|seen| seen.path == "/api/things") {
        *used.entry(seen.authorization.clone()).or_default() += 1;
    }
    // Three bursts, and one look before them.
    assert_eq!(used.len(), 20);
    assert!(used.values().all(|times| (3..=4).contains(times)), "{used:?}");
}

#[test]
fn says_what_is_wrong_with_a_sign_in() {
    let proof = prove_one(&crowd("/token"));
    assert_eq!(proof.verdict, Verdict::Unproven);
    assert_eq!(proof.why, "the sign-in's answer has nothing at `/token`");
}

#[test]
fn a_limit_for_each_client_sees_many_clients() {
    let kind = Kind::Throughput { route: "/api".into(), rate: Rate(20_000) };
    let toy = Toy::start(Behaviour::default(), |system| {
        let limit = RateLimit { requests: 10, per: Millis(1000), by: LimitBy::Client };
        system.ingress.hosts.get_mut("toy.localhost").unwrap().rate_limit = Some(limit);
        system.promises.insert("it".to_owned(), promise(kind, load(100, 1000)));
    });
    let report = run(&toy, Options { headroom: false, ..Options::default() }).unwrap();
    assert_eq!(report.worst(), Some(Verdict::Held), "{report:?}");
    let clients: BTreeSet<_> = toy.seen().iter().map(|seen| seen.client).collect();
    assert!(clients.len() >= 20, "{}", clients.len());
    assert!(report.proofs[0].runs[0].conditions.contains("20 client addresses"));
}
