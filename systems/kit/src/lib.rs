//! What every service of the reference systems shares: settings, probes, metrics, logs, traces, stores, graceful stop.
//!
//! A service reads its settings with [`settings::read`], opens its stores, builds an axum router and hands both to
//! [`service::Service::serve`]; the rest (`/health`, `/ready`, `/metrics`, `/openapi.json`, access log, problem
//! documents, drain on SIGTERM) is the same for all.
//!
//! Invariant: no function here reads the environment except through [`settings`] and [`logs`].

pub mod backend;
pub mod breaker;
pub mod bus;
pub mod extract;
pub mod fault;
pub mod files;
pub mod forward;
pub mod hashing;
pub mod idempotency;
pub mod inbox;
pub mod keys;
pub mod keyvalue;
pub mod links;
pub mod lockout;
pub mod logins;
pub mod logs;
pub mod mail;
pub mod metrics;
mod observe;
pub mod once;
#[cfg(feature = "otlp")]
mod otlp;
pub mod outbox;
pub mod peer;
pub mod people;
pub mod postgres;
pub mod precondition;
pub mod problem;
pub mod readiness;
pub mod refresh;
mod serve;
pub mod service;
pub mod sessions;
pub mod settings;
pub mod sign_in;
pub mod signature;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
pub mod trace;
pub mod verifier;

pub use problem::Problem;
pub use service::{Service, run};
