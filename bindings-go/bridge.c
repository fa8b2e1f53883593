#include "bridge.h"
#include "_cgo_export.h"
#include <stdlib.h>
#include <string.h>

static void drop(void *user_data) { limeGoDrop((uintptr_t)user_data); }

/* One of these for each kind of result: the callback, which hands everything over to Go. */
#define COMPLETION(name, go_function, result_type)                                                     \
    static void name(void *user_data, int32_t status, result_type *result, lime_error *error) {        \
        go_function((uintptr_t)user_data, status, result, error);                                      \
    }
COMPLETION(on_login_request, limeGoLoginRequest, lime_login_request)
COMPLETION(on_login_request_status, limeGoLoginRequestStatus, lime_login_request_status)
COMPLETION(on_login_end, limeGoLoginEnd, lime_login_event)
COMPLETION(on_passport, limeGoPassport, lime_passport)
COMPLETION(on_binding_request, limeGoBindingRequest, lime_binding_request)
COMPLETION(on_binding_exchange, limeGoBindingExchange, lime_binding_exchange)
COMPLETION(on_approval_result, limeGoApprovalResult, lime_approval_result)
COMPLETION(on_agent_profile, limeGoAgentProfile, lime_agent_profile)
COMPLETION(on_approval, limeGoApproval, lime_approval)
COMPLETION(on_pow_nonce, limeGoPowNonce, lime_pow_nonce)
COMPLETION(on_mcp_access_token, limeGoMCPAccessToken, lime_mcp_access_token)
COMPLETION(on_mcp_result, limeGoMCPResult, lime_mcp_result)
COMPLETION(on_verified_token, limeGoVerifiedToken, lime_verified_token)

static void on_warm_up(void *user_data, int32_t status, lime_error *error) {
    limeGoWarmUp((uintptr_t)user_data, status, error);
}

/* Starts a call; the arguments before `callback` are given as they stand. */
#define START(function, callback, ...)                                                                  \
    lime_go_started started = {0, 0, NULL};                                                             \
    started.status = function(__VA_ARGS__, callback, (void *)call, drop, &started.operation, &started.error); \
    return started

lime_go_started lime_go_site_create_login_request(const lime_site *site, uintptr_t call) {
    START(lime_site_create_login_request_start, on_login_request, site);
}

lime_go_started lime_go_site_read_login_request(const lime_site *site, const char *request_id, uintptr_t call) {
    START(lime_site_read_login_request_start, on_login_request_status, site, request_id);
}

lime_go_started lime_go_site_wait_for_login(const lime_site *site, const char *request_id, uint64_t timeout_ms,
                                            uintptr_t call) {
    START(lime_site_wait_for_login_start, on_login_end, site, request_id, timeout_ms);
}

lime_go_started lime_go_site_verify_passport(const lime_site *site, const char *jwt, const char *expected_request_id,
                                             int32_t require_issuer, uintptr_t call) {
    START(lime_site_verify_passport_start, on_passport, site, jwt, expected_request_id, require_issuer);
}

lime_go_started lime_go_site_create_binding_request(const lime_site *site, const char *redirect_uri, uintptr_t call) {
    START(lime_site_create_binding_request_start, on_binding_request, site, redirect_uri);
}

lime_go_started lime_go_site_exchange_binding_code(const lime_site *site, const char *binding_code, uintptr_t call) {
    START(lime_site_exchange_binding_code_start, on_binding_exchange, site, binding_code);
}

lime_go_started lime_go_site_verify_binding_passport(const lime_site *site, const char *jwt,
                                                     const char *expected_binding_id, int32_t require_issuer,
                                                     uintptr_t call) {
    START(lime_site_verify_binding_passport_start, on_passport, site, jwt, expected_binding_id, require_issuer);
}

lime_go_started lime_go_agent_login(const lime_agent *agent, const char *request_id, uintptr_t call) {
    START(lime_agent_login_start, on_approval_result, agent, request_id);
}

