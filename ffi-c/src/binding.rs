//! Bindings: a person connects one of their agents with their account at a site.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::site::passport::verify_binding;
use lime_core::{BindingCheck, BindingRequest, Result, is_library_thread};

use crate::error::lime_error;
use crate::operation::{start, wait};
use crate::panic;
use crate::passport::lime_passport;
use crate::site::{lime_passport_callback, lime_site};
use crate::strings::{Out, borrow, bytes, c_text, flag, get, give, invalid, optional_text, take, text};
use crate::timestamp::{LIME_NO_OFFSET, LIME_NO_TIME, offset};
use crate::userdata::{UserData, lime_drop_user_data};

/// A binding that was just asked for. Free it with lime_binding_request_free().
pub struct lime_binding_request {
    binding_id: CString,
    connect_url: CString,
    status: CString,
    expires_at_unix_micros: i64,
    expires_at_offset_seconds: i32,
}

impl From<BindingRequest> for lime_binding_request {
    fn from(request: BindingRequest) -> Self {
        Self {
            binding_id: c_text(&request.binding_id),
            connect_url: c_text(&request.connect_url),
            status: c_text(&request.status),
            expires_at_unix_micros: request.expires_at.unix_micros,
            expires_at_offset_seconds: offset(request.expires_at),
        }
    }
}

/// What a binding code was exchanged for. Free it with lime_binding_exchange_free().
pub struct lime_binding_exchange {
    passport: CString,
}

impl From<String> for lime_binding_exchange {
    fn from(passport: String) -> Self {
        Self { passport: c_text(&passport) }
    }
}

/// Receives the result of lime_site_create_binding_request_start(). `status` is LIME_OK and `request` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_binding_request_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        request: *mut lime_binding_request,
        error: *mut lime_error,
    ),
>;

/// Receives the result of lime_site_exchange_binding_code_start(). `status` is LIME_OK and `exchange` is
/// there, or `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_binding_exchange_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        exchange: *mut lime_binding_exchange,
        error: *mut lime_error,
    ),
>;

/// What a binding passport must meet.
///
/// # Safety
/// `expected_binding_id` is NULL or ends with a NUL.
unsafe fn check(expected_binding_id: *const c_char, require_issuer: i32) -> Result<BindingCheck> {
    // SAFETY: as promised by the caller.
    let expected = unsafe { optional_text(expected_binding_id, "expected_binding_id") }?;
    let check = BindingCheck::default().require_issuer(flag(require_issuer, "require_issuer")?);
    Ok(match expected {
        Some(binding_id) => check.expected_binding_id(binding_id),
        None => check,
    })
}

/// Asks for a binding: a person is to connect one of their agents with their account at this site. Keep the
/// binding's id beside the person's session, then send their browser to its connect URL. They come back to
/// `redirect_uri` with `?binding_code=` in its query. Blocks.
///
/// Parameters: `redirect_uri`: an absolute https URL of the site. `request`: gets the result, to be freed with
/// lime_binding_request_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_API with the code "VALIDATION_ERROR" when the platform does not take the
/// `redirect_uri`; other errors as lime_site_create_login_request().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_create_binding_request(
    site: *const lime_site,
    redirect_uri: *const c_char,
    request: *mut *mut lime_binding_request,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, redirect_uri, place) = unsafe {
            (borrow(site, "site")?, text(redirect_uri, "redirect_uri")?, Out::new(request, "request")?)
        };
        wait(site.0.create_binding_request(redirect_uri), place)
    })
}

/// The started form of lime_site_create_binding_request(); see "Started calls" in the manual above.
///
/// Parameters: `redirect_uri`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the
/// manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_create_binding_request_start(
    site: *const lime_site,
    redirect_uri: *const c_char,
    callback: lime_binding_request_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let create =
                || Ok(borrow(site, "site")?.0.create_binding_request(text(redirect_uri, "redirect_uri")?));
            start(create, callback, user, operation)
        }
    })
}

