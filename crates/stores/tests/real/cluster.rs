//! A real Redis Cluster: formed, cut short, broken, repaired.

use crate::house::{House, store, until};
use crate::redis::{ask, connect};
use plimsoll_model::store::{Cluster, Engine};
use plimsoll_stores::{MemberSeen, StoreError};
use std::fs;

fn cluster(masters: u32, replicas_per_master: u32) -> House {
    let mut wanted = store(Engine::Redis);
    wanted.cluster = Some(Cluster { masters, replicas_per_master });
    // On a busy machine nobody is to take over but where a test waits for it.
    wanted.settings.insert("cluster-node-timeout".to_owned(), "10000".to_owned());
    House::new("filter", wanted)
}

/// The URLs of the members.
fn urls(house: &House) -> Vec<String> {
    let url = house.driver().url();
    let (login, addresses) = url.strip_prefix("redis+cluster://").unwrap().split_once('@').unwrap();
    addresses.split(',').map(|address| format!("redis://{login}@{address}")).collect()
}

/// A client as services have it.
async fn client(house: &House) -> redis::cluster_async::ClusterConnection {
    redis::cluster::ClusterClient::new(urls(house)).unwrap().get_async_connection().await.unwrap()
}

/// Writes keys all over the slots.
async fn write(house: &House, value: &str) {
    let mut client = client(house).await;
    for key in 0..200 {
        let () = redis::cmd("SET").arg(format!("key-{key}")).arg(value).query_async(&mut client).await.unwrap();
    }
}

/// How many of the keys have that value.
async fn read(house: &House, value: &str) -> usize {
    let mut client = client(house).await;
    let mut found = 0;
    for key in 0..200 {
        let have: Option<String> = redis::cmd("GET").arg(format!("key-{key}")).query_async(&mut client).await.unwrap();
        found += usize::from(have.as_deref() == Some(value));
    }
    found
}

/// The members, once all is well and every replica has all.
async fn members(house: &House) -> Vec<MemberSeen> {
    let driver = house.driver();
    until(|| async {
        let seen = driver.inspect().await;
        let copied = seen.members.iter().all(|member| member.lag_bytes.is_none_or(|lag| lag == 0));
        if seen.healthy && copied { Ok(seen.members) } else { Err(format!("{seen:?}")) }
    })
    .await
}

fn of_role(members: &[MemberSeen], role: &str) -> usize {
    members.iter().filter(|member| member.role == role).count()
}

