//! The `tasks` binary: a role for each service; `migrate` and `seed` do one thing and end.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use tasks::{auth, gateway, notification, seed, task, user};

/// A task manager; settings come from the environment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Forward requests to the other roles, and limit how often a client comes (PORT, LIMITS_URL, AUTH_URL, USER_URL, TASK_URL).
    Gateway,
    /// Serve signing up and in, sessions, passwords (PORT, TASKS_URL, LIMITS_URL, TOKEN_SECRET).
    Auth,
    /// Serve profiles (PORT, TASKS_URL, TOKEN_SECRET).
    User,
    /// Serve projects, tasks and attachments (PORT, TASKS_URL, TOKEN_SECRET, FILES_DIR).
    Task,
    /// Tell people by mail and another program by webhook what became theirs and what is due (PORT, TASKS_URL, SMTP_ADDRESS, MAIL_FROM).
    Notification,
    /// Bring the schema up to date (TASKS_URL).
    Migrate,
    /// Create people who can sign in (TASKS_URL).
    Seed(seed::Seed),
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Gateway => plimsoll_kit::run("tasks-gateway", gateway::serve),
        Role::Auth => plimsoll_kit::run("tasks-auth", auth::serve),
        Role::User => plimsoll_kit::run("tasks-user", user::serve),
        Role::Task => plimsoll_kit::run("tasks-task", task::serve),
        Role::Notification => plimsoll_kit::run("tasks-notification", notification::serve),
        Role::Migrate => plimsoll_kit::run("tasks-migrate", seed::migrate),
        Role::Seed(wanted) => plimsoll_kit::run("tasks-seed", || async move { seed::seed(&wanted).await }),
    }
}
