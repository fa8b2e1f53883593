//! What a target of an MCP call means.

use std::ffi::c_char;

use lime_core::Result;
use lime_core::agent::mcp_target;

use crate::error::lime_error;
use crate::panic;
use crate::strings::{Out, c_text, text};

/// The host name that tokens for an MCP server are issued and kept for: in lower case, without scheme, port and
/// path. No name is resolved for it.
///
/// Parameters: `target`: a URL or a host name. `domain`: gets the host name, to be freed with lime_string_free().
/// `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT for anything but a public DNS name: user names, IP addresses in any
/// spelling (127.1, 2130706433), localhost and other reserved names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_extract_and_normalize_domain(
    target: *const c_char,
    domain: *mut *mut c_char,
    error: *mut *mut lime_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, as the header asks.
    unsafe { read(target, domain, "domain", error, mcp_target::extract_and_normalize_domain) }
}

/// The address of the MCP server that a target means: of a bare host name `https://.../mcp`, with the port if there is
/// one; a URL as it is, without white space around it and slashes at its end.
///
/// Parameters: `target`: a URL or a host name. `url`: gets the address, to be freed with lime_string_free(). `error`:
/// NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_ARGUMENT as lime_extract_and_normalize_domain().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_resolve_mcp_http_url(
    target: *const c_char,
    url: *mut *mut c_char,
    error: *mut *mut lime_error,
) -> i32 {
    // SAFETY: pointers are NULL or valid, as the header asks.
    unsafe { read(target, url, "url", error, mcp_target::resolve_mcp_http_url) }
}

/// # Safety
/// All pointers are NULL or valid.
unsafe fn read(
    target: *const c_char,
    place: *mut *mut c_char,
    name: &str,
    error: *mut *mut lime_error,
    read: fn(&str) -> Result<String>,
) -> i32 {
    panic::call(error, || {
        // SAFETY: as promised by the caller.
        let (place, target) = unsafe { (Out::new(place, name)?, text(target, "target")?) };
        place.write(c_text(&read(target)?).into_raw());
        Ok(())
    })
}
