//! What an agent's client is made from.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use lime_core::{AgentConfig, PowChoice, PowDigest};

use crate::clock::{lime_clock, system};
use crate::log::{lime_log_callback, logger};
use crate::panic;
use crate::pow::{LIME_POW_DIGEST_AUTO, LIME_POW_DIGEST_SEED, LIME_POW_DIGEST_TODAY};
use crate::site_options::{checked_platform, checked_post_retry};
use crate::strings::{flag, give, invalid, optional_text, set, take, text, wipe};
use crate::transport::lime_transport;
use crate::userdata::{UserData, lime_drop_user_data};

/// How to make a lime_agent. Not to be used by several threads at once.
#[derive(Default)]
pub struct lime_agent_options {
    pub(crate) config: AgentConfig,
}

impl Drop for lime_agent_options {
    fn drop(&mut self) {
        wipe(&mut self.config.agent_token);
    }
}

/// A new set of options, with the defaults.
///
/// Returns: the options, to be freed with lime_agent_options_free(); never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lime_agent_options_new() -> *mut lime_agent_options {
    panic::value(std::ptr::null_mut(), || give(lime_agent_options::default()))
}

/// Sets the agent's secret, `at_...`. Without it the environment variable LIME_AGENT_TOKEN counts.
///
/// Parameters: `agent_token`: copied; NULL or "" goes back to the environment variable.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_agent_token(
    options: *mut lime_agent_options,
    agent_token: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            let given = optional_text(agent_token, "agent_token")?.map(str::to_owned);
            wipe(&mut options.config.agent_token);
            options.config.agent_token = given;
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
pub unsafe extern "C" fn lime_agent_options_set_base_url(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_timeout_ms(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_max_retries(
    options: *mut lime_agent_options,
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

/// Sets the wall-clock budget of one proof of work. Default: 10,000 ms.
///
/// Parameters: `timeout_ms`: milliseconds.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_pow_timeout_ms(
    options: *mut lime_agent_options,
    timeout_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.pow_timeout = Duration::from_millis(timeout_ms);
            Ok(())
        })
    }
}

/// Sets which digest the proof of work uses: LIME_POW_DIGEST_AUTO (default), LIME_POW_DIGEST_SEED or
/// LIME_POW_DIGEST_TODAY.
///
/// Parameters: `digest`: a LIME_POW_DIGEST_ constant.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_pow_digest(
    options: *mut lime_agent_options,
    digest: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.platform.pow_digest = match digest {
                LIME_POW_DIGEST_AUTO => PowChoice::Auto,
                LIME_POW_DIGEST_SEED => PowChoice::Only(PowDigest::Seed),
                LIME_POW_DIGEST_TODAY => PowChoice::Only(PowDigest::Today),
                _ => return Err(invalid("digest is no LIME_POW_DIGEST_ constant")),
            };
            Ok(())
        })
    }
}

/// Sets how many threads one proof of work uses. Default: 1; 0 counts as 1, and 256 is the most.
///
/// Parameters: `threads`: a number of threads.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_pow_threads(
    options: *mut lime_agent_options,
    threads: usize,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.pow_threads = threads;
            Ok(())
        })
    }
}

/// Sets everything that differs between the platform's times at once: which digest the proof of work uses, which
/// failed POSTs are sent again. What is set after it changes it again. Default: LIME_PLATFORM_AUTO, which works
/// with all of them.
///
/// Parameters: `platform`: a LIME_PLATFORM_ constant.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_platform(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_post_retry(
    options: *mut lime_agent_options,
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

/// Sets how long before its end a token for MCP servers counts as expired. Default: 30,000 ms.
///
/// Parameters: `skew_ms`: milliseconds.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_mcp_token_refresh_skew_ms(
    options: *mut lime_agent_options,
    skew_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.mcp_token_refresh_skew = Duration::from_millis(skew_ms);
            Ok(())
        })
    }
}

/// Bounds the time to an MCP server's answer, and between two pieces of it. Default: 300,000 ms.
///
/// Parameters: `timeout_ms`: milliseconds, at least 1.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, timeout 0).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_mcp_read_timeout_ms(
    options: *mut lime_agent_options,
    timeout_ms: u64,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            if timeout_ms == 0 {
                return Err(invalid("timeout_ms is 0"));
            }
            options.config.mcp_read_timeout = Duration::from_millis(timeout_ms);
            Ok(())
        })
    }
}

/// Sets whether each MCP server is called for one thing after the other. Default: 1.
///
/// Parameters: `serialized`: 1 or 0.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options NULL, another number).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_set_serialize_mcp_per_url(
    options: *mut lime_agent_options,
    serialized: i32,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks.
    unsafe {
        set(options, |options| {
            options.config.serialize_mcp_per_url = flag(serialized, "serialized")?;
            Ok(())
        })
    }
}

/// Adds the address of an MCP server, in place of the name system: for tests, and for networks with names of their own.
/// The name stays the one that tokens are for and that certificates are checked against. Without any, the environment
/// variable LIME_MCP_ADDRESSES counts ("tools.example.com=127.0.0.1,other.example.com=::1").
///
/// Parameters: `hostname`: copied; it is checked when the client is made. `address`: an IP address, copied.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (something NULL or not UTF-8, no IP address).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_add_mcp_address(
    options: *mut lime_agent_options,
    hostname: *const c_char,
    address: *const c_char,
) -> i32 {
    // SAFETY: NULL or a live object, as the header asks; texts are NULL or NUL-terminated.
    unsafe {
        set(options, |options| {
            let address =
                text(address, "address")?.parse().map_err(|_| invalid("address is no IP address"))?;
            options.config.mcp_addresses.push((text(hostname, "hostname")?.to_owned(), address));
            Ok(())
        })
    }
}

/// Adds a public key that the platform's server may have. Once there is one, a server with another key is
/// refused, whatever its certificate. Name the next key before it comes. Without any, the environment variable
/// LIME_TLS_PINS counts (several with commas between), and without that every key will do. MCP servers
/// are not the platform's.
///
/// Parameters: `pin`: SHA-256 of the certificate's SubjectPublicKeyInfo in base64, with or without `sha256/` in front;
/// copied, and checked when the client is made, which fails if there is a transport or if `base_url` is not `https://`.
///
/// Returns: LIME_OK, or LIME_ERROR_INVALID_ARGUMENT (options or pin NULL, text not UTF-8).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_agent_options_add_tls_pin(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_log_callback(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_transport(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_set_clock(
    options: *mut lime_agent_options,
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
pub unsafe extern "C" fn lime_agent_options_free(options: *mut lime_agent_options) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(options) };
}
