//! The loop: observe, decide, ask the keeper.
