//! The parent of every process.
