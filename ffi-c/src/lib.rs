//! The C ABI of lime. What a C program sees, and the manual for it, is `include/lime.h`, which
//! `cargo run -p lime-header -- --write` makes from the documentation comments here.
//!
//! Nothing here knows the protocol: each function checks its arguments, calls `lime-core`, and
//! hands the result over. Every body runs inside [`panic`]'s guard, so no panic gets out.

// The names are those of the C header, and so is the documentation.
#![allow(non_camel_case_types, clippy::doc_markdown)]
// The contract of every function is in the header's manual: pointers are valid or NULL.
#![allow(clippy::missing_safety_doc)]

pub mod agent;
pub mod agent_options;
pub mod approval;
pub mod approval_request;
pub mod binding;
pub mod clock;
pub mod envelope;
pub mod error;
#[cfg(any(test, feature = "test-panic"))]
pub mod fault;
pub mod frame;
pub mod log;
pub mod mcp;
pub mod mcp_target;
pub mod mcp_token;
pub mod operation;
pub mod panic;
pub mod passport;
pub mod pow;
pub mod progress;
pub mod sesame;
pub mod sesame_options;
pub mod site;
pub mod site_options;
pub mod sse;
pub mod strings;
pub mod timestamp;
pub mod token_verifier;
pub mod token_verifier_options;
pub mod transport;
pub mod userdata;
pub mod version;
pub mod webhook;

