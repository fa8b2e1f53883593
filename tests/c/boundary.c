/* The boundary itself: bytes, numbers, cancelling, closing, freeing, threads, fork. (NULL, bad text, and whatever
   else an argument may be: calls.c. Every callback in every turn: lifecycle.c.)
   Runs against the platform that the environment names. Nothing sleeps and nothing is timed; a watchdog
   ends a program that hangs. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <pthread.h>
#include <unistd.h>

#define BAD "\xc3\x28"
#define INVALID LIME_ERROR_INVALID_ARGUMENT

static lime_site *new_site(void) {
    lime_site *site = NULL;
    CHECK(lime_site_new(NULL, &site, NULL) == LIME_OK && site);
    return site;
}

static lime_agent *new_agent(void) {
    lime_agent *agent = NULL;
    CHECK(lime_agent_new(NULL, &agent, NULL) == LIME_OK && agent);
    return agent;
}

static lime_sesame *new_sesame(void) {
    lime_sesame *sesame = NULL;
    CHECK(lime_sesame_new(NULL, &sesame, NULL) == LIME_OK && sesame);
    return sesame;
}

static lime_approval_request *new_approval_request(void) {
    lime_approval_request *request = NULL;
    CHECK(lime_approval_request_new("a", "b", &request, NULL) == LIME_OK && request);
    return request;
}

static void on_request(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    CHECK((status == LIME_OK) == (request != NULL) && (status == LIME_OK) == (error == NULL));
    lime_login_request_free(request);
    finish(user_data, status, error);
}

static void on_found(void *user_data, int32_t status, lime_login_request_status *found, lime_error *error) {
    CHECK((status == LIME_OK) == (found != NULL) && (status == LIME_OK) == (error == NULL));
    lime_login_request_status_free(found);
    finish(user_data, status, error);
}

static void on_event(void *user_data, int32_t status, lime_login_event *event, lime_error *error) {
    CHECK((status == LIME_OK) == (event != NULL) && (status == LIME_OK) == (error == NULL));
    lime_login_event_free(event);
    finish(user_data, status, error);
}

static void on_passport(void *user_data, int32_t status, lime_passport *passport, lime_error *error) {
    CHECK((status == LIME_OK) == (passport != NULL) && (status == LIME_OK) == (error == NULL));
    lime_passport_free(passport);
    finish(user_data, status, error);
}

static void on_approval(void *user_data, int32_t status, lime_approval_result *result, lime_error *error) {
    CHECK((status == LIME_OK) == (result != NULL) && (status == LIME_OK) == (error == NULL));
    lime_approval_result_free(result);
    finish(user_data, status, error);
}

static void on_profile(void *user_data, int32_t status, lime_agent_profile *profile, lime_error *error) {
    CHECK((status == LIME_OK) == (profile != NULL) && (status == LIME_OK) == (error == NULL));
    lime_agent_profile_free(profile);
    finish(user_data, status, error);
}

static void on_decision(void *user_data, int32_t status, lime_approval *approval, lime_error *error) {
    CHECK((status == LIME_OK) == (approval != NULL) && (status == LIME_OK) == (error == NULL));
    lime_approval_free(approval);
    finish(user_data, status, error);
}

/* Whether the handler's event is the one that the probe is about. */
static int is_mine(struct probe *probe, const char *request_id) {
    pthread_mutex_lock(&probe->lock);
    int mine = strcmp(probe->request_id, request_id) == 0;
    pthread_mutex_unlock(&probe->lock);
    return mine;
}

static void count_login(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    if (is_mine(probe, request_id) && passport) add(probe, &probe->calls);
}

static void count_state(void *user_data, int32_t state, const lime_error *last_error) {
    struct probe *probe = user_data;
    (void)last_error;
    pthread_mutex_lock(&probe->lock);
    probe->status = state;
    pthread_mutex_unlock(&probe->lock);
    if (state == LIME_STREAM_OPEN) add(probe, &probe->entered);
    add(probe, &probe->calls);
}

static void count_gap(void *user_data, const char *const *request_ids, size_t count) {
    struct probe *probe = user_data;
    if (count == 1 && is_mine(probe, request_ids[0])) add(probe, &probe->calls);
}

/* Creates a request, notes it in the probe, and lets the agent confirm it. */
static void sign_in(lime_site *site, struct probe *probe) {
    lime_login_request *request = NULL;
    lime_approval_result *result = NULL;
    lime_agent *agent = new_agent();
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    CHECK(id && *id);
    pthread_mutex_lock(&probe->lock);
    snprintf(probe->request_id, sizeof probe->request_id, "%s", id ? id : "");
    pthread_mutex_unlock(&probe->lock);
    CHECK(lime_agent_login(agent, id, &result, NULL) == LIME_OK);
    CHECK_TEXT(lime_approval_result_request_id(result), id);
    lime_approval_result_free(result);
    lime_login_request_free(request);
    lime_agent_free(agent);
}

/* ---- */

static void making_clients_starts_nothing(void) {
    int before = threads();
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    lime_sesame *sesame = new_sesame();
    CHECK(threads() == before);
    CHECK(lime_site_state(site) == LIME_STREAM_IDLE);
    lime_site_free(site);
    lime_agent_free(agent);
    lime_sesame_free(sesame);
    CHECK(threads() == before);
}

static void versions_agree(void) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", LIME_VERSION_MAJOR, LIME_VERSION_MINOR, LIME_VERSION_PATCH);
    CHECK_TEXT(lime_version(), LIME_VERSION);
    CHECK_TEXT(text, LIME_VERSION);
    CHECK(lime_abi_version() == LIME_ABI_VERSION);
}

static void status_names(void) {
    CHECK_TEXT(lime_status_name(LIME_OK), "ok");
    CHECK_TEXT(lime_status_name(LIME_ERROR_WOULD_DEADLOCK), "would_deadlock");
    CHECK_TEXT(lime_status_name(LIME_ERROR_APPROVAL_DENIED), "approval_denied");
    CHECK(strlen(lime_status_description(LIME_ERROR_POW_TIMEOUT)) > 10);
    int32_t unknown[] = {-1, 1, 9999, INT32_MAX, INT32_MIN};
    for (size_t at = 0; at < sizeof unknown / sizeof *unknown; at++) {
        CHECK_TEXT(lime_status_name(unknown[at]), "unknown");
        CHECK_TEXT(lime_status_description(unknown[at]), "unknown");
    }
}

