//! The data plane: a proxy whose every choice asks control::route.
