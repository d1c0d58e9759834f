//! The description of the API, served at `/openapi.json`.

use utoipa::OpenApi;

/// All that the API offers.
#[derive(OpenApi)]
#[openapi(
    info(title = "credentials", description = "Usernames, registrations, sessions, administration."),
    paths(
        super::usernames::check_one,
        super::usernames::check_many,
        super::filter::show,
        super::registrations::register,
        super::sessions::sign_in,
        super::sessions::current,
        super::sessions::sign_out,
        super::admin::list,
        super::admin::disable,
        super::admin::enable,
        super::admin::audit
    )
)]
pub(super) struct Description;
