//! The description of the role's API, served at `/openapi.json`.

use utoipa::OpenApi;

/// All that the role offers.
#[derive(OpenApi)]
#[openapi(
    info(title = "tasks: task", description = "Projects, their tasks, and the files that hang on those."),
    paths(
        super::project::list,
        super::project::create,
        super::project::show,
        super::project::add,
        super::project::remove,
        super::item::list,
        super::item::create,
        super::item::show,
        super::item::amend,
        super::item::delete,
        super::attachment::create,
        super::attachment::list,
        super::attachment::delete,
        super::attachment::download
    )
)]
pub(super) struct Description;
