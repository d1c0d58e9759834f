//! The flight recorder: what autoscalers saw is decided again, and comes to the same, over restarts and generations.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use plimsoll_control::{
    account::{Autoscale, Question},
    autoscale::{self, Act, Decision, Memory, Policy, Seen, manual::Manual, seen, traffic},
};
use plimsoll_journal::{Durability, Journal, decided::Decided, entry::Entry, flight::Flight, replay::replay};
use plimsoll_model::{Instant, Millis, Service, System, autoscaling::Autoscaling};
use std::path::Path;

/// An autoscaler with a world that follows it, as an engine would ask it.
struct World {
    at: Instant,
    replicas: u32,
    memory: Memory,
    policy: Autoscaling,
}

fn by_traffic(rate: u64) -> Autoscaling {
    let text = serde_json::json!({
        "minReplicas": 1, "maxReplicas": 9, "metrics": [], "behavior": null, "requestsPerSecond": rate * 1000,
        "concurrency": null
    });
    serde_json::from_value(text).unwrap()
}

impl World {
    fn new() -> Self {
        let at = Instant(0).after(Millis::from_secs(1000));
        Self { at, replicas: 1, memory: Memory::default(), policy: by_traffic(20) }
    }

    /// One look, 50 ms later, at so many requests.
    fn look(&mut self, arrived: u64) -> (Autoscale, Decision) {
        self.at = self.at.after(Millis(50));
        let pod = |serial: u32| seen::Pod { name: format!("web-{serial}"), ..seen::Pod::default() };
        let hpa = seen::Seen {
            at: self.at,
            spec_replicas: i32::try_from(self.replicas).ok(),
            status_replicas: i32::try_from(self.replicas).unwrap(),
            selector: seen::Selector::Clear,
            pods: (1..=self.replicas).map(pod).collect(),
            readings: Vec::new(),
            explain: false,
        };
        let sample = traffic::Sample { at: self.at, span: Millis(50), in_flight: 0, arrived };
        let traffic = traffic::Seen { samples: vec![sample], ready: self.replicas, waiting: 0 };
        let seen = Seen { hpa, traffic, predicted: 0 };
        let asked = Autoscale { policy: self.policy.clone(), memory: self.memory.clone(), seen };
        let decision = autoscale::decide(&Policy::from(&self.policy), &mut self.memory, &asked.seen);
        if let Act::ScaleTo(replicas) = decision.act {
            self.replicas = replicas;
        }
        (asked, decision)
    }

    fn record(&mut self, flight: &mut Flight, arrived: u64) {
        let (asked, decision) = self.look(arrived);
        flight.look("web", &asked, (&decision, &self.memory)).unwrap();
    }
}

fn system(policy: Autoscaling) -> System {
    let service = Service { autoscaling: Some(policy), port: Some(80), ..Service::default() };
    System { services: [("web".to_owned(), service)].into(), ..System::default() }
}

/// What is recorded from there, over a restart and over a person's hand: `looks` looks.
fn fly(dir: &Path, looks: u64) {
    let mut world = World::new();
    let mut flight = Flight::open(dir).unwrap();
    for look in 0..looks {
        if look == looks / 3 {
            drop(flight);
            flight = Flight::open(dir).unwrap();
        }
        if look == looks / 2 {
            // Between two looks the memory is changed from outside, as `scale` does.
            world.memory.manual = Some(Manual::scale(7, world.replicas, (1, 9), world.at.after(Millis::from_secs(3))));
        }
        world.record(&mut flight, if look % 400 < 200 { look % 7 } else { 0 });
    }
}

#[test]
fn every_look_is_decided_again_the_same() {
    let dir = tempfile::tempdir().unwrap();
    fly(dir.path(), 2000);
    let replayed = replay(&dir.path().join("none"), dir.path(), None);
    assert_eq!((replayed.decisions, replayed.differing), (2000, 0), "{:?}", replayed.differences);
    assert_eq!(replayed.by["autoscale"], 2000);
    let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    eprintln!("{} bytes a look", files.sum::<u64>() / 2000);
}

#[test]
fn another_policy_differs_and_neighbours_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    fly(dir.path(), 600);
    let same = replay(&dir.path().join("none"), dir.path(), Some(&system(by_traffic(20))));
    assert_eq!((same.decisions, same.differing, same.open_loop), (600, 0, true));
    let other = replay(&dir.path().join("none"), dir.path(), Some(&system(by_traffic(2000))));
    assert_eq!(other.decisions, 600);
    assert!(other.differing > 0);
    assert!((other.differences.len() as u64) < other.differing, "{:?}", other.differences);
    assert_eq!(other.differences.iter().map(|one| one.times).sum::<u64>(), other.differing);
    let without = replay(&dir.path().join("none"), dir.path(), Some(&System::default()));
    assert_eq!(without.decisions, 0, "a file without the service has no policy to ask under");
}

#[test]
fn a_look_that_was_answered_otherwise_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new();
    let (asked, decision) = world.look(50);
    let question = Question::Autoscale(Box::new(asked));
    let mut answer = question.answer();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let mut note = |number: u64, answer| {
        let decided = Decided::new(number, "web", &question, answer);
        journal.append(&Entry::Decided(Box::new(decided)), Durability::OurDeath).unwrap();
    };
    note(1, answer.clone());
    answer.act = "scale from 1 to 1000".into();
    note(2, answer);
    let replayed = replay(dir.path(), &dir.path().join("none"), None);
    assert_eq!((replayed.decisions, replayed.differing), (2, 1), "{decision:?}");
    assert_eq!((replayed.differences[0].number, replayed.differences[0].subject.as_str()), (2, "web"));
}