lime_go_started lime_go_agent_get_profile(const lime_agent *agent, uintptr_t call) {
    START(lime_agent_get_profile_start, on_agent_profile, agent);
}

lime_go_started lime_go_agent_get_mcp_access_token(const lime_agent *agent, const char *target, int32_t force_refresh,
                                                   uintptr_t call) {
    START(lime_agent_get_mcp_access_token_start, on_mcp_access_token, agent, target, force_refresh);
}

lime_go_started lime_go_agent_mcp(const lime_agent *agent, const char *target, const char *method, const char *params_json,
                                  uintptr_t call) {
    START(lime_agent_mcp_start, on_mcp_result, agent, target, method, params_json);
}

lime_go_started lime_go_sesame_trigger(const lime_sesame *sesame, const lime_approval_request *request, uintptr_t call) {
    START(lime_sesame_trigger_start, on_approval, sesame, request);
}

lime_go_started lime_go_sesame_get(const lime_sesame *sesame, const char *approval_id, int32_t wait_for_decision,
                                   uintptr_t call) {
    START(lime_sesame_get_start, on_approval, sesame, approval_id, wait_for_decision);
}

lime_go_started lime_go_sesame_wait(const lime_sesame *sesame, const char *approval_id, uint64_t timeout_ms,
                                    uint64_t poll_interval_ms, uintptr_t call) {
    START(lime_sesame_wait_start, on_approval, sesame, approval_id, timeout_ms, poll_interval_ms);
}

lime_go_started lime_go_sesame_require_approval(const lime_sesame *sesame, const lime_approval_request *request,
                                                uint64_t timeout_ms, uint64_t poll_interval_ms, uintptr_t call) {
    START(lime_sesame_require_approval_start, on_approval, sesame, request, timeout_ms, poll_interval_ms);
}

lime_go_started lime_go_agent_login_with_progress(const lime_agent *agent, const char *request_id,
                                                  const lime_login_progress *progress, uintptr_t call) {
    START(lime_agent_login_with_progress_start, on_approval_result, agent, request_id, progress);
}

lime_go_started lime_go_pow_solve(const void *challenge, size_t length, int64_t difficulty, int32_t digest,
                                  uint64_t timeout_ms, size_t threads, uintptr_t call) {
    START(lime_pow_solve_start, on_pow_nonce, challenge, length, difficulty, digest, timeout_ms, threads);
}

lime_go_started lime_go_token_verifier_verify(const lime_token_verifier *verifier, const char *token, uintptr_t call) {
    START(lime_token_verifier_verify_start, on_verified_token, verifier, token);
}

lime_go_started lime_go_token_verifier_warm_up(const lime_token_verifier *verifier, uintptr_t call) {
    START(lime_token_verifier_warm_up_start, on_warm_up, verifier);
}

static void on_login_event(void *user_data, lime_login_event *event) { limeGoLoginEvent((uintptr_t)user_data, event); }

int32_t lime_go_site_on_login_event(const lime_site *site, uintptr_t handler, lime_error **error) {
    return lime_site_on_login_event(site, on_login_event, (void *)handler, drop, error);
}

static void on_state(void *user_data, int32_t state, const lime_error *last_error) {
    limeGoState((uintptr_t)user_data, state, (lime_error *)last_error);
}

int32_t lime_go_site_on_state(const lime_site *site, uintptr_t handler, lime_error **error) {
    return lime_site_on_state(site, on_state, (void *)handler, drop, error);
}

static void on_gap(void *user_data, const char *const *request_ids, size_t count) {
    limeGoGap((uintptr_t)user_data, (char **)request_ids, count);
}

int32_t lime_go_site_on_gap(const lime_site *site, uintptr_t handler, lime_error **error) {
    return lime_site_on_gap(site, on_gap, (void *)handler, drop, error);
}

