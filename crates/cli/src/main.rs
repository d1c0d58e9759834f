//! The one binary, `plimsoll`.
fn main() {}
