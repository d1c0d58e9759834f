//! Standbys: how a member follows another one, and how its data is made for that.
//!
//! Invariant: the password of the role by which standbys get the log is in files of mode 0600 only.

use super::{
    Postgres,
    config::{literal, quote},
    session::{self, Login},
};
use crate::{
    error::StoreError,
    files::{self, Access},
    member::Command,
    secret::Secret,
};
use plimsoll_control::failover::Role;
use std::path::{Path, PathBuf};

/// The role by which standbys get the log, and are rewound.
pub(crate) const REPLICATION: &str = "plimsoll_replication";

/// The setting that says for whom commits wait.
const WAITS_FOR: &str = "synchronous_standby_names";

/// Drops members' slots that nobody is connected to.
const DROP_IDLE: &str = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
    WHERE NOT active AND slot_name LIKE 'member\\_%'";

/// The name of a member towards the others, and of its slot there.
pub(crate) fn name(place: usize) -> String {
    format!("member_{}", place + 1)
}

/// What `libpq` reads the password from.
pub(crate) fn passfile(password: &Secret) -> String {
    format!("*:*:*:{REPLICATION}:{}\n", password.expose())
}

impl Postgres {
    /// Whether it has, or may have, standbys.
    pub(crate) fn is_replicated(&self) -> bool {
        self.site.front.is_some()
    }

    /// How the member at `place` reaches the one `of`: by its Unix socket, where nobody else can answer.
    fn reach(&self, place: usize, of: usize, name: &str) -> String {
        let value = |text: String| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        format!(
            "host={} port={} user={REPLICATION} passfile={} application_name={name} connect_timeout=5",
            value(self.site.run.display().to_string()),
            self.port(of),
            value(self.beside(place, "pass").display().to_string()),
        )
    }

    /// The part of its configuration that changes while it runs. Whoever is the primary waits for any of the others, where
    /// commits wait; so a standby that takes over waits from its first commit on.
    pub(super) fn following(&self, place: usize, role: Role) -> String {
        let mut lines = vec!["# Written by Plimsoll; changes made here are lost.".to_owned()];
        if let Role::Standby { of, .. } = role
            && of != place
        {
            lines.push(format!("primary_conninfo = {}", quote(&self.reach(place, of, &name(place)))));
            lines.push(format!("primary_slot_name = {}", quote(&name(place))));
        }
        lines.extend(self.store.waits_for_standby().then(|| self.waiting(place)));
        lines.join("\n") + "\n"
    }

    /// The line by which commits of the member at `place` wait for any of the others.
    fn waiting(&self, place: usize) -> String {
        let others: Vec<String> = self.others(place).map(name).collect();
        format!("{WAITS_FOR} = {}", quote(&format!("ANY 1 ({})", others.join(", "))))
    }

    /// Has commits of the member at `place` wait for a standby from now on, or for nobody; those that wait are let go then.
    /// Nobody who asks later finds out from the server whether all of its commits do already: see
    /// [`Postgres::have_waited`].
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn have_wait(&self, place: usize, waits: bool) -> Result<(), String> {
        let file = format!("{place}.standbys");
        let known = std::fs::read_to_string(self.site.data.join(&file)).map_err(|error| error.to_string())?;
        let kept = known.lines().filter(|line| !line.starts_with(WAITS_FOR)).map(str::to_owned);
        let lines: Vec<String> = kept.chain(waits.then(|| self.waiting(place))).collect();
        let access = Access { mode: 0o600, owner: self.owner() };
        files::write_durably(&self.site.data, Path::new(&file), (lines.join("\n") + "\n").as_bytes(), access)
            .map_err(|error| error.to_string())?;
        self.say(place, "SELECT pg_reload_conf()").await
    }