static void ignore_event(void *user_data, const char *event, const char *data, size_t length, const char *id) {
    (void)user_data, (void)event, (void)data, (void)length, (void)id;
}

static void bytes_and_lengths(void) {
    char nonce[LIME_POW_NONCE_SIZE], *json = NULL;
    lime_passport *passport = NULL;
    lime_login_frame *frame = NULL;
    lime_sse_parser *parser = lime_sse_parser_new();
    /* NULL and 0 is empty. */
    CHECK(lime_pow_solve(NULL, 0, 1, LIME_POW_DIGEST_SEED, 10000, 0, nonce, sizeof nonce, NULL) == LIME_OK);
    CHECK(lime_sse_parser_feed(parser, NULL, 0, ignore_event, NULL, NULL) == LIME_OK);
    CHECK(lime_envelope_open(200, NULL, 0, &json, NULL) == LIME_ERROR_BAD_RESPONSE);
    CHECK(lime_passport_verify("x", NULL, 0, "x", NULL, 0, 0, &passport, NULL) == LIME_ERROR_INVALID_PASSPORT);
    CHECK(lime_login_frame_parse(NULL, 0, &frame, NULL) == LIME_OK);
    CHECK(lime_login_frame_kind(frame) == LIME_FRAME_MALFORMED);
    lime_login_frame_free(frame);
    frame = NULL;
    /* NULL and more, and more than there can be, are refused. */
    const void *starts[] = {NULL, "x"};
    for (int at = 0; at < 2; at++) {
        size_t length = at == 0 ? 1 : SIZE_MAX;
        CHECK(lime_pow_solve(starts[at], length, 1, LIME_POW_DIGEST_SEED, 1, 1, nonce, sizeof nonce, NULL) == INVALID);
        CHECK(lime_sse_parser_feed(parser, starts[at], length, ignore_event, NULL, NULL) == INVALID);
        CHECK(lime_envelope_open(200, starts[at], length, &json, NULL) == INVALID);
        CHECK(lime_passport_verify("x", starts[at], length, "x", NULL, 0, 0, &passport, NULL) == INVALID);
        CHECK(lime_login_frame_parse(starts[at], length, &frame, NULL) == INVALID);
    }
    CHECK(lime_pow_solve("x", 1, 1, LIME_POW_DIGEST_SEED, 1, 1, NULL, 21, NULL) == INVALID);
    CHECK(lime_pow_solve("x", 1, 1, LIME_POW_DIGEST_SEED, 1, 1, nonce, 20, NULL) == INVALID);
    CHECK(lime_pow_solve("x", 1, 1, LIME_POW_DIGEST_SEED, 1, 1, nonce, 0, NULL) == INVALID);
    CHECK(lime_sse_parser_feed(NULL, "x", 1, ignore_event, NULL, NULL) == INVALID);
    CHECK(lime_sse_parser_feed(parser, "x", 1, NULL, NULL, NULL) == INVALID);
    CHECK(lime_envelope_open(200, "{}", 2, NULL, NULL) == INVALID);
    CHECK(lime_passport_verify(NULL, "{}", 2, "x", NULL, 0, 0, &passport, NULL) == INVALID);
    CHECK(lime_passport_verify("x", "{}", 2, NULL, NULL, 0, 0, &passport, NULL) == INVALID);
    CHECK(lime_passport_verify("x", "{}", 2, "x", NULL, 0, 0, NULL, NULL) == INVALID);
    CHECK(lime_login_frame_parse("{}", 2, NULL, NULL) == INVALID);
    CHECK(lime_timestamp_parse(NULL, &(int64_t){0}, NULL, NULL) == INVALID);
    CHECK(lime_timestamp_parse("2026-01-01T00:00:00Z", NULL, NULL, NULL) == INVALID);
    CHECK(lime_timestamp_parse("2026-01-01T00:00:00Z", &(int64_t){0}, NULL, NULL) == LIME_OK);
    CHECK(!json && !passport && !frame);
    lime_sse_parser_free(parser);
}

static void json_of_a_context(void) {
    lime_approval_request *request = new_approval_request();
    const char *good[] = {"{}", " {\"a\": [1, null, {\"b\": 1.5}]}\n", "{\"\\u0000\":\"Zo\xc3\xab\"}",
                          "{\"a\":1e400}" /* sent as it is */};
    const char *bad[] = {"",      " ",        "[]",       "null",   "1",      "\"{}\"",     "{",
                         "{}{}",  "{'a':1}",  "{\"a\":}", "{a:1}",  "{\"a\":NaN}",
                         "{\"a\":\"" BAD "\"}", "\xef\xbb\xbf{}"};
    for (size_t at = 0; at < sizeof good / sizeof *good; at++)
        CHECK(lime_approval_request_set_context_json(request, good[at], strlen(good[at])) == LIME_OK);
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        CHECK(lime_approval_request_set_context_json(request, bad[at], strlen(bad[at])) == INVALID);
    CHECK(lime_approval_request_set_context_json(request, "{}\0", 3) == INVALID);
    CHECK(lime_approval_request_set_context_json(request, NULL, 1) == INVALID);
    CHECK(lime_approval_request_set_context_json(request, "{}", SIZE_MAX) == INVALID);
    CHECK(lime_approval_request_set_context_json(request, NULL, 0) == LIME_OK);
    lime_approval_request_free(request);
}

/* A signed body, and what verifies it. */
struct signed_body {
    lime_webhook_verifier *verifier;
    char signature[LIME_WEBHOOK_SIGNATURE_SIZE];
    const char *names[3], *values[3], *body;
    size_t length;
};

static struct signed_body signed_body(void) {
    struct signed_body made = {.verifier = lime_webhook_verifier_new(),
                               .names = {"Host", LIME_WEBHOOK_SIGNATURE_HEADER, LIME_WEBHOOK_TIMESTAMP_HEADER},
                               .values = {"localhost", NULL, "1750000000"},
                               .body = "{\"approval_id\":\"ap_1\",\"action\":\"a.b\",\"status\":\"approved\","
                                       "\"decided_at\":\"2025-06-15T15:06:39Z\",\"n\":7,\"nul\":\"a\\u0000b\"}"};
    made.length = strlen(made.body);
    CHECK(lime_webhook_sign(made.body, made.length, "whsec", 5, 1750000000, made.signature, sizeof made.signature, NULL) ==
          LIME_OK);
    CHECK(strlen(made.signature) == 64);
    CHECK(lime_webhook_verifier_add_secret(made.verifier, "whsec", 5) == LIME_OK);
    CHECK(lime_webhook_verifier_set_now_unix_seconds(made.verifier, 1750000000.5) == LIME_OK);
    return made;
}

