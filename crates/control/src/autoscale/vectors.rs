//! The test vectors of the Kubernetes autoscaler: a case in, what is decided for it out.
//!
//! The form is that of the vector files (milli-units, ages in seconds before now); `answer` is what
//! `plimsoll replay --hpa FILE` prints for each case.

mod answer;
mod case;
mod form;

pub use answer::Answer;
pub use case::{Case, answer};
