//! Verified passports, and their verification without a client.

use std::ffi::{CString, c_char, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use lime_core::site::jwks::KeySet;
use lime_core::site::passport::verify;
use lime_core::{Passport, PassportCheck, Result};

use crate::error::lime_error;
use crate::panic;
use crate::strings::{
    Out, borrow, bytes, c_optional, c_text, flag, get, give, invalid, optional_text, pointer, take, text,
};

/// A passport that was verified, with its claims. A text for C is made when it is first asked for, by whichever
/// thread, and stays where it is.
pub struct lime_passport {
    passport: Passport,
    json: OnceLock<CString>,
    owner_id: OnceLock<Option<CString>>,
    /// As many as there are claims, in their order.
    texts: Box<[OnceLock<Option<CString>>]>,
}

impl From<Passport> for lime_passport {
    fn from(passport: Passport) -> Self {
        let texts = passport.claims.iter().map(|_| OnceLock::new()).collect();
        Self { passport, json: OnceLock::new(), owner_id: OnceLock::new(), texts }
    }
}

impl lime_passport {
    fn json(&self) -> &CString {
        self.json.get_or_init(|| c_text(&serde_json::to_string(&self.passport.claims).unwrap_or_default()))
    }

    fn owner_id(&self) -> Option<&CString> {
        self.owner_id.get_or_init(|| c_optional(self.passport.owner_id())).as_ref()
    }

    fn text_claim(&self, name: &str) -> Option<&CString> {
        let mut claims = self.passport.claims.iter().zip(&self.texts);
        let ((_, value), text) = claims.find(|((known, _), _)| *known == name)?;
        text.get_or_init(|| c_optional(value.as_str())).as_ref()
    }
}

/// What a passport must meet.
///
/// # Safety
/// `expected_request_id` is NULL or ends with a NUL.
pub(crate) unsafe fn check(expected_request_id: *const c_char, require_issuer: i32) -> Result<PassportCheck> {
    // SAFETY: as promised by the caller.
    let expected = unsafe { optional_text(expected_request_id, "expected_request_id") }?;
    let check = PassportCheck::default().require_issuer(flag(require_issuer, "require_issuer")?);
    Ok(match expected {
        Some(request_id) => check.expected_request_id(request_id),
        None => check,
    })
}

/// Verifies a passport with keys that are at hand, without any client and at any time.
///
/// Parameters: `jwt`: the passport. `jwks_json`, `jwks_length`: the platform's key document, bare or in
/// an envelope. `api_root`: where the passport must come from, such as "https://lime.pics/api/v1".
/// `expected_request_id`: the login request that it must be for, or NULL for any. `require_issuer`: 1 to
/// refuse a passport without `iss`, else 0. `now_unix_seconds`: the time that counts as now. `passport`:
/// gets the result, to be freed with lime_passport_free(). `error`: NULL, or gets the error.
///
/// Returns: LIME_OK; LIME_ERROR_INVALID_PASSPORT; LIME_ERROR_PASSPORT_EXPIRED;
/// LIME_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_verify(
    jwt: *const c_char,
    jwks_json: *const c_void,
    jwks_length: usize,
    api_root: *const c_char,
    expected_request_id: *const c_char,
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
                check(expected_request_id, require_issuer)?,
            )
        };
        let now = Duration::try_from_secs_f64(now_unix_seconds)
            .map_err(|_| invalid("now_unix_seconds is no time"))?;
        let verified = verify(jwt, &KeySet::from_json(jwks)?, api_root, &check, now)?;
        place.write(give(verified.into()));
        Ok(())
    })
}

/// All claims as a JSON object; `sub` is called `agent_id`.
///
/// Returns: text that is valid until the passport is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_claims_json(passport: *const lime_passport) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(passport, std::ptr::null(), |p| p.json().as_ptr()) }
}

/// One claim that is a text, such as "agent_id", "owner_id" or "request_id".
///
/// Parameters: `name`: the claim's name.
///
/// Returns: text that is valid until the passport is freed; NULL when there is no such claim or it is
/// no text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_text_claim(
    passport: *const lime_passport,
    name: *const c_char,
) -> *const c_char {
    panic::value(std::ptr::null(), || {
        // SAFETY: pointers are NULL or valid, as the header asks.
        let (Ok(passport), Ok(name)) = (unsafe { (borrow(passport, "passport"), text(name, "name")) }) else {
            return std::ptr::null();
        };
        pointer(passport.text_claim(name))
    })
}

/// The LIME user who owns the agent: the claim "user_id" of today's passports, "owner_id" of earlier ones.
///
/// Returns: text that is valid until the passport is freed; NULL when it is not told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_owner_id(passport: *const lime_passport) -> *const c_char {
    // SAFETY: NULL or a live handle (the header's contract).
    unsafe { get(passport, std::ptr::null(), |p| pointer(p.owner_id())) }
}

/// Frees a passport. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_passport_free(passport: *mut lime_passport) {
    // SAFETY: NULL or a handle that is freed once (the header's contract).
    unsafe { take(passport) };
}
