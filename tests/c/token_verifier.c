/* An MCP server's side: tokens that are good and bad, verified with keys that are fetched, at hand, rotated and
   out of reach; and what it answers to those who are not let in. At each turn it says `at <place>` and waits
   for a line: run.py issues tokens and changes the platform meanwhile. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <time.h>
#include <unistd.h>

static char answer[8192];

/* What the platform says to something. */
static const char *at(const char *place) {
    printf("at %s\n", place);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(2);
    answer[strcspn(answer, "\n")] = 0;
    return answer;
}

static lime_token_verifier *verifier;
static lime_clock *keeper;

static char *copy(const char *text) {
    char *copied = strdup(text);
    if (!copied) exit(2);
    return copied;
}

/* A token that is refused, and why. */
static void refused(const char *token, const char *code) {
    lime_verified_token *found = NULL;
    lime_error *error = NULL;
    CHECK(lime_token_verifier_verify(verifier, token, &found, &error) == LIME_ERROR_INVALID_TOKEN);
    CHECK(!found);
    CHECK_TEXT(lime_error_code(error), code);
    lime_error_free(error);
}

static void good_tokens(const char *good) {
    lime_verified_token *token = NULL;
    lime_error *error = NULL;
    CHECK_TEXT(lime_token_verifier_expected_domain(verifier), "tools.example.com");
    CHECK(lime_token_verifier_verify_cached(verifier, good, &token, &error) == LIME_OK);
    CHECK(!token && !error && lime_token_verifier_fetches(verifier) == 0); /* no keys are at hand, none were fetched */
    CHECK(lime_token_verifier_verify(verifier, good, &token, &error) == LIME_OK);
    CHECK_TEXT(lime_verified_token_domain(token), "tools.example.com");
    CHECK(lime_verified_token_agent_id(token));
    CHECK_TEXT(lime_verified_token_text_claim(token, "aud"), "mcp");
    CHECK(!lime_verified_token_text_claim(token, "exp") && !lime_verified_token_text_claim(token, "nothing"));
    CHECK(strstr(lime_verified_token_claims_json(token), "\"exp\":"));
    lime_verified_token_free(token);
    token = NULL;
    CHECK(lime_token_verifier_verify_cached(verifier, good, &token, &error) == LIME_OK);
    CHECK(token && lime_token_verifier_fetches(verifier) == 1);
    lime_verified_token_free(token);
}

static void on_token(void *user_data, int32_t status, lime_verified_token *token, lime_error *error) {
    CHECK((status == LIME_OK) == (token != NULL));
    lime_verified_token_free(token);
    finish(user_data, status, error);
}

static void on_warm(void *user_data, int32_t status, lime_error *error) { finish(user_data, status, error); }

static void started(const char *good) {
    struct probe token = PROBE, warm = PROBE, late = PROBE;
    lime_error *error = NULL;
    CHECK(lime_token_verifier_verify_start(verifier, good, on_token, &token, drop, &token.operation, NULL) == LIME_OK);
    CHECK(lime_token_verifier_warm_up_start(verifier, on_warm, &warm, drop, NULL, NULL) == LIME_OK);
    await(&token, &token.drops, 1);
    await(&warm, &warm.drops, 1);
    CHECK(token.status == LIME_OK && token.calls == 1 && warm.status == LIME_OK && warm.calls == 1);
    /* What cannot be right is refused before anything is started. */
    CHECK(lime_token_verifier_verify_start(verifier, "no token", on_token, &late, drop, NULL, &error) ==
          LIME_ERROR_INVALID_TOKEN);
    CHECK(late.drops == 1 && late.calls == 0);
    CHECK_TEXT(lime_error_code(error), LIME_TOKEN_MALFORMED);
    lime_error_free(error);
}

static lime_token_refusal *answer_to(const lime_error *error, const char *resource_metadata) {
    lime_token_refusal *refusal = NULL;
    CHECK(lime_token_refusal_new(lime_error_status(error), lime_error_code(error), lime_error_message(error),
                                 lime_error_retry_after_ms(error), resource_metadata, &refusal, NULL) == LIME_OK);
    return refusal;
}

static void answers(const char *good) {
    lime_error *error = NULL;
    lime_token_refusal *refusal = NULL;
    char *token = NULL, header[8200];
    snprintf(header, sizeof header, "bearer  %s", good);
    const char *one[] = {header}, *two[] = {header, header}, *other[] = {"Basic YTpi"};
    CHECK(lime_bearer_token(one, 1, &token, &error) == LIME_OK);
    CHECK_TEXT(token, good);
    lime_string_free(token);

    CHECK(lime_bearer_token(other, 1, &token, &error) == LIME_ERROR_INVALID_TOKEN);
    CHECK((refusal = answer_to(error, "https://tools.example.com/m")) != NULL);
    CHECK(lime_token_refusal_http_status(refusal) == 401 && lime_token_refusal_retry_after_seconds(refusal) == -1);
    CHECK_TEXT(lime_token_refusal_www_authenticate(refusal), "Bearer resource_metadata=\"https://tools.example.com/m\"");
    CHECK(strstr(lime_token_refusal_body_json(refusal), "\"invalid_token\""));
    lime_token_refusal_free(refusal);
    lime_error_free(error);

    CHECK(lime_bearer_token(two, 2, &token, &error) == LIME_ERROR_INVALID_TOKEN);
    CHECK_TEXT(lime_error_code(error), LIME_TOKEN_AMBIGUOUS_TOKEN);
    CHECK((refusal = answer_to(error, NULL)) != NULL);
    CHECK(lime_token_refusal_http_status(refusal) == 400);
    lime_token_refusal_free(refusal);
    lime_error_free(error);
}

