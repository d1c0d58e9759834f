//! Forming, checking and repairing a Redis Cluster: look, let [`plimsoll_control::cluster`] choose a step, take it, look again.

use super::{
    config::{BUS, NODE_TIMEOUT, REPLICATION},
    nodes, session,
};
use crate::{
    secret::Secret,
    seen::{Inspection, MemberSeen, Provisioned},
    text,
};
use futures_util::future::join_all;
use plimsoll_control::cluster::{Act, Decision, Policy, Seen, SlotRange, View, decide, seen};
use plimsoll_model::store::Cluster;
use std::{path::PathBuf, time::Duration};
use tokio::time::{Instant, sleep};

/// How long nothing may change before forming is given up, to be tried again: longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it may take at most, though it changes.
const PATIENCE_AT_MOST: Duration = Duration::from_secs(120);

/// Between two looks: members settle things in a few of their own rounds of 100 ms.
const PAUSE: Duration = Duration::from_millis(50);

/// Where a member is.
pub(crate) struct Place {
    /// Its port.
    pub port: u16,
    /// Its Unix socket.
    pub socket: PathBuf,
}

/// What it is to be.
pub(crate) struct Wanted {
    /// Its shape.
    pub cluster: Cluster,
    /// How long a member may be silent once it is whole, in milliseconds.
    pub node_timeout_ms: String,
}

/// Why it is not formed.
pub(crate) enum Failed {
    /// A person must decide.
    Refused(String),
    /// It takes longer.
    Late(String),
}

/// Takes steps until the cluster is whole.
pub(crate) async fn form(places: &[Place], password: &Secret, wanted: &Wanted) -> Result<Provisioned, Failed> {
    let policy = policy(wanted.cluster);
    let started = Instant::now();
    let mut changed = started;
    let mut provisioned = Provisioned::default();
    loop {
        let seen = look(places, password).await;
        let decision = decide(&policy, &seen);
        if decision.notable && !provisioned.notes.contains(&decision.reason) {
            provisioned.notes.push(decision.reason.clone());
        }
        let mut why = decision.reason.clone();
        match &decision.act {
            Act::Rest => {
                return match settle(places, password, &wanted.node_timeout_ms).await {
                    Ok(()) => Ok(provisioned),
                    Err(why) => Err(Failed::Late(why)),
                };
            }
            Act::Refuse => return Err(Failed::Refused(decision.reason)),
            Act::Wait => {}
            act => match take(places, password, &seen, act).await {
                Ok(()) => {
                    provisioned.done.extend(told(&decision));
                    changed = Instant::now();
                    if started.elapsed() < PATIENCE_AT_MOST {
                        continue;
                    }
                }
                Err(error) => why = format!("{why}: {error}"),
            },
        }
        if changed.elapsed() > PATIENCE || started.elapsed() > PATIENCE_AT_MOST {
            return Err(Failed::Late(why));
        }
        sleep(PAUSE).await;
    }
}

/// From now on members may be silent for longer.
async fn settle(places: &[Place], password: &Secret, node_timeout_ms: &str) -> Result<(), String> {
    for place in places {
        let session = session::open(&place.socket, password).await?;
        session.ask::<String>(&["CONFIG", "SET", NODE_TIMEOUT, node_timeout_ms]).await?;
    }
    Ok(())
}

fn policy(cluster: Cluster) -> Policy {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Policy { masters: size(cluster.masters), replicas_per_master: size(cluster.replicas_per_master) }
}

/// What was done, for a person; `None`: what is done after every start.
fn told(decision: &Decision) -> Option<String> {
    Some(match &decision.act {
        Act::SetEpoch { member, epoch } => format!("member {member} starts in epoch {epoch}"),
        Act::Meet { member, others } => {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            format!("member {member} met {}", others.join(", "))
        }
        Act::AddSlots { member, ranges } => format!("{} slots given to member {member}", seen::count(ranges)),
        Act::Replicate { member, master } => format!("member {member} copies member {master}"),
        Act::TakeOver { member } => format!("member {member} took over: {}", decision.reason),
        Act::Forget { .. } => decision.reason.clone(),
        Act::Open { .. } | Act::Wait | Act::Rest | Act::Refuse => return None,
    })
}

/// Takes a step.
async fn take(places: &[Place], password: &Secret, seen: &Seen, act: &Act) -> Result<(), String> {
    match act {
        Act::SetEpoch { member, epoch } => {
            ask(&places[*member], password, &["SET-CONFIG-EPOCH", &epoch.to_string()]).await?;
        }
        Act::Meet { member, others } => {
            for other in others {
                let port = places[*other].port;
                let bus = (port + BUS).to_string();
                ask(&places[*member], password, &["MEET", "127.0.0.1", &port.to_string(), &bus]).await?;
            }
        }
        Act::AddSlots { member, ranges } => {
            let bounds: Vec<String> =
                ranges.iter().flat_map(|range| [range.first.to_string(), range.last.to_string()]).collect();
            let mut words = vec!["ADDSLOTSRANGE"];
            words.extend(bounds.iter().map(String::as_str));
            ask(&places[*member], password, &words).await?;
        }
        Act::Replicate { member, master } => {
            let master = seen.members[*master].as_ref().and_then(View::myself).map_or("", |node| &node.id);
            ask(&places[*member], password, &["REPLICATE", master]).await?;
        }
        Act::Open { members } => {
            for member in members {
                let session = session::open(&places[*member].socket, password).await?;
                session.ask::<String>(&["ACL", "SETUSER", REPLICATION, "on"]).await?;
            }
        }
        Act::TakeOver { member } => ask(&places[*member], password, &["FAILOVER", "TAKEOVER"]).await?,
        Act::Forget { node } => {
            for (place, view) in places.iter().zip(&seen.members) {
                if view.as_ref().is_some_and(|view| view.of(node).is_some()) {
                    ask(place, password, &["FORGET", node]).await?;
                }
            }
        }
        Act::Wait | Act::Rest | Act::Refuse => {}
    }
    Ok(())
}

