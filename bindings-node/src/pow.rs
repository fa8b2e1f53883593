//! Proof of work on its own.

use lime_core::agent::pow::{self, Options, PowDigest};
use napi_derive::napi;

use crate::convert;
use crate::error::{self, Result};
use crate::queue::Queue;

/// Starts the search for the smallest nonce, on threads of the library.
#[napi(catch_unwind)]
#[allow(clippy::too_many_arguments)] // one by one
pub fn solve_pow(
    queue: &Queue,
    call: i64,
    challenge: String,
    difficulty: i64,
    digest: String,
    timeout: f64,
    threads: f64,
) -> Result<i64> {
    let options = Options {
        digest: self::digest(&digest)?,
        timeout: convert::millis("timeout", timeout)?,
        threads: convert::count(threads) as usize,
    };
    Ok(queue.shared.start(call, pow::search(&challenge, difficulty, options), Into::into))
}

pub(crate) fn digest(name: &str) -> Result<PowDigest> {
    match name {
        "seed" => Ok(PowDigest::Seed),
        "today" => Ok(PowDigest::Today),
        other => Err(error::invalid(format!("the digest must be 'seed' or 'today', not {other:?}"))),
    }
}
