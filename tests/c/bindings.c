/* An agent is connected with an account: asked for, completed by a person, exchanged once, verified; and what may go
   wrong with it. At each turn it says `at <place> <arguments>` and waits for a line: run.py is the person. */
#include "check.h"
#include <lime.h>
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int calls, drops;
static lime_site *site;

static void drop(void *user_data) {
    (void)user_data;
    pthread_mutex_lock(&lock);
    drops++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until as many started calls as these have ended. */
static void ended(int number) {
    pthread_mutex_lock(&lock);
    while (drops < number) pthread_cond_wait(&changed, &lock);
    CHECK(calls == number && drops == number);
    pthread_mutex_unlock(&lock);
}

/* What run.py answers. */
static char answer[256];

static void at(const char *place, const char *argument) {
    printf("at %s %s\n", place, argument);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(2);
    answer[strcspn(answer, "\n")] = 0;
}

static const char callback[] = "https://shop.example/bind?step=2";

/* A binding that its person has completed; the code is in `answer`. */
static lime_binding_request *completed(void) {
    lime_binding_request *request = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_create_binding_request(site, callback, &request, &error) == LIME_OK && !error);
    CHECK_TEXT(lime_binding_request_status_text(request), "PENDING");
    CHECK(lime_binding_request_expires_at_unix_micros(request) > INT64_C(1700000000000000));
    CHECK(lime_binding_request_expires_at_offset_seconds(request) == 0);
    CHECK(strstr(lime_binding_request_connect_url(request), lime_binding_request_binding_id(request)));
    at("complete", lime_binding_request_binding_id(request));
    return request;
}

static void an_agent_is_connected(void) {
    lime_binding_request *request = completed();
    lime_binding_exchange *exchange = NULL;
    lime_passport *passport = NULL, *cached = NULL, *wrong = NULL;
    lime_error *error = NULL;
    const char *id = lime_binding_request_binding_id(request);
    CHECK(lime_site_exchange_binding_code(site, answer, &exchange, &error) == LIME_OK && !error);
    const char *jwt = lime_binding_exchange_passport(exchange);
    /* The keys are not at hand yet. */
    CHECK(lime_site_verify_binding_passport_cached(site, jwt, id, 1, &cached, &error) == LIME_OK && !cached);
    CHECK(lime_site_verify_binding_passport(site, jwt, id, 1, &passport, &error) == LIME_OK && !error);
    CHECK(lime_site_verify_binding_passport_cached(site, jwt, NULL, 0, &cached, &error) == LIME_OK && cached);
    CHECK_TEXT(lime_passport_text_claim(passport, "binding_id"), id);
    CHECK_TEXT(lime_passport_text_claim(cached, "binding_id"), id);
    CHECK(lime_passport_text_claim(passport, "agent_id"));
    CHECK_TEXT(lime_passport_owner_id(passport), lime_passport_text_claim(passport, "user_id"));
    /* For another session, and as a login. */
    CHECK(lime_site_verify_binding_passport(site, jwt, "br_other", 0, &wrong, &error) == LIME_ERROR_INVALID_PASSPORT);
    CHECK(!wrong && strstr(lime_error_message(error), "binding_id"));
    lime_error_free(error);
    error = NULL;
    CHECK(lime_site_verify_passport(site, jwt, NULL, 0, &wrong, &error) == LIME_ERROR_INVALID_PASSPORT);
    CHECK(!wrong && strstr(lime_error_message(error), "audience"));
    lime_error_free(error);
    lime_passport_free(cached);
    lime_passport_free(passport);
    lime_binding_exchange_free(exchange);
    lime_binding_request_free(request);
}

static void a_code_counts_once(void) {
    lime_binding_request *request = completed();
    lime_binding_exchange *exchange = NULL, *again = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_exchange_binding_code(site, answer, &exchange, NULL) == LIME_OK);
    CHECK(lime_site_exchange_binding_code(site, answer, &again, &error) == LIME_ERROR_API);
    CHECK(!again);
    CHECK_TEXT(lime_error_code(error), "INVALID_BINDING_CODE");
    CHECK(lime_error_http_status(error) == 400);
    lime_error_free(error);
    lime_binding_exchange_free(exchange);
    lime_binding_request_free(request);
}

static void a_lost_answer_is_no_failure(void) {
    lime_binding_request *request = completed();
    lime_binding_exchange *exchange = NULL;
    char code[sizeof answer];
    memcpy(code, answer, sizeof code);
    at("lose-answer", "");
    CHECK(lime_site_exchange_binding_code(site, code, &exchange, NULL) == LIME_ERROR_OUTCOME_UNKNOWN);
    CHECK(!exchange);
    lime_binding_request_free(request);
}

static void a_redirect_uri_is_refused(void) {
    lime_binding_request *request = NULL;
    lime_error *error = NULL;
    CHECK(lime_site_create_binding_request(site, "http://shop.example/", &request, &error) == LIME_ERROR_API);
    CHECK_TEXT(lime_error_code(error), "VALIDATION_ERROR");
    lime_error_free(error);
}

static void on_verified(void *user_data, int32_t status, lime_passport *passport, lime_error *error) {
    CHECK(status == LIME_OK && !error);
    CHECK_TEXT(lime_passport_text_claim(passport, "binding_id"), user_data);
    lime_passport_free(passport);
    calls++;
}

static void on_exchanged(void *user_data, int32_t status, lime_binding_exchange *exchange, lime_error *error) {
    CHECK(status == LIME_OK && !error);
    const char *jwt = lime_binding_exchange_passport(exchange);
    CHECK(lime_site_verify_binding_passport_start(site, jwt, user_data, 1, on_verified, user_data, drop, NULL, NULL) ==
          LIME_OK);
    lime_binding_exchange_free(exchange);
    calls++;
}

