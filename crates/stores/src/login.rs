//! How whoever may read a store's secrets gets into it as services do.

use crate::secret::{self, Purpose};
use plimsoll_model::store::Engine;
use std::path::Path;

/// What services are told of a store that runs here at `address` (as the status shows it, without a password): the same with
/// user and password. `None`: it has no password in the folder `secrets`, that can't be read, or the engine is one that
/// nobody signs in to from here.
#[must_use]
pub fn service_url(name: &str, engine: Engine, address: &str, secrets: &Path) -> Option<String> {
    let password = secret::read(secrets, name, Purpose::Service)?;
    let (scheme, hosts) = address.split_once("://")?;
    let user = match engine {
        // The role is called as its database is.
        Engine::Postgres => hosts.split_once('/')?.1,
        Engine::Redis => "",
        _ => return None,
    };
    Some(format!("{scheme}://{user}:{}@{hosts}", password.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_login_of_services() {
        let secrets = tempfile::tempdir().unwrap();
        let url = |name, engine, address| service_url(name, engine, address, secrets.path());
        assert_eq!(url("orders", Engine::Postgres, "postgres://127.0.0.1:5/orders"), None);
        let password = secret::keep(secrets.path(), "orders", Purpose::Service).unwrap();
        let known = password.expose();
        assert_eq!(
            url("orders", Engine::Postgres, "postgres://127.0.0.1:5/orders"),
            Some(format!("postgres://orders:{known}@127.0.0.1:5/orders"))
        );
        assert_eq!(
            url("orders", Engine::Redis, "redis+cluster://127.0.0.1:1,127.0.0.1:2"),
            Some(format!("redis+cluster://:{known}@127.0.0.1:1,127.0.0.1:2"))
        );
        assert_eq!(url("orders", Engine::Kafka, "kafka://127.0.0.1:1"), None);
    }
}
