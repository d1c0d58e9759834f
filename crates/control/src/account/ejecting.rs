//! How the shares of a service's replicas came about, and why one is left out.

use super::{Account, Answer, Eject, Turn};
use crate::route::{Memory, Seen, SeenReplica, Standing, Weighed, weigh};

pub(super) fn ask(asked: &Eject) -> Answer {
    answer(&asked.seen, &decide(asked))
}

fn decide(asked: &Eject) -> Vec<Weighed> {
    let mut memory = asked.memory.clone();
    weigh(&asked.policy, &mut memory, &asked.seen)
}

pub(super) fn answer(seen: &Seen, weighed: &[Weighed]) -> Answer {
    let each = seen.replicas.iter().zip(weighed);
    let acts = each.map(|(replica, weighed)| {
        let share = weighed.share;
        match weighed.standing {
            Standing::Full => format!("{} gets {share}", replica.id),
            Standing::Starting { until } => {
                format!("{} gets {share} (starting, {} more)", replica.id, until.since(seen.at))
            }
            Standing::Ejected { until } => format!("{} is left out for {}", replica.id, until.since(seen.at)),
            Standing::Spared => format!("{} gets {share} though it fails", replica.id),
            Standing::Closed => format!("{} is closed", replica.id),
        }
    });
    let act = acts.collect::<Vec<_>>().join(", ");
    let out = weighed.iter().filter(|one| matches!(one.standing, Standing::Ejected { .. })).count();
    Answer { act, why: format!("{out} of {} replicas are left out", weighed.len()) }
}

pub(super) fn account(asked: &Eject) -> Account {
    let Eject { policy, memory, seen } = asked;
    let alive = seen.replicas.iter().filter(|replica| replica.serving && !replica.gone).count();
    let mut steps = vec![format!(
        "{alive} replicas serve and live: at most {} of them may be left out at once; {} failures in a row leave one out",
        alive / 2,
        policy.eject_after.max(1)
    )];
    let weighed = decide(asked);
    steps.extend(seen.replicas.iter().zip(&weighed).map(|(replica, weighed)| said(memory, seen, replica, weighed)));
    Account { steps, otherwise: otherwise(asked, &weighed) }
}

/// One replica in a line.
fn said(memory: &Memory, seen: &Seen, replica: &SeenReplica, weighed: &Weighed) -> String {
    let mut said = format!("{}: {} failures in a row", replica.id, replica.failures);
    let (times, probation) = memory.standing_of(&replica.id);
    if times > 0 {
        said.push_str(&format!(", left out {times} times before"));
    }
    if probation {
        said.push_str(", on probation: one more failure counts");
    }
    let then = match weighed.standing {
        Standing::Full => "its whole share".into(),
        Standing::Starting { .. } => format!("a share of {} of 1000: it is new, or back", weighed.share),
        Standing::Ejected { until } => format!("left out, for {}", until.since(seen.at)),
        Standing::Spared => "kept: too many are left out already".into(),
        Standing::Closed => "no share: it is drained, has no weight, or its process is gone".into(),
    };
    format!("{said}: {then}")
}

/// Who is left out from now on, or no longer.
pub(super) fn turns(asked: &Eject) -> Vec<Turn> {
    let each = asked.seen.replicas.iter().zip(decide(asked));
    let turn = |(replica, weighed): (&SeenReplica, Weighed)| {
        let before = asked.memory.leaves_out(&replica.id);
        let out = matches!(weighed.standing, Standing::Ejected { .. });
        let turned = before != out && weighed.standing != Standing::Closed;
        let why = said(&asked.memory, &asked.seen, replica, &weighed);
        turned.then(|| Turn { replica: replica.id.clone(), out, why })
    };
    each.filter_map(turn).collect()
}

/// Who would have another standing, with one failure fewer or a limit that is one higher.
fn otherwise(asked: &Eject, given: &[Weighed]) -> Vec<String> {
    let mut lines = Vec::new();
    for (place, (replica, weighed)) in asked.seen.replicas.iter().zip(given).enumerate() {
        let is_out = matches!(weighed.standing, Standing::Ejected { .. });
        if !is_out || replica.failures == 0 {
            continue;
        }
        let mut fewer = asked.clone();
        fewer.seen.replicas[place].failures -= 1;
        let mut higher = asked.clone();
        higher.policy.eject_after = u16::try_from(replica.failures.saturating_add(1)).unwrap_or(u16::MAX);
        let limit = format!("with a limit of {} failures in a row", higher.policy.eject_after);
        let less = format!("with {} failures in a row instead of {}", replica.failures - 1, replica.failures);
        for (what, other) in [(less, fewer), (limit, higher)] {
            if !matches!(decide(&other)[place].standing, Standing::Ejected { .. }) {
                lines.push(format!("{what}: {} would not have been left out", replica.id));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Instant, ReplicaId, route::Resilience};

    fn asked(failures: [u32; 2]) -> Eject {
        let replica = |(place, failures): (usize, u32)| SeenReplica {
            id: ReplicaId::new("web", place as u64 + 1),
            start: 1,
            serving: true,
            gone: false,
            weight: 1000,
            failures,
            answers: 10,
            latency_us: 0,
        };
        let replicas = failures.into_iter().enumerate().map(replica).collect();
        let seen = Seen { at: Instant(1_000_000), replicas };
        Eject { policy: Resilience::default(), memory: Memory::default(), seen }
    }

    #[test]
    fn an_ejection_tells_its_count_and_that_one_fewer_would_have_kept_it() {
        let asked = asked([0, 5]);
        assert_eq!(ask(&asked).act, "web-1 gets 1000, web-2 is left out for 5s");
        let account = account(&asked);
        assert_eq!(account.steps[2], "web-2: 5 failures in a row: left out, for 5s");
        let want = [
            "with 4 failures in a row instead of 5: web-2 would not have been left out",
            "with a limit of 6 failures in a row: web-2 would not have been left out",
        ];
        assert_eq!(account.otherwise, want);
        let turns = turns(&asked);
        assert_eq!((turns.len(), turns[0].replica.serial, turns[0].out), (1, 2, true));
    }

    #[test]
    fn without_an_ejection_there_is_nothing_to_undo() {
        assert!(account(&asked([0, 4])).otherwise.is_empty());
    }
}