static lime_binding_request *asked;

static void on_asked(void *user_data, int32_t status, lime_binding_request *request, lime_error *error) {
    (void)user_data;
    CHECK(status == LIME_OK && !error);
    asked = request;
    calls++;
}

static void all_of_it_started(void) {
    CHECK(lime_site_create_binding_request_start(site, callback, on_asked, NULL, drop, NULL, NULL) == LIME_OK);
    ended(1);
    char *id = strdup(lime_binding_request_binding_id(asked));
    at("complete", id);
    CHECK(lime_site_exchange_binding_code_start(site, answer, on_exchanged, id, drop, NULL, NULL) == LIME_OK);
    ended(3);
    lime_binding_request_free(asked);
    free(id);
}

static lime_site *site_for(int32_t platform, int32_t jwks_form) {
    lime_site *made = NULL;
    lime_site_options *options = lime_site_options_new();
    CHECK(lime_site_options_set_platform(options, platform) == LIME_OK);
    if (jwks_form >= 0) CHECK(lime_site_options_set_jwks_form(options, jwks_form) == LIME_OK);
    CHECK(lime_site_new(options, &made, NULL) == LIME_OK);
    lime_site_options_free(options);
    return made;
}

/* A site takes what the platform that it is for gives: here is one with bare keys, and passports without an issuer. */
static void platforms_of_other_times(void) {
    static const struct {
        int32_t platform, jwks_form, status;
    } cases[] = {
        {LIME_PLATFORM_AUTO, -1, LIME_OK},
        {LIME_PLATFORM_AUTO, LIME_JWKS_FORM_ENVELOPE, LIME_ERROR_INVALID_PASSPORT},
        {LIME_PLATFORM_SEED, -1, LIME_ERROR_INVALID_PASSPORT},
        {LIME_PLATFORM_SEED, LIME_JWKS_FORM_BARE, LIME_OK},
        {LIME_PLATFORM_TODAY, -1, LIME_ERROR_INVALID_PASSPORT},
    };
    at("bare-keys-no-issuer", "");
    lime_binding_request *request = completed();
    lime_binding_exchange *exchange = NULL;
    CHECK(lime_site_exchange_binding_code(site, answer, &exchange, NULL) == LIME_OK);
    const char *jwt = lime_binding_exchange_passport(exchange);
    for (size_t each = 0; each < sizeof cases / sizeof *cases; each++) {
        lime_passport *passport = NULL;
        lime_site *other = site_for(cases[each].platform, cases[each].jwks_form);
        CHECK(lime_site_verify_binding_passport(other, jwt, NULL, 0, &passport, NULL) == cases[each].status);
        CHECK((passport != NULL) == (cases[each].status == LIME_OK));
        lime_passport_free(passport);
        lime_site_free(other);
    }
    lime_agent_options *options = lime_agent_options_new();
    CHECK(lime_agent_options_set_platform(options, LIME_PLATFORM_TODAY) == LIME_OK);
    lime_agent_options_free(options);
    lime_binding_exchange_free(exchange);
    lime_binding_request_free(request);
}

/* The codes of today have statuses of their own, which are cases of those of before. */
static void agents_and_tokens_of_today(void) {
    lime_agent *agent = NULL;
    lime_agent_profile *profile = NULL;
    lime_login_request *request = NULL;
    lime_agent_options *options = lime_agent_options_new();
    CHECK(lime_agent_options_set_max_retries(options, 0) == LIME_OK);
    CHECK(lime_agent_new(options, &agent, NULL) == LIME_OK);
    lime_agent_options_free(options);
    lime_mcp_access_token *token = NULL;
    at("revoke-mcp", "");
    int32_t status = lime_agent_get_mcp_access_token(agent, "tools.example.com", 0, &token, NULL);
    CHECK(status == LIME_ERROR_OAUTH_CAPABILITY && lime_status_parent(status) == LIME_ERROR_API && !token);
    at("suspend-user", "");
    status = lime_agent_get_profile(agent, &profile, NULL);
    CHECK(status == LIME_ERROR_AGENT_USER_SUSPENDED && lime_status_parent(status) == LIME_ERROR_AUTHENTICATION);
    at("deactivate", "");
    status = lime_agent_get_profile(agent, &profile, NULL);
    CHECK(status == LIME_ERROR_AGENT_INACTIVE && lime_status_parent(status) == LIME_ERROR_AUTHENTICATION);
    at("no-auth", "");
    status = lime_agent_get_profile(agent, &profile, NULL);
    CHECK(status == LIME_ERROR_AUTH_UNAVAILABLE && lime_status_parent(status) == LIME_ERROR_API);
    status = lime_site_create_login_request(site, &request, NULL);
    CHECK(status == LIME_ERROR_SITE_AUTH_UNAVAILABLE && lime_status_parent(status) == LIME_ERROR_API);
    CHECK(!profile && !request);
    lime_agent_free(agent);
}

#define STORY(test) (check_begin("bindings:" #test), test(), check_end())

int main(void) {
    alarm(120);
    lime_site_options *options = lime_site_options_new();
    CHECK(lime_site_options_set_max_retries(options, 1) == LIME_OK);
    CHECK(lime_site_new(options, &site, NULL) == LIME_OK);
    lime_site_options_free(options);
    STORY(an_agent_is_connected);
    STORY(a_code_counts_once);
    STORY(a_lost_answer_is_no_failure);
    STORY(a_redirect_uri_is_refused);
    STORY(all_of_it_started);
    STORY(platforms_of_other_times);
    STORY(agents_and_tokens_of_today);
    lime_site_free(site);
    return check_failed ? 1 : 0;
}
