//! The keys that sign tokens: kept in PostgreSQL, sealed; made, rotated and forgotten by the replicas themselves.
//!
//! A new key is published `PUBLISHED_AHEAD_S` before it signs, so that whoever verifies knows it in time. The newest key
//! whose time has come signs. An older one verifies until the last token that it may have signed has expired.
//!
//! The table `signing_keys` is made by a service's own first migration.
//!
//! Invariant: at any moment all replicas choose the same signing key from the same rows ([`choose`] is a function of rows
//! and time), and a token that has not expired is refused only if its key was revoked.

use crate::settings::Environment;
use crate::tokens::{Keyring, Seal, SigningKey, TokenError};
mod ring;

pub use ring::Keys;

use sqlx::{PgConnection, PgPool, Row};
use std::sync::Arc;

/// Seconds that an access token is valid.
pub const ACCESS_S: i64 = 15 * 60;
/// Seconds between the moment a key is published and the moment it signs; replicas look once in five seconds.
const PUBLISHED_AHEAD_S: i64 = 60;
/// Serializes those who would make keys.
const LOCK: i64 = 0x6b65_7973;

/// How keys are kept, and for how long one signs.
#[derive(Clone)]
pub struct KeySettings {
    seal: Option<Arc<Seal>>,
    rotate_after_s: i64,
}

impl KeySettings {
    /// Reads `TOKEN_SECRET` (at least 32 bytes) and `KEY_ROTATE_S` (default 30 days).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let secret = environment.text("TOKEN_SECRET");
        let seal = if secret.is_empty() { Err(String::new()) } else { Seal::new(&secret) };
        if let Err(why) = &seal
            && !why.is_empty()
        {
            environment.mistake("TOKEN_SECRET", why);
        }
        Self {
            seal: seal.ok().map(Arc::new),
            rotate_after_s: environment.parsed("KEY_ROTATE_S", 30 * 24 * 3600_i64).max(1),
        }
    }
}

/// Keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Try again.
    #[error("cannot read or write the keys")]
    Database(#[from] sqlx::Error),
    /// Most likely `TOKEN_SECRET` is not the one that the keys were sealed with.
    #[error("a stored key cannot be opened; was TOKEN_SECRET changed?")]
    Sealed(#[source] TokenError),
    /// All keys are revoked or none is there, which a moment later is mended.
    #[error("no key signs")]
    None,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The key's name.
    pub kid: String,
    /// Since when it signs, in seconds since 1970.
    pub signs_from_s: i64,
    /// It verifies nothing any more.
    pub revoked: bool,
    public: Vec<u8>,
    sealed: Vec<u8>,
}

/// Which keys count at a moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The one that signs.
    pub signing: Option<&'a Kept>,
    /// Those that verify, the one that signs among them; also those that are yet to sign.
    pub verifying: Vec<&'a Kept>,
    /// Those whose last token has expired.
    pub spent: Vec<&'a Kept>,
}

/// Chooses among `keys`, which are sorted by `signs_from_s`, at `now_s` (seconds since 1970).
pub fn choose(keys: &[Kept], now_s: i64) -> Chosen<'_> {
    let valid: Vec<&Kept> = keys.iter().filter(|key| !key.revoked).collect();
    let signing = valid.iter().rev().find(|key| key.signs_from_s <= now_s).copied();
    let (mut verifying, mut spent) = (Vec::new(), Vec::new());
    for (index, key) in valid.iter().copied().enumerate() {
        // Its successor took over then; replicas that had not looked signed on for some seconds.
        let until_s = valid.get(index + 1).map(|next| next.signs_from_s + ACCESS_S + PUBLISHED_AHEAD_S);
        if until_s.is_none_or(|until_s| now_s < until_s) { verifying.push(key) } else { spent.push(key) }
    }
    spent.extend(keys.iter().filter(|key| key.revoked && key.signs_from_s + ACCESS_S + PUBLISHED_AHEAD_S < now_s));
    Chosen { signing, verifying, spent }
}

