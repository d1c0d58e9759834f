//! What the filter is, and how often it is wrong: by arithmetic and by trial.

use super::Api;
use crate::filter::Presence;
use crate::names::{Folded, fold};
use axum::Json;
use axum::extract::State;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Query;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

const PROBES_DEFAULT: u32 = 10_000;
const PROBES_MAX: u32 = 100_000;
const BATCH: usize = 500;
/// A trial and a count are work: however many ask, one is done at a time.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// How thorough the trial is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Trial {
    /// Names that nobody can have registered to be looked up; 0 to 100,000, default 10,000.
    probes: Option<u32>,
}

/// The filter in use.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    /// Grows with every rebuild.
    generation: u64,
    /// Bitmaps.
    shards: u32,
    /// Bits in all.
    bits: u64,
    /// Bits in a block; a name's bits lie in one block.
    block_bits: u64,
    /// Bits set for each name (k).
    k: u8,
    /// Names in it when it was built.
    entries_at_build: u64,
    /// Accounts now.
    accounts: i64,
    /// By arithmetic, at the present number of accounts.
    false_positive_rate_theoretical: f64,
    /// By trial; null when no trial was made.
    false_positive_rate_measured: Option<f64>,
    /// Names tried.
    probed: u32,
    /// Of those, called perhaps taken.
    false_positives: u32,
    /// Is PostgreSQL asked instead, because Redis does not answer?
    cut_off: bool,
    /// Was a bitmap found lost?
    damaged: bool,
}

/// Shows the filter.
#[utoipa::path(get, path = "/api/filter", params(Trial),
    responses((status = 200, body = Shown), (status = 503, description = "there is no filter")))]
pub(super) async fn show(State(api): State<Api>, Query(trial): Query<Trial>) -> Result<Json<Shown>, Problem> {
    let _alone = ONE_AT_A_TIME.acquire().await;
    let none = || Problem::unavailable("no-filter", "There is no filter at present; PostgreSQL answers.");
    let generation = api.filter.generation().ok_or_else(none)?;
    let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(&api.pool).await?;
    let (probed, wrong) = measure(&api, trial.probes.unwrap_or(PROBES_DEFAULT).min(PROBES_MAX)).await;
    let layout = generation.layout;
    Ok(Json(Shown {
        generation: generation.number,
        shards: layout.shards,
        bits: layout.bits(),
        block_bits: crate::filter::BLOCK_BITS,
        k: layout.probes,
        entries_at_build: generation.entries,
        accounts,
        false_positive_rate_theoretical: layout.false_positive_rate(u64::try_from(accounts).unwrap_or(0)),
        false_positive_rate_measured: (probed > 0).then(|| f64::from(wrong) / f64::from(probed)),
        probed,
        false_positives: wrong,
        cut_off: api.filter.is_cut_off(),
        damaged: api.filter.is_damaged(),
    }))
}

/// Looks up names that cannot be registered (they begin with a separator), so every hit is a false one.
async fn measure(api: &Api, probes: u32) -> (u32, u32) {
    let (mut probed, mut wrong) = (0, 0);
    let names: Vec<Folded> = (0..probes).map(|_| fold(&format!("-{:016x}", rand::random::<u64>()))).collect();
    for batch in names.chunks(BATCH) {
        let Some(found) = api.filter.look_up(batch).await else { break };
        for presence in found {
            match presence {
                Presence::Perhaps => (probed, wrong) = (probed + 1, wrong + 1),
                Presence::Absent => probed += 1,
                Presence::Unknown => {}
            }
        }
    }
    (probed, wrong)
}
