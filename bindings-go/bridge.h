/* The C side of the binding. Go cannot hand a number to C as a pointer, nor take one back, so the user data of
   every callback goes through here as the uintptr_t that a cgo.Handle is. bridge.c does nothing else. */
#ifndef LIME_GO_BRIDGE_H
#define LIME_GO_BRIDGE_H

#include <lime.h>

/* What a _start function gave: the operation's number, or the error. */
typedef struct {
    int32_t status;
    uint64_t operation;
    lime_error *error;
} lime_go_started;

lime_go_started lime_go_site_create_login_request(const lime_site *site, uintptr_t call);
lime_go_started lime_go_site_read_login_request(const lime_site *site, const char *request_id, uintptr_t call);
lime_go_started lime_go_site_wait_for_login(const lime_site *site, const char *request_id, uint64_t timeout_ms,
                                            uintptr_t call);
lime_go_started lime_go_site_verify_passport(const lime_site *site, const char *jwt, const char *expected_request_id,
                                             int32_t require_issuer, uintptr_t call);
lime_go_started lime_go_site_create_binding_request(const lime_site *site, const char *redirect_uri, uintptr_t call);
lime_go_started lime_go_site_exchange_binding_code(const lime_site *site, const char *binding_code, uintptr_t call);
lime_go_started lime_go_site_verify_binding_passport(const lime_site *site, const char *jwt,
                                                     const char *expected_binding_id, int32_t require_issuer,
                                                     uintptr_t call);
lime_go_started lime_go_agent_login(const lime_agent *agent, const char *request_id, uintptr_t call);
lime_go_started lime_go_agent_get_profile(const lime_agent *agent, uintptr_t call);
lime_go_started lime_go_agent_get_mcp_access_token(const lime_agent *agent, const char *target, int32_t force_refresh,
                                                   uintptr_t call);
lime_go_started lime_go_agent_mcp(const lime_agent *agent, const char *target, const char *method, const char *params_json,
                                  uintptr_t call);
lime_go_started lime_go_token_verifier_verify(const lime_token_verifier *verifier, const char *token, uintptr_t call);
lime_go_started lime_go_token_verifier_warm_up(const lime_token_verifier *verifier, uintptr_t call);
int32_t lime_go_token_verifier_options_set_log(lime_token_verifier_options *options, uintptr_t sink);
int32_t lime_go_bearer_token(const char *values, size_t count, char **token, lime_error **error);
lime_go_started lime_go_sesame_trigger(const lime_sesame *sesame, const lime_approval_request *request, uintptr_t call);
lime_go_started lime_go_sesame_get(const lime_sesame *sesame, const char *approval_id, int32_t wait_for_decision,
                                   uintptr_t call);
lime_go_started lime_go_sesame_wait(const lime_sesame *sesame, const char *approval_id, uint64_t timeout_ms,
                                    uint64_t poll_interval_ms, uintptr_t call);
lime_go_started lime_go_sesame_require_approval(const lime_sesame *sesame, const lime_approval_request *request,
                                                uint64_t timeout_ms, uint64_t poll_interval_ms, uintptr_t call);

lime_go_started lime_go_agent_login_with_progress(const lime_agent *agent, const char *request_id,
                                                  const lime_login_progress *progress, uintptr_t call);
lime_go_started lime_go_pow_solve(const void *challenge, size_t length, int64_t difficulty, int32_t digest,
                                  uint64_t timeout_ms, size_t threads, uintptr_t call);

int32_t lime_go_site_on_login_event(const lime_site *site, uintptr_t handler, lime_error **error);
int32_t lime_go_site_on_state(const lime_site *site, uintptr_t handler, lime_error **error);
int32_t lime_go_site_on_gap(const lime_site *site, uintptr_t handler, lime_error **error);

int32_t lime_go_site_options_set_log(lime_site_options *options, uintptr_t sink);
int32_t lime_go_agent_options_set_log(lime_agent_options *options, uintptr_t sink);
int32_t lime_go_sesame_options_set_log(lime_sesame_options *options, uintptr_t sink);

int32_t lime_go_sse_parser_feed(lime_sse_parser *parser, const void *chunk, size_t length, uintptr_t events,
                                lime_error **error);

int32_t lime_go_transport_new(uintptr_t carrier, lime_transport **transport, lime_error **error);
/* `headers` as below. */
int32_t lime_go_http_request_respond(lime_http_request *request, int32_t http_status, const char *headers, size_t count);

/* `headers` are `count` pairs of a name and a value, each with a NUL after it. */
int32_t lime_go_webhook_verify(const lime_webhook_verifier *verifier, const char *headers, size_t count, const void *body,
                               size_t length, lime_webhook **webhook, lime_error **error);

#endif
