//! End-to-end tests and the fault catalogue.
