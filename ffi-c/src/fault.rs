//! Panics on purpose, to prove that none gets out. Not in the default build.

use std::ffi::c_void;
use std::sync::Arc;

use lime_core::transport::Request;
use lime_core::transport::host::{ExchangeId, HostClient, HostTransport};
use lime_core::{AgentConfig, AgentProfile, LimeAgent, OperationId};

use crate::agent::lime_agent;
use crate::error::lime_error;
use crate::operation::start;
use crate::panic;
use crate::strings::{Out, borrow, give};
use crate::userdata::{UserData, lime_drop_user_data};

/// Panics inside the guard that every export has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_test_panic(error: *mut *mut lime_error) -> i32 {
    panic::call(error, || panic!("on purpose"))
}

struct Panicking;

impl HostClient for Panicking {
    fn begin(&self, _: &HostTransport, _: ExchangeId, _: Option<OperationId>, _: Request, _: bool) -> bool {
        panic!("on purpose")
    }

    fn resume(&self, _: ExchangeId) {}

    fn abort(&self, _: ExchangeId) {}
}

/// Makes an agent whose every request panics on the runtime thread, in the midst of the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_test_panicking_agent(
    agent: *mut *mut lime_agent,
    error: *mut *mut lime_error,
) -> i32 {
    panic::call(error, || {
        // SAFETY: NULL or a place for a pointer, as the header asks of all functions.
        let place = unsafe { Out::new(agent, "agent")? };
        let transport = Some(Arc::new(HostTransport::new(Panicking)) as _);
        let config = AgentConfig { transport, ..AgentConfig::default() };
        place.write(give(lime_agent(LimeAgent::new(config)?)));
        Ok(())
    })
}

/// A result that cannot be made.
pub struct lime_test_result;

impl From<AgentProfile> for lime_test_result {
    fn from(_: AgentProfile) -> Self {
        panic!("on purpose")
    }
}

/// Gets the error of [`lime_test_panic_start`].
pub type lime_test_callback = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        status: i32,
        result: *mut lime_test_result,
        error: *mut lime_error,
    ),
>;

/// Starts a call that panics on the dispatcher thread, when it has succeeded and its result is made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lime_test_panic_start(
    agent: *const lime_agent,
    callback: lime_test_callback,
    user_data: *mut c_void,
    drop_user_data: lime_drop_user_data,
    operation: *mut u64,
    error: *mut *mut lime_error,
) -> i32 {
    let user = UserData::new(user_data, drop_user_data);
    panic::call(error, || {
        // SAFETY: pointers are NULL or valid, as the header asks of all functions.
        unsafe {
            let agent = borrow(agent, "agent")?;
            start(|| Ok(agent.0.get_profile()), callback, user, operation)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr::null_mut;

    use lime_core::ErrorKind;

    use super::*;
    use crate::error::{LIME_OK, lime_error_code, lime_error_free, lime_error_message, lime_error_status};
    use crate::operation::complete;
    use crate::strings::{get, set, take};

    const INTERNAL: i32 = ErrorKind::Internal as i32;

    struct Exploding;

    impl From<()> for Exploding {
        fn from((): ()) -> Self {
            panic!("on purpose");
        }
    }

    impl Drop for Exploding {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_in_a_body_becomes_an_error() {
        let mut error = null_mut();
        // SAFETY: a place for an error; the error is freed once.
        unsafe {
            assert_eq!(lime_test_panic(&raw mut error), INTERNAL);
            assert_eq!(lime_error_status(error), INTERNAL);
            assert!(CStr::from_ptr(lime_error_message(error)).to_bytes().ends_with(b"on purpose"));
            assert_eq!(CStr::from_ptr(lime_error_code(error)), c"INTERNAL");
            lime_error_free(error);
            assert_eq!(lime_test_panic(null_mut()), INTERNAL);
        }
    }

    #[test]
    fn a_panic_in_a_getter_a_setter_or_a_drop_does_not_get_out() {
        let mut number = 1;
        // SAFETY: live objects; the exploding one is given back once.
        unsafe {
            assert_eq!(get(&raw const number, 7, |_| panic!("on purpose")), 7);
            assert_eq!(set(&raw mut number, |_| panic!("on purpose")), INTERNAL);
            take(give(Exploding));
        }
    }

    unsafe extern "C" fn callback(
        seen: *mut c_void,
        status: i32,
        handle: *mut Exploding,
        error: *mut lime_error,
    ) {
        assert!(handle.is_null());
        // SAFETY: the test's own place; the error is ours and freed once.
        unsafe {
            seen.cast::<(i32, i32)>().write((status, lime_error_status(error)));
            lime_error_free(error);
        }
    }

    unsafe extern "C" fn count(seen: *mut c_void) {
        // SAFETY: the test's own place.
        unsafe { (*seen.cast::<(i32, i32)>()).1 += 1 };
    }

    #[test]
    fn a_panic_while_a_result_is_made_completes_the_call() {
        let mut seen = (LIME_OK, LIME_OK);
        let user = UserData::new((&raw mut seen).cast(), Some(count));
        complete(Ok(()), callback, &user);
        assert_eq!(seen, (INTERNAL, INTERNAL));
        drop(user);
        assert_eq!(seen, (INTERNAL, INTERNAL + 1), "dropped once");
    }
}
