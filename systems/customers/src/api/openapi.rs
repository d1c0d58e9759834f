//! The description of the API, served at `/openapi.json`.

use utoipa::OpenApi;

/// All that the API offers.
#[derive(OpenApi)]
#[openapi(
    info(title = "customers", description = "Customers, those who may see them, and who did what."),
    paths(
        super::keyring::jwks,
        super::sessions::sign_in,
        super::sessions::refresh,
        super::sessions::current,
        super::sessions::sign_out,
        super::customers::list,
        super::customers::create,
        super::customers::show,
        super::customers::replace,
        super::customers::amend,
        super::customers::delete,
        super::customers::export,
        super::users::list,
        super::users::create,
        super::users::change,
        super::users::change_password,
        super::audit::list
    )
)]
pub(super) struct Description;
