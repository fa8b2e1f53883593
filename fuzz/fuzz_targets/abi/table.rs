//! Every function of the C ABI by its number of parameters; what they are is known by their types.

use lime_abi::agent::*;
use lime_abi::agent_options::*;
use lime_abi::approval::*;
use lime_abi::approval_request::*;
use lime_abi::binding::*;
use lime_abi::clock::*;
use lime_abi::envelope::*;
use lime_abi::error::*;
use lime_abi::frame::*;
use lime_abi::mcp::*;
use lime_abi::mcp_target::*;
use lime_abi::mcp_token::*;
use lime_abi::operation::*;
use lime_abi::passport::*;
use lime_abi::pow::*;
use lime_abi::progress::*;
use lime_abi::sesame::*;
use lime_abi::sesame_options::*;
use lime_abi::site::*;
use lime_abi::site_options::*;
use lime_abi::sse::*;
use lime_abi::timestamp::*;
use lime_abi::token_verifier::*;
use lime_abi::token_verifier_options::*;
use lime_abi::transport::*;
use lime_abi::version::*;
use lime_abi::webhook::*;

use super::call::table;

table! {
    none => {
        lime_version
        lime_abi_version
        lime_is_library_thread
        lime_site_options_new
        lime_agent_options_new
        lime_sesame_options_new
        lime_webhook_verifier_new
        lime_sse_parser_new
        lime_token_verifier_options_new
    }
    one => {
        lime_status_name
        lime_status_description
        lime_status_parent
        lime_error_status
        lime_error_message
        lime_error_code
        lime_error_http_status
        lime_error_detail_json
        lime_error_request_id
        lime_error_approval_id
        lime_error_retry_after_ms
        lime_operation_cancel
        lime_http_request_id
        lime_http_request_method
        lime_http_request_url
        lime_http_request_header_count
        lime_http_request_is_stream
        lime_http_request_time_limit_ms
        lime_http_request_operation
        lime_http_request_is_wanted
        lime_http_request_wants_more
        lime_http_request_end
        lime_clock_sleeps
        lime_site_state
        lime_site_last_error
        lime_site_connections
        lime_site_events
        lime_site_malformed_frames
        lime_site_close
        lime_login_request_request_id
        lime_login_request_status_text
        lime_login_request_expires_at_unix_micros
        lime_login_request_expires_at_offset_seconds
        lime_login_request_status_request_id
        lime_login_request_status_status_text
        lime_login_request_status_expires_at_unix_micros
        lime_login_request_status_expires_at_offset_seconds
        lime_login_event_request_id
        lime_login_event_passport
        lime_passport_claims_json
        lime_passport_owner_id
        lime_binding_request_binding_id
        lime_binding_request_connect_url
        lime_binding_request_status_text
        lime_binding_request_expires_at_unix_micros
        lime_binding_request_expires_at_offset_seconds
        lime_binding_exchange_passport
        lime_login_progress_stage
        lime_login_progress_hashes
        lime_login_progress_difficulty
        lime_login_progress_elapsed_ms
        lime_login_progress_left_ms
        lime_agent_close
        lime_approval_result_request_id
        lime_approval_result_site_id
        lime_approval_result_status_text
        lime_approval_result_approved_agent_id
        lime_approval_result_expires_at_unix_micros
        lime_approval_result_expires_at_offset_seconds
        lime_agent_profile_agent_id
        lime_agent_profile_owner_id
        lime_agent_profile_display_name
        lime_agent_profile_avatar_url
        lime_agent_profile_description
        lime_mcp_access_token_access_token
        lime_mcp_access_token_token_type
        lime_mcp_access_token_expires_in_seconds
        lime_mcp_access_token_issued_at_unix_micros
        lime_mcp_result_json
        lime_mcp_result_text
        lime_mcp_result_structured_json
        lime_mcp_result_is_error
        lime_approval_approval_id
        lime_approval_status_text
        lime_approval_is_approved
        lime_approval_is_terminal
        lime_approval_expires_at_unix_micros
        lime_approval_expires_at_offset_seconds
        lime_approval_decided_at_unix_micros
        lime_approval_decided_at_offset_seconds
        lime_approval_note
        lime_approval_requester_label
        lime_sesame_close
        lime_webhook_payload_json
        lime_webhook_approval_id
        lime_webhook_action
        lime_webhook_status_text
        lime_webhook_timestamp
        lime_pow_nonce_text
        lime_sse_parser_last_event_id
        lime_sse_parser_retry_ms
        lime_login_frame_kind
        lime_login_frame_request_id
        lime_login_frame_passport
        lime_login_frame_code
        lime_login_frame_message
        lime_token_verifier_forget_keys
        lime_token_verifier_fetches
        lime_token_verifier_expected_domain
        lime_token_verifier_close
        lime_verified_token_claims_json
        lime_verified_token_agent_id
        lime_verified_token_domain
        lime_token_refusal_http_status
        lime_token_refusal_www_authenticate
        lime_token_refusal_retry_after_seconds
        lime_token_refusal_body_json
    }
    two => {
        lime_transport_set_keeps_time
        lime_http_request_header_name
        lime_http_request_header_value
        lime_clock_new
        lime_clock_advance_ms
        lime_clock_set_jitter
        lime_clock_slept_ms
        lime_site_options_set_site_token
        lime_site_options_set_base_url
        lime_site_options_set_timeout_ms
        lime_site_options_set_max_retries
        lime_site_options_set_sse_backoff_base_ms
        lime_site_options_set_event_queue_limit
        lime_site_options_set_jwks_cache_ttl_ms
        lime_site_options_set_require_issuer
        lime_site_options_set_jwks_form
        lime_site_options_set_platform
        lime_site_options_set_post_retry
        lime_site_options_add_tls_pin
        lime_agent_options_add_tls_pin
        lime_sesame_options_add_tls_pin
        lime_token_verifier_options_add_tls_pin
        lime_site_options_set_transport
        lime_site_options_set_clock
        lime_site_start_events
        lime_passport_text_claim
        lime_agent_options_set_agent_token
        lime_agent_options_set_base_url
        lime_agent_options_set_timeout_ms
        lime_agent_options_set_max_retries
        lime_agent_options_set_pow_timeout_ms
        lime_agent_options_set_pow_digest
        lime_agent_options_set_pow_threads
        lime_agent_options_set_platform
        lime_agent_options_set_post_retry
        lime_agent_options_set_mcp_token_refresh_skew_ms
        lime_agent_options_set_mcp_read_timeout_ms
        lime_agent_options_set_serialize_mcp_per_url
        lime_agent_options_set_transport
        lime_agent_options_set_clock
        lime_agent_profile_owner_kyc_level
        lime_agent_profile_agent_reputation
        lime_sesame_options_set_api_key
        lime_sesame_options_set_base_url
        lime_sesame_options_set_timeout_ms
        lime_sesame_options_set_max_retries
        lime_sesame_options_set_poll_timeout_ms
        lime_sesame_options_set_transport
        lime_sesame_options_set_clock
        lime_approval_request_set_reason
        lime_approval_request_set_dedup_key
        lime_approval_request_set_callback_url
        lime_approval_request_set_severity
        lime_webhook_verifier_set_tolerance_ms
        lime_webhook_verifier_set_now_unix_seconds
        lime_webhook_text
        lime_token_verifier_options_set_expected_domain
        lime_token_verifier_options_set_base_url
        lime_token_verifier_options_set_audience
        lime_token_verifier_options_set_leeway_ms
        lime_token_verifier_options_set_jwks_cache_ttl_ms
        lime_token_verifier_options_set_min_refresh_ms
        lime_token_verifier_options_set_user_agent
        lime_token_verifier_options_set_timeout_ms
        lime_token_verifier_options_set_transport
        lime_token_verifier_options_set_clock
        lime_token_verifier_warm_up
        lime_verified_token_text_claim
    }
    three => {
        lime_http_request_write
        lime_http_request_fail
        lime_clock_wait_for_sleeps
        lime_site_new
        lime_site_create_login_request
        lime_agent_options_add_mcp_address
        lime_agent_new
        lime_agent_progress
        lime_agent_get_profile
        lime_approval_request_set_context_json
        lime_sesame_new
        lime_webhook_verifier_add_secret
        lime_webhook_verifier_set_replay_guard
        lime_webhook_verifier_forget
        lime_extract_and_normalize_domain
        lime_resolve_mcp_http_url
        lime_token_verifier_new
        lime_mcp_domain_normalize
    }
    four => {
        lime_timestamp_parse
        lime_site_read_login_request
        lime_site_create_binding_request
        lime_site_exchange_binding_code
        lime_agent_login
        lime_approval_request_new
        lime_sesame_trigger
        lime_login_frame_parse
        lime_token_verifier_verify
        lime_token_verifier_verify_cached
        lime_bearer_token
    }
    five => {
        lime_site_options_set_log_callback
        lime_agent_options_set_log_callback
        lime_sesame_options_set_log_callback
        lime_token_verifier_options_set_log_callback
        lime_http_request_respond
        lime_site_wait_for_login
        lime_site_on_login
        lime_site_on_login_event
        lime_site_on_state
        lime_site_on_gap
        lime_agent_login_with_progress
        lime_agent_get_mcp_access_token
        lime_sesame_get
        lime_envelope_open
    }
    six => {
        lime_site_create_login_request_start
        lime_site_verify_passport
        lime_site_verify_passport_cached
        lime_site_verify_binding_passport
        lime_site_verify_binding_passport_cached
        lime_agent_get_profile_start
        lime_agent_mcp
        lime_agent_call_tool
        lime_sesame_wait
        lime_sesame_require_approval
        lime_sse_parser_feed
        lime_token_verifier_warm_up_start
    }
    seven => {
        lime_transport_new
        lime_site_read_login_request_start
        lime_site_create_binding_request_start
        lime_site_exchange_binding_code_start
        lime_agent_login_start
        lime_sesame_trigger_start
        lime_token_verifier_verify_start
        lime_token_refusal_new
    }
    eight => {
        lime_site_wait_for_login_start
        lime_agent_login_with_progress_start
        lime_agent_get_mcp_access_token_start
        lime_sesame_get_start
        lime_webhook_verify
        lime_webhook_sign
    }
    nine => {
        lime_site_verify_passport_start
        lime_passport_verify
        lime_site_verify_binding_passport_start
        lime_passport_verify_binding
        lime_agent_mcp_start
        lime_agent_call_tool_start
        lime_sesame_wait_start
        lime_sesame_require_approval_start
        lime_pow_solve
    }
    ten => {
        lime_access_token_verify
    }
    eleven => {
        lime_pow_solve_start
    }
}