/// Every symbol that the library exports: the ABI on one screen. Removing or changing one is a new
/// major version; the tests compare the list with the built library and with the header.
pub const EXPORTS: &[&str] = &[
    // version
    "lime_version",
    "lime_abi_version",
    // error
    "lime_status_name",
    "lime_status_description",
    "lime_status_parent",
    "lime_error_status",
    "lime_error_message",
    "lime_error_code",
    "lime_error_http_status",
    "lime_error_detail_json",
    "lime_error_request_id",
    "lime_error_approval_id",
    "lime_error_retry_after_ms",
    "lime_error_free",
    // strings, operations
    "lime_string_free",
    "lime_operation_cancel",
    "lime_is_library_thread",
    // transport
    "lime_transport_new",
    "lime_transport_set_keeps_time",
    "lime_transport_free",
    "lime_http_request_id",
    "lime_http_request_method",
    "lime_http_request_url",
    "lime_http_request_header_count",
    "lime_http_request_header_name",
    "lime_http_request_header_value",
    "lime_http_request_body",
    "lime_http_request_is_stream",
    "lime_http_request_time_limit_ms",
    "lime_http_request_operation",
    "lime_http_request_is_wanted",
    "lime_http_request_wants_more",
    "lime_http_request_wait",
    "lime_http_request_respond",
    "lime_http_request_write",
    "lime_http_request_end",
    "lime_http_request_fail",
    "lime_http_request_free",
    // clock
    "lime_clock_new",
    "lime_clock_advance_ms",
    "lime_clock_set_jitter",
    "lime_clock_sleeps",
    "lime_clock_slept_ms",
    "lime_clock_wait_for_sleeps",
    "lime_clock_free",
    // site options
    "lime_site_options_new",
    "lime_site_options_set_site_token",
    "lime_site_options_set_base_url",
    "lime_site_options_set_timeout_ms",
    "lime_site_options_set_max_retries",
    "lime_site_options_set_sse_backoff_base_ms",
    "lime_site_options_set_event_queue_limit",
    "lime_site_options_set_jwks_cache_ttl_ms",
    "lime_site_options_set_require_issuer",
    "lime_site_options_set_jwks_form",
    "lime_site_options_set_platform",
    "lime_site_options_set_post_retry",
    "lime_site_options_add_tls_pin",
    "lime_site_options_set_log_callback",
    "lime_site_options_set_transport",
    "lime_site_options_set_clock",
    "lime_site_options_free",
    // site
    "lime_site_new",
    "lime_site_create_login_request",
    "lime_site_create_login_request_start",
    "lime_site_read_login_request",
    "lime_site_read_login_request_start",
    "lime_site_wait_for_login",
    "lime_site_wait_for_login_start",
    "lime_site_verify_passport",
    "lime_site_verify_passport_cached",
    "lime_site_verify_passport_start",
    "lime_site_on_login",
    "lime_site_on_login_event",
    "lime_site_on_state",
    "lime_site_on_gap",
    "lime_site_start_events",
    "lime_site_state",
    "lime_site_last_error",
    "lime_site_connections",
    "lime_site_events",
    "lime_site_malformed_frames",
    "lime_site_close",
    "lime_site_free",
    "lime_login_request_request_id",
    "lime_login_request_status_text",
    "lime_login_request_expires_at_unix_micros",
    "lime_login_request_expires_at_offset_seconds",
    "lime_login_request_free",
    "lime_login_request_status_request_id",
    "lime_login_request_status_status_text",
    "lime_login_request_status_expires_at_unix_micros",
    "lime_login_request_status_expires_at_offset_seconds",
    "lime_login_request_status_free",
    "lime_login_event_request_id",
    "lime_login_event_passport",
    "lime_login_event_free",
    // binding
    "lime_site_create_binding_request",
    "lime_site_create_binding_request_start",
    "lime_site_exchange_binding_code",
    "lime_site_exchange_binding_code_start",
    "lime_site_verify_binding_passport",
    "lime_site_verify_binding_passport_cached",
    "lime_site_verify_binding_passport_start",
    "lime_passport_verify_binding",
    "lime_binding_request_binding_id",
    "lime_binding_request_connect_url",
    "lime_binding_request_status_text",
    "lime_binding_request_expires_at_unix_micros",
    "lime_binding_request_expires_at_offset_seconds",
    "lime_binding_request_free",
    "lime_binding_exchange_passport",
    "lime_binding_exchange_free",
    // agent options
    "lime_agent_options_new",
    "lime_agent_options_set_agent_token",
    "lime_agent_options_set_base_url",
    "lime_agent_options_set_timeout_ms",
    "lime_agent_options_set_max_retries",
    "lime_agent_options_set_pow_timeout_ms",
    "lime_agent_options_set_pow_digest",
    "lime_agent_options_set_pow_threads",
    "lime_agent_options_set_platform",
    "lime_agent_options_set_post_retry",
    "lime_agent_options_set_mcp_token_refresh_skew_ms",
    "lime_agent_options_set_mcp_read_timeout_ms",
    "lime_agent_options_set_serialize_mcp_per_url",
    "lime_agent_options_add_mcp_address",
    "lime_agent_options_add_tls_pin",
    "lime_agent_options_set_log_callback",
    "lime_agent_options_set_transport",
    "lime_agent_options_set_clock",
    "lime_agent_options_free",
    // agent
    "lime_agent_new",
    "lime_agent_login",
    "lime_agent_login_start",
    "lime_agent_progress",
    "lime_agent_login_with_progress",
    "lime_agent_login_with_progress_start",
    "lime_agent_get_profile",
    "lime_agent_get_profile_start",
    "lime_agent_close",
    "lime_agent_free",
    "lime_approval_result_request_id",
    "lime_approval_result_site_id",
    "lime_approval_result_status_text",
    "lime_approval_result_approved_agent_id",
    "lime_approval_result_expires_at_unix_micros",
    "lime_approval_result_expires_at_offset_seconds",
    "lime_approval_result_free",
    "lime_agent_profile_agent_id",
    "lime_agent_profile_owner_id",
    "lime_agent_profile_display_name",
    "lime_agent_profile_avatar_url",
    "lime_agent_profile_description",
    "lime_agent_profile_owner_kyc_level",
    "lime_agent_profile_agent_reputation",
    "lime_agent_profile_free",
    "lime_login_progress_stage",
    "lime_login_progress_hashes",
    "lime_login_progress_difficulty",
    "lime_login_progress_elapsed_ms",
    "lime_login_progress_left_ms",
    "lime_login_progress_free",
    // mcp token
    "lime_agent_get_mcp_access_token",
    "lime_agent_get_mcp_access_token_start",
    "lime_mcp_access_token_access_token",
    "lime_mcp_access_token_token_type",
    "lime_mcp_access_token_expires_in_seconds",
    "lime_mcp_access_token_issued_at_unix_micros",
    "lime_mcp_access_token_free",
    // mcp
    "lime_agent_mcp",
    "lime_agent_mcp_start",
    "lime_agent_call_tool",
    "lime_agent_call_tool_start",
    "lime_mcp_result_json",
    "lime_mcp_result_text",
    "lime_mcp_result_structured_json",
    "lime_mcp_result_is_error",
    "lime_mcp_result_free",
    // passport
    "lime_passport_verify",
    "lime_passport_claims_json",
    "lime_passport_text_claim",
    "lime_passport_owner_id",
    "lime_passport_free",
    // sesame options
    "lime_sesame_options_new",
    "lime_sesame_options_set_api_key",
    "lime_sesame_options_set_base_url",
    "lime_sesame_options_set_timeout_ms",
    "lime_sesame_options_set_max_retries",
    "lime_sesame_options_set_poll_timeout_ms",
    "lime_sesame_options_add_tls_pin",
    "lime_sesame_options_set_log_callback",
    "lime_sesame_options_set_transport",
    "lime_sesame_options_set_clock",
    "lime_sesame_options_free",
    // approval request
    "lime_approval_request_new",
    "lime_approval_request_set_reason",
    "lime_approval_request_set_dedup_key",
    "lime_approval_request_set_callback_url",
    "lime_approval_request_set_severity",
    "lime_approval_request_set_context_json",
    "lime_approval_request_free",
    // approval
    "lime_approval_approval_id",
    "lime_approval_status_text",
    "lime_approval_is_approved",
    "lime_approval_is_terminal",
    "lime_approval_expires_at_unix_micros",
    "lime_approval_expires_at_offset_seconds",
    "lime_approval_decided_at_unix_micros",
    "lime_approval_decided_at_offset_seconds",
    "lime_approval_note",
    "lime_approval_requester_label",
    "lime_approval_free",
    // sesame
    "lime_sesame_new",
    "lime_sesame_trigger",
    "lime_sesame_trigger_start",
    "lime_sesame_get",
    "lime_sesame_get_start",
    "lime_sesame_wait",
    "lime_sesame_wait_start",
    "lime_sesame_require_approval",
    "lime_sesame_require_approval_start",
    "lime_sesame_close",
    "lime_sesame_free",
    // webhook
    "lime_webhook_verifier_new",
    "lime_webhook_verifier_add_secret",
    "lime_webhook_verifier_set_tolerance_ms",
    "lime_webhook_verifier_set_replay_guard",
    "lime_webhook_verifier_set_now_unix_seconds",
    "lime_webhook_verifier_forget",
    "lime_webhook_verifier_free",
    "lime_webhook_verify",
    "lime_webhook_payload_json",
    "lime_webhook_text",
    "lime_webhook_approval_id",
    "lime_webhook_action",
    "lime_webhook_status_text",
    "lime_webhook_timestamp",
    "lime_webhook_free",
    "lime_webhook_sign",
    // token verifier options
    "lime_token_verifier_options_new",
    "lime_token_verifier_options_set_expected_domain",
    "lime_token_verifier_options_set_base_url",
    "lime_token_verifier_options_set_audience",
    "lime_token_verifier_options_set_leeway_ms",
    "lime_token_verifier_options_set_jwks_cache_ttl_ms",
    "lime_token_verifier_options_set_min_refresh_ms",
    "lime_token_verifier_options_set_user_agent",
    "lime_token_verifier_options_set_timeout_ms",
    "lime_token_verifier_options_add_tls_pin",
    "lime_token_verifier_options_set_log_callback",
    "lime_token_verifier_options_set_transport",
    "lime_token_verifier_options_set_clock",
    "lime_token_verifier_options_free",
    // token verifier
    "lime_token_verifier_new",
    "lime_token_verifier_verify",
    "lime_token_verifier_verify_cached",
    "lime_token_verifier_verify_start",
    "lime_token_verifier_warm_up",
    "lime_token_verifier_warm_up_start",
    "lime_token_verifier_forget_keys",
    "lime_token_verifier_fetches",
    "lime_token_verifier_expected_domain",
    "lime_token_verifier_close",
    "lime_token_verifier_free",
    "lime_access_token_verify",
    "lime_verified_token_claims_json",
    "lime_verified_token_agent_id",
    "lime_verified_token_domain",
    "lime_verified_token_text_claim",
    "lime_verified_token_free",
    "lime_mcp_domain_normalize",
    "lime_bearer_token",
    "lime_token_refusal_new",
    "lime_token_refusal_http_status",
    "lime_token_refusal_www_authenticate",
    "lime_token_refusal_retry_after_seconds",
    "lime_token_refusal_body_json",
    "lime_token_refusal_free",
    // without a client
    "lime_pow_solve",
    "lime_pow_solve_start",
    "lime_pow_nonce_text",
    "lime_pow_nonce_free",
    "lime_sse_parser_new",
    "lime_sse_parser_feed",
    "lime_sse_parser_last_event_id",
    "lime_sse_parser_retry_ms",
    "lime_sse_parser_free",
    "lime_login_frame_parse",
    "lime_login_frame_kind",
    "lime_login_frame_request_id",
    "lime_login_frame_passport",
    "lime_login_frame_code",
    "lime_login_frame_message",
    "lime_login_frame_free",
    "lime_envelope_open",
    "lime_timestamp_parse",
    "lime_extract_and_normalize_domain",
    "lime_resolve_mcp_http_url",
];

#[cfg(test)]
mod tests {
    use super::EXPORTS;

    #[test]
    fn the_header_declares_exactly_the_exports() {
        let header = include_str!("../../include/lime.h");
        let code: String =
            header.split("/*").map(|part| part.rsplit_once("*/").map_or(part, |(_, code)| code)).collect();
        let mut declared: Vec<&str> = code
            .match_indices('(')
            .filter_map(|(at, _)| code[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
            .filter(|name| name.starts_with("lime_"))
            .collect();
        let mut exports = EXPORTS.to_vec();
        declared.sort_unstable();
        exports.sort_unstable();
        assert_eq!(declared, exports);
    }
}