/// Makes a key where none signs or the newest has signed long enough, forgets spent ones, and answers the keyring.
///
/// # Errors
/// The database failed, or `TOKEN_SECRET` is another.
pub async fn load(pool: &PgPool, settings: &KeySettings) -> Result<Keyring, KeyError> {
    let now_s = now_s(&mut *pool.acquire().await?).await?;
    let mut keys = rows(&mut *pool.acquire().await?).await?;
    if is_due(&keys, now_s, settings.rotate_after_s) {
        let mut transaction = pool.begin().await?;
        lock(&mut transaction).await?;
        keys = rows(&mut transaction).await?;
        if is_due(&keys, now_s, settings.rotate_after_s) {
            let ahead_s = if choose(&keys, now_s).signing.is_some() { PUBLISHED_AHEAD_S } else { 0 };
            make(&mut transaction, settings, now_s + ahead_s).await?;
        }
        keys = rows(&mut transaction).await?;
        transaction.commit().await?;
    }
    let chosen = choose(&keys, now_s);
    for key in &chosen.spent {
        sqlx::query("DELETE FROM signing_keys WHERE kid = $1").bind(&key.kid).execute(pool).await?;
    }
    let signing = open(chosen.signing.ok_or(KeyError::None)?, settings)?;
    let verifying = chosen.verifying.iter().map(|key| (key.kid.clone(), key.public.clone()));
    Ok(Keyring::new(&signing, verifying))
}

/// No key signs, or the newest (which may be yet to sign) is too old.
fn is_due(keys: &[Kept], now_s: i64, rotate_after_s: i64) -> bool {
    let newest_s = keys.iter().filter(|key| !key.revoked).map(|key| key.signs_from_s).max();
    choose(keys, now_s).signing.is_none() || newest_s.is_none_or(|newest_s| now_s - newest_s >= rotate_after_s)
}

/// Since when a key signs that is to sign from `from_s` on: later than every other one, or of two keys of one second either
/// might be the one.
fn takes_over_s(keys: &[Kept], from_s: i64) -> i64 {
    let newest_s = keys.iter().map(|key| key.signs_from_s).filter(|other_s| *other_s <= from_s).max();
    newest_s.map_or(from_s, |newest_s| from_s.max(newest_s + 1))
}

fn open(key: &Kept, settings: &KeySettings) -> Result<SigningKey, KeyError> {
    let seal = settings.seal.as_ref().ok_or(KeyError::None)?;
    let pkcs8 = seal.open(&key.kid, &key.sealed).map_err(KeyError::Sealed)?;
    SigningKey::from_pkcs8(key.kid.clone(), pkcs8).map_err(KeyError::Sealed)
}

async fn make(connection: &mut PgConnection, settings: &KeySettings, signs_from_s: i64) -> Result<String, KeyError> {
    let seal = settings.seal.as_ref().ok_or(KeyError::None)?;
    let key = SigningKey::generate().map_err(KeyError::Sealed)?;
    let sealed = seal.close(key.kid(), key.pkcs8()).map_err(KeyError::Sealed)?;
    sqlx::query("INSERT INTO signing_keys (kid, public_key, sealed, signs_from) VALUES ($1, $2, $3, to_timestamp($4))")
        .bind(key.kid())
        .bind(key.public())
        .bind(sealed)
        .bind(f64::from(u32::try_from(signs_from_s).unwrap_or(0)))
        .execute(connection)
        .await?;
    tracing::info!(kid = key.kid(), signs_from_s, "a new key");
    Ok(key.kid().to_owned())
}

async fn rows(connection: &mut PgConnection) -> Result<Vec<Kept>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT kid, public_key, sealed, floor(extract(epoch FROM signs_from))::bigint AS signs_from_s, \
         revoked_at IS NOT NULL AS revoked FROM signing_keys ORDER BY signs_from, kid",
    )
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Kept {
                kid: row.try_get("kid")?,
                signs_from_s: row.try_get("signs_from_s")?,
                revoked: row.try_get("revoked")?,
                public: row.try_get("public_key")?,
                sealed: row.try_get("sealed")?,
            })
        })
        .collect()
}

/// The database's clock: the one that all replicas share.
async fn now_s(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT floor(extract(epoch FROM now()))::bigint").fetch_one(connection).await
}

async fn lock(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(transaction).await.map(drop)
}

/// A key, and what it does at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub kid: String,
    /// `signs`, `will sign`, `verifies`, `is spent` or `is revoked`.
    pub does: &'static str,
    /// Since when it signs, in seconds since 1970.
    pub signs_from_s: i64,
}

