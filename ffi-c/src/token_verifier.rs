//! The MCP server's side: verify the access tokens that agents show.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::token_verifier::{bearer, domain, token};
use lime_core::{Error, ErrorKind, TokenCheck, TokenVerifier, VerifiedToken, is_library_thread};
use serde_json::Value;

use crate::error::{LIME_OK, lime_error};
use crate::operation::{start, start_with, wait};
use crate::panic;
use crate::strings::{
    Out, borrow, bytes, c_optional, c_text, get, give, invalid, optional_text, pointer, take, text, texts,
};
use crate::token_verifier_options::lime_token_verifier_options;
use crate::userdata::{UserData, lime_drop_user_data};

/// Verifies the access tokens that agents show to one MCP server. Make one per host name and process; any
/// number of threads may use it at once. Free it with lime_token_verifier_free().
pub struct lime_token_verifier {
    verifier: TokenVerifier,
    expected_domain: CString,
}

/// An access token that was verified, with its claims.
pub struct lime_verified_token {
    json: CString,
    texts: Vec<(String, CString)>,
}

impl From<VerifiedToken> for lime_verified_token {
    fn from(token: VerifiedToken) -> Self {
        let text = |(name, value): (&String, &Value)| Some((name.clone(), c_text(value.as_str()?)));
        Self {
            texts: token.claims.iter().filter_map(text).collect(),
            json: c_text(&Value::Object(token.claims).to_string()),
        }
    }
}

impl lime_verified_token {
    fn claim(&self, name: &str) -> *const c_char {
        let found = self.texts.iter().find(|(known, _)| known == name);
        found.map_or(std::ptr::null(), |(_, value)| value.as_ptr())
    }
}

/// The HTTP answer to a request that is not let in.
pub struct lime_token_refusal {
    http_status: i32,
    www_authenticate: Option<CString>,
    retry_after: i64,
    body: CString,
}

/// Receives the result of lime_token_verifier_verify_start(). `status` is LIME_OK and `token` is there, or
/// `error` is; both belong to the callback, which frees them. Runs on the dispatcher thread.
pub type lime_verified_token_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        token: *mut lime_verified_token,
        error: *mut lime_error,
    ),
>;

/// Is told how lime_token_verifier_warm_up_start() ended. `status` is LIME_OK, or `error` is there, which
/// belongs to the callback, which frees it. Runs on the dispatcher thread.
pub type lime_warm_up_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, status: i32, error: *mut lime_error)>;

/// Makes a verifier. Starts no thread and sends nothing: the first call that needs the platform's keys fetches
/// them.
///
/// Parameters: `options`: copied; NULL for the defaults and the environment. `verifier`: gets the verifier, to
/// be freed with lime_token_verifier_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT, also when no host name is given or it is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_new(
    options: *const lime_token_verifier_options,
    verifier: *mut *mut lime_token_verifier,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, options) = unsafe { (Out::new(verifier, "verifier")?, options.as_ref()) };
        let config = options.map(|options| options.config.clone()).unwrap_or_default();
        let verifier = TokenVerifier::new(config)?;
        let expected_domain = c_text(verifier.expected_domain());
        place.write(give(lime_token_verifier { verifier, expected_domain }));
        Ok(())
    })
}

/// Verifies a token: its signature with the platform's keys, which are fetched if they are not at hand (that
/// blocks), its times, its issuer and audience, and that it is for this host name.
///
/// Parameters: `token`: the JWT alone, without "Bearer", see lime_bearer_token(). `result`: gets the result, to be
/// freed with lime_verified_token_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_TOKEN, the error's code says why (LIME_TOKEN_WRONG_DOMAIN and
/// its like); an error of the platform or
/// the network when the keys cannot be had, which says nothing of the token; LIME_ERROR_CLOSED;
/// LIME_ERROR_WOULD_DEADLOCK in a callback (start it there); LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_verify(
    verifier: *const lime_token_verifier,
    token: *const c_char,
    result: *mut *mut lime_verified_token,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (verifier, token, place) =
            unsafe { (borrow(verifier, "verifier")?, text(token, "token")?, Out::new(result, "result")?) };
        // In a callback it fails always, not only when the keys happen to be away.
        if !is_library_thread()
            && let Some(result) = verifier.verifier.verify_cached(token)
        {
            place.write(give(lime_verified_token::from(result?)));
            return Ok(());
        }
        wait(verifier.verifier.verify(token), place)
    })
}

