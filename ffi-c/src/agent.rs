//! An agent's client.

use std::ffi::{CString, c_char, c_void};

use lime_core::{AgentProfile, ApprovalResult, LimeAgent};

use crate::agent_options::lime_agent_options;
use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::progress::lime_login_progress;
use crate::strings::{Out, borrow, c_optional, c_text, get, give, pointer, take, text};
use crate::timestamp::{LIME_NO_OFFSET, LIME_NO_TIME, offset};
use crate::userdata::{UserData, lime_drop_user_data};

/// The client of an agent. Make one per agent token and process; any number of threads may use it at
/// once. Free it with lime_agent_free().
pub struct lime_agent(pub(crate) LimeAgent);

/// How a login was confirmed. Free it with lime_approval_result_free().
pub struct lime_approval_result {
    request_id: CString,
    site_id: CString,
    status: CString,
    approved_agent_id: Option<CString>,
    expires_at_unix_micros: i64,
    expires_at_offset_seconds: i32,
}

impl From<ApprovalResult> for lime_approval_result {
    fn from(result: ApprovalResult) -> Self {
        Self {
            request_id: c_text(&result.request_id),
            site_id: c_text(&result.site_id),
            status: c_text(&result.status),
            approved_agent_id: c_optional(result.approved_agent_id.as_deref()),
            expires_at_unix_micros: result.expires_at.unix_micros,
            expires_at_offset_seconds: offset(result.expires_at),
        }
    }
}

/// The agent as the platform knows it. Free it with lime_agent_profile_free().
pub struct lime_agent_profile {
    agent_id: CString,
    owner_id: CString,
    display_name: Option<CString>,
    avatar_url: Option<CString>,
    description: Option<CString>,
    owner_kyc_level: Option<i64>,
    agent_reputation: Option<i64>,
}

impl From<AgentProfile> for lime_agent_profile {
    fn from(profile: AgentProfile) -> Self {
        Self {
            agent_id: c_text(&profile.agent_id),
            owner_id: c_text(&profile.owner_id),
            display_name: c_optional(profile.display_name.as_deref()),
            avatar_url: c_optional(profile.avatar_url.as_deref()),
            description: c_optional(profile.description.as_deref()),
            owner_kyc_level: profile.owner_kyc_level,
            agent_reputation: profile.agent_reputation,
        }
    }
}

/// Receives the result of lime_agent_login_start(). `status` is LIME_OK and `result` is there, or `error`
/// is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_approval_result_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        result: *mut lime_approval_result,
        error: *mut lime_error,
    ),
>;

/// Receives the result of lime_agent_get_profile_start(). `status` is LIME_OK and `profile` is there, or
/// `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_agent_profile_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        profile: *mut lime_agent_profile,
        error: *mut lime_error,
    ),
>;

/// Makes a client for the agent that the token belongs to. Starts no thread and sends nothing.
///
/// Parameters: `options`: copied; NULL for the defaults and the environment. `agent`: gets the client, to
/// be freed with lime_agent_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_AUTHENTICATION when there is no token; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_new(
    options: *const lime_agent_options,
    agent: *mut *mut lime_agent,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, options) = unsafe { (Out::new(agent, "agent")?, options.as_ref()) };
        let config = options.map(|options| options.config.clone()).unwrap_or_default();
        place.write(give(lime_agent(LimeAgent::new(config)?)));
        Ok(())
    })
}

/// Confirms a site's login request: fetches its challenge, solves it, sends the approval. Blocks.
///
/// Parameters: `request_id`: the login request. `result`: gets the result, to be freed with
/// lime_approval_result_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_API when the platform does not know the request (any more) or it is no
/// request id; LIME_ERROR_POW_TIMEOUT when the challenge is not solved in time;
/// LIME_ERROR_POW_DIFFICULTY; LIME_ERROR_OUTCOME_UNKNOWN when an approval was sent and its answer got lost
/// (the site may have let the agent in); LIME_ERROR_AUTHENTICATION; LIME_ERROR_RATE_LIMIT; another error of
/// the platform or the network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_login(
    agent: *const lime_agent,
    request_id: *const c_char,
    result: *mut *mut lime_approval_result,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, request_id, place) = unsafe {
            (borrow(agent, "agent")?, text(request_id, "request_id")?, Out::new(result, "result")?)
        };
        wait(agent.0.login(request_id), place)
    })
}

