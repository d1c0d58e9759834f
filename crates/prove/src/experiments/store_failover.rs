//! `failover` of a store: its primary is killed, and made to hang, under writes of our own. How long until the first new write
//! is acknowledged, and how many acknowledged ones are lost?

use std::time::{Duration, Instant};

use plimsoll_api::status::{MemberStatus, StoreStatus};
use plimsoll_model::promise::{KILLS, Promise};
use plimsoll_model::store::{Engine, Store};
use rustix::process::Signal;

use crate::frozen::{self, Frozen};
use crate::judge::{self, StoreFailoverSeen};
use crate::lab::{LOOK_CALMLY, Lab, OLD_ENOUGH};
use crate::proof::{Figure, Shown, Unproven, figure, time};
use crate::writes::Writes;

/// So many writes must be acknowledged before the primary is hurt.
const WRITES_BEFORE: u64 = 50;
/// How often the list of acknowledged writes is looked at.
const LOOK: Duration = Duration::from_millis(2);
const SEE: &str = "see `plimsoll status` and `plimsoll events`";

/// What is promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) store: &'a str,
    pub(crate) max: Duration,
    pub(crate) lost: u32,
}

/// What is done to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Kill,
    Hang,
}

/// Measures one promise of a store's failover.
pub(crate) async fn run(lab: &Lab, promise: &Promise, wanted: Wanted<'_>) -> Result<Shown, Unproven> {
    let store = lab.system.stores.get(wanted.store);
    let store = store.ok_or_else(|| Unproven::new("there is no such store", "correct the promise"))?;
    let takes_over = can_be_taken_over(store)?;
    let mut harms = vec![Harm::Kill; promise.load.kills.unwrap_or(KILLS) as usize];
    if takes_over {
        harms.extend(vec![Harm::Hang; harms.len()]);
    }
    let primary = lab.unless_stopped(primary(lab, wanted.store, store)).await?;
    let mut writes = begin(lab, wanted.store, store, &primary).await?;
    let mut seen = StoreFailoverSeen {
        wanted: u32::try_from(harms.len()).unwrap_or(u32::MAX),
        waited: lab.options.patience.max(wanted.max),
        takes_over,
        ..StoreFailoverSeen::default()
    };
    let mut figures = Vec::new();
    let tried = lab.unless_stopped(all(lab, (wanted, store), &writes, &harms, (&mut seen, &mut figures))).await;
    // Whatever came of it, the store is whole and without our writes before anything else is proved.
    let whole = self::primary(lab, wanted.store, store).await;
    seen.acknowledged = writes.count();
    let lost = writes.lost().await;
    let left = writes.remove().await.err();
    let left = left.map(|why| format!("what was written to test with: {why}; the next `prove` removes it"));
    tried.map_err(|unproven| with_what_is_left(unproven, left.as_deref()))?;
    match lost {
        Ok(lost) => seen.lost = Some(lost),
        Err(why) => figures.push(figure("what was written", format!("can't be read: {why}"))),
    }
    figures.extend(left.map(|left| figure("left behind", left)));
    if let Err(not) = whole {
        figures.push(figure("afterwards", format!("the store is not whole again: {not}")));
    }
    let judgement = judge::store_failover((wanted.max, wanted.lost), &seen);
    let statement = statement(wanted.store, store, takes_over);
    // What could not be read is no evidence of nothing lost.
    let (requests, failed) = seen.lost.map_or((0, 0), |lost| (seen.acknowledged, lost));
    Ok(Shown { judgement, statement, figures, requests, failed, runs: Vec::new() })
}

/// Who reads why nothing was shown reads also what was not taken out.
fn with_what_is_left(unproven: Unproven, left: Option<&str>) -> Unproven {
    match left {
        Some(left) => Unproven { why: format!("{}; left behind: {left}", unproven.why), ..unproven },
        None => unproven,
    }
}

/// Whether another member can take over.
fn can_be_taken_over(store: &Store) -> Result<bool, Unproven> {
    if store.external.is_some() {
        return Err(Unproven::new("the store is external: it is used, and never killed", "prove it where it is run"));
    }
    match store.engine {
        Engine::Postgres => Ok(store.instances > 1),
        Engine::Redis => Ok(store.cluster.as_ref().is_some_and(|cluster| cluster.replicas_per_master > 0)),
        other => Err(Unproven::new(
            format!("this version has no experiment for a failover of {other:?}"),
            "nothing: it comes with a later version",
        )),
    }
}

fn statement(name: &str, store: &Store, takes_over: bool) -> String {
    let what = if takes_over {
        "Shows how long after a SIGKILL, and after a SIGSTOP, of the primary's processes the first write was acknowledged by another server"
    } else {
        "The store has one server, so nobody takes over: shows how long after a SIGKILL of it the first write was acknowledged by it started again"
    };
    let copies = match (takes_over, store.waits_for_standby()) {
        (true, false) => {
            " Its copies are asynchronous: what was acknowledged may be lost with the machine that a primary is on."
        }
        _ => "",
    };
    format!(
        "{what}, with 4 clients of {name} that write and connect again at once, and that every acknowledged write was looked for afterwards; \
         it does not show the loss of this machine or of a disk.{copies}"
    )
}

