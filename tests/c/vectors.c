/* Runs the shared vectors. The tables are made from tests/vectors by run.py; where the outcome
   is a JSON object, it is printed as `json <id><TAB><text>` and compared there. */
#include "check.h"
#include "vectors_table.h"
#include <inttypes.h>
#include <lime.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void check_error(int32_t status, lime_error *error, int32_t expected, const char *contains) {
    CHECK(status == expected);
    CHECK(lime_error_status(error) == status);
    if (contains) CHECK(error && strstr(lime_error_message(error), contains));
}

static void pow_vectors(void) {
    for (size_t at = 0; at < COUNT(pow_cases); at++) {
        const struct pow_case *test = &pow_cases[at];
        check_begin(test->id);
        char nonce[LIME_POW_NONCE_SIZE] = "untouched";
        lime_error *error = NULL;
        int32_t status = lime_pow_solve(test->challenge, test->length, test->difficulty, test->digest, test->timeout_ms,
                                        1, nonce, sizeof nonce, &error);
        if (test->nonce) {
            CHECK(status == LIME_OK && !error);
            CHECK_TEXT(nonce, test->nonce);
        } else {
            check_error(status, error, test->error, NULL);
            CHECK_TEXT(nonce, "untouched");
        }
        lime_error_free(error);
        check_end();
    }
}

static void passport_vectors(void) {
    for (size_t at = 0; at < COUNT(passport_cases); at++) {
        const struct passport_case *test = &passport_cases[at];
        check_begin(test->id);
        lime_passport *passport = NULL;
        lime_error *error = NULL;
        int32_t status = lime_passport_verify(test->jwt, test->jwks, test->jwks_length, test->api_root,
                                              test->expected_request_id, test->require_issuer, test->now, &passport, &error);
        if (test->error == LIME_OK) {
            CHECK(status == LIME_OK && passport && !error);
            if (passport) printf("json %s\t%s\n", test->id, lime_passport_claims_json(passport));
        } else {
            check_error(status, error, test->error, test->contains);
            CHECK(!passport);
            check_end();
        }
        if (check_failures) check_failed++;
        lime_passport_free(passport);
        lime_error_free(error);
    }
}

static void binding_vectors(void) {
    for (size_t at = 0; at < COUNT(binding_cases); at++) {
        const struct binding_case *test = &binding_cases[at];
        check_begin(test->id);
        lime_passport *passport = NULL;
        lime_error *error = NULL;
        int32_t status = lime_passport_verify_binding(test->jwt, test->jwks, test->jwks_length, test->api_root,
                                              test->expected_binding_id, test->require_issuer, test->now, &passport, &error);
        if (test->error == LIME_OK) {
            CHECK(status == LIME_OK && passport && !error);
            if (passport) printf("json %s\t%s\n", test->id, lime_passport_claims_json(passport));
        } else {
            check_error(status, error, test->error, test->contains);
            CHECK(!passport);
            check_end();
        }
        if (check_failures) check_failed++;
        lime_passport_free(passport);
        lime_error_free(error);
    }
}

static void access_token_vectors(void) {
    for (size_t at = 0; at < COUNT(access_token_cases); at++) {
        const struct access_token_case *test = &access_token_cases[at];
        check_begin(test->id);
        lime_verified_token *token = NULL;
        lime_error *error = NULL;
        int32_t status = lime_access_token_verify(test->jwt, test->jwks, test->jwks_length, test->issuer, test->expected_domain,
                                                  test->audience, test->leeway_ms, test->now, &token, &error);
        if (test->error == LIME_OK) {
            CHECK(status == LIME_OK && token && !error);
            CHECK_TEXT(lime_verified_token_domain(token), test->expected_domain);
            CHECK_TEXT(lime_verified_token_agent_id(token), lime_verified_token_text_claim(token, "sub"));
            if (token) printf("json %s\t%s\n", test->id, lime_verified_token_claims_json(token));
            if (check_failures) check_failed++;
        } else {
            check_error(status, error, test->error, NULL);
            CHECK_TEXT(lime_error_code(error), test->code);
            CHECK(!token);
            check_end();
        }
        lime_verified_token_free(token);
        lime_error_free(error);
    }
}

static void mcp_domain_vectors(void) {
    for (size_t at = 0; at < COUNT(mcp_domain_cases); at++) {
        const struct mcp_domain_case *test = &mcp_domain_cases[at];
        check_begin(test->id);
        char *canonical = NULL;
        lime_error *error = NULL;
        int32_t status = lime_mcp_domain_normalize(test->domain, &canonical, &error);
        if (test->canonical) {
            CHECK(status == LIME_OK && !error);
            CHECK_TEXT(canonical, test->canonical);
        } else {
            check_error(status, error, LIME_ERROR_INVALID_ARGUMENT, test->contains);
            CHECK(!canonical);
        }
        lime_string_free(canonical);
        lime_error_free(error);
        check_end();
    }
}

