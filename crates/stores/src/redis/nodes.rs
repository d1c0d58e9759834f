//! What `CLUSTER NODES` says.