/// Verifies a token with the keys that are at hand. Never blocks and sends nothing; in callbacks, too.
///
/// Parameters: `token`: as in lime_token_verifier_verify(). `result`: gets the result, to be freed with
/// lime_verified_token_free(); NULL when the platform's keys are not at hand, which
/// lime_token_verifier_verify_start() fetches. `error`: NULL, or gets the error.
///
/// Returns: LIME_OK, also when the keys are not at hand; LIME_ERROR_INVALID_TOKEN; LIME_ERROR_CLOSED;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_verify_cached(
    verifier: *const lime_token_verifier,
    token: *const c_char,
    result: *mut *mut lime_verified_token,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (verifier, token, place) =
            unsafe { (borrow(verifier, "verifier")?, text(token, "token")?, Out::new(result, "result")?) };
        let found = verifier.verifier.verify_cached(token).transpose()?;
        place.write(found.map_or(std::ptr::null_mut(), |token| give(lime_verified_token::from(token))));
        Ok(())
    })
}

/// The started form of lime_token_verifier_verify(); see "Started calls" in the manual above.
///
/// Parameters: `token`: copied. `callback`: gets the result. `user_data`, `drop_user_data`: see the manual.
/// `operation`: NULL, or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called. A token that cannot be right whatever the
/// keys are is refused at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_verify_start(
    verifier: *const lime_token_verifier,
    token: *const c_char,
    callback: lime_verified_token_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let verify = || Ok(borrow(verifier, "verifier")?.verifier.verify(text(token, "token")?));
            start(verify, callback, user, operation)
        }
    })
}

/// Fetches the platform's keys ahead of the first token, unless that was done less than the option min_refresh ago.
/// Blocks.
///
/// Parameters: `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; an error of the platform or the network (keys that are held stay); LIME_ERROR_CLOSED;
/// LIME_ERROR_WOULD_DEADLOCK in a callback; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_warm_up(
    verifier: *const lime_token_verifier,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: NULL or a live handle, as the header asks.
        unsafe { borrow(verifier, "verifier") }?.verifier.warm_up().wait()
    })
}

/// The started form of lime_token_verifier_warm_up(); see "Started calls" in the manual above.
///
/// Parameters: `callback`: is told how it ended. `user_data`, `drop_user_data`: see the manual. `operation`: NULL,
/// or gets the number for lime_operation_cancel(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK when it was started; else `callback` is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_warm_up_start(
    verifier: *const lime_token_verifier,
    callback: lime_warm_up_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        let callback = callback.ok_or_else(|| invalid("callback is NULL"))?;
        let complete = move |result: lime_core::Result<()>| {
            let (status, error) = match result {
                Ok(()) => (LIME_OK, std::ptr::null_mut()),
                Err(error) => (error.kind().number(), panic::boxed(error)),
            };
            // SAFETY: the host's own function; the error is the host's from here on.
            unsafe { callback(user.pointer(), status, error) };
        };
        // SAFETY: pointers are NULL or valid, as the header asks.
        unsafe {
            let warm_up = || Ok(borrow(verifier, "verifier")?.verifier.warm_up());
            start_with(warm_up, operation, complete)
        }
    })
}

/// Forgets the platform's keys; the next call that needs them fetches them. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_forget_keys(verifier: *const lime_token_verifier) {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(verifier, (), |verifier: &lime_token_verifier| verifier.verifier.keys().forget()) };
}

/// How many fetches have brought keys.
///
/// Returns: the number; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_fetches(verifier: *const lime_token_verifier) -> u64 {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(verifier, 0, |verifier: &lime_token_verifier| verifier.verifier.keys().fetches()) }
}

/// The host name that tokens must be for, in canonical form.
///
/// Returns: text that is valid until the verifier is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_expected_domain(
    verifier: *const lime_token_verifier,
) -> *const c_char {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe {
        get(verifier, std::ptr::null(), |verifier: &lime_token_verifier| verifier.expected_domain.as_ptr())
    }
}

