//! The flight recorder: what autoscalers saw is decided again, and comes to the same, over restarts and generations.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use plimsoll_control::{
    account::{Autoscale, Question, Rollout},
    analysis::Counts,
    autoscale::{self, Act, Decision, Memory, Policy, Seen, manual::Manual, seen, traffic},
    reconcile::{Phase, ReplicaSeen},
    rollout,
};
use plimsoll_journal::{Durability, Journal, decided::Decided, entry::Entry, flight::Flight, replay::replay};
use plimsoll_model::{Instant, Millis, Ratio, ReplicaId, RevisionId, Service, System, autoscaling::Autoscaling};
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

/// A canary whose new version fails as often as that, decided about five times a second; how many of these decisions are
/// kept.
fn release(dir: &Path, failing: u64) -> u64 {
    let revision = |name: &str| RevisionId(name.into());
    let steps = plimsoll_model::rollout::Strategy::Canary {
        steps: vec![Ratio::percent(20)],
        interval: Millis::from_secs(5),
        audience: plimsoll_model::audience::Audience::default(),
    };
    let analysis = plimsoll_model::rollout::Analysis { error_rate_max: Some(Ratio::percent(5)), ..Default::default() };
    let own = plimsoll_model::rollout::Rollout {
        strategy: steps,
        analysis: Some(analysis),
        bake: Millis::from_secs(2),
        ..Default::default()
    };
    let policy = rollout::Policy::of(&own, None, 2);
    let (mut flight, mut memory) = (Flight::open(dir).unwrap(), rollout::Memory::default());
    let (mut sets, mut kept) = (Vec::new(), 0);
    for look in 0..200_u64 {
        let at = Instant(0).after(Millis(1_000_000 + look * 200));
        let replicas = |set: &plimsoll_control::reconcile::SetWanted| {
            let name = set.revision.0.clone();
            let serial = if name == "one" { 1 } else { 100 };
            (0..u64::from(set.replicas)).map(move |number| ReplicaSeen {
                id: ReplicaId::new("web", serial + number),
                revision: RevisionId(name.clone()),
                phase: Phase::Ready,
                ready_since: Some(Instant(1)),
                started_at: Instant(1),
                restarts: 0,
            })
        };
        let mut spans = Vec::new();
        if memory.target.is_some() && look % 2 == 0 {
            let counts = |errors| Counts { requests: 30, errors, ..Counts::default() };
            spans.push([(revision("one"), counts(0)), (revision("two"), counts(failing))].into());
        }
        let seen = rollout::Seen {
            at,
            wanted: revision(if look < 20 { "one" } else { "two" }),
            replicas: sets.iter().flat_map(replicas).collect(),
            spans,
            ..rollout::Seen::default()
        };
        let asked = Rollout { policy: policy.clone(), memory: memory.clone(), seen };
        let decision = rollout::decide(&policy, &mut memory, &asked.seen);
        flight.release("web", &asked, (&decision, &memory)).unwrap();
        kept += u64::from(memory != asked.memory || !asked.seen.spans.is_empty());
        sets = decision.sets;
    }
    assert_eq!(memory.stable, Some(revision(if failing > 0 { "one" } else { "two" })), "{memory:?}");
    kept
}

#[test]
fn every_decision_about_a_release_is_decided_again_the_same() {
    for failing in [0, 12] {
        let dir = tempfile::tempdir().unwrap();
        let changed = release(dir.path(), failing);
        let replayed = replay(&dir.path().join("none"), dir.path(), None);
        assert_eq!(replayed.differing, 0, "{:?}", replayed.differences);
        let kept = replayed.by["rollout"];
        assert!(kept >= changed, "each that changed anything is kept: {kept} of {changed}");
        assert!(kept < 200, "at rest nothing is repeated: {kept}");
        // Under a file without limits nothing is sent back.
        let service = Service { rollout: Default::default(), ..Service::default() };
        let other = System { services: [("web".to_owned(), service)].into(), ..System::default() };
        let under = replay(&dir.path().join("none"), dir.path(), Some(&other));
        assert!(under.open_loop && under.differing > 0);
    }
}

/// A number with a fraction that is read back can be off by the last bit, and then decide otherwise.
#[test]
fn what_is_recorded_holds_no_fractions() {
    let dir = tempfile::tempdir().unwrap();
    release(dir.path(), 1);
    fly(&dir.path().join("looks"), 300);
    let folders = [dir.path().to_owned(), dir.path().join("looks")];
    let mut numbers = 0;
    for item in folders.iter().flat_map(|folder| plimsoll_journal::read(folder)) {
        let value: serde_json::Value = match item.unwrap() {
            plimsoll_journal::Item::Snapshot(record) => record.decode().unwrap(),
            plimsoll_journal::Item::Record(record) => record.decode().unwrap(),
        };
        let mut open = vec![&value];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::Number(number) => {
                    numbers += 1;
                    assert!(!number.is_f64(), "{number}");
                }
                serde_json::Value::Array(items) => open.extend(items),
                serde_json::Value::Object(fields) => open.extend(fields.values()),
                _ => {}
            }
        }
    }
    assert!(numbers > 1000, "{numbers}");
}