static void on_log(void *user_data, int32_t level, const char *message) {
    limeGoLog((uintptr_t)user_data, level, (char *)message);
}

int32_t lime_go_site_options_set_log(lime_site_options *options, uintptr_t sink) {
    return lime_site_options_set_log_callback(options, LIME_LOG_DEBUG, on_log, (void *)sink, drop);
}

int32_t lime_go_agent_options_set_log(lime_agent_options *options, uintptr_t sink) {
    return lime_agent_options_set_log_callback(options, LIME_LOG_DEBUG, on_log, (void *)sink, drop);
}

int32_t lime_go_sesame_options_set_log(lime_sesame_options *options, uintptr_t sink) {
    return lime_sesame_options_set_log_callback(options, LIME_LOG_DEBUG, on_log, (void *)sink, drop);
}

int32_t lime_go_token_verifier_options_set_log(lime_token_verifier_options *options, uintptr_t sink) {
    return lime_token_verifier_options_set_log_callback(options, LIME_LOG_DEBUG, on_log, (void *)sink, drop);
}

static void on_sse_event(void *user_data, const char *event, const char *data, size_t data_length, const char *id) {
    limeGoSSEEvent((uintptr_t)user_data, (char *)event, (char *)data, data_length, (char *)id);
}

int32_t lime_go_sse_parser_feed(lime_sse_parser *parser, const void *chunk, size_t length, uintptr_t events,
                                lime_error **error) {
    return lime_sse_parser_feed(parser, chunk, length, on_sse_event, (void *)events, error);
}

static void on_send(void *user_data, lime_http_request *request) { limeGoSend((uintptr_t)user_data, request); }

static void on_abort(void *user_data, uint64_t request_id) { limeGoAbort((uintptr_t)user_data, request_id); }

static void on_resume(void *user_data, uint64_t request_id) { limeGoResume((uintptr_t)user_data, request_id); }

int32_t lime_go_transport_new(uintptr_t carrier, lime_transport **transport, lime_error **error) {
    return lime_transport_new(on_send, on_abort, on_resume, (void *)carrier, drop, transport, error);
}

/* Finds the texts in `headers`: names, then values. Gives `few`, which has room for FEW, or memory to be freed, or NULL. */
enum { FEW = 64 };
static const char **split(const char *headers, size_t count, const char **few) {
    const char **texts = 2 * count > FEW ? calloc(count, 2 * sizeof *texts) : few;
    for (size_t at = 0; texts && at < 2 * count; at++) {
        texts[at / 2 + (at % 2 ? count : 0)] = headers;
        headers += strlen(headers) + 1;
    }
    return texts;
}

int32_t lime_go_http_request_respond(lime_http_request *request, int32_t http_status, const char *headers, size_t count) {
    const char *few[FEW], **texts = split(headers, count, few);
    if (!texts) return LIME_ERROR_INTERNAL;
    int32_t status = lime_http_request_respond(request, http_status, texts, texts + count, count);
    if (texts != few) free(texts);
    return status;
}

int32_t lime_go_webhook_verify(const lime_webhook_verifier *verifier, const char *headers, size_t count, const void *body,
                               size_t length, lime_webhook **webhook, lime_error **error) {
    const char *few[FEW], **texts = split(headers, count, few);
    if (!texts) return LIME_ERROR_INTERNAL;
    int32_t status = lime_webhook_verify(verifier, texts, texts + count, count, body, length, webhook, error);
    if (texts != few) free(texts);
    return status;
}

/* More than one is refused, whatever they are. */
int32_t lime_go_bearer_token(const char *values, size_t count, char **token, lime_error **error) {
    const char *texts[2] = {NULL, NULL};
    if (count > 2) count = 2;
    for (size_t at = 0; at < count; at++) {
        texts[at] = values;
        values += strlen(values) + 1;
    }
    return lime_bearer_token(texts, count, token, error);
}
