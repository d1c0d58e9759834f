//! What every service of the reference systems shares.