/* The keys are old and the platform is away: they serve, and without any there is another answer than 401. */
static void without_the_platform(const char *good) {
    lime_error *error = NULL;
    lime_verified_token *token = NULL;
    lime_token_refusal *refusal = NULL;
    at("down");
    CHECK(lime_token_verifier_warm_up(verifier, &error) == LIME_OK); /* less than a minute ago */
    lime_clock_advance_ms(keeper, 60000);
    CHECK(lime_token_verifier_warm_up(verifier, &error) == LIME_ERROR_API);
    CHECK(lime_error_http_status(error) == 503);
    lime_error_free(error);
    CHECK(lime_token_verifier_verify(verifier, good, &token, &error) == LIME_OK);
    lime_verified_token_free(token);
    lime_token_verifier_forget_keys(verifier);
    lime_clock_advance_ms(keeper, 5000);
    CHECK(lime_token_verifier_verify(verifier, good, &token, &error) == LIME_ERROR_API);
    CHECK((refusal = answer_to(error, NULL)) != NULL);
    CHECK(lime_token_refusal_http_status(refusal) == 503 && lime_token_refusal_retry_after_seconds(refusal) > 0);
    CHECK(!lime_token_refusal_www_authenticate(refusal));
    lime_token_refusal_free(refusal);
    lime_error_free(error);
}

static void make(void) {
    lime_token_verifier_options *options = lime_token_verifier_options_new();
    lime_error *error = NULL;
    keeper = lime_clock_new((uint64_t)time(NULL) * 1000, 1);
    CHECK(lime_token_verifier_options_set_clock(options, keeper) == LIME_OK);
    CHECK(lime_token_verifier_options_set_expected_domain(options, "localhost") == LIME_OK);
    CHECK(lime_token_verifier_new(options, &verifier, &error) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(lime_error_message(error), "reserved"));
    lime_error_free(error);
    CHECK(lime_token_verifier_options_set_expected_domain(options, "https://Tools.Example.com/mcp") == LIME_OK);
    CHECK(lime_token_verifier_options_set_leeway_ms(options, 120000) == LIME_OK);
    CHECK(lime_token_verifier_options_set_min_refresh_ms(options, 60000) == LIME_OK);
    CHECK(lime_token_verifier_options_set_jwks_cache_ttl_ms(options, 3600000) == LIME_OK);
    CHECK(lime_token_verifier_options_set_timeout_ms(options, 30000) == LIME_OK);
    CHECK(lime_token_verifier_options_set_audience(options, "mcp") == LIME_OK);
    CHECK(lime_token_verifier_new(options, &verifier, NULL) == LIME_OK);
    lime_token_verifier_options_free(options);
}

int main(void) {
    alarm(240);
    check_begin("token_verifier:options");
    make();
    check_end();
    if (check_failed) return 1;
    char *good = copy(at("token tools.example.com")), *other = copy(at("token other.example.com"));

    check_begin("token_verifier:good-tokens");
    good_tokens(good);
    check_end();
    check_begin("token_verifier:bad-tokens");
    refused(other, LIME_TOKEN_WRONG_DOMAIN);
    refused("a.b.c", LIME_TOKEN_MALFORMED);
    char *digit = &good[strlen(good) - 2], there = *digit;
    *digit = there == 'A' ? 'B' : 'A'; /* another digit of base64url, where any other byte would be malformed */
    refused(good, LIME_TOKEN_BAD_SIGNATURE);
    *digit = there;
    check_end();
    check_begin("token_verifier:started");
    started(good);
    check_end();
    check_begin("token_verifier:answers");
    answers(good);
    check_end();
    check_begin("token_verifier:rotation");
    lime_clock_advance_ms(keeper, 60000);
    at("rotate");
    char *newest = copy(at("token tools.example.com"));
    lime_verified_token *token = NULL;
    CHECK(lime_token_verifier_verify(verifier, newest, &token, NULL) == LIME_OK);
    lime_verified_token_free(token);
    refused(good, LIME_TOKEN_UNKNOWN_KEY);
    CHECK(lime_token_verifier_fetches(verifier) == 3); /* at first, by warming up, and now */
    check_end();
    check_begin("token_verifier:without-the-platform");
    without_the_platform(newest);
    check_end();
    check_begin("token_verifier:closed");
    lime_token_verifier_close(verifier);
    CHECK(lime_token_verifier_verify(verifier, newest, &token, NULL) == LIME_ERROR_CLOSED);
    CHECK(lime_token_verifier_verify_cached(verifier, newest, &token, NULL) == LIME_ERROR_CLOSED);
    check_end();
    lime_token_verifier_free(verifier);
    lime_clock_free(keeper);
    free(good);
    free(other);
    free(newest);
    return check_failed ? 1 : 0;
}
