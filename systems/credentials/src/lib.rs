//! The credentials management system: usernames, registrations, sessions.
