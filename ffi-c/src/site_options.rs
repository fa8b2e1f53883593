//! What a site's client is made from.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use lime_core::{JwksForm, Platform, PostRetry, Result, SiteConfig};

use crate::clock::{lime_clock, system};
use crate::log::{lime_log_callback, logger};
use crate::panic;
use crate::strings::{flag, give, invalid, optional_text, set, take, text, wipe};
use crate::transport::lime_transport;
use crate::userdata::{UserData, lime_drop_user_data};

/// Works with the platform of the seed packages and with today's.
pub const LIME_PLATFORM_AUTO: i32 = 0;
/// The platform as lime-sites-sdk 1.0.1 and lime-agents-sdk 0.2.0 know it.
pub const LIME_PLATFORM_SEED: i32 = 1;
/// The platform as lime-sites-sdk 2.0.6 and lime-agents-sdk 3.0.2 know it.
pub const LIME_PLATFORM_TODAY: i32 = 2;

pub(crate) fn checked_platform(number: i32) -> Result<Platform> {
    match number {
        LIME_PLATFORM_AUTO => Ok(Platform::AUTO),
        LIME_PLATFORM_SEED => Ok(Platform::SEED),
        LIME_PLATFORM_TODAY => Ok(Platform::TODAY),
        _ => Err(invalid("platform is no LIME_PLATFORM_ constant")),
    }
}

/// Key documents that are taken: both forms.
pub const LIME_JWKS_FORM_AUTO: i32 = 0;
/// Key documents that are taken: those in an envelope, {"ok": true, "data": {"keys": [...]}}.
pub const LIME_JWKS_FORM_ENVELOPE: i32 = 1;
/// Key documents that are taken: bare ones, {"keys": [...]}.
pub const LIME_JWKS_FORM_BARE: i32 = 2;

/// Failed POSTs that are sent again: of the calls that the seed's platform has as LIME_POST_RETRY_SEED says, of later
/// ones (bindings) as LIME_POST_RETRY_TODAY does.
pub const LIME_POST_RETRY_AUTO: i32 = 0;
/// Failed POSTs that are sent again: those answered by 408, 429, 500, 502, 503 or 504.
pub const LIME_POST_RETRY_SEED: i32 = 1;
/// Failed POSTs that are sent again: those answered by 408, 429 or 503.
pub const LIME_POST_RETRY_TODAY: i32 = 2;

pub(crate) fn checked_post_retry(number: i32) -> Result<PostRetry> {
    match number {
        LIME_POST_RETRY_AUTO => Ok(PostRetry::Auto),
        LIME_POST_RETRY_SEED => Ok(PostRetry::Seed),
        LIME_POST_RETRY_TODAY => Ok(PostRetry::Today),
        _ => Err(invalid("post_retry is no LIME_POST_RETRY_ constant")),
    }
}

/// How to make a lime_site. Not to be used by several threads at once.
#[derive(Default)]
pub struct lime_site_options {
    pub(crate) config: SiteConfig,
}

impl Drop for lime_site_options {
    fn drop(&mut self) {
        wipe(&mut self.config.site_token);
    }
}

/// A new set of options, with the defaults.
///
/// Returns: the options, to be freed with lime_site_options_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_site_options_new() -> *mut lime_site_options {
    panic::value(std::ptr::null_mut(), || give(lime_site_options::default()))
}

/// Sets the site's secret, `st_...`. Without it the environment variable LIME_SITE_TOKEN counts.
///
/// Parameters: `site_token`: copied; NULL or "" goes back to the environment variable.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_site_token(
    options: *mut lime_site_options,
    site_token: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            let given = optional_text(site_token, "site_token")?.map(str::to_owned);
            wipe(&mut options.config.site_token);
            options.config.site_token = given;
            Ok(())
        })
    }
}

/// Sets the API root, with `/api/v1`. Without it the environment variable LIME_API_BASE counts, then
/// `https://lime.pics/api/v1`.
///
/// Parameters: `base_url`: copied; NULL or "" goes back to the environment variable. It is checked when
/// the client is made.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_base_url(
    options: *mut lime_site_options,
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