/* The status, and the code if there is one. */
static int32_t verify(struct signed_body *made, const char **code, lime_webhook **webhook) {
    static char last[32];
    lime_error *error = NULL;
    int32_t status = lime_webhook_verify(made->verifier, made->names, made->values, 3, made->body, made->length, webhook, &error);
    snprintf(last, sizeof last, "%s", error && lime_error_code(error) ? lime_error_code(error) : "");
    *code = last;
    CHECK(lime_error_status(error) == status);
    lime_error_free(error);
    return status;
}

static void webhooks(void) {
    struct signed_body made = signed_body();
    lime_webhook *webhook = NULL, *none = NULL;
    lime_error *error = NULL;
    const char *code;
    made.values[1] = made.signature;
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    CHECK_TEXT(lime_webhook_approval_id(webhook), "ap_1");
    CHECK_TEXT(lime_webhook_action(webhook), "a.b");
    CHECK_TEXT(lime_webhook_status_text(webhook), "approved");
    CHECK_TEXT(lime_webhook_text(webhook, "decided_at"), "2025-06-15T15:06:39Z");
    CHECK_TEXT(lime_webhook_text(webhook, "nul"), "a\xef\xbf\xbd" "b");
    CHECK(!lime_webhook_text(webhook, "n") && !lime_webhook_text(webhook, "x") && !lime_webhook_text(webhook, ""));
    CHECK(!lime_webhook_text(webhook, NULL) && !lime_webhook_text(webhook, BAD));
    CHECK_TEXT(lime_webhook_payload_json(webhook), made.body);
    CHECK(lime_webhook_timestamp(webhook) == 1750000000);
    lime_webhook_verifier_free(made.verifier); /* the webhook lives on */
    CHECK_TEXT(lime_webhook_status_text(webhook), "approved");
    lime_webhook_free(webhook);
    webhook = NULL;

    made = signed_body();
    made.values[1] = made.signature;
    /* NULL, and more than there can be, are refused before anything else. */
    CHECK(lime_webhook_verify(made.verifier, NULL, made.values, 3, "x", 1, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, NULL, 3, "x", 1, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, made.values, SIZE_MAX, "x", 1, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, made.values, SIZE_MAX / 8 + 1, "x", 1, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, made.values, 3, NULL, 1, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, made.values, 3, "x", SIZE_MAX, &none, NULL) == INVALID);
    CHECK(lime_webhook_verify(made.verifier, made.names, made.values, 3, "x", 1, NULL, &error) == INVALID);
    CHECK_TEXT(lime_error_message(error), "webhook is NULL");
    lime_error_free(error);
    made.names[0] = NULL;
    CHECK(verify(&made, &code, &none) == INVALID);
    made.names[0] = BAD; /* not ours to judge */
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    lime_webhook_free(webhook);
    webhook = NULL;
    /* A value that is NULL is a header that is not there. */
    made.names[0] = LIME_WEBHOOK_SIGNATURE_HEADER;
    made.values[0] = NULL;
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    made.values[1] = NULL;
    CHECK(verify(&made, &code, &none) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(code, LIME_REFUSAL_MISSING_HEADER);
    made.values[0] = BAD;
    CHECK(verify(&made, &code, &none) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(code, LIME_REFUSAL_MALFORMED_HEADER);
    CHECK(lime_webhook_verify(made.verifier, NULL, NULL, 0, NULL, 0, &none, NULL) == LIME_ERROR_WEBHOOK);
    /* Without a secret nothing is trusted, and one that is empty spoils the others. */
    lime_webhook_verifier *empty = lime_webhook_verifier_new();
    for (int round = 0; round < 3; round++) {
        CHECK(lime_webhook_verify(empty, NULL, NULL, 0, NULL, 0, &none, &error) == LIME_ERROR_WEBHOOK);
        CHECK_TEXT(lime_error_code(error), LIME_REFUSAL_EMPTY_SECRET);
        lime_error_free(error);
        CHECK(lime_webhook_verifier_add_secret(empty, round ? "whsec" : NULL, round ? 5 : 0) == LIME_OK);
    }
    CHECK(lime_webhook_verifier_add_secret(empty, NULL, 1) == INVALID);
    CHECK(lime_webhook_verifier_add_secret(empty, "x", SIZE_MAX) == INVALID);
    lime_webhook_verifier_free(empty);
    CHECK(!none);
    lime_webhook_free(webhook);
    lime_webhook_verifier_free(made.verifier);
}

static void a_guard_lets_in_once_and_forgets(void) {
    struct signed_body made = signed_body();
    lime_webhook *webhook = NULL, *none = NULL;
    const char *code;
    made.values[1] = made.signature;
    CHECK(lime_webhook_verifier_forget(made.verifier, made.body, made.length) == 0); /* there is no guard */
    CHECK(lime_webhook_verifier_set_replay_guard(made.verifier, 3600000, 0) == LIME_OK);
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    lime_webhook_free(webhook);
    CHECK(verify(&made, &code, &none) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(code, LIME_REFUSAL_REPLAYED);
    CHECK(lime_webhook_verifier_forget(made.verifier, "x", 1) == 0);
    CHECK(lime_webhook_verifier_forget(made.verifier, NULL, 1) == 0);
    CHECK(lime_webhook_verifier_forget(made.verifier, NULL, 0) == 0);
    CHECK(lime_webhook_verifier_forget(made.verifier, made.body, made.length) == 1);
    CHECK(lime_webhook_verifier_forget(made.verifier, made.body, made.length) == 0);
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    lime_webhook_free(webhook);
    /* Other settings leave the guard as it is; another guard knows nothing. */
    CHECK(lime_webhook_verifier_set_tolerance_ms(made.verifier, UINT64_MAX) == LIME_OK);
    CHECK(lime_webhook_verifier_add_secret(made.verifier, "other", 5) == LIME_OK);
    CHECK(lime_webhook_verifier_set_now_unix_seconds(made.verifier, 1750000001) == LIME_OK);
    CHECK(verify(&made, &code, &none) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(code, LIME_REFUSAL_REPLAYED);
    CHECK(lime_webhook_verifier_set_replay_guard(made.verifier, UINT64_MAX, SIZE_MAX) == LIME_OK);
    CHECK(verify(&made, &code, &webhook) == LIME_OK);
    lime_webhook_free(webhook);
    CHECK(!none);
    lime_webhook_verifier_free(made.verifier);
}

static void signing(void) {
    char signature[LIME_WEBHOOK_SIGNATURE_SIZE] = "untouched";
    lime_error *error = NULL;
    size_t size = sizeof signature;
    CHECK(lime_webhook_sign(NULL, 1, "s", 1, 0, signature, size, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", SIZE_MAX, "s", 1, 0, signature, size, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, NULL, 1, 0, signature, size, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, "s", SIZE_MAX, 0, signature, size, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, "s", 1, 0, NULL, size, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, "s", 1, 0, signature, size - 1, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, "s", 1, 0, signature, 0, NULL) == INVALID);
    CHECK(lime_webhook_sign("x", 1, NULL, 0, 0, signature, size, &error) == LIME_ERROR_WEBHOOK);
    CHECK_TEXT(lime_error_code(error), LIME_REFUSAL_EMPTY_SECRET);
    CHECK_TEXT(signature, "untouched");
    lime_error_free(error);
    CHECK(lime_webhook_sign(NULL, 0, "s", 1, UINT64_MAX, signature, size, NULL) == LIME_OK);
    CHECK(strlen(signature) == 64);
}

enum { VERIFYING = 8, ROUNDS = 500 };

static void *verify_often(void *argument) {
    struct signed_body *made = argument;
    size_t accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        lime_webhook *webhook = NULL;
        if (lime_webhook_verify(made->verifier, made->names, made->values, 3, made->body, made->length, &webhook, NULL) ==
            LIME_OK)
            accepted++;
        lime_webhook_free(webhook);
    }
    return (void *)accepted;
}

static void threads_share_a_verifier(void) {
    struct signed_body made = signed_body();
    int before = threads();
    made.values[1] = made.signature;
    for (int guarded = 0; guarded < 2; guarded++) {
        pthread_t ids[VERIFYING];
        size_t accepted = 0;
        if (guarded) CHECK(lime_webhook_verifier_set_replay_guard(made.verifier, 3600000, 10) == LIME_OK);
        for (int at = 0; at < VERIFYING; at++) pthread_create(&ids[at], NULL, verify_often, &made);
        for (int at = 0; at < VERIFYING; at++) {
            void *count;
            pthread_join(ids[at], &count);
            accepted += (size_t)count;
        }
        CHECK(accepted == (guarded ? 1 : VERIFYING * ROUNDS));
    }
    CHECK(threads() <= before); /* nothing was started for it */
    lime_webhook_verifier_free(made.verifier);
}

static void unknown_numbers(void) {
    char nonce[LIME_POW_NONCE_SIZE];
    int32_t wrong[] = {-1, 3, 99, INT32_MAX, INT32_MIN};
    lime_site *site = new_site();
    lime_site_options *site_options = lime_site_options_new();
    lime_agent_options *agent_options = lime_agent_options_new();
    lime_sesame *sesame = new_sesame();
    lime_sesame_options *sesame_options = lime_sesame_options_new();
    lime_webhook_verifier *verifier = lime_webhook_verifier_new();
    lime_passport *passport = NULL;
    lime_approval *approval = NULL;
    char *json = NULL;
    for (size_t at = 0; at < sizeof wrong / sizeof *wrong; at++) {
        struct probe probe = PROBE;
        CHECK(lime_sesame_options_set_log_callback(sesame_options, wrong[at], NULL, &probe, drop) == INVALID);
        CHECK(lime_sesame_get(sesame, "x", wrong[at], &approval, NULL) == INVALID);
        CHECK(lime_sesame_get_start(sesame, "x", wrong[at], on_decision, &probe, drop, NULL, NULL) == INVALID);
        CHECK(lime_site_options_set_post_retry(site_options, wrong[at]) == INVALID);
        CHECK(lime_site_options_set_platform(site_options, wrong[at]) == INVALID);
        CHECK(lime_site_options_set_jwks_form(site_options, wrong[at]) == INVALID);
        CHECK(lime_agent_options_set_platform(agent_options, wrong[at]) == INVALID);
        CHECK(lime_site_options_set_require_issuer(site_options, wrong[at]) == INVALID);
        CHECK(lime_site_options_set_log_callback(site_options, wrong[at], NULL, &probe, drop) == INVALID);
        CHECK(lime_agent_options_set_post_retry(agent_options, wrong[at]) == INVALID);
        CHECK(lime_agent_options_set_pow_digest(agent_options, wrong[at]) == INVALID);
        CHECK(lime_pow_solve("x", 1, 1, wrong[at], 1, 1, nonce, sizeof nonce, NULL) == INVALID);
        CHECK(lime_site_verify_passport(site, "x", NULL, wrong[at], &passport, NULL) == INVALID);
        CHECK(lime_passport_verify("x", "{}", 2, "x", NULL, wrong[at], 0, &passport, NULL) == INVALID);
        CHECK(probe.drops == 3 && probe.calls == 0);
    }
    CHECK(lime_pow_solve("x", 1, 1, LIME_POW_DIGEST_AUTO, 1, 1, nonce, sizeof nonce, NULL) == INVALID);
    CHECK(lime_envelope_open(-1, "{}", 2, &json, NULL) == INVALID);
    CHECK(lime_envelope_open(70000, "{}", 2, &json, NULL) == INVALID);
    volatile double zero = 0;
    double times[] = {-1, 1e300, 1 / zero, zero / zero};
    for (size_t at = 0; at < sizeof times / sizeof *times; at++) {
        CHECK(lime_passport_verify("x", "{}", 2, "x", NULL, 0, times[at], &passport, NULL) == INVALID);
        CHECK(lime_webhook_verifier_set_now_unix_seconds(verifier, times[at]) == INVALID);
    }
    CHECK(lime_sesame_options_set_timeout_ms(sesame_options, 0) == INVALID);
    CHECK(lime_sesame_options_set_poll_timeout_ms(sesame_options, 0) == INVALID);
    CHECK(!approval);
    lime_webhook_verifier_free(verifier);
    lime_sesame_options_free(sesame_options);
    lime_sesame_free(sesame);
    CHECK(lime_site_options_set_timeout_ms(site_options, 0) == INVALID);
    CHECK(lime_agent_options_set_timeout_ms(agent_options, 0) == INVALID);
    lime_site_options_free(site_options);
    lime_agent_options_free(agent_options);
    lime_site_free(site);
}

static void errors_are_told_and_outlive_the_client(void) {
    lime_site_options *options = lime_site_options_new();
    lime_site *site = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_options_set_site_token(options, "  ") == LIME_OK);
    CHECK(lime_site_new(options, &site, &error) == LIME_ERROR_AUTHENTICATION);
    CHECK(!site && lime_error_http_status(error) == 0 && !lime_error_code(error));
    lime_error_free(error);
    error = NULL;
    CHECK(lime_site_options_set_site_token(options, "st_nobody") == LIME_OK);
    CHECK(lime_site_options_set_max_retries(options, 0) == LIME_OK);
    CHECK(lime_site_new(options, &site, &error) == LIME_OK && !error);
    lime_site_options_free(options);
    lime_login_request *request = NULL;
    CHECK(lime_site_create_login_request(site, &request, &error) == LIME_ERROR_AUTHENTICATION);
    lime_site_free(site);
    CHECK(!request && lime_error_status(error) == LIME_ERROR_AUTHENTICATION);
    CHECK(lime_error_http_status(error) == 401);
    CHECK(lime_error_code(error) && lime_error_message(error) && !strstr(lime_error_message(error), "st_nobody"));
    lime_error_free(error);

    lime_agent *agent = new_agent();
    lime_approval_result *result = NULL;
    error = NULL;
    CHECK(lime_agent_login(agent, "lr_nobody", &result, &error) == LIME_ERROR_API);
    CHECK_TEXT(lime_error_request_id(error), "lr_nobody");
    CHECK(lime_error_retry_after_ms(error) == -1);
    lime_error_free(error);
    lime_agent_free(agent);
}

static void bad_base_urls(void) {
    const char *urls[] = {"lime", "ftp://x/", "http://", "http://x/?q", "http://x y/", "http://u:p@x/"};
    for (size_t at = 0; at < sizeof urls / sizeof *urls; at++) {
        lime_site_options *options = lime_site_options_new();
        lime_site *site = NULL;
        CHECK(lime_site_options_set_base_url(options, urls[at]) == LIME_OK);
        CHECK(lime_site_new(options, &site, NULL) == INVALID && !site);
        lime_site_options_free(options);
        lime_sesame_options *sesame_options = lime_sesame_options_new();
        lime_sesame *sesame = NULL;
        CHECK(lime_sesame_options_set_base_url(sesame_options, urls[at]) == LIME_OK);
        CHECK(lime_sesame_new(sesame_options, &sesame, NULL) == INVALID && !sesame);
        lime_sesame_options_free(sesame_options);
    }
}

static void extreme_settings(void) {
    for (int huge = 0; huge < 2; huge++) {
        lime_site_options *site_options = lime_site_options_new();
        lime_agent_options *agent_options = lime_agent_options_new();
        lime_site *site = NULL;
        lime_agent *agent = NULL;
        lime_login_request *request = NULL;
        lime_approval_result *result = NULL;
        lime_login_event *event = NULL;
        if (huge) {
            lime_site_options_set_timeout_ms(site_options, UINT64_MAX);
            lime_agent_options_set_timeout_ms(agent_options, UINT64_MAX);
            lime_agent_options_set_pow_timeout_ms(agent_options, UINT64_MAX);
        }
        lime_site_options_set_max_retries(site_options, huge ? UINT32_MAX : 0);
        lime_site_options_set_sse_backoff_base_ms(site_options, huge ? UINT64_MAX : 0);
        lime_site_options_set_event_queue_limit(site_options, huge ? SIZE_MAX : 0);
        lime_site_options_set_jwks_cache_ttl_ms(site_options, huge ? UINT64_MAX : 0);
        lime_agent_options_set_max_retries(agent_options, huge ? UINT32_MAX : 0);
        lime_agent_options_set_pow_threads(agent_options, huge ? SIZE_MAX : 0);
        CHECK(lime_site_new(site_options, &site, NULL) == LIME_OK);
        CHECK(lime_agent_new(agent_options, &agent, NULL) == LIME_OK);
        CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
        const char *id = lime_login_request_request_id(request);
        CHECK(lime_agent_login(agent, id, &result, NULL) == LIME_OK);
        CHECK(lime_site_wait_for_login(site, id, UINT64_MAX, &event, NULL) == LIME_OK);
        CHECK(lime_login_event_passport(event));
        lime_login_event_free(event);
        lime_approval_result_free(result);
        lime_login_request_free(request);
        lime_site_options_free(site_options);
        lime_agent_options_free(agent_options);
        lime_agent_free(agent);
        lime_site_free(site);
    }
}

static void started_calls_complete_once(void) {
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    struct probe probes[4] = {PROBE, PROBE, PROBE, PROBE};
    CHECK(lime_site_create_login_request_start(site, on_request, &probes[0], drop, &probes[0].operation, NULL) == LIME_OK);
    CHECK(lime_site_read_login_request_start(site, "lr_nobody", on_found, &probes[1], drop, &probes[1].operation, NULL) == LIME_OK);
    CHECK(lime_agent_get_profile_start(agent, on_profile, &probes[2], drop, &probes[2].operation, NULL) == LIME_OK);
    CHECK(lime_agent_login_start(agent, "lr_nobody", on_approval, &probes[3], drop, &probes[3].operation, NULL) == LIME_OK);
    for (int at = 0; at < 4; at++) {
        await(&probes[at], &probes[at].drops, 1);
        CHECK(probes[at].calls == 1 && probes[at].drops == 1 && probes[at].calls_after_drop == 0);
        CHECK(probes[at].operation != 0 && probes[at].operation == probes[at].operation_in_callback);
        CHECK(probes[at].status == (at % 2 ? LIME_ERROR_API : LIME_OK));
        CHECK(probes[at].status == probes[at].status_of_error);
        CHECK(lime_operation_cancel(probes[at].operation) == 0);
        CHECK(probes[at].calls == 1);
    }
    lime_agent_free(agent);
    lime_site_free(site);
}

static void many_started_calls(void) {
    enum { MANY = 200 };
    struct probe probe = PROBE;
    lime_agent *agent = new_agent();
    for (int at = 0; at < MANY; at++)
        CHECK(lime_agent_get_profile_start(agent, on_profile, &probe, NULL, NULL, NULL) == LIME_OK);
    await(&probe, &probe.calls, MANY);
    CHECK(probe.calls == MANY && probe.status == LIME_OK);
    lime_agent_free(agent);
}

static void cancelling(void) {
    lime_site *site = new_site();
    struct probe probe = PROBE;
    CHECK(lime_operation_cancel(0) == 0);
    CHECK(lime_operation_cancel(UINT64_MAX) == 0);
    CHECK(lime_site_wait_for_login_start(site, "lr_nobody", UINT64_MAX, on_event, &probe, drop, &probe.operation, NULL) == LIME_OK);
    CHECK(lime_operation_cancel(probe.operation) == 1);
    CHECK(lime_operation_cancel(probe.operation) == 0);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.status == LIME_ERROR_CANCELLED);
    CHECK(probe.status_of_error == LIME_ERROR_CANCELLED);
    lime_site_free(site);
    CHECK(lime_operation_cancel(probe.operation) == 0);
}

static void waiting_ends(void) {
    lime_site *site = new_site();
    lime_login_request *request = NULL;
    lime_login_event *event = NULL;
    lime_error *error = NULL;
    struct probe probe = PROBE;
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    CHECK(lime_site_wait_for_login(site, id, 0, &event, &error) == LIME_ERROR_TIMEOUT);
    CHECK(!event);
    CHECK_TEXT(lime_error_request_id(error), id);
    lime_error_free(error);
    /* Closing ends a wait that is under way. */
    CHECK(lime_site_wait_for_login_start(site, id, UINT64_MAX, on_event, &probe, drop, NULL, NULL) == LIME_OK);
    lime_site_close(site);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.status == LIME_ERROR_CLOSED);
    lime_login_request_free(request);
    lime_site_free(site);
}

static void a_closed_client_refuses(void) {
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    struct probe probe = PROBE;
    lime_login_request *request = NULL;
    lime_agent_profile *profile = NULL;
    lime_site_close(site);
    lime_site_close(site);
    lime_agent_close(agent);
    CHECK(lime_site_state(site) == LIME_STREAM_CLOSED);
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_agent_get_profile(agent, &profile, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_start_events(site, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_create_login_request_start(site, on_request, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_wait_for_login_start(site, "lr_x", 1, on_event, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_on_login(site, count_login, &probe, drop, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_on_state(site, count_state, &probe, drop, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_site_on_gap(site, count_gap, &probe, drop, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_agent_login_start(agent, "lr_x", on_approval, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_agent_get_profile_start(agent, on_profile, &probe, drop, NULL, NULL) == LIME_ERROR_CLOSED);
    CHECK(probe.calls == 0 && probe.drops == 7);
    lime_site_free(site);
    lime_agent_free(agent);
    CHECK(probe.calls == 0 && probe.drops == 7);
}

static void refused_at_once(void) {
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    struct probe probe = PROBE;
    lime_error *error = NULL;
    CHECK(lime_site_verify_passport_start(site, "no passport", NULL, 0, on_passport, &probe, drop, NULL, &error) ==
          LIME_ERROR_INVALID_PASSPORT);
    CHECK(error && lime_error_status(error) == LIME_ERROR_INVALID_PASSPORT);
    lime_error_free(error);
    CHECK(lime_site_wait_for_login_start(site, "", 1, on_event, &probe, drop, NULL, NULL) == LIME_ERROR_API);
    CHECK(probe.calls == 0 && probe.drops == 2);
    lime_site_free(site);
    lime_agent_free(agent);
}

static void freeing_the_client_leaves_started_calls(void) {
    struct probe probe = PROBE;
    lime_agent *agent = new_agent();
    CHECK(lime_agent_get_profile_start(agent, on_profile, &probe, drop, NULL, NULL) == LIME_OK);
    lime_agent_free(agent);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1);
}

static void block_in_callback(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    struct probe *probe = user_data;
    lime_login_request *other = NULL;
    lime_login_request_status *found = NULL;
    lime_login_event *event = NULL;
    lime_passport *passport = NULL;
    const char *id = lime_login_request_request_id(request);
    probe->blocking[0] = lime_site_create_login_request(probe->site, &other, NULL);
    probe->blocking[1] = lime_site_read_login_request(probe->site, id, &found, NULL);
    probe->blocking[2] = lime_site_wait_for_login(probe->site, id, 1, &event, NULL);
    /* A JWT that only its signature is wrong of. */
    probe->blocking[3] = lime_site_verify_passport(probe->site, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA", id, 0, &passport, NULL);
    CHECK(!other && !found && !event && !passport);
    on_request(probe, status, request, error);
}

static void blocking_in_a_callback_is_refused(void) {
    struct probe probe = PROBE;
    probe.site = new_site();
    CHECK(lime_site_create_login_request_start(probe.site, block_in_callback, &probe, drop, NULL, NULL) == LIME_OK);
    await(&probe, &probe.drops, 1);
    for (int at = 0; at < 4; at++) CHECK(probe.blocking[at] == LIME_ERROR_WOULD_DEADLOCK);
    CHECK(probe.status == LIME_OK);
    lime_site_free(probe.site);
}

static void start_in_callback(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    struct probe *probe = user_data;
    lime_error_free(error);
    lime_login_request_free(request);
    CHECK(status == LIME_OK);
    if (probe->entered++ < 3)
        CHECK(lime_site_create_login_request_start(probe->site, start_in_callback, probe, drop, &probe->operation, NULL) == LIME_OK);
    add(probe, &probe->calls);
}

static void a_callback_may_start_calls(void) {
    struct probe probe = PROBE;
    probe.site = new_site();
    CHECK(lime_site_create_login_request_start(probe.site, start_in_callback, &probe, drop, NULL, NULL) == LIME_OK);
    await(&probe, &probe.drops, 4);
    CHECK(probe.calls == 4 && probe.drops == 4);
    lime_site_free(probe.site);
}

static void handlers_get_events(void) {
    lime_site *site = new_site();
    struct probe login = PROBE, state = PROBE;
    CHECK(lime_site_on_state(site, count_state, &state, drop, NULL) == LIME_OK);
    await(&state, &state.calls, 1);
    CHECK(lime_site_on_login(site, count_login, &login, drop, NULL) == LIME_OK);
    await(&state, &state.entered, 1);
    sign_in(site, &login);
    await(&login, &login.calls, 1);
    CHECK(lime_site_state(site) == LIME_STREAM_OPEN);
    CHECK(lime_site_connections(site) >= 1 && lime_site_events(site) >= 1 && lime_site_malformed_frames(site) == 0);
    CHECK(login.drops == 0 && state.drops == 0);
    lime_site_free(site);
    int calls = state.calls;
    await(&login, &login.drops, 1);
    await(&state, &state.drops, 1);
    CHECK(login.calls == 1 && login.drops == 1 && login.calls_after_drop == 0);
    CHECK(state.calls == calls && state.drops == 1 && state.status == LIME_STREAM_OPEN);
}

static void hold_login(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    (void)passport;
    if (!is_mine(probe, request_id)) return;
    add(probe, &probe->entered);
    await(probe, &probe->released, 1);
    add(probe, &probe->left);
    add(probe, &probe->calls);
}

static void *release(void *user_data) {
    struct probe *probe = user_data;
    add(probe, &probe->released);
    return NULL;
}

static void closing_while_a_handler_runs(void) {
    lime_site *site = new_site();
    struct probe probe = PROBE;
    CHECK(lime_site_on_login(site, hold_login, &probe, drop, NULL) == LIME_OK);
    sign_in(site, &probe);
    await(&probe, &probe.entered, 1);
    lime_site_close(site); /* does not wait: the handler is being held */
    CHECK(probe.left == 0 && probe.drops == 0);
    add(&probe, &probe.released);
    lime_site_free(site);
    CHECK(probe.left == 1);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.calls_after_drop == 0);
}

static void freeing_waits_for_a_running_handler(void) {
    lime_site *site = new_site();
    struct probe probe = PROBE;
    pthread_t helper;
    CHECK(lime_site_on_login(site, hold_login, &probe, drop, NULL) == LIME_OK);
    sign_in(site, &probe);
    await(&probe, &probe.entered, 1);
    pthread_create(&helper, NULL, release, &probe);
    lime_site_free(site);
    CHECK(probe.left == 1);
    pthread_join(helper, NULL);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.calls_after_drop == 0);
}

static void close_in_handler(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    (void)passport;
    if (!is_mine(probe, request_id)) return;
    lime_site_close(probe->site);
    CHECK(probe->drops == 0);
    add(probe, &probe->calls);
}

static void closing_inside_a_handler(void) {
    struct probe probe = PROBE;
    lime_site *site = probe.site = new_site();
    CHECK(lime_site_on_login(site, close_in_handler, &probe, drop, NULL) == LIME_OK);
    sign_in(site, &probe);
    await(&probe, &probe.calls, 1);
    CHECK(lime_site_state(site) == LIME_STREAM_CLOSED);
    lime_site_free(site);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1);
}

static void free_in_handler(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    (void)passport;
    if (!is_mine(probe, request_id)) return;
    await(probe, &probe->released, 1);
    lime_site_free(probe->site);
    CHECK(probe->drops == 0); /* not before this handler has returned */
    add(probe, &probe->calls);
}

static void freeing_inside_a_handler(void) {
    struct probe probe = PROBE;
    probe.site = new_site();
    CHECK(lime_site_on_login(probe.site, free_in_handler, &probe, drop, NULL) == LIME_OK);
    sign_in(probe.site, &probe);
    add(&probe, &probe.released); /* nobody uses the site any more */
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.calls_after_drop == 0);
}

static void free_in_callback(void *user_data, int32_t status, lime_login_request *request, lime_error *error) {
    struct probe *probe = user_data;
    await(probe, &probe->released, 1);
    lime_site_free(probe->site);
    on_request(probe, status, request, error);
}

static void freeing_inside_a_completion(void) {
    struct probe probe = PROBE;
    probe.site = new_site();
    CHECK(lime_site_create_login_request_start(probe.site, free_in_callback, &probe, drop, NULL, NULL) == LIME_OK);
    add(&probe, &probe.released);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.status == LIME_OK);
}

static void log_record(void *user_data, int32_t level, const char *message) {
    struct probe *probe = user_data;
    CHECK(level >= LIME_LOG_DEBUG && level <= LIME_LOG_ERROR && message);
    CHECK(!strstr(message, getenv("LIME_SITE_TOKEN")));
    add(probe, &probe->calls);
}

static void log_callbacks(void) {
    struct probe first = PROBE, probe = PROBE;
    lime_site_options *options = lime_site_options_new();
    lime_site *sites[2] = {NULL, NULL};
    lime_login_request *request = NULL;
    CHECK(lime_site_options_set_log_callback(options, LIME_LOG_DEBUG, NULL, &first, drop) == INVALID);
    CHECK(first.drops == 1);
    CHECK(lime_site_options_set_log_callback(options, LIME_LOG_DEBUG, log_record, &first, drop) == LIME_OK);
    CHECK(first.drops == 1);
    CHECK(lime_site_options_set_log_callback(options, LIME_LOG_DEBUG, log_record, &probe, drop) == LIME_OK);
    CHECK(first.drops == 2 && first.calls == 0);
    CHECK(lime_site_new(options, &sites[0], NULL) == LIME_OK && lime_site_new(options, &sites[1], NULL) == LIME_OK);
    lime_site_options_free(options);
    CHECK(lime_site_create_login_request(sites[1], &request, NULL) == LIME_OK);
    await(&probe, &probe.calls, 1);
    lime_site_free(sites[0]);
    CHECK(probe.drops == 0);
    lime_site_free(sites[1]);
    await(&probe, &probe.drops, 1);
    CHECK(probe.drops == 1 && probe.calls_after_drop == 0);
    lime_login_request_free(request);
}

struct worker {
    lime_site *site;
    lime_agent *agent;
    int good;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    for (int round = 0; round < 5; round++) {
        lime_login_request *request = NULL;
        lime_login_request_status *found = NULL;
        lime_approval_result *result = NULL;
        lime_login_event *event = NULL;
        lime_passport *passport = NULL;
        int32_t status = lime_site_create_login_request(worker->site, &request, NULL);
        const char *id = lime_login_request_request_id(request);
        if (status == LIME_OK) status = lime_site_read_login_request(worker->site, id, &found, NULL);
        if (status == LIME_OK) status = strcmp(lime_login_request_status_status_text(found), "PENDING");
        if (status == LIME_OK) status = lime_agent_login(worker->agent, id, &result, NULL);
        if (status == LIME_OK) status = lime_site_wait_for_login(worker->site, id, 60000, &event, NULL);
        const char *jwt = lime_login_event_passport(event);
        if (status == LIME_OK) status = lime_site_verify_passport(worker->site, jwt, id, 0, &passport, NULL);
        if (status == LIME_OK) status = strcmp(lime_passport_text_claim(passport, "request_id"), id);
        worker->good += status == LIME_OK;
        lime_passport_free(passport);
        lime_login_event_free(event);
        lime_approval_result_free(result);
        lime_login_request_status_free(found);
        lime_login_request_free(request);
    }
    return NULL;
}

static void eight_threads(void) {
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    struct worker workers[8];
    pthread_t ids[8];
    for (int at = 0; at < 8; at++) {
        workers[at] = (struct worker){site, agent, 0};
        pthread_create(&ids[at], NULL, work, &workers[at]);
    }
    for (int at = 0; at < 8; at++) {
        pthread_join(ids[at], NULL);
        CHECK(workers[at].good == 5);
    }
    lime_agent_free(agent);
    lime_site_free(site);
}

/* In a forked child: 0 if everything works there. */
static int use_in_child(lime_site *site, lime_agent *agent) {
    alarm(60);
    struct worker worker = {site, agent, 0};
    struct probe state = PROBE;
    /* The parent's stream gets the events too: this one must be there before they are. */
    CHECK(lime_site_start_events(site, NULL) == LIME_OK);
    CHECK(lime_site_on_state(site, count_state, &state, drop, NULL) == LIME_OK);
    await(&state, &state.entered, 1);
    work(&worker);
    lime_agent_free(agent);
    lime_site_free(site);
    return worker.good == 5 && !check_failures ? 0 : 1;
}

static void fork_and_go_on(void) {
    lime_site *site = new_site();
    lime_agent *agent = new_agent();
    struct probe probe = PROBE;
    CHECK(lime_site_on_login(site, count_login, &probe, drop, NULL) == LIME_OK);
    sign_in(site, &probe);
    await(&probe, &probe.calls, 1);
    for (int round = 0; round < 3; round++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) _exit(use_in_child(site, agent));
        CHECK(ended_well(child));
    }
    sign_in(site, &probe);
    await(&probe, &probe.calls, 2);
    lime_agent_free(agent);
    lime_site_free(site);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 2 && probe.drops == 1);
}

static void fork_in_handler(void *user_data, const char *request_id, const char *passport) {
    struct probe *probe = user_data;
    (void)passport;
    if (!is_mine(probe, request_id)) return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(use_in_child(probe->site, new_agent()));
    CHECK(ended_well(child));
    add(probe, &probe->calls);
}

static void fork_inside_a_handler(void) {
    struct probe probe = PROBE;
    probe.site = new_site();
    CHECK(lime_site_on_login(probe.site, fork_in_handler, &probe, drop, NULL) == LIME_OK);
    sign_in(probe.site, &probe);
    await(&probe, &probe.calls, 1);
    lime_site_free(probe.site);
    await(&probe, &probe.drops, 1);
}

static void exit_with_work_pending(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct probe probe = PROBE;
        alarm(60);
        leaks_are_meant = 1;
        lime_site *site = new_site();
        lime_site_on_login(site, count_login, &probe, NULL, NULL);
        lime_site_wait_for_login_start(site, "lr_nobody", UINT64_MAX, on_event, &probe, NULL, NULL, NULL);
        lime_site_create_login_request_start(site, on_request, &probe, NULL, NULL, NULL);
        exit(check_failures ? 1 : 0); /* nothing freed, nothing awaited */
    }
    CHECK(ended_well(child));
}

struct seen {
    lime_sse_parser *parser;
    int events;
};

static void use_parser(void *user_data, const char *event, const char *data, size_t length, const char *id) {
    struct seen *seen = user_data;
    CHECK_TEXT(event, "message");
    CHECK(length == 3 && memcmp(data, "a\0b", 4) == 0);
    CHECK_TEXT(id, "7");
    CHECK_TEXT(lime_sse_parser_last_event_id(seen->parser), "7");
    CHECK(lime_sse_parser_retry_ms(seen->parser) == 5);
    seen->events++;
}

static void the_parser_by_itself(void) {
    struct seen seen = {lime_sse_parser_new(), 0};
    const char text[] = "id: 7\nretry: 5\ndata: a\0b\n\n";
    CHECK(lime_sse_parser_feed(seen.parser, text, sizeof text - 1, use_parser, &seen, NULL) == LIME_OK);
    CHECK(seen.events == 1);
    static char chunk[64 * 1024];
    memset(chunk, 'x', sizeof chunk);
    int32_t status = LIME_OK;
    lime_error *error = NULL;
    for (int round = 0; round < 100 && status == LIME_OK; round++)
        status = lime_sse_parser_feed(seen.parser, chunk, sizeof chunk, use_parser, &seen, &error);
    CHECK(status == LIME_ERROR_BAD_RESPONSE && lime_error_status(error) == status);
    lime_error_free(error);
    lime_sse_parser_free(seen.parser);
}

static void the_nonce_is_the_smallest_for_any_threads(void) {
    char one[LIME_POW_NONCE_SIZE], other[LIME_POW_NONCE_SIZE];
    for (size_t count = 2; count <= 9; count += 7) {
        CHECK(lime_pow_solve("lr_1", 4, 12, LIME_POW_DIGEST_TODAY, 60000, 1, one, sizeof one, NULL) == LIME_OK);
        CHECK(lime_pow_solve("lr_1", 4, 12, LIME_POW_DIGEST_TODAY, 60000, count, other, sizeof other, NULL) == LIME_OK);
        CHECK_TEXT(other, one);
    }
}

int main(void) {
    alarm(240);
    RUN(making_clients_starts_nothing);
    RUN(versions_agree);
    RUN(status_names);
    RUN(bytes_and_lengths);
    RUN(json_of_a_context);
    RUN(webhooks);
    RUN(a_guard_lets_in_once_and_forgets);
    RUN(signing);
    RUN(threads_share_a_verifier);
    RUN(unknown_numbers);
    RUN(errors_are_told_and_outlive_the_client);
    RUN(bad_base_urls);
    RUN(extreme_settings);
    RUN(started_calls_complete_once);
    RUN(many_started_calls);
    RUN(cancelling);
    RUN(waiting_ends);
    RUN(a_closed_client_refuses);
    RUN(refused_at_once);
    RUN(freeing_the_client_leaves_started_calls);
    RUN(blocking_in_a_callback_is_refused);
    RUN(a_callback_may_start_calls);
    RUN(handlers_get_events);
    RUN(closing_while_a_handler_runs);
    RUN(freeing_waits_for_a_running_handler);
    RUN(closing_inside_a_handler);
    RUN(freeing_inside_a_handler);
    RUN(freeing_inside_a_completion);
    RUN(log_callbacks);
    RUN(eight_threads);
    RUN(fork_and_go_on);
    RUN(fork_inside_a_handler);
    RUN(exit_with_work_pending);
    RUN(the_parser_by_itself);
    RUN(the_nonce_is_the_smallest_for_any_threads);
    return check_failed ? 1 : 0;
}