/// The member that takes writes, once the store is whole: all members run, and follow it.
async fn primary(lab: &Lab, name: &str, store: &Store) -> Result<MemberStatus, Unproven> {
    let mut primary = None;
    lab.wait(LOOK_CALMLY, |status| {
        primary = status.stores.get(name).filter(|seen| is_whole(store, seen)).and_then(primary_of);
        primary.is_some()
    })
    .await;
    primary.ok_or_else(|| {
        let why = format!(
            "{name} is not whole within {} s: not all of its members run and follow",
            lab.options.patience.as_secs()
        );
        Unproven::new(why, SEE)
    })
}

fn primary_of(seen: &StoreStatus) -> Option<MemberStatus> {
    let takes_writes = |member: &&MemberStatus| matches!(member.role.as_str(), "primary" | "master");
    seen.members.iter().find(takes_writes).cloned()
}

fn is_whole(store: &Store, seen: &StoreStatus) -> bool {
    let masters = store.cluster.as_ref().map_or(1, |cluster| cluster.masters as usize);
    let of = |role: &str| seen.members.iter().filter(|member| member.role == role).count();
    let follow = |member: &MemberStatus| member.role != "standby" || member.detail.starts_with("follows");
    seen.ready
        && seen.members.iter().all(|member| member.pid.is_some() && !member.role.is_empty() && follow(member))
        && of("primary") + of("master") == masters
}

async fn begin(lab: &Lab, name: &str, store: &Store, primary: &MemberStatus) -> Result<Writes, Unproven> {
    let url = lab.options.stores.get(name).ok_or_else(|| {
        Unproven::new(format!("the password of {name} can't be read"), "run it as the user who brought the system up")
    })?;
    let begun = match store.engine {
        Engine::Postgres => Writes::to_postgres(url).await,
        _ => Writes::to_redis(url, primary.port).await,
    };
    begun.map_err(|why| Unproven::new(format!("{name} takes no writes: {why}"), SEE))
}

/// Hurts it, time after time.
async fn all(
    lab: &Lab,
    (wanted, store): (Wanted<'_>, &Store),
    writes: &Writes,
    harms: &[Harm],
    (seen, figures): (&mut StoreFailoverSeen, &mut Vec<Figure>),
) -> Result<(), Unproven> {
    for harm in harms {
        let Ok(victim) = victim(lab, wanted.store, (store, writes)).await else { break };
        let took = one(writes, &victim, *harm, seen.waited).await?;
        let signal = if *harm == Harm::Kill { "SIGKILL" } else { "SIGSTOP" };
        let after = took.map_or_else(|| "never".to_owned(), time);
        figures.push(figure(&format!("{signal} of {}", victim.name), format!("first new write after {after}")));
        seen.first_write.push(took);
        if took.is_none() {
            break;
        }
    }
    Ok(())
}

/// Who takes the writes, once it is old enough for its death to be no crash loop, and writes come through.
async fn victim(lab: &Lab, name: &str, (store, writes): (&Store, &Writes)) -> Result<MemberStatus, Unproven> {
    let before = writes.count();
    let began = Instant::now();
    while began.elapsed() < lab.options.patience {
        let mut member = primary(lab, name, store).await?;
        // Of a cluster the one is meant that keeps our key, whoever that is by now.
        if store.cluster.is_some() {
            let status = lab.status().await?;
            let members = status.stores.get(name).map(|seen| seen.members.clone()).unwrap_or_default();
            let keeper = writes.port();
            let found = members.into_iter().find(|member| Some(member.port) == keeper && member.role == "master");
            let Some(found) = found else {
                tokio::time::sleep(LOOK_CALMLY).await;
                continue;
            };
            member = found;
        }
        let old = member.pid.and_then(frozen::age).is_some_and(|age| age >= OLD_ENOUGH);
        if old && writes.count() >= before + WRITES_BEFORE {
            return Ok(member);
        }
        tokio::time::sleep(LOOK_CALMLY).await;
    }
    Err(Unproven::new(format!("{name} took too few writes"), SEE))
}

/// Hurts the primary; how long it took until another process acknowledged a write. `None`: not in `patience`.
async fn one(
    writes: &Writes,
    victim: &MemberStatus,
    harm: Harm,
    patience: Duration,
) -> Result<Option<Duration>, Unproven> {
    let failed = |why: String| Unproven::new(format!("cannot hurt {}: {why}", victim.name), "run it as the same user");
    let pid = victim.pid.ok_or_else(|| failed("it has ended".to_owned()))?;
    let former = writes.server().ok_or_else(|| failed("nobody answers".to_owned()))?;
    let began = Instant::now();
    // Kept until the end of it: what hangs goes on when this is dropped.
    let _hangs = match harm {
        Harm::Kill => {
            frozen::signal(pid, Signal::KILL).map_err(failed)?;
            None
        }
        Harm::Hang => Some(Frozen::freeze(pid).map_err(failed)?),
    };
    while began.elapsed() < patience {
        if let Some(at) = writes.first_by_another(&former, began) {
            return Ok(Some(at.duration_since(began)));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_told_also_of_an_experiment_that_was_interrupted() {
        let interrupted = || Unproven::new("it was interrupted", "run it again");
        let told = with_what_is_left(interrupted(), Some("a schema: no answer"));
        assert_eq!(
            (told.why.as_str(), told.todo.as_str()),
            ("it was interrupted; left behind: a schema: no answer", "run it again")
        );
        assert_eq!(with_what_is_left(interrupted(), None), interrupted());
    }
}
