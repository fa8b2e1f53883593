//! What a verifier of access tokens is made from.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use lime_core::TokenVerifierConfig;

use crate::clock::{lime_clock, system};
use crate::log::{lime_log_callback, logger};
use crate::panic;
use crate::strings::{give, invalid, optional_text, set, take, text};
use crate::transport::lime_transport;
use crate::userdata::{UserData, lime_drop_user_data};

/// How to make a lime_token_verifier. Not to be used by several threads at once.
#[derive(Default)]
pub struct lime_token_verifier_options {
    pub(crate) config: TokenVerifierConfig,
}

/// A new set of options, with the defaults.
///
/// Returns: the options, to be freed with lime_token_verifier_options_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_token_verifier_options_new() -> *mut lime_token_verifier_options {
    panic::value(std::ptr::null_mut(), || give(lime_token_verifier_options::default()))
}

/// Sets the host name that the MCP server is reached by; tokens for any other are refused. Without it the
/// environment variable LIME_EXPECTED_DOMAIN counts, and without that there is no verifier.
///
/// Parameters: `expected_domain`: copied; NULL or "" goes back to the environment variable. A URL will do, a
/// port will not. It is checked when the verifier is made.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_expected_domain(
    options: *mut lime_token_verifier_options,
    expected_domain: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            options.config.expected_domain =
                optional_text(expected_domain, "expected_domain")?.map(str::to_owned);
            Ok(())
        })
    }
}

/// Sets the platform's origin. Without it the environment variable LIME_BASE_URL counts, then
/// `https://lime.pics`.
///
/// Parameters: `base_url`: copied; NULL or "" goes back to the environment variable. An API root (with
/// `/api/v1`) will do, too. It is checked when the verifier is made.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_base_url(
    options: *mut lime_token_verifier_options,
    base_url: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            options.config.base_url = optional_text(base_url, "base_url")?.map(str::to_owned);
            Ok(())
        })
    }
}

/// Sets whom tokens must be for. Without it the environment variable LIME_OAUTH_AUDIENCE counts, then `mcp`.
///
/// Parameters: `audience`: copied; NULL or "" goes back to the environment variable.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_audience(
    options: *mut lime_token_verifier_options,
    audience: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            options.config.audience = optional_text(audience, "audience")?.map(str::to_owned);
            Ok(())
        })
    }
}

/// Sets how far clocks may be apart when a token's times are looked at. Default: the environment variable
/// LIME_JWT_VERIFY_LEEWAY_SECONDS, then 120,000 ms.
///
/// Parameters: `leeway_ms`: milliseconds; more than a day counts as a day.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_leeway_ms(
    options: *mut lime_token_verifier_options,
    leeway_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.leeway = Some(Duration::from_millis(leeway_ms));
            Ok(())
        })
    }
}

/// Sets how long the platform's signing keys are used before they are fetched again. Default: the
/// environment variable LIME_JWKS_CACHE_TTL_SECONDS, then an hour.
///
/// Parameters: `jwks_cache_ttl_ms`: milliseconds; more than a day counts as a day.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_jwks_cache_ttl_ms(
    options: *mut lime_token_verifier_options,
    jwks_cache_ttl_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.jwks_cache_ttl = Some(Duration::from_millis(jwks_cache_ttl_ms));
            Ok(())
        })
    }
}

/// Sets the least time between two fetches of the keys that a token with an unknown key, or a warm-up, can
/// cause. Default: the environment variable LIME_JWKS_MIN_REFRESH_SECONDS, then 60,000 ms.
///
/// Parameters: `min_refresh_ms`: milliseconds; more than a day counts as a day.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_min_refresh_ms(
    options: *mut lime_token_verifier_options,
    min_refresh_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.min_refresh = Some(Duration::from_millis(min_refresh_ms));
            Ok(())
        })
    }
}

/// Sets what the library calls itself when it fetches keys. Without it the environment variable
/// LIME_VERIFY_USER_AGENT counts, then what the HTTP client calls itself.
///
/// Parameters: `user_agent`: copied; NULL or "" goes back to the environment variable.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_user_agent(
    options: *mut lime_token_verifier_options,
    user_agent: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            options.config.user_agent = optional_text(user_agent, "user_agent")?.map(str::to_owned);
            Ok(())
        })
    }
}

/// Bounds one attempt of a request, from connecting to the last byte. Default: 30,000 ms.
///
/// Parameters: `timeout_ms`: milliseconds, at least 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_timeout_ms(
    options: *mut lime_token_verifier_options,
    timeout_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            if timeout_ms == 0 {
                return Err(invalid("timeout_ms is 0"));
            }
            options.config.timeout = Duration::from_millis(timeout_ms);
            Ok(())
        })
    }
}

/// Adds a public key that the platform's server may have. Once there is one, a server with another key is
/// refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
/// LIME_TLS_PINS counts (several with commas between), and without that every key will do.
///
/// Parameters: `pin`: SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in front;
/// copied, and checked when the client is made, which fails if there is a transport or if `base_url` is not `https://`.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_add_tls_pin(
    options: *mut lime_token_verifier_options,
    pin: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            options.config.tls_pins.push(text(pin, "pin")?.to_owned());
            Ok(())
        })
    }
}

/// Sets where log records go. Default: nowhere; the library never writes to stdout or stderr.
///
/// Parameters: `level`: the least level that is of interest, a LIME_LOG_ constant. `callback`: see
/// lime_log_callback. `user_data`: given back in each call. `drop_user_data`: NULL, or called once when
/// these options and every verifier made with them are gone, when another callback is set, or before this
/// function returns an error.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_log_callback(
    options: *mut lime_token_verifier_options,
    level: i32,
    callback: lime_log_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.logger = logger(level, callback, user)?;
            Ok(())
        })
    }
}

/// Sets the host's own HTTP client; every byte of the verifiers made with these options goes through it.
///
/// Parameters: `transport`: kept; NULL goes back to the library's own client.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_transport(
    options: *mut lime_token_verifier_options,
    transport: *const lime_transport,
) -> i32 {
    // SAFETY: NULL or live objects, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.transport = transport.as_ref().map(lime_transport::shared);
            Ok(())
        })
    }
}

/// Sets where the time comes from, for tests.
///
/// Parameters: `clock`: kept; NULL goes back to the machine's clock.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_set_clock(
    options: *mut lime_token_verifier_options,
    clock: *const lime_clock,
) -> i32 {
    // SAFETY: NULL or live objects, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.clock = clock.as_ref().map_or_else(system, lime_clock::shared);
            Ok(())
        })
    }
}

/// Frees options. NULL is allowed. Verifiers that were made with them live on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_token_verifier_options_free(options: *mut lime_token_verifier_options) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(options) };
}
