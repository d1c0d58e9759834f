//! PostgreSQL and what can go wrong.

use crate::house::{House, pid_of, store, until};
use crate::postgres::{connect, texts};
use plimsoll_model::store::Engine;
use plimsoll_stores::StoreError;
use std::{fs, path::Path, process::Stdio};

#[tokio::test]
async fn a_killed_server_recovers_what_was_committed() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    house.driver().provision().await.unwrap();
    let url = house.driver().url();
    connect(&url).await.unwrap().batch_execute("CREATE TABLE t (x text); INSERT INTO t VALUES ('a')").await.unwrap();
    for round in 0..3 {
        house.kill(0);
        house.start(0).await;
        let client = connect(&url).await.unwrap();
        assert_eq!(texts(&client, "SELECT x FROM t").await.len(), round + 1);
        client.batch_execute("INSERT INTO t VALUES ('b')").await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_whose_process_id_was_given_to_another_process_is_cleared() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    house.kill(0);
    let driver = house.driver();
    until(|| async { driver.before_start(0).map_err(|error| error.to_string()) }).await;
    // Another process of the same account, so PostgreSQL itself takes it for a running server.
    let other = plimsoll_stores::Command {
        program: "/bin/sleep".to_owned(),
        args: vec!["1000".to_owned()],
        ..driver.members().swap_remove(0).serve
    };
    let mut other = house.command(&other, 0).spawn().unwrap();
    let lock = house.site.data.join("0/postmaster.pid");
    let socket_lock = house.site.run.join(format!(".s.PGSQL.{}.lock", house.site.ports[0]));
    for path in [&lock, &socket_lock] {
        let text = fs::read_to_string(path).unwrap();
        let rest = text.split_once('\n').unwrap().1;
        fs::write(path, format!("{}\n{rest}", other.id())).unwrap();
    }
    house.start(0).await;
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_running_server_is_not_started_twice() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    let error = house.driver().before_start(0).unwrap_err();
    assert!(matches!(error, StoreError::Lingering { .. }), "{error}");
    assert!(error.passes());
    house.driver().ready(0).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_leaves_no_half_data() {
    let mut house = House::new("orders", store(Engine::Postgres));
    let driver = house.driver();
    for sign in ["0.new", "0.new/PG_VERSION", "0.new/global/pg_control", "0.new/base/1/PG_VERSION"] {
        until(|| async { driver.before_start(0).map_err(|error| error.to_string()) }).await;
        let prepare = driver.members().swap_remove(0).prepare.swap_remove(0);
        let _ = fs::remove_dir_all(house.site.data.join("0.new"));
        let mut run = house.command(&prepare, 0).stdout(Stdio::null()).spawn().unwrap();
        let sign = house.site.data.join(sign);
        until(|| async { sign.exists().then_some(()).ok_or_else(|| format!("no {}", sign.display())) }).await;
        let killed = rustix::process::kill_process_group(pid_of(&run), rustix::process::Signal::KILL);
        run.wait().unwrap();
        killed.unwrap();
        assert!(!house.site.data.join("0").exists(), "half data after {}", sign.display());
    }
    house.start(0).await;
    house.driver().provision().await.unwrap();
    assert!(!house.site.data.join("0.new").exists());
    house.stop(0);
    house.start(0).await;
    assert!(!house.site.data.join("0.admin").exists());
}

#[tokio::test]
async fn a_changed_password_is_set_right() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    let driver = house.driver();
    driver.provision().await.unwrap();
    connect(&driver.url()).await.unwrap().batch_execute("ALTER ROLE orders PASSWORD 'other'").await.unwrap();
    assert!(connect(&driver.url()).await.is_err());
    assert_eq!(driver.provision().await.unwrap().done, ["password of role orders set"]);
    connect(&driver.url()).await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_or_origin_is_left_as_it_is() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.store.version = Some("15".to_owned());
    let data = house.site.data.join("0");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "14\n").unwrap();
    let error = house.try_driver().unwrap_err();
    assert!(
        matches!(error, StoreError::Refused { .. }) && error.to_string().contains("write version: \"14\""),
        "{error}"
    );
    assert!(!error.passes());

    fs::remove_file(data.join("PG_VERSION")).unwrap();
    fs::write(data.join("diary.txt"), "precious").unwrap();
    let error = house.try_driver().unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }) && error.to_string().contains("set it aside"), "{error}");
    assert_eq!(fs::read_to_string(data.join("diary.txt")).unwrap(), "precious");
}

#[test]
fn what_is_missing_is_named_with_its_command() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.store.version = Some("99".to_owned());
    let error = house.try_driver().unwrap_err();
    assert_eq!(error.to_string(), "PostgreSQL 99 is not installed; install it with `apt-get install -y postgresql-99`");
    let finding = plimsoll_stores::doctor(&house.store).swap_remove(0);
    assert!(!finding.ok);
    assert_eq!(finding.fix.as_deref(), Some("apt-get install -y postgresql-99"));
    house.store.version = None;
    assert!(plimsoll_stores::doctor(&house.store)[0].ok, "apt-get install -y postgresql");
    assert!(Path::new(&house.driver().members()[0].serve.program).is_absolute());

    let run = house.site.run.clone();
    house.site.run = run.join("deep".repeat(20));
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("too long for Unix sockets")));
    house.site.run = run;

    house.store.engine = Engine::Kafka;
    assert!(matches!(house.try_driver(), Err(StoreError::Unsupported { .. })));
    assert!(!plimsoll_stores::doctor(&house.store)[0].ok);
}

#[test]
fn root_is_told_that_it_needs_an_account() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.site.server_user = None;
    if rustix::process::geteuid().is_root() {
        assert!(house.try_driver().is_err_and(|error| error.to_string().contains("doesn't run as root")));
    } else {
        house.driver();
    }
}