/// The started form of lime_agent_login(); see "Started calls" in the manual above. Cancelling ends the
/// search for the proof of work at once.
///
/// Parameters: `request_id`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the
/// manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_login_start(
    agent: *const lime_agent,
    request_id: *const c_char,
    callback: lime_approval_result_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let login = || Ok(borrow(agent, "agent")?.0.login(text(request_id, "request_id")?));
            start(login, callback, user, operation)
        }
    })
}

/// A progress for one login of this agent: lime_agent_login_with_progress(). Its clock runs from here on.
///
/// Parameters: `progress`: gets it, to be freed with lime_login_progress_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (something NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_progress(
    agent: *const lime_agent,
    progress: *mut *mut lime_login_progress,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, place) = unsafe { (borrow(agent, "agent")?, Out::new(progress, "progress")?) };
        place.write(give(lime_login_progress::new(agent.0.progress())));
        Ok(())
    })
}

/// Like lime_agent_login(), and any thread can see in `progress` how far it has come. It costs the login nothing,
/// however often it is looked at. Blocks.
///
/// Parameters: `request_id`: the login request. `progress`: of this agent and this login; it may be freed at any
/// time. `result`: gets the result, to be freed with lime_approval_result_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; what lime_agent_login() returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_login_with_progress(
    agent: *const lime_agent,
    request_id: *const c_char,
    progress: *const lime_login_progress,
    result: *mut *mut lime_approval_result,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, request_id, progress, place) = unsafe {
            (
                borrow(agent, "agent")?,
                text(request_id, "request_id")?,
                borrow(progress, "progress")?,
                Out::new(result, "result")?,
            )
        };
        wait(agent.0.login_with_progress(request_id, progress.shared()), place)
    })
}

/// The started form of lime_agent_login_with_progress(); see "Started calls" in the manual above.
///
/// Parameters: `request_id`: copied. `progress`: of this agent and this login; it may be freed at any time.
/// `callback`: gets the result. `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or gets the number
/// for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_login_with_progress_start(
    agent: *const lime_agent,
    request_id: *const c_char,
    progress: *const lime_login_progress,
    callback: lime_approval_result_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let login = || {
                let progress = borrow(progress, "progress")?.shared();
                let request_id = text(request_id, "request_id")?;
                Ok(borrow(agent, "agent")?.0.login_with_progress(request_id, progress))
            };
            start(login, callback, user, operation)
        }
    })
}

/// Reads the agent's own profile. Blocks.
///
/// Parameters: `profile`: gets the result, to be freed with lime_agent_profile_free(). `error`: NULL, or
/// gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_AUTHENTICATION when the platform refuses the token; another error of the
/// platform or the network; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_get_profile(
    agent: *const lime_agent,
    profile: *mut *mut lime_agent_profile,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, place) = unsafe { (borrow(agent, "agent")?, Out::new(profile, "profile")?) };
        wait(agent.0.get_profile(), place)
    })
}

/// The started form of lime_agent_get_profile(); see "Started calls" in the manual above.
///
/// Parameters: `callback`: gets the result. `user_data`, `drop_user_data`: see the manual. `operation`:
/// NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_get_profile_start(
    agent: *const lime_agent,
    callback: lime_agent_profile_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe { start(|| Ok(borrow(agent, "agent")?.0.get_profile()), callback, user, operation) }
    })
}

/// Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on. Does not wait; may be
/// called in a callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_close(agent: *const lime_agent) {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(agent, (), |agent: &lime_agent| agent.0.close()) };
}

