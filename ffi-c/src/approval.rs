//! Where an approval stands.

use std::ffi::{CString, c_char};

use lime_core::{Approval, Timestamp};

use crate::strings::{c_optional, c_text, get, pointer, take};
use crate::timestamp::{LIME_NO_OFFSET, LIME_NO_TIME, offset};

/// Where an approval stood when the broker answered. (The result of an agent's login is a
/// lime_approval_result.) Free it with lime_approval_free().
pub struct lime_approval {
    approval_id: CString,
    status: CString,
    is_approved: bool,
    is_terminal: bool,
    expires_at: Option<Timestamp>,
    decided_at: Option<Timestamp>,
    note: Option<CString>,
    requester_label: Option<CString>,
}

impl From<Approval> for lime_approval {
    fn from(approval: Approval) -> Self {
        Self {
            approval_id: c_text(&approval.approval_id),
            status: c_text(&approval.status),
            is_approved: approval.is_approved(),
            is_terminal: approval.is_terminal(),
            expires_at: approval.expires_at,
            decided_at: approval.decided_at,
            note: c_optional(approval.note.as_deref()),
            requester_label: c_optional(approval.requester_label.as_deref()),
        }
    }
}

fn micros(time: Option<Timestamp>) -> i64 {
    time.map_or(LIME_NO_TIME, |time| time.unix_micros)
}

fn seconds(time: Option<Timestamp>) -> i32 {
    time.map_or(LIME_NO_OFFSET, offset)
}

/// The approval. Another process can wait for it by this, with lime_sesame_wait().
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_approval_id(approval: *const lime_approval) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, std::ptr::null(), |a| a.approval_id.as_ptr()) }
}

/// The status: "pending", "approved", "denied" or "expired"; a later broker may know more. Whether to go
/// on is what lime_approval_is_approved() says.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_status_text(approval: *const lime_approval) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, std::ptr::null(), |a| a.status.as_ptr()) }
}

/// Whether a human granted it. Nothing else means "go on".
///
/// Returns: 1 or 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_is_approved(approval: *const lime_approval) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, 0, |a| i32::from(a.is_approved)) }
}

/// Whether no further decision can change it: it is approved, denied or expired.
///
/// Returns: 1 or 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_is_terminal(approval: *const lime_approval) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, 0, |a| i32::from(a.is_terminal)) }
}

/// When it expires undecided, where the broker tells.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_expires_at_unix_micros(approval: *const lime_approval) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, LIME_NO_TIME, |a| micros(a.expires_at)) }
}

/// The offset that the expiry was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_expires_at_offset_seconds(approval: *const lime_approval) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, LIME_NO_OFFSET, |a| seconds(a.expires_at)) }
}

/// When it was decided, where the broker tells.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME when it does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_decided_at_unix_micros(approval: *const lime_approval) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, LIME_NO_TIME, |a| micros(a.decided_at)) }
}

/// The offset that the time of the decision was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_decided_at_offset_seconds(approval: *const lime_approval) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, LIME_NO_OFFSET, |a| seconds(a.decided_at)) }
}

/// What the human wrote beside the decision.
///
/// Returns: text that is valid until the object is freed; NULL when the broker does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_note(approval: *const lime_approval) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, std::ptr::null(), |a| pointer(a.note.as_ref())) }
}

/// The label of whoever asked for it.
///
/// Returns: text that is valid until the object is freed; NULL when the broker does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_requester_label(approval: *const lime_approval) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(approval, std::ptr::null(), |a| pointer(a.requester_label.as_ref())) }
}

/// Frees an approval. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_free(approval: *mut lime_approval) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(approval) };
}
