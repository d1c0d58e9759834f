//! Filings, statements and interest, over HTTP.

use crate::access::{Desk, SignedIn};
use crate::crediting::{self, Credited, Declared};
use crate::filing::Mistake;
use crate::filings::{self, Filed, Filing, Sent};
use crate::ledger::{self, Balance, Moved};
use crate::money;
use crate::month::Month;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query, Whole};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// So many mistakes of a filing are told; all are counted.
const MISTAKES_TOLD_MAX: usize = 100;

/// What is sent along with a filing.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Stated {
    /// All that is paid in, in rupees; the lines must sum to it exactly.
    total: String,
}

/// What an organization filed.
#[derive(Serialize, ToSchema)]
pub(super) struct Filings {
    filings: Vec<Filing>,
}

/// What a member has, and what moved.
#[derive(Serialize, ToSchema)]
pub(super) struct Statement {
    balance: Balance,
    /// The latest first, a hundred at most.
    moved: Vec<Moved>,
}

/// The rate of a year.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    /// In hundredths of a percent a year: 825 is 8.25 %. 1 to 10,000.
    rate_bp: u32,
}

/// Files for a month; the body is text, a line a member. The same filing sent again is answered as before.
#[utoipa::path(put, path = "/api/v1/pf/{organization}/filings/{month}",
    params(("organization" = Uuid, Path), ("month" = String, Path, description = "such as 2026-04"), Stated),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 201, body = Filing), (status = 200, body = Filing, description = "it was taken before"),
        (status = 401), (status = 403), (status = 409, description = "another was taken, or the year is closed"),
        (status = 413), (status = 422, description = "mistakes: `line` and `what` of each")))]
pub(super) async fn file(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path((organization, month)): Path<(Uuid, Month)>,
    Query(stated): Query<Stated>,
    Whole(body): Whole,
) -> Result<Response, Problem> {
    somebody.must_run(organization)?;
    let unfit = |what: &str| Problem::unprocessable("not-acceptable", what);
    let total = money::parse(&stated.total).ok_or_else(|| unfit("total is an amount in rupees such as 3600.00."))?;
    let text = std::str::from_utf8(&body).map_err(|_| unfit("A filing is text in UTF-8."))?;
    let sent = Sent { organization, month, by: somebody.user, text, total };
    match filings::file(&desk.pool, &sent).await? {
        Filed::New(filing) => Ok((StatusCode::CREATED, axum::Json(filing)).into_response()),
        Filed::Known(filing) => Ok(axum::Json(filing).into_response()),
        Filed::Another(_) => Err(Problem::conflict("filed-already", "Another filing was taken for this month.")),
        Filed::Closed => Err(Problem::conflict("year-closed", "The interest of this month's year is credited.")),
        Filed::Early => Err(unfit("This month has not come yet.")),
        Filed::Wrong(mistakes) => Err(told(&mistakes)),
    }
}

fn told(mistakes: &[Mistake]) -> Problem {
    let count = mistakes.len();
    let detail = format!("Nothing of it was taken: {count} mistakes.");
    let shown = &mistakes[..count.min(MISTAKES_TOLD_MAX)];
    let problem = Problem::unprocessable("filing-not-valid", detail).with("count", count);
    problem.with("mistakes", serde_json::to_value(shown).unwrap_or_default())
}

/// Lists what an organization filed, the latest month first.
#[utoipa::path(get, path = "/api/v1/pf/{organization}/filings", params(("organization" = Uuid, Path)),
    responses((status = 200, body = Filings), (status = 401), (status = 403)))]
pub(super) async fn filings(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(organization): Path<Uuid>,
) -> Result<axum::Json<Filings>, Problem> {
    somebody.must_run(organization)?;
    Ok(axum::Json(Filings { filings: filings::list(&desk.pool, organization, 120).await? }))
}

/// Shows what a member has and what moved.
#[utoipa::path(get, path = "/api/v1/pf/{organization}/members/{member}",
    params(("organization" = Uuid, Path), ("member" = Uuid, Path)),
    responses((status = 200, body = Statement), (status = 401), (status = 403)))]
pub(super) async fn statement(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path((organization, member)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<Statement>, Problem> {
    somebody.must_see(organization, member)?;
    // One moment for both, so that they agree.
    let mut moment = desk.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let balance = ledger::balance(&mut moment, organization, member).await?;
    let moved = ledger::statement(&mut moment, (organization, member), 100).await?;
    Ok(axum::Json(Statement { balance, moved }))
}

/// Declares the rate of a year that is over (named by its April), and credits its interest to everybody, once. If the answer
/// does not come, ask again.
#[utoipa::path(post, path = "/api/v1/pf/interest/{year}", params(("year" = i32, Path)), request_body = Rate,
    responses((status = 200, body = Credited), (status = 401), (status = 403),
        (status = 409, description = "another rate is declared, or a later year is closed"), (status = 422)))]
pub(super) async fn interest(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(year): Path<i32>,
    Json(Rate { rate_bp }): Json<Rate>,
) -> Result<axum::Json<Credited>, Problem> {
    somebody.must_be_officer()?;
    let unfit = |what: &str| Problem::unprocessable("not-acceptable", what);
    if !(1..=10_000).contains(&rate_bp) || !(1950..=2500).contains(&year) {
        return Err(unfit("rate_bp is 1 to 10000, and a year is named by its April."));
    }
    match crediting::declare(&desk.pool, (year, rate_bp), somebody.user).await? {
        Declared::Yes => Ok(axum::Json(crediting::credit_all(&desk.pool, year, rate_bp).await?)),
        Declared::Another(rate_bp) => {
            Err(Problem::conflict("other-rate", "Another rate is declared for this year.").with("rate_bp", rate_bp))
        }
        Declared::Early => Err(unfit("The year is not over.")),
        Declared::Late => Err(Problem::conflict("later-year-closed", "The interest of a later year is credited.")),
    }
}
