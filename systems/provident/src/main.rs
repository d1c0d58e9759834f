//! The `provident` binary: a role for each service; `migrate`, `seed` and `audit` do one thing and end.

use clap::{Parser, Subcommand};
use provident::{audit, organization, pf, seed, user};
use std::process::ExitCode;

/// A provident fund; settings come from the environment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve people, signing in, and the keys of tokens (PORT, FUND_URL, TOKEN_SECRET).
    User,
    /// Serve organizations and their members (PORT, FUND_URL, USER_URL).
    Organization,
    /// Serve filings, what members have, and interest (PORT, FUND_URL, USER_URL).
    Pf,
    /// Bring every schema up to date (FUND_URL).
    Migrate,
    /// Create organizations, members and people (FUND_URL).
    Seed(seed::Seed),
    /// Look whether the books balance and say what was filed; exit code 1 with any difference (FUND_URL).
    Audit,
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::User => plimsoll_kit::run("provident-user", user::serve),
        Role::Organization => plimsoll_kit::run("provident-organization", organization::serve),
        Role::Pf => plimsoll_kit::run("provident-pf", pf::serve),
        Role::Migrate => plimsoll_kit::run("provident-migrate", seed::migrate),
        Role::Seed(wanted) => plimsoll_kit::run("provident-seed", || async move { seed::seed(&wanted).await }),
        Role::Audit => plimsoll_kit::run("provident-audit", audit::audit),
    }
}
