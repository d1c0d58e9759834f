//! Experiments, one for each kind of promise.
