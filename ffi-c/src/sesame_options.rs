//! What a client of the Sesame broker is made from.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use lime_core::SesameConfig;

use crate::clock::{lime_clock, system};
use crate::log::{lime_log_callback, logger};
use crate::panic;
use crate::strings::{give, invalid, optional_text, set, take, text, wipe};
use crate::transport::lime_transport;
use crate::userdata::{UserData, lime_drop_user_data};

/// How to make a lime_sesame. Not to be used by several threads at once.
#[derive(Default)]
pub struct lime_sesame_options {
    pub(crate) config: SesameConfig,
}

impl Drop for lime_sesame_options {
    fn drop(&mut self) {
        wipe(&mut self.config.api_key);
    }
}

/// A new set of options, with the defaults.
///
/// Returns: the options, to be freed with lime_sesame_options_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_sesame_options_new() -> *mut lime_sesame_options {
    panic::value(std::ptr::null_mut(), || give(lime_sesame_options::default()))
}

/// Sets the API key, `sk_...`. Without it the environment variable SESAME_API_KEY counts.
///
/// Parameters: `api_key`: copied; NULL or "" goes back to the environment variable.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_set_api_key(
    options: *mut lime_sesame_options,
    api_key: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            let given = optional_text(api_key, "api_key")?.map(str::to_owned);
            wipe(&mut options.config.api_key);
            options.config.api_key = given;
            Ok(())
        })
    }
}

/// Sets the address of the broker. Without it the environment variable SESAME_BROKER_URL counts, then
/// `https://getsesame.dev`.
///
/// Parameters: `base_url`: copied; NULL or "" goes back to the environment variable. It is checked when
/// the client is made.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_set_base_url(
    options: *mut lime_sesame_options,
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

/// Bounds one attempt of a request, from connecting to the last byte; not a poll that the broker holds.
/// Default: 30,000 ms.
///
/// Parameters: `timeout_ms`: milliseconds, at least 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_set_timeout_ms(
    options: *mut lime_sesame_options,
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

/// Sets how many further attempts of a call follow a failed one, where that is safe. A wait for a
/// decision does not count them: it goes on until its time is up. Default: 3.
///
/// Parameters: `max_retries`: a number of attempts; 0 for none.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_set_max_retries(
    options: *mut lime_sesame_options,
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

/// Sets how long one poll may take before it counts as hung and the broker is asked again. The broker
/// holds a poll for 25 to 30 s, so less than that gives up polls that are alive. Default: 40,000 ms.
///
/// Parameters: `poll_timeout_ms`: milliseconds, at least 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_set_poll_timeout_ms(
    options: *mut lime_sesame_options,
    poll_timeout_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            if poll_timeout_ms == 0 {
                return Err(invalid("poll_timeout_ms is 0"));
            }
            options.config.poll_timeout = Duration::from_millis(poll_timeout_ms);
            Ok(())
        })
    }
}

/// Adds a public key that the broker's server may have. Once there is one, a server with another key is
/// refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
/// SESAME_TLS_PINS counts (several with commas between), and without that every key will do.
///
/// Parameters: `pin`: SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in front;
/// copied, and checked when the client is made, which fails if there is a transport or if `base_url` is not `https://`.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_sesame_options_add_tls_pin(
    options: *mut lime_sesame_options,
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
pub unsafe extern "C" fn lime_sesame_options_set_log_callback(
    options: *mut lime_sesame_options,
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
pub unsafe extern "C" fn lime_sesame_options_set_transport(
    options: *mut lime_sesame_options,
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
pub unsafe extern "C" fn lime_sesame_options_set_clock(
    options: *mut lime_sesame_options,
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
pub unsafe extern "C" fn lime_sesame_options_free(options: *mut lime_sesame_options) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(options) };
}
