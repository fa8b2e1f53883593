//! The objects that a program holds, of each type, and how they are freed.

use std::ffi::CString;

use lime_abi::agent::*;
use lime_abi::agent_options::*;
use lime_abi::approval::*;
use lime_abi::approval_request::*;
use lime_abi::binding::*;
use lime_abi::clock::*;
use lime_abi::error::*;
use lime_abi::frame::*;
use lime_abi::mcp::*;
use lime_abi::mcp_token::*;
use lime_abi::passport::*;
use lime_abi::pow::*;
use lime_abi::progress::*;
use lime_abi::sesame::*;
use lime_abi::sesame_options::*;
use lime_abi::site::*;
use lime_abi::site_options::*;
use lime_abi::sse::*;
use lime_abi::token_verifier::*;
use lime_abi::token_verifier_options::*;
use lime_abi::transport::*;
use lime_abi::webhook::*;

use super::host;

/// A type of objects.
pub(super) trait Handle: Sized {
    const NAME: &'static str;

    /// Those that there are.
    fn pool(pools: &mut Pools) -> &mut Vec<*mut Self>;

    /// Frees one; once.
    fn free(handle: *mut Self);

    /// Makes a new one such that it can be used.
    fn furnish(handle: *mut Self, pools: &mut Pools);
}

macro_rules! handles {
    ($($handle:ident $pool:ident $free:ident $furnish:expr;)*) => {
        /// All objects of a program.
        #[derive(Default)]
        pub(super) struct Pools {
            $(pub(super) $pool: Vec<*mut $handle>,)*
            /// The transport and the clock that new options get.
            pub(super) usual: Option<(*mut lime_transport, *mut lime_clock)>,
        }

        impl Pools {
            /// Frees one object of the type of this number.
            pub(super) fn free_one(&mut self, kind: u8, which: u8) {
                let frees: &[fn(&mut Self, usize)] = &[$(|pools, which| {
                    if !pools.$pool.is_empty() {
                        let which = which % pools.$pool.len();
                        $handle::free(pools.$pool.swap_remove(which));
                    }
                },)*];
                frees[usize::from(kind) % frees.len()](self, which.into());
            }

            /// Frees everything, the types in the order that begins at this number.
            pub(super) fn free_all(&mut self, first: u8) {
                let frees: &[fn(&mut Self)] = &[$(|pools| pools.$pool.drain(..).for_each($handle::free),)*];
                let first = usize::from(first) % frees.len();
                frees.iter().cycle().skip(first).take(frees.len()).for_each(|free| free(self));
                if let Some((transport, clock)) = self.usual.take() {
                    lime_transport::free(transport);
                    lime_clock::free(clock);
                }
            }
        }

        $(impl Handle for $handle {
            const NAME: &'static str = stringify!($handle);

            fn pool(pools: &mut Pools) -> &mut Vec<*mut Self> {
                &mut pools.$pool
            }

            fn free(handle: *mut Self) {
                // SAFETY: a live object, which nobody has any more.
                unsafe { $free(handle) }
            }

            fn furnish(handle: *mut Self, pools: &mut Pools) {
                let furnish: fn(*mut Self, &Pools) = $furnish;
                furnish(handle, pools);
            }
        })*

        /// Every function that frees.
        pub(super) const FREES: &[&str] = &[$(stringify!($free)),*];
    };
}

handles! {
    lime_error errors lime_error_free nothing;
    lime_transport transports lime_transport_free nothing;
    lime_http_request http_requests lime_http_request_free nothing;
    lime_clock clocks lime_clock_free nothing;
    lime_site_options site_options lime_site_options_free |options, pools| usual_site(options, pools);
    lime_site sites lime_site_free nothing;
    lime_login_request login_requests lime_login_request_free nothing;
    lime_login_request_status login_request_statuses lime_login_request_status_free nothing;
    lime_login_event login_events lime_login_event_free nothing;
    lime_binding_request binding_requests lime_binding_request_free nothing;
    lime_binding_exchange binding_exchanges lime_binding_exchange_free nothing;
    lime_agent_options agent_options lime_agent_options_free |options, pools| usual_agent(options, pools);
    lime_agent agents lime_agent_free nothing;
    lime_approval_result approval_results lime_approval_result_free nothing;
    lime_agent_profile agent_profiles lime_agent_profile_free nothing;
    lime_login_progress login_progresses lime_login_progress_free nothing;
    lime_mcp_access_token mcp_access_tokens lime_mcp_access_token_free nothing;
    lime_mcp_result mcp_results lime_mcp_result_free nothing;
    lime_passport passports lime_passport_free nothing;
    lime_sesame_options sesame_options lime_sesame_options_free |options, pools| usual_sesame(options, pools);
    lime_approval_request approval_requests lime_approval_request_free nothing;
    lime_approval approvals lime_approval_free nothing;
    lime_sesame sesames lime_sesame_free nothing;
    lime_webhook_verifier webhook_verifiers lime_webhook_verifier_free nothing;
    lime_webhook webhooks lime_webhook_free nothing;
    lime_token_verifier_options token_verifier_options lime_token_verifier_options_free
        |options, pools| usual_verifier(options, pools);
    lime_token_verifier token_verifiers lime_token_verifier_free nothing;
    lime_verified_token verified_tokens lime_verified_token_free nothing;
    lime_token_refusal token_refusals lime_token_refusal_free nothing;
    lime_pow_nonce pow_nonces lime_pow_nonce_free nothing;
    lime_sse_parser sse_parsers lime_sse_parser_free nothing;
    lime_login_frame login_frames lime_login_frame_free nothing;
}

impl Pools {
    /// Frees the requests that nobody has answered: they have failed.
    pub(super) fn let_requests_go(&mut self) {
        host::take_held(self);
        self.http_requests.drain(..).for_each(lime_http_request::free);
    }
}

fn nothing<T>(_: *mut T, _: &Pools) {}

/// Nothing leaves the process and nothing waits for the machine's clock, unless a later call changes the clock.
macro_rules! usual {
    ($($name:ident $options:ident $set_transport:ident $set_clock:ident $set_token:ident $token:literal;)*) => {$(
        fn $name(options: *mut $options, pools: &Pools) {
            let token = CString::from($token);
            // SAFETY: live objects, and a text.
            unsafe {
                if let Some((transport, clock)) = pools.usual {
                    $set_transport(options, transport);
                    $set_clock(options, clock);
                }
                $set_token(options, token.as_ptr());
            }
        }
    )*};
}
usual! {
    usual_site lime_site_options lime_site_options_set_transport lime_site_options_set_clock
        lime_site_options_set_site_token c"st_secret";
    usual_agent_but_pow lime_agent_options lime_agent_options_set_transport lime_agent_options_set_clock
        lime_agent_options_set_agent_token c"at_secret";
    usual_sesame lime_sesame_options lime_sesame_options_set_transport lime_sesame_options_set_clock
        lime_sesame_options_set_api_key c"sk_secret";
    usual_verifier lime_token_verifier_options lime_token_verifier_options_set_transport
        lime_token_verifier_options_set_clock lime_token_verifier_options_set_expected_domain c"tools.example.com";
}

fn usual_agent(options: *mut lime_agent_options, pools: &Pools) {
    usual_agent_but_pow(options, pools);
    // SAFETY: a live object. A proof of work takes real time.
    unsafe { lime_agent_options_set_pow_timeout_ms(options, 20) };
}