async fn ask(place: &Place, password: &Secret, words: &[&str]) -> Result<(), String> {
    let mut command = vec!["CLUSTER"];
    command.extend(words);
    session::open(&place.socket, password).await?.ask::<String>(&command).await.map(drop)
}

/// What the members say now. All are asked at once, so that some that hang cost no more time than one.
async fn look(places: &[Place], password: &Secret) -> Seen {
    let asked = join_all(places.iter().map(|place| look_at(place, password))).await;
    let mut members: Vec<Option<View>> = asked.into_iter().map(Result::ok).collect();
    let held = members.iter().flatten().flat_map(|view| view.myself().map_or(&[][..], |me| &me.slots));
    let free = seen::uncovered(held);
    if !free.is_empty() {
        for (place, view) in places.iter().zip(&mut members) {
            let Some(known) = view.as_mut().filter(|known| known.keys > 0) else { continue };
            match stray_keys(place, password, &free).await {
                Ok(keys) => known.stray_keys = keys,
                // What can't be counted can't be judged.
                Err(_) => *view = None,
            }
        }
    }
    Seen { members }
}

async fn look_at(place: &Place, password: &Secret) -> Result<View, String> {
    let session = session::open(&place.socket, password).await?;
    let nodes: String = session.ask(&["CLUSTER", "NODES"]).await?;
    let state: String = session.ask(&["CLUSTER", "INFO"]).await?;
    let keys: u64 = session.ask(&["DBSIZE"]).await?;
    let users: Vec<String> = session.ask(&["ACL", "LIST"]).await?;
    let info = session.info().await?;
    let replica = info.text("role") == "slave";
    Ok(View {
        port: place.port,
        known: nodes::parse(&nodes),
        keys,
        stray_keys: 0,
        offset: info.number(if replica { "slave_repl_offset" } else { "master_repl_offset" }),
        copies_port: if replica { info.number("master_port").try_into().unwrap_or(0) } else { 0 },
        linked: !replica || info.text("master_link_status") == "up",
        open: users.iter().any(|line| line.starts_with(&format!("user {REPLICATION} on "))),
        ok: state.lines().any(|line| line.trim_end() == "cluster_state:ok"),
    })
}

/// How many keys a member has in slots that nobody has.
async fn stray_keys(place: &Place, password: &Secret, free: &[SlotRange]) -> Result<u64, String> {
    let commands: Vec<Vec<String>> = free
        .iter()
        .flat_map(|range| range.first..=range.last)
        .map(|slot| ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()].map(str::to_owned).to_vec())
        .collect();
    session::open(&place.socket, password).await?.sum(&commands).await
}

/// How the cluster is now.
pub(crate) async fn inspect(places: &[Place], password: &Secret, cluster: Cluster) -> Inspection {
    let seen = look(places, password).await;
    let decision = decide(&policy(cluster), &seen);
    let members: Vec<MemberSeen> = (0..places.len()).map(|place| member(place, &seen)).collect();
    let healthy = decision.act == Act::Rest;
    let count = |role: &str| members.iter().filter(|member| member.role == role).count();
    let summary = if healthy && !decision.notable {
        format!("Redis Cluster: {} masters, {} replicas, all slots served", count("master"), count("replica"))
    } else {
        format!("Redis Cluster: {}", decision.reason)
    };
    Inspection { members, healthy, summary }
}

fn member(place: usize, seen: &Seen) -> MemberSeen {
    let name = place.to_string();
    let Some((view, me)) = seen.members[place].as_ref().and_then(|view| Some((view, view.myself()?))) else {
        return MemberSeen::silent(name, "doesn't answer");
    };
    if me.master {
        let detail = format!("{} slots, {} keys", seen::count(&me.slots), view.keys);
        return MemberSeen { name, role: "master".to_owned(), lag_bytes: None, ok: view.ok, detail };
    }
    let mut others = seen.members.iter().enumerate().filter_map(|(place, view)| Some((place, view.as_ref()?)));
    let master = others.find(|(_, other)| other.myself().is_some_and(|node| Some(&node.id) == me.of.as_ref()));
    let lag = master.map(|(_, other)| other.offset.saturating_sub(view.offset));
    let detail = match (master, lag) {
        (Some((of, _)), Some(lag)) => format!("copies member {of}, {} behind, {} keys", text::bytes(lag), view.keys),
        _ => format!("its master doesn't answer, {} keys", view.keys),
    };
    MemberSeen { name, role: "replica".to_owned(), lag_bytes: lag, ok: view.ok && view.linked, detail }
}
