//! The last decisions to leave a replica out, or to take it back, with all that led to them: whoever asks for figures is told.
//!
//! Invariant: bounded, whatever replicas do.

use plimsoll_control::account::{self, Eject};
use plimsoll_control::route::Weighed;
use plimsoll_wire::gateway::Ejection;
use std::collections::VecDeque;

/// So many are kept until somebody asks.
const KEPT_MAX: usize = 64;

/// The last of them, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Ejections {
    kept: VecDeque<Ejection>,
    pub(crate) count: u64,
}

impl Ejections {
    /// Keeps one decision.
    pub(crate) fn keep(&mut self, service: &str, asked: &Eject, weighed: &[Weighed]) {
        self.count += 1;
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        let answer = account::weighed(&asked.seen, weighed);
        self.kept.push_back(Ejection {
            number: self.count,
            service: service.into(),
            policy: serde_json::to_value(&asked.policy).unwrap_or_default(),
            memory: serde_json::to_value(&asked.memory).unwrap_or_default(),
            seen: serde_json::to_value(&asked.seen).unwrap_or_default(),
            act: answer.act,
            why: answer.why,
        });
    }

    /// Those with a number above `after`.
    pub(crate) fn after(&self, after: u64) -> Vec<Ejection> {
        self.kept.iter().filter(|one| one.number > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_all_are_counted() {
        let mut ejections = Ejections::default();
        let asked = Eject::default();
        for _ in 0..100 {
            ejections.keep("web", &asked, &[]);
        }
        assert_eq!(ejections.count, 100);
        let kept: Vec<u64> = ejections.after(90).iter().map(|one| one.number).collect();
        assert_eq!(kept, (91..=100).collect::<Vec<_>>());
        assert_eq!(ejections.after(0).len(), KEPT_MAX);
    }
}
