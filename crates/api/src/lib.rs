//! What can be seen of a running system and asked of it.
