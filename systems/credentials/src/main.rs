//! The `credentials` binary: `api` and `ui` serve; `migrate`, `seed` and `rebuild` do one thing and end.

use clap::{Parser, Subcommand};
use credentials::{api, seed, ui};
use std::process::ExitCode;

/// A credentials management system; settings come from the environment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve the API (PORT, ACCOUNTS_URL, NAMES_URL).
    Api,
    /// Serve the pages (PORT, API_URL).
    Ui,
    /// Bring the schema up to date (ACCOUNTS_URL).
    Migrate,
    /// Create accounts (ACCOUNTS_URL, NAMES_URL).
    Seed(seed::Seed),
    /// Rebuild the filter from PostgreSQL (ACCOUNTS_URL, NAMES_URL).
    Rebuild,
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Api => plimsoll_kit::run("credentials-api", api::serve),
        Role::Ui => plimsoll_kit::run("credentials-ui", ui::serve),
        Role::Migrate => plimsoll_kit::run("credentials-migrate", seed::migrate),
        Role::Rebuild => plimsoll_kit::run("credentials-rebuild", seed::rebuild_filter),
        Role::Seed(wanted) => plimsoll_kit::run("credentials-seed", || async move { seed::seed(&wanted).await }),
    }
}
