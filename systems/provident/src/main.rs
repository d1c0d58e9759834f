//! The `provident` binary: a role for each service; `migrate`, `seed` and `audit` do one thing and end.

use clap::{Parser, Subcommand};
use provident::{audit, document, organization, payment, pension, pf, portal, seed, user, workflow};
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
    /// Serve claims, from their opening to their payment (PORT, FUND_URL, EVENTS_URL, USER_URL).
    Pension,
    /// Serve cases, and who decides about them (PORT, CASES_URL, EVENTS_URL, USER_URL).
    Workflow,
    /// Pay claims out (PORT, PAYMENTS_URL, EVENTS_URL, USER_URL).
    Payment,
    /// Serve what people bring to prove a claim (PORT, FUND_URL, USER_URL, TOKEN_SECRET, FILES_DIR).
    Document,
    /// Serve pages (PORT, USER_URL, ORGANIZATION_URL, PF_URL, PENSION_URL, WORKFLOW_URL).
    Portal,
    /// Bring every schema up to date (FUND_URL, CASES_URL, PAYMENTS_URL).
    Migrate,
    /// Create organizations, members and people (FUND_URL).
    Seed(seed::Seed),
    /// Look whether the books balance, say what was filed and were paid; exit code 1 with any difference (FUND_URL, PAYMENTS_URL).
    Audit(audit::Audit),
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::User => plimsoll_kit::run("provident-user", user::serve),
        Role::Organization => plimsoll_kit::run("provident-organization", organization::serve),
        Role::Pf => plimsoll_kit::run("provident-pf", pf::serve),
        Role::Pension => plimsoll_kit::run("provident-pension", pension::serve),
        Role::Workflow => plimsoll_kit::run("provident-workflow", workflow::serve),
        Role::Payment => plimsoll_kit::run("provident-payment", payment::serve),
        Role::Document => plimsoll_kit::run("provident-document", document::serve),
        Role::Portal => plimsoll_kit::run("provident-portal", portal::serve),
        Role::Migrate => plimsoll_kit::run("provident-migrate", seed::migrate),
        Role::Seed(wanted) => plimsoll_kit::run("provident-seed", || async move { seed::seed(&wanted).await }),
        Role::Audit(how) => plimsoll_kit::run("provident-audit", || async move { audit::audit(&how).await }),
    }
}