/// Exchanges the code that a person came back with for the binding passport, which is not verified yet: give it
/// to lime_site_verify_binding_passport(). A code can be exchanged once. Blocks.
///
/// Parameters: `binding_code`: the value of `binding_code` in the query that the person came back with.
/// `exchange`: gets the result, to be freed with lime_binding_exchange_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_API for a code that is unknown, used or expired; LIME_ERROR_OUTCOME_UNKNOWN when
/// the code was sent and the answer got lost: it may be used up, so let the person start again; other errors
/// as lime_site_create_login_request().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_exchange_binding_code(
    site: *const lime_site,
    binding_code: *const c_char,
    exchange: *mut *mut lime_binding_exchange,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, binding_code, place) = unsafe {
            (borrow(site, "site")?, text(binding_code, "binding_code")?, Out::new(exchange, "exchange")?)
        };
        wait(site.0.exchange_binding_code(binding_code), place)
    })
}

/// The started form of lime_site_exchange_binding_code(); see "Started calls" in the manual above.
///
/// Parameters: `binding_code`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the
/// manual. `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the
/// error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_exchange_binding_code_start(
    site: *const lime_site,
    binding_code: *const c_char,
    callback: lime_binding_exchange_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let exchange =
                || Ok(borrow(site, "site")?.0.exchange_binding_code(text(binding_code, "binding_code")?));
            start(exchange, callback, user, operation)
        }
    })
}

/// Verifies a binding passport, fetching the platform's keys if they are not at hand. Blocks only for that. Its
/// claims "binding_id" and "agent_id" say which agent is the person's.
///
/// Parameters: `jwt`: the passport. `expected_binding_id`: the binding that it must be for, which was kept
/// beside the session of the person who came back; or NULL for any (dangerous unless the caller compares: a
/// person could be sent back with a stranger's code). `require_issuer`: 1 to refuse a passport without `iss`,
/// else 0 (the site's option still counts). `passport`: gets the result, to be freed with
/// lime_passport_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED; an error of the platform or
/// the network when the keys cannot be had; LIME_ERROR_CLOSED; LIME_ERROR_WOULD_DEADLOCK in a callback
/// (start it there); LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_binding_passport(
    site: *const lime_site,
    jwt: *const c_char,
    expected_binding_id: *const c_char,
    require_issuer: i32,
    passport: *mut *mut lime_passport,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, jwt, check, place) = unsafe {
            (
                borrow(site, "site")?,
                text(jwt, "jwt")?,
                check(expected_binding_id, require_issuer)?,
                Out::new(passport, "passport")?,
            )
        };
        // In a callback it fails always, not only when the keys happen to be away.
        if !is_library_thread()
            && let Some(result) = site.0.verify_binding_passport_cached(jwt, &check)
        {
            place.write(give(lime_passport::from(result?)));
            return Ok(());
        }
        wait(site.0.verify_binding_passport(jwt, check), place)
    })
}

/// Verifies a binding passport with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
///
/// Parameters: `jwt`, `expected_binding_id`, `require_issuer`: as lime_site_verify_binding_passport(). `passport`:
/// gets the result, to be freed with lime_passport_free(); NULL when the platform's keys are not at hand, which
/// lime_site_verify_binding_passport_start() fetches. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED;
/// LIME_ERROR_CLOSED; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_binding_passport_cached(
    site: *const lime_site,
    jwt: *const c_char,
    expected_binding_id: *const c_char,
    require_issuer: i32,
    passport: *mut *mut lime_passport,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (site, jwt, check, place) = unsafe {
            (
                borrow(site, "site")?,
                text(jwt, "jwt")?,
                check(expected_binding_id, require_issuer)?,
                Out::new(passport, "passport")?,
            )
        };
        let verified = site.0.verify_binding_passport_cached(jwt, &check).transpose()?;
        place.write(verified.map_or(std::ptr::null_mut(), |passport| give(lime_passport::from(passport))));
        Ok(())
    })
}