/// All keys that are kept.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool) -> Result<Vec<Shown>, sqlx::Error> {
    let now_s = now_s(&mut *pool.acquire().await?).await?;
    let keys = rows(&mut *pool.acquire().await?).await?;
    let chosen = choose(&keys, now_s);
    let shown = |key: &Kept| {
        let does = if key.revoked {
            "is revoked"
        } else if chosen.signing == Some(key) {
            "signs"
        } else if key.signs_from_s > now_s {
            "will sign"
        } else if chosen.verifying.contains(&key) {
            "verifies"
        } else {
            "is spent"
        };
        Shown { kid: key.kid.clone(), does, signs_from_s: key.signs_from_s }
    };
    Ok(keys.iter().map(shown).collect())
}

/// Makes a key that signs soon, or at once, within the caller's transaction. Answers its name.
///
/// # Errors
/// The database failed, or there is no secret to seal it under.
pub async fn rotate(transaction: &mut PgConnection, settings: &KeySettings, at_once: bool) -> Result<String, KeyError> {
    lock(transaction).await?;
    let now_s = now_s(transaction).await?;
    let ahead_s = if at_once { 0 } else { PUBLISHED_AHEAD_S };
    let from_s = takes_over_s(&rows(transaction).await?, now_s + ahead_s);
    make(transaction, settings, from_s).await
}

/// The key verifies nothing any more; `false`: there is no such key, or it was revoked before. If it was the one that
/// signed, the next [`load`] makes another.
///
/// # Errors
/// The database failed.
pub async fn revoke(transaction: &mut PgConnection, kid: &str) -> Result<bool, sqlx::Error> {
    lock(transaction).await?;
    let sql = "UPDATE signing_keys SET revoked_at = now() WHERE kid = $1 AND revoked_at IS NULL";
    Ok(sqlx::query(sql).bind(kid).execute(transaction).await?.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, signs_from_s: i64) -> Kept {
        Kept { kid: kid.into(), signs_from_s, revoked: false, public: Vec::new(), sealed: Vec::new() }
    }

    #[test]
    fn a_key_that_is_rotated_in_within_the_second_of_the_former_one_takes_over() {
        assert_eq!(takes_over_s(&[], 100), 100);
        assert_eq!(takes_over_s(&[key("z", 100)], 100), 101);
        assert_eq!(takes_over_s(&[key("z", 90), key("a", 200)], 100), 100);
    }

    /// Names of what signs, verifies, is spent at that moment.
    #[track_caller]
    fn check(keys: &[Kept], now_s: i64, want: (&str, &str, &str)) {
        let chosen = choose(keys, now_s);
        let names = |keys: &[&Kept]| keys.iter().map(|key| key.kid.as_str()).collect::<String>();
        let signing = chosen.signing.map_or("", |key| key.kid.as_str());
        let (verifying, spent) = (names(&chosen.verifying), names(&chosen.spent));
        assert_eq!((signing, verifying.as_str(), spent.as_str()), want, "at {now_s}");
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_verifies_on() {
        let keys = [key("a", 0), key("b", 10_000)];
        check(&keys, 9_999, ("a", "ab", ""));
        check(&keys, 10_000, ("b", "ab", ""));
        check(&keys, 10_000 + ACCESS_S + PUBLISHED_AHEAD_S - 1, ("b", "ab", ""));
        check(&keys, 10_000 + ACCESS_S + PUBLISHED_AHEAD_S, ("b", "b", "a"));
    }

    #[test]
    fn a_revoked_key_counts_for_nothing() {
        let keys = [key("a", 0), Kept { revoked: true, ..key("b", 10_000) }];
        check(&keys, 10_001, ("a", "a", ""));
        check(&keys, 20_000, ("a", "a", "b"));
        check(&[Kept { revoked: true, ..key("a", 0) }], 1, ("", "", ""));
    }

    #[test]
    fn a_key_is_made_when_none_signs_or_the_newest_is_old() {
        for (keys, now_s, due) in [
            (vec![], 0, true),
            (vec![key("a", 0)], 99, false),
            (vec![key("a", 0)], 100, true),
            (vec![key("a", 0), key("b", 160)], 100, false),
            (vec![Kept { revoked: true, ..key("a", 0) }], 5, true),
        ] {
            assert_eq!(is_due(&keys, now_s, 100), due, "{keys:?} at {now_s}");
        }
    }
}