/// Refuses further calls with LIME_ERROR_CLOSED; calls that are under way go on. Does not wait; may be called in a
/// callback. Closing twice, and NULL, do nothing. The handle still has to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_close(verifier: *const lime_token_verifier) {
    // SAFETY: NULL or a live handle, as the header asks.
    unsafe { get(verifier, (), |verifier: &lime_token_verifier| verifier.verifier.close()) };
}

/// Closes and frees the verifier. Started calls still complete. May be called in a callback. NULL is allowed. No
/// other thread may use the verifier during or after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_free(verifier: *mut lime_token_verifier) {
    // SAFETY: NULL or a live handle that is freed once (the header's contract).
    unsafe {
        get(verifier, (), |verifier: &lime_token_verifier| verifier.verifier.close());
        take(verifier);
    }
}

/// Verifies an access token with keys that are at hand, without any verifier and at any time.
///
/// Parameters: `token`: the JWT. `jwks_json`, `jwks_length`: the platform's key document, bare or in an envelope.
/// `issuer`: what `iss` must be, letter by letter, such as "https://lime.pics". `expected_domain`: the host name that
/// it must be for, in canonical form, see lime_mcp_domain_normalize(). `audience`: whom it must be for; NULL for
/// "mcp". `leeway_ms`: how far clocks may be apart, in milliseconds; 120000 if in doubt. `now_unix_seconds`: the time
/// that counts as now. `result`: gets the result, to be freed with lime_verified_token_free(). `error`: NULL, or gets
/// the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_TOKEN, see lime_token_verifier_verify(); LIME_ERROR_INVALID_PASSPORT when
/// `jwks_json` is no key document; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_access_token_verify(
    token: *const c_char,
    jwks_json: *const c_void,
    jwks_length: usize,
    issuer: *const c_char,
    expected_domain: *const c_char,
    audience: *const c_char,
    leeway_ms: u64,
    now_unix_seconds: f64,
    result: *mut *mut lime_verified_token,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, token, jwks, issuer, expected_domain, audience) = unsafe {
            (
                Out::new(result, "result")?,
                text(token, "token")?,
                bytes(jwks_json, jwks_length, "jwks_json")?,
                text(issuer, "issuer")?,
                text(expected_domain, "expected_domain")?,
                optional_text(audience, "audience")?,
            )
        };
        let now = Duration::try_from_secs_f64(now_unix_seconds)
            .map_err(|_| invalid("now_unix_seconds is no time"))?;
        let mut check = TokenCheck::new(issuer, expected_domain).leeway(Duration::from_millis(leeway_ms));
        if let Some(audience) = audience {
            check = check.audience(audience);
        }
        let verified = token::verify(token, &KeySet::from_json(jwks)?, &check, now)?;
        place.write(give(verified.into()));
        Ok(())
    })
}

/// All claims as a JSON object.
///
/// Returns: text that is valid until the token is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_verified_token_claims_json(token: *const lime_verified_token) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, std::ptr::null(), |t: &lime_verified_token| t.json.as_ptr()) }
}

/// The agent that shows the token (its claim `sub`).
///
/// Returns: text that is valid until the token is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_verified_token_agent_id(token: *const lime_verified_token) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, std::ptr::null(), |t: &lime_verified_token| t.claim("sub")) }
}

/// The host name that the token is for.
///
/// Returns: text that is valid until the token is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_verified_token_domain(token: *const lime_verified_token) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(token, std::ptr::null(), |t: &lime_verified_token| t.claim("domain")) }
}

/// One claim that is a text, such as "jti".
///
/// Parameters: `name`: the claim's name.
///
/// Returns: text that is valid until the token is freed; NULL when there is no such claim or it is no text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_verified_token_text_claim(
    token: *const lime_verified_token,
    name: *const c_char,
) -> *const c_char {
    panic::value(std::ptr::null(), || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        match unsafe { (borrow(token, "token"), text(name, "name")) } {
            (Ok(token), Ok(name)) => token.claim(name),
            _ => std::ptr::null(),
        }
    })
}

/// Frees a token. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_verified_token_free(token: *mut lime_verified_token) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(token) };
}

