//! Stores that run elsewhere: used and watched, never owned.

use crate::{error::NotReady, postgres::session};
use plimsoll_model::store::Engine;

/// Whether an external store answers, by a query where its protocol is known and by a connection otherwise.
///
/// # Errors
/// Why not; never the URL, which may hold a password. Ask again.
pub async fn external(url: &str, engine: Engine) -> Result<(), NotReady> {
    match engine {
        Engine::Postgres => {
            let config: tokio_postgres::Config =
                url.parse().map_err(|_| NotReady::new("its URL is not one of PostgreSQL's"))?;
            let session = session::open_config(&config).await.map_err(NotReady::new)?;
            session.one("SELECT 1").await.map(drop).map_err(NotReady::new)
        }
        Engine::Redis => crate::redis::external(url).await,
        Engine::Nats => crate::nats::external(url).await,
        other => Err(NotReady::new(format!("{other:?} stores can't be watched yet"))),
    }
}
