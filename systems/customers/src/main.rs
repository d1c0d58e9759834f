//! The `customers` binary: `api` serves; `migrate`, `seed`, `audit` and `keys` do one thing and end.

use clap::{Parser, Subcommand};
use customers::audit::Head;
use customers::{api, audit, keys, seed};
use std::process::ExitCode;

/// A customer service; settings come from the environment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve the API (PORT, CUSTOMERS_URL, CACHE_URL, TOKEN_SECRET).
    Api,
    /// Bring the schema up to date (CUSTOMERS_URL).
    Migrate,
    /// Create a user or many customers (CUSTOMERS_URL).
    Seed(seed::Seed),
    /// Follow the chain of the audit from its first row to its last; exit 1 where it is broken (CUSTOMERS_URL).
    Audit {
        /// A head noted before, as SEQ:HASH: the chain must still lead through it.
        #[arg(long)]
        expect: Option<Head>,
    },
    /// The keys that sign tokens (CUSTOMERS_URL, TOKEN_SECRET).
    Keys {
        #[command(subcommand)]
        act: KeyAct,
    },
}

#[derive(Subcommand)]
enum KeyAct {
    /// Show them.
    List,
    /// Make a new one, which signs as soon as every replica knows it; what the old one signed stays valid.
    Rotate {
        /// Let it sign at once.
        #[arg(long)]
        now: bool,
    },
    /// Let a key verify nothing any more, because it got out; whoever holds its tokens must refresh them.
    Revoke {
        /// Its name.
        kid: String,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Api => plimsoll_kit::run("customers-api", api::serve),
        Role::Migrate => plimsoll_kit::run("customers-migrate", seed::migrate),
        Role::Audit { expect } => plimsoll_kit::run("customers-audit", || async move { audit::check(expect).await }),
        Role::Keys { act } => plimsoll_kit::run("customers-keys", || async move {
            match act {
                KeyAct::List => keys::list().await,
                KeyAct::Rotate { now } => keys::rotate(now).await,
                KeyAct::Revoke { kid } => keys::revoke(&kid).await,
            }
        }),
        Role::Seed(wanted) => plimsoll_kit::run("customers-seed", || async move { seed::seed(&wanted).await }),
    }
}