/// The canonical form of a host name, as tokens have it: in lower case, without scheme and path. Ports, user names,
/// addresses and reserved names are refused.
///
/// Parameters: `domain`: a host name or a URL. `canonical`: gets the host name, to be freed with lime_string_free().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_mcp_domain_normalize(
    domain: *const c_char,
    canonical: *mut *mut c_char,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, domain) = unsafe { (Out::new(canonical, "canonical")?, text(domain, "domain")?) };
        place.write(c_text(&domain::normalize_mcp_domain(domain)?).into_raw());
        Ok(())
    })
}

/// The token in a request's Authorization headers ("Bearer ..."), of which there should be one.
///
/// Parameters: `authorization`, `count`: the values of all such headers; NULL and 0 when there is none. `token`: gets
/// the token, to be freed with lime_string_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_TOKEN with the code "missing_token", or "ambiguous_token" for several headers,
/// since what stands before the server may have looked at another one; LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_bearer_token(
    authorization: *const *const c_char,
    count: usize,
    token: *mut *mut c_char,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, values) =
            unsafe { (Out::new(token, "token")?, texts(authorization, count, "authorization")?) };
        // What is no text is no token either.
        let values: Vec<&str> = values
            .iter()
            .map(|value| value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default())
            .collect();
        place.write(c_text(bearer::token(&values)?).into_raw());
        Ok(())
    })
}

/// The HTTP answer to a request that is not let in: 401 for a token that is missing or refused, 400 for several, 503
/// when it cannot be told, 500 for a fault of the server's own.
///
/// Parameters: `failure_status`, `message`, `retry_after_ms`: the failure of lime_bearer_token() or of a verification,
/// as lime_error_status(), lime_error_message() and lime_error_retry_after_ms() tell it. `code`: its code, as
/// lime_error_code() tells it; or NULL. `resource_metadata`: the URL of the server's own metadata (RFC 9728), which
/// tells clients whom to ask for a token; or NULL. `refusal`: gets the answer, to be freed with
/// lime_token_refusal_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT, also when `failure_status` is that of no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_new(
    failure_status: i32,
    code: *const c_char,
    message: *const c_char,
    retry_after_ms: i64,
    resource_metadata: *const c_char,
    refusal: *mut *mut lime_token_refusal,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (place, code, message, resource_metadata) = unsafe {
            (
                Out::new(refusal, "refusal")?,
                optional_text(code, "code")?,
                text(message, "message")?,
                optional_text(resource_metadata, "resource_metadata")?,
            )
        };
        let kind = ErrorKind::ALL.iter().find(|kind| kind.number() == failure_status);
        let kind = kind.ok_or_else(|| invalid("failure_status is that of no error"))?;
        let wait = u64::try_from(retry_after_ms).ok().map(Duration::from_millis);
        let mut failure = Error::new(*kind, message).with_retry_after(wait);
        if let Some(code) = code {
            failure = failure.with_code(code);
        }
        let refusal = bearer::Refusal::of(&failure, resource_metadata);
        place.write(give(lime_token_refusal {
            http_status: i32::from(refusal.http_status),
            www_authenticate: c_optional(refusal.www_authenticate.as_deref()),
            retry_after: refusal.retry_after.map_or(-1, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
            body: c_text(&refusal.body),
        }));
        Ok(())
    })
}

/// The answer's status.
///
/// Returns: 400, 401, 500 or 503; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_http_status(refusal: *const lime_token_refusal) -> i32 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(refusal, 0, |r: &lime_token_refusal| r.http_status) }
}

/// The answer's header WWW-Authenticate.
///
/// Returns: text that is valid until the answer is freed; NULL when the header is not to be sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_www_authenticate(
    refusal: *const lime_token_refusal,
) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(refusal, std::ptr::null(), |r: &lime_token_refusal| pointer(r.www_authenticate.as_ref())) }
}

/// The answer's header Retry-After.
///
/// Returns: seconds; -1 when the header is not to be sent, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_retry_after_seconds(refusal: *const lime_token_refusal) -> i64 {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(refusal, -1, |r: &lime_token_refusal| r.retry_after) }
}

/// The answer's body, to be sent as application/json.
///
/// Returns: text that is valid until the answer is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_body_json(refusal: *const lime_token_refusal) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(refusal, std::ptr::null(), |r: &lime_token_refusal| r.body.as_ptr()) }
}

/// Frees an answer. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_refusal_free(refusal: *mut lime_token_refusal) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(refusal) };
}
