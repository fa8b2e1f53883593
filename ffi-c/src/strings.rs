//! Pointers in and out: checked when they come in, owned by one side at a time when they go out.

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::MaybeUninit;

use lime_core::{Error, ErrorKind, Result};
use zeroize::Zeroize as _;

use crate::panic;

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// A handle that must be there.
///
/// # Safety
/// `handle` is NULL or a live handle.
pub(crate) unsafe fn borrow<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as promised by the caller.
    unsafe { handle.as_ref() }.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// A text that must be there.
///
/// # Safety
/// `text` is NULL or ends with a NUL, and stays as it is during the call.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: as promised by the caller.
    unsafe { optional_text(text, name) }?.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// A text or NULL.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn optional_text<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and as promised by the caller.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| invalid(format!("{name} is not UTF-8")))
}

/// Bytes; NULL is no bytes.
///
/// # Safety
/// `data` is NULL or points to `length` bytes that stay as they are during the call.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, length: usize, name: &str) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(invalid(format!("{name} is NULL, but its length is not 0")));
    }
    if isize::try_from(length).is_err() {
        return Err(invalid(format!("The length of {name} is larger than memory")));
    }
    // SAFETY: not NULL, no larger than an allocation can be, and as promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), length) })
}

/// Bytes that must be UTF-8.
///
/// # Safety
/// As [`bytes`].
pub(crate) unsafe fn utf8<'a>(data: *const c_void, length: usize, name: &str) -> Result<&'a str> {
    // SAFETY: as promised by the caller.
    let bytes = unsafe { bytes(data, length, name) }?;
    std::str::from_utf8(bytes).map_err(|_| invalid(format!("{name} is not UTF-8")))
}

/// Texts, each of them or NULL; no array is no texts. They need not be UTF-8.
///
/// # Safety
/// `array` is NULL or points to `count` pointers, each NULL or a text that ends with a NUL; all stay as
/// they are during the call.
pub(crate) unsafe fn texts<'a>(
    array: *const *const c_char,
    count: usize,
    name: &str,
) -> Result<Vec<Option<&'a [u8]>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if array.is_null() {
        return Err(invalid(format!("{name} is NULL, but its count is not 0")));
    }
    if count > isize::MAX as usize / size_of::<*const c_char>() {
        return Err(invalid(format!("The count of {name} is larger than memory")));
    }
    // SAFETY: not NULL, no larger than an allocation can be, and as promised by the caller.
    let pointers = unsafe { std::slice::from_raw_parts(array, count) };
    let text = |text: &*const c_char| {
        // SAFETY: not NULL, and as promised by the caller.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(*text) }.to_bytes())
    };
    Ok(pointers.iter().map(text).collect())
}

/// Copies a text and a NUL to a place of the caller's.
///
/// # Safety
/// `place` has room for `capacity` bytes.
pub(crate) unsafe fn copy(text: &str, place: *mut c_char, capacity: usize, name: &str) -> Result<()> {
    if text.len() >= capacity {
        return Err(invalid(format!("{name} is too small")));
    }
    // SAFETY: the text and a NUL fit, and as promised by the caller.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), place.cast(), text.len());
        place.add(text.len()).write(0);
    }
    Ok(())
}

/// 0 or 1.
pub(crate) fn flag(number: i32, name: &str) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(invalid(format!("{name} is neither 0 nor 1"))),
    }
}

/// A place for a result, which must be there.
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `place` is NULL or may be written to for as long as this lives.
    pub(crate) unsafe fn new(place: *mut T, name: &str) -> Result<Self> {
        if place.is_null() { Err(invalid(format!("{name} is NULL"))) } else { Ok(Self(place)) }
    }

    pub(crate) fn write(self, value: T) {
        // SAFETY: not NULL, and as promised to `new`. What was there is not read: it may be anything.
        unsafe { self.0.cast::<MaybeUninit<T>>().write(MaybeUninit::new(value)) };
    }
}

/// Hands an object over to the caller.
pub(crate) fn give<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// Takes an object back and drops it.
///
/// # Safety
/// `object` is NULL or came from [`give`] and was not taken back yet.
pub(crate) unsafe fn take<T>(object: *mut T) {
    if !object.is_null() {
        panic::value((), || {
            // SAFETY: as promised by the caller.
            drop(unsafe { Box::from_raw(object) });
        });
    }
}

/// Reads a property of a handle; `otherwise` when the handle is NULL.
///
/// # Safety
/// `handle` is NULL or a live handle.
pub(crate) unsafe fn get<'a, T: 'a, R>(handle: *const T, otherwise: R, read: impl FnOnce(&'a T) -> R) -> R
where
    R: Copy,
{
    panic::value(otherwise, || {
        // SAFETY: as promised by the caller.
        unsafe { handle.as_ref() }.map_or(otherwise, read)
    })
}

/// Changes an object that is being set up.
///
/// # Safety
/// `object` is NULL or a live object that no other thread uses during the call.
pub(crate) unsafe fn set<T>(object: *mut T, change: impl FnOnce(&mut T) -> Result<()>) -> i32 {
    panic::call(std::ptr::null_mut(), || {
        // SAFETY: as promised by the caller.
        change(unsafe { object.as_mut() }.ok_or_else(|| invalid("The object is NULL"))?)
    })
}

/// Takes a secret away, and leaves nothing of it in memory.
pub(crate) fn wipe(secret: &mut Option<String>) {
    if let Some(mut secret) = secret.take() {
        secret.zeroize();
    }
}

/// A text for C. A NUL inside, which C cannot see past, becomes U+FFFD.
pub(crate) fn c_text(text: &str) -> CString {
    // As it is, almost always: in one allocation.
    CString::new(text).or_else(|_| CString::new(text.replace('\0', "\u{fffd}"))).unwrap_or_default()
}

/// A text for C, or none.
pub(crate) fn c_optional(text: Option<&str>) -> Option<CString> {
    text.map(c_text)
}

/// The pointer that C gets for an optional text.
pub(crate) fn pointer(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// Frees a string that a function of this library handed over as the caller's own (`char *`, not
/// `const char *`).
///
/// Parameters: `string`: such a string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_string_free(string: *mut c_char) {
    if !string.is_null() {
        panic::value((), || {
            // SAFETY: it came from `CString::into_raw` and is freed once (the header's contract).
            drop(unsafe { CString::from_raw(string) });
        });
    }
}
