/* The server's key has to be one of the pins, through every client. Runs against the server that the environment names,
   which is another one's when TLS_REFUSED is set. */
#include "check.h"
#include <lime.h>
#include <stdlib.h>

/* Well-formed, signed by nobody: its key is asked for. */
#define UNKNOWN_KEY "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"

static int refused;

/* Ends a test: all went well, or the server was refused for its key. */
static void came_out(int32_t status, lime_error *error) {
    CHECK(status == (refused ? LIME_ERROR_TRANSPORT : LIME_OK));
    CHECK(!refused || (error && strstr(lime_error_message(error), "is none of tls_pins")));
    lime_error_free(error);
    check_end();
}

#define PINNED(kind, options)                                                                                     \
    do {                                                                                                          \
        CHECK(lime_##kind##_options_add_tls_pin(options, getenv("TLS_OTHER_PIN")) == LIME_OK);                    \
        if (!refused) CHECK(lime_##kind##_options_add_tls_pin(options, getenv("TLS_GOOD_PIN")) == LIME_OK);       \
        CHECK(lime_##kind##_options_add_tls_pin(options, NULL) == LIME_ERROR_INVALID_ARGUMENT);                   \
    } while (0)

static void site(void) {
    check_begin("tls:site");
    lime_site_options *options = lime_site_options_new();
    PINNED(site, options);
    CHECK(lime_site_options_set_max_retries(options, 0) == LIME_OK);
    lime_site *site = NULL;
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK);
    lime_site_options_free(options);
    lime_login_request *request = NULL;
    lime_error *error = NULL;
    int32_t status = lime_site_create_login_request(site, &request, &error);
    lime_login_request_free(request);
    lime_site_free(site);
    came_out(status, error);
}

static void agent(void) {
    check_begin("tls:agent");
    lime_agent_options *options = lime_agent_options_new();
    PINNED(agent, options);
    CHECK(lime_agent_options_set_max_retries(options, 0) == LIME_OK);
    lime_agent *agent = NULL;
    CHECK(lime_agent_new(options, &agent, NULL) == LIME_OK);
    lime_agent_options_free(options);
    lime_agent_profile *profile = NULL;
    lime_error *error = NULL;
    int32_t status = lime_agent_get_profile(agent, &profile, &error);
    lime_agent_profile_free(profile);
    lime_agent_free(agent);
    came_out(status, error);
}

static void sesame(void) {
    check_begin("tls:sesame");
    lime_sesame_options *options = lime_sesame_options_new();
    PINNED(sesame, options);
    CHECK(lime_sesame_options_set_max_retries(options, 0) == LIME_OK);
    lime_sesame *sesame = NULL;
    CHECK(lime_sesame_new(options, &sesame, NULL) == LIME_OK);
    lime_sesame_options_free(options);
    lime_approval *approval = NULL;
    lime_error *error = NULL;
    int32_t status = lime_sesame_get(sesame, "apr_1", 0, &approval, &error);
    lime_approval_free(approval);
    lime_sesame_free(sesame);
    came_out(status, error);
}

static void token_verifier(void) {
    check_begin("tls:token_verifier");
    lime_token_verifier_options *options = lime_token_verifier_options_new();
    PINNED(token_verifier, options);
    lime_token_verifier *verifier = NULL;
    CHECK(lime_token_verifier_new(options, &verifier, NULL) == LIME_OK);
    lime_token_verifier_options_free(options);
    lime_verified_token *token = NULL;
    lime_error *error = NULL;
    int32_t status = lime_token_verifier_verify(verifier, UNKNOWN_KEY, &token, &error);
    /* Which keys there are is known: not that one. */
    if (status == LIME_ERROR_INVALID_TOKEN) status = LIME_OK;
    lime_verified_token_free(token);
    lime_token_verifier_free(verifier);
    came_out(status, error);
}

static void no_pins(void) {
    check_begin("tls:no-pins");
    lime_site_options *options = lime_site_options_new();
    lime_site *site = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_options_add_tls_pin(NULL, "x") == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_site_options_add_tls_pin(options, "\xff") == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(lime_site_options_add_tls_pin(options, "sha256/") == LIME_OK);
    CHECK(lime_site_new(options, &site, &error) == LIME_ERROR_INVALID_ARGUMENT);
    CHECK(error && strstr(lime_error_message(error), "tls_pins must be"));
    lime_error_free(error);
    lime_site_options_free(options);
    check_end();
}

int main(void) {
    refused = getenv("TLS_REFUSED") != NULL;
    site();
    agent();
    sesame();
    token_verifier();
    no_pins();
    return check_failed ? 1 : 0;
}
