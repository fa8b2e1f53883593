//! How far a login has come, for whoever shows it to people.

use std::sync::Arc;

use lime_core::{LoginProgress, LoginSnapshot, LoginStage};

use crate::strings::{get, take};

/// A login asks the platform for its challenge.
pub const LIME_LOGIN_STAGE_CHALLENGE: i32 = 0;
/// A login searches for the proof of work.
pub const LIME_LOGIN_STAGE_POW: i32 = 1;
/// A login sends its approval.
pub const LIME_LOGIN_STAGE_APPROVE: i32 = 2;

/// What a stage that this header has no constant for is called.
const UNKNOWN_STAGE: i32 = -1;

/// How far a login has come. Any number of threads may look at it while the login runs. Free it with
/// lime_login_progress_free().
pub struct lime_login_progress(Arc<LoginProgress>);

impl lime_login_progress {
    pub(crate) fn new(progress: Arc<LoginProgress>) -> Self {
        Self(progress)
    }

    pub(crate) fn shared(&self) -> Arc<LoginProgress> {
        Arc::clone(&self.0)
    }
}

/// # Safety
/// `progress` is NULL or a live handle.
unsafe fn look<R: Copy>(
    progress: *const lime_login_progress,
    otherwise: R,
    read: impl FnOnce(LoginSnapshot) -> R,
) -> R {
    // SAFETY: as promised by the caller.
    unsafe { get(progress, otherwise, |progress: &lime_login_progress| read(progress.0.snapshot())) }
}

/// What the login is busy with.
///
/// Returns: a LIME_LOGIN_STAGE_ constant (a later version may know more of them); -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_stage(progress: *const lime_login_progress) -> i32 {
    let stage = |snapshot: LoginSnapshot| match snapshot.stage {
        LoginStage::Challenge => LIME_LOGIN_STAGE_CHALLENGE,
        LoginStage::Pow => LIME_LOGIN_STAGE_POW,
        LoginStage::Approve => LIME_LOGIN_STAGE_APPROVE,
        _ => UNKNOWN_STAGE,
    };
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { look(progress, UNKNOWN_STAGE, stage) }
}

/// How many nonces the search has taken up so far; it begins at 0 again when a second digest is tried.
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_hashes(progress: *const lime_login_progress) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { look(progress, 0, |snapshot| snapshot.hashes) }
}

/// How many leading zero bits are asked for: about 2 to this power hashes find a nonce.
///
/// Returns: the number of bits; -1 as long as the challenge is not there, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_difficulty(progress: *const lime_login_progress) -> i64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { look(progress, -1, |snapshot| snapshot.difficulty.unwrap_or(-1)) }
}

/// How long ago the progress was made.
///
/// Returns: milliseconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_elapsed_ms(progress: *const lime_login_progress) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { look(progress, 0, |snapshot| u64::try_from(snapshot.elapsed.as_millis()).unwrap_or(u64::MAX)) }
}

/// What the search has left of its budget; the whole budget before it has begun.
///
/// Returns: milliseconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_left_ms(progress: *const lime_login_progress) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { look(progress, 0, |snapshot| u64::try_from(snapshot.left.as_millis()).unwrap_or(u64::MAX)) }
}

/// Frees a progress; a login that it was given to goes on. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_login_progress_free(progress: *mut lime_login_progress) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(progress) };
}
