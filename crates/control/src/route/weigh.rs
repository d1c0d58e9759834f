//! What share each replica gets: its weight, slow start, and who is left out because it fails.
//!
//! Asked a few times a second, with one gateway's own figures. A replica that failed `eject_after` times in a row is left out
//! for `eject_for`, longer each time; then it starts slowly, on probation: its first failure leaves it out again. One that was
//! not to be sent anything for a while (it was not ready, or is new) starts slowly, too.
//!
//! Invariant: among the serving replicas whose process lives, at least half (rounded up) are not ejected.
//! Invariant: a replica that serves, lives and has a weight has a share of at least 1.

use plimsoll_model::{Instant, Millis, ReplicaId, route::Resilience};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is seen of a service's replicas at a moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The moment.
    pub at: Instant,
    /// Its replicas.
    pub replicas: Vec<SeenReplica>,
}

/// What is seen of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenReplica {
    /// Which one.
    pub id: ReplicaId,
    /// Which of its starts: with another one, everything about it begins anew.
    pub start: u64,
    /// New requests may go there.
    pub serving: bool,
    /// Its process is gone.
    pub gone: bool,
    /// Its weight as it was set, 0..=1000.
    pub weight: u16,
    /// Failures since its last success.
    pub failures: u32,
    /// Answers so far, failures included; only grows.
    pub answers: u64,
    /// Time until the head of its answers, exponentially weighted, in microseconds.
    pub latency_us: u32,
}

/// What is remembered of a service between two questions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    replicas: BTreeMap<String, Remembered>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Remembered {
    /// Which of its starts this is about.
    start: u64,
    /// When its slow start began; zero for those that were there from the beginning.
    since: Instant,
    /// Until when it is left out.
    ejected_until: Option<Instant>,
    /// How often it was left out, without a long good time between.
    ejections: u32,
    /// Back from being left out, and has not answered well since.
    probation: bool,
    /// Failures that were there when it came back; only those beyond them count.
    forgiven: u32,
    /// It was not serving at the last question.
    away: bool,
    /// Its answers at the last question, and when they last grew.
    answers: u64,
    answered_at: Instant,
}

/// Why a replica has the share that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its whole weight.
    Full,
    /// Less than its weight: it is new, or back, until then.
    Starting {
        /// When it has its whole weight.
        until: Instant,
    },
    /// Left out until then.
    Ejected {
        /// When it is tried again.
        until: Instant,
    },
    /// It fails as those that are ejected, but too many are already.
    Spared,
    /// It is drained, has no weight, or its process is gone.
    Closed,
}

/// The answer for one replica, in the order of [`Seen::replicas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// Its share now, 0..=1000; 0 gets no request.
    pub share: u16,
    /// Why.
    pub standing: Standing,
    /// The latency to go on with, in microseconds: halves each 3 s without an answer, so that a slow replica is tried again.
    pub latency_us: u32,
}

impl Weighed {
    /// Asking again later gives the same, as long as nothing new is seen.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.standing, Standing::Full | Standing::Closed) && self.latency_us == 0
    }
}

/// The latency that was seen once is half forgotten after so long without an answer. One that is ten times slower is tried
/// again seldom enough for less than a hundredth of the requests to wait for it.
const FORGET: Millis = Millis(3000);

/// Decides the shares of all replicas of a service. Deciding again at the same moment changes nothing.
#[must_use]
pub fn weigh(policy: &Resilience, memory: &mut Memory, seen: &Seen) -> Vec<Weighed> {
    let first = memory.replicas.is_empty();
    let known: Vec<String> = seen.replicas.iter().map(|replica| replica.id.to_string()).collect();
    memory.replicas.retain(|id, _| known.contains(id));
    let alive = seen.replicas.iter().filter(|replica| replica.serving && !replica.gone).count();
    let mut may_eject = alive / 2;
    // Those that are left out already keep their places, so that who comes first in the list does not push them back in.
    for (replica, id) in seen.replicas.iter().zip(&known) {
        let left_out =
            memory.replicas.get(id).and_then(|known| known.ejected_until).is_some_and(|until| until > seen.at);
        if left_out && replica.serving && !replica.gone {
            if may_eject == 0 {
                if let Some(remembered) = memory.replicas.get_mut(id) {
                    remembered.come_back(seen.at, replica.failures);
                }
            } else {
                may_eject -= 1;
            }
        }
    }
    let mut answer = Vec::with_capacity(known.len());
    for (replica, id) in seen.replicas.iter().zip(known) {
        let remembered = memory.replicas.entry(id).or_insert_with(|| Remembered {
            start: replica.start,
            since: if first { Instant(0) } else { seen.at },
            answers: replica.answers,
            answered_at: seen.at,
            ..Remembered::default()
        });
        if remembered.start != replica.start {
            let (start, answers, forgiven) = (replica.start, replica.answers, replica.failures);
            *remembered =
                Remembered { start, answers, forgiven, since: seen.at, answered_at: seen.at, ..Remembered::default() };
        }
        answer.push(remembered.weigh(policy, replica, seen.at, &mut may_eject));
    }
    answer
}

