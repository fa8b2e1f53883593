//! The proof of work by itself.

use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lime_core::agent::pow::{Options, search, solve};
use lime_core::{PowDigest, Result};

use crate::error::lime_error;
use crate::operation::start;
use crate::panic;
use crate::strings::{c_text, copy, get, invalid, take, utf8};
use crate::userdata::{UserData, lime_drop_user_data};

/// For an agent only: the seed's digest first, today's when the platform does not take that one.
pub const LIME_POW_DIGEST_AUTO: i32 = 0;
/// SHA-256 of the challenge and the nonce.
pub const LIME_POW_DIGEST_SEED: i32 = 1;
/// SHA-256 of "lime:pow:v1", NUL, the challenge, NUL and the nonce.
pub const LIME_POW_DIGEST_TODAY: i32 = 2;
/// The room that a nonce needs at most, with the NUL at its end.
pub const LIME_POW_NONCE_SIZE: usize = 21;

fn checked_digest(number: i32) -> Result<PowDigest> {
    match number {
        LIME_POW_DIGEST_SEED => Ok(PowDigest::Seed),
        LIME_POW_DIGEST_TODAY => Ok(PowDigest::Today),
        _ => Err(invalid("digest is neither LIME_POW_DIGEST_SEED nor LIME_POW_DIGEST_TODAY")),
    }
}

/// A nonce that was found by lime_pow_solve_start(). Free it with lime_pow_nonce_free().
pub struct lime_pow_nonce {
    text: CString,
}

impl From<String> for lime_pow_nonce {
    fn from(nonce: String) -> Self {
        Self { text: c_text(&nonce) }
    }
}

/// Receives the result of lime_pow_solve_start(). `status` is LIME_OK and `nonce` is there, or `error` is; both
/// belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_pow_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        nonce: *mut lime_pow_nonce,
        error: *mut lime_error,
    ),
>;

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
        let digest = checked_digest(digest)?;
        if nonce.is_null() || capacity < LIME_POW_NONCE_SIZE {
            return Err(invalid("nonce is NULL or smaller than LIME_POW_NONCE_SIZE"));
        }
        let options = Options { digest, timeout: Duration::from_millis(timeout_ms), threads };
        let found = solve(challenge, difficulty, options, &AtomicBool::new(false))?;
        // SAFETY: `nonce` has room for `capacity` bytes, as the header asks.
        unsafe { copy(&found, nonce, capacity, "nonce") }
    })
}

/// The started form of lime_pow_solve(); see "Started calls" in the manual above. Runs on a thread of the library,
/// as soon as fewer searches than the machine has cores are running; cancelling ends it within a millisecond.
///
/// Parameters: `challenge`, `length`: UTF-8 bytes; copied. `difficulty`, `digest`, `timeout_ms`, `threads`: as
/// lime_pow_solve(). `callback`: gets the nonce. `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or
/// gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_pow_solve_start(
    challenge: *const c_void,
    length: usize,
    difficulty: i64,
    digest: i32,
    timeout_ms: u64,
    threads: usize,
    callback: lime_pow_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let found = || {
                let challenge = utf8(challenge, length, "challenge")?;
                let digest = checked_digest(digest)?;
                let options = Options { digest, timeout: Duration::from_millis(timeout_ms), threads };
                Ok(search(challenge, difficulty, options))
            };
            start(found, callback, user, operation)
        }
    })
}

/// The nonce, as decimal text.
///
/// Returns: text that is valid until the nonce is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_pow_nonce_text(nonce: *const lime_pow_nonce) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(nonce, std::ptr::null(), |nonce: &lime_pow_nonce| nonce.text.as_ptr()) }
}

/// Frees a nonce. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_pow_nonce_free(nonce: *mut lime_pow_nonce) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(nonce) };
}
