//! The description of the role's API, served at `/openapi.json`.

use utoipa::OpenApi;

/// All that the role offers.
#[derive(OpenApi)]
#[openapi(
    info(title = "tasks: auth", description = "Signing up and in, sessions, passwords."),
    paths(
        super::account::sign_up,
        super::account::change_password,
        super::session::sign_in,
        super::session::refresh,
        super::session::sign_out,
        super::session::list,
        super::session::end,
        super::tokens::jwks
    )
)]
pub(super) struct Description;