impl Memory {
    /// How often a replica was left out without a long good time between, and whether it is on probation.
    #[must_use]
    pub fn standing_of(&self, id: &ReplicaId) -> (u32, bool) {
        self.replicas.get(&id.to_string()).map_or((0, false), |known| (known.ejections, known.probation))
    }

    /// Whether a replica is left out.
    #[must_use]
    pub fn leaves_out(&self, id: &ReplicaId) -> bool {
        self.replicas.get(&id.to_string()).is_some_and(|known| known.ejected_until.is_some())
    }
}

impl Remembered {
    fn come_back(&mut self, at: Instant, failures: u32) {
        self.ejected_until = None;
        self.probation = true;
        self.forgiven = failures;
        self.since = at;
    }

    fn weigh(&mut self, policy: &Resilience, seen: &SeenReplica, at: Instant, may_eject: &mut usize) -> Weighed {
        let latency_us = self.note_answers(policy, seen, at);
        let closed = Weighed { share: 0, standing: Standing::Closed, latency_us };
        self.away |= !seen.serving;
        if !seen.serving || seen.gone || seen.weight == 0 {
            return closed;
        }
        if std::mem::take(&mut self.away) {
            self.since = at;
        }
        if let Some(until) = self.ejected_until {
            if until > at {
                return Weighed { standing: Standing::Ejected { until }, ..closed };
            }
            self.come_back(at, seen.failures);
        }
        let limit = if self.probation { 1 } else { u32::from(policy.eject_after.max(1)) };
        let failing = seen.failures.saturating_sub(self.forgiven) >= limit;
        if failing && *may_eject > 0 {
            *may_eject -= 1;
            let times = self.ejections.min(4);
            let wait = Millis((policy.eject_for.0 << times).min(policy.eject_for.0.saturating_mul(10)));
            self.ejections = self.ejections.saturating_add(1);
            self.ejected_until = Some(at.after(wait));
            return Weighed { standing: Standing::Ejected { until: at.after(wait) }, ..closed };
        }
        let weight = seen.weight.min(1000);
        let until = self.since.after(policy.slow_start);
        if self.since > Instant(0) && at < until {
            let share = ramp(weight, at.since(self.since), policy.slow_start);
            return Weighed { share, standing: Standing::Starting { until }, latency_us };
        }
        let standing = if failing { Standing::Spared } else { Standing::Full };
        Weighed { share: weight, standing, latency_us }
    }

    /// Follows the answers; the latency to go on with.
    fn note_answers(&mut self, policy: &Resilience, seen: &SeenReplica, at: Instant) -> u32 {
        if seen.failures < self.forgiven {
            self.forgiven = 0;
        }
        if seen.answers != self.answers {
            if seen.failures == 0 {
                self.probation = false;
            }
            self.answers = seen.answers;
            self.answered_at = at;
            return seen.latency_us;
        }
        let long = policy.eject_for.0.saturating_mul(20);
        if self.ejected_until.is_none() && !self.probation && at.since(self.since).0 > long {
            self.ejections = 0;
        }
        if at.since(self.answered_at) >= FORGET {
            self.answered_at = at;
            return seen.latency_us / 2;
        }
        seen.latency_us
    }
}

