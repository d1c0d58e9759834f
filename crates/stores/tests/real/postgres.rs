//! PostgreSQL as a service sees it.

use crate::house::{House, store};
use plimsoll_model::store::Engine;
use std::{fs, os::unix::fs::PermissionsExt};
use tokio_postgres::{Client, NoTls};

/// Connects as a service would.
pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub(crate) async fn texts(client: &Client, query: &str) -> Vec<String> {
    client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn starts_serves_and_keeps_data_over_a_clean_restart() {
    let mut house = House::new("orders", store(Engine::Postgres));
    assert!(house.driver().ready(0).await.is_err());
    let idle = house.driver().inspect().await;
    assert!(!idle.healthy && idle.members[0].role == "unknown", "{idle:?}");

    house.start(0).await;
    let driver = house.driver();
    let provisioned = driver.provision().await.unwrap();
    assert_eq!(provisioned.done, ["role orders created", "database orders created"]);
    assert_eq!(driver.provision().await.unwrap().done, Vec::<String>::new());

    let url = driver.url();
    assert!(
        url.starts_with("postgres://orders:") && url.ends_with(&format!("@127.0.0.1:{}/orders", house.site.ports[0]))
    );
    let client = connect(&url).await.unwrap();
    client.batch_execute("CREATE TABLE t (x text); INSERT INTO t VALUES ('kept')").await.unwrap();
    let seen = driver.inspect().await;
    assert!(seen.healthy && seen.members[0].role == "primary", "{seen:?}");
    assert!(seen.summary.contains("connections"), "{}", seen.summary);

    assert!(house.stop(0).success(), "SIGINT is a clean end, also with a client connected");
    assert!(house.driver().members()[0].prepare.is_empty(), "the data is there");
    house.start(0).await;
    assert_eq!(house.driver().provision().await.unwrap().done, Vec::<String>::new());
    assert_eq!(house.driver().url(), url);
    assert_eq!(texts(&connect(&url).await.unwrap(), "SELECT x FROM t").await, ["kept"]);
}

#[tokio::test]
async fn secrets_are_nowhere_but_in_private_files() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    let driver = house.driver();
    driver.provision().await.unwrap();
    let mut secrets = Vec::new();
    for entry in fs::read_dir(&house.site.secrets).unwrap().flatten() {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        secrets.push(fs::read_to_string(entry.path()).unwrap());
    }
    assert_eq!(secrets.len(), 2, "the service's and the administrator's");
    for secret in &secrets {
        house.assert_hidden(&driver, secret);
    }
    assert!(!house.site.data.join("0.admin").exists());

    let admin = fs::read_to_string(house.site.secrets.join("orders.admin")).unwrap();
    let admin_url = format!("postgres://plimsoll_admin:{}@127.0.0.1:{}/postgres", admin.trim(), house.site.ports[0]);
    assert!(connect(&admin_url).await.is_err(), "the administrator can't come by a port");
    let wrong = format!("postgres://orders:wrong@127.0.0.1:{}/orders", house.site.ports[0]);
    assert!(connect(&wrong).await.is_err(), "a wrong password is refused");
}

#[tokio::test]
async fn settings_of_the_file_win_and_reach_the_server() {
    let mut wanted = store(Engine::Postgres);
    wanted.settings.insert("work_mem".to_owned(), "9MB".to_owned());
    wanted.settings.insert("application_name".to_owned(), "it's \\ here".to_owned());
    wanted.settings.insert("max_connections".to_owned(), "33".to_owned());
    let mut house = House::new("orders", wanted);
    house.start(0).await;
    house.driver().provision().await.unwrap();
    let client = connect(&house.driver().url()).await.unwrap();
    let query = "SELECT setting FROM pg_settings WHERE name IN ('max_connections', 'password_encryption', 'listen_addresses', 'data_checksums') ORDER BY name";
    assert_eq!(texts(&client, query).await, ["on", "127.0.0.1", "33", "scram-sha-256"]);
    assert_eq!(texts(&client, "SELECT current_setting('work_mem')").await, ["9MB"]);
    assert_eq!(
        texts(&client, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'").await,
        ["it's \\ here"]
    );

    house.store.settings.insert("port".to_owned(), "1".to_owned());
    assert!(house.try_driver().is_err_and(|error| error.to_string().contains("`port` is Plimsoll's own")));
}

#[tokio::test]
async fn names_that_mean_harm_are_only_names() {
    for name in ["a\"; DROP ROLE plimsoll_admin; --", "ü ' \\ $$ %s @/:?#", "postgres", &"long".repeat(20)] {
        let mut house = House::new(name, store(Engine::Postgres));
        house.start(0).await;
        let driver = house.driver();
        assert_eq!(driver.provision().await.unwrap().done.len(), 2, "{name}");
        assert_eq!(driver.provision().await.unwrap().done, Vec::<String>::new(), "{name}");
        let client = connect(&driver.url()).await.unwrap();
        let who = texts(&client, "SELECT current_user::text UNION SELECT current_database()::text").await;
        assert_eq!(who.len(), 1, "{who:?}");
        assert!(name.len() > 63 || who[0].ends_with(name), "{who:?}");
        let roles =
            texts(&client, "SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolcreaterole DESC")
                .await;
        assert_eq!(roles, ["plimsoll_admin".to_owned(), who[0].clone()]);
    }
}

#[tokio::test]
async fn an_external_server_is_only_asked() {
    let mut house = House::new("orders", store(Engine::Postgres));
    house.start(0).await;
    house.driver().provision().await.unwrap();
    let url = house.driver().url();
    plimsoll_stores::external(&url, Engine::Postgres).await.unwrap();
    house.stop(0);
    let not = plimsoll_stores::external(&url, Engine::Postgres).await.unwrap_err();
    assert!(!not.why.contains("orders:"), "{not}");
    assert!(plimsoll_stores::external("nonsense://", Engine::Postgres).await.is_err());
}

#[test]
fn what_is_not_enforced_here_is_said() {
    let mut wanted = store(Engine::Postgres);
    assert_eq!(plimsoll_stores::recorded(&wanted), Vec::<String>::new());
    (wanted.instances, wanted.synchronous) = (3, true);
    assert_eq!(plimsoll_stores::recorded(&wanted), Vec::<String>::new(), "standbys run, and commits wait for one");
    assert_eq!(plimsoll_stores::member_count(&wanted), 3);
    wanted.instances = 1;
    let lines = plimsoll_stores::recorded(&wanted);
    assert!(lines.len() == 1 && lines[0].starts_with("synchronous: there is no standby"), "{lines:?}");
    wanted.external = Some("postgres://elsewhere/x".to_owned());
    assert_eq!((plimsoll_stores::recorded(&wanted).len(), plimsoll_stores::member_count(&wanted)), (0, 0));
}
