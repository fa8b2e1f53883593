//! Tokens for MCP servers.

use std::ffi::{CString, c_char, c_void};

use lime_core::McpAccessToken;

use crate::agent::lime_agent;
use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::strings::{Out, borrow, c_text, flag, get, take, text};
use crate::timestamp::LIME_NO_TIME;
use crate::userdata::{UserData, lime_drop_user_data};

/// A token for the MCP servers of one host name. Free it with lime_mcp_access_token_free().
pub struct lime_mcp_access_token {
    access_token: CString,
    expires_in_seconds: i64,
    issued_at_unix_micros: i64,
}

impl From<McpAccessToken> for lime_mcp_access_token {
    fn from(token: McpAccessToken) -> Self {
        Self {
            access_token: c_text(&token.access_token),
            expires_in_seconds: token.expires_in,
            issued_at_unix_micros: i64::try_from(token.issued_at.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

/// Receives the result of lime_agent_get_mcp_access_token_start(). `status` is LIME_OK and `token` is there, or
/// `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_mcp_access_token_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        token: *mut lime_mcp_access_token,
        error: *mut lime_error,
    ),
>;

/// Gives a token for the MCP servers of a host name: the one that is held, as long as it lives. Tokens are kept for
/// each host name and fetched by one call at a time. Blocks.
///
/// Parameters: `target`: a URL or a host name, see lime_extract_and_normalize_domain(). `force_refresh`: 1 to fetch a
/// new one, whatever is held; else 0. `token`: gets the token, to be freed with lime_mcp_access_token_free(). `error`:
/// NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_OAUTH_CAPABILITY when the agent lacks the grant; LIME_ERROR_AUTHENTICATION when the
/// platform refuses the agent's token; LIME_ERROR_RATE_LIMIT; another error of the platform or the network;
/// LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT, also for a target that is
/// no public DNS name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_get_mcp_access_token(
    agent: *const lime_agent,
    target: *const c_char,
    force_refresh: i32,
    token: *mut *mut lime_mcp_access_token,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (agent, target, place) =
            unsafe { (borrow(agent, "agent")?, text(target, "target")?, Out::new(token, "token")?) };
        wait(agent.0.get_mcp_access_token(target, flag(force_refresh, "force_refresh")?), place)
    })
}

/// The started form of lime_agent_get_mcp_access_token(); see "Started calls" in the manual above.
///
/// Parameters: `target`: copied. `force_refresh`: 1 or 0. `callback`: gets the result. `user_data`, `drop_user_data`:
/// see the manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_get_mcp_access_token_start(
    agent: *const lime_agent,
    target: *const c_char,
    force_refresh: i32,
    callback: lime_mcp_access_token_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let get = || {
                let force_refresh = flag(force_refresh, "force_refresh")?;
                Ok(borrow(agent, "agent")?.0.get_mcp_access_token(text(target, "target")?, force_refresh))
            };
            start(get, callback, user, operation)
        }
    })
}

/// The token itself, a JWT, to be sent as `Authorization: Bearer ...` to MCP servers of its host name and nowhere else.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_access_token_access_token(
    token: *const lime_mcp_access_token,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, std::ptr::null(), |r| r.access_token.as_ptr()) }
}

/// What kind of token it is.
///
/// Returns: "Bearer", static text; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_access_token_token_type(
    token: *const lime_mcp_access_token,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, std::ptr::null(), |_| c"Bearer".as_ptr()) }
}

/// How long it lives from lime_mcp_access_token_issued_at_unix_micros() on.
///
/// Returns: seconds; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_access_token_expires_in_seconds(
    token: *const lime_mcp_access_token,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, 0, |r| r.expires_in_seconds) }
}

/// When it was fetched.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_access_token_issued_at_unix_micros(
    token: *const lime_mcp_access_token,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, LIME_NO_TIME, |r| r.issued_at_unix_micros) }
}

/// Frees a token. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_access_token_free(token: *mut lime_mcp_access_token) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(token) };
}