/// A tenth of the weight at first, then evenly more.
fn ramp(weight: u16, age: Millis, whole: Millis) -> u16 {
    let weight = u64::from(weight);
    let share = weight / 10 + weight * 9 / 10 * age.0.min(whole.0) / whole.0.max(1);
    u16::try_from(share.max(1)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(serial: u64, failures: u32) -> SeenReplica {
        SeenReplica {
            id: ReplicaId::new("web", serial),
            start: 1,
            serving: true,
            gone: false,
            weight: 1000,
            failures,
            answers: 0,
            latency_us: 1000,
        }
    }

    fn at_ms(ms: u64, replicas: Vec<SeenReplica>) -> Seen {
        Seen { at: Instant(1_000_000 + ms * 1000), replicas }
    }

    #[track_caller]
    fn check(memory: &mut Memory, seen: &Seen, want: &[(u16, &str)]) {
        let weighed = weigh(&Resilience::default(), memory, seen);
        let said: Vec<(u16, String)> = weighed
            .iter()
            .map(|replica| {
                (replica.share, format!("{:?}", replica.standing).split(' ').next().unwrap_or("").to_owned())
            })
            .collect();
        let want: Vec<(u16, String)> = want.iter().map(|(share, name)| (*share, (*name).to_owned())).collect();
        assert_eq!(said, want);
    }

    #[test]
    fn those_of_the_first_edition_have_their_whole_weight_and_later_ones_start_slowly() {
        let mut memory = Memory::default();
        check(&mut memory, &at_ms(0, vec![replica(1, 0)]), &[(1000, "Full")]);
        check(&mut memory, &at_ms(10, vec![replica(1, 0), replica(2, 0)]), &[(1000, "Full"), (100, "Starting")]);
        check(&mut memory, &at_ms(510, vec![replica(1, 0), replica(2, 0)]), &[(1000, "Full"), (550, "Starting")]);
        check(&mut memory, &at_ms(1010, vec![replica(1, 0), replica(2, 0)]), &[(1000, "Full"), (1000, "Full")]);
    }

    #[test]
    fn one_that_was_not_ready_starts_slowly_when_it_is() {
        let mut memory = Memory::default();
        let mut all = vec![replica(1, 0), replica(2, 0)];
        check(&mut memory, &at_ms(0, all.clone()), &[(1000, "Full"), (1000, "Full")]);
        all[1].serving = false;
        check(&mut memory, &at_ms(100, all.clone()), &[(1000, "Full"), (0, "Closed")]);
        check(&mut memory, &at_ms(60_000, all.clone()), &[(1000, "Full"), (0, "Closed")]);
        all[1].serving = true;
        check(&mut memory, &at_ms(60_100, all.clone()), &[(1000, "Full"), (100, "Starting")]);
        check(&mut memory, &at_ms(60_600, all.clone()), &[(1000, "Full"), (550, "Starting")]);
        check(&mut memory, &at_ms(61_100, all), &[(1000, "Full"), (1000, "Full")]);
    }

    #[test]
    fn one_that_fails_is_left_out_comes_back_and_is_left_out_for_longer() {
        let mut memory = Memory::default();
        let fails = |failures| vec![replica(1, 0), replica(2, failures)];
        check(&mut memory, &at_ms(0, fails(4)), &[(1000, "Full"), (1000, "Full")]);
        check(&mut memory, &at_ms(100, fails(5)), &[(1000, "Full"), (0, "Ejected")]);
        check(&mut memory, &at_ms(5000, fails(5)), &[(1000, "Full"), (0, "Ejected")]);
        check(&mut memory, &at_ms(5100, fails(5)), &[(1000, "Full"), (100, "Starting")]);
        check(&mut memory, &at_ms(5200, fails(6)), &[(1000, "Full"), (0, "Ejected")]);
        check(&mut memory, &at_ms(15_100, fails(6)), &[(1000, "Full"), (0, "Ejected")]);
        check(&mut memory, &at_ms(15_200, fails(6)), &[(1000, "Full"), (100, "Starting")]);
    }

    #[test]
    fn when_all_fail_half_of_them_stay() {
        let mut memory = Memory::default();
        let all = vec![replica(1, 9), replica(2, 9), replica(3, 9)];
        check(&mut memory, &at_ms(0, all), &[(0, "Ejected"), (1000, "Spared"), (1000, "Spared")]);
        check(&mut Memory::default(), &at_ms(0, vec![replica(1, 9)]), &[(1000, "Spared")]);
    }

    #[test]
    fn one_that_was_left_out_is_needed_when_others_die() {
        let mut memory = Memory::default();
        let mut both = vec![replica(1, 0), replica(2, 9)];
        check(&mut memory, &at_ms(0, both.clone()), &[(1000, "Full"), (0, "Ejected")]);
        both[0].gone = true;
        check(&mut memory, &at_ms(100, both), &[(0, "Closed"), (100, "Starting")]);
    }

    #[test]
    fn one_that_was_started_again_begins_anew() {
        let mut memory = Memory::default();
        let mut all = vec![replica(1, 0), replica(2, 9)];
        check(&mut memory, &at_ms(0, all.clone()), &[(1000, "Full"), (0, "Ejected")]);
        all[1].start = 2;
        check(&mut memory, &at_ms(100, all.clone()), &[(1000, "Full"), (100, "Starting")]);
        check(&mut memory, &at_ms(2000, all), &[(1000, "Full"), (1000, "Full")]);
    }

    #[test]
    fn a_slow_latency_is_forgotten_without_answers() {
        let mut memory = Memory::default();
        let mut one = replica(1, 0);
        one.answers = 4;
        let policy = Resilience::default();
        assert_eq!(weigh(&policy, &mut memory, &at_ms(0, vec![one.clone()]))[0].latency_us, 1000);
        assert_eq!(weigh(&policy, &mut memory, &at_ms(3000, vec![one]))[0].latency_us, 500);
    }
}