    /// Returns once what [`Postgres::have_wait`] asked for last holds for every commit. The server's checkpointer makes it
    /// so when it next looks, which it does before each checkpoint that is asked for; and a connection that is made after
    /// the files were to be read anew is only answered by a server that has told its checkpointer.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn have_waited(&self, place: usize) -> Result<(), String> {
        self.checkpoint(place).await
    }

    /// Tells the server by a file in its data whether it starts as a standby.
    pub(super) fn mark(&self, place: usize, role: Role) -> Result<(), StoreError> {
        let path = PathBuf::from(place.to_string()).join("standby.signal");
        match role {
            Role::Primary => files::remove(&self.site.data, &path),
            Role::Standby { .. } => {
                files::write_durably(&self.site.data, &path, b"", Access { mode: 0o600, owner: self.owner() })
            }
        }
    }

    /// Makes the member at `place` a copy of the one `of`. Data that is there is set aside, and stays there until the next copy.
    pub(super) fn copy(&self, place: usize, of: usize) -> Command {
        const SCRIPT: &str = r#"set -eu
umask 077
rm -rf -- "$2"
"$1" --pgdata="$2" --dbname="$4" --wal-method=stream --checkpoint=fast --no-password
rm -f -- "$2/standby.signal"
if [ -e "$3" ]; then
  rm -rf -- "$3.aside"
  mv -T -- "$3" "$3.aside"
fi
mv -T -- "$2" "$3"
sync -- "$5""#;
        let path = |path: PathBuf| path.display().to_string();
        let args = vec![
            "-c".to_owned(),
            SCRIPT.to_owned(),
            "copy".to_owned(),
            self.installed.program("pg_basebackup"),
            path(self.beside(place, "new")),
            path(self.data_dir(place)),
            // Not by its own name: no commit may count on a copy that is not complete.
            self.reach(place, of, "plimsoll_copy"),
            path(self.site.data.clone()),
        ];
        self.command("/bin/sh".to_owned(), args)
    }

    /// Takes back what the member at `place` has beyond the log of the one `of`.
    pub(super) fn rewind(&self, place: usize, of: usize) -> Command {
        const SCRIPT: &str = r#"set -eu
umask 077
rm -f -- "$2/standby.signal"
"$1" --target-pgdata="$2" --source-server="$3 dbname=postgres""#;
        let args = vec![
            "-c".to_owned(),
            SCRIPT.to_owned(),
            "rewind".to_owned(),
            self.installed.program("pg_rewind"),
            self.data_dir(place).display().to_string(),
            self.reach(place, of, "plimsoll_rewind"),
        ];
        self.command("/bin/sh".to_owned(), args)
    }

    /// Has a standby that runs follow the member `of`.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn follow(&self, place: usize, of: usize) -> Result<(), String> {
        let role = Role::Standby { of, by: plimsoll_control::failover::Preparation::Nothing };
        let text = self.following(place, role);
        let file = format!("{place}.standbys");
        let access = Access { mode: 0o600, owner: self.owner() };
        files::write_durably(&self.site.data, Path::new(&file), text.as_bytes(), access).map_err(|e| e.to_string())?;
        self.say(place, "SELECT pg_reload_conf()").await?;
        // Slots of its own would hold log for those who follow it no more.
        self.say(place, DROP_IDLE).await
    }

    /// Makes a checkpoint at the primary at `place`: until the first one after it was promoted, `pg_rewind` takes its timeline for
    /// the former one, and finds nothing to do.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn checkpoint(&self, place: usize) -> Result<(), String> {
        session::open(&self.admin(place), "postgres").await?.run("CHECKPOINT").await
    }

    /// Has a standby become the primary; returns before it is.
    ///
    /// # Errors
    /// Why not; ask again.
    pub async fn promote(&self, place: usize) -> Result<(), String> {
        self.say(place, "SELECT pg_promote(false)").await
    }
}

/// Makes the standbys' role and a slot for each of them where they are missing.
pub(crate) async fn provision(
    admin: &Login,
    password: &Secret,
    slots: &[String],
) -> Result<Vec<String>, (String, String)> {
    let named = |act: &'static str| move |why: String| (act.to_owned(), why);
    let session = session::open(admin, "postgres").await.map_err(named("connect"))?;
    // There may be no standby yet that a commit could wait for.
    session.run("SET synchronous_commit = local").await.map_err(named("set up the session"))?;
    let mut done = Vec::new();
    let known = session.finds("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1::text", REPLICATION).await;
    if !known.map_err(named("list roles"))? {
        let verifier = literal(&postgres_protocol::password::scram_sha_256(password.expose().as_bytes()));
        let statements = format!(
            "BEGIN; CREATE ROLE {REPLICATION} LOGIN REPLICATION PASSWORD {verifier}; \
             GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean), \
             pg_catalog.pg_stat_file(text, boolean), pg_catalog.pg_read_binary_file(text), \
             pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO {REPLICATION}; COMMIT"
        );
        session.run(&statements).await.map_err(named("create the standbys' role"))?;
        done.push(format!("role {REPLICATION} created"));
    }
    // Those of members that are no more would hold log for nobody.
    let kept: Vec<String> = slots.iter().map(|slot| literal(slot)).collect();
    let others = if kept.is_empty() { String::new() } else { format!("AND slot_name NOT IN ({})", kept.join(", ")) };
    session.run(&format!("{DROP_IDLE} {others}")).await.map_err(named("drop slots that nobody uses"))?;
    for slot in slots {
        let there = "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1::text";
        if session.finds(there, slot).await.map_err(named("list slots"))? {
            // What it should have held is gone: the standby is copied anew, and begins with another one.
            let lost =
                "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = $1::text AND wal_status = 'lost'";
            if !session.finds(lost, slot).await.map_err(named("list slots"))? {
                continue;
            }
            let drop = format!("SELECT pg_drop_replication_slot({})", literal(slot));
            session.run(&drop).await.map_err(named("drop a slot"))?;
        }
        let make = format!("SELECT pg_create_physical_replication_slot({}, true)", literal(slot));
        session.run(&make).await.map_err(named("make a slot"))?;
        done.push(format!("slot {slot} made"));
    }
    Ok(done)
}
