//! The proof of work by itself.

use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lime_core::PowDigest;
use lime_core::agent::pow::{Options, solve};

use crate::error::lime_error;
use crate::panic;
use crate::strings::{copy, invalid, utf8};

/// For an agent only: the seed's digest first, today's when the platform does not take that one.
pub const LIME_POW_DIGEST_AUTO: i32 = 0;
/// SHA-256 of the challenge and the nonce.
pub const LIME_POW_DIGEST_SEED: i32 = 1;
/// SHA-256 of "lime:pow:v1", NUL, the challenge, NUL and the nonce.
pub const LIME_POW_DIGEST_TODAY: i32 = 2;
/// The room that a nonce needs at most, with the NUL at its end.
pub const LIME_POW_NONCE_SIZE: usize = 21;

/// Finds the smallest nonce whose digest begins with `difficulty` zero bits. Runs on the calling thread
/// (and on `threads` - 1 more). An agent's login does this by itself; this function is for tests and
/// for programs that bring their own transport.
///
/// Parameters: `challenge`, `length`: UTF-8 bytes. `difficulty`: zero bits; 0 or less is met by "0".
/// `digest`: LIME_POW_DIGEST_SEED or LIME_POW_DIGEST_TODAY. `timeout_ms`: wall-clock budget. `threads`:
/// 0 counts as 1. `nonce`: gets the nonce as decimal text with a NUL. `capacity`: the size of `nonce`, at
/// least LIME_POW_NONCE_SIZE. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_POW_TIMEOUT; LIME_ERROR_POW_DIFFICULTY at once for more than 256 bits;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_pow_solve(
    challenge: *const c_void,
    length: usize,
    difficulty: i64,
    digest: i32,
    timeout_ms: u64,
    threads: usize,
    nonce: *mut c_char,
    capacity: usize,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: NULL or `length` bytes, as the header asks.
        let challenge = unsafe { utf8(challenge, length, "challenge") }?;
        let digest = match digest {
            LIME_POW_DIGEST_SEED => PowDigest::Seed,
            LIME_POW_DIGEST_TODAY => PowDigest::Today,
            _ => return Err(invalid("digest is neither LIME_POW_DIGEST_SEED nor LIME_POW_DIGEST_TODAY")),
        };
        if nonce.is_null() || capacity < LIME_POW_NONCE_SIZE {
            return Err(invalid("nonce is NULL or smaller than LIME_POW_NONCE_SIZE"));
        }
        let options = Options { digest, timeout: Duration::from_millis(timeout_ms), threads };
        let found = solve(challenge, difficulty, options, &AtomicBool::new(false))?;
        // SAFETY: `nonce` has room for `capacity` bytes, as the header asks.
        unsafe { copy(&found, nonce, capacity, "nonce") }
    })
}