/// The started form of lime_site_verify_binding_passport(); see "Started calls" in the manual above.
///
/// Parameters: `jwt`: copied. `expected_binding_id`: copied; NULL for any. `require_issuer`: 0 or 1. `callback`: gets the
/// result. `user_data`, `drop_user_data`: see the manual. `operation`: NULL, or gets the number for
/// lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called. A passport that cannot be right
/// whatever the keys are is refused at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_verify_binding_passport_start(
    site: *const lime_site,
    jwt: *const c_char,
    expected_binding_id: *const c_char,
    require_issuer: i32,
    callback: lime_passport_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let verify = || {
                let check = check(expected_binding_id, require_issuer)?;
                Ok(borrow(site, "site")?.0.verify_binding_passport(text(jwt, "jwt")?, check))
            };
            start(verify, callback, user, operation)
        }
    })
}

/// Verifies a binding passport with keys that are at hand, without any client and at any time.
///
/// Parameters: `jwt`: the passport. `jwks_json`, `jwks_length`: the platform's key document, bare or in
/// an envelope. `api_root`: where the passport must come from, such as "https://lime.pics/api/v1".
/// `expected_binding_id`: the binding that it must be for, or NULL for any. `require_issuer`: 1 to
/// refuse a passport without `iss`, else 0. `now_unix_seconds`: the time that counts as now. `passport`:
/// gets the result, to be freed with lime_passport_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_verify_binding(
    jwt: *const c_char,
    jwks_json: *const c_void,
    jwks_length: usize,
    api_root: *const c_char,
    expected_binding_id: *const c_char,
    require_issuer: i32,
    now_unix_seconds: f64,
    passport: *mut *mut lime_passport,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, jwt, jwks, api_root, check) = unsafe {
            (
                Out::new(passport, "passport")?,
                text(jwt, "jwt")?,
                bytes(jwks_json, jwks_length, "jwks_json")?,
                text(api_root, "api_root")?,
                check(expected_binding_id, require_issuer)?,
            )
        };
        let now = Duration::try_from_secs_f64(now_unix_seconds)
            .map_err(|_| invalid("now_unix_seconds is no time"))?;
        let verified = verify_binding(jwt, &KeySet::from_json(jwks)?, api_root, &check, now)?;
        place.write(give(verified.into()));
        Ok(())
    })
}

/// The binding's id, to be kept beside the person's session before their browser is sent on.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_binding_id(
    request: *const lime_binding_request,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.binding_id.as_ptr()) }
}

/// Where the person's browser is to be sent, as it is.
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_connect_url(
    request: *const lime_binding_request,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.connect_url.as_ptr()) }
}

/// The binding's status, "PENDING".
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_status_text(
    request: *const lime_binding_request,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, std::ptr::null(), |r| r.status.as_ptr()) }
}

/// When the binding expires, unless the person has picked an agent.
///
/// Returns: microseconds since 1970-01-01T00:00:00Z; LIME_NO_TIME for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_expires_at_unix_micros(
    request: *const lime_binding_request,
) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, LIME_NO_TIME, |r| r.expires_at_unix_micros) }
}

/// The offset that the expiry was written with.
///
/// Returns: seconds east of UTC; LIME_NO_OFFSET when it was written without one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_expires_at_offset_seconds(
    request: *const lime_binding_request,
) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(request, LIME_NO_OFFSET, |r| r.expires_at_offset_seconds) }
}

/// Frees a binding request. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_request_free(request: *mut lime_binding_request) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(request) };
}

/// The binding passport, not verified yet: pass it to lime_site_verify_binding_passport().
///
/// Returns: text that is valid until the object is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_exchange_passport(
    exchange: *const lime_binding_exchange,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(exchange, std::ptr::null(), |e| e.passport.as_ptr()) }
}

/// Frees what a code was exchanged for. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_binding_exchange_free(exchange: *mut lime_binding_exchange) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(exchange) };
}