struct collected {
    const struct sse_case *test;
    size_t count;
};

static void collect(void *user_data, const char *event, const char *data, size_t length, const char *id) {
    struct collected *collected = user_data;
    const struct sse_case *test = collected->test;
    size_t at = collected->count++;
    CHECK(at < test->event_count);
    if (at >= test->event_count) return;
    CHECK_TEXT(event, test->events[at].event);
    CHECK_TEXT(data, test->events[at].data);
    CHECK(strlen(data) == length);
    CHECK_TEXT(id, test->events[at].id);
    if (!test->frames) return;
    const struct sse_frame *expected = &test->frames[at];
    lime_login_frame *frame = NULL;
    CHECK(lime_login_frame_parse(data, length, &frame, NULL) == LIME_OK);
    CHECK(lime_login_frame_kind(frame) == expected->kind);
    CHECK_TEXT(lime_login_frame_request_id(frame), expected->request_id);
    CHECK_TEXT(lime_login_frame_passport(frame), expected->passport);
    CHECK_TEXT(lime_login_frame_code(frame), expected->code);
    if (expected->kind != LIME_FRAME_MALFORMED) CHECK_TEXT(lime_login_frame_message(frame), expected->message);
    else CHECK(lime_login_frame_message(frame));
    lime_login_frame_free(frame);
}

static void sse_vectors(void) {
    for (size_t at = 0; at < COUNT(sse_cases); at++) {
        const struct sse_case *test = &sse_cases[at];
        check_begin(test->id);
        size_t sizes[] = {test->length ? test->length : 1, 1, 2};
        for (size_t way = 0; way < COUNT(sizes); way++) {
            struct collected collected = {test, 0};
            lime_sse_parser *parser = lime_sse_parser_new();
            for (size_t from = 0; from < test->length; from += sizes[way]) {
                size_t length = test->length - from < sizes[way] ? test->length - from : sizes[way];
                CHECK(lime_sse_parser_feed(parser, test->input + from, length, collect, &collected, NULL) == LIME_OK);
            }
            CHECK(collected.count == test->event_count);
            CHECK(lime_sse_parser_retry_ms(parser) == test->retry_ms);
            CHECK_TEXT(lime_sse_parser_last_event_id(parser), test->last_event_id);
            lime_sse_parser_free(parser);
        }
        check_end();
    }
}

static void envelope_vectors(void) {
    for (size_t at = 0; at < COUNT(envelope_cases); at++) {
        const struct envelope_case *test = &envelope_cases[at];
        check_begin(test->id);
        char *data = NULL;
        lime_error *error = NULL;
        int32_t status = lime_envelope_open(test->http_status, test->body, test->length, &data, &error);
        if (test->error == LIME_OK) {
            CHECK(status == LIME_OK && data && !error);
            if (data) printf("json %s\t%s\n", test->id, data);
        } else {
            check_error(status, error, test->error, NULL);
            CHECK(!data);
            CHECK_TEXT(lime_error_message(error), test->message);
            CHECK_TEXT(lime_error_code(error), test->code);
            CHECK(lime_error_http_status(error) == test->error_http_status);
            const char *detail = lime_error_detail_json(error);
            printf("json %s\t%s\n", test->id, detail ? detail : "null");
        }
        if (check_failures) check_failed++;
        lime_string_free(data);
        lime_error_free(error);
    }
}

static void timestamp_vectors(void) {
    for (size_t at = 0; at < COUNT(timestamp_cases); at++) {
        const struct timestamp_case *test = &timestamp_cases[at];
        check_begin(test->id);
        int64_t micros = -1;
        int32_t offset = -1;
        lime_error *error = NULL;
        int32_t status = lime_timestamp_parse(test->text, &micros, &offset, &error);
        if (test->error == LIME_OK) {
            CHECK(status == LIME_OK && !error);
            CHECK(micros == test->unix_micros);
            CHECK(offset == test->offset_seconds);
        } else {
            check_error(status, error, test->error, NULL);
            CHECK(micros == -1 && offset == -1);
        }
        lime_error_free(error);
        check_end();
    }
}

