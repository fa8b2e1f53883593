/* Panics inside the library, on purpose: each becomes LIME_ERROR_INTERNAL, and process and clients live on.
   For a library that was built with the feature test-panic. Prints nothing but its results: run.py looks. */
#include "check.h"
#include "probe.h"
#include <lime.h>
#include <pthread.h>
#include <unistd.h>

typedef struct lime_test_result lime_test_result;
typedef void (*lime_test_callback)(void *user_data, int32_t status, lime_test_result *result, lime_error *error);
int32_t lime_test_panic(lime_error **error);
int32_t lime_test_panicking_agent(lime_agent **agent, lime_error **error);
int32_t lime_test_panic_start(const lime_agent *agent, lime_test_callback callback, void *user_data,
                              lime_drop_user_data drop_user_data, uint64_t *operation, lime_error **error);

static lime_agent *agent;

static void is_internal(int32_t status, lime_error *error) {
    CHECK(status == LIME_ERROR_INTERNAL && lime_error_status(error) == LIME_ERROR_INTERNAL);
    const char *message = lime_error_message(error);
    /* What it was and where. */
    CHECK(message && strstr(message, "on purpose (") && strstr(message, "fault.rs:"));
    CHECK_TEXT(lime_error_code(error), "INTERNAL");
}

/* The clients go on. */
static void all_is_well(void) {
    lime_agent_profile *profile = NULL;
    CHECK(lime_agent_get_profile(agent, &profile, NULL) == LIME_OK);
    lime_agent_profile_free(profile);
}

static void in_a_call(void) {
    lime_error *error = NULL;
    int32_t status = lime_test_panic(&error);
    is_internal(status, error);
    lime_error_free(error);
    CHECK(lime_test_panic(NULL) == LIME_ERROR_INTERNAL);
    all_is_well();
}

static lime_agent *panicking_agent(void) {
    lime_agent *made = NULL;
    CHECK(lime_test_panicking_agent(&made, NULL) == LIME_OK);
    return made;
}

static void in_the_midst_of_a_blocking_call(void) {
    lime_agent *panicking = panicking_agent();
    lime_agent_profile *profile = NULL;
    lime_error *error = NULL;
    for (int round = 0; round < 3; round++) {
        int32_t status = lime_agent_get_profile(panicking, &profile, &error);
        is_internal(status, error);
        lime_error_free(error);
    }
    CHECK(!profile);
    all_is_well();
    lime_agent_free(panicking);
}

static void on_profile(void *user_data, int32_t status, lime_agent_profile *profile, lime_error *error) {
    CHECK(!profile);
    is_internal(status, error);
    finish(user_data, status, error);
}

static void in_the_midst_of_a_started_call(void) {
    lime_agent *panicking = panicking_agent();
    struct probe probe = PROBE;
    CHECK(lime_agent_get_profile_start(panicking, on_profile, &probe, drop, &probe.operation, NULL) == LIME_OK);
    lime_agent_free(panicking);
    await(&probe, &probe.drops, 1);
    CHECK(probe.calls == 1 && probe.drops == 1 && probe.calls_after_drop == 0);
    CHECK(lime_operation_cancel(probe.operation) == 0);
    all_is_well();
}

static void on_result(void *user_data, int32_t status, lime_test_result *result, lime_error *error) {
    CHECK(!result);
    is_internal(status, error);
    finish(user_data, status, error);
}

static void when_a_result_is_made(void) {
    struct probe probe = PROBE;
    for (int round = 1; round <= 3; round++) {
        CHECK(lime_test_panic_start(agent, on_result, &probe, drop, NULL, NULL) == LIME_OK);
        await(&probe, &probe.drops, round);
        CHECK(probe.calls == round && probe.drops == round);
    }
    all_is_well();
}

enum { THREADS = 8, ROUNDS = 50 };

static void *panic_often(void *good) {
    for (int round = 0; round < ROUNDS; round++) {
        lime_error *error = NULL;
        *(int *)good += lime_test_panic(&error) == LIME_ERROR_INTERNAL && error;
        lime_error_free(error);
    }
    return NULL;
}

static void on_eight_threads(void) {
    pthread_t ids[THREADS];
    int good[THREADS] = {0};
    for (int at = 0; at < THREADS; at++) CHECK(pthread_create(&ids[at], NULL, panic_often, &good[at]) == 0);
    for (int at = 0; at < THREADS; at++) {
        pthread_join(ids[at], NULL);
        CHECK(good[at] == ROUNDS);
    }
    all_is_well();
}

#define PANIC(test) (check_begin("panics:" #test), test(), check_end())

int main(void) {
    alarm(240);
    if (lime_agent_new(NULL, &agent, NULL) != LIME_OK) return 2;
    PANIC(in_a_call);
    PANIC(in_the_midst_of_a_blocking_call);
    PANIC(in_the_midst_of_a_started_call);
    PANIC(when_a_result_is_made);
    PANIC(on_eight_threads);
    lime_agent_free(agent);
    return check_failed ? 1 : 0;
}
