//! Proof of work on its own.

use std::sync::atomic::AtomicBool;

use guarded::guarded;
use lime_core::agent::pow::{self, Options};
use pyo3::prelude::*;

use crate::agent::digest;
use crate::{convert, error};

/// The smallest nonce as decimal text. Blocks the calling thread; other threads go on.
#[guarded]
#[pyfunction]
pub(crate) fn solve_pow(
    py: Python<'_>,
    challenge: &str,
    difficulty: i64,
    digest: &str,
    timeout: f64,
    threads: usize,
) -> PyResult<String> {
    let options =
        Options { digest: self::digest(digest)?, timeout: convert::seconds("timeout", timeout)?, threads };
    py.detach(|| pow::solve(challenge, difficulty, options, &AtomicBool::new(false)))
        .map_err(|error| error::raise(py, &error))
}
