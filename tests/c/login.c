/* The main story, with everything going wrong that may: the first approve is answered by 503, the event
   stream is cut in the middle of the frame, the keys are rotated between two logins, a request expires.
   At each turn it says `at <place>` and waits for a line: run.py changes the platform meanwhile. */
#include "check.h"
#include <lime.h>
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int logins, expiries, streams_opened, dropped;
static char *last_id, *last_passport;

static void on_login(void *user_data, const char *request_id, const char *passport) {
    (void)user_data;
    pthread_mutex_lock(&lock);
    free(last_id);
    free(last_passport);
    last_id = strdup(request_id);
    last_passport = passport ? strdup(passport) : NULL;
    if (passport) logins++;
    else expiries++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_state(void *user_data, int32_t state, const lime_error *last_error) {
    (void)user_data;
    if (state == LIME_STREAM_BACKING_OFF) CHECK(lime_error_status(last_error) == LIME_ERROR_TRANSPORT);
    pthread_mutex_lock(&lock);
    if (state == LIME_STREAM_OPEN) streams_opened++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void drop(void *user_data) {
    pthread_mutex_lock(&lock);
    ++*(int *)user_data;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await(const int *counter, int least) {
    pthread_mutex_lock(&lock);
    while (*counter < least) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void at(const char *place) {
    char answer[16];
    printf("at %s\n", place);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(2);
}

static lime_site *site;
static lime_agent *agent;

/* A whole login; the passport is verified with whatever keys the platform has then. */
static void log_in(const char *place) {
    lime_login_request *request = NULL;
    lime_login_request_status *found = NULL;
    lime_approval_result *result = NULL;
    lime_login_event *event = NULL;
    lime_passport *passport = NULL, *wrong = NULL;
    lime_error *error = NULL;
    int before = logins;
    CHECK(lime_site_create_login_request(site, &request, &error) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    CHECK_TEXT(lime_login_request_status_text(request), "PENDING");
    CHECK(lime_login_request_expires_at_unix_micros(request) > INT64_C(1700000000000000));
    CHECK(lime_login_request_expires_at_offset_seconds(request) == 0);
    at(place);
    CHECK(lime_agent_login(agent, id, &result, &error) == LIME_OK);
    CHECK(!error);
    CHECK_TEXT(lime_approval_result_request_id(result), id);
    CHECK(lime_approval_result_site_id(result));
    await(&logins, before + 1);
    CHECK_TEXT(last_id, id);
    CHECK(lime_site_wait_for_login(site, id, 60000, &event, &error) == LIME_OK);
    CHECK_TEXT(lime_login_event_request_id(event), id);
    CHECK_TEXT(lime_login_event_passport(event), last_passport);
    CHECK(lime_site_verify_passport(site, last_passport, id, 0, &passport, &error) == LIME_OK);
    CHECK_TEXT(lime_passport_text_claim(passport, "request_id"), id);
    CHECK_TEXT(lime_passport_text_claim(passport, "agent_id"), lime_approval_result_approved_agent_id(result));
    CHECK(!lime_passport_text_claim(passport, "exp") && !lime_passport_text_claim(passport, "nothing"));
    CHECK(lime_site_verify_passport(site, last_passport, "another", 0, &wrong, &error) == LIME_ERROR_INVALID_PASSPORT);
    CHECK(!wrong && error);
    CHECK(lime_site_read_login_request(site, id, &found, NULL) == LIME_OK);
    CHECK_TEXT(lime_login_request_status_status_text(found), "DELIVERED");
    CHECK_TEXT(lime_login_request_status_request_id(found), id);
    lime_error_free(error);
    lime_passport_free(passport);
    lime_login_event_free(event);
    lime_approval_result_free(result);
    lime_login_request_status_free(found);
    lime_login_request_free(request);
}

static void through_a_503_and_a_cut(void) {
    log_in("first-login");
    await(&streams_opened, 2);
    CHECK(lime_site_connections(site) >= 2);
    lime_error *error = lime_site_last_error(site);
    CHECK(lime_error_status(error) == LIME_ERROR_TRANSPORT);
    lime_error_free(error);
}

static void through_rotated_keys(void) { log_in("before-second-login"); }

static void a_request_expires(void) {
    lime_login_request *request = NULL;
    lime_login_event *event = NULL;
    lime_approval_result *result = NULL;
    CHECK(lime_site_create_login_request(site, &request, NULL) == LIME_OK);
    const char *id = lime_login_request_request_id(request);
    at("before-expiry");
    CHECK(lime_site_wait_for_login(site, id, 60000, &event, NULL) == LIME_OK);
    CHECK(!lime_login_event_passport(event));
    await(&expiries, 1);
    CHECK_TEXT(last_id, id);
    CHECK(!last_passport);
    CHECK(lime_agent_login(agent, id, &result, NULL) == LIME_ERROR_API);
    lime_login_event_free(event);
    lime_login_request_free(request);
}

static void the_profile(void) {
    lime_agent_profile *profile = NULL;
    int64_t number = -1;
    CHECK(lime_agent_get_profile(agent, &profile, NULL) == LIME_OK);
    CHECK(lime_agent_profile_agent_id(profile) && lime_agent_profile_owner_id(profile));
    CHECK(lime_agent_profile_owner_kyc_level(profile, &number) == 0 || number >= 0);
    CHECK(lime_agent_profile_agent_reputation(profile, NULL) == 0);
    lime_agent_profile_free(profile);
}

static void everything_is_dropped(void) {
    lime_agent_free(agent);
    lime_site_free(site);
    await(&dropped, 2);
    CHECK(dropped == 2 && logins == 2 && expiries == 1);
    free(last_id);
    free(last_passport);
}

#define STORY(test) (check_begin("login:" #test), test(), check_end())

int main(void) {
    alarm(120);
    check_begin("login:clients");
    CHECK(lime_site_new(NULL, &site, NULL) == LIME_OK);
    CHECK(lime_agent_new(NULL, &agent, NULL) == LIME_OK);
    CHECK(lime_site_on_state(site, on_state, &dropped, drop, NULL) == LIME_OK);
    CHECK(lime_site_on_login(site, on_login, &dropped, drop, NULL) == LIME_OK);
    await(&streams_opened, 1);
    check_end();
    STORY(through_a_503_and_a_cut);
    STORY(through_rotated_keys);
    STORY(a_request_expires);
    STORY(the_profile);
    STORY(everything_is_dropped);
    return check_failed ? 1 : 0;
}
