//! The library's version and the ABI's.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

/// The number of the ABI that this header describes. It grows when something is added; it starts over
/// with a new major version of the library (a new SONAME), the only place where something is removed.
pub const LIME_ABI_VERSION: u32 = 5;

/// The version of the library at run time, "MAJOR.MINOR.PATCH"; compare with LIME_VERSION.
///
/// Returns: static text.
#[unsafe(no_mangle)]
pub extern "C" fn lime_version() -> *const c_char {
    static TEXT: LazyLock<CString> = LazyLock::new(|| crate::strings::c_text(lime_core::VERSION));
    crate::panic::value(std::ptr::null(), || TEXT.as_ptr())
}

/// The ABI version of the library at run time. A program that was compiled with LIME_ABI_VERSION n
/// runs with every library of the same SONAME whose number is n or more.
///
/// Returns: LIME_ABI_VERSION, as the library was built with it.
#[unsafe(no_mangle)]
pub extern "C" fn lime_abi_version() -> u32 {
    LIME_ABI_VERSION
}