/// Bounds one attempt of a request, from connecting to the last byte. Default: 30,000 ms.
///
/// Parameters: `timeout_ms`: milliseconds, at least 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_timeout_ms(
    options: *mut lime_site_options,
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

/// Sets how many further attempts follow a failed one. Default: 3.
///
/// Parameters: `max_retries`: a number of attempts; 0 for none.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_max_retries(
    options: *mut lime_site_options,
    max_retries: u32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.max_retries = max_retries;
            Ok(())
        })
    }
}

/// Sets the first wait before the event stream reconnects; it doubles up to 8 s. Default: 500 ms.
///
/// Parameters: `backoff_ms`: milliseconds.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_sse_backoff_base_ms(
    options: *mut lime_site_options,
    backoff_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.sse_backoff_base = Duration::from_millis(backoff_ms);
            Ok(())
        })
    }
}

/// Sets how many events may wait for the handlers before the stream is not read any further; nothing is
/// dropped, the platform is held back. Default: 1024; 0 counts as 1.
///
/// Parameters: `limit`: a number of events.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_event_queue_limit(
    options: *mut lime_site_options,
    limit: usize,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.event_queue_limit = limit;
            Ok(())
        })
    }
}

/// Sets how long the platform's signing keys are used before they are fetched again; a day at most.
/// Without it the environment variable LIME_JWKS_CACHE_TTL_SECONDS counts, then 300 s.
///
/// Parameters: `ttl_ms`: milliseconds.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_jwks_cache_ttl_ms(
    options: *mut lime_site_options,
    ttl_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.jwks_cache_ttl = Some(Duration::from_millis(ttl_ms));
            Ok(())
        })
    }
}

/// Sets whether a passport without an `iss` claim is refused (one with it is always checked). Default: 0.
///
/// Parameters: `required`: 0 or 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_require_issuer(
    options: *mut lime_site_options,
    required: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.platform.require_issuer = flag(required, "required")?;
            Ok(())
        })
    }
}

/// Sets which key documents of the platform are taken. Default: LIME_JWKS_FORM_AUTO, both forms.
///
/// Parameters: `jwks_form`: a LIME_JWKS_FORM_ constant.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_jwks_form(
    options: *mut lime_site_options,
    jwks_form: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.platform.jwks_form = match jwks_form {
                LIME_JWKS_FORM_AUTO => JwksForm::Auto,
                LIME_JWKS_FORM_ENVELOPE => JwksForm::Envelope,
                LIME_JWKS_FORM_BARE => JwksForm::Bare,
                _ => return Err(invalid("jwks_form is no LIME_JWKS_FORM_ constant")),
            };
            Ok(())
        })
    }
}

/// Sets everything that differs between the platform's times at once: whether an issuer is required, which failed
/// POSTs are sent again, which key documents are taken. What is set after it changes it again. Default:
/// LIME_PLATFORM_AUTO, which works with all of them.
///
/// Parameters: `platform`: a LIME_PLATFORM_ constant.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_platform(
    options: *mut lime_site_options,
    platform: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.platform = checked_platform(platform)?;
            Ok(())
        })
    }
}

/// Sets which failed POSTs are sent again. Default: LIME_POST_RETRY_AUTO.
///
/// Parameters: `post_retry`: a LIME_POST_RETRY_ constant.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_post_retry(
    options: *mut lime_site_options,
    post_retry: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.platform.post_retry = checked_post_retry(post_retry)?;
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
pub unsafe extern "C" fn lime_site_options_add_tls_pin(
    options: *mut lime_site_options,
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
/// these options and every client made with them are gone, when another callback is set, or before this
/// function returns an error.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or callback NULL, another level).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_log_callback(
    options: *mut lime_site_options,
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

/// Sets the host's own HTTP client; every byte of the clients made with these options goes through it.
///
/// Parameters: `transport`: kept; NULL goes back to the library's own client.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_transport(
    options: *mut lime_site_options,
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

/// Sets where time and chance come from, for tests.
///
/// Parameters: `clock`: kept; NULL goes back to the machine's clock.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_set_clock(
    options: *mut lime_site_options,
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

/// Frees options. NULL is allowed. Clients that were made with them live on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_site_options_free(options: *mut lime_site_options) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(options) };
}