/// Closes and frees the client. Started calls still complete. May be called in a callback. NULL is
/// allowed. No other thread may use the client during or after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_free(agent: *mut lime_agent) {
    // SAFETY: NULL or a live handle that is freed once (the header's contract).
    unsafe {
        get(agent, (), |agent: &lime_agent| agent.0.close());
        take(agent);
    }
}

/// The login request that was confirmed.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_request_id(
    result: *const lime_approval_result,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| r.request_id.as_ptr()) }
}

/// The site that created it.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_site_id(result: *const lime_approval_result) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| r.site_id.as_ptr()) }
}

/// The status: "APPROVED" or "DELIVERED".
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_status_text(
    result: *const lime_approval_result,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| r.status.as_ptr()) }
}

/// The agent that approved it.
///
/// Returns: text that is valid until the object is freed; NULL when the platform does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_approved_agent_id(
    result: *const lime_approval_result,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, std::ptr::null(), |r| pointer(r.approved_agent_id.as_ref())) }
}

/// When the login request expires.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_expires_at_unix_micros(
    result: *const lime_approval_result,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, LIME_NO_TIME, |r| r.expires_at_unix_micros) }
}

/// The offset that the expiry was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when it was written without one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_expires_at_offset_seconds(
    result: *const lime_approval_result,
) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(result, LIME_NO_OFFSET, |r| r.expires_at_offset_seconds) }
}

/// Frees an approval's result. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_approval_result_free(result: *mut lime_approval_result) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(result) };
}

/// The agent.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_agent_id(profile: *const lime_agent_profile) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(profile, std::ptr::null(), |r| r.agent_id.as_ptr()) }
}

/// The LIME user who owns it.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_owner_id(profile: *const lime_agent_profile) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(profile, std::ptr::null(), |r| r.owner_id.as_ptr()) }
}

/// Its public name.
///
/// Returns: text that is valid until the object is freed; NULL when the platform does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_display_name(
    profile: *const lime_agent_profile,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(profile, std::ptr::null(), |r| pointer(r.display_name.as_ref())) }
}

/// The address of its picture.
///
/// Returns: text that is valid until the object is freed; NULL when the platform does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_avatar_url(profile: *const lime_agent_profile) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(profile, std::ptr::null(), |r| pointer(r.avatar_url.as_ref())) }
}

/// Its public description.
///
/// Returns: text that is valid until the object is freed; NULL when the platform does not tell.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_description(profile: *const lime_agent_profile) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(profile, std::ptr::null(), |r| pointer(r.description.as_ref())) }
}

/// The owner's verification level.
///
/// Parameters: `value`: gets the number if the platform tells it.
///
/// Returns: 1 if it does, else 0 (also for NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_owner_kyc_level(
    profile: *const lime_agent_profile,
    value: *mut i64,
) -> i32 {
    // SAFETY: pointers are NULL or valid, as the header asks.
    unsafe { number(profile, value, |profile| profile.owner_kyc_level) }
}

/// Its reputation score.
///
/// Parameters: `value`: gets the number if the platform tells it.
///
/// Returns: 1 if it does, else 0 (also for NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_agent_reputation(
    profile: *const lime_agent_profile,
    value: *mut i64,
) -> i32 {
    // SAFETY: pointers are NULL or valid, as the header asks.
    unsafe { number(profile, value, |profile| profile.agent_reputation) }
}

/// # Safety
/// Both pointers are NULL or valid.
unsafe fn number(
    profile: *const lime_agent_profile,
    value: *mut i64,
    read: impl FnOnce(&lime_agent_profile) -> Option<i64>,
) -> i32 {
    panic::value(0, || {
        // SAFETY: as promised by the caller.
        let (profile, place) = unsafe { (borrow(profile, "profile"), Out::new(value, "value")) };
        let (Some(found), Ok(place)) = (profile.ok().and_then(read), place) else { return 0 };
        place.write(found);
        1
    })
}

/// Frees a profile. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_profile_free(profile: *mut lime_agent_profile) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(profile) };
}