static void mcp_target_vectors(void) {
    for (size_t at = 0; at < COUNT(mcp_target_cases); at++) {
        const struct mcp_target_case *test = &mcp_target_cases[at];
        check_begin(test->id);
        char *texts[] = {NULL, NULL};
        const char *expected[] = {test->domain, test->url};
        for (size_t way = 0; way < COUNT(texts); way++) {
            lime_error *error = NULL;
            int32_t status = (way ? lime_resolve_mcp_http_url : lime_extract_and_normalize_domain)(test->target, &texts[way],
                                                                                                   &error);
            if (test->error == LIME_OK) CHECK(status == LIME_OK && !error);
            else check_error(status, error, test->error, test->contains);
            CHECK_TEXT(texts[way], expected[way]);
            lime_string_free(texts[way]);
            lime_error_free(error);
        }
        check_end();
    }
}

/* Prints the accepted payloads as a JSON array. */
static void deliver(const struct webhook_case *test, lime_webhook_verifier *verifier) {
    static char payloads[1 << 20];
    size_t used = 0;
    for (size_t at = 0; at < test->delivery_count; at++) {
        const struct webhook_delivery *delivery = &test->deliveries[at];
        lime_webhook *webhook = NULL;
        lime_error *error = NULL;
        CHECK(lime_webhook_verifier_set_now_unix_seconds(verifier, delivery->now) == LIME_OK);
        int32_t status = lime_webhook_verify(verifier, delivery->names, delivery->values, delivery->header_count,
                                             delivery->body, delivery->length, &webhook, &error);
        if (delivery->code) {
            check_error(status, error, LIME_ERROR_WEBHOOK, delivery->contains);
            CHECK_TEXT(lime_error_code(error), delivery->code);
            CHECK(!webhook);
        } else {
            CHECK(status == LIME_OK && webhook && !error);
            CHECK(lime_webhook_timestamp(webhook) == delivery->timestamp);
            const char *json = lime_webhook_payload_json(webhook);
            size_t room = sizeof payloads - used;
            int length = snprintf(payloads + used, room, "%s%s", used ? "," : "", json ? json : "");
            CHECK(length > 0 && (size_t)length < room);
            if (length > 0 && (size_t)length < room) used += (size_t)length;
        }
        if (delivery->forget >= 0)
            CHECK(lime_webhook_verifier_forget(verifier, delivery->body, delivery->length) == delivery->forget);
        lime_webhook_free(webhook);
        lime_error_free(error);
    }
    printf("json %s\t[%.*s]\n", test->id, (int)used, payloads);
}

static void webhook_vectors(void) {
    for (size_t at = 0; at < COUNT(webhook_cases); at++) {
        const struct webhook_case *test = &webhook_cases[at];
        check_begin(test->id);
        lime_webhook_verifier *verifier = lime_webhook_verifier_new();
        for (size_t each = 0; each < test->secret_count; each++)
            CHECK(lime_webhook_verifier_add_secret(verifier, test->secrets[each].bytes, test->secrets[each].length) ==
                  LIME_OK);
        if (test->tolerance_ms >= 0)
            CHECK(lime_webhook_verifier_set_tolerance_ms(verifier, (uint64_t)test->tolerance_ms) == LIME_OK);
        if (test->guarded)
            CHECK(lime_webhook_verifier_set_replay_guard(verifier, test->horizon_ms, test->capacity) == LIME_OK);
        deliver(test, verifier);
        if (check_failures) check_failed++;
        lime_webhook_verifier_free(verifier);
    }
}

static void webhook_sign_vectors(void) {
    for (size_t at = 0; at < COUNT(webhook_sign_cases); at++) {
        const struct webhook_sign_case *test = &webhook_sign_cases[at];
        check_begin(test->id);
        char signature[LIME_WEBHOOK_SIGNATURE_SIZE] = "untouched", timestamp[21];
        lime_error *error = NULL;
        int32_t status = lime_webhook_sign(test->body, test->length, test->secret, test->secret_length, test->timestamp,
                                           signature, sizeof signature, &error);
        snprintf(timestamp, sizeof timestamp, "%" PRIu64, test->timestamp);
        if (test->code) {
            check_error(status, error, LIME_ERROR_WEBHOOK, NULL);
            CHECK_TEXT(lime_error_code(error), test->code);
            CHECK_TEXT(signature, "untouched");
        } else {
            CHECK(status == LIME_OK && !error);
            CHECK_TEXT(signature, test->signature);
            CHECK_TEXT(timestamp, test->timestamp_text);
        }
        lime_error_free(error);
        check_end();
    }
}

int main(void) {
    pow_vectors();
    passport_vectors();
    binding_vectors();
    access_token_vectors();
    mcp_domain_vectors();
    sse_vectors();
    envelope_vectors();
    timestamp_vectors();
    mcp_target_vectors();
    webhook_vectors();
    webhook_sign_vectors();
    return check_failed ? 1 : 0;
}