#[tokio::test]
async fn forms_rests_and_comes_back_after_a_restart_of_all() {
    let mut house = cluster(3, 1);
    house.start_all().await;
    let done = house.driver().provision().await.unwrap().done;
    assert!(done.iter().any(|line| line.contains("slots given to member 2")), "{done:?}");
    let seen = members(&house).await;
    assert_eq!((of_role(&seen, "master"), of_role(&seen, "replica")), (3, 3));
    assert_eq!(house.driver().provision().await.unwrap().done, Vec::<String>::new());
    let mut first = connect(&urls(&house)[0]).await.unwrap();
    let timeout: Vec<String> = ask(&mut first, &["CONFIG", "GET", "cluster-node-timeout"]).await.unwrap();
    assert_eq!(timeout[1], "10000");
    write(&house, "kept").await;

    for member in 0..6 {
        assert!(house.stop(member).success());
    }
    assert!(!house.driver().inspect().await.healthy);
    house.start_all().await;
    assert_eq!(house.driver().provision().await.unwrap().done, Vec::<String>::new(), "by itself");
    assert_eq!(read(&house, "kept").await, 200);

    for member in 0..6 {
        house.kill(member);
    }
    house.start_all().await;
    assert_eq!(house.driver().provision().await.unwrap().done, Vec::<String>::new(), "by itself, also after kills");
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn forming_that_was_cut_short_goes_on_from_where_it_was() {
    let mut house = cluster(3, 1);
    house.start_all().await;
    let driver = house.driver();
    // Each round is cut off a little later, wherever it is then, until one is whole.
    let mut cuts = 0;
    for step in 1u64.. {
        let limit = std::time::Duration::from_millis(step * 15);
        match tokio::time::timeout(limit, driver.provision()).await {
            Ok(Ok(_)) => break,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => cuts += 1,
        }
        assert!(step < 1000, "never whole");
    }
    assert!(cuts > 0);
    let seen = members(&house).await;
    assert_eq!((of_role(&seen, "master"), of_role(&seen, "replica")), (3, 3));
}

#[tokio::test]
async fn members_killed_while_it_forms_are_taken_back() {
    let mut house = cluster(3, 1);
    house.start_all().await;
    for round in 0..6 {
        let driver = house.driver();
        let limit = std::time::Duration::from_millis(20 + 40 * round);
        let _ = tokio::time::timeout(limit, driver.provision()).await;
        let victim = usize::try_from(round).unwrap();
        house.kill(victim);
        house.start(victim).await;
    }
    house.driver().provision().await.unwrap();
    let seen = members(&house).await;
    assert_eq!((of_role(&seen, "master"), of_role(&seen, "replica")), (3, 3));
}

#[tokio::test]
async fn a_replica_takes_over_and_the_old_master_comes_back_as_one() {
    let mut house = cluster(3, 1);
    house.store.settings.insert("cluster-node-timeout".to_owned(), "2000".to_owned());
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    members(&house).await;
    house.kill(0);
    let driver = house.driver();
    until(|| async {
        let seen = driver.inspect().await;
        (of_role(&seen.members, "master") == 3).then_some(()).ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    house.start(0).await;
    assert_eq!(house.driver().provision().await.unwrap().done, Vec::<String>::new(), "by itself");
    let seen = members(&house).await;
    assert_eq!(seen[0].role, "replica");
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn a_member_whose_folder_is_gone_is_repaired_and_its_replica_serves() {
    let mut house = cluster(3, 1);
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    members(&house).await;
    // Two of three masters lose everything: no majority is left that could vote.
    for member in [0, 1] {
        house.kill(member);
    }
    for member in [0, 1] {
        fs::remove_dir_all(house.site.data.join(member.to_string())).unwrap();
    }
    for member in [0, 1] {
        house.start(member).await;
    }
    let provisioned = house.driver().provision().await.unwrap();
    assert!(provisioned.notes.iter().all(|note| !note.contains("empty")), "{provisioned:?}");
    let seen = members(&house).await;
    assert_eq!((of_role(&seen, "master"), of_role(&seen, "replica")), (3, 3));
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn a_cache_that_writes_nothing_is_not_emptied_by_a_restart_of_its_master() {
    let mut house = cluster(3, 1);
    house.store.persistent = false;
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    members(&house).await;
    house.kill(0);
    house.start(0).await;
    let provisioned = house.driver().provision().await.unwrap();
    assert!(provisioned.notes.iter().any(|note| note.contains("came back without its data")), "{provisioned:?}");
    let seen = members(&house).await;
    assert_eq!((seen[0].role.as_str(), of_role(&seen, "master")), ("replica", 3));
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn members_find_each_other_again_at_other_ports() {
    let mut house = cluster(3, 1);
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    for member in 0..6 {
        house.stop(member);
    }
    house.move_ports();
    house.start_all().await;
    house.driver().provision().await.unwrap();
    let seen = members(&house).await;
    assert_eq!((of_role(&seen, "master"), of_role(&seen, "replica")), (3, 3));
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn slots_whose_only_data_is_gone_are_served_again_and_it_is_told() {
    let mut house = cluster(3, 0);
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    house.kill(1);
    fs::remove_dir_all(house.site.data.join("1")).unwrap();
    house.start(1).await;
    let provisioned = house.driver().provision().await.unwrap();
    assert!(provisioned.notes.iter().any(|note| note.contains("served again empty")), "{provisioned:?}");
    let left = read(&house, "kept").await;
    assert!((100..200).contains(&left), "two thirds of the slots kept their keys: {left}");
    write(&house, "new").await;
}

#[tokio::test]
async fn keys_in_slots_that_nobody_has_are_not_given_away() {
    let mut house = cluster(3, 0);
    house.start_all().await;
    house.driver().provision().await.unwrap();
    write(&house, "kept").await;
    let url = urls(&house).swap_remove(0);
    let mut first = connect(&url).await.unwrap();
    let before: u64 = ask(&mut first, &["DBSIZE"]).await.unwrap();
    let _: String = ask(&mut first, &["CLUSTER", "DELSLOTSRANGE", "0", "5461"]).await.unwrap();
    let error = house.driver().provision().await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && error.to_string().contains("CLUSTER ADDSLOTS"), "{error}");
    assert_eq!(ask::<u64>(&mut first, &["DBSIZE"]).await.unwrap(), before);
    let _: String = ask(&mut first, &["CLUSTER", "ADDSLOTSRANGE", "0", "5461"]).await.unwrap();
    house.driver().provision().await.unwrap();
    assert_eq!(read(&house, "kept").await, 200);
}

#[tokio::test]
async fn a_hanging_member_is_told_and_waited_for() {
    let mut house = cluster(3, 0);
    house.start_all().await;
    house.driver().provision().await.unwrap();
    let pid = i32::try_from(house.pid(1)).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    assert!(house.driver().ready(1).await.is_err());
    let seen = house.driver().inspect().await;
    assert!(!seen.healthy && seen.members[1].role == "unknown" && seen.summary.contains("member 1"), "{seen:?}");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    house.driver().provision().await.unwrap();
    members(&house).await;
}

#[test]
fn too_few_masters_and_too_high_ports_are_refused() {
    let mut house = cluster(3, 0);
    house.site.ports[2] = 60_000;
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("55535")));
    house.store.cluster = Some(Cluster { masters: 2, replicas_per_master: 0 });
    house.site.ports.truncate(2);
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("at least 3 masters")));
}
