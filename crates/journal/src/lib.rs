//! What is remembered: an append-only, checked record.
