//! The description of the role's API, served at `/openapi.json`.

use utoipa::OpenApi;

/// All that the role offers.
#[derive(OpenApi)]
#[openapi(
    info(title = "tasks: user", description = "Who one is, and who others are."),
    paths(super::profile::own, super::profile::amend, super::profile::show, super::profile::find)
)]
pub(super) struct Description;
