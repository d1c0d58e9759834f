//! What members say of themselves, over connections that are kept.

use super::{
    Postgres, log_end,
    session::{self, Session},
};
use plimsoll_control::failover::Answer;
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Mutex,
    time::timeout,
};

/// Who does not even say a byte within this time is silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a client asks first who would like to have TLS: any server answers it at once, before any password.
const KNOCK: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// All that is asked of a member in one look.
const QUERY: &str = "SELECT r, \
    CASE WHEN r THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), 0) \
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int END, \
    (CASE WHEN r THEN greatest(coalesce(pg_last_wal_receive_lsn(), '0/0'), coalesce(pg_last_wal_replay_lsn(), '0/0')) \
      ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::int8, \
    (CASE WHEN r THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::int8, \
    NOT r OR pg_last_wal_receive_lsn() IS NOT NULL, \
    EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
    coalesce(substring(current_setting('primary_conninfo') FROM 'port=([0-9]+)'), '0')::int \
    FROM pg_is_in_recovery() r";

/// The kept connections, by place.
#[derive(Debug)]
pub(crate) struct Looks(Vec<Mutex<Option<Session>>>);

impl Looks {
    pub(crate) fn of(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::new(None)).collect())
    }
}

impl Postgres {
    /// Whether anybody answers at a member's socket, and what it says of itself. A look takes a few seconds at most.
    pub async fn look(&self, place: usize) -> (bool, Option<Answer>) {
        let Some(kept) = self.looks.0.get(place) else { return (false, None) };
        let mut kept = kept.lock().await;
        let socket = self.site.run.join(format!(".s.PGSQL.{}", self.port(place)));
        // A server that was stopped still has connections that answer: only a new one tells.
        if !knock(&socket).await {
            *kept = None;
            return (false, None);
        }
        if kept.is_none() {
            *kept = session::open(&self.admin(place), "postgres").await.ok();
        }
        let Some(session) = kept.as_ref() else { return (true, None) };
        let Ok(row) = session.one(QUERY).await else {
            *kept = None;
            return (true, None);
        };
        let port = u16::try_from(row.get::<_, i32>(6)).unwrap_or(0);
        let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
        let answer = Answer {
            recovering: row.get(0),
            timeline: u32::try_from(row.get::<_, i32>(1)).unwrap_or(0),
            position: number(2),
            replayed: number(3),
            settled: row.get(4),
            streams: row.get(5),
            follows: self.site.ports.iter().position(|known| *known == port && port != 0),
        };
        (true, Some(answer))
    }

    /// Runs a statement over the connection that is kept, or over a new one.
    pub(super) async fn say(&self, place: usize, statement: &str) -> Result<(), String> {
        let kept = self.looks.0.get(place).ok_or("there is no such member")?;
        let mut kept = kept.lock().await;
        if kept.is_none() {
            *kept = Some(session::open(&self.admin(place), "postgres").await?);
        }
        let Some(session) = kept.as_ref() else { return Err("it can't be reached".to_owned()) };
        let said = session.run(statement).await;
        if said.is_err() {
            *kept = None;
        }
        said
    }

    /// The end of the log in a member's folder, as a position. Only right while its server does not run.
    #[must_use]
    pub fn log_end(&self, place: usize) -> Option<u64> {
        log_end::log_end(&self.data_dir(place).join("pg_wal"))
    }
}

/// Somebody answers there.
async fn knock(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(&KNOCK).await?;
        stream.read_u8().await
    };
    matches!(timeout(PATIENCE, ask).await, Ok(Ok(_)))
}
